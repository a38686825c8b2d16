//! What comes to a port: of which stream, whether it belongs here, once, in order, and how long it took.

use std::ops::Range;

use arrayvec::ArrayVec;
use dpdk::{Mbuf, RxQueue};
use hdrhistogram::Histogram;
use pollux_net::Frame;

use super::course::Course;
use super::frames::{self, Seen};
use super::order::FlowOrder;
use super::pacer::Pacer;
use super::sender::BURST;
use super::window::{Verdict, Window};

/// Digits that latencies keep.
const DIGITS: u8 = 3;

/// Ranges of lost frames that are looked at when there is time: those that are longer, and so many.
const LONG: u64 = 64;
const RANGES: usize = 4096;

/// Frames a second that a slow port takes, at least: fewer never make a few at once.
pub(super) const SLOWEST: f64 = 1000.0;

/// Streams that labels can tell apart.
pub(super) const STREAMS: usize = 256;

/// Where a stream's frames are counted: as leaked, or among the arrivals of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Unknown,
    Leak,
    Arrival(u16),
}

/// A port's receiving half in a trial.
pub(super) struct Receiver {
    slots: [Slot; STREAMS],
    pub(super) arrivals: Vec<Arrivals>,
    /// By stream.
    pub(super) leaked: Vec<u64>,
    /// When frames are taken, if not as fast as they come.
    intake: Option<Pacer>,
    pub(super) received: u64,
    pub(super) foreign: u64,
    pub(super) stale: u64,
    /// When the last frame came.
    pub(super) last_at: u64,
    /// Cycles between two looks of which the first found the port empty, and when the next is due.
    rest: u64,
    next_look: u64,
}

/// A stream that is to come to a port.
pub(super) struct Arrivals {
    pub(super) stream: usize,
    pub(super) window: Window,
    losses: Losses,
    /// Whether another tester sends it.
    from_elsewhere: bool,
    /// The tag that it was sent with; 0 for none.
    tag: u32,
    /// Of the window: frames, each once, and octets.
    pub(super) received: u64,
    pub(super) octets: u64,
    /// While the window was open: the moment of the first frames, that of the last, and how many came after the
    /// first.
    first_at: u64,
    last_at: u64,
    forwarded: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
    pub(super) remarked: u64,
    /// Where flows are drawn: the highest sequence number of each, and one.
    latest: Vec<u64>,
    /// In cycles.
    pub(super) latency: Option<Histogram<u64>>,
    pub(super) intervals: Vec<u64>,
}

/// How arrivals are to be looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looks {
    /// Sequence numbers that are remembered.
    pub(super) window: usize,
    pub(super) latency: bool,
    pub(super) intervals: usize,
}

impl Arrivals {
    pub(super) fn new(stream: usize, order: FlowOrder, tag: u32, from_elsewhere: bool, looks: Looks) -> Self {
        Self {
            stream,
            from_elsewhere,
            window: Window::new(looks.window),
            losses: Losses::new(order),
            tag,
            received: 0,
            octets: 0,
            first_at: u64::MAX,
            last_at: 0,
            forwarded: 0,
            duplicated: 0,
            reordered: 0,
            remarked: 0,
            latest: if order.is_random() { vec![0; order.flows() as usize] } else { Vec::new() },
            latency: looks.latency.then(latencies),
            intervals: vec![0; looks.intervals],
        }
    }

