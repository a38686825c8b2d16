//! Token buckets.

use pollux_net::RateUnit;

/// A rate that what leaves keeps to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShaperSpec {
    /// Octets per second.
    pub octets_per_second: u64,
    /// Octets that may leave at once. A frame that is longer leaves when the bucket is full, and is paid
    /// for afterwards.
    pub burst: u64,
    /// Which octets of a frame count.
    pub unit: RateUnit,
}

/// Tokens are counted in 2^-32 octets, so that the lowest rate is exact to a few thousandths of a per cent
/// in one cycle's share, and a burst of 2 GiB fits.
const SCALE: u32 = 32;

/// A rate in what a bucket counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rate {
    per_cycle: u64,
    burst: i64,
    unit: RateUnit,
}

impl Rate {
    /// `hz`: cycles per second.
    pub(crate) fn new(spec: &ShaperSpec, hz: u64) -> Self {
        let burst = (spec.burst.min((1 << (63 - SCALE)) - 1) as i64) << SCALE;
        let per_cycle = (u128::from(spec.octets_per_second) << SCALE) / u128::from(hz.max(1));
        let per_cycle = u64::try_from(per_cycle).unwrap_or(u64::MAX).max(1);
        Self { per_cycle, burst, unit: spec.unit }
    }

    /// A share of the burst, as a reserve.
    pub(crate) fn share(&self, part: usize, of: usize) -> i64 {
        self.burst / of as i64 * part as i64
    }

    fn tokens(&self, len: usize) -> i64 {
        i64::from(self.unit.count(len as u32)) << SCALE
    }
}

/// What may still leave at a rate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    tokens: i64,
    /// When tokens were last added, in cycles. A new bucket was last filled long ago.
    at: u64,
}

impl Bucket {
    /// Adds what came to it since the last time.
    #[inline]
    pub(crate) fn refill(&mut self, rate: &Rate, now: u64) {
        let elapsed = now.saturating_sub(self.at);
        let gain = u128::from(elapsed) * u128::from(rate.per_cycle);
        // What is missing, debts included, fits: a burst is less than 2^63, and so is a frame.
        let missing = rate.burst.saturating_sub(self.tokens).max(0);
        self.tokens += i64::try_from(gain).map_or(missing, |gain| gain.min(missing));
        self.at = self.at.max(now);
    }

    /// Whether a frame of so many octets may leave.
    #[inline]
    pub(crate) fn allows(&self, rate: &Rate, len: usize) -> bool {
        self.tokens >= rate.tokens(len).min(rate.burst)
    }

    /// Whether a frame of so many octets may leave and this part of the burst stay for others.
    #[inline]
    pub(crate) fn allows_beside(&self, rate: &Rate, len: usize, reserve: i64) -> bool {
        self.tokens >= rate.tokens(len).saturating_add(reserve).min(rate.burst)
    }

    /// A frame leaves.
    #[inline]
    pub(crate) fn take(&mut self, rate: &Rate, len: usize) {
        self.tokens -= rate.tokens(len);
    }

    /// A frame leaves, whether or not it may: it takes what is there of its tokens. Returns these.
    #[inline]
    pub(crate) fn take_what_is_there(&mut self, rate: &Rate, len: usize) -> i64 {
        let taken = rate.tokens(len).min(self.tokens.max(0));
        self.tokens -= taken;
        taken
    }

    /// The frame came back.
    pub(crate) fn give_back(&mut self, rate: &Rate, len: usize) {
        self.give_back_tokens(rate, rate.tokens(len));
    }

    /// The frame came back that took these tokens.
    pub(crate) fn give_back_tokens(&mut self, rate: &Rate, tokens: i64) {
        self.tokens = (self.tokens + tokens).min(rate.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HZ: u64 = 2_600_000_000;

    fn spec(octets_per_second: u64, burst: u64) -> ShaperSpec {
        ShaperSpec { octets_per_second, burst, unit: RateUnit::Octets }
    }

    #[test]
    fn long_runs_keep_the_rate() {
        for octets_per_second in [8_000, 1_250_000, 125_000_000, 625_000_000, 50_000_000_000] {
            for len in [60, 1514, 9014] {
                let rate = Rate::new(&spec(octets_per_second, 65_536), HZ);
                let start = 1000 * HZ;
                let mut bucket = Bucket::default();
                bucket.refill(&rate, start);
                // Each frame leaves as soon as the clock, looked at now and then, says that it may.
                let (mut now, mut sent) = (start, 0_u64);
                let frames = 2_000 + 65_536 / len as u64;
                for _ in 0..frames {
                    while !bucket.allows(&rate, len) {
                        let step = (len as u64 * HZ / octets_per_second / 50).max(100);
                        now += step;
                        bucket.refill(&rate, now);
                    }
                    bucket.take(&rate, len);
                    sent += len as u64;
                }
                let seconds = (now - start) as f64 / HZ as f64;
                let measured = (sent - 65_536) as f64 / seconds;
                let error = measured / octets_per_second as f64 - 1.0;
                assert!(error.abs() < 0.04, "{octets_per_second} octets/s of {len}: {error}");
            }
        }
    }

    #[test]
    fn what_is_longer_than_the_burst_leaves_and_is_paid_for() {
        let rate = Rate::new(&spec(1_000_000, 10_000), HZ);
        let mut bucket = Bucket::default();
        bucket.refill(&rate, HZ);
        assert!(bucket.allows(&rate, 65_000));
        bucket.take(&rate, 65_000);
        bucket.refill(&rate, HZ + HZ / 20);
        assert!(!bucket.allows(&rate, 1), "50,000 of 55,000 octets are paid");
        bucket.refill(&rate, HZ + HZ * 6 / 100);
        assert!(bucket.allows(&rate, 4_900));
        assert!(!bucket.allows(&rate, 5_100));
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_rate_and_burst(
            octets_per_second in 8_000..20_000_000_000_u64,
            burst in 9_300..2_000_000_u64,
            steps in prop::collection::vec((0..3_000_000_u64, 60..9_000_usize), 1..200),
        ) {
            let rate = Rate::new(&spec(octets_per_second, burst), HZ);
            let mut bucket = Bucket::default();
            let mut now = HZ;
            let mut sent: Vec<(u64, u64)> = Vec::new();
            for (step, len) in steps {
                now += step;
                bucket.refill(&rate, now);
                while bucket.allows(&rate, len) && sent.len() < 2_000 {
                    bucket.take(&rate, len);
                    sent.push((now, len as u64));
                }
            }
            for (start, &(from, _)) in sent.iter().enumerate() {
                let mut octets = 0;
                for &(to, len) in &sent[start..] {
                    octets += len;
                    let most = burst as f64 + (to - from) as f64 * octets_per_second as f64 / HZ as f64;
                    prop_assert!(octets as f64 <= most + 1.0, "{octets} in {} cycles", to - from);
                }
            }
        }
    }
}
