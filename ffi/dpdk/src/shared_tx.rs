//! A tx queue that several workers use.

use std::fmt;
use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::vhost_ring::VhostRing;
use crate::{Mbuf, TxQueue};

/// A tx queue behind a spin lock, for ports with fewer queues than there are workers (a VM decides how
/// many it has). The lock is taken once a burst, and not at all for an empty one.
///
/// Why a spin lock: it is held for one `transmit`, which never waits, by workers that have a processor
/// each and do nothing but poll; a lock that sleeps would cost more in the kernel than the burst takes.
/// A thread that shares its processor with another shouldn't use one.
#[derive(Clone)]
pub struct SharedTxQueue {
    queue: Arc<spin::Mutex<TxQueue>>,
    ring: Option<Arc<VhostRing>>,
}

impl SharedTxQueue {
    /// Shares `queue`. It returns to its port with the last clone.
    pub fn new(queue: TxQueue) -> Self {
        let ring = queue.ring();
        Self { queue: Arc::new(spin::Mutex::new(queue)), ring }
    }

    /// As [`TxQueue::transmit`], one thread at a time.
    #[inline]
    pub fn transmit<const N: usize>(&self, burst: &mut ArrayVec<Mbuf, N>) -> usize {
        if burst.is_empty() {
            return 0;
        }
        self.queue.lock().transmit(burst)
    }

    /// Asks the processor for what the next [`transmit`](Self::transmit) reads first, as
    /// [`RxQueue::prefetch`](crate::RxQueue::prefetch) does for a receive. Takes no lock.
    #[inline]
    pub fn prefetch(&self) {
        if let Some(ring) = &self.ring {
            ring.prefetch();
        }
    }

    /// As [`transmit`](Self::transmit), but `None` at once if another thread is at it.
    #[inline]
    pub fn try_transmit<const N: usize>(&self, burst: &mut ArrayVec<Mbuf, N>) -> Option<usize> {
        Some(self.queue.try_lock()?.transmit(burst))
    }
}

impl From<TxQueue> for SharedTxQueue {
    fn from(queue: TxQueue) -> Self {
        Self::new(queue)
    }
}

impl fmt::Debug for SharedTxQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.queue.try_lock() {
            Some(queue) => write!(f, "shared {queue:?}"),
            None => f.write_str("shared tx queue, in use"),
        }
    }
}
