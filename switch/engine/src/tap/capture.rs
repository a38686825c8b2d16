use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use pollux_net::{Frame, MAX_PORTS, PortId, PortSet, WorkerId};

use super::ring::{Ring, Session};
use super::{Point, Record};
use crate::stats::bump;

/// Captures at a time: what a worker looks through for each burst.
pub const MAX_CAPTURES: usize = 8;

/// What a capture is to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CaptureSpec {
    /// Frames that its ports receive.
    pub rx: bool,
    /// Frames that they send.
    pub tx: bool,
    /// Frames that are dropped and counted on them.
    pub drops: bool,
    /// Octets of a frame that are kept at most.
    pub snap_length: usize,
}

/// A capture: workers put frames in, somebody takes them out. What it has no room for is lost to it and counted,
/// and delays nobody.
#[derive(Debug)]
pub struct Capture<X> {
    spec: CaptureSpec,
    filter: Option<X>,
    /// As bits of a [`PortSet`]. Written by the control plane.
    ports: AtomicU64,
    /// Set once, by whoever has had enough.
    ended: AtomicBool,
    /// One for each worker.
    workers: Box<[Worker]>,
}

#[derive(Debug)]
struct Worker {
    ring: Ring,
    /// By port and point; written by the worker.
    lost: Box<[[AtomicU64; Point::KINDS]; MAX_PORTS]>,
}

impl<X> Capture<X> {
    /// What `spec` says, at `ports`; of each worker's frames, `room` octets may wait.
    pub fn new(spec: CaptureSpec, ports: PortSet, filter: Option<X>, workers: usize, room: usize) -> Self {
        let worker =
            |_| Worker { ring: Ring::new(room), lost: Box::new(std::array::from_fn(|_| Default::default())) };
        Self {
            spec,
            filter,
            ports: AtomicU64::new(ports.bits()),
            ended: AtomicBool::new(false),
            workers: (0..workers).map(worker).collect(),
        }
    }

    /// What it sees.
    pub fn spec(&self) -> CaptureSpec {
        self.spec
    }

    /// The ports that it looks at.
    pub fn ports(&self) -> PortSet {
        PortSet::from_bits(self.ports.load(Relaxed))
    }

    /// Has it look at other ports.
    pub fn set_ports(&self, ports: PortSet) {
        self.ports.store(ports.bits(), Relaxed);
    }

    /// Has workers put nothing in any more, from their next burst on.
    pub fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    /// Whether it has [ended](Self::end).
    pub fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// The worker whose first frame is the oldest, of those that have one, and that frame. For the one that
    /// reads, as what follows.
    pub fn oldest(&self) -> Option<(WorkerId, Record)> {
        let firsts =
            self.workers.iter().enumerate().filter_map(|(worker, of)| Some((worker, of.ring.first()?)));
        let (worker, record) = firsts.min_by_key(|(_, record)| record.cycles)?;
        Some((WorkerId(worker as u8), record))
    }

    /// Takes a worker's first frame out, which must be there, and adds its octets to `octets`.
    pub fn take(&self, worker: WorkerId, octets: &mut Vec<u8>) {
        self.workers[usize::from(worker.0)].ring.take(octets);
    }

    /// How full the fullest worker's room is, from 0 to 1.
    pub fn fill(&self) -> f64 {
        self.workers.iter().map(|worker| worker.ring.fill()).fold(0.0, f64::max)
    }

    /// Frames of a port that there was no room for: received, sent, dropped.
    pub fn lost(&self, port: PortId) -> [u64; 3] {
        let mut sums = [0; Point::KINDS];
        for worker in &self.workers {
            for (sum, lost) in sums.iter_mut().zip(&worker.lost[port.index()]) {
                *sum += lost.load(Relaxed);
            }
        }
        sums
    }

    pub(crate) fn filter(&self) -> Option<&X> {
        self.filter.as_ref()
    }

    /// Whether it sees what happens there.
    #[inline]
    pub(crate) fn sees(&self, port: PortId, point: Point) -> bool {
        let sees = match point {
            Point::Rx => self.spec.rx,
            Point::Tx => self.spec.tx,
            Point::Dropped { .. } => self.spec.drops,
        };
        sees && self.ports().contains(port) && !self.has_ended()
    }

    pub(crate) fn session(&self, worker: WorkerId) -> Session<'_> {
        self.workers[usize::from(worker.0)].ring.session()
    }

    /// Puts a frame in. Returns whether there was room; if not, it counts as lost.
    pub(crate) fn add<F: Frame>(
        &self,
        session: &mut Session<'_>,
        frame: &F,
        (port, point, cycles): (PortId, Point, u64),
    ) -> bool {
        let len = frame.len();
        let record = Record { port, point, cycles, kept: len.min(self.spec.snap_length), len };
        session.add(&record, frame.pieces())
    }

    /// Counts frames that there was no room for.
    #[cold]
    pub(crate) fn count_lost(&self, worker: WorkerId, port: PortId, point: Point, frames: u64) {
        bump(&self.workers[usize::from(worker.0)].lost[port.index()][point.kind()], frames);
    }

    /// Lets the reader see those records of a session whose bit is set.
    pub(crate) fn publish(mut session: Session<'_>, bits: Option<impl Iterator<Item = bool>>) {
        if let Some(bits) = bits {
            session.keep_only(bits);
        }
        session.publish();
    }
}
