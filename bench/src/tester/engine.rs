//! DPDK, ports of any kind, and the threads that poll them.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use dpdk::{
    Device, Eal, EalOptions, Mempool, Pci, PoolOptions, Port, PortConfig, PortStats, RssTypes, Started,
};
use nix::unistd::gettid;

use super::course::Stop;
use super::label::Clock;
use super::protocol::{Facing, PROTOCOL, PortReady, PortSetup, Ready, Setup};
use super::sender::BURST;
use super::sizes::{LARGEST, SMALLEST};
use super::station::PORTS;
use super::worker::{Queues, Worker};
use crate::distance::Distance;
use crate::host::{cpu, is_pci};
use crate::{BenchError, Result};

/// Octets of a frame that its MTU doesn't count: addresses, EtherType and check sequence.
const MTU_OVERHEAD: u16 = 18;
const USUAL_MTU: u16 = 1500;

/// Mbufs that each thread may keep to itself.
const CACHE: u32 = 256;

/// Segments that a burst's frames lie in, at most, unless they are very long.
const SEGMENTS: u32 = 8;

/// What a thread does with its ports.
pub(super) type Task<T> = Box<dyn FnOnce(&mut Worker) -> T + Send>;

/// A tester that is about to test.
pub(super) struct Engine {
    // What uses the ports, the pools and DPDK goes before them.
    own: Worker,
    others: Vec<Thread>,
    /// How far the neighbour is.
    pub(super) distance: Option<Distance>,
    ports: Vec<Opened>,
    pub(super) ready: Ready,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    pub(super) facing: Facing,
    /// Whether others have some of the ports.
    pub(super) has_others: bool,
    pub(super) largest_frame: u16,
}

struct Opened {
    port: Port<Started>,
    /// Whether it counts frames as errors that it leaves with us.
    leaves_frames: bool,
}

/// A thread that polls.
struct Thread {
    tasks: Option<Sender<Task<()>>>,
    handle: Option<JoinHandle<()>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(handle) = self.handle.take() {
            // It has nothing to say.
            let _ = handle.join();
        }
    }
}

impl Engine {
    /// Starts DPDK with these ports, the calling thread on the first CPU.
    pub(super) fn start(setup: &Setup, stop: Stop) -> Result<Self> {
        check(setup)?;
        let cpus = &setup.cpus;
        // It has to be there before anything polls, and before this thread's CPU is the only one.
        let distance = setup.neighbour.map(Distance::to).transpose()?;
        let eal = environment(setup)?;
        let clock = Clock::new(eal.tsc_hz());
        let registered = eal.register_thread()?;
        // Else it does with less of its CPU.
        let _ = cpu::favour(gettid().as_raw().unsigned_abs());
        let pool = pool(&eal, setup)?;

        let mut ports = Vec::new();
        let mut queues: Vec<Vec<Queues>> = cpus.iter().map(|_| Vec::new()).collect();
        let mut told = Vec::new();
        for (number, port) in setup.ports.iter().enumerate() {
            let (opened, queue, ready) = open(&eal, number, port, setup.largest_frame, &pool)?;
            queues[number % cpus.len()].push(queue);
            ports.push(opened);
            told.push(ready);
        }
        let ready = Ready { protocol: PROTOCOL, dpdk: eal.version(), tsc_hz: eal.tsc_hz(), ports: told };
        let mut queues = queues.into_iter();
        let own_queues = queues.next().unwrap_or_default();
        let own = Worker::new(registered, pool.clone(), clock, stop.clone(), own_queues);
        let others = cpus[1..].iter().zip(queues).map(|(&cpu, queues)| {
            let (eal, pool, stop) = (eal.clone(), pool.clone(), stop.clone());
            Thread::start(cpu, move || {
                let thread = eal.register_thread()?;
                Ok(Worker::new(thread, pool, clock, stop, queues))
            })
        });
        Ok(Self {
            others: others.collect::<Result<_>>()?,
            own,
            distance,
            facing: Facing {
                first_port: 0,
                all_ports: setup.ports.len() as u8,
                // So that frames of another tester are told from ours.
                epoch: (pollux_cpu::cycles() >> 8) as u16 & !1,
            },
            has_others: false,
            ports,
            ready,
            clock,
            stop,
            largest_frame: setup.largest_frame,
        })
    }

    pub(super) fn workers(&self) -> usize {
        1 + self.others.len()
    }

    /// The worker of a port.
    pub(super) fn worker_of(&self, port: usize) -> usize {
        port % self.workers()
    }

