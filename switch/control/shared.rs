//! What the control plane and the workers share, and who writes what.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use pollux_engine::fdb::Fdb;
use pollux_engine::{Snapshot, WorkerStats};
use pollux_net::{PortId, PortSet, WorkerId};

use crate::worker::{DpdkPlatform, RestPlan};

/// A snapshot with its place in the order of publication.
pub(crate) struct Published {
    pub(crate) epoch: u64,
    pub(crate) snapshot: Snapshot<DpdkPlatform>,
    /// How each worker rests.
    rest: Vec<RestPlan>,
}

impl Published {
    pub(crate) fn rest_of(&self, worker: WorkerId) -> RestPlan {
        self.rest.get(usize::from(worker.0)).copied().unwrap_or(RestPlan::NEVER)
    }
}

/// How far one worker is, on a cache line of its own. The worker writes, the control plane reads.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Adopted(AtomicU64);

/// One per switch.
pub(crate) struct Shared {
    /// All write it: workers learn, the control plane ages and flushes.
    pub(crate) fdb: Fdb,
    /// Written by the control plane, read by workers between bursts.
    pub(crate) published: ArcSwap<Published>,
    /// Ports with a link, as bits of a [`PortSet`]. Written by the control plane.
    links: AtomicU64,
    /// Whole seconds since the switch started. Written by the control plane.
    now_seconds: AtomicU32,
    /// Set once, by the control plane.
    stop: AtomicBool,
    /// Written by each worker for itself.
    adopted: Box<[Adopted]>,
    /// One per worker, written by it, read by anybody.
    pub(crate) stats: Box<[WorkerStats]>,
    /// Snapshots that a worker may still read. The control plane's.
    retired: Mutex<Vec<Arc<Published>>>,
}

impl Shared {
    pub(crate) fn new(fdb: Fdb, snapshot: Snapshot<DpdkPlatform>, rest: Vec<RestPlan>) -> Self {
        let workers = rest.len();
        Self {
            fdb,
            published: ArcSwap::from_pointee(Published { epoch: 0, snapshot, rest }),
            links: AtomicU64::new(0),
            now_seconds: AtomicU32::new(0),
            stop: AtomicBool::new(false),
            adopted: (0..workers).map(|_| Adopted::default()).collect(),
            stats: (0..workers).map(|_| WorkerStats::new()).collect(),
            retired: Mutex::default(),
        }
    }

    pub(crate) fn links(&self) -> PortSet {
        PortSet::from_bits(self.links.load(Ordering::Relaxed))
    }

    /// Returns whether that was news.
    pub(crate) fn set_link(&self, port: PortId, up: bool) -> bool {
        let bit = port.set().bits();
        let before = match up {
            true => self.links.fetch_or(bit, Ordering::Relaxed),
            false => self.links.fetch_and(!bit, Ordering::Relaxed),
        };
        (before & bit != 0) != up
    }

    pub(crate) fn now_seconds(&self) -> u32 {
        self.now_seconds.load(Ordering::Relaxed)
    }

    pub(crate) fn set_now_seconds(&self, seconds: u32) {
        self.now_seconds.store(seconds, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Tells that `worker` reads nothing older than `published` from now on.
    pub(crate) fn adopt(&self, worker: WorkerId, published: &Published) {
        self.adopted[usize::from(worker.0)].0.store(published.epoch, Ordering::Release);
    }

    /// Puts `snapshot` and how workers rest in place of the current ones. Workers take it up between bursts; the old one is
    /// kept until [`reclaim`](Self::reclaim) finds that all have.
    pub(crate) fn publish(&self, snapshot: Snapshot<DpdkPlatform>, rest: Vec<RestPlan>) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = self.published.load().epoch + 1;
        retired.push(self.published.swap(Arc::new(Published { epoch, snapshot, rest })));
    }

    /// A worker that hasn't taken up the current snapshot yet, if there is one.
    pub(crate) fn behind(&self) -> Option<WorkerId> {
        let epoch = self.published.load().epoch;
        let behind = self.adopted.iter().position(|worker| worker.0.load(Ordering::Acquire) < epoch);
        behind.map(|worker| WorkerId(worker as u8))
    }

    /// Frees snapshots that no worker reads any more, so that no worker ever has to. Returns how many
    /// are left waiting.
    pub(crate) fn reclaim(&self) -> usize {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let slowest = self.adopted.iter().map(|worker| worker.0.load(Ordering::Acquire)).min();
        retired.retain(|old| slowest.is_some_and(|epoch| old.epoch >= epoch));
        retired.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollux_engine::fdb::FdbOptions;

    fn shared(workers: usize) -> Shared {
        let fdb = Fdb::new(FdbOptions { capacity: 1024, ageing_seconds: 300, seed: 1 });
        Shared::new(fdb, Snapshot::new(&[]), vec![RestPlan::NEVER; workers])
    }

    #[test]
    fn an_old_snapshot_waits_for_the_slowest_worker() {
        let shared = shared(2);
        shared.publish(Snapshot::new(&[]), Vec::new());
        shared.publish(Snapshot::new(&[]), Vec::new());
        assert_eq!(shared.reclaim(), 2);
        assert_eq!(shared.behind(), Some(WorkerId(0)));
        shared.adopt(WorkerId(0), &shared.published.load());
        assert_eq!(shared.behind(), Some(WorkerId(1)));
        assert_eq!(shared.reclaim(), 2);
        shared.adopt(WorkerId(1), &shared.published.load());
        assert_eq!(shared.behind(), None);
        assert_eq!(shared.reclaim(), 0);
    }

    #[test]
    fn links_tell_what_is_news() {
        let shared = shared(1);
        let port = PortId::from_low_bits(3);
        assert!(shared.set_link(port, true));
        assert!(!shared.set_link(port, true));
        assert!(shared.links().contains(port));
        assert!(shared.set_link(port, false));
        assert!(shared.links().is_empty());
    }
}
