//! What a port sends: its streams, each frame at its moment or as fast as the port takes them.

use arrayvec::ArrayVec;
use dpdk::{Mbuf, Mempool, TxQueue};
use pollux_net::Frame;

use super::frames::{self, HEAD, Head};
use super::label::{Clock, Label};
use super::order::FlowOrder;
use super::pacer::Pacer;
use super::protocol::{Rate, Stream};

/// Frames that are sent and received at once.
pub(super) const BURST: usize = 32;

/// A stream on its way.
pub(super) struct Flight {
    /// Its number in the trial.
    pub(super) number: usize,
    epoch: u16,
    head: Head,
    order: FlowOrder,
    first_station: u32,
    /// Octets of frames in memory, in a round that repeats.
    lens: Vec<u16>,
    /// The share of the time between two frames that it begins later than others.
    phase: f64,
    /// Frames at most.
    limit: Option<u64>,
    pacer: Pacer,
    /// The sequence number of the next frame, and its remainders by the lengths and the flows.
    sequence: u64,
    len_turn: usize,
    flow_turn: u32,
    /// The first of the window.
    begin: u64,
}

/// What was sent of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) number: usize,
    /// From the start of the trial.
    pub(super) frames: u64,
    /// In the window.
    pub(super) offered: u64,
    pub(super) offered_octets: u64,
    pub(super) intended: u64,
    pub(super) given_up: u64,
}

impl Flight {
    /// Stream `number` of `count`.
    pub(super) fn new(
        stream: &Stream,
        number: usize,
        count: usize,
        epoch: u16,
        all_ports: u8,
        clock: Clock,
    ) -> Self {
        let rate = match stream.rate {
            Rate::Max => None,
            Rate::Frames(rate) => Some(rate),
        };
        Self {
            number,
            epoch,
            head: Head::new(stream, all_ports),
            order: FlowOrder::new(stream.flows, stream.order),
            first_station: stream.first_station,
            lens: stream.sizes.lens_in_memory(),
            phase: number as f64 / count as f64,
            limit: stream.frames,
            pacer: Pacer::new(rate, clock.tsc_hz),
            sequence: 0,
            len_turn: 0,
            flow_turn: 0,
            begin: 0,
        }
    }

    /// Begins with the traffic before the window.
    pub(super) fn warm_up(&mut self, start: u64, end: u64) {
        let limit = if self.limit.is_some() { 0 } else { u64::MAX };
        self.pacer.start(start, end, self.phase, limit);
    }

    /// Begins with the window; returns its first sequence number.
    pub(super) fn open(&mut self, start: u64, end: u64) -> u64 {
        self.pacer.start(start, end, self.phase, self.limit.unwrap_or(u64::MAX));
        self.begin = self.sequence;
        self.begin
    }

    #[inline(always)]
    fn write(&mut self, mbuf: &mut Mbuf, stamp: u32) {
        let len = usize::from(self.lens[self.len_turn]);
        let flow = self.order.flow_at(self.sequence, self.flow_turn);
        let label = Label {
            epoch: self.epoch,
            stream: self.number as u8,
            flow,
            sequence: self.sequence as u32,
            stamp,
        };
        // The pool's mbufs have room for the largest frame; were it not so, this one would be strange on arrival.
        if let Some(head) = mbuf.claim(len).and_then(|frame| frame.first_chunk_mut::<HEAD>()) {
            self.head.write(head, self.first_station + flow, len, &label);
        }
        self.sequence += 1;
        self.len_turn += 1;
        if self.len_turn == self.lens.len() {
            self.len_turn = 0;
        }
        self.flow_turn += 1;
        if self.flow_turn == self.order.flows() {
            self.flow_turn = 0;
        }
    }

    /// Octets of the frames before this one.
    fn octets_before(&self, sequence: u64) -> u64 {
        let round = self.lens.len() as u64;
        let sum = |lens: &[u16]| lens.iter().copied().map(u64::from).sum::<u64>();
        sequence / round * sum(&self.lens) + sum(&self.lens[..(sequence % round) as usize])
    }

    fn sent(&self) -> Sent {
        let end = self.sequence.max(self.begin);
        let offered = end - self.begin;
        Sent {
            number: self.number,
            frames: self.sequence,
            offered,
            offered_octets: self.octets_before(end) - self.octets_before(self.begin),
            intended: self.pacer.intended().unwrap_or(offered),
            given_up: self.pacer.given_up(),
        }
    }
}

