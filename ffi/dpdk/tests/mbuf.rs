//! Frames in mbufs: tags, copies, segments, and that every mbuf comes home.
#![allow(missing_docs)]

mod support;

use std::num::NonZeroU16;

use dpdk::{Mbuf, Mempool, PoolOptions};
use pollux_net::{Frame, Pcp, Pending, Priority, Tag, Tci, Tpid, Transport, Vid};
use support::*;

fn tag(vid: u16) -> Tag {
    let pcp = Pcp::new(5).unwrap();
    Tag {
        tpid: if vid.is_multiple_of(2) { Tpid::CTag } else { Tpid::STag },
        tci: Tci::new(Vid::new(vid).unwrap(), Priority { pcp, dei: true }),
    }
}

/// What must be true of any frame.
fn check(mbuf: &Mbuf, octets: &[u8]) {
    assert_eq!(mbuf.to_vec(), octets);
    assert_eq!(mbuf.len(), octets.len());
    assert_eq!(mbuf.segments().count(), mbuf.segment_count());
    assert_eq!(mbuf.segments().next(), Some(mbuf.head()));
}

#[test]
fn tags_come_and_go_at_every_size() {
    let eal = eal();
    let pool = pool(&eal);
    let small = Mempool::create(&eal, &PoolOptions { data_room: 64, ..PoolOptions::default() }).unwrap();
    for pool in [&pool, &small] {
        for len in (0..200).chain([1513, 1514, 1518, 2047, 2048, 2049, 4096, 9213, 9216]) {
            let mut mbuf = Mbuf::from_slice(pool, &frame(len)).unwrap();
            let mut plain = frame(len);
            assert_eq!(mbuf.segment_count(), len.div_ceil(pool.data_room().into()).max(1));
            for vid in [1, 2, 4094] {
                let pushed = mbuf.push_tag(tag(vid));
                assert_eq!(pushed, plain.push_tag(tag(vid)), "{len}");
                check(&mbuf, &plain);
            }
            let tci = Tci::from_bits(0xabcd);
            assert_eq!(mbuf.set_tci(tci), plain.set_tci(tci), "{len}");
            check(&mbuf, &plain);
            // A frame whose tags end its first segment is the one case that plain memory doesn't have.
            while mbuf.head().len() >= 18 {
                assert!(mbuf.pop_tag() && plain.pop_tag(), "{len}");
                check(&mbuf, &plain);
            }
            assert!(!mbuf.pop_tag());
            check(&mbuf, &plain);
        }
        assert_eq!(pool.in_use(), 0);
    }
}

