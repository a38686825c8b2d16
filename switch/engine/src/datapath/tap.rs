//! Shows frames to captures and mirrors: as they were received, as a device took them, as they were dropped.
//!
//! Batch: a whole burst at each point, in order; no lane is written, no frame changed, nothing dropped. Received
//! frames are shown when their VLAN is known, before anything of them changes. Of frames that a device is
//! handed, records and copies are made before, and kept of those that it took.

use arrayvec::ArrayVec;
use pollux_cpu::cycles;
use pollux_net::{FILTER_BURST, Frame, FrameFilter, PortId, Tpid, Vid, WorkerId};

use super::Context;
use super::batch::{BURST, Batch, Verdict};
use super::mirror::{copy_of, deliver, reached};
use super::outbox::{Bursts, Copies, Outbox};
use super::platform::Platform;
use crate::Reason;
use crate::tables::{Admission, PortTable};
use crate::tap::{Capture, MAX_CAPTURES, MAX_MIRRORS, Mirror, MirrorFrom, Point, Session, Taps};

const _: () = assert!(BURST <= FILTER_BURST, "a filter looks at a whole burst");

/// Frames on their way out of a port, and whether they carry marks.
#[derive(Clone, Copy)]
pub(super) struct Sight {
    pub(super) port: PortId,
    pub(super) marked: bool,
}

/// Shows a batch as it was received.
#[inline(always)]
pub(super) fn received<P: Platform>(
    batch: &Batch<P::Frame>,
    context: &Context<'_, P>,
    outbox: &mut Outbox<P::Frame>,
    platform: &mut P,
) {
    if let Some(taps) = context.snapshot.taps() {
        show_received(taps, batch, context, outbox.copies(), platform);
    }
}

#[inline(never)]
fn show_received<P: Platform>(
    taps: &Taps<P::Filter>,
    batch: &Batch<P::Frame>,
    context: &Context<'_, P>,
    copies: &mut Bursts<P::Frame>,
    platform: &mut P,
) {
    let (ingress, frames) = (batch.ingress, &batch.frames[..]);
    record(taps, frames, ingress, Point::Rx, context.worker);
    if taps.mirrors.is_empty() {
        return;
    }
    let lanes = &batch.lanes[..frames.len()];
    let of = |wanted: &dyn Fn(usize) -> bool| {
        (0..frames.len()).fold(0, |bits, n| bits | u32::from(wanted(n)) << n)
    };
    let table = context.snapshot.port(ingress);
    let carried = if taps.carries { of(&|n| is_brought(taps, table, frames[n].head())) } else { 0 };
    for mirror in &taps.mirrors {
        let wanted = match mirror.from {
            MirrorFrom::Ports { ports, rx: true, .. } if ports.contains(ingress) => all(frames),
            MirrorFrom::Vlan { vid, rx: true, .. } => {
                of(&|n| lanes[n].verdict == Verdict::Pending && lanes[n].vid == vid)
            }
            _ => continue,
        };
        mirror_now(mirror, frames, wanted & !carried, (ingress, Point::Rx), context, copies, platform);
    }
}

/// Has `hand_over` hand frames to a device, and shows those that it took.
#[inline(always)]
pub(super) fn sending<P: Platform, R>(
    sight: Sight,
    frames: &mut ArrayVec<P::Frame, BURST>,
    context: &Context<'_, P>,
    copies: Copies<'_, P::Frame>,
    platform: &mut P,
    hand_over: impl FnOnce(&mut P, &mut ArrayVec<P::Frame, BURST>) -> R,
) -> R {
    match context.snapshot.taps() {
        None => hand_over(platform, frames),
        Some(taps) => show_sending(taps, sight, frames, context, copies, platform, hand_over),
    }
}

/// Frames that a capture has recorded, and those that it had no room for.
struct Recorded<'a, X> {
    capture: &'a Capture<X>,
    session: Session<'a>,
    kept: u32,
    lost: u32,
}

