use super::table::SLOTS;
use pollux_net::{Mac, Vid};

/// What an entry is found by: a VLAN and an address in it (independent VLAN learning).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FdbKey(u64);

const MAC_BITS: u32 = 48;

impl FdbKey {
    /// The key of `mac` in `vid`.
    #[inline(always)]
    pub const fn new(vid: Vid, mac: Mac) -> Self {
        Self((vid.value() as u64) << MAC_BITS | mac.as_u64())
    }

    /// The VLAN.
    pub const fn vid(self) -> Vid {
        match Vid::new((self.0 >> MAC_BITS) as u16) {
            Some(vid) => vid,
            // Not reached: a key is made from a Vid.
            None => Vid::DEFAULT,
        }
    }

    /// The address.
    pub const fn mac(self) -> Mac {
        Mac::from_u64(self.0)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// The key stored as `bits`, unless they say that the slot is empty or claimed.
    pub(super) const fn from_bits(bits: u64) -> Option<Self> {
        match Vid::new((bits >> MAC_BITS) as u16) {
            Some(_) => Some(Self(bits)),
            None => None,
        }
    }
}

/// A key with its hash: what is made once a frame and address, and serves prefetch, learning and lookup.
/// Good for the table that made it only.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    pub(super) key: FdbKey,
    hash: u64,
}

impl Default for Probe {
    /// What an array of probes may be filled with before it is used: the probe of no frame's address.
    fn default() -> Self {
        Self { key: FdbKey::new(Vid::DEFAULT, Mac::ZERO), hash: 0 }
    }
}

/// Bits of the hash, from the lowest: two choices of a bucket, the slot to try first, the tag.
const INDEX_BITS: u32 = 23;
const SLOT_SHIFT: u32 = 2 * INDEX_BITS;
const SLOT_BITS: u32 = 2;
const TAG_SHIFT: u32 = SLOT_SHIFT + SLOT_BITS;
const TAG_BITS: u32 = u16::BITS;

const _: () = assert!(SLOTS <= 1 << SLOT_BITS && TAG_SHIFT + TAG_BITS == u64::BITS);

/// Buckets that the hash can tell apart.
pub(super) const MAX_BUCKETS: usize = 1 << INDEX_BITS;

impl Probe {
    /// The bucket to look in first, before masking with the table's size.
    #[inline(always)]
    pub(super) const fn primary(&self) -> u64 {
        self.hash
    }

    /// The bucket to look in second, before masking. Shares no bit with the first.
    #[inline(always)]
    pub(super) const fn secondary(&self) -> u64 {
        self.hash >> INDEX_BITS
    }

    /// The slot of the primary bucket to try first.
    #[inline(always)]
    pub(super) const fn slot(&self) -> usize {
        (self.hash >> SLOT_SHIFT) as usize % SLOTS
    }

    /// Never 0, and independent of both buckets: it tells an entry's value from another key's.
    #[inline(always)]
    pub(super) const fn tag(&self) -> u16 {
        (self.hash >> TAG_SHIFT) as u16 | 1
    }

    /// A walk through all buckets: the bucket of each step, before masking. Every key has its own, and
    /// another in every second.
    pub(super) fn walk(&self, now: u32) -> impl Fn(u64) -> u64 {
        let start = scramble(self.hash ^ u64::from(now));
        let stride = start >> 32 | 1;
        move |step| start.wrapping_add(step.wrapping_mul(stride))
    }

    /// Bits to choose a stripe with: keys that share a bucket have different ones.
    #[inline(always)]
    pub(super) const fn stripe(&self) -> usize {
        (self.hash >> TAG_SHIFT) as usize >> 1
    }
}

/// A hash that a stranger who doesn't know the seed can't make collide on purpose.
pub(super) struct Hasher {
    flip: u64,
    factor: u64,
}

impl Hasher {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            flip: scramble(seed),
            // Odd, so that no bit of the key is lost.
            factor: scramble(seed ^ 0x6a09_e667_f3bc_c908) | 1,
        }
    }

    /// Two multiplications. The first alone, folded, is nearly linear: addresses numbered in even steps,
    /// as a hypervisor's or a tester's are, then crowd some buckets under one seed in ten to a hundred.
    /// The second mixes upwards only, so the bytes are turned round: buckets are chosen by the best.
    #[inline(always)]
    pub(super) const fn probe(&self, key: FdbKey) -> Probe {
        let product = (key.0 ^ self.flip) as u128 * self.factor as u128;
        let folded = product as u64 ^ (product >> 64) as u64;
        Probe { key, hash: folded.wrapping_mul(self.factor).swap_bytes() }
    }
}

/// Spreads a seed that may be small over all 64 bits (the finaliser of SplitMix64).
const fn scramble(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}
