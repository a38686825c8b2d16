//! A frame in DPDK's memory, with one owner.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use arrayvec::ArrayVec;
use dpdk_sys as sys;

use crate::Mempool;
use crate::segment::Segment;

/// A frame in DPDK's memory. It has one owner: whoever holds it, then the device that it is
/// transmitted to. Dropping it returns it to its pool.
///
/// A transmitted frame can't be touched any more:
///
/// ```compile_fail,E0382
/// # fn f(queue: &mut dpdk::TxQueue, mbuf: dpdk::Mbuf) {
/// let mut burst = arrayvec::ArrayVec::<_, 1>::from([mbuf]);
/// queue.transmit(&mut burst);
/// println!("{}", mbuf.segment_count());
/// # }
/// ```
#[repr(transparent)]
pub struct Mbuf(NonNull<sys::rte_mbuf>);

// SAFETY: an Mbuf is the only handle on its frame's fields, so the thread that holds it has them to
// itself. What is shared, the buffers' reference counts and the pool, DPDK accesses atomically.
unsafe impl Send for Mbuf {}
// SAFETY: through a shared reference fields and data are only read; the reference count, which another
// Mbuf that shares a buffer may change, is read atomically.
unsafe impl Sync for Mbuf {}

impl Mbuf {
    /// The most octets that a frame can have here: 1 MiB, more than any device takes.
    pub const MAX_LEN: usize = 1 << 20;

    /// An empty frame; `None` if the pool is empty.
    #[inline]
    pub fn new(pool: &Mempool) -> Option<Self> {
        // SAFETY: the pool lives as long as `pool`.
        NonNull::new(unsafe { sys::shim_mbuf_alloc(pool.raw()) }).map(Self)
    }

    /// Fills the spare capacity of `burst` with empty frames: all of it, or nothing if the pool has not
    /// that many. Returns whether it did.
    pub fn new_burst<const N: usize>(pool: &Mempool, burst: &mut ArrayVec<Self, N>) -> bool {
        Self::new_some(pool, burst, N)
    }

    /// Adds `count` empty frames to `burst`, or as many as it has room for: all of them, or none if the pool has
    /// not that many. Returns whether it did.
    #[inline]
    pub fn new_some<const N: usize>(pool: &Mempool, burst: &mut ArrayVec<Self, N>, count: usize) -> bool {
        let len = burst.len();
        let count = count.min(N - len);
        // SAFETY: `count` pointers fit behind the first `len`, and Mbuf is a pointer (transparent). On
        // success all of them are written, each an mbuf with one owner.
        unsafe {
            let spare = burst.as_mut_ptr().add(len).cast::<*mut sys::rte_mbuf>();
            let done = sys::shim_mbuf_alloc_bulk(pool.raw(), spare, count as u32) == 0;
            if done {
                burst.set_len(len + count);
            }
            done
        }
    }

    /// Makes an empty frame `len` octets long, whatever they are: what was last written where it lies, or zeros.
    /// Returns them, to write. So who sends frames of which the first octets alone matter needn't write the
    /// others. `None`, and the frame is as it was, if it isn't empty, lies in
    /// several segments, has no room for so many octets, or shares its memory with another owner.
    #[inline(always)]
    pub fn claim(&mut self, len: usize) -> Option<&mut [u8]> {
        let first = self.segment();
        let room = usize::from(first.tailroom());
        if len > room || first.pkt_len() != 0 || first.nb_segs() != 1 || !first.is_exclusive() {
            return None;
        }
        // It is at most a buffer's length, which fits.
        first.set_data_len(len as u16);
        first.set_pkt_len(len as u32);
        // SAFETY: `len` octets lie within the buffer, as just checked, and nobody else in this process can reach
        // them; a device or a peer that shares the memory keeps away from a frame that it wasn't given, as for
        // every frame. They are initialised: the buffer is part of a pool, whose memory the system mapped for
        // DPDK, and what is mapped holds zeros until it is written. The slice borrows `self` mutably.
        Some(unsafe { std::slice::from_raw_parts_mut(first.data(), len) })
    }

    /// A frame with these octets, in as many segments as they need; `None` if the pool has not enough,
    /// or they are more than [`MAX_LEN`](Self::MAX_LEN).
    pub fn from_slice(pool: &Mempool, octets: &[u8]) -> Option<Self> {
        let mut frame = Self::new(pool)?;
        frame.append(pool, octets).then_some(frame)
    }

    /// Adds octets at the end, in further segments from `pool` if need be. Returns `false`, and leaves
    /// the frame as it was, if the pool has not enough, the frame would exceed
    /// [`MAX_LEN`](Self::MAX_LEN), or its memory is shared with another owner.
    #[must_use]
    pub fn append(&mut self, pool: &Mempool, octets: &[u8]) -> bool {
        let first = self.segment();
        let total = first.pkt_len() as usize + octets.len();
        let last = first.last();
        if total > Self::MAX_LEN || !first.is_exclusive() || !last.is_exclusive() {
            return false;
        }
        let (here, more) = octets.split_at(octets.len().min(usize::from(last.tailroom())));
        // The segments that hold the rest, made before anything changes: dropping them undoes it.
        let mut rest: Option<Self> = None;
        for chunk in more.chunks(usize::from(pool.data_room())) {
            let Some(segment) = Self::new(pool) else {
                return false;
            };
            fill(segment.segment(), chunk);
            segment.segment().set_pkt_len(chunk.len() as u32);
            match &mut rest {
                None => rest = Some(segment),
                Some(head) => head.chain(segment),
            }
        }
        fill(last, here);
        first.set_pkt_len(first.pkt_len() + here.len() as u32);
        if let Some(rest) = rest {
            self.chain(rest);
        }
        true
    }

