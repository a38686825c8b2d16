//! A device that is only computed, and a tester that knows how it would behave.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::{Case, Context, Findings, Settings};
use crate::lab::bed::Bed;
use crate::systems::{Access, Control, Job, Kind, Memory, PortCounters, PortJob, PortKind, System};
use crate::tester::Tester;
use crate::tester::protocol::{
    Flaw, Latency, Outcome, PROTOCOL, PortOutcome, PortReady, Rate, Ready, Sizes, Stream, StreamOutcome,
    Target, TesterLoad, Trial,
};
use crate::{BenchError, Result};

/// What a device is like.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) ports: u8,
    /// Frames a second that it forwards, over all ports, and that one port sends.
    pub(crate) capacity: f64,
    pub(crate) port_capacity: f64,
    /// Frames that it holds while it gets more than it forwards, for each port that sends.
    pub(crate) buffer: f64,
    /// The share that it loses whatever the load.
    pub(crate) base_loss: f64,
    /// By how much its capacity varies from trial to trial, as a share of it.
    pub(crate) noise: f64,
    /// The share of trials in which something takes half of its time.
    pub(crate) disturbances: f64,
    /// Addresses that it holds, and learns a second.
    pub(crate) fdb: u32,
    pub(crate) learns: f64,
    /// Nanoseconds that a frame takes.
    pub(crate) latency: f64,
    /// Seconds without frames when it is started anew, in order and after a crash; `None` where it can't be.
    pub(crate) restart_takes: Option<f64>,
    pub(crate) crash_takes: Option<f64>,
    /// Seconds of loss that an overload leaves behind.
    pub(crate) recovery: f64,
    /// The share of its capacity that a change a second costs.
    pub(crate) change_costs: f64,
    /// Shares of its sending port that priorities get under congestion; by priority.
    pub(crate) shares: Option<[f64; 8]>,
    /// Flawed frames that it forwards nevertheless.
    pub(crate) forwards: Vec<Flaw>,
    /// One full port stops frames to others too.
    pub(crate) blocks_head_of_line: bool,
    /// Who sends to a full port is kept from it.
    pub(crate) presses_back: bool,
    /// The share of its capacity that it still has when it gets more than that.
    pub(crate) collapses_to: f64,
    /// The longest frame that it takes.
    pub(crate) longest: u16,
    /// VLANs of its ports, if not all are of one, and whether it floods from one into another.
    pub(crate) vlans: Vec<u16>,
    pub(crate) mixes_vlans: bool,
    /// Whether it can be told anything.
    pub(crate) is_controlled: bool,
    /// Mbit/s of its lines, where they have a rate.
    pub(crate) link_mbits: Option<u32>,
    /// Its end in order fails.
    pub(crate) stops_badly: bool,
    /// Frames a second that a port of the tester sends, and how busy that makes it at its most.
    pub(crate) tester_sends: f64,
    pub(crate) tester_busy: f64,
    /// The longest frame that the tester sends.
    pub(crate) tester_longest: u16,
}

impl Default for Device {
    /// Two ports, a million frames a second, and nothing unusual.
    fn default() -> Self {
        Self {
            ports: 2,
            capacity: 1e6,
            port_capacity: f64::INFINITY,
            buffer: 0.0,
            base_loss: 0.0,
            noise: 0.0,
            disturbances: 0.0,
            fdb: 131_072,
            learns: 1e6,
            latency: 10_000.0,
            restart_takes: Some(0.5),
            crash_takes: Some(0.5),
            recovery: 0.0,
            change_costs: 0.0,
            shares: None,
            forwards: Vec::new(),
            blocks_head_of_line: false,
            presses_back: false,
            collapses_to: 1.0,
            longest: 1518,
            vlans: Vec::new(),
            mixes_vlans: false,
            is_controlled: true,
            link_mbits: None,
            stops_badly: false,
            tester_sends: 2e6,
            tester_busy: 0.5,
            tester_longest: u16::MAX,
        }
    }
}

impl Device {
    fn vlan_of(&self, port: usize) -> u16 {
        self.vlans.get(port).copied().unwrap_or(1)
    }

