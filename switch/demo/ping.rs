//! The first scene: one host pings the other.

use std::time::Duration;

use super::DemoError;
use super::child::Background;
use super::host::Host;
use super::rates::Flow;
use super::stage::Stage;
use super::tools::Tools;

/// Echo requests, and the seconds between two.
const COUNT: &str = "20";
const INTERVAL: &str = "0.05";

/// How long a reply may take, in seconds.
const PATIENCE: &str = "1";

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pings {
    pub(super) sent: u64,
    pub(super) back: u64,
    /// The shortest, the mean and the longest way there and back, in milliseconds.
    pub(super) rtt: Option<[f64; 3]>,
}

pub(super) fn run(
    stage: &mut Stage<'_>,
    tools: &Tools,
    hosts: &[Host; 2],
) -> Result<(Pings, Flow), DemoError> {
    let [from, to] = hosts;
    let begin = stage.begin(&format!("ping: {COUNT} from host1 to host2"))?;
    let mut command = from.command(&tools.ping);
    command.args(["-n", "-q", "-c", COUNT, "-i", INTERVAL, "-W", PATIENCE, &to.address()]);
    let mut ping = Background::start("ping", &mut command)?;
    // It ends badly when replies are missing, which is a result too.
    stage.wait("ping", Duration::from_secs(30), || ping.ended())?;
    let pings = parse(ping.said()).ok_or_else(|| ping.failure("gave no summary"))?;
    Ok((pings, stage.sent_since(&begin)))
}

/// Reads the summary, as iputils and busybox write it.
fn parse(lines: &[String]) -> Option<Pings> {
    let counts = lines.iter().find(|line| line.contains(" transmitted"))?;
    let count = |what: &str| {
        let part = counts.split(',').find(|part| part.contains(what))?;
        part.split_whitespace().next()?.parse().ok()
    };
    let rtt = lines.iter().find(|line| line.contains("min/avg/max")).and_then(|line| {
        let (_, times) = line.split_once('=')?;
        let mut times = times.split(['/', ' ']).filter_map(|time| time.parse().ok());
        Some([times.next()?, times.next()?, times.next()?])
    });
    Some(Pings { sent: count("transmitted")?, back: count("received")?, rtt })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Pings> {
        parse(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn summaries_are_read() {
        let iputils = "20 packets transmitted, 19 received, +1 errors, 5% packet loss, time 950ms\n\
                       rtt min/avg/max/mdev = 0.031/0.045/0.120/0.010 ms";
        assert_eq!(parsed(iputils), Some(Pings { sent: 20, back: 19, rtt: Some([0.031, 0.045, 0.12]) }));
        let busybox = "3 packets transmitted, 3 packets received, 0% packet loss\n\
                       round-trip min/avg/max = 0.1/0.2/0.3 ms";
        assert_eq!(parsed(busybox), Some(Pings { sent: 3, back: 3, rtt: Some([0.1, 0.2, 0.3]) }));
    }

    #[test]
    fn silence_has_no_times() {
        let lost = "2 packets transmitted, 0 received, 100% packet loss, time 1008ms";
        assert_eq!(parsed(lost), Some(Pings { sent: 2, back: 0, rtt: None }));
        assert_eq!(parsed("ping: unknown host"), None);
    }
}
