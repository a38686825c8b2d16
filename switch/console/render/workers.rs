//! How workers and memory read. Which fields workers have their own page says.

use serde_json::Value;

use super::{Column, list, listing, pairs, text};
use crate::console::grammar::Args;

pub(crate) fn workers(_: &Args, answer: &Value) -> String {
    let workers: Vec<_> = list(&answer["workers"]).map(worker).collect();
    if workers.is_empty() { "no worker".to_owned() } else { workers.join("\n") }
}

/// A worker in a line, and its queues in one each.
fn worker(worker: &Value) -> String {
    let simple =
        pairs(worker).filter(|(name, value)| *name != "worker" && !value.is_object() && !is_list(value));
    let simple: Vec<_> =
        simple.filter(|(_, value)| !value.is_null()).map(|(name, value)| fact(name, value)).collect();
    let mut out = format!("worker {}: {}", text(&worker["worker"]), simple.join(", "));
    for (name, inner) in pairs(worker) {
        if inner.is_object() {
            let facts: Vec<_> = pairs(inner).map(|(name, value)| fact(name, value)).collect();
            out += &format!("\n  {}: {}", name.replace('_', " "), facts.join(", "));
        }
        for item in list(inner).filter(|item| item.is_object()) {
            let facts: Vec<_> = pairs(item).map(|(name, value)| fact(name, value)).collect();
            out += &format!("\n  {}", facts.join(", "));
        }
    }
    out
}

fn is_list(value: &Value) -> bool {
    list(value).any(Value::is_object)
}

fn fact(name: &str, value: &Value) -> String {
    let name = name.replace('_', " ");
    match value.as_f64() {
        Some(number) if value.is_f64() => format!("{name} {number:.3}"),
        _ => format!("{name} {}", text(value)),
    }
}

pub(crate) fn rebalance(_: &Args, answer: &Value) -> String {
    let moved = |queue: &Value| {
        let [port, number, from, to] = ["port", "queue", "from", "to"].map(|field| text(&queue[field]));
        format!("port {port} queue {number}: worker {from} to {to}")
    };
    let mut lines: Vec<_> = list(&answer["moves"]).map(moved).collect();
    lines.push(text(&answer["reason"]));
    if answer["applied"] == false && lines.len() > 1 {
        lines.push("nothing was moved".to_owned());
    }
    lines.join("\n")
}

const POOLS: [Column; 4] =
    [("pool", "name"), ("mbufs", "mbufs"), ("in use", "in_use"), ("octets of data each", "data_octets")];

pub(crate) fn pools(_: &Args, answer: &Value) -> String {
    listing(&answer["pools"], &POOLS, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn moves_and_workers_are_lines() {
        let moves = json!({ "moves": [{ "port": "a", "queue": 1, "from": 0, "to": 1 }], "reason": "uneven",
                            "applied": false });
        assert_eq!(
            rebalance(&Args::default(), &moves),
            "port a queue 1: worker 0 to 1\nuneven\nnothing was moved"
        );
        let answer =
            json!({ "workers": [{ "worker": 0, "cpu": 2, "load": 0.25, "queues": [{ "port": "a" }] }] });
        assert_eq!(workers(&Args::default(), &answer), "worker 0: cpu 2, load 0.250\n  port a");
    }
}
