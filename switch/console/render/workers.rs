//! How workers and memory read.

use serde_json::Value;

use super::{Column, find, list, listing, text};
use crate::console::grammar::Args;
use crate::text::table;

const WORKERS: [&str; 9] =
    ["worker", "CPU", "NUMA socket", "load", "frames", "frames a burst", "empty rounds", "rest", ""];

const QUEUES: [&str; 7] = ["worker", "port", "queue", "frames", "bursts", "of its work", "waiting"];

pub(crate) fn workers(_: &Args, answer: &Value) -> String {
    let workers = &answer["workers"];
    let rows = list(workers).map(|worker| {
        let [number, cpu, socket, frames] =
            ["worker", "cpu", "socket", "frames"].map(|field| text(&worker[field]));
        let idle = share(worker["idle_rounds"].as_f64(), worker["rounds"].as_f64());
        let burst =
            worker["frames_per_burst"].as_f64().map_or("-".to_owned(), |frames| format!("{frames:.1}"));
        let rest = text(find(worker, "rest.mode"));
        vec![number, cpu, socket, percent(&worker["load"]), frames, burst, idle, rest, stuck(worker)]
    });
    let mut queues = Vec::new();
    for worker in list(workers) {
        for queue in list(&worker["queues"]) {
            let [port, number, frames, bursts] =
                ["port", "queue", "frames", "bursts"].map(|field| text(&queue[field]));
            let (work, waiting) = (percent(&queue["share"]), text(&queue["fill"]));
            queues.push(vec![text(&worker["worker"]), port, number, frames, bursts, work, waiting]);
        }
    }
    let workers = table(&WORKERS, rows, 3);
    if queues.is_empty() {
        workers.to_string()
    } else {
        format!("{workers}\n\n{}", table(&QUEUES, queues, 2))
    }
}

fn percent(part: &Value) -> String {
    part.as_f64().map_or("-".to_owned(), |part| format!("{:.1} %", part * 100.0))
}

fn share(part: Option<f64>, of: Option<f64>) -> String {
    match (part, of) {
        (Some(part), Some(of)) if of > 0.0 => format!("{:.1} %", part / of * 100.0),
        _ => "-".to_owned(),
    }
}

fn stuck(worker: &Value) -> String {
    match worker["stuck_seconds"].as_f64() {
        Some(seconds) if seconds >= 1.0 => format!("STUCK for {seconds:.1} s"),
        _ => String::new(),
    }
}

pub(crate) fn rebalance(_: &Args, answer: &Value) -> String {
    let moved = |queue: &Value| {
        let [port, number, from, to] = ["port", "queue", "from", "to"].map(|field| text(&queue[field]));
        format!("port {port} queue {number}: worker {from} to {to}")
    };
    let mut lines: Vec<_> = list(&answer["moves"]).map(moved).collect();
    let loads = |loads: &Value| list(loads).map(percent).collect::<Vec<_>>().join(", ");
    if !lines.is_empty() {
        lines.push(format!("loads {} become {}", loads(&answer["before"]), loads(&answer["after"])));
    }
    lines.push(text(&answer["reason"]));
    if answer["applied"] == false {
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
    fn moves_are_lines() {
        let moves = json!({ "moves": [{ "port": "a", "queue": 1, "from": 0, "to": 1 }], "reason": "uneven",
                            "before": [0.9, 0.1], "after": [0.5, 0.5], "applied": false });
        assert_eq!(
            rebalance(&Args::default(), &moves),
            "port a queue 1: worker 0 to 1\nloads 90.0 %, 10.0 % become 50.0 %, 50.0 %\nuneven\nnothing was moved"
        );
    }

    #[test]
    fn workers_tell_their_load_and_their_queues() {
        let queue = json!({ "port": "a", "queue": 0, "frames": 7, "share": 0.5, "fill": null });
        let answer = json!({ "workers": [{ "worker": 0, "cpu": 2, "load": 0.25, "rounds": 8, "idle_rounds": 6,
                                           "frames_per_burst": 31.5, "stuck_seconds": 2.0,
                                           "rest": { "mode": "poll" }, "queues": [queue] }] });
        let text = workers(&Args::default(), &answer);
        for part in ["25.0 %", "75.0 %", "31.5", "poll", "STUCK for 2.0 s", "50.0 %"] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }
}
