//! What ports are, in the form that the control socket tells it.

use pollux_config::PortKind;
use serde::Serialize;

use super::describe::vlan_in_words;
use super::ports::LivePort;
use super::{LinkState, Switch, mtu};

/// What everybody wants to know of a port.
#[derive(Clone, Debug, Serialize)]
pub struct PortSummary {
    /// Its number for as long as it is there.
    pub number: usize,
    /// Its name.
    pub port: String,
    /// `device` or `vhost_user`.
    pub kind: &'static str,
    /// The PCI address, the vdev, or the VM's socket.
    pub device: String,
    /// DPDK's driver.
    pub driver: String,
    /// The device's own address; `None` if it has none.
    pub mac: Option<String>,
    /// Its link.
    pub link: LinkState,
    /// Whether the file lets it take part.
    pub enabled: bool,
    /// Octets of payload of the longest frame.
    pub mtu: u16,
    /// Its VLANs, in words.
    pub vlan: String,
    /// Its QoS profile.
    pub profile: Option<String>,
    /// Queues that are received from.
    pub rx_queues: u16,
    /// Queues that are transmitted on.
    pub tx_queues: u16,
}

/// Limits of a ring's length, in descriptors.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    /// The fewest.
    pub min: u16,
    /// The most.
    pub max: u16,
    /// What they must be a multiple of.
    pub align: u16,
}

impl From<dpdk::RingLimits> for Limits {
    fn from(limits: dpdk::RingLimits) -> Self {
        let dpdk::RingLimits { min, max, align } = limits;
        Self { min, max, align }
    }
}

/// All that a port's device tells.
#[derive(Clone, Debug, Serialize)]
pub struct PortInfo {
    /// What everybody wants to know.
    #[serde(flatten)]
    pub summary: PortSummary,
    /// The NUMA socket that the device is attached to.
    pub numa_socket: Option<u32>,
    /// Whether the device takes frames for any address.
    pub promiscuous: bool,
    /// Whether the device takes frames for any group.
    pub allmulticast: bool,
    /// Descriptors of each rx queue; 0 where a VM decides.
    pub rx_ring: u16,
    /// Descriptors of each tx queue; 0 where a VM decides.
    pub tx_ring: u16,
    /// How the device receives, in its own words.
    pub rx_burst_mode: String,
    /// How the device transmits, in its own words.
    pub tx_burst_mode: String,
    /// The most rx queues that the device has.
    pub max_rx_queues: u16,
    /// The most tx queues that the device has.
    pub max_tx_queues: u16,
    /// Octets of the longest frame that it receives.
    pub max_rx_frame: u32,
    /// Octets of the smallest buffer that it receives into.
    pub min_rx_buffer: u32,
    /// Lengths of its rx rings.
    pub rx_ring_limits: Limits,
    /// Lengths of its tx rings.
    pub tx_ring_limits: Limits,
    /// The MTUs that it takes, lowest and highest.
    pub mtu_limits: [u16; 2],
    /// The addresses that it filters by, at most.
    pub max_macs: u32,
    /// Entries of its redirection table.
    pub reta_size: u16,
    /// Octets of its hash key.
    pub rss_key_octets: u8,
    /// What it can hash.
    pub rss_types: String,
    /// Whether it tells when the link changes.
    pub link_events: bool,
    /// What differs from what it was asked to be.
    pub notes: Vec<String>,
}

/// One queue of a port.
#[derive(Clone, Debug, Serialize)]
pub struct QueueInfo {
    /// Its number.
    pub queue: u16,
    /// Descriptors of its ring; 0 where a VM hasn't set it up.
    pub descriptors: u16,
    /// The worker that it belongs to; `None`: several share it.
    pub worker: Option<usize>,
    /// Whether it is in use: a VM decides about its own.
    pub enabled: bool,
    /// How the device moves bursts on it, in its own words.
    pub burst_mode: String,
}

/// The queues of a port.
#[derive(Clone, Debug, Serialize)]
pub struct PortQueuesInfo {
    /// The port's name.
    pub port: String,
    /// To receive from.
    pub rx: Vec<QueueInfo>,
    /// To transmit on.
    pub tx: Vec<QueueInfo>,
}