    /// The ports that a flood goes to.
    fn flooded(&self, from: u8) -> impl Iterator<Item = u8> + '_ {
        let vlan = self.vlan_of(from.into());
        let reached = move |port: &u8| self.mixes_vlans || self.vlan_of((*port).into()) == vlan;
        (0..self.ports).filter(move |port| *port != from).filter(reached)
    }

    /// How often it sends each frame of a stream.
    fn copies(&self, stream: &Stream) -> f64 {
        match stream.to {
            Target::Broadcast | Target::Unknown(_) => self.flooded(stream.from).count() as f64,
            Target::Port(_) | Target::Nobody(_) => 1.0,
        }
    }
}

/// What the device, its tester and who controls it share.
#[derive(Debug)]
struct State {
    device: Device,
    seed: u64,
    table: Table,
    /// Entries that were set.
    entries: i64,
    /// Changes since the trial began.
    changes: u64,
    /// Seconds without frames in the trial that runs.
    outage: f64,
    overloaded: bool,
    trials: u32,
    counters: Vec<PortCounters>,
}

/// Stations that the device knows, by port and number. When it is full, the oldest of the port with the most goes.
#[derive(Debug)]
struct Table {
    known: HashSet<(u8, u32)>,
    of_ports: Vec<VecDeque<u32>>,
}

impl Table {
    fn new(ports: usize) -> Self {
        Self { known: HashSet::new(), of_ports: vec![VecDeque::new(); ports] }
    }

    fn add(&mut self, port: u8, station: u32, capacity: u32) {
        if !self.known.insert((port, station)) {
            return;
        }
        self.of_ports[usize::from(port)].push_back(station);
        if self.known.len() > capacity as usize {
            let (fullest, stations) =
                self.of_ports.iter_mut().enumerate().max_by_key(|(_, stations)| stations.len()).unwrap();
            let oldest = stations.pop_front().unwrap();
            self.known.remove(&(fullest as u8, oldest));
        }
    }

    /// Adds those of these stations that a device learns that gets more than it can learn.
    fn learn(&mut self, port: u8, stations: Range<u32>, share: f64, capacity: u32) {
        let part = |count: u32| (f64::from(count) * share).floor();
        let first = stations.start;
        for station in stations.filter(|station| part(station - first + 1) > part(station - first)) {
            self.add(port, station, capacity);
        }
    }
}

/// A bed with a device that is only computed.
pub(crate) struct Simulation {
    pub(crate) bed: Bed,
    pub(crate) case: Case,
    pub(crate) settings: Settings,
    state: Arc<Mutex<State>>,
}

/// A part of a trial: how long it is, and how much of each stream gets through.
struct Part {
    seconds: f64,
    shares: Vec<f64>,
}

struct SimulatedTester {
    ready: Ready,
    state: Arc<Mutex<State>>,
    trial: Option<Trial>,
}

struct SimulatedSystem(Arc<Mutex<State>>);

struct SimulatedControl(Arc<Mutex<State>>);

impl Simulation {
    pub(crate) fn new(device: Device) -> Self {
        let ports = usize::from(device.ports);
        let ready = Ready {
            protocol: PROTOCOL,
            dpdk: "none".to_owned(),
            tsc_hz: 1_000_000_000,
            ports: (0..ports)
                .map(|port| PortReady {
                    device: format!("simulated{port}"),
                    driver: "simulated".to_owned(),
                    rx_ring: 1024,
                    tx_ring: 1024,
                    link_mbits: device.link_mbits,
                })
                .collect(),
        };
        let job = job(&device);
        let state = Arc::new(Mutex::new(State {
            device,
            seed: 1,
            table: Table::new(ports),
            entries: 0,
            changes: 0,
            outage: 0.0,
            overloaded: false,
            trials: 0,
            counters: vec![PortCounters::default(); ports],
        }));
        let tester = SimulatedTester { ready, state: state.clone(), trial: None };
        Self {
            bed: Bed {
                tester: Box::new(tester),
                system: Box::new(SimulatedSystem(state.clone())),
                wires: Box::new(()),
            },
            case: Case {
                system: Kind::Pollux,
                topology: "vhost-vhost".to_owned(),
                sizes: Sizes::Only(64),
                flows: 1,
                round: 0,
                most: None,
                job,
            },
            settings: settings(),
            state,
        }
    }

