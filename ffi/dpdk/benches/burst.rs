//! What a burst costs: cycles a frame to receive and transmit over net_null, best of
//! many short rounds, so that what else runs on the machine hardly shows.
#![allow(missing_docs)]

use std::slice::from_ref;

use arrayvec::ArrayVec;
use dpdk::{Device, Eal, EalOptions, Mbuf, Mempool, PoolOptions, PortConfig};
use pollux_cpu::cycles;
use pollux_net::{Frame, Tag};

const ROUNDS: usize = 5_000;
const BURSTS: usize = 200;

fn main() {
    let eal = Eal::init(&EalOptions { hugepages: false, memory: Some(128), ..EalOptions::default() })
        .expect("DPDK starts without hugepages");
    let _registered = eal.register_thread().expect("the first thread");
    let pool = Mempool::create(&eal, &PoolOptions::default()).expect("a pool");
    let port = Device::new("net_null0").attach(&eal).expect("net_null");
    let mut port = port.start(&PortConfig::default(), from_ref(&pool)).expect("net_null starts");
    let mut queues = port.take_queues().expect("taken for the first time");
    let (rx, tx) = (&mut queues.rx[0], &mut queues.tx[0]);

    let mut burst = ArrayVec::<Mbuf, 32>::new();
    let mut measure = |name: &str, work: &mut dyn FnMut(&mut ArrayVec<Mbuf, 32>)| {
        let round = |_| {
            let start = cycles();
            for _ in 0..BURSTS {
                rx.receive(&mut burst);
                work(&mut burst);
                tx.transmit(&mut burst);
            }
            cycles() - start
        };
        let best = (0..ROUNDS).map(round).min().unwrap_or(0);
        println!("{name:24} {:6.1} cycles a frame", best as f64 / (BURSTS * 32) as f64);
    };
    measure("receive, transmit", &mut |_| ());
    measure("and read the header", &mut |burst| {
        let sum: usize = burst.iter().map(|mbuf| usize::from(mbuf.head()[12])).sum();
        std::hint::black_box(sum);
    });
    measure("and push, pop a tag", &mut |burst| {
        for mbuf in burst {
            assert!(mbuf.push_tag(Tag::default()) && mbuf.pop_tag());
        }
    });
}
