//! What every measurement here needs of the host: processors, hugepages, processes, namespaces, a switch that runs.

pub(crate) mod cpu;
mod hugepages;
pub(crate) mod interrupt;
mod namespace;
pub(crate) mod near;
mod pollux;
mod process;
pub(crate) mod profile;
pub(crate) mod table;

use std::path::Path;
use std::process::Command;

pub(crate) use hugepages::Hugepages;
pub(crate) use namespace::{Cable, Namespace, Place, command_in};
pub(crate) use pollux::{Pollux, Rpc, program};
pub(crate) use process::{Process, output};

use crate::{BenchError, Result};

/// How the names of [`folder`]s begin; what follows is another each time.
pub(crate) const FOLDER_PREFIX: &str = "pollux-bench-";

/// A folder that goes when it is dropped. Its path is short, as sockets' paths must be.
pub(crate) fn folder() -> Result<tempfile::TempDir> {
    let made = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir();
    made.map_err(BenchError::io("making a temporary folder"))
}

/// Sets the folder in which DPDK makes its runtime folder.
pub(crate) fn keep_runtime_files(command: &mut Command, folder: &Path) {
    command.env("RUNTIME_DIRECTORY", folder);
}

/// Whether a device is named by its PCI address, with its domain or without: `0000:03:00.1`, `03:00.1`.
pub(crate) fn is_pci(device: &str) -> bool {
    let name = device.split(',').next().unwrap_or_default();
    let parts: Vec<_> = name.split([':', '.']).collect();
    let hex = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_hexdigit());
    name.contains(':') && name.contains('.') && (3..=4).contains(&parts.len()) && parts.iter().all(hex)
}

/// Waits for a switch to listen.
pub(crate) fn wait_for_socket(path: &Path) -> Result<()> {
    for _ in 0..500 {
        if path.exists() {
            return Ok(());
        }
        interrupt::sleep(interrupt::TICK)?;
    }
    Err(BenchError::process("the switch", format_args!("no socket {} within 10 s", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_addresses_are_told_from_names() {
        assert!(["0000:03:00.0", "03:00.1", "0000:3b:00.0,arg=1"].into_iter().all(is_pci));
        assert!(!["net_tap0,iface=a:b.c", "net_virtio_user0,path=/a", "", "eth0.1"].into_iter().any(is_pci));
    }
}
