//! Frames: what a stream's look like, and what one that came says of itself.

use super::label::{self, Label};
use super::protocol::{Flaw, Payload, Stations, Stream, Tag, Target};
use super::station::{self, Kind};

/// Octets that are written of each frame, and that the smallest has in memory. What is behind them is the same in
/// all frames.
pub(super) const HEAD: usize = 60;

/// Octets of a tag.
const TAG: usize = 4;

/// Where a frame without tag has its EtherType, and what is behind it.
const ETHERTYPE: usize = 12;
const NETWORK: usize = 14;

/// Behind an IPv4 and a UDP header, whether there are such or not.
const LABEL: usize = 28;

const _: () =
    assert!(NETWORK + TAG + LABEL + label::LEN <= HEAD, "the smallest frame with a tag holds a label");

/// By which frames of testers are known: the identification of their IPv4 header, and that they may not be
/// fragmented, for which the identification is free (RFC 6864). Frames without IP have it in the same place.
const MARK: [u8; 4] = [b'P', b'x', 0x40, 0];
const MARK_AT: usize = 4;

const IPV4: u16 = 0x0800;
/// For experiments (IEEE 802).
const EXPERIMENT: u16 = 0x88b5;

/// EtherTypes of tags: IEEE 802.1Q, and two that were in use before there was a second one.
pub(super) const TAGS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];

const RESERVED_VID: u16 = 4095;

/// Who a frame is from, or for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    /// The port's station of the flow.
    Flow(u8, Kind),
    /// One station, whatever the flow.
    Station(u8, u32, Kind),
    /// A group of stations, from the source's port.
    Group(u8),
    /// Nobody at all: all zeros.
    Zeros,
    Broadcast,
    /// An address of those that bridges keep to their link, one after the other.
    LinkLocal,
}

impl Party {
    fn mac(self, number: u32) -> [u8; 6] {
        match self {
            Self::Flow(port, kind) => station::mac(port, number, kind),
            Self::Station(port, number, kind) => station::mac(port, number, kind),
            Self::Group(port) => {
                let [first, rest @ ..] = station::mac(port, number, Kind::Speaking);
                let [b, c, d, e, f] = rest;
                [first | 1, b, c, d, e, f]
            }
            Self::Zeros => [0; 6],
            Self::Broadcast => [0xff; 6],
            Self::LinkLocal => [0x01, 0x80, 0xc2, 0, 0, (number % 16) as u8],
        }
    }

    fn ip(self, number: u32) -> [u8; 4] {
        let [_, b, c, d] = number.to_be_bytes();
        match self {
            Self::Flow(port, kind) => [station::network(port, kind), b, c, d],
            Self::Station(port, number, kind) => {
                let [_, b, c, d] = number.to_be_bytes();
                [station::network(port, kind), b, c, d]
            }
            Self::Group(port) => [station::network(port, Kind::Speaking), b, c, d],
            Self::Zeros => [0; 4],
            Self::Broadcast => [0xff; 4],
            // All hosts of the link.
            Self::LinkLocal => [224, 0, 0, 1],
        }
    }
}

/// The frames of a stream, but for what differs from one to the next.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Head {
    octets: [u8; HEAD],
    from: Party,
    to: Party,
    /// Octets in front of what is behind the EtherType.
    network: usize,
    payload: Payload,
    /// The sum of the IPv4 header's words without length and addresses.
    sum: u32,
    /// Whether frames differ in more than their labels.
    varies: bool,
}

