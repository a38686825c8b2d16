use std::fmt;
use std::str::FromStr;

use crate::{Pcp, Priority};

/// Values that the 12 bits of a VID can take, usable or not: the size of an array indexed by VID.
pub const VID_SLOTS: usize = 4096;

/// A VLAN identifier that names a VLAN: 1 to 4094 (IEEE 802.1Q-2022 table 9-2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Vid(u16);

impl Vid {
    /// The default PVID.
    pub const DEFAULT: Self = Self(1);
    /// The lowest VID.
    pub const MIN: Self = Self(1);
    /// The highest VID; 4095 is reserved.
    pub const MAX: Self = Self(4094);

    /// The VLAN of this number, or `None` outside 1 to 4094.
    pub const fn new(value: u16) -> Option<Self> {
        if value >= 1 && value <= 4094 { Some(Self(value)) } else { None }
    }

    /// 1 to 4094.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The number, to index arrays of [`VID_SLOTS`] with.
    pub const fn index(self) -> usize {
        // The remainder tells the compiler what the constructor has checked.
        self.0 as usize % VID_SLOTS
    }
}

impl fmt::Display for Vid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is not a number from 1 to 4094.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a VLAN identifier: write a number from 1 to 4094")]
pub struct ParseVidError;

impl FromStr for Vid {
    type Err = ParseVidError;

    fn from_str(text: &str) -> Result<Self, ParseVidError> {
        text.parse().ok().and_then(Self::new).ok_or(ParseVidError)
    }
}

/// A set of 12-bit VIDs. 0 may be a member where it has a meaning (untagged customer frames); 4095
/// never is.
#[derive(Clone, PartialEq, Eq)]
pub struct VidSet([u64; VID_SLOTS / 64]);

impl VidSet {
    /// No VID.
    pub const EMPTY: Self = Self([0; VID_SLOTS / 64]);

    /// Adds 0 to 4094. Returns whether `vid` is in that range; if not, nothing changes.
    pub fn insert(&mut self, vid: u16) -> bool {
        let valid = vid <= Vid::MAX.value();
        if valid {
            self.0[usize::from(vid) / 64] |= 1 << (vid % 64);
        }
        valid
    }

    /// Whether `vid` is a member.
    pub const fn contains(&self, vid: u16) -> bool {
        let vid = vid as usize % VID_SLOTS;
        self.0[vid / 64] >> (vid % 64) & 1 != 0
    }

    /// Whether nothing is a member.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The members, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..VID_SLOTS as u16).filter(|&vid| self.contains(vid))
    }
}

impl Default for VidSet {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl FromIterator<u16> for VidSet {
    fn from_iter<I: IntoIterator<Item = u16>>(vids: I) -> Self {
        let mut set = Self::EMPTY;
        for vid in vids {
            set.insert(vid);
        }
        set
    }
}

impl fmt::Debug for VidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Ranges in the file's notation: `0,10-12,4094`.
impl fmt::Display for VidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut vids = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = vids.next() {
            let mut last = first;
            while let Some(next) = vids.next_if(|&next| next == last + 1) {
                last = next;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

/// The tag protocol identifier in front of a VLAN tag (IEEE 802.1Q-2022 table 9-1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Tpid {
    /// 0x8100, a customer VLAN tag.
    #[default]
    CTag,
    /// 0x88A8, a service VLAN tag.
    STag,
}

impl Tpid {
    /// The EtherType, or `None` if it introduces no VLAN tag.
    pub const fn from_ethertype(ethertype: u16) -> Option<Self> {
        match ethertype {
            0x8100 => Some(Self::CTag),
            0x88a8 => Some(Self::STag),
            _ => None,
        }
    }

    /// The EtherType.
    pub const fn ethertype(self) -> u16 {
        match self {
            Self::CTag => 0x8100,
            Self::STag => 0x88a8,
        }
    }
}

impl fmt::Display for Tpid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.ethertype())
    }
}

/// A tag's control information: PCP (3 bits), DEI (1), VID (12) (IEEE 802.1Q-2022 clause 9.6). The
/// VID is whatever the wire said, 0 and 4095 included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tci(u16);

impl Tci {
    /// Bits that hold PCP and DEI.
    pub const PRIORITY_MASK: u16 = 0xf000;

    /// The 16 bits as they stand in the tag.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The 16 bits as they stand in the tag.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// A tag that names a VLAN and a priority.
    pub const fn new(vid: Vid, priority: Priority) -> Self {
        Self(Self::priority_tag(priority).0 | vid.0)
    }

    /// A tag that carries a priority alone: VID 0.
    pub const fn priority_tag(priority: Priority) -> Self {
        Self((priority.pcp.value() as u16) << 13 | (priority.dei as u16) << 12)
    }

    /// The VID field, 0 to 4095.
    pub const fn vid_bits(self) -> u16 {
        self.0 & 0xfff
    }

    /// PCP and DEI.
    pub const fn priority(self) -> Priority {
        let pcp = match Pcp::new((self.0 >> 13) as u8) {
            Some(pcp) => pcp,
            None => Pcp::ZERO,
        };
        Priority { pcp, dei: self.0 & 0x1000 != 0 }
    }
}

/// A VLAN tag as a frame carries it: four octets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tag {
    /// The tag's kind.
    pub tpid: Tpid,
    /// PCP, DEI and VID.
    pub tci: Tci,
}

impl Tag {
    /// Octets that a tag adds to a frame.
    pub const LEN: usize = 4;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_1_to_4094_name_a_vlan() {
        for (value, valid) in [(0, false), (1, true), (4094, true), (4095, false), (4096, false)] {
            assert_eq!(Vid::new(value).is_some(), valid, "{value}");
        }
        assert!("4095".parse::<Vid>().is_err());
        assert_eq!("10".parse(), Ok(Vid(10)));
    }

    #[test]
    fn sets_print_as_ranges() {
        let set: VidSet = [0, 10, 11, 12, 63, 64, 4094, 4095].into_iter().collect();
        assert_eq!(set.to_string(), "0,10-12,63-64,4094");
        assert_eq!(set.len(), 7);
        assert!(!set.contains(4095));
        assert!(VidSet::EMPTY.is_empty());
    }

    proptest! {
        #[test]
        fn tci_fields_round_trip(bits: u16) {
            let tci = Tci::from_bits(bits);
            let rebuilt = Tci::priority_tag(tci.priority()).bits() | tci.vid_bits();
            prop_assert_eq!(rebuilt, bits);
        }
    }
}
