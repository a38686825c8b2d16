//! A VM's side of vhost-user ports, in a process of its own: virtio_user devices, driven by lines on
//! its standard input. [`Vm`](crate::harness::Vm) is how tests use it.
//!
//! `send TO FROM TAGS FIRST COUNT LENGTHS QUEUE` sends numbered frames, whose lengths take turns, and
//! answers `sent COUNT`; `report` answers `stream FROM TO COUNT LAST OUT-OF-ORDER DUPLICATE OCTETS` for
//! each stream received, then `queues` and the count of each queue, then `end`. `echo OWN` has it send back
//! whatever comes for this address. `ping TO FROM ALSO FIRST COUNT` sends numbered frames to one that
//! echoes, few enough at a time that no ring overflows, and each to the addresses `ALSO` too; it answers
//! `pinged ECHOED MICROSECONDS`. `rest` has it leave its queues alone until the next line, and answers
//! `resting`. It fails on a frame that isn't whole.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use dpdk::{Device, Eal, EalOptions, Mbuf, Mempool, PoolOptions, PortConfig, Queues};

use crate::harness::{PATIENCE, frame};

/// Set for a process that shall be a front end: the arguments of its virtio_user device.
pub const DEVICE: &str = "POLLUX_E2E_FRONT_END";
/// Pairs of queues of it.
pub const QUEUES: &str = "POLLUX_E2E_QUEUES";

/// Frames that a ping has under way: its own, their echoes and a flood fit into every ring.
const WINDOW: u32 = 256;

type Mac = [u8; 6];
type Burst = ArrayVec<Mbuf, 32>;

/// What arrived of one stream: a source, a destination, a priority.
#[derive(Default)]
struct Stream {
    count: u64,
    last: u32,
    out_of_order: u64,
    duplicates: u64,
    octets: u64,
    /// By number: tests count from 0.
    seen: Vec<bool>,
}

impl Stream {
    fn add(&mut self, number: u32, len: usize) {
        let place = number as usize;
        self.seen.resize(self.seen.len().max(place + 1), false);
        if std::mem::replace(&mut self.seen[place], true) {
            self.duplicates += 1;
        } else if self.count > 0 && number < self.last {
            self.out_of_order += 1;
        }
        self.count += 1;
        self.last = number;
        self.octets += len as u64;
    }
}

struct FrontEnd {
    queues: Queues,
    pool: Mempool,
    /// By source, priority and destination.
    streams: BTreeMap<(Mac, u8, Mac), Stream>,
    /// The destination of frames to send back.
    echoes: Option<Mac>,
    /// Frames that came on each queue.
    received: Vec<u64>,
}

/// Is a front end in a process that was started for that; elsewhere, checks how streams are judged.
#[test]
fn streams_are_judged() {
    if let Ok(device) = std::env::var(DEVICE) {
        let queues = std::env::var(QUEUES).ok().and_then(|queues| queues.parse().ok()).unwrap_or(1);
        return serve(&device, queues);
    }
    let mut stream = Stream::default();
    [0, 1, 2, 5, 4, 5, 6].into_iter().for_each(|number| stream.add(number, 64));
    assert_eq!((stream.count, stream.last, stream.out_of_order, stream.duplicates), (7, 6, 1, 1));
    assert_eq!(stream.octets, 7 * 64);
    let whole = frame::build([2; 6], [4; 6], "C7.0", 1, 600);
    let swapped = [&whole[..300], &whole[301..], &whole[300..301]].concat();
    assert!(frame::is_whole(&whole) && !frame::is_whole(&swapped));
}

fn serve(device: &str, queues: u16) {
    let eal = Eal::init(&EalOptions {
        file_prefix: format!("pollux-e2e-{}", std::process::id()),
        hugepages: false,
        memory: Some(128),
        ..EalOptions::default()
    })
    .expect("DPDK starts without hugepages");
    let pool = Mempool::create(&eal, &PoolOptions::default()).unwrap();
    let commands = commands();
    loop {
        println!("attaching");
        let port = Device::new(device).attach(&eal).expect("the switch's side is there");
        let config = PortConfig { rx_queues: queues, tx_queues: queues, ..PortConfig::default() };
        let mut port = port.start(&config, std::slice::from_ref(&pool)).unwrap();
        let mut front_end = FrontEnd {
            queues: port.take_queues().unwrap(),
            pool: pool.clone(),
            streams: BTreeMap::new(),
            echoes: None,
            received: vec![0; usize::from(queues)],
        };
        println!("attached");
        let ended = front_end.obey(&commands);
        drop(front_end);
        port.stop().expect("all queues are home").close();
        assert_eq!(pool.in_use(), 0, "mbufs leaked");
        if ended == Ended::Process {
            return;
        }
        println!("left");
        if commands.recv().as_deref() != Ok("join") {
            return;
        }
    }
}

/// What a front end was told to end.
#[derive(PartialEq)]
enum Ended {
    /// Its device; there may be another.
    Device,
    /// Everything.
    Process,
}

/// The lines of the standard input. The channel ends with it.
fn commands() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

