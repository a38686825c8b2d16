//! How workers and receive queues spend the time: counters that the worker writes with plain stores and
//! anybody reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::datapath::BURST;
use crate::stats::bump;

/// Sizes of bursts that are counted apart: 1, 2 to 3, 4 to 7, and so on to a full one.
pub const BURST_SIZES: usize = BURST.ilog2() as usize + 1;

/// The fewest frames of a burst that is counted at `place`.
pub const fn least_of_size(place: usize) -> usize {
    1 << place
}

/// What one worker did, on cache lines of its own. Cycles are those of the time stamp counter.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct WorkCounters {
    rounds: AtomicU64,
    idle_rounds: AtomicU64,
    busy_cycles: AtomicU64,
    idle_cycles: AtomicU64,
    asleep_cycles: AtomicU64,
    sleeps: AtomicU64,
    interrupts: AtomicU64,
    bursts: [AtomicU64; BURST_SIZES],
}

/// What one worker did since the switch started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// Rounds over all its receive queues.
    pub rounds: u64,
    /// Rounds in which there was nothing to do.
    pub idle_rounds: u64,
    /// Cycles of rounds in which there was something to do.
    pub busy_cycles: u64,
    /// Cycles of rounds in which there was nothing.
    pub idle_cycles: u64,
    /// Cycles for which it slept.
    pub asleep_cycles: u64,
    /// How often it went to sleep.
    pub sleeps: u64,
    /// How often an interrupt woke it.
    pub interrupts: u64,
    /// Bursts by their size, see [`least_of_size`].
    pub bursts: [u64; BURST_SIZES],
}

impl WorkCounters {
    /// A burst of so many frames came, at least one.
    #[inline(always)]
    pub(crate) fn count_burst(&self, frames: usize) {
        let place = frames.ilog2() as usize;
        bump(&self.bursts[place.min(BURST_SIZES - 1)], 1);
    }

    /// A round is over. Only the worker calls it, as it does all that count.
    #[inline(always)]
    pub fn count_round(&self, busy: bool, cycles: u64) {
        bump(&self.rounds, 1);
        if busy {
            bump(&self.busy_cycles, cycles);
        } else {
            bump(&self.idle_rounds, 1);
            bump(&self.idle_cycles, cycles);
        }
    }

    /// A sleep is over.
    pub fn count_sleep(&self, interrupted: bool, cycles: u64) {
        bump(&self.sleeps, 1);
        bump(&self.interrupts, interrupted.into());
        bump(&self.asleep_cycles, cycles);
    }

    /// What was counted so far.
    pub fn totals(&self) -> Work {
        Work {
            rounds: self.rounds.load(Relaxed),
            idle_rounds: self.idle_rounds.load(Relaxed),
            busy_cycles: self.busy_cycles.load(Relaxed),
            idle_cycles: self.idle_cycles.load(Relaxed),
            asleep_cycles: self.asleep_cycles.load(Relaxed),
            sleeps: self.sleeps.load(Relaxed),
            interrupts: self.interrupts.load(Relaxed),
            bursts: self.bursts.each_ref().map(|count| count.load(Relaxed)),
        }
    }
}

/// What one receive queue brought, on a cache line of its own. Whoever polls the queue writes.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct QueueCounters {
    frames: AtomicU64,
    bursts: AtomicU64,
    cycles: AtomicU64,
    /// One more than was counted; 0: it wasn't.
    fill: AtomicU64,
}

/// What one receive queue brought since its port started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueWork {
    /// Frames.
    pub frames: u64,
    /// Bursts that had a frame.
    pub bursts: u64,
    /// Cycles from receiving its frames to having them in the outboxes, reckoned from some of the rounds. What it
    /// takes to hand them to the devices is the worker's alone.
    pub cycles: u64,
}

impl QueueCounters {
    /// A burst went through.
    #[inline(always)]
    pub fn count(&self, frames: u64) {
        bump(&self.frames, frames);
        bump(&self.bursts, 1);
    }

    /// Bursts took so many cycles, as reckoned from some of them.
    #[inline(always)]
    pub fn count_cycles(&self, cycles: u64) {
        bump(&self.cycles, cycles);
    }

    /// So many descriptors of it hold frames, if that is known.
    pub fn set_fill(&self, descriptors: Option<u32>) {
        self.fill.store(descriptors.map_or(0, |descriptors| u64::from(descriptors) + 1), Relaxed);
    }

    /// How many descriptors held frames when they were last counted.
    pub fn fill(&self) -> Option<u32> {
        self.fill.load(Relaxed).checked_sub(1).map(|descriptors| descriptors as u32)
    }

    /// What was counted so far.
    pub fn totals(&self) -> QueueWork {
        QueueWork {
            frames: self.frames.load(Relaxed),
            bursts: self.bursts.load(Relaxed),
            cycles: self.cycles.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_counted_by_powers_of_two() {
        let counters = WorkCounters::default();
        for frames in [1, 2, 3, 4, 31, BURST] {
            counters.count_burst(frames);
        }
        let mut expected = [0; BURST_SIZES];
        for frames in [1_usize, 2, 3, 4, 31, BURST] {
            let place = (0..BURST_SIZES).rfind(|&place| least_of_size(place) <= frames).unwrap();
            expected[place] += 1;
        }
        assert_eq!(counters.totals().bursts, expected);
        assert_eq!(expected[BURST_SIZES - 1], 1, "a full burst is counted apart");
    }

    #[test]
    fn time_is_busy_idle_or_asleep() {
        let counters = WorkCounters::default();
        counters.count_round(true, 5);
        counters.count_round(false, 7);
        counters.count_sleep(true, 11);
        counters.count_sleep(false, 13);
        let work = counters.totals();
        assert_eq!((work.rounds, work.idle_rounds), (2, 1));
        assert_eq!((work.busy_cycles, work.idle_cycles, work.asleep_cycles), (5, 7, 24));
        assert_eq!((work.sleeps, work.interrupts), (2, 1));
    }
}
