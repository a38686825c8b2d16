//! A started port's queues: one owner each, who may be any thread.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use arrayvec::ArrayVec;
use dpdk_sys as sys;

use crate::Mbuf;
use crate::port::{Direction, Inner};
use crate::vhost_ring::VhostRing;

/// The right to one queue of a started port. The port stays started for as long as it is out.
struct Lease {
    port: Arc<Inner>,
    direction: Direction,
    queue: u16,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.port.queue_returned(self.direction, self.queue);
    }
}

/// Makes a type one that a thread can give to another but not share.
type NotSync = PhantomData<Cell<()>>;

/// A queue to receive from. It belongs to one thread at a time; dropping it returns it to its port.
///
/// There is none before a port starts:
///
/// ```compile_fail,E0599
/// fn f(mut port: dpdk::Port<dpdk::Stopped>) {
///     let queues = port.take_queues();
/// }
/// ```
///
/// and it can't be in two places:
///
/// ```compile_fail,E0599
/// fn f(queue: dpdk::RxQueue) {
///     let twice = (queue.clone(), queue);
/// }
/// ```
pub struct RxQueue {
    port: u16,
    queue: u16,
    /// The VM's, where the port is one.
    ring: Option<Arc<VhostRing>>,
    lease: Lease,
    _not_sync: NotSync,
}

/// A queue to transmit on. It belongs to one thread at a time; dropping it returns it to its port.
///
/// Two threads can't use one without a lock ([`SharedTxQueue`](crate::SharedTxQueue)):
///
/// ```compile_fail,E0277
/// fn share<T: Sync>() {}
/// share::<dpdk::TxQueue>();
/// ```
pub struct TxQueue {
    port: u16,
    queue: u16,
    /// The VM's, where the port is one.
    ring: Option<Arc<VhostRing>>,
    lease: Lease,
    _not_sync: NotSync,
}

impl RxQueue {
    pub(crate) fn new(port: Arc<Inner>, queue: u16) -> Self {
        Self {
            port: port.number(),
            queue,
            ring: port.vhost_ring(Direction::Rx, queue),
            lease: Lease { port, direction: Direction::Rx, queue },
            _not_sync: PhantomData,
        }
    }

    /// The port's number in DPDK.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The queue's number within its port.
    pub fn index(&self) -> u16 {
        self.queue
    }

    /// The port's name in DPDK.
    pub fn port_name(&self) -> &str {
        self.lease.port.name()
    }

    /// Puts frames that have arrived into the spare capacity of `burst`, behind what is there, and
    /// returns how many. Never waits. Leave room for 4 or more: vector drivers deal in fours.
    #[inline]
    pub fn receive<const N: usize>(&mut self, burst: &mut ArrayVec<Mbuf, N>) -> usize {
        self.receive_some(burst, u16::MAX)
    }

    /// As [`receive`](Self::receive), no more than `most`: 4 at least, or a vector driver gives nothing.
    #[inline]
    pub fn receive_some<const N: usize>(&mut self, burst: &mut ArrayVec<Mbuf, N>, most: u16) -> usize {
        let len = burst.len();
        let room = (N - len).min(usize::from(most)) as u16;
        // SAFETY: the lease keeps the port started and the queue set up, and `&mut self`, with the one
        // RxQueue there is of it, keeps other threads out. The device writes at most `room` pointers
        // behind the first `len`, where they fit; Mbuf is such a pointer (transparent), and each is an
        // mbuf that the device gives away for good.
        let received = unsafe {
            let spare = burst.as_mut_ptr().add(len).cast::<*mut sys::rte_mbuf>();
            let received = usize::from(sys::shim_rx_burst(self.port, self.queue, spare, room));
            burst.set_len(len + received);
            received
        };
        if let Some(ring) = &self.ring {
            ring.advance(received);
        }
        received
    }

    /// Whether the port was started with interrupts for its rx queues.
    pub(crate) fn may_interrupt(&self) -> bool {
        self.lease.port.rx_interrupts()
    }

    /// Whether the port is a VM's.
    pub(crate) fn is_vms(&self) -> bool {
        self.lease.port.is_vms()
    }

    /// Asks the processor for what the next [`receive`](Self::receive) reads first, so that it needn't
    /// wait for it: on a VM's port, the VM's ring. A hint, of use some hundred cycles before.
    #[inline]
    pub fn prefetch(&self) {
        if let Some(ring) = &self.ring {
            ring.prefetch();
        }
    }
}

impl TxQueue {
    pub(crate) fn new(port: Arc<Inner>, queue: u16) -> Self {
        Self {
            port: port.number(),
            queue,
            ring: port.vhost_ring(Direction::Tx, queue),
            lease: Lease { port, direction: Direction::Tx, queue },
            _not_sync: PhantomData,
        }
    }

    /// The port's number in DPDK.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The queue's number within its port.
    pub fn index(&self) -> u16 {
        self.queue
    }

    /// The port's name in DPDK.
    pub fn port_name(&self) -> &str {
        self.lease.port.name()
    }

    /// Hands frames to the device, from the front, as many as it takes; returns how many. The rest stay
    /// in `burst`, in order. Never waits.
    #[inline]
    pub fn transmit<const N: usize>(&mut self, burst: &mut ArrayVec<Mbuf, N>) -> usize {
        let len = burst.len();
        let offered = len.min(usize::from(u16::MAX));
        // SAFETY: the lease keeps the port started and the queue set up, and `&mut self`, with the one
        // TxQueue there is of it, keeps other threads out. The array holds `len` mbufs (Mbuf is a
        // pointer, transparent). The device owns the first `sent` from here on; the others move to
        // the front, and the length covers them alone, so no frame has two owners or none.
        let sent = unsafe {
            let first = burst.as_mut_ptr();
            let sent = sys::shim_tx_burst(self.port, self.queue, first.cast(), offered as u16);
            let sent = usize::from(sent).min(offered);
            if sent < len {
                std::ptr::copy(first.add(sent), first, len - sent);
            }
            burst.set_len(len - sent);
            sent
        };
        if let Some(ring) = &self.ring {
            ring.advance(sent);
        }
        sent
    }

    /// The VM's ring, where the port is a VM's.
    pub(crate) fn ring(&self) -> Option<Arc<VhostRing>> {
        self.ring.clone()
    }
}

impl fmt::Debug for RxQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rx queue {} of {}", self.queue, self.port_name())
    }
}

impl fmt::Debug for TxQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tx queue {} of {}", self.queue, self.port_name())
    }
}
