use std::sync::Arc;

use pollux_net::{PortId, PortSet, Vid};

use super::MirrorCounts;

/// Mirrors of a switch: what a worker looks through for each burst.
pub const MAX_MIRRORS: usize = 16;

/// Which frames a mirror copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MirrorFrom {
    /// Those of these ports.
    Ports {
        /// The ports.
        ports: PortSet,
        /// Frames that they receive, as they come.
        rx: bool,
        /// Frames that they send, as they leave.
        tx: bool,
    },
    /// Those of a VLAN.
    Vlan {
        /// The VLAN.
        vid: Vid,
        /// Frames that come into it, as they come.
        rx: bool,
        /// Frames that leave a port in it, as they leave: what tag and port say to whoever receives them.
        tx: bool,
    },
    /// Those that are dropped, as they are then.
    Drops,
}

/// Where copies go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MirrorTo {
    /// To a port, as they are. The port is in no VLAN, and takes nothing.
    Port(PortId),
    /// To every member of a VLAN, whose tag they get around what they have where the member sends it tagged.
    Vlan(Vid),
}

/// A mirror (SPAN; RSPAN if to a VLAN). What a mirror made is never copied again, by whichever switch: nothing
/// that leaves by a mirror's port, nothing that is in a mirror's VLAN.
#[derive(Clone, Debug)]
pub struct Mirror<X> {
    /// What it copies.
    pub from: MirrorFrom,
    /// Where to.
    pub to: MirrorTo,
    /// What it chooses of that.
    pub filter: Option<X>,
    /// Octets of a frame that it copies at most. `None`: all.
    pub snap_length: Option<usize>,
    /// What it has done.
    pub counts: Arc<MirrorCounts>,
}
