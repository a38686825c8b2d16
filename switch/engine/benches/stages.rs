//! Cycles a packet of each stage, over frames in ordinary memory: `cargo bench --bench stages [-- PAIRS …]`.
//!
//! Two access ports, or an access port and a trunk, each sending to stations behind the other. The
//! figures are medians over rounds; a stage's includes reading the clock, some 20 cycles a batch.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use pollux_cpu::cycles;
use pollux_engine::datapath::{BURST, Batch, Context, Observer, Outbox, Platform, Stage, walk};
use pollux_engine::fdb::{Fdb, FdbOptions};
use pollux_engine::{PortSpec, Snapshot, WorkerStats};
use pollux_model::{PlainFilter, PlainMeter, PlainRules};
use pollux_net::{Mac, PortId, PortVlan, Vid, VlanMode, WorkerId};

const STAGES: [Stage; 8] = [
    Stage::Rx,
    Stage::Parse,
    Stage::Classify,
    Stage::Prepare,
    Stage::Learn,
    Stage::Lookup,
    Stage::Egress,
    Stage::Tx,
];
const PAIRS: [usize; 5] = [1, 1_000, 10_000, 100_000, 1_000_000];
const ROUNDS: usize = 15;
/// Frames that are in flight in each direction: as many as fit the second-level cache with their
/// lanes.
const FRAMES: usize = 1024;

/// Two ports whose frames go round: what is sent is received again with new addresses.
struct Loop {
    ports: [VecDeque<Vec<u8>>; 2],
    spare: [Vec<Vec<u8>>; 2],
    addresses: [Vec<(Mac, Mac)>; 2],
    next: [usize; 2],
    tagged: [bool; 2],
}

impl Loop {
    fn new(pairs: usize, tagged: [bool; 2]) -> Self {
        let station =
            |side: u64, n: usize| Mac::from_u64(0x0200_0000_0000 | side << 32 | scramble(n as u64) >> 32);
        let forth: Vec<_> = (0..pairs).map(|n| (station(1, n), station(0, n))).collect();
        let back = forth.iter().map(|&(a, b)| (b, a)).collect();
        let frames = |tagged: bool| (0..FRAMES).map(|_| frame(tagged)).collect();
        Self {
            ports: [VecDeque::new(), VecDeque::new()],
            spare: tagged.map(frames),
            addresses: [forth, back],
            next: [0; 2],
            tagged,
        }
    }

    /// Puts spare frames onto both ports.
    fn refill(&mut self) {
        for side in 0..2 {
            for mut frame in self.spare[side].drain(..) {
                let addresses = &self.addresses[side];
                let (destination, source) = addresses[self.next[side]];
                self.next[side] = (self.next[side] + 1) % addresses.len();
                frame[..6].copy_from_slice(&destination.octets());
                frame[6..12].copy_from_slice(&source.octets());
                self.ports[side].push_back(frame);
            }
        }
    }
}

