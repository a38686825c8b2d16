//! What waits, in which order it leaves, and that nothing is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pollux_engine::datapath::{Batch, Context, Outbox, walk};
use pollux_engine::qos::{EgressQos, EgressSpec, Service, ShaperSpec};
use pollux_engine::{Accounting, Reason, WorkerStats};
use pollux_net::{Mark, RateUnit, WorkerId};
use proptest::prelude::*;

use crate::rig::*;

#[test]
fn what_has_no_room_waits_in_its_class() {
    let mut rig = Rig::new(&[trunk(), trunk()], 1).with_egress(1, &egress(8));
    rig.workers[0].2.room.insert(port(1), 0);
    for n in 0..20_u8 {
        rig.give(0, 0, frame(Some(u16::from(n % 8) << 13 | 7), &[n; 50]));
    }
    rig.settle();
    assert_eq!((rig.sent().len(), rig.queues[0].waiting()), (0, 20));
    assert!(rig.accounting().balances());
    rig.workers[0].2.room.insert(port(1), 15);
    for _ in 0..3 {
        rig.round(0);
    }
    let order: Vec<_> = rig.sent().iter().map(|(_, octets)| octets[20]).collect();
    assert_eq!(order, [7, 15, 6, 14, 5, 13, 4, 12, 3, 11, 19, 2, 10, 18, 0]);
    rig.links = port(0).set();
    rig.round(0);
    assert_eq!((rig.queues[0].waiting(), rig.drops(1, Reason::PortDown)), (0, 5));
    assert!(rig.accounting().balances());
}

#[test]
fn a_frame_that_no_buffer_holds_keeps_nobody_back() {
    let mut rig = Rig::new(&[trunk(), trunk()], 1).with_egress(1, &egress(8));
    rig.workers[0].2.longest = Some(1600);
    // What leaves behind it tells that it is too long, whether or not something waits.
    for waits in [false, true] {
        rig.workers[0].2.room.insert(port(1), if waits { 0 } else { 10 });
        rig.give(0, 0, frame(Some(0xe007), &[1; 3000]));
        rig.give(0, 0, frame(Some(0x0007), &[2; 100]));
        rig.settle();
        rig.workers[0].2.room.insert(port(1), 10);
        rig.round(0);
        assert_eq!((rig.sent().len(), rig.queues[0].waiting()), (1, 0), "{waits}");
    }
    assert_eq!((rig.drops(1, Reason::TxFull), rig.counts()[7].dropped_unfit), (2, 2));
    assert!(rig.accounting().balances());
}

#[test]
fn only_what_a_choosy_port_leaves_standing_is_given_up() {
    for choosy in [false, true] {
        let mut rig = Rig::new(&[trunk(), trunk()], 1).with_egress(1, &egress(8));
        rig.workers[0].2.choosy = choosy;
        rig.workers[0].2.room.insert(port(1), 0);
        for n in 0..8_u8 {
            rig.give(0, 0, frame(Some(0x0007), &[n; 1500]));
        }
        rig.settle();
        rig.now += HZ / 5;
        rig.round(0);
        rig.round(0);
        let given_up = if choosy { 8 } else { 0 };
        assert_eq!(rig.queues[0].waiting(), 8 - given_up, "choosy {choosy}");
        assert_eq!(rig.drops(1, Reason::TxFull), given_up);
        rig.workers[0].2.room.clear();
        rig.round(0);
        assert_eq!(rig.sent().len() as u64, 8 - given_up);
        assert!(rig.accounting().balances());
    }
}

