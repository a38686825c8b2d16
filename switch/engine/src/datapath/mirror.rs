//! Sends the copies that mirrors make.
//!
//! Batch: one copy, as its frame was at the point where the mirror saw it. Each goes to one port, or to every
//! member of a VLAN that has a link; there it gets the VLAN's tag around what it has, where the member sends the
//! VLAN tagged. What a VM left undone is done for the port as it is for any other frame. Each copy counts as
//! replicated on the port that its frame was seen at. Drops, on the port that it goes to: [`Reason::NoMbuf`],
//! [`Reason::NoHeadroom`], [`Reason::MtuExceeded`], and what finish drops.

use pollux_net::{Frame, Mark, Pending, PortId, PortSet, Tag, Tci, Tpid};

use super::Context;
use super::egress::fits;
use super::finish::finish;
use super::offload;
use super::outbox::Bursts;
use super::platform::Platform;
use super::tap;
use crate::Reason;
use crate::tap::{Mirror, MirrorTo};

/// The ports that a mirror's copies go to now.
pub(super) fn reached<P: Platform>(mirror: &Mirror<P::Filter>, context: &Context<'_, P>) -> PortSet {
    let targets = match mirror.to {
        MirrorTo::Port(port) => port.set(),
        MirrorTo::Vlan(vid) => context.snapshot.vlan(vid).members,
    };
    targets.and(context.links)
}

/// A copy of a frame as long as the mirror wants it; `None` if no memory is left for one. `unfinished`: there is
/// still something to do, which the frame says.
pub(super) fn copy_of<P: Platform>(
    mirror: &Mirror<P::Filter>,
    frame: &P::Frame,
    unfinished: bool,
    platform: &mut P,
) -> Option<P::Frame> {
    let shorter = mirror.snap_length.filter(|&most| frame.len() > most);
    let mut copy = match shorter {
        None => platform.copy(frame),
        Some(most) => platform.copy_start(frame, most),
    }?;
    // What isn't whole can't be finished.
    if !unfinished || shorter.is_some() {
        copy.forget_pending();
    }
    Some(copy)
}

/// What a copy still says of what there is to do.
fn pending<F: Frame>(copy: &F) -> Pending {
    let left = copy.left();
    if left.checksum { left } else { copy.pending() }
}

/// Sends a copy of a frame that was seen at `port`; `None`: there was no memory for one.
pub(super) fn deliver<P: Platform>(
    mirror: &Mirror<P::Filter>,
    copy: Option<P::Frame>,
    port: PortId,
    context: &Context<'_, P>,
    to: &mut Bursts<P::Frame>,
    platform: &mut P,
) {
    let mut targets = reached(mirror, context);
    context.stats.count_replicated(port, targets.len() as u64);
    let Some(copy) = copy else {
        mirror.counts.count_lost(context.worker);
        targets.iter().for_each(|target| context.stats.count_drops(target, Reason::NoMbuf, 1));
        return;
    };
    mirror.counts.count(context.worker, copy.len());
    while let Some(target) = targets.first() {
        targets = targets.without(target);
        if targets.is_empty() {
            return send(copy, mirror.to, port, target, context, to, platform);
        }
        match platform.copy(&copy) {
            Some(another) => send(another, mirror.to, port, target, context, to, platform),
            None => tap::dropped(&copy, Reason::NoMbuf, target, context, None, platform),
        }
    }
}

/// One copy out of one port.
fn send<P: Platform>(
    mut copy: P::Frame,
    mirror: MirrorTo,
    port: PortId,
    target: PortId,
    context: &Context<'_, P>,
    to: &mut Bursts<P::Frame>,
    platform: &mut P,
) {
    let table = context.snapshot.port(target);
    if let MirrorTo::Vlan(vid) = mirror
        && context.snapshot.vlan(vid).tagged.contains(target)
        && !copy.push_tag(Tag { tpid: Tpid::CTag, tci: Tci::from_bits(vid.value()) })
    {
        return tap::dropped(&copy, Reason::NoHeadroom, target, context, None, platform);
    }
    if let Some(qos) = &table.egress {
        copy.set_mark(qos.mark(Tci::from_bits(0), 0, Mark::default()).mirrored());
    }
    let mut way = to.way_of_copies();
    let pending = pending(&copy);
    if pending.checksum {
        copy.forget_pending();
        if let Some(offload) = offload::read(&copy, pending.segment_len) {
            return finish(copy, &offload, port, target, context, &mut way, platform);
        }
    }
    match fits(&copy, table) {
        Ok(()) => {
            way.room(target, context, platform);
            way.extend(target, std::iter::once(copy));
        }
        Err(reason) => tap::dropped(&copy, reason, target, context, None, platform),
    }
}
