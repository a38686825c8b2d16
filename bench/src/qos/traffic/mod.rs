//! Paced traffic through a switch, and what comes out of it: a process of its own, which polls.

mod excess;
mod frame;
mod mix;
mod pacer;
mod plan;
mod receiver;
mod sender;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dpdk::{Mempool, PoolOptions, RegisteredThread};

use crate::host::cpu;
use crate::virtio_user::{self, VirtioUser};
use crate::{BenchError, Result};
pub(super) use mix::Mix;
#[cfg(test)]
pub(super) use plan::{Amount, Delay, Excess};
pub(super) use plan::{Flow, FlowOutcome, Outcome, Phase, Plan};
use receiver::{Receiver, Tally};
use sender::{Route, Sender, Stream};

/// How long a switch may take before it forwards anything, and before it has taken what it was offered.
const PATIENCE: Duration = Duration::from_secs(30);

/// With nothing sent, no frame is on its way any more when none came for so long.
const SILENCE: Duration = Duration::from_millis(200);

/// Rounds between looks at ports to which nothing should come.
const ROUNDS_PER_LOOK: u32 = 64;

/// `pollux bench qos-traffic`.
#[derive(Debug, clap::Args)]
pub struct QosTrafficArgs {
    /// What to send, as JSON
    #[arg(long)]
    plan: PathBuf,
}

/// Sends and receives, and prints the outcome of each phase as a line of JSON.
pub(crate) fn run(args: &QosTrafficArgs) -> Result<()> {
    let text = fs::read_to_string(&args.plan).map_err(BenchError::file(&args.plan))?;
    let plan: Plan = serde_json::from_str(&text)
        .map_err(|error| BenchError::Input(format!("{}: {error}", args.plan.display())))?;
    let mut traffic = Traffic::connect(&plan)?;
    for (phase, number) in plan.phases.iter().zip(1..) {
        let outcome = traffic.run(phase, number)?;
        let text =
            serde_json::to_string(&outcome).map_err(|error| BenchError::process("the traffic", error))?;
        writeln!(std::io::stdout(), "{text}").map_err(BenchError::io("printing an outcome"))?;
    }
    Ok(())
}

struct Traffic {
    senders: Vec<Sender>,
    receiver: Receiver,
    thread: RegisteredThread,
    catch_up: f64,
    tsc_hz: f64,
}

impl Traffic {
    /// Waits until frames of every ingress port come to the egress port.
    fn connect(plan: &Plan) -> Result<Self> {
        let eal = virtio_user::environment(plan.cpu, false, 0)?;
        let tsc_hz = eal.tsc_hz() as f64;
        let sockets: Vec<_> = plan.ingress.iter().chain([&plan.egress]).collect();
        let options = PoolOptions {
            purpose: "the traffic".to_owned(),
            // Both rings of each port, what is at hand, and the cache.
            mbufs: (2 * u32::from(plan.queue_size) + 64) * sockets.len() as u32 + 4095,
            ..PoolOptions::default()
        };
        let pool = Mempool::create(&eal, &options)?;
        // This thread is pinned by now; DPDK gives it a cache in the pool.
        let thread = eal.register_thread()?;
        let mut devices = Vec::new();
        for (socket, number) in sockets.into_iter().zip(0..) {
            // Freeing a ring's frames at once would delay those behind by more than the switch does.
            let tx_ring = plan.queue_size / 2;
            devices.push(VirtioUser::connect(&eal, &pool, number, socket, plan.queue_size, tx_ring, "")?);
        }
        let egress = devices.pop().ok_or_else(|| BenchError::Input("a plan without ports".to_owned()))?;
        let tally = Tally::new(0, &[], &[], None, tsc_hz, pollux_cpu::cycles());
        let mut traffic = Self {
            receiver: Receiver::new(egress, &pool, tally),
            senders: devices.into_iter().map(|device| Sender::new(device, &pool)).collect(),
            thread,
            catch_up: plan.catch_up,
            tsc_hz,
        };
        traffic.wait_for_all()?;
        Ok(traffic)
    }

