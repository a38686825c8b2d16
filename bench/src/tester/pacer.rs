//! When a stream's frames are to be sent: each at its own moment of the time stamp counter.

/// Seconds that a stream may be behind and make up for.
pub(super) const CATCH_UP: f64 = 0.01;

/// Frames that a stream may be behind however slow it is.
const AT_LEAST: f64 = 2.0;

/// The moments of a stream's frames.
#[derive(Clone, Debug)]
pub(super) struct Pacer {
    /// Infinite for a stream that sends as much as is taken.
    frames_per_cycle: f64,
    /// The moment of the first frame, and the one from which there are no more.
    start: u64,
    end: u64,
    /// Frames at most.
    limit: u64,
    /// Frames that are past: sent, or too late to be.
    past: u64,
    /// The moment of the next.
    next: u64,
    /// Frames that it may be behind.
    most: u64,
    /// Frames that it may be behind by the sender's own fault.
    held: f64,
    /// Frames that weren't sent by the sender's own fault.
    given_up: u64,
}

impl Pacer {
    /// Frames a second, or `None` for as many as are taken. There is nothing to send before it starts.
    pub(super) fn new(rate: Option<f64>, tsc_hz: f64) -> Self {
        let most = rate.map_or(0.0, |rate| (rate * CATCH_UP).max(AT_LEAST));
        Self {
            frames_per_cycle: rate.map_or(f64::INFINITY, |rate| rate / tsc_hz),
            start: 0,
            end: 0,
            limit: 0,
            past: 0,
            next: u64::MAX,
            most: most as u64,
            held: 0.0,
            given_up: 0,
        }
    }

    fn has_rate(&self) -> bool {
        self.frames_per_cycle.is_finite()
    }

    /// Begins anew: frames from `start` on, the first after the share `phase` of the time between two; none at or
    /// after `end`, and at most `limit`.
    pub(super) fn start(&mut self, start: u64, end: u64, phase: f64, limit: u64) {
        let ahead = if self.has_rate() { (phase / self.frames_per_cycle) as u64 } else { 0 };
        (self.start, self.end, self.limit) = (start + ahead, end, limit);
        (self.past, self.held, self.given_up) = (0, 0.0, 0);
        self.next = self.start;
    }

    /// Frames whose moment has come by `now`.
    fn due(&self, now: u64) -> u64 {
        let last = now.min(self.end.saturating_sub(1));
        if last < self.start {
            return 0;
        }
        ((((last - self.start) as f64) * self.frames_per_cycle) as u64 + 1).min(self.limit)
    }

    /// How many frames to send now. Those that are too late are passed over.
    #[inline(always)]
    pub(super) fn ready(&mut self, now: u64) -> u64 {
        if now < self.next {
            self.held = 0.0;
            return 0;
        }
        if !self.has_rate() {
            return if now < self.end { self.limit - self.past } else { 0 };
        }
        let behind = self.due(now).saturating_sub(self.past);
        if behind > self.most {
            self.pass_over(behind - self.most);
        }
        behind.min(self.most)
    }

    #[cold]
    fn pass_over(&mut self, frames: u64) {
        let own = (self.held as u64).min(frames);
        self.held -= own as f64;
        self.given_up += own;
        self.past += frames;
    }

    /// So many frames, of those that were ready, are on their way.
    #[inline(always)]
    pub(super) fn take(&mut self, frames: u64) {
        self.past += frames;
        if self.has_rate() {
            self.next = self.start + (self.past as f64 / self.frames_per_cycle) as u64;
        }
    }

    /// The sender could do nothing for so many cycles.
    pub(super) fn held_up(&mut self, cycles: u64) {
        if self.has_rate() {
            self.held += cycles as f64 * self.frames_per_cycle;
        }
    }

    /// Whether there is nothing left to send.
    pub(super) fn is_done(&self) -> bool {
        self.past >= self.limit
    }

    /// Frames that it was time for until the end, but for those given up. `None` where there is no such time.
    pub(super) fn intended(&self) -> Option<u64> {
        self.has_rate().then(|| self.due(u64::MAX).saturating_sub(self.given_up))
    }

