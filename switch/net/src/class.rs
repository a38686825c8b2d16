use std::fmt;

use crate::Pcp;

/// A traffic class, 0 to 7; the higher, the more urgent (IEEE 802.1Q-2022 clause 8.6.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TrafficClass(u8);

impl TrafficClass {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// The class, or `None` above 7.
    pub const fn new(value: u8) -> Option<Self> {
        if value < Self::COUNT as u8 { Some(Self(value)) } else { None }
    }

    /// The class whose number is the low three bits of `bits`.
    pub const fn from_low_bits(bits: u8) -> Self {
        Self(bits % Self::COUNT as u8)
    }

    /// 0 to 7.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// The number, to index arrays of [`COUNT`](Self::COUNT) with.
    pub const fn index(self) -> usize {
        // The remainder tells the compiler what the constructor has checked.
        self.0 as usize % Self::COUNT
    }

    /// Every class, the least urgent first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self)
    }

    /// Every class, the most urgent first.
    pub fn descending() -> impl Iterator<Item = Self> {
        Self::all().rev()
    }

    /// The class of a priority on a port of `classes` classes, 1 to 8 (IEEE 802.1Q-2022 table 8-5,
    /// recommended priority to traffic class mappings).
    pub const fn recommended(pcp: Pcp, classes: usize) -> Self {
        let row = if classes < 1 {
            1
        } else if classes > Self::COUNT {
            Self::COUNT
        } else {
            classes
        };
        Self(RECOMMENDED[row - 1][pcp.value() as usize % 8])
    }

    /// The priority that stands for this class on a port of `classes` classes: the highest of those that
    /// [`recommended`](Self::recommended) gives it, but best effort (0) where it is among them.
    pub fn representative(self, classes: usize) -> Pcp {
        let has = |pcp: &Pcp| Self::recommended(*pcp, classes) == self;
        let best_effort = Some(Pcp::ZERO).filter(has);
        best_effort.or_else(|| (0..8).rev().filter_map(Pcp::new).find(has)).unwrap_or_default()
    }
}

/// Table 8-5, by the number of classes less one and by priority.
const RECOMMENDED: [[u8; 8]; TrafficClass::COUNT] = [
    [0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 1, 1, 1, 1],
    [0, 0, 0, 0, 1, 1, 2, 2],
    [0, 0, 1, 1, 2, 2, 3, 3],
    [0, 0, 1, 1, 2, 2, 3, 4],
    [1, 0, 2, 2, 3, 3, 4, 5],
    [1, 0, 2, 3, 4, 4, 5, 6],
    [1, 0, 2, 3, 4, 5, 6, 7],
];

impl fmt::Display for TrafficClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How soon a frame may be dropped: the drop precedence, by the name that meters give it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Colour {
    /// Last.
    #[default]
    Green = 0,
    /// Before green: its DEI is set where it leaves with a tag.
    Yellow = 1,
    /// First.
    Red = 2,
}

impl Colour {
    /// How many there are.
    pub const COUNT: usize = 3;

    /// All, from the last to be dropped to the first.
    pub const ALL: [Self; Self::COUNT] = [Self::Green, Self::Yellow, Self::Red];

    /// As the file and the console have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}

/// A frame's class and colour in one octet, for its way between two ports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mark(u8);

impl Mark {
    /// Both.
    pub const fn new(class: TrafficClass, colour: Colour) -> Self {
        Self(class.0 | (colour as u8) << 3)
    }

    /// The same, of a class that something else than the frame's priority decided.
    #[must_use]
    pub const fn decided(self) -> Self {
        Self(self.0 | Self::DECIDED)
    }

    /// Whether something else than the frame's priority decided its class.
    #[inline(always)]
    pub const fn is_decided(self) -> bool {
        self.0 & Self::DECIDED != 0
    }

    /// The same class with another colour.
    #[must_use]
    pub const fn with_colour(self, colour: Colour) -> Self {
        Self(self.0 & !Self::COLOUR | (colour as u8) << Self::COLOUR.trailing_zeros())
    }

    /// The same, of a copy that a mirror made.
    #[must_use]
    pub const fn mirrored(self) -> Self {
        Self(self.0 | Self::MIRRORED)
    }

    /// Whether a mirror made the frame.
    #[inline(always)]
    pub const fn is_mirrored(self) -> bool {
        self.0 & Self::MIRRORED != 0
    }

    const COLOUR: u8 = 0b1_1000;
    const DECIDED: u8 = 0b10_0000;
    const MIRRORED: u8 = 0b100_0000;

    /// The class.
    #[inline(always)]
    pub const fn class(self) -> TrafficClass {
        TrafficClass::from_low_bits(self.0)
    }

    /// The colour.
    #[inline(always)]
    pub const fn colour(self) -> Colour {
        match (self.0 & Self::COLOUR) >> Self::COLOUR.trailing_zeros() {
            0 => Colour::Green,
            1 => Colour::Yellow,
            _ => Colour::Red,
        }
    }

    /// As a frame carries it.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// What [`bits`](Self::bits) were.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recommended_classes_are_the_standards() {
        let row = |classes| -> Vec<u8> {
            let of = |pcp| TrafficClass::recommended(Pcp::new(pcp).unwrap(), classes).value();
            (0..8).map(of).collect()
        };
        // By priority 0 to 7, as the columns of table 8-5 read.
        assert_eq!(row(1), [0; 8]);
        assert_eq!(row(2), [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(row(3), [0, 0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(row(4), [0, 0, 1, 1, 2, 2, 3, 3]);
        assert_eq!(row(5), [0, 0, 1, 1, 2, 2, 3, 4]);
        assert_eq!(row(6), [1, 0, 2, 2, 3, 3, 4, 5]);
        assert_eq!(row(7), [1, 0, 2, 3, 4, 4, 5, 6]);
        assert_eq!(row(8), [1, 0, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_mark_holds_both() {
        for class in TrafficClass::all() {
            for colour in Colour::ALL {
                let mark = Mark::from_bits(Mark::new(class, colour).bits());
                assert_eq!((mark.class(), mark.colour(), mark.is_decided()), (class, colour, false));
                let other = mark.decided().with_colour(Colour::Red);
                assert_eq!((other.class(), other.colour(), other.is_decided()), (class, Colour::Red, true));
                let copy = other.mirrored();
                assert_eq!((copy.class(), copy.colour(), copy.is_decided()), (class, Colour::Red, true));
                assert_eq!((other.is_mirrored(), copy.is_mirrored()), (false, true));
            }
        }
    }

    #[test]
    fn what_stands_for_a_class_is_of_that_class() {
        for classes in 1..=TrafficClass::COUNT {
            for class in TrafficClass::all().take(classes) {
                let pcp = class.representative(classes);
                assert_eq!(TrafficClass::recommended(pcp, classes), class, "{class} of {classes}");
            }
        }
        let of_four: Vec<_> =
            TrafficClass::all().take(4).map(|class| class.representative(4).value()).collect();
        assert_eq!(of_four, [0, 3, 5, 7]);
    }
}
