//! The addresses that the switch knows, for people and programs.

use std::collections::BTreeMap;

use pollux_engine::fdb::FdbEntry;
use pollux_net::{Mac, PortSet, Vid};

use super::Switch;

/// An address that the FDB has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAddress {
    /// The name of the port that it is behind.
    pub port: String,
    /// The rest.
    pub entry: FdbEntry,
}

/// Which addresses are wanted: all that fit everything that is given.
#[derive(Clone, Debug, Default)]
pub struct AddressFilter {
    /// In this VLAN.
    pub vid: Option<Vid>,
    /// Behind the port of this name.
    pub port: Option<String>,
    /// This one.
    pub mac: Option<Mac>,
}

/// An [`AddressFilter`] with the port's number.
struct Wanted {
    vid: Option<Vid>,
    ports: PortSet,
    mac: Option<Mac>,
}

impl Wanted {
    fn admits(&self, entry: &FdbEntry) -> bool {
        self.vid.is_none_or(|vid| entry.key.vid() == vid)
            && self.mac.is_none_or(|mac| entry.key.mac() == mac)
            && self.ports.contains(entry.port)
    }
}

impl Switch {
    /// The addresses alive now, by VLAN and address.
    pub fn addresses(&self) -> Vec<KnownAddress> {
        let entries = self.shared.fdb.entries(self.shared.now_seconds());
        let mut addresses: Vec<_> = entries.filter_map(|entry| self.known(entry)).collect();
        addresses.sort_unstable_by_key(|known| (known.entry.key.vid(), known.entry.key.mac()));
        addresses
    }

    /// Some `limit` of those that `filter` admits, in no order, and where to go on; `None`: there are no more.
    /// Looks at a bounded part of the table, so that there may be few or none although there are more.
    pub fn addresses_after(
        &self,
        after: u64,
        limit: usize,
        filter: &AddressFilter,
    ) -> (Vec<KnownAddress>, Option<u64>) {
        let fdb = &self.shared.fdb;
        let now = self.shared.now_seconds();
        let (mut found, mut bucket) = (Vec::new(), after);
        let wanted = Wanted { vid: filter.vid, ports: self.numbers_of_ports(&filter.port), mac: filter.mac };
        let end = (fdb.buckets() as u64).min(after.saturating_add(BUCKETS_AT_ONCE));
        while bucket < end && found.len() < limit {
            let entries = fdb.bucket_entries(bucket, now).filter(|entry| wanted.admits(entry));
            found.extend(entries.filter_map(|entry| self.known(entry)));
            bucket += 1;
        }
        (found, (bucket < fdb.buckets() as u64).then_some(bucket))
    }

    /// How many addresses are behind each port, those that have died lately included.
    pub fn addresses_by_port(&self) -> BTreeMap<String, usize> {
        let entries = |live: &super::LivePort| (live.name.clone(), self.shared.fdb.len_of(live.id));
        self.ports.iter().map(entries).collect()
    }

    /// Forgets what was learned: in a VLAN, behind a port, both, or all. Static entries stay. Returns how many
    /// there were.
    pub fn flush_addresses(&self, vid: Option<Vid>, port: Option<String>) -> usize {
        let fdb = &self.shared.fdb;
        let ports = self.numbers_of_ports(&port);
        let wanted = Wanted { vid, ports, mac: None };
        let entries = fdb.entries(self.shared.now_seconds());
        let learned = entries.filter(|entry| !entry.is_static && wanted.admits(entry));
        // There is no flush for a VLAN of a port: one by one.
        if vid.is_some() && port.is_some() {
            return learned.filter(|entry| fdb.remove(entry.key)).count();
        }
        let count = learned.count();
        match (vid, port) {
            (Some(vid), _) => fdb.flush_vlan(vid),
            (None, Some(_)) => ports.iter().for_each(|port| fdb.flush_port(port)),
            (None, None) => fdb.flush_all(),
        }
        count
    }

    /// The number of the port of this name, or those of all.
    fn numbers_of_ports(&self, name: &Option<String>) -> PortSet {
        let wanted = self.ports.iter().filter(|live| name.as_ref().is_none_or(|name| live.name == *name));
        wanted.map(|live| live.id).collect()
    }

    fn known(&self, entry: FdbEntry) -> Option<KnownAddress> {
        let port = self.ports.iter().find(|port| port.id == entry.port)?;
        Some(KnownAddress { port: port.name.clone(), entry })
    }
}

/// Buckets that one call looks at, so that none takes longer than a fraction of a millisecond.
const BUCKETS_AT_ONCE: u64 = 16 << 10;
