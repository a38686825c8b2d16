use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pollux_net::WorkerId;

use crate::stats::bump;

/// What a mirror has done, by worker. A worker writes its own, anybody reads.
#[derive(Debug)]
pub struct MirrorCounts(Box<[Counts]>);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Counts {
    frames: AtomicU64,
    octets: AtomicU64,
    lost: AtomicU64,
}

/// What a mirror has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MirrorTotals {
    /// Frames that it chose and made copies of.
    pub frames: u64,
    /// Octets of one copy of each.
    pub octets: u64,
    /// Frames that it chose and made no copy of: where it should go has no link, or no buffer was free.
    pub lost: u64,
}

impl MirrorCounts {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Counts::default()).collect())
    }

    /// Over all workers.
    pub fn totals(&self) -> MirrorTotals {
        let of =
            |field: fn(&Counts) -> &AtomicU64| self.0.iter().map(|counts| field(counts).load(Relaxed)).sum();
        MirrorTotals {
            frames: of(|counts| &counts.frames),
            octets: of(|counts| &counts.octets),
            lost: of(|counts| &counts.lost),
        }
    }

    pub(crate) fn count(&self, worker: WorkerId, octets: usize) {
        let counts = &self.0[usize::from(worker.0)];
        bump(&counts.frames, 1);
        bump(&counts.octets, octets as u64);
    }

    pub(crate) fn count_lost(&self, worker: WorkerId) {
        bump(&self.0[usize::from(worker.0)].lost, 1);
    }
}
