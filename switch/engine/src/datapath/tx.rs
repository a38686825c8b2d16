//! Hands a port's frames to its device.
//!
//! Batch: one port's outbox, in order. Drops, on that port, what the device doesn't take:
//! [`Reason::TxFull`]. It never waits: a VM that stops reading must not stop the worker. Ports with classes
//! have their frames queued.

use arrayvec::ArrayVec;
use pollux_net::{Frame, PortId};

use super::batch::BURST;
use super::outbox::Copies;
use super::platform::Platform;
use super::tap::{self, Sight};
use super::{Context, queue};
use crate::Reason;

pub(super) fn transmit<P: Platform>(
    port: PortId,
    frames: &mut ArrayVec<P::Frame, BURST>,
    context: &Context<'_, P>,
    mut copies: Copies<'_, P::Frame>,
    platform: &mut P,
) {
    if let Some(qos) = &context.snapshot.port(port).egress {
        return queue::send(port, qos, frames, context, copies, platform);
    }
    let stats = context.stats;
    let offered = frames.len();
    let mut bytes: usize = frames.iter().map(Frame::len).sum();
    let sight = Sight { port, marked: false };
    tap::sending(sight, frames, context, copies.as_deref_mut(), platform, |platform, frames| {
        platform.transmit(port, frames);
    });
    let refused = frames.len();
    if refused > 0 {
        bytes -= frames.iter().map(Frame::len).sum::<usize>();
        stats.count_drops(port, Reason::TxFull, refused as u64);
        tap::not_sent(sight, frames, Reason::TxFull, context, copies, platform);
        frames.clear();
    }
    stats.count_tx(port, (offered - refused) as u64, bytes as u64);
}
