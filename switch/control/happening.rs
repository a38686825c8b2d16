//! What happens while the switch runs: for the log, and for whoever wants to be told.

use std::collections::BTreeMap;
use std::fmt;

use pollux_engine::PortTotals;
use pollux_engine::fdb::FdbCounters;
use serde::Serialize;

use super::Switch;

/// Frames that a port drops in a second before it is told.
const DROPS_TO_TELL: u64 = 100;

/// Something that happened. As JSON it has its name as `kind`, and the fields beside it; these don't change
/// between releases.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// A port's link came, went or changed; on a vhost-user port, its VM.
    Link(LinkChange),
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
        /// How many.
        frames: u64,
        /// The same by reason.
        reasons: BTreeMap<String, u64>,
    },
    /// A worker has finished no round for as long as `watchdog` says.
    WorkerStuck {
        /// Its number.
        worker: u8,
        /// Its CPU.
        cpu: usize,
        /// For how long.
        seconds: f64,
    },
    /// A worker that was stuck goes on.
    WorkerRecovered {
        /// Its number.
        worker: u8,
        /// Its CPU.
        cpu: usize,
        /// How long it was stuck.
        seconds: f64,
    },
    /// A port whose device took no frame any more was stopped and started again.
    PortReset {
        /// The port's name.
        port: String,
        /// For how long it had taken none.
        seconds: f64,
        /// Why it didn't start again, or only in part. `None`: it did.
        error: Option<String>,
        /// The earliest that it can be reset again, in seconds from now.
        again_after: f64,
    },
    /// Receive queues went to other workers, to even their load.
    Rebalanced {
        /// How many queues.
        moves: usize,
        /// Why, in a sentence.
        reason: String,
    },
    /// The configuration is another one, or was kept or saved.
    ConfigChanged {
        /// What it took: `reload`, `edit`, `apply`, `confirm`, `rollback`, `save`, `reset`.
        by: &'static str,
        /// What changed, in a line.
        summary: String,
    },
}

/// A port's link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkChange {
    /// The port's name.
    pub port: String,
    /// Its link now.
    #[serde(flatten, serialize_with = "link")]
    pub link: dpdk::Link,
}

fn link<S: serde::Serializer>(link: &dpdk::Link, serializer: S) -> Result<S::Ok, S::Error> {
    LinkState::from(*link).serialize(serializer)
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
    /// Writes it to the log: what somebody should look into as a warning, what goes on all the time for those
    /// alone who ask for it.
    pub fn log(&self) {
        match self {
            Self::Addresses { .. } | Self::Drops { .. } => tracing::debug!("{self}"),
            Self::WorkerStuck { .. } | Self::PortReset { error: None, .. } => tracing::warn!("{self}"),
            Self::PortReset { error: Some(_), .. } => tracing::error!("{self}"),
            Self::Link(_)
            | Self::WorkerRecovered { .. }
            | Self::Rebalanced { .. }
            | Self::ConfigChanged { .. } => {
                tracing::info!("{self}")
            }
        }
    }

    /// The names that things that happen have as JSON.
    pub const KINDS: [&str; 8] = [
        "link",
        "addresses",
        "drops",
        "worker_stuck",
        "worker_recovered",
        "port_reset",
        "rebalanced",
        "config_changed",
    ];
}

/// In a sentence, for people.
impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(LinkChange { port, link }) => write!(f, "port {port}: link {link}"),
            Self::Addresses { learned, moved, aged, evicted } => {
                write!(f, "addresses: {learned} learned, {moved} moved, {aged} aged, {evicted} evicted")
            }
            Self::Drops { port, frames, reasons } => {
                let reasons: Vec<_> = reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
                write!(f, "port {port}: {frames} frames dropped in a second: {}", reasons.join(", "))
            }
            Self::WorkerStuck { worker, cpu, seconds } => write!(
                f,
                "worker {worker} has finished no round for {seconds:.1} s: see what else runs on CPU {cpu}"
            ),
            Self::WorkerRecovered { worker, cpu, seconds } => {
                write!(f, "worker {worker} on CPU {cpu} goes on after {seconds:.1} s")
            }
            Self::PortReset { port, seconds, error: None, again_after } => write!(
                f,
                "port {port} took no frame for {seconds:.1} s and was reset; not again for {again_after:.0} s"
            ),
            Self::PortReset { port, seconds, error: Some(error), .. } => {
                write!(f, "port {port} took no frame for {seconds:.1} s, and its reset failed: {error}")
            }
            Self::Rebalanced { moves, reason } => write!(f, "{moves} rx queues moved: {reason}"),
            Self::ConfigChanged { by, summary } => write!(f, "configuration, {by}: {summary}"),
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
        let drops = &self.counted.drops;
        happened.extend(totals.iter().filter_map(|(port, now)| dropped(port, drops.get(port)?, now)));
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

fn dropped(port: &str, before: &PortTotals, now: &PortTotals) -> Option<Happening> {
    // A port that was replaced counts from nothing.
    let frames = now.dropped().checked_sub(before.dropped()).filter(|&frames| frames >= DROPS_TO_TELL)?;
    let by_reason = now.drops_by_reason().filter_map(|(reason, drops)| {
        let more = drops.checked_sub(before.drops[reason.index()]).filter(|&more| more > 0)?;
        Some((reason.to_string(), more))
    });
    Some(Happening::Drops { port: port.to_owned(), frames, reasons: by_reason.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollux_engine::Reason;
    use serde_json::json;

    #[test]
    fn what_happened_is_json_with_a_name() {
        let link = dpdk::Link { up: true, mbps: Some(10_000), full_duplex: true, autoneg: true };
        let change = Happening::Link(LinkChange { port: "a".to_owned(), link });
        assert_eq!(change.to_string(), "port a: link up at 10 Gbit/s");
        let fields = json!({ "kind": "link", "port": "a", "up": true, "mbps": 10_000, "full_duplex": true,
                             "autoneg": true });
        assert_eq!(serde_json::to_value(&change).unwrap(), fields);
        let stuck = Happening::WorkerStuck { worker: 1, cpu: 3, seconds: 1.5 };
        let fields = json!({ "kind": "worker_stuck", "worker": 1, "cpu": 3, "seconds": 1.5 });
        assert_eq!(serde_json::to_value(&stuck).unwrap(), fields);
        let changed = Happening::ConfigChanged { by: "edit", summary: "attached a".to_owned() };
        for happened in [change, stuck, changed] {
            let json = serde_json::to_value(&happened).unwrap();
            assert!(Happening::KINDS.iter().any(|kind| json["kind"] == *kind), "{json}");
        }
    }

    #[test]
    fn many_drops_are_told_with_their_reasons() {
        let mut before = PortTotals::default();
        before.drops[Reason::Runt.index()] = 7;
        let mut now = before;
        now.drops[Reason::Runt.index()] += DROPS_TO_TELL - 1;
        assert_eq!(dropped("a", &before, &now), None);
        now.drops[Reason::TxFull.index()] += 1;
        let reasons = [("runt".to_owned(), DROPS_TO_TELL - 1), ("tx_full".to_owned(), 1)];
        let told = Happening::Drops { port: "a".to_owned(), frames: DROPS_TO_TELL, reasons: reasons.into() };
        assert_eq!(dropped("a", &before, &now), Some(told));
        assert_eq!(dropped("a", &now, &PortTotals::default()), None, "begun anew");
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
