//! What happens while the switch runs: for the log, and for whoever wants to be told.

use std::collections::BTreeMap;
use std::fmt;

use pollux_engine::fdb::FdbCounters;
use pollux_engine::{PortTotals, Reason};
use serde::Serialize;
use serde_json::{Value, json};

use super::{QueueMove, Switch};

/// Frames that a port drops for one reason in a second without being told.
const DROPS_UNTOLD: u64 = 1000;

/// Something that happened. `docs/control.md` has the events that clients of the control socket are told.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// A port's link came, went or changed.
    Link(LinkChange),
    /// A VM came or went.
    Vm {
        /// The name of its port.
        port: String,
        /// Whether it is there.
        up: bool,
    },
    /// Addresses came, went or moved, over the last second.
    Addresses {
        /// Addresses that weren't known.
        learned: u64,
        /// Addresses heard on another port than before.
        moved: u64,
        /// Addresses not heard for the ageing time.
        aged: u64,
        /// Addresses that made room for others.
        evicted: u64,
    },
    /// A port dropped more frames over the last second than goes without notice.
    Drops {
        /// The port's name.
        port: String,
        /// Why.
        reason: Reason,
        /// How many.
        frames: u64,
    },
    /// A worker has finished no round for as long as `switch.watchdog` says, or goes on after that.
    Worker {
        /// Its number.
        worker: u8,
        /// Its CPU.
        cpu: usize,
        /// Whether it stands still now.
        stuck: bool,
        /// For how long it has, or had.
        seconds: f64,
    },
    /// A device has taken no frame for as long as `switch.watchdog` says, though it has a link and was offered
    /// some.
    Reset {
        /// The port's name.
        port: String,
        /// What was found and done, in a sentence.
        why: String,
        /// Whether the port was stopped and started again.
        done: bool,
    },
    /// Receive queues went to other workers, to even their load.
    Rebalance {
        /// Which.
        moves: Vec<QueueMove>,
        /// Why, in a sentence.
        reason: String,
    },
    /// The configuration is another one, or was kept or saved.
    Config {
        /// What it took: `reload`, `edit`, `apply`, `confirm`, `rollback`, `save`, `reset`.
        by: &'static str,
        /// What changed, in a line.
        summary: String,
    },
}

/// A port's link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkChange {
    /// The port's name.
    pub port: String,
    /// Its link now.
    pub link: dpdk::Link,
}

/// A link, as the control socket tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LinkState {
    /// Whether frames can pass; on a vhost-user port, whether its VM is there.
    pub up: bool,
    /// Mbit/s, `None` if unknown.
    pub mbps: Option<u32>,
    /// Whether both directions work at once.
    pub full_duplex: bool,
    /// Whether speed and duplex were negotiated.
    pub autoneg: bool,
}

impl From<dpdk::Link> for LinkState {
    fn from(link: dpdk::Link) -> Self {
        let dpdk::Link { up, mbps, full_duplex, autoneg } = link;
        Self { up, mbps, full_duplex, autoneg }
    }
}

impl Happening {
    /// The kinds that there are.
    pub const KINDS: [&str; 8] =
        ["link", "vm", "addresses", "drops", "config", "worker", "rebalance", "reset"];