#[test]
fn tags_fill_the_headroom_then_the_tailroom() {
    let eal = eal();
    let pool = pool(&eal);
    let mut mbuf = Mbuf::from_slice(&pool, &frame(2000)).unwrap();
    let mut plain = frame(2000);
    let mut pushed = 0;
    while mbuf.push_tag(tag(7)) {
        assert!(plain.push_tag(tag(7)));
        pushed += 1;
    }
    assert_eq!(pushed, (usize::from(Mempool::HEADROOM) + 48) / Tag::LEN);
    check(&mbuf, &plain);
    drop(mbuf);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn copies_share_nothing() {
    let eal = eal();
    let pool = pool(&eal);
    for len in [0, 14, 60, 1514, 9216] {
        let mut original = Mbuf::from_slice(&pool, &frame(len)).unwrap();
        let copy = original.copy(&pool).unwrap();
        if let Some(octet) = original.head_mut().unwrap().first_mut() {
            *octet ^= 1;
        }
        check(&copy, &frame(len));
        drop(original);
        check(&copy, &frame(len));
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn an_empty_pool_is_no_disaster() {
    let eal = eal();
    let options = PoolOptions { mbufs: 63, cache: 0, ..PoolOptions::default() };
    let pool = Mempool::create(&eal, &options).unwrap();
    let mut burst = arrayvec::ArrayVec::<Mbuf, 60>::new();
    assert!(Mbuf::new_burst(&pool, &mut burst));
    assert_eq!((burst.len(), pool.in_use(), pool.available()), (60, 60, 3));
    assert!(!Mbuf::new_burst(&pool, &mut Burst::new()));
    assert!(Mbuf::from_slice(&pool, &frame(9216)).is_none(), "three mbufs don't hold it");
    let mut frame = Mbuf::from_slice(&pool, &frame(2048)).unwrap();
    assert!(!frame.append(&pool, &[7; 9000]));
    check(&frame, &support::frame(2048));
    assert_eq!(pool.in_use(), 61);
    drop(frame);
    Mbuf::free_burst(&mut burst);
    assert!(burst.is_empty());
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn frames_grow_segment_by_segment() {
    let eal = eal();
    let pool = pool(&eal);
    let mut mbuf = Mbuf::new(&pool).unwrap();
    let mut plain = Vec::new();
    for chunk in [1, 2047, 1, 5000, 0, 3000] {
        let octets = frame(chunk);
        assert!(mbuf.append(&pool, &octets));
        plain.extend(octets);
        check(&mbuf, &plain);
    }
    assert_eq!(mbuf.segment_count(), plain.len().div_ceil(2048));
    drop(mbuf);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn what_was_written_once_can_be_claimed_again() {
    let eal = eal();
    let options = PoolOptions { mbufs: 31, cache: 0, ..PoolOptions::default() };
    let pool = Mempool::create(&eal, &options).unwrap();
    let mut burst = arrayvec::ArrayVec::<Mbuf, 32>::new();
    assert!(!Mbuf::new_some(&pool, &mut burst, 32) && burst.is_empty(), "there are 31");
    assert!(Mbuf::new_some(&pool, &mut burst, 20) && Mbuf::new_some(&pool, &mut burst, 11));
    for mbuf in &mut burst {
        mbuf.claim(2048).unwrap().copy_from_slice(&frame(2048));
        assert!(mbuf.claim(60).is_none(), "it isn't empty");
        check(mbuf, &frame(2048));
    }
    Mbuf::free_burst(&mut burst);
    for len in [0, 1, 60, 2048] {
        let mut mbuf = Mbuf::new(&pool).unwrap();
        assert!(mbuf.claim(2049).is_none());
        assert_eq!(mbuf.claim(len).unwrap(), &frame(2048)[..len]);
        check(&mbuf, &frame(2048)[..len]);
    }
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn pools_outlive_their_owners_for_their_mbufs() {
    let eal = eal();
    let mbuf = Mbuf::from_slice(&pool(&eal), &frame(60)).unwrap();
    assert_eq!(eal.reclaim(), 1, "the pool waits for its mbuf");
    check(&mbuf, &frame(60));
    drop(mbuf);
    assert_eq!(eal.reclaim(), 0);

    // A registered thread might be in the midst of returning one.
    let (say, told) = std::sync::mpsc::channel();
    let (answer, answered) = std::sync::mpsc::channel();
    let worker = {
        let eal = eal.clone();
        std::thread::spawn(move || {
            let registered = eal.register_thread().unwrap();
            assert!(eal.register_thread().is_err(), "once a thread");
            assert_eq!(registered.lcore(), 1);
            answer.send(()).unwrap();
            told.recv().unwrap();
            registered.pass();
            answer.send(()).unwrap();
            told.recv().unwrap();
        })
    };
    answered.recv().unwrap();
    drop(pool(&eal));
    assert_eq!(eal.reclaim(), 1);
    say.send(()).unwrap();
    answered.recv().unwrap();
    assert_eq!(eal.reclaim(), 0);
    drop(pool(&eal));
    assert_eq!(eal.reclaim(), 1);
    say.send(()).unwrap();
    worker.join().unwrap();
    assert_eq!(eal.reclaim(), 0);
}

#[test]
fn an_mbuf_may_outlive_everything() {
    let eal = eal();
    let pool = pool(&eal);
    let mbuf = Mbuf::from_slice(&pool, &frame(60)).unwrap();
    let runtime_dir = eal.runtime_dir().to_owned();
    drop((pool, eal));
    check(&mbuf, &frame(60));
    drop(mbuf);
    std::fs::remove_dir_all(runtime_dir).unwrap();
}

#[test]
fn the_estimate_of_a_pools_memory_is_close() {
    let eal = eal();
    let bytes = Mempool::bytes_for(8191, Mempool::DATA_ROOM);
    assert!((19 << 20..22 << 20).contains(&bytes), "{bytes}");
    // 64 MiB too much for the 256 that there are.
    let mbufs = (320 << 20) / 2400;
    let error = Mempool::create(&eal, &PoolOptions { mbufs, ..PoolOptions::default() }).unwrap_err();
    assert_eq!(error.errno(), 12, "{error}");
    assert!(error.to_string().contains("MiB"), "{error}");
    assert!(error.cure().is_some());
}

#[test]
fn the_start_of_a_frame_is_a_frame_of_its_own() {
    let eal = eal();
    let pool = Mempool::create(&eal, &PoolOptions { data_room: 64, ..PoolOptions::default() }).unwrap();
    let octets = frame(200);
    let whole = Mbuf::from_slice(&pool, &octets).unwrap();
    for len in [0, 1, 63, 64, 65, 199, 200, 1000] {
        let mut copy = whole.copy_start(&pool, len).unwrap();
        assert_eq!(copy.to_vec(), octets[..len.min(200)]);
        if let Some(head) = copy.head_mut() {
            head.fill(0);
        }
    }
    assert_eq!(whole.to_vec(), octets);
}

#[test]
fn what_is_left_to_a_port_is_told_until_it_is_forgotten() {
    let eal = eal();
    let pool = pool(&eal);
    let mut octets =
        vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45, 0, 0, 90, 0, 0, 0, 0, 64, 6, 0, 0];
    octets
        .extend([10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x18, 0, 0, 0, 0, 0, 0]);
    octets.resize(104, 7);
    let mut mbuf = Mbuf::from_slice(&pool, &octets).unwrap();
    let transport = Transport::find(mbuf.head(), mbuf.len()).unwrap();
    assert_eq!(mbuf.left(), Pending::NOTHING);
    for segment_len in [None, NonZeroU16::new(20)] {
        mbuf.leave_pending(&transport, segment_len);
        let left = Pending { checksum: true, segment_len };
        assert_eq!(mbuf.left(), left);
        assert_eq!(mbuf.copy(&pool).unwrap().left(), left, "a copy says the same");
    }
    mbuf.forget_pending();
    assert_eq!((mbuf.left(), mbuf.pending()), (Pending::NOTHING, Pending::NOTHING));
}
