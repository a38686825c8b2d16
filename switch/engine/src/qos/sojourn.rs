//! How long frames waited.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::stats::bump;

/// Each power of two of cycles is cut into so many parts, so that a quantile is right to a seventh.
const PARTS: u32 = 8;
const PART_BITS: u32 = PARTS.ilog2();

/// From less than one part to the longest time there is.
const PLACES: usize = ((u64::BITS - PART_BITS + 1) * PARTS) as usize;

/// How long frames waited in a queue, as a histogram. One writes, anybody reads.
#[derive(Debug)]
pub(crate) struct Histogram {
    places: Box<[AtomicU64; PLACES]>,
    longest: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { places: Box::new(array::from_fn(|_| AtomicU64::new(0))), longest: AtomicU64::new(0) }
    }
}

/// Quantiles of how long frames waited in a queue, in cycles of the time stamp counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sojourn {
    /// Half of the frames waited at most so long.
    pub median_cycles: u64,
    /// 99 of 100 waited at most so long.
    pub p99_cycles: u64,
    /// The longest.
    pub max_cycles: u64,
}

fn place(cycles: u64) -> usize {
    let exponent = (u64::BITS - cycles.leading_zeros()).saturating_sub(PART_BITS + 1);
    (exponent * PARTS) as usize + (cycles >> exponent) as usize
}

/// The longest time that falls into a place.
fn upper(place: usize) -> u64 {
    let (exponent, part) = match place as u64 {
        low if low < u64::from(2 * PARTS) => (0, low),
        high => (high / u64::from(PARTS) - 1, u64::from(PARTS) + high % u64::from(PARTS)),
    };
    (part << exponent) + ((1 << exponent) - 1)
}

impl Histogram {
    /// So many frames waited so long.
    #[inline]
    pub(crate) fn add(&self, cycles: u64, frames: u64) {
        bump(&self.places[place(cycles).min(PLACES - 1)], frames);
        if cycles > self.longest.load(Relaxed) {
            self.longest.store(cycles, Relaxed);
        }
    }

    /// Quantiles of what was added.
    pub(crate) fn quantiles(&self) -> Sojourn {
        let counts: Vec<_> = self.places.iter().map(|count| count.load(Relaxed)).collect();
        let max_cycles = self.longest.load(Relaxed);
        let total: u64 = counts.iter().sum();
        let quantile = |percent: u64| {
            let wanted = (total * percent).div_ceil(100);
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= wanted && seen > 0
            });
            found.map_or(0, upper).min(max_cycles)
        };
        Sojourn { median_cycles: quantile(50), p99_cycles: quantile(99), max_cycles }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_order_and_cover_all() {
        for cycles in (0..10_000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX - 1, u64::MAX]) {
            let place = place(cycles);
            assert!(place < PLACES);
            assert!(upper(place) >= cycles, "{cycles}");
            assert!(place == 0 || upper(place - 1) < cycles, "{cycles}");
        }
    }

    #[test]
    fn quantiles_are_right_to_a_seventh() {
        let histogram = Histogram::default();
        (1..=1000).for_each(|cycles| histogram.add(cycles * 1000, 1));
        let Sojourn { median_cycles, p99_cycles, max_cycles } = histogram.quantiles();
        assert_eq!(max_cycles, 1_000_000);
        assert!((500_000..580_000).contains(&median_cycles), "{median_cycles}");
        assert!((990_000..=1_000_000).contains(&p99_cycles), "{p99_cycles}");
        assert_eq!(Histogram::default().quantiles(), Sojourn::default());
    }
}
