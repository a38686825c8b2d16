//! From the file and the host to what is going to be started: CPUs, queues, memory. Decides; starts
//! nothing.

use pollux_config::{Bytes, Config, DeviceSpec, PortKind};
use pollux_engine::datapath::BURST;
use pollux_net::{MAX_WORKERS, PortId};

use super::host::Host;
use super::qos;

/// Mbufs that a worker keeps to itself, so that taking and giving back touches no shared line.
pub(super) const POOL_CACHE: u32 = 512;

/// Octets of frame in one mbuf. Larger frames take several.
pub(super) const DATA_ROOM: u16 = dpdk::Mempool::DATA_ROOM;

/// Mbufs that the vhost library takes ahead of each queue.
const VHOST_MBUFS_PER_QUEUE: u32 = 4 * BURST as u32;

/// Devices that distribution builds of DPDK have room for (`RTE_MAX_ETHPORTS`).
const MAX_DEVICES: usize = 32;

/// Mbufs for frames on their way from one queue to another, at each worker: a burst of a VM's frames of
/// 64 KiB, an outbox for each of a few ports, floods.
const WORKER_MBUFS: u32 = BURST as u32 * (1 + (64 << 10) / DATA_ROOM as u32) + 2048;

/// What DPDK needs beside mbufs: descriptor rings, device and pool structures.
const OVERHEAD_BYTES: u64 = 48 << 20;

/// What an mbuf takes of ordinary memory, where DPDK lets none cross a page.
const ORDINARY_PAGE: u64 = 4 << 10;

/// What is going to be started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The CPU of each worker.
    pub cpus: Vec<usize>,
    /// The CPU of everything that doesn't poll.
    pub management_cpu: usize,
    /// One for each port of the file, in its order.
    pub ports: Vec<PortPlan>,
    /// Packet memory.
    pub memory: MemoryPlan,
}

/// Queues and rings of a port, before its device clamps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortPlan {
    /// Its number.
    pub id: PortId,
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Descriptors of a receive queue; 0 where the ring is the VM's.
    pub rx_ring: u16,
    /// Descriptors of a transmit queue; 0 where the ring is the VM's.
    pub tx_ring: u16,
    /// Mbufs that wait when all its classes' queues are full.
    pub queued: u32,
}

/// Packet memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Whether it is hugepages.
    pub hugepages: bool,
    /// Mbufs in the pool.
    pub mbufs: u32,
    /// Octets of the pool.
    pub pool_bytes: u64,
    /// Octets in all.
    pub total_bytes: u64,
}

impl Plan {
    /// What `config` asks for on `host`.
    pub fn new(config: &Config, host: &Host) -> Self {
        let online = host.cpus();
        let cpus = config.switch.cores.clone().unwrap_or_else(|| default_cpus(&online));
        let management_cpu = online.iter().copied().find(|cpu| !cpus.contains(cpu));
        let management_cpu = management_cpu.or_else(|| online.first().copied()).unwrap_or(0);
        let ports: Vec<_> = plan_ports(config, cpus.len());
        let memory = MemoryPlan::new(config, &ports, cpus.len());
        Self { cpus, management_cpu, ports, memory }
    }
}

/// All CPUs but the first, which is left to the operating system; the only one if there is no other.
fn default_cpus(online: &[usize]) -> Vec<usize> {
    match online {
        [only] => vec![*only],
        [_, rest @ ..] => rest.iter().copied().take(MAX_WORKERS).collect(),
        [] => vec![0],
    }
}

fn plan_ports(config: &Config, workers: usize) -> Vec<PortPlan> {
    PortId::all().zip(&config.ports).map(|(id, port)| PortPlan::new(id, port, config, workers)).collect()
}

