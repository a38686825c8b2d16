//! What the data path asks of the processor and the memory manager, behind safe functions.

mod zeroed;

pub use zeroed::{TableView, Zeroable, ZeroedSlice, ZeroedTable};

/// Asks the processor to bring the cache line of `place` close, for reading soon. A hint: it never
/// faults, and does nothing on processors other than x86-64.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    prefetch_address(std::ptr::from_ref(place).addr());
}

/// As [`prefetch`], of an address that need not be mapped.
#[inline(always)]
pub fn prefetch_address(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads no memory architecturally and can't fault, whatever the address;
    // SSE, which has it, is part of every x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// The time stamp counter: cycles at the processor's nominal rate since some start. Not ordered
/// against the instructions around it.
#[inline(always)]
pub fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: RDTSC is part of every x86-64, and Linux lets user programs execute it.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        compile_error!("pollux-cpu reads the time stamp counter of x86-64 only")
    }
}
