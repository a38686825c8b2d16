//! Pools of mbufs, and how they end.
//!
//! An [`Mbuf`](crate::Mbuf) doesn't hold its pool: that would be a reference count per frame. Instead a
//! pool whose last owner is gone is retired, and given back when all its mbufs are home and every
//! registered thread has since said that it is in the midst of nothing (a thread that returns an mbuf
//! to its cache counts it before it writes it).

use std::ffi::c_uint;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, PoisonError};

use dpdk_sys as sys;

use crate::Eal;
use crate::error::{Error, Result, c_string, last_errno};
use crate::thread::Moment;

/// What a pool is to be like.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// What it is for, for messages.
    pub purpose: String,
    /// How many mbufs. One less than a power of two wastes least.
    pub mbufs: u32,
    /// Octets of frame that fit into one; DPDK's headroom comes on top.
    pub data_room: u16,
    /// Mbufs that each registered thread may keep to itself: 0 to 512, at most two thirds of `mbufs`.
    pub cache: u32,
    /// The NUMA socket whose memory it uses; `None`: any.
    pub socket: Option<u32>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            purpose: "frames".to_owned(),
            mbufs: 8191,
            data_room: Mempool::DATA_ROOM,
            cache: 256,
            socket: None,
        }
    }
}

/// A pool of mbufs. Clones are the same pool; it goes with the last of them, once its mbufs are home.
#[derive(Clone)]
pub struct Mempool(Arc<Inner>);

struct Inner {
    pool: NonNull<sys::rte_mempool>,
    purpose: String,
    mbufs: u32,
    data_room: u16,
    eal: Eal,
}

// SAFETY: the pointer is to a pool that lives as long as `Inner` (only its drop hands it on), and
// whatever this crate does with a pool (take, return, count, copy) DPDK allows from any thread at once.
unsafe impl Send for Inner {}
// SAFETY: as for Send.
unsafe impl Sync for Inner {}

impl Mempool {
    /// Octets of frame per mbuf that suit an MTU of 1500 and every NIC.
    pub const DATA_ROOM: u16 = 2048;
    /// Octets kept free in front of a received frame.
    pub const HEADROOM: u16 = sys::SHIM_HEADROOM as u16;
    /// The most that a thread can keep to itself.
    pub const MAX_CACHE: u32 = sys::SHIM_MEMPOOL_CACHE_MAX;

    /// Makes a pool.
    ///
    /// # Errors
    ///
    /// Sizes out of range; too little memory.
    pub fn create(eal: &Eal, options: &PoolOptions) -> Result<Self> {
        const CALL: &str = "rte_pktmbuf_pool_create";
        eal.reclaim();
        let subject = || {
            format!(
                "the pool for {} ({} mbufs, {} MiB)",
                options.purpose,
                options.mbufs,
                Self::bytes_for(options.mbufs, options.data_room).div_ceil(1 << 20),
            )
        };
        let Some(room) = options.data_room.checked_add(Self::HEADROOM).filter(|_| options.data_room >= 64)
        else {
            return Err(Error::refused(CALL, subject(), libc::EINVAL, "the data room is 64 to 65407 octets"));
        };
        if options.cache > Self::MAX_CACHE || u64::from(options.cache) * 3 > u64::from(options.mbufs) * 2 {
            let message = "the cache is at most 512 and two thirds of the pool";
            return Err(Error::refused(CALL, subject(), libc::EINVAL, message));
        }
        let name = c_string(CALL, &eal.unique("pollux-"))?;
        let socket = options.socket.map_or(-1, |socket| socket as i32);
        // SAFETY: EAL is initialised, as `eal` shows; the name ends and is copied.
        let pool = unsafe {
            sys::rte_pktmbuf_pool_create(name.as_ptr(), options.mbufs, options.cache, 0, room, socket)
        };
        let Some(pool) = NonNull::new(pool) else {
            return Err(Error::from_errno(CALL, subject(), last_errno()));
        };
        Ok(Self(Arc::new(Inner {
            pool,
            purpose: options.purpose.clone(),
            mbufs: options.mbufs,
            data_room: options.data_room,
            eal: eal.clone(),
        })))
    }

