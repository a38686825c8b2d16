//! How events and the switch itself read.

use serde_json::Value;

use super::{facts, pairs, text};
use crate::console::grammar::Args;

/// An event in a line: when, what, and its fields.
pub(crate) fn event(_: &Args, event: &Value) -> String {
    // Some come with the message around them.
    let event = if event["params"].is_object() { &event["params"] } else { event };
    let fields = pairs(event).filter(|(name, _)| !matches!(name.as_str(), "number" | "time_ms" | "kind"));
    let fields: String = fields.map(|(name, value)| format!(" {name} {}", text(value))).collect();
    format!("{} {}{fields}", clock(event["time_ms"].as_u64()), text(&event["kind"]))
}

/// A time of day, in UTC.
fn clock(milliseconds: Option<u64>) -> String {
    let Some(milliseconds) = milliseconds else { return "-".to_owned() };
    let seconds = milliseconds / 1000 % 86_400;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:03}Z", seconds % 60, milliseconds % 1000)
}

pub(crate) fn forwarding(_: &Args, answer: &Value) -> String {
    match answer["forwarding"].as_bool() {
        Some(true) => "forwarding".to_owned(),
        Some(false) => "not forwarding; what waits in queues still leaves".to_owned(),
        None => text(&answer["forwarding"]),
    }
}

pub(crate) fn info(args: &Args, answer: &Value) -> String {
    let mut out = format!("{}, {}", text(&answer["version"]), forwarding(args, answer));
    let fields = [
        ("DPDK", "dpdk"),
        ("control protocol", "protocol"),
        ("file", "file"),
        ("runs for seconds", "uptime_seconds"),
        ("ports", "ports"),
        ("workers", "workers"),
        ("seconds left to `config confirm`", "pending.seconds"),
    ];
    out += &facts(answer, &fields);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_lines() {
        let link = json!({ "number": 7, "time_ms": 1_764_117_293_123_u64, "kind": "link", "port": "vm1", "up": true });
        assert_eq!(event(&Args::default(), &link), "00:34:53.123Z link port vm1 up yes");
        assert_eq!(
            event(&Args::default(), &json!({ "method": "event", "params": link })),
            "00:34:53.123Z link port vm1 up yes"
        );
    }
}
