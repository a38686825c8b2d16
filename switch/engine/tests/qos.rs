//! Classes, rules, policers, queues and rates, over ports in memory and a clock of its own.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrayvec::ArrayVec;
use pollux_engine::datapath::{BURST, Batch, Context, Outbox, Platform, walk};
use pollux_engine::fdb::{Fdb, FdbOptions};
use pollux_engine::qos::{
    Action, ClassCounts, ClassSpec, EgressQos, EgressSpec, IngressQos, IngressSpec, PolicerSpec, PortQueues,
    Remark, RuleSpec, Service, ShaperSpec, Storage,
};
use pollux_engine::{Accounting, PortSpec, Reason, Snapshot, WorkerStats};
use pollux_model::{PlainMeter, PlainRules};
use pollux_net::{
    Checksum, Colour, Dscp, FlowMatch, Frame, Mac, Mark, MeterAlgorithm, MeterSpec, Pcp, PcpCoding, PortId,
    PortSet, PortVlan, PriorityTags, RateUnit, Tag, Tci, TrafficClass, Transport, Trust, Vid, VidSet,
    VlanMode, WorkerId,
};
use proptest::prelude::*;

const HZ: u64 = 1_000_000_000;
const START: u64 = 1000 * HZ;

/// A frame that carries its mark, as an mbuf does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Marked {
    octets: Vec<u8>,
    mark: Mark,
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
struct Wires {
    waiting: VecDeque<(PortId, Marked)>,
    /// With the number that each was of all that were sent.
    sent: Vec<(u64, PortId, Vec<u8>)>,
    sequence: Arc<AtomicU64>,
    /// Frames that each port takes before it is full; all if it isn't here.
    room: BTreeMap<PortId, usize>,
    /// Octets of the longest frame that ports take, if they take no longer ones.
    longest: Option<usize>,
    /// Whether it refuses some frames for good.
    choosy: bool,
}

impl Platform for Wires {
    type Frame = Marked;
    type Rules = PlainRules;
    type Meter = PlainMeter;

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

    fn frame(&mut self, octets: &[u8]) -> Option<Marked> {
        Some(Marked { octets: octets.to_vec(), mark: Mark::default() })
    }

    fn append(&mut self, frame: &mut Marked, octets: &[u8]) -> bool {
        frame.octets.extend(octets);
        true
    }
}

fn port(number: u8) -> PortId {
    PortId::from_low_bits(number.into())
}

fn class(number: u8) -> TrafficClass {
    TrafficClass::new(number).unwrap()
}

fn pcp(number: u8) -> Pcp {
    Pcp::new(number).unwrap()
}

/// A switch of trunk ports over all VLANs, native VLAN 1 sent untagged, and of several workers.
struct Rig {
    snapshot: Snapshot<Wires>,
    fdb: Fdb,
    links: PortSet,
    now: u64,
    workers: Vec<(WorkerStats, Outbox<Marked>, Wires)>,
    queues: Vec<Arc<PortQueues<Marked>>>,
}

