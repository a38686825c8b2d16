//! Where captured frames wait for whoever reads them: one ring for each worker, of whole words, so that records
//! need no lock and the reader no copy of a pointer.
//!
//! The worker writes words behind `written`, then moves `written` on; the reader reads words before it, then
//! moves `read` on. Each moves its own with Release and reads the other's with Acquire, so words are never read
//! while they are written. A second writer or reader would mix up records, not memory.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

use super::record::{HEAD_WORDS, Record, VOID};

/// On cache lines of its own: the processor fetches lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct OwnLines(AtomicU64);

#[derive(Debug)]
pub(super) struct Ring {
    /// As many as a power of two.
    words: Box<[AtomicU64]>,
    /// Words written since the start. The worker's.
    written: OwnLines,
    /// Words read since the start. The reader's.
    read: OwnLines,
}

const WORD: usize = size_of::<u64>();

impl Ring {
    /// Room for so many octets, rounded up.
    pub(super) fn new(octets: usize) -> Self {
        let words = (octets / WORD).next_power_of_two();
        Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            written: OwnLines::default(),
            read: OwnLines::default(),
        }
    }

    /// The worker begins to write.
    pub(super) fn session(&self) -> Session<'_> {
        let start = self.written.0.load(Ordering::Relaxed);
        let end = self.read.0.load(Ordering::Acquire) + self.words.len() as u64;
        Session { ring: self, start, at: start, end }
    }

    /// The first record, if there is one. For the reader, as all that follows.
    pub(super) fn first(&self) -> Option<Record> {
        loop {
            let at = self.read.0.load(Ordering::Relaxed);
            if at == self.written.0.load(Ordering::Acquire) {
                return None;
            }
            let head = self.head(at);
            let (record, words) = Record::from_head(head);
            if head[0] & VOID == 0 {
                return Some(record);
            }
            self.read.0.store(at + words as u64, Ordering::Release);
        }
    }

    /// Takes the first record out, which must be there, and adds its octets to `octets`.
    pub(super) fn take(&self, octets: &mut Vec<u8>) {
        let at = self.read.0.load(Ordering::Relaxed);
        let (record, words) = Record::from_head(self.head(at));
        let mut left = record.kept;
        for place in at + HEAD_WORDS as u64..at + words as u64 {
            let word = self.word(place).load(Ordering::Relaxed).to_ne_bytes();
            octets.extend(&word[..left.min(WORD)]);
            left = left.saturating_sub(WORD);
        }
        self.read.0.store(at + words as u64, Ordering::Release);
    }

    /// How full it is, from 0 to 1.
    pub(super) fn fill(&self) -> f64 {
        let waiting = self.written.0.load(Ordering::Relaxed) - self.read.0.load(Ordering::Relaxed);
        waiting as f64 / self.words.len() as f64
    }

    fn head(&self, at: u64) -> [u64; HEAD_WORDS] {
        array::from_fn(|word| self.word(at + word as u64).load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn word(&self, at: u64) -> &AtomicU64 {
        &self.words[at as usize & (self.words.len() - 1)]
    }
}

/// Records that a worker is writing. The reader sees them once they are [published](Self::publish); those of
/// a session that is dropped were never there.
pub(crate) struct Session<'a> {
    ring: &'a Ring,
    start: u64,
    at: u64,
    end: u64,
}

