use std::fmt;

/// A priority code point, 0 to 7 (IEEE 802.1Q-2022 clause 9.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Pcp(u8);

impl Pcp {
    /// Best effort on a network that has not remapped it.
    pub const ZERO: Self = Self(0);

    /// The code point, or `None` above 7.
    pub const fn new(value: u8) -> Option<Self> {
        if value < 8 { Some(Self(value)) } else { None }
    }

    /// 0 to 7.
    pub const fn value(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Pcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a tag says of a frame's importance: its PCP and whether it may be dropped first (DEI).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Priority {
    /// The priority code point.
    pub pcp: Pcp,
    /// The drop eligible indicator.
    pub dei: bool,
}

impl Priority {
    /// The priority of this code point, not drop eligible.
    pub const fn of(pcp: Pcp) -> Self {
        Self { pcp, dei: false }
    }

    /// Whether a tag that carried this would say something: a PCP above 0, or DEI.
    pub const fn is_nonzero(self) -> bool {
        self.pcp.0 != 0 || self.dei
    }
}
