//! Reads each frame's addresses and outer tag, and refuses what no bridge may relay.
//!
//! Batch: every frame alone. Reads the header; writes the lanes `destination`, `source`, `outer` and
//! `verdict`. Drops: [`Reason::Runt`], [`Reason::HeaderSplit`], [`Reason::Oversize`],
//! [`Reason::SourceMulticast`], [`Reason::SourceZero`], [`Reason::BridgeReserved`]. Counts what came
//! in, whatever becomes of it.

use pollux_net::{ETHERNET_HEADER_LEN, Frame, Mac, Tag, Tci, Tpid};

use super::batch::{Batch, Lane, Verdict};
use super::platform::Platform;
use crate::{Reason, Snapshot, WorkerStats};

const TAGGED_HEADER_LEN: usize = ETHERNET_HEADER_LEN + Tag::LEN;

pub(super) fn parse<P: Platform>(batch: &mut Batch<P::Frame>, snapshot: &Snapshot<P>, stats: &WorkerStats) {
    let ingress = batch.ingress;
    let table = snapshot.port(ingress);
    let max_len = table.max_len;
    let mut bytes = 0;
    for (frame, lane) in batch.iter_mut() {
        let len = frame.len();
        bytes += len as u64;
        lane.verdict = match header(frame, len, lane) {
            // One branch for what hardly ever happens; which it was is looked at when it has.
            Ok(())
                if (len > max_len)
                    | !lane.source.is_valid_source()
                    | lane.destination.is_bridge_reserved() =>
            {
                // What may be longer than a wire allows is offload's to judge.
                let too_long =
                    len > max_len && !(table.may_leave_work && frame.pending().segment_len.is_some());
                fault(too_long, lane).map_or(Verdict::Pending, Verdict::Drop)
            }
            Ok(()) => Verdict::Pending,
            Err(reason) => Verdict::Drop(reason),
        };
    }
    stats.count_rx(ingress, batch.frames.len() as u64, bytes);
}

#[cold]
fn fault(too_long: bool, lane: &Lane) -> Option<Reason> {
    if too_long {
        Some(Reason::Oversize)
    } else if lane.source.is_multicast() {
        Some(Reason::SourceMulticast)
    } else if lane.source.is_zero() {
        Some(Reason::SourceZero)
    } else {
        lane.destination.is_bridge_reserved().then_some(Reason::BridgeReserved)
    }
}

#[inline(always)]
fn header<F: Frame>(frame: &F, len: usize, lane: &mut Lane) -> Result<(), Reason> {
    let Some(head) = frame.head().first_chunk::<TAGGED_HEADER_LEN>() else {
        return short_header(frame, len, lane);
    };
    // The tag, or the EtherType and what is behind it, is the last half of this word.
    let tag = word::<8>(head) as u32;
    lane.destination = Mac::from_u64(word::<0>(head) >> 16);
    lane.source = Mac::from_u64(word::<4>(head));
    lane.outer =
        Tpid::from_ethertype((tag >> 16) as u16).map(|tpid| Tag { tpid, tci: Tci::from_bits(tag as u16) });
    Ok(())
}

/// Eight octets at once: three overlapping words hold all there is to know, where field by field the
/// compiler would assemble each of octets.
#[inline(always)]
fn word<const FROM: usize>(head: &[u8; TAGGED_HEADER_LEN]) -> u64 {
    let octets = head[FROM..].first_chunk().expect("a word within the header");
    u64::from_be_bytes(*octets)
}

/// A frame of 14 to 17 octets has a header too, if it has no tag.
#[cold]
fn short_header<F: Frame>(frame: &F, len: usize, lane: &mut Lane) -> Result<(), Reason> {
    let head = frame.head();
    if len >= TAGGED_HEADER_LEN && head.len() < TAGGED_HEADER_LEN {
        return Err(Reason::HeaderSplit);
    }
    let Some(&[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, e0, e1]) = head.first_chunk() else {
        return Err(if len < ETHERNET_HEADER_LEN { Reason::Runt } else { Reason::HeaderSplit });
    };
    if Tpid::from_ethertype(u16::from_be_bytes([e0, e1])).is_some() {
        return Err(Reason::Runt);
    }
    lane.destination = Mac::new([d0, d1, d2, d3, d4, d5]);
    lane.source = Mac::new([s0, s1, s2, s3, s4, s5]);
    lane.outer = None;
    Ok(())
}
