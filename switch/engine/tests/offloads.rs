//! What VMs leave to do, held against what a wire must carry: every frame that leaves for a port that takes
//! nothing unfinished is checked octet by octet, by arithmetic of its own.
#![allow(missing_docs)]

use std::num::NonZeroU16;
use std::sync::Arc;

use arrayvec::ArrayVec;
use pollux_engine::datapath::{BURST, Batch, Context, Outbox, Platform, walk};
use pollux_engine::fdb::{Fdb, FdbOptions};
use pollux_engine::tap::{Mirror, MirrorCounts, MirrorFrom, MirrorTo};
use pollux_engine::{Accounting, PortSpec, PortTotals, Reason, Snapshot, WorkerStats};
use pollux_model::{PlainFilter, PlainMeter, PlainRules};
use pollux_net::{
    Frame, IpVersion, MTU_OVERHEAD, Offloads, Pending, PortId, PortSet, PortVlan, Tag, Tci, Tpid, Transport,
    Vid, VidSet, VlanMode, WorkerId,
};
use proptest::prelude::*;

/// A frame as a VM hands it over: in pieces, maybe unfinished.
#[derive(Clone, Debug, PartialEq)]
struct Loose {
    /// Headers, tags included, and what lies behind them in the same buffer.
    head: Vec<u8>,
    rest: Vec<Vec<u8>>,
    pending: Pending,
    /// What the switch left to the port.
    left: Option<(Transport, Option<NonZeroU16>)>,
}

impl Loose {
    fn octets(&self) -> Vec<u8> {
        self.pieces().flatten().copied().collect()
    }
}

impl Frame for Loose {
    fn len(&self) -> usize {
        self.pieces().map(<[u8]>::len).sum()
    }

    fn head(&self) -> &[u8] {
        &self.head
    }

    fn head_mut(&mut self) -> Option<&mut [u8]> {
        Some(&mut self.head)
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.head).chain(&self.rest).map(Vec::as_slice)
    }

    fn pending(&self) -> Pending {
        self.pending
    }

    fn leave_pending(&mut self, transport: &Transport, segment_len: Option<NonZeroU16>) {
        self.left = Some((*transport, segment_len));
    }

    fn left(&self) -> Pending {
        let left = |(_, segment_len)| Pending { checksum: true, segment_len };
        self.left.map_or(Pending::NOTHING, left)
    }

    fn forget_pending(&mut self) {
        (self.pending, self.left) = (Pending::NOTHING, None);
    }

    fn push_tag(&mut self, tag: Tag) -> bool {
        self.head.push_tag(tag)
    }

    fn pop_tag(&mut self) -> bool {
        self.head.pop_tag()
    }

    fn set_tci(&mut self, tci: Tci) -> bool {
        self.head.set_tci(tci)
    }
}

struct Memory {
    waiting: Vec<Loose>,
    sent: Vec<(PortId, Loose)>,
    offloads: [Offloads; 3],
    /// Frames that there is memory for.
    frames_left: usize,
}

impl Platform for Memory {
    type Frame = Loose;
    type Rules = PlainRules;
    type Meter = PlainMeter;
    type Filter = PlainFilter;

    fn sources(&self) -> usize {
        1
    }

    fn receive(&mut self, _source: usize, burst: &mut ArrayVec<Loose, BURST>) -> PortId {
        let take = burst.remaining_capacity().min(self.waiting.len());
        burst.extend(self.waiting.drain(..take));
        VM
    }

    fn transmit(&mut self, port: PortId, frames: &mut ArrayVec<Loose, BURST>) {
        self.sent.extend(frames.drain(..).map(|frame| (port, frame)));
    }

    fn copy(&mut self, frame: &Loose) -> Option<Loose> {
        Some(frame.clone())
    }

    fn copy_start(&mut self, frame: &Loose, len: usize) -> Option<Loose> {
        let octets = frame.octets();
        let head = octets[..len.min(octets.len())].to_vec();
        Some(Loose { head, rest: Vec::new(), ..frame.clone() })
    }

    fn frame(&mut self, octets: &[u8]) -> Option<Loose> {
        self.frames_left = self.frames_left.checked_sub(1)?;
        Some(Loose { head: octets.to_vec(), rest: Vec::new(), pending: Pending::NOTHING, left: None })
    }

