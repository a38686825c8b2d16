//! What the control plane does. It may wait for a worker to let go of a stripe; no worker waits for it.

use super::flush::{FLUSHES_PER_SWEEP, Scope};
use super::table::{Claim, Slot};
use super::{Fdb, FdbCounters, FdbKey, MAX_AGEING_SECONDS, Value};
use pollux_net::{PortId, Vid};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// An entry as it was when it was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FdbEntry {
    /// VLAN and address.
    pub key: FdbKey,
    /// Where it is.
    pub port: PortId,
    /// Whether it was configured, not learned.
    pub is_static: bool,
    /// Seconds since it was last seen; 0 for static entries.
    pub age: u32,
}

/// No room could be made for a static entry: all the others are static too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FdbFull;

impl std::fmt::Display for FdbFull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the FDB has no room for another static entry")
    }
}

impl std::error::Error for FdbFull {}

/// What a call of [`Fdb::sweep`] did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Swept {
    /// Dead entries removed.
    pub removed: usize,
    /// Whether the call reached the end of the table; the next one starts from its beginning.
    pub finished: bool,
}

/// How far the sweep has come.
#[derive(Default)]
pub(super) struct Sweeper {
    next: usize,
    /// The latest flush when the present pass began, and when the last full one did.
    began_at: u64,
    swept_at: u64,
}

impl Fdb {
    /// Adds an entry that stays, whatever is seen on whichever port, until it is removed. Replaces the
    /// key's entry if it has one. Evicts a dynamic entry if the table is full.
    ///
    /// # Errors
    ///
    /// If no entry may be evicted.
    pub fn insert_static(&self, key: FdbKey, port: PortId, now: u32) -> Result<(), FdbFull> {
        let probe = self.probe(key);
        let value = Value::fixed(probe.tag(), port);
        let held = self.stripes.lock(&probe);
        if let Some(slot) = self.slot_of(key) {
            loop {
                let old = slot.value();
                if slot.replace(old, value) {
                    self.population.account(old, value);
                    return Ok(());
                }
            }
        }
        let added = self.add(&probe, value, now, &held);
        added.then_some(()).ok_or(FdbFull)
    }

    /// Removes the key's entry, static or dynamic. Returns whether there was one, dead or alive.
    pub fn remove(&self, key: FdbKey) -> bool {
        let probe = self.probe(key);
        let _held = self.stripes.lock(&probe);
        let Some(slot) = self.slot_of(key) else {
            return false;
        };
        loop {
            let value = slot.value();
            if let Some(claim) = slot.vacate(value) {
                self.population.release();
                self.population.account(value, Value::NONE);
                claim.release();
                return true;
            }
        }
    }

