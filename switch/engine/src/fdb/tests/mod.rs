#[cfg(loom)]
mod loom;
#[cfg(not(loom))]
mod oracle;
#[cfg(not(loom))]
mod single;
#[cfg(not(loom))]
mod threads;

use super::*;
use pollux_net::{Mac, PortId, Vid};

fn key(vid: u16, mac: u64) -> FdbKey {
    FdbKey::new(Vid::new(vid).unwrap(), Mac::from_u64(mac))
}

fn port(number: usize) -> PortId {
    PortId::new(number).unwrap()
}

fn learn(fdb: &Fdb, key: FdbKey, on: usize, now: u32) -> Learned {
    fdb.at(now).learn(&fdb.probe(key), port(on))
}

fn lookup(fdb: &Fdb, key: FdbKey, now: u32) -> Option<usize> {
    fdb.at(now).lookup(&fdb.probe(key)).map(PortId::index)
}

/// What must hold while nobody is at work, and nothing dead is left: no key twice, and all counts as the
/// entries are.
fn check_counts(fdb: &Fdb, now: u32) {
    let mut entries: Vec<_> = fdb.entries(now).collect();
    entries.sort_by_key(|entry| entry.key);
    assert!(entries.windows(2).all(|pair| pair[0].key != pair[1].key), "a key twice");
    assert_eq!(fdb.len(), entries.len());
    assert!(fdb.len() <= fdb.capacity());
    for port in PortId::all() {
        let of_port = entries.iter().filter(|entry| entry.port == port);
        assert_eq!(fdb.len_of(port), of_port.count());
    }
}