impl PortPlan {
    /// What `config` asks for its `port`, to be polled by so many workers.
    pub(super) fn new(id: PortId, port: &pollux_config::Port, config: &Config, workers: usize) -> Self {
        let queued = qos::queue_mbufs(config.profile_of(port));
        match &port.kind {
            PortKind::Device(device) => Self {
                id,
                rx_queues: device.rx_queues.unwrap_or(workers as u16),
                tx_queues: workers as u16,
                rx_ring: device.rx_ring,
                tx_ring: device.tx_ring,
                queued,
            },
            PortKind::VhostUser(vhost) => {
                Self { id, rx_queues: vhost.queues, tx_queues: vhost.queues, rx_ring: 0, tx_ring: 0, queued }
            }
        }
    }

    /// Mbufs that the port can hold at once.
    pub(super) fn mbufs(&self) -> u32 {
        let ring = |queues: u16, descriptors: u16| u32::from(queues) * u32::from(descriptors);
        let in_rings = if self.rx_ring == 0 {
            u32::from(self.rx_queues) * VHOST_MBUFS_PER_QUEUE
        } else {
            ring(self.rx_queues, self.rx_ring) + ring(self.tx_queues, self.tx_ring)
        };
        in_rings.saturating_add(self.queued)
    }
}

impl MemoryPlan {
    /// What the file says; else enough for every ring to be full at once, and for VMs that come later.
    fn new(config: &Config, ports: &[PortPlan], workers: usize) -> Self {
        let mbufs = match config.switch.memory {
            None => full_rings(ports, workers).saturating_add(spare(ports.len())),
            Some(memory) => {
                (memory.get().saturating_sub(OVERHEAD_BYTES) / bytes_per_mbuf(config.switch.hugepages)) as u32
            }
        };
        Self::of(mbufs, config.switch.hugepages)
    }

    /// What the ports of the file need at least.
    pub fn needed(config: &Config, workers: usize) -> Self {
        Self::of(full_rings(&plan_ports(config, workers), workers), config.switch.hugepages)
    }

    fn of(mbufs: u32, hugepages: bool) -> Self {
        let pool_bytes = u64::from(mbufs) * bytes_per_mbuf(hugepages);
        let total = pool_bytes + OVERHEAD_BYTES;
        let mib = Bytes::mib(1).get();
        Self { hugepages, mbufs, pool_bytes, total_bytes: total.div_ceil(mib) * mib }
    }

    /// MiB in all.
    pub fn mib(&self) -> u32 {
        (self.total_bytes >> 20) as u32
    }
}

/// Mbufs for every ring to be full at once, and for what workers have in hand.
fn full_rings(ports: &[PortPlan], workers: usize) -> u32 {
    let held = ports.iter().map(PortPlan::mbufs).fold(0, u32::saturating_add);
    held.saturating_add(workers as u32 * (WORKER_MBUFS + POOL_CACHE + POOL_CACHE / 2))
}

fn bytes_per_mbuf(hugepages: bool) -> u64 {
    let bytes = dpdk::Mempool::bytes_for(1 << 16, DATA_ROOM).div_ceil(1 << 16);
    if hugepages { bytes } else { bytes.next_multiple_of(ORDINARY_PAGE) }
}

/// Mbufs kept for VMs that come while the switch runs: a queue pair for each device there is room for.
fn spare(ports: usize) -> u32 {
    MAX_DEVICES.saturating_sub(ports) as u32 * VHOST_MBUFS_PER_QUEUE
}

/// Who polls `queues` queues of a device on a NUMA socket: workers of that socket if there are any, and
/// always those that have the fewest queues so far, which `loads` says of each and is told.
pub(super) fn spread_queues(
    queues: u16,
    socket: Option<usize>,
    sockets: &[usize],
    loads: &mut [usize],
) -> Vec<usize> {
    let near = |worker: &usize| socket.is_none_or(|socket| sockets[*worker] == socket);
    let any_near = (0..sockets.len()).any(|worker| near(&worker));
    let candidates: Vec<_> = (0..sockets.len()).filter(|worker| !any_near || near(worker)).collect();
    let mut least = || {
        let worker = candidates.iter().copied().min_by_key(|&worker| loads[worker])?;
        loads[worker] += 1;
        Some(worker)
    };
    (0..queues).map_while(|_| least()).collect()
}