    fn wait_for_all(&mut self) -> Result<()> {
        let all = (1_u64 << self.senders.len()) - 1;
        let egress = self.senders.len() as u8;
        let start = Instant::now();
        while self.receiver.heard != all {
            if start.elapsed() > PATIENCE {
                let what =
                    format!("the switch forwards nothing of some port within {} s", PATIENCE.as_secs());
                return Err(BenchError::process("the traffic", what));
            }
            self.receiver.announce(frame::station(egress), frame::station(0));
            for (sender, port) in self.senders.iter_mut().zip(0..) {
                let (from, to) = (frame::station(port), frame::station(egress));
                sender.probe(Route { from, to, phase: 0, stream: port.into() });
            }
            self.look_for(Duration::from_millis(5));
        }
        self.fall_silent(0)
    }

    /// Receives only.
    fn look_for(&mut self, duration: Duration) {
        let start = Instant::now();
        while start.elapsed() < duration {
            self.receiver.poll();
            self.senders.iter_mut().for_each(|sender| sender.empty(0));
            self.thread.pass();
        }
    }

    /// Sends and receives what a phase says, until nothing of it is on its way any more.
    fn run(&mut self, phase: &Phase, number: u32) -> Result<Outcome> {
        let ports = self.senders.len();
        let egress = ports as u8;
        let now = pollux_cpu::cycles();
        let mut flow_of_stream = Vec::new();
        for (sender, port) in self.senders.iter_mut().zip(0..) {
            let streams = phase.flows.iter().enumerate().map(|(flow, settings)| {
                let stream = flow_of_stream.len() as u32;
                flow_of_stream.push(flow);
                let route =
                    Route { from: frame::station(port), to: frame::station(egress), phase: number, stream };
                Stream::new(settings, flow, ports, route, self.catch_up, self.tsc_hz)
            });
            let streams = streams.collect();
            sender.start(streams, now);
        }
        let pcps: Vec<_> = phase.flows.iter().map(|flow| flow.pcp).collect();
        self.receiver.tally = Tally::new(number, &pcps, &flow_of_stream, phase.limit, self.tsc_hz, now);

        let tsc_hz = self.tsc_hz;
        let cycles = |seconds: f64| (seconds * tsc_hz) as u64;
        let begin = now + cycles(phase.warm_up);
        self.send_until(begin, number);
        let used = cpu::thread_time();
        self.receiver.tally.window.open = true;
        let end = self.send_until(begin + cycles(phase.seconds), number);
        self.receiver.tally.window.open = false;
        let used = (cpu::thread_time() - used).as_secs_f64();
        self.fall_silent(number)?;

        let streams = || self.senders.iter().flat_map(|sender| &sender.streams);
        let sent: Vec<_> = streams().map(|stream| stream.sequence).collect();
        let mut outcome = self.receiver.tally.outcome(&sent, end);
        for stream in streams() {
            let offered = &mut outcome.flows[stream.flow].offered;
            offered.frames += stream.offered.frames;
            offered.octets += stream.offered.octets;
        }
        outcome.offered_seconds = end.saturating_sub(begin) as f64 / self.tsc_hz;
        outcome.cpu_share = used / outcome.offered_seconds;
        outcome.astray = self.senders.iter().map(|sender| sender.astray).sum();
        Ok(outcome)
    }

    /// Sends and receives until `end`, counting in the window. Returns when it really ended.
    fn send_until(&mut self, end: u64, phase: u32) -> u64 {
        let counting = self.receiver.tally.window.open;
        loop {
            for _ in 0..ROUNDS_PER_LOOK {
                for sender in &mut self.senders {
                    // Between any two, so that what has come doesn't wait for all to be sent.
                    self.receiver.poll();
                    let now = pollux_cpu::cycles();
                    if now >= end {
                        return now;
                    }
                    sender.send(now, counting);
                }
            }
            self.senders.iter_mut().for_each(|sender| sender.empty(phase));
            self.thread.pass();
        }
    }

    /// Has the switch take what waits, and receives until nothing comes any more.
    fn fall_silent(&mut self, phase: u32) -> Result<()> {
        let start = Instant::now();
        let mut last = start;
        while last.elapsed() < SILENCE {
            let mut all_taken = true;
            self.senders.iter_mut().for_each(|sender| all_taken &= sender.offer());
            let received = self.receiver.poll();
            self.senders.iter_mut().for_each(|sender| sender.empty(phase));
            self.thread.pass();
            if received > 0 || !all_taken {
                last = Instant::now();
            }
            if start.elapsed() > PATIENCE {
                let what = "the switch takes no frames, or has no end of them";
                return Err(BenchError::process("the traffic", what));
            }
        }
        Ok(())
    }
}
