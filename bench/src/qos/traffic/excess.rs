//! How far above a rate arrivals ever were: the most octets in any window, less what the rate lets through
//! in it.
//!
//! Over all pairs of batches, the maximum of the octets of both and those between less rate times the time
//! from the first to the second is the highest level of a bucket that the octets fill and that leaks at the
//! rate. So one number is enough, and no batch has to be kept.

use super::plan;

#[derive(Clone, Debug)]
pub(super) struct Excess {
    octets_per_cycle: f64,
    last: u64,
    seen: Level,
    certain: Level,
}

#[derive(Clone, Debug)]
struct Level {
    now: f64,
    most: f64,
}

impl Excess {
    /// Above `rate` bits a second.
    pub(super) fn above(rate: f64, tsc_hz: f64) -> Self {
        let level = || Level { now: 0.0, most: 0.0 };
        Self { octets_per_cycle: rate / 8.0 / tsc_hz, last: 0, seen: level(), certain: level() }
    }

    /// A batch of so many octets was seen `now`; none of them had come at the moment `empty`.
    #[inline(always)]
    pub(super) fn add(&mut self, octets: u64, now: u64, empty: u64) {
        let let_through = |since: u64| now.saturating_sub(since) as f64 * self.octets_per_cycle;
        let leaked = let_through(self.last);
        self.seen.add(octets, leaked, 0.0);
        self.certain.add(octets, leaked, -let_through(empty));
        self.last = now;
    }

    /// The most octets above the rate.
    pub(super) fn most(&self) -> plan::Excess {
        plan::Excess { seen: self.seen.most, certain: self.certain.most }
    }
}

impl Level {
    /// A window that began earlier goes on, or one begins at `anew`.
    fn add(&mut self, octets: u64, leaked: f64, anew: f64) {
        self.now = (self.now - leaked).max(anew) + octets as f64;
        self.most = self.most.max(self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets, when they were seen, when the ring was last empty before.
    type Batch = (u64, u64, u64);

    /// The definition, by all pairs.
    fn by_pairs(batches: &[Batch], octets_per_cycle: f64, begins: impl Fn(&Batch) -> u64) -> f64 {
        let mut most = 0.0_f64;
        for first in 0..batches.len() {
            for last in first..batches.len() {
                let octets: u64 = batches[first..=last].iter().map(|batch| batch.0).sum();
                let time = batches[last].1 - begins(&batches[first]);
                most = most.max(octets as f64 - time as f64 * octets_per_cycle);
            }
        }
        most
    }

    #[test]
    fn it_is_what_all_pairs_give() {
        // A generator that is good enough to scatter (Lehmer's).
        let mut state = 42_u64;
        let mut random = |below: u64| {
            state = state * 48_271 % 0x7fff_ffff;
            state % below
        };
        for _ in 0..200 {
            let mut now = 1000;
            let batches: Vec<Batch> = (0..40)
                .map(|_| {
                    let empty = now + random(20);
                    now = empty + 1 + random(30);
                    (random(3000), now, empty)
                })
                .collect();
            // Half an octet a cycle: 4 Gbit/s at 1 GHz.
            for octets_per_cycle in [0.5, 40.0, 200.0] {
                let mut excess = Excess::above(octets_per_cycle * 8e9, 1e9);
                batches.iter().for_each(|&(octets, now, empty)| excess.add(octets, now, empty));
                let most = excess.most();
                let seen = by_pairs(&batches, octets_per_cycle, |batch| batch.1);
                let certain = by_pairs(&batches, octets_per_cycle, |batch| batch.2);
                assert!((most.seen - seen).abs() < 1e-6, "{} and {seen}", most.seen);
                assert!((most.certain - certain).abs() < 1e-6, "{} and {certain}", most.certain);
                assert!(most.certain <= most.seen);
            }
        }
    }

    #[test]
    fn a_pause_of_the_receiver_is_no_excess_for_certain() {
        let mut excess = Excess::above(8e9, 1e9);
        excess.add(100, 1_000, 900);
        // An octet a cycle came, while nobody looked for 10,000 cycles; then it is taken in two batches.
        excess.add(5_000, 11_000, 1_000);
        excess.add(5_000, 11_010, 1_000);
        let most = excess.most();
        assert!(most.seen > 9_900.0, "{most:?}");
        assert!(most.certain < 101.0, "{most:?}");
    }
}
