//! What the tests share. Each test is a process of its own under cargo-nextest, as DPDK starts once.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use dpdk::{Eal, EalOptions, Mbuf, Mempool, PoolOptions, RxQueue, TxQueue};

pub type Burst = ArrayVec<Mbuf, 32>;

/// DPDK in ordinary memory, under a name that no other test has.
pub fn eal() -> Eal {
    Eal::init(&options()).expect("DPDK starts without hugepages")
}

pub fn options() -> EalOptions {
    EalOptions {
        file_prefix: format!("pollux-test-{}", std::process::id()),
        hugepages: false,
        memory: Some(256),
        ..EalOptions::default()
    }
}

pub fn pool(eal: &Eal) -> Mempool {
    Mempool::create(eal, &PoolOptions::default()).expect("a pool of the default size")
}

/// Octets that tell their place, under a header that says so.
pub fn frame(len: usize) -> Vec<u8> {
    let mut octets: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    for (octet, value) in octets.iter_mut().zip([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x12, 0x34]) {
        *octet = value;
    }
    octets
}

/// Calls `done` until it returns true.
pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Transmits all of `frames`, waiting for room.
pub fn send_all(queue: &mut TxQueue, frames: Vec<Mbuf>) {
    let mut frames = frames.into_iter().peekable();
    let mut burst = Burst::new();
    wait("room to transmit", || {
        while !burst.is_full() && frames.peek().is_some() {
            burst.extend(frames.next());
        }
        queue.transmit(&mut burst);
        burst.is_empty() && frames.peek().is_none()
    });
}

/// Receives until there are `count` frames.
pub fn receive(queue: &mut RxQueue, count: usize) -> Vec<Mbuf> {
    let mut frames = Vec::new();
    let mut burst = Burst::new();
    wait("frames", || {
        queue.receive(&mut burst);
        frames.extend(burst.drain(..));
        frames.len() >= count
    });
    frames
}
