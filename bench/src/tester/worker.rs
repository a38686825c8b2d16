//! A CPU that polls: its ports in turn, as long as a trial takes.

use std::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use dpdk::{Mbuf, Mempool, RegisteredThread, RxQueue, TxQueue};

use super::course::{Course, Stop};
use super::frames::{HEAD, Head};
use super::label::{Clock, Label};
use super::pacer::Pacer;
use super::receiver::{self, Receiver};
use super::sender::{BURST, Counts, Sender, Sent};
use crate::host::cpu;

/// Rounds between looks at what ends the polling, and at signals.
const ROUNDS_PER_LOOK: u32 = 64;

/// A time between two looks at the ports that is a pause, in seconds.
const PAUSE: f64 = 100e-6;

/// Seconds after the window in which what it was time for in the window is still sent.
const GRACE: f64 = 0.001;

/// When all have come, seconds without any until nothing more is expected.
const QUIET: f64 = 0.002;

/// Seconds between two greetings, and seconds for which a tester that has heard from all goes on, so that others
/// hear from it too.
const GREETING: f64 = 0.001;
const LINGER: f64 = 0.1;

/// A thread that polls, on its CPU.
pub(super) struct Worker {
    thread: RegisteredThread,
    /// What is sent is from this pool.
    pool: Mempool,
    clock: Clock,
    stop: Stop,
    ports: Vec<Queues>,
}

/// A port's queues.
pub(super) struct Queues {
    /// The port's number in the setup.
    pub(super) port: usize,
    pub(super) rx: RxQueue,
    pub(super) tx: TxQueue,
}

/// A port's part in a trial.
pub(super) struct Part {
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
}

/// What became of a worker's ports.
pub(super) struct Report {
    /// By the port's number in the setup.
    pub(super) parts: Vec<(usize, Part, Vec<Sent>)>,
    pub(super) load: Load,
    /// In the window: the share of the time that the thread had its CPU.
    pub(super) cpu_share: f64,
    pub(super) counts: Counts,
}

/// How a worker's time went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// Whether it counts now.
    counting: bool,
    last: u64,
    /// Cycles of a pause.
    long: u64,
    pub(super) busy: u64,
    pub(super) all: u64,
    pub(super) longest_pause: u64,
    pub(super) paused: u64,
}

impl Load {
    /// A round of so many frames has ended. Returns how long it was if that was a pause.
    #[inline(always)]
    fn round(&mut self, now: u64, frames: usize) -> Option<u64> {
        let cycles = now.saturating_sub(self.last);
        self.last = now;
        if self.counting {
            self.all += cycles;
            self.busy += if frames > 0 { cycles } else { 0 };
            self.longest_pause = self.longest_pause.max(cycles);
        }
        if cycles <= self.long {
            return None;
        }
        self.paused += if self.counting { cycles } else { 0 };
        Some(cycles)
    }
}

impl Worker {
    pub(super) fn new(
        thread: RegisteredThread,
        pool: Mempool,
        clock: Clock,
        stop: Stop,
        ports: Vec<Queues>,
    ) -> Self {
        Self { thread, pool, clock, stop, ports }
    }

    /// Carries a trial out; `parts` are those of its ports.
    pub(super) fn run(&mut self, course: &Course, mut parts: Vec<Part>) -> Report {
        let start = pollux_cpu::cycles();
        let mut load = Load { last: start, long: self.clock.cycles(PAUSE), ..Load::default() };
        parts.iter_mut().for_each(|part| part.receiver.start(course));
        self.poll(course, &mut parts, &mut load, false, course.start, |_, _| false);
        for flight in parts.iter_mut().flat_map(|part| &mut part.sender.flights) {
            flight.warm_up(course.start, course.open);
        }
        self.poll(course, &mut parts, &mut load, true, course.open, |_, _| false);

        for part in &mut parts {
            for flight in &mut part.sender.flights {
                let begin = flight.open(course.open, course.close());
                course.set_begin(flight.number, begin);
            }
            part.receiver.open(course);
        }
        let counted = || parts.iter().map(|part| part.sender.counts).fold(Counts::default(), sum);
        let before = counted();
        let used = cpu::thread_time();
        // If the CPU was taken away meanwhile, that is a pause of the window.
        load.last = course.open;
        load.counting = true;
        let mut all_sent = false;
        self.poll(course, &mut parts, &mut load, true, course.close(), |now, parts| {
            if course.limited && !all_sent && parts.iter().all(|part| part.sender.is_done()) {
                all_sent = true;
                course.has_sent_all(now);
            }
            now >= course.close()
        });
        load.counting = false;
        let used = cpu::thread_time().saturating_sub(used);
        let wall = self.clock.seconds(pollux_cpu::cycles().saturating_sub(course.open));
        let after = parts.iter().map(|part| part.sender.counts).fold(Counts::default(), sum);

        // Whoever comes late to the end has as long from then on.
        let end = course.close().max(pollux_cpu::cycles()) + self.clock.cycles(GRACE);
        self.poll(course, &mut parts, &mut load, true, end, |now, parts| {
            parts.iter_mut().all(|part| part.sender.has_caught_up(now))
        });
        let sent: Vec<_> = parts.iter_mut().map(|part| part.sender.finish()).collect();
        sent.iter().flatten().for_each(|sent| course.set_sent(sent.number, sent.frames));
        let end = pollux_cpu::cycles() + course.drain;
        let quiet = self.clock.cycles(QUIET);
        self.poll(course, &mut parts, &mut load, false, end, |now, parts| {
            let since = now.saturating_sub(quiet);
            !course.patient && parts.iter().all(|part| part.receiver.has_all(course, since))
        });
        let parts = self.ports.iter().zip(parts).zip(sent);
        Report {
            parts: parts.map(|((queues, part), sent)| (queues.port, part, sent)).collect(),
            load,
            cpu_share: if wall > 0.0 { used.as_secs_f64() / wall } else { 1.0 },
            counts: Counts {
                frames: after.frames - before.frames,
                bursts: after.bursts - before.bursts,
                blocked: after.blocked - before.blocked,
            },
        }
    }