    fn append(&mut self, frame: &mut Loose, octets: &[u8]) -> bool {
        frame.rest.push(octets.to_vec());
        true
    }

    fn offloads(&self, port: PortId) -> Offloads {
        self.offloads[port.index()]
    }
}

const VM: PortId = PortId::from_low_bits(0);
const ACCESS: PortId = PortId::from_low_bits(1);
const TRUNK: PortId = PortId::from_low_bits(2);

/// What came of some frames of the VM.
struct Got {
    sent: Vec<(PortId, Loose)>,
    totals: PortTotals,
    egress: [PortTotals; 2],
}

impl Got {
    fn to(&self, port: PortId) -> Vec<&Loose> {
        self.sent.iter().filter(|(to, _)| *to == port).map(|(_, frame)| frame).collect()
    }
}

/// Floods the frames from a VM in VLAN 10 to an access port and a trunk.
fn flood(frames: Vec<Loose>, mtu: u16, offloads: Offloads, frames_left: usize) -> Got {
    let vid = Vid::new(10).unwrap();
    let trunk = VlanMode::Trunk { allowed: VidSet::from_iter([10]), native: None, native_tagged: false };
    let modes = [VlanMode::Access { vid }, VlanMode::Access { vid }, trunk];
    let port = |(id, mode)| PortSpec {
        id,
        vlan: PortVlan { mode, ..PortVlan::default() },
        mtu: if id == VM { 9216 } else { mtu },
        may_leave_work: id == VM,
    };
    let specs: Vec<_> = [VM, ACCESS, TRUNK].into_iter().zip(modes).map(port).collect();
    let snapshot = Snapshot::new(&specs);
    let stats = WorkerStats::new();
    let fdb = Fdb::new(FdbOptions { capacity: 1024, ageing_seconds: 300, seed: 1 });
    let links = [VM, ACCESS, TRUNK].into_iter().fold(PortSet::EMPTY, PortSet::with);
    let context = Context {
        snapshot: &snapshot,
        fdb: &fdb,
        links,
        now_seconds: 7,
        now_cycles: 0,
        worker: WorkerId(0),
        stats: &stats,
    };
    let offloads = [Offloads::NONE, offloads, offloads];
    let mut memory = Memory { waiting: frames, sent: Vec::new(), offloads, frames_left };
    let (mut batch, mut outbox) = (Batch::new(), Outbox::new());
    while walk(&mut batch, &context, &mut outbox, &mut memory, &mut ()) > 0 {}
    assert!(Accounting::of([&stats], 0).balances(), "{:?}", Accounting::of([&stats], 0));
    let egress = [ACCESS, TRUNK].map(|port| stats.port(port));
    Got { sent: memory.sent, totals: stats.port(VM), egress }
}

/// A frame of a VM to be.
#[derive(Clone, Debug)]
struct Recipe {
    version: IpVersion,
    tcp: bool,
    tagged: bool,
    /// Four octets each, or eight of IPv6.
    ip_options: usize,
    tcp_options: usize,
    payload: Vec<u8>,
    /// Octets of the payload that lie in the headers' buffer, and in each one behind it.
    buffers: (usize, usize),
    segment_len: Option<NonZeroU16>,
    flags: u8,
    sequence: u32,
    identification: u16,
    padding: usize,
}

