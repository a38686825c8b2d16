//! How frames go to a VM: which of its queues, and what becomes of those it refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use dpdk::{Mbuf, SharedTxQueue};
use pollux_engine::datapath::BURST;
use pollux_net::{Frame, Offloads, WorkerId, flow_hash};

/// Queues over which one worker spreads what it sends to a VM. More would make bursts of a frame or two.
const MAX_SPREAD: usize = 8;

/// Octets of a frame that any buffer of a VM should hold: 1526 with virtio's header (virtio 1.2, clause
/// 5.1.6.3.1).
const SURE_TO_FIT: usize = 1526 - 12;

type Burst = ArrayVec<Mbuf, BURST>;

/// A VM's queues.
#[derive(Clone)]
pub(crate) struct VhostSink {
    pub(crate) queues: Arc<[SharedTxQueue]>,
    /// Bit n: the VM receives on queue n. Written by the control plane.
    pub(crate) enabled: Arc<AtomicU64>,
    /// What is known of the VM.
    pub(crate) vm: dpdk::Vhost,
    /// How many workers send to it.
    pub(crate) workers: u8,
}

impl VhostSink {
    /// The VM's only queue, if it enables one.
    #[inline]
    fn only_queue(&self, enabled: u64) -> Option<&SharedTxQueue> {
        if enabled.is_power_of_two() { self.queues.get(enabled.trailing_zeros() as usize) } else { None }
    }

    /// The queues that `worker` sends on, of those that are enabled.
    fn queues_of(&self, worker: WorkerId, enabled: u64) -> ArrayVec<&SharedTxQueue, MAX_SPREAD> {
        share(enabled, worker.0, self.workers).filter_map(|queue| self.queues.get(queue)).collect()
    }

    /// Has the lines of the VM's rings fetched that sending reads first.
    #[inline]
    pub(crate) fn prefetch(&self, worker: WorkerId) {
        let enabled = self.enabled.load(Ordering::Relaxed);
        match self.only_queue(enabled) {
            Some(queue) => queue.prefetch(),
            None => self.queues_of(worker, enabled).into_iter().for_each(SharedTxQueue::prefetch),
        }
    }

    /// Takes from `frames` what the VM can take; the rest stays, each flow of it in order.
    #[inline]
    pub(crate) fn transmit(&self, worker: WorkerId, frames: &mut Burst) {
        let enabled = self.enabled.load(Ordering::Relaxed);
        match self.only_queue(enabled) {
            Some(queue) => {
                transmit(queue, frames);
            }
            None => spread(&self.queues_of(worker, enabled), frames, |queue, frames| {
                transmit(queue, frames);
            }),
        }
    }

    /// As [`transmit`](Self::transmit), for frames that can wait: none of a flow leaves before one that stays.
    /// Returns how many of those that stay, the first ones, fit no buffer of the VM.
    #[inline]
    pub(crate) fn transmit_in_order(&self, worker: WorkerId, frames: &mut Burst) -> usize {
        if !self.vm.is_mergeable() {
            return self.transmit_by_length(worker, frames);
        }
        let enabled = self.enabled.load(Ordering::Relaxed);
        match self.only_queue(enabled) {
            Some(queue) => {
                queue.transmit(frames);
            }
            None => spread(&self.queues_of(worker, enabled), frames, |queue, frames| {
                queue.transmit(frames);
            }),
        }
        0
    }

    /// What no buffer holds is passed over: that it doesn't fit shows when something behind it does.
    #[cold]
    fn transmit_by_length(&self, worker: WorkerId, frames: &mut Burst) -> usize {
        let enabled = self.enabled.load(Ordering::Relaxed);
        let mut unfit = Burst::new();
        spread(&self.queues_of(worker, enabled), frames, |queue, frames| {
            let count = transmit(queue, frames);
            unfit.extend(frames.drain(..count));
        });
        let count = unfit.len();
        unfit.extend(frames.drain(..));
        *frames = unfit;
        count
    }

