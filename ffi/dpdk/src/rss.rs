//! Which parts of a frame choose its rx queue.

use std::fmt;
use std::ops::{BitAnd, BitOr};

use dpdk_sys as sys;

/// A set of kinds of frame whose addresses a device hashes to choose the rx queue.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct RssTypes(u64);

impl RssTypes {
    /// None.
    pub const NONE: Self = Self(0);
    /// IPv4 and IPv6 addresses.
    pub const IP: Self = Self(sys::SHIM_RSS_IP);
    /// TCP ports.
    pub const TCP: Self = Self(sys::SHIM_RSS_TCP);
    /// UDP ports.
    pub const UDP: Self = Self(sys::SHIM_RSS_UDP);
    /// VLAN tags, outer and inner.
    pub const VLAN: Self = Self(sys::SHIM_RSS_VLAN);
    /// MAC addresses.
    pub const MAC: Self = Self(sys::SHIM_RSS_ETH);
    /// What a frame that isn't IP carries.
    pub const L2_PAYLOAD: Self = Self(sys::SHIM_RSS_L2_PAYLOAD);
    /// What a switch wants: all of these.
    pub const SWITCH: Self =
        Self(Self::IP.0 | Self::TCP.0 | Self::UDP.0 | Self::VLAN.0 | Self::MAC.0 | Self::L2_PAYLOAD.0);

    const NAMES: [(Self, &'static str); 6] = [
        (Self::IP, "ip"),
        (Self::TCP, "tcp"),
        (Self::UDP, "udp"),
        (Self::VLAN, "vlan"),
        (Self::MAC, "mac"),
        (Self::L2_PAYLOAD, "l2-payload"),
    ];

    /// DPDK's bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// From DPDK's bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Whether it is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in this set and not in the other.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for RssTypes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for RssTypes {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// `ip tcp udp`; a name stands where the device can do at least part of it.
impl fmt::Display for RssTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut separator = "";
        for (kind, name) in Self::NAMES {
            if self.0 & kind.0 != 0 {
                write!(f, "{separator}{name}")?;
                separator = " ";
                rest &= !kind.0;
            }
        }
        if rest != 0 {
            write!(f, "{separator}other")?;
        } else if self.is_empty() {
            f.write_str("none")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RssTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_names() {
        assert_eq!((RssTypes::IP | RssTypes::UDP).to_string(), "ip udp");
        assert_eq!(RssTypes::NONE.to_string(), "none");
        assert_eq!(RssTypes::SWITCH.without(RssTypes::SWITCH), RssTypes::NONE);
    }
}
