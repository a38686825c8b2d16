//! Whether the two CPUs are near each other: what a hypervisor changes from time to time.

use std::time::{Duration, Instant};

use super::interrupt;
use crate::Result;
use crate::distance::Distance;

/// How long to look for the shortest distance there is, at first.
const FIRST_LOOK: Duration = Duration::from_secs(6);

/// How long anybody would wait for it to come again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(60);

/// The line between near and far, drawn by the shortest round trip so far.
pub(crate) struct Near {
    distance: Distance,
    shortest: u64,
    /// What counts as the shortest at least, since a shorter one was waited for in vain.
    settled: u64,
}

impl Near {
    /// Looks how near another CPU is to the one that this thread runs on.
    pub(crate) fn find(worker: usize) -> Result<Self> {
        let mut near = Self { distance: Distance::to(worker)?, shortest: u64::MAX, settled: 0 };
        let end = Instant::now() + FIRST_LOOK;
        while Instant::now() < end {
            near.look()?;
        }
        Ok(near)
    }

    /// Cycles up to which a round trip is near: half as much again as the shortest.
    pub(crate) fn limit(&self) -> u64 {
        self.shortest.saturating_add(self.shortest / 2)
    }

    /// Waits for the CPUs to be near. Where they haven't been for so long, the shortest distance since is what
    /// near means from now on: what comes too seldom is no measure.
    pub(crate) fn wait(&mut self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        let mut shortest = u64::MAX;
        loop {
            let round_trip = self.look()?;
            shortest = shortest.min(round_trip);
            if round_trip <= self.limit() {
                return Ok(());
            }
            if Instant::now() >= end {
                self.settled = shortest;
                self.shortest = shortest;
                return Ok(());
            }
        }
    }

    /// Takes note of a round trip that was seen elsewhere.
    pub(crate) fn note(&mut self, round_trip: Option<u64>) {
        self.shortest = self.shortest.min(round_trip.unwrap_or(u64::MAX)).max(self.settled);
    }

    fn look(&mut self) -> Result<u64> {
        interrupt::sleep(PAUSE)?;
        let round_trip = self.distance.measure();
        self.note(round_trip);
        Ok(round_trip.unwrap_or(u64::MAX))
    }
}
