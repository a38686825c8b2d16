//! Which frames of a stream have come: each once, twice, too late, never.

use std::ops::Range;

/// What a frame is, by its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It came for the first time, later than all that are behind it.
    Next,
    /// It came for the first time, and one that was sent later had come before.
    Late,
    /// It came before.
    Again,
    /// So late that nobody knows any more; it counts as lost.
    TooLate,
}

/// The sequence numbers that have come. What comes in order costs an increment; only what doesn't is marked in a
/// bitmap, which holds the latest numbers.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// The highest number so far, and one.
    next: u64,
    /// All from here to `next` have come.
    run: u64,
    /// Numbers below are settled: they have come, or are lost.
    base: u64,
    /// How many of those below `run` have come.
    come: u64,
    /// A bit for each number from `base` to `run`: whether it has come.
    bits: Vec<u64>,
}

impl Window {
    /// Remembers `size` numbers: a power of two, 64 at least.
    pub(super) fn new(size: usize) -> Self {
        assert!(size.is_power_of_two() && size >= 64, "a window of {size} numbers");
        Self { next: 0, run: 0, base: 0, come: 0, bits: vec![0; size / 64] }
    }

    fn size(&self) -> u64 {
        64 * self.bits.len() as u64
    }

    /// The highest number so far, and one.
    #[inline(always)]
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// How many have come, each counted once.
    #[inline(always)]
    pub(super) fn unique(&self) -> u64 {
        self.come + (self.next - self.run)
    }

    /// Takes note of a frame; `lost` is told of numbers that haven't come, and from now on count as lost.
    #[inline(always)]
    pub(super) fn see(&mut self, sequence: u64, lost: impl FnMut(Range<u64>)) -> Verdict {
        if sequence == self.next {
            self.next += 1;
            return Verdict::Next;
        }
        self.see_odd(sequence, lost)
    }

    fn see_odd(&mut self, sequence: u64, lost: impl FnMut(Range<u64>)) -> Verdict {
        if sequence > self.next {
            self.settle((sequence + 1).saturating_sub(self.size()), lost);
            self.mark_run();
            let (from, to) = (self.next.max(self.base), sequence);
            self.each_word(from..to, |word, mask| *word &= !mask);
            (self.run, self.next) = (sequence, sequence + 1);
            return Verdict::Next;
        }
        if sequence >= self.run {
            return Verdict::Again;
        }
        if sequence < self.base {
            return Verdict::TooLate;
        }
        if self.has(sequence) {
            return Verdict::Again;
        }
        self.each_word(sequence..sequence + 1, |word, mask| *word |= mask);
        self.come += 1;
        Verdict::Late
    }

    /// Whether a number of the window has come; of those before it, nobody knows.
    pub(super) fn has(&self, sequence: u64) -> bool {
        if sequence >= self.run || sequence < self.base {
            return sequence >= self.run && sequence < self.next;
        }
        self.bits[(sequence / 64) as usize % self.bits.len()] >> (sequence % 64) & 1 == 1
    }

    /// Settles all numbers below `end`: how many were sent.
    pub(super) fn finish(&mut self, end: u64, lost: impl FnMut(Range<u64>)) {
        self.settle(end.max(self.next), lost);
    }

    /// Moves the run's frames into the bitmap.
    fn mark_run(&mut self) {
        self.come += self.next - self.run;
        self.each_word(self.run.max(self.base)..self.next, |word, mask| *word |= mask);
        self.run = self.next;
    }

    fn settle(&mut self, base: u64, mut lost: impl FnMut(Range<u64>)) {
        if base <= self.base {
            return;
        }
        let mut at = self.base;
        let marked = base.min(self.run);
        while at < marked {
            // What of the number's word is to be settled, from its lowest bit on.
            let count = (64 - at % 64).min(marked - at);
            let missing = !self.bits[(at / 64) as usize % self.bits.len()] >> (at % 64);
            let mut missing = if count < 64 { missing & ((1 << count) - 1) } else { missing };
            while missing != 0 {
                let first = u64::from(missing.trailing_zeros());
                let len = u64::from((!(missing >> first)).trailing_zeros());
                lost(at + first..at + first + len);
                let done = first + len;
                missing = if done < 64 { missing >> done << done } else { 0 };
            }
            at += count;
        }
        if base > self.next {
            lost(self.next.max(self.base)..base);
        }
        self.base = base;
    }

    fn each_word(&mut self, range: Range<u64>, mut change: impl FnMut(&mut u64, u64)) {
        let words = self.bits.len();
        let mut at = range.start;
        while at < range.end {
            let count = (64 - at % 64).min(range.end - at);
            let mask = if count < 64 { ((1 << count) - 1) << (at % 64) } else { u64::MAX };
            change(&mut self.bits[(at / 64) as usize % words], mask);
            at += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SIZE: u64 = 256;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn it_finds_what_a_set_finds(
            steps in proptest::collection::vec((prop_oneof![
                4 => Just(0_i64), 2 => -5_i64..5, 1 => -300_i64..300, 1 => 0_i64..1500], 1_u64..100), 1..80),
            more in 0_u64..600,
        ) {
            let mut window = Window::new(SIZE as usize);
            let mut come = BTreeSet::new();
            let mut lost = BTreeSet::new();
            for (step, run) in steps {
                for n in 0..run {
                    let from = if n == 0 { step } else { 0 };
                    let sequence = window.next().saturating_add_signed(from);
                    let base = window.base;
                    let before = window.next();
                    let verdict = window.see(sequence, |range| {
                        for number in range {
                            assert!(lost.insert(number), "{number} is lost twice");
                        }
                    });
                    let expected = match sequence {
                        _ if sequence >= before => Verdict::Next,
                        // What a run holds is known however long it is.
                        _ if come.contains(&sequence) && (sequence >= base || sequence >= window.run) => Verdict::Again,
                        _ if sequence < base => Verdict::TooLate,
                        _ => Verdict::Late,
                    };
                    prop_assert_eq!(verdict, expected, "{} after {}", sequence, before);
                    match verdict {
                        Verdict::Next | Verdict::Late => prop_assert!(come.insert(sequence)),
                        Verdict::TooLate | Verdict::Again => {}
                    }
                }
            }
            let sent = window.next() + more;
            window.finish(sent, |range| {
                for number in range {
                    assert!(lost.insert(number), "{number} is lost twice");
                }
            });
            prop_assert_eq!(window.unique(), come.len() as u64);
            let all: BTreeSet<u64> = (0..sent).collect();
            prop_assert_eq!(all.difference(&come).copied().collect::<BTreeSet<_>>(), lost);
        }
    }

    #[test]
    fn what_is_far_back_is_too_late() {
        let mut window = Window::new(64);
        let mut lost = 0;
        let mut see = |sequence| window.see(sequence, |range| lost += range.end - range.start);
        assert_eq!(
            [0, 100, 99, 36, 0].map(&mut see),
            [Verdict::Next, Verdict::Next, Verdict::Late, Verdict::TooLate, Verdict::TooLate]
        );
        assert_eq!(see(1 << 30), Verdict::Next);
        assert_eq!(lost, (1 << 30) - 63 - 3);
    }
}
