//! The tester against itself: two halves that face each other, with no switch between.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use comfy_table::Table;

use crate::host::{self, Hugepages, cpu, interrupt, table};
use crate::report::model::{SelfTest, TrialRecord};
use crate::tester::protocol::{
    Facing, Order, Outcome, PROTOCOL, Payload, PortSetup, Rate, Setup, Sizes, Stream, StreamOutcome, Target,
    Trial,
};
use crate::tester::{Tester, TesterProcess};
use crate::{BenchError, Result};

/// Seconds before a window. Whoever faces the other may begin later by a process's start.
const WARM_UP: f64 = 0.3;
const DRAIN: f64 = 0.2;

/// How long both may take to find each other.
const PATIENCE: Duration = Duration::from_secs(20);

/// MiB of hugepages, or of ordinary memory, for both halves, and for each.
const HUGEPAGES: u64 = 256;
const ORDINARY_MEMORY: u32 = 128;

/// Of the rate that both ways at once reach, the share at which latency is measured.
const CALM: f64 = 0.1;

/// `pollux bench self-test`.
#[derive(Debug, clap::Args)]
pub struct SelfTestArgs {
    /// Sizes of frames, with the check sequence: `64`, `imix`, or `64:7,594:4`; once for each
    #[arg(long = "size", default_values_t = [Sizes::Only(64)])]
    sizes: Vec<Sizes>,
    /// The CPU of the half that measures switches
    #[arg(long, default_value_t = 0)]
    cpu: usize,
    /// The CPU of the other half
    #[arg(long, default_value_t = 1)]
    other_cpu: usize,
    /// Seconds of each window
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Descriptors of each ring
    #[arg(long, default_value_t = 256)]
    ring: u16,
    /// More device arguments of the front end, as in `packed_vq=1`
    #[arg(long, default_value = "")]
    front_end: String,
    /// Pairs of stations each way
    #[arg(long, default_value_t = 1000)]
    flows: u32,
    /// Takes ordinary memory instead of hugepages
    #[arg(long)]
    no_huge: bool,
    /// Prints everything as JSON
    #[arg(long)]
    json: bool,
}

/// Tests the tester, and prints a table.
pub(crate) fn run(args: &SelfTestArgs) -> Result<()> {
    interrupt::watch()?;
    let _favoured = cpu::FavouredSession::new();
    cpu::stay_on(args.cpu)?;
    let _hugepages = match args.no_huge {
        true => None,
        false => Some(Hugepages::reserve(HUGEPAGES)?),
    };
    let tests = self_test(&SelfTestPlan {
        sizes: &args.sizes,
        cpus: (args.cpu, args.other_cpu),
        seconds: args.seconds,
        ring: args.ring,
        front_end: &args.front_end,
        ordinary_memory: args.no_huge.then_some(ORDINARY_MEMORY),
        flows: args.flows,
        began: Instant::now(),
    })?;
    let text = match args.json {
        true => {
            serde_json::to_string_pretty(&tests).map_err(|error| BenchError::process("the tester", error))?
        }
        false => table_of(&tests).to_string(),
    };
    writeln!(std::io::stdout(), "{text}").map_err(BenchError::io("printing the figures"))
}

fn table_of(tests: &[SelfTest]) -> Table {
    let rows = tests.iter().map(|test| {
        let rates = [test.send_rate, test.receive_rate, test.both_rate, test.capability].map(table::mpps);
        let mut row = vec![test.size.clone()];
        row.extend(rates);
        row.push(format!("{:.0} %", 100.0 * test.both_busy));
        row.push(test.latency_p50.map_or_else(String::new, |nanos| format!("{:.2}", nanos / 1e3)));
        row
    });
    let header =
        ["size", "Mpps sent", "received", "each way, both", "could each way", "busy", "median latency, us"];
    let mut table = table::table(&header, rows.collect());
    table::align_right(&mut table, 1..header.len());
    table
}

/// How the tester is to be tested.
#[derive(Clone, Debug)]
pub(crate) struct SelfTestPlan<'a> {
    pub(crate) sizes: &'a [Sizes],
    /// The CPU of the half that measures switches, and that of the other.
    pub(crate) cpus: (usize, usize),
    /// Seconds of a window.
    pub(crate) seconds: f64,
    /// Descriptors of each ring.
    pub(crate) ring: u16,
    /// Device arguments of the front end, as in `packed_vq=1`; none: empty.
    pub(crate) front_end: &'a str,
    /// MiB of ordinary memory; `None`: hugepages.
    pub(crate) ordinary_memory: Option<u32>,
    pub(crate) flows: u32,
    /// When the run began.
    pub(crate) began: Instant,
}

/// What can be told of the tester alone, a size after the other. The half that measures switches has the front end,
/// as it will have; the other one has the back end, and so does what a switch does with a VM's frames and nothing
/// else.
pub(crate) fn self_test(plan: &SelfTestPlan<'_>) -> Result<Vec<SelfTest>> {
    let folder = host::folder()?;
    let mut halves = Halves::start(plan, folder.path())?;
    let tests = plan.sizes.iter().map(|sizes| halves.test(plan, sizes));
    let tests = tests.collect::<Result<Vec<_>>>()?;
    halves.front.stop()?;
    halves.back.stop()?;
    Ok(tests)
}

