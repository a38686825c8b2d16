//! Does what a frame's sender left to do, where the port it leaves by doesn't.
//!
//! Batch: one frame, tags set, on its way to one port's outbox; it stays one, or becomes several in order.
//! Drops, on the egress port: [`Reason::MtuExceeded`], [`Reason::NoMbuf`], [`Reason::NoHeadroom`].

use pollux_net::{Frame, PortId, Transport};

use super::Context;
use super::cut::cut;
use super::offload::Offload;
use super::outbox::Way;
use super::platform::Platform;
use super::tap;
use crate::Reason;

/// Puts `frame`, which came from `ingress`, into the outbox of `port`.
pub(super) fn finish<P: Platform>(
    mut frame: P::Frame,
    offload: &Offload,
    ingress: PortId,
    port: PortId,
    context: &Context<'_, P>,
    way: &mut Way<'_, P::Frame>,
    platform: &mut P,
) {
    let &Offload { transport, segment_len } = offload;
    if offload.wire_len(frame.len()) > context.snapshot.port(port).max_len {
        return tap::dropped(&frame, Reason::MtuExceeded, port, context, way.copies.as_deref_mut(), platform);
    }
    let offloads = platform.offloads(port);
    let takes = match segment_len {
        Some(_) => offloads.tso(transport.version),
        None => offloads.checksum,
    };
    if takes && !transport.has_extensions {
        frame.leave_pending(&transport, segment_len);
    } else if segment_len.is_some() {
        context.stats.count_replicated(ingress, offload.frames() as u64 - 1);
        let mark = frame.mark();
        return cut(&frame, offload, platform, |platform, piece| match piece {
            Some(mut piece) => {
                piece.set_mark(mark);
                way.room(port, context, platform);
                way.extend(port, std::iter::once(piece));
            }
            // In place of a piece that isn't there, the whole is shown.
            None => tap::dropped(&frame, Reason::NoMbuf, port, context, way.copies.as_deref_mut(), platform),
        });
    } else if !set_checksum(&mut frame, &transport) {
        return tap::dropped(&frame, Reason::NoHeadroom, port, context, way.copies.as_deref_mut(), platform);
    }
    way.room(port, context, platform);
    way.add_long(port, frame, context, platform);
}

/// Computes the checksum and writes it. Returns `false` if the frame's memory is shared.
fn set_checksum<F: Frame>(frame: &mut F, transport: &Transport) -> bool {
    let (start, end) = (usize::from(transport.header), transport.end as usize);
    if !write(frame, transport, [0; 2]) {
        return false;
    }
    let mut checksum = transport.pseudo_header(frame.head(), end - start);
    let mut at = 0;
    for piece in frame.pieces() {
        let within = |place: usize| place.saturating_sub(at).min(piece.len());
        checksum.add(&piece[within(start)..within(end)]);
        at += piece.len();
    }
    write(frame, transport, transport.stored(checksum))
}

fn write<F: Frame>(frame: &mut F, transport: &Transport, checksum: [u8; 2]) -> bool {
    let field = frame.head_mut().and_then(|head| head.get_mut(transport.checksum_place()));
    field.map(|field| field.copy_from_slice(&checksum)).is_some()
}