impl Recipe {
    fn frame(&self) -> Loose {
        let mut segment = vec![0x12, 0x34, 0x56, 0x78];
        if self.tcp {
            segment.extend(self.sequence.to_be_bytes());
            segment.extend([1, 2, 3, 4, (5 + self.tcp_options as u8) << 4, self.flags, 0xff, 0xff]);
            // What the driver left where the checksum belongs, and an urgent pointer.
            segment.extend([0xab, 0xcd, 0, 0]);
            segment.extend(std::iter::repeat_n(1, self.tcp_options * 4));
        } else {
            segment.extend((8 + self.payload.len() as u16).to_be_bytes());
            segment.extend([0xab, 0xcd]);
        }
        let protocol = if self.tcp { 6 } else { 17 };
        let mut head = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1];
        if self.tagged {
            head.extend([0x81, 0, 0x60, 0]);
        }
        let behind = (segment.len() + self.payload.len()) as u16;
        match self.version {
            IpVersion::V4 => {
                let header_len = 20 + self.ip_options as u16 * 4;
                head.extend([8, 0, 0x45 + self.ip_options as u8, 0]);
                head.extend((header_len + behind).to_be_bytes());
                head.extend(self.identification.to_be_bytes());
                head.extend([0x40, 0, 64, protocol, 0, 0, 10, 1, 2, 3, 10, 4, 5, 6]);
                head.extend(std::iter::repeat_n(1, self.ip_options * 4));
                let at = head.len() - usize::from(header_len);
                let sum = ones(&[&head[at..]]);
                head[at + 10..at + 12].copy_from_slice(&sum.to_be_bytes());
            }
            IpVersion::V6 => {
                let extensions = self.ip_options.min(1);
                head.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                head.extend((behind + extensions as u16 * 8).to_be_bytes());
                head.extend([if extensions > 0 { 60 } else { protocol }, 64]);
                head.extend((0..32).map(|n| n * 7));
                head.extend([protocol, 0, 1, 4, 0, 0, 0, 0].iter().take(extensions * 8));
            }
        }
        head.extend(segment);
        let (in_head, rest) = self.payload.split_at(self.buffers.0.min(self.payload.len()));
        head.extend(in_head);
        let mut rest: Vec<_> = rest.chunks(self.buffers.1).map(<[u8]>::to_vec).collect();
        rest.extend((self.padding > 0).then(|| vec![0xee; self.padding]));
        let pending = Pending { checksum: true, segment_len: self.segment_len };
        Loose { head, rest, pending, left: None }
    }
}

/// The Internet checksum of octets in a row, each but the last an even number.
fn ones(parts: &[&[u8]]) -> u16 {
    let octets: Vec<u8> = parts.concat();
    let words = octets.chunks(2).map(|pair| u64::from(pair[0]) * 256 + u64::from(*pair.get(1).unwrap_or(&0)));
    !((words.sum::<u64>() % 0xffff) as u16)
}

/// A frame of the wire taken apart, each of its lengths and checksums checked.
struct Apart {
    identification: u16,
    sequence: u32,
    flags: u8,
    payload: Vec<u8>,
}

fn take_apart(octets: &[u8], recipe: &Recipe, tagged: bool, padding: usize) -> Apart {
    let ip = if tagged { 18 } else { 14 };
    if tagged {
        assert_eq!(octets[12..16], [0x81, 0, if recipe.tagged { 0x60 } else { 0 }, 10]);
    }
    let octets = &octets[..octets.len() - padding];
    let (transport, pseudo) = match recipe.version {
        IpVersion::V4 => {
            let header_len = 20 + recipe.ip_options * 4;
            assert_eq!(octets[ip - 2..ip], [8, 0]);
            assert_eq!(usize::from(be(&octets[ip + 2..])), octets.len() - ip);
            assert_eq!(ones(&[&octets[ip..ip + header_len]]) % 0xffff, 0, "the IPv4 header's checksum");
            (ip + header_len, octets[ip + 12..ip + 20].to_vec())
        }
        IpVersion::V6 => {
            let extensions = recipe.ip_options.min(1) * 8;
            assert_eq!(octets[ip - 2..ip], [0x86, 0xdd]);
            assert_eq!(usize::from(be(&octets[ip + 4..])), octets.len() - ip - 40);
            (ip + 40 + extensions, octets[ip + 8..ip + 40].to_vec())
        }
    };
    let segment = &octets[transport..];
    let protocol = if recipe.tcp { 6 } else { 17 };
    let behind = [0, protocol, (segment.len() >> 8) as u8, segment.len() as u8];
    assert_eq!(ones(&[&pseudo, &behind, segment]) % 0xffff, 0, "the transport's checksum");
    if !recipe.tcp {
        assert_ne!(be(&segment[6..]), 0, "no checksum");
    }
    let header_len = if recipe.tcp { 20 + recipe.tcp_options * 4 } else { 8 };
    Apart {
        identification: be(&octets[ip + 4..]),
        sequence: u32::from_be_bytes(segment[4..8].try_into().unwrap()),
        flags: if recipe.tcp { segment[13] } else { 0 },
        payload: segment[header_len..].to_vec(),
    }
}

