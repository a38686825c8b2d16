//! Reads what VMs left to others: checksums, and the cutting of frames that no wire carries whole (virtio
//! 1.2, clause 5.1.6.2).
//!
//! Batch: every frame alone; nothing where the port's frames come as from a wire. Reads headers and the
//! lane `verdict`; writes `verdict` and, beside the lanes, what is left of which frame. Drops:
//! [`Reason::BadOffload`], [`Reason::Oversize`]. What is left is done at egress, by the port or by us.

use std::num::NonZeroU16;

use pollux_net::{Frame, Transport};

use super::batch::{Batch, Verdict};
use super::platform::Platform;
use crate::{Reason, Snapshot};

/// The least payload that a VM may have its frames cut to: what Linux takes as the least segment of a
/// connection. It bounds how many frames one can become.
const MIN_SEGMENT_LEN: u16 = 48;

/// Octets of headers that a frame to be cut may have: three tags, IP and TCP with all their options, and
/// some extension headers.
pub(super) const MAX_HEADERS: usize = 256;

/// What the sender of a frame left, and where.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offload {
    /// Where the checksum is, and over what.
    pub(crate) transport: Transport,
    /// The payload of each frame that it is to be cut into.
    pub(crate) segment_len: Option<NonZeroU16>,
}

impl Offload {
    /// Octets of the longest frame that leaves for a wire, of one that has `len` now.
    pub(crate) fn wire_len(&self, len: usize) -> usize {
        let whole =
            self.segment_len.filter(|segment| usize::from(segment.get()) < self.transport.payload_len());
        whole.map_or(len, |segment| usize::from(self.transport.payload) + usize::from(segment.get()))
    }

    /// The same once the frame's tags are `by` octets longer.
    pub(super) fn shifted(&self, by: isize) -> Self {
        Self { transport: self.transport.shifted(by), ..*self }
    }

    /// How many frames it is on a wire.
    pub(crate) fn frames(&self) -> usize {
        let payload = self.transport.payload_len();
        self.segment_len.map_or(1, |segment| payload.div_ceil(segment.get().into()).max(1))
    }
}

pub(super) fn offload<P: Platform>(batch: &mut Batch<P::Frame>, snapshot: &Snapshot<P>) {
    batch.unfinished = 0;
    let table = snapshot.port(batch.ingress);
    if !table.may_leave_work {
        return;
    }
    // Hardly any batch has one, and those of small frames can least afford to be looked at closely.
    if batch.frames.iter().any(|frame| frame.pending().checksum) {
        look_closely(batch, table.max_len);
    }
}

#[inline(never)]
fn look_closely<F: Frame>(batch: &mut Batch<F>, max_len: usize) {
    let lanes = batch.lanes.iter_mut().zip(&mut batch.offloads);
    for (index, (frame, (lane, offload))) in batch.frames.iter().zip(lanes).enumerate() {
        let pending = frame.pending();
        if !pending.checksum || lane.verdict != Verdict::Pending {
            continue;
        }
        match read(frame, pending.segment_len) {
            Some(read) if read.wire_len(frame.len()) <= max_len => {
                *offload = read;
                batch.unfinished |= 1 << index;
            }
            Some(_) => lane.verdict = Verdict::Drop(Reason::Oversize),
            None => lane.verdict = Verdict::Drop(Reason::BadOffload),
        }
    }
}

/// Finds out where the work is; `None` if the frame's headers don't fit it.
pub(super) fn read<F: Frame>(frame: &F, segment_len: Option<NonZeroU16>) -> Option<Offload> {
    let transport = Transport::find(frame.head(), frame.len())?;
    if let Some(segment) = segment_len {
        let tcp = transport.protocol == pollux_net::Protocol::Tcp;
        let headers = usize::from(transport.payload);
        if !tcp || segment.get() < MIN_SEGMENT_LEN || headers > MAX_HEADERS {
            return None;
        }
    }
    Some(Offload { transport, segment_len })
}