impl Rig {
    fn new(ports: &[PortVlan], workers: usize) -> Self {
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

    fn with_ingress(
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

    fn with_egress(mut self, number: u8, spec: &EgressSpec) -> Self {
        let queues = Arc::new(PortQueues::new(self.workers.len()));
        queues.enlarge(Storage::new([1024; 8]));
        self.queues.push(queues.clone());
        self.snapshot = self.snapshot.with_egress(port(number), Arc::new(EgressQos::new(spec, queues, HZ)));
        self
    }

    fn give(&mut self, worker: usize, from: u8, octets: Vec<u8>) {
        self.workers[worker].2.waiting.push_back((port(from), Marked { octets, mark: Mark::default() }));
    }

    /// One round of one worker.
    fn round(&mut self, worker: usize) {
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
    fn settle(&mut self) {
        for worker in 0..self.workers.len() {
            while !self.workers[worker].2.waiting.is_empty() {
                self.round(worker);
            }
        }
    }

    /// What was sent since the last time, in order.
    fn sent(&mut self) -> Vec<(PortId, Vec<u8>)> {
        let sent = self.workers.iter_mut().flat_map(|(_, _, wires)| wires.sent.drain(..));
        let mut sent: Vec<_> = sent.collect();
        sent.sort();
        sent.into_iter().map(|(_, port, octets)| (port, octets)).collect()
    }

    fn drops(&self, number: u8, reason: Reason) -> u64 {
        self.workers.iter().map(|(stats, ..)| stats.port(port(number)).drops[reason.index()]).sum()
    }

    fn accounting(&self) -> Accounting {
        let waiting = self.queues.iter().map(|queues| queues.waiting()).sum();
        Accounting::of(self.workers.iter().map(|(stats, ..)| stats), waiting)
    }

    fn counts(&self) -> [ClassCounts; 8] {
        self.queues[0].counts()
    }
}

fn trunk() -> PortVlan {
    let mode = VlanMode::Trunk {
        allowed: (1..4095).collect::<VidSet>(),
        native: Some(Vid::DEFAULT),
        native_tagged: false,
    };
    PortVlan { mode, priority_tags: PriorityTags::IfNonzero, ..PortVlan::default() }
}

fn ingress(classes: usize) -> IngressSpec {
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

fn egress(classes: usize) -> EgressSpec {
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

const TO: [u8; 6] = [2, 0, 0, 0, 0, 0xbb];

/// A frame to nobody known, of VLAN 1 unless a tag says otherwise.
fn frame(tci: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let mut octets = [TO, [2, 0, 0, 0, 0, 0xaa]].concat();
    if let Some(tci) = tci {
        octets.extend([0x81, 0]);
        octets.extend(tci.to_be_bytes());
    }
    octets.extend(payload);
    octets
}

fn ipv4(dscp: u8) -> Vec<u8> {
    let mut packet = vec![8, 0, 0x45, dscp << 2, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let mut checksum = Checksum::new();
    checksum.add(&packet[2..]);
    packet[12..14].copy_from_slice(&checksum.finish());
    packet.extend([0x1a, 0xe1, 0, 53, 0, 8, 0, 0]);
    packet
}

const OTHER: [u8; 32] = [0x88; 32];

/// The class in which the only frame left, and what it was.
fn one(rig: &mut Rig, octets: Vec<u8>) -> (u8, Vec<u8>) {
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
fn tag(octets: &[u8]) -> Option<(u8, bool, u16)> {
    (octets[12..14] == [0x81, 0]).then(|| {
        let tci = u16::from_be_bytes([octets[14], octets[15]]);
        ((tci >> 13) as u8, tci & 0x1000 != 0, tci & 0xfff)
    })
}

#[test]
fn every_pcp_and_dei_in_every_dress_has_the_standards_class() {
    // Table 8-5 by the number of classes, for priorities 0 to 7.
    let table: [[u8; 8]; 8] = [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 1, 1],
        [0, 0, 0, 0, 1, 1, 2, 2],
        [0, 0, 1, 1, 2, 2, 3, 3],
        [0, 0, 1, 1, 2, 2, 3, 4],
        [1, 0, 2, 2, 3, 3, 4, 5],
        [1, 0, 2, 3, 4, 4, 5, 6],
        [1, 0, 2, 3, 4, 5, 6, 7],
    ];
    for (classes, row) in (1..=8).zip(table) {
        for trust in [Trust::Pcp, Trust::Dscp, Trust::Port] {
            for default in [0, 5] {
                let vlan = PortVlan { trust, default_pcp: pcp(default), ..trunk() };
                let mut spec = ingress(classes);
                if trust == Trust::Dscp {
                    spec.dscp_to_class = Some([class(0); 64]);
                }
                let mut rig = Rig::new(&[vlan, trunk()], 1)
                    .with_ingress(0, &spec, vec![], &[])
                    .with_egress(1, &egress(classes));
                let untagged = one(&mut rig, frame(None, &OTHER));
                let expected_tag = (default != 0).then_some((default, false, 0));
                assert_eq!((untagged.0, tag(&untagged.1)), (row[usize::from(default)], expected_tag));
                for value in 0..8 {
                    for dei in [false, true] {
                        for vid in [0, 1, 7] {
                            let tci = u16::from(value) << 13 | u16::from(dei) << 12 | vid;
                            let (got, octets) = one(&mut rig, frame(Some(tci), &OTHER));
                            // Without IP a DSCP can't be trusted: the tag is.
                            let (value, dei) =
                                if trust == Trust::Port { (default, false) } else { (value, dei) };
                            assert_eq!(
                                got,
                                row[usize::from(value)],
                                "{classes} classes, {trust:?}, PCP {value}"
                            );
                            let vid = if vid == 7 { 7 } else { 0 };
                            let plain = vid == 0 && value == 0 && !dei;
                            assert_eq!(tag(&octets), (!plain).then_some((value, dei, vid)));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_dscp_has_its_class_colour_and_tag() {
    let vlan = PortVlan { trust: Trust::Dscp, ..trunk() };
    let mut spec = ingress(8);
    spec.dscp_to_class = Some(std::array::from_fn(|value| {
        spec.priority_to_class[usize::from(Dscp::new(value as u8).unwrap().priority().value())]
    }));
    let mut rig =
        Rig::new(&[vlan, trunk()], 1).with_ingress(0, &spec, vec![], &[]).with_egress(1, &egress(8));
    for value in 0..64_u8 {
        let dscp = Dscp::new(value).unwrap();
        // Class selectors, but for lower effort, which is below best effort.
        let priority = if value == 1 { 1 } else { value / 8 };
        let dei = dscp.drop_precedence() > Colour::Green;
        for tci in [None, Some(0x2007)] {
            let (got, octets) = one(&mut rig, frame(tci, &ipv4(value)));
            assert_eq!(got, TrafficClass::recommended(pcp(priority), 8).value(), "DSCP {value}");
            let vid = if tci.is_some() { 7 } else { 0 };
            let plain = vid == 0 && priority == 0 && !dei;
            assert_eq!(tag(&octets), (!plain).then_some((priority, dei, vid)), "DSCP {value}");
            let packet = if plain { &octets[12..] } else { &octets[16..] };
            assert_eq!(packet, ipv4(value), "the packet is as it was");
        }
    }
}

#[test]
fn regeneration_and_codings_change_priorities_where_they_should() {
    let mut spec = ingress(8);
    spec.coding = PcpCoding::P5D3;
    spec.regeneration = [7, 6, 5, 4, 3, 2, 1, 0].map(pcp);
    let mut rig = Rig::new(&[trunk(), trunk()], 1)
        .with_ingress(0, &spec, vec![], &[])
        .with_egress(1, &EgressSpec { coding: PcpCoding::P7D1, ..egress(8) });
    // PCP 3 is priority 2, which becomes 5, which 7P1D tells as 5, or as 4 if it may be dropped.
    let (got, octets) = one(&mut rig, frame(Some(0x6007), &OTHER));
    assert_eq!((got, tag(&octets)), (5, Some((5, false, 7))));
    let (got, octets) = one(&mut rig, frame(Some(0x4007), &OTHER));
    assert_eq!((got, tag(&octets)), (5, Some((4, true, 7))));
}

#[test]
fn a_default_priority_is_not_decoded() {
    for coding in PcpCoding::ALL {
        for default in 0..8 {
            let vlan = PortVlan { default_pcp: pcp(default), ..trunk() };
            let spec = IngressSpec { coding, ..ingress(8) };
            let mut rig =
                Rig::new(&[vlan, trunk()], 1).with_ingress(0, &spec, vec![], &[]).with_egress(1, &egress(8));
            let (got, octets) = one(&mut rig, frame(None, &OTHER));
            assert_eq!(got, ingress(8).priority_to_class[usize::from(default)].value());
            assert_eq!(tag(&octets), (default != 0).then_some((default, false, 0)), "{coding:?}");
        }
    }
}

#[test]
fn a_class_of_the_egress_port_is_its_own() {
    // By priority: the egress port's map counts. By a rule: the class goes along.
    let mut spec = egress(8);
    spec.priority_to_class = [3; 8].map(class);
    let mut rules = ingress(8);
    rules.rules = vec![RuleSpec { class: Some(class(6)), policer: None }];
    let ip = FlowMatch { ethertype: Some(0x0800), ..FlowMatch::default() };
    let mut rig =
        Rig::new(&[trunk(), trunk()], 1).with_ingress(0, &rules, vec![ip], &[]).with_egress(1, &spec);
    assert_eq!(one(&mut rig, frame(Some(0xe007), &OTHER)).0, 3);
    assert_eq!(one(&mut rig, frame(Some(0xe007), &ipv4(0))).0, 6);
}

#[test]
fn classes_are_written_into_tags_where_a_map_says_so() {
    let spec = EgressSpec { class_to_priority: Some([0, 0, 1, 1, 2, 2, 3, 3].map(pcp)), ..egress(8) };
    let mut rig = Rig::new(&[trunk(), trunk()], 1).with_egress(1, &spec);
    for (value, expected) in [(0, 0), (1, 0), (2, 1), (5, 2), (7, 3)] {
        for dei in [false, true] {
            let (_, octets) = one(&mut rig, frame(Some(value << 13 | u16::from(dei) << 12 | 9), &OTHER));
            assert_eq!(tag(&octets), Some((expected, dei, 9)), "PCP {value}");
        }
    }
}

#[test]
fn a_port_with_fewer_classes_maps_by_what_stands_for_a_class() {
    let mut rig =
        Rig::new(&[trunk(), trunk()], 1).with_ingress(0, &ingress(8), vec![], &[]).with_egress(1, &egress(4));
    let got: Vec<_> = (0..8).map(|value| one(&mut rig, frame(Some(value << 13 | 9), &OTHER)).0).collect();
    assert_eq!(got, [0, 0, 1, 1, 2, 2, 3, 3]);
}

#[test]
fn the_first_rule_that_fits_decides_and_is_counted() {
    let udp_from = |ports| FlowMatch { protocol: Some(17), source_port: Some(ports), ..FlowMatch::default() };
    let mut spec = ingress(8);
    spec.rules = vec![
        RuleSpec { class: Some(class(0)), policer: None },
        RuleSpec { class: Some(class(6)), policer: None },
    ];
    let rules = vec![udp_from(6881..=6889), udp_from(0..=65535)];
    let mut rig =
        Rig::new(&[trunk(), trunk()], 1).with_ingress(0, &spec, rules, &[]).with_egress(1, &egress(8));
    // From port 6881: the lowest class, whose priority is 1; DEI stays as it was.
    let (got, octets) = one(&mut rig, frame(Some(0xf007), &ipv4(0)));
    assert_eq!((got, tag(&octets)), (0, Some((1, true, 7))));
    let mut other = ipv4(0);
    other[22..24].copy_from_slice(&[0, 80]);
    let (got, octets) = one(&mut rig, frame(Some(0x0007), &other));
    assert_eq!((got, tag(&octets)), (6, Some((6, false, 7))));
    let (got, _) = one(&mut rig, frame(Some(0xa007), &OTHER));
    assert_eq!(got, 5, "what fits no rule keeps its class");
}

fn one_rate(cir: u64, cbs: u64, unit: RateUnit) -> MeterSpec {
    MeterSpec { algorithm: MeterAlgorithm::SrTcm { cir, cbs, ebs: cbs }, unit, colour_aware: true }
}

#[test]
fn policers_mark_remark_and_drop() {
    let mut spec = ingress(8);
    let remark = Remark { pcp: Some(pcp(1)), dei: None, dscp: Some(Dscp::new(12).unwrap()) };
    spec.policers = vec![PolicerSpec {
        unit: RateUnit::Octets,
        actions: [Action::Pass, Action::Remark(remark), Action::Drop],
    }];
    spec.port_policer = Some(0);
    let meter = one_rate(1000, 100, RateUnit::Octets);
    let mut rig =
        Rig::new(&[trunk(), trunk()], 1).with_ingress(0, &spec, vec![], &[meter]).with_egress(1, &egress(8));
    let original = frame(Some(0xa007), &ipv4(46));
    assert_eq!(original.len(), 46);
    for _ in 0..6 {
        rig.give(0, 0, original.clone());
    }
    rig.settle();
    let sent: Vec<_> = rig.sent().into_iter().map(|(_, octets)| octets).collect();
    let mut remarked = frame(Some(0x3007), &ipv4(12));
    remarked[14] = 0x30;
    assert_eq!(sent, [original.clone(), original.clone(), remarked.clone(), remarked]);
    assert_eq!(rig.drops(0, Reason::Policed), 2);
    assert!(rig.accounting().balances());
    // A second brings 1000 tokens, of which 200 fit.
    rig.now += HZ;
    rig.give(0, 0, original.clone());
    rig.settle();
    assert_eq!(rig.sent()[0].1, original);
}

#[test]
fn rules_classes_and_ports_police_one_after_the_other() {
    let mut spec = ingress(8);
    let drop_red = |unit| PolicerSpec { unit, actions: [Action::Pass, Action::Drop, Action::Drop] };
    spec.policers =
        vec![drop_red(RateUnit::Frames), drop_red(RateUnit::Frames), drop_red(RateUnit::WireOctets)];
    spec.rules = vec![RuleSpec { class: None, policer: Some(0) }];
    spec.class_policers[5] = Some(1);
    spec.port_policer = Some(2);
    let rules = vec![FlowMatch { ethertype: Some(0x0800), ..FlowMatch::default() }];
    let meters = [
        one_rate(1, 2, RateUnit::Frames),
        one_rate(1, 3, RateUnit::Frames),
        one_rate(1, 7 * (50 + 24), RateUnit::WireOctets),
    ];
    let mut rig =
        Rig::new(&[trunk(), trunk()], 1).with_ingress(0, &spec, rules, &meters).with_egress(1, &egress(8));
    let (ip, other) = (frame(Some(0xa007), &ipv4(0)), frame(Some(0xa007), &OTHER));
    let best_effort = frame(Some(0x0007), &OTHER[..30]);
    for octets in [&ip, &ip, &ip, &other, &other].into_iter().chain(std::iter::repeat_n(&best_effort, 9)) {
        rig.give(0, 0, octets.clone());
    }
    rig.settle();
    let sent: Vec<_> = rig.sent().into_iter().map(|(_, octets)| octets).collect();
    assert_eq!(sent.iter().filter(|octets| **octets == ip).count(), 2, "the rule's");
    assert_eq!(
        sent.iter().filter(|octets| **octets == other).count(),
        1,
        "the class's: three with the rule's two"
    );
    let left = 7 * 74 - 2 * (46 + 24) - (48 + 24);
    assert_eq!(sent.iter().filter(|octets| **octets == best_effort).count(), left / (46 + 24), "the port's");
    assert!(rig.accounting().balances());
}

#[test]
fn what_has_no_room_waits_in_its_class() {
    let mut rig = Rig::new(&[trunk(), trunk()], 1).with_egress(1, &egress(8));
    rig.workers[0].2.room.insert(port(1), 0);
    for n in 0..20_u8 {
        rig.give(0, 0, frame(Some(u16::from(n % 8) << 13 | 7), &[n; 50]));
    }
    rig.settle();
    assert_eq!((rig.sent().len(), rig.queues[0].waiting()), (0, 20));
    assert!(rig.accounting().balances());
    rig.workers[0].2.room.insert(port(1), 15);
    for _ in 0..3 {
        rig.round(0);
    }
    let order: Vec<_> = rig.sent().iter().map(|(_, octets)| octets[20]).collect();
    assert_eq!(order, [7, 15, 6, 14, 5, 13, 4, 12, 3, 11, 19, 2, 10, 18, 0]);
    rig.links = port(0).set();
    rig.round(0);
    assert_eq!((rig.queues[0].waiting(), rig.drops(1, Reason::PortDown)), (0, 5));
    assert!(rig.accounting().balances());
}

#[test]
fn a_frame_that_no_buffer_holds_keeps_nobody_back() {
    let mut rig = Rig::new(&[trunk(), trunk()], 1).with_egress(1, &egress(8));
    rig.workers[0].2.longest = Some(1600);
    // What leaves behind it tells that it is too long, whether or not something waits.
    for waits in [false, true] {
        rig.workers[0].2.room.insert(port(1), if waits { 0 } else { 10 });
        rig.give(0, 0, frame(Some(0xe007), &[1; 3000]));
        rig.give(0, 0, frame(Some(0x0007), &[2; 100]));
        rig.settle();
        rig.workers[0].2.room.insert(port(1), 10);
        rig.round(0);
        assert_eq!((rig.sent().len(), rig.queues[0].waiting()), (1, 0), "{waits}");
    }
    assert_eq!((rig.drops(1, Reason::TxFull), rig.counts()[7].dropped_unfit), (2, 1));
    assert!(rig.accounting().balances());
}

#[test]
fn only_what_a_choosy_port_leaves_standing_is_given_up() {
    for choosy in [false, true] {
        let mut rig = Rig::new(&[trunk(), trunk()], 1).with_egress(1, &egress(8));
        rig.workers[0].2.choosy = choosy;
        rig.workers[0].2.room.insert(port(1), 0);
        for n in 0..8_u8 {
            rig.give(0, 0, frame(Some(0x0007), &[n; 1500]));
        }
        rig.settle();
        rig.now += HZ / 5;
        rig.round(0);
        rig.round(0);
        let given_up = if choosy { 8 } else { 0 };
        assert_eq!(rig.queues[0].waiting(), 8 - given_up, "choosy {choosy}");
        assert_eq!(rig.drops(1, Reason::TxFull), given_up);
        rig.workers[0].2.room.clear();
        rig.round(0);
        assert_eq!(rig.sent().len() as u64, 8 - given_up);
        assert!(rig.accounting().balances());
    }
}

#[test]
fn a_port_without_profile_empties_its_queues_and_keeps_none() {
    let mut rig = Rig::new(&[trunk(), trunk()], 1).with_egress(1, &egress(8));
    rig.workers[0].2.room.insert(port(1), 0);
    rig.give(0, 0, frame(Some(0xe007), &[0; 100]));
    rig.settle();
    let service = Service { server: WorkerId(0), straight: false, ends: true };
    let ends = EgressQos::new(&EgressSpec { service, ..egress(4) }, rig.queues[0].clone(), HZ);
    rig.snapshot = rig.snapshot.with_egress(port(1), Arc::new(ends));
    rig.give(0, 0, frame(Some(0x0007), &[1; 100]));
    rig.settle();
    assert_eq!(rig.queues[0].waiting(), 2, "what comes while something waits waits too");
    rig.workers[0].2.room.insert(port(1), 3);
    rig.round(0);
    assert_eq!(rig.queues[0].waiting(), 0, "of classes that are no more, too");
    rig.give(0, 0, frame(Some(0x0007), &[2; 100]));
    rig.give(0, 0, frame(Some(0x0007), &[3; 100]));
    rig.settle();
    assert_eq!((rig.sent().len(), rig.queues[0].waiting(), rig.drops(1, Reason::TxFull)), (3, 0, 1));
    assert!(rig.accounting().balances());
}

#[test]
fn a_full_queue_drops_its_own_class_only() {
    let mut spec = egress(8);
    spec.class[1].queue_octets = 1000;
    let mut rig = Rig::new(&[trunk(), trunk()], 1).with_egress(1, &spec);
    rig.workers[0].2.room.insert(port(1), 0);
    for n in 0..40_u8 {
        rig.give(0, 0, frame(Some(if n % 2 == 0 { 0x0007 } else { 0xe007 }), &[n; 84]));
    }
    rig.settle();
    let counts = rig.counts();
    assert_eq!((counts[1].waiting_frames, counts[1].dropped_full, counts[1].most_octets), (10, 10, 1000));
    assert_eq!((counts[7].waiting_frames, counts[7].dropped()), (20, 0));
    assert_eq!(rig.drops(1, Reason::QueueFull), 10);
    assert!(rig.accounting().balances());
}

#[test]
fn a_shaped_port_keeps_its_rate_and_its_priorities_with_two_workers() {
    let shaper = ShaperSpec { octets_per_second: 12_500_000, burst: 10_000, unit: RateUnit::Octets };
    let service = Service { server: WorkerId(1), straight: false, ends: false };
    let spec = EgressSpec { shaper: Some(shaper), service, ..egress(8) };
    let mut rig = Rig::new(&[trunk(), trunk(), trunk()], 2).with_egress(1, &spec);
    rig.links = port(0).set().with(port(1));
    let (best_effort, urgent) = (frame(Some(0x0007), &[0; 984]), frame(Some(0xe007), &[0; 484]));
    // Twice the rate of best effort from either worker, a tenth of urgent frames, for a tenth of a second.
    let steps = 10_000_u64;
    for step in 0..steps {
        rig.now += HZ / 10 / steps;
        for worker in 0..2 {
            if step % 8 == worker as u64 {
                rig.give(worker, 0, best_effort.clone());
            }
            if step % 80 == worker as u64 {
                rig.give(worker, 0, urgent.clone());
            }
            rig.round(worker);
        }
    }
    let sent = rig.sent();
    let octets: usize = sent.iter().map(|(_, octets)| octets.len()).sum();
    assert!((1_250_000..=1_270_000).contains(&octets), "{octets}");
    let counts = rig.counts();
    assert_eq!((counts[7].sent_frames, counts[7].dropped()), (250, 0));
    // At most one frame of best effort is ahead: 80 microseconds, and the quantile's own error.
    assert!(counts[7].sojourn.p99_cycles <= 100_000, "{:?}", counts[7].sojourn);
    assert!(counts[1].dropped_full > 0 || counts[1].waiting_frames > 0);
    assert!(rig.workers[0].2.sent.is_empty(), "one worker sends for both");
    assert!(rig.accounting().balances());
}

/// A step of a random life.
#[derive(Clone, Debug)]
enum Step {
    Frame { worker: usize, flow: u8, value: u16, len: usize },
    Round { worker: usize },
    Room { frames: usize },
    Link { up: bool },
    Time { cycles: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2_usize, 0..4_u8, 0..8_u16, 30..2000_usize)
            .prop_map(|(worker, flow, value, len)| Step::Frame { worker, flow, value, len }),
        4 => (0..2_usize).prop_map(|worker| Step::Round { worker }),
        2 => (0..40_usize).prop_map(|frames| Step::Room { frames }),
        1 => prop::bool::weighted(0.9).prop_map(|up| Step::Link { up }),
        2 => (0..2_000_000_u64).prop_map(|cycles| Step::Time { cycles }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_vanishes_and_no_flow_is_reordered(
        steps in prop::collection::vec(step(), 1..300),
        shaped: bool,
        straight: bool,
        limit in 1_000..100_000_u64,
    ) {
        let shaper = ShaperSpec { octets_per_second: 10_000_000, burst: 9_300, unit: RateUnit::WireOctets };
        let mut spec = EgressSpec {
            shaper: shaped.then_some(shaper),
            service: Service { server: WorkerId(0), straight, ends: false },
            strict: vec![class(7)],
            dwrr: (0..7).map(|number| (class(number), u16::from(number) + 1)).collect(),
            ..egress(8)
        };
        spec.class.iter_mut().for_each(|class| class.queue_octets = limit);
        spec.class[3].cap = Some(ShaperSpec { octets_per_second: 1_000_000, burst: 9_300, unit: RateUnit::Octets });
        if !shaped {
            spec.class[3].cap = None;
        }
        let mut rig = Rig::new(&[trunk(), trunk()], 2).with_egress(1, &spec);
        let mut sequence = 0_u32;
        let mut offered = 0;
        for step in steps {
            match step {
                Step::Frame { worker, flow, value, len } => {
                    // A flow is of one worker, as receive queues have it.
                    let mut octets = frame(Some(value << 13 | 7), &vec![0; len]);
                    octets[11] = flow * 2 + worker as u8;
                    octets[20..24].copy_from_slice(&sequence.to_be_bytes());
                    sequence += 1;
                    offered += 1;
                    rig.give(worker, 0, octets);
                }
                Step::Round { worker } => rig.round(worker),
                Step::Room { frames } => {
                    for (_, _, wires) in &mut rig.workers {
                        wires.room.insert(port(1), frames);
                    }
                }
                Step::Link { up } => rig.links = if up { port(0).set().with(port(1)) } else { port(0).set() },
                Step::Time { cycles } => rig.now += cycles,
            }
            let accounting = rig.accounting();
            prop_assert!(accounting.balances(), "{accounting:?}");
        }
        // In the end there is room, link and time.
        rig.links = port(0).set().with(port(1));
        for (_, _, wires) in &mut rig.workers {
            wires.room.clear();
        }
        for _ in 0..200 {
            rig.now += HZ / 10;
            rig.round(0);
            rig.round(1);
        }
        let accounting = rig.accounting();
        prop_assert!(accounting.balances() && accounting.queued == 0 && accounting.rx == offered, "{accounting:?}");
        let mut last = BTreeMap::new();
        for (_, octets) in rig.sent() {
            let flow = (octets[11], octets[14] & 0xe0);
            let sequence = u32::from_be_bytes([octets[20], octets[21], octets[22], octets[23]]);
            let before = last.insert(flow, sequence);
            prop_assert!(before.is_none_or(|before| before < sequence), "flow {flow:?}: {before:?}, then {sequence}");
        }
        let counts = rig.counts();
        let sent: u64 = counts.iter().map(|counts| counts.sent_frames).sum();
        prop_assert_eq!(sent, accounting.tx, "classes count what the port counts");
    }
}

/// What two workers at once share beside a rig.
#[derive(Default)]
struct Both {
    /// Numbers what is sent.
    sequence: Arc<AtomicU64>,
    /// Workers that have brought all their frames.
    finished: AtomicU64,
}

/// What one worker does while the other does the same: frames of four flows come, ports have room now and then.
fn work(rig: &Rig, worker: u8, frames: u32, shared: &Both) -> (WorkerStats, Wires) {
    let (stats, mut outbox) = (WorkerStats::new(), Outbox::new());
    let mut wires = Wires { sequence: shared.sequence.clone(), ..Wires::default() };
    let mut round = |wires: &mut Wires, now| {
        let context = Context {
            snapshot: &rig.snapshot,
            fdb: &rig.fdb,
            links: rig.links,
            now_seconds: 1,
            now_cycles: now,
            worker: WorkerId(worker),
            stats: &stats,
        };
        walk(&mut Batch::new(), &context, &mut outbox, wires, &mut ());
    };
    for number in 0..frames {
        let mut octets = frame(Some((number as u16 % 8) << 13 | 7), &[0; 60]);
        octets[11] = (number / 8 % 4) as u8 * 2 + worker;
        octets[20..24].copy_from_slice(&number.to_be_bytes());
        wires.waiting.push_back((port(0), Marked { octets, mark: Mark::default() }));
        if number % 7 == 0 {
            wires.room.insert(port(1), if number % 21 == 0 { 0 } else { 12 });
            round(&mut wires, START + u64::from(number) * 1000);
        }
    }
    wires.room.clear();
    while !wires.waiting.is_empty() {
        round(&mut wires, START + HZ);
    }
    shared.finished.fetch_add(1, Ordering::SeqCst);
    // Who serves goes on until the other has brought its last frame, and all have left.
    let mut now = START + HZ;
    while worker == 0 && (shared.finished.load(Ordering::SeqCst) < 2 || rig.queues[0].waiting() > 0) {
        now += HZ / 1000;
        round(&mut wires, now);
        std::thread::yield_now();
    }
    (stats, wires)
}

#[test]
fn workers_at_once_lose_nothing_and_keep_every_flow_in_order() {
    const FRAMES: u32 = 20_000;
    let shaper = ShaperSpec { octets_per_second: 100_000_000, burst: 10_000, unit: RateUnit::Octets };
    for (straight, shaper) in [(true, None), (false, None), (false, Some(shaper))] {
        let service = Service { server: WorkerId(0), straight, ends: false };
        let rig =
            Rig::new(&[trunk(), trunk()], 2).with_egress(1, &EgressSpec { service, shaper, ..egress(8) });
        // What each thread uses of the rig is shared; its own workers stay unused.
        let (rig, both) = (&rig, &Both::default());
        let done: Vec<_> = std::thread::scope(|scope| {
            let threads = [0, 1].map(|worker| scope.spawn(move || work(rig, worker, FRAMES, both)));
            threads.map(|thread| thread.join().unwrap()).into_iter().collect()
        });
        let accounting = Accounting::of(done.iter().map(|(stats, _)| stats), rig.queues[0].waiting());
        assert!(accounting.balances(), "{accounting:?}");
        assert_eq!((accounting.rx, accounting.queued), (2 * u64::from(FRAMES), 0));
        let mut sent: Vec<_> = done.iter().flat_map(|(_, wires)| &wires.sent).collect();
        sent.sort();
        assert_eq!(sent.len() as u64, accounting.tx);
        let mut last = BTreeMap::new();
        for (_, _, octets) in sent {
            let number = u32::from_be_bytes([octets[20], octets[21], octets[22], octets[23]]);
            let before = last.insert((octets[11], octets[14] & 0xe0), number);
            assert!(before.is_none_or(|before| before < number), "{before:?}, then {number}");
        }
        let counted: u64 = rig.counts().iter().map(|class| class.sent_frames).sum();
        assert_eq!(counted, accounting.tx);
    }
}

#[test]
fn destinations_are_learned_whatever_is_policed() {
    let mut spec = ingress(8);
    spec.policers =
        vec![PolicerSpec { unit: RateUnit::Frames, actions: [Action::Pass, Action::Drop, Action::Drop] }];
    spec.port_policer = Some(0);
    let meter = one_rate(1, 1, RateUnit::Frames);
    let mut rig = Rig::new(&[trunk(), trunk(), trunk()], 1).with_ingress(0, &spec, vec![], &[meter]);
    for _ in 0..3 {
        rig.give(0, 0, frame(None, &OTHER));
    }
    rig.settle();
    assert_eq!((rig.sent().len(), rig.drops(0, Reason::Policed)), (2, 2), "one is flooded to two ports");
    let mut back = frame(None, &OTHER);
    back[..6].copy_from_slice(&Mac::new([2, 0, 0, 0, 0, 0xaa]).octets());
    back[11] = 0xcc;
    rig.give(0, 1, back);
    rig.settle();
    assert_eq!(rig.sent().iter().map(|(port, _)| *port).collect::<Vec<_>>(), [port(0)]);
}