    /// Has each worker do its task; returns what they made of it.
    pub(super) fn each<T: Send + 'static>(&mut self, tasks: Vec<Task<T>>) -> Result<Vec<T>> {
        let mut tasks = tasks.into_iter();
        let own = tasks.next();
        let mut answers = Vec::new();
        for (thread, task) in self.others.iter().zip(tasks) {
            let (answer, answered) = mpsc::channel();
            let task: Task<()> = Box::new(move |worker| {
                // Who asked waits for it.
                let _ = answer.send(task(worker));
            });
            thread.give(task)?;
            answers.push(answered);
        }
        let mut outcomes: Vec<T> = own.map(|task| task(&mut self.own)).into_iter().collect();
        for answered in answers {
            let gone = |_| BenchError::process("the tester", "a thread that polls has ended");
            outcomes.push(answered.recv().map_err(gone)?);
        }
        Ok(outcomes)
    }

    /// Frames that each port's device says it lost so far.
    pub(super) fn device_lost(&self) -> Vec<u64> {
        let lost = |opened: &Opened| {
            let stats: PortStats = opened.port.stats().unwrap_or_default();
            let sent = if opened.leaves_frames { 0 } else { stats.tx_errors };
            stats.rx_missed + stats.rx_errors + stats.rx_no_mbuf + sent
        };
        self.ports.iter().map(lost).collect()
    }
}

impl Thread {
    /// Starts a thread on a CPU, and waits until it is ready.
    fn start(cpu: usize, make: impl FnOnce() -> Result<Worker> + Send + 'static) -> Result<Self> {
        let (tasks, receiver) = mpsc::channel();
        let (say, said) = mpsc::channel();
        let thread = thread::Builder::new().name(format!("tester-{cpu}")).spawn(move || {
            // Pinned first: DPDK notes where a thread may run.
            match cpu::stay_on(cpu).and_then(|()| make()) {
                Ok(worker) => {
                    let _ = cpu::favour(gettid().as_raw().unsigned_abs());
                    let _ = say.send(Ok(()));
                    obey(worker, &receiver);
                }
                Err(error) => {
                    let _ = say.send(Err(error));
                }
            }
        });
        let handle = thread.map_err(BenchError::io("starting a thread"))?;
        let started = Self { tasks: Some(tasks), handle: Some(handle) };
        let gone = |_| BenchError::process("the tester", "a thread that polls has ended");
        said.recv().map_err(gone)??;
        Ok(started)
    }

    fn give(&self, task: Task<()>) -> Result<()> {
        let given = self.tasks.as_ref().is_some_and(|tasks| tasks.send(task).is_ok());
        match given {
            true => Ok(()),
            false => Err(BenchError::process("the tester", "a thread that polls has ended")),
        }
    }
}

fn obey(mut worker: Worker, tasks: &Receiver<Task<()>>) {
    for task in tasks {
        task(&mut worker);
    }
}

/// What can be seen of a setup without the devices.
fn check(setup: &Setup) -> Result<()> {
    let input = |what: String| Err(BenchError::Input(what));
    if setup.protocol != PROTOCOL {
        return input(format!(
            "the lab speaks version {} of the tester's protocol, and this tester {PROTOCOL}: use the same binary",
            setup.protocol
        ));
    }
    if setup.ports.is_empty() || setup.ports.len() > PORTS.into() {
        return input(format!("{} ports: a tester has 1 to {PORTS}", setup.ports.len()));
    }
    if setup.cpus.is_empty() {
        return input("no CPU to poll: name one at least".to_owned());
    }
    // Whoever started this may have been kept to other CPUs. The first comes last, where this thread stays.
    setup.cpus.iter().rev().try_for_each(|cpu| cpu::stay_on(*cpu))?;
    let mut cpus = setup.cpus.clone();
    cpus.sort_unstable();
    cpus.dedup();
    if cpus.len() < setup.cpus.len() {
        return input("a CPU is named twice: each polls once".to_owned());
    }
    if !(SMALLEST..=LARGEST).contains(&setup.largest_frame) {
        return input(format!(
            "frames of {} octets: {SMALLEST} to {LARGEST} are possible",
            setup.largest_frame
        ));
    }
    match setup.ports.iter().find(|port| port.rx_ring == 0 || port.tx_ring == 0) {
        Some(port) => input(format!("{}: a ring has one descriptor at least", port.device)),
        None => Ok(()),
    }
}

