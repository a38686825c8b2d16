//! The control plane: starts the switch from a file, watches over it, and stops it.

mod describe;
mod host;
mod plan;
mod pools;
mod ports;
mod preflight;
pub mod report;
mod shared;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dpdk::{Eal, EalOptions, Pci};
use hashbrown::HashMap;
use pollux_config::Config;
use pollux_engine::fdb::{Fdb, FdbEntry, FdbKey, FdbOptions};
use pollux_engine::{Accounting, PortSpec, PortTotals, Snapshot};
use pollux_net::WorkerId;

pub use host::{Host, HugePages};
pub use plan::{MemoryPlan, Plan, PortPlan};
pub use preflight::preflight;
pub(crate) use shared::Shared;

use crate::worker::{DpdkPlatform, Worker, WorkerError};
use pools::Pools;
use ports::LivePort;

/// How often the clock moves on and the FDB is swept while nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// Part of the FDB that one tick sweeps, so that dead entries are gone within about ten seconds.
const SWEEPS_PER_PASS: usize = 100;

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
    ports: Vec<LivePort>,
    /// Where in `ports` DPDK's port of a number is.
    by_number: HashMap<u16, usize>,
    pools: Pools,
    eal: Eal,
    events: Receiver<u16>,
    shared: Arc<Shared>,
    plan: Plan,
    config: Config,
    started: Instant,
    next_look: Instant,
}

/// An address that the FDB has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAddress {
    /// The name of the port that it is behind.
    pub port: String,
    /// The rest.
    pub entry: FdbEntry,
}

/// Something that happened to a port, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkChange {
    /// The port's name.
    pub port: String,
    /// Its link now.
    pub link: dpdk::Link,
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
        let attached = ports::attach(&eal, config.ports.iter().zip(&plan.ports))?;
        let host = Host::default();
        let sockets: Vec<_> = plan.cpus.iter().map(|&cpu| host.socket_of(cpu)).collect();
        let home = sockets.first().map_or(0, |&socket| socket as u32);
        let held = attached.iter().map(ports::AttachedPort::mbufs);
        let pools = Pools::create(&eal, plan.memory.mbufs, home, held)?;
        let queues = attached.iter().map(ports::AttachedPort::rx_queues).collect::<Result<Vec<_>, _>>()?;
        let pollers = plan::spread_queues(&queues, &sockets);
        let mut platforms = ports::platforms(&sockets, &pools);
        let multi_segment = config.ports.iter().any(|port| port.mtu + MTU_SLACK > plan::DATA_ROOM);
        let start =
            |port: ports::AttachedPort<'_>| port.start(&pools, multi_segment, &mut platforms, &pollers);
        let ports = attached.into_iter().map(start).collect::<Result<Vec<_>, _>>()?;

        let shared =
            Arc::new(Shared::new(fdb(&config)?, Snapshot::new(&specs(&config, &ports)), plan.cpus.len()));
        for port in ports::links(&ports).iter() {
            shared.set_link(port, true);
        }
        let by_number = ports.iter().enumerate().map(|(place, port)| (port.device.number(), place)).collect();
        let now = Instant::now();
        let mut switch = Self {
            workers: Vec::new(),
            ports,
            by_number,
            pools,
            eal,
            events,
            shared,
            plan,
            config,
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
            let worker = Worker { id, cpu, platform, shared: self.shared.clone() };
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

    /// Waits for events, moves the clock on and ages the FDB. Returns by `until`, or when links
    /// changed.
    pub fn watch(&mut self, until: Instant) -> Vec<LinkChange> {
        loop {
            let now = Instant::now();
            let wake = self.next_look.min(until);
            let changed = match self.events.recv_timeout(wake.saturating_duration_since(now)) {
                Ok(first) => {
                    let numbers = std::iter::once(first).chain(self.events.try_iter());
                    let places: Vec<_> =
                        numbers.filter_map(|number| self.by_number.get(&number).copied()).collect();
                    self.look_at(places)
                }
                Err(RecvTimeoutError::Timeout) if wake == self.next_look => self.tick(),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Vec::new(),
            };
            if !changed.is_empty() || Instant::now() >= until {
                return changed;
            }
        }
    }

    fn tick(&mut self) -> Vec<LinkChange> {
        self.next_look = Instant::now() + TICK;
        let now = self.started.elapsed().as_secs() as u32;
        let second_passed = now != self.shared.now_seconds();
        self.shared.set_now_seconds(now);
        self.shared.fdb.sweep(now, self.shared.fdb.buckets().div_ceil(SWEEPS_PER_PASS));
        self.shared.reclaim();
        // Devices without link events are asked once a second, the others as a precaution.
        if second_passed { self.look_at(0..self.ports.len()) } else { Vec::new() }
    }

    /// Takes up what happened to these ports.
    fn look_at(&mut self, places: impl IntoIterator<Item = usize>) -> Vec<LinkChange> {
        let mut changes = Vec::new();
        for place in places {
            let port = &mut self.ports[place];
            if let Some(link) = port.refresh() {
                self.shared.set_link(port.id, link.up);
                changes.push(LinkChange { port: port.name.clone(), link });
            }
        }
        changes
    }

    /// Puts other VLAN modes, priorities or MTUs in place of those of the file, between bursts and
    /// without losing a frame. The devices stay as they are.
    pub fn apply(&self, ports: &[PortSpec]) {
        self.shared.publish(Snapshot::new(ports));
    }

    /// What each port received, sent and dropped so far, over all workers, in the file's order.
    pub fn totals(&self) -> Vec<(String, PortTotals)> {
        let total = |port: &LivePort| {
            let mut sum = PortTotals::default();
            for worker in &self.shared.stats {
                sum += worker.port(port.id);
            }
            (port.name.clone(), sum)
        };
        self.ports.iter().map(total).collect()
    }

    /// The balance of all frames so far.
    pub fn accounting(&self) -> Accounting {
        Accounting::of(&self.shared.stats)
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

    /// The addresses alive now, by VLAN and address.
    pub fn addresses(&self) -> Vec<KnownAddress> {
        let known = |entry: FdbEntry| {
            let port = self.ports.iter().find(|port| port.id == entry.port)?;
            Some(KnownAddress { port: port.name.clone(), entry })
        };
        let entries = self.shared.fdb.entries(self.shared.now_seconds());
        let mut addresses: Vec<_> = entries.filter_map(known).collect();
        addresses.sort_unstable_by_key(|known| (known.entry.key.vid(), known.entry.key.mac()));
        addresses
    }

    /// What was found and chosen, for people.
    pub fn describe(&self) -> String {
        describe::describe(self)
    }

    /// Stops the workers, then the ports. Frames in the rings of devices are lost to the devices, not
    /// to the accounting.
    pub fn stop(mut self) -> Stopped {
        self.stop_workers();
        let totals = self.totals();
        let accounting = self.accounting();
        let losses = self.device_losses();
        let failures = self.ports.drain(..).filter_map(|port| {
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
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.stop_workers();
    }
}

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

/// The ports as the relay sees them, with the MTUs that their devices were able to take.
fn specs(config: &Config, ports: &[LivePort]) -> Vec<PortSpec> {
    let spec = |(port, live): (&pollux_config::Port, &LivePort)| PortSpec {
        id: live.id,
        vlan: port.vlan.clone(),
        mtu: live.device.setup().config.mtu,
    };
    config.ports.iter().zip(ports).map(spec).collect()
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
