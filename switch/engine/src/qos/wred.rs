//! Weighted random early detection: the fuller a queue on average, the likelier a frame is dropped before
//! it is full, and sooner so the redder it is (S. Floyd and V. Jacobson, Random Early Detection Gateways
//! for Congestion Avoidance, 1993).

use pollux_net::Colour;

/// When frames of one colour are dropped early.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WredCurve {
    /// Average octets waiting up to which none is dropped.
    pub min: u64,
    /// Average octets waiting from which all are.
    pub max: u64,
    /// The share of frames dropped just before `max`, above 0 and at most 1.
    pub probability: f64,
}

/// Early detection in one queue.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WredSpec {
    /// One curve for each colour; colours without are dropped only where the queue is full.
    pub curves: [Option<WredCurve>; Colour::COUNT],
    /// The average follows the queue by 2^-weight of the difference with each frame.
    pub weight: u8,
}

/// The same in whole numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wred {
    curves: [Curve; Colour::COUNT],
    weight: u32,
    /// Cycles in which a queue that is empty is taken to have seen one frame.
    frame_cycles: u64,
}

#[derive(Clone, Copy, Debug)]
struct Curve {
    min: u64,
    max: u64,
    /// Of 2^32.
    probability: u64,
}

/// How many frames a second an empty queue is taken to have seen pass.
const IDLE_FRAMES_PER_SECOND: u64 = 100_000;

impl Wred {
    pub(crate) fn new(spec: &WredSpec, hz: u64) -> Self {
        let curve = |curve: Option<WredCurve>| {
            let never = Curve { min: u64::MAX, max: u64::MAX, probability: 0 };
            curve.map_or(never, |WredCurve { min, max, probability }| Curve {
                min,
                max,
                probability: (probability * f64::from(u32::MAX)) as u64,
            })
        };
        let frame_cycles = (hz / IDLE_FRAMES_PER_SECOND).max(1);
        Self { curves: spec.curves.map(curve), weight: spec.weight.into(), frame_cycles }
    }
}

/// What early detection remembers of a queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Average {
    /// In 2^-16 octets.
    octets: u64,
    /// Frames of each colour since the last early drop.
    spared: [u64; Colour::COUNT],
    /// When the queue was last seen, in cycles.
    at: u64,
}

impl Average {
    /// Whether a frame that comes to a queue with `waiting` octets is dropped. `random` is a new random
    /// number.
    pub(crate) fn drops(&mut self, wred: &Wred, colour: Colour, waiting: u64, now: u64, random: u32) -> bool {
        if waiting == 0 {
            let frames = now.saturating_sub(self.at) / wred.frame_cycles;
            let halvings = (frames >> wred.weight).min(63);
            self.octets >>= halvings;
        }
        self.at = now;
        let target = waiting << 16;
        if target >= self.octets {
            self.octets += (target - self.octets) >> wred.weight;
        } else {
            self.octets -= (self.octets - target) >> wred.weight;
        }
        let average = self.octets >> 16;
        let curve = &wred.curves[colour as usize];
        let spared = &mut self.spared[colour as usize];
        if average < curve.min {
            *spared = 0;
            return false;
        }
        // Spreads drops evenly: the likelier, the longer none was (section 7 of the paper). Gaps between 1 and
        // 2/p frames are equally likely, so that 1/p lie between two drops on average.
        let base = curve.probability * (average - curve.min) / (curve.max - curve.min).max(1);
        let left = (2_u64 << 32).saturating_sub(spared.saturating_mul(base)).max(1);
        let probability = (base << 32) / left;
        let dropped = average >= curve.max || u64::from(random) < probability;
        *spared = if dropped { 0 } else { *spared + 1 };
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u64 = 1_000_000_000;

    fn wred(weight: u8) -> Wred {
        let curve = |min, max| Some(WredCurve { min, max, probability: 0.1 });
        Wred::new(&WredSpec { curves: [curve(50_000, 100_000), curve(20_000, 60_000), None], weight }, HZ)
    }

    /// The share of 100,000 frames that are dropped at a steady queue.
    fn share(colour: Colour, waiting: u64) -> f64 {
        let wred = wred(4);
        let mut average = Average::default();
        let mut random = 1_u64;
        let mut dropped = 0;
        for n in 0..100_200 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let drops = average.drops(&wred, colour, waiting, n, (random >> 32) as u32);
            dropped += u32::from(drops && n >= 200);
        }
        f64::from(dropped) / 100_000.0
    }

    #[test]
    fn drops_grow_with_the_queue_and_the_colour() {
        assert_eq!(share(Colour::Green, 49_000), 0.0);
        assert_eq!(share(Colour::Green, 100_500), 1.0);
        assert_eq!(share(Colour::Red, 1 << 30), 0.0, "a colour without a curve");
        let (low, high) = (share(Colour::Green, 60_000), share(Colour::Green, 90_000));
        assert!((low / 0.02 - 1.0).abs() < 0.1, "{low}");
        assert!((high / 0.08 - 1.0).abs() < 0.1, "{high}");
        assert!(share(Colour::Yellow, 45_000) > share(Colour::Green, 45_000));
    }

    #[test]
    fn an_average_follows_and_forgets() {
        let wred = wred(9);
        let mut average = Average::default();
        assert!(!average.drops(&wred, Colour::Green, 1 << 20, 0, 0), "a burst is no congestion");
        for n in 0..10_000 {
            average.drops(&wred, Colour::Green, 1 << 20, n, u32::MAX);
        }
        assert!(average.drops(&wred, Colour::Green, 1 << 20, 10_000, u32::MAX));
        let second = average.drops(&wred, Colour::Green, 0, 10_000 + HZ, u32::MAX);
        assert!(!second, "a second of silence is forgotten in");
    }
}
