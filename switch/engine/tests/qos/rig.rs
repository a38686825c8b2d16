//! Ports in memory, whose frames carry marks, and a switch of them.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use pollux_engine::datapath::{BURST, Batch, Context, Outbox, Platform, walk};
use pollux_engine::fdb::{Fdb, FdbOptions};
use pollux_engine::qos::{
    ClassCounts, ClassSpec, EgressQos, EgressSpec, IngressQos, IngressSpec, PortQueues, Service, Storage,
};
use pollux_engine::{Accounting, PortSpec, Reason, Snapshot, WorkerStats};
use pollux_model::{PlainFilter, PlainMeter, PlainRules};
use pollux_net::{
    Checksum, FlowMatch, Frame, Mark, MeterSpec, Pcp, PcpCoding, PortId, PortSet, PortVlan, PriorityTags,
    Tag, Tci, TrafficClass, Transport, Vid, VidSet, VlanMode, WorkerId,
};

pub(crate) const HZ: u64 = 1_000_000_000;
pub(crate) const START: u64 = 1000 * HZ;

/// A frame that carries its mark, as an mbuf does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) octets: Vec<u8>,
    pub(crate) mark: Mark,
}

impl Frame for Marked {
    fn len(&self) -> usize {
        self.octets.len()
    }

    fn head(&self) -> &[u8] {
        &self.octets
    }

    fn head_mut(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.octets)
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.octets.as_slice())
    }

    fn leave_pending(&mut self, _transport: &Transport, _segment_len: Option<NonZeroU16>) {
        unreachable!("nothing is left to do");
    }

    fn mark(&self) -> Mark {
        self.mark
    }

    fn set_mark(&mut self, mark: Mark) {
        self.mark = mark;
    }

    fn push_tag(&mut self, tag: Tag) -> bool {
        self.octets.push_tag(tag)
    }

    fn pop_tag(&mut self) -> bool {
        self.octets.pop_tag()
    }

    fn set_tci(&mut self, tci: Tci) -> bool {
        self.octets.set_tci(tci)
    }
}

/// The ports as one worker sees them.
#[derive(Default)]
pub(crate) struct Wires {
    pub(crate) waiting: VecDeque<(PortId, Marked)>,
    /// With the number that each was of all that were sent.
    pub(crate) sent: Vec<(u64, PortId, Vec<u8>)>,
    pub(crate) sequence: Arc<AtomicU64>,
    /// Frames that each port takes before it is full; all if it isn't here.
    pub(crate) room: BTreeMap<PortId, usize>,
    /// Octets of the longest frame that ports take, if they take no longer ones.
    pub(crate) longest: Option<usize>,
    /// Whether it refuses some frames for good.
    pub(crate) choosy: bool,
}

impl Platform for Wires {
    type Frame = Marked;
    type Rules = PlainRules;
    type Meter = PlainMeter;
    type Filter = PlainFilter;

    fn sources(&self) -> usize {
        1
    }

    fn receive(&mut self, _source: usize, burst: &mut ArrayVec<Marked, BURST>) -> PortId {
        let port = self.waiting.front().map_or(PortId::from_low_bits(0), |(port, _)| *port);
        while !burst.is_full() && self.waiting.front().is_some_and(|(from, _)| *from == port) {
            burst.extend(self.waiting.pop_front().map(|(_, frame)| frame));
        }
        port
    }

    fn transmit(&mut self, port: PortId, frames: &mut ArrayVec<Marked, BURST>) {
        self.transmit_in_order(port, frames);
    }

    /// As a VM's port does, it passes over what no buffer holds.
    fn transmit_in_order(&mut self, port: PortId, frames: &mut ArrayVec<Marked, BURST>) -> usize {
        let mut room = self.room.get(&port).copied().unwrap_or(usize::MAX);
        let fits = |frame: &Marked| self.longest.is_none_or(|longest| frame.len() <= longest);
        let mut refused = ArrayVec::new();
        let mut unfit = 0;
        for frame in frames.drain(..) {
            if room > 0 && fits(&frame) {
                let number = self.sequence.fetch_add(1, Ordering::SeqCst);
                self.sent.push((number, port, frame.octets));
                room -= 1;
                unfit = refused.len();
            } else {
                refused.push(frame);
            }
        }
        *frames = refused;
        self.room.entry(port).and_modify(|left| *left = room);
        unfit
    }

