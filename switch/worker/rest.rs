//! What a worker does that finds nothing: it polls on, or rests for a while that grows. There is no system
//! call before it has found nothing for long enough.

use std::time::Duration;

use pollux_config::RestMode;

use super::DpdkPlatform;

/// The first sleep after work. Each that finds nothing is followed by one twice as long.
const FIRST_SLEEP: Duration = Duration::from_micros(1);

/// How one worker rests: what the file says, as far as its devices can.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RestPlan {
    /// Whether and how.
    pub(crate) mode: RestMode,
    /// Cycles for which it must have found nothing before.
    pub(crate) after: u64,
    /// The longest sleep.
    pub(crate) sleep: Duration,
    /// The longest wait for interrupts.
    pub(crate) timeout: Duration,
}

impl RestPlan {
    /// No rest at all.
    pub(crate) const NEVER: Self =
        Self { mode: RestMode::Never, after: u64::MAX, sleep: Duration::ZERO, timeout: Duration::ZERO };
}

/// A worker's rest.
pub(super) struct Rest {
    plan: RestPlan,
    /// When it last had something to do.
    busy_at: u64,
    next: Duration,
}

impl Rest {
    pub(super) fn new() -> Self {
        Self { plan: RestPlan::NEVER, busy_at: 0, next: FIRST_SLEEP }
    }

    pub(super) fn follow(&mut self, plan: RestPlan) {
        self.plan = plan;
    }

    /// Takes note of a round that ended `now`. Returns whether it is time to rest.
    #[inline(always)]
    pub(super) fn is_due(&mut self, busy: bool, now: u64) -> bool {
        if busy {
            self.busy_at = now;
            self.next = FIRST_SLEEP;
            return false;
        }
        now.saturating_sub(self.busy_at) >= self.plan.after
    }

    /// Rests once. Returns whether an interrupt ended it.
    #[cold]
    pub(super) fn rest(&mut self, platform: &mut DpdkPlatform) -> bool {
        let next = self.next;
        self.next = (next * 2).min(self.plan.sleep);
        if self.plan.mode == RestMode::Interrupt
            && next >= self.plan.sleep
            && let Some(interrupted) = platform.await_interrupt(self.plan.timeout)
        {
            return interrupted;
        }
        std::thread::sleep(next.min(self.plan.sleep));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_rests_after_it_found_nothing_for_long_enough() {
        let mut rest = Rest::new();
        assert!(!rest.is_due(false, u64::MAX - 1), "it never does unless told");
        let sleep = Duration::from_micros(50);
        rest.follow(RestPlan { mode: RestMode::Sleep, after: 100, sleep, timeout: Duration::ZERO });
        assert!(!rest.is_due(true, 1_000));
        assert!(!rest.is_due(false, 1_099));
        assert!(rest.is_due(false, 1_100));
        assert!(!rest.is_due(true, 1_101));
        assert!(!rest.is_due(false, 1_200));
    }
}
