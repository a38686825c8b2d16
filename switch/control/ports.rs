//! Bringing ports up: from the file's words to started devices whose queues the workers own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dpdk::{Device, Eal, Port, PortConfig, RssTypes, SharedTxQueue, Started, Stopped, VhostPort};
use pollux_config::{DeviceSpec, PortKind, VhostRole};
use pollux_net::{PortId, PortSet, WorkerId};

use super::StartError;
use super::plan::{DATA_ROOM, PortPlan};
use super::pools::Pools;
use crate::worker::{DpdkPlatform, Sink, Source, VhostSink};

/// Descriptors to name for rings that are the VM's: the device ignores it, DPDK checks it.
const NOMINAL_RING: u16 = 1024;

/// A port that moves frames.
pub(super) struct LivePort {
    pub(super) id: PortId,
    pub(super) name: String,
    pub(super) device: Port<Started>,
    /// A VM's enabled receive queues, shared with the workers.
    vhost_enabled: Option<Arc<AtomicU64>>,
    /// The link as last reported.
    pub(super) link: dpdk::Link,
}

/// A device that was found and not yet started.
pub(super) struct AttachedPort<'a> {
    config: &'a pollux_config::Port,
    plan: PortPlan,
    device: Port<Stopped>,
    socket: Option<u32>,
}

/// Finds the device of every port.
pub(super) fn attach<'a>(
    eal: &Eal,
    ports: impl Iterator<Item = (&'a pollux_config::Port, &'a PortPlan)>,
) -> Result<Vec<AttachedPort<'a>>, StartError> {
    let attach_one = |(config, plan): (&'a pollux_config::Port, &PortPlan)| {
        let failed = |error| StartError::Port(config.name.clone(), error);
        let device = match &config.kind {
            PortKind::Device(device) => {
                if let DeviceSpec::Vdev(spec) = &device.spec {
                    Device::new(spec.clone()).attach(eal)
                } else {
                    Device::new(device.spec.to_string()).attach(eal)
                }
            }
            PortKind::VhostUser(vhost) => VhostPort::new(&vhost.socket)
                .client(vhost.role == VhostRole::Client)
                .queues(vhost.queues)
                .attach(eal),
        };
        let device = device.map_err(failed)?;
        let socket = device.info().map_err(failed)?.socket;
        Ok(AttachedPort { config, plan: *plan, device, socket })
    };
    ports.map(attach_one).collect()
}

impl AttachedPort<'_> {
    /// Starts the device, and deals its queues out to the workers. `multi_segment` says whether some
    /// port's frames may take several mbufs.
    pub(super) fn start(
        self,
        pools: &Pools,
        multi_segment: bool,
        workers: &mut [DpdkPlatform],
        pollers: &[Vec<(PortId, u16)>],
    ) -> Result<LivePort, StartError> {
        let Self { config, plan, device, socket } = self;
        let failed = |error| StartError::Port(config.name.clone(), error);
        let vhost = matches!(config.kind, PortKind::VhostUser(_));
        let ring = |ring: u16| if ring == 0 { NOMINAL_RING } else { ring };
        let asked = PortConfig {
            rx_queues: plan.rx_queues,
            tx_queues: plan.tx_queues,
            rx_ring: ring(plan.rx_ring),
            tx_ring: ring(plan.tx_ring),
            mtu: config.mtu,
            rss: RssTypes::SWITCH,
            multi_segment_tx: multi_segment,
            promiscuous: match &config.kind {
                PortKind::Device(device) => device.promiscuous,
                PortKind::VhostUser(_) => false,
            },
            ..PortConfig::default()
        };
        let mut device = device
            .start(&asked, std::slice::from_ref(pools.of(socket)))
            .map_err(|refused| failed(refused.error))?;
        let queues = device.take_queues().map_err(failed)?;
        deal_rx(plan.id, queues.rx, workers, pollers);
        let enabled = vhost.then(Arc::<AtomicU64>::default);
        deal_tx(plan.id, queues.tx, enabled.clone(), workers);
        let link = device.link();
        let mut port =
            LivePort { id: plan.id, name: config.name.clone(), device, vhost_enabled: enabled, link };
        port.refresh();
        Ok(port)
    }

    /// The device's NUMA socket, and the mbufs that it can hold at once.
    pub(super) fn mbufs(&self) -> (Option<u32>, u32) {
        (self.socket, self.plan.mbufs())
    }

    /// The receive queues that the device will have.
    pub(super) fn rx_queues(&self) -> Result<(PortId, u16, Option<usize>), StartError> {
        let failed = |error| StartError::Port(self.config.name.clone(), error);
        let asked = PortConfig { rx_queues: self.plan.rx_queues, ..PortConfig::default() };
        let plan = self.device.plan(&asked, DATA_ROOM).map_err(failed)?;
        Ok((self.plan.id, plan.config.rx_queues, self.socket.map(|socket| socket as usize)))
    }
}

