//! How ports' priorities, rates and queues read.

use std::fmt::Write;

use serde_json::Value;

use super::{bits, in_bits, list, text};
use crate::console::grammar::Args;
use crate::text::table;

pub(crate) fn qos(_: &Args, answer: &Value) -> String {
    let ports: Vec<_> = list(&answer["ports"]).map(port).collect();
    if ports.is_empty() { "no port has a QoS profile".to_owned() } else { ports.join("\n\n") }
}

fn port(port: &Value) -> String {
    let profile = port["profile"].as_str().map_or("no profile".to_owned(), |name| format!("profile {name}"));
    let mut out = format!(
        "{}: {profile}, {} classes, trusts {}, default PCP {}",
        text(&port["port"]),
        text(&port["traffic_classes"]),
        text(&port["trust"]),
        text(&port["default_pcp"])
    );
    section(&mut out, &POLICERS, list(&port["policers"]).map(policer), 3);
    let rules = list(&port["rules"]).map(|rule| vec![text(&rule["name"]), text(&rule["hits"])]);
    section(&mut out, &["rule", "hits"], rules, 1);
    if port["shaper"].is_object() {
        let sent = bits(&port["sent_octets_per_second"]);
        let _ = write!(out, "\nshaper {}; sent {sent}", rate(&port["shaper"]));
    }
    section(&mut out, &CLASSES, list(&port["classes"]).map(class), 2);
    section(&mut out, &WAITS, list(&port["classes"]).filter(|class| has_waited(class)).map(waits), 1);
    out
}

/// Adds a table, if it has rows.
fn section(out: &mut String, header: &[&str], rows: impl Iterator<Item = Vec<String>>, numeric_from: usize) {
    let mut rows = rows.peekable();
    if rows.peek().is_some() {
        let _ = write!(out, "\n{}", table(header, rows, numeric_from));
    }
}

const POLICERS: [&str; 7] = ["policer", "algorithm", "configured", "passes now", "green", "yellow", "red"];

fn policer(policer: &Value) -> Vec<String> {
    let mut configured = rate(&policer["committed"]);
    if policer["other"].is_object() {
        configured += &format!("; {}", rate(&policer["other"]));
    }
    let passes = match policer["committed"]["unit"].as_str() {
        Some("frames") => format!("{} frames/s", text(&policer["passed_frames_per_second"])),
        _ => bits(&policer["passed_octets_per_second"]),
    };
    let frames = ["green", "yellow", "red"].map(|colour| text(&policer["frames"][colour]));
    [text(&policer["of"]), text(&policer["algorithm"]), configured, passes]
        .into_iter()
        .chain(frames)
        .collect()
}

const CLASSES: [&str; 11] =
    ["class", "served", "min", "max", "in", "out", "frames in/s", "sent frames", "waiting", "most", "queue"];

fn class(class: &Value) -> Vec<String> {
    vec![
        text(&class["class"]),
        text(&class["served"]),
        rate(&class["min_rate"]),
        rate(&class["max_rate"]),
        bits(&class["rate_in_octets"]),
        bits(&class["rate_out_octets"]),
        text(&class["rate_in_frames"]),
        text(&class["sent_frames"]),
        text(&class["waiting_octets"]),
        text(&class["most_octets"]),
        text(&class["queue_octets"]),
    ]
}

const WAITS: [&str; 9] = [
    "class",
    "had to wait",
    "median us",
    "p99 us",
    "longest us",
    "queue_full",
    "wred",
    "tx_full",
    "port_down",
];

/// Whether anything of a class waited or was dropped.
fn has_waited(class: &Value) -> bool {
    let drops = class["drops"].as_object().into_iter().flatten().map(|(_, frames)| frames);
    std::iter::once(&class["queued_frames"]).chain(drops).any(|frames| frames.as_u64().is_some_and(|n| n > 0))
}

fn waits(class: &Value) -> Vec<String> {
    let microseconds = |name: &str| class[name].as_f64().map_or("-".to_owned(), |us| format!("{us:.1}"));
    let drops = ["queue_full", "wred", "tx_full", "port_down"].map(|reason| text(&class["drops"][reason]));
    let waits = ["sojourn_median_us", "sojourn_p99_us", "sojourn_max_us"].map(microseconds);
    [text(&class["class"]), text(&class["queued_frames"])].into_iter().chain(waits).chain(drops).collect()
}

/// A configured rate and its burst.
fn rate(rate: &Value) -> String {
    let (Some(per_second), Some(unit)) = (rate["per_second"].as_u64(), rate["unit"].as_str()) else {
        return "-".to_owned();
    };
    let burst = text(&rate["burst"]);
    match unit {
        "frames" => format!("{} frames/s, burst {burst}", text(&rate["per_second"])),
        "octets" => format!("{}, burst {burst} B", in_bits(per_second)),
        _ => format!("{} on the wire, burst {burst} B", in_bits(per_second)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_port_reads_whole_and_with_fields_missing() {
        let rate =
            |per_second: u64, unit: &str| json!({ "per_second": per_second, "burst": 65536, "unit": unit });
        let answer = json!({ "ports": [{
            "port": "vm1", "profile": "vm", "trust": "pcp", "default_pcp": 0, "traffic_classes": 8,
            "policers": [
                { "of": "port", "algorithm": "srtcm", "committed": rate(250_000_000, "octets"), "other": null,
                  "frames": { "green": 1234567, "yellow": 0, "red": 5 }, "passed_octets_per_second": 124_000_000 },
                { "of": "rule bulk", "algorithm": "trtcm", "committed": rate(500_000, "frames"),
                  "other": rate(600_000, "frames"), "frames": {}, "passed_frames_per_second": 7000 },
            ],
            "rules": [{ "name": "bulk", "hits": 4321 }],
            "shaper": rate(625_000_000, "wire octets"), "sent_octets_per_second": 600_000_000,
            "classes": [
                { "class": 7, "served": "strict", "min_rate": null, "max_rate": rate(12_500_000, "octets"),
                  "rate_in_octets": 125, "queued_frames": 3, "sojourn_p99_us": 12.34, "drops": { "wred": 9 } },
                { "class": 0, "served": "dwrr 1", "queued_frames": 0, "drops": { "wred": 0 } },
            ],
        }] });
        let text = qos(&Args::default(), &answer);
        for part in [
            "vm1: profile vm, 8 classes, trusts pcp, default PCP 0",
            "2.000 Gbit/s, burst 65,536 B",
            "992.000 Mbit/s",
            "500,000 frames/s, burst 65,536; 600,000 frames/s, burst 65,536",
            "7,000 frames/s",
            "1,234,567",
            "4,321",
            "shaper 5.000 Gbit/s on the wire, burst 65,536 B; sent 4.800 Gbit/s",
            "100.000 Mbit/s, burst 65,536 B",
            "1.000 kbit/s",
            "dwrr 1",
            "12.3",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert_eq!(
            text.matches("\n 7").count() + text.matches("\n7").count(),
            2,
            "only class 7 waited\n{text}"
        );
        assert!(qos(&Args::default(), &json!({ "ports": [{}] })).starts_with("-: no profile"));
        assert_eq!(qos(&Args::default(), &json!({})), "no port has a QoS profile");
    }
}