impl FrontEnd {
    fn obey(&mut self, commands: &Receiver<String>) -> Ended {
        loop {
            if !self.receive() {
                std::thread::sleep(Duration::from_micros(100));
            }
            match commands.try_recv() {
                Ok(line) if line == "rest" => {
                    println!("resting");
                    let Ok(line) = commands.recv() else { return Ended::Process };
                    self.command(&line.split(' ').collect::<Vec<_>>());
                }
                Ok(line) if line == "leave" => return Ended::Device,
                Ok(line) => self.command(&line.split(' ').collect::<Vec<_>>()),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ended::Process,
            }
        }
    }

    fn command(&mut self, words: &[&str]) {
        match words {
            ["send", to, from, tags, first, count, lengths, queue] => {
                let [first, count, queue] = [first, count, queue].map(|word| word.parse::<u32>().unwrap());
                let lengths: Vec<usize> = lengths.split('/').map(|len| len.parse().unwrap()).collect();
                for number in first..first + count {
                    let len = lengths[number as usize % lengths.len()];
                    let octets = frame::build(parse_mac(to), parse_mac(from), tags, number, len);
                    self.send(&octets, queue as usize);
                }
                println!("sent {count}");
            }
            ["report"] => self.report(),
            ["echo", own] => self.echoes = Some(parse_mac(own)),
            ["ping", to, from, also, first, count] => {
                let [first, count] = [first, count].map(|word| word.parse().unwrap());
                let also: Vec<_> = also.split('/').filter(|mac| *mac != "-").map(parse_mac).collect();
                let (echoed, time) = self.ping(parse_mac(to), parse_mac(from), &also, first, count);
                println!("pinged {echoed} {}", time.as_micros());
            }
            _ => panic!("{words:?}"),
        }
        std::io::stdout().flush().unwrap();
    }

    /// Sends a frame, waiting for room: what the switch can't take must wait here.
    fn send(&mut self, octets: &[u8], queue: usize) {
        let start = Instant::now();
        let mut burst = Burst::new();
        loop {
            if burst.is_empty() {
                burst.extend(Mbuf::from_slice(&self.pool, octets));
            }
            if self.queues.tx[queue].transmit(&mut burst) == 1 {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "the switch takes no frames");
            if !self.receive() {
                std::thread::sleep(Duration::from_micros(20));
            }
        }
    }

    /// Returns how many echoes came, and when the last did. Gives up once none comes for long.
    fn ping(&mut self, to: Mac, from: Mac, also: &[Mac], first: u32, count: u32) -> (u32, Duration) {
        let echoes = |streams: &BTreeMap<_, Stream>| {
            streams.get(&(to, 0, from)).map_or(0, |stream: &Stream| stream.count as u32)
        };
        let before = echoes(&self.streams);
        let start = Instant::now();
        let (mut sent, mut echoed, mut progress) = (0, 0, start);
        while echoed < count && progress.elapsed() < PATIENCE {
            for _ in 0..(echoed + WINDOW - sent).min(count - sent).min(32) {
                for &target in std::iter::once(&to).chain(also) {
                    self.send(&frame::build(target, from, "-", first + sent, 64), 0);
                }
                sent += 1;
            }
            self.receive();
            let now = echoes(&self.streams) - before;
            if now > echoed {
                (echoed, progress) = (now, Instant::now());
            } else {
                // Whoever is to answer may share the processor.
                std::thread::yield_now();
            }
        }
        (echoed, progress - start)
    }

    fn receive(&mut self) -> bool {
        let mut burst = Burst::new();
        let mut answers = Burst::new();
        let mut any = false;
        for (queue, count) in self.queues.rx.iter_mut().zip(&mut self.received) {
            *count += queue.receive(&mut burst) as u64;
            for mut mbuf in burst.drain(..) {
                any = true;
                let octets = mbuf.to_vec();
                let Some(number) = frame::number(&octets) else { continue };
                assert!(frame::is_whole(&octets), "{number} of {} octets isn't whole", octets.len());
                let pcp = if octets[12..14] == [0x81, 0] { octets[14] >> 5 } else { 0 };
                let [to, from]: [Mac; 2] = [0, 6].map(|at| octets[at..at + 6].try_into().unwrap());
                self.streams.entry((from, pcp, to)).or_default().add(number, octets.len());
                if self.echoes == Some(to) {
                    mbuf.head_mut().expect("it has one owner")[..12].rotate_left(6);
                    answers.push(mbuf);
                }
            }
            let start = Instant::now();
            while !answers.is_empty() {
                self.queues.tx[0].transmit(&mut answers);
                assert!(start.elapsed() < PATIENCE, "the switch takes no frames");
            }
        }
        any
    }

    fn report(&mut self) {
        while self.receive() {}
        for ((from, pcp, to), stream) in &self.streams {
            let Stream { count, last, out_of_order, duplicates, octets, .. } = stream;
            let (from, to) = (format_mac(from), format_mac(to));
            println!("stream {from}.{pcp} {to} {count} {last} {out_of_order} {duplicates} {octets}");
        }
        let counts: Vec<_> = self.received.iter().map(u64::to_string).collect();
        println!("queues {}", counts.join(" "));
        println!("end");
    }
}

pub fn format_mac(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
}

fn parse_mac(text: &str) -> Mac {
    let octets: Vec<u8> = text.split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
    octets.try_into().expect("an address has six octets")
}
