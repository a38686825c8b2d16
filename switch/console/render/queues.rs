//! How queues, and what leads frames to them, read.

use std::fmt::Write;

use serde_json::Value;

use super::{list, text, words};
use crate::console::grammar::Args;
use crate::console::grammar::argument::masks;
use crate::text::table;

pub(crate) fn queues(_: &Args, answer: &Value) -> String {
    let mut rows = Vec::new();
    for port in list(&answer["ports"]) {
        for direction in ["rx", "tx"] {
            for queue in list(&port[direction]) {
                let worker = worker(&queue["worker"]);
                let [number, descriptors, enabled, mode] =
                    ["queue", "descriptors", "enabled", "burst_mode"].map(|field| text(&queue[field]));
                rows.push(vec![
                    text(&port["port"]),
                    direction.to_owned(),
                    number,
                    descriptors,
                    worker,
                    enabled,
                    mode,
                ]);
            }
        }
    }
    table(&["port", "", "queue", "descriptors", "worker", "enabled", "burst mode"], rows, usize::MAX)
        .to_string()
}

fn worker(worker: &Value) -> String {
    if worker.is_null() { "shared".to_owned() } else { text(worker) }
}

pub(crate) fn queue(_: &Args, queue: &Value) -> String {
    format!(
        "port {}, {} queue {}: {} descriptors, worker {}, enabled {}, burst mode {}",
        text(&queue["port"]),
        text(&queue["direction"]),
        text(&queue["queue"]),
        text(&queue["descriptors"]),
        worker(&queue["worker"]),
        text(&queue["enabled"]),
        text(&queue["burst_mode"]),
    )
}

pub(crate) fn descriptors(args: &Args, answer: &Value) -> String {
    let [port, queue] = ["PORT", "QUEUE"].map(|argument| args.get(argument).unwrap_or("-"));
    format!("port {port}, receive queue {queue}: {} descriptors used", text(&answer["used"]))
}

/// The redirection table; of it, the entries that masks choose, 64 each.
pub(crate) fn reta(args: &Args, answer: &Value) -> String {
    let entries: Vec<_> = list(&answer["reta"]).collect();
    let masks = args.get("MASKS").and_then(masks);
    let chosen = |entry: usize| match &masks {
        Some(masks) => masks.get(entry / 64).is_some_and(|mask| mask >> (entry % 64) & 1 != 0),
        None => true,
    };
    let mut out = format!("port {}: {} entries", args.get("PORT").unwrap_or("-"), entries.len());
    for (number, queue) in entries.iter().enumerate().filter(|(number, _)| chosen(*number)) {
        let _ = write!(out, "\nRSS RETA configuration: hash index={number}, queue={}", text(queue));
    }
    out
}

pub(crate) fn rss_hash(args: &Args, answer: &Value) -> String {
    let mut out = format!("port {}: RSS over {}", args.get("PORT").unwrap_or("-"), words(&answer["types"]));
    if args.has("key") {
        let _ = write!(out, "\nRSS key: {}", text(&answer["key"]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Command;
    use serde_json::json;

    #[test]
    fn masks_choose_entries() {
        let answer =
            json!({ "types": ["ipv4"], "key": "6d5a", "reta": (0..128).map(|n| n % 4).collect::<Vec<_>>() });
        let read = |line: &str| Command::parse(line).unwrap().unwrap().read(&answer);
        let some = read("show port 0 rss reta 128 (0x3,1)");
        assert_eq!(some.lines().count(), 4, "{some}");
        assert!(some.ends_with("hash index=64, queue=0"), "{some}");
        assert_eq!(read("show port 0 rss reta").lines().count(), 129);
        assert!(
            !read("show port 0 rss-hash").contains("6d5a")
                && read("show port 0 rss-hash key").contains("6d5a")
        );
    }

    #[test]
    fn queues_tell_their_workers() {
        let queue = json!({ "queue": 0, "descriptors": 512, "worker": null, "enabled": true });
        let text = queues(&Args::default(), &json!({ "ports": [{ "port": "a", "rx": [queue], "tx": [] }] }));
        assert!(text.contains("512") && text.contains("shared"), "{text}");
    }
}
