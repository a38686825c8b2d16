//! From the configuration that runs to another one, while frames go on: only what differs is touched,
//! and either all of it changes or nothing.
//!
//! A port that comes is started first, out of the workers' sight. Then every worker learns where to send
//! its frames, together with the VLANs that it is in; only when all have, its own frames are polled. So no
//! worker meets an address of a port that it doesn't know yet. A port that goes loses its VLANs and its
//! queues in one step; the addresses behind it are flushed when no worker has a frame of it left.

use std::time::{Duration, Instant};

use pollux_config::{Changes, Config, Fault, Faults, MirrorTo, Port};
use pollux_engine::fdb::FdbKey;
use pollux_net::{PortId, WorkerId};

use super::plan::{self, MemoryPlan, PortPlan};
use super::ports::{self, Dealt, LivePort};
use super::qos::{Enlargement, Maker, PortQos};
use super::tuning::Tuning;
use super::{Host, StartError, Switch, mirrors, multi_segment, preflight, rest};
use crate::worker::Order;

/// How long a worker may take for a round. It takes microseconds, unless the kernel runs something else
/// on its CPU.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks whether the workers are through with a round.
const PAUSE: Duration = Duration::from_micros(20);

/// The new configuration can't be had. What ran before goes on, but for what is said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ReconfigureError {
    /// The file asks for what can't be changed, or for what the host or the switch lacks.
    #[error("{0}")]
    Faults(Faults),
    /// A port doesn't start. Ports that had been taken away for the change are back, with their VMs
    /// disconnected meanwhile and their counters begun anew.
    #[error("{0}")]
    Start(#[from] StartError),
    /// As `Start`, but some of those that were taken away don't start again either: they are gone, and
    /// the next change that has them tries again.
    #[error("{why}; and what was taken away for it doesn't start again: {}", lost.join("; "))]
    Lost {
        /// Why the change failed.
        why: Box<StartError>,
        /// Why each of the others doesn't start.
        lost: Vec<String>,
    },
    /// A worker doesn't answer. The change is made as far as the others are concerned.
    #[error("worker {0} has not finished a round for {n} s: the change is not complete", n = PATIENCE.as_secs())]
    Stuck(WorkerId),
}

impl From<Faults> for ReconfigureError {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

/// A port that is started, and its queues, which no worker has yet.
type Fresh = (LivePort, Dealt);

/// Devices that were tuned: the port's name, what it had, what it has.
type Tuned = Vec<(String, Tuning, Tuning)>;

/// The priorities of each port, by its number.
type PortsQos = Vec<(PortId, Option<PortQos>)>;

/// Ports' priorities, not yet in place.
#[derive(Default)]
struct NewQos {
    ports: PortsQos,
    enlargements: Vec<Enlargement>,
}

/// Takes a port's queues off the workers' loads.
fn unload(loads: &mut [usize], port: &LivePort) {
    for &poller in &port.pollers {
        loads[poller] -= 1;
    }
}

impl Switch {
    /// The configuration that runs.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What [`reconfigure`](Self::reconfigure) would change. Touches nothing.
    ///
    /// # Errors
    ///
    /// What needs a restart, or the host or the switch lacks.
    pub fn would_change(&self, new: &Config) -> Result<Changes, Faults> {
        let changes = Changes::between(&self.config, new)?;
        self.check(&changes, new)?;
        Ok(changes)
    }

    /// Makes the switch what `new` says, and tells what that changed.
    ///
    /// # Errors
    ///
    /// What is wrong with it; the switch then runs as before, but for what the error says.
    pub fn reconfigure(&mut self, new: Config) -> Result<Changes, ReconfigureError> {
        let changes = self.would_change(&new)?;
        self.carry_out(&changes, new)?;
        Ok(changes)
    }

    /// Stops a port and starts it anew, as it is.
    ///
    /// # Errors
    ///
    /// It doesn't start.
    pub fn reset(&mut self, name: &str) -> Result<Changes, ReconfigureError> {
        let changes = Changes { replaced: vec![name.to_owned()], ..Changes::default() };
        self.carry_out(&changes, self.config.clone())?;
        Ok(changes)
    }

