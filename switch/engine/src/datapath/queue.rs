//! Lets frames wait for ports that have classes: for room in the device, or for a rate.
//!
//! Batch: one port's outbox, in order, and what waits from before. What needn't wait goes straight to the
//! device. Drops, on that port: [`Reason::QueueFull`], [`Reason::Wred`]; [`Reason::TxFull`] for what the
//! device has no buffer for; [`Reason::PortDown`] for what waits when the link is lost.

use arrayvec::ArrayVec;
use pollux_net::{Frame, PortId, TrafficClass};

use super::Context;
use super::batch::BURST;
use super::platform::Platform;
use crate::Reason;
use crate::qos::{EgressQos, Queues, Slot, Taken};

/// Bursts that leave a port in one turn: enough that what several receive queues brought in a round leaves
/// within it, and few enough that no port keeps a worker from the others.
const BURSTS: usize = 4;

/// Frames with which a port is tried that took none the last time.
const TRIAL: usize = 4;

/// Octets of a frame that any buffer of a VM should hold: 1526 with virtio's header (virtio 1.2, clause
/// 5.1.6.3.1).
const SURE_TO_FIT: usize = 1526 - 12;

/// Sends the outbox of a port with classes, or has it wait.
pub(super) fn send<P: Platform>(
    port: PortId,
    qos: &EgressQos<P::Frame>,
    frames: &mut ArrayVec<P::Frame, BURST>,
    context: &Context<'_, P>,
    platform: &mut P,
) {
    let (slot, mine) = qos.slot(context.worker);
    if qos.goes_straight(context.worker) && !slot.is_backlogged() {
        go_straight(port, qos, frames, context, platform);
        if frames.is_empty() {
            return;
        }
    }
    let mut queues = slot.lock();
    let refused = queues.enqueue(frames.drain(..), slot, qos, context.now_cycles);
    context.stats.count_drops(port, Reason::QueueFull, refused.full);
    context.stats.count_drops(port, Reason::Wred, refused.early);
    if mine {
        serve(port, qos, slot, &mut queues, context, platform);
    }
    queues.publish(slot);
}

/// Sends what waits, where this worker does that.
#[inline]
pub(super) fn serve_waiting<P: Platform>(context: &Context<'_, P>, platform: &mut P) {
    for port in context.snapshot.with_classes().iter() {
        let Some(qos) = &context.snapshot.port(port).egress else { continue };
        let slot = qos.queues().slot(context.worker);
        if slot.is_backlogged() {
            let mut queues = slot.lock();
            serve(port, qos, slot, &mut queues, context, platform);
            queues.publish(slot);
        }
    }
}

/// Hands frames to the device that nothing waits before; those that it has no room for stay.
fn go_straight<P: Platform>(
    port: PortId,
    qos: &EgressQos<P::Frame>,
    frames: &mut ArrayVec<P::Frame, BURST>,
    context: &Context<'_, P>,
    platform: &mut P,
) {
    let offered = Sums::of(frames);
    platform.transmit(port, frames);
    let left = if frames.is_empty() { offered } else { offered.without(&Sums::of(frames)) };
    let slot = qos.queues().slot(context.worker);
    let (mut count, mut bytes) = (0, 0);
    for class in TrafficClass::all() {
        let (frames, octets) = left.0[class.index()];
        if frames > 0 {
            slot.count_straight(class, frames, octets);
            count += frames;
            bytes += octets;
        }
    }
    context.stats.count_tx(port, count, bytes);
}

/// Frames and octets, by class.
struct Sums([(u64, u64); TrafficClass::COUNT]);

impl Sums {
    #[inline]
    fn of<F: Frame>(frames: &[F]) -> Self {
        let mut sums = [(0, 0); TrafficClass::COUNT];
        for frame in frames {
            let (count, octets) = &mut sums[frame.mark().class().index()];
            *count += 1;
            *octets += frame.len() as u64;
        }
        Self(sums)
    }

    fn without(self, other: &Self) -> Self {
        let mut sums = self.0;
        for ((count, octets), less) in sums.iter_mut().zip(other.0) {
            *count -= less.0;
            *octets -= less.1;
        }
        Self(sums)
    }
}

/// Sends what may leave now.
fn serve<P: Platform>(
    port: PortId,
    qos: &EgressQos<P::Frame>,
    slot: &Slot<P::Frame>,
    queues: &mut Queues<P::Frame>,
    context: &Context<'_, P>,
    platform: &mut P,
) {
    if !context.links.contains(port) {
        context.stats.count_drops(port, Reason::PortDown, queues.clear(slot));
        return;
    }
    queues.refill(qos, context.now_cycles);
    for _ in 0..BURSTS {
        let most = if queues.was_refused() { TRIAL } else { BURST };
        let mut burst = ArrayVec::new();
        let taken = queues.dequeue(qos, most, &mut burst);
        if taken.is_empty() {
            return;
        }
        let octets: usize = burst.iter().map(Frame::len).sum();
        platform.transmit(port, &mut burst);
        let stay: usize = burst.iter().map(Frame::len).sum();
        let left = taken.len() - burst.len();
        queues.left(&taken[..left], slot, context.now_cycles);
        context.stats.count_tx(port, left as u64, (octets - stay) as u64);
        queues.set_refused(left == 0);
        if !burst.is_empty() {
            let dropped = take_back(&mut burst, &taken, qos, slot, queues, context.now_cycles);
            context.stats.count_drops(port, Reason::TxFull, dropped);
            return;
        }
    }
}

/// Has frames wait again that the device had no room for, all but those that it has no buffer for. Returns
/// how many these were.
fn take_back<F: Frame>(
    burst: &mut ArrayVec<F, BURST>,
    taken: &[Taken],
    qos: &EgressQos<F>,
    slot: &Slot<F>,
    queues: &mut Queues<F>,
    now: u64,
) -> u64 {
    // Devices take from the front; what isn't the end of the burst was passed over.
    let end = &taken[taken.len() - burst.len()..];
    let passed_over = burst.iter().zip(end).any(|(frame, taken)| frame.len() != taken.len());
    let mut dropped = 0;
    for (frame, taken) in burst.drain(..).rev().zip(end.iter().rev()) {
        let unfit = frame.len() > SURE_TO_FIT && (passed_over || qos.is_stale(taken.since(), now));
        if unfit {
            dropped += 1;
            queues.count_unfit(&frame, slot);
        } else {
            queues.put_back(frame, taken.since(), qos);
        }
    }
    dropped
}
