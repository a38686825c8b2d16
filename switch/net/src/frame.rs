use std::num::NonZeroU16;

use crate::{Mark, Pending, Tag, Tci, Transport};

/// Octets of an Ethernet header without tags: two addresses and the EtherType.
pub const ETHERNET_HEADER_LEN: usize = 14;

/// What a port's MTU doesn't count: the Ethernet header and up to two tags. The same allowance that
/// ixgbe and i40e make, without the frame check sequence, which no port hands over.
pub const MTU_OVERHEAD: usize = ETHERNET_HEADER_LEN + 2 * Tag::LEN;

/// The largest MTU a port can be given, in octets.
pub const MAX_MTU: u16 = 9216;

/// A frame as the data path sees it. It has one owner, and dropping it frees what carries it.
///
/// Frames of 14 octets or more start with destination, source, and EtherType or tag. Lengths never
/// include the frame check sequence.
pub trait Frame: Sized {
    /// Octets in the frame, over all its segments.
    fn len(&self) -> usize;

    /// Whether the frame has no octets at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The octets that lie together at the frame's start: all of it, or its first segment.
    fn head(&self) -> &[u8];

    /// The same, to write; `None` if the frame's memory is shared with another owner.
    fn head_mut(&mut self) -> Option<&mut [u8]>;

    /// All octets, in the pieces in which they lie.
    fn pieces(&self) -> impl Iterator<Item = &[u8]>;

    /// What the frame's sender left to do.
    fn pending(&self) -> Pending {
        Pending::NOTHING
    }

    /// Leaves it to the port that the frame goes to: the checksum of what lies where `transport` says, and
    /// to cut it into payloads of `segment_len` octets, if there is one.
    fn leave_pending(&mut self, transport: &Transport, segment_len: Option<NonZeroU16>);

    /// What was [left](Self::leave_pending) to the port that it goes to.
    fn left(&self) -> Pending {
        Pending::NOTHING
    }

    /// Has it pass for a frame as it is on a wire, whatever was left to do.
    fn forget_pending(&mut self) {}

    /// The mark that it was given last. What can carry none says the default.
    fn mark(&self) -> Mark {
        Mark::default()
    }

    /// Gives it a mark for its way through the switch. It leaves no trace on the wire.
    fn set_mark(&mut self, _mark: Mark) {}

    /// Inserts `tag` between the source address and what follows it. Returns `false`, and leaves the
    /// frame as it was, if there is no room in front of the frame, its head is shorter than 12
    /// octets, or its memory is shared with another owner.
    #[must_use]
    fn push_tag(&mut self, tag: Tag) -> bool;

    /// Removes the four octets behind the source address. Returns `false`, and leaves the frame as
    /// it was, if its head is shorter than 18 octets or its memory is shared with another owner.
    #[must_use]
    fn pop_tag(&mut self) -> bool;

    /// Overwrites octets 14 and 15, the control information of the outer tag. Returns `false`, and
    /// leaves the frame as it was, if its head is shorter than 16 octets or its memory is shared
    /// with another owner.
    #[must_use]
    fn set_tci(&mut self, tci: Tci) -> bool;
}

/// A frame in ordinary memory, for tests, simulators and fuzzers; it behaves as a device's does.
impl Frame for Vec<u8> {
    fn len(&self) -> usize {
        self.len()
    }

    fn head(&self) -> &[u8] {
        self
    }

    fn head_mut(&mut self) -> Option<&mut [u8]> {
        Some(self)
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.as_slice())
    }

    fn leave_pending(&mut self, _transport: &Transport, _segment_len: Option<NonZeroU16>) {
        unreachable!("no sender of plain octets leaves anything to do");
    }

    fn push_tag(&mut self, tag: Tag) -> bool {
        let fits = self.len() >= 12;
        if fits {
            let [a, b] = tag.tpid.ethertype().to_be_bytes();
            let [c, d] = tag.tci.bits().to_be_bytes();
            self.splice(12..12, [a, b, c, d]);
        }
        fits
    }

    fn pop_tag(&mut self) -> bool {
        let fits = self.len() >= 18;
        if fits {
            self.drain(12..16);
        }
        fits
    }

    fn set_tci(&mut self, tci: Tci) -> bool {
        let field = self.get_mut(14..16);
        field.map(|octets| octets.copy_from_slice(&tci.bits().to_be_bytes())).is_some()
    }
}