impl Session<'_> {
    /// Adds a record with the first octets of `pieces`. Returns whether there was room.
    #[must_use]
    pub(super) fn add<'p>(&mut self, record: &Record, pieces: impl Iterator<Item = &'p [u8]>) -> bool {
        let words = record.words() as u64;
        if self.at + words > self.end {
            return false;
        }
        for (place, word) in (self.at..).zip(record.to_head()) {
            self.ring.word(place).store(word, Ordering::Relaxed);
        }
        self.fill(self.at + HEAD_WORDS as u64, pieces, record.kept);
        self.at += words;
        true
    }

    fn fill<'p>(&self, mut at: u64, pieces: impl Iterator<Item = &'p [u8]>, mut left: usize) {
        let mut put = |word| {
            self.ring.word(at).store(u64::from_ne_bytes(word), Ordering::Relaxed);
            at += 1;
        };
        // What a piece before ended with.
        let (mut begun, mut len) = ([0; WORD], 0);
        for piece in pieces {
            let mut rest = &piece[..piece.len().min(left)];
            left -= rest.len();
            if len > 0 {
                let now;
                (now, rest) = rest.split_at(rest.len().min(WORD - len));
                begun[len..len + now.len()].copy_from_slice(now);
                len += now.len();
                if len < WORD {
                    continue;
                }
                put(begun);
            }
            let (whole, tail) = rest.as_chunks();
            whole.iter().copied().for_each(&mut put);
            begun[..tail.len()].copy_from_slice(tail);
            len = tail.len();
            if left == 0 {
                break;
            }
        }
        if len > 0 {
            put(begun);
        }
    }

    /// Has those of the session's records count for nothing whose bit isn't set.
    pub(super) fn keep_only(&mut self, mut bits: impl Iterator<Item = bool>) {
        let mut at = self.start;
        while at < self.at {
            let head = self.ring.word(at).load(Ordering::Relaxed);
            if !bits.next().unwrap_or(false) {
                self.ring.word(at).store(head | VOID, Ordering::Relaxed);
            }
            at += u64::from(head as u32);
        }
    }

    /// Lets the reader see them.
    pub(super) fn publish(self) {
        if self.at > self.start {
            self.ring.written.0.store(self.at, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;
    use crate::tap::Point;
    use pollux_net::PortId;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn record(octets: &[u8], kept: usize, number: u64) -> Record {
        let point = match number % 3 {
            0 => Point::Rx,
            1 => Point::Tx,
            _ => Point::Dropped {
                reason: Reason::ALL[number as usize % Reason::ALL.len()],
                inbound: number.is_multiple_of(2),
            },
        };
        Record {
            port: PortId::from_low_bits(number),
            point,
            cycles: number,
            kept: kept.min(octets.len()),
            len: octets.len(),
        }
    }

    fn next(ring: &Ring) -> Option<(Record, Vec<u8>)> {
        let record = ring.first()?;
        let mut octets = Vec::new();
        ring.take(&mut octets);
        Some((record, octets))
    }

    proptest! {
        /// Whatever the lengths and pieces are, what is read is what was written, in order; what doesn't fit is
        /// refused, and nothing else.
        #[test]
        fn what_fits_is_read_as_it_was_written(
            bursts in vec((vec((vec(any::<u8>(), 0..200), 1..50_usize, any::<bool>()), 0..8), any::<bool>()), 1..20),
            kept in 0..200_usize,
        ) {
            let ring = Ring::new(4096);
            let mut expected = std::collections::VecDeque::new();
            let mut number = 0;
            for (burst, reads) in &bursts {
                let waiting: usize = expected.iter().map(|(record, _): &(Record, Vec<u8>)| record.words()).sum();
                let mut session = ring.session();
                let mut used = waiting;
                let (mut added, mut keep) = (Vec::new(), Vec::new());
                for (octets, piece, taken) in burst {
                    let record = record(octets, kept, number);
                    number += 1;
                    let room = session.add(&record, octets.chunks(*piece));
                    prop_assert_eq!(room, used + record.words() <= 512);
                    if room {
                        used += record.words();
                        keep.push(*taken);
                        added.push((record, octets[..record.kept].to_vec()));
                    }
                }
                prop_assert_eq!(ring.first().is_some(), !expected.is_empty());
                session.keep_only(keep.iter().copied());
                session.publish();
                expected.extend(added.into_iter().zip(keep).filter_map(|(one, keep)| keep.then_some(one)));
                // Void records take room until the reader comes by.
                if *reads || expected.is_empty() || used > waiting {
                    while let Some(one) = next(&ring) {
                        prop_assert_eq!(Some(one), expected.pop_front());
                    }
                    prop_assert!(expected.is_empty());
                }
            }
        }
    }

    #[test]
    fn a_reader_beside_a_writer_reads_all_in_order() {
        const RECORDS: u64 = 20_000;
        let ring = Ring::new(4096);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut number = 0;
                while number < RECORDS {
                    let octets = vec![number as u8; number as usize % 150];
                    let mut session = ring.session();
                    number +=
                        u64::from(session.add(&record(&octets, 100, number), std::iter::once(&*octets)));
                    session.publish();
                }
            });
            for number in 0..RECORDS {
                let (read, octets) = loop {
                    match next(&ring) {
                        Some(read) => break read,
                        None => std::thread::yield_now(),
                    }
                };
                let wanted = vec![number as u8; number as usize % 150];
                assert_eq!(read, record(&wanted, 100, number));
                assert_eq!(octets, wanted[..read.kept]);
            }
        });
        assert!(next(&ring).is_none() && ring.fill() == 0.0);
    }
}
