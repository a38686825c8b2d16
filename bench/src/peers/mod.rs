//! Pollux beside its peers: each started privately, under the same load, in turn.
//!
//! # How it is measured
//!
//! A switch has one worker, on a CPU of its own; everything else, the load included, shares another.
//! Pairs of random stations talk both ways, in 64-byte UDP frames, so that peers which hash IP
//! addresses find some (`--payload plain`: none). In each round every system is started anew, warmed up, measured for a few
//! seconds and stopped; rounds repeat, beginning with another system each time, and ratios are taken
//! within a round, so that what changes on the host from minute to minute falls on all alike.
//!
//! - **In process**: two `net_pcap` ports with `infinite_rx=1` replay from memory, and free what they are
//!   given to transmit. When it starts, such a port takes an mbuf for each of its frames and keeps it,
//!   so the pools have room for these: `--total-num-mbufs` of testpmd, `memory` of Pollux; Open vSwitch
//!   shares 262,144 mbufs among its ports by itself. Each switch counts what it sent, over its worker's
//!   own CPU time: other processes on that CPU distort little.
//! - **Vhost**: the switch serves two vhost-user sockets; a process of ours is the front end of both, and
//!   counts what arrives by the clock, in slices of 100 ms, between which it measures how long a cache line
//!   takes between the two CPUs. On a virtual machine that changes from one minute to the next, and the
//!   rate with it, by half: only slices of the shortest distance count, and their like when it is longer
//!   are shown apart. Rounds that are too short of them, or in which something else ran, are repeated.
//!
//! Memory is hugepages, anonymous ones (`--in-memory`), for every process alike. testpmd's `io` mode
//! doesn't look at frames; `mac` rewrites their addresses, and so touches them. Open vSwitch runs as
//! Debian sets it up, with a bridge that learns (action NORMAL), but for a MAC table that holds all
//! stations, and its bridge in a network namespace of its own.
//!
//! Processes end with the run, however it ends; sockets and files lie in temporary folders. Only if this
//! process is killed outright are the reserved hugepages left.

mod alone;
mod capture;
mod cost;
mod load_process;
mod loaded;
mod report;
mod sample;
mod scene;
mod summary;
mod switch;
mod targets;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::near::{Near, PATIENCE};
use crate::host::{self, Hugepages, cpu, interrupt, table};
use crate::load::{Load, Payload};
use crate::{BenchError, Result};
pub(crate) use cost::{Cost, cost};
use report::Run;
use sample::{Round, Sample};
use scene::{Cpus, Scene, Stage, System};

/// Hugepages for the largest load: Open vSwitch's pool takes 800 MiB, whatever its ports.
const HUGEPAGES_MIB: u64 = 1280;

/// `pollux bench peers`.
#[derive(Debug, clap::Args)]
pub struct PeersArgs {
    /// The scenes to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Scene::InProcess, Scene::Vhost])]
    scenes: Vec<Scene>,
    /// The systems to measure; with tags and with two workers only in process
    #[arg(long, value_enum, value_delimiter = ',',
          default_values_t = System::ALL)]
    systems: Vec<System>,
    /// Pairs of stations that talk, a load each; default: 1, 1,000 and 10,000, and in process 100,000
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pairs: Option<Vec<u32>>,
    /// Rounds; the systems take turns in each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds that each system is measured for in a round
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How often a round is repeated when others ran on its CPUs
    #[arg(long, default_value_t = 3)]
    repeats: u32,
    /// Lets the polling threads run before all ordinary ones, while vhost-user ports are measured
    #[arg(long)]
    realtime: bool,
    /// The CPU of the switch's worker
    #[arg(long, default_value_t = 1)]
    worker_cpu: usize,
    /// The CPU of everything else, the load between vhost-user ports included
    #[arg(long, default_value_t = 0)]
    house_cpu: usize,
    /// Descriptors of the front ends' rings
    #[arg(long, default_value_t = 256)]
    queue_size: u16,
    /// More device arguments of the front ends, as in `packed_vq=1`
    #[arg(long, default_value = "")]
    front_end: String,
    /// Stations, and the order in which they talk, are drawn from this
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What is behind the addresses
    #[arg(long, value_enum, default_value = "udp")]
    payload: Payload,
    /// Flows that Open vSwitch may cache; the default is its own, and just what 100,000 pairs need
    #[arg(long, default_value_t = 200_000)]
    ovs_flow_limit: u32,
    /// Seconds that Open vSwitch has to fill its caches; default: 3, and 1 more for each 1,000 pairs, up
    /// to 30
    #[arg(long)]
    ovs_warm_up: Option<f64>,
    /// The switch to measure; default: this program
    #[arg(long)]
    pollux: Option<PathBuf>,
    /// Where all figures go, as JSON
    #[arg(long, default_value = "bench-peers.json")]
    json: PathBuf,
}

/// Measures everything that `args` name, and prints it.
pub(crate) fn run(args: &PeersArgs) -> Result<()> {
    let cpus = Cpus { worker: args.worker_cpu, house: args.house_cpu };
    args.check(cpus)?;
    let pollux = host::program(args.pollux.as_ref())?;
    let mut versions = Vec::new();
    for system in &args.systems {
        versions.push(switch::version(*system, &pollux)?);
    }
    versions.dedup();
    interrupt::watch()?;
    cpu::stay_on(cpus.house)?;
    let tsc_hz = cpu::tsc_hz();
    let _hugepages = Hugepages::reserve(HUGEPAGES_MIB)?;

    let (samples, near) = measure_all(args, cpus, &pollux, tsc_hz)?;
    let summaries = summary::summarise(&samples, tsc_hz);
    let run = Run {
        processor: cpu::model(),
        tsc_hz,
        cpus,
        versions,
        near,
        rounds: args.rounds,
        window_seconds: args.seconds,
        seed: args.seed,
        payload: args.payload,
        queue_size: args.queue_size,
        verdicts: targets::judge(&summaries),
        summaries,
        samples,
    };
    run.save(&args.json)?;
    // Whoever reads may be gone, which must not keep what was reserved from being given back.
    writeln!(std::io::stdout(), "{}", run.text()).map_err(BenchError::io("printing the figures"))
}

