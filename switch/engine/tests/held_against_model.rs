//! Holds the data path against the naive switch, over random configurations and frames.
#![forbid(unsafe_code)]

mod wire;

use std::sync::Arc;

use pollux_engine::datapath::BURST;
use pollux_engine::qos::{
    ClassSpec, EgressQos, EgressSpec, IngressQos, IngressSpec, PortQueues, RuleSpec, Service,
};
use pollux_engine::tap::{
    Capture, CaptureSpec, Mirror, MirrorCounts, MirrorFrom, MirrorTo, MirrorTotals, Point, Record,
};
use pollux_engine::{PortSpec, Reason, Snapshot};
use pollux_model::{
    Accounts, Model, ModelMirror, ModelMirrorFrom, ModelMirrorTo, ModelPort, ModelProfile, Outcome,
    PlainFilter, PlainRules,
};
use pollux_net::{
    FlowMatch, MAX_MTU, Mac, MacMatch, Pcp, PcpCoding, PortId, PortSet, PortVlan, PriorityTags, Tpid,
    TrafficClass, Trust, Vid, VidSet, VlanMode, WorkerId,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use wire::{Bench, Got, Memory, capture, captured};

/// Few VLANs and few addresses, so that frames meet.
const VIDS: [u16; 6] = [1, 2, 10, 100, 4093, 4094];
const AGEING_SECONDS: u32 = 10;

#[derive(Clone, Debug)]
enum Step {
    Burst { port: usize, frames: Vec<Vec<u8>> },
    Wait { seconds: u32 },
    Link { port: usize, up: bool },
    Configure { port: usize, as_now: Box<ModelPort> },
    FlushPort { port: usize },
    FlushVlan { vid: Vid },
}

/// What a capture sees and keeps.
#[derive(Clone, Debug)]
struct Part {
    spec: CaptureSpec,
    ports: PortSet,
    filter: Option<PlainFilter>,
}

#[derive(Clone, Debug)]
struct Scene {
    ports: Vec<ModelPort>,
    mirrors: Vec<ModelMirror>,
    /// Whether everything is captured, and drops too; and by another capture a part of that.
    captured: Option<(bool, Part)>,
    statics: Vec<(Vid, Mac, PortId)>,
    steps: Vec<Step>,
}

fn vid() -> impl Strategy<Value = Vid> {
    select(VIDS.as_slice()).prop_filter_map("a VLAN", Vid::new)
}

fn vid_set(with_zero: bool) -> impl Strategy<Value = VidSet> {
    let vids = if with_zero { [VIDS.as_slice(), &[0]].concat() } else { VIDS.to_vec() };
    vec(select(vids), 0..5).prop_map(VidSet::from_iter)
}

fn vlan_mode() -> impl Strategy<Value = VlanMode> {
    prop_oneof![
        vid().prop_map(|vid| VlanMode::Access { vid }),
        (vid_set(false), prop::option::of(vid()), any::<bool>())
            .prop_map(|(allowed, native, native_tagged)| VlanMode::Trunk { allowed, native, native_tagged }),
        (vid(), prop::option::of(vid_set(true)), select(vec![Tpid::CTag, Tpid::STag]))
            .prop_map(|(vid, allowed, tpid)| VlanMode::Dot1qTunnel { vid, allowed, tpid }),
    ]
}

fn port_vlan() -> impl Strategy<Value = PortVlan> {
    let priority_tags = select(vec![PriorityTags::Never, PriorityTags::IfNonzero, PriorityTags::Always]);
    let trust = select(vec![Trust::Pcp, Trust::Dscp, Trust::Port]);
    (vlan_mode(), priority_tags, trust, (0u8..8).prop_filter_map("a PCP", Pcp::new)).prop_map(
        |(mode, priority_tags, trust, default_pcp)| PortVlan { mode, priority_tags, trust, default_pcp },
    )
}

fn mtu() -> impl Strategy<Value = u16> {
    select(vec![68, 1500, 1504, 9000, MAX_MTU])
}

fn rule() -> impl Strategy<Value = FlowMatch> {
    let dscp = prop::option::of((0u8..64).prop_map(|first| first..=(first + 10).min(63)));
    let vid = prop::option::of(vid().prop_map(|vid| vid.value()..=vid.value()));
    let ethertype = prop::option::of(select(vec![0x0800, 0x86dd]));
    (dscp, vid, ethertype, prop::option::of(address())).prop_map(|(dscp, vid, ethertype, source)| FlowMatch {
        dscp,
        vid,
        ethertype,
        source_mac: source.map(|mac| MacMatch { mac, mask: Mac::BROADCAST }),
        ..FlowMatch::default()
    })
}

fn profile() -> impl Strategy<Value = ModelProfile> {
    (1usize..=8, select(PcpCoding::ALL.to_vec())).prop_flat_map(|(classes, coding)| {
        let class = 0..classes as u8;
        let rules = vec((rule(), prop::option::of(class.clone())), 0..4);
        let maps = (
            prop::array::uniform8(0u8..8),
            prop::array::uniform8(class.clone()),
            prop::array::uniform8(0u8..8),
            any::<bool>(),
            vec(class, 64),
            rules,
        );
        maps.prop_map(
            move |(regeneration, priority_to_class, class_to_priority, sends_class_priority, dscp, rules)| {
                ModelProfile {
                    classes,
                    coding,
                    regeneration,
                    priority_to_class,
                    class_to_priority,
                    sends_class_priority,
                    dscp_to_class: dscp.try_into().expect("one for each DSCP"),
                    rules,
                }
            },
        )
    })
}

fn model_port() -> impl Strategy<Value = ModelPort> {
    (port_vlan(), mtu(), prop::option::of(profile()), prop::bool::weighted(0.9))
        .prop_map(|(vlan, mtu, profile, up)| ModelPort { vlan, mtu, profile, up })
}

fn address() -> impl Strategy<Value = Mac> {
    prop_oneof![
        12 => (0u8..8).prop_map(|n| Mac::new([2, 0, 0, 0, 0, n])),
        2 => Just(Mac::BROADCAST),
        1 => Just(Mac::new([1, 0, 0x5e, 0, 0, 1])),
        1 => Just(Mac::ZERO),
        1 => (0u8..18).prop_map(|n| Mac::new([1, 0x80, 0xc2, 0, 0, n])),
        1 => any::<[u8; 6]>().prop_map(Mac::new),
    ]
}

fn tag() -> impl Strategy<Value = [u8; 4]> {
    let vids = [VIDS.as_slice(), &[0, 0, 5, 4095]].concat();
    let ethertype = prop_oneof![4 => Just(0x8100u16), 2 => Just(0x88a8), 1 => Just(0x9100)];
    (ethertype, select(vids), 0u16..16).prop_map(|(ethertype, vid, priority)| {
        let [a, b] = ethertype.to_be_bytes();
        let [c, d] = (priority << 12 | vid).to_be_bytes();
        [a, b, c, d]
    })
}

fn payload_len() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 46usize..64,
        2 => 0usize..8,
        1 => 60usize..100,
        1 => 1490usize..1530,
        1 => 8990usize..9030,
        1 => 9200usize..9250,
    ]
}