    /// The same, with other figures drawn.
    pub(crate) fn seeded(self, seed: u64) -> Self {
        lock(&self.state).seed = seed;
        self
    }

    pub(crate) fn context(&mut self) -> Context<'_> {
        Context::new(&mut self.bed, &self.case, &self.settings)
    }

    /// What a test finds.
    pub(crate) fn run(&mut self, test: fn(&mut Context<'_>) -> Result<Findings>) -> Findings {
        test(&mut self.context()).unwrap()
    }

    /// Trials so far.
    pub(crate) fn trials(&self) -> u32 {
        lock(&self.state).trials
    }
}

impl Findings {
    /// The value of a figure that has to be there.
    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> f64 {
        let found = self.figures.iter().find(|figure| figure.name == name);
        found.unwrap_or_else(|| panic!("no {name} in {:?}", self.figures)).value
    }
}

/// Short trials, as nobody waits for them.
pub(crate) fn settings() -> Settings {
    Settings {
        short: false,
        final_seconds: 10.0,
        first_seconds: 1.0,
        warm_up: 0.0,
        drain: 0.0,
        partial_loss: 0.005,
        precision: 0.01,
        repeats: 0,
    }
}

fn job(device: &Device) -> Job {
    let port = |number: usize| PortJob {
        name: format!("p{number}"),
        kind: PortKind::Vhost { socket: PathBuf::from(format!("p{number}")), listens: true },
        access: Access::Vlan(device.vlan_of(number)),
        ring: 1024,
        more_toml: String::new(),
    };
    Job {
        ports: (0..usize::from(device.ports)).map(port).collect(),
        worker_cpus: vec![1],
        house_cpu: 0,
        memory: Memory::Ordinary,
        largest_frame: 1518,
        fdb_capacity: device.fdb,
        ageing_seconds: 300,
        pollux: PathBuf::from("pollux"),
        more_toml: String::new(),
        ovs_flow_limit: 200_000,
        namespace: None,
        favoured: false,
        kept_mbufs: 0,
    }
}

/// The largest of a stream's frames.
fn longest(stream: &Stream) -> u16 {
    match &stream.sizes {
        Sizes::Only(size) => *size,
        Sizes::Imix => 1518,
        Sizes::Mix(sizes) => sizes.iter().map(|(size, _)| *size).max().unwrap_or(0),
    }
}

fn lock(state: &Arc<Mutex<State>>) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}

