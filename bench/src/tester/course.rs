//! What all workers of a trial go by, and tell each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::label::Clock;
use crate::host::interrupt;

/// Ends whatever polls.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is time to end: by a signal, or because nobody is there to be answered any more.
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) || interrupt::check().is_err()
    }
}

/// A trial's times, and how far its streams are. Times are moments of the time stamp counter.
#[derive(Debug)]
pub(super) struct Course {
    /// What the trial's frames are known by: an even number. Those that greet have the next.
    pub(super) epoch: u16,
    pub(super) clock: Clock,
    /// When sending begins, and the window.
    pub(super) start: u64,
    pub(super) open: u64,
    /// When the window ends; earlier if there is nothing more to send.
    close: AtomicU64,
    /// Cycles to wait for the last frames.
    pub(super) drain: u64,
    /// Cycles of an interval.
    pub(super) interval: u64,
    /// Bursts that a port may take before it is the next one's turn: as many as others may send to it meanwhile.
    pub(super) bursts: usize,
    /// By stream: the first sequence number of the window. The sender writes it before it sends that frame.
    begins: Vec<AtomicU64>,
    /// By stream: how many frames were sent. The sender writes it when it sends no more.
    sent: Vec<AtomicU64>,
    /// Whether streams send only so many frames, all of them.
    pub(super) limited: bool,
    /// Whether frames may come that nobody waits for.
    pub(super) patient: bool,
    /// Workers that have something left to send.
    sending: AtomicUsize,
}

/// What is known of a stream that hasn't come so far.
const UNKNOWN: u64 = u64::MAX;

impl Course {
    pub(super) fn new(epoch: u16, clock: Clock, streams: usize, workers: usize) -> Self {
        let unknown = || (0..streams).map(|_| AtomicU64::new(UNKNOWN)).collect();
        Self {
            epoch,
            clock,
            start: 0,
            open: 0,
            close: AtomicU64::new(0),
            drain: 0,
            interval: 1,
            bursts: 1,
            begins: unknown(),
            sent: unknown(),
            limited: false,
            patient: false,
            sending: AtomicUsize::new(workers),
        }
    }

    /// Sets the window's end, before anybody polls.
    pub(super) fn close_at(&mut self, close: u64) {
        *self.close.get_mut() = close;
    }

    pub(super) fn greeting_epoch(&self) -> u16 {
        self.epoch | 1
    }

    #[inline(always)]
    pub(super) fn close(&self) -> u64 {
        self.close.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(super) fn begin(&self, stream: usize) -> u64 {
        self.begins[stream].load(Ordering::Acquire)
    }

    pub(super) fn set_begin(&self, stream: usize, sequence: u64) {
        self.begins[stream].store(sequence, Ordering::Release);
    }

    /// How many frames of a stream were sent, once that is known.
    pub(super) fn sent(&self, stream: usize) -> Option<u64> {
        Some(self.sent[stream].load(Ordering::Acquire)).filter(|sent| *sent != UNKNOWN)
    }

    pub(super) fn set_sent(&self, stream: usize, frames: u64) {
        self.sent[stream].store(frames, Ordering::Release);
    }

    /// A worker has nothing left to send. When the last has, the window ends.
    pub(super) fn has_sent_all(&self, now: u64) {
        if self.sending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close.fetch_min(now, Ordering::AcqRel);
        }
    }
}