    fn is_choosy(&self, _port: PortId) -> bool {
        self.choosy
    }

    fn copy(&mut self, frame: &Marked) -> Option<Marked> {
        Some(frame.clone())
    }

    fn copy_start(&mut self, frame: &Marked, len: usize) -> Option<Marked> {
        let octets = frame.octets[..len.min(frame.octets.len())].to_vec();
        Some(Marked { octets, mark: frame.mark })
    }

    fn frame(&mut self, octets: &[u8]) -> Option<Marked> {
        Some(Marked { octets: octets.to_vec(), mark: Mark::default() })
    }

    fn append(&mut self, frame: &mut Marked, octets: &[u8]) -> bool {
        frame.octets.extend(octets);
        true
    }
}

pub(crate) fn port(number: u8) -> PortId {
    PortId::from_low_bits(number.into())
}

pub(crate) fn class(number: u8) -> TrafficClass {
    TrafficClass::new(number).unwrap()
}

pub(crate) fn pcp(number: u8) -> Pcp {
    Pcp::new(number).unwrap()
}

/// A switch of trunk ports over all VLANs, native VLAN 1 sent untagged, and of several workers.
pub(crate) struct Rig {
    pub(crate) snapshot: Snapshot<Wires>,
    pub(crate) fdb: Fdb,
    pub(crate) links: PortSet,
    pub(crate) now: u64,
    pub(crate) workers: Vec<(WorkerStats, Outbox<Marked>, Wires)>,
    pub(crate) queues: Vec<Arc<PortQueues<Marked>>>,
}

impl Rig {
    pub(crate) fn new(ports: &[PortVlan], workers: usize) -> Self {
        let specs: Vec<_> = (0..)
            .zip(ports)
            .map(|(number, vlan)| PortSpec {
                id: port(number),
                vlan: vlan.clone(),
                mtu: 9000,
                may_leave_work: false,
            })
            .collect();
        let sequence = Arc::<AtomicU64>::default();
        Self {
            snapshot: Snapshot::new(&specs),
            fdb: Fdb::new(FdbOptions { capacity: 1024, ageing_seconds: 300, seed: 1 }),
            links: specs.iter().map(|spec| spec.id).collect(),
            now: START,
            workers: (0..workers)
                .map(|_| {
                    (
                        WorkerStats::new(),
                        Outbox::new(),
                        Wires { sequence: sequence.clone(), ..Wires::default() },
                    )
                })
                .collect(),
            queues: Vec::new(),
        }
    }

    pub(crate) fn with_ingress(
        mut self,
        number: u8,
        spec: &IngressSpec,
        rules: Vec<FlowMatch>,
        meters: &[MeterSpec],
    ) -> Self {
        let meters = meters.iter().map(|meter| PlainMeter::new(meter, HZ, START)).collect();
        let qos = IngressQos::new(spec, Some(PlainRules(rules)), meters);
        self.snapshot = self.snapshot.with_ingress(port(number), Arc::new(qos));
        self
    }

    pub(crate) fn with_egress(mut self, number: u8, spec: &EgressSpec) -> Self {
        let queues = Arc::new(PortQueues::new(self.workers.len()));
        queues.enlarge(Storage::new([1024; 8]));
        self.queues.push(queues.clone());
        self.snapshot = self.snapshot.with_egress(port(number), Arc::new(EgressQos::new(spec, queues, HZ)));
        self
    }

    pub(crate) fn give(&mut self, worker: usize, from: u8, octets: Vec<u8>) {
        self.workers[worker].2.waiting.push_back((port(from), Marked { octets, mark: Mark::default() }));
    }

    /// One round of one worker.
    pub(crate) fn round(&mut self, worker: usize) {
        let (stats, outbox, wires) = &mut self.workers[worker];
        let context = Context {
            snapshot: &self.snapshot,
            fdb: &self.fdb,
            links: self.links,
            now_seconds: 1,
            now_cycles: self.now,
            worker: WorkerId(worker as u8),
            stats,
        };
        walk(&mut Batch::new(), &context, outbox, wires, &mut ());
    }

    /// Rounds of all workers until nothing comes in any more.
    pub(crate) fn settle(&mut self) {
        for worker in 0..self.workers.len() {
            while !self.workers[worker].2.waiting.is_empty() {
                self.round(worker);
            }
        }
    }

