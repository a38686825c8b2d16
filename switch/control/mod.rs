//! The control plane: starts the switch from a file, watches over it, and stops it.

mod access;
mod addresses;
mod capture;
mod cleared;
mod describe;
mod edit;
mod enable;
mod flow_control;
mod follower;
pub mod guest;
mod happening;
mod host;
mod inspect;
mod load;
mod mirrors;
mod negotiated;
mod numbers;
mod plan;
mod pools;
mod ports;
mod preflight;
mod presence;
mod qos;
mod rebalance;
mod reconfigure;
pub mod report;
mod rest;
mod running;
mod shared;
mod sockets;
mod stations;
mod taps;
mod tuning;
mod virtio;
mod vlans;
mod vm;
mod watch;
mod watchdog;
mod workers;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dpdk::{Eal, EalOptions, Pci};
use pollux_config::{Config, PortKind};
use pollux_engine::fdb::{Fdb, FdbKey, FdbOptions};
use pollux_engine::{Accounting, PortSpec, PortTotals, Snapshot};
use pollux_net::{PortId, WorkerId};

pub use access::ControlAccess;
pub use addresses::{AddressFilter, KnownAddress};
pub use capture::{CaptureError, CaptureRequest, CaptureState, Ending};
pub use cleared::CountedPort;
pub use edit::Edit;
pub use follower::{Follower, Then};
pub use happening::{Happening, LinkChange, LinkState};
pub use host::{Host, HugePages};
pub use inspect::{
    Capabilities, Limits, OffloadInfo, PoolState, PortInfo, PortQueuesInfo, PortSummary, QueueInfo, RssInfo,
};
pub use mirrors::{MirrorState, Source, Target};
pub use numbers::{FdbNumbers, Numbers, PoolNumbers, PortNumbers, VmNumbers};
pub use plan::{MemoryPlan, Plan, PortPlan};
pub use preflight::preflight;
pub use qos::{ClassDrops, ClassState, Colours, PolicerState, PortQosState, RateState, RuleState};
pub use rebalance::{QueueMove, Rebalancing};
pub use reconfigure::ReconfigureError;
pub use running::{ChangeError, Running};
pub(crate) use shared::Shared;
pub(crate) use sockets::{listen_alone, remove_stale as remove_stale_socket};
pub use taps::StartCaptureError;
pub use vlans::VlanMembers;
pub use vm::{Connection, Network, QueuePair, VmState};
pub use workers::{BurstCount, RestState, RxQueueState, WorkerState};

use crate::worker::{Commander, DpdkPlatform, Worker, WorkerError, orders};
use pools::Pools;
use ports::{Dealt, LivePort};

/// The switch can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// DPDK's environment failed.
    #[error("DPDK doesn't start: {0}")]
    Eal(dpdk::Error),
    /// The mbuf pool can't be had.
    #[error("packet memory: {0}")]
    Pool(dpdk::Error),
    /// A port failed.
    #[error("port {0}: {1}")]
    Port(String, dpdk::Error),
    /// The socket of a port can't be had.
    #[error("port {0}: {1}")]
    Socket(String, std::io::Error),
    /// The rules of a QoS profile can't be had.
    #[error("QoS profile {0}: its rules: {1}")]
    Rules(String, dpdk::Error),
    /// The filter of a mirror can't be had.
    #[error("mirror {0}: {1}")]
    Mirror(String, dpdk::Error),
    /// A worker failed.
    #[error("{0}")]
    Worker(String),
    /// The FDB has no room for the static entries.
    #[error("the FDB has no room for the static entry {0} in VLAN {1}: raise `fdb.capacity`")]
    StaticEntry(pollux_net::Mac, pollux_net::Vid),
}

impl From<WorkerError> for StartError {
    fn from(error: WorkerError) -> Self {
        Self::Worker(error.to_string())
    }
}

