//! The forwarding database: which port an address of a VLAN was last seen on.
//!
//! The one structure that all workers write. A table of cache lines, each with four entries of two
//! words; every key has two lines to be in, a primary and a secondary one, chosen by independent bits
//! of a seeded hash, and the table is twice as large as its capacity, so that an entry is nearly always
//! in its primary line: one prefetched miss a lookup.
//!
//! # Time
//!
//! `now` is whole seconds since any moment, from the caller, who may let workers' clocks differ by a
//! second or two. An entry learned or refreshed with a frame at `now = s` is there while
//! `now - s < ageing_seconds`, and gone for every lookup from `now - s == ageing_seconds` on, whether
//! or not [`sweep`](Fdb::sweep) has removed it yet. Every frame counts: stamps are whole seconds, so
//! writing one at most once a second loses nothing. `now` may wrap. Sweep all of the table at least
//! once in [`MAX_SWEEP_SECONDS`], or the oldest entries come back to life.
//!
//! # Who writes what, in which order
//!
//! An entry is two atomic words, a key and a value, and two atomics are not one. These rules make
//! them behave as one; `tests/loom.rs` explores them.
//!
//! 1. **Stripes.** A key's entry is added, removed and displaced only by the holder of the key's
//!    stripe, one of a few hundred locks. Workers only ever try: a busy stripe means that this frame
//!    isn't learned. Hence no key is ever in the table twice, but while rule 5 lasts.
//! 2. **Adding.** Claim an empty slot (key `EMPTY` → `CLAIMED`, by compare and swap: slots are contended
//!    across stripes), store the value, store the key. Each store releases.
//! 3. **Changing** the value, to refresh a stamp or to move an address to another port, needs no
//!    stripe: one compare and swap on the value, from the value that was read to the new one.
//! 4. **Removing.** Compare and swap the value from what condemned it to none: if it was refreshed
//!    meanwhile, this fails and the entry stays. Then the key becomes `CLAIMED` or `EMPTY`.
//! 5. **Displacing** to the key's other line: add the copy (rule 2), count `displacements` up, remove
//!    the original (rule 4); if it was changed since it was copied, change the copy likewise and
//!    try again.
//! 6. **Reading** never waits nor writes: find the key, read the value, see that its tag is this key's,
//!    read the key again. A reader that found nothing looks again unless `displacements` stood still
//!    meanwhile: it may have read the copy's line before the copy came and the original's after
//!    it went. That it sees the count follows from rule 5's order: it saw the original gone.
//!
//! A value read under rule 6 is the key's, or the slot went from this key to another *and back* between
//! the two readings of the key, *and* both keys' 15 free tag bits are equal. Likewise under rule 3 a
//! swap can hit another key's value only if all its 64 bits, tag included, are those that were read. An
//! entry that is changed in both places during rule 5 keeps one of the two changes.
//!
//! # Flushing
//!
//! A flush of a port, a VLAN or all dynamic entries takes a number and notes it; entries carry the number
//! (16 bits of it, the epoch) of the latest flush before they were last learned. If that is still the
//! latest one nothing needs checking. Sweeps give survivors the latest epoch, and a flush that would
//! come too many numbers after the last full sweep sweeps first, so that epochs never wrap around.
//!
//! # Capacity
//!
//! Never more than `capacity` entries, and room for just as many. To add one more to a full table a dead
//! one goes, or a dynamic one of the port that has the most: no port can push another below its fair
//! share. Entries that have died count until they are swept or make room, so whoever flushes a full
//! table and wants all of it at once sweeps after the flush.

mod control;
mod flush;
mod key;
mod learn;
mod lookup;
mod moment;
mod population;
mod room;
mod stripe;
mod sync;
mod table;
mod value;

#[cfg(test)]
mod tests;

pub use control::{FdbEntry, FdbFull, Swept};
pub use key::{FdbKey, Probe};
pub use learn::{Learned, Refusal};
pub use moment::Moment;

use flush::Flushes;
use population::Population;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::AtomicU32;
use stripe::Stripes;
use sync::{AtomicU64, Mutex, Ordering, OwnLines};
use table::Table;
use value::Value;

/// The largest capacity, in entries.
pub const MAX_CAPACITY: usize = 1 << 24;

/// The longest ageing time, in seconds (IEEE 802.1Q-2022 table 8-6).
pub const MAX_AGEING_SECONDS: u32 = 1_000_000;

