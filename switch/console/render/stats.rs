//! How counters read.

use std::fmt::Write;

use serde_json::Value;

use super::{Column, list, listing, pairs, text};
use crate::console::grammar::Args;
use crate::text::table;

const STATS: [Column; 7] = [
    ("port", "port"),
    ("rx frames", "rx_frames"),
    ("rx bytes", "rx_bytes"),
    ("tx frames", "tx_frames"),
    ("tx bytes", "tx_bytes"),
    ("dropped", "dropped"),
    ("cleared s ago", "cleared_seconds"),
];

pub(crate) fn port_stats(_: &Args, answer: &Value) -> String {
    let mut out = listing(&answer["ports"], &STATS, 1);
    for port in list(&answer["ports"]) {
        let name = text(&port["port"]);
        for (reason, frames) in pairs(&port["drops"]) {
            let _ = write!(out, "\nport {name} dropped {} frames: {reason}", text(frames));
        }
        let lost =
            pairs(&port["device"]).filter(|(_, frames)| frames.as_u64().is_some_and(|frames| frames > 0));
        for (counter, frames) in lost {
            let _ = write!(out, "\nport {name}'s device counted {}: {counter}", text(frames));
        }
    }
    out + "\n" + &balance(&answer["accounting"])
}

/// The balance, in a line.
fn balance(sum: &Value) -> String {
    let [rx, replicated, tx, dropped, queued] =
        ["rx", "replicated", "tx", "dropped", "queued"].map(|field| text(&sum[field]));
    let verdict = match sum["balances"].as_bool() {
        Some(true) => ": balances",
        Some(false) => ": frames are on their way, or it does not balance",
        None => "",
    };
    format!(
        "accounting: rx {rx} + replicated {replicated} = tx {tx} + dropped {dropped} + queued {queued}{verdict}"
    )
}

pub(crate) fn accounting(_: &Args, answer: &Value) -> String {
    balance(answer)
}

pub(crate) fn drops(_: &Args, answer: &Value) -> String {
    let row = |drop: &Value| ["port", "frames", "reason", "about"].map(|field| text(&drop[field])).to_vec();
    let mut rows: Vec<_> = list(&answer["drops"]).map(row).collect();
    for device in list(&answer["device"]) {
        for counter in ["missed", "rx_errors", "no_mbuf", "tx_errors"] {
            if device[counter].as_u64().is_some_and(|frames| frames > 0) {
                let about = "counted by its device, before or after the switch".to_owned();
                rows.push(vec![text(&device["port"]), text(&device[counter]), counter.to_owned(), about]);
            }
        }
    }
    if rows.is_empty() {
        return "nothing was dropped".to_owned();
    }
    let mut drops = table(&["port", "frames", "reason", ""], rows, usize::MAX);
    if let Some(column) = drops.column_mut(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    drops.to_string()
}

pub(crate) fn xstats(_: &Args, answer: &Value) -> String {
    let port = |port: &Value| {
        let counters: String =
            pairs(&port["xstats"]).map(|(name, count)| format!("\n  {name}: {}", text(count))).collect();
        format!("port {}:{}", text(&port["port"]), if counters.is_empty() { " none" } else { &counters })
    };
    list(&answer["ports"]).map(port).collect::<Vec<_>>().join("\n")
}

pub(crate) fn cleared(_: &Args, answer: &Value) -> String {
    format!("cleared: {}", super::words(&answer["cleared"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counters_read_with_what_was_lost() {
        let answer = json!({
            "ports": [{ "port": "vm1", "rx_frames": 1234567, "drops": { "tx_full": 3 },
                        "device": { "missed": 5, "rx_errors": 0 } }],
            "accounting": { "rx": 1234567, "replicated": 0, "tx": 7, "dropped": 3, "queued": 0, "balances": true },
        });
        let text = port_stats(&Args::default(), &answer);
        for part in [
            "1,234,567",
            "port vm1 dropped 3 frames: tx_full",
            "port vm1's device counted 5: missed",
            "accounting: rx 1,234,567 + replicated 0 = tx 7 + dropped 3 + queued 0: balances",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(!text.contains("rx_errors"), "{text}");
    }

    #[test]
    fn drops_name_port_and_reason() {
        let answer = json!({ "drops": [{ "port": "a", "reason": "bad_tag", "frames": 12, "about": "no member" }],
                             "device": [{ "port": "b", "missed": 1 }] });
        let text = drops(&Args::default(), &answer);
        assert!(text.contains("bad_tag") && text.contains("no member") && text.contains("missed"), "{text}");
        assert_eq!(drops(&Args::default(), &json!({})), "nothing was dropped");
    }
}