    /// What kind of event it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Link(_) => "link",
            Self::Vm { .. } => "vm",
            Self::Addresses { .. } => "addresses",
            Self::Drops { .. } => "drops",
            Self::Worker { .. } => "worker",
            Self::Reset { .. } => "reset",
            Self::Rebalance { .. } => "rebalance",
            Self::Config { .. } => "config",
        }
    }

    /// What an event tells of it.
    pub fn fields(&self) -> Value {
        match self {
            Self::Link(LinkChange { port, link }) => {
                json!({ "port": port, "up": link.up, "mbps": link.mbps })
            }
            Self::Vm { port, up } => json!({ "port": port, "up": up }),
            Self::Addresses { learned, moved, aged, evicted } => {
                json!({ "learned": learned, "moved": moved, "aged": aged, "evicted": evicted })
            }
            Self::Drops { port, reason, frames } => {
                json!({ "port": port, "reason": reason.name(), "frames": frames })
            }
            Self::Worker { worker, cpu, stuck, seconds } => {
                json!({ "worker": worker, "cpu": cpu, "stuck": stuck, "seconds": seconds })
            }
            Self::Reset { port, why, done } => json!({ "port": port, "why": why, "done": done }),
            Self::Rebalance { moves, reason } => json!({ "moves": moves, "reason": reason }),
            Self::Config { by, summary } => json!({ "by": by, "summary": summary }),
        }
    }

    /// Writes it to the log: what somebody should look into as a warning, what goes on all the time for those
    /// alone who ask for it.
    pub fn log(&self) {
        match self {
            Self::Link(_) => tracing::info!(target: "ports", "{self}"),
            Self::Vm { .. } | Self::Addresses { .. } | Self::Drops { .. } => {
                tracing::debug!(target: "ports", "{self}");
            }
            Self::Reset { .. } => tracing::warn!(target: "ports", "{self}"),
            Self::Worker { stuck: false, .. } | Self::Rebalance { .. } => {
                tracing::info!(target: "workers", "{self}");
            }
            Self::Worker { stuck: true, .. } => tracing::warn!(target: "workers", "{self}"),
            Self::Config { .. } => tracing::info!(target: "config", "{self}"),
        }
    }
}

/// In a sentence, for people.
impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(LinkChange { port, link }) => write!(f, "port {port}: link {link}"),
            Self::Vm { port, up: true } => write!(f, "port {port}: the VM is there"),
            Self::Vm { port, up: false } => write!(f, "port {port}: the VM is gone"),
            Self::Addresses { learned, moved, aged, evicted } => {
                write!(f, "addresses: {learned} learned, {moved} moved, {aged} aged, {evicted} evicted")
            }
            Self::Drops { port, reason, frames } => {
                write!(f, "port {port}: {frames} frames dropped in a second: {reason}")
            }
            Self::Worker { worker, cpu, stuck: true, seconds } => write!(
                f,
                "worker {worker} has finished no round for {seconds:.1} s: see what else runs on CPU {cpu}"
            ),
            Self::Worker { worker, cpu, stuck: false, seconds } => {
                write!(f, "worker {worker} on CPU {cpu} goes on after {seconds:.1} s")
            }
            Self::Reset { port, why, .. } => write!(f, "port {port} {why}"),
            Self::Config { by, summary } => write!(f, "configuration, {by}: {summary}"),
            Self::Rebalance { moves, reason } => {
                write!(f, "rx queues moved to other workers: {}: {reason}", moves.len())
            }
        }
    }
}

/// What was counted when it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Counted {
    addresses: FdbCounters,
    drops: BTreeMap<String, PortTotals>,
}

impl Switch {
    /// What was counted since the last call, once a second.
    pub(super) fn count_happenings(&mut self) -> Vec<Happening> {
        let (addresses, totals) = (self.shared.fdb.counters(), self.totals());
        let mut happened: Vec<_> = since(&self.counted.addresses, &addresses).into_iter().collect();
        for (port, now) in &totals {
            if let Some(before) = self.counted.drops.get(port) {
                happened.extend(dropped(port, before, now));
            }
        }
        self.counted = Counted { addresses, drops: totals.into_iter().collect() };
        happened
    }
}

fn since(before: &FdbCounters, now: &FdbCounters) -> Option<Happening> {
    let learned = now.learned - before.learned;
    let moved = now.moved - before.moved;
    let aged = now.aged - before.aged;
    let evicted = now.evicted - before.evicted;
    let any = learned + moved + aged + evicted > 0;
    any.then_some(Happening::Addresses { learned, moved, aged, evicted })
}

