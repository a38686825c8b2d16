//! What a system is to do.

use std::path::PathBuf;

use crate::host::Place;

/// The same for all of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    /// In the order of the topology.
    pub(crate) ports: Vec<PortJob>,
    /// The CPUs that poll for it, a worker each.
    pub(crate) worker_cpus: Vec<usize>,
    /// The CPU of everything else.
    pub(crate) house_cpu: usize,
    pub(crate) memory: Memory,
    /// The largest frame that it is to forward, in octets with the check sequence.
    pub(crate) largest_frame: u16,
    /// Addresses that its table is to hold, and seconds until they age.
    pub(crate) fdb_capacity: u32,
    pub(crate) ageing_seconds: u32,
    /// The binary of Pollux.
    pub(crate) pollux: PathBuf,
    /// More of Pollux's file, as TOML: what belongs to `[qos.profiles…]` and the like.
    pub(crate) more_toml: String,
    /// Flows that Open vSwitch may cache.
    pub(crate) ovs_flow_limit: u32,
    /// The network namespace that it runs in, as a file: its interfaces are of that one. `None`: ours.
    pub(crate) namespace: Option<PathBuf>,
    /// Whether it goes before ordinary processes, as the lab's tester does, with which it may have to share a CPU.
    pub(crate) favoured: bool,
    /// Mbufs that its ports keep for good, besides those in rings and on their way.
    pub(crate) kept_mbufs: u32,
}

/// Octets of an untagged frame's header, and of the check sequence.
const AROUND_PACKETS: u16 = 14 + 4;

/// Octets of the largest packet in frames up to this size: at least what any Ethernet carries.
pub(crate) fn mtu(largest_frame: u16) -> u16 {
    largest_frame.saturating_sub(AROUND_PACKETS).max(1500)
}

impl Job {
    /// Octets of the largest packet.
    pub(crate) fn mtu(&self) -> u16 {
        mtu(self.largest_frame)
    }

    /// Whether it is to forward frames larger than those of any Ethernet, a tag included.
    pub(crate) fn is_jumbo(&self) -> bool {
        self.largest_frame > 1522
    }

    /// Where its processes run.
    pub(crate) fn place(&self) -> Place<'_> {
        Place { namespace: self.namespace.as_deref(), favoured: self.favoured }
    }

    /// Whether all ports are of the same VLANs.
    pub(crate) fn is_one_vlan(&self) -> bool {
        self.ports.iter().all(|port| port.access == self.ports[0].access)
    }

    /// Mbufs that are in use at once, at most.
    pub(crate) fn mbufs(&self) -> u32 {
        const PORT: u32 = 8192;
        let rings = |port: &PortJob| match port.kind {
            PortKind::Device(_) => 2 * u32::from(port.ring),
            // Rings of front ends are in their own memory, and those of packet sockets in the kernel's.
            PortKind::Vhost { .. } | PortKind::Interface(_) => 0,
        };
        self.kept_mbufs + self.ports.iter().map(|port| PORT + rings(port)).sum::<u32>()
    }

    /// The longest ring of all ports.
    pub(crate) fn longest_ring(&self) -> u16 {
        self.ports.iter().map(|port| port.ring).max().unwrap_or(0)
    }
}

/// Where mbufs lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    Hugepages,
    Ordinary,
}

/// A port of the system.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PortJob {
    pub(crate) name: String,
    pub(crate) kind: PortKind,
    pub(crate) access: Access,
    /// Descriptors of its rings, where they are the system's to choose.
    pub(crate) ring: u16,
    /// More of the port's table in Pollux's file, as TOML lines (`qos = { … }`).
    pub(crate) more_toml: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PortKind {
    /// A vhost-user socket: the system makes it and listens, or else the front end does, and the system connects to
    /// it, again and again. A front end survives the system only in the latter way.
    Vhost { socket: PathBuf, listens: bool },
    /// A device for DPDK: a PCI address, or a vdev string.
    Device(String),
    /// A network interface of the job's namespace, which it takes as it is: DPDK's switches through `net_af_packet`,
    /// or through `net_pcap` where that can't carry frames so large.
    Interface(String),
}

/// Which VLANs a port is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// One, untagged.
    Vlan(u16),
    /// All, with tags, and this one without.
    Trunk { native: u16 },
    /// One, with its tag.
    Tagged(u16),
}

impl Access {
    /// The VLAN of frames that come without a tag, or else of those that may come at all.
    pub(crate) fn vid(self) -> u16 {
        match self {
            Self::Vlan(vid) | Self::Tagged(vid) | Self::Trunk { native: vid } => vid,
        }
    }
}

#[cfg(test)]
impl Job {
    /// A job of vhost-user ports, each with its socket in `folder`, that are of VLAN 1.
    pub(super) fn of_sockets(folder: &str, ports: usize, listens: bool) -> Self {
        let port = |number| PortJob {
            name: format!("p{number}"),
            kind: PortKind::Vhost { socket: PathBuf::from(format!("{folder}/p{number}")), listens },
            access: Access::Vlan(1),
            ring: 512,
            more_toml: String::new(),
        };
        Self {
            ports: (0..ports).map(port).collect(),
            worker_cpus: vec![1],
            house_cpu: 0,
            memory: Memory::Hugepages,
            largest_frame: 1518,
            fdb_capacity: 131_072,
            ageing_seconds: 300,
            pollux: PathBuf::from("pollux"),
            more_toml: String::new(),
            ovs_flow_limit: 200_000,
            namespace: None,
            favoured: false,
            kept_mbufs: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_frames_without_what_is_around_them() {
        let job = |largest_frame| Job { largest_frame, ..Job::of_sockets("/s", 2, true) };
        assert_eq!([64, 1518, 9018].map(|size| job(size).mtu()), [1500, 1500, 9000]);
        assert_eq!([1518, 1522, 9000].map(|size| job(size).is_jumbo()), [false, false, true]);
    }

    #[test]
    fn rings_in_memory_of_ours_take_mbufs() {
        let mut job = Job { kept_mbufs: 100, ..Job::of_sockets("/s", 2, true) };
        assert_eq!(job.mbufs(), 100 + 2 * 8192);
        job.ports[0].kind = PortKind::Device("net_null0".to_owned());
        assert_eq!(job.mbufs(), 100 + 2 * 8192 + 2 * 512);
    }
}