/// Copies that a mirror has made of the frames whose bits are set.
struct Copied<'a, X, F> {
    mirror: &'a Mirror<X>,
    chosen: u32,
    copies: ArrayVec<Option<F>, BURST>,
}

#[inline(never)]
fn show_sending<P: Platform, R>(
    taps: &Taps<P::Filter>,
    sight: Sight,
    frames: &mut ArrayVec<P::Frame, BURST>,
    context: &Context<'_, P>,
    copies: Copies<'_, P::Frame>,
    platform: &mut P,
    hand_over: impl FnOnce(&mut P, &mut ArrayVec<P::Frame, BURST>) -> R,
) -> R {
    let Sight { port, .. } = sight;
    let recorded: ArrayVec<_, MAX_CAPTURES> = taps
        .captures_of(port, Point::Tx)
        .take(MAX_CAPTURES)
        .map(|capture| prepare(capture, frames, port, Point::Tx, context.worker))
        .collect();
    let copied = match &copies {
        Some(_) => copy_ahead(taps, sight, frames, context, platform),
        None => ArrayVec::new(),
    };
    // A frame is known again by where it lies: the device is given no others, and moves none that it leaves.
    let places: ArrayVec<*const u8, BURST> = frames.iter().map(|frame| frame.head().as_ptr()).collect();
    let offered = all(frames);
    let answer = hand_over(platform, frames);
    let stay =
        frames.iter().filter_map(|frame| places.iter().position(|place| *place == frame.head().as_ptr()));
    let taken = stay.fold(offered, |taken, n| taken & !(1 << n));
    for Recorded { capture, session, kept, lost } in recorded {
        let bits = places_of(kept).map(|n| taken >> n & 1 == 1);
        Capture::<P::Filter>::publish(session, (kept & !taken != 0).then_some(bits));
        count_lost(capture, context.worker, port, Point::Tx, lost & taken);
    }
    if let Some(to) = copies {
        for Copied { mirror, chosen, copies } in copied {
            for (_, copy) in places_of(chosen).zip(copies).filter(|(n, _)| taken >> n & 1 == 1) {
                deliver(mirror, copy, port, context, to, platform);
            }
        }
    }
    answer
}

/// Copies, for each mirror, of the frames that it wants if the device takes them.
fn copy_ahead<'t, P: Platform>(
    taps: &'t Taps<P::Filter>,
    sight: Sight,
    frames: &[P::Frame],
    context: &Context<'_, P>,
    platform: &mut P,
) -> ArrayVec<Copied<'t, P::Filter, P::Frame>, MAX_MIRRORS> {
    let Sight { port, .. } = sight;
    let table = context.snapshot.port(port);
    let mut copied = ArrayVec::new();
    for mirror in taps.mirrors.iter().take(MAX_MIRRORS) {
        let wanted = match mirror.from {
            MirrorFrom::Ports { ports, tx: true, .. } if ports.contains(port) => all(frames),
            MirrorFrom::Vlan { vid, tx: true, .. } => {
                let within = |frame: &P::Frame| sent_vid(table, frame.head()) == Some(vid);
                frames.iter().enumerate().fold(0, |bits, (n, frame)| bits | u32::from(within(frame)) << n)
            }
            _ => continue,
        };
        let made = |frame: &P::Frame| is_made(taps, sight, frame, context);
        let made = frames.iter().enumerate().fold(0, |bits, (n, frame)| bits | u32::from(made(frame)) << n);
        let chosen = choose(mirror.filter.as_ref(), frames, wanted & !made);
        let reached = !reached(mirror, context).is_empty();
        let copy = |n: usize| {
            let frame: &P::Frame = &frames[n];
            let unfinished = is_unfinished(frame, port, Point::Tx, context);
            reached.then(|| copy_of(mirror, frame, unfinished, platform)).flatten()
        };
        let copies = places_of(chosen).map(copy);
        copied.push(Copied { mirror, chosen, copies: copies.collect() });
    }
    copied
}