impl State {
    /// A number from 0 to 1 (SplitMix64).
    fn draw(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Takes note of the stations that a trial's streams go to, and then of those that they are from.
    fn learn(&mut self, trial: &Trial, offered: &[f64]) {
        let Device { fdb, learns, .. } = self.device;
        for stream in &trial.streams {
            let (Some(learn), Target::Port(to)) = (trial.learn, stream.to) else { continue };
            let share = 1.0 - (1.0 - (learns / learn.rate).min(1.0)).powi(learn.repeats as i32);
            self.table.learn(to, stream.receivers(), share, fdb);
        }
        for (stream, rate) in trial.streams.iter().zip(offered) {
            if !matches!(stream.to, Target::Nobody(_)) {
                self.table.learn(stream.from, stream.senders(), (learns / rate).min(1.0), fdb);
            }
        }
    }

    /// The share of a stream's frames that go to stations that aren't known.
    fn unknown(&self, stream: &Stream) -> f64 {
        let Target::Port(to) = stream.to else { return 0.0 };
        let stations = stream.receivers();
        let count = stations.len().max(1);
        stations.filter(|station| !self.table.known.contains(&(to, *station))).count() as f64 / count as f64
    }

    /// Who gets how much of what was offered, as shares of each stream.
    fn delivered(&mut self, trial: &Trial, offered: &[f64]) -> Vec<f64> {
        let mut capacity = self.device.capacity;
        capacity *= 1.0 + self.device.noise * (2.0 * self.draw() - 1.0);
        if self.draw() < self.device.disturbances {
            capacity /= 2.0;
        }
        let changes = self.changes as f64 / trial.seconds;
        capacity *= (1.0 - self.device.change_costs * changes).max(0.0);
        let sent = trial.streams.iter().zip(offered);
        let total: f64 = sent.map(|(stream, rate)| rate * self.device.copies(stream)).sum();
        if total > capacity {
            capacity *= self.device.collapses_to;
        }
        let through = (capacity + self.device.buffer / trial.seconds) / total.max(1e-9);
        self.overloaded = through < 1.0;
        let mut shares = vec![through.min(1.0); offered.len()];
        for port in 0..self.device.ports {
            self.congest(port, trial, offered, &mut shares);
        }
        shares.iter().map(|share| share * (1.0 - self.device.base_loss)).collect()
    }

    /// What one port can't send.
    fn congest(&self, port: u8, trial: &Trial, offered: &[f64], shares: &mut [f64]) {
        let here: Vec<usize> =
            (0..offered.len()).filter(|&index| trial.streams[index].to == Target::Port(port)).collect();
        let takes = trial.takes.get(&port).copied().unwrap_or(f64::INFINITY);
        let capacity = self.device.port_capacity.min(takes) + self.device.buffer / trial.seconds;
        let total: f64 = here.iter().map(|&index| offered[index] * shares[index]).sum();
        if total <= capacity {
            return;
        }
        let weight = |index: usize| match (&self.device.shares, trial.streams[index].tag) {
            (Some(shares), Some(tag)) => shares[usize::from(tag.pcp)],
            _ => offered[index] / total,
        };
        for &index in &here {
            shares[index] = (capacity * weight(index) / offered[index]).min(shares[index]);
        }
        if self.device.blocks_head_of_line {
            let senders: Vec<u8> = here.iter().map(|&index| trial.streams[index].from).collect();
            for (index, stream) in trial.streams.iter().enumerate() {
                if senders.contains(&stream.from) {
                    shares[index] = shares[index].min(capacity / total);
                }
            }
        }
    }

    fn outcome(&mut self, trial: &Trial) -> Outcome {
        let device = self.device.clone();
        self.trials += 1;
        let mut offered: Vec<f64> = trial.streams.iter().map(|stream| self.offers(trial, stream)).collect();
        self.learn(trial, &offered);
        let mut parts = self.parts(trial, &offered);
        if device.presses_back {
            for (index, offered) in offered.iter_mut().enumerate() {
                let through = parts.iter().map(|part| part.seconds * part.shares[index]).sum::<f64>();
                *offered *= through / trial.seconds;
                parts.iter_mut().for_each(|part| part.shares[index] = 1.0);
            }
        }
        let streams = trial.streams.iter().enumerate().map(|(index, stream)| {
            let parts: Vec<_> = parts.iter().map(|part| (part.seconds, part.shares[index])).collect();
            self.stream(trial, stream, offered[index], &parts)
        });
        let streams: Vec<_> = streams.collect();
        self.changes = 0;
        let mut ports = vec![PortOutcome::default(); usize::from(device.ports)];
        for (stream, came) in trial.streams.iter().zip(&streams) {
            let from = usize::from(stream.from);
            ports[from].sent += came.offered;
            self.counters[from].received += came.offered;
            if let Target::Port(to) = stream.to {
                ports[usize::from(to)].received += came.received;
                self.counters[usize::from(to)].sent += came.received;
            }
            if matches!(stream.to, Target::Broadcast | Target::Unknown(_)) {
                for to in device.flooded(stream.from) {
                    ports[usize::from(to)].received += came.received;
                    self.counters[usize::from(to)].sent += came.received;
                }
            }
            for (port, leaked) in &came.leaked {
                ports[usize::from(*port)].received += leaked;
            }
        }
        let most = device.tester_sends * f64::from(device.ports);
        let load = offered.iter().sum::<f64>() / most * device.tester_busy;
        let tester = TesterLoad { busy: load, cpu_share: 1.0, ..TesterLoad::default() };
        Outcome { seconds: trial.seconds, streams, ports, tester }
    }

    /// The parts of a trial, in which the device fares differently.
    fn parts(&mut self, trial: &Trial, offered: &[f64]) -> Vec<Part> {
        let outage = std::mem::take(&mut self.outage).min(trial.seconds * 0.9);
        let ends = trial
            .streams
            .iter()
            .zip(offered)
            .filter_map(|(stream, rate)| stream.frames.map(|frames| frames as f64 / rate));
        let ends = ends.fold(0.0, f64::max);
        let nothing = vec![0.0; offered.len()];
        let shares = self.delivered(trial, offered);
        let part = |seconds: f64, shares: &Vec<f64>| Part { seconds, shares: shares.clone() };
        if trial.streams.iter().all(|stream| stream.frames.is_some()) || (outage == 0.0 && ends == 0.0) {
            return vec![part(trial.seconds, &shares)];
        }
        if outage > 0.0 {
            let before = trial.seconds * 0.1;
            let after = trial.seconds - before - outage;
            return vec![part(before, &shares), part(outage, &nothing), part(after, &shares)];
        }
        let recovery = if self.overloaded { self.device.recovery } else { 0.0 };
        let left: Vec<f64> = trial
            .streams
            .iter()
            .zip(offered)
            .map(|(stream, rate)| if stream.frames.is_some() { 0.0 } else { *rate })
            .collect();
        let relieved = self.delivered(trial, &left);
        let after = trial.seconds - ends - recovery;
        vec![part(ends, &shares), part(recovery, &nothing), part(after, &relieved)]
    }

    /// Frames a second that the tester sends of a stream.
    fn offers(&self, trial: &Trial, stream: &Stream) -> f64 {
        let beside = trial.streams.iter().filter(|other| other.from == stream.from).count();
        let most = self.device.tester_sends / beside as f64;
        match stream.rate {
            Rate::Max => most,
            Rate::Frames(rate) => rate.min(most),
        }
    }

    fn stream(&self, trial: &Trial, stream: &Stream, rate: f64, parts: &[(f64, f64)]) -> StreamOutcome {
        let seconds = match stream.frames {
            Some(frames) => frames as f64 / rate,
            None => trial.seconds,
        };
        let offered = (rate * seconds).round();
        let intended = match stream.rate {
            Rate::Max => offered,
            Rate::Frames(rate) => (rate * seconds).round(),
        };
        let passes = match stream.to {
            Target::Nobody(flaw) => self.device.forwards.contains(&flaw),
            _ => longest(stream) <= self.device.longest,
        };
        let share = match (stream.frames, parts) {
            // A burst that ends before the buffer is full is forwarded whole.
            (Some(_), [_]) => ((self.device.capacity * seconds + self.device.buffer) / offered).min(1.0),
            (Some(_), _) => parts[0].1,
            (None, _) => parts.iter().map(|(seconds, share)| seconds * share).sum::<f64>() / trial.seconds,
        };
        let through = if passes { (offered * share).floor() } else { 0.0 };
        let belongs = !matches!(stream.to, Target::Nobody(_));
        let mut outcome = StreamOutcome {
            name: stream.name.clone(),
            intended: intended as u64,
            offered: offered as u64,
            sent: offered as u64,
            ..StreamOutcome::default()
        };
        if belongs {
            outcome.received = through as u64;
            outcome.forwarding_rate = through / seconds;
            outcome.lost = (offered - through) as u64;
            outcome.flows_with_loss = if outcome.lost > 0 { stream.flows } else { 0 };
        }
        let flooded = self.unknown(stream);
        for port in (0..self.device.ports).filter(|port| *port != stream.from) {
            let leaks = match stream.to {
                Target::Port(to) if to != port => (through * flooded).round() as u64,
                Target::Nobody(_) => through as u64,
                _ => 0,
            };
            if leaks > 0 {
                outcome.leaked.insert(port, leaks);
            }
        }
        if trial.latency && outcome.received > 0 {
            let latency = self.device.latency * if self.overloaded { 50.0 } else { 1.0 };
            outcome.latency = Some(Latency {
                frames: outcome.received,
                min: latency * 0.5,
                mean: latency,
                p50: latency,
                p90: latency * 1.5,
                p99: latency * 2.0,
                p99_9: latency * 3.0,
                p99_99: latency * 4.0,
                max: latency * 5.0,
                distribution: vec![(latency * 0.5, 0.0), (latency, 0.5), (latency * 5.0, 1.0)],
            });
        }
        if let (Target::Broadcast | Target::Unknown(_), Some(latency)) = (stream.to, &outcome.latency) {
            let of_port = Latency { distribution: Vec::new(), ..latency.clone() };
            outcome.latency_of_ports =
                self.device.flooded(stream.from).map(|port| (port, of_port.clone())).collect();
        }
        if let Some(interval) = trial.interval {
            let count = (trial.seconds / interval).round() as usize;
            let came = |index: usize| {
                let at = (index as f64 + 0.5) * interval;
                let ends = parts.iter().scan(0.0, |end, (seconds, share)| {
                    *end += seconds;
                    Some((*end, *share))
                });
                let share = ends.into_iter().find(|(end, _)| at < *end).map_or(0.0, |(_, share)| share);
                let is_over = stream.frames.is_some() && at > seconds;
                if is_over { 0 } else { (rate * interval * share).round() as u64 }
            };
            outcome.intervals = (0..count).map(came).collect();
        }
        outcome
    }
}

impl Tester for SimulatedTester {
    fn ready(&self) -> &Ready {
        &self.ready
    }

