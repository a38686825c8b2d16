//! Making room: the count for an entry to be added, and a slot.

use super::key::FdbKey;
use super::stripe::{Event, Held};
use super::sync::Ordering;
use super::table::{Bucket, Claim, Slot};
use super::{Fdb, Probe, Value};
use pollux_net::{MAX_PORTS, PortId};
use std::cmp::Reverse;

/// Buckets to look for an entry to evict in, beyond the address's own two. The port with the most has
/// at least one in `MAX_PORTS` of the dynamic entries; a full table's bucket holds two entries; so in
/// this many it is missed once in 3,000 times, and then one frame's address isn't learned.
const EVICTION_BUCKETS: u64 = if cfg!(loom) { 0 } else { 4 * MAX_PORTS as u64 };

impl Fdb {
    /// Adds an entry for a key that has none. `held` is the key's stripe. Returns whether it is there.
    pub(super) fn add(&self, probe: &Probe, value: Value, now: u32, held: &Held<'_>) -> bool {
        if !self.reserve(probe, value.port(), now, held) {
            return false;
        }
        let Some(claim) = self.claim(probe, value, now, held) else {
            self.population.release();
            return false;
        };
        claim.publish(probe.key, value);
        self.population.account(Value::NONE, value);
        true
    }

    /// Counts one entry more; if the table is full, another ends and hands its place over.
    fn reserve(&self, probe: &Probe, port: PortId, now: u32, held: &Held<'_>) -> bool {
        self.population.reserve() || self.evict(probe, port, now, held)
    }

    /// Ends one entry, in the key's own buckets or in some others, but still counts it. Returns whether
    /// one was found.
    fn evict(&self, probe: &Probe, port: PortId, now: u32, held: &Held<'_>) -> bool {
        let fullest = self.population.fullest(port);
        let [primary, secondary] = self.table.both(probe);
        self.evict_from(primary.slots().chain(secondary.slots()), fullest, now, held)
            .or_else(|| self.evict_anywhere(probe, fullest, now, held))
            .map(Claim::release)
            .is_some()
    }