fn environment(setup: &Setup) -> Result<Eal> {
    let hugepages = setup.ordinary_memory.is_none();
    let devices = setup.ports.iter().map(|port| port.device.clone());
    let pci: Vec<_> = devices.filter(|device| is_pci(device)).collect();
    let started = Eal::init(&EalOptions {
        file_prefix: format!("pollux-tester-{}", std::process::id()),
        // Ordinary memory can be shared with a back end only if it is a file's.
        in_memory: hugepages,
        hugepages,
        memory: setup.ordinary_memory,
        management_cpu: setup.cpus.first().copied(),
        pci: if pci.is_empty() { Pci::Off } else { Pci::Allow(pci) },
        // So that a back end gets a few large pieces of memory, and not one for each hugepage.
        extra: if hugepages { vec!["--single-file-segments".to_owned()] } else { Vec::new() },
        ..EalOptions::default()
    });
    Ok(started?)
}

/// One pool for what is received and what is sent: a frame is then sent from memory that one was received in just
/// before, which is in this processor's caches, and not from memory that the device under test has read.
fn pool(eal: &Eal, setup: &Setup) -> Result<Mempool> {
    let rings = |port: &PortSetup| u32::from(port.rx_ring) + u32::from(port.tx_ring) + BURST as u32;
    let at_hand = setup.cpus.len() as u32 * (2 * CACHE + BURST as u32 * SEGMENTS);
    let options = PoolOptions {
        purpose: "the tester".to_owned(),
        mbufs: (setup.ports.iter().map(rings).sum::<u32>() + at_hand).next_power_of_two() - 1,
        cache: CACHE,
        // Whatever is sent lies in one piece.
        data_room: setup.largest_frame.max(Mempool::DATA_ROOM),
        ..PoolOptions::default()
    };
    Ok(Mempool::create(eal, &options)?)
}

fn open(
    eal: &Eal,
    number: usize,
    setup: &PortSetup,
    largest_frame: u16,
    pool: &Mempool,
) -> Result<(Opened, Queues, PortReady)> {
    let device = Device::new(setup.device.as_str());
    let config = PortConfig {
        rx_ring: setup.rx_ring,
        tx_ring: setup.tx_ring,
        mtu: largest_frame.saturating_sub(MTU_OVERHEAD).max(USUAL_MTU),
        rss: RssTypes::NONE,
        ..PortConfig::default()
    };
    let started = device.attach(eal)?.start(&config, std::slice::from_ref(pool));
    let mut port = started.map_err(|refused| refused.error)?;
    let mut queues = port.take_queues()?;
    let (Some(rx), Some(tx)) = (queues.rx.pop(), queues.tx.pop()) else {
        return Err(BenchError::process(
            "the tester",
            format_args!("{}: a port without queues", setup.device),
        ));
    };
    let became = &port.setup().config;
    let driver = port.info()?.driver;
    let ready = PortReady {
        device: setup.device.clone(),
        driver: driver.clone(),
        rx_ring: became.rx_ring,
        tx_ring: became.tx_ring,
        link_mbits: port.link().mbps,
    };
    let opened = Opened { port, leaves_frames: driver == "net_vhost" };
    Ok((opened, Queues { port: number, rx, tx }, ready))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> Setup {
        Setup {
            protocol: PROTOCOL,
            cpus: vec![cpu::all()[0]],
            neighbour: None,
            ordinary_memory: Some(64),
            largest_frame: 1518,
            ports: vec![PortSetup { device: "net_null0".to_owned(), rx_ring: 256, tx_ring: 256 }],
        }
    }

    #[test]
    fn setups_that_make_no_sense_are_refused() {
        assert!(check(&setup()).is_ok());
        let port = setup().ports[0].clone();
        for (wrong, says) in [
            (Setup { protocol: 0, ..setup() }, "use the same binary"),
            (Setup { ports: Vec::new(), ..setup() }, "0 ports"),
            (Setup { ports: vec![port.clone(); 65], ..setup() }, "65 ports"),
            (Setup { cpus: Vec::new(), ..setup() }, "no CPU to poll"),
            (Setup { cpus: vec![usize::MAX], ..setup() }, "can't run on CPU"),
            (Setup { cpus: vec![setup().cpus[0]; 2], ..setup() }, "named twice"),
            (Setup { largest_frame: 63, ..setup() }, "63 octets"),
            (Setup { ports: vec![PortSetup { rx_ring: 0, ..port }], ..setup() }, "one descriptor"),
        ] {
            let error = check(&wrong).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
