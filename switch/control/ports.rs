//! Bringing ports up: from the file's words to started devices whose queues the workers own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dpdk::{
    Device, Eal, Port, PortConfig, RssTypes, SharedTxQueue, Started, Stopped, VhostOffloads, VhostPort,
};
use pollux_config::{DeviceSpec, PortKind, VhostRole};
use pollux_engine::{PortTotals, QueueCounters};
use pollux_net::PortId;

use super::StartError;
use super::cleared::Cleared;
use super::enable::{self, Parked};
use super::negotiated::Negotiated;
use super::plan::{DATA_ROOM, PortPlan};
use super::pools::Pools;
use super::presence::Presence;
use super::qos::PortQos;
use super::sockets;
use super::tuning::Tuning;
use crate::worker::{Sink, Source, VhostSink};

/// Descriptors to name for rings that are the VM's: the device ignores it, DPDK checks it.
const NOMINAL_RING: u16 = 1024;

/// A port that moves frames.
pub(super) struct LivePort {
    pub(super) id: PortId,
    pub(super) name: String,
    pub(super) device: Port<Started>,
    /// A VM's enabled receive queues, shared with the workers.
    vhost_enabled: Option<Arc<AtomicU64>>,
    /// What the VM negotiated.
    negotiated: Option<Negotiated>,
    /// The link as last reported.
    pub(super) link: dpdk::Link,
    /// When the link, or the VM, was there.
    pub(super) presence: Presence,
    /// Whether it takes part.
    pub(super) enabled: bool,
    /// Its rx queues while it doesn't.
    pub(super) parked: Parked,
    /// The workers that poll its queues, one for each queue.
    pub(super) pollers: Vec<usize>,
    /// The worker that sends what waits in its queues: the one that polled its first receive queue to begin
    /// with.
    pub(super) server: usize,
    /// Its device's NUMA socket.
    pub(super) socket: Option<usize>,
    /// What each of its receive queues brought.
    pub(super) counters: Vec<Arc<QueueCounters>>,
    /// Whether workers can wait for its receive queues.
    pub(super) interrupts: bool,
    /// Its priorities, queues and rates.
    pub(super) qos: Option<PortQos>,
    /// What the workers had counted on a port of this number before it was this port.
    pub(super) before: PortTotals,
    /// What had been counted when somebody cleared it.
    pub(super) cleared: Cleared,
}

/// A device that was found and not yet started.
pub(super) struct AttachedPort<'a> {
    config: &'a pollux_config::Port,
    plan: PortPlan,
    device: Port<Stopped>,
    socket: Option<u32>,
    negotiated: Option<Negotiated>,
}

/// A started port's queues, dealt out and not yet handed over.
pub(super) struct Dealt {
    /// The queues to poll, each with the worker's number.
    pub(super) sources: Vec<(usize, Source)>,
    /// Where each worker sends frames for the port.
    pub(super) sinks: Vec<Sink>,
}

/// Finds the device of a port.
pub(super) fn attach<'a>(
    eal: &Eal,
    config: &'a pollux_config::Port,
    plan: PortPlan,
) -> Result<AttachedPort<'a>, StartError> {
    let failed = |error| StartError::Port(config.name.clone(), error);
    let mut negotiated = None;
    let device = match &config.kind {
        PortKind::Device(device) => {
            if let DeviceSpec::Vdev(spec) = &device.spec {
                Device::new(spec.clone()).attach(eal)
            } else {
                Device::new(device.spec.to_string()).attach(eal)
            }
        }
        PortKind::VhostUser(vhost) => {
            sockets::clear(vhost).map_err(|error| StartError::Socket(config.name.clone(), error))?;
            VhostPort::new(&vhost.socket)
                .client(vhost.role == VhostRole::Client)
                .queues(vhost.queues)
                .offloads(VhostOffloads { checksum: vhost.offloads.checksum, tso: vhost.offloads.tso })
                .offer_again(negotiated.insert(Negotiated::of(&vhost.socket)).features())
                .attach(eal)
        }
    };
    let device = device.map_err(failed)?;
    let socket = device.info().map_err(failed)?.socket;
    Ok(AttachedPort { config, plan, device, socket, negotiated })
}

