//! What DPDK tells of its memory, in its own words.

use std::ffi::{CStr, c_char};

use dpdk_sys as sys;

use crate::Eal;

/// What there is to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// Every pool, its caches and its objects.
    Mempools,
    /// Every named part of memory.
    Memzones,
    /// Every piece of physical memory.
    PhysicalMemory,
}

impl Eal {
    /// DPDK's own words. Empty if there is no memory for them.
    pub fn dump(&self, what: Dump) -> String {
        let what = match what {
            Dump::Mempools => sys::SHIM_DUMP_MEMPOOL,
            Dump::Memzones => sys::SHIM_DUMP_MEMZONE,
            Dump::PhysicalMemory => sys::SHIM_DUMP_PHYSMEM,
        };
        // SAFETY: EAL is initialised, as `self` shows.
        let text: *mut c_char = unsafe { sys::shim_dump(what) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: not null, a string that ends, and ours until it is freed.
        let copy = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        // SAFETY: it comes from open_memstream, which allocates with malloc; nobody reads it any more.
        unsafe { libc::free(text.cast()) };
        copy
    }
}
