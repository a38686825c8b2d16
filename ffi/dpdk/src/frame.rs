//! How the data path sees an mbuf.

use std::num::NonZeroU16;
use std::ptr;

use dpdk_sys as sys;
use pollux_net::{Frame, IpVersion, Mark, Pending, Protocol, Tag, Tci, Transport};

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
    fn head_mut(&mut self) -> Option<&mut [u8]> {
        Mbuf::head_mut(self)
    }

    #[inline]
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.segments()
    }

    /// Has a meaning for frames received from a vhost port alone, which says of a frame that its checksum
    /// is absent and that it is longer than the wire's.
    #[inline(always)]
    fn pending(&self) -> Pending {
        let first = self.segment();
        let flags = first.ol_flags();
        if flags & sys::SHIM_MBUF_RX_CHECKSUM_MASK != sys::SHIM_MBUF_RX_CHECKSUM_NONE {
            return Pending::NOTHING;
        }
        let segment_len = if flags & sys::SHIM_MBUF_RX_LRO == 0 {
            None
        } else {
            NonZeroU16::new((first.tx_offload() >> sys::SHIM_MBUF_SEGMENT_LEN_SHIFT) as u16)
        };
        Pending { checksum: true, segment_len }
    }

    fn leave_pending(&mut self, transport: &Transport, segment_len: Option<NonZeroU16>) {
        let version = match transport.version {
            IpVersion::V4 => sys::SHIM_MBUF_TX_IPV4,
            IpVersion::V6 => sys::SHIM_MBUF_TX_IPV6,
        };
        let checksum = match (segment_len, transport.protocol) {
            (Some(_), _) => sys::SHIM_MBUF_TX_TCP_SEGMENTS | sys::SHIM_MBUF_TX_TCP_CHECKSUM,
            (None, Protocol::Tcp) => sys::SHIM_MBUF_TX_TCP_CHECKSUM,
            (None, Protocol::Udp) => sys::SHIM_MBUF_TX_UDP_CHECKSUM,
        };
        let lengths = [
            (transport.network, sys::SHIM_MBUF_L2_LEN_SHIFT),
            (transport.header - transport.network, sys::SHIM_MBUF_L3_LEN_SHIFT),
            (transport.payload - transport.header, sys::SHIM_MBUF_L4_LEN_SHIFT),
            (segment_len.map_or(0, NonZeroU16::get), sys::SHIM_MBUF_SEGMENT_LEN_SHIFT),
        ];
        let first = self.segment();
        let received = first.ol_flags() & !(sys::SHIM_MBUF_RX_CHECKSUM_MASK | sys::SHIM_MBUF_RX_LRO);
        first.set_ol_flags(received & !sys::SHIM_MBUF_TX_OFFLOAD_MASK | version | checksum);
        first.set_tx_offload(lengths.iter().fold(0, |word, &(len, shift)| word | u64::from(len) << shift));
    }

    fn left(&self) -> Pending {
        let first = self.segment();
        let left = first.ol_flags() & sys::SHIM_MBUF_TX_OFFLOAD_MASK;
        if left == 0 {
            return Pending::NOTHING;
        }
        let cut = left & sys::SHIM_MBUF_TX_TCP_SEGMENTS != 0;
        let segment_len = (first.tx_offload() >> sys::SHIM_MBUF_SEGMENT_LEN_SHIFT) as u16;
        Pending { checksum: true, segment_len: NonZeroU16::new(segment_len).filter(|_| cut) }
    }

    fn forget_pending(&mut self) {
        const LEFT: u64 =
            sys::SHIM_MBUF_RX_CHECKSUM_MASK | sys::SHIM_MBUF_RX_LRO | sys::SHIM_MBUF_TX_OFFLOAD_MASK;
        let first = self.segment();
        first.set_ol_flags(first.ol_flags() & !LEFT);
    }

    #[inline(always)]
    fn mark(&self) -> Mark {
        Mark::from_bits(self.segment().mark())
    }

    /// Lies where DPDK keeps the traffic class of frames on their way to a scheduler.
    #[inline(always)]
    fn set_mark(&mut self, mark: Mark) {
        self.segment().set_mark(mark.bits());
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
        // What the device found out at reception, the kind of L2 header among it, no longer holds.
        first.clear_packet_type();
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
        first.clear_packet_type();
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
