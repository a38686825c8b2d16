//! Copies floods, and gives each frame the tags with which its egress port sends it (IEEE
//! 802.1Q-2022 clauses 8.6.1 and 6.9.2).
//!
//! Batch: in order, so that frames of one flow stay in order; frames in a row that go out of one port
//! together, unless the sender of one left work to do. Takes the frames out of the batch into the outboxes;
//! reads every lane; marks frames for ports with classes. Each port of a flood gets a frame of its own: a buffer that one port may rewrite is
//! never shared with another. Drops, on the ingress port, what earlier stages condemned; on the egress port
//! [`Reason::NoMbuf`], [`Reason::MtuExceeded`], [`Reason::CustomerVid`], [`Reason::NoHeadroom`]. Frames with
//! work left go on to finish.

use pollux_net::{Frame, PortId, PriorityTags, Tag, Tci, Tpid};

use super::Context;
use super::batch::{Batch, Lane, Verdict};
use super::finish::finish;
use super::lookup::flood_targets;
use super::offload::Offload;
use super::outbox::{Outbox, Way};
use super::platform::Platform;
use super::tap;
use crate::Reason;
use crate::qos::EgressQos;
use crate::tables::PortTable;

pub(super) fn egress<P: Platform>(
    batch: &mut Batch<P::Frame>,
    context: &Context<'_, P>,
    outbox: &mut Outbox<P::Frame>,
    platform: &mut P,
) {
    let mut out = outbox.way();
    let shown = context.snapshot.taps().is_some_and(|taps| taps.drops);
    if batch.unfinished != 0 || shown {
        return one_by_one(batch, context, &mut out, platform);
    }
    let (ingress, classes) = (batch.ingress, batch.classes);
    let mut lanes = &batch.lanes[..batch.frames.len()];
    let mut frames = batch.frames.drain(..);
    while let Some(first) = lanes.first() {
        let Verdict::Forward(port) = first.verdict else {
            lanes = &lanes[1..];
            if let Some(frame) = frames.next() {
                let decided = Decided { lane: first, offload: None, ingress, classes };
                flood_or_drop(frame, decided, context, &mut out, platform);
            }
            continue;
        };
        let most = out.room(port, context, platform).min(lanes.len());
        let end = lanes[..most].iter().position(|lane| lane.verdict != Verdict::Forward(port));
        let (run, rest) = lanes.split_at(end.unwrap_or(most));
        lanes = rest;
        let table = context.snapshot.port(port);
        let ready = run.iter().zip(frames.by_ref()).filter_map(|(lane, mut frame)| {
            let tagged = context.snapshot.vlan(lane.vid).tagged.contains(port);
            let rewritten = match &table.egress {
                None => rewrite(&mut frame, lane.outer, Outgoing::kept(lane), tagged, table),
                Some(qos) => {
                    let outgoing = Outgoing::classed(&mut frame, lane, classes, qos);
                    rewrite(&mut frame, lane.outer, outgoing, tagged, table)
                }
            };
            match rewritten.and_then(|()| fits(&frame, table)) {
                Ok(()) => Some(frame),
                Err(reason) => {
                    context.stats.count_drops(port, reason, 1);
                    None
                }
            }
        });
        out.extend(port, ready);
    }
}

/// What was decided of a frame, and where it came in.
#[derive(Clone, Copy)]
struct Decided<'a> {
    lane: &'a Lane,
    /// What its sender left to do.
    offload: Option<&'a Offload>,
    ingress: PortId,
    /// Classes where it came in; 0: it was given none.
    classes: u8,
}

/// A batch in which senders left work to do, or of which somebody wants to see what is dropped.
#[inline(never)]
fn one_by_one<P: Platform>(
    batch: &mut Batch<P::Frame>,
    context: &Context<'_, P>,
    out: &mut Way<'_, P::Frame>,
    platform: &mut P,
) {
    let (ingress, classes) = (batch.ingress, batch.classes);
    let lanes = batch.lanes.iter().zip(&batch.offloads).enumerate();
    for (frame, (index, (lane, offload))) in batch.frames.drain(..).zip(lanes) {
        let offload = (batch.unfinished >> index & 1 == 1).then_some(offload);
        let decided = Decided { lane, offload, ingress, classes };
        match lane.verdict {
            Verdict::Forward(port) => send(frame, decided, port, context, out, platform),
            _ => flood_or_drop(frame, decided, context, out, platform),
        }
    }
}

/// Apart from the usual case, so that deciding costs that one branch and no jump table.
#[inline(never)]
fn flood_or_drop<P: Platform>(
    frame: P::Frame,
    decided: Decided<'_>,
    context: &Context<'_, P>,
    out: &mut Way<'_, P::Frame>,
    platform: &mut P,
) {
    match decided.lane.verdict {
        Verdict::Flood => flood(frame, decided, context, out, platform),
        Verdict::Drop(reason) => {
            context.stats.count_drops(decided.ingress, reason, 1);
            tap::refused(decided.ingress, &frame, reason, context, out.copies.as_deref_mut(), platform);
        }
        Verdict::Pending | Verdict::Forward(_) => {
            unreachable!("lookup decides every frame that classify left")
        }
    }
}

