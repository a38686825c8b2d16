//! The frames that a switch is measured with: pairs of stations that talk both ways.

use std::collections::HashSet;

use pollux_net::Mac;
use serde::Serialize;

/// Octets of a frame of 64 without its check sequence.
pub(crate) const FRAME_LEN: usize = 60;

/// Where the stream's number, the sequence number and the direction lie: behind an Ethernet, an IPv4
/// and a UDP header and a mark.
const MARK: usize = 14 + 20 + 8;
const STREAM: usize = MARK + 4;
const SEQUENCE: usize = STREAM + 4;
const DIRECTION: usize = SEQUENCE + 8;

const MARK_OCTETS: [u8; 4] = *b"PLXb";

const _: () = assert!(DIRECTION < FRAME_LEN, "the smallest frame holds what is checked");

/// What is behind the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Payload {
    /// IPv4 and UDP: a flow of its own for each pair, as peers that hash IP addresses for their caches like it
    Udp,
    /// No IP: the EtherType for experiments (IEEE 802, 0x88B5), so that a flow is a pair of addresses
    Plain,
}

impl Payload {
    /// As the command line has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Plain => "plain",
        }
    }

    fn ethertype(self) -> u16 {
        match self {
            Self::Udp => 0x0800,
            Self::Plain => 0x88b5,
        }
    }
}

/// Pairs of stations, one of each behind either port.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    payload: Payload,
    pairs: Vec<(Mac, Mac)>,
    /// The pair of each stream, for the two directions. They differ, so that a frame isn't followed by
    /// its answer, which would find everything that it needs in the cache.
    order: [Vec<u32>; 2],
}

/// What a received frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// The port it was sent on: 0 or 1.
    pub(crate) direction: u8,
    /// Its stream.
    pub(crate) stream: u32,
    /// Its place among the frames of its direction.
    pub(crate) sequence: u64,
}

impl Load {
    /// Random stations; the same for the same seed.
    pub(crate) fn new(pairs: u32, seed: u64, payload: Payload) -> Self {
        let mut random = Random(seed);
        let mut seen = HashSet::new();
        let mut station = || {
            loop {
                let [_, _, first, rest @ ..] = random.next().to_be_bytes();
                let [b, c, d, e, f] = rest;
                // An individual address, administered locally.
                let mac = Mac::new([first & 0xfc | 0x02, b, c, d, e, f]);
                if seen.insert(mac) {
                    return mac;
                }
            }
        };
        let pairs: Vec<_> = (0..pairs).map(|_| (station(), station())).collect();
        let mut shuffled = || {
            let mut order: Vec<u32> = (0..pairs.len() as u32).collect();
            for end in (1..order.len()).rev() {
                order.swap(end, (random.next() % (end as u64 + 1)) as usize);
            }
            order
        };
        let order = [shuffled(), shuffled()];
        Self { payload, pairs, order }
    }

    /// Streams of each direction.
    pub(crate) fn streams(&self) -> u32 {
        self.pairs.len() as u32
    }

    /// The frames of one direction in the order in which they are sent, as they are but for their
    /// sequence numbers.
    pub(crate) fn frames(&self, direction: u8) -> impl ExactSizeIterator<Item = [u8; FRAME_LEN]> + '_ {
        let order = self.order[usize::from(direction % 2)].iter();
        order
            .zip(0..)
            .map(move |(&pair, stream)| self.frame(direction, pair, stream))
            .collect::<Vec<_>>()
            .into_iter()
    }

    fn frame(&self, direction: u8, pair: u32, stream: u32) -> [u8; FRAME_LEN] {
        let (left, right) = self.pairs[pair as usize];
        let host = |side: u32| (0x0a00_0000 | side << 23 | (pair + 1)).to_be_bytes();
        let ((from, from_ip), (to, to_ip)) = match direction {
            0 => ((left, host(0)), (right, host(1))),
            _ => ((right, host(1)), (left, host(0))),
        };
        let mut frame = [0; FRAME_LEN];
        let mut put = |at: usize, octets: &[u8]| frame[at..at + octets.len()].copy_from_slice(octets);
        put(0, &to.octets());
        put(6, &from.octets());
        put(12, &self.payload.ethertype().to_be_bytes());
        let mut header =
            [0x45, 0, 0, (FRAME_LEN - 14) as u8, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header[12..16].copy_from_slice(&from_ip);
        header[16..20].copy_from_slice(&to_ip);
        let sum = internet_checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        put(14, &header);
        // Ports 1024 and 1025, the length, and no checksum, so that the payload may change.
        put(34, &[4, 0, 4, 1, 0, (FRAME_LEN - 34) as u8, 0, 0]);
        put(MARK, &MARK_OCTETS);
        put(STREAM, &stream.to_le_bytes());
        put(DIRECTION, &[direction]);
        frame
    }
}

/// Gives a frame its place.
#[inline(always)]
pub(crate) fn set_sequence(frame: &mut [u8; FRAME_LEN], sequence: u64) {
    frame[SEQUENCE..SEQUENCE + 8].copy_from_slice(&sequence.to_le_bytes());
}

/// Reads what a frame says of itself; `None` if it isn't one of ours.
#[inline(always)]
pub(crate) fn label(frame: &[u8]) -> Option<Label> {
    let frame: &[u8; FRAME_LEN] = frame.try_into().ok()?;
    let field = |at: usize| frame[at..at + 4].try_into().map(u32::from_le_bytes);
    if frame[MARK..MARK + 4] != MARK_OCTETS {
        return None;
    }
    Some(Label {
        direction: frame[DIRECTION],
        stream: field(STREAM).ok()?,
        sequence: u64::from(field(SEQUENCE).ok()?) | u64::from(field(SEQUENCE + 4).ok()?) << 32,
    })
}

fn internet_checksum(octets: &[u8]) -> u16 {
    let words = octets.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// SplitMix64: small, and good enough to scatter addresses.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ports_sources_are_the_others_destinations() {
        let load = Load::new(1000, 7, Payload::Plain);
        let addresses = |direction, at: usize| -> HashSet<Vec<u8>> {
            load.frames(direction).map(|frame| frame[at..at + 6].to_vec()).collect()
        };
        assert_eq!(addresses(0, 6).len(), 1000);
        assert_eq!(addresses(0, 6), addresses(1, 0));
        assert_eq!(addresses(0, 0), addresses(1, 6));
        assert!(addresses(0, 6).iter().all(|mac| mac[0] & 3 == 2));
        assert!(addresses(0, 6).is_disjoint(&addresses(0, 0)));
    }

    #[test]
    fn frames_carry_their_labels_and_a_right_header() {
        let load = Load::new(3, 1, Payload::Udp);
        for (stream, mut frame) in load.frames(1).enumerate() {
            set_sequence(&mut frame, u64::MAX - 5);
            let expected = Label { direction: 1, stream: stream as u32, sequence: u64::MAX - 5 };
            assert_eq!(label(&frame), Some(expected));
            assert_eq!(internet_checksum(&frame[14..34]), 0, "a header with its checksum sums to zero");
            assert_eq!(label(&frame[1..]), None);
            frame[MARK] ^= 1;
            assert_eq!(label(&frame), None);
        }
    }

    #[test]
    fn seeds_repeat() {
        let octets = |seed| Load::new(20, seed, Payload::Udp).frames(0).collect::<Vec<_>>();
        assert_eq!(octets(5), octets(5));
        assert_ne!(octets(5), octets(6));
    }
}
