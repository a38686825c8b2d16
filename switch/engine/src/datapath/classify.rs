//! Decides each frame's VLAN and priority, and whether the port may bring them (IEEE 802.1Q-2022
//! clauses 6.9 and 8.6.1).
//!
//! Batch: every frame alone; all of one port, whose mode is looked at once. Reads the lane `outer`;
//! writes `vid`, `tag`, `tag_counts`,
//! `outer` and `verdict`. Drops: [`Reason::MirrorPort`], [`Reason::ReservedVid`],
//! [`Reason::TaggedOnAccess`], [`Reason::UntaggedOnTrunk`], [`Reason::NotMember`],
//! [`Reason::CustomerVid`].

use pollux_net::{PortId, Tag, Tci, Tpid, Vid};

use super::batch::{Batch, Lane, Verdict};
use super::platform::Platform;
use crate::tables::{Admission, PortTable};
use crate::{Reason, Snapshot};

const RESERVED_VID: u16 = 4095;

pub(super) fn classify<P: Platform>(batch: &mut Batch<P::Frame>, snapshot: &Snapshot<P>) {
    let ingress = batch.ingress;
    let port = snapshot.port(ingress);
    let pending = batch.lanes_mut().map(|(lane, _)| lane).filter(|lane| lane.verdict == Verdict::Pending);
    match port.admission {
        Admission::Access { vid } => {
            pending.for_each(|lane| admit(lane, port, |tagged| access(tagged, vid)));
        }
        Admission::Trunk { native } => {
            pending.for_each(|lane| admit(lane, port, |tagged| trunk(tagged, native, ingress, snapshot)));
        }
        Admission::Tunnel { vid, tpid } => pending.for_each(|lane| admit_tunnel(lane, port, vid, tpid)),
        Admission::Nothing => pending.for_each(|lane| lane.verdict = Verdict::Drop(Reason::MirrorPort)),
    }
}

/// Gives the frame the VLAN that `choose` makes of its VID field, 0 for none.
#[inline(always)]
fn admit<P: Platform>(lane: &mut Lane, port: &PortTable<P>, choose: impl FnOnce(u16) -> Result<Vid, Reason>) {
    let vid_bits = lane.outer.map_or(0, |tag| tag.tci.vid_bits());
    match choose(vid_bits) {
        Ok(vid) => {
            lane.vid = vid;
            let tpid = lane.outer.map_or(Tpid::CTag, |tag| tag.tpid);
            lane.tag = Tag { tpid, tci: Tci::from_bits(priority(lane, port) | vid.value()) };
        }
        Err(reason) => lane.verdict = Verdict::Drop(reason),
    }
}

#[inline(always)]
fn access(vid_bits: u16, pvid: Vid) -> Result<Vid, Reason> {
    match vid_bits {
        0 => Ok(pvid),
        RESERVED_VID => Err(Reason::ReservedVid),
        _ => Err(Reason::TaggedOnAccess),
    }
}

#[inline(always)]
fn trunk<P: Platform>(
    vid_bits: u16,
    native: Option<Vid>,
    ingress: PortId,
    snapshot: &Snapshot<P>,
) -> Result<Vid, Reason> {
    match Vid::new(vid_bits) {
        Some(vid) if snapshot.vlan(vid).members.contains(ingress) => Ok(vid),
        Some(_) => Err(Reason::NotMember),
        None if vid_bits == 0 => native.ok_or(Reason::UntaggedOnTrunk),
        None => Err(Reason::ReservedVid),
    }
}

/// A customer's tag stays his own: it may be refused and its priority believed, but the frame counts
/// as one without a tag of ours.
#[inline(always)]
fn admit_tunnel<P: Platform>(lane: &mut Lane, port: &PortTable<P>, vid: Vid, tpid: Tpid) {
    let customer_vid = lane.outer.map_or(0, |tag| tag.tci.vid_bits());
    if customer_vid == RESERVED_VID {
        lane.verdict = Verdict::Drop(Reason::ReservedVid);
    } else if port.customer_vids.as_ref().is_some_and(|vids| !vids.contains(customer_vid)) {
        lane.verdict = Verdict::Drop(Reason::CustomerVid);
    }
    lane.vid = vid;
    lane.tag = Tag { tpid, tci: Tci::from_bits(priority(lane, port) | vid.value()) };
    lane.outer = None;
}

/// PCP and DEI as a TCI holds them.
#[inline(always)]
fn priority<P: Platform>(lane: &mut Lane, port: &PortTable<P>) -> u16 {
    let said = lane.outer.filter(|_| port.trusts_tag);
    lane.tag_counts = said.is_some();
    said.map_or(port.default_priority, |tag| tag.tci.bits() & Tci::PRIORITY_MASK)
}