/// Copies for all targets but the last, which gets the original.
fn flood<P: Platform>(
    frame: P::Frame,
    decided: Decided<'_>,
    context: &Context<'_, P>,
    out: &mut Way<'_, P::Frame>,
    platform: &mut P,
) {
    let vlan = context.snapshot.vlan(decided.lane.vid);
    let mut targets = flood_targets(vlan, decided.ingress, context.links);
    context.stats.count_replicated(decided.ingress, targets.len() as u64 - 1);
    while let Some(port) = targets.first() {
        targets = targets.without(port);
        if targets.is_empty() {
            return send(frame, decided, port, context, out, platform);
        }
        match platform.copy(&frame) {
            Some(copy) => send(copy, decided, port, context, out, platform),
            None => tap::dropped(&frame, Reason::NoMbuf, port, context, out.copies.as_deref_mut(), platform),
        }
    }
}

/// One frame out of one port.
fn send<P: Platform>(
    mut frame: P::Frame,
    decided: Decided<'_>,
    port: PortId,
    context: &Context<'_, P>,
    out: &mut Way<'_, P::Frame>,
    platform: &mut P,
) {
    let len = frame.len();
    let table = context.snapshot.port(port);
    let tagged = context.snapshot.vlan(decided.lane.vid).tagged.contains(port);
    let outgoing = match &table.egress {
        None => Outgoing::kept(decided.lane),
        Some(qos) => Outgoing::classed(&mut frame, decided.lane, decided.classes, qos),
    };
    let ready = rewrite(&mut frame, decided.lane.outer, outgoing, tagged, table);
    if let (Ok(()), Some(offload)) = (ready, decided.offload) {
        let offload = offload.shifted(frame.len() as isize - len as isize);
        return finish(frame, &offload, decided.ingress, port, context, out, platform);
    }
    match ready.and_then(|()| fits(&frame, table)) {
        Ok(()) => {
            out.room(port, context, platform);
            out.extend(port, std::iter::once(frame));
        }
        Err(reason) => tap::dropped(&frame, reason, port, context, out.copies.as_deref_mut(), platform),
    }
}

/// The tag with which a port sends a frame on tagged VLANs, and whether its priority says anything.
#[derive(Clone, Copy)]
struct Outgoing {
    tag: Tag,
    says_priority: bool,
}

impl Outgoing {
    /// At a port without classes: what came.
    #[inline(always)]
    fn kept(lane: &Lane) -> Self {
        Self { tag: lane.tag, says_priority: lane.tag.tci.bits() & Tci::PRIORITY_MASK != 0 }
    }

    /// At a port with classes, with which the frame is marked.
    #[inline(always)]
    fn classed<F: Frame>(frame: &mut F, lane: &Lane, classes: u8, qos: &EgressQos<F>) -> Self {
        let mark = qos.mark(lane.tag.tci, classes, lane.mark);
        frame.set_mark(mark);
        let (tci, says_priority) = qos.tci(lane.tag.tci, mark, classes > 0 && lane.mark.is_decided());
        Self { tag: Tag { tci, ..lane.tag }, says_priority }
    }
}

/// Gives the frame the tags with which the port sends it, or says why the port doesn't.
#[inline(always)]
fn rewrite<P: Platform>(
    frame: &mut P::Frame,
    outer: Option<Tag>,
    outgoing: Outgoing,
    tagged: bool,
    table: &PortTable<P>,
) -> Result<(), Reason> {
    let rewritten = match outer {
        _ if tagged => tag(frame, outer, outgoing.tag),
        Some(_) => done(frame.pop_tag()),
        None => Ok(()),
    };
    if tagged || table.plain_untagged {
        rewritten
    } else {
        rewritten.and_then(|()| untagged_specially(frame, outgoing, table))
    }
}

#[inline(always)]
pub(super) fn fits<P: Platform>(frame: &P::Frame, table: &PortTable<P>) -> Result<(), Reason> {
    if frame.len() <= table.max_len { Ok(()) } else { Err(Reason::MtuExceeded) }
}

/// Leaves the frame, whose outer tag is `outer`, with `tag` as its outer tag.
#[inline(always)]
fn tag<F: Frame>(frame: &mut F, outer: Option<Tag>, tag: Tag) -> Result<(), Reason> {
    match outer {
        Some(outer) if outer == tag => Ok(()),
        Some(_) => done(frame.set_tci(tag.tci)),
        None => done(frame.push_tag(tag)),
    }
}

/// Refuses what a tunnel doesn't pass, and gives a frame without a tag a priority tag where the port wants
/// one.
#[inline(never)]
fn untagged_specially<P: Platform>(
    frame: &mut P::Frame,
    outgoing: Outgoing,
    table: &PortTable<P>,
) -> Result<(), Reason> {
    let inner = outer_tag(frame.head());
    if let Some(vids) = &table.customer_vids
        && !vids.contains(inner.map_or(0, |tag| tag.tci.vid_bits()))
    {
        return Err(Reason::CustomerVid);
    }
    let wanted = match table.priority_tags {
        PriorityTags::Never => false,
        PriorityTags::IfNonzero => outgoing.says_priority,
        PriorityTags::Always => true,
    };
    if wanted && inner.is_none() {
        let tag = Tag { tpid: Tpid::CTag, tci: Tci::priority_tag(outgoing.tag.tci.priority()) };
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
