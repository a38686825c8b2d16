//! Hugepages of 2 MB, lent by the kernel for one test at a time.

use std::fs::{self, File};
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};

use super::require_root;

const PAGE: u64 = 2 << 20;

/// Hugepages that nobody uses, added to those that were there. They go back with this value.
pub struct Pages {
    added: u64,
    _lock: Flock<File>,
}

impl Pages {
    /// Adds `bytes` in hugepages to those of the machine, which others may be using.
    pub fn reserve(bytes: u64) -> Self {
        require_root();
        // In the system's folder, not the session's: all that run on this machine share its hugepages.
        let lock = File::create("/tmp/pollux-e2e-hugepages.lock").unwrap();
        let lock = Flock::lock(lock, FlockArg::LockExclusive).expect("a lock can be waited for");
        let before = read("nr_hugepages");
        fs::write(file("nr_hugepages"), (before + bytes.div_ceil(PAGE)).to_string()).unwrap();
        let pages = Self { added: read("nr_hugepages").saturating_sub(before), _lock: lock };
        let (needed, free) = (bytes >> 20, (free() * PAGE) >> 20);
        assert!(
            free >= needed,
            "this test needs {needed} MiB of 2 MB hugepages, and {free} MiB are to be had"
        );
        pages
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let left = read("nr_hugepages").saturating_sub(self.added);
        let _ = fs::write(file("nr_hugepages"), left.to_string());
    }
}

/// Pages that nobody uses.
pub fn free() -> u64 {
    read("free_hugepages")
}

/// Octets that a process has in hugepages.
pub fn of_process(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("HugetlbPages:"));
    let kib: u64 =
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).expect("in every status");
    kib << 10
}

fn file(name: &str) -> PathBuf {
    PathBuf::from("/sys/kernel/mm/hugepages/hugepages-2048kB").join(name)
}

fn read(name: &str) -> u64 {
    let text = fs::read_to_string(file(name)).expect("this test needs a kernel with 2 MB hugepages");
    text.trim().parse().unwrap()
}
