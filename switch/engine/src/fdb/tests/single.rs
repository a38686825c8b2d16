use super::*;

const AGEING: u32 = 300;

fn fdb(capacity: usize) -> Fdb {
    Fdb::new(FdbOptions { capacity, ageing_seconds: AGEING, seed: 1 })
}

fn learn_numbers(fdb: &Fdb, numbers: std::ops::Range<u64>, on: usize, now: u32) {
    for number in numbers {
        assert_eq!(learn(fdb, key(1, number), on, now), Learned::New);
    }
}

#[test]
fn learns_moves_and_forgets() {
    let fdb = fdb(1024);
    let a = key(1, 0x0200_0000_0001);
    assert_eq!(lookup(&fdb, a, 0), None);
    assert_eq!(learn(&fdb, a, 3, 10), Learned::New);
    assert_eq!(learn(&fdb, a, 3, 10), Learned::Known);
    assert_eq!(lookup(&fdb, a, 10), Some(3));
    assert_eq!(lookup(&fdb, key(2, 0x0200_0000_0001), 10), None);
    assert_eq!(learn(&fdb, a, 5, 11), Learned::Moved { from: port(3) });
    assert_eq!((fdb.len(), fdb.len_of(port(3)), fdb.len_of(port(5))), (1, 0, 1));
    assert_eq!(lookup(&fdb, a, 11 + AGEING - 1), Some(5));
    assert_eq!(lookup(&fdb, a, 11 + AGEING), None);
    assert_eq!(fdb.len(), 1);
    assert_eq!(fdb.sweep(11 + AGEING, fdb.buckets()), Swept { removed: 1, finished: true });
    assert!(fdb.is_empty());
    let counters = fdb.counters();
    assert_eq!((counters.learned, counters.moved, counters.aged), (1, 1, 1));
}

#[test]
fn stamps_neither_go_back_nor_mind_wrapping() {
    for start in [10, (1 << 22) - 1, u32::MAX - 1] {
        let fdb = fdb(1024);
        let a = key(1, 1);
        let at = |seconds: u32| start.wrapping_add(seconds);
        learn(&fdb, a, 1, at(1));
        // Another worker's clock is still in the second before.
        assert_eq!(learn(&fdb, a, 1, at(0)), Learned::Known);
        assert_eq!(lookup(&fdb, a, at(0)), Some(1));
        assert_eq!(fdb.entry(a, at(0)).unwrap().age, 0);
        assert_eq!(lookup(&fdb, a, at(AGEING)), Some(1));
        assert_eq!(lookup(&fdb, a, at(AGEING + 1)), None);
    }
}

#[test]
fn ageing_time_can_change() {
    let fdb = fdb(1024);
    let a = key(1, 1);
    learn(&fdb, a, 1, 0);
    fdb.set_ageing_seconds(10);
    assert_eq!((lookup(&fdb, a, 9), lookup(&fdb, a, 10)), (Some(1), None));
    fdb.set_ageing_seconds(20);
    assert_eq!((lookup(&fdb, a, 10), fdb.ageing_seconds()), (Some(1), 20));
}

/// Addresses as hypervisors, counters and attackers number them.
const PATTERNS: [fn(u64) -> FdbKey; 5] = [
    |n| key(1, 0x5254_0000_0000 + n),
    |n| key(1, 0x0200_0000_0000 + (n << 16)),
    |n| key(1, 0x0200_0000_0000 + (n.reverse_bits() >> 24)),
    |n| key((n % 4094 + 1) as u16, 0x0200_0000_0000 + n / 4094),
    |n| key(1, 0x0200_0000_0000 + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24)),
];

#[test]
fn holds_exactly_its_capacity() {
    for (capacity, patterns) in [(1, 1), (7, 5), (1000, 5), (1024, 5), (131_072, 5)] {
        for pattern in &PATTERNS[..patterns] {
            let fdb = fdb(capacity);
            for n in 0..capacity as u64 {
                assert_eq!(learn(&fdb, pattern(n), 1, 0), Learned::New);
            }
            let counters = fdb.counters();
            assert_eq!((counters.evicted, counters.refused_full), (0, 0));
            assert!((0..capacity as u64).all(|n| lookup(&fdb, pattern(n), 0) == Some(1)));
            check_counts(&fdb, 0);
            assert_eq!(learn(&fdb, pattern(capacity as u64), 1, 0), Learned::New);
            assert_eq!((fdb.len(), fdb.counters().evicted), (capacity, 1));
        }
    }
}

#[test]
fn no_seed_makes_addresses_in_even_steps_crowd() {
    for (pattern, seed) in PATTERNS.iter().flat_map(|pattern| (0..50).map(move |seed| (pattern, seed))) {
        let capacity = 4096;
        let fdb = Fdb::new(FdbOptions { capacity, ageing_seconds: AGEING, seed });
        for n in 0..4 * capacity as u64 {
            learn(&fdb, pattern(n), n as usize % 64, 0);
        }
        // Most addresses came to a full table; whose entry should go isn't found for one in 3,000.
        let counters = fdb.counters();
        assert!(counters.displaced < capacity as u64 / 10, "seed {seed}: {counters:?}");
        assert!(counters.refused_full < capacity as u64 / 200, "seed {seed}: {counters:?}");
    }
}

