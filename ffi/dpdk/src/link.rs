//! A port's link.

use std::fmt;

use dpdk_sys as sys;

/// The state of a port's link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Whether frames can pass.
    pub up: bool,
    /// Mbit/s, `None` if unknown.
    pub mbps: Option<u32>,
    /// Whether both directions work at once.
    pub full_duplex: bool,
    /// Whether speed and duplex were negotiated.
    pub autoneg: bool,
}

impl Link {
    /// The link of a port; down if the port can't say.
    pub(crate) fn of(port: u16) -> Self {
        let mut raw = sys::shim_link::default();
        // SAFETY: takes any port number, and writes into `raw` only.
        if unsafe { sys::shim_link_get(port, &mut raw) } != 0 {
            return Self::default();
        }
        Self {
            up: raw.up != 0,
            mbps: Some(raw.mbps).filter(|&mbps| mbps != u32::MAX && mbps != 0),
            full_duplex: raw.full_duplex != 0,
            autoneg: raw.autoneg != 0,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.up {
            return f.write_str("down");
        }
        match self.mbps {
            None => f.write_str("up"),
            Some(mbps) if mbps % 1000 == 0 => write!(f, "up at {} Gbit/s", mbps / 1000),
            Some(mbps) => write!(f, "up at {mbps} Mbit/s"),
        }?;
        f.write_str(if self.full_duplex { "" } else { ", half duplex" })
    }
}