impl Head {
    /// Those of a stream. `all_ports` says how many ports there are.
    pub(super) fn new(stream: &Stream, all_ports: u8) -> Self {
        let next = (stream.from + 1) % all_ports.max(1);
        let mut from = Party::Flow(stream.from, Kind::Speaking);
        let mut tag = stream.tag;
        let to = match stream.to {
            Target::Port(port) => Party::Flow(port, Kind::Speaking),
            Target::Broadcast => Party::Broadcast,
            Target::Unknown(port) => Party::Flow(port, Kind::Silent),
            Target::Nobody(Flaw::SamePort) => Party::Flow(stream.from, Kind::Neighbour),
            Target::Nobody(Flaw::LinkLocal) => Party::LinkLocal,
            Target::Nobody(_) => Party::Flow(next, Kind::Speaking),
        };
        let one = |party| match party {
            Party::Flow(port, kind) => Party::Station(port, stream.first_station, kind),
            other => other,
        };
        let to = match stream.stations {
            Stations::Pairs => to,
            Stations::ToOne => one(to),
            Stations::FromOne => {
                from = one(from);
                to
            }
        };
        match stream.to {
            Target::Nobody(Flaw::GroupSource) => from = Party::Group(stream.from),
            Target::Nobody(Flaw::ZeroSource) => from = Party::Zeros,
            Target::Nobody(Flaw::ReservedVid) => {
                let plain = Tag { vid: 0, pcp: 0, dei: false, ethertype: TAGS[0] };
                tag = Some(Tag { vid: RESERVED_VID, ..tag.unwrap_or(plain) });
            }
            _ => {}
        }
        let lens = stream.sizes.lens_in_memory();
        let varies = stream.flows > 1 || lens.len() > 1;
        Self::between(from, to, tag, stream.payload, varies, stream.first_station, lens[0])
    }

    /// Those by which the stations that a stream goes to make themselves known, and the port that they are of.
    pub(super) fn announcement(stream: &Stream, all_ports: u8, to_all: bool) -> Option<(u8, Self)> {
        let (port, kind) = match Self::new(stream, all_ports).to {
            Party::Flow(port, kind) | Party::Station(port, _, kind) if kind != Kind::Silent => (port, kind),
            _ => return None,
        };
        let sender = Party::Station(stream.from, stream.first_station, Kind::Speaking);
        let to = if to_all { Party::Broadcast } else { sender };
        let tag = stream.tag.filter(|tag| tag.vid != RESERVED_VID);
        let head = Self::between(
            Party::Flow(port, kind),
            to,
            tag,
            stream.payload,
            true,
            stream.first_station,
            HEAD as u16,
        );
        Some((port, head))
    }

    /// Those by which a port's first station greets another port's.
    pub(super) fn greeting(from: u8, to: u8) -> Self {
        let [from, to] = [from, to].map(|port| Party::Station(port, 0, Kind::Speaking));
        Self::between(from, to, None, Payload::Udp, false, 0, HEAD as u16)
    }

    fn between(
        from: Party,
        to: Party,
        tag: Option<Tag>,
        payload: Payload,
        varies: bool,
        first: u32,
        len: u16,
    ) -> Self {
        let mut octets = [0; HEAD];
        let mut put = |at: usize, value: &[u8]| octets[at..at + value.len()].copy_from_slice(value);
        put(0, &to.mac(first));
        put(6, &from.mac(first));
        let mut network = NETWORK;
        if let Some(tag) = tag {
            put(ETHERTYPE, &tag.ethertype.to_be_bytes());
            put(ETHERTYPE + 2, &tag_control(&tag).to_be_bytes());
            network += TAG;
        }
        let ethertype = if payload == Payload::Udp { IPV4 } else { EXPERIMENT };
        put(network - 2, &ethertype.to_be_bytes());
        let mut header = [0; 20];
        if payload == Payload::Udp {
            header[0] = 0x45;
            // A hop limit as usual, and UDP.
            header[8..10].copy_from_slice(&[64, 17]);
        }
        header[MARK_AT..MARK_AT + 4].copy_from_slice(&MARK);
        let sum = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        put(network, &header);
        let mut head = Self { octets, from, to, network, payload, sum, varies: true };
        // What all frames have alike is written here, once.
        let mut whole = [0; HEAD];
        head.write(
            &mut whole,
            first,
            len.into(),
            &Label { epoch: 0, stream: 0, flow: 0, sequence: 0, stamp: 0 },
        );
        head.octets = whole;
        head.varies = varies;
        head
    }

    /// Writes the first octets of a frame of `len`.
    #[inline(always)]
    pub(super) fn write(&self, frame: &mut [u8; HEAD], number: u32, len: usize, label: &Label) {
        *frame = self.octets;
        // Two places that are known when this is compiled.
        match self.network {
            NETWORK => self.finish::<NETWORK>(frame, number, len, label),
            _ => self.finish::<{ NETWORK + TAG }>(frame, number, len, label),
        }
    }

    #[inline(always)]
    fn finish<const NETWORK: usize>(&self, frame: &mut [u8; HEAD], number: u32, len: usize, label: &Label) {
        if self.varies {
            self.address::<NETWORK>(frame, number, len);
        }
        if let Some(place) = frame[NETWORK + LABEL..].first_chunk_mut() {
            label.write(place);
        }
    }

