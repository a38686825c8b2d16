//! The egress port: what comes out of it, in which order, when, and with which delay.

use arrayvec::ArrayVec;
use dpdk::{Mbuf, Mempool};
use hdrhistogram::Histogram;
use pollux_net::{Frame, Mac};

use super::excess::Excess;
use super::frame::{self, Label};
use super::plan::{self, Amount, Delay, FlowOutcome};
use crate::virtio_user::{BURST, VirtioUser};

/// Digits of delays that are kept.
const DIGITS: u8 = 3;

pub(super) struct Receiver {
    device: VirtioUser,
    pool: Mempool,
    /// Ingress ports that were heard of before the first phase, a bit each.
    pub(super) heard: u64,
    pub(super) tally: Tally,
}

impl Receiver {
    pub(super) fn new(device: VirtioUser, pool: &Mempool, tally: Tally) -> Self {
        Self { device, pool: pool.clone(), heard: 0, tally }
    }

    /// Sends a frame, so that the switch learns where this port's station is.
    pub(super) fn announce(&mut self, from: Mac, to: Mac) {
        let octets = frame::template(from, to, 0, 0, 0);
        if let Some(mbuf) = Mbuf::from_slice(&self.pool, &octets[..60]) {
            self.device.tx.transmit(&mut ArrayVec::from([mbuf]));
        }
    }

    /// Takes a burst. Returns how many frames there were.
    #[inline]
    pub(super) fn poll(&mut self) -> usize {
        let mut burst = ArrayVec::<Mbuf, BURST>::new();
        let before = pollux_cpu::cycles();
        let count = self.device.rx.receive(&mut burst);
        let now = pollux_cpu::cycles();
        if count == 0 {
            self.tally.nothing(before);
            return 0;
        }
        burst.iter().for_each(Mbuf::prefetch);
        self.tally.begin_batch(now);
        for mbuf in &burst {
            match frame::label(mbuf.head()) {
                Some(label) if label.phase == 0 => self.heard |= 1 << (label.stream % 64),
                label => self.tally.see(label, mbuf.len()),
            }
        }
        self.tally.end_batch();
        Mbuf::free_burst(&mut burst);
        count
    }
}

/// What came in a phase.
pub(super) struct Tally {
    phase: u32,
    streams: Vec<Arrivals>,
    flows: Vec<Received>,
    excess: Option<Excess>,
    pub(super) window: Window,
    strange: u64,
    batch: Batch,
    /// When the ring was last seen empty.
    empty: u64,
    /// When it was last looked at, and the longest time between two looks.
    last_look: u64,
    longest_pause: u64,
    pauses: u64,
    paused: u64,
    /// Cycles of a pause that counts.
    long: u64,
    tsc_hz: f64,
}

/// The window, by the batches in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// Whether it is now.
    pub(super) open: bool,
    /// The first batch, from whose arrival it is counted.
    first: Option<u64>,
    /// The last batch.
    last: u64,
}

impl Window {
    /// A batch. Returns whether it counts.
    fn takes(&mut self, now: u64) -> bool {
        if !self.open {
            return false;
        }
        let counts = self.first.is_some();
        self.first.get_or_insert(now);
        self.last = now;
        counts
    }

    /// Its length in cycles, with `end` as its planned end: to the last batch, or to the end if none came
    /// for a twentieth of it.
    fn cycles(&self, end: u64) -> u64 {
        let Some(first) = self.first else { return 0 };
        let planned = end.saturating_sub(first);
        let last = if end.saturating_sub(self.last) > planned / 20 { end } else { self.last };
        last - first
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Batch {
    now: u64,
    counts: bool,
    octets: u64,
}

/// What came of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Arrivals {
    flow: usize,
    /// The highest sequence number so far, and one.
    next: u64,
    received: u64,
    reordered: u64,
    /// In the window: the first and the highest sequence number, and how many.
    first: Option<u64>,
    highest: u64,
    counted: u64,
}

/// What came of a flow.
struct Received {
    pcp: u8,
    amount: Amount,
    remarked: u64,
    /// In cycles.
    delays: Histogram<u64>,
}

impl Tally {
    /// For a phase with these flows' priorities, and with a stream for each of `flow_of_stream`.
    pub(super) fn new(
        phase: u32,
        pcps: &[u8],
        flow_of_stream: &[usize],
        limit: Option<f64>,
        tsc_hz: f64,
        now: u64,
    ) -> Self {
        let received =
            |pcp: &u8| Received { pcp: *pcp, amount: Amount::default(), remarked: 0, delays: delays() };
        Self {
            phase,
            streams: flow_of_stream.iter().map(|&flow| Arrivals { flow, ..Arrivals::default() }).collect(),
            flows: pcps.iter().map(received).collect(),
            excess: limit.map(|rate| Excess::above(rate, tsc_hz)),
            window: Window::default(),
            strange: 0,
            batch: Batch::default(),
            empty: now,
            last_look: now,
            longest_pause: 0,
            pauses: 0,
            paused: 0,
            long: (tsc_hz / 1000.0) as u64,
            tsc_hz,
        }
    }