fn be(octets: &[u8]) -> u16 {
    u16::from_be_bytes([octets[0], octets[1]])
}

fn recipes() -> impl Strategy<Value = Recipe> {
    let ip = (prop_oneof![Just(IpVersion::V4), Just(IpVersion::V6)], 0..=10usize, any::<u16>());
    let tcp = (0..=10usize, any::<u8>(), any::<u32>());
    let payload = prop_oneof![0..100usize, 0..3000usize, 0..65_000usize]
        .prop_flat_map(|len| proptest::collection::vec(any::<u8>(), len));
    let segment = proptest::option::of((48..9000u16).prop_map(|len| NonZeroU16::new(len).unwrap()));
    let buffers = (0..2000usize, 1..3000usize);
    (ip, tcp, payload, segment, buffers, any::<bool>(), any::<bool>(), 0..3usize).prop_map(
        |(ip, tcp, payload, segment_len, buffers, is_tcp, tagged, padding)| Recipe {
            version: ip.0,
            tcp: is_tcp || segment_len.is_some(),
            tagged,
            ip_options: ip.1,
            tcp_options: tcp.0,
            payload,
            buffers,
            segment_len,
            flags: tcp.1,
            sequence: tcp.2,
            identification: ip.2,
            padding: padding * 4,
        },
    )
}

proptest! {
    #[test]
    fn a_wire_gets_finished_frames_in_order(recipe in recipes(), mtu in 500..9216u16) {
        let frame = recipe.frame();
        let longest = match recipe.segment_len {
            Some(len) if usize::from(len.get()) < recipe.payload.len() =>
                frame.len() - recipe.payload.len() - recipe.padding + usize::from(len.get()),
            _ => frame.len(),
        };
        let got = flood(vec![frame.clone()], mtu, Offloads::NONE, usize::MAX);
        if longest > 9216 + MTU_OVERHEAD {
            prop_assert_eq!(got.totals.drops[Reason::Oversize.index()], 1);
            prop_assert!(got.sent.is_empty());
            return Ok(());
        }
        for (port, tagged) in [(ACCESS, false), (TRUNK, true)] {
            let longest = longest + 4 * usize::from(tagged) - 4 * usize::from(recipe.tagged);
            let egress = &got.egress[port.index() - 1];
            if longest > usize::from(mtu) + MTU_OVERHEAD {
                prop_assert_eq!(egress.drops[Reason::MtuExceeded.index()], 1);
                prop_assert!(got.to(port).is_empty());
                continue;
            }
            let sent = got.to(port);
            let mut payload = Vec::new();
            for (index, frame) in sent.iter().enumerate() {
                prop_assert!(frame.left.is_none());
                prop_assert!(frame.len() <= longest);
                let padding = if recipe.segment_len.is_none() { recipe.padding } else { 0 };
                let apart = take_apart(&frame.octets(), &recipe, tagged, padding);
                if recipe.tcp {
                    let (first, last) = (index == 0, index + 1 == sent.len());
                    let kept = 0x76 | if first { 0x80 } else { 0 } | if last { 0x09 } else { 0 };
                    prop_assert_eq!(apart.flags, recipe.flags & kept);
                    prop_assert_eq!(apart.sequence, recipe.sequence.wrapping_add(payload.len() as u32));
                }
                if recipe.version == IpVersion::V4 {
                    prop_assert_eq!(apart.identification, recipe.identification.wrapping_add(index as u16));
                }
                if let Some(len) = recipe.segment_len.filter(|_| index + 1 < sent.len()) {
                    prop_assert_eq!(apart.payload.len(), usize::from(len.get()));
                }
                payload.extend(apart.payload);
            }
            prop_assert_eq!(&payload, &recipe.payload);
        }
    }

    #[test]
    fn a_port_that_takes_them_gets_frames_as_they_are(recipe in recipes()) {
        let frame = recipe.frame();
        let all = Offloads { checksum: true, tso4: true, tso6: true };
        let got = flood(vec![frame.clone()], 9216, all, usize::MAX);
        let plain = recipe.version == IpVersion::V4 || recipe.ip_options == 0;
        for (port, tagged) in [(ACCESS, false), (TRUNK, true)] {
            for sent in got.to(port).into_iter().filter(|_| plain) {
                let mut expected = frame.clone();
                if recipe.tagged {
                    prop_assert!(expected.pop_tag());
                }
                if tagged {
                    let tci = Tci::from_bits(if recipe.tagged { 0x600a } else { 10 });
                    let pushed = expected.push_tag(Tag { tpid: Tpid::CTag, tci });
                    prop_assert!(pushed);
                }
                prop_assert_eq!(sent.octets(), expected.octets());
                let transport = Transport::find(&expected.head, expected.len()).unwrap();
                prop_assert_eq!(sent.left, Some((transport, recipe.segment_len)));
            }
        }
    }
}