/// A switch that runs. Dropping it stops it; [`stop`](Self::stop) also tells what came of it.
pub struct Switch {
    // Dropped in this order: workers give their queues back, then ports close, then the pools, then DPDK.
    workers: Vec<JoinHandle<DpdkPlatform>>,
    /// One for each worker.
    commanders: Vec<Commander>,
    /// In the order of the file.
    ports: Vec<LivePort>,
    /// What looks at frames.
    taps: taps::Taps,
    pools: Pools,
    eal: Eal,
    events: Receiver<dpdk::Event>,
    shared: Arc<Shared>,
    plan: Plan,
    config: Config,
    /// The PCI addresses that DPDK was given when it started.
    nics: Vec<String>,
    /// Addresses that had moved when they were last looked after; `None` if a link was lost since.
    moved: Option<u64>,
    /// What was counted when it was last told.
    counted: happening::Counted,
    /// How busy workers were.
    marks: load::Marks,
    measuring: rebalance::Measuring,
    watchdog: watchdog::Watchdog,
    /// Whether workers receive.
    forwards: bool,
    /// Ports that should run, and didn't start again when they were made anew.
    lost: Vec<String>,
    /// What ports that are gone had counted.
    departed: PortTotals,
    /// The NUMA socket of each worker's CPU, and the receive queues that it polls.
    sockets: Vec<usize>,
    loads: Vec<usize>,
    started: Instant,
    next_look: Instant,
}

impl Switch {
    /// Starts everything that `plan` says of `config`. Returns when all workers poll.
    ///
    /// # Errors
    ///
    /// The first thing that fails; what was started before it is stopped again.
    pub fn start(config: Config, plan: Plan) -> Result<Self, StartError> {
        let eal = Eal::init(&eal_options(&config, &plan)).map_err(StartError::Eal)?;
        let events = eal.take_event_receiver().expect("the environment was started just now");
        let attached = config.ports.iter().zip(&plan.ports);
        let attached = attached.map(|(port, plan)| ports::attach(&eal, port, *plan));
        let attached = attached.collect::<Result<Vec<_>, _>>()?;
        let host = Host::default();
        let sockets: Vec<_> = plan.cpus.iter().map(|&cpu| host.socket_of(cpu)).collect();
        let home = sockets.first().map_or(0, |&socket| socket as u32);
        let held = attached.iter().map(ports::AttachedPort::mbufs);
        let pools = Pools::create(&eal, plan.memory.mbufs, home, held)?;
        let platform = |(worker, &socket): (usize, &usize)| {
            DpdkPlatform::new(
                WorkerId(worker as u8),
                pools.of(Some(socket as u32)).clone(),
                config.switch.burst,
            )
        };
        let mut platforms: Vec<_> = sockets.iter().enumerate().map(platform).collect();
        let mut loads = vec![0; sockets.len()];
        let mut ports = Vec::new();
        for port in attached {
            let (queues, socket) = port.rx_queues()?;
            let pollers = plan::spread_queues(queues, socket, &sockets, &mut loads);
            let (port, dealt) = port.start(
                &pools,
                multi_segment(&config),
                pollers,
                platforms.len(),
                rest::interrupts(&config),
            )?;
            hand_over(port.id, dealt, &mut platforms);
            ports.push(port);
        }
        let mut maker = qos::Maker::new(&eal, &config, platforms.len(), std::iter::empty());
        for (live, port) in ports.iter_mut().zip(&config.ports) {
            // No queue is there yet that would have to grow.
            live.qos = maker.make(port, live.server, None, &mut Vec::new())?;
        }

        let mirrors = mirrors::prepare(&eal, &config, &[], platforms.len())?;
        let taps = taps::Taps { mirrors, ..taps::Taps::default() };
        let tables = snapshot(&config, &ports, &[], &taps);
        let rest = rest::plans(&eal, &config.switch.rest, sockets.len(), &ports);
        let shared = Arc::new(Shared::new(fdb(&config)?, tables, rest));
        for port in ports.iter().filter(|port| port.passes()) {
            shared.set_link(port.id, true);
        }
        let now = Instant::now();
        let mut switch = Self {
            workers: Vec::new(),
            commanders: Vec::new(),
            ports,
            taps,
            pools,
            eal,
            events,
            shared,
            plan,
            nics: plan::pci_addresses(&config),
            config,
            moved: None,
            counted: happening::Counted::default(),
            marks: load::Marks::default(),
            measuring: rebalance::Measuring::NEW,
            watchdog: watchdog::Watchdog::default(),
            forwards: true,
            lost: Vec::new(),
            departed: PortTotals::default(),
            sockets,
            loads,
            started: now,
            next_look: now,
        };
        switch.start_workers(platforms)?;
        Ok(switch)
    }