    /// Octets of memory that a pool of `mbufs` with `data_room` takes, its caches included.
    pub fn bytes_for(mbufs: u32, data_room: u16) -> u64 {
        let element = sys::SHIM_MBUF_SIZE + sys::SHIM_HEADROOM + u32::from(data_room);
        // SAFETY: computes with its arguments only; the third may be null.
        let object = unsafe { sys::rte_mempool_calc_obj_size(element, 0, std::ptr::null_mut()) };
        let ring = (u64::from(mbufs) + 1).next_power_of_two() * size_of::<*mut ()>() as u64;
        let caches = u64::from(sys::SHIM_MAX_LCORES) * u64::from(sys::SHIM_MEMPOOL_CACHE_SIZE);
        u64::from(mbufs) * u64::from(object) + ring + caches
    }

    /// What the pool is for.
    pub fn purpose(&self) -> &str {
        &self.0.purpose
    }

    /// Mbufs of the pool.
    pub fn size(&self) -> u32 {
        self.0.mbufs
    }

    /// Octets of frame that fit into one mbuf.
    pub fn data_room(&self) -> u16 {
        self.0.data_room
    }

    /// Mbufs that can be taken, those in threads' caches included. Slow, and a little off while others
    /// take and return.
    pub fn available(&self) -> u32 {
        // SAFETY: the pool lives as long as `self`.
        unsafe { sys::rte_mempool_avail_count(self.raw()) }
    }

    /// Mbufs that are out: in devices' rings, in somebody's hands. As exact as
    /// [`available`](Self::available).
    pub fn in_use(&self) -> u32 {
        in_use(self.0.pool)
    }

    #[inline]
    pub(crate) fn raw(&self) -> *mut sys::rte_mempool {
        self.0.pool.as_ptr()
    }
}

impl fmt::Debug for Mempool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mempool")
            .field("purpose", &self.0.purpose)
            .field("mbufs", &self.0.mbufs)
            .field("data_room", &self.0.data_room)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut retired = self.eal.inner().retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.push(Retired { pool: self.pool, home_since: None });
        drop(retired);
        self.eal.reclaim();
    }
}

/// A pool without an owner.
pub(crate) struct Retired {
    pool: NonNull<sys::rte_mempool>,
    /// When all mbufs were first seen at home.
    home_since: Option<Moment>,
}

// SAFETY: as for Inner; a retired pool is only counted, and freed once.
unsafe impl Send for Retired {}

impl Retired {
    /// Frees the pool if that is certain to be safe, else gives it back.
    fn try_free(mut self, eal: &Eal) -> Option<Self> {
        if in_use(self.pool) != 0 {
            self.home_since = None;
            return Some(self);
        }
        let since = self.home_since.get_or_insert_with(|| eal.inner().threads.now());
        if !since.is_past() {
            return Some(self);
        }
        self.free();
        None
    }

    /// At the end, when no registered thread is left: frees the pool unless an mbuf of it is still out.
    pub(crate) fn free_last(self) -> bool {
        let home = in_use(self.pool) == 0;
        if home {
            self.free();
        }
        home
    }

    fn free(self) {
        // SAFETY: nobody can take an mbuf of the pool, as its last owner (ports hold one each) is gone.
        // All its mbufs are home, and every thread that could have been in the midst of returning one
        // to its cache has since passed or ended; threads without a cache return to a ring, which
        // counts an mbuf after it is written.
        unsafe { sys::rte_mempool_free(self.pool.as_ptr()) };
    }
}

impl Eal {
    /// Gives back the memory of pools that nobody owns any more and whose mbufs are all home. Returns
    /// how many such pools must wait: for mbufs that are out, or for a registered thread to
    /// [`pass`](crate::RegisteredThread::pass). Making and dropping pools does this too.
    pub fn reclaim(&self) -> usize {
        let mut retired = self.inner().retired.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting: Vec<_> = retired.drain(..).filter_map(|pool| pool.try_free(self)).collect();
        *retired = waiting;
        retired.len()
    }
}

fn in_use(pool: NonNull<sys::rte_mempool>) -> c_uint {
    // SAFETY: Inner and Retired, the only callers, have a pool that isn't freed.
    unsafe { sys::rte_mempool_in_use_count(pool.as_ptr()) }
}