    /// Takes note of a frame. Returns whether there can be such a one.
    #[inline(always)]
    fn see(&mut self, seen: &Seen, len: usize, now: u64, course: &Course) -> bool {
        // The half of the number that isn't in the label is that of the highest so far, or next to it.
        let next = self.window.next();
        let ahead = seen.label.sequence.wrapping_sub(next as u32) as i32;
        let Some(sequence) = next.checked_add_signed(ahead.into()) else { return false };
        match self.window.see(sequence, |range| self.losses.add(range)) {
            Verdict::Next => {}
            Verdict::Late => self.reordered += u64::from(self.is_reordered(sequence)),
            Verdict::Again => {
                self.duplicated += 1;
                return true;
            }
            Verdict::TooLate => {
                self.reordered += 1;
                return true;
            }
        }
        if let Some(latest) = self.latest.get_mut(seen.label.flow as usize) {
            *latest = (*latest).max(sequence + 1);
        }
        if seen.tag != self.tag {
            self.remarked += u64::from(seen.tag != 0);
        }
        if now < course.close() {
            if now > self.first_at {
                self.forwarded += 1;
                self.last_at = now;
            } else if self.first_at == u64::MAX && now >= course.open {
                self.first_at = now;
            }
        }
        if sequence >= course.begin(self.stream) {
            self.received += 1;
            self.octets += len as u64;
            if let Some(latency) = &mut self.latency {
                latency.saturating_record(course.clock.since(seen.label.stamp, now));
            }
        }
        if !self.intervals.is_empty() && now >= course.open {
            let at = (now - course.open) / course.interval;
            if let Some(interval) = self.intervals.get_mut(at as usize) {
                *interval += 1;
            }
        }
        true
    }

    /// Whether a later frame of its flow has come before.
    #[cold]
    fn is_reordered(&self, sequence: u64) -> bool {
        let order = &self.losses.order;
        if order.is_random() {
            return self.latest[order.flow(sequence) as usize] > sequence;
        }
        // From the highest on: where frames come at all, one of the first is there.
        let flows = u64::from(order.flows());
        let laps = (self.window.next() - 1 - sequence) / flows;
        (1..=laps).rev().any(|lap| self.window.has(sequence + lap * flows))
    }

    /// Settles the account of a stream of which so many frames were sent.
    pub(super) fn finish(&mut self, sent: u64) {
        self.window.finish(sent, |range| self.losses.add(range));
        self.losses.finish();
    }

    /// Flows of which a frame is lost, a bit each.
    pub(super) fn flows_with_loss(&self) -> &[u64] {
        &self.losses.lossy
    }

    /// Frames a second while the window was open; `None` if too few came.
    pub(super) fn forwarding_rate(&self, tsc_hz: f64) -> Option<f64> {
        let cycles = self.last_at.checked_sub(self.first_at).filter(|cycles| *cycles > 0)?;
        Some(self.forwarded as f64 / cycles as f64 * tsc_hz)
    }
}

/// Which flows lost frames.
struct Losses {
    order: FlowOrder,
    lossy: Vec<u64>,
    /// Frames whose flows aren't marked yet.
    ranges: Vec<Range<u64>>,
}

impl Losses {
    fn new(order: FlowOrder) -> Self {
        let words = order.flows().div_ceil(64) as usize;
        Self { order, lossy: vec![0; words], ranges: Vec::with_capacity(RANGES) }
    }

    fn add(&mut self, range: Range<u64>) {
        let has_room = self.ranges.len() < RANGES;
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if range.end - range.start >= LONG && has_room => self.ranges.push(range),
            _ => self.mark(range),
        }
    }

    fn mark(&mut self, range: Range<u64>) {
        let flows = u64::from(self.order.flows());
        if !self.order.is_random() && range.end - range.start >= flows {
            return self.mark_flows(0..flows);
        }
        for sequence in range {
            let flow = u64::from(self.order.flow(sequence));
            self.mark_flows(flow..flow + 1);
        }
    }

    fn mark_flows(&mut self, flows: Range<u64>) {
        flows.for_each(|flow| self.lossy[(flow / 64) as usize] |= 1 << (flow % 64));
    }

    fn finish(&mut self) {
        std::mem::take(&mut self.ranges).into_iter().for_each(|range| self.mark(range));
    }
}

impl Receiver {
    /// Streams that aren't among the arrivals, of the `streams` that there are, don't belong here.
    /// A port that was empty is left alone for `rest` cycles. With an intake, frames are taken no faster than that
    /// says.
    pub(super) fn new(arrivals: Vec<Arrivals>, streams: usize, intake: Option<Pacer>, rest: u64) -> Self {
        let mut slots = [Slot::Unknown; STREAMS];
        slots[..streams].fill(Slot::Leak);
        for (at, arrival) in arrivals.iter().enumerate() {
            slots[arrival.stream] = Slot::Arrival(at as u16);
        }
        Self {
            slots,
            arrivals,
            leaked: vec![0; streams],
            intake,
            received: 0,
            foreign: 0,
            stale: 0,
            last_at: 0,
            rest,
            next_look: 0,
        }
    }