/// How a port's device spreads frames over its queues.
#[derive(Clone, Debug, Serialize)]
pub struct RssInfo {
    /// The port's name.
    pub port: String,
    /// What is hashed; `None` if the device can't say.
    pub types: Option<String>,
    /// The key, in hexadecimal; `None` if the device can't say.
    pub key: Option<String>,
    /// The queue of each hash, modulo the table's length.
    pub reta: Vec<u16>,
}

/// An offload, and whether it is used.
#[derive(Clone, Debug, Serialize)]
pub struct OffloadInfo {
    /// DPDK's name.
    pub name: String,
    /// Whether the port has the device do it.
    pub enabled: bool,
}

/// What a port's device could do.
#[derive(Clone, Debug, Serialize)]
pub struct Capabilities {
    /// The port's name.
    pub port: String,
    /// For frames received.
    pub rx_offloads: Vec<OffloadInfo>,
    /// For frames to be sent.
    pub tx_offloads: Vec<OffloadInfo>,
    /// What it can hash.
    pub rss_types: String,
}

/// A pool of packet memory.
#[derive(Clone, Debug, Serialize)]
pub struct PoolState {
    /// What it is for.
    pub name: String,
    /// Mbufs that it has.
    pub mbufs: u32,
    /// Mbufs that are out: in rings, in queues, under way.
    pub in_use: u32,
    /// Octets of a frame that fit into one.
    pub data_octets: u16,
}

impl Switch {
    /// Every port, in the file's order.
    pub fn port_summaries(&self) -> Vec<PortSummary> {
        self.ports.iter().filter_map(|live| self.summary(live)).collect()
    }

    /// All that devices tell of ports, in the file's order.
    pub fn port_infos(&self) -> Vec<PortInfo> {
        self.ports.iter().filter_map(|live| self.info(live)).collect()
    }

    /// The queues of every port, in the file's order.
    pub fn port_queues(&self) -> Vec<PortQueuesInfo> {
        self.ports.iter().map(|live| self.queues(live)).collect()
    }

    /// How a port spreads frames. The outer `None`: there is no such port.
    pub fn rss(&self, name: &str) -> Option<Result<RssInfo, dpdk::Error>> {
        let live = self.live(name)?;
        let info = || {
            let hexadecimal = |key: Vec<u8>| key.iter().map(|octet| format!("{octet:02x}")).collect();
            Ok(RssInfo {
                port: live.name.clone(),
                types: live.device.rss().map(|types| types.to_string()),
                key: live.device.rss_key().map(hexadecimal),
                reta: live.device.reta()?,
            })
        };
        Some(info())
    }

    /// What a port's device could do. The outer `None`: there is no such port.
    pub fn capabilities(&self, name: &str) -> Option<Result<Capabilities, dpdk::Error>> {
        let live = self.live(name)?;
        let named = |offloads: Vec<dpdk::Offload>| {
            let offloads = offloads.into_iter();
            offloads.map(|dpdk::Offload { name, enabled }| OffloadInfo { name, enabled }).collect()
        };
        let capabilities = || {
            Ok(Capabilities {
                port: live.name.clone(),
                rx_offloads: named(live.device.rx_offloads()?),
                tx_offloads: named(live.device.tx_offloads()?),
                rss_types: live.device.info()?.rss.to_string(),
            })
        };
        Some(capabilities())
    }

    /// The addresses that a port's device takes, its own first. `None`: there is no such port.
    pub fn macs(&self, name: &str) -> Option<Vec<pollux_net::Mac>> {
        Some(self.live(name)?.device.macs())
    }

    /// Raises or drops the link of a port. `Ok(false)`: its device can't. The outer `None`: there is no such
    /// port.
    pub fn set_link(&mut self, name: &str, up: bool) -> Option<Result<bool, dpdk::Error>> {
        let live = self.ports.iter_mut().find(|live| live.name == name)?;
        Some(live.device.set_link(up))
    }

    /// The link of a port as its device has it now. `None`: there is no such port.
    pub fn link(&self, name: &str) -> Option<dpdk::Link> {
        Some(self.live(name)?.device.link())
    }

