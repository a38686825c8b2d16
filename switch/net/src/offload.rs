use std::num::NonZeroU16;

use crate::IpVersion;

/// What the sender of a frame, a VM, left for others to do (virtio 1.2, clause 5.1.6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pending {
    /// The TCP or UDP checksum isn't computed yet.
    pub checksum: bool,
    /// The frame carries more than one on a wire may: octets of TCP payload that each is to have, the last
    /// as many as are left. The checksum isn't computed either.
    pub segment_len: Option<NonZeroU16>,
}

impl Pending {
    /// A frame as it is on a wire.
    pub const NOTHING: Self = Self { checksum: false, segment_len: None };
}

/// What a port does itself with frames whose senders left work: a VM that takes them as they are, a device
/// that finishes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offloads {
    /// TCP and UDP checksums.
    pub checksum: bool,
    /// TCP segmentation over IPv4.
    pub tso4: bool,
    /// TCP segmentation over IPv6.
    pub tso6: bool,
}

impl Offloads {
    /// Nothing: a port like a wire.
    pub const NONE: Self = Self { checksum: false, tso4: false, tso6: false };

    /// TCP segmentation over this IP.
    pub fn tso(self, version: IpVersion) -> bool {
        match version {
            IpVersion::V4 => self.tso4,
            IpVersion::V6 => self.tso6,
        }
    }
}