    #[inline(always)]
    fn address<const NETWORK: usize>(&self, frame: &mut [u8; HEAD], number: u32, len: usize) {
        let mut speaking = station::scatter(number, Kind::Speaking);
        match self.to {
            Party::Flow(_, Kind::Speaking) => frame[2..6].copy_from_slice(&speaking),
            Party::Flow(_, kind) => frame[2..6].copy_from_slice(&station::scatter(number, kind)),
            Party::LinkLocal => frame[..6].copy_from_slice(&self.to.mac(number)),
            _ => {}
        }
        match self.from {
            Party::Flow(_, Kind::Speaking) | Party::Group(_) => frame[8..12].copy_from_slice(&speaking),
            Party::Flow(_, kind) => {
                speaking = station::scatter(number, kind);
                frame[8..12].copy_from_slice(&speaking);
            }
            _ => {}
        }
        if self.payload == Payload::Udp {
            let total = (len - NETWORK) as u16;
            let (from, to) = (self.from.ip(number), self.to.ip(number));
            frame[NETWORK + 2..NETWORK + 4].copy_from_slice(&total.to_be_bytes());
            frame[NETWORK + 12..NETWORK + 16].copy_from_slice(&from);
            frame[NETWORK + 16..NETWORK + 20].copy_from_slice(&to);
            frame[NETWORK + 20..NETWORK + 24].copy_from_slice(&station::udp_ports(speaking));
            // No checksum: the payload differs in every frame.
            frame[NETWORK + 24..NETWORK + 26].copy_from_slice(&(total - 20).to_be_bytes());
            let word = |ip: [u8; 4]| {
                let bits = u32::from_be_bytes(ip);
                (bits >> 16) + (bits & 0xffff)
            };
            let sum = self.sum + u32::from(total) + word(from) + word(to);
            let folded = (sum & 0xffff) + (sum >> 16);
            let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
            frame[NETWORK + 10..NETWORK + 12].copy_from_slice(&checksum.to_be_bytes());
        }
    }

    /// The tag of these frames as they are sent; 0 for none.
    pub(super) fn tag(&self) -> u32 {
        match self.network {
            NETWORK => 0,
            _ => u32::from_be_bytes(std::array::from_fn(|n| self.octets[ETHERTYPE + n])),
        }
    }
}

/// Where the label begins in a frame that is about to be sent, with one tag at most.
#[inline(always)]
pub(super) fn label_place(frame: &[u8]) -> usize {
    match frame.get(ETHERTYPE..ETHERTYPE + 2) {
        Some([0x08, 0x00] | [0x88, 0xb5]) => NETWORK + LABEL,
        _ => NETWORK + TAG + LABEL,
    }
}

/// Writes the moment of sending into a frame whose label begins at `at`.
#[inline(always)]
pub(super) fn set_stamp(frame: &mut [u8], at: usize, stamp: u32) {
    if let Some(place) = frame.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        label::set_stamp(place, stamp);
    }
}

/// The 16 bits behind a tag's EtherType.
fn tag_control(tag: &Tag) -> u16 {
    u16::from(tag.pcp) << 13 | u16::from(tag.dei) << 12 | tag.vid & 0xfff
}

/// What a received frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) label: Label,
    /// Its outermost tag; 0 for none.
    pub(super) tag: u32,
}

/// Reads a frame's beginning; `None` if no tester sent it.
#[inline(always)]
pub(super) fn read(head: &[u8]) -> Option<Seen> {
    match u16::from_be_bytes([*head.get(ETHERTYPE)?, *head.get(ETHERTYPE + 1)?]) {
        IPV4 | EXPERIMENT => Some(Seen { label: read_label(head.get(NETWORK..)?)?, tag: 0 }),
        _ => read_tagged(head),
    }
}

#[inline]
fn read_tagged(head: &[u8]) -> Option<Seen> {
    let is_tag = |at: usize| -> Option<bool> {
        let pair = [*head.get(at)?, *head.get(at + 1)?];
        Some(TAGS.contains(&u16::from_be_bytes(pair)))
    };
    if !is_tag(ETHERTYPE)? {
        return None;
    }
    let tag = u32::from_be_bytes(*head[ETHERTYPE..].first_chunk()?);
    let network = if is_tag(ETHERTYPE + TAG)? { NETWORK + 2 * TAG } else { NETWORK + TAG };
    Some(Seen { label: read_label(head.get(network..)?)?, tag })
}