    /// Receives, and sends if `sending`, until `end`, or until it is `over`, which it is asked now and then.
    #[inline]
    fn poll(
        &mut self,
        course: &Course,
        parts: &mut [Part],
        load: &mut Load,
        sending: bool,
        end: u64,
        mut over: impl FnMut(u64, &mut [Part]) -> bool,
    ) {
        let mut frames = 0;
        loop {
            for _ in 0..ROUNDS_PER_LOOK {
                let now = pollux_cpu::cycles();
                if let Some(pause) = load.round(now, frames) {
                    parts.iter_mut().for_each(|part| part.sender.held_up(pause));
                }
                if now >= end {
                    return;
                }
                frames = 0;
                for (queues, part) in self.ports.iter_mut().zip(&mut *parts) {
                    for _ in 0..course.bursts {
                        let count = part.receiver.receive(&mut queues.rx, course, now);
                        frames += count;
                        if count < BURST {
                            break;
                        }
                    }
                    if sending {
                        frames += part.sender.send(&mut queues.tx, &self.pool, now);
                    }
                }
            }
            self.thread.pass();
            if over(pollux_cpu::cycles(), parts) || self.stop.is_over() {
                return;
            }
        }
    }

    /// Greets all other ports by each of its own, until each of them has heard from all.
    pub(super) fn greet(&mut self, greeting: &Greeting) {
        let (pause, linger) = (self.clock.cycles(GREETING), self.clock.cycles(LINGER));
        let mut next = 0;
        let mut done = None;
        loop {
            let now = pollux_cpu::cycles();
            if now >= next {
                next = now + pause;
                for queues in &mut self.ports {
                    greeting.send(queues, &self.pool);
                }
            }
            self.ports.iter_mut().for_each(|queues| greeting.receive(queues));
            self.thread.pass();
            if done.is_none() && greeting.all_heard() {
                done = Some(now);
            }
            let lingers = |since| greeting.has_others && now - since < linger;
            if now >= greeting.end || self.stop.is_over() || done.is_some_and(|since| !lingers(since)) {
                return;
            }
        }
    }

    /// Has stations make themselves known. Returns how many frames couldn't be sent.
    pub(super) fn announce(&mut self, mut announcers: Vec<Announcer>, until: u64) -> u64 {
        let mut spare = ArrayVec::<Mbuf, BURST>::new();
        loop {
            let now = pollux_cpu::cycles();
            for (queues, announcer) in self.ports.iter_mut().zip(&mut announcers) {
                announcer.send(&mut queues.tx, &self.pool, now);
                queues.rx.receive(&mut spare);
                Mbuf::free_burst(&mut spare);
            }
            self.thread.pass();
            if now >= until || self.stop.is_over() {
                return announcers.iter().map(Announcer::left).sum();
            }
        }
    }
}

fn sum(one: Counts, other: Counts) -> Counts {
    Counts {
        frames: one.frames + other.frames,
        bursts: one.bursts + other.bursts,
        blocked: one.blocked + other.blocked,
    }
}

