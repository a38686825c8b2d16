//! Copies floods, and gives each frame the tags with which its egress port sends it (IEEE
//! 802.1Q-2022 clauses 8.6.1 and 6.9.2).
//!
//! Batch: every frame alone, in order, so that frames of one flow stay in order. Takes the frames out
//! of the batch into the outboxes; reads every lane. Each port of a flood gets a frame of its own: a
//! buffer that one port may rewrite is never shared with another. Drops, on the ingress port, what
//! earlier stages condemned; on the egress port [`Reason::NoMbuf`], [`Reason::MtuExceeded`],
//! [`Reason::CustomerVid`], [`Reason::NoHeadroom`].

use pollux_net::{Frame, PortId, PriorityTags, Tag, Tci, Tpid};

use super::Context;
use super::batch::{Batch, Lane, Verdict};
use super::lookup::flood_targets;
use super::outbox::Outbox;
use super::platform::Platform;
use crate::Reason;
use crate::tables::{PortTable, Vlan};

pub(super) fn egress<P: Platform>(
    batch: &mut Batch<P::Frame>,
    context: &Context<'_>,
    outbox: &mut Outbox<P::Frame>,
    platform: &mut P,
) {
    let ingress = batch.ingress;
    for (frame, lane) in batch.frames.drain(..).zip(&batch.lanes) {
        if let Verdict::Forward(port) = lane.verdict {
            let vlan = context.snapshot.vlan(lane.vid);
            send(frame, lane, vlan, port, context, outbox, platform);
        } else {
            flood_or_drop(frame, lane, ingress, context, outbox, platform);
        }
    }
}

/// Apart from the usual case, so that deciding costs that one branch and no jump table.
#[inline(never)]
fn flood_or_drop<P: Platform>(
    frame: P::Frame,
    lane: &Lane,
    ingress: PortId,
    context: &Context<'_>,
    outbox: &mut Outbox<P::Frame>,
    platform: &mut P,
) {
    match lane.verdict {
        Verdict::Flood => flood(frame, lane, ingress, context, outbox, platform),
        Verdict::Drop(reason) => context.stats.count_drops(ingress, reason, 1),
        Verdict::Pending | Verdict::Forward(_) => {
            unreachable!("lookup decides every frame that classify left")
        }
    }
}

/// Copies for all targets but the last, which gets the original.
fn flood<P: Platform>(
    frame: P::Frame,
    lane: &Lane,
    ingress: PortId,
    context: &Context<'_>,
    outbox: &mut Outbox<P::Frame>,
    platform: &mut P,
) {
    let vlan = context.snapshot.vlan(lane.vid);
    let mut targets = flood_targets(vlan, ingress, context.links);
    context.stats.count_replicated(ingress, targets.len() as u64 - 1);
    while let Some(port) = targets.first() {
        targets = targets.without(port);
        if targets.is_empty() {
            return send(frame, lane, vlan, port, context, outbox, platform);
        }
        match platform.copy(&frame) {
            Some(copy) => send(copy, lane, vlan, port, context, outbox, platform),
            None => context.stats.count_drops(port, Reason::NoMbuf, 1),
        }
    }
}

#[inline(always)]
fn send<P: Platform>(
    mut frame: P::Frame,
    lane: &Lane,
    vlan: Vlan,
    port: PortId,
    context: &Context<'_>,
    outbox: &mut Outbox<P::Frame>,
    platform: &mut P,
) {
    let table = context.snapshot.port(port);
    let tagged = if vlan.tagged.contains(port) {
        tag(&mut frame, lane)
    } else if table.plain_untagged && lane.outer.is_none() {
        Ok(())
    } else {
        untag(&mut frame, lane, table)
    };
    let fits = if frame.len() <= table.max_len { Ok(()) } else { Err(Reason::MtuExceeded) };
    match tagged.and(fits) {
        Ok(()) => outbox.push(port, frame, platform, context.stats),
        Err(reason) => context.stats.count_drops(port, reason, 1),
    }
}

/// Leaves the frame with `lane.tag` as its outer tag.
#[inline(always)]
fn tag<F: Frame>(frame: &mut F, lane: &Lane) -> Result<(), Reason> {
    match lane.outer {
        Some(outer) if outer == lane.tag => Ok(()),
        Some(_) => done(frame.set_tci(lane.tag.tci)),
        None => done(frame.push_tag(lane.tag)),
    }
}

/// Leaves the frame without its outer tag, or with a priority tag where the port wants one.
#[inline(never)]
fn untag<F: Frame>(frame: &mut F, lane: &Lane, table: &PortTable) -> Result<(), Reason> {
    if lane.outer.is_some() {
        done(frame.pop_tag())?;
    }
    if table.plain_untagged {
        return Ok(());
    }
    let inner = outer_tag(frame.head());
    if let Some(vids) = &table.customer_vids
        && !vids.contains(inner.map_or(0, |tag| tag.tci.vid_bits()))
    {
        return Err(Reason::CustomerVid);
    }
    let priority = lane.tag.tci.priority();
    let wanted = match table.priority_tags {
        PriorityTags::Never => false,
        PriorityTags::IfNonzero => priority.is_nonzero(),
        PriorityTags::Always => true,
    };
    if wanted && inner.is_none() {
        let tag = Tag { tpid: Tpid::CTag, tci: Tci::priority_tag(priority) };
        done(frame.push_tag(tag))?;
    }
    Ok(())
}

/// The tag behind the source address, if there is one. A frame that ends before the EtherType behind
/// it names no VID.
fn outer_tag(head: &[u8]) -> Option<Tag> {
    let tpid = Tpid::from_ethertype(u16::from_be_bytes([*head.get(12)?, *head.get(13)?]))?;
    let tci = head.get(14..18).map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]));
    Some(Tag { tpid, tci: Tci::from_bits(tci) })
}

fn done(changed: bool) -> Result<(), Reason> {
    if changed { Ok(()) } else { Err(Reason::NoHeadroom) }
}
