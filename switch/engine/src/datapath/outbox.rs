//! Gathers what a round of bursts sends out of each port, so that devices and VMs are handed whole
//! bursts.
//!
//! Batch: frames of one port in the order they were decided. Drops nothing: a full outbox is sent
//! before more goes in.

use arrayvec::ArrayVec;
use pollux_net::{Frame, MAX_PORTS, PortId, PortSet};
use std::array;

use super::batch::BURST;
use super::platform::Platform;
use super::{Context, tx};

/// Octets that may wait for a port before a long frame has them sent, so that such frames don't hold more
/// memory than what a burst of them comes with.
const HEAVY: usize = 128 << 10;

/// Frames a worker has decided on and not yet handed to the devices.
pub struct Outbox<F> {
    ports: Box<[ArrayVec<F, BURST>; MAX_PORTS]>,
    waiting: PortSet,
}

impl<F> Default for Outbox<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F> Outbox<F> {
    /// Nothing waits.
    pub fn new() -> Self {
        Self { ports: Box::new(array::from_fn(|_| ArrayVec::new())), waiting: PortSet::EMPTY }
    }

    /// How many frames fit into the port's outbox: at least one, as a full one is sent.
    #[inline(always)]
    pub(super) fn room<P: Platform<Frame = F>>(
        &mut self,
        port: PortId,
        context: &Context<'_, P>,
        platform: &mut P,
    ) -> usize {
        if !self.waiting.contains(port) {
            platform.expect_transmit(port);
        }
        let frames = &mut self.ports[port.index()];
        if frames.is_full() {
            tx::transmit(port, frames, context, platform);
        }
        frames.remaining_capacity()
    }

    /// Adds frames, no more than there is [`room`](Self::room) for.
    #[inline(always)]
    pub(super) fn extend(&mut self, port: PortId, frames: impl Iterator<Item = F>) {
        self.ports[port.index()].extend(frames);
        self.waiting = self.waiting.with(port);
    }

    /// Adds a frame that may be a multiple of a wire's, when there is [`room`](Self::room).
    pub(super) fn add_long<P: Platform<Frame = F>>(
        &mut self,
        port: PortId,
        frame: F,
        context: &Context<'_, P>,
        platform: &mut P,
    ) where
        F: Frame,
    {
        self.extend(port, std::iter::once(frame));
        let frames = &mut self.ports[port.index()];
        if frames.iter().map(Frame::len).sum::<usize>() > HEAVY {
            tx::transmit(port, frames, context, platform);
        }
    }

    /// Hands everything over; what a device doesn't take is dropped.
    #[inline]
    pub(super) fn flush<P: Platform<Frame = F>>(&mut self, context: &Context<'_, P>, platform: &mut P) {
        if self.waiting.is_empty() {
            return;
        }
        context.stats.set_queued(self.waiting.iter().map(|port| self.ports[port.index()].len() as u64).sum());
        for port in self.waiting.iter() {
            tx::transmit(port, &mut self.ports[port.index()], context, platform);
        }
        self.waiting = PortSet::EMPTY;
        context.stats.set_queued(0);
    }
}