fn deal_rx(
    port: PortId,
    queues: Vec<dpdk::RxQueue>,
    workers: &mut [DpdkPlatform],
    pollers: &[Vec<(PortId, u16)>],
) {
    for queue in queues {
        let wanted = (port, queue.index());
        let poller = pollers.iter().position(|queues| queues.contains(&wanted)).unwrap_or(0);
        workers[poller].add_source(Source { port, queue });
    }
}

/// A queue for each worker where there are enough, else shared ones; a VM's are always shared, as it
/// may have fewer tomorrow.
fn deal_tx(
    port: PortId,
    queues: Vec<dpdk::TxQueue>,
    vhost_enabled: Option<Arc<AtomicU64>>,
    workers: &mut [DpdkPlatform],
) {
    if let Some(enabled) = vhost_enabled {
        let queues: Arc<[_]> = queues.into_iter().map(SharedTxQueue::new).collect();
        for worker in workers {
            worker
                .set_sink(port, Sink::Vhost(VhostSink { queues: queues.clone(), enabled: enabled.clone() }));
        }
    } else if queues.len() >= workers.len() {
        for (worker, queue) in workers.iter_mut().zip(queues) {
            worker.set_sink(port, Sink::Own(queue));
        }
    } else {
        let shared: Vec<_> = queues.into_iter().map(SharedTxQueue::new).collect();
        for (worker, queue) in workers.iter_mut().zip(shared.iter().cycle()) {
            worker.set_sink(port, Sink::Shared(queue.clone()));
        }
    }
}

impl LivePort {
    /// Takes up what happened to the port, or the link itself where the device tells nothing. Returns
    /// the link if it changed.
    pub(super) fn refresh(&mut self) -> Option<dpdk::Link> {
        self.device.events().take();
        if let (Some(enabled), Some(vhost)) = (&self.vhost_enabled, self.device.vhost()) {
            let queues = 0..vhost.queues();
            let bits =
                queues.filter(|&queue| vhost.is_tx_enabled(queue)).fold(0, |bits, queue| bits | 1 << queue);
            enabled.store(bits, Ordering::Relaxed);
        }
        let link = self.device.link();
        let changed = link.up != self.link.up;
        self.link = link;
        changed.then_some(link)
    }

    /// The device's words for how it moves bursts, receiving and transmitting.
    pub(super) fn burst_modes(&self) -> (String, String) {
        (self.device.rx_burst_mode(0), self.device.tx_burst_mode(0))
    }
}

/// The ports that have a link.
pub(super) fn links(ports: &[LivePort]) -> PortSet {
    ports.iter().filter(|port| port.link.up).map(|port| port.id).collect()
}

/// One platform for each worker, by the NUMA sockets of their CPUs.
pub(super) fn platforms(sockets: &[usize], pools: &Pools) -> Vec<DpdkPlatform> {
    let platform = |(worker, &socket): (usize, &usize)| {
        DpdkPlatform::new(WorkerId(worker as u8), pools.of(Some(socket as u32)).clone())
    };
    sockets.iter().enumerate().map(platform).collect()
}