/// Seconds within which [`Fdb::sweep`] must have seen every entry: twelve days.
pub const MAX_SWEEP_SECONDS: u32 = value::MAX_AGE - MAX_AGEING_SECONDS;

/// Buckets of the smallest table: with fewer, keys whose two buckets are one could fill it.
const MIN_BUCKETS: usize = 64;

/// Slots are twice the capacity.
const ENTRIES_PER_BUCKET: usize = table::SLOTS / 2;

const _: () = assert!(MAX_AGEING_SECONDS < value::MAX_AGE);
const _: () = assert!(cfg!(loom) || MAX_CAPACITY / ENTRIES_PER_BUCKET <= key::MAX_BUCKETS);

/// What a table is made for.
#[derive(Clone, Copy, Debug)]
pub struct FdbOptions {
    /// Entries, 1 to [`MAX_CAPACITY`].
    pub capacity: usize,
    /// Seconds after which an entry whose address isn't seen is gone, 1 to [`MAX_AGEING_SECONDS`].
    pub ageing_seconds: u32,
    /// What the hash is seeded with. Whoever knows it can make addresses that collide.
    pub seed: u64,
}

impl FdbOptions {
    /// A table of `capacity` entries whose seed nobody knows.
    pub fn new(capacity: usize, ageing_seconds: u32) -> Self {
        Self { capacity, ageing_seconds, seed: RandomState::new().build_hasher().finish() }
    }
}

impl Default for FdbOptions {
    /// 131,072 entries, 300 seconds (the standard's recommendation), a seed that nobody knows.
    fn default() -> Self {
        Self::new(131_072, 300)
    }
}

/// What has happened to entries since the table was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FdbCounters {
    /// Addresses learned that weren't there, or had died.
    pub learned: u64,
    /// Addresses seen on another port than before.
    pub moved: u64,
    /// Entries removed because their address wasn't seen for the ageing time.
    pub aged: u64,
    /// Entries removed after a flush.
    pub flushed: u64,
    /// Live entries removed to make room.
    pub evicted: u64,
    /// Entries that were moved to their other bucket to make room.
    pub displaced: u64,
    /// Frames whose address wasn't learned because another thread was at work on its stripe.
    pub refused_busy: u64,
    /// Frames whose address wasn't learned because no room could be made.
    pub refused_full: u64,
    /// Frames whose address has a static entry on another port.
    pub refused_static: u64,
}

/// The forwarding database. Shared by all workers and the control plane; see the module's text.
pub struct Fdb {
    // Read for every frame, written by the control plane.
    table: Table,
    flushes: Flushes,
    ageing_seconds: AtomicU32,
    // Written when an entry comes, goes or moves.
    stripes: Stripes,
    population: Population,
    /// Read by lookups that find nothing.
    displacements: OwnLines<AtomicU64>,
    /// The control plane's own.
    sweeper: OwnLines<Mutex<control::Sweeper>>,
}

impl Fdb {
    /// An empty table. Takes 32 octets a slot, two slots an entry, and the number of slots is a power
    /// of two; backed by huge pages where the kernel has them.
    ///
    /// # Panics
    ///
    /// If an option is outside its range.
    pub fn new(options: FdbOptions) -> Self {
        assert!((1..=MAX_CAPACITY).contains(&options.capacity), "FDB capacity");
        let buckets = options.capacity.div_ceil(ENTRIES_PER_BUCKET);
        Self::with_buckets(options, buckets.next_power_of_two().max(MIN_BUCKETS))
    }

    fn with_buckets(options: FdbOptions, buckets: usize) -> Self {
        let fdb = Self {
            table: Table::new(buckets, options.seed),
            flushes: Flushes::new(),
            ageing_seconds: AtomicU32::new(0),
            stripes: Stripes::new(),
            population: Population::new(options.capacity),
            displacements: OwnLines(AtomicU64::new(0)),
            sweeper: OwnLines(Mutex::new(control::Sweeper::default())),
        };
        fdb.set_ageing_seconds(options.ageing_seconds);
        fdb
    }

    #[inline(always)]
    fn probe(&self, key: FdbKey) -> Probe {
        self.table.probe(key)
    }

    #[inline(always)]
    fn ageing(&self) -> i32 {
        self.ageing_seconds.load(Ordering::Relaxed) as i32
    }

    /// Whether lookups may give this entry.
    fn is_live(&self, key: FdbKey, value: Value, now: u32) -> bool {
        value.is_static() || value.age(now) < self.ageing() && self.flushes.spare(key, value)
    }
}