/// A frame, now and then cut short.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    (
        address(),
        address(),
        vec(tag(), 0..3),
        payload_len(),
        any::<u8>(),
        prop::option::of(any::<u8>()),
        prop::option::weighted(0.05, 0usize..24),
    )
        .prop_map(|(destination, source, tags, payload, fill, tos, cut)| {
            let mut frame = [destination.octets(), source.octets()].concat();
            frame.extend(tags.concat());
            frame.extend([0x08, 0x00]);
            let start = frame.len();
            frame.extend(std::iter::repeat_n(fill, payload));
            if let (Some(tos), Some(packet)) = (tos, frame.get_mut(start..start + 2)) {
                packet.copy_from_slice(&[0x45, tos]);
            }
            frame.truncate(cut.unwrap_or(usize::MAX));
            frame
        })
}

fn step(ports: usize) -> impl Strategy<Value = Step> {
    let port = 0..ports;
    prop_oneof![
        12 => (port.clone(), vec(frame(), 1..=BURST)).prop_map(|(port, frames)| Step::Burst { port, frames }),
        2 => (0u32..AGEING_SECONDS + 2).prop_map(|seconds| Step::Wait { seconds }),
        1 => (port.clone(), any::<bool>()).prop_map(|(port, up)| Step::Link { port, up }),
        1 => (port.clone(), model_port()).prop_map(|(port, as_now)| Step::Configure { port, as_now: Box::new(as_now) }),
        1 => port.prop_map(|port| Step::FlushPort { port }),
        1 => vid().prop_map(|vid| Step::FlushVlan { vid }),
    ]
}