#[test]
fn the_dead_make_room_for_the_living() {
    let fdb = fdb(1024);
    learn_numbers(&fdb, 0..1024, 1, 0);
    fdb.flush_all();
    assert_eq!(fdb.len(), 1024);
    learn_numbers(&fdb, 1024..1536, 2, 0);
    assert_eq!((fdb.len(), fdb.len_of(port(2))), (1024, 512));
    assert_eq!(fdb.sweep(0, usize::MAX).removed, 512);
    learn_numbers(&fdb, 1536..2048, 3, 0);
    let counters = fdb.counters();
    assert_eq!((counters.flushed, counters.evicted), (1024, 0));
    learn_numbers(&fdb, 2048..2176, 2, AGEING);
    // The dead go first where they are met, not everywhere.
    assert!(fdb.counters().aged > 120, "{:?}", fdb.counters());
}

#[test]
fn a_flood_on_one_port_leaves_the_others_their_share() {
    let fdb = fdb(1024);
    let learn_many = |on: usize, count: u64| {
        for n in 0..count {
            assert_eq!(learn(&fdb, key(1, (on as u64) << 32 | n), on, 0), Learned::New);
        }
    };
    learn_many(1, 100);
    learn_many(2, 300);
    learn_many(3, 10 * 1024);
    assert_eq!([1, 2, 3].map(|on| fdb.len_of(port(on))), [100, 300, 624]);
    // Whoever comes later gets as much as the port with the most keeps.
    learn_many(4, 10 * 1024);
    assert_eq!([1, 2, 3, 4].map(|on| fdb.len_of(port(on))), [100, 300, 312, 312]);
    learn_many(5, 10 * 1024);
    let shares = [1, 2, 3, 4, 5].map(|on| fdb.len_of(port(on)));
    assert_eq!(shares[0], 100);
    assert!(shares[1..].iter().all(|share| (230..=232).contains(share)), "{shares:?}");
    check_counts(&fdb, 0);
}

#[test]
fn static_entries_stay() {
    let fdb = fdb(1024);
    let [a, b] = [1, 2].map(|mac| key(1, mac));
    learn(&fdb, a, 1, 0);
    assert_eq!(fdb.insert_static(a, port(2), 0), Ok(()));
    assert_eq!(fdb.insert_static(b, port(3), 0), Ok(()));
    assert_eq!(learn(&fdb, a, 2, 0), Learned::Known);
    assert_eq!(learn(&fdb, a, 1, 0), Learned::Refused(Refusal::Static));
    fdb.flush_all();
    fdb.flush_port(port(2));
    fdb.flush_vlan(Vid::DEFAULT);
    let late = 10 * AGEING;
    assert_eq!(fdb.sweep(late, usize::MAX), Swept { removed: 0, finished: true });
    assert_eq!((lookup(&fdb, a, late), lookup(&fdb, b, late)), (Some(2), Some(3)));
    assert_eq!(fdb.entry(a, late), Some(FdbEntry { key: a, port: port(2), is_static: true, age: 0 }));
    assert_eq!(fdb.insert_static(a, port(4), late), Ok(()));
    assert_eq!((lookup(&fdb, a, late), fdb.len_of(port(2)), fdb.len_of(port(4))), (Some(4), 0, 1));
    assert_eq!(fdb.len_static(), 2);
    assert!(fdb.remove(a) && !fdb.remove(a));
    assert_eq!((lookup(&fdb, a, late), fdb.len(), fdb.counters().refused_static), (None, 1, 1));
}

#[test]
fn static_entries_take_dynamic_ones_place_but_not_each_others() {
    let fdb = fdb(64);
    learn_numbers(&fdb, 0..64, 1, 0);
    for n in 100..164 {
        assert_eq!(fdb.insert_static(key(1, n), port(2), 0), Ok(()));
    }
    assert_eq!((fdb.len(), fdb.len_of(port(1)), fdb.len_of(port(2))), (64, 0, 64));
    assert_eq!(fdb.insert_static(key(1, 200), port(2), 0), Err(FdbFull));
    assert_eq!(learn(&fdb, key(1, 200), 1, 0), Learned::Refused(Refusal::Full));
    assert_eq!((fdb.len(), fdb.counters().refused_full), (64, 1));
}

#[test]
fn flushes_never_wrap_around() {
    let fdb = fdb(1024);
    let [alive, dead] = [1, 2].map(|mac| key(1, mac));
    learn(&fdb, alive, 1, 0);
    learn(&fdb, dead, 2, 0);
    fdb.flush_port(port(2));
    for _ in 0..1 << 17 {
        fdb.flush_port(port(3));
        assert_eq!((lookup(&fdb, alive, 0), lookup(&fdb, dead, 0)), (Some(1), None));
    }
}

#[test]
fn sweeps_cost_in_proportion_and_reach_everything() {
    let fdb = fdb(1024);
    learn_numbers(&fdb, 0..1000, 1, 0);
    let steps = fdb.buckets() / 64;
    let swept: Vec<_> = (0..steps).map(|_| fdb.sweep(AGEING, 64)).collect();
    assert!(swept[..steps - 1].iter().all(|step| !step.finished && step.removed <= 256));
    assert!(swept[steps - 1].finished && fdb.is_empty());
}

#[test]
#[should_panic(expected = "FDB capacity")]
fn refuses_a_table_without_room() {
    fdb(0);
}