fn recipe() -> Recipe {
    Recipe {
        version: IpVersion::V4,
        tcp: true,
        tagged: false,
        ip_options: 0,
        tcp_options: 3,
        payload: vec![7; 10_000],
        buffers: (1000, 2048),
        segment_len: NonZeroU16::new(1448),
        flags: 0x18,
        sequence: 1,
        identification: 1,
        padding: 0,
    }
}

#[test]
fn each_offload_counts_for_itself() {
    let offloads = Offloads { checksum: true, tso4: true, tso6: false };
    let v6 = Recipe { version: IpVersion::V6, segment_len: NonZeroU16::new(1428), ..recipe() };
    let checksum = Recipe { segment_len: None, payload: vec![1; 100], ..v6.clone() };
    let got = flood([recipe(), v6, checksum].map(|recipe| recipe.frame()).into(), 1500, offloads, usize::MAX);
    let left: Vec<_> = got.to(ACCESS).iter().map(|frame| (frame.len(), frame.left.is_some())).collect();
    let pieces = [(1514, false); 7].into_iter().chain([(86 + 10_000 - 7 * 1428, false)]);
    let expected: Vec<_> = [(10_066, true)].into_iter().chain(pieces).chain([(186, true)]).collect();
    assert_eq!(left, expected);
}

#[test]
fn what_does_not_fit_its_headers_is_dropped_by_name() {
    let spoiled = |spoil: &dyn Fn(&mut Loose)| {
        let mut frame = recipe().frame();
        spoil(&mut frame);
        let got = flood(vec![frame], 1500, Offloads::NONE, usize::MAX);
        assert!(got.sent.is_empty());
        got.totals.drops_by_reason().collect::<Vec<_>>()
    };
    let bad = vec![(Reason::BadOffload, 1)];
    assert_eq!(spoiled(&|frame| frame.head[12] = 7), bad, "no IP");
    assert_eq!(spoiled(&|frame| frame.head[20] = 0x20), bad, "a fragment");
    assert_eq!(spoiled(&|frame| frame.head[23] = 1), bad, "ICMP");
    assert_eq!(spoiled(&|frame| frame.head[23] = 17), bad, "UDP to be cut");
    assert_eq!(spoiled(&|frame| frame.head[16] = 0xff), bad, "longer than it is");
    assert_eq!(spoiled(&|frame| frame.head.truncate(60)), bad, "TCP options elsewhere");
    assert_eq!(spoiled(&|frame| frame.pending.segment_len = NonZeroU16::new(47)), bad, "crumbs");
    assert_eq!(spoiled(&|frame| frame.head[6] = 1), vec![(Reason::SourceMulticast, 1)]);
}

#[test]
fn pieces_without_memory_are_counted() {
    let got = flood(vec![recipe().frame()], 1500, Offloads::NONE, 4);
    assert_eq!(got.sent.len(), 4);
    let dropped: u64 = got.egress.iter().map(|totals| totals.drops[Reason::NoMbuf.index()]).sum();
    assert_eq!(dropped, 2 * 7 - 4);
    assert_eq!(got.totals.replicated, 1 + 2 * 6);
}

