//! Whether what arrives is what was sent, once, and in order.

use crate::load::Label;

use super::Faults;

/// How far back frames are remembered, in frames.
const WINDOW: u64 = 1 << 20;

/// What arrived of one direction.
#[derive(Clone, Debug)]
pub(super) struct Check {
    direction: u8,
    streams: u64,
    /// The highest sequence number so far, and one.
    next: u64,
    /// A bit for each of the last [`WINDOW`] sequence numbers: whether it arrived.
    arrived: Vec<u64>,
    /// Frames that arrived, each counted once.
    pub(super) unique: u64,
    pub(super) faults: Faults,
}

impl Check {
    pub(super) fn new(direction: u8, streams: u32) -> Self {
        Self {
            direction,
            streams: streams.into(),
            next: 0,
            arrived: vec![0; (WINDOW / 64) as usize],
            unique: 0,
            faults: Faults::default(),
        }
    }

    /// Takes note of a frame.
    #[inline]
    pub(super) fn see(&mut self, label: Option<Label>) {
        match label {
            Some(label) if label.sequence == self.next && label.direction == self.direction => {
                self.mark(label.sequence);
                self.next += 1;
                self.unique += 1;
            }
            other => self.see_odd(other),
        }
    }

    /// Frames that come after a gap, too late, twice, or from somewhere else.
    #[cold]
    fn see_odd(&mut self, label: Option<Label>) {
        let ours = label.filter(|label| {
            label.direction == self.direction && u64::from(label.stream) == label.sequence % self.streams
        });
        let Some(Label { sequence, .. }) = ours else {
            self.faults.strange += 1;
            return;
        };
        if sequence >= self.next {
            // What stands in the window is of those WINDOW before.
            let skipped = self.next.max(sequence.saturating_sub(WINDOW))..sequence;
            skipped.for_each(|sequence| self.clear(sequence));
            self.mark(sequence);
            self.next = sequence + 1;
            self.unique += 1;
        } else if self.next - sequence > WINDOW {
            self.faults.reordered += 1;
        } else if self.has(sequence) {
            self.faults.duplicated += 1;
        } else {
            self.mark(sequence);
            self.unique += 1;
            // Streams may overtake each other, but later frames of the same one may not have come.
            let mut later = (sequence..self.next).step_by(self.streams as usize).skip(1);
            if later.any(|sequence| self.has(sequence)) {
                self.faults.reordered += 1;
            }
        }
    }

    fn place(sequence: u64) -> (usize, u64) {
        let bit = sequence % WINDOW;
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    fn mark(&mut self, sequence: u64) {
        let (word, bit) = Self::place(sequence);
        self.arrived[word] |= bit;
    }

    fn clear(&mut self, sequence: u64) {
        let (word, bit) = Self::place(sequence);
        self.arrived[word] &= !bit;
    }

    fn has(&self, sequence: u64) -> bool {
        let (word, bit) = Self::place(sequence);
        self.arrived[word] & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: u32 = 4;

    fn see(sequences: &[u64]) -> Check {
        let mut check = Check::new(1, STREAMS);
        for &sequence in sequences {
            let stream = (sequence % u64::from(STREAMS)) as u32;
            check.see(Some(Label { direction: 1, stream, sequence }));
        }
        check
    }

    #[test]
    fn in_order_with_gaps_is_clean() {
        let check = see(&[0, 1, 2, 5, 6, WINDOW + 9, 3 * WINDOW]);
        assert_eq!((check.unique, check.faults), (7, Faults::default()));
    }

    #[test]
    fn streams_may_overtake_each_other() {
        let check = see(&[0, 3, 2, 1, 4]);
        assert_eq!((check.unique, check.faults), (5, Faults::default()));
    }

    #[test]
    fn frames_of_a_stream_may_not() {
        let check = see(&[0, 1, 8, 4]);
        assert_eq!(check.faults, Faults { reordered: 1, ..Faults::default() });
        let check = see(&[2 * WINDOW, 1]);
        assert_eq!(check.faults, Faults { reordered: 1, ..Faults::default() });
    }

    #[test]
    fn twice_is_once_too_often() {
        let check = see(&[0, 1, 1, 0]);
        assert_eq!((check.unique, check.faults), (2, Faults { duplicated: 2, ..Faults::default() }));
    }

    #[test]
    fn what_isnt_ours_is_strange() {
        let mut check = see(&[0]);
        check.see(None);
        check.see(Some(Label { direction: 0, stream: 1, sequence: 1 }));
        check.see(Some(Label { direction: 1, stream: 2, sequence: 3 }));
        assert_eq!((check.unique, check.faults), (1, Faults { strange: 3, ..Faults::default() }));
    }

    #[test]
    fn old_marks_dont_speak_for_new_frames() {
        // A gap over a place that was marked a window ago: the frame of the gap isn't a duplicate.
        let mut sequences: Vec<u64> = (0..WINDOW).collect();
        sequences.extend([WINDOW + 2, WINDOW + 1]);
        assert_eq!(see(&sequences).faults, Faults::default());
    }
}
