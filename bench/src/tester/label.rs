//! What a frame says of itself: the trial that it is of, its stream and flow, its place, and when it was sent.

/// Octets of a label.
pub(super) const LEN: usize = 14;

/// Flows that a label can tell apart.
pub(super) const FLOWS: u32 = 1 << 24;

/// Seconds after which stamps may begin anew, at least.
const STAMP_SECONDS: f64 = 20.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    /// The trial.
    pub(super) epoch: u16,
    pub(super) stream: u8,
    /// Below [`FLOWS`].
    pub(super) flow: u32,
    /// The lower half of the frame's place in its stream.
    pub(super) sequence: u32,
    /// When it was sent, by [`Clock::stamp`].
    pub(super) stamp: u32,
}

impl Label {
    #[inline(always)]
    pub(super) fn write(&self, octets: &mut [u8; LEN]) {
        let first = u64::from(self.epoch) | u64::from(self.stream) << 16 | u64::from(self.flow) << 24;
        // Two octets more than it has: the sequence number comes over them.
        octets[..8].copy_from_slice(&first.to_le_bytes());
        octets[6..10].copy_from_slice(&self.sequence.to_le_bytes());
        octets[10..].copy_from_slice(&self.stamp.to_le_bytes());
    }

    #[inline(always)]
    pub(super) fn read(octets: &[u8; LEN]) -> Self {
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|n| octets[at + n]));
        let first = u64::from_le_bytes(std::array::from_fn(|n| octets[n]));
        Self {
            epoch: first as u16,
            stream: (first >> 16) as u8,
            flow: (first >> 24) as u32 & (FLOWS - 1),
            sequence: word(6),
            stamp: word(10),
        }
    }
}

/// Writes the moment of sending alone.
#[inline(always)]
pub(super) fn set_stamp(octets: &mut [u8; LEN], stamp: u32) {
    octets[10..].copy_from_slice(&stamp.to_le_bytes());
}

/// The time stamp counter, and what of it goes into labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) tsc_hz: f64,
    /// Bits of the counter that stamps leave out.
    shift: u32,
}

impl Clock {
    pub(super) fn new(tsc_hz: u64) -> Self {
        let tsc_hz = tsc_hz as f64;
        let shift = (tsc_hz * STAMP_SECONDS / 2_f64.powi(32)).log2().ceil().max(0.0) as u32;
        Self { tsc_hz, shift }
    }

    pub(super) fn cycles(&self, seconds: f64) -> u64 {
        (seconds * self.tsc_hz) as u64
    }

    pub(super) fn seconds(&self, cycles: u64) -> f64 {
        cycles as f64 / self.tsc_hz
    }

    #[inline(always)]
    pub(super) fn stamp(&self, cycles: u64) -> u32 {
        (cycles >> self.shift) as u32
    }

    /// Cycles from a stamp to `now`, to within a stamp's unit. What seems to come from the future, as it may when
    /// two processors' counters differ, is of now.
    #[inline(always)]
    pub(super) fn since(&self, stamp: u32, now: u64) -> u64 {
        let units = self.stamp(now).wrapping_sub(stamp);
        if units > u32::MAX - (1 << 16) { 0 } else { u64::from(units) << self.shift }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let labels = [
            Label { epoch: 0, stream: 0, flow: 0, sequence: 0, stamp: 0 },
            Label { epoch: u16::MAX, stream: 255, flow: FLOWS - 1, sequence: u32::MAX, stamp: u32::MAX },
            Label { epoch: 0x1234, stream: 0x56, flow: 0x789abc, sequence: 0xdef0_1234, stamp: 0x5678_9abc },
        ];
        for label in labels {
            let mut octets = [0xaa; LEN];
            label.write(&mut octets);
            assert_eq!(Label::read(&octets), label);
            set_stamp(&mut octets, 7);
            assert_eq!(Label::read(&octets), Label { stamp: 7, ..label });
        }
    }

    #[test]
    fn stamps_tell_times_across_their_end() {
        for tsc_hz in [1_000_000_000, 2_600_000_000, 5_000_000_000] {
            let clock = Clock::new(tsc_hz);
            let round = 1_u64 << 32 << clock.shift;
            assert!(clock.seconds(round) > STAMP_SECONDS && clock.seconds(round) < 2.0 * STAMP_SECONDS);
            for then in [0, round - 1, round, 3 * round - 100] {
                for cycles in [0, 1 << clock.shift, clock.cycles(1.0)] {
                    let since = clock.since(clock.stamp(then), then + cycles);
                    assert!(since.abs_diff(cycles) <= 1 << clock.shift, "{since} and {cycles}");
                }
            }
            assert_eq!(clock.since(clock.stamp(round + 1000), round), 0, "the future is now");
        }
    }
}
