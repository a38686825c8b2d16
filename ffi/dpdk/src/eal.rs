//! DPDK's environment: started once a process, ended after everything that lives in it.

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys as sys;

use crate::device::Claim;
use crate::error::{Error, Result, c_string, last_errno};
use crate::events::EventHub;
use crate::leftovers;
use crate::log::{self, LogLevel, LogSink};
use crate::pool::Retired;
use crate::thread;

/// Which PCI devices EAL looks at when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pci {
    /// None, and none can be attached later.
    #[default]
    Off,
    /// These addresses (`0000:03:00.0`); others can be attached later. Empty: none at the start.
    Allow(Vec<String>),
}

/// How to start [`Eal`].
#[derive(Clone, Debug)]
pub struct EalOptions {
    /// What keeps this process apart from other DPDK processes: the name of its runtime folder and of
    /// its hugepage files. Must be unique among those that run.
    pub file_prefix: String,
    /// Whether to use hugepages; if not, ordinary memory, all of it reserved at the start.
    pub hugepages: bool,
    /// MiB to reserve at the start. `None` reserves 64 MiB without hugepages, and as needed with them.
    pub memory: Option<u32>,
    /// Keeps nothing in file systems. A `net_virtio_user` port then can't share its memory with a
    /// back end, and hugepages are not taken back until the end.
    pub in_memory: bool,
    /// Lets `net_virtio_user` ports share hugepages with a back end, which needs them in few large files.
    /// The files are removed at the end; without this, there are none that could be left behind.
    pub shared_memory: bool,
    /// The processor that runs the calling thread and DPDK's own (interrupts, vhost). `None`: the
    /// first that the calling thread may use. The caller stays pinned to it.
    pub management_cpu: Option<usize>,
    /// PCI devices.
    pub pci: Pci,
    /// What DPDK says up to this level goes to `log`.
    pub log_level: LogLevel,
    /// Takes each line. It may be called from any thread, and must not call DPDK.
    pub log: LogSink,
    /// More EAL arguments, passed as they are.
    pub extra: Vec<String>,
}

impl Default for EalOptions {
    fn default() -> Self {
        Self {
            file_prefix: format!("pollux-{}", std::process::id()),
            hugepages: true,
            memory: None,
            in_memory: false,
            shared_memory: false,
            management_cpu: None,
            pci: Pci::Off,
            log_level: LogLevel::Warning,
            log: log::to_stderr,
            extra: Vec::new(),
        }
    }
}

/// A hold on DPDK's environment. Pools, ports and registered threads keep one each, so that the
/// environment ends after the last of them; clones are holds on the same one.
#[derive(Clone)]
pub struct Eal(Arc<Inner>);

/// What the environment knows of its users.
pub(crate) struct Inner {
    runtime_dir: PathBuf,
    /// Ports that a `Port` stands for.
    pub(crate) claimed: Mutex<Vec<Claim>>,
    /// Pools without an owner whose mbufs may still be on their way.
    pub(crate) retired: Mutex<Vec<Retired>>,
    pub(crate) threads: thread::Registry,
    pub(crate) events: EventHub,
    next_name: AtomicU32,
    leaves_hugepage_files: bool,
    /// EAL keeps pointers to its arguments.
    _arguments: Vec<CString>,
}

static STARTED: AtomicBool = AtomicBool::new(false);

impl Eal {
    /// Starts DPDK, pins the calling thread to the management processor, and ignores SIGPIPE.
    ///
    /// SIGPIPE: the vhost library writes to descriptors that a front end sent; one that is a pipe whose
    /// other end is closed would otherwise end the process, and with it every other VM's network.
    ///
    /// # Errors
    ///
    /// The second call of a process, whatever became of the first; arguments that EAL refuses; a host
    /// without the memory or the rights that they need.
    pub fn init(options: &EalOptions) -> Result<Self> {
        const CALL: &str = "rte_eal_init";
        let subject = || format!("file prefix {}", options.file_prefix);
        let prefix = &options.file_prefix;
        if prefix.is_empty() || prefix.contains(['/', '\0']) || prefix.starts_with('.') {
            return Err(Error::refused(
                CALL,
                subject(),
                libc::EINVAL,
                "a file prefix is a file's name without a path",
            ));
        }
        let cpu = thread::management_cpu(options.management_cpu)?;
        let arguments = arguments(options, cpu)?;
        let once =
            || Error::refused(CALL, subject(), libc::EALREADY, "DPDK can be started once in a process only");
        if STARTED.load(Ordering::SeqCst) {
            return Err(once());
        }
        // DPDK's own threads go to the processors that the caller may use and no lcore has, and only
        // if there are none to lcore 0's: leave them no worker's processor.
        thread::pin_to(cpu)?;
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(once());
        }

        // SAFETY: SIG_IGN is a disposition and no function of ours; changing a signal's disposition
        // touches no memory of this process.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        log::install(options.log, options.log_level);

