//! The addresses that the switch knows, for people and programs.

use std::collections::BTreeMap;

use pollux_engine::fdb::FdbEntry;
use pollux_net::{Mac, Vid};

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

impl AddressFilter {
    fn admits(&self, entry: &FdbEntry, port: &str) -> bool {
        self.vid.is_none_or(|vid| entry.key.vid() == vid)
            && self.mac.is_none_or(|mac| entry.key.mac() == mac)
            && self.port.as_ref().is_none_or(|wanted| wanted == port)
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
        let end = (fdb.buckets() as u64).min(after.saturating_add(BUCKETS_AT_ONCE));
        while bucket < end && found.len() < limit {
            let entries = fdb.bucket_entries(bucket, now).filter_map(|entry| self.known(entry));
            found.extend(entries.filter(|known| filter.admits(&known.entry, &known.port)));
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
        let id =
            port.as_ref().and_then(|name| self.ports.iter().find(|live| live.name == *name)).map(|l| l.id);
        let filter = AddressFilter { vid, port, mac: None };
        let entries = fdb.entries(self.shared.now_seconds()).filter(|entry| !entry.is_static);
        let learned = entries.filter_map(|entry| self.known(entry));
        let learned: Vec<_> = learned.filter(|known| filter.admits(&known.entry, &known.port)).collect();
        match (vid, id) {
            (None, None) => fdb.flush_all(),
            (Some(vid), None) => fdb.flush_vlan(vid),
            (None, Some(port)) => fdb.flush_port(port),
            // There is no flush for both: one by one.
            (Some(_), Some(_)) => {
                for known in &learned {
                    fdb.remove(known.entry.key);
                }
            }
        }
        learned.len()
    }

    fn known(&self, entry: FdbEntry) -> Option<KnownAddress> {
        let port = self.ports.iter().find(|port| port.id == entry.port)?;
        Some(KnownAddress { port: port.name.clone(), entry })
    }
}

/// Buckets that one call looks at, so that none takes longer than a fraction of a millisecond.
const BUCKETS_AT_ONCE: u64 = 16 << 10;