    fn greet(&mut self, _patience: Duration) -> Result<()> {
        Ok(())
    }

    fn begin(&mut self, trial: &Trial) -> Result<()> {
        assert!(!trial.streams.is_empty(), "a trial without streams");
        let most = lock(&self.state).device.tester_longest;
        if let Some(size) = trial.streams.iter().map(longest).find(|size| *size > most) {
            return Err(BenchError::process("tester", format!("{size} octets are more than {most}")));
        }
        self.trial = Some(trial.clone());
        Ok(())
    }

    fn finish(&mut self) -> Result<Outcome> {
        let trial = self.trial.take().expect("a trial that was begun");
        Ok(lock(&self.state).outcome(&trial))
    }
}

impl System for SimulatedSystem {
    fn counters(&mut self) -> Result<Vec<PortCounters>> {
        Ok(lock(&self.0).counters.clone())
    }

    fn worker_time(&self) -> Result<Option<Duration>> {
        Ok(None)
    }

    fn workers(&self) -> Result<Vec<u32>> {
        Ok(Vec::new())
    }

    fn crash_and_start(&mut self) -> Result<()> {
        let mut state = lock(&self.0);
        state.outage += state.device.crash_takes.ok_or_else(unsupported)?;
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        let mut state = lock(&self.0);
        state.outage += state.device.restart_takes.ok_or_else(unsupported)?;
        Ok(())
    }