#[test]
fn a_port_without_profile_empties_its_queues_and_keeps_none() {
    let mut rig = Rig::new(&[trunk(), trunk()], 1).with_egress(1, &egress(8));
    rig.workers[0].2.room.insert(port(1), 0);
    rig.give(0, 0, frame(Some(0xe007), &[0; 100]));
    rig.settle();
    let service = Service { server: WorkerId(0), straight: false, ends: true };
    let ends = EgressQos::new(&EgressSpec { service, ..egress(4) }, rig.queues[0].clone(), HZ);
    rig.snapshot = rig.snapshot.with_egress(port(1), Arc::new(ends));
    rig.give(0, 0, frame(Some(0x0007), &[1; 100]));
    rig.settle();
    assert_eq!(rig.queues[0].waiting(), 2, "what comes while something waits waits too");
    rig.workers[0].2.room.insert(port(1), 3);
    rig.round(0);
    assert_eq!(rig.queues[0].waiting(), 0, "of classes that are no more, too");
    rig.give(0, 0, frame(Some(0x0007), &[2; 100]));
    rig.give(0, 0, frame(Some(0x0007), &[3; 100]));
    rig.settle();
    assert_eq!((rig.sent().len(), rig.queues[0].waiting(), rig.drops(1, Reason::TxFull)), (3, 0, 1));
    assert!(rig.accounting().balances());
}

#[test]
fn a_port_that_lost_its_profile_takes_frames_of_every_worker() {
    let service = Service { server: WorkerId(0), straight: false, ends: true };
    let mut rig = Rig::new(&[trunk(), trunk()], 2).with_egress(1, &EgressSpec { service, ..egress(8) });
    for worker in 0..2 {
        rig.give(worker, 0, frame(Some(0x0007), &[0; 100]));
    }
    rig.settle();
    assert_eq!((rig.sent().len(), rig.drops(1, Reason::TxFull)), (2, 0));
    assert!(rig.accounting().balances());
}

#[test]
fn a_full_queue_drops_its_own_class_only() {
    let mut spec = egress(8);
    spec.class[1].queue_octets = 1000;
    let mut rig = Rig::new(&[trunk(), trunk()], 1).with_egress(1, &spec);
    rig.workers[0].2.room.insert(port(1), 0);
    for n in 0..40_u8 {
        rig.give(0, 0, frame(Some(if n % 2 == 0 { 0x0007 } else { 0xe007 }), &[n; 84]));
    }
    rig.settle();
    let counts = rig.counts();
    assert_eq!((counts[1].waiting_frames, counts[1].dropped_full, counts[1].most_octets), (10, 10, 1000));
    assert_eq!((counts[7].waiting_frames, counts[7].dropped()), (20, 0));
    assert_eq!(rig.drops(1, Reason::QueueFull), 10);
    assert!(rig.accounting().balances());
}

#[test]
fn a_shaped_port_keeps_its_rate_and_its_priorities_with_two_workers() {
    let shaper = ShaperSpec { octets_per_second: 12_500_000, burst: 10_000, unit: RateUnit::Octets };
    let service = Service { server: WorkerId(1), straight: false, ends: false };
    let spec = EgressSpec { shaper: Some(shaper), service, ..egress(8) };
    let mut rig = Rig::new(&[trunk(), trunk(), trunk()], 2).with_egress(1, &spec);
    rig.links = port(0).set().with(port(1));
    let (best_effort, urgent) = (frame(Some(0x0007), &[0; 984]), frame(Some(0xe007), &[0; 484]));
    // Twice the rate of best effort from either worker, a tenth of urgent frames, for a tenth of a second.
    let steps = 10_000_u64;
    for step in 0..steps {
        rig.now += HZ / 10 / steps;
        for worker in 0..2 {
            if step % 8 == worker as u64 {
                rig.give(worker, 0, best_effort.clone());
            }
            if step % 80 == worker as u64 {
                rig.give(worker, 0, urgent.clone());
            }
            rig.round(worker);
        }
    }
    let sent = rig.sent();
    let octets: usize = sent.iter().map(|(_, octets)| octets.len()).sum();
    assert!((1_250_000..=1_270_000).contains(&octets), "{octets}");
    let counts = rig.counts();
    assert_eq!((counts[7].sent_frames, counts[7].dropped()), (250, 0));
    // At most one frame of best effort is ahead: 80 microseconds, and the quantile's own error.
    assert!(counts[7].sojourn.p99_cycles <= 100_000, "{:?}", counts[7].sojourn);
    assert!(counts[1].dropped_full > 0 || counts[1].waiting_frames > 0);
    assert!(rig.workers[0].2.sent.is_empty(), "one worker sends for both");
    assert!(rig.accounting().balances());
}