struct Halves {
    front: TesterProcess,
    back: TesterProcess,
}

/// Numbers of the two ports.
const FRONT: u8 = 0;
const BACK: u8 = 1;

impl Halves {
    fn start(plan: &SelfTestPlan<'_>, folder: &Path) -> Result<Self> {
        let socket = folder.join("self");
        let largest_frame = plan.sizes.iter().map(Sizes::largest).max().unwrap_or(64);
        let setup = |cpu, device| Setup {
            protocol: PROTOCOL,
            cpus: vec![cpu],
            neighbour: None,
            ordinary_memory: plan.ordinary_memory,
            largest_frame,
            ports: vec![PortSetup { device, rx_ring: plan.ring, tx_ring: plan.ring }],
        };
        let more = if plan.front_end.is_empty() { String::new() } else { format!(",{}", plan.front_end) };
        let path = socket.display();
        let front_device = format!("net_virtio_user0,path={path},queues=1,queue_size={}{more}", plan.ring);
        let back_device = format!("net_vhost0,iface={path},queues=1");
        let back = TesterProcess::start(&[], folder, &setup(plan.cpus.1, back_device))?;
        host::wait_for_socket(&socket)?;
        let front = TesterProcess::start(&[], folder, &setup(plan.cpus.0, front_device))?;
        let mut halves = Self { front, back };
        let facing = |first_port| Facing { first_port, all_ports: 2, epoch: 0x1000 };
        halves.front.face(facing(FRONT))?;
        halves.back.face(facing(BACK))?;
        halves.front.begin_greeting(PATIENCE)?;
        halves.back.begin_greeting(PATIENCE)?;
        halves.front.finish_greeting()?;
        halves.back.finish_greeting()?;
        Ok(halves)
    }

    fn test(&mut self, plan: &SelfTestPlan<'_>, sizes: &Sizes) -> Result<SelfTest> {
        let stream = |from, to, rate| Stream {
            name: format!("{from}>{to}"),
            from,
            to: Target::Port(to),
            sizes: sizes.clone(),
            tag: None,
            payload: Payload::Udp,
            flows: plan.flows,
            first_station: 0,
            stations: Default::default(),
            order: Order::Shuffled,
            rate,
            frames: None,
        };
        let (out, back) = (|rate| stream(FRONT, BACK, rate), |rate| stream(BACK, FRONT, rate));
        let mut trials = Vec::new();
        let mut run = |halves: &mut Self, purpose: &str, streams, latency| -> Result<Outcome> {
            let trial = Trial {
                streams,
                learn: None,
                warm_up: WARM_UP,
                seconds: plan.seconds,
                drain: DRAIN,
                latency,
                interval: None,
                takes: Default::default(),
            };
            let at = plan.began.elapsed().as_secs_f64();
            let outcome = halves.trial(&trial)?;
            let record = TrialRecord {
                round: 0,
                purpose: purpose.to_owned(),
                at,
                trial,
                outcome: outcome.clone(),
                worker_share: None,
                counters: Default::default(),
            };
            trials.push(record);
            Ok(outcome)
        };
        let sent = run(self, "sending alone", vec![out(Rate::Max)], false)?;
        let received = run(self, "receiving alone", vec![back(Rate::Max)], false)?;
        let both = run(self, "both ways at once", vec![out(Rate::Max), back(Rate::Max)], false)?;
        let both_rate = both.forwarding_rate() / 2.0;
        let calm = Rate::Frames((both_rate * CALM).max(1000.0));
        let timed = run(self, "latency at a tenth of that", vec![out(calm), back(calm)], true)?;
        let both_busy = both.tester.busy;
        Ok(SelfTest {
            size: sizes.label(),
            send_rate: sent.forwarding_rate(),
            receive_rate: received.forwarding_rate(),
            both_rate,
            both_busy,
            capability: if both_busy > 0.0 { both_rate / both_busy } else { both_rate },
            latency_p50: timed.streams.iter().find_map(|stream| Some(stream.latency.as_ref()?.p50)),
            trials,
        })
    }

    /// Has both halves do their parts, and puts together what each knows of a stream: who sends it how many frames it
    /// has, who receives it the rest. The tester's load is that of the half that measures switches.
    fn trial(&mut self, trial: &Trial) -> Result<Outcome> {
        self.back.begin(trial)?;
        self.front.begin(trial)?;
        let mut outcome = self.front.finish()?;
        let mut other = self.back.finish()?;
        for (number, stream) in trial.streams.iter().enumerate() {
            let (here, there) = (&mut outcome.streams[number], &mut other.streams[number]);
            let (sender, receiver) = if stream.from == FRONT { (&*here, &*there) } else { (&*there, &*here) };
            *here = join(sender, receiver);
        }
        outcome.ports.append(&mut other.ports);
        Ok(outcome)
    }
}

fn join(sender: &StreamOutcome, receiver: &StreamOutcome) -> StreamOutcome {
    StreamOutcome {
        intended: sender.intended,
        offered: sender.offered,
        offered_octets: sender.offered_octets,
        sent: sender.sent,
        // Whoever receives knows of the gaps only, and not of what is missing at the end.
        lost: receiver.lost,
        ..receiver.clone()
    }
}