    /// Whether the VM may refuse some frames for as long as it takes others.
    pub(crate) fn is_choosy(&self) -> bool {
        !self.enabled.load(Ordering::Relaxed).is_power_of_two() || !self.vm.is_mergeable()
    }

    /// What the VM takes unfinished.
    #[inline]
    pub(crate) fn takes(&self) -> Offloads {
        self.vm.takes()
    }
}

/// Of the queues whose bits are set, those of one of `workers`, at most [`MAX_SPREAD`]: an equal share, or
/// one that others use too where there are fewer queues than workers.
fn share(enabled: u64, worker: u8, workers: u8) -> impl Iterator<Item = usize> {
    let count = enabled.count_ones();
    let (first, step) = match count {
        0 => (0, 1),
        _ if count <= workers.into() => (u32::from(worker) % count, count),
        _ => (worker.into(), workers.into()),
    };
    let mut left = enabled;
    let places = std::iter::from_fn(move || {
        let place = (left != 0).then(|| left.trailing_zeros() as usize);
        left &= left.wrapping_sub(1);
        place
    });
    places.skip(first as usize).step_by(step as usize).take(MAX_SPREAD)
}

/// Has `send` send each flow on the queue that its hash chooses.
#[inline(never)]
fn spread(queues: &[&SharedTxQueue], frames: &mut Burst, mut send: impl FnMut(&SharedTxQueue, &mut Burst)) {
    if let [] | [_] = queues {
        return queues.iter().for_each(|queue| send(queue, frames));
    }
    let mut bursts: [Burst; MAX_SPREAD] = std::array::from_fn(|_| Burst::new());
    for frame in frames.drain(..) {
        let queue = (u64::from(flow_hash(frame.head())) * queues.len() as u64) >> 32;
        bursts[queue as usize].push(frame);
    }
    for (queue, burst) in queues.iter().zip(&mut bursts) {
        send(queue, burst);
        frames.extend(burst.drain(..));
    }
}

/// Returns how many of the frames that stay, the first ones, were passed over.
#[inline]
fn transmit(queue: &SharedTxQueue, frames: &mut Burst) -> usize {
    queue.transmit(frames);
    let long = frames.first().is_some_and(|frame| frame.len() > SURE_TO_FIT);
    if long { transmit_behind_long(queue, frames) } else { 0 }
}

/// Goes on behind frames that a VM refused and that may be longer than its buffers, as they are where it
/// has no mergeable ones: they don't keep back those that fit.
#[cold]
fn transmit_behind_long(queue: &SharedTxQueue, frames: &mut Burst) -> usize {
    let mut refused = Burst::new();
    let mut passed_over = 0;
    while frames.first().is_some_and(|frame| frame.len() > SURE_TO_FIT) {
        refused.push(frames.remove(0));
        if queue.transmit(frames) > 0 {
            passed_over = refused.len();
        }
    }
    refused.extend(frames.drain(..));
    *frames = refused;
    passed_over
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(enabled: u64, workers: u8) -> Vec<Vec<usize>> {
        (0..workers).map(|worker| share(enabled, worker, workers).collect()).collect()
    }

    #[test]
    fn workers_share_queues_where_there_are_fewer() {
        assert_eq!(shares(0, 2), [vec![], vec![]] as [Vec<usize>; 2]);
        assert_eq!(shares(0b1000, 3), [[3], [3], [3]]);
        assert_eq!(shares(0b110, 3), [[1], [2], [1]]);
        assert_eq!(shares(0b111, 3), [[0], [1], [2]]);
    }

    #[test]
    fn queues_are_one_workers_each_where_there_are_more() {
        assert_eq!(shares(0b1111, 1), [[0, 1, 2, 3]]);
        assert_eq!(shares(0b11_0111, 2), [vec![0, 2, 5], vec![1, 4]]);
        assert_eq!(shares(u64::MAX, 1), [(0..MAX_SPREAD).collect::<Vec<_>>()]);
    }
}
