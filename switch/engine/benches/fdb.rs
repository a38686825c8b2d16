//! Cycles a packet of learning its source and looking up its destination, in batches as the data path
//! does it, over random addresses. Beside it a hash table that one thread owns, under the same loop.
//!
//! `cargo bench -p pollux-engine --bench fdb`. Prints the median and the best of some rounds, less what
//! making up the addresses costs.
#![forbid(unsafe_code)]
#![allow(missing_docs)]

use hashbrown::HashMap;
use pollux_cpu::cycles;
use pollux_engine::fdb::{Fdb, FdbKey, FdbOptions, Learned, Probe};
use pollux_net::{Mac, PortId, Vid};
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::time::Instant;

const BURST: usize = 32;
const BATCHES: usize = 1_000;
const ROUNDS: usize = 301;
const ADDRESSES: [u64; 5] = [1, 1_000, 10_000, 100_000, 1_000_000];
const PORTS: u64 = 8;
const NOW: u32 = 100;

fn main() {
    // `cargo test` runs benches too, to see that they run.
    let (batches, rounds) =
        if std::env::args().any(|arg| arg == "--bench") { (BATCHES, ROUNDS) } else { (10, 1) };
    println!("cycles a packet, median (best) of {rounds} rounds of {} packets", batches * BURST);
    println!("{:>10} {:>16} {:>16}", "addresses", "fdb", "hashbrown");
    for addresses in ADDRESSES {
        let bench = Bench { addresses, batches, rounds };
        let nothing = bench.measure(|batch| {
            black_box(batch);
        });
        println!(
            "{addresses:>10} {:>16} {:>16}",
            bench.fdb().less(&nothing).to_string(),
            bench.hashbrown().less(&nothing).to_string()
        );
    }
    newcomers(20 * batches * BURST);
}

/// What a port received at once: sources and destinations.
struct Batch {
    ingress: PortId,
    frames: [(FdbKey, FdbKey); BURST],
}

struct Bench {
    addresses: u64,
    batches: usize,
    rounds: usize,
}

impl Bench {
    fn fdb(&self) -> Cycles {
        let capacity = (self.addresses as usize).next_power_of_two().max(131_072);
        let fdb = Fdb::new(FdbOptions { capacity, ageing_seconds: 300, seed: 1 });
        for number in 0..self.addresses {
            let at = fdb.at(NOW);
            at.learn(&at.probe(key(number)), port(number));
        }
        let mut probes = [[Probe::default(); 2]; BURST];
        self.measure(|batch| {
            let fdb = fdb.at(NOW);
            for (probes, &(source, destination)) in probes.iter_mut().zip(&batch.frames) {
                *probes = [source, destination].map(|key| fdb.probe(key));
                for probe in probes {
                    fdb.prefetch(probe);
                }
            }
            for [source, _] in &probes {
                black_box(fdb.learn(source, batch.ingress));
            }
            for [_, destination] in &probes {
                black_box(fdb.lookup(destination));
            }
        })
    }

    fn hashbrown(&self) -> Cycles {
        let mut map = HashMap::with_capacity_and_hasher(131_072, BuildHasherDefault::<Fold>::default());
        for number in 0..self.addresses {
            map.insert(key(number), (port(number), NOW));
        }
        self.measure(|batch| {
            let fresh = (batch.ingress, NOW);
            for &(source, _) in &batch.frames {
                match map.get_mut(&source) {
                    Some(entry) if *entry == fresh => {}
                    Some(entry) => *entry = fresh,
                    None => {
                        map.insert(source, fresh);
                    }
                }
            }
            for (_, destination) in &batch.frames {
                let found = map.get(destination).copied();
                black_box(found.and_then(|(port, seen)| (NOW - seen < 300).then_some(port)));
            }
        })
    }

    fn measure(&self, mut work: impl FnMut(&Batch)) -> Cycles {
        let mut random = Random(88_172_645_463_325_252);
        let ports = PORTS.min(self.addresses);
        let mut batch = Batch { ingress: port(0), frames: [(key(0), key(0)); BURST] };
        let mut rounds: Vec<f64> = (0..self.rounds)
            .map(|_| {
                let start = cycles();
                for turn in 0..self.batches as u64 {
                    let ingress = turn % ports;
                    batch.ingress = port(ingress);
                    for frame in &mut batch.frames {
                        let source = random.below(self.addresses / ports) * ports + ingress;
                        *frame = (key(source), key(random.below(self.addresses)));
                    }
                    work(&batch);
                }
                (cycles() - start) as f64 / (self.batches * BURST) as f64
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        Cycles { median: rounds[rounds.len() / 2], best: rounds[0] }
    }
}

/// What addresses that aren't there cost: in a table with room, and in a full one.
fn newcomers(frames: usize) {
    let fdb = Fdb::new(FdbOptions { capacity: 1 << 16, ageing_seconds: 300, seed: 1 });
    for (state, first) in [("empty", 0), ("full", 1 << 32)] {
        let count = if state == "empty" { fdb.capacity().min(frames) } else { frames };
        let (start, clock) = (cycles(), Instant::now());
        let new = (first..first + count as u64)
            .filter(|&number| {
                fdb.at(NOW).learn(&fdb.at(NOW).probe(key(number)), port(number)) == Learned::New
            })
            .count();
        let per_frame = (cycles() - start) as f64 / count as f64;
        let per_second = count as f64 / clock.elapsed().as_secs_f64() / 1e6;
        println!(
            "new addresses, table {state}: {per_frame:.0} cycles, {per_second:.1} M/s, {new} of {count} learned"
        );
    }
}

fn key(number: u64) -> FdbKey {
    // An odd factor: different numbers, different addresses.
    let mac = 0x0200_0000_0000 | number.wrapping_mul(0x9e37_79b9_7f4b) & 0xff_ffff_ffff;
    FdbKey::new(Vid::DEFAULT, Mac::from_u64(mac))
}

fn port(number: u64) -> PortId {
    PortId::from_low_bits(number % PORTS)
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 & 0xffff_ffff) * limit) >> 32
    }
}

struct Cycles {
    median: f64,
    best: f64,
}

impl Cycles {
    fn less(self, other: &Self) -> Self {
        Self { median: self.median - other.median, best: self.best - other.best }
    }
}

impl std::fmt::Display for Cycles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ({:.1})", self.median, self.best)
    }
}

/// A fair hash for the yardstick: the same single multiplication.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(word ^ 0x2d35_8dcc_aa6c_78a5) * 0x8bb8_4b93_962e_acc9;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