    /// What was sent since the last time, in order.
    pub(crate) fn sent(&mut self) -> Vec<(PortId, Vec<u8>)> {
        let sent = self.workers.iter_mut().flat_map(|(_, _, wires)| wires.sent.drain(..));
        let mut sent: Vec<_> = sent.collect();
        sent.sort();
        sent.into_iter().map(|(_, port, octets)| (port, octets)).collect()
    }

    pub(crate) fn drops(&self, number: u8, reason: Reason) -> u64 {
        self.workers.iter().map(|(stats, ..)| stats.port(port(number)).drops[reason.index()]).sum()
    }

    pub(crate) fn accounting(&self) -> Accounting {
        let waiting = self.queues.iter().map(|queues| queues.waiting()).sum();
        Accounting::of(self.workers.iter().map(|(stats, ..)| stats), waiting)
    }

    pub(crate) fn counts(&self) -> [ClassCounts; 8] {
        self.queues[0].counts()
    }
}

pub(crate) fn trunk() -> PortVlan {
    let mode = VlanMode::Trunk {
        allowed: (1..4095).collect::<VidSet>(),
        native: Some(Vid::DEFAULT),
        native_tagged: false,
    };
    PortVlan { mode, priority_tags: PriorityTags::IfNonzero, ..PortVlan::default() }
}

pub(crate) fn ingress(classes: usize) -> IngressSpec {
    let map = std::array::from_fn(|value| TrafficClass::recommended(pcp(value as u8), classes));
    IngressSpec {
        classes,
        coding: PcpCoding::P8D0,
        regeneration: std::array::from_fn(|value| pcp(value as u8)),
        priority_to_class: map,
        class_to_priority: std::array::from_fn(|value| class(value as u8).representative(classes)),
        dscp_to_class: None,
        rules: Vec::new(),
        policers: Vec::new(),
        port_policer: None,
        class_policers: [None; 8],
    }
}

pub(crate) fn egress(classes: usize) -> EgressSpec {
    EgressSpec {
        classes,
        coding: PcpCoding::P8D0,
        priority_to_class: ingress(classes).priority_to_class,
        class_to_priority: None,
        strict: TrafficClass::descending().collect(),
        dwrr: Vec::new(),
        shaper: None,
        class: [ClassSpec {
            guarantee: None,
            cap: None,
            queue_octets: 1 << 20,
            queue_frames: 1024,
            wred: None,
        }; 8],
        service: Service { server: WorkerId(0), straight: false, ends: false },
    }
}

pub(crate) const TO: [u8; 6] = [2, 0, 0, 0, 0, 0xbb];

/// A frame to nobody known, of VLAN 1 unless a tag says otherwise.
pub(crate) fn frame(tci: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let mut octets = [TO, [2, 0, 0, 0, 0, 0xaa]].concat();
    if let Some(tci) = tci {
        octets.extend([0x81, 0]);
        octets.extend(tci.to_be_bytes());
    }
    octets.extend(payload);
    octets
}

pub(crate) fn ipv4(dscp: u8) -> Vec<u8> {
    let mut packet = vec![8, 0, 0x45, dscp << 2, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let mut checksum = Checksum::new();
    checksum.add(&packet[2..]);
    packet[12..14].copy_from_slice(&checksum.finish());
    packet.extend([0x1a, 0xe1, 0, 53, 0, 8, 0, 0]);
    packet
}

pub(crate) const OTHER: [u8; 32] = [0x88; 32];

/// The class in which the only frame left, and what it was.
pub(crate) fn one(rig: &mut Rig, octets: Vec<u8>) -> (u8, Vec<u8>) {
    let before = rig.counts();
    rig.give(0, 0, octets);
    rig.settle();
    let after = rig.counts();
    let classes: Vec<_> = (0..8).filter(|&n| after[n].sent_frames > before[n].sent_frames).collect();
    let sent = rig.sent();
    assert_eq!((classes.len(), sent.len()), (1, 1), "one frame leaves in one class");
    (classes[0] as u8, sent[0].1.clone())
}

/// What the tag of a frame says, if it has one: PCP, DEI, VID.
pub(crate) fn tag(octets: &[u8]) -> Option<(u8, bool, u16)> {
    (octets[12..14] == [0x81, 0]).then(|| {
        let tci = u16::from_be_bytes([octets[14], octets[15]]);
        ((tci >> 13) as u8, tci & 0x1000 != 0, tci & 0xfff)
    })
}
