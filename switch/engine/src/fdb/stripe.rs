use super::FdbCounters;
use super::key::Probe;
use super::sync::{AtomicU64, Ordering, relax};
use std::sync::atomic::AtomicU64 as Count;

/// Locks that keys share. More than workers squared, so that two of them seldom want the same.
const STRIPES: usize = if cfg!(loom) { 2 } else { 256 };

const _: () = assert!(STRIPES.is_power_of_two());

/// What happens to entries, counted beside the lock that is taken for most of it: workers share
/// neither line unless they change the same stripe's keys.
#[derive(Default)]
#[repr(align(128))]
struct Stripe {
    lock: AtomicU64,
    counts: [Count; Event::COUNT],
}

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Event {
    Learned,
    Moved,
    Aged,
    Flushed,
    Evicted,
    Displaced,
    RefusedBusy,
    RefusedFull,
    RefusedStatic,
}

impl Event {
    const COUNT: usize = Self::RefusedStatic as usize + 1;
}

/// Who may add, remove and displace the entry of a key: whoever holds the key's stripe.
pub(super) struct Stripes(Vec<Stripe>);

impl Stripes {
    pub(super) fn new() -> Self {
        Self((0..STRIPES).map(|_| Stripe::default()).collect())
    }

    fn of(&self, probe: &Probe) -> &Stripe {
        &self.0[probe.stripe() % STRIPES]
    }

    /// Takes the stripe if it is free. For the data path, which never waits.
    pub(super) fn try_lock(&self, probe: &Probe) -> Option<Held<'_>> {
        let stripe = self.of(probe);
        let free = stripe.lock.load(Ordering::Relaxed) == 0;
        let taken = free && stripe.lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
        // Made only once the stripe is taken: dropping one lets go of it.
        taken.then(|| Held { stripe, owner: true })
    }

    /// As [`try_lock`](Self::try_lock), by a thread that holds `held`, which may be the same stripe.
    pub(super) fn try_lock_beside(&self, probe: &Probe, held: &Held<'_>) -> Option<Held<'_>> {
        let stripe = self.of(probe);
        if std::ptr::eq(stripe, held.stripe) {
            Some(Held { stripe, owner: false })
        } else {
            self.try_lock(probe)
        }
    }

    /// Takes the stripe, however long it takes. For the control plane, while it holds no other.
    pub(super) fn lock(&self, probe: &Probe) -> Held<'_> {
        loop {
            if let Some(held) = self.try_lock(probe) {
                return held;
            }
            relax();
        }
    }

    #[inline]
    pub(super) fn count(&self, probe: &Probe, event: Event) {
        self.of(probe).counts[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn totals(&self) -> FdbCounters {
        let total = |event: Event| {
            let counts = self.0.iter().map(|stripe| &stripe.counts[event as usize]);
            counts.map(|count| count.load(Ordering::Relaxed)).sum()
        };
        FdbCounters {
            learned: total(Event::Learned),
            moved: total(Event::Moved),
            aged: total(Event::Aged),
            flushed: total(Event::Flushed),
            evicted: total(Event::Evicted),
            displaced: total(Event::Displaced),
            refused_busy: total(Event::RefusedBusy),
            refused_full: total(Event::RefusedFull),
            refused_static: total(Event::RefusedStatic),
        }
    }
}

/// The right to change where a key's entry is; ends when dropped.
pub(super) struct Held<'a> {
    stripe: &'a Stripe,
    owner: bool,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.owner {
            self.stripe.lock.store(0, Ordering::Release);
        }
    }
}