/// Shows frames on their way out of a port that are dropped.
#[inline(always)]
pub(super) fn not_sent<P: Platform>(
    sight: Sight,
    frames: &[P::Frame],
    reason: Reason,
    context: &Context<'_, P>,
    copies: Copies<'_, P::Frame>,
    platform: &mut P,
) {
    if let Some(taps) = context.snapshot.taps().filter(|taps| taps.drops)
        && !frames.is_empty()
    {
        let point = Point::Dropped { reason, inbound: false };
        let made = |frame: &P::Frame| is_made(taps, sight, frame, context);
        show_dropped(taps, frames, sight.port, point, &made, context, copies, platform);
    }
}

/// Counts a frame that has no mark and is dropped on its way out of a port, and shows it.
pub(super) fn dropped<P: Platform>(
    frame: &P::Frame,
    reason: Reason,
    port: PortId,
    context: &Context<'_, P>,
    copies: Copies<'_, P::Frame>,
    platform: &mut P,
) {
    context.stats.count_drops(port, reason, 1);
    let sight = Sight { port, marked: false };
    not_sent(sight, std::slice::from_ref(frame), reason, context, copies, platform);
}

/// Shows a frame that is dropped where it came in.
#[inline(always)]
pub(super) fn refused<P: Platform>(
    ingress: PortId,
    frame: &P::Frame,
    reason: Reason,
    context: &Context<'_, P>,
    copies: Copies<'_, P::Frame>,
    platform: &mut P,
) {
    if let Some(taps) = context.snapshot.taps().filter(|taps| taps.drops) {
        let point = Point::Dropped { reason, inbound: true };
        let table = context.snapshot.port(ingress);
        let made = |frame: &P::Frame| is_brought(taps, table, frame.head());
        let frames = std::slice::from_ref(frame);
        show_dropped(taps, frames, ingress, point, &made, context, copies, platform);
    }
}

#[inline(never)]
fn show_dropped<P: Platform>(
    taps: &Taps<P::Filter>,
    frames: &[P::Frame],
    port: PortId,
    point: Point,
    made: &dyn Fn(&P::Frame) -> bool,
    context: &Context<'_, P>,
    copies: Copies<'_, P::Frame>,
    platform: &mut P,
) {
    record(taps, frames, port, point, context.worker);
    let Some(copies) = copies else { return };
    for mirror in taps.mirrors.iter().filter(|mirror| mirror.from == MirrorFrom::Drops) {
        let not_made = frames.iter().enumerate().filter(|(_, frame)| !made(frame));
        let wanted = not_made.fold(0, |bits, (n, _)| bits | 1 << n);
        mirror_now(mirror, frames, wanted, (port, point), context, copies, platform);
    }
}

/// Has captures record frames.
fn record<F: Frame, X: FrameFilter<F>>(
    taps: &Taps<X>,
    frames: &[F],
    port: PortId,
    point: Point,
    worker: WorkerId,
) {
    for capture in taps.captures_of(port, point) {
        let Recorded { session, lost, .. } = prepare(capture, frames, port, point, worker);
        Capture::<X>::publish(session, None::<std::iter::Empty<bool>>);
        count_lost(capture, worker, port, point, lost);
    }
}

/// Records what a capture wants of these frames, for nobody to see yet.
fn prepare<'c, F: Frame, X: FrameFilter<F>>(
    capture: &'c Capture<X>,
    frames: &[F],
    port: PortId,
    point: Point,
    worker: WorkerId,
) -> Recorded<'c, X> {
    let now = cycles();
    let chosen = choose(capture.filter(), frames, all(frames));
    let mut session = capture.session(worker);
    let added = places_of(chosen).filter(|&n| capture.add(&mut session, &frames[n], (port, point, now)));
    let kept = added.fold(0, |kept, n| kept | 1 << n);
    Recorded { capture, session, kept, lost: chosen & !kept }
}

fn count_lost<X>(capture: &Capture<X>, worker: WorkerId, port: PortId, point: Point, lost: u32) {
    if lost != 0 {
        capture.count_lost(worker, port, point, lost.count_ones().into());
    }
}