/// Whether DPDK must look at the PCI bus, and at which addresses.
pub(super) fn pci_addresses(config: &Config) -> Vec<String> {
    config.ports.iter().filter_map(pci_address).collect()
}

/// The PCI address of a port that has one.
pub(super) fn pci_address(port: &pollux_config::Port) -> Option<String> {
    match &port.kind {
        PortKind::Device(device) => match &device.spec {
            DeviceSpec::Pci(address) => Some(address.to_string()),
            DeviceSpec::Vdev(_) => None,
        },
        PortKind::VhostUser(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        pollux_config::parse("test.toml", text).unwrap()
    }

    #[test]
    fn the_first_cpu_is_left_alone_where_there_are_more() {
        assert_eq!(default_cpus(&[0, 1, 2]), [1, 2]);
        assert_eq!(default_cpus(&[3]), [3]);
    }

    #[test]
    fn two_nics_and_eight_vms_fit_the_promise() {
        let mut text = String::from("[switch]\ncores = [1, 2]\n");
        for n in 0..2 {
            text += &format!("[ports.nic{n}]\ndevice = \"0000:03:00.{n}\"\nmtu = 9000\n");
        }
        for n in 0..8 {
            text += &format!("[ports.vm{n}]\nvhost_user = {{ socket = \"/run/vm{n}.sock\", queues = 2 }}\n");
        }
        let config = config(&text);
        let plan = MemoryPlan::needed(&config, 2);
        assert!(plan.mbufs >= 2 * (2 * 4096 + 2 * 4096), "every ring can be full: {plan:?}");
        assert!(plan.total_bytes <= 1_200_000_000, "{plan:?}");
    }

    #[test]
    fn vms_that_come_later_find_room() {
        let vms = |count: usize| {
            let port = |n| format!("[ports.vm{n}]\nvhost_user = {{ socket = \"/run/vm{n}.sock\" }}\n");
            config(&(0..count).map(port).collect::<String>())
        };
        let one = vms(1);
        let begun = MemoryPlan::new(&one, &plan_ports(&one, 2), 2);
        assert!(MemoryPlan::needed(&one, 2).mbufs < begun.mbufs);
        assert!(MemoryPlan::needed(&vms(MAX_DEVICES), 2).mbufs <= begun.mbufs);
    }

    #[test]
    fn memory_in_the_file_is_what_is_taken() {
        let text = "[switch]\nmemory = \"512MiB\"\n[ports.a]\ndevice = \"net_null0\"\n";
        let config = config(text);
        let plan = MemoryPlan::new(&config, &plan_ports(&config, 1), 1);
        assert!(plan.total_bytes <= 512 << 20 && plan.total_bytes > 500 << 20, "{plan:?}");
    }

    #[test]
    fn ordinary_memory_has_a_page_for_each_mbuf() {
        let of = |hugepages: bool| {
            let config =
                config(&format!("[switch]\nhugepages = {hugepages}\n[ports.a]\ndevice = \"net_null0\"\n"));
            MemoryPlan::needed(&config, 2)
        };
        let plan = of(false);
        assert!(plan.pool_bytes >= u64::from(plan.mbufs) * ORDINARY_PAGE, "{plan:?}");
        assert!(of(true).pool_bytes < plan.pool_bytes);
    }

    #[test]
    fn queues_go_to_their_socket_and_evenly() {
        let mut loads = [0; 3];
        let mut spread = |queues, socket| spread_queues(queues, socket, &[0, 0, 1], &mut loads);
        assert_eq!(spread(4, Some(0)), [0, 1, 0, 1]);
        assert_eq!(spread(2, Some(1)), [2, 2]);
        assert_eq!(spread(2, None).len(), 2);
        assert_eq!(spread(1, Some(7)).len(), 1, "a socket without workers");
        assert_eq!(loads, [3, 3, 3]);
    }
}