fn scramble(n: u64) -> u64 {
    n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn frame(tagged: bool) -> Vec<u8> {
    let mut frame = Vec::with_capacity(80);
    frame.extend([0; 12]);
    if tagged {
        frame.extend([0x81, 0, 0, 10]);
    }
    frame.extend([8, 0]);
    frame.resize(60, 0);
    frame
}

impl Platform for Loop {
    type Frame = Vec<u8>;
    type Rules = PlainRules;
    type Meter = PlainMeter;
    type Filter = PlainFilter;

    fn sources(&self) -> usize {
        2
    }

    fn receive(&mut self, source: usize, burst: &mut ArrayVec<Vec<u8>, BURST>) -> PortId {
        let take = BURST.min(self.ports[source].len());
        burst.extend(self.ports[source].drain(..take));
        id(source)
    }

    fn transmit(&mut self, port: PortId, frames: &mut ArrayVec<Vec<u8>, BURST>) {
        // A frame that arrived with a tag and one without are spare for the side they can start from.
        let tagged = self.tagged[port.index()];
        let side = if self.tagged[0] == self.tagged[1] || tagged {
            port.index()
        } else {
            1 - usize::from(self.tagged[1])
        };
        self.spare[side].extend(frames.drain(..));
    }

    fn copy(&mut self, frame: &Vec<u8>) -> Option<Vec<u8>> {
        Some(frame.clone())
    }

    fn copy_start(&mut self, frame: &Vec<u8>, len: usize) -> Option<Vec<u8>> {
        Some(frame[..len.min(frame.len())].to_vec())
    }

    fn frame(&mut self, octets: &[u8]) -> Option<Vec<u8>> {
        Some(octets.to_vec())
    }

    fn append(&mut self, frame: &mut Vec<u8>, octets: &[u8]) -> bool {
        frame.extend(octets);
        true
    }
}

/// Adds up what each stage takes.
#[derive(Default)]
struct Clock {
    last: u64,
    spent: [u64; STAGES.len()],
    frames: u64,
}

impl Observer for Clock {
    fn passed(&mut self, stage: Stage, frames: usize) {
        let now = cycles();
        self.spent[stage as usize] += now - self.last;
        if stage == Stage::Rx {
            self.frames += frames as u64;
        }
        self.last = cycles();
    }
}

fn id(port: usize) -> PortId {
    PortId::new(port).expect("two ports")
}

fn access() -> VlanMode {
    VlanMode::Access { vid: Vid::new(10).expect("a VLAN") }
}

fn trunk() -> VlanMode {
    VlanMode::Trunk { allowed: [10].into_iter().collect(), native: None, native_tagged: false }
}

/// Median cycles a packet of each stage.
fn measure(pairs: usize, modes: [VlanMode; 2]) -> [f64; STAGES.len()] {
    let tagged = [0, 1].map(|side| matches!(modes[side], VlanMode::Trunk { .. }));
    let [first, second] = modes;
    let spec = |port, mode| PortSpec {
        id: id(port),
        vlan: PortVlan { mode, ..PortVlan::default() },
        mtu: 1500,
        may_leave_work: false,
    };
    let snapshot = Snapshot::new(&[spec(0, first), spec(1, second)]);
    let fdb = Fdb::new(FdbOptions { capacity: (4 * pairs).max(4096), ageing_seconds: 300, seed: 1 });
    let stats = WorkerStats::new();
    let links = [id(0), id(1)].into_iter().collect();
    let context = Context {
        snapshot: &snapshot,
        fdb: &fdb,
        links,
        now_seconds: 1,
        now_cycles: 0,
        worker: WorkerId(0),
        stats: &stats,
    };
    let (mut batch, mut outbox) = (Batch::new(), Outbox::new());
    let mut wires = Loop::new(pairs, tagged);
    let mut pass = |packets: usize, clock: &mut Clock| {
        while clock.frames < packets as u64 {
            wires.refill();
            clock.last = cycles();
            while walk(&mut batch, &context, &mut outbox, &mut wires, clock) > 0 {}
        }
    };
    let packets = (2 * pairs).max(100_000);
    // Twice, so that every address has been learned on the port that it stays on.
    pass(2 * packets, &mut Clock::default());
    let mut rounds: Vec<[f64; STAGES.len()]> = (0..ROUNDS)
        .map(|_| {
            let mut clock = Clock::default();
            pass(packets, &mut clock);
            clock.spent.map(|spent| spent as f64 / clock.frames as f64)
        })
        .collect();
    std::array::from_fn(|stage| {
        rounds.sort_by(|a, b| a[stage].total_cmp(&b[stage]));
        rounds[ROUNDS / 2][stage]
    })
}

fn main() {
    // Cargo passes --bench; numbers choose how many pairs talk.
    let chosen: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let pairs = if chosen.is_empty() { PAIRS.to_vec() } else { chosen };
    println!("cycles a packet, medians of {ROUNDS} rounds; frames in ordinary memory");
    print!("{:<26}", "");
    STAGES.iter().for_each(|stage| print!("{:>9}", format!("{stage:?}").to_lowercase()));
    println!("{:>9}", "relay");
    let row = |name: String, figures: [f64; STAGES.len()]| {
        print!("{name:<26}");
        figures.iter().for_each(|figure| print!("{figure:>9.1}"));
        // What the switch adds to whatever devices cost.
        println!("{:>9.1}", figures[1..7].iter().sum::<f64>());
    };
    for pairs in pairs {
        row(format!("access-access {pairs}"), measure(pairs, [access(), access()]));
    }
    row("access-trunk 1000".to_owned(), measure(1000, [access(), trunk()]));
    row("trunk-trunk 1000".to_owned(), measure(1000, [trunk(), trunk()]));
}