    fn start_workers(&mut self, platforms: Vec<DpdkPlatform>) -> Result<(), StartError> {
        let (ready, all_ready) = channel();
        for ((number, platform), &cpu) in platforms.into_iter().enumerate().zip(&self.plan.cpus) {
            let id = WorkerId(number as u8);
            let (commander, orders) = orders(self.eal.tsc_hz());
            self.commanders.push(commander);
            let worker = Worker { id, cpu, platform, orders, shared: self.shared.clone() };
            let ready = ready.clone();
            let thread = worker.spawn(self.eal.clone(), move |result| {
                // Nobody waits any more if another worker failed first.
                let _ = ready.send(result);
            })?;
            self.workers.push(thread);
        }
        drop(ready);
        for result in all_ready {
            result?;
        }
        Ok(())
    }

    /// What each port received, sent and dropped so far, over all workers, in the file's order.
    pub fn totals(&self) -> Vec<(String, PortTotals)> {
        self.ports.iter().map(|port| (port.name.clone(), self.totals_of(port))).collect()
    }

    /// What ports that are gone had counted, under a name that no port can have; `None` if nothing.
    pub fn departed(&self) -> Option<(String, PortTotals)> {
        (self.departed != PortTotals::default()).then(|| (DEPARTED.to_owned(), self.departed))
    }

    /// What the workers counted on a port.
    fn totals_of(&self, port: &LivePort) -> PortTotals {
        let mut sum = self.counted(port.id);
        sum -= port.before;
        sum
    }

    /// What the workers counted on this number since the switch started, whichever port it was.
    fn counted(&self, port: PortId) -> PortTotals {
        let mut sum = PortTotals::default();
        for worker in &self.shared.stats {
            sum += worker.port(port);
        }
        sum
    }

    /// The DPDK that runs, with its version.
    pub fn dpdk_version(&self) -> String {
        self.eal.version().to_string()
    }

    /// For how long the switch has run.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// How many workers poll.
    pub fn workers(&self) -> usize {
        self.sockets.len()
    }

    /// The balance of all frames so far.
    pub fn accounting(&self) -> Accounting {
        Accounting::of(&self.shared.stats, self.ports.iter().map(LivePort::waiting).sum())
    }

    /// Frames that devices lost before the switch saw them: port, missed for want of descriptors,
    /// errors, without an mbuf. Ports that lost none, or can't tell, are left out.
    pub fn device_losses(&self) -> Vec<(String, dpdk::PortStats)> {
        let lost = |port: &LivePort| {
            let stats = port.device.stats().ok()?;
            let any = stats.rx_missed + stats.rx_errors + stats.rx_no_mbuf + stats.tx_errors > 0;
            any.then(|| (port.name.clone(), stats))
        };
        self.ports.iter().filter_map(lost).collect()
    }

    /// The addresses known, and how many there can be.
    pub fn fdb(&self) -> &Fdb {
        &self.shared.fdb
    }

    /// Ports that should run, and didn't start again when they were made anew. The next change of the
    /// configuration tries again.
    pub fn lost(&self) -> &[String] {
        &self.lost
    }

    /// The name of the port of this name or number.
    pub fn port_name(&self, port: &str) -> Option<&str> {
        let number = port.parse().ok().and_then(PortId::new);
        let is = |live: &&LivePort| live.name == port || number == Some(live.id);
        self.ports.iter().find(is).map(|live| live.name.as_str())
    }

    /// How a port's device pauses its link; the outer `None`: there is no such port.
    pub fn flow_control(&self, name: &str) -> Option<Result<dpdk::FlowControl, dpdk::Error>> {
        Some(self.live(name)?.device.flow_control())
    }

    /// What ports do about priorities, and have counted: of those that have a profile, or regenerate
    /// priorities, or trust DSCPs.
    pub fn qos(&self) -> Vec<PortQosState> {
        let hz = self.eal.tsc_hz();
        let states =
            self.ports.iter().filter_map(|port| Some(qos::state(&port.name, port.qos.as_ref()?, hz)));
        states.collect()
    }

    /// What was found and chosen, for people.
    pub fn describe(&self) -> String {
        describe::describe(self)
    }

    /// Stops the workers, then the ports. Frames in the rings of devices are lost to the devices, not
    /// to the accounting.
    pub fn stop(mut self) -> Stopped {
        self.stop_workers();
        let mut totals = self.totals();
        totals.extend(self.departed());
        let accounting = self.accounting();
        let losses = self.device_losses();
        let failures = self.ports.drain(..).filter_map(|mut port| {
            port.clear();
            let name = port.name;
            port.device.stop().err().map(|refused| format!("port {name}: {}", refused.error))
        });
        let failures = failures.collect();
        let mbufs_out = self.pools.in_use();
        Stopped { totals, accounting, losses, failures, mbufs_out }
    }