    /// Frames may come from now on.
    pub(super) fn start(&mut self, course: &Course) {
        if let Some(intake) = &mut self.intake {
            intake.start(course.start, u64::MAX, 0.0, u64::MAX);
        }
    }

    /// The window begins. Whoever sends a stream elsewhere doesn't say with which frame; it is the next, then.
    pub(super) fn open(&self, course: &Course) {
        for arrival in self.arrivals.iter().filter(|arrival| arrival.from_elsewhere) {
            course.set_begin(arrival.stream, arrival.window.next());
        }
    }

    /// Whether everything that belongs here has come, nothing of it after `since`.
    pub(super) fn has_all(&self, course: &Course, since: u64) -> bool {
        let has = |arrival: &Arrivals| course.sent(arrival.stream) == Some(arrival.window.unique());
        self.last_at < since && self.arrivals.iter().all(has)
    }

    /// Takes a burst. Returns how many frames came.
    #[inline]
    pub(super) fn receive(&mut self, rx: &mut RxQueue, course: &Course, now: u64) -> usize {
        if now < self.next_look {
            return 0;
        }
        let mut burst = ArrayVec::<Mbuf, BURST>::new();
        let count = match &mut self.intake {
            None => rx.receive(&mut burst),
            Some(intake) => slowly(intake, rx, &mut burst, course),
        };
        if count < BURST && self.intake.is_none() {
            self.next_look = now + self.rest;
        }
        if count == 0 {
            return 0;
        }
        let now = pollux_cpu::cycles();
        burst.iter().for_each(Mbuf::prefetch);
        for mbuf in &burst {
            self.see(read(mbuf), mbuf.len(), now, course);
        }
        Mbuf::free_burst(&mut burst);
        self.received += count as u64;
        self.last_at = now;
        count
    }

    #[inline(always)]
    fn see(&mut self, seen: Option<Seen>, len: usize, now: u64, course: &Course) {
        let Some(seen) = seen else {
            self.foreign += 1;
            return;
        };
        if seen.label.epoch != course.epoch {
            // What makes stations known is of no stream.
            self.stale += u64::from(seen.label.epoch != course.greeting_epoch());
            return;
        }
        match self.slots[usize::from(seen.label.stream)] {
            Slot::Arrival(at) => {
                if !self.arrivals[usize::from(at)].see(&seen, len, now, course) {
                    self.foreign += 1;
                }
            }
            Slot::Leak => self.leaked[usize::from(seen.label.stream)] += 1,
            Slot::Unknown => self.foreign += 1,
        }
    }
}

/// Frames that a driver may deal in.
const AT_ONCE: u64 = 4;

/// Takes what it is time for; all that there is once the window has closed.
fn slowly(intake: &mut Pacer, rx: &mut RxQueue, burst: &mut ArrayVec<Mbuf, BURST>, course: &Course) -> usize {
    let now = pollux_cpu::cycles();
    if now >= course.close() {
        return rx.receive(burst);
    }
    let most = intake.ready(now).min(BURST as u64);
    if most < AT_ONCE {
        return 0;
    }
    let count = rx.receive_some(burst, most as u16);
    intake.take(count as u64);
    count
}

/// Reads a frame's beginning, wherever its segments end.
#[inline(always)]
pub(super) fn read(mbuf: &Mbuf) -> Option<Seen> {
    let head = mbuf.head();
    if head.len() >= frames::HEAD || mbuf.segment_count() == 1 {
        return frames::read(head);
    }
    let mut start = ArrayVec::<u8, { 2 * frames::HEAD }>::new();
    start.extend(mbuf.segments().flatten().copied().take(2 * frames::HEAD));
    frames::read(&start)
}

/// Up to half a minute or so, whatever the processor; more is shown as that.
fn latencies() -> Histogram<u64> {
    let made = Histogram::new_with_max(1 << 37, DIGITS);
    made.expect("the bounds are constants that the type allows")
}