    pub(super) fn given_up(&self) -> u64 {
        self.given_up
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TSC_HZ: f64 = 2.6e9;
    const SECOND: u64 = 2_600_000_000;

    fn pacer(rate: f64) -> Pacer {
        let mut pacer = Pacer::new(Some(rate), TSC_HZ);
        pacer.start(1000, 1000 + SECOND, 0.0, u64::MAX);
        pacer
    }

    proptest! {
        #[test]
        fn the_rate_is_exact_however_often_it_is_looked(
            rate in prop_oneof![1.0..1e3, 1e3..1e6, 1e6..3e7], step in 100_u64..2_000_000, phase in 0.0..0.9_f64,
        ) {
            let mut pacer = Pacer::new(Some(rate), TSC_HZ);
            pacer.start(1000, 1000 + SECOND, phase, u64::MAX);
            let mut sent = 0;
            let mut now = 0;
            while now < 1000 + SECOND + step {
                let ready = pacer.ready(now);
                // Never before its time.
                prop_assert!(ready == 0 || (sent + ready - 1) as f64 / rate * TSC_HZ <= now as f64 - 999.0 + 1.0);
                pacer.take(ready);
                sent += ready;
                now += step;
            }
            let expected = (rate - phase).ceil() as u64;
            prop_assert!(sent.abs_diff(expected) <= 1, "{} of {}", sent, expected);
            prop_assert_eq!(pacer.intended(), Some(sent));
            prop_assert_eq!(pacer.given_up(), 0);
        }
    }

    #[test]
    fn what_nobody_took_is_intended_and_soon_too_late() {
        let mut pacer = pacer(1e6);
        assert_eq!(pacer.ready(1000 + SECOND / 2), 10_000, "ten milliseconds' worth");
        pacer.take(10_000);
        let rest: u64 = (1..=100)
            .map(|n| {
                let ready = pacer.ready(1000 + SECOND / 2 + n * SECOND / 200);
                pacer.take(ready);
                ready
            })
            .sum();
        assert_eq!(rest, 500_000 - 1);
        assert_eq!((pacer.intended(), pacer.given_up()), (Some(1_000_000), 0));
    }

    #[test]
    fn what_the_sender_missed_itself_is_given_up() {
        let mut pacer = pacer(1e6);
        assert_eq!(pacer.ready(999), 0);
        pacer.held_up(SECOND / 10);
        assert_eq!(pacer.ready(1000 + SECOND / 10), 10_000);
        assert_eq!((pacer.intended(), pacer.given_up()), (Some(1_000_000 - 90_001), 90_001));
        pacer.take(10_000);
        // It has caught up, and is forgiven nothing any more.
        assert_eq!(pacer.ready(1000 + SECOND / 10), 0);
        pacer.ready(1000 + SECOND / 5);
        assert_eq!(pacer.given_up(), 90_001);
    }

    #[test]
    fn without_a_rate_only_a_limit_ends_it() {
        let mut pacer = Pacer::new(None, TSC_HZ);
        assert_eq!(pacer.ready(5), 0, "not begun");
        pacer.start(10, 1000, 0.5, u64::MAX);
        assert_eq!(pacer.ready(9), 0);
        assert!(pacer.ready(10) > 1 << 60 && pacer.ready(1000) == 0);
        pacer.start(10, 1000, 0.0, 7);
        assert_eq!(pacer.ready(10), 7);
        pacer.take(5);
        assert!(pacer.ready(11) == 2 && !pacer.is_done());
        pacer.take(2);
        assert!(pacer.ready(12) == 0 && pacer.is_done());
        assert_eq!(pacer.intended(), None);
    }

    #[test]
    fn slow_streams_send_each_frame_at_its_moment() {
        let mut pacer = pacer(10.0);
        for frame in 0..10 {
            let moment = 1000 + frame * SECOND / 10;
            assert_eq!(pacer.ready(moment - 1), 0, "{frame}");
            assert_eq!(pacer.ready(moment + 1), 1, "{frame}");
            pacer.take(1);
        }
        assert_eq!(pacer.ready(2 * SECOND), 0);
    }
}