    /// The ring was empty.
    #[inline(always)]
    fn nothing(&mut self, now: u64) {
        self.empty = now;
        self.look(now);
    }

    #[inline(always)]
    fn look(&mut self, now: u64) {
        let pause = now.saturating_sub(self.last_look);
        self.last_look = now;
        self.longest_pause = self.longest_pause.max(pause);
        if pause > self.long {
            self.pauses += 1;
            self.paused += if self.window.open { pause } else { 0 };
        }
    }

    #[inline(always)]
    fn begin_batch(&mut self, now: u64) {
        self.look(now);
        self.batch = Batch { now, counts: self.window.takes(now), octets: 0 };
    }

    /// Takes note of a frame.
    #[inline(always)]
    fn see(&mut self, label: Option<Label>, len: usize) {
        let ours = label.filter(|label| label.phase == self.phase);
        let Some(label) = ours else {
            self.strange += 1;
            return;
        };
        let Some(stream) = self.streams.get_mut(label.stream as usize) else {
            self.strange += 1;
            return;
        };
        self.batch.octets += len as u64;
        stream.see(label.sequence, self.batch.counts);
        let flow = &mut self.flows[stream.flow];
        flow.remarked += u64::from(label.pcp != flow.pcp);
        if self.batch.counts {
            flow.amount.add(len);
            flow.delays.saturating_record(self.batch.now.saturating_sub(label.stamp));
        }
    }

    #[inline(always)]
    fn end_batch(&mut self) {
        if let Some(excess) = &mut self.excess {
            excess.add(self.batch.octets, self.batch.now, self.empty);
        }
    }

    /// What came, of flows and streams that were sent like this, in a window planned to end at `end`.
    pub(super) fn outcome(&self, sent: &[u64], end: u64) -> plan::Outcome {
        let seconds = |cycles: u64| cycles as f64 / self.tsc_hz;
        let flows = self.flows.iter().enumerate().map(|(number, flow)| {
            let mut outcome = FlowOutcome {
                received: flow.amount,
                remarked: flow.remarked,
                delay: summary(&flow.delays, self.tsc_hz),
                ..FlowOutcome::default()
            };
            for (stream, sent) in self.streams.iter().zip(sent).filter(|(stream, _)| stream.flow == number) {
                outcome.sent += sent;
                outcome.lost += sent.saturating_sub(stream.received);
                outcome.reordered += stream.reordered;
                outcome.missing += stream.missing();
            }
            outcome
        });
        plan::Outcome {
            seconds: seconds(self.window.cycles(end)),
            flows: flows.collect(),
            excess: self.excess.as_ref().map(Excess::most),
            longest_pause: 1e6 * seconds(self.longest_pause),
            pauses: self.pauses,
            paused: seconds(self.paused),
            strange: self.strange,
            ..plan::Outcome::default()
        }
    }
}

impl Arrivals {
    #[inline(always)]
    fn see(&mut self, sequence: u64, counts: bool) {
        self.received += 1;
        if sequence >= self.next {
            self.next = sequence + 1;
        } else {
            self.reordered += 1;
        }
        if counts {
            self.first.get_or_insert(sequence);
            self.highest = self.highest.max(sequence);
            self.counted += 1;
        }
    }