fn filter() -> impl Strategy<Value = PlainFilter> {
    (0..16_usize, select(vec![0_u8, 1, 2, 8, 0x81])).prop_map(|(at, value)| PlainFilter { at, value })
}

fn part() -> impl Strategy<Value = Part> {
    let snap_length = select(vec![0_usize, 1, 14, 60, 1500, usize::MAX]);
    let sees = (any::<[bool; 3]>(), snap_length);
    (sees, 0..64_u64, prop::option::of(filter())).prop_map(
        |(([rx, tx, drops], snap_length), ports, filter)| {
            let spec = CaptureSpec { rx, tx, drops, snap_length };
            Part { spec, ports: PortSet::from_bits(ports), filter }
        },
    )
}

fn mirror(ports: usize) -> impl Strategy<Value = ModelMirror> {
    let from = prop_oneof![
        3 => vec((0..ports).prop_map(id), 1..4).prop_map(ModelMirrorFrom::Ports),
        2 => vid().prop_map(ModelMirrorFrom::Vlan),
        2 => Just(ModelMirrorFrom::Dropped),
    ];
    let to = prop_oneof![
        (0..ports).prop_map(id).prop_map(ModelMirrorTo::Port),
        vid().prop_map(ModelMirrorTo::Vlan)
    ];
    let directions = select(vec![(true, true), (true, false), (false, true)]);
    let snap_length = prop::option::weighted(0.3, select(vec![1_usize, 14, 60, 1500]));
    (from, directions, to, prop::option::weighted(0.3, filter()), snap_length).prop_map(
        |(from, (rx, tx), to, filter, snap_length)| ModelMirror { from, rx, tx, to, filter, snap_length },
    )
}

fn scene() -> impl Strategy<Value = Scene> {
    vec(model_port(), 2..7).prop_flat_map(|ports| {
        let count = ports.len();
        let mirrors = prop_oneof![Just(Vec::new()), vec(mirror(count), 1..4)];
        let taps = (mirrors, prop::option::of((any::<bool>(), part())));
        let fixed = (vid(), 0u8..8, 0..count).prop_map(|(vid, n, port)| {
            (vid, Mac::new([2, 0, 0, 0, 0, n]), PortId::from_low_bits(port as u64))
        });
        (Just(ports), vec(fixed, 0..3), vec(step(count), 1..12), taps).prop_map(
            |(ports, mut statics, steps, (mirrors, captured))| {
                let mut seen = std::collections::HashSet::new();
                statics.retain(|&(vid, mac, _)| seen.insert((vid, mac)));
                Scene { ports, mirrors, captured, statics, steps }
            },
        )
    })
}

fn id(port: usize) -> PortId {
    PortId::new(port).expect("a test has few ports")
}

/// What looks at frames.
struct Taps {
    captures: Vec<Arc<Capture<PlainFilter>>>,
    mirrors: Vec<Mirror<PlainFilter>>,
}

impl Taps {
    fn new(mirrors: &[ModelMirror], captured: Option<&(bool, Part)>) -> Self {
        let mirrors = mirrors.iter().map(|mirror| {
            let &ModelMirror { ref from, rx, tx, to, filter, snap_length } = mirror;
            Mirror {
                from: match from {
                    ModelMirrorFrom::Ports(ports) => {
                        MirrorFrom::Ports { ports: ports.iter().copied().collect(), rx, tx }
                    }
                    ModelMirrorFrom::Vlan(vid) => MirrorFrom::Vlan { vid: *vid, rx, tx },
                    ModelMirrorFrom::Dropped => MirrorFrom::Drops,
                },
                to: match to {
                    ModelMirrorTo::Port(port) => MirrorTo::Port(port),
                    ModelMirrorTo::Vlan(vid) => MirrorTo::Vlan(vid),
                },
                filter,
                snap_length,
                counts: Arc::new(MirrorCounts::new(1)),
            }
        });
        let captures = captured.into_iter().flat_map(|(drops, part)| {
            [capture(*drops), Arc::new(Capture::new(part.spec, part.ports, part.filter, 1, 1 << 20))]
        });
        Self { captures: captures.collect(), mirrors: mirrors.collect() }
    }

