//! The table held against a map that does the obvious.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const AGEING: u32 = 20;
const ADDRESSES: u64 = 16;
const VLANS: u16 = 2;
const PORTS: usize = 4;

#[derive(Clone, Copy)]
struct Known {
    port: usize,
    fixed: bool,
    seen: u64,
}

/// What an FDB is, without a limit and without workers.
#[derive(Default)]
struct Naive {
    entries: HashMap<FdbKey, Known>,
    now: u64,
}

impl Naive {
    fn get(&self, key: FdbKey) -> Option<Known> {
        let known = self.entries.get(&key).copied();
        known.filter(|known| known.fixed || self.now - known.seen < u64::from(AGEING))
    }

    fn learn(&mut self, key: FdbKey, port: usize) -> Learned {
        let before = self.get(key);
        if let Some(Known { port: on, fixed: true, .. }) = before {
            return if on == port { Learned::Known } else { Learned::Refused(Refusal::Static) };
        }
        self.entries.insert(key, Known { port, fixed: false, seen: self.now });
        match before {
            None => Learned::New,
            Some(Known { port: on, .. }) if on == port => Learned::Known,
            Some(Known { port: on, .. }) => Learned::Moved { from: super::port(on) },
        }
    }

    fn flush(&mut self, ended: impl Fn(FdbKey, usize) -> bool) {
        self.entries.retain(|&key, known| known.fixed || !ended(key, known.port));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Learn(FdbKey, usize),
    Wait(u32),
    Fix(FdbKey, usize),
    Remove(FdbKey),
    FlushPort(usize),
    FlushVlan(u16),
    FlushAll,
    Sweep(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || (1..=VLANS, 0..ADDRESSES).prop_map(|(vid, mac)| key(vid, mac));
    let step = prop_oneof![
        20 => (key(), 0..PORTS).prop_map(|(key, port)| Step::Learn(key, port)),
        6 => (0..AGEING).prop_map(Step::Wait),
        2 => (key(), 0..PORTS).prop_map(|(key, port)| Step::Fix(key, port)),
        2 => key().prop_map(Step::Remove),
        1 => (0..PORTS).prop_map(Step::FlushPort),
        1 => (1..=VLANS).prop_map(Step::FlushVlan),
        1 => Just(Step::FlushAll),
        4 => (1..20usize).prop_map(Step::Sweep),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn does_what_a_map_would(steps in steps(), start: u32, seed: u64) {
        // Half full at most: nothing is ever evicted.
        let buckets = usize::from(VLANS) * ADDRESSES as usize / 2;
        let capacity = buckets * 2;
        let fdb = Fdb::with_buckets(FdbOptions { capacity, ageing_seconds: AGEING, seed }, buckets);
        let mut naive = Naive::default();
        for step in steps {
            let now = start.wrapping_add(naive.now as u32);
            match step {
                Step::Learn(key, on) => prop_assert_eq!(learn(&fdb, key, on, now), naive.learn(key, on)),
                Step::Wait(seconds) => naive.now += u64::from(seconds),
                Step::Fix(key, on) => {
                    prop_assert_eq!(fdb.insert_static(key, port(on), now), Ok(()));
                    naive.entries.insert(key, Known { port: on, fixed: true, seen: 0 });
                }
                Step::Remove(key) => {
                    let removed = fdb.remove(key);
                    prop_assert!(removed || naive.get(key).is_none());
                    naive.entries.remove(&key);
                }
                Step::FlushPort(on) => {
                    fdb.flush_port(port(on));
                    naive.flush(|_, port| port == on);
                }
                Step::FlushVlan(vid) => {
                    let vid = Vid::new(vid).unwrap();
                    fdb.flush_vlan(vid);
                    naive.flush(|key, _| key.vid() == vid);
                }
                Step::FlushAll => {
                    fdb.flush_all();
                    naive.flush(|_, _| true);
                }
                Step::Sweep(buckets) => {
                    fdb.sweep(now, buckets);
                }
            }
            let now = start.wrapping_add(naive.now as u32);
            for (vid, mac) in (1..=VLANS).flat_map(|vid| (0..ADDRESSES).map(move |mac| (vid, mac))) {
                let key = key(vid, mac);
                let known = naive.get(key);
                prop_assert_eq!(lookup(&fdb, key, now), known.map(|known| known.port));
                let described = known.map(|known| FdbEntry {
                    key,
                    port: port(known.port),
                    is_static: known.fixed,
                    age: if known.fixed { 0 } else { (naive.now - known.seen) as u32 },
                });
                prop_assert_eq!(fdb.entry(key, now), described);
            }
        }
        let now = start.wrapping_add(naive.now as u32);
        while !fdb.sweep(now, 3).finished {}
        while !fdb.sweep(now, 3).finished {}
        check_counts(&fdb, now);
    }
}
