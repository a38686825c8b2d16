//! An ingress port: paced streams into it.

use arrayvec::ArrayVec;
use dpdk::{Mbuf, Mempool};
use pollux_net::{Frame, Mac};

use super::frame;
use super::pacer::Pacer;
use super::plan::{Amount, Flow};
use crate::virtio_user::{BURST, VirtioUser};

/// Frames of one flow by one port, with sequence numbers of their own.
pub(super) struct Stream {
    pub(super) flow: usize,
    pacer: Pacer,
    lens: Vec<usize>,
    /// Which of `lens` the next frame has.
    turn: usize,
    template: Vec<u8>,
    /// The sequence number of the next frame, and so how many were sent.
    pub(super) sequence: u64,
    /// What was offered in the window.
    pub(super) offered: Amount,
}

/// Where a stream goes, and which it is.
pub(super) struct Route {
    pub(super) from: Mac,
    pub(super) to: Mac,
    pub(super) phase: u32,
    pub(super) stream: u32,
}

impl Stream {
    /// One of `parts` equal ones of `flow`, which is number `number` of the phase.
    pub(super) fn new(
        flow: &Flow,
        number: usize,
        parts: usize,
        route: Route,
        catch_up: f64,
        tsc_hz: f64,
    ) -> Self {
        let Route { from, to, phase, stream } = route;
        let lens = flow.mix.lens();
        let rate = flow.rate.map(|rate| rate / parts as f64);
        Self {
            flow: number,
            pacer: Pacer::new(rate, catch_up, flow.mix.longest(), tsc_hz),
            // Streams that begin at different places of a mix don't send the same sizes all at once.
            turn: stream as usize * 5 % lens.len(),
            lens,
            template: frame::template(from, to, flow.pcp, phase, stream),
            sequence: 0,
            offered: Amount::default(),
        }
    }

    /// The next frame into an empty mbuf, if it is time for it.
    #[inline]
    fn write(&mut self, mbuf: &mut Mbuf, pool: &Mempool, counting: bool) {
        let len = self.lens[self.turn];
        frame::set_sequence(&mut self.template, self.sequence);
        // An empty mbuf has room; were it not so, the frame would be strange on arrival.
        let _ = mbuf.append(pool, &self.template[..len]);
        self.sequence += 1;
        self.turn += 1;
        if self.turn == self.lens.len() {
            self.turn = 0;
        }
        if counting {
            self.offered.add(len);
        }
    }
}

pub(super) struct Sender {
    device: VirtioUser,
    pool: Mempool,
    pub(super) streams: Vec<Stream>,
    /// The stream whose turn it is.
    turn: usize,
    /// Empty frames.
    spare: ArrayVec<Mbuf, BURST>,
    /// Frames that the switch hasn't taken yet.
    waiting: ArrayVec<Mbuf, BURST>,
    /// Frames of a phase that came here, where none should.
    pub(super) astray: u64,
}

impl Sender {
    pub(super) fn new(device: VirtioUser, pool: &Mempool) -> Self {
        Self {
            device,
            pool: pool.clone(),
            streams: Vec::new(),
            turn: 0,
            spare: ArrayVec::new(),
            waiting: ArrayVec::new(),
            astray: 0,
        }
    }

    /// Has the streams begin.
    pub(super) fn start(&mut self, streams: Vec<Stream>, now: u64) {
        self.streams = streams;
        self.streams.iter_mut().for_each(|stream| stream.pacer.start(now));
        self.turn = 0;
        self.astray = 0;
    }

    /// Offers what it is time for, or what the switch hadn't room for before.
    #[inline]
    pub(super) fn send(&mut self, now: u64, counting: bool) {
        if self.waiting.is_empty() {
            self.fill(now, counting);
        }
        self.offer();
    }

    /// Offers what is left of the last burst. Returns whether none is left.
    #[inline]
    pub(super) fn offer(&mut self) -> bool {
        if self.waiting.is_empty() {
            return true;
        }
        // Whatever it waited for here is none of the switch's delay.
        let stamp = pollux_cpu::cycles();
        for head in self.waiting.iter_mut().filter_map(Mbuf::head_mut) {
            frame::set_stamp(head, stamp);
        }
        self.device.tx.transmit(&mut self.waiting);
        self.waiting.is_empty()
    }

    /// A frame of each stream in turn, as long as there is one to send and room for it.
    #[inline]
    fn fill(&mut self, now: u64, counting: bool) {
        self.streams.iter_mut().for_each(|stream| stream.pacer.advance(now));
        let mut idle = 0;
        while idle < self.streams.len() && !self.waiting.is_full() {
            let stream = &mut self.streams[self.turn];
            if self.spare.is_empty() && !Mbuf::new_burst(&self.pool, &mut self.spare) {
                return;
            }
            if stream.pacer.take(stream.lens[stream.turn]) {
                idle = 0;
                let Some(mut mbuf) = self.spare.pop() else { return };
                stream.write(&mut mbuf, &self.pool, counting);
                self.waiting.push(mbuf);
            } else {
                idle += 1;
            }
            self.turn += 1;
            if self.turn == self.streams.len() {
                self.turn = 0;
            }
        }
    }

    /// Sends one frame that says that the port is there.
    pub(super) fn probe(&mut self, route: Route) {
        let Route { from, to, phase, stream } = route;
        let octets = frame::template(from, to, 0, phase, stream);
        if self.waiting.is_empty()
            && let Some(mbuf) = Mbuf::from_slice(&self.pool, &octets[..60])
        {
            self.waiting.push(mbuf);
        }
        self.offer();
    }

    /// Takes what came to this port. Frames are flooded before their destination is known.
    pub(super) fn empty(&mut self, phase: u32) {
        let mut burst = ArrayVec::<Mbuf, BURST>::new();
        while self.device.rx.receive(&mut burst) > 0 {
            let ours = burst.iter().filter_map(|mbuf| frame::label(mbuf.head()));
            self.astray += ours.filter(|label| label.phase == phase).count() as u64;
            Mbuf::free_burst(&mut burst);
        }
    }
}