    /// Whether a capture saw each frame once at each point, and another its part of that.
    fn saw(
        &self,
        part: Option<&Part>,
        ingress: PortId,
        received: &[Vec<u8>],
        got: &Got,
    ) -> Result<(), TestCaseError> {
        let ([capture, other], Some(part)) = (&self.captures[..], part) else { return Ok(()) };
        let mut of_part = Vec::new();
        let (mut came, mut left, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
        for (record, octets) in captured(capture) {
            prop_assert_eq!((record.kept, record.len), (octets.len(), octets.len()));
            of_part.extend(part.of(&record, &octets));
            match record.point {
                Point::Rx => came.push((record.port, octets)),
                Point::Tx => left.push((record.port, octets)),
                Point::Dropped { reason, .. } => dropped.push((record.port, reason)),
            }
        }
        let kept = captured(other).into_iter();
        // What the one doesn't see, it can't say of the other.
        let kept =
            kept.filter(|(record, _)| capture.spec().drops || !matches!(record.point, Point::Dropped { .. }));
        let kept: Vec<_> =
            kept.map(|(record, octets)| (record.port, record.point, record.len, octets)).collect();
        prop_assert_eq!(kept, of_part);
        let sent = got.sent.iter().enumerate();
        let mut sent: Vec<_> =
            sent.flat_map(|(n, of)| of.iter().map(move |octets| (id(n), octets.clone()))).collect();
        sent.sort();
        left.sort();
        dropped.sort();
        prop_assert_eq!(came, received.iter().map(|octets| (ingress, octets.clone())).collect::<Vec<_>>());
        prop_assert_eq!(left, sent);
        prop_assert_eq!(dropped, if capture.spec().drops { got.drops.clone() } else { Vec::new() });
        prop_assert_eq!(
            PortId::all().map(|port| capture.lost(port)).fold(0, |sum, lost| sum + lost.iter().sum::<u64>()),
            0
        );
        Ok(())
    }
}

impl Part {
    /// What it keeps of a frame.
    fn of(&self, record: &Record, octets: &[u8]) -> Option<(PortId, Point, usize, Vec<u8>)> {
        let sees = match record.point {
            Point::Rx => self.spec.rx,
            Point::Tx => self.spec.tx,
            Point::Dropped { .. } => self.spec.drops,
        };
        let chosen = self.filter.is_none_or(|filter| filter.chooses(octets));
        let kept = octets[..octets.len().min(self.spec.snap_length)].to_vec();
        (sees && chosen && self.ports.contains(record.port)).then_some((
            record.port,
            record.point,
            record.len,
            kept,
        ))
    }
}

/// What the model says that a mirror has done.
fn totals(outcomes: &[Outcome], mirror: usize) -> MirrorTotals {
    let chosen = outcomes.iter().flat_map(|outcome| &outcome.chosen);
    let mut totals = MirrorTotals::default();
    for (_, octets) in chosen.filter(|(number, _)| *number == mirror) {
        match octets {
            Some(octets) => {
                totals.frames += 1;
                totals.octets += *octets as u64;
            }
            None => totals.lost += 1,
        }
    }
    totals
}

/// The engine's tables of these ports.
fn snapshot(ports: &[ModelPort], taps: &Taps) -> Snapshot<Memory> {
    bare_snapshot(ports).with_taps(taps.captures.clone(), taps.mirrors.clone())
}

fn bare_snapshot(ports: &[ModelPort]) -> Snapshot<Memory> {
    let profiles = ports.iter().enumerate().filter_map(|(n, port)| Some((n, port, port.profile.as_ref()?)));
    profiles.fold(Snapshot::new(&specs(ports)), |snapshot, (n, port, profile)| {
        let rules = profile.rules.iter().map(|(rule, _)| rule.clone()).collect();
        let ingress = IngressQos::new(&ingress(port, profile), Some(PlainRules(rules)), Vec::new());
        let queues = Arc::new(PortQueues::new(1));
        let egress = EgressQos::new(&egress(profile), queues, 1_000_000_000);
        snapshot.with_ingress(id(n), Arc::new(ingress)).with_egress(id(n), Arc::new(egress))
    })
}

fn classes<const N: usize>(numbers: [u8; N]) -> [TrafficClass; N] {
    numbers.map(TrafficClass::from_low_bits)
}

fn priorities(numbers: [u8; 8]) -> [Pcp; 8] {
    numbers.map(|number| Pcp::new(number).expect("a priority"))
}

fn ingress(port: &ModelPort, profile: &ModelProfile) -> IngressSpec {
    let rule = |&(_, class): &(FlowMatch, Option<u8>)| RuleSpec {
        class: class.map(TrafficClass::from_low_bits),
        policer: None,
    };
    IngressSpec {
        classes: profile.classes,
        coding: profile.coding,
        regeneration: priorities(profile.regeneration),
        priority_to_class: classes(profile.priority_to_class),
        class_to_priority: priorities(profile.class_to_priority),
        dscp_to_class: (port.vlan.trust == Trust::Dscp).then(|| classes(profile.dscp_to_class)),
        rules: profile.rules.iter().map(rule).collect(),
        policers: Vec::new(),
        port_policer: None,
        class_policers: [None; 8],
    }
}

fn egress(profile: &ModelProfile) -> EgressSpec {
    EgressSpec {
        classes: profile.classes,
        coding: profile.coding,
        priority_to_class: classes(profile.priority_to_class),
        class_to_priority: profile.sends_class_priority.then(|| priorities(profile.class_to_priority)),
        strict: TrafficClass::descending().collect(),
        dwrr: Vec::new(),
        shaper: None,
        class: [ClassSpec { guarantee: None, cap: None, queue_octets: 1 << 20, queue_frames: 0, wred: None };
            8],
        service: Service { server: WorkerId(0), straight: false, ends: false },
    }
}

fn specs(ports: &[ModelPort]) -> Vec<PortSpec> {
    let spec = |(n, port): (usize, &ModelPort)| PortSpec {
        id: id(n),
        vlan: port.vlan.clone(),
        mtu: port.mtu,
        may_leave_work: false,
    };
    ports.iter().enumerate().map(spec).collect()
}

fn links(ports: &[ModelPort]) -> PortSet {
    (0..ports.len()).filter(|&n| ports[n].up).map(id).collect()
}

/// The model's name for a reason, in the engine's words.
fn in_engine_words(reason: pollux_model::Reason) -> Reason {
    let name = format!("{reason:?}");
    *Reason::ALL.iter().find(|r| format!("{r:?}") == name).expect("model and engine have the same reasons")
}

/// Everything sent per port in order, and every drop, sorted.
fn flatten(ports: usize, outcomes: &[Outcome]) -> Got {
    let mut sent = vec![Vec::new(); ports];
    let mut drops = Vec::new();
    for outcome in outcomes {
        for (port, frame) in &outcome.sent {
            sent[port.index()].push(frame.clone());
        }
        drops.extend(outcome.drops.iter().map(|&(port, reason)| (port, in_engine_words(reason))));
        for (port, copy) in &outcome.mirrored {
            match copy {
                Ok(copy) => sent[port.index()].push(copy.clone()),
                Err(reason) => drops.push((*port, in_engine_words(*reason))),
            }
        }
    }
    drops.sort();
    Got { sent, drops }
}

fn play(scene: Scene) -> Result<(), TestCaseError> {
    let Scene { mut ports, mirrors, captured, statics, steps } = scene;
    let taps = Taps::new(&mirrors, captured.as_ref());
    let part = captured.as_ref().map(|(_, part)| part);
    let sorts = !mirrors.is_empty();
    let mut model = Model::new(ports.clone(), AGEING_SECONDS, 4096, statics.clone()).with_mirrors(mirrors);
    let mut bench = Bench::new(snapshot(&ports, &taps), ports.len(), links(&ports), AGEING_SECONDS, &statics);
    let mut all = Vec::new();
    for step in steps {
        match step {
            Step::Burst { port, frames } => {
                let outcomes = model.burst(id(port), &frames, bench.now_seconds);
                let mut got = bench.burst(id(port), frames.clone());
                taps.saw(part, id(port), &frames, &got)?;
                let mut wanted = flatten(ports.len(), &outcomes);
                if sorts {
                    // Copies may leave before or after what they are copies of.
                    got.sent.iter_mut().chain(&mut wanted.sent).for_each(|sent| sent.sort());
                }
                prop_assert_eq!(got, wanted);
                all.extend(outcomes);
            }
            Step::Wait { seconds } => bench.now_seconds += seconds,
            Step::Link { port, up } => {
                ports[port].up = up;
                model.set_port(id(port), ports[port].clone());
                bench.links = links(&ports);
            }
            Step::Configure { port, as_now } => {
                ports[port] = ModelPort { up: ports[port].up, ..*as_now };
                model.set_port(id(port), ports[port].clone());
                bench.configure(snapshot(&ports, &taps));
            }
            Step::FlushPort { port } => {
                model.flush_port(id(port));
                bench.fdb.flush_port(id(port));
            }
            Step::FlushVlan { vid } => {
                model.flush_vlan(vid);
                bench.fdb.flush_vlan(vid);
            }
        }
    }
    let theirs = Accounts::of(&all);
    let ours = bench.accounting();
    for (number, mirror) in taps.mirrors.iter().enumerate() {
        prop_assert_eq!(mirror.counts.totals(), totals(&all, number));
    }
    prop_assert!(theirs.balance() && ours.balances(), "{theirs:?} {ours:?}");
    prop_assert_eq!(
        (ours.rx, ours.replicated, ours.tx, ours.dropped),
        (theirs.rx as u64, theirs.replicated as u64, theirs.tx as u64, theirs.drops as u64)
    );
    Ok(())
}

/// As the model has it, but that there is memory for so many copies in each burst: what isn't sent for want of it is
/// dropped at the port that it was for, and each mirror knows how many of its own.
fn play_without_memory(scene: Scene, copies: usize) -> Result<(), TestCaseError> {
    let Scene { ports, mut mirrors, statics, steps, .. } = scene;
    // Of frames that weren't sent or were dropped for want of memory, other mirrors would see less or more.
    mirrors.retain(|mirror| mirror.from != ModelMirrorFrom::Dropped);
    mirrors.iter_mut().for_each(|mirror| (mirror.rx, mirror.tx) = (true, false));
    let taps = Taps::new(&mirrors, None);
    let mut model = Model::new(ports.clone(), AGEING_SECONDS, 4096, statics.clone()).with_mirrors(mirrors);
    let mut bench = Bench::new(snapshot(&ports, &taps), ports.len(), links(&ports), AGEING_SECONDS, &statics);
    bench.copies = copies;
    let mut all = Vec::new();
    for step in steps {
        let Step::Burst { port, frames } = step else { continue };
        let outcomes = model.burst(id(port), &frames, bench.now_seconds);
        let wanted = flatten(ports.len(), &outcomes);
        let got = bench.burst(id(port), frames);
        let fates = |of: &Got, n: usize| {
            of.sent[n].len() + of.drops.iter().filter(|(port, _)| *port == id(n)).count()
        };
        for n in 0..ports.len() {
            prop_assert_eq!(fates(&got, n), fates(&wanted, n));
        }
        let missing = got.drops.iter().filter(|(_, reason)| *reason == Reason::NoMbuf).count();
        prop_assert!(missing > 0 || got.drops == wanted.drops);
        all.extend(outcomes);
    }
    for (number, mirror) in taps.mirrors.iter().enumerate() {
        let (ours, theirs) = (mirror.counts.totals(), totals(&all, number));
        prop_assert_eq!(ours.frames + ours.lost, theirs.frames + theirs.lost);
        prop_assert!(ours.octets <= theirs.octets && ours.lost >= theirs.lost);
        if copies == 0 {
            prop_assert_eq!(ours.frames, 0);
        }
    }
    prop_assert!(bench.accounting().balances(), "{:?}", bench.accounting());
    Ok(())
}

/// Found by the property test: behind the tag that a tunnel takes off, a frame ended within its own.
#[test]
fn a_tag_that_ends_the_frame_names_no_customer_vid() {
    let vid = Vid::new(10).expect("a VLAN");
    let port = |mode| ModelPort {
        vlan: PortVlan { mode, ..PortVlan::default() },
        mtu: 1500,
        profile: None,
        up: true,
    };
    let allowed = Some([0].into_iter().collect());
    let trunk = VlanMode::Trunk { allowed: [10].into_iter().collect(), native: None, native_tagged: false };
    let tunnel = VlanMode::Dot1qTunnel { vid, allowed, tpid: Tpid::STag };
    let frame =
        [&[2, 0, 0, 0, 0, 2], &[2, 0, 0, 0, 0, 1], [0x81, 0, 0, 10].as_slice(), &[0x81, 0, 0, 1]].concat();
    let steps = vec![Step::Burst { port: 0, frames: vec![frame] }];
    let ports = vec![port(trunk), port(tunnel)];
    play(Scene { ports, mirrors: Vec::new(), captured: None, statics: Vec::new(), steps }).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn does_what_the_model_does(scene in scene()) {
        play(scene)?;
    }

    #[test]
    fn copies_without_memory_are_lost_and_counted(
        scene in scene(),
        mirrors in vec(mirror(2), 1..4),
        copies in 0..64_usize,
    ) {
        play_without_memory(Scene { mirrors, ..scene }, copies)?;
    }
}
