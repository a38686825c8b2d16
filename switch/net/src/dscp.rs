use std::fmt;
use std::str::FromStr;

use crate::{Colour, Pcp};

/// A differentiated services code point, 0 to 63 (RFC 2474): the upper six bits of IPv4's type of service
/// and of IPv6's traffic class.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Dscp(u8);

/// The text is neither a number from 0 to 63 nor a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a DSCP is a number from 0 to 63 or a name: be, cs0 to cs7, af11 to af43, ef, va, le")]
pub struct ParseDscpError;

impl Dscp {
    /// How many there are.
    pub const COUNT: usize = 64;

    /// The code point, or `None` above 63.
    pub const fn new(value: u8) -> Option<Self> {
        if value < Self::COUNT as u8 { Some(Self(value)) } else { None }
    }

    /// The code point in the upper six bits of an IPv4 type of service or IPv6 traffic class.
    pub const fn from_traffic_class(octet: u8) -> Self {
        Self(octet >> 2)
    }

    /// 0 to 63.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// The number, to index arrays of [`COUNT`](Self::COUNT) with.
    pub const fn index(self) -> usize {
        self.0 as usize % Self::COUNT
    }

    /// Every code point, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self)
    }

    /// The priority that it stands for where nothing else is said: its class selector, the upper three bits
    /// (RFC 2474 section 4.2.2); lower effort is below best effort (RFC 8622).
    pub fn priority(self) -> Pcp {
        let value = if self == Self::LOWER_EFFORT { 1 } else { self.0 >> 3 };
        Pcp::new(value).unwrap_or_default()
    }

    /// The drop precedence of the assured forwarding groups (RFC 2597); green for all others.
    pub const fn drop_precedence(self) -> Colour {
        match (self.0 >> 3, self.0 & 7) {
            (1..=4, 4) => Colour::Yellow,
            (1..=4, 6) => Colour::Red,
            _ => Colour::Green,
        }
    }

    const LOWER_EFFORT: Self = Self(1);
}

impl FromStr for Dscp {
    type Err = ParseDscpError;

    fn from_str(text: &str) -> Result<Self, ParseDscpError> {
        let named = match text.as_bytes() {
            b"be" | b"df" => Some(0),
            b"le" => Some(1),
            b"ef" => Some(46),
            b"va" => Some(44),
            [b'c', b's', class @ b'0'..=b'7'] => Some((class - b'0') << 3),
            [b'a', b'f', class @ b'1'..=b'4', drop @ b'1'..=b'3'] => {
                Some((class - b'0') << 3 | (drop - b'0') << 1)
            }
            _ => text.parse().ok(),
        };
        named.and_then(Self::new).ok_or(ParseDscpError)
    }
}

impl fmt::Display for Dscp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_rfcs() {
        for (name, value) in [
            ("be", 0),
            ("cs0", 0),
            ("cs7", 56),
            ("af11", 10),
            ("af23", 22),
            ("af43", 38),
            ("ef", 46),
            ("va", 44),
            ("le", 1),
            ("63", 63),
        ] {
            assert_eq!(name.parse(), Ok(Dscp(value)), "{name}");
        }
        for bad in ["64", "-1", "", "af14", "af51", "cs8", "EF", "x"] {
            assert_eq!(bad.parse::<Dscp>(), Err(ParseDscpError), "{bad}");
        }
    }

    #[test]
    fn priorities_are_class_selectors() {
        for dscp in Dscp::all().filter(|dscp| dscp.value() != 1) {
            assert_eq!(dscp.priority().value(), dscp.value() / 8, "{dscp}");
        }
        assert_eq!(Dscp(1).priority().value(), 1);
        let of = |name: &str| name.parse::<Dscp>().unwrap().drop_precedence();
        assert_eq!(
            [of("af11"), of("af22"), of("af43"), of("ef"), of("cs2")].map(Colour::name),
            ["green", "yellow", "red", "green", "green"]
        );
    }
}
