//! A switch over ordinary memory.

use std::collections::VecDeque;
use std::sync::Arc;

use arrayvec::ArrayVec;
use pollux_engine::datapath::{BURST, Batch, Context, Outbox, Platform, walk};
use pollux_engine::fdb::{Fdb, FdbKey, FdbOptions};
use pollux_engine::tap::{Capture, CaptureSpec, Record};
use pollux_engine::{Accounting, Reason, Snapshot, WorkerStats};
use pollux_model::{PlainFilter, PlainMeter, PlainRules};
use pollux_net::{Mac, PortId, PortSet, Vid, WorkerId};

/// One queue that frames come from, and one for each port that they go to.
pub(crate) struct Memory {
    ingress: PortId,
    waiting: VecDeque<Vec<u8>>,
    sent: Vec<Vec<Vec<u8>>>,
    /// Copies that there is memory for.
    copies_left: usize,
}

impl Memory {
    fn takes_copy(&mut self) -> bool {
        let left = self.copies_left.checked_sub(1);
        self.copies_left = left.unwrap_or(0);
        left.is_some()
    }
}

impl Platform for Memory {
    type Frame = Vec<u8>;
    type Rules = PlainRules;
    type Meter = PlainMeter;
    type Filter = PlainFilter;

    fn sources(&self) -> usize {
        1
    }

    fn receive(&mut self, _source: usize, burst: &mut ArrayVec<Vec<u8>, BURST>) -> PortId {
        let take = burst.remaining_capacity().min(self.waiting.len());
        burst.extend(self.waiting.drain(..take));
        self.ingress
    }

    fn transmit(&mut self, port: PortId, frames: &mut ArrayVec<Vec<u8>, BURST>) {
        self.sent[port.index()].extend(frames.drain(..));
    }

    fn copy(&mut self, frame: &Vec<u8>) -> Option<Vec<u8>> {
        self.takes_copy().then(|| frame.clone())
    }

    fn copy_start(&mut self, frame: &Vec<u8>, len: usize) -> Option<Vec<u8>> {
        self.takes_copy().then(|| frame[..len.min(frame.len())].to_vec())
    }

    fn frame(&mut self, octets: &[u8]) -> Option<Vec<u8>> {
        Some(octets.to_vec())
    }

    fn append(&mut self, frame: &mut Vec<u8>, octets: &[u8]) -> bool {
        frame.extend(octets);
        true
    }
}

/// What came of one burst.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Got {
    /// Frames sent, by port, in order.
    pub(crate) sent: Vec<Vec<Vec<u8>>>,
    /// Each drop with the port it was counted on, sorted.
    pub(crate) drops: Vec<(PortId, Reason)>,
}

const START_SECONDS: u32 = 1000;

/// A capture of everything, with room for everything.
pub(crate) fn capture(drops: bool) -> Arc<Capture<PlainFilter>> {
    let spec = CaptureSpec { rx: true, tx: true, drops, snap_length: usize::MAX };
    Arc::new(Capture::new(spec, PortSet::ALL, None, 1, 1 << 20))
}

/// What a capture has, in order.
pub(crate) fn captured(capture: &Capture<PlainFilter>) -> Vec<(Record, Vec<u8>)> {
    let next = || {
        let (worker, record) = capture.oldest()?;
        let mut octets = Vec::new();
        capture.take(worker, &mut octets);
        Some((record, octets))
    };
    std::iter::from_fn(next).collect()
}

/// A switch with one worker, on the bench.
pub(crate) struct Bench {
    pub(crate) fdb: Fdb,
    pub(crate) links: PortSet,
    pub(crate) now_seconds: u32,
    /// Copies that there is memory for in each burst.
    pub(crate) copies: usize,
    snapshot: Snapshot<Memory>,
    stats: WorkerStats,
    batch: Batch<Vec<u8>>,
    outbox: Outbox<Vec<u8>>,
    ports: usize,
}

impl Bench {
    pub(crate) fn new(
        snapshot: Snapshot<Memory>,
        ports: usize,
        links: PortSet,
        ageing_seconds: u32,
        statics: &[(Vid, Mac, PortId)],
    ) -> Self {
        let fdb = Fdb::new(FdbOptions { capacity: 4096, ageing_seconds, seed: 1 });
        for &(vid, mac, port) in statics {
            fdb.insert_static(FdbKey::new(vid, mac), port, START_SECONDS)
                .expect("room for a few static entries");
        }
        Self {
            fdb,
            links,
            now_seconds: START_SECONDS,
            copies: usize::MAX,
            snapshot,
            stats: WorkerStats::new(),
            batch: Batch::new(),
            outbox: Outbox::new(),
            ports,
        }
    }

    pub(crate) fn configure(&mut self, snapshot: Snapshot<Memory>) {
        self.snapshot = snapshot;
    }

    pub(crate) fn burst(&mut self, ingress: PortId, frames: Vec<Vec<u8>>) -> Got {
        let before = self.drops();
        let sent = vec![Vec::new(); self.ports];
        let mut memory = Memory { ingress, waiting: frames.into(), sent, copies_left: self.copies };
        let context = Context {
            snapshot: &self.snapshot,
            fdb: &self.fdb,
            links: self.links,
            now_seconds: self.now_seconds,
            now_cycles: 0,
            worker: WorkerId(0),
            stats: &self.stats,
        };
        while walk(&mut self.batch, &context, &mut self.outbox, &mut memory, &mut ()) > 0 {}
        let mut drops = Vec::new();
        for (&(port, reason, after), (_, _, before)) in self.drops().iter().zip(before) {
            drops.extend(std::iter::repeat_n((port, reason), (after - before) as usize));
        }
        drops.sort();
        Got { sent: memory.sent, drops }
    }

    pub(crate) fn accounting(&self) -> Accounting {
        Accounting::of([&self.stats], 0)
    }

    fn drops(&self) -> Vec<(PortId, Reason, u64)> {
        let counts = |port| {
            let totals = self.stats.port(port);
            Reason::ALL.iter().map(move |&reason| (port, reason, totals.drops[reason.index()]))
        };
        PortId::all().flat_map(counts).collect()
    }
}
