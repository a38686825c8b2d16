//! How workers share the work, what they do when there is none, and when somebody looks into it.

use std::time::Duration;

use crate::tree::{Node, Table};
use crate::{limits, units};

/// What a worker does that finds nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rest {
    /// Whether and how it rests.
    pub mode: RestMode,
    /// For how long it must have found nothing before.
    pub after: Duration,
    /// The longest sleep between two looks at its queues. The first ones are shorter.
    pub sleep: Duration,
    /// For how long it waits for interrupts before it looks after all.
    pub timeout: Duration,
}

/// How a worker rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RestMode {
    /// It doesn't: it polls, and its CPU is always busy.
    Never,
    /// It sleeps between two looks.
    Sleep,
    /// It sleeps until a device says that frames have come; where a device can't, as `Sleep`.
    Interrupt,
}

impl Default for Rest {
    fn default() -> Self {
        Self {
            mode: RestMode::Never,
            after: Duration::from_micros(100),
            sleep: Duration::from_micros(250),
            timeout: Duration::from_millis(10),
        }
    }
}

/// When receive queues go to other workers, to even the load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rebalance {
    /// Whether they do so by themselves.
    pub auto: bool,
    /// The time over which load is measured, and the least between two changes.
    pub interval: Duration,
    /// The part by which the busiest worker's load must fall for a change to be worth it.
    pub improvement: f64,
    /// The load of the busiest worker, 0 to 1, below which nothing is done.
    pub load: f64,
}

impl Default for Rebalance {
    fn default() -> Self {
        Self { auto: false, interval: Duration::from_secs(60), improvement: 0.25, load: 0.7 }
    }
}

/// When somebody looks into it that something stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watchdog {
    /// For how long a worker may finish no round before that is reported.
    pub worker: Duration,
    /// For how long a device with a link may take none of the frames that it is offered before that is
    /// reported.
    pub tx: Duration,
    /// Whether such a device is stopped and started again.
    pub reset: bool,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { worker: Duration::from_secs(2), tx: Duration::from_secs(5), reset: true }
    }
}

const REST_MODES: [(&str, RestMode); 3] =
    [("never", RestMode::Never), ("sleep", RestMode::Sleep), ("interrupt", RestMode::Interrupt)];

pub(crate) fn rest(node: &Node<'_>) -> Option<Rest> {
    if !node.is_table() {
        return Some(Rest { mode: node.choice(&REST_MODES)?, ..Rest::default() });
    }
    node.table(|table| {
        let default = Rest::default();
        let cure = "add how workers rest, as in `mode = \"sleep\"`";
        let mode = table.require("mode", cure, |node| node.choice(&REST_MODES));
        let time = |key, range, default| {
            table.get(key, |node| units::duration(node, range, "50us")).unwrap_or(default)
        };
        let after = time("after", &limits::REST_AFTER, default.after);
        let sleep = time("sleep", &limits::REST_SLEEP, default.sleep);
        let timeout = time("timeout", &limits::REST_TIMEOUT, default.timeout);
        if mode == Some(RestMode::Never) {
            let keys = ["after", "sleep", "timeout"];
            table.refuse_keys(&keys, "has no meaning with `mode = \"never\"`", "remove it");
        }
        if mode == Some(RestMode::Sleep) {
            let what = "has no meaning with `mode = \"sleep\"`: nothing is waited for";
            table.refuse_keys(&["timeout"], what, "remove it, or write `mode = \"interrupt\"`");
        }
        Some(Rest { mode: mode?, after, sleep, timeout })
    })
}

pub(crate) fn rebalance(node: &Node<'_>) -> Option<Rebalance> {
    node.table(|table| {
        let default = Rebalance::default();
        let interval = |node: &Node<'_>| units::duration(node, &limits::REBALANCE_INTERVAL, "60s");
        Some(Rebalance {
            auto: table.get("auto", Node::boolean).unwrap_or(default.auto),
            interval: table.get("interval", interval).unwrap_or(default.interval),
            improvement: part(table, "improvement").unwrap_or(default.improvement),
            load: part(table, "load").unwrap_or(default.load),
        })
    })
}

/// A part of the whole.
fn part(table: &Table<'_>, key: &'static str) -> Option<f64> {
    table.get(key, |node| {
        let (low, high) = limits::LOAD_PART;
        let cure = format!("write a number from {low} to {high}");
        let part = node.fraction(&cure)?;
        if (low..=high).contains(&part) {
            Some(part)
        } else {
            node.refuse(format!("`{}` is out of range", node.path()), cure)
        }
    })
}

pub(crate) fn watchdog(node: &Node<'_>) -> Option<Watchdog> {
    let time = |node: &Node<'_>| units::duration(node, &limits::WATCHDOG, "2s");
    if !node.is_table() {
        return Some(Watchdog { worker: time(node)?, ..Watchdog::default() });
    }
    node.table(|table| {
        let default = Watchdog::default();
        Some(Watchdog {
            worker: table.get("worker", time).unwrap_or(default.worker),
            tx: table.get("tx", time).unwrap_or(default.tx),
            reset: table.get("reset", Node::boolean).unwrap_or(default.reset),
        })
    })
}