    /// Makes the switch what `new` says, which takes these changes and was found to lack nothing.
    pub(super) fn carry_out(&mut self, changes: &Changes, new: Config) -> Result<(), ReconfigureError> {
        let mirrors = mirrors::prepare(&self.eal, &new, &self.taps.mirrors, self.sockets.len())?;
        let leaving = [&changes.replaced[..], &changes.detached].concat();
        let (late, early) = self.in_order(changes, &new);
        let mut fresh = Vec::new();
        self.prepare(&new, &early, &mut fresh)?;
        let tuned = match self.tune(&changes.retuned, &new) {
            Ok(tuned) => tuned,
            Err(error) => {
                self.discard(fresh.into_iter());
                return Err(error.into());
            }
        };
        if let Err(error) = self.detach(&leaving) {
            self.discard(fresh.into_iter());
            return Err(error);
        }
        let prepared = self.prepare(&new, &late, &mut fresh).and_then(|()| self.prepare_qos(&new, &fresh));
        let qos = match prepared {
            Ok(qos) => qos,
            Err(why) => {
                self.discard(fresh.into_iter());
                self.undo_tuning(tuned);
                return Err(self.restore(&leaving, why));
            }
        };
        // From here on all is done, whatever worker doesn't answer: half of it would never be made up for.
        let enlarged = self.enlarge(qos.enlargements);
        let elsewhere = self.in_other_vlans(changes, &new);
        if self.config.switch.burst != new.switch.burst {
            self.order_all(|_| Order::Burst(new.switch.burst));
        }
        self.config = new;
        self.taps.mirrors = mirrors;
        self.lost.clear();
        let joined = self.join(fresh, qos.ports);
        self.apply_fdb(changes, &elsewhere);
        enlarged.and(joined)
    }

    /// The ports that can be made only after others have gone, because they have the same device or
    /// socket, as when a port gets another name; and those that can be made before.
    fn in_order(&self, changes: &Changes, new: &Config) -> (Vec<String>, Vec<String>) {
        let taken: Vec<_> = self.config.ports.iter().map(|port| port.kind.identity()).collect();
        let waits = |name: &String| {
            let port = new.ports.iter().find(|port| port.name == *name);
            port.is_some_and(|port| taken.contains(&port.kind.identity()))
        };
        let (waiting, early): (Vec<_>, _) = changes.attached.iter().cloned().partition(waits);
        ([&changes.replaced[..], &waiting].concat(), early)
    }

