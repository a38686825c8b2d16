use std::fmt;
use std::str::FromStr;

/// A 48-bit MAC address (IEEE 802-2014 clause 8.2). Held as a number, first octet most significant, so
/// that the data path compares and hashes it without assembling octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(u64);

const MASK: u64 = (1 << 48) - 1;

impl Mac {
    /// `00:00:00:00:00:00`, which no station may use as a source.
    pub const ZERO: Self = Self(0);
    /// `ff:ff:ff:ff:ff:ff`, every station.
    pub const BROADCAST: Self = Self(MASK);

    /// The address of these six octets, in transmission order.
    pub const fn new(octets: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = octets;
        Self(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The six octets in transmission order.
    pub const fn octets(self) -> [u8; 6] {
        let [_, _, a, b, c, d, e, f] = self.0.to_be_bytes();
        [a, b, c, d, e, f]
    }

    /// The address as the low 48 bits of a number, first octet most significant.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The address in the low 48 bits of `bits`; the upper 16 are ignored.
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits & MASK)
    }

    /// Whether the I/G bit is set: a group (multicast or broadcast) address.
    pub const fn is_multicast(self) -> bool {
        self.0 & 1 << 40 != 0
    }

    /// Whether every octet is zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether the address is one of 01-80-C2-00-00-00..0F, which a bridge never forwards
    /// (IEEE 802.1Q-2022 table 8-1).
    pub const fn is_bridge_reserved(self) -> bool {
        self.0 & !0xf == 0x0180_c200_0000
    }

    /// Whether a frame may carry this address as its source: an individual address other than zero.
    pub const fn is_valid_source(self) -> bool {
        !self.is_multicast() & !self.is_zero()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.octets();
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not six two-digit hexadecimal octets separated by `:` or `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a MAC address: write six hexadecimal octets, as in 02:00:00:00:00:01")]
pub struct ParseMacError;

impl FromStr for Mac {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut octets = [0; 6];
        let mut parts = text.split(separator);
        for octet in &mut octets {
            let part = parts.next().ok_or(ParseMacError)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(ParseMacError);
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| ParseMacError)?;
        }
        if parts.next().is_some() { Err(ParseMacError) } else { Ok(Self::new(octets)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kinds_of_address() {
        assert!(Mac::BROADCAST.is_multicast());
        assert!(!Mac::BROADCAST.is_valid_source());
        assert!(!Mac::ZERO.is_valid_source());
        assert!("01:80:c2:00:00:0f".parse::<Mac>().unwrap().is_bridge_reserved());
        assert!(!"01:80:c2:00:00:10".parse::<Mac>().unwrap().is_bridge_reserved());
        assert!(!"02:80:c2:00:00:00".parse::<Mac>().unwrap().is_bridge_reserved());
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "2:0:0:0:0:1",
            "02:00:00:00:00:0g",
            "+2:00:00:00:00:01",
            "02-00:00-00-00-01",
        ] {
            assert_eq!(text.parse::<Mac>(), Err(ParseMacError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_number_round_trip(octets: [u8; 6]) {
            let mac = Mac::new(octets);
            prop_assert_eq!(mac.to_string().parse::<Mac>(), Ok(mac));
            prop_assert_eq!(mac.to_string().replace(':', "-").parse::<Mac>(), Ok(mac));
            prop_assert_eq!(Mac::from_u64(mac.as_u64()), mac);
        }
    }
}
