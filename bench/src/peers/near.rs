//! Whether the two CPUs are near each other: what a hypervisor changes from time to time.

use std::time::{Duration, Instant};

use super::scene::Cpus;
use crate::Result;
use crate::distance::Distance;
use crate::host::interrupt;

/// How long to look for the shortest distance there is, at first.
const FIRST_LOOK: Duration = Duration::from_secs(6);

/// How long to wait for it to come again.
const PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(60);

/// The line between near and far, drawn by the shortest round trip so far.
pub(super) struct Near {
    distance: Distance,
    shortest: u64,
    /// What counts as the shortest at least, since a shorter one was waited for in vain.
    settled: u64,
}

impl Near {
    pub(super) fn find(cpus: Cpus) -> Result<Self> {
        let mut near = Self { distance: Distance::to(cpus.worker)?, shortest: u64::MAX, settled: 0 };
        let end = Instant::now() + FIRST_LOOK;
        while Instant::now() < end {
            near.look()?;
        }
        Ok(near)
    }

    /// Cycles up to which a round trip is near: half as much again as the shortest.
    pub(super) fn limit(&self) -> u64 {
        self.shortest.saturating_add(self.shortest / 2)
    }

    /// Waits for the CPUs to be near. Where they haven't been for as long as anybody would wait, the
    /// shortest distance since is what near means from now on: what comes too seldom is no measure.
    pub(super) fn wait(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
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
    pub(super) fn note(&mut self, round_trip: Option<u64>) {
        self.shortest = self.shortest.min(round_trip.unwrap_or(u64::MAX)).max(self.settled);
    }

    fn look(&mut self) -> Result<u64> {
        interrupt::sleep(PAUSE)?;
        let round_trip = self.distance.measure();
        self.note(round_trip);
        Ok(round_trip.unwrap_or(u64::MAX))
    }
}