/// Sends copies of those of the wanted frames that the mirror chooses.
fn mirror_now<P: Platform>(
    mirror: &Mirror<P::Filter>,
    frames: &[P::Frame],
    wanted: u32,
    (port, point): (PortId, Point),
    context: &Context<'_, P>,
    to: &mut Bursts<P::Frame>,
    platform: &mut P,
) {
    for n in places_of(choose(mirror.filter.as_ref(), frames, wanted)) {
        let reached = !reached(mirror, context).is_empty();
        let unfinished = is_unfinished(&frames[n], port, point, context);
        let copy = reached.then(|| copy_of(mirror, &frames[n], unfinished, platform)).flatten();
        deliver(mirror, copy, port, context, to, platform);
    }
}

/// Whether something is left to do with a frame that is seen there: only a VM's port may bring such frames, and
/// what a frame on its way out says it was left by the switch.
fn is_unfinished<P: Platform>(
    frame: &P::Frame,
    port: PortId,
    point: Point,
    context: &Context<'_, P>,
) -> bool {
    let by_sender = frame.pending().checksum;
    match point {
        Point::Rx | Point::Dropped { inbound: true, .. } => {
            by_sender && context.snapshot.port(port).may_leave_work
        }
        Point::Tx => frame.left().checksum,
        // It may have been dropped before anything was done.
        Point::Dropped { inbound: false, .. } => frame.left().checksum || by_sender,
    }
}

fn choose<F, X: FrameFilter<F>>(filter: Option<&X>, frames: &[F], wanted: u32) -> u32 {
    match filter {
        Some(filter) if wanted != 0 => filter.choose(frames) & wanted,
        _ => wanted,
    }
}

/// A bit for each frame.
fn all<F>(frames: &[F]) -> u32 {
    u32::MAX.checked_shr((BURST - frames.len()) as u32).unwrap_or(0)
}

/// The numbers of the bits that are set.
fn places_of(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (bits != 0).then(|| bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        place
    })
}

/// Whether a mirror made a frame that is to leave a port.
fn is_made<P: Platform>(
    taps: &Taps<P::Filter>,
    sight: Sight,
    frame: &P::Frame,
    context: &Context<'_, P>,
) -> bool {
    (sight.marked && frame.mark().is_mirrored())
        || is_carried(taps, sent_vid(context.snapshot.port(sight.port), frame.head()))
}

/// Whether a mirror may have made a frame that came in, on whichever switch: it came into a VLAN that copies are
/// in, or names one and is refused. A customer's tag names none of ours.
fn is_brought<P: Platform>(taps: &Taps<P::Filter>, table: &PortTable<P>, head: &[u8]) -> bool {
    let is_tunnel = matches!(table.admission, Admission::Tunnel { .. });
    is_carried(taps, sent_vid(table, head)) || (!is_tunnel && is_carried(taps, outer_vid(head)))
}

/// Whether a VLAN is one that mirrors' copies are in.
fn is_carried<X>(taps: &Taps<X>, vid: Option<Vid>) -> bool {
    vid.is_some_and(|vid| taps.carriers.contains(vid.value()))
}

/// The VLAN that the outer tag names, if there is a whole one.
fn outer_vid(head: &[u8]) -> Option<Vid> {
    let &[a, b, c, d, _, _] = head.get(12..18)?.first_chunk()?;
    Tpid::from_ethertype(u16::from_be_bytes([a, b]))?;
    Vid::new(u16::from_be_bytes([c, d]) & 0xfff)
}

/// The VLAN that a frame is in which leaves or comes in at a port like this, by what it says to whoever receives
/// it.
fn sent_vid<P: Platform>(table: &PortTable<P>, head: &[u8]) -> Option<Vid> {
    match table.admission {
        Admission::Access { vid } | Admission::Tunnel { vid, .. } => Some(vid),
        Admission::Trunk { native } => outer_vid(head).or(native),
        Admission::Nothing => None,
    }
}
