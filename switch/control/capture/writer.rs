//! The thread that writes what a capture has kept: in the order of time, as pcapng.
//!
//! Workers tell it nothing, as that would be a system call: it looks every few milliseconds. Where its output
//! takes nothing, it waits, and the capture loses frames meanwhile.

use std::io::PipeReader;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dpdk::PacketFilter;
use nix::poll::PollTimeout;
use pollux_engine::Reason;
use pollux_engine::tap::{Capture, Point, Record};
use pollux_net::{PortId, WorkerId};

use super::interfaces::{DROPPED, Interfaces, RX, TX};
use super::output::{Event, Output};
use super::pcapng::{Blocks, Direction, Packet, Statistics};
use super::{CaptureRequest, End, Progress};

/// Between two looks while nothing comes.
const PAUSE: Duration = Duration::from_millis(5);

/// Between two looks at an output that takes nothing.
const LONG_PAUSE: Duration = Duration::from_millis(100);

/// How long a frame of one worker waits for older ones of others. A worker shows a frame a microsecond after it
/// has looked at the clock, unless the kernel runs something else on its CPU.
const HOLD: Duration = Duration::from_millis(10);

/// Octets that are gathered before they are written.
const GATHERED: usize = 64 << 10;

/// How full a worker's room may get before frames wait for older ones no longer.
const HURRY: f64 = 0.25;

/// How long an output may take nothing once the capture is to end.
const PATIENCE: Duration = Duration::from_millis(300);

/// How long writing what there is may take then.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// The time stamp counter beside the clock of the world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    cycles: u64,
    nanoseconds: u64,
    hz: u64,
}

impl Clock {
    /// A counter that counts up by `hz` a second.
    pub(super) fn new(hz: u64) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { cycles: pollux_cpu::cycles(), nanoseconds: since.as_nanos() as u64, hz }
    }

    /// Nanoseconds since 1970.
    fn nanoseconds(&self, cycles: u64) -> u64 {
        let passed =
            (i128::from(cycles) - i128::from(self.cycles)) * 1_000_000_000 / i128::from(self.hz.max(1));
        (i128::from(self.nanoseconds) + passed) as u64
    }

    fn cycles(&self, of: Duration) -> u64 {
        (of.as_nanos() * u128::from(self.hz) / 1_000_000_000) as u64
    }
}

pub(super) struct Writer {
    pub(super) capture: Arc<Capture<Arc<PacketFilter>>>,
    pub(super) request: CaptureRequest,
    pub(super) workers: usize,
    pub(super) progress: Arc<Progress>,
    pub(super) output: Output,
    /// Closed when somebody wants an end.
    pub(super) stop: PipeReader,
    pub(super) clock: Clock,
    /// What is still to be written.
    pub(super) gathered: Vec<u8>,
    pub(super) interfaces: Interfaces,
}

/// How the thread's work goes on.
enum Next {
    Look,
    End(End),
}

impl Writer {
    /// Writes until there is an end.
    pub(super) fn run(mut self) {
        let deadline = self.request.max_seconds.map(|seconds| Instant::now() + seconds);
        let program = concat!("Pollux ", env!("POLLUX_VERSION"));
        Blocks(&mut self.gathered).section(program);
        let end = loop {
            match self.step(deadline) {
                Next::Look => {}
                Next::End(end) => break end,
            }
        };
        self.capture.end();
        self.conclude(&end);
        self.progress.set_end(end);
    }

