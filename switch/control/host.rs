//! What the host has: CPUs, memory, hugepages, PCI devices and their drivers. Reads, never changes.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel shows itself. Tests point it at a tree of their own.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
}

/// Hugepages of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HugePages {
    /// Octets of one page.
    pub page_bytes: u64,
    /// Pages reserved and not in use.
    pub free: u64,
}

impl Default for Host {
    fn default() -> Self {
        Self::at("/")
    }
}

impl Host {
    /// The host whose `sys` and `proc` are below `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The CPUs that are there, by the kernel's numbers.
    pub fn cpus(&self) -> Vec<usize> {
        self.read("sys/devices/system/cpu/online").map(|list| parse_cpu_list(&list)).unwrap_or_default()
    }

    /// CPUs that the kernel keeps free of ordinary work (`isolcpus`).
    pub fn isolated_cpus(&self) -> Vec<usize> {
        self.read("sys/devices/system/cpu/isolated").map(|list| parse_cpu_list(&list)).unwrap_or_default()
    }

    /// The NUMA socket of a CPU; 0 where the kernel doesn't tell.
    pub fn socket_of(&self, cpu: usize) -> usize {
        let holds = |path: &PathBuf| {
            fs::read_to_string(path.join("cpulist")).is_ok_and(|list| parse_cpu_list(&list).contains(&cpu))
        };
        let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("node")?.parse().ok();
        let nodes = self.list("sys/devices/system/node");
        nodes.iter().filter(|path| holds(path)).find_map(number).unwrap_or(0)
    }

    /// Hugepages by size, smallest first.
    pub fn huge_pages(&self) -> Vec<HugePages> {
        let mut sizes: Vec<_> =
            self.list("sys/kernel/mm/hugepages").iter().filter_map(|path| read_huge_pages(path)).collect();
        sizes.sort_by_key(|pages| pages.page_bytes);
        sizes
    }

    /// Octets in hugepages that nobody uses.
    pub fn free_huge_bytes(&self) -> u64 {
        self.huge_pages().iter().map(|pages| pages.page_bytes * pages.free).sum()
    }

    /// Octets that the kernel thinks a program could still get.
    pub fn available_bytes(&self) -> u64 {
        let kib = |info: String| {
            let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        self.read("proc/meminfo").and_then(kib).map_or(0, |kib| kib * 1024)
    }

    /// Whether a device has this PCI address.
    pub fn has_pci_device(&self, address: &str) -> bool {
        self.root.join("sys/bus/pci/devices").join(address).exists()
    }

    /// The kernel driver bound to a PCI device.
    pub fn pci_driver(&self, address: &str) -> Option<String> {
        let link = self.root.join("sys/bus/pci/devices").join(address).join("driver");
        Some(fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
    }

    /// Whether the kernel knows a network interface of this name.
    pub fn has_interface(&self, name: &str) -> bool {
        self.root.join("sys/class/net").join(name).exists()
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    fn list(&self, path: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root.join(path));
        entries.map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
    }
}

fn read_huge_pages(path: &Path) -> Option<HugePages> {
    let kib: u64 =
        path.file_name()?.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    let free = fs::read_to_string(path.join("free_hugepages")).ok()?.trim().parse().ok()?;
    Some(HugePages { page_bytes: kib * 1024, free })
}

/// The kernel's notation for sets of CPUs: `0,2-5`. What isn't a number or a range is passed over.
fn parse_cpu_list(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
    };
    list.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists() {
        assert_eq!(parse_cpu_list("0-1,4,6-7\n"), [0, 1, 4, 6, 7]);
        assert_eq!(parse_cpu_list(""), Vec::<usize>::new());
        assert_eq!(parse_cpu_list("x,2"), [2]);
    }

    #[test]
    fn reads_a_host() {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("sys/devices/system/cpu/online", "0-3\n");
        file("sys/devices/system/node/node0/cpulist", "0-1\n");
        file("sys/devices/system/node/node1/cpulist", "2-3\n");
        file("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512\n");
        file("sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "2\n");
        file("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    1024 kB\n");
        let device = root.path().join("sys/bus/pci/devices/0000:03:00.0");
        fs::create_dir_all(&device).unwrap();
        std::os::unix::fs::symlink("../../../bus/pci/drivers/vfio-pci", device.join("driver")).unwrap();

        let host = Host::at(root.path());
        assert_eq!(host.cpus(), [0, 1, 2, 3]);
        assert_eq!((host.socket_of(1), host.socket_of(3)), (0, 1));
        assert_eq!(host.free_huge_bytes(), (512 << 21) + (2 << 30));
        assert_eq!(host.available_bytes(), 1 << 20);
        assert!(host.has_pci_device("0000:03:00.0") && !host.has_pci_device("0000:04:00.0"));
        assert_eq!(host.pci_driver("0000:03:00.0").as_deref(), Some("vfio-pci"));
    }
}
