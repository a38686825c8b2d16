//! What is left of TCP behind a policer, and behind a shaper: two kernels' hosts, one flow.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hosts::Host;
use super::report::{Section, mbits};
use super::tester::Tester;
use crate::host::profile::{Limit, Profile};
use crate::host::{self, Place, Pollux, Process, command_in, output};
use crate::{BenchError, Result};

const LIMIT: Limit = Limit { rate: 200e6, burst: 200 << 10 };

/// Octets of a full frame without its check sequence, and of what it carries: 20 of IPv4, 20 of TCP and 12 of its
/// time stamps are taken off.
const FRAME: f64 = 1514.0;
const CARRIED: f64 = 1448.0;

/// How a packet socket's rings are made: a frame of 1514 octets and its descriptor fit a slot, and a window of
/// TCP the ring.
const RINGS: &str = "framesz=2048,framecnt=4096,blocksz=65536";

/// The switch of the cases without a limit is otherwise the same.
const CASES: [(&str, Option<&str>, Option<&str>); 3] =
    [("no limit", None, None), ("policer", Some("policed"), None), ("shaper", None, Some("shaped"))];

#[derive(Serialize)]
struct Case {
    name: &'static str,
    limit: Option<Limit>,
    /// Bits a second of the stream that arrived.
    goodput: f64,
    retransmits: u64,
}

/// What is read of the sender's report.
#[derive(Deserialize)]
struct Said {
    end: End,
}

#[derive(Deserialize)]
struct End {
    sum_sent: Sum,
    sum_received: Sum,
}

#[derive(Deserialize)]
struct Sum {
    bits_per_second: f64,
    #[serde(default)]
    retransmits: u64,
}

pub(super) fn run(tester: &Tester) -> Result<Section> {
    let header = ["case", "configured", "goodput", "as frames", "of configured, %", "segments sent again"];
    let title = "TCP: one flow between two hosts of this machine (Mbit/s)";
    let mut section = Section::new("tcp", title, &header);
    if output(Command::new("iperf3").arg("--version")).is_err() {
        section.notes.push("left out: there is no iperf3 (install the package of that name)".to_owned());
        return Ok(section);
    }
    section.notes.push(format!(
        "burst {} octets; as frames: the goodput times {FRAME} by {CARRIED}, which is what full frames take",
        LIMIT.burst
    ));
    let mut cases = Vec::new();
    for (name, ingress, egress) in CASES {
        cases.push(measure(tester, name, ingress, egress)?);
    }
    section.rows = cases.iter().map(row).collect();
    section.with_figures(&cases)
}

fn measure(tester: &Tester, name: &'static str, ingress: Option<&str>, egress: Option<&str>) -> Result<Case> {
    let folder = host::folder()?;
    let hosts = [Host::new(0)?, Host::new(1)?];
    let text = file(tester, [hosts[0].interface(), hosts[1].interface()], [ingress, egress]);
    let switch = Pollux::start(&tester.pollux, folder.path(), &text)?;
    let [from, to] = &hosts;
    let iperf3 = Path::new("iperf3");
    let mut server =
        Process::start_in(Place::namespace(to.namespace()), "the receiver", iperf3, |command| {
            command.args(["--server", "--one-off", "--forceflush"]);
        })?;
    server.wait_for("listening", Duration::from_secs(10), |line| {
        line.contains("Server listening").then_some(())
    })?;
    let seconds = tester.seconds.ceil().max(1.0);
    let mut client = command_in(Some(from.namespace()), iperf3);
    client.args(["--client", &to.address(), "--json", "--connect-timeout", "10000"]);
    // Slow start isn't what is asked for.
    client.args(["--time", &seconds.to_string(), "--omit", "1"]);
    let said = output(&mut client)?;
    server.wait()?;
    switch.stop()?;
    let (goodput, retransmits) = read(&said)?;
    let limit = ingress.or(egress).map(|_| LIMIT);
    Ok(Case { name, limit, goodput, retransmits })
}

/// The goodput, and how many segments were sent again.
fn read(said: &str) -> Result<(f64, u64)> {
    let said: Said = serde_json::from_str(said)
        .map_err(|error| BenchError::process("iperf3", format_args!("{error}: {said}")))?;
    Ok((said.end.sum_received.bits_per_second, said.end.sum_sent.retransmits))
}

fn file(tester: &Tester, interfaces: [&str; 2], profiles: [Option<&str>; 2]) -> String {
    let mut text = format!("[switch]\ncores = [{}]\n", tester.worker_cpu);
    for (number, (interface, profile)) in interfaces.into_iter().zip(profiles).enumerate() {
        text.push_str(&format!(
            "\n[ports.host{number}]\ndevice = \"net_af_packet{number},iface={interface},{RINGS}\"\n\
             rx_queues = 1\nrx_ring = 512\ntx_ring = 512\nvlan = {{ mode = \"access\", vid = 10 }}\n"
        ));
        if let Some(profile) = profile {
            text.push_str(&format!("qos = {{ profile = \"{profile}\", trust = \"pcp\" }}\n"));
        }
    }
    let policed = Profile { ingress_rate: Some(LIMIT), ..Profile::strict("policed") };
    let shaped = Profile { egress_rate: Some(LIMIT), ..Profile::strict("shaped") };
    for profile in [policed, shaped].iter().filter(|profile| profiles.contains(&Some(profile.name))) {
        text.push_str(&profile.to_string());
    }
    text
}

fn row(case: &Case) -> Vec<String> {
    let as_frames = case.goodput * FRAME / CARRIED;
    vec![
        case.name.to_owned(),
        case.limit.map_or_else(|| "-".to_owned(), |limit| mbits(limit.rate)),
        mbits(case.goodput),
        mbits(as_frames),
        case.limit.map_or_else(|| "-".to_owned(), |limit| format!("{:.1}", 100.0 * as_frames / limit.rate)),
        case.retransmits.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_senders_report_is_read() {
        let said = r#"{ "start": {}, "end": {
            "sum_sent": { "bits_per_second": 2.1e8, "retransmits": 17, "bytes": 5 },
            "sum_received": { "bits_per_second": 1.9e8 } } }"#;
        assert_eq!(read(said).unwrap(), (1.9e8, 17));
        assert!(read("error").unwrap_err().to_string().contains("iperf3"));
    }

    #[test]
    fn goodput_stands_beside_the_rate() {
        let case =
            Case { name: "shaper", limit: Some(LIMIT), goodput: 200e6 * CARRIED / FRAME, retransmits: 0 };
        assert_eq!(row(&case), ["shaper", "200.0", "191.3", "200.0", "100.0", "0"]);
    }
}