    /// Writes what has come, or waits for more.
    fn step(&mut self, deadline: Option<Instant>) -> Next {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Next::End(End::MaxSeconds);
        }
        let full = self.gather(false);
        let more = self.gathered.len() >= GATHERED || self.capture.fill() > HURRY;
        if let Err(error) = self.write() {
            return Next::End(error);
        }
        if let Some(end) = full {
            return Next::End(end);
        }
        let waits = !self.gathered.is_empty();
        let pause = match (waits, more) {
            (true, _) => LONG_PAUSE,
            (false, true) => Duration::ZERO,
            (false, false) => PAUSE,
        };
        let pause = left.map_or(pause, |left| pause.min(left));
        match self.output.wait(&self.stop, waits, timeout(pause)) {
            Event::Stop => Next::End(End::Stopped),
            Event::ReaderGone => Next::End(End::ReaderGone),
            Event::Ready | Event::Timeout => Next::Look,
        }
    }

    /// Takes frames out, as long as there is room for them. Returns why the capture ends, if a limit says so.
    fn gather(&mut self, all: bool) -> Option<End> {
        self.interfaces.follow();
        let hold = if self.workers > 1 { self.clock.cycles(HOLD) } else { 0 };
        let until = pollux_cpu::cycles().saturating_sub(hold);
        while self.gathered.len() < GATHERED {
            let (worker, record) = self.capture.oldest()?;
            if record.cycles > until && !all && self.capture.fill() < HURRY {
                return None;
            }
            let frames = self.progress.frames.load(Relaxed);
            if self.request.max_frames.is_some_and(|most| frames >= most) {
                return Some(End::MaxFrames);
            }
            if !self.add(worker, &record) {
                return Some(End::MaxBytes);
            }
            self.progress.frames.store(frames + 1, Relaxed);
            if self.request.max_frames == Some(frames + 1) {
                return Some(End::MaxFrames);
            }
        }
        None
    }

    /// Adds a frame. Returns `false`, and leaves it, if the file would get too long.
    fn add(&mut self, worker: WorkerId, record: &Record) -> bool {
        let before = self.gathered.len();
        let interfaces = self.interfaces.len();
        let (kind, direction, comment) = described(record.point);
        let interface = self.interfaces.number(record.port, kind, &self.request, &mut self.gathered);
        let packet = Packet {
            interface: interface as u32,
            nanoseconds: self.clock.nanoseconds(record.cycles),
            len: record.len as u32,
            kept: record.kept as u32,
            direction,
            comment: comment.as_deref(),
        };
        // Its octets, and at most 80 for the block, beside the comment.
        let needed = record.kept.next_multiple_of(4) + 80 + comment.as_ref().map_or(0, String::len);
        if !self.has_room_for(needed) {
            self.gathered.truncate(before);
            self.interfaces.truncate(interfaces);
            return false;
        }
        let capture = &self.capture;
        Blocks(&mut self.gathered).packet(&packet, |octets| capture.take(worker, octets));
        self.interfaces.count(interface);
        true
    }

    /// Whether the file takes so many octets more, beside the statistics at its end.
    fn has_room_for(&self, octets: usize) -> bool {
        let gathered = self.gathered.len() + octets + self.interfaces.statistics_len();
        let all = self.progress.bytes.load(Relaxed) + gathered as u64;
        self.request.max_bytes.is_none_or(|most| all <= most)
    }

    /// Writes as much of what is gathered as the output takes now.
    fn write(&mut self) -> Result<(), End> {
        let mut written = 0;
        while written < self.gathered.len() {
            match self.output.write(&self.gathered[written..]) {
                Ok(0) => break,
                Ok(some) => written += some,
                Err(error) => return Err(End::of(&error)),
            }
        }
        self.progress.bytes.fetch_add(written as u64, Relaxed);
        self.gathered.drain(..written);
        Ok(())
    }

    /// Writes what is left, within limits, and what was counted.
    fn conclude(&mut self, end: &End) {
        let drains = matches!(end, End::Stopped | End::MaxSeconds);
        if matches!(end, End::ReaderGone | End::Failed(_)) {
            self.progress.dropped.fetch_add(self.count_rest(), Relaxed);
            return;
        }
        let last = Instant::now() + LAST_PATIENCE;
        while drains && self.gather(true).is_none() && self.capture.oldest().is_some() {
            if !self.write_out(last) {
                break;
            }
        }
        self.progress.dropped.fetch_add(if drains { self.count_rest() } else { 0 }, Relaxed);
        self.add_statistics();
        self.write_out(last);
    }

    /// Writes all that is gathered, as long as the output takes some now and then. Returns whether it did.
    fn write_out(&mut self, last: Instant) -> bool {
        let mut patience = Instant::now() + PATIENCE;
        loop {
            let before = self.gathered.len();
            if self.write().is_err() {
                return false;
            }
            if self.gathered.is_empty() {
                return true;
            }
            let now = Instant::now();
            if self.gathered.len() < before {
                patience = now + PATIENCE;
            }
            let left = patience.min(last).saturating_duration_since(now);
            if left.is_zero() {
                return false;
            }
            // Somebody wants an end already, so a stop says nothing.
            std::thread::sleep(left.min(Duration::from_millis(2)));
        }
    }

    /// Frames that nobody gets any more.
    fn count_rest(&self) -> u64 {
        let mut octets = Vec::new();
        let rest = std::iter::from_fn(|| {
            let (worker, _) = self.capture.oldest()?;
            octets.clear();
            self.capture.take(worker, &mut octets);
            Some(())
        });
        rest.count() as u64
    }

    fn add_statistics(&mut self) {
        let (from, to) = (self.clock.nanoseconds, self.clock.nanoseconds(pollux_cpu::cycles()));
        let mut lost = vec![0; self.interfaces.len()];
        for port in PortId::all() {
            for (kind, frames) in [RX, TX, DROPPED].into_iter().zip(self.capture.lost(port)) {
                if frames == 0 {
                    continue;
                }
                let (before, interfaces) = (self.gathered.len(), self.interfaces.len());
                let number = self.interfaces.number(port, kind, &self.request, &mut self.gathered);
                if number == interfaces {
                    if !self.has_room_for(0) {
                        self.gathered.truncate(before);
                        self.interfaces.truncate(interfaces);
                        continue;
                    }
                    lost.push(0);
                }
                lost[number] += frames;
            }
        }
        for (number, (kept, lost)) in self.interfaces.kept().zip(lost).enumerate() {
            Blocks(&mut self.gathered).statistics(number as u32, Statistics { kept, lost }, from, to);
        }
    }
}

/// The kind of interface, the direction and the comment of what was seen there.
fn described(point: Point) -> (&'static str, Direction, Option<String>) {
    match point {
        Point::Rx => (RX, Direction::Inbound, None),
        Point::Tx => (TX, Direction::Outbound, None),
        Point::Dropped { reason, inbound } => {
            let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
            (DROPPED, direction, Some(comment(reason)))
        }
    }
}

fn comment(reason: Reason) -> String {
    format!("dropped: {reason} ({})", reason.about().trim_end_matches('.'))
}

/// Rounded up: a pause of no time would be none.
fn timeout(duration: Duration) -> PollTimeout {
    let milliseconds = duration.as_micros().div_ceil(1000);
    u16::try_from(milliseconds).map_or(PollTimeout::from(u16::MAX), PollTimeout::from)
}
