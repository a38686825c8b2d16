//! When a stream may send: credit in octets that grows with the time stamp counter.

/// A stream's credit.
#[derive(Clone, Debug)]
pub(super) struct Pacer {
    /// Infinite for a stream that sends as much as is taken.
    octets_per_cycle: f64,
    credit: f64,
    /// The most credit that is kept.
    most: f64,
    /// When credit was last given.
    last: u64,
}

impl Pacer {
    /// `rate` in bits a second, or `None` for no limit; begins without credit, and keeps what comes of it in
    /// `catch_up` seconds, but at least two frames of `longest` octets.
    pub(super) fn new(rate: Option<f64>, catch_up: f64, longest: usize, tsc_hz: f64) -> Self {
        let octets_per_second = rate.map_or(f64::INFINITY, |bits| bits / 8.0);
        Self {
            octets_per_cycle: octets_per_second / tsc_hz,
            credit: 0.0,
            most: (octets_per_second * catch_up).max(2.0 * longest as f64),
            last: 0,
        }
    }

    /// Starts to give credit.
    pub(super) fn start(&mut self, now: u64) {
        self.last = now;
    }

    /// Gives the credit of the time that has passed.
    #[inline(always)]
    pub(super) fn advance(&mut self, now: u64) {
        if now > self.last {
            let earned = (now - self.last) as f64 * self.octets_per_cycle;
            self.credit = (self.credit + earned).min(self.most);
            self.last = now;
        }
    }

    /// Takes the credit of a frame, if there is enough.
    #[inline(always)]
    pub(super) fn take(&mut self, octets: usize) -> bool {
        let enough = self.credit >= octets as f64;
        if enough {
            self.credit -= octets as f64;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TSC_HZ: f64 = 1e9;

    /// Frames of 100 octets, looked at every so many nanoseconds, for a second.
    fn frames(pacer: &mut Pacer, step: u64) -> u64 {
        pacer.start(5);
        let looks = (1_000_000_000 / step).min(1_000_000);
        let mut frames = 0;
        for look in 1..=looks {
            pacer.advance(5 + look * step);
            while pacer.take(100) {
                frames += 1;
            }
        }
        frames
    }

    #[test]
    fn the_rate_is_kept_however_often_it_is_looked() {
        for step in [1_000, 12_345, 900_000] {
            let mut pacer = Pacer::new(Some(80e6), 0.01, 100, TSC_HZ);
            let frames = frames(&mut pacer, step);
            assert!((99_000..=100_000).contains(&frames), "{frames} at steps of {step}");
        }
    }

    #[test]
    fn what_is_too_long_ago_is_forgotten() {
        let mut pacer = Pacer::new(Some(80e6), 0.01, 100, TSC_HZ);
        pacer.advance(10_000_000_000);
        let burst = (0..).take_while(|_| pacer.take(100)).count();
        assert_eq!(burst, 1000, "ten milliseconds' worth");
        // A slow stream still can send a frame.
        let mut slow = Pacer::new(Some(8e3), 0.01, 1514, TSC_HZ);
        slow.advance(2_000_000_000);
        assert!(slow.take(1514));
    }

    #[test]
    fn time_that_runs_back_gives_nothing() {
        let mut pacer = Pacer::new(Some(80e6), 0.01, 100, TSC_HZ);
        pacer.start(1_000_000);
        pacer.advance(10);
        assert!(!pacer.take(1));
    }

    #[test]
    fn without_a_rate_there_is_no_end() {
        let mut pacer = Pacer::new(None, 0.01, 1514, TSC_HZ);
        pacer.advance(1);
        assert!((0..100_000).all(|_| pacer.take(1514)));
    }
}
