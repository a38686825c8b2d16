//! How the data path sees an mbuf.

use std::ptr;

use dpdk_sys as sys;
use pollux_net::{Frame, Tag, Tci};

use crate::Mbuf;
use crate::segment::Segment;

/// Octets of the two addresses, in front of a tag.
const ADDRESSES: u16 = 12;
const TAG: u16 = Tag::LEN as u16;

impl Frame for Mbuf {
    #[inline(always)]
    fn len(&self) -> usize {
        self.segment().pkt_len() as usize
    }

    #[inline(always)]
    fn head(&self) -> &[u8] {
        let first = self.segment();
        // SAFETY: data and data_len describe initialised memory of the first segment, which the frame
        // keeps alive and, while it is borrowed, unwritten.
        unsafe { std::slice::from_raw_parts(first.data(), usize::from(first.data_len())) }
    }

    #[inline]
    fn push_tag(&mut self, tag: Tag) -> bool {
        let first = self.segment();
        let (offset, len) = (first.data_off(), first.data_len());
        if len < ADDRESSES || !first.is_exclusive() {
            return false;
        }
        let data = first.data();
        if offset >= TAG {
            first.set_data_off(offset - TAG);
            // SAFETY: there are four octets in front of the data, so source and target lie within the
            // buffer; nobody else can reach it.
            unsafe { ptr::copy(data, data.sub(TAG.into()), ADDRESSES.into()) };
        } else if first.tailroom() >= TAG {
            // SAFETY: there are four octets behind the data, so source and target lie within the
            // buffer; nobody else can reach it.
            unsafe {
                let rest = data.add(ADDRESSES.into());
                ptr::copy(rest, rest.add(TAG.into()), (len - ADDRESSES).into());
            }
        } else {
            return false;
        }
        first.set_data_len(len + TAG);
        first.set_pkt_len(first.pkt_len() + u32::from(TAG));
        write_tag(first, tag);
        header_changed(first, i64::from(TAG));
        true
    }

    #[inline]
    fn pop_tag(&mut self) -> bool {
        let first = self.segment();
        let len = first.data_len();
        if len < ADDRESSES + TAG + 2 || !first.is_exclusive() {
            return false;
        }
        let data = first.data();
        // SAFETY: source and target are the first 16 octets of the data, of which there are 18 or more;
        // nobody else can reach them.
        unsafe { ptr::copy(data, data.add(TAG.into()), ADDRESSES.into()) };
        first.set_data_off(first.data_off() + TAG);
        first.set_data_len(len - TAG);
        first.set_pkt_len(first.pkt_len() - u32::from(TAG));
        header_changed(first, -i64::from(TAG));
        true
    }

    #[inline]
    fn set_tci(&mut self, tci: Tci) -> bool {
        let octets = self.head_mut().and_then(|head| head.get_mut(14..16));
        octets.map(|octets| octets.copy_from_slice(&tci.bits().to_be_bytes())).is_some()
    }
}

fn write_tag(first: Segment, tag: Tag) {
    let word = u32::from(tag.tpid.ethertype()) << 16 | u32::from(tag.tci.bits());
    // SAFETY: the data has 16 octets or more after a push, and nobody else can reach them.
    unsafe {
        let place = first.data().add(ADDRESSES.into()).cast::<u32>();
        place.write_unaligned(word.to_be());
    }
}

/// Corrects what the mbuf says about its header.
#[inline(always)]
fn header_changed(first: Segment, by: i64) {
    // What the device found out at reception (the kind of L2 header among it) no longer holds.
    first.clear_packet_type();
    // The second cache line is touched only where a device was asked to finish the frame.
    if first.ol_flags() & sys::SHIM_MBUF_TX_OFFLOAD_MASK != 0 {
        const MASK: u64 = (1 << sys::SHIM_MBUF_L2_LEN_BITS) - 1;
        let lengths = first.tx_offload();
        let l2_len = (lengths & MASK).saturating_add_signed(by).min(MASK);
        first.set_tx_offload(lengths & !MASK | l2_len);
    }
}