impl PeersArgs {
    fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn check(&self, cpus: Cpus) -> Result<()> {
        if cpus.worker == cpus.house {
            return Err(BenchError::Input("--worker-cpu and --house-cpu must differ".to_owned()));
        }
        if let Some(cpu) = [cpus.worker, cpus.house].into_iter().find(|cpu| !cpu::is_there(*cpu)) {
            return Err(BenchError::Host(format!(
                "no CPU {cpu} to run on: name others, or use a host with two"
            )));
        }
        if !(0.1..=3600.0).contains(&self.seconds) {
            return Err(BenchError::Input("--seconds is 0.1 to 3600".to_owned()));
        }
        if self.ovs_warm_up.is_some_and(|seconds| !(0.0..=3600.0).contains(&seconds)) {
            return Err(BenchError::Input("--ovs-warm-up is 0 to 3600".to_owned()));
        }
        if !self.queue_size.is_power_of_two() {
            return Err(BenchError::Input("--queue-size is a power of two".to_owned()));
        }
        Ok(())
    }
}

/// Every sample, and up to how many cycles a round trip between the CPUs is near.
fn measure_all(
    args: &PeersArgs,
    cpus: Cpus,
    pollux: &Path,
    tsc_hz: f64,
) -> Result<(Vec<Sample>, Option<u64>)> {
    let mut near = match args.scenes.contains(&Scene::Vhost) {
        true => Some(Near::find(cpus.worker)?),
        false => None,
    };
    let mut samples = measure(args, cpus, pollux, tsc_hz, &mut near)?;
    // Now that the shortest distance is known, for all alike.
    let near = near.map(|near| near.limit());
    for sample in &mut samples {
        sample.judge(near.unwrap_or(u64::MAX), args.window());
    }
    Ok((samples, near))
}

fn measure(
    args: &PeersArgs,
    cpus: Cpus,
    pollux: &Path,
    tsc_hz: f64,
    near: &mut Option<Near>,
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let captures_folder = host::folder()?;
    for &scene in &args.scenes {
        let systems: Vec<_> =
            args.systems.iter().copied().filter(|system| system.takes_part(scene)).collect();
        for &pairs in args.pairs.as_deref().unwrap_or(scene.usual_pairs()) {
            let load = Load::new(pairs, args.seed, args.payload);
            let plain = capture::write(&load, captures_folder.path(), false)?;
            let tagged = capture::write(&load, captures_folder.path(), true)?;
            for number in 1..=args.rounds {
                let mut round = Round {
                    number,
                    seed: args.seed,
                    payload: args.payload,
                    queue_size: args.queue_size,
                    window: args.window(),
                    realtime: args.realtime,
                    near: u64::MAX,
                };
                // Nobody is always the first.
                let first = (number - 1) as usize % systems.len().max(1);
                for &system in systems.iter().cycle().skip(first).take(systems.len()) {
                    let mut measure_once = || -> Result<Sample> {
                        if let Some(near) = near.as_mut().filter(|_| scene == Scene::Vhost) {
                            near.wait(PATIENCE)?;
                            round.near = near.limit();
                        }
                        let folder = host::folder()?;
                        let stage = Stage {
                            scene,
                            cpus,
                            pairs,
                            captures: if system == System::PolluxTags { &tagged } else { &plain },
                            folder: folder.path(),
                            pollux,
                            ovs_flow_limit: args.ovs_flow_limit,
                            ovs_warm_up: args.ovs_warm_up.map(Duration::from_secs_f64),
                            front_end: &args.front_end,
                        };
                        let sample = sample::take(system, &stage, round)?;
                        if let (Some(near), Some(load)) = (near.as_mut(), &sample.load) {
                            near.note(load.shortest());
                        }
                        Ok(sample)
                    };
                    let mut sample = measure_once()?;
                    for _ in 0..args.repeats {
                        if !sample.is_disturbed() {
                            break;
                        }
                        sample = measure_once()?;
                    }
                    let _ = writeln!(std::io::stderr(), "{}", progress(&sample, tsc_hz));
                    samples.push(sample);
                }
            }
        }
    }
    Ok(samples)
}

fn progress(sample: &Sample, tsc_hz: f64) -> String {
    let mut line = format!(
        "{:<10} {:>6} pairs, round {}: {:<12} {:>6} Mpps, {:>5} cycles a frame",
        sample.scene.name(),
        sample.pairs,
        sample.round,
        sample.system.name(),
        table::mpps(sample.rate),
        report::cycles(tsc_hz / sample.rate),
    );
    if let Some(load) = &sample.load {
        line.push_str(&format!("; round trip {} cycles for {:.1} s", load.round_trip, load.near_seconds));
        if let Some(rate) = load.far_rate {
            line.push_str(&format!(", {} Mpps when far", table::mpps(rate)));
        }
        line.push_str(&format!("; {}", load.report));
    }
    if sample.is_disturbed() {
        line.push_str("; disturbed");
    }
    line
}
