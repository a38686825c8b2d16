//! A VM's ring, and where in it the library reads next.
//!
//! A VM writes its ring on another CPU, so each line of it that the library reads is a miss of several
//! hundred cycles, taken while the ring is locked. Whoever knows beforehand which ring comes next can
//! have those lines fetched while it does other work. Only addresses are kept here, and nothing is read
//! through them: the VM may be gone, and its memory with it, at any time. The VM also names the file by
//! which it is told of used entries, and that must not be one that a worker waits for.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use dpdk_sys as sys;

/// Frames for which lines are asked: what the library takes from a ring at once.
const AHEAD: usize = 32;

/// Octets of an entry of the available ring; two 16-bit words, flags and index, stand before the first
/// (virtio 1.1, clause 2.6.6).
const AVAILABLE_ENTRY: usize = 2;
const AVAILABLE_HEADER: usize = 4;

/// Octets of a descriptor, in split and packed rings alike (clauses 2.6.5 and 2.7.13).
const DESCRIPTOR: usize = 16;

const LINE: usize = 64;

/// One ring, on a cache line of its own. The callbacks write everything but `position`, which belongs to
/// the thread that uses the ring's queue; the callbacks set it when the VM sets up its rings.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct VhostRing {
    descriptors: AtomicUsize,
    available: AtomicUsize,
    /// Entries, 0 while there is no ring.
    size: AtomicU16,
    /// The entry that the library reads next, over all rounds. A frame in several descriptors counts as
    /// one, so that it is a guess in packed rings and in the descriptor table; a wrong one costs time only.
    position: AtomicU16,
}

impl VhostRing {
    /// Entries, 0 while there is no ring.
    pub(crate) fn size(&self) -> u16 {
        self.size.load(Ordering::Acquire)
    }

    /// Asks the library for ring `index` of device `vid`. Only in a callback, which the library makes
    /// between making the device and freeing it, on the same thread.
    pub(crate) fn note(&self, vid: i32, index: u16) {
        let mut ring = sys::shim_vhost_ring::default();
        // SAFETY: takes any numbers, and writes `ring` only; the device can't be freed meanwhile.
        if unsafe { sys::shim_vhost_ring_get(vid, index, &mut ring) } != 0 {
            return self.forget();
        }
        if ring.call >= 0 {
            never_wait(ring.call);
        }
        self.descriptors.store(ring.descriptors, Ordering::Relaxed);
        self.available.store(ring.available, Ordering::Relaxed);
        self.position.store(ring.position, Ordering::Relaxed);
        self.size.store(ring.size, Ordering::Release);
    }

    pub(crate) fn forget(&self) {
        self.size.store(0, Ordering::Release);
    }

    /// The library has used `frames` entries.
    #[inline(always)]
    pub(crate) fn advance(&self, frames: usize) {
        let position = self.position.load(Ordering::Relaxed);
        self.position.store(position.wrapping_add(frames as u16), Ordering::Relaxed);
    }

    /// Has the lines fetched that the library is going to read for the next burst.
    #[inline]
    pub(crate) fn prefetch(&self) {
        let size = usize::from(self.size.load(Ordering::Relaxed));
        if size > 0 {
            self.next_lines(size).for_each(pollux_cpu::prefetch_address);
        }
    }

    /// An address in each line that the next burst is read from: the index of the available ring, its
    /// entries, and the descriptors, where they are in the order of the entries.
    #[inline(always)]
    fn next_lines(&self, size: usize) -> impl Iterator<Item = usize> {
        let at = usize::from(self.position.load(Ordering::Relaxed));
        let place = move |ahead: usize| (at + ahead) & (size - 1);
        let available = self.available.load(Ordering::Relaxed);
        let entries =
            [0, AHEAD - 1].map(|ahead| available + AVAILABLE_HEADER + place(ahead) * AVAILABLE_ENTRY);
        let descriptors = self.descriptors.load(Ordering::Relaxed);
        let descriptor = move |ahead| descriptors + place(ahead) * DESCRIPTOR;
        let descriptors = (0..AHEAD).step_by(LINE / DESCRIPTOR).map(descriptor);
        std::iter::once(available).chain(entries).chain(descriptors)
    }
}

/// Has writes to a front end's file fail rather than wait: it may be full, or another kind of file than an
/// eventfd, and a worker writes to it.
fn never_wait(file: c_int) {
    // SAFETY: takes any number; the library keeps the file open during the callback that we are in.
    let flags = unsafe { libc::fcntl(file, libc::F_GETFL) };
    if flags >= 0 && flags & libc::O_NONBLOCK == 0 {
        // SAFETY: as above, and only a flag of the file changes.
        unsafe { libc::fcntl(file, libc::F_SETFL, flags | libc::O_NONBLOCK) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_next_burst_go_round_the_ring() {
        let ring = VhostRing::default();
        ring.prefetch();
        ring.descriptors.store(0x10_0000, Ordering::Relaxed);
        ring.available.store(0x20_0000, Ordering::Relaxed);
        ring.position.store(u16::MAX - 15, Ordering::Relaxed);
        ring.advance(8);
        let lines: Vec<_> = ring.next_lines(256).collect();
        // Entry 248 is next, and 24 of the burst's 32 are behind the turn.
        assert_eq!(lines[..3], [0x20_0000, 0x20_0004 + 2 * 248, 0x20_0004 + 2 * 23]);
        let descriptors = [248, 252, 0, 4, 8, 12, 16, 20].map(|place| 0x10_0000 + 16 * place);
        assert_eq!(lines[3..], descriptors);
        ring.advance(8);
        assert_eq!(ring.next_lines(256).nth(1), Some(0x20_0004));
    }
}
