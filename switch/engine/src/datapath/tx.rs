//! Hands a port's frames to its device.
//!
//! Batch: one port's outbox, in order. Drops, on that port, what the device doesn't take:
//! [`Reason::TxFull`]. It never waits: a VM that stops reading must not stop the worker. Ports with classes
//! have their frames queued.

use arrayvec::ArrayVec;
use pollux_net::{Frame, PortId};

use super::batch::BURST;
use super::platform::Platform;
use super::{Context, queue};
use crate::Reason;

pub(super) fn transmit<P: Platform>(
    port: PortId,
    frames: &mut ArrayVec<P::Frame, BURST>,
    context: &Context<'_, P>,
    platform: &mut P,
) {
    if let Some(qos) = &context.snapshot.port(port).egress {
        return queue::send(port, qos, frames, context, platform);
    }
    let stats = context.stats;
    let offered = frames.len();
    let mut bytes: usize = frames.iter().map(Frame::len).sum();
    platform.transmit(port, frames);
    let refused = frames.len();
    if refused > 0 {
        bytes -= frames.iter().map(Frame::len).sum::<usize>();
        stats.count_drops(port, Reason::TxFull, refused as u64);
        frames.clear();
    }
    stats.count_tx(port, (offered - refused) as u64, bytes as u64);
}