    fn control(&mut self) -> Option<Box<dyn Control>> {
        let is_controlled = lock(&self.0).device.is_controlled;
        is_controlled.then(|| Box::new(SimulatedControl(self.0.clone())) as Box<dyn Control>)
    }

    fn settings(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn stop(self: Box<Self>) -> Result<()> {
        match lock(&self.0).device.stops_badly {
            true => Err(BenchError::process("the device", "lost frames")),
            false => Ok(()),
        }
    }
}

fn unsupported() -> BenchError {
    BenchError::Unsupported("nobody started it here".to_owned())
}

impl Control for SimulatedControl {
    fn set_entry(&mut self, _port: usize, _mac: pollux_net::Mac, there: bool) -> Result<()> {
        let mut state = lock(&self.0);
        state.entries += if there { 1 } else { -1 };
        state.changes += 1;
        Ok(())
    }

    fn change_setting(&mut self, _turn: u64) -> Result<()> {
        lock(&self.0).changes += 1;
        Ok(())
    }

    fn addresses(&mut self) -> Result<Option<u64>> {
        Ok(Some(lock(&self.0).table.known.len() as u64))
    }

    fn flush(&mut self) -> Result<()> {
        let mut state = lock(&self.0);
        state.table = Table::new(state.device.ports.into());
        Ok(())
    }
}
