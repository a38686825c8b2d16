//! Copies of frames, and where they go.

use pollux_net::{PortId, Vid, VlanMode};

use crate::bytes::{self, C_TAG, MTU_ALLOWANCE, WireTag};
use crate::{ModelPort, PlainFilter, Reason};

/// Which frames a mirror copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelMirrorFrom {
    /// Those that these ports receive or send.
    Ports(Vec<PortId>),
    /// Those that come into a VLAN, or leave in it.
    Vlan(Vid),
    /// Those that are dropped.
    Dropped,
}

/// Where copies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelMirrorTo {
    /// To a port, which does nothing else.
    Port(PortId),
    /// To all members of a VLAN.
    Vlan(Vid),
}

/// A mirror of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelMirror {
    /// What it copies.
    pub from: ModelMirrorFrom,
    /// Whether it copies frames where they come in.
    pub rx: bool,
    /// Whether it copies frames where they leave.
    pub tx: bool,
    /// Where copies go.
    pub to: ModelMirrorTo,
    /// What it chooses of them.
    pub filter: Option<PlainFilter>,
    /// Octets of a copy at most.
    pub snap_length: Option<usize>,
}

impl ModelMirror {
    /// The copy that it makes of a frame, if it chooses it.
    pub(crate) fn copy(&self, frame: &[u8]) -> Option<Vec<u8>> {
        if self.filter.is_some_and(|filter| !filter.chooses(frame)) {
            return None;
        }
        let len = self.snap_length.unwrap_or(frame.len()).min(frame.len());
        Some(frame[..len].to_vec())
    }
}

/// What a port sends of a copy that is in the VLAN of a mirror, or of none.
pub(crate) fn send(port: &ModelPort, copy: &[u8], vid: Option<Vid>) -> Result<Vec<u8>, Reason> {
    let bytes = match vid.filter(|vid| port.sends_tagged(*vid)) {
        Some(_) if copy.len() < 12 => return Err(Reason::NoHeadroom),
        Some(vid) => bytes::with_tag(copy, WireTag { tpid: C_TAG, pcp: 0, dei: false, vid: vid.value() }),
        None => copy.to_vec(),
    };
    if bytes.len() > usize::from(port.mtu) + MTU_ALLOWANCE {
        return Err(Reason::MtuExceeded);
    }
    Ok(bytes)
}

/// The VLAN that a frame's outer tag names.
pub(crate) fn named_vid(frame: &[u8]) -> Option<Vid> {
    bytes::outer_tag(frame).and_then(|tag| Vid::new(tag.vid))
}

/// The VLAN that a sent frame is in, as whoever receives it sees it.
pub(crate) fn sent_vid(port: &ModelPort, frame: &[u8]) -> Option<Vid> {
    match port.vlan.mode {
        VlanMode::Access { vid } | VlanMode::Dot1qTunnel { vid, .. } => Some(vid),
        VlanMode::Trunk { native, .. } => named_vid(frame).or(native),
    }
}
