//! The load between two vhost-user ports: one front end on each, both sending as fast as the switch
//! takes it, every frame that arrives checked.

mod check;
mod front_end;
mod report;
mod traffic;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dpdk::{Mempool, PoolOptions};

use crate::distance::Distance;
use crate::load::{Load, Payload};
use crate::virtio_user::{self, VirtioUser};
use crate::{BenchError, Result};
use front_end::FrontEnd;
pub(crate) use report::{Faults, Report, Slice};
use traffic::Traffic;

/// The line that says that the window has begun.
pub(crate) const MEASURING: &str = "measuring";

/// How long a switch may take before it forwards anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// With nothing sent, no frame is on its way any more when none came for so long.
const SILENCE: Duration = Duration::from_millis(200);

/// How often at most to wait for silence: a switch may be at work on its queues for a while, but not
/// for ever.
const SILENCES: u32 = 25;

/// MiB of ordinary memory, reserved at the start: the pool, and the rings of both sides.
const ORDINARY_MEMORY: u32 = 128;

/// `pollux bench generate`.
#[derive(Debug, clap::Args)]
pub struct GeneratorArgs {
    /// The switch's vhost-user sockets, two of them
    #[arg(long = "socket", required = true)]
    sockets: Vec<PathBuf>,
    /// The CPU that polls
    #[arg(long, default_value_t = 0)]
    cpu: usize,
    /// Pairs of stations that talk
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pairs: u32,
    /// What the stations are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What is behind the addresses
    #[arg(long, value_enum, default_value = "udp")]
    payload: Payload,
    /// Takes ordinary memory instead of hugepages
    #[arg(long)]
    no_huge: bool,
    /// Descriptors of each ring
    #[arg(long, default_value_t = 1024)]
    queue_size: u16,
    /// More device arguments of the front ends, as in `packed_vq=1,vectorized=1`
    #[arg(long, default_value = "")]
    front_end: String,
    /// Seconds before the window
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds of the window
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// The CPU that polls for the switch: measures in slices, each with its distance from there
    #[arg(long)]
    switch_cpu: Option<usize>,
    /// Cycles up to which a round trip to that CPU is near; only what was near counts as the window
    #[arg(long, default_value_t = u64::MAX)]
    near: u64,
}

/// Sends and receives, and prints [`MEASURING`], the figures of the window as JSON, and those of the
/// whole run when the last frame has come.
pub(crate) fn run(args: &GeneratorArgs) -> Result<()> {
    let [left, right] = &args.sockets[..] else {
        return Err(BenchError::Input("name two sockets, each with --socket".to_owned()));
    };
    let load = Load::new(args.pairs, args.seed, args.payload);
    let eal = virtio_user::environment(args.cpu, args.no_huge, ORDINARY_MEMORY)?;
    let options = PoolOptions {
        purpose: "the load".to_owned(),
        mbufs: 8 * u32::from(args.queue_size) + 4095,
        ..PoolOptions::default()
    };
    let pool = Mempool::create(&eal, &options)?;
    // This thread is pinned by now; DPDK gives it a cache in the pool.
    let thread = eal.register_thread()?;
    // It has to be there before anything polls.
    let distance = args.switch_cpu.map(Distance::to).transpose()?;
    let side = |number, socket: &Path| -> Result<_> {
        let device = VirtioUser::connect(
            &eal,
            &pool,
            number,
            socket,
            args.queue_size,
            args.queue_size,
            &args.front_end,
        )?;
        Ok(FrontEnd::new(device, &pool, &load, number))
    };
    let mut traffic = Traffic { sides: [side(0, left)?, side(1, right)?], thread };
    // A switch takes a while to see that a front end is there.
    let start = Instant::now();
    while traffic.run(Duration::from_millis(1), true).received.contains(&0) {
        if start.elapsed() > PATIENCE {
            let what = format!("the switch forwards nothing within {} s", PATIENCE.as_secs());
            return Err(BenchError::process("the load", what));
        }
    }
    traffic.run(seconds(args.warm_up)?, true);
    println!("{MEASURING}");
    let window = match distance {
        None => traffic.run(seconds(args.seconds)?, true),
        Some(distance) => traffic.run_near(seconds(args.seconds)?, &distance, args.near),
    };
    print(&window)?;
    for _ in 0..SILENCES {
        if traffic.run(SILENCE, false).received == [0, 0] {
            break;
        }
    }
    print(&Report::of(&traffic.sides))
}

fn seconds(seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| BenchError::Input(error.to_string()))
}

fn print(report: &Report) -> Result<()> {
    let text = serde_json::to_string(report).map_err(|error| BenchError::process("the load", error))?;
    println!("{text}");
    Ok(())
}