/// Greetings between all ports.
pub(super) struct Greeting {
    pub(super) epoch: u16,
    /// The number of the setup's first port, and how many there are in all.
    pub(super) first_port: u8,
    pub(super) all_ports: u8,
    /// Whether others have some of them.
    pub(super) has_others: bool,
    /// When to give up.
    pub(super) end: u64,
    /// By port of the setup: from which it has heard, a bit each.
    pub(super) heard: Vec<AtomicU64>,
}

impl Greeting {
    fn others(&self, port: usize) -> impl Iterator<Item = u8> + use<> {
        let own = self.number(port);
        (0..self.all_ports).filter(move |other| *other != own)
    }

    fn number(&self, port: usize) -> u8 {
        self.first_port + port as u8
    }

    fn send(&self, queues: &mut Queues, pool: &Mempool) {
        let own = self.number(queues.port);
        for other in self.others(queues.port) {
            let Some(mut mbuf) = Mbuf::new(pool) else { return };
            let label = Label { epoch: self.epoch, stream: own, flow: 0, sequence: 0, stamp: 0 };
            if let Some(head) = mbuf.claim(HEAD).and_then(|frame| frame.first_chunk_mut()) {
                Head::greeting(own, other).write(head, 0, HEAD, &label);
            }
            let mut burst = ArrayVec::<_, 1>::from([mbuf]);
            queues.tx.transmit(&mut burst);
        }
    }

    fn receive(&self, queues: &mut Queues) {
        let mut burst = ArrayVec::<Mbuf, BURST>::new();
        queues.rx.receive(&mut burst);
        for label in burst.iter().filter_map(receiver::read).map(|seen| seen.label) {
            if label.epoch == self.epoch && label.stream < self.all_ports {
                self.heard[queues.port].fetch_or(1 << label.stream, Ordering::Relaxed);
            }
        }
        Mbuf::free_burst(&mut burst);
    }

    /// The first port that hasn't heard from another, and that.
    pub(super) fn unheard(&self) -> Option<(u8, u8)> {
        let missing = |port: usize| {
            let heard = self.heard[port].load(Ordering::Relaxed);
            let mut others = self.others(port);
            Some((self.number(port), others.find(|other| heard >> other & 1 == 0)?))
        };
        (0..self.heard.len()).find_map(missing)
    }

    fn all_heard(&self) -> bool {
        self.unheard().is_none()
    }
}

/// Stations of a port that make themselves known.
pub(super) struct Announcer {
    /// Their frames, the first station, how many, and the stream that goes to them.
    stations: Vec<(Head, u32, u32, u8)>,
    epoch: u16,
    pacer: Pacer,
    waiting: ArrayVec<Mbuf, BURST>,
    /// Frames to send, and those that were written.
    frames: u64,
    written: u64,
    /// Whose turn it is.
    turn: (usize, u32),
}

impl Announcer {
    /// Each station `repeats` times, all of them at `rate` frames a second from `start` on.
    pub(super) fn new(
        stations: Vec<(Head, u32, u32, u8)>,
        epoch: u16,
        rate: f64,
        repeats: u32,
        start: u64,
        tsc_hz: f64,
    ) -> Self {
        let frames = stations.iter().map(|station| u64::from(station.2)).sum::<u64>() * u64::from(repeats);
        let mut pacer = Pacer::new(Some(rate), tsc_hz);
        pacer.start(start, u64::MAX, 0.0, u64::MAX);
        Self { stations, epoch, pacer, waiting: ArrayVec::new(), frames, written: 0, turn: (0, 0) }
    }

    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    fn left(&self) -> u64 {
        self.frames - self.written + self.waiting.len() as u64
    }

    fn send(&mut self, tx: &mut TxQueue, pool: &Mempool, now: u64) {
        let room = (self.waiting.remaining_capacity() as u64).min(self.frames - self.written);
        let count = self.pacer.ready(now).min(room);
        if count > 0 && Mbuf::new_some(pool, &mut self.waiting, count as usize) {
            let first = self.waiting.len() - count as usize;
            self.pacer.take(count);
            self.written += count;
            for mbuf in &mut self.waiting[first..] {
                let (station, flow) = self.turn;
                let (head, first, flows, stream) = &self.stations[station];
                let label = Label { epoch: self.epoch, stream: *stream, flow, sequence: 0, stamp: 0 };
                if let Some(octets) = mbuf.claim(HEAD).and_then(|frame| frame.first_chunk_mut()) {
                    head.write(octets, first + flow, HEAD, &label);
                }
                self.turn = if flow + 1 < *flows {
                    (station, flow + 1)
                } else {
                    ((station + 1) % self.stations.len(), 0)
                };
            }
        }
        if !self.waiting.is_empty() {
            tx.transmit(&mut self.waiting);
        }
    }
}
