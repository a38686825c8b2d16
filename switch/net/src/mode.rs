use crate::{Pcp, Tpid, Vid, VidSet};

/// How a port takes and gives tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VlanMode {
    /// Takes untagged and priority-tagged frames only; sends untagged.
    Access {
        /// The VLAN of every frame.
        vid: Vid,
    },
    /// Takes the tags in `allowed`, and untagged and priority-tagged frames where `native` is set.
    Trunk {
        /// The VLANs the port is a member of, beside `native`. Never holds 0.
        allowed: VidSet,
        /// The VLAN of frames without a VID. The port is a member of it.
        native: Option<Vid>,
        /// Whether frames of `native` are sent with a tag.
        native_tagged: bool,
    },
    /// Puts a service tag around whatever comes and takes it off what leaves (IEEE 802.1Q-2022
    /// clause 15, a port-based or C-tagged service interface).
    Dot1qTunnel {
        /// The service VLAN.
        vid: Vid,
        /// Customer VIDs that pass, in and out; 0 stands for frames without one. `None`: all.
        allowed: Option<VidSet>,
        /// The TPID of the service tag that other ports send.
        tpid: Tpid,
    },
}

impl VlanMode {
    /// Whether the port is a member of `vid`.
    pub fn is_member(&self, vid: Vid) -> bool {
        match self {
            Self::Access { vid: own } | Self::Dot1qTunnel { vid: own, .. } => *own == vid,
            Self::Trunk { allowed, native, .. } => *native == Some(vid) || allowed.contains(vid.value()),
        }
    }

    /// Whether the port, a member of `vid`, sends its frames with the VLAN's tag.
    pub fn sends_tagged(&self, vid: Vid) -> bool {
        match self {
            Self::Access { .. } | Self::Dot1qTunnel { .. } => false,
            Self::Trunk { native, native_tagged, .. } => *native != Some(vid) || *native_tagged,
        }
    }
}

/// Whether a frame that leaves without any tag gets one of VID 0 to keep its priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PriorityTags {
    /// Never.
    #[default]
    Never,
    /// When its PCP isn't 0 or its DEI is set.
    IfNonzero,
    /// Always.
    Always,
}

/// Where a frame's priority is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// From its outer tag; the port's default without one.
    Pcp,
    /// From the DSCP of the IP packet that it carries; as `Pcp` without one.
    Dscp,
    /// Always the port's default.
    Port,
}

/// Everything of a port that decides which VLAN and priority a frame has, and how it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortVlan {
    /// Access, trunk or tunnel.
    pub mode: VlanMode,
    /// Priority tags on frames that leave without a tag.
    pub priority_tags: PriorityTags,
    /// Whose word counts for priority.
    pub trust: Trust,
    /// The priority of frames that bring none, or whose word doesn't count.
    pub default_pcp: Pcp,
}

impl Default for PortVlan {
    /// An access port of VLAN 1.
    fn default() -> Self {
        Self {
            mode: VlanMode::Access { vid: Vid::DEFAULT },
            priority_tags: PriorityTags::Never,
            trust: Trust::Pcp,
            default_pcp: Pcp::ZERO,
        }
    }
}