/// A step of a random life.
#[derive(Clone, Debug)]
enum Step {
    Frame { worker: usize, flow: u8, value: u16, len: usize },
    Round { worker: usize },
    Room { frames: usize },
    Link { up: bool },
    Time { cycles: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2_usize, 0..4_u8, 0..8_u16, 30..2000_usize)
            .prop_map(|(worker, flow, value, len)| Step::Frame { worker, flow, value, len }),
        4 => (0..2_usize).prop_map(|worker| Step::Round { worker }),
        2 => (0..40_usize).prop_map(|frames| Step::Room { frames }),
        1 => prop::bool::weighted(0.9).prop_map(|up| Step::Link { up }),
        2 => (0..2_000_000_u64).prop_map(|cycles| Step::Time { cycles }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_vanishes_and_no_flow_is_reordered(
        steps in prop::collection::vec(step(), 1..300),
        shaped: bool,
        straight: bool,
        limit in 1_000..100_000_u64,
    ) {
        let shaper = ShaperSpec { octets_per_second: 10_000_000, burst: 9_300, unit: RateUnit::WireOctets };
        let mut spec = EgressSpec {
            shaper: shaped.then_some(shaper),
            service: Service { server: WorkerId(0), straight, ends: false },
            strict: vec![class(7)],
            dwrr: (0..7).map(|number| (class(number), u16::from(number) + 1)).collect(),
            ..egress(8)
        };
        spec.class.iter_mut().for_each(|class| class.queue_octets = limit);
        spec.class[3].cap = Some(ShaperSpec { octets_per_second: 1_000_000, burst: 9_300, unit: RateUnit::Octets });
        if !shaped {
            spec.class[3].cap = None;
        }
        let mut rig = Rig::new(&[trunk(), trunk()], 2).with_egress(1, &spec);
        let mut sequence = 0_u32;
        let mut offered = 0;
        for step in steps {
            match step {
                Step::Frame { worker, flow, value, len } => {
                    // A flow is of one worker, as receive queues have it.
                    let mut octets = frame(Some(value << 13 | 7), &vec![0; len]);
                    octets[11] = flow * 2 + worker as u8;
                    octets[20..24].copy_from_slice(&sequence.to_be_bytes());
                    sequence += 1;
                    offered += 1;
                    rig.give(worker, 0, octets);
                }
                Step::Round { worker } => rig.round(worker),
                Step::Room { frames } => {
                    for (_, _, wires) in &mut rig.workers {
                        wires.room.insert(port(1), frames);
                    }
                }
                Step::Link { up } => rig.links = if up { port(0).set().with(port(1)) } else { port(0).set() },
                Step::Time { cycles } => rig.now += cycles,
            }
            let accounting = rig.accounting();
            prop_assert!(accounting.balances(), "{accounting:?}");
        }
        // In the end there is room, link and time.
        rig.links = port(0).set().with(port(1));
        for (_, _, wires) in &mut rig.workers {
            wires.room.clear();
        }
        for _ in 0..200 {
            rig.now += HZ / 10;
            rig.round(0);
            rig.round(1);
        }
        let accounting = rig.accounting();
        prop_assert!(accounting.balances() && accounting.queued == 0 && accounting.rx == offered, "{accounting:?}");
        let mut last = BTreeMap::new();
        for (_, octets) in rig.sent() {
            let flow = (octets[11], octets[14] & 0xe0);
            let sequence = u32::from_be_bytes([octets[20], octets[21], octets[22], octets[23]]);
            let before = last.insert(flow, sequence);
            prop_assert!(before.is_none_or(|before| before < sequence), "flow {flow:?}: {before:?}, then {sequence}");
        }
        let counts = rig.counts();
        let sent: u64 = counts.iter().map(|counts| counts.sent_frames).sum();
        prop_assert_eq!(sent, accounting.tx, "classes count what the port counts");
    }
}

/// What two workers at once share beside a rig.
#[derive(Default)]
struct Both {
    /// Numbers what is sent.
    sequence: Arc<AtomicU64>,
    /// Workers that have brought all their frames.
    finished: AtomicU64,
}

/// What one worker does while the other does the same: frames of four flows come, ports have room now and then.
fn work(rig: &Rig, worker: u8, frames: u32, shared: &Both) -> (WorkerStats, Wires) {
    let (stats, mut outbox) = (WorkerStats::new(), Outbox::new());
    let mut wires = Wires { sequence: shared.sequence.clone(), ..Wires::default() };
    let mut round = |wires: &mut Wires, now| {
        let context = Context {
            snapshot: &rig.snapshot,
            fdb: &rig.fdb,
            links: rig.links,
            now_seconds: 1,
            now_cycles: now,
            worker: WorkerId(worker),
            stats: &stats,
        };
        walk(&mut Batch::new(), &context, &mut outbox, wires, &mut ());
    };
    for number in 0..frames {
        let mut octets = frame(Some((number as u16 % 8) << 13 | 7), &[0; 60]);
        octets[11] = (number / 8 % 4) as u8 * 2 + worker;
        octets[20..24].copy_from_slice(&number.to_be_bytes());
        wires.waiting.push_back((port(0), Marked { octets, mark: Mark::default() }));
        if number % 7 == 0 {
            wires.room.insert(port(1), if number % 21 == 0 { 0 } else { 12 });
            round(&mut wires, START + u64::from(number) * 1000);
        }
    }
    wires.room.clear();
    while !wires.waiting.is_empty() {
        round(&mut wires, START + HZ);
    }
    shared.finished.fetch_add(1, Ordering::SeqCst);
    // Who serves goes on until the other has brought its last frame, and all have left.
    let mut now = START + HZ;
    while worker == 0 && (shared.finished.load(Ordering::SeqCst) < 2 || rig.queues[0].waiting() > 0) {
        now += HZ / 1000;
        round(&mut wires, now);
        std::thread::yield_now();
    }
    (stats, wires)
}

#[test]
fn workers_at_once_lose_nothing_and_keep_every_flow_in_order() {
    const FRAMES: u32 = 20_000;
    let shaper = ShaperSpec { octets_per_second: 100_000_000, burst: 10_000, unit: RateUnit::Octets };
    for (straight, shaper) in [(true, None), (false, None), (false, Some(shaper))] {
        let service = Service { server: WorkerId(0), straight, ends: false };
        let rig =
            Rig::new(&[trunk(), trunk()], 2).with_egress(1, &EgressSpec { service, shaper, ..egress(8) });
        // What each thread uses of the rig is shared; its own workers stay unused.
        let (rig, both) = (&rig, &Both::default());
        let done: Vec<_> = std::thread::scope(|scope| {
            let threads = [0, 1].map(|worker| scope.spawn(move || work(rig, worker, FRAMES, both)));
            threads.map(|thread| thread.join().unwrap()).into_iter().collect()
        });
        let accounting = Accounting::of(done.iter().map(|(stats, _)| stats), rig.queues[0].waiting());
        assert!(accounting.balances(), "{accounting:?}");
        assert_eq!((accounting.rx, accounting.queued), (2 * u64::from(FRAMES), 0));
        let mut sent: Vec<_> = done.iter().flat_map(|(_, wires)| &wires.sent).collect();
        sent.sort();
        assert_eq!(sent.len() as u64, accounting.tx);
        let mut last = BTreeMap::new();
        for (_, _, octets) in sent {
            let number = u32::from_be_bytes([octets[20], octets[21], octets[22], octets[23]]);
            let before = last.insert((octets[11], octets[14] & 0xe0), number);
            assert!(before.is_none_or(|before| before < number), "{before:?}, then {number}");
        }
        let counted: u64 = rig.counts().iter().map(|class| class.sent_frames).sum();
        assert_eq!(counted, accounting.tx);
    }
}