impl AttachedPort<'_> {
    /// Starts the device, and deals its queues out. `pollers` names a worker for each receive queue, of
    /// `workers` in all. `multi_segment` says whether some port's frames may take several mbufs, `interrupts`
    /// whether workers are to wait for those of its queues.
    pub(super) fn start(
        self,
        pools: &Pools,
        multi_segment: bool,
        pollers: Vec<usize>,
        workers: usize,
        interrupts: bool,
    ) -> Result<(LivePort, Dealt), StartError> {
        let Self { config, plan, device, socket, negotiated } = self;
        let failed = |error| StartError::Port(config.name.clone(), error);
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
            rx_interrupts: interrupts,
            ..PortConfig::default()
        };
        let mut device = device
            .start(&asked, std::slice::from_ref(pools.of(socket)))
            .map_err(|refused| failed(refused.error))?;
        if let PortKind::VhostUser(vhost) = &config.kind
            && vhost.role == VhostRole::Server
        {
            let opened = sockets::open_up(&vhost.socket, vhost.mode, vhost.group.as_deref());
            opened.map_err(|error| StartError::Socket(config.name.clone(), error))?;
        }
        let tuning = Tuning::of(config);
        tuning.set(&tuning.at_start(), &mut device).map_err(failed)?;
        let mut queues = device.take_queues().map_err(failed)?;
        let interrupts = interrupts && queues.rx.iter_mut().all(dpdk::RxQueue::has_interrupt);
        let vm = device.vhost().cloned();
        let vhost_enabled = vm.is_some().then(Arc::<AtomicU64>::default);
        let counters: Vec<_> = queues.rx.iter().map(|_| Arc::<QueueCounters>::default()).collect();
        let source = |queue: dpdk::RxQueue| {
            let poller = pollers.get(usize::from(queue.index())).copied().unwrap_or(0);
            let counters = counters[usize::from(queue.index())].clone();
            (poller, Source { port: plan.id, queue, counters })
        };
        let sources: Vec<_> = queues.rx.into_iter().map(source).collect();
        let (sources, parked) = match config.enabled {
            true => (sources, Parked::new()),
            false => (Vec::new(), sources.into_iter().map(|(_, source)| enable::park(source)).collect()),
        };
        let dealt = Dealt { sources, sinks: sinks(queues.tx, vhost_enabled.clone().zip(vm), workers) };
        let link = device.link();
        let presence = Presence::new(link.up);
        let name = config.name.clone();
        let before = PortTotals::default();
        let mut port = LivePort {
            id: plan.id,
            name,
            device,
            vhost_enabled,
            negotiated,
            link,
            presence,
            enabled: config.enabled,
            parked,
            server: pollers.first().copied().unwrap_or(0),
            pollers,
            socket: socket.map(|socket| socket as usize),
            counters,
            interrupts,
            qos: None,
            before,
            cleared: Cleared::default(),
        };
        port.refresh();
        Ok((port, dealt))
    }

    /// The device's NUMA socket, and the mbufs that it can hold at once.
    pub(super) fn mbufs(&self) -> (Option<u32>, u32) {
        (self.socket, self.plan.mbufs())
    }

    /// The receive queues that the device will have, and its NUMA socket.
    pub(super) fn rx_queues(&self) -> Result<(u16, Option<usize>), StartError> {
        let failed = |error| StartError::Port(self.config.name.clone(), error);
        let asked = PortConfig { rx_queues: self.plan.rx_queues, ..PortConfig::default() };
        let plan = self.device.plan(&asked, DATA_ROOM).map_err(failed)?;
        Ok((plan.config.rx_queues, self.socket.map(|socket| socket as usize)))
    }
}

/// A queue for each worker where there are enough, else shared ones; a VM's are always shared, as it
/// may have fewer tomorrow.
fn sinks(queues: Vec<dpdk::TxQueue>, vm: Option<(Arc<AtomicU64>, dpdk::Vhost)>, workers: usize) -> Vec<Sink> {
    if let Some((enabled, vm)) = vm {
        let queues: Arc<[_]> = queues.into_iter().map(SharedTxQueue::new).collect();
        let sink = VhostSink { queues, enabled, vm, workers: workers as u8 };
        std::iter::repeat_n(sink, workers).map(Sink::Vhost).collect()
    } else if queues.len() >= workers {
        queues.into_iter().take(workers).map(Sink::Own).collect()
    } else {
        let shared: Vec<_> = queues.into_iter().map(SharedTxQueue::new).collect();
        shared.iter().cycle().take(workers).cloned().map(Sink::Shared).collect()
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
            if let Some(negotiated) = &mut self.negotiated {
                negotiated.note(vhost.negotiated_features());
            }
        }
        let link = self.device.link();
        let changed = link.up != self.link.up;
        self.link = link;
        self.presence.note(link.up);
        changed.then_some(link)
    }

    /// Whether it has queues that this worker serves.
    pub(super) fn is_served_by(&self, worker: usize) -> bool {
        self.server == worker && self.qos.as_ref().is_some_and(|qos| qos.queues().is_some())
    }

    /// Frames that wait in its queues.
    pub(super) fn waiting(&self) -> u64 {
        self.qos.as_ref().map_or(0, PortQos::waiting)
    }

    /// Drops what waits, and queues that no worker has, once no worker is there to do it.
    pub(super) fn clear(&mut self) {
        self.parked.clear();
        if let Some(queues) = self.qos.as_ref().and_then(PortQos::queues) {
            queues.clear();
        }
    }

    /// The device's words for how it moves bursts, receiving and transmitting.
    pub(super) fn burst_modes(&self) -> (String, String) {
        (self.device.rx_burst_mode(0), self.device.tx_burst_mode(0))
    }
}
