use super::sync::{AtomicU64, OwnLines};
use super::value::Value;
use pollux_net::{MAX_PORTS, PortId};
use std::sync::atomic::{AtomicI64, Ordering};

/// How many entries there are, and whose. Written when entries come, go and move.
pub(super) struct Population {
    capacity: u64,
    entries: OwnLines<AtomicU64>,
    dynamic: OwnLines<[AtomicI64; MAX_PORTS]>,
    fixed: OwnLines<[AtomicI64; MAX_PORTS]>,
}

impl Population {
    pub(super) fn new(capacity: usize) -> Self {
        let zeros = || OwnLines(std::array::from_fn(|_| AtomicI64::new(0)));
        Self {
            capacity: capacity as u64,
            entries: OwnLines(AtomicU64::new(0)),
            dynamic: zeros(),
            fixed: zeros(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    pub(super) fn len(&self) -> usize {
        self.entries.0.load(Ordering::Relaxed) as usize
    }

    /// Counts an entry that will come. Returns `false`, and counts nothing, at capacity.
    pub(super) fn reserve(&self) -> bool {
        let below = |entries| (entries < self.capacity).then_some(entries + 1);
        let reserved = self.entries.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below);
        reserved.is_ok()
    }

    /// Counts one entry less.
    pub(super) fn release(&self) {
        self.entries.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Books a slot's value for its port: `old` is gone from it and `new` there.
    pub(super) fn account(&self, old: Value, new: Value) {
        if new != Value::NONE {
            self.of(new).fetch_add(1, Ordering::Relaxed);
        }
        if old != Value::NONE {
            self.of(old).fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A count may be below zero for the moment between another thread's change and its booking.
    fn of(&self, value: Value) -> &AtomicI64 {
        let counts = if value.is_static() { &self.fixed } else { &self.dynamic };
        &counts.0[value.port().index()]
    }

    /// Entries of `port`, static ones included.
    pub(super) fn len_of(&self, port: PortId) -> usize {
        let fixed = self.fixed.0[port.index()].load(Ordering::Relaxed).max(0);
        (self.dynamic_of(port) + fixed) as usize
    }

    /// Static entries of all ports.
    pub(super) fn len_static(&self) -> usize {
        self.fixed.0.iter().map(|count| count.load(Ordering::Relaxed)).sum::<i64>().max(0) as usize
    }

    /// Dynamic entries of `port`.
    pub(super) fn dynamic_of(&self, port: PortId) -> i64 {
        self.dynamic.0[port.index()].load(Ordering::Relaxed).max(0)
    }

    /// The port with the most dynamic entries; `own` if none has more than it.
    pub(super) fn fullest(&self, own: PortId) -> PortId {
        let most = |best: PortId, port: PortId| {
            if self.dynamic_of(port) > self.dynamic_of(best) { port } else { best }
        };
        PortId::all().fold(own, most)
    }
}