    /// The pools of packet memory.
    pub fn pools(&self) -> Vec<PoolState> {
        let pools = self.pools.iter().map(|pool| PoolState {
            name: pool.purpose().to_owned(),
            mbufs: pool.size(),
            in_use: pool.in_use(),
            data_octets: pool.data_room(),
        });
        pools.collect()
    }

    /// What DPDK tells of its memory, in its own words.
    pub fn dump(&self, what: dpdk::Dump) -> String {
        self.eal.dump(what)
    }

    /// The port of this name.
    pub(super) fn live(&self, name: &str) -> Option<&LivePort> {
        self.ports.iter().find(|live| live.name == name)
    }

    fn summary(&self, live: &LivePort) -> Option<PortSummary> {
        let port = self.config.ports.iter().find(|port| port.name == live.name)?;
        let chosen = &live.device.setup().config;
        let info = live.device.info().ok();
        let (kind, device) = match &port.kind {
            PortKind::Device(device) => ("device", device.spec.to_string()),
            PortKind::VhostUser(vhost) => ("vhost_user", vhost.socket.display().to_string()),
        };
        Some(PortSummary {
            number: live.id.index(),
            port: live.name.clone(),
            kind,
            device,
            mac: info.as_ref().map(|info| info.mac).filter(|mac| !mac.is_zero()).map(|mac| mac.to_string()),
            driver: info.map(|info| info.driver).unwrap_or_default(),
            link: LinkState::from(live.link),
            enabled: port.enabled,
            mtu: mtu(port, live),
            vlan: vlan_in_words(&port.vlan),
            profile: port.profile.clone(),
            rx_queues: chosen.rx_queues,
            tx_queues: chosen.tx_queues,
        })
    }

    fn info(&self, live: &LivePort) -> Option<PortInfo> {
        let info = live.device.info().ok()?;
        let chosen = &live.device.setup().config;
        let (rx_burst_mode, tx_burst_mode) = live.burst_modes();
        let is_vm = live.device.vhost().is_some();
        let ring = |ring: u16| if is_vm { 0 } else { ring };
        Some(PortInfo {
            summary: self.summary(live)?,
            numa_socket: info.socket,
            promiscuous: live.device.is_promiscuous(),
            allmulticast: live.device.is_allmulticast(),
            rx_ring: ring(chosen.rx_ring),
            tx_ring: ring(chosen.tx_ring),
            rx_burst_mode,
            tx_burst_mode,
            max_rx_queues: info.max_rx_queues,
            max_tx_queues: info.max_tx_queues,
            max_rx_frame: info.max_rx_frame,
            min_rx_buffer: info.min_rx_buffer,
            rx_ring_limits: info.rx_ring.into(),
            tx_ring_limits: info.tx_ring.into(),
            mtu_limits: [*info.mtu.start(), *info.mtu.end()],
            max_macs: info.max_macs,
            reta_size: info.reta_size,
            rss_key_octets: info.rss_key_len,
            rss_types: info.rss.to_string(),
            link_events: info.link_events,
            notes: live.device.setup().notes.iter().map(ToString::to_string).collect(),
        })
    }

    fn queues(&self, live: &LivePort) -> PortQueuesInfo {
        let chosen = &live.device.setup().config;
        let vm = live.device.vhost();
        let ring = |queue: u16| vm.map(|vm| vm.ring_sizes(queue).unwrap_or_default());
        let rx = (0..chosen.rx_queues).map(|queue| QueueInfo {
            queue,
            descriptors: ring(queue).map_or(chosen.rx_ring, |(rx, _)| rx),
            worker: live.pollers.get(usize::from(queue)).copied(),
            enabled: vm.is_none_or(|vm| vm.is_rx_enabled(queue)),
            burst_mode: live.device.rx_burst_mode(queue),
        });
        let own = vm.is_none() && usize::from(chosen.tx_queues) >= self.workers();
        let tx = (0..chosen.tx_queues).map(|queue| QueueInfo {
            queue,
            descriptors: ring(queue).map_or(chosen.tx_ring, |(_, tx)| tx),
            worker: own.then_some(usize::from(queue)),
            enabled: vm.is_none_or(|vm| vm.is_tx_enabled(queue)),
            burst_mode: live.device.tx_burst_mode(queue),
        });
        PortQueuesInfo { port: live.name.clone(), rx: rx.collect(), tx: tx.collect() }
    }
}
