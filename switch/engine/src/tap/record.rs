use pollux_net::PortId;

use crate::Reason;

/// Where a frame was seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Point {
    /// As a port received it.
    Rx,
    /// As a port's device took it for sending.
    Tx,
    /// Where it was dropped, and whether that is counted on the port that it came from, or the one that it was
    /// to leave by.
    Dropped {
        /// Why.
        reason: Reason,
        /// On the ingress port.
        inbound: bool,
    },
}

impl Point {
    /// Kinds of points: receiving, sending, dropping.
    pub(crate) const KINDS: usize = 3;

    pub(crate) const fn kind(self) -> usize {
        match self {
            Self::Rx => 0,
            Self::Tx => 1,
            Self::Dropped { .. } => 2,
        }
    }
}

/// What is known of a frame that a capture kept, beside its octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// The port that it was seen at.
    pub port: PortId,
    /// Where.
    pub point: Point,
    /// When, by the time stamp counter.
    pub cycles: u64,
    /// Octets that were kept.
    pub kept: usize,
    /// Octets that it had.
    pub len: usize,
}

/// A record's head in a ring: words, before the frame's octets.
pub(super) const HEAD_WORDS: usize = 3;

/// How many octets were kept, and how many there were, share a word.
const LEN_BITS: u32 = 32;
const POINT_SHIFT: u32 = 32;
const PORT_SHIFT: u32 = 48;
/// The record counts for nothing: its frame wasn't sent after all.
pub(super) const VOID: u64 = 1 << 63;

const TX: u64 = Reason::ALL.len() as u64;
const RX: u64 = TX + 1;
const INBOUND: u64 = 1 << 8;

const _: () = assert!(RX < INBOUND, "a point fits nine bits");

impl Record {
    /// Words that the record takes.
    pub(super) fn words(&self) -> usize {
        HEAD_WORDS + self.kept.div_ceil(size_of::<u64>())
    }

    pub(super) fn to_head(self) -> [u64; HEAD_WORDS] {
        let point = match self.point {
            Point::Rx => RX,
            Point::Tx => TX,
            Point::Dropped { reason, inbound } => reason.index() as u64 | if inbound { INBOUND } else { 0 },
        };
        let port = self.port.index() as u64;
        let what = self.words() as u64 | point << POINT_SHIFT | port << PORT_SHIFT;
        [what, self.cycles, self.kept as u64 | (self.len as u64) << LEN_BITS]
    }

    /// The record, and the words that it takes.
    pub(super) fn from_head([what, cycles, lens]: [u64; HEAD_WORDS]) -> (Self, usize) {
        let point = match what >> POINT_SHIFT & 0x1ff {
            RX => Point::Rx,
            TX => Point::Tx,
            dropped => Point::Dropped {
                reason: Reason::ALL[(dropped & 0xff) as usize % Reason::ALL.len()],
                inbound: dropped & INBOUND != 0,
            },
        };
        let record = Self {
            port: PortId::from_low_bits(what >> PORT_SHIFT),
            point,
            cycles,
            kept: lens as u32 as usize,
            len: (lens >> LEN_BITS) as usize,
        };
        (record, what as u32 as usize)
    }
}
