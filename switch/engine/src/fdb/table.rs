use super::key::{FdbKey, Hasher, MAX_BUCKETS, Probe};
use super::sync::{AtomicU64, Ordering};
use super::value::Value;

/// Entries that share a cache line and are looked at together. loom has enough with two.
pub(super) const SLOTS: usize = if cfg!(loom) { 2 } else { 4 };

/// A slot's key word while nobody owns it, and while one thread fills it.
const EMPTY: u64 = 0;
const CLAIMED: u64 = u64::MAX;

const _: () = assert!(EMPTY >> 48 == 0 && CLAIMED >> 48 == 0xffff, "neither has a VID that a key can have");

/// The slots' keys, then their values.
type Words = [AtomicU64; 2 * SLOTS];

const _: () = assert!(cfg!(loom) || size_of::<Words>() == 64, "a bucket is a cache line");

#[cfg(not(loom))]
type Storage = pollux_cpu::ZeroedTable<Words>;
#[cfg(not(loom))]
type View<'a> = pollux_cpu::TableView<'a, Words>;
#[cfg(loom)]
type Storage = LoomTable;
#[cfg(loom)]
type View<'a> = &'a LoomTable;

/// loom's atomics aren't made of zeros.
#[cfg(loom)]
struct LoomTable(Vec<Words>);

#[cfg(loom)]
impl LoomTable {
    fn new(buckets: usize) -> Self {
        Self((0..buckets).map(|_| std::array::from_fn(|_| AtomicU64::new(0))).collect())
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn at(&self, number: u64) -> &Words {
        &self.0[number as usize % self.0.len()]
    }

    fn view(&self) -> &Self {
        self
    }
}

/// The buckets and the choice of two of them for every key.
pub(super) struct Table {
    hasher: Hasher,
    buckets: Storage,
}

impl Table {
    /// # Panics
    ///
    /// If `buckets` is no power of two or more than [`MAX_BUCKETS`].
    pub(super) fn new(buckets: usize, seed: u64) -> Self {
        assert!(buckets.is_power_of_two() && buckets <= MAX_BUCKETS);
        Self { hasher: Hasher::new(seed), buckets: Storage::new(buckets) }
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    #[inline(always)]
    pub(super) fn probe(&self, key: FdbKey) -> Probe {
        self.hasher.probe(key)
    }

    pub(super) fn primary(&self, probe: &Probe) -> Bucket<'_> {
        self.bucket(probe.primary())
    }

    /// Every key's primary bucket.
    #[inline(always)]
    pub(super) fn primaries(&self) -> Primaries<'_> {
        Primaries(self.buckets.view())
    }

    pub(super) fn secondary(&self, probe: &Probe) -> Bucket<'_> {
        self.bucket(probe.secondary())
    }

    /// Primary first.
    pub(super) fn both(&self, probe: &Probe) -> [Bucket<'_>; 2] {
        [self.primary(probe), self.secondary(probe)]
    }

    /// The bucket of this number, modulo their number.
    pub(super) fn bucket(&self, number: u64) -> Bucket<'_> {
        Bucket(self.buckets.at(number))
    }
}

/// Where most keys are, to look for many in.
#[derive(Clone, Copy)]
pub(super) struct Primaries<'a>(View<'a>);

impl<'a> Primaries<'a> {
    #[inline(always)]
    pub(super) fn of(self, probe: &Probe) -> Bucket<'a> {
        Bucket(self.0.at(probe.primary()))
    }
}

/// One line of the table.
#[derive(Clone, Copy)]
pub(super) struct Bucket<'a>(&'a Words);

impl PartialEq for Bucket<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl<'a> Bucket<'a> {
    #[inline(always)]
    pub(super) fn prefetch(self) {
        pollux_cpu::prefetch(self.0);
    }