    /// Frames between the first and the last of the window that didn't come.
    fn missing(&self) -> u64 {
        let Some(first) = self.first else { return 0 };
        (self.highest.saturating_sub(first) + 1).saturating_sub(self.counted)
    }
}

/// Up to a minute or so, whatever the processor; more is shown as that.
fn delays() -> Histogram<u64> {
    let made = Histogram::new_with_max(1 << 38, DIGITS);
    made.expect("the bounds are constants that the type allows")
}

/// In microseconds.
fn summary(delays: &Histogram<u64>, tsc_hz: f64) -> Delay {
    let micros = |cycles: u64| cycles as f64 / tsc_hz * 1e6;
    if delays.is_empty() {
        return Delay::default();
    }
    Delay {
        p50: micros(delays.value_at_quantile(0.50)),
        p99: micros(delays.value_at_quantile(0.99)),
        max: micros(delays.max()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TSC_HZ: f64 = 1e9;

    fn tally(limit: Option<f64>) -> Tally {
        // Two streams of flow 0, with priority 0, and one of flow 1, with priority 7.
        let mut tally = Tally::new(1, &[0, 7], &[0, 0, 1], limit, TSC_HZ, 0);
        tally.window.open = true;
        tally
    }

    fn label(stream: u32, pcp: u8, sequence: u64, stamp: u64) -> Option<Label> {
        Some(Label { pcp, phase: 1, stream, sequence, stamp })
    }

    fn batch(tally: &mut Tally, now: u64, frames: &[(u32, u8, u64)]) {
        tally.begin_batch(now);
        for &(stream, pcp, sequence) in frames {
            tally.see(label(stream, pcp, sequence, now - 2_000), 60);
        }
        tally.end_batch();
    }

    #[test]
    fn loss_order_and_priority_are_seen_by_stream() {
        let mut tally = tally(None);
        batch(&mut tally, 10_000, &[(0, 0, 0), (1, 0, 0), (2, 7, 0)]);
        batch(&mut tally, 20_000, &[(0, 0, 1), (1, 0, 3), (2, 7, 1)]);
        batch(&mut tally, 30_000, &[(0, 0, 4), (1, 0, 2), (2, 6, 2)]);
        let outcome = tally.outcome(&[6, 4, 3], 30_000);
        let [be, control] = &outcome.flows[..] else { panic!("two flows") };
        // Of stream 0, 2, 3 and 5 never came; of stream 1, 1.
        assert_eq!((be.sent, be.lost, be.reordered, be.remarked), (10, 4, 1, 0));
        // The window begins behind the first batch: 2 and 3 of stream 0, nothing of stream 1 from 2 on.
        assert_eq!((be.missing, be.received), (2, Amount { frames: 4, octets: 240 }));
        assert_eq!((control.lost, control.reordered, control.remarked), (0, 0, 1));
        assert_eq!(outcome.seconds, 20e-6);
        assert!((control.delay.p50 - 2.0).abs() < 0.01 && (control.delay.max - 2.0).abs() < 0.01);
    }

    #[test]
    fn what_isnt_of_the_phase_is_strange() {
        let mut tally = tally(None);
        tally.begin_batch(10);
        tally.see(None, 60);
        tally.see(Some(Label { pcp: 0, phase: 2, stream: 0, sequence: 0, stamp: 0 }), 60);
        tally.see(label(3, 0, 0, 0), 60);
        tally.end_batch();
        assert_eq!(tally.outcome(&[0; 3], 10).strange, 3);
    }

    #[test]
    fn a_window_ends_with_its_last_batch_unless_that_was_long_ago() {
        let mut window = Window { open: true, ..Window::default() };
        assert_eq!(window.cycles(1_000), 0);
        assert!(!window.takes(100) && window.takes(500) && window.takes(1_090));
        assert_eq!(window.cycles(1_100), 990);
        assert_eq!(window.cycles(2_000), 1_900);
        window.open = false;
        assert!(!window.takes(1_200));
    }

    #[test]
    fn pauses_are_noted() {
        let mut tally = tally(None);
        tally.nothing(500_000);
        tally.nothing(3_000_000);
        batch(&mut tally, 3_000_100, &[(0, 0, 0)]);
        let outcome = tally.outcome(&[1, 0, 0], 3_000_100);
        assert_eq!((outcome.pauses, outcome.longest_pause), (1, 2_500.0));
        assert_eq!(outcome.paused, 0.0025);
    }

    #[test]
    fn delays_have_three_digits() {
        let mut delays = delays();
        (1..=1000).for_each(|n| delays.saturating_record(n * 1_000));
        let Delay { p50, p99, max } = summary(&delays, TSC_HZ);
        assert!((p50 / 500.0 - 1.0).abs() < 2e-3, "{p50}");
        assert!((p99 / 990.0 - 1.0).abs() < 2e-3, "{p99}");
        assert!((max / 1000.0 - 1.0).abs() < 2e-3, "{max}");
    }
}
