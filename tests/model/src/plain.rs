use pollux_net::{
    Colour, FlowKey, FlowMatch, FlowRules, Frame, FrameFilter, Meter, MeterAlgorithm, MeterSpec,
};

/// Rules that are looked at one after the other.
#[derive(Clone, Debug, Default)]
pub struct PlainRules(pub Vec<FlowMatch>);

impl FlowRules for PlainRules {
    fn first_fits(&self, keys: &[FlowKey], hits: &mut [u32]) {
        for (key, hit) in keys.iter().zip(hits) {
            *hit = self.0.iter().position(|rule| rule.fits(key)).map_or(0, |place| place as u32 + 1);
        }
    }
}

/// Chooses frames that have an octet of this value at this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainFilter {
    /// The place, from 0.
    pub at: usize,
    /// The value.
    pub value: u8,
}

impl PlainFilter {
    /// Whether it chooses a frame of these octets.
    pub fn chooses(&self, octets: &[u8]) -> bool {
        octets.get(self.at) == Some(&self.value)
    }
}

impl<F: Frame> FrameFilter<F> for PlainFilter {
    fn choose(&self, frames: &[F]) -> u32 {
        let chosen = |frame: &F| {
            let octets: Vec<u8> = frame.pieces().flatten().copied().collect();
            self.chooses(&octets)
        };
        frames.iter().enumerate().fold(0, |bits, (n, frame)| bits | u32::from(chosen(frame)) << n)
    }
}

/// A bucket that gains `rate` tokens a second up to `size`. Tokens are counted in parts of one, as many as
/// the clock ticks in a second, so that every tick adds whole parts.
#[derive(Clone, Copy, Debug)]
struct Tokens {
    parts: u128,
    rate: u64,
    size: u128,
}

impl Tokens {
    fn full(rate: u64, size: u64, hz: u64) -> Self {
        let size = u128::from(size) * u128::from(hz);
        Self { parts: size, rate, size }
    }

    /// Adds what comes in so many ticks, and returns what doesn't fit.
    fn fill(&mut self, ticks: u64) -> u128 {
        self.add(u128::from(ticks) * u128::from(self.rate))
    }

    fn add(&mut self, parts: u128) -> u128 {
        let sum = self.parts + parts;
        self.parts = sum.min(self.size);
        sum - self.parts
    }

    fn has(&self, parts: u128) -> bool {
        self.parts >= parts
    }
}

/// A meter as the RFCs have it, word for word, in exact numbers.
#[derive(Clone, Debug)]
pub struct PlainMeter {
    algorithm: MeterAlgorithm,
    colour_aware: bool,
    hz: u64,
    /// When it was last looked at, in ticks.
    at: u64,
    committed: Tokens,
    other: Tokens,
}

impl PlainMeter {
    /// With full buckets, as of `now`, by a clock of `hz` ticks a second.
    pub fn new(spec: &MeterSpec, hz: u64, now: u64) -> Self {
        let (committed, other) = match spec.algorithm {
            MeterAlgorithm::SrTcm { cir, cbs, ebs } => ((cir, cbs), (0, ebs)),
            MeterAlgorithm::TrTcm { cir, cbs, pir, pbs } => ((cir, cbs), (pir, pbs)),
            MeterAlgorithm::TrTcm4115 { cir, cbs, eir, ebs } => ((cir, cbs), (eir, ebs)),
        };
        let full = |(rate, size)| Tokens::full(rate, size, hz);
        Self {
            algorithm: spec.algorithm,
            colour_aware: spec.colour_aware,
            hz,
            at: now,
            committed: full(committed),
            other: full(other),
        }
    }
}

impl Meter for PlainMeter {
    fn colour(&mut self, now_cycles: u64, count: u32, colour: Colour) -> Colour {
        let ticks = now_cycles.saturating_sub(self.at);
        self.at = self.at.max(now_cycles);
        let spilt = self.committed.fill(ticks);
        self.other.fill(ticks);
        let before = if self.colour_aware { colour } else { Colour::Green };
        let need = u128::from(count) * u128::from(self.hz);
        let Self { committed, other, .. } = self;
        if let MeterAlgorithm::SrTcm { .. } = self.algorithm {
            // What the committed bucket has no room for goes to the excess one (RFC 2697 section 3).
            other.add(spilt);
        }
        match self.algorithm {
            MeterAlgorithm::TrTcm { .. } => {
                if before == Colour::Red || !other.has(need) {
                    Colour::Red
                } else if before == Colour::Yellow || !committed.has(need) {
                    other.parts -= need;
                    Colour::Yellow
                } else {
                    other.parts -= need;
                    committed.parts -= need;
                    Colour::Green
                }
            }
            MeterAlgorithm::SrTcm { .. } | MeterAlgorithm::TrTcm4115 { .. } => {
                if before == Colour::Green && committed.has(need) {
                    committed.parts -= need;
                    Colour::Green
                } else if before != Colour::Red && other.has(need) {
                    other.parts -= need;
                    Colour::Yellow
                } else {
                    Colour::Red
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollux_net::RateUnit;

    fn meter(algorithm: MeterAlgorithm) -> PlainMeter {
        PlainMeter::new(&MeterSpec { algorithm, unit: RateUnit::Octets, colour_aware: true }, 1000, 0)
    }

    #[test]
    fn one_rate_spills_into_the_excess_burst() {
        let mut meter = meter(MeterAlgorithm::SrTcm { cir: 1000, cbs: 100, ebs: 50 });
        assert_eq!(meter.colour(0, 100, Colour::Green), Colour::Green);
        assert_eq!(meter.colour(0, 50, Colour::Green), Colour::Yellow);
        assert_eq!(meter.colour(0, 1, Colour::Green), Colour::Red);
        assert_eq!(meter.colour(120, 20, Colour::Yellow), Colour::Yellow, "100 ms for one, 20 for the other");
        assert_eq!(meter.colour(120, 100, Colour::Green), Colour::Green);
    }

    #[test]
    fn two_rates_are_apart_or_one_within_the_other() {
        let mut inner = meter(MeterAlgorithm::TrTcm { cir: 1000, cbs: 100, pir: 2000, pbs: 150 });
        let mut beside = meter(MeterAlgorithm::TrTcm4115 { cir: 1000, cbs: 100, eir: 2000, ebs: 150 });
        let colours =
            |meter: &mut PlainMeter| [100, 50, 100, 1].map(|count| meter.colour(0, count, Colour::Green));
        assert_eq!(colours(&mut inner), [Colour::Green, Colour::Yellow, Colour::Red, Colour::Red]);
        assert_eq!(colours(&mut beside), [Colour::Green, Colour::Yellow, Colour::Yellow, Colour::Red]);
        assert_eq!(beside.colour(500, 1, Colour::Red), Colour::Red);
    }
}
