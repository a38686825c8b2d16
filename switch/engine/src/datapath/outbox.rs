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

/// Frames of each port.
pub(super) struct Bursts<F> {
    ports: Box<[ArrayVec<F, BURST>; MAX_PORTS]>,
    waiting: PortSet,
}

/// Frames a worker has decided on and not yet handed to the devices.
pub struct Outbox<F> {
    decided: Bursts<F>,
    /// Copies that mirrors made.
    copies: Bursts<F>,
}

/// Where frames go out: what came of a burst, or the copies that mirrors made.
pub(super) struct Way<'a, F> {
    bursts: &'a mut Bursts<F>,
    /// Where mirrors put copies of what goes this way; `None`: of copies there are none.
    pub(super) copies: Copies<'a, F>,
}

/// Where mirrors put copies of frames, if these may be copied.
pub(super) type Copies<'a, F> = Option<&'a mut Bursts<F>>;

impl<F> Default for Outbox<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F> Outbox<F> {
    /// Nothing waits.
    pub fn new() -> Self {
        Self { decided: Bursts::new(), copies: Bursts::new() }
    }

    /// The way of what came of a burst.
    #[inline(always)]
    pub(super) fn way(&mut self) -> Way<'_, F> {
        Way { bursts: &mut self.decided, copies: Some(&mut self.copies) }
    }

    /// Where mirrors put copies.
    pub(super) fn copies(&mut self) -> &mut Bursts<F> {
        &mut self.copies
    }

    /// Hands everything over but copies; what a device doesn't take is dropped.
    #[inline]
    pub(super) fn flush<P: Platform<Frame = F>>(&mut self, context: &Context<'_, P>, platform: &mut P) {
        let Self { decided, copies } = self;
        if decided.waiting.is_empty() {
            return;
        }
        let waiting = decided.waiting.iter().map(|port| decided.ports[port.index()].len() as u64);
        context.stats.set_queued(waiting.sum());
        decided.flush(context, Some(copies), platform);
        context.stats.set_queued(0);
    }

    /// Hands over the copies that mirrors made.
    #[inline]
    pub(super) fn flush_copies<P: Platform<Frame = F>>(
        &mut self,
        context: &Context<'_, P>,
        platform: &mut P,
    ) {
        if !self.copies.waiting.is_empty() {
            self.copies.flush(context, None, platform);
        }
    }
}

impl<F> Bursts<F> {
    fn new() -> Self {
        Self { ports: Box::new(array::from_fn(|_| ArrayVec::new())), waiting: PortSet::EMPTY }
    }

    /// The way of copies.
    pub(super) fn way_of_copies(&mut self) -> Way<'_, F> {
        Way { bursts: self, copies: None }
    }

    fn flush<P: Platform<Frame = F>>(
        &mut self,
        context: &Context<'_, P>,
        mut copies: Copies<'_, F>,
        platform: &mut P,
    ) {
        for port in self.waiting.iter() {
            tx::transmit(port, &mut self.ports[port.index()], context, copies.as_deref_mut(), platform);
        }
        self.waiting = PortSet::EMPTY;
    }
}

impl<F> Way<'_, F> {
    /// How many frames fit into the port's outbox: at least one, as a full one is sent.
    #[inline(always)]
    pub(super) fn room<P: Platform<Frame = F>>(
        &mut self,
        port: PortId,
        context: &Context<'_, P>,
        platform: &mut P,
    ) -> usize {
        if !self.bursts.waiting.contains(port) {
            platform.expect_transmit(port);
        }
        let frames = &mut self.bursts.ports[port.index()];
        if frames.is_full() {
            tx::transmit(port, frames, context, self.copies.as_deref_mut(), platform);
        }
        frames.remaining_capacity()
    }

    /// Adds frames, no more than there is [`room`](Self::room) for.
    #[inline(always)]
    pub(super) fn extend(&mut self, port: PortId, frames: impl Iterator<Item = F>) {
        self.bursts.ports[port.index()].extend(frames);
        self.bursts.waiting = self.bursts.waiting.with(port);
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
        let frames = &mut self.bursts.ports[port.index()];
        if frames.iter().map(Frame::len).sum::<usize>() > HEAVY {
            tx::transmit(port, frames, context, self.copies.as_deref_mut(), platform);
        }
    }
}
