//! The atomics whose order the protocol depends on: the processor's, or loom's when it explores every
//! order. Counters that decide nothing are std's in both, so that loom has less to explore.

#[cfg(not(loom))]
pub(super) use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

#[cfg(loom)]
pub(super) use loom::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

/// Lets whoever is waited for make progress.
pub(super) fn relax() {
    #[cfg(not(loom))]
    std::thread::yield_now();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// Two cache lines of its own: the processor fetches lines in pairs.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct OwnLines<T>(pub(super) T);