#[inline(always)]
fn read_label(network: &[u8]) -> Option<Label> {
    let network: &[u8; LABEL + label::LEN] = network.first_chunk()?;
    if network[MARK_AT..MARK_AT + 4] != MARK {
        return None;
    }
    network[LABEL..].first_chunk().map(Label::read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::protocol::{Order, Rate, Sizes};
    use super::*;

    fn stream(to: Target) -> Stream {
        Stream {
            name: String::new(),
            from: 1,
            to,
            sizes: Sizes::Only(64),
            tag: None,
            payload: Payload::Udp,
            flows: 1,
            first_station: 0,
            stations: Default::default(),
            order: Order::Sequential,
            rate: Rate::Max,
            frames: None,
        }
    }

    fn checksum(header: &[u8]) -> u16 {
        let words = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let sum: u32 = words.sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        !((folded & 0xffff) + (folded >> 16)) as u16
    }

    fn target() -> impl Strategy<Value = Target> {
        prop_oneof![
            (0_u8..64).prop_map(Target::Port),
            Just(Target::Broadcast),
            (0_u8..64).prop_map(Target::Unknown),
            prop_oneof![
                Just(Flaw::GroupSource),
                Just(Flaw::ZeroSource),
                Just(Flaw::ReservedVid),
                Just(Flaw::LinkLocal),
                Just(Flaw::SamePort),
            ]
            .prop_map(Target::Nobody),
        ]
    }

    proptest! {
        #[test]
        fn frames_are_what_their_streams_say(
            to in target(),
            tag in proptest::option::of((0_u16..4095, 0_u8..8, any::<bool>(), proptest::sample::select(&TAGS[..]))),
            plain: bool,
            flows in 1_u32..100,
            flow in 0_u32..100,
            first in 0_u32..(1 << 20),
            size in 64_u16..9000,
            sequence: u32,
        ) {
            let tag = tag.map(|(vid, pcp, dei, ethertype)| Tag { vid, pcp, dei, ethertype });
            let payload = if plain { Payload::Plain } else { Payload::Udp };
            let sizes = Sizes::Only(size);
            let stream = Stream { tag, payload, flows, first_station: first, sizes, ..stream(to) };
            let head = Head::new(&stream, 64);
            let flow = flow % flows;
            let label = Label { epoch: 7, stream: 9, flow, sequence, stamp: 77 };
            let (number, len) = (first + flow, usize::from(size) - 4);
            let mut octets = [0xff; HEAD];
            head.write(&mut octets, number, len, &label);

            let seen = read(&octets).unwrap();
            prop_assert_eq!(seen.label, label);
            prop_assert_eq!(seen.tag, head.tag());
            let network = label_place(&octets) - LABEL;
            if let Some(tag) = tag {
                let vid = if to == Target::Nobody(Flaw::ReservedVid) { 4095 } else { tag.vid };
                prop_assert_eq!(seen.tag >> 16, u32::from(tag.ethertype));
                prop_assert_eq!(seen.tag as u16, tag_control(&Tag { vid, ..tag }));
            }
            if !plain {
                prop_assert_eq!(checksum(&octets[network..network + 20]), 0);
                let total = u16::from_be_bytes([octets[network + 2], octets[network + 3]]);
                prop_assert_eq!(usize::from(total), len - network);
                prop_assert_eq!(&octets[network - 2..network], &IPV4.to_be_bytes());
            }
            let (to_mac, from_mac) = (&octets[..6], &octets[6..12]);
            let speaking = station::mac(1, number, Kind::Speaking);
            match to {
                Target::Port(port) => prop_assert_eq!(to_mac, &station::mac(port, number, Kind::Speaking)),
                Target::Broadcast => prop_assert_eq!(to_mac, &[0xff; 6]),
                Target::Unknown(port) => prop_assert_eq!(to_mac, &station::mac(port, number, Kind::Silent)),
                Target::Nobody(Flaw::GroupSource) => prop_assert_eq!(from_mac[0], 3),
                Target::Nobody(Flaw::ZeroSource) => prop_assert_eq!(from_mac, &[0; 6]),
                Target::Nobody(Flaw::ReservedVid) => prop_assert_eq!(seen.tag & 0xfff, 4095),
                Target::Nobody(Flaw::LinkLocal) => {
                    prop_assert_eq!(&to_mac[..5], &[1, 0x80, 0xc2, 0, 0]);
                    prop_assert!(to_mac[5] < 16);
                }
                Target::Nobody(Flaw::SamePort) => {
                    prop_assert_eq!(to_mac, &station::mac(1, number, Kind::Neighbour));
                    prop_assert!(to_mac != from_mac);
                }
            }
            if !matches!(to, Target::Nobody(Flaw::GroupSource | Flaw::ZeroSource)) {
                prop_assert_eq!(from_mac, &speaking);
            }
        }

        #[test]
        fn any_octets_can_be_read(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            read(&octets);
        }
    }

    #[test]
    fn frames_of_others_are_none() {
        let mut octets = [0; HEAD];
        let label = Label { epoch: 1, stream: 2, flow: 0, sequence: 3, stamp: 4 };
        Head::new(&stream(Target::Port(0)), 2).write(&mut octets, 0, HEAD, &label);
        assert!(read(&octets).is_some());
        // With a second tag in front, it is still the same frame.
        let double = [&octets[..12], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6], &octets[12..]].concat();
        assert_eq!(read(&double), Some(Seen { label, tag: 0x88a8_0005 }));
        for at in [12, 18, 20] {
            let mut other = octets;
            other[at] ^= 1;
            assert_eq!(read(&other), None, "{at}");
        }
        assert_eq!(read(&octets[..55]), None);
    }

    #[test]
    fn one_station_can_be_of_all_flows() {
        let mut octets = [0; HEAD];
        let label = Label { epoch: 1, stream: 2, flow: 3, sequence: 3, stamp: 4 };
        let mut macs = |stations| {
            let stream = Stream { flows: 5, first_station: 7, stations, ..stream(Target::Port(0)) };
            Head::new(&stream, 2).write(&mut octets, 7 + 3, HEAD, &label);
            assert_eq!(checksum(&octets[NETWORK..NETWORK + 20]), 0);
            let mac = |at: usize| <[u8; 6]>::try_from(&octets[at..at + 6]).unwrap();
            let announced = Head::announcement(&stream, 2, false).unwrap().1;
            let mut octets = [0; HEAD];
            announced.write(&mut octets, 7, HEAD, &label);
            (mac(0), mac(6), <[u8; 6]>::try_from(&octets[6..12]).unwrap())
        };
        let of = |port, number| station::mac(port, number, Kind::Speaking);
        assert_eq!(macs(Stations::Pairs), (of(0, 10), of(1, 10), of(0, 7)));
        assert_eq!(macs(Stations::FromOne), (of(0, 10), of(1, 7), of(0, 7)));
        assert_eq!(macs(Stations::ToOne), (of(0, 7), of(1, 10), of(0, 7)));
    }

    #[test]
    fn stations_announce_themselves_where_they_are_known() {
        let mut octets = [0; HEAD];
        let label = Label { epoch: 1, stream: 2, flow: 0, sequence: 3, stamp: 4 };
        let mut announce = |to, to_all| {
            let (port, head) = Head::announcement(&Stream { flows: 5, ..stream(to) }, 2, to_all)?;
            head.write(&mut octets, 3, HEAD, &label);
            Some((
                port,
                <[u8; 6]>::try_from(&octets[..6]).unwrap(),
                <[u8; 6]>::try_from(&octets[6..12]).unwrap(),
            ))
        };
        let sender = station::mac(1, 0, Kind::Speaking);
        let station = station::mac(0, 3, Kind::Speaking);
        assert_eq!(announce(Target::Port(0), false), Some((0, sender, station)));
        assert_eq!(announce(Target::Port(0), true), Some((0, [0xff; 6], station)));
        let neighbour = station::mac(1, 3, Kind::Neighbour);
        assert_eq!(announce(Target::Nobody(Flaw::SamePort), false), Some((1, sender, neighbour)));
        for silent in [Target::Broadcast, Target::Unknown(0), Target::Nobody(Flaw::LinkLocal)] {
            assert_eq!(announce(silent, false), None);
        }
    }
}
