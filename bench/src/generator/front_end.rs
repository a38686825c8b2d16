//! One side: a VM's end of a vhost-user port.

use arrayvec::ArrayVec;
use dpdk::{Mbuf, Mempool};
use pollux_net::Frame;

use super::check::Check;
use crate::load::{self, FRAME_LEN, Load};
use crate::virtio_user::{BURST, VirtioUser};

/// A stream's frame in a cache line of its own.
#[repr(align(64))]
struct Template([u8; FRAME_LEN]);

pub(super) struct FrontEnd {
    device: VirtioUser,
    pool: Mempool,
    templates: Vec<Template>,
    /// The stream of the next frame.
    stream: usize,
    /// The sequence number of the next frame.
    sequence: u64,
    /// Frames that the switch hasn't taken yet.
    waiting: ArrayVec<Mbuf, BURST>,
    pub(super) check: Check,
    pub(super) counts: Counts,
}

/// What happened at one side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) polls: u64,
    pub(super) empty_polls: u64,
    /// Bursts of which the switch's ring hadn't room for all.
    pub(super) blocked: u64,
}

impl FrontEnd {
    /// Sends what `load` has for `side`, and checks what the other one sent.
    pub(super) fn new(device: VirtioUser, pool: &Mempool, load: &Load, side: u8) -> Self {
        Self {
            device,
            pool: pool.clone(),
            templates: load.frames(side).map(Template).collect(),
            stream: 0,
            sequence: 0,
            waiting: ArrayVec::new(),
            // What arrives here was sent by the other side.
            check: Check::new(1 - side, load.streams()),
            counts: Counts::default(),
        }
    }

    /// Takes a burst, and checks it.
    #[inline]
    pub(super) fn receive(&mut self) {
        let mut burst = ArrayVec::<Mbuf, BURST>::new();
        let count = self.device.rx.receive(&mut burst);
        self.counts.polls += 1;
        if count == 0 {
            self.counts.empty_polls += 1;
            return;
        }
        self.counts.received += count as u64;
        burst.iter().for_each(Mbuf::prefetch);
        for mbuf in &burst {
            self.check.see(load::label(mbuf.head()));
        }
        Mbuf::free_burst(&mut burst);
    }

    /// Offers a burst: what was left of the last one, or a new one.
    #[inline]
    pub(super) fn send(&mut self) {
        if self.waiting.is_empty() {
            self.fill();
        }
        self.counts.sent += self.device.tx.transmit(&mut self.waiting) as u64;
        self.counts.blocked += u64::from(!self.waiting.is_empty());
    }

    #[inline]
    fn fill(&mut self) {
        if !Mbuf::new_burst(&self.pool, &mut self.waiting) {
            return;
        }
        for mbuf in &mut self.waiting {
            let mut octets = self.templates[self.stream].0;
            load::set_sequence(&mut octets, self.sequence);
            if !mbuf.append(&self.pool, &octets) {
                // An empty mbuf has room; were it not so, the frame would be strange on arrival.
                continue;
            }
            self.sequence += 1;
            self.stream += 1;
            if self.stream == self.templates.len() {
                self.stream = 0;
            }
        }
    }
}
