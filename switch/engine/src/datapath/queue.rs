//! Lets frames wait for ports that have classes: for room in the device, or for a rate.
//!
//! Batch: one port's outbox, in order, and what waits from before. What needn't wait goes straight to the
//! device. One worker takes what waits out again, whoever brought it, and holds no lock while it hands it to the
//! device. Drops, on that port: [`Reason::QueueFull`], [`Reason::Wred`]; [`Reason::TxFull`] for what the
//! device has no buffer for, or lets stand while it takes others; [`Reason::PortDown`] for what waits when the
//! link is lost.

use arrayvec::ArrayVec;
use pollux_net::{Frame, PortId, TrafficClass};
use spin::MutexGuard;

use super::Context;
use super::batch::BURST;
use super::outbox::{Copies, Outbox};
use super::platform::Platform;
use super::tap::{self, Sight};
use crate::Reason;
use crate::qos::{EgressQos, Queues, Refused};

/// Bursts that leave a port in one turn: enough that what several receive queues brought in a round leaves
/// within it, and few enough that no port keeps a worker from the others.
const BURSTS: usize = 4;

/// Frames with which a port is tried that took none the last time.
const TRIAL: usize = 4;

/// Sends the outbox of a port with classes, or has it wait.
pub(super) fn send<P: Platform>(
    port: PortId,
    qos: &EgressQos<P::Frame>,
    frames: &mut ArrayVec<P::Frame, BURST>,
    context: &Context<'_, P>,
    mut copies: Copies<'_, P::Frame>,
    platform: &mut P,
) {
    let backlogged = qos.queues().is_backlogged();
    if !backlogged && qos.goes_straight(context.worker) {
        go_straight(port, qos, frames, context, copies.as_deref_mut(), platform);
        if frames.is_empty() {
            return;
        }
    }
    let sight = Sight { port, marked: true };
    if !backlogged && qos.ends() {
        context.stats.count_drops(port, Reason::TxFull, frames.len() as u64);
        tap::not_sent(sight, frames, Reason::TxFull, context, copies, platform);
        frames.clear();
        return;
    }
    let mut refused = Refused::default();
    let mut queues = qos.queues().lock();
    queues.enqueue(frames.drain(..), qos.queues(), qos, context.now_cycles, &mut refused);
    // Mirrors' copies wait for the next round: what waits with them may be frames that a mirror is to see.
    if qos.serves(context.worker) && copies.is_some() {
        serve(port, qos, queues, context, copies.as_deref_mut(), platform);
    } else {
        queues.publish(qos.queues());
        drop(queues);
    }
    for (reason, frames) in [(Reason::QueueFull, &refused.full), (Reason::Wred, &refused.early)] {
        if !frames.is_empty() {
            context.stats.count_drops(port, reason, frames.len() as u64);
            tap::not_sent(sight, frames, reason, context, copies.as_deref_mut(), platform);
        }
    }
}

/// Sends what waits at ports that this worker serves.
#[inline]
pub(super) fn serve_waiting<P: Platform>(
    context: &Context<'_, P>,
    outbox: &mut Outbox<P::Frame>,
    platform: &mut P,
) {
    for port in context.snapshot.served_by(context.worker).iter() {
        if let Some(qos) = &context.snapshot.port(port).egress
            && qos.queues().is_backlogged()
        {
            serve(port, qos, qos.queues().lock(), context, Some(outbox.copies()), platform);
        }
    }
}

/// Hands frames to the device that nothing waits before; those that it has no room for stay.
fn go_straight<P: Platform>(
    port: PortId,
    qos: &EgressQos<P::Frame>,
    frames: &mut ArrayVec<P::Frame, BURST>,
    context: &Context<'_, P>,
    mut copies: Copies<'_, P::Frame>,
    platform: &mut P,
) {
    let (offered, one_class) = sum(frames);
    let sums = if one_class.is_some() { [NOTHING; TrafficClass::COUNT] } else { by_class(frames) };
    let sight = Sight { port, marked: true };
    let unfit = tap::sending(sight, frames, context, copies.as_deref_mut(), platform, |platform, frames| {
        platform.transmit_in_order(port, frames)
    });
    let (stay, _) = sum(frames);
    match one_class {
        Some(class) => {
            qos.queues().count_straight(context.worker, class, offered.0 - stay.0, offered.1 - stay.1);
        }
        None => {
            let stay = by_class(frames);
            for (class, (sum, stay)) in TrafficClass::all().zip(sums.into_iter().zip(stay)) {
                if sum.0 > stay.0 {
                    qos.queues().count_straight(context.worker, class, sum.0 - stay.0, sum.1 - stay.1);
                }
            }
        }
    }
    context.stats.count_tx(port, offered.0 - stay.0, offered.1 - stay.1);
    if unfit > 0 {
        context.stats.count_drops(port, Reason::TxFull, unfit as u64);
        tap::not_sent(sight, &frames[..unfit], Reason::TxFull, context, copies, platform);
        qos.queues().lock().drop_unfit(frames.drain(..unfit), qos.queues());
    }
}

