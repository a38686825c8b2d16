use crate::Colour;

/// How a meter colours, with rates per second and bursts in what it counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MeterAlgorithm {
    /// One rate, three colours (RFC 2697): within the committed burst green, within the excess burst yellow.
    SrTcm {
        /// Committed information rate.
        cir: u64,
        /// Committed burst size.
        cbs: u64,
        /// Excess burst size; 0: nothing is yellow.
        ebs: u64,
    },
    /// Two rates, three colours (RFC 2698): above the peak rate red, above the committed one yellow.
    TrTcm {
        /// Committed information rate.
        cir: u64,
        /// Committed burst size.
        cbs: u64,
        /// Peak information rate, at least the committed one.
        pir: u64,
        /// Peak burst size.
        pbs: u64,
    },
    /// Two rates, three colours, the excess one beside the committed one (RFC 4115).
    TrTcm4115 {
        /// Committed information rate.
        cir: u64,
        /// Committed burst size.
        cbs: u64,
        /// Excess information rate.
        eir: u64,
        /// Excess burst size.
        ebs: u64,
    },
}

/// What rates and bursts are counted in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum RateUnit {
    /// Octets of frames, without frame check sequence, preamble and gap.
    #[default]
    Octets,
    /// Octets that a frame takes on a wire: with check sequence, preamble and gap.
    WireOctets,
    /// Frames.
    Frames,
}

/// What a frame takes on a wire beside its octets: check sequence 4, preamble and start 8, gap 12 (IEEE
/// 802.3-2022 clause 4.4.2).
pub const WIRE_OVERHEAD: u32 = 24;

impl RateUnit {
    /// What a frame of `len` octets counts.
    #[inline(always)]
    pub const fn count(self, len: u32) -> u32 {
        match self {
            Self::Octets => len,
            Self::WireOctets => len + WIRE_OVERHEAD,
            Self::Frames => 1,
        }
    }
}

/// A meter, as its owner describes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MeterSpec {
    /// Rates and bursts.
    pub algorithm: MeterAlgorithm,
    /// What they are counted in.
    pub unit: RateUnit,
    /// Whether a frame's colour before counts: what came yellow never becomes green.
    pub colour_aware: bool,
}

/// Colours frames by a rate. One at a time may use it.
pub trait Meter: Send {
    /// The colour of a frame that counts `count` and came with `colour`, at `now` in cycles of the time stamp
    /// counter. Time never goes backwards from one call to the next.
    fn colour(&mut self, now_cycles: u64, count: u32, colour: Colour) -> Colour;
}