    /// Puts another frame's segments behind this one's.
    fn chain(&mut self, tail: Self) {
        let first = self.segment();
        let added = tail.segment();
        first.last().set_next_raw(added.raw().as_ptr());
        // Both counts are bounded by MAX_LEN over the smallest data room, 64 octets.
        first.set_nb_segs(first.nb_segs() + added.nb_segs());
        first.set_pkt_len(first.pkt_len() + added.pkt_len());
        added.set_nb_segs(1);
        std::mem::forget(tail);
    }

    /// A copy that shares nothing with this frame, its memory from `pool`; `None` if the pool is empty.
    #[inline]
    pub fn copy(&self, pool: &Mempool) -> Option<Self> {
        // SAFETY: the frame is alive and so is the pool; a length of all ones means "to the end".
        let copy = unsafe { sys::rte_pktmbuf_copy(self.0.as_ptr(), pool.raw(), 0, u32::MAX) };
        match NonNull::new(copy) {
            Some(copy) => Some(Self(copy)),
            // DPDK finds nothing to copy in an empty frame.
            None if self.segment().pkt_len() == 0 => Self::new(pool),
            None => None,
        }
    }

    /// As [`copy`](Self::copy), of the first `len` octets, or as many as there are.
    #[inline]
    pub fn copy_start(&self, pool: &Mempool, len: usize) -> Option<Self> {
        // DPDK reads none as all.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        if len == 0 || self.segment().pkt_len() == 0 {
            return Self::new(pool);
        }
        // SAFETY: the frame is alive and so is the pool.
        NonNull::new(unsafe { sys::rte_pktmbuf_copy(self.0.as_ptr(), pool.raw(), 0, len) }).map(Self)
    }

    /// How many segments the frame lies in.
    #[inline]
    pub fn segment_count(&self) -> usize {
        usize::from(self.segment().nb_segs())
    }

    /// The frame's octets, segment by segment.
    pub fn segments(&self) -> Segments<'_> {
        Segments { next: Some(self.segment()), _frame: PhantomData }
    }

    /// The frame's octets in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.segments().flatten().copied().collect()
    }

    /// The first segment's octets, to write; `None` if its memory is shared with another owner.
    #[inline]
    pub fn head_mut(&mut self) -> Option<&mut [u8]> {
        let first = self.segment();
        // SAFETY: data and data_len describe initialised memory of the buffer, which nobody else can
        // reach; the slice borrows `self` mutably.
        first
            .is_exclusive()
            .then(|| unsafe { std::slice::from_raw_parts_mut(first.data(), usize::from(first.data_len())) })
    }

    /// The hash that the device computed over the frame's addresses, if it did.
    #[inline]
    pub fn rss_hash(&self) -> Option<u32> {
        let first = self.segment();
        (first.ol_flags() & sys::SHIM_MBUF_RX_RSS_HASH != 0).then(|| first.rss_hash())
    }

    /// Asks the processor to bring the frame's first octets close.
    #[inline(always)]
    pub fn prefetch(&self) {
        // SAFETY: only the address is used, and a prefetch of any address is harmless.
        pollux_cpu::prefetch(unsafe { &*self.segment().data().cast::<std::mem::MaybeUninit<u8>>() });
    }

    /// Returns all frames of a burst to their pools; cheaper than dropping them one by one.
    #[inline]
    pub fn free_burst<const N: usize>(burst: &mut ArrayVec<Self, N>) {
        let n = burst.len();
        // SAFETY: the first `n` are frames that the array owns; with its length 0 it no longer does.
        unsafe {
            burst.set_len(0);
            sys::rte_pktmbuf_free_bulk(burst.as_mut_ptr().cast(), n as u32);
        }
    }

    #[inline(always)]
    pub(crate) fn segment(&self) -> Segment {
        // SAFETY: the frame is alive and this handle is the only one; what writes through the segment
        // in this crate does so with `&mut self`.
        unsafe { Segment::new(self.0) }
    }
}

/// Writes octets behind a segment's data; they must fit. The frame's length is the caller's to set.
fn fill(segment: Segment, octets: &[u8]) {
    assert!(octets.len() <= usize::from(segment.tailroom()), "more octets than a segment has room for");
    // SAFETY: the target lies behind the data and within the buffer, as just asserted. The callers have
    // the frame to themselves, so `octets`, a borrow, can't lie in it.
    unsafe {
        let end = segment.data().add(usize::from(segment.data_len()));
        end.copy_from_nonoverlapping(octets.as_ptr(), octets.len());
    }
    segment.set_data_len(segment.data_len() + octets.len() as u16);
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the frame is alive, this handle is its only owner, and it ends here.
        unsafe { sys::shim_mbuf_free(self.0.as_ptr()) };
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mbuf")
            .field("len", &self.segment().pkt_len())
            .field("segments", &self.segment_count())
            .finish_non_exhaustive()
    }
}

/// A frame's segments, in order.
pub struct Segments<'a> {
    next: Option<Segment>,
    _frame: PhantomData<&'a Mbuf>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let segment = self.next?;
        self.next = segment.next();
        // SAFETY: data and data_len describe initialised memory of a segment of the frame, which is
        // borrowed for 'a and so neither written nor freed.
        Some(unsafe { std::slice::from_raw_parts(segment.data(), usize::from(segment.data_len())) })
    }
}