#[test]
fn a_wire_that_claims_unfinished_frames_is_not_believed() {
    // Only a VM's port may leave work: of a NIC the same flags mean something else.
    let vid = Vid::new(10).unwrap();
    let vlan = PortVlan { mode: VlanMode::Access { vid }, ..PortVlan::default() };
    let spec = |id| PortSpec { id, vlan: vlan.clone(), mtu: 1500, may_leave_work: false };
    let snapshot = Snapshot::new(&[spec(VM), spec(ACCESS)]);
    let stats = WorkerStats::new();
    let fdb = Fdb::new(FdbOptions { capacity: 1024, ageing_seconds: 300, seed: 1 });
    let links = PortSet::EMPTY.with(VM).with(ACCESS);
    let context = Context {
        snapshot: &snapshot,
        fdb: &fdb,
        links,
        now_seconds: 7,
        now_cycles: 0,
        worker: WorkerId(0),
        stats: &stats,
    };
    let short = Recipe { payload: vec![1; 100], segment_len: None, ..recipe() }.frame();
    let waiting = vec![recipe().frame(), short.clone()];
    let mut memory = Memory { waiting, sent: Vec::new(), offloads: [Offloads::NONE; 3], frames_left: 0 };
    walk(&mut Batch::new(), &context, &mut Outbox::new(), &mut memory, &mut ());
    assert_eq!(memory.sent, [(ACCESS, short)]);
    assert_eq!(stats.port(VM).drops[Reason::Oversize.index()], 1);
}

/// Copies for a wire of what a VM sends to another, which takes it as it is.
fn mirrored(frame: Loose, from: MirrorFrom, snap_length: Option<usize>) -> Vec<Vec<u8>> {
    let vid = Vid::new(10).unwrap();
    let vlan = PortVlan { mode: VlanMode::Access { vid }, ..PortVlan::default() };
    let spec = |id| PortSpec { id, vlan: vlan.clone(), mtu: 9216, may_leave_work: id != TRUNK };
    let counts = Arc::new(MirrorCounts::new(1));
    let mirror = Mirror { from, to: MirrorTo::Port(TRUNK), filter: None, snap_length, counts };
    let snapshot = Snapshot::new(&[VM, ACCESS, TRUNK].map(spec)).with_taps(Vec::new(), vec![mirror]);
    let stats = WorkerStats::new();
    let fdb = Fdb::new(FdbOptions { capacity: 1024, ageing_seconds: 300, seed: 1 });
    let context = Context {
        snapshot: &snapshot,
        fdb: &fdb,
        links: [VM, ACCESS, TRUNK].into_iter().collect(),
        now_seconds: 7,
        now_cycles: 0,
        worker: WorkerId(0),
        stats: &stats,
    };
    let all = Offloads { checksum: true, tso4: true, tso6: true };
    let offloads = [Offloads::NONE, all, Offloads::NONE];
    let mut memory = Memory { waiting: vec![frame], sent: Vec::new(), offloads, frames_left: usize::MAX };
    walk(&mut Batch::new(), &context, &mut Outbox::new(), &mut memory, &mut ());
    assert!(Accounting::of([&stats], 0).balances(), "{:?}", Accounting::of([&stats], 0));
    let copies = memory.sent.iter().filter(|(to, _)| *to == TRUNK);
    copies.inspect(|(_, copy)| assert!(copy.left.is_none())).map(|(_, copy)| copy.octets()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_mirror_has_wires_get_whole_frames(recipe in recipes(), rx in any::<bool>()) {
        let recipe = Recipe { tagged: false, ..recipe };
        let from = if rx { VM } else { ACCESS };
        let from = MirrorFrom::Ports { ports: from.set(), rx, tx: !rx };
        let finished = flood(vec![recipe.frame()], 9216, Offloads::NONE, usize::MAX);
        let finished: Vec<_> = finished.to(ACCESS).into_iter().map(Loose::octets).collect();
        // What is too long for the switch is copied as it is, and too long for the mirror's port as well.
        prop_assert_eq!(mirrored(recipe.frame(), from, None), finished);
    }
}

#[test]
fn what_a_mirror_cuts_off_is_not_finished() {
    let from = MirrorFrom::Ports { ports: VM.set(), rx: true, tx: false };
    let frame = recipe().frame();
    assert_eq!(mirrored(frame.clone(), from, Some(96)), [&frame.octets()[..96]]);
}