    /// What the host or the switch lacks for the ports that come.
    fn check(&self, changes: &Changes, new: &Config) -> Result<(), Faults> {
        let comes =
            |port: &&Port| changes.attached.contains(&port.name) || changes.replaced.contains(&port.name);
        let needed = self.mbufs_needed(changes, new);
        let short = (needed > self.pools.size()).then(|| {
            let path = new.ports.iter().rfind(comes).map(|port| format!("ports.{}", port.name));
            let path = path.unwrap_or_else(|| "ports".to_owned());
            let what =
                format!("{needed} mbufs are needed with this port, and the switch has {}", self.pools.size());
            let cure = "restart the switch, or give it more to begin with, as in `memory = \"1GiB\"`";
            Fault::at(&new.locate(&path), what, cure)
        });
        // DPDK looks at the PCI bus when it starts, and only at the addresses that it was given then.
        let unknown = |port: &&Port| plan::pci_address(port).is_some_and(|nic| !self.nics.contains(&nic));
        let pci = new.ports.iter().filter(comes).filter(unknown).map(|port| {
            let what = "a NIC can't be added while the switch runs";
            let cure = "restart the switch; a port that was there at its start may go and come";
            Fault::at(&new.locate(&port.path("device")), what, cure)
        });
        let lacking = preflight::ports(new, new.ports.iter().filter(comes), &Host::default());
        let filters = preflight::filters(new, &self.config.mirrors);
        let faults: Faults = lacking.into_iter().chain(pci).chain(short).chain(filters).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Mbufs for every ring to be full, once all is done and before, while ports that come are there
    /// beside those that go.
    fn mbufs_needed(&self, changes: &Changes, new: &Config) -> u32 {
        let workers = self.sockets.len();
        let (_, early) = self.in_order(changes, new);
        let early = new.ports.iter().filter(|port| early.contains(&port.name));
        let any = PortId::from_low_bits(0);
        let early: u32 = early.map(|port| PortPlan::new(any, port, new, workers).mbufs()).sum();
        let meanwhile = MemoryPlan::needed(&self.config, workers).mbufs + early;
        meanwhile.max(MemoryPlan::needed(new, workers).mbufs)
    }

    /// Starts the ports of these names, deals their queues out, and adds them to `fresh`. Those that
    /// started before one fails are stopped again.
    fn prepare(
        &mut self,
        config: &Config,
        names: &[String],
        fresh: &mut Vec<Fresh>,
    ) -> Result<(), StartError> {
        let before = fresh.len();
        for port in config.ports.iter().filter(|port| names.contains(&port.name)) {
            let numbers = self.ports.iter().chain(fresh.iter().map(|(port, _)| port)).map(|port| port.id);
            let taken: Vec<_> = numbers.collect();
            let started = match PortId::all().find(|id| !taken.contains(id)) {
                Some(id) => self.prepare_one(config, port, id),
                None => Err(StartError::Worker(format!("port {}: the switch has no number left", port.name))),
            };
            match started {
                Ok(started) => fresh.push(started),
                Err(error) => {
                    self.discard(fresh.drain(before..));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Stops ports that no worker has met.
    fn discard(&mut self, fresh: impl Iterator<Item = Fresh>) {
        fresh.for_each(|(port, _)| unload(&mut self.loads, &port));
    }

    fn prepare_one(&mut self, config: &Config, port: &Port, id: PortId) -> Result<Fresh, StartError> {
        let plan = PortPlan::new(id, port, config, self.sockets.len());
        let attached = ports::attach(&self.eal, port, plan)?;
        let (queues, socket) = attached.rx_queues()?;
        let mut loads = self.loads.clone();
        let pollers = plan::spread_queues(queues, socket, &self.sockets, &mut loads);
        let (mut port, dealt) = attached.start(
            &self.pools,
            multi_segment(config),
            pollers,
            self.sockets.len(),
            rest::interrupts(config),
        )?;
        self.loads = loads;
        port.before = self.counted(id);
        Ok((port, dealt))
    }

    /// Sets in the devices of ports that stay what `new` says; in all of them, or none.
    fn tune(&mut self, retuned: &[String], new: &Config) -> Result<Tuned, StartError> {
        let named =
            |config: &Config, name: &str| config.ports.iter().find(|port| port.name == name).map(Tuning::of);
        let mut done = Tuned::new();
        for name in retuned {
            let (Some(before), Some(after)) = (named(&self.config, name), named(new, name)) else { continue };
            let Some(live) = self.ports.iter_mut().find(|port| port.name == *name) else { continue };
            if before == after {
                continue;
            }
            if let Err(error) = after.set(&before, &mut live.device) {
                done.push((name.clone(), before, after));
                self.undo_tuning(done);
                return Err(StartError::Port(name.clone(), error));
            }
            done.push((name.clone(), before, after));
        }
        Ok(done)
    }

    fn undo_tuning(&mut self, done: Tuned) {
        for (name, before, after) in done {
            let live = self.ports.iter_mut().find(|port| port.name == name);
            // What refused to be set may refuse to be set back; it is then as it was.
            let _ = live.map(|live| before.set(&after, &mut live.device));
        }
    }

    /// Takes ports away.
    fn detach(&mut self, names: &[String]) -> Result<(), ReconfigureError> {
        if names.is_empty() {
            return Ok(());
        }
        let (gone, stay) = self.ports.drain(..).partition(|port: &LivePort| names.contains(&port.name));
        let gone: Vec<LivePort> = gone;
        self.ports = stay;
        for port in &gone {
            self.shared.set_link(port.id, false);
            unload(&mut self.loads, port);
            self.order_all(|_| Order::GiveUp(port.id));
        }
        // Without a link, what waits for them is dropped and counted.
        let published = self.publish_with(&gone);
        let emptied = self.wait_until_empty(&gone);
        for mut port in gone {
            port.clear();
            self.departed += self.totals_of(&port);
            self.shared.fdb.flush_port(port.id);
            for entry in self.config.fdb.statics.iter() {
                if self.config.port(entry.port).is_some_and(|of| of.name == port.name) {
                    self.shared.fdb.remove(FdbKey::new(entry.vid, entry.mac));
                }
            }
            if let Err(refused) = port.device.stop() {
                tracing::error!("port {}: {}", port.name, refused.error);
            }
        }
        published.and(emptied)
    }

    /// Waits until nothing waits any more for ports that no worker sends to.
    fn wait_until_empty(&self, ports: &[LivePort]) -> Result<(), ReconfigureError> {
        let start = Instant::now();
        while ports.iter().any(|port| port.waiting() > 0) {
            if start.elapsed() > PATIENCE {
                let server = ports.iter().find(|port| port.waiting() > 0).map_or(0, |port| port.server);
                return Err(ReconfigureError::Stuck(WorkerId(server as u8)));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The priorities of all ports as `config` has them, those of `fresh` among them: made before any is
    /// changed.
    fn prepare_qos(&self, config: &Config, fresh: &[Fresh]) -> Result<NewQos, StartError> {
        let live = self.ports.iter().filter_map(|port| port.qos.as_ref());
        let mut maker = Maker::new(&self.eal, config, self.sockets.len(), live);
        let mut new = NewQos::default();
        for live in self.ports.iter().chain(fresh.iter().map(|(port, _)| port)) {
            let Some(port) = config.ports.iter().find(|port| port.name == live.name) else { continue };
            let qos = maker.make(port, live.server, live.qos.as_ref(), &mut new.enlargements)?;
            new.ports.push((live.id, qos));
        }
        Ok(new)
    }

    /// Has queues grow, before anybody lets more wait in them.
    fn enlarge(&self, enlargements: Vec<Enlargement>) -> Result<(), ReconfigureError> {
        if enlargements.is_empty() {
            return Ok(());
        }
        for Enlargement { server, queues, storage } in enlargements {
            self.commanders[usize::from(server.0)].give(Order::Enlarge(queues, storage));
        }
        self.publish()
    }

    /// Lets the workers have ports that are started, and puts the tables of `self.config` in place.
    fn join(&mut self, fresh: Vec<Fresh>, qos: PortsQos) -> Result<(), ReconfigureError> {
        let mut sources = Vec::new();
        for (port, dealt) in fresh {
            let mut sinks = dealt.sinks.into_iter();
            let id = port.id;
            self.order_all(|_| Order::Send(id, sinks.next().unwrap_or(crate::worker::Sink::None)));
            sources.extend(dealt.sources);
            self.ports.push(port);
        }
        for (id, qos) in qos {
            if let Some(port) = self.ports.iter_mut().find(|port| port.id == id) {
                port.qos = qos;
            }
        }
        let place = |name: &str| self.config.ports.iter().position(|port| port.name == name);
        self.ports.sort_by_key(|port| place(&port.name));
        self.taps.captures.follow(&self.ports);
        let mut published = self.publish();
        if !sources.is_empty() {
            for (worker, source) in sources {
                self.commanders[worker].give(Order::Poll(source));
            }
            published = published.and(self.publish());
        }
        for port in &self.ports {
            self.shared.set_link(port.id, port.passes());
        }
        published.and_then(|()| self.enable_ports())
    }

    /// Brings back what was taken away for a change that failed, as much of it as starts.
    fn restore(&mut self, names: &[String], why: StartError) -> ReconfigureError {
        let config = self.config.clone();
        let mut fresh = Vec::new();
        let (mut gone, mut lost) = (Vec::new(), Vec::new());
        for name in names {
            if let Err(error) = self.prepare(&config, std::slice::from_ref(name), &mut fresh) {
                gone.push(name.clone());
                lost.push(error.to_string());
            }
        }
        self.config = config.without(&gone);
        self.lost.extend(gone);
        // What it was before can be had again, or else what there was stays.
        let qos = self.prepare_qos(&self.config, &fresh).unwrap_or_else(|error| {
            lost.push(error.to_string());
            NewQos::default()
        });
        let joined = self.enlarge(qos.enlargements).and_then(|()| self.join(fresh, qos.ports));
        self.add_statics(|_| true);
        match joined {
            Err(error) => error,
            Ok(()) if lost.is_empty() => ReconfigureError::Start(why),
            Ok(()) => ReconfigureError::Lost { why: why.into(), lost },
        }
    }

    /// The ports of which the VLANs change.
    fn in_other_vlans(&self, changes: &Changes, new: &Config) -> Vec<String> {
        let vlan = |config: &Config, name: &str| {
            config.ports.iter().find(|port| port.name == name).map(|port| port.vlan.clone())
        };
        let retuned = changes.retuned.iter();
        let moved = retuned.filter(|name| vlan(&self.config, name) != vlan(new, name)).cloned();
        // Where mirrors' copies go, there are no VLANs.
        let targets = |config: &Config| -> Vec<String> {
            let port = |mirror: &pollux_config::Mirror| match &mirror.to {
                MirrorTo::Port(port) => Some(port.clone()),
                MirrorTo::Vlan(_) => None,
            };
            config.mirrors.iter().filter_map(port).collect()
        };
        let before = targets(&self.config);
        moved.chain(targets(new).into_iter().filter(|port| !before.contains(port))).collect()
    }

    /// What changes about addresses; `elsewhere` are ports in other VLANs than before.
    fn apply_fdb(&mut self, changes: &Changes, elsewhere: &[String]) {
        let fdb = &self.shared.fdb;
        if changes.ageing {
            fdb.set_ageing_seconds(self.config.fdb.ageing_time.as_secs() as u32);
        }
        // Such a port may leave addresses behind that it can't reach any more.
        for port in self.ports.iter().filter(|port| elsewhere.contains(&port.name)) {
            fdb.flush_port(port.id);
        }
        for &(vid, mac) in &changes.statics_removed {
            fdb.remove(FdbKey::new(vid, mac));
        }
        let added = |key: FdbKey| changes.statics_added.contains(&(key.vid(), key.mac()));
        let replaced = |name: &str| changes.replaced.iter().any(|replaced| replaced == name);
        let config = &self.config;
        self.add_statics(|entry| {
            let on = config.port(entry.port).is_some_and(|port| replaced(&port.name));
            on || added(FdbKey::new(entry.vid, entry.mac))
        });
    }

    /// Enters those static entries of the file that are `wanted`.
    fn add_statics(&self, wanted: impl Fn(&pollux_config::StaticEntry) -> bool) {
        let now = self.shared.now_seconds();
        for entry in self.config.fdb.statics.iter().filter(|entry| wanted(entry)) {
            let Some(name) = self.config.port(entry.port).map(|port| &port.name) else { continue };
            let Some(port) = self.ports.iter().find(|port| port.name == *name) else { continue };
            if let Err(full) = self.shared.fdb.insert_static(FdbKey::new(entry.vid, entry.mac), port.id, now)
            {
                tracing::error!("{} in VLAN {} on port {name}: {full}", entry.mac, entry.vid);
            }
        }
    }

    /// Gives every worker an order.
    pub(super) fn order_all(&self, mut order: impl FnMut(usize) -> Order) {
        for (worker, commander) in self.commanders.iter().enumerate() {
            commander.give(order(worker));
        }
    }

    /// Puts the tables of the ports that there are in place, and waits until every worker has taken them
    /// up and followed its orders.
    pub(super) fn publish(&self) -> Result<(), ReconfigureError> {
        self.publish_with(&[])
    }

    /// As [`publish`](Self::publish); workers are also to empty the queues of ports that are `leaving`.
    fn publish_with(&self, leaving: &[LivePort]) -> Result<(), ReconfigureError> {
        let tables = super::snapshot(&self.config, &self.ports, leaving, &self.taps);
        self.shared.publish(tables, self.rest_plans());
        let start = Instant::now();
        while let Some(worker) = self.shared.behind() {
            if start.elapsed() > PATIENCE {
                return Err(ReconfigureError::Stuck(worker));
            }
            std::thread::sleep(PAUSE);
        }
        self.commanders.iter().for_each(crate::worker::Commander::clear);
        self.shared.reclaim();
        Ok(())
    }
}
