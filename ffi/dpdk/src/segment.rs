//! The fields of one segment of an mbuf, by their offsets.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use dpdk_sys as sys;

/// A segment that is alive: whoever makes one vouches for that, and for the right to write where it
/// writes. Copies are the same segment.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Segment(NonNull<sys::rte_mbuf>);

macro_rules! fields {
    ($($get:ident $($set:ident)? = $offset:ident: $type:ty;)*) => {
        $(
            #[inline(always)]
            pub(crate) fn $get(self) -> $type {
                // SAFETY: the segment is alive by `new`'s contract, and this is where DPDK's own
                // headers say that a field of this type lies.
                unsafe { self.0.as_ptr().byte_add(sys::$offset as usize).cast::<$type>().read() }
            }

            $(
                #[inline(always)]
                pub(crate) fn $set(self, value: $type) {
                    // SAFETY: as for reading; the right to write is in `new`'s contract too.
                    unsafe { self.0.as_ptr().byte_add(sys::$offset as usize).cast::<$type>().write(value) }
                }
            )?
        )*
    };
}

impl Segment {
    /// # Safety
    ///
    /// For as long as the value or a copy is used, the segment is alive, and nobody else writes the
    /// fields that are read, nor uses those that are written.
    #[inline(always)]
    pub(crate) unsafe fn new(mbuf: NonNull<sys::rte_mbuf>) -> Self {
        Self(mbuf)
    }

    fields! {
        buf_addr = SHIM_MBUF_BUF_ADDR: *mut u8;
        data_off set_data_off = SHIM_MBUF_DATA_OFF: u16;
        nb_segs set_nb_segs = SHIM_MBUF_NB_SEGS: u16;
        ol_flags set_ol_flags = SHIM_MBUF_OL_FLAGS: u64;
        pkt_len set_pkt_len = SHIM_MBUF_PKT_LEN: u32;
        data_len set_data_len = SHIM_MBUF_DATA_LEN: u16;
        rss_hash = SHIM_MBUF_RSS: u32;
        mark set_mark = SHIM_MBUF_CLASS: u8;
        buf_len = SHIM_MBUF_BUF_LEN: u16;
        next_raw set_next_raw = SHIM_MBUF_NEXT: *mut sys::rte_mbuf;
        tx_offload set_tx_offload = SHIM_MBUF_TX_OFFLOAD: u64;
    }

    /// Forgets what the device found out about the frame's headers.
    #[inline(always)]
    pub(crate) fn clear_packet_type(self) {
        // SAFETY: the segment is alive and the caller may write; a u32 lies there.
        unsafe {
            let place = self.0.as_ptr().byte_add(sys::SHIM_MBUF_PACKET_TYPE as usize);
            place.cast::<u32>().write(0);
        }
    }

    #[inline(always)]
    pub(crate) fn raw(self) -> NonNull<sys::rte_mbuf> {
        self.0
    }

    /// Where the segment's data starts.
    #[inline(always)]
    pub(crate) fn data(self) -> *mut u8 {
        // SAFETY: data_off is at most buf_len, the size of the buffer at buf_addr.
        unsafe { self.buf_addr().add(usize::from(self.data_off())) }
    }

    /// Octets free behind the data.
    #[inline(always)]
    pub(crate) fn tailroom(self) -> u16 {
        self.buf_len() - self.data_off() - self.data_len()
    }

    #[inline(always)]
    pub(crate) fn next(self) -> Option<Self> {
        // What a live segment refers to is alive.
        NonNull::new(self.next_raw()).map(Self)
    }

    pub(crate) fn last(self) -> Self {
        std::iter::successors(Some(self), |segment| segment.next()).last().unwrap_or(self)
    }

    /// Whether nobody else can reach the segment's data.
    #[inline(always)]
    pub(crate) fn is_exclusive(self) -> bool {
        const SHARED: u64 = sys::SHIM_MBUF_INDIRECT | sys::SHIM_MBUF_EXTERNAL;
        // SAFETY: the segment is alive, the counter lies there, and everybody accesses it atomically.
        let owners =
            unsafe { AtomicU16::from_ptr(self.0.as_ptr().byte_add(sys::SHIM_MBUF_REFCNT as usize).cast()) };
        owners.load(Ordering::Acquire) == 1 && self.ol_flags() & SHARED == 0
    }
}
