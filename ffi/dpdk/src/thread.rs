//! Threads that poll: made known to DPDK, and asked whether they still hold on to what is past.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys as sys;

use crate::Eal;
use crate::error::{Error, Result, last_errno};

/// How far a thread has come.
#[derive(Default)]
pub(crate) struct Progress {
    /// Counts the calls of `pass`; the thread writes, the environment reads.
    passes: AtomicU64,
    /// Set once, when the thread is no longer registered.
    gone: AtomicBool,
}

/// The registered threads.
#[derive(Default)]
pub(crate) struct Registry(Mutex<Vec<Arc<Progress>>>);

/// A moment, as registered threads see it.
pub(crate) struct Moment(Vec<(Arc<Progress>, u64)>);

impl Registry {
    /// Now.
    pub(crate) fn now(&self) -> Moment {
        let threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = |thread: &Arc<Progress>| (thread.clone(), thread.passes.load(Ordering::Acquire));
        Moment(threads.iter().map(seen).collect())
    }

    fn remove(&self, thread: &Arc<Progress>) {
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|other| !Arc::ptr_eq(other, thread));
    }
}

impl Moment {
    /// Whether every thread of that moment has passed since, or is gone.
    pub(crate) fn is_past(&self) -> bool {
        self.0.iter().all(|(thread, then)| {
            thread.gone.load(Ordering::Acquire) || thread.passes.load(Ordering::Acquire) != *then
        })
    }
}

/// A thread that DPDK knows, so that it has a cache of its own in each mempool. Dropping it makes the
/// thread unknown again.
pub struct RegisteredThread {
    eal: Eal,
    progress: Arc<Progress>,
    /// What it stands for belongs to one thread.
    _not_send: PhantomData<*const ()>,
}

impl Eal {
    /// Makes the calling thread known to DPDK. Pin it first: DPDK notes where it may run, and a thread
    /// that it doesn't know takes and returns mbufs without a cache, at half again the cost.
    ///
    /// # Errors
    ///
    /// The thread is registered already, or too many are.
    pub fn register_thread(&self) -> Result<RegisteredThread> {
        const CALL: &str = "rte_thread_register";
        let name = || {
            let thread = std::thread::current();
            format!("thread {}", thread.name().unwrap_or("without a name"))
        };
        // SAFETY: reads a variable of the calling thread.
        if unsafe { sys::shim_lcore_id() } != u32::MAX {
            return Err(Error::refused(CALL, name(), libc::EALREADY, "the thread is registered already"));
        }
        // SAFETY: EAL is initialised, as `self` shows, and this thread has no lcore id yet.
        if unsafe { sys::rte_thread_register() } < 0 {
            return Err(Error::from_errno(CALL, name(), last_errno()));
        }
        let progress = Arc::new(Progress::default());
        let mut threads = self.inner().threads.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.push(progress.clone());
        drop(threads);
        Ok(RegisteredThread { eal: self.clone(), progress, _not_send: PhantomData })
    }
}

impl RegisteredThread {
    /// Says that the thread isn't in the midst of anything: whatever it did with mbufs is done. Call it
    /// once a round; a pool is given back only after every registered thread has called it.
    #[inline]
    pub fn pass(&self) {
        let passes = self.progress.passes.load(Ordering::Relaxed);
        self.progress.passes.store(passes.wrapping_add(1), Ordering::Release);
    }

    /// The number that DPDK knows the thread by, below 128.
    pub fn lcore(&self) -> u32 {
        // SAFETY: reads a variable of the calling thread, which is the registered one as `self` can't
        // leave it.
        unsafe { sys::shim_lcore_id() }
    }
}

impl Drop for RegisteredThread {
    fn drop(&mut self) {
        // SAFETY: the calling thread is the registered one, as `self` can't leave it.
        unsafe { sys::rte_thread_unregister() };
        self.progress.gone.store(true, Ordering::Release);
        self.eal.inner().threads.remove(&self.progress);
    }
}

/// The processor to manage from: the one asked for, or the first that the calling thread may use.
pub(crate) fn management_cpu(asked: Option<usize>) -> Result<usize> {
    const CALL: &str = "sched_getaffinity";
    if let Some(cpu) = asked {
        return Ok(cpu);
    }
    let mut set = empty_set();
    // SAFETY: 0 is the calling thread, and the set is as long as said.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) } != 0 {
        return Err(os_error(CALL, "the calling thread".to_owned()));
    }
    // SAFETY: CPU_ISSET reads a bit of the set for numbers below CPU_SETSIZE.
    let first = (0..libc::CPU_SETSIZE as usize).find(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) });
    Ok(first.unwrap_or(0))
}

/// Lets the calling thread run on `cpu` only.
pub(crate) fn pin_to(cpu: usize) -> Result<()> {
    const CALL: &str = "sched_setaffinity";
    let subject = format!("CPU {cpu}");
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(Error::refused(CALL, subject, libc::EINVAL, "there is no such processor"));
    }
    let mut set = empty_set();
    // SAFETY: sets a bit of the set; the number is below CPU_SETSIZE.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: 0 is the calling thread, and the set is as long as said.
    if unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) } != 0 {
        return Err(os_error(CALL, subject));
    }
    Ok(())
}

fn empty_set() -> libc::cpu_set_t {
    // SAFETY: the set is an array of integers, for which zeros are a value.
    unsafe { std::mem::zeroed() }
}

fn os_error(call: &'static str, subject: String) -> Error {
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    Error::from_errno(call, subject, errno)
}