    /// Ends a dead entry or one of `port`, in buckets that have nothing to do with each other: were they
    /// neighbours, each search would lengthen the gap between the port's entries that it began in.
    fn evict_anywhere(&self, probe: &Probe, port: PortId, now: u32, held: &Held<'_>) -> Option<Claim<'_>> {
        const AHEAD: u64 = 4;
        let walk = probe.walk(now);
        (0..EVICTION_BUCKETS).find_map(|step| {
            self.table.bucket(walk(step + AHEAD)).prefetch();
            self.evict_from(self.table.bucket(walk(step)).slots(), port, now, held)
        })
    }

    /// A slot in one of the key's buckets: an empty one, one whose entry can live in its other bucket,
    /// or that of an entry that may go.
    fn claim(&self, probe: &Probe, value: Value, now: u32, held: &Held<'_>) -> Option<Claim<'_>> {
        let [primary, secondary] = self.table.both(probe);
        primary
            .claim(probe)
            .or_else(|| secondary.claim(probe))
            .or_else(|| self.displace_from_either([primary, secondary], held))
            .or_else(|| self.evict_for(value, [primary, secondary], now, held))
    }

    /// Moves one entry out of the buckets, or failing that, one out of another's way first. That fails
    /// too less than once in a million full tables.
    fn displace_from_either<'a>(&'a self, buckets: [Bucket<'a>; 2], held: &Held<'_>) -> Option<Claim<'a>> {
        let from_either =
            |others| buckets.into_iter().find_map(|bucket| self.displace_from(bucket, others, held));
        from_either(0).or_else(|| from_either(1))
    }

    /// Moves one of the bucket's entries to its other bucket, and gives its slot. Where there is no room,
    /// up to `others` entries more are moved to make it.
    fn displace_from<'a>(&'a self, bucket: Bucket<'a>, others: usize, held: &Held<'_>) -> Option<Claim<'a>> {
        bucket.slots().find_map(|slot| {
            let (key, _) = slot.entry()?;
            let probe = self.table.probe(key);
            let [primary, secondary] = self.table.both(&probe);
            let other = if primary == bucket { secondary } else { primary };
            let hopeless = others == 0 && !other.has_room();
            if hopeless || other == bucket {
                return None;
            }
            let _held = self.stripes.try_lock_beside(&probe, held)?;
            if !slot.holds(key) {
                return None;
            }
            let copy = other.claim(&probe).or_else(|| {
                let others = others.checked_sub(1)?;
                self.displace_from(other, others, held)
            })?;
            self.stripes.count(&probe, Event::Displaced);
            Some(self.displace(key, slot, copy))
        })
    }

    /// Moves the entry of `key`, whose stripe is held, and gives the slot that it was in.
    fn displace<'a>(&self, key: FdbKey, from: Slot<'a>, to: Claim<'_>) -> Claim<'a> {
        let mut value = from.value();
        let copy = to.publish(key, value);
        self.population.account(Value::NONE, value);
        self.displacements.0.fetch_add(1, Ordering::AcqRel);
        loop {
            if let Some(claim) = from.vacate(value) {
                self.population.account(value, Value::NONE);
                return claim;
            }
            // Refreshed or moved since it was copied: at most once a second, or a frame.
            let newer = from.value();
            if copy.replace(value, newer) {
                self.population.account(value, newer);
            }
            value = newer;
        }
    }

    /// Makes room in the only two buckets that will do, at the cost of whichever port with an entry
    /// there has the most; not if that is fewer than the newcomer's, unless this is a static entry.
    fn evict_for<'a>(
        &self,
        newcomer: Value,
        buckets: [Bucket<'a>; 2],
        now: u32,
        held: &Held<'_>,
    ) -> Option<Claim<'a>> {
        let [primary, secondary] = buckets;
        let slots = primary.slots().chain(secondary.slots());
        let ports = slots
            .clone()
            .filter_map(Slot::entry)
            .filter(|(_, value)| !value.is_static())
            .map(|(_, value)| value.port());
        let fullest = ports.max_by_key(|&port| self.population.dynamic_of(port))?;
        let own = self.population.dynamic_of(newcomer.port());
        let fair = newcomer.is_static() || self.population.dynamic_of(fullest) >= own;
        if !fair {
            return None;
        }
        let ended = self.evict_from(slots, fullest, now, held);
        ended.inspect(|_| self.population.release())
    }

    /// Ends a dead entry, or else the one of `port` that wasn't seen for longest, and gives its slot.
    fn evict_from<'a>(
        &self,
        slots: impl Iterator<Item = Slot<'a>>,
        port: PortId,
        now: u32,
        held: &Held<'_>,
    ) -> Option<Claim<'a>> {
        let candidates = slots.filter_map(|slot| {
            let (key, value) = slot.entry()?;
            let live = self.is_live(key, value, now);
            let may_go = !live || !value.is_static() && value.port() == port;
            may_go.then_some((slot, key, value, live))
        });
        let (slot, key, value, _) =
            candidates.min_by_key(|&(_, _, value, live)| (live, Reverse(value.age(now))))?;
        self.end(slot, key, value, now, held)
    }

    fn end<'a>(
        &self,
        slot: Slot<'a>,
        key: FdbKey,
        value: Value,
        now: u32,
        held: &Held<'_>,
    ) -> Option<Claim<'a>> {
        let probe = self.table.probe(key);
        let _held = self.stripes.try_lock_beside(&probe, held)?;
        self.end_held(slot, &probe, value, now)
    }

    /// Ends the entry of a key whose stripe is held, unless it isn't there any more or was changed
    /// since `value` was read. Who calls this counts one entry less, or puts another in its place.
    pub(super) fn end_held<'a>(
        &self,
        slot: Slot<'a>,
        probe: &Probe,
        value: Value,
        now: u32,
    ) -> Option<Claim<'a>> {
        let claim = slot.holds(probe.key).then(|| slot.vacate(value))??;
        self.population.account(value, Value::NONE);
        if let Some(event) = self.cause_of_death(probe.key, value, now) {
            self.stripes.count(probe, event);
        }
        Some(claim)
    }

    fn cause_of_death(&self, key: FdbKey, value: Value, now: u32) -> Option<Event> {
        if value.is_static() {
            None
        } else if !self.flushes.spare(key, value) {
            Some(Event::Flushed)
        } else if value.age(now) >= self.ageing() {
            Some(Event::Aged)
        } else {
            Some(Event::Evicted)
        }
    }
}
