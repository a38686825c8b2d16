//! What systems of DPDK have in common: the environment, and what ports are to it.

use super::{Job, Memory, PortJob, PortKind};
use crate::host::is_pci;

/// What every DPDK process gets to leave nothing behind: no file on a hugetlbfs, and its runtime folder in ours.
pub(crate) const EAL: [&str; 2] = ["--in-memory", "--no-telemetry"];

/// Octets of a frame, without its check sequence, that a packet socket's slot holds beside its own header, and an
/// mbuf of the usual size.
const INTERFACE_FRAME: u16 = 1980;

/// MiB of ordinary memory for a system, beside its mbufs.
const ORDINARY_MIB: u32 = 192;

/// MiB of a pool of mbufs that hold so many octets, the room before them included.
pub(crate) fn pool_mib(mbufs: u32, octets: u32) -> u32 {
    // An mbuf has a head of its own, and the pool some more for each.
    const BESIDES: u64 = 320;
    (u64::from(mbufs) * (u64::from(octets) + BESIDES)).div_ceil(1 << 20) as u32
}

/// The environment's arguments for a job: its memory, of which pools take so many MiB, and its devices' bus.
pub(super) fn environment(job: &Job, pools_mib: u32) -> Vec<String> {
    let mut words: Vec<String> = match job.memory {
        Memory::Hugepages => EAL.map(str::to_owned).to_vec(),
        Memory::Ordinary => {
            let mib = ORDINARY_MIB + pools_mib;
            let memory = ["--no-huge", "-m", &mib.to_string(), "--no-telemetry", "--no-shconf"];
            memory.map(str::to_owned).to_vec()
        }
    };
    let addresses: Vec<_> = job.ports.iter().filter_map(pci_address).collect();
    match &addresses[..] {
        [] => words.push("--no-pci".to_owned()),
        some => words.extend(some.iter().flat_map(|address| ["-a".to_owned(), (*address).to_owned()])),
    }
    words
}

/// DPDK's threads: 0 manages, the others poll.
pub(super) fn lcores(job: &Job) -> String {
    let workers = job.worker_cpus.iter().zip(1..).map(|(cpu, lcore)| format!(",{lcore}@{cpu}"));
    format!("0@{}{}", job.house_cpu, workers.collect::<String>())
}

/// The PCI address that a port is made of.
pub(super) fn pci_address(port: &PortJob) -> Option<&str> {
    match &port.kind {
        PortKind::Device(device) if is_pci(device) => Some(device),
        _ => None,
    }
}

/// The device that a port is made of; `number` tells those of a process apart.
pub(super) fn device(number: usize, port: &PortJob, largest_frame: u16) -> String {
    match &port.kind {
        PortKind::Vhost { socket, listens } => {
            format!("net_vhost{number},iface={},client={}", socket.display(), u8::from(!listens))
        }
        PortKind::Device(device) => device.clone(),
        PortKind::Interface(name) => interface(number, name, port.ring, largest_frame),
    }
}

/// The device for a network interface with rings of so many frames; a power of two. Packet sockets' frames have to
/// fit into one mbuf of the usual size; larger ones take the slower way by libpcap, which spreads them over several.
pub(crate) fn interface(number: usize, name: &str, ring: u16, largest_frame: u16) -> String {
    if largest_frame > INTERFACE_FRAME {
        return format!("net_pcap{number},iface={name}");
    }
    const SLOT: u32 = 2048;
    // So that pages of the ring are asked for 16 at a time, or as many as there are.
    let block = (u32::from(ring) * SLOT).min(65_536);
    format!("net_af_packet{number},iface={name},framesz={SLOT},framecnt={ring},blocksz={block}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nics_are_named_and_without_any_the_bus_is_left_alone() {
        let mut job = Job::of_sockets("/s", 2, true);
        assert_eq!(environment(&job, 44), ["--in-memory", "--no-telemetry", "--no-pci"]);
        for (port, address) in job.ports.iter_mut().zip(["0000:03:00.1", "0000:03:00.0"]) {
            port.kind = PortKind::Device(address.to_owned());
        }
        assert_eq!(environment(&job, 44)[2..], ["-a", "0000:03:00.1", "-a", "0000:03:00.0"]);
        job.memory = Memory::Ordinary;
        let words = environment(&job, 44);
        assert_eq!(words[..3], ["--no-huge", "-m", "236"], "{words:?}");
        job.worker_cpus = vec![1, 3];
        assert_eq!(lcores(&job), "0@0,1@1,2@3");
    }

    #[test]
    fn ports_become_devices() {
        let mut port = Job::of_sockets("/s", 1, true).ports.remove(0);
        assert_eq!(device(4, &port, 1518), "net_vhost4,iface=/s/p0,client=0");
        port.kind = PortKind::Vhost { socket: "/s/x".into(), listens: false };
        assert_eq!(device(0, &port, 1518), "net_vhost0,iface=/s/x,client=1");
        port.kind = PortKind::Interface("p0".to_owned());
        let packets = "net_af_packet1,iface=p0,framesz=2048,framecnt=512,blocksz=65536";
        assert_eq!(device(1, &port, 1518), packets);
        assert_eq!(device(1, &port, 9000), "net_pcap1,iface=p0");
        port.kind = PortKind::Device("net_tap0,mac=02:00:00:00:00:01".to_owned());
        assert_eq!(pci_address(&port), None);
    }
}
