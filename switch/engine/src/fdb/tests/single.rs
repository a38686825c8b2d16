use super::*;

const AGEING: u32 = 300;

fn fdb(capacity: usize) -> Fdb {
    Fdb::new(FdbOptions { capacity, ageing_seconds: AGEING, seed: 1 })
}

fn learn(fdb: &Fdb, key: FdbKey, on: usize, now: u32) -> Learned {
    fdb.learn(&fdb.probe(key), port(on), now)
}

fn lookup(fdb: &Fdb, key: FdbKey, now: u32) -> Option<usize> {
    fdb.lookup(&fdb.probe(key), now).map(PortId::index)
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
