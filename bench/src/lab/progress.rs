//! How far a run is, and how long it still takes.

use std::time::{Duration, Instant};

use super::clock::left;
use super::plan::Plan;
use super::tests::Settings;

/// The time of tests after which the pace of a run is known.
const SOON: Duration = Duration::from_secs(30);

/// How far a run is.
pub(super) struct Progress {
    /// What the plan's tests are to take, and what those that are done were.
    tests: Duration,
    done: Duration,
    /// What a second of tests is to take, all around it included.
    pace: f64,
    count: usize,
    finished: usize,
    began: Instant,
}

impl Progress {
    pub(super) fn new(plan: &Plan, settings: &Settings) -> Self {
        let items = plan.beds.iter().flat_map(|bed| &bed.items);
        let tests: Duration = items.map(|item| item.takes(settings)).sum();
        Self {
            tests,
            done: Duration::ZERO,
            pace: plan.takes(settings).as_secs_f64() / tests.as_secs_f64().max(1e-9),
            count: plan.count(),
            finished: 0,
            began: Instant::now(),
        }
    }

    /// What came before doesn't count.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// A test is done that was to take so long.
    pub(super) fn done(&mut self, planned: Duration) {
        self.done += planned;
        self.finished += 1;
    }

    /// What is left, by the plan at first and then by the pace so far.
    fn left(&self, elapsed: Duration) -> Duration {
        let pace = match self.done > SOON {
            true => elapsed.as_secs_f64() / self.done.as_secs_f64(),
            false => self.pace,
        };
        self.tests.saturating_sub(self.done).mul_f64(pace)
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, finished, .. } = self;
        let percent = 100 * finished / (*count).max(1);
        let left = left(self.left(self.began.elapsed()));
        write!(f, "[{finished}/{count}, {percent} %, {left} left]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_pace() {
        let mut progress = Progress {
            tests: Duration::from_secs(1000),
            done: Duration::ZERO,
            pace: 1.5,
            count: 10,
            finished: 0,
            began: Instant::now(),
        };
        assert_eq!(progress.left(Duration::ZERO), Duration::from_secs(1500));
        progress.done(Duration::from_secs(100));
        assert_eq!(progress.left(Duration::from_secs(50)), Duration::from_secs(450));
        assert!(progress.to_string().starts_with("[1/10, 10 %, "));
    }
}
