//! A device with faults: it hands frames from one vhost-user port to another as they are, and loses, repeats, swaps or
//! leaks some, so that it can be tried whether the tester finds them.

use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;

use arrayvec::ArrayVec;
use dpdk::{Eal, EalOptions, Mbuf, Mempool, PoolOptions, PortConfig, RxQueue, Started, TxQueue, VhostPort};
use serde::Serialize;

use crate::host::interrupt;
use crate::tester::flow_of;
use crate::{BenchError, Result};

/// Frames that are sent and received at once.
const BURST: usize = 32;

/// Rounds between looks at signals.
const ROUNDS_PER_LOOK: u32 = 64;

/// `pollux bench faulty`.
#[derive(Debug, clap::Args)]
pub struct FaultyArgs {
    /// The sockets of its ports, two at least; what comes to the first goes to the second, and back
    #[arg(long = "socket", required = true)]
    sockets: Vec<PathBuf>,
    /// The CPU that polls
    #[arg(long, default_value_t = 0)]
    cpu: usize,
    /// Of the frames that come to the first port, loses one in so many
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    lose_every: Option<u64>,
    /// Sends one in so many twice
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    duplicate_every: Option<u64>,
    /// Holds one in so many back, behind the next of its flow
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    swap_every: Option<u64>,
    /// Sends a copy of one in so many to the third port
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    leak_every: Option<u64>,
    /// Takes ordinary memory instead of hugepages
    #[arg(long)]
    no_huge: bool,
}

/// What was planted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Planted {
    /// Frames of the tester's that came to the first port.
    frames: u64,
    lost: u64,
    duplicated: u64,
    swapped: u64,
    leaked: u64,
}

/// Forwards until a signal comes, and prints what it planted as a line of JSON.
pub(crate) fn run(args: &FaultyArgs) -> Result<()> {
    if args.sockets.len() < 2 || args.leak_every.is_some() && args.sockets.len() < 3 {
        return Err(BenchError::Input("name two sockets at least, and three where frames leak".to_owned()));
    }
    interrupt::watch()?;
    let eal = Eal::init(&EalOptions {
        file_prefix: format!("pollux-faulty-{}", std::process::id()),
        in_memory: !args.no_huge,
        hugepages: !args.no_huge,
        memory: args.no_huge.then_some(128),
        management_cpu: Some(args.cpu),
        ..EalOptions::default()
    })?;
    let thread = eal.register_thread()?;
    let pool =
        Mempool::create(&eal, &PoolOptions { purpose: "the device".to_owned(), ..PoolOptions::default() })?;
    let ports = args.sockets.iter().map(|socket| Side::open(&eal, &pool, socket));
    let mut ports = ports.collect::<Result<Vec<_>>>()?;
    println!("ready");
    let mut faults = Faults { args, pool: &pool, held: None, planted: Planted::default() };
    while interrupt::check().is_ok() {
        for _ in 0..ROUNDS_PER_LOOK {
            round(&mut ports, &mut faults);
        }
        thread.pass();
    }
    let planted = faults.planted;
    drop(faults);
    let text = serde_json::to_string(&planted).map_err(|error| BenchError::process("the device", error))?;
    writeln!(std::io::stdout(), "{text}").map_err(BenchError::io("printing what was planted"))
}

fn round(ports: &mut [Side], faults: &mut Faults<'_>) {
    let mut burst = ArrayVec::<Mbuf, BURST>::new();
    for from in 0..ports.len() {
        let to = match from {
            0 => 1,
            1 => 0,
            // What comes from others has nowhere to go.
            _ => from,
        };
        // Nothing is lost but by plan: who has no room is given no more.
        if ports[to].has_room() && (faults.args.leak_every.is_none() || ports[2].has_room()) {
            ports[from].rx.receive(&mut burst);
        }
        for mbuf in burst.drain(..) {
            match from {
                0 => faults.pass(mbuf, |port, mbuf| ports[port].waiting.push_back(mbuf)),
                1 => ports[0].waiting.push_back(mbuf),
                _ => drop(mbuf),
            }
        }
    }
    ports.iter_mut().for_each(Side::send);
}

/// A port.
struct Side {
    rx: RxQueue,
    tx: TxQueue,
    /// Frames that the front end hasn't taken yet.
    waiting: VecDeque<Mbuf>,
    burst: ArrayVec<Mbuf, BURST>,
    /// Keeps the device.
    _port: dpdk::Port<Started>,
}

impl Side {
    fn open(eal: &Eal, pool: &Mempool, socket: &PathBuf) -> Result<Self> {
        let port = VhostPort::new(socket).attach(eal)?;
        let started = port.start(&PortConfig::default(), std::slice::from_ref(pool));
        let mut port = started.map_err(|refused| refused.error)?;
        let mut queues = port.take_queues()?;
        match (queues.rx.pop(), queues.tx.pop()) {
            (Some(rx), Some(tx)) => {
                Ok(Self { rx, tx, waiting: VecDeque::new(), burst: ArrayVec::new(), _port: port })
            }
            _ => Err(BenchError::process("the device", "a port without queues")),
        }
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < BURST
    }

    fn send(&mut self) {
        let room = self.burst.remaining_capacity().min(self.waiting.len());
        self.burst.extend(self.waiting.drain(..room));
        if !self.burst.is_empty() {
            self.tx.transmit(&mut self.burst);
        }
    }
}

struct Faults<'a> {
    args: &'a FaultyArgs,
    pool: &'a Mempool,
    /// A frame that waits for the next of its flow.
    held: Option<(Mbuf, (u8, u32))>,
    planted: Planted,
}

impl Faults<'_> {
    /// Sends a frame that came to the first port on, with at most one fault.
    fn pass(&mut self, mbuf: Mbuf, mut send: impl FnMut(usize, Mbuf)) {
        let Some(flow) = flow_of(&mbuf) else { return send(1, mbuf) };
        self.planted.frames += 1;
        let frames = self.planted.frames;
        let its_turn = |every: Option<u64>| every.is_some_and(|every| frames.is_multiple_of(every));
        if its_turn(self.args.lose_every) {
            self.planted.lost += 1;
            return;
        }
        if its_turn(self.args.swap_every) && self.held.is_none() {
            self.held = Some((mbuf, flow));
            return;
        }
        if its_turn(self.args.duplicate_every)
            && let Some(copy) = mbuf.copy(self.pool)
        {
            self.planted.duplicated += 1;
            send(1, copy);
        }
        if its_turn(self.args.leak_every)
            && let Some(copy) = mbuf.copy(self.pool)
        {
            self.planted.leaked += 1;
            send(2, copy);
        }
        send(1, mbuf);
        if let Some((held, _)) = self.held.take_if(|(_, other)| *other == flow) {
            self.planted.swapped += 1;
            send(1, held);
        }
    }
}
