//! Figures of the load.

use std::fmt;
use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::front_end::{BURST, FrontEnd};
use crate::{BenchError, Result};

/// What the load sent and received; of each pair of numbers, one for each direction or side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    polls: u64,
    empty_polls: u64,
    blocked: u64,
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
        let received = less(self.received, before.received);
        let polls = self.polls - before.polls;
        let empty_polls = self.empty_polls - before.empty_polls;
        let blocked = self.blocked - before.blocked;
        Self {
            seconds: time.as_secs_f64(),
            cpu_seconds: cpu_time.as_secs_f64(),
            sent: less(self.sent, before.sent),
            received,
            mean_rx_burst: (received[0] + received[1]) as f64 / (polls - empty_polls).max(1) as f64,
            // Each side offers a burst whenever it polls.
            blocked_share: blocked as f64 / polls.max(1) as f64,
            polls,
            empty_polls,
            blocked,
            ..self
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

/// How long this thread has run.
pub(super) fn cpu_time() -> Result<Duration> {
    let path = "/proc/thread-self/schedstat";
    let text = fs::read_to_string(path).map_err(BenchError::file(path))?;
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
    Ok(Duration::from_nanos(nanoseconds.unwrap_or(0)))
}
