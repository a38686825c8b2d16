use arrayvec::ArrayVec;
use pollux_net::{FlowRules, Frame, FrameFilter, Meter, Offloads, PortId};

use super::batch::BURST;

/// The devices of one worker: DPDK's in the switch, ordinary memory in simulators and tests.
pub trait Platform {
    /// What carries a frame.
    type Frame: Frame;

    /// What finds the rule that a frame fits.
    type Rules: FlowRules;

    /// What colours frames by a rate.
    type Meter: Meter;

    /// What chooses the frames that a capture or a mirror is to see.
    type Filter: FrameFilter<Self::Frame>;

    /// Receive queues that this worker polls, numbered from 0.
    fn sources(&self) -> usize;

    /// Adds the frames that wait in receive queue `source` to `burst`, as many as fit, and tells
    /// which port they came from. Never waits.
    fn receive(&mut self, source: usize, burst: &mut ArrayVec<Self::Frame, BURST>) -> PortId;

    /// Told that receive queue `source` is read next, a while before it is.
    #[inline(always)]
    fn expect_receive(&mut self, _source: usize) {}

    /// Told that what came from receive queue `source` this time, `frames` frames, has gone through to the
    /// outboxes. Not called where nothing came.
    #[inline(always)]
    fn went_through(&mut self, _source: usize, _frames: usize) {}

    /// Told that frames for `port` gather, a while before they are sent.
    #[inline(always)]
    fn expect_transmit(&mut self, _port: PortId) {}

    /// Takes from the front of `frames` what `port` can send now; the rest stays, in order. Never
    /// waits.
    fn transmit(&mut self, port: PortId, frames: &mut ArrayVec<Self::Frame, BURST>);

    /// As [`transmit`](Self::transmit), for a port whose frames can wait: none leaves before one of its flow
    /// that stays. Returns how many of those that stay, the first ones, `port` never takes because they don't
    /// fit its buffers.
    fn transmit_in_order(&mut self, port: PortId, frames: &mut ArrayVec<Self::Frame, BURST>) -> usize {
        self.transmit(port, frames);
        0
    }

    /// Whether `port` may refuse some frames for as long as it takes others: a VM with several queues, or with
    /// buffers that don't hold every frame.
    fn is_choosy(&self, _port: PortId) -> bool {
        false
    }

    /// A frame of its own with the same octets, or `None` if no memory is left for one.
    fn copy(&mut self, frame: &Self::Frame) -> Option<Self::Frame>;

    /// A frame of its own with the first `len` octets, or as many as there are.
    fn copy_start(&mut self, frame: &Self::Frame, len: usize) -> Option<Self::Frame>;

    /// A frame of these octets, or `None` if no memory is left for one.
    fn frame(&mut self, octets: &[u8]) -> Option<Self::Frame>;

    /// Adds octets at a frame's end. Returns `false`, and leaves the frame as it was, if no memory is left.
    #[must_use]
    fn append(&mut self, frame: &mut Self::Frame, octets: &[u8]) -> bool;

    /// What `port` takes unfinished at this moment. Asked only for frames that aren't finished.
    fn offloads(&self, _port: PortId) -> Offloads {
        Offloads::NONE
    }
}
