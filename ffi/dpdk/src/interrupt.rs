//! Waiting until a device says that frames have come, instead of asking it over and over.

use std::collections::HashSet;
use std::time::Duration;

use arrayvec::ArrayVec;
use dpdk_sys as sys;

use crate::RxQueue;

/// Queues that one thread waits for at once.
const MOST: usize = 32;

/// A queue that may end a wait of the calling thread, until this is dropped.
struct Armed<'q>(&'q mut RxQueue);

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        let (port, queue) = (self.0.port(), self.0.index());
        // SAFETY: both take any numbers. The queue's lease keeps the port started, only its owner, whom the
        // reference stands for, tells it to interrupt or not, and what is taken away is what `arm` added.
        unsafe {
            sys::rte_eth_dev_rx_intr_disable(port, queue);
            let (epoll, operation) = (sys::SHIM_EPOLL_PER_THREAD, sys::SHIM_INTR_EVENT_DEL);
            sys::rte_eth_dev_rx_intr_ctl_q(port, queue, epoll, operation, std::ptr::null_mut());
        }
    }
}

/// Whether each of a started port's rx queues has an interrupt of its own. Of queues that share a vector, a second
/// thread that waits would be told that it was added and never be woken (DPDK makes success of -EEXIST).
pub(crate) fn is_each_told_apart(port: u16, queues: u16) -> bool {
    // SAFETY: takes any numbers.
    let descriptor = |queue| unsafe { sys::rte_eth_dev_rx_intr_ctl_q_get_fd(port, queue) };
    queues == 1 || all_differ((0..queues).map(descriptor))
}

/// Whether all are descriptors, and no two the same.
fn all_differ(mut descriptors: impl Iterator<Item = i32>) -> bool {
    let mut seen = HashSet::new();
    descriptors.all(|descriptor| descriptor >= 0 && seen.insert(descriptor))
}

impl RxQueue {
    /// Whether the device can say that frames have come on this queue: only where its port was started
    /// [so](crate::PortConfig::rx_interrupts). Never on a VM's port: having a VM say so isn't safe beside the
    /// thread by which the VM goes away (DPDK 22.11).
    pub fn has_interrupt(&mut self) -> bool {
        self.arm().is_some()
    }

    fn arm(&mut self) -> Option<Armed<'_>> {
        if !self.may_interrupt() {
            return None;
        }
        let (port, queue) = (self.port(), self.index());
        let (epoll, operation) = (sys::SHIM_EPOLL_PER_THREAD, sys::SHIM_INTR_EVENT_ADD);
        // SAFETY: takes any numbers. The lease keeps the port started. What is added is the queue's alone, as
        // `may_interrupt` is of ports whose queues share no vector, and so the calling thread's until `Armed` takes
        // it away, before the queue can go.
        let added =
            unsafe { sys::rte_eth_dev_rx_intr_ctl_q(port, queue, epoll, operation, std::ptr::null_mut()) };
        if added != 0 {
            return None;
        }
        // A device without this operation interrupts anyhow.
        // SAFETY: takes any numbers; only the queue's owner tells it.
        unsafe { sys::rte_eth_dev_rx_intr_enable(port, queue) };
        Some(Armed(self))
    }

    /// Descriptors that hold frames which have come; `None` where the device can't tell, or it isn't safe to ask
    /// it, as on a VM's port. May look at each of them.
    pub fn fill(&mut self) -> Option<u32> {
        if self.is_vms() {
            return None;
        }
        // SAFETY: the lease keeps the port started and the queue set up, and `&mut self` keeps whoever would
        // receive on it out.
        let count = unsafe { sys::shim_rx_queue_count(self.port(), self.index()) };
        u32::try_from(count).ok()
    }
}

/// Waits until frames come on one of `queues`, but no longer than `timeout`, which is rounded up to
/// milliseconds. Returns whether some came. `None`, at once: one of the queues can't interrupt, or there are
/// more than 32.
pub fn await_frames<'q>(queues: impl Iterator<Item = &'q mut RxQueue>, timeout: Duration) -> Option<bool> {
    let mut armed = ArrayVec::<_, MOST>::new();
    for queue in queues {
        armed.try_push(queue.arm()?).ok()?;
    }
    // What came before its queue was armed needn't interrupt.
    if armed.iter_mut().any(|armed| armed.0.fill().is_some_and(|frames| frames > 0)) {
        return Some(true);
    }
    let mut events = [sys::rte_epoll_event::default(); MOST];
    let milliseconds = timeout.as_micros().div_ceil(1000).try_into().unwrap_or(i32::MAX);
    // SAFETY: the array has as many places as said, and outlives the call.
    let came = unsafe {
        sys::rte_epoll_wait(sys::SHIM_EPOLL_PER_THREAD, events.as_mut_ptr(), MOST as i32, milliseconds)
    };
    Some(came > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_that_share_a_vector_are_not_told_apart() {
        let apart = |descriptors: &[i32]| all_differ(descriptors.iter().copied());
        assert!(apart(&[7, 8, 9]));
        assert!(!apart(&[7, 8, 7]));
        assert!(!apart(&[7, -1]), "one without");
    }
}
