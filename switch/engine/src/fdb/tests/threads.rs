//! Threads that get in each other's way for a while; the sanitizers' share of the tests. They are joined
//! one by one: how a scope waits for the rest is inside std, where ThreadSanitizer doesn't see it.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const NOW: u32 = 100;

/// Enough for thousands of evictions, displacements and removals on each thread.
const TURNS: u64 = 30_000;

/// A fixed sequence of numbers that look random.
fn numbers(seed: u64) -> impl Iterator<Item = u64> + Clone {
    (0..TURNS).map(move |turn| (turn ^ seed << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20)
}

/// Address n is only ever seen on ports whose number is n modulo `KINDS`.
const KINDS: usize = 4;
const ADDRESSES: u64 = 400;

fn address(number: u64) -> (FdbKey, usize) {
    let mac = number % ADDRESSES;
    (key(1, mac), mac as usize % KINDS)
}

fn assert_own_port(fdb: &Fdb, number: u64) {
    let (key, kind) = address(number);
    if let Some(on) = lookup(fdb, key, NOW) {
        assert_eq!(on % KINDS, kind);
    }
}

#[test]
fn lookups_only_give_ports_that_the_address_was_seen_on() {
    // Nearly as many entries as slots, and fewer than addresses: slots change keys all the time.
    let fdb = Fdb::with_buckets(FdbOptions { capacity: 200, ageing_seconds: 300, seed: 1 }, 64);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let fdb = &fdb;
        let workers = [1, 2].map(|seed| {
            scope.spawn(move || {
                for number in numbers(seed) {
                    let (key, kind) = address(number);
                    let on = kind + KINDS * (number >> 30 & 1) as usize;
                    learn(fdb, key, on, NOW - (number >> 31 & 1) as u32);
                    assert_own_port(fdb, number >> 10);
                }
            })
        });
        let control = scope.spawn(|| {
            for number in numbers(3).cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                match number % 64 {
                    0 => fdb.flush_port(port(number as usize / 64 % 8)),
                    1 => fdb.flush_all(),
                    2 => {
                        fdb.remove(address(number / 64).0);
                    }
                    3..16 => {
                        fdb.sweep(NOW, 5);
                    }
                    _ => assert_own_port(fdb, number / 64),
                }
            }
        });
        let outcomes = workers.map(|worker| worker.join());
        over.store(true, Ordering::Relaxed);
        control.join().unwrap();
        assert!(outcomes.iter().all(Result::is_ok));
    });
    while !fdb.sweep(NOW, 64).finished {}
    while !fdb.sweep(NOW, 64).finished {}
    check_counts(&fdb, NOW);
    let counters = fdb.counters();
    assert!(counters.learned > 0 && counters.moved > 0 && counters.flushed > 0, "{counters:?}");
}

#[test]
fn what_stays_in_a_crowded_table_is_found_all_the_time() {
    let fdb = Fdb::with_buckets(FdbOptions { capacity: 60, ageing_seconds: 300, seed: 1 }, 16);
    let stays = |number: u64| key(2, number % 20);
    (0..20).for_each(|number| fdb.insert_static(stays(number), port(1), NOW).unwrap());
    thread::scope(|scope| {
        let fdb = &fdb;
        let crowd = [1, 2].map(|seed| {
            scope.spawn(move || {
                for number in numbers(seed) {
                    learn(fdb, address(number).0, 2, NOW);
                }
            })
        });
        let reader = scope.spawn(move || {
            for number in numbers(3) {
                assert_eq!(lookup(fdb, stays(number), NOW), Some(1));
                assert_ne!(lookup(fdb, address(number).0, NOW), Some(1));
            }
        });
        crowd.into_iter().chain([reader]).for_each(|thread| thread.join().unwrap());
    });
    check_counts(&fdb, NOW);
    assert!(fdb.counters().displaced > 0);
}

#[test]
fn workers_that_learn_the_same_addresses_lose_none() {
    let fdb = Fdb::new(FdbOptions { capacity: 4096, ageing_seconds: 300, seed: 1 });
    thread::scope(|scope| {
        let fdb = &fdb;
        let workers = [1, 2, 3].map(|seed| {
            scope.spawn(move || {
                for number in numbers(seed) {
                    let key = key(1, number % 4000);
                    let learned = learn(fdb, key, 1, NOW);
                    let there = lookup(fdb, key, NOW) == Some(1);
                    assert!(there || learned == Learned::Refused(Refusal::Busy), "{learned:?}");
                }
            })
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    check_counts(&fdb, NOW);
    assert_eq!(fdb.counters().evicted, 0);
}