    /// Where the key is. Stays so while its stripe is held.
    fn slot_of(&self, key: FdbKey) -> Option<Slot<'_>> {
        let buckets = self.table.both(&self.probe(key)).into_iter();
        buckets.filter_map(|bucket| bucket.find(key)).next()
    }

    /// Ends all dynamic entries. They are gone for lookups of moments after this; sweeps remove them.
    pub fn flush_all(&self) {
        self.flush(Scope::Everything);
    }

    /// Ends the dynamic entries of `port`, as [`flush_all`](Self::flush_all) does.
    pub fn flush_port(&self, port: PortId) {
        self.flush(Scope::Port(port));
    }

    /// Ends the dynamic entries of `vid`, as [`flush_all`](Self::flush_all) does.
    pub fn flush_vlan(&self, vid: Vid) {
        self.flush(Scope::Vlan(vid));
    }

    fn flush(&self, scope: Scope) {
        let mut sweeper = self.sweeper.0.lock().unwrap_or_else(PoisonError::into_inner);
        if self.flushes.latest() - sweeper.swept_at >= FLUSHES_PER_SWEEP {
            let began_at = self.flushes.latest();
            for number in 0..self.table.len() {
                self.sweep_bucket(number, None);
            }
            sweeper.swept_at = began_at;
        }
        self.flushes.flush(scope);
    }

    /// Removes the dead entries of the next `buckets` buckets. Called now and then with a part of
    /// [`buckets`](Self::buckets), it costs workers next to nothing.
    pub fn sweep(&self, now: u32, buckets: usize) -> Swept {
        let mut sweeper = self.sweeper.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sweeper.next == 0 {
            sweeper.began_at = self.flushes.latest();
        }
        let end = self.table.len().min(sweeper.next.saturating_add(buckets));
        let removed = (sweeper.next..end).map(|number| self.sweep_bucket(number, Some(now))).sum();
        let finished = end == self.table.len();
        if finished {
            sweeper.swept_at = sweeper.began_at;
        }
        sweeper.next = if finished { 0 } else { end };
        Swept { removed, finished }
    }

    /// Removes what is dead, without a clock only what was flushed, and gives survivors the latest
    /// epoch.
    fn sweep_bucket(&self, number: usize, now: Option<u32>) -> usize {
        let bucket = self.table.bucket(number as u64);
        bucket.slots().filter(|&slot| self.sweep_slot(slot, now)).count()
    }

    fn sweep_slot(&self, slot: Slot<'_>, now: Option<u32>) -> bool {
        loop {
            let Some((key, value)) = slot.entry() else {
                return false;
            };
            let epoch = self.flushes.epoch();
            let spared = value.is_static() || self.flushes.spare(key, value);
            let young = value.is_static() || now.is_none_or(|now| value.age(now) < self.ageing());
            if spared && young {
                let current = value.is_static() || value.epoch() == epoch;
                if current || slot.replace(value, value.with_epoch(epoch)) {
                    return false;
                }
            } else {
                let probe = self.probe(key);
                let _held = self.stripes.lock(&probe);
                let ended = self.end_held(slot, &probe, value, now.unwrap_or_default());
                if ended.map(Claim::release).is_some() {
                    self.population.release();
                    return true;
                }
            }
            // Another thread changed it meanwhile.
        }
    }

    /// Sets the ageing time, of entries already learned too.
    ///
    /// # Panics
    ///
    /// If it isn't within 1 to [`MAX_AGEING_SECONDS`].
    pub fn set_ageing_seconds(&self, seconds: u32) {
        assert!((1..=MAX_AGEING_SECONDS).contains(&seconds), "FDB ageing time");
        self.ageing_seconds.store(seconds, Ordering::Relaxed);
    }

    /// The ageing time in seconds.
    pub fn ageing_seconds(&self) -> u32 {
        self.ageing_seconds.load(Ordering::Relaxed)
    }

    /// The entries that are alive at `now`, in no order, one bucket after the other while workers go
    /// on: what comes or goes meanwhile may or may not be among them, and what is displaced may be twice.
    pub fn entries(&self, now: u32) -> impl Iterator<Item = FdbEntry> + '_ {
        (0..self.table.len() as u64).flat_map(move |number| self.bucket_entries(number, now))
    }

    /// The entries of one of the [`buckets`](Self::buckets) that are alive at `now`, as
    /// [`entries`](Self::entries) has them.
    pub fn bucket_entries(&self, number: u64, now: u32) -> impl Iterator<Item = FdbEntry> + '_ {
        let entries = self.table.bucket(number).slots().filter_map(Slot::entry);
        entries
            .filter(move |&(key, value)| self.is_live(key, value, now))
            .map(move |(key, value)| Self::described(key, value, now))
    }

    /// The entry of one key, if it is alive at `now`.
    pub fn entry(&self, key: FdbKey, now: u32) -> Option<FdbEntry> {
        let (key, value) = self.slot_of(key)?.entry()?;
        let live = self.is_live(key, value, now);
        live.then(|| Self::described(key, value, now))
    }

    fn described(key: FdbKey, value: Value, now: u32) -> FdbEntry {
        let is_static = value.is_static();
        FdbEntry {
            key,
            port: value.port(),
            is_static,
            age: if is_static { 0 } else { value.age(now).max(0) as u32 },
        }
    }

    /// Entries there are, static and dynamic, those included that have died and aren't swept yet.
    pub fn len(&self) -> usize {
        self.population.len()
    }

    /// Whether there is no entry, not even a dead one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries of `port`, counted as [`len`](Self::len) does.
    pub fn len_of(&self, port: PortId) -> usize {
        self.population.len_of(port)
    }

    /// Static entries.
    pub fn len_static(&self) -> usize {
        self.population.len_static()
    }

    /// Entries there may be.
    pub fn capacity(&self) -> usize {
        self.population.capacity()
    }

    /// Buckets there are for [`sweep`](Self::sweep) to see.
    pub fn buckets(&self) -> usize {
        self.table.len()
    }

    /// What has happened so far.
    pub fn counters(&self) -> FdbCounters {
        self.stripes.totals()
    }
}