        let mut pointers: Vec<*mut c_char> =
            arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        let count = pointers.len() as c_int;
        pointers.push(std::ptr::null_mut());
        // SAFETY: `count` strings and a closing null, as argv has them. getopt permutes the array,
        // which is ours; EAL changes no string and keeps pointers to them, which `_arguments` outlives.
        let ret = unsafe { sys::rte_eal_init(count, pointers.as_mut_ptr()) };
        if ret < 0 {
            // EAL may have kept pointers to its arguments.
            std::mem::forget(arguments);
            let error = Error::from_errno(CALL, subject(), last_errno());
            leftovers::remove_if_unused(&runtime_dir(), prefix);
            return Err(error);
        }
        // SAFETY: this thread is lcore 0, and nothing of DPDK runs on it now. Without an lcore id it
        // takes mbufs from the pools' rings and not from a cache, which is what lets `pool` decide
        // when a pool can be freed; rte_eal_cleanup doesn't ask for it.
        unsafe { sys::shim_lcore_forget() };
        Ok(Self(Arc::new(Inner {
            runtime_dir: runtime_dir(),
            claimed: Mutex::default(),
            retired: Mutex::default(),
            threads: thread::Registry::default(),
            events: EventHub::new(),
            next_name: AtomicU32::new(0),
            leaves_hugepage_files: options.hugepages && options.shared_memory && !options.in_memory,
            _arguments: arguments,
        })))
    }

    /// The release that runs, as in "DPDK 22.11.11".
    pub fn version(&self) -> String {
        // SAFETY: rte_version returns a static string.
        unsafe { CStr::from_ptr(sys::rte_version()) }.to_string_lossy().into_owned()
    }

    /// The release whose headers this was built with: year, month and patch.
    pub const fn built_with() -> (u32, u32, u32) {
        (sys::SHIM_BUILD_YEAR, sys::SHIM_BUILD_MONTH, sys::SHIM_BUILD_MINOR)
    }

    /// Cycles a second of [`cycles`](pollux_cpu::cycles).
    pub fn tsc_hz(&self) -> u64 {
        // SAFETY: reads a variable that rte_eal_init set.
        unsafe { sys::shim_tsc_hz() }
    }

    /// Whether the memory is in hugepages.
    pub fn has_hugepages(&self) -> bool {
        // SAFETY: reads a variable that rte_eal_init set.
        unsafe { sys::rte_eal_has_hugepages() != 0 }
    }

    /// Where DPDK keeps its files; removed at the end.
    pub fn runtime_dir(&self) -> &Path {
        &self.0.runtime_dir
    }

    /// A name that no other thing of this process has.
    pub(crate) fn unique(&self, stem: &str) -> String {
        format!("{stem}{}", self.0.next_name.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }
}

impl std::fmt::Debug for Eal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Eal").field("runtime_dir", &self.0.runtime_dir).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Every pool's owner, port and registered thread held the environment, so none is left. What
        // may be left is an `Mbuf` in somebody's hands: its memory must stay, then, and so must all.
        let retired = std::mem::take(self.retired.get_mut().unwrap_or_else(PoisonError::into_inner));
        let all_home = retired.into_iter().map(Retired::free_last).fold(true, |all, free| all & free);
        if !all_home {
            self._arguments.drain(..).for_each(std::mem::forget);
            return;
        }
        // SAFETY: nothing that lives in the environment is left, as argued above.
        unsafe { sys::rte_eal_cleanup() };
        leftovers::remove(&self.runtime_dir, self.leaves_hugepage_files);
    }
}

/// Where EAL keeps its files; empty if it didn't come to that.
fn runtime_dir() -> PathBuf {
    // SAFETY: the name is an array of EAL's, empty until rte_eal_init fills it; it is copied at once.
    let name = unsafe { CStr::from_ptr(sys::rte_eal_get_runtime_dir()) };
    PathBuf::from(name.to_string_lossy().into_owned())
}

/// The command line for EAL.
fn arguments(options: &EalOptions, cpu: usize) -> Result<Vec<CString>> {
    let mut words = vec![
        "pollux".to_owned(),
        format!("--file-prefix={}", options.file_prefix),
        format!("--lcores=0@{cpu}"),
        format!("--log-level={}", options.log_level as u32),
        // Its socket and thread serve a protocol that isn't ours.
        "--no-telemetry".to_owned(),
    ];
    if options.in_memory {
        words.push("--in-memory".to_owned());
    }
    if !options.hugepages {
        words.push("--no-huge".to_owned());
    } else if options.shared_memory {
        words.push("--single-file-segments".to_owned());
    } else if !options.in_memory {
        // Nothing to clean up, however the process ends.
        words.push("--huge-unlink=always".to_owned());
    }
    if let Some(mib) = options.memory {
        words.extend(["-m".to_owned(), mib.to_string()]);
    }
    match &options.pci {
        Pci::Off => words.push("--no-pci".to_owned()),
        // Without any -a, EAL would take every device; no host has this one.
        Pci::Allow(addresses) if addresses.is_empty() => words.push("--allow=ffff:ff:1f.7".to_owned()),
        Pci::Allow(addresses) => words.extend(addresses.iter().map(|address| format!("--allow={address}"))),
    }
    words.extend(options.extra.iter().cloned());
    words.iter().map(|word| c_string("rte_eal_init", word)).collect()
}