fn dropped(port: &str, before: &PortTotals, now: &PortTotals) -> impl Iterator<Item = Happening> {
    now.drops_by_reason().filter_map(|(reason, drops)| {
        // A port that was replaced counts from nothing.
        let more = drops.checked_sub(before.drops[reason.index()]).filter(|&more| more > DROPS_UNTOLD)?;
        Some(Happening::Drops { port: port.to_owned(), reason, frames: more })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_told_in_words_and_in_fields() {
        let link = dpdk::Link { up: true, mbps: Some(10_000), full_duplex: true, autoneg: true };
        let change = Happening::Link(LinkChange { port: "a".to_owned(), link });
        assert_eq!(change.to_string(), "port a: link up at 10 Gbit/s");
        assert_eq!(change.fields(), json!({ "port": "a", "up": true, "mbps": 10_000 }));
        assert!(Happening::KINDS.contains(&change.kind()));
    }

    /// The rows of the contract's table of events: a kind, and what its row says.
    fn documented() -> Vec<(&'static str, &'static str)> {
        let (_, table) =
            include_str!("../../docs/control.md").split_once("| kind | fields |\n").expect("a table");
        let rows = table.lines().skip(1).map_while(|line| line.strip_prefix("| `")?.split_once("` | "));
        rows.collect()
    }

    #[test]
    fn the_contract_has_every_kind_with_its_fields() {
        let mut rows = documented();
        assert_eq!(rows.pop().expect("a row").0, "lost", "what the socket itself adds");
        let mut kinds: Vec<_> = rows.iter().map(|(kind, _)| *kind).collect();
        kinds.sort_unstable();
        let mut known = Happening::KINDS.to_vec();
        known.sort_unstable();
        assert_eq!(kinds, known);
        let port = || "a".to_owned();
        let link = dpdk::Link { up: true, mbps: None, full_duplex: true, autoneg: true };
        let one_of_each = [
            Happening::Link(LinkChange { port: port(), link }),
            Happening::Vm { port: port(), up: true },
            Happening::Addresses { learned: 1, moved: 1, aged: 1, evicted: 1 },
            Happening::Drops { port: port(), reason: Reason::Runt, frames: 1 },
            Happening::Worker { worker: 0, cpu: 0, stuck: true, seconds: 1.0 },
            Happening::Reset { port: port(), why: String::new(), done: true },
            Happening::Rebalance { moves: Vec::new(), reason: String::new() },
            Happening::Config { by: "edit", summary: String::new() },
        ];
        assert_eq!(one_of_each.len(), Happening::KINDS.len());
        for happening in one_of_each {
            let (_, row) = rows.iter().find(|(kind, _)| *kind == happening.kind()).expect("a row");
            let fields = happening.fields();
            for field in fields.as_object().unwrap().keys() {
                assert!(row.contains(&format!("`{field}`")), "{}: {field} is not in {row}", happening.kind());
            }
        }
    }

    #[test]
    fn many_drops_are_told_by_reason() {
        let mut before = PortTotals::default();
        before.drops[Reason::Runt.index()] = 7;
        let mut now = before;
        now.drops[Reason::Runt.index()] += DROPS_UNTOLD;
        assert_eq!(dropped("a", &before, &now).count(), 0);
        now.drops[Reason::TxFull.index()] += DROPS_UNTOLD + 1;
        let told =
            Happening::Drops { port: "a".to_owned(), reason: Reason::TxFull, frames: DROPS_UNTOLD + 1 };
        assert_eq!(dropped("a", &before, &now).collect::<Vec<_>>(), [told]);
        assert_eq!(dropped("a", &now, &PortTotals::default()).count(), 0, "begun anew");
    }

    #[test]
    fn addresses_are_told_when_something_changed() {
        let before = FdbCounters { learned: 3, ..FdbCounters::default() };
        assert_eq!(since(&before, &before), None);
        let now = FdbCounters { learned: 5, aged: 1, ..before };
        let told = Happening::Addresses { learned: 2, moved: 0, aged: 1, evicted: 0 };
        assert_eq!(since(&before, &now), Some(told));
    }
}