/// A port's sending half in a trial.
pub(super) struct Sender {
    pub(super) flights: Vec<Flight>,
    /// The stream whose turn it is.
    turn: usize,
    /// Frames of a stream in a row, so that a burst has some of each.
    share: usize,
    /// Frames that the port hasn't taken yet.
    waiting: ArrayVec<Mbuf, BURST>,
    /// Stamps are of the moment before frames are given to the port, whatever they waited for here.
    stamps: Option<Clock>,
    /// Cycles for which a port that was full is left alone, and when the next attempt is due.
    rest: u64,
    next_attempt: u64,
    pub(super) counts: Counts,
}

/// How a port took what it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) frames: u64,
    pub(super) bursts: u64,
    /// Bursts of which it hadn't room for all.
    pub(super) blocked: u64,
}

impl Sender {
    /// A port that was full is left alone for `rest` cycles.
    pub(super) fn new(flights: Vec<Flight>, stamps: Option<Clock>, rest: u64) -> Self {
        Self {
            rest,
            next_attempt: 0,
            turn: 0,
            share: (BURST / flights.len().max(1)).max(1),
            flights,
            waiting: ArrayVec::new(),
            stamps,
            counts: Counts::default(),
        }
    }

    /// Offers what it is time for, and what the port hadn't room for before. Returns how many frames it took.
    #[inline]
    pub(super) fn send(&mut self, tx: &mut TxQueue, pool: &Mempool, now: u64) -> usize {
        if now < self.next_attempt {
            return 0;
        }
        if !self.waiting.is_full() {
            self.fill(pool, now);
        }
        let taken = self.offer(tx);
        if !self.waiting.is_empty() {
            self.next_attempt = now + self.rest;
        }
        taken
    }

    #[inline]
    fn fill(&mut self, pool: &Mempool, now: u64) {
        for _ in 0..self.flights.len() {
            // Whose turn it is now is the first to get what room there is next time.
            if self.waiting.is_full() {
                return;
            }
            let room = self.waiting.remaining_capacity().min(self.share);
            let flight = &mut self.flights[self.turn];
            let count = flight.pacer.ready(now).min(room as u64);
            if count > 0 {
                let first = self.waiting.len();
                if !Mbuf::new_some(pool, &mut self.waiting, count as usize) {
                    return;
                }
                for mbuf in &mut self.waiting[first..] {
                    flight.write(mbuf, 0);
                }
                flight.pacer.take(count);
            }
            self.turn += 1;
            if self.turn == self.flights.len() {
                self.turn = 0;
            }
        }
    }

    #[inline]
    fn offer(&mut self, tx: &mut TxQueue) -> usize {
        if self.waiting.is_empty() {
            return 0;
        }
        if let Some(clock) = self.stamps {
            let stamp = clock.stamp(pollux_cpu::cycles());
            for head in self.waiting.iter_mut().filter_map(Mbuf::head_mut) {
                let at = frames::label_place(head);
                frames::set_stamp(head, at, stamp);
            }
        }
        let taken = tx.transmit(&mut self.waiting);
        self.counts.frames += taken as u64;
        self.counts.bursts += 1;
        self.counts.blocked += u64::from(!self.waiting.is_empty());
        taken
    }

    /// Whether everything that there was to send is on its way.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.flights.iter().all(|flight| flight.pacer.is_done())
    }

    /// Whether nothing is left of what it was time for by `now`.
    pub(super) fn has_caught_up(&mut self, now: u64) -> bool {
        self.waiting.is_empty() && self.flights.iter_mut().all(|flight| flight.pacer.ready(now) == 0)
    }

    /// The port couldn't be looked after for so many cycles.
    pub(super) fn held_up(&mut self, cycles: u64) {
        self.flights.iter_mut().for_each(|flight| flight.pacer.held_up(cycles));
    }

    /// Sends no more. What the port hasn't taken was never sent.
    pub(super) fn finish(&mut self) -> Vec<Sent> {
        for mbuf in self.waiting.drain(..) {
            let number = frames::read(mbuf.head()).map(|seen| usize::from(seen.label.stream));
            let flight = self.flights.iter_mut().find(|flight| Some(flight.number) == number);
            if let Some(flight) = flight {
                flight.sequence -= 1;
            }
        }
        self.flights.iter().map(Flight::sent).collect()
    }
}
