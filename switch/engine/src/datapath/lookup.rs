//! Finds where each frame goes (IEEE 802.1Q-2022 clauses 8.6.2 and 8.6.3).
//!
//! Batch: every frame alone, after all of the batch were learned. Reads the lanes `destination`,
//! `vid` and the probes; writes `verdict`. Drops: [`Reason::SamePort`], [`Reason::EgressNotMember`],
//! [`Reason::PortDown`], [`Reason::NoDestination`].

use pollux_net::{PortId, PortSet};

use super::batch::{Batch, Verdict};
use crate::fdb::Fdb;
use crate::tables::Vlan;
use crate::{Reason, Snapshot};

pub(super) fn lookup<F>(
    batch: &mut Batch<F>,
    snapshot: &Snapshot,
    fdb: &Fdb,
    links: PortSet,
    now_seconds: u32,
) {
    let ingress = batch.ingress;
    for (lane, [_, destination]) in batch.lanes_mut() {
        if lane.verdict != Verdict::Pending {
            continue;
        }
        let known = if lane.destination.is_multicast() { None } else { fdb.lookup(destination, now_seconds) };
        let vlan = snapshot.vlan(lane.vid);
        lane.verdict = match known {
            Some(egress) => unicast(egress, ingress, vlan, links),
            None if flood_targets(vlan, ingress, links).is_empty() => Verdict::Drop(Reason::NoDestination),
            None => Verdict::Flood,
        };
    }
}

/// The ports that a flood from `ingress` reaches.
#[inline(always)]
pub(super) fn flood_targets(vlan: Vlan, ingress: PortId, links: PortSet) -> PortSet {
    vlan.members.and(links).without(ingress)
}

#[inline(always)]
fn unicast(egress: PortId, ingress: PortId, vlan: Vlan, links: PortSet) -> Verdict {
    if flood_targets(vlan, ingress, links).contains(egress) {
        Verdict::Forward(egress)
    } else if egress == ingress {
        Verdict::Drop(Reason::SamePort)
    } else if !vlan.members.contains(egress) {
        Verdict::Drop(Reason::EgressNotMember)
    } else {
        Verdict::Drop(Reason::PortDown)
    }
}
