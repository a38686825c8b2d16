//! Finds where each frame goes (IEEE 802.1Q-2022 clauses 8.6.2 and 8.6.3).
//!
//! Batch: every frame alone, after all of the batch were learned. Reads the lanes `destination`,
//! `vid` and the probes; writes `verdict`. Drops: [`Reason::SamePort`], [`Reason::EgressNotMember`],
//! [`Reason::PortDown`], [`Reason::NoDestination`].

use pollux_net::{PortId, PortSet};

use super::batch::{Batch, Verdict};
use super::platform::Platform;
use crate::fdb::Moment;
use crate::tables::Vlan;
use crate::{Reason, Snapshot};

pub(super) fn lookup<P: Platform>(
    batch: &mut Batch<P::Frame>,
    snapshot: &Snapshot<P>,
    fdb: Moment<'_>,
    links: PortSet,
) {
    let ingress = batch.ingress;
    for (lane, [_, destination]) in batch.lanes_mut() {
        if lane.verdict != Verdict::Pending {
            continue;
        }
        let targets = flood_targets(snapshot.vlan(lane.vid), ingress, links);
        let known = if lane.destination.is_multicast() { None } else { fdb.lookup(destination) };
        lane.verdict = match known {
            Some(egress) if targets.contains(egress) => Verdict::Forward(egress),
            Some(egress) => Verdict::Drop(why_not(egress, ingress, snapshot.vlan(lane.vid))),
            None if targets.is_empty() => Verdict::Drop(Reason::NoDestination),
            None => Verdict::Flood,
        };
    }
}

/// The ports that a flood from `ingress` reaches.
#[inline(always)]
pub(super) fn flood_targets(vlan: Vlan, ingress: PortId, links: PortSet) -> PortSet {
    vlan.members.and(links).without(ingress)
}

/// Why a known destination can't be reached.
#[cold]
fn why_not(egress: PortId, ingress: PortId, vlan: Vlan) -> Reason {
    if egress == ingress {
        Reason::SamePort
    } else if !vlan.members.contains(egress) {
        Reason::EgressNotMember
    } else {
        Reason::PortDown
    }
}
