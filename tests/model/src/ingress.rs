//! From what a port received to a frame of a VLAN, or the reason why not.

use pollux_net::{Trust, Vid, VlanMode};

use crate::bytes::{self, C_TAG, MTU_ALLOWANCE, WireTag};
use crate::profile::{self, Said, Worth};
use crate::{ModelPort, Reason};

/// A frame that was let in.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    pub(crate) vid: Vid,
    pub(crate) worth: Worth,
    /// Of the tag that ports send who tag it.
    pub(crate) tpid: u16,
    /// The frame as it is without that tag.
    pub(crate) untagged: Vec<u8>,
}

/// `takes_nothing`: the port is where a mirror's copies go.
pub(crate) fn admit(port: &ModelPort, frame: &[u8], takes_nothing: bool) -> Result<Admitted, Reason> {
    check_frame(port, frame)?;
    if takes_nothing {
        return Err(Reason::MirrorPort);
    }
    let tag = bytes::outer_tag(frame);
    if tag.is_some_and(|tag| tag.vid == 4095) {
        return Err(Reason::ReservedVid);
    }
    let said = match (port.vlan.trust, tag) {
        (Trust::Pcp | Trust::Dscp, Some(tag)) => Said { pcp: tag.pcp, dei: tag.dei, by_tag: true },
        _ => Said { pcp: port.vlan.default_pcp.value(), dei: false, by_tag: false },
    };
    if let VlanMode::Dot1qTunnel { vid, tpid, .. } = port.vlan.mode {
        check_customer(port, frame)?;
        let worth = profile::receive(port.profile.as_ref(), port.vlan.trust, said, frame, vid);
        return Ok(Admitted { vid, worth, tpid: tpid.ethertype(), untagged: frame.to_vec() });
    }
    let vid = vlan_of(port, tag)?;
    let tpid = tag.map_or(C_TAG, |tag| tag.tpid);
    let untagged = match tag {
        Some(_) => bytes::without_tag(frame),
        None => frame.to_vec(),
    };
    let worth = profile::receive(port.profile.as_ref(), port.vlan.trust, said, frame, vid);
    Ok(Admitted { vid, worth, tpid, untagged })
}

/// What doesn't depend on VLANs.
fn check_frame(port: &ModelPort, frame: &[u8]) -> Result<(), Reason> {
    if frame.len() < 14 || bytes::announces_tag(frame) && frame.len() < 18 {
        return Err(Reason::Runt);
    }
    if frame.len() > usize::from(port.mtu) + MTU_ALLOWANCE {
        return Err(Reason::Oversize);
    }
    let source = bytes::source(frame);
    if bytes::is_group(source) {
        return Err(Reason::SourceMulticast);
    }
    if source == [0; 6] {
        return Err(Reason::SourceZero);
    }
    if let [0x01, 0x80, 0xc2, 0x00, 0x00, 0x00..=0x0f] = bytes::destination(frame) {
        return Err(Reason::BridgeReserved);
    }
    Ok(())
}

/// The VLAN of a frame on an access port or a trunk.
fn vlan_of(port: &ModelPort, tag: Option<WireTag>) -> Result<Vid, Reason> {
    let named = tag.and_then(|tag| Vid::new(tag.vid));
    match (&port.vlan.mode, named) {
        (VlanMode::Access { vid }, None) => Ok(*vid),
        (VlanMode::Access { .. }, Some(_)) => Err(Reason::TaggedOnAccess),
        (VlanMode::Trunk { native, .. }, None) => native.ok_or(Reason::UntaggedOnTrunk),
        (VlanMode::Trunk { .. }, Some(vid)) if port.is_member(vid) => Ok(vid),
        (VlanMode::Trunk { .. }, Some(_)) => Err(Reason::NotMember),
        (VlanMode::Dot1qTunnel { vid, .. }, _) => Ok(*vid),
    }
}

/// Whether a tunnel lets this customer's frame through, in either direction.
pub(crate) fn check_customer(port: &ModelPort, frame: &[u8]) -> Result<(), Reason> {
    let customer_vid = bytes::outer_tag(frame).map_or(0, |tag| tag.vid);
    match &port.vlan.mode {
        VlanMode::Dot1qTunnel { allowed: Some(allowed), .. }
            if customer_vid == 4095 || !allowed.contains(customer_vid) =>
        {
            Err(Reason::CustomerVid)
        }
        _ => Ok(()),
    }
}
