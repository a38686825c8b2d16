use arrayvec::ArrayVec;
use pollux_net::{Mac, Mark, PortId, Tag, Tci, Tpid, Vid};

use super::offload::Offload;
use crate::Reason;
use crate::fdb::Probe;

/// Frames that stages work on together: what vector PMDs hand over at once, and few enough that
/// their headers and lanes stay in the first-level cache.
pub const BURST: usize = 32;

/// Where a frame goes. Stages turn `Pending` into one of the others, once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Not decided yet.
    Pending,
    /// Out of this port.
    Forward(PortId),
    /// Out of every other member of the VLAN that has a link.
    Flood,
    /// Nowhere, counted on the ingress port.
    Drop(Reason),
}

/// What the stages know of one frame.
#[derive(Clone, Copy)]
pub(crate) struct Lane {
    /// parse: the destination.
    pub(crate) destination: Mac,
    /// parse: the source.
    pub(crate) source: Mac,
    /// parse: the outer tag in the frame's octets. classify: cleared where that tag is a tunnel
    /// customer's and not ours to touch.
    pub(crate) outer: Option<Tag>,
    /// classify: the VLAN.
    pub(crate) vid: Vid,
    /// classify: the tag with which tagged ports send the frame.
    pub(crate) tag: Tag,
    /// classify: whether the priority in `tag` is one that the frame brought.
    pub(crate) tag_counts: bool,
    /// prioritise: the class and colour, where the ingress port has a profile. police: the colour.
    pub(crate) mark: Mark,
    /// prioritise: the first rule that the frame fits, counted from 1; 0: none.
    pub(crate) rule: u16,
    /// The decision so far.
    pub(crate) verdict: Verdict,
}

const BLANK: Lane = Lane {
    destination: Mac::ZERO,
    source: Mac::ZERO,
    outer: None,
    vid: Vid::DEFAULT,
    tag: Tag { tpid: Tpid::CTag, tci: Tci::from_bits(0) },
    tag_counts: false,
    mark: Mark::from_bits(0),
    rule: 0,
    verdict: Verdict::Pending,
};

const _: () = assert!(size_of::<Lane>() <= 32, "two lanes share a cache line");

/// A burst from one queue, with what the stages find out about each frame in lanes beside it.
pub struct Batch<F> {
    pub(crate) ingress: PortId,
    pub(crate) frames: ArrayVec<F, BURST>,
    pub(crate) lanes: [Lane; BURST],
    /// learn: source and destination as the FDB looks for them.
    pub(crate) probes: [[Probe; 2]; BURST],
    /// prioritise: classes that the ingress port has; 0: it has no profile, and lanes no mark.
    pub(crate) classes: u8,
    /// offload: bit n for frame n, whose sender left work undone.
    pub(crate) unfinished: u32,
    /// offload: which work, for those frames.
    pub(crate) offloads: [Offload; BURST],
}

const _: () = assert!(BURST <= u32::BITS as usize, "a bit for each frame");

impl<F> Default for Batch<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F> Batch<F> {
    /// No frames.
    pub fn new() -> Self {
        let ingress = PortId::from_low_bits(0);
        Self {
            ingress,
            frames: ArrayVec::new(),
            lanes: [BLANK; BURST],
            probes: [[Probe::default(); 2]; BURST],
            classes: 0,
            unfinished: 0,
            offloads: [Offload::default(); BURST],
        }
    }

    /// The frames with their lanes.
    #[inline(always)]
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&F, &mut Lane)> {
        let lanes = &mut self.lanes[..self.frames.len()];
        self.frames.iter().zip(lanes)
    }

    /// Lanes of frames that are there, with their probes.
    #[inline(always)]
    pub(crate) fn lanes_mut(&mut self) -> impl Iterator<Item = (&mut Lane, &mut [Probe; 2])> {
        let count = self.frames.len();
        self.lanes[..count].iter_mut().zip(&mut self.probes[..count])
    }
}