    #[inline(always)]
    pub(super) fn slot(self, number: usize) -> Slot<'a> {
        Slot { key: &self.0[number % SLOTS], value: &self.0[SLOTS + number % SLOTS] }
    }

    pub(super) fn slots(self) -> impl Iterator<Item = Slot<'a>> + Clone {
        (0..SLOTS).map(move |number| self.slot(number))
    }

    /// The slot of the probe's key in its primary bucket. The slot that it would rather have is tried
    /// first: in a table that isn't near full that branch is seldom wrong.
    #[inline(always)]
    pub(super) fn find_primary(self, probe: &Probe) -> Option<Slot<'a>> {
        let first = self.slot(probe.slot());
        if first.holds(probe.key) { Some(first) } else { self.find(probe.key) }
    }

    /// The slot that holds `key`, if one does. Looks at all four without a branch: which of them
    /// holds a key is as good as random, and a mispredicted branch costs more than all four compares.
    #[inline(always)]
    pub(super) fn find(self, key: FdbKey) -> Option<Slot<'a>> {
        let key = key.bits();
        let mut hits = 0u32;
        for number in 0..SLOTS {
            hits |= u32::from(self.0[number].load(Ordering::Acquire) == key) << number;
        }
        (hits != 0).then(|| self.slot(hits.trailing_zeros() as usize))
    }

    pub(super) fn has_room(self) -> bool {
        self.slots().any(|slot| slot.key.load(Ordering::Relaxed) == EMPTY)
    }

    /// Takes an empty slot, if there is one, so that no other thread does; the probe's own first.
    pub(super) fn claim(self, probe: &Probe) -> Option<Claim<'a>> {
        let own = self.slot(probe.slot());
        own.claim().or_else(|| self.slots().find_map(Slot::claim))
    }
}

/// Where one entry is kept: its key word and its value word.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    key: &'a AtomicU64,
    value: &'a AtomicU64,
}

impl<'a> Slot<'a> {
    #[inline(always)]
    pub(super) fn holds(self, key: FdbKey) -> bool {
        self.key.load(Ordering::Acquire) == key.bits()
    }

    #[inline(always)]
    pub(super) fn value(self) -> Value {
        Value::from_bits(self.value.load(Ordering::Acquire))
    }

    fn claim(self) -> Option<Claim<'a>> {
        let empty = self.key.load(Ordering::Relaxed) == EMPTY;
        let claimed =
            empty && self.key.compare_exchange(EMPTY, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        claimed.then_some(Claim(self))
    }

    /// Key and value, if the slot holds an entry that isn't on its way out.
    pub(super) fn entry(self) -> Option<(FdbKey, Value)> {
        let key = FdbKey::from_bits(self.key.load(Ordering::Acquire))?;
        let value = self.value();
        (value != Value::NONE && self.holds(key)).then_some((key, value))
    }

    /// Changes the value if it still is `old`. Returns whether it was.
    pub(super) fn replace(self, old: Value, new: Value) -> bool {
        self.value.compare_exchange(old.bits(), new.bits(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Ends the entry if its value still is `old`; the slot is then the caller's. The caller holds
    /// the stripe of the entry's key.
    pub(super) fn vacate(self, old: Value) -> Option<Claim<'a>> {
        let ended = self.replace(old, Value::NONE);
        ended.then(|| {
            self.key.store(CLAIMED, Ordering::Release);
            Claim(self)
        })
    }
}

/// A slot that this thread alone may fill or release.
#[must_use]
pub(super) struct Claim<'a>(Slot<'a>);

impl<'a> Claim<'a> {
    /// Makes the entry visible: the value first, so that whoever sees the key sees it too.
    pub(super) fn publish(self, key: FdbKey, value: Value) -> Slot<'a> {
        self.0.value.store(value.bits(), Ordering::Release);
        self.0.key.store(key.bits(), Ordering::Release);
        self.0
    }

    /// Gives the slot back. Its value is none already.
    pub(super) fn release(self) {
        self.0.key.store(EMPTY, Ordering::Release);
    }
}