/// Frames and octets.
type Sum = (u64, u64);

const NOTHING: Sum = (0, 0);

/// What there is, and the class if all frames have the same, as they mostly do.
#[inline]
fn sum<F: Frame>(frames: &[F]) -> (Sum, Option<TrafficClass>) {
    let Some(first) = frames.first().map(Frame::mark) else { return (NOTHING, None) };
    let mut octets = 0;
    let mut differ = 0;
    for frame in frames {
        octets += frame.len() as u64;
        differ |= frame.mark().bits() ^ first.bits();
    }
    ((frames.len() as u64, octets), (differ == 0).then(|| first.class()))
}

fn by_class<F: Frame>(frames: &[F]) -> [Sum; TrafficClass::COUNT] {
    let mut sums = [NOTHING; TrafficClass::COUNT];
    for frame in frames {
        let (count, octets) = &mut sums[frame.mark().class().index()];
        *count += 1;
        *octets += frame.len() as u64;
    }
    sums
}

/// Sends what may leave now of `queues`, the port's.
fn serve<'q, P: Platform>(
    port: PortId,
    qos: &'q EgressQos<P::Frame>,
    mut queues: MutexGuard<'q, Queues<P::Frame>>,
    context: &Context<'_, P>,
    mut copies: Copies<'_, P::Frame>,
    platform: &mut P,
) {
    let (all, now) = (qos.queues(), context.now_cycles);
    let sight = Sight { port, marked: true };
    if !context.links.contains(port) {
        drop(queues);
        return clear(sight, qos, context, copies, platform);
    }
    queues.refill(qos, now);
    let mut given_up = ArrayVec::new();
    for _ in 0..BURSTS {
        let most = if queues.was_refused() { TRIAL } else { BURST };
        let mut burst = ArrayVec::new();
        let takings = queues.dequeue(qos, most, &mut burst);
        queues.publish(all);
        if takings.is_empty() {
            return;
        }
        // Others may let frames wait meanwhile. None goes straight: the queues are backlogged until all of
        // these are settled.
        drop(queues);
        let octets: usize = burst.iter().map(Frame::len).sum();
        let unfit =
            tap::sending(sight, &mut burst, context, copies.as_deref_mut(), platform, |platform, burst| {
                platform.transmit_in_order(port, burst)
            });
        let left = takings.len() - burst.len();
        let stay: usize = burst.iter().map(Frame::len).sum();
        context.stats.count_tx(port, left as u64, (octets - stay) as u64);
        queues = all.lock();
        let room_left = burst.is_empty();
        let more = takings.len() == most;
        let choosy = !room_left && platform.is_choosy(port);
        let is_stale = |since| choosy && qos.is_stale(since, now);
        given_up = queues.settle(&takings, burst, unfit, all, qos, is_stale, now);
        if !(room_left && more) {
            break;
        }
    }
    queues.publish(all);
    drop(queues);
    if !given_up.is_empty() {
        context.stats.count_drops(port, Reason::TxFull, given_up.len() as u64);
        tap::not_sent(sight, &given_up, Reason::TxFull, context, copies, platform);
    }
}

/// Drops all that waits, as the link is lost.
#[cold]
fn clear<P: Platform>(
    sight: Sight,
    qos: &EgressQos<P::Frame>,
    context: &Context<'_, P>,
    mut copies: Copies<'_, P::Frame>,
    platform: &mut P,
) {
    loop {
        let mut lost = ArrayVec::<_, BURST>::new();
        qos.queues().lock().take_lost(qos.queues(), &mut lost);
        context.stats.count_drops(sight.port, Reason::PortDown, lost.len() as u64);
        tap::not_sent(sight, &lost, Reason::PortDown, context, copies.as_deref_mut(), platform);
        if !lost.is_full() {
            return;
        }
    }
}
