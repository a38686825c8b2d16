//! What workers do, for people and programs.

use pollux_config::RestMode;
use pollux_engine::datapath::BURST;
use pollux_engine::{BURST_SIZES, least_of_size};
use pollux_net::PortId;
use serde::Serialize;

use super::Switch;

/// A worker, in the form that `show workers --json` prints. Counters are totals since the switch started; cycles
/// are those of the time stamp counter, `tsc_hz` a second.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerState {
    /// Its number.
    pub worker: usize,
    /// Its CPU.
    pub cpu: usize,
    /// The NUMA socket of its CPU.
    pub socket: usize,
    /// Cycles in a second.
    pub tsc_hz: u64,
    /// Rounds over its rx queues.
    pub rounds: u64,
    /// Rounds in which there was nothing to do.
    pub idle_rounds: u64,
    /// Cycles of rounds in which there was something to do.
    pub busy_cycles: u64,
    /// Cycles of rounds in which there was nothing.
    pub idle_cycles: u64,
    /// Cycles for which it slept.
    pub asleep_cycles: u64,
    /// How often it went to sleep.
    pub sleeps: u64,
    /// How often an interrupt woke it.
    pub interrupts: u64,
    /// The part of the last second for which it was busy, 0 to 1.
    pub load: f64,
    /// Frames that it received.
    pub frames: u64,
    /// Frames in a burst that had any, on average; 0 before the first.
    pub frames_per_burst: f64,
    /// Bursts by their size.
    pub bursts: Vec<BurstCount>,
    /// For how long it has finished no round; 0 unless that is longer than `watchdog` allows.
    pub stuck_seconds: f64,
    /// What it does when it finds nothing.
    pub rest: RestState,
    /// The rx queues that it polls.
    pub queues: Vec<RxQueueState>,
}

/// Bursts of a range of sizes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BurstCount {
    /// Frames in the smallest of them.
    pub least: usize,
    /// Frames in the largest of them.
    pub most: usize,
    /// How many.
    pub bursts: u64,
}

/// What a worker does that finds nothing.
#[derive(Clone, Debug, Serialize)]
pub struct RestState {
    /// `never`, `sleep` or `interrupt`.
    pub mode: &'static str,
    /// Why it isn't what the file says; `None`: it is.
    pub why: Option<String>,
}

/// A receive queue. Counters are totals since its port started, whoever polled it.
#[derive(Clone, Debug, Serialize)]
pub struct RxQueueState {
    /// The port's name.
    pub port: String,
    /// The queue's number.
    pub queue: u16,
    /// Frames that came.
    pub frames: u64,
    /// Bursts that had any.
    pub bursts: u64,
    /// Cycles from receiving its frames to having them decided, without sending: reckoned from every 31st round.
    pub cycles: u64,
    /// The part of its worker's time that it took in the last second, sending included, 0 to 1.
    pub share: f64,
    /// Descriptors that held frames when they were last counted, at most a second ago. `None`: the device can't
    /// tell, as a VM's port can't.
    pub fill: Option<u32>,
}

impl Switch {
    /// Descriptors of a port's rx queue that held frames when they were last counted. The outer `None`: there
    /// is no such queue; the inner one: its device can't tell.
    pub fn rx_queue_fill(&self, port: &str, queue: u16) -> Option<Option<u32>> {
        let port = self.live(port)?;
        Some(port.counters.get(usize::from(queue))?.fill())
    }

    /// The state of every worker.
    pub fn worker_states(&self) -> Vec<WorkerState> {
        let load = self.marks.last_second(&self.pollers());
        let state = |worker: usize| {
            let stats = &self.shared.stats[worker];
            let work = stats.work.totals();
            let frames: u64 = PortId::all().map(|port| stats.port(port).rx_frames).sum();
            let bursts: u64 = work.bursts.iter().sum();
            let resting = self.resting(worker);
            let queues = self.ports.iter().flat_map(|port| {
                let queues = (0..).zip(&port.pollers).filter(|(_, poller)| **poller == worker);
                let share = |queue| load.queues.get(&(port.id, queue)).copied().unwrap_or(0.0);
                let state = move |(queue, _): (u16, &usize)| {
                    let counters = &port.counters[usize::from(queue)];
                    let totals = counters.totals();
                    RxQueueState {
                        port: port.name.clone(),
                        queue,
                        frames: totals.frames,
                        bursts: totals.bursts,
                        cycles: totals.cycles,
                        share: share(queue),
                        fill: counters.fill(),
                    }
                };
                queues.map(state).collect::<Vec<_>>()
            });
            WorkerState {
                worker,
                cpu: self.plan.cpus[worker],
                socket: self.sockets[worker],
                tsc_hz: self.eal.tsc_hz(),
                rounds: work.rounds,
                idle_rounds: work.idle_rounds,
                busy_cycles: work.busy_cycles,
                idle_cycles: work.idle_cycles,
                asleep_cycles: work.asleep_cycles,
                sleeps: work.sleeps,
                interrupts: work.interrupts,
                load: load.workers.get(worker).copied().unwrap_or(0.0),
                frames,
                frames_per_burst: if bursts == 0 { 0.0 } else { frames as f64 / bursts as f64 },
                bursts: (0..BURST_SIZES).map(|place| burst_count(place, work.bursts[place])).collect(),
                stuck_seconds: self.watchdog.stuck_seconds(worker),
                rest: RestState {
                    mode: match resting.mode {
                        RestMode::Never => "never",
                        RestMode::Sleep => "sleep",
                        RestMode::Interrupt => "interrupt",
                    },
                    why: resting.why,
                },
                queues: queues.collect(),
            }
        };
        (0..self.sockets.len()).map(state).collect()
    }
}

fn burst_count(place: usize, bursts: u64) -> BurstCount {
    let most = if place + 1 < BURST_SIZES { least_of_size(place + 1) - 1 } else { BURST };
    BurstCount { least: least_of_size(place), most, bursts }
}
