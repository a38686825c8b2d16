use std::fmt;

/// Ports a switch can have. A set of ports is one machine word, and distribution builds of DPDK stop
/// at 32 devices.
pub const MAX_PORTS: usize = 64;

/// Workers a switch can have.
pub const MAX_WORKERS: usize = 64;

const _: () = assert!(MAX_PORTS == u64::BITS as usize, "a PortSet is one u64");

/// A switch port's number, below [`MAX_PORTS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortId(u8);

impl PortId {
    /// The port of this number, or `None` from [`MAX_PORTS`] on.
    pub const fn new(number: usize) -> Option<Self> {
        if number < MAX_PORTS { Some(Self(number as u8)) } else { None }
    }

    /// The port whose number is the low six bits of `bits`.
    pub const fn from_low_bits(bits: u64) -> Self {
        Self((bits % MAX_PORTS as u64) as u8)
    }

    /// The number, to index arrays of [`MAX_PORTS`] with.
    pub const fn index(self) -> usize {
        // The remainder tells the compiler what the constructor has checked.
        self.0 as usize % MAX_PORTS
    }

    /// The set of only this port.
    pub const fn set(self) -> PortSet {
        PortSet(1 << self.index())
    }

    /// Every port there can be, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..MAX_PORTS).filter_map(Self::new)
    }
}

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of ports, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PortSet(u64);

impl PortSet {
    /// No port.
    pub const EMPTY: Self = Self(0);
    /// Every port there can be.
    pub const ALL: Self = Self(u64::MAX);

    /// The set whose member n is bit n.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Bit n is member n.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether `port` is a member.
    pub const fn contains(self, port: PortId) -> bool {
        self.0 & port.set().0 != 0
    }

    /// Whether nobody is a member.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many members there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The set with `port`.
    #[must_use]
    pub const fn with(self, port: PortId) -> Self {
        Self(self.0 | port.set().0)
    }

    /// The set without `port`.
    #[must_use]
    pub const fn without(self, port: PortId) -> Self {
        Self(self.0 & !port.set().0)
    }

    /// Members of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Members of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Members that `other` hasn't.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The lowest-numbered member.
    pub const fn first(self) -> Option<PortId> {
        PortId::new(self.0.trailing_zeros() as usize)
    }

    /// The members, lowest number first.
    pub fn iter(self) -> impl Iterator<Item = PortId> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let port = rest.first()?;
            rest = rest.without(port);
            Some(port)
        })
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|p| p.0)).finish()
    }
}

impl FromIterator<PortId> for PortSet {
    fn from_iter<I: IntoIterator<Item = PortId>>(ports: I) -> Self {
        ports.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// A receive or transmit queue's number within its port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct QueueId(pub u16);

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A worker's number, below [`MAX_WORKERS`]; not the number of the CPU it is pinned to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WorkerId(pub u8);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_end_at_the_limit() {
        assert!(PortId::new(MAX_PORTS - 1).is_some());
        assert!(PortId::new(MAX_PORTS).is_none());
        assert_eq!(PortSet::EMPTY.first(), None);
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(members: BTreeSet<u8>) {
            let ports: BTreeSet<_> = members.into_iter().filter_map(|n| PortId::new(usize::from(n))).collect();
            let set: PortSet = ports.iter().copied().collect();
            prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), ports.clone());
            prop_assert_eq!(set.len(), ports.len());
            prop_assert!(PortId::all().all(|p| set.contains(p) == ports.contains(&p)));
        }
    }
}
