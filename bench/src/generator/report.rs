//! Figures of the load.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::front_end::FrontEnd;
use crate::virtio_user::BURST;

/// What the load sent and received; of each pair of numbers, one for each direction or side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// How long it took.
    pub(crate) seconds: f64,
    /// How much of that it had its CPU.
    pub(crate) cpu_seconds: f64,
    /// Frames that the switch took, by the side that sent them.
    pub(crate) sent: [u64; 2],
    /// Frames that came, by the side that they came to.
    pub(crate) received: [u64; 2],
    /// Frames sent that have not come, or not yet.
    pub(crate) missing: u64,
    /// Frames in a burst received, where there were any: large ones mean that the load is behind.
    pub(crate) mean_rx_burst: f64,
    /// The share of bursts sent of which the switch's ring had no room for all: near 1 means that the
    /// switch is behind, near 0 that the load is.
    pub(crate) blocked_share: f64,
    /// What should not be.
    pub(crate) faults: Faults,
    /// The pieces that it was measured in, where the distance to the switch was to be known.
    pub(crate) slices: Vec<Slice>,
    /// Looks for frames, those that found none, and bursts that were held up.
    pub(crate) polls: u64,
    pub(crate) empty_polls: u64,
    pub(crate) blocked: u64,
}

/// A piece of a window, short enough for the distance to be one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slice {
    /// Cycles that a cache line took to the switch's CPU and back: the longer of before and after.
    pub(crate) round_trip: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// The share of that for which the load had its CPU.
    pub(crate) cpu_share: f64,
    /// Frames that came, both directions.
    pub(crate) received: u64,
}

/// What a switch must never do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// Frames that came after a later one of their stream.
    pub(crate) reordered: u64,
    /// Frames that came again.
    pub(crate) duplicated: u64,
    /// Frames that nobody sent, or to another side.
    pub(crate) strange: u64,
}

impl Faults {
    pub(crate) fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    fn plus(self, other: Self) -> Self {
        Self {
            reordered: self.reordered + other.reordered,
            duplicated: self.duplicated + other.duplicated,
            strange: self.strange + other.strange,
        }
    }
}

impl Report {
    /// Everything since the start.
    pub(super) fn of(sides: &[FrontEnd; 2]) -> Self {
        let [left, right] = sides;
        let sum = |field: fn(&FrontEnd) -> u64| field(left) + field(right);
        let sent = [left.counts.sent, right.counts.sent];
        Self {
            sent,
            received: [left.counts.received, right.counts.received],
            missing: (sent[0] + sent[1]).saturating_sub(sum(|side| side.check.unique)),
            faults: left.check.faults.plus(right.check.faults),
            polls: sum(|side| side.counts.polls),
            empty_polls: sum(|side| side.counts.empty_polls),
            blocked: sum(|side| side.counts.blocked),
            ..Self::default()
        }
    }

    /// What came to this since `before`. Faults and what is missing count from the start.
    pub(super) fn since(self, before: &Self, time: Duration, cpu_time: Duration) -> Self {
        let less = |now: [u64; 2], then: [u64; 2]| [now[0] - then[0], now[1] - then[1]];
        Self {
            seconds: time.as_secs_f64(),
            cpu_seconds: cpu_time.as_secs_f64(),
            sent: less(self.sent, before.sent),
            received: less(self.received, before.received),
            polls: self.polls - before.polls,
            empty_polls: self.empty_polls - before.empty_polls,
            blocked: self.blocked - before.blocked,
            ..self
        }
        .with_ratios()
    }

    /// Adds what came after this.
    pub(super) fn and_then(mut self, later: Self) -> Self {
        let plus = |a: [u64; 2], b: [u64; 2]| [a[0] + b[0], a[1] + b[1]];
        self.slices.extend(later.slices);
        Self {
            seconds: self.seconds + later.seconds,
            cpu_seconds: self.cpu_seconds + later.cpu_seconds,
            sent: plus(self.sent, later.sent),
            received: plus(self.received, later.received),
            polls: self.polls + later.polls,
            empty_polls: self.empty_polls + later.empty_polls,
            blocked: self.blocked + later.blocked,
            missing: later.missing,
            faults: later.faults,
            ..self
        }
        .with_ratios()
    }

    fn with_ratios(self) -> Self {
        let filled = (self.polls - self.empty_polls).max(1);
        Self {
            mean_rx_burst: (self.received[0] + self.received[1]) as f64 / filled as f64,
            // Each side offers a burst whenever it polls.
            blocked_share: self.blocked as f64 / self.polls.max(1) as f64,
            ..self
        }
    }

    /// As one piece of a window.
    pub(super) fn as_slice(&self, round_trip: u64) -> Slice {
        Slice {
            round_trip,
            seconds: self.seconds,
            cpu_share: self.cpu_seconds / self.seconds,
            received: self.received.iter().sum(),
        }
    }

    /// The figures of a window, with the last word on what came out of the whole run.
    pub(crate) fn with_the_end_of(self, whole: &Self) -> Self {
        Self { missing: whole.missing, faults: whole.faults, ..self }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "load: bursts of {:.1} of {BURST}, {:.0} % held up, {} lost",
            self.mean_rx_burst,
            100.0 * self.blocked_share,
            self.missing
        )?;
        match self.faults.is_clean() {
            true => Ok(()),
            false => write!(f, ", {}", self.faults),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reordered, duplicated, strange } = self;
        write!(f, "{reordered} reordered, {duplicated} duplicated, {strange} strange")
    }
}
