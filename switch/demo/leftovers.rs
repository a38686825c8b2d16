//! What demos left behind that could not end in order.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::names::{self, Names};
use super::tools::Tools;

/// Where `ip netns` keeps names.
const NAMESPACES: &str = "/run/netns";

/// Where DPDK keeps the files of a process that root runs.
const RUNTIME: &str = "/run/dpdk";

/// Removes what the demos of dead processes left. What can't be removed is for the next demo.
pub(super) fn remove(tools: &Tools) {
    let temporary = std::env::temp_dir();
    let owners: BTreeSet<u32> = [Path::new(NAMESPACES), &temporary].into_iter().flat_map(owners).collect();
    for owner in owners.into_iter().filter(|&owner| is_gone(owner)) {
        let names = Names::of(owner);
        for host in [1, 2].map(|number| names.host(number)) {
            // The interface first: a namespace goes in its own time, and the interface with it.
            let _ = tools.ip(&["link", "del", &host]);
            let _ = tools.ip(&["netns", "del", &host]);
        }
        let _ = fs::remove_dir_all(names.folder());
        let _ = fs::remove_dir_all(Path::new(RUNTIME).join(format!("pollux-{owner}")));
    }
}

/// The processes that names in this folder speak of.
fn owners(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| names::owner(entry.file_name().to_str()?)).collect()
}

/// Whether a process has ended. This one has made nothing yet: what bears its number is older.
fn is_gone(process: u32) -> bool {
    process == std::process::id() || !Path::new("/proc").join(process.to_string()).exists()
}