    fn stop_workers(&mut self) {
        self.shared.stop();
        for worker in self.workers.drain(..) {
            // A worker that panicked has taken its queues with it; what is left can still be stopped.
            drop(worker.join());
        }
        self.taps.captures.end();
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.stop_workers();
    }
}

/// What stands for ports that were taken away, in tables whose sums are the whole switch's.
const DEPARTED: &str = "(detached)";

/// What a switch leaves behind.
#[derive(Debug)]
pub struct Stopped {
    /// Each port's totals.
    pub totals: Vec<(String, PortTotals)>,
    /// The balance.
    pub accounting: Accounting,
    /// What devices lost.
    pub losses: Vec<(String, dpdk::PortStats)>,
    /// Ports that didn't stop, and why.
    pub failures: Vec<String>,
    /// Mbufs that didn't come home: 0 unless something leaks.
    pub mbufs_out: u32,
}

/// Gives queues to the workers that are to use them, before these start.
fn hand_over(port: PortId, dealt: Dealt, platforms: &mut [DpdkPlatform]) {
    for (worker, source) in dealt.sources {
        platforms[worker].add_source(source);
    }
    for (platform, sink) in platforms.iter_mut().zip(dealt.sinks) {
        platform.set_sink(port, sink);
    }
}

/// Whether some port's frames may take several mbufs.
fn multi_segment(config: &Config) -> bool {
    config.ports.iter().any(|port| port.mtu + MTU_SLACK > plan::DATA_ROOM)
}

/// What a frame may have beside its MTU: header, two tags, check sequence.
const MTU_SLACK: u16 = pollux_net::MTU_OVERHEAD as u16 + 4;

fn eal_options(config: &Config, plan: &Plan) -> EalOptions {
    let pci = plan::pci_addresses(config);
    EalOptions {
        hugepages: plan.memory.hugepages,
        // Without hugepages everything is reserved at the start. With them, files would only be left
        // behind: nobody else maps this memory.
        memory: (!plan.memory.hugepages).then(|| plan.memory.mib()),
        in_memory: plan.memory.hugepages,
        management_cpu: Some(plan.management_cpu),
        pci: if pci.is_empty() { Pci::Off } else { Pci::Allow(pci) },
        log: log_dpdk,
        ..EalOptions::default()
    }
}

fn log_dpdk(level: dpdk::LogLevel, line: &str) {
    if level <= dpdk::LogLevel::Error {
        tracing::error!(target: "dpdk", "{line}");
    } else {
        tracing::warn!(target: "dpdk", "{line}");
    }
}

/// The MTU that holds: what a device was able to take, or what a VM's port is told.
fn mtu(port: &pollux_config::Port, live: &LivePort) -> u16 {
    match port.kind {
        PortKind::Device(_) => live.device.setup().config.mtu,
        PortKind::VhostUser(_) => port.mtu,
    }
}

/// The ports as the relay sees them, with the MTUs that their devices were able to take.
fn specs(config: &Config, ports: &[LivePort]) -> Vec<PortSpec> {
    let spec = |port: &pollux_config::Port| {
        let live = ports.iter().find(|live| live.name == port.name)?;
        let mtu = mtu(port, live);
        let may_leave_work = live.device.vhost().is_some();
        Some(PortSpec { id: live.id, vlan: port.vlan.clone(), mtu, may_leave_work })
    };
    config.ports.iter().filter_map(spec).collect()
}

/// What workers are to see; `leaving`: ports whose queues are still to be emptied.
fn snapshot(
    config: &Config,
    ports: &[LivePort],
    leaving: &[LivePort],
    taps: &taps::Taps,
) -> Snapshot<DpdkPlatform> {
    let all = ports.iter().chain(leaving);
    let snapshot = all.fold(Snapshot::new(&specs(config, ports)), |snapshot, port| match &port.qos {
        Some(qos) => qos.add_to(snapshot, port.id),
        None => snapshot,
    });
    taps.add_to(snapshot, ports)
}

fn fdb(config: &Config) -> Result<Fdb, StartError> {
    let settings = &config.fdb;
    let fdb = Fdb::new(FdbOptions::new(settings.capacity, settings.ageing_time.as_secs() as u32));
    for entry in &settings.statics {
        let full = |_| StartError::StaticEntry(entry.mac, entry.vid);
        fdb.insert_static(FdbKey::new(entry.vid, entry.mac), entry.port, 0).map_err(full)?;
    }
    Ok(fdb)
}
