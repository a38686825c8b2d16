//! What the tests share.

mod closing;
pub mod frame;
mod host;
pub mod http;
mod lines;
mod namespace;
pub mod pages;
pub mod pcap;
pub mod prometheus;
mod raw;
mod switch;
mod vm;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

pub use closing::Closing;
pub use host::{Host, Lab};
pub use lines::Lines;
pub use namespace::Namespace;
pub use raw::RawSocket;
pub use switch::{Switch, run_to_end};
pub use vm::{Virtio, Vm};

/// How long anything may take that takes milliseconds on a machine of its own.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Calls `done` until it returns something.
pub fn wait<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A program that runs on beside a test, and is killed with the test's thread, however that ends.
pub fn bound(program: impl AsRef<OsStr>) -> Command {
    // util-linux has it, as every Debian does; it becomes the program, under the same process number.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Fails where the tests can't run, and says what is missing.
pub fn require_root() {
    let root = nix::unistd::geteuid().is_root();
    assert!(root, "these tests make network namespaces and DPDK ports: run them as root");
}

/// Where DPDK keeps the files of a process with this prefix.
pub fn runtime_dir(prefix: &str) -> PathBuf {
    PathBuf::from("/var/run/dpdk").join(prefix)
}
