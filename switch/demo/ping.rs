//! The first scene: one host pings the other.

use std::time::{Duration, Instant};

use super::DemoError;
use super::child::{Background, this_program};
use super::host::Host;
use super::rates::Flow;
use super::stage::Stage;
use super::tools::Tools;

/// Echo requests, and the seconds between two.
const COUNT: &str = "20";
const INTERVAL: &str = "0.05";

/// How long it may all take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a reply may take.
const LATEST: Duration = Duration::from_secs(2);

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pings {
    pub(super) sent: u64,
    /// Replies that `ping` saw.
    pub(super) back: u64,
    /// Replies that came when it had given up.
    pub(super) late: u64,
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
    command.args(["-n", "-q", "-c", COUNT, "-i", INTERVAL, &to.address()]);
    let mut ping = Background::start("ping", &mut command)?;
    // It ends badly when replies are missing, which is a result too.
    stage.wait("ping", PATIENCE, || ping.ended())?;
    let mut pings = parse(ping.said()).ok_or_else(|| ping.failure("gave no summary"))?;
    let end = Instant::now() + LATEST;
    while pings.back + pings.late < pings.sent && Instant::now() < end {
        pings.late = replies(stage, from)?.saturating_sub(pings.back);
    }
    Ok((pings, stage.sent_since(&begin)))
}

/// The replies that the host's kernel has seen. `ping` waits for the last ones no longer than for others
/// before, too short where the processor is shared; what came after is late and not lost.
fn replies(stage: &mut Stage<'_>, host: &Host) -> Result<u64, DemoError> {
    let mut command = host.command(&this_program());
    let mut count = Background::start("the count of replies", command.args(["demo-end", "echo-replies"]))?;
    stage.wait("ping", PATIENCE, || Ok(count.ended_well()?.then_some(())))?;
    let replies = count.said().iter().find_map(|line| line.parse().ok());
    replies.ok_or_else(|| count.failure("printed no number"))
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
    Some(Pings { sent: count("transmitted")?, back: count("received")?, late: 0, rtt })
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
        assert_eq!(
            parsed(iputils),
            Some(Pings { sent: 20, back: 19, late: 0, rtt: Some([0.031, 0.045, 0.12]) })
        );
        let busybox = "3 packets transmitted, 3 packets received, 0% packet loss\n\
                       round-trip min/avg/max = 0.1/0.2/0.3 ms";
        assert_eq!(parsed(busybox), Some(Pings { sent: 3, back: 3, late: 0, rtt: Some([0.1, 0.2, 0.3]) }));
    }

    #[test]
    fn silence_has_no_times() {
        let lost = "2 packets transmitted, 0 received, 100% packet loss, time 1008ms";
        assert_eq!(parsed(lost), Some(Pings { sent: 2, back: 0, late: 0, rtt: None }));
        assert_eq!(parsed("ping: unknown host"), None);
    }
}
