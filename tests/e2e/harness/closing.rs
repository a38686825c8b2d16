use std::collections::BTreeMap;

/// A switch's closing words, as numbers. Made only from words that balance.
#[derive(Debug)]
pub struct Closing {
    pub ports: BTreeMap<String, Totals>,
    pub stdout: String,
}

/// A port's totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub rx_frames: u64,
    pub rx_bytes: u64,
    pub tx_frames: u64,
    pub tx_bytes: u64,
    pub dropped: u64,
    pub drops: BTreeMap<String, u64>,
}

impl Closing {
    /// Reads what `run` printed after "ready", and checks that it is one balanced account.
    pub fn parse(stdout: String, stderr: &str) -> Self {
        let (_, closing) =
            stdout.split_once("\nready after ").unwrap_or_else(|| panic!("never ready:\n{stdout}"));
        let mut ports = BTreeMap::<String, Totals>::new();
        let mut section = None;
        for line in closing.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            section = match (section, words.as_slice()) {
                (_, ["port", "rx", "frames", ..]) => Some(Section::Totals),
                (_, ["port", "dropped", "because", ..]) => Some(Section::Drops),
                (_, []) => None,
                (Some(Section::Totals), [name, numbers @ ..]) if numbers.len() == 5 => {
                    let [rx_frames, rx_bytes, tx_frames, tx_bytes, dropped] =
                        std::array::from_fn(|i| number(numbers[i]));
                    let totals =
                        Totals { rx_frames, rx_bytes, tx_frames, tx_bytes, dropped, ..Totals::default() };
                    ports.insert((*name).to_owned(), totals);
                    section
                }
                (Some(Section::Drops), [name, reason, frames, ..]) if ports.contains_key(*name) => {
                    let drops = &mut ports.get_mut(*name).unwrap().drops;
                    drops.insert((*reason).to_owned(), number(frames));
                    section
                }
                _ => None,
            };
        }
        let account = closing.lines().find(|line| line.starts_with("accounting: "));
        let account = account.unwrap_or_else(|| panic!("no accounting line:\n{stdout}"));
        assert!(account.ends_with(": balances"), "{account}\n{stdout}");
        let sums = account.split_whitespace().filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let sums: Vec<_> = sums.map(|word| number(word.trim_end_matches(':'))).collect();
        let [rx, replicated, tx, dropped, queued] = sums[..] else { panic!("five sums: {account}") };
        assert_eq!(rx + replicated, tx + dropped + queued, "{account}");
        assert_eq!(queued, 0, "a switch at rest holds nothing: {account}");

        let sum = |of: fn(&Totals) -> u64| ports.values().map(of).sum::<u64>();
        assert_eq!(sum(|port| port.rx_frames), rx, "{stdout}");
        assert_eq!(sum(|port| port.tx_frames), tx, "{stdout}");
        assert_eq!(sum(|port| port.dropped), dropped, "{stdout}");
        for (name, port) in &ports {
            assert_eq!(port.drops.values().sum::<u64>(), port.dropped, "port {name}'s reasons:\n{stdout}");
        }
        assert!(!stderr.contains("didn't come home"), "mbufs leaked:\n{stderr}");
        Self { ports, stdout }
    }

    pub fn port(&self, name: &str) -> &Totals {
        self.ports.get(name).unwrap_or_else(|| panic!("no port {name} in:\n{}", self.stdout))
    }

    /// Frames that `port` dropped for `reason`.
    pub fn drops(&self, port: &str, reason: &str) -> u64 {
        self.port(port).drops.get(reason).copied().unwrap_or(0)
    }
}

#[derive(Clone, Copy)]
enum Section {
    Totals,
    Drops,
}

fn number(word: &str) -> u64 {
    word.replace(',', "").parse().unwrap_or_else(|_| panic!("`{word}` is no number"))
}
