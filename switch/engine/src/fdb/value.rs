use pollux_net::PortId;

/// The second word of an entry. From the top: 16 bits tag, 8 port, 2 flags, 16 epoch, 22 stamp.
///
/// All zero bits are no value; a tag is never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Value(u64);

const STAMP_BITS: u32 = 22;
const EPOCH_SHIFT: u32 = STAMP_BITS;
const EPOCH_BITS: u32 = u16::BITS;
const FLAGS_SHIFT: u32 = EPOCH_SHIFT + EPOCH_BITS;
const FLAGS_BITS: u32 = 2;
const PORT_SHIFT: u32 = FLAGS_SHIFT + FLAGS_BITS;
const PORT_BITS: u32 = u8::BITS;
const TAG_SHIFT: u32 = PORT_SHIFT + PORT_BITS;
const TAG_BITS: u32 = u16::BITS;

const _: () = assert!(TAG_SHIFT + TAG_BITS == u64::BITS, "the fields fill the word");
const _: () = assert!(pollux_net::MAX_PORTS <= 1 << PORT_BITS);

const STATIC: u64 = 1 << FLAGS_SHIFT;
const EPOCH_MASK: u64 = (u16::MAX as u64) << EPOCH_SHIFT;
const STAMP_MASK: u64 = (1 << STAMP_BITS) - 1;
const PORT_MASK: u64 = ((1 << PORT_BITS) - 1) << PORT_SHIFT;

/// Ages are told apart up to this many seconds, 24 days; a stamp that seems older than that is one in
/// the future, from a worker whose clock has turned to the next second already.
pub(super) const MAX_AGE: u32 = 1 << (STAMP_BITS - 1);

impl Value {
    pub(super) const NONE: Self = Self(0);

    #[inline(always)]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline(always)]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// A learned entry, last seen at `now` seconds.
    #[inline(always)]
    pub(super) const fn dynamic(tag: u16, port: PortId, epoch: u16, now: u32) -> Self {
        Self(
            (tag as u64) << TAG_SHIFT
                | (port.index() as u64) << PORT_SHIFT
                | (epoch as u64) << EPOCH_SHIFT
                | now as u64 & STAMP_MASK,
        )
    }

    /// A configured entry: it has neither epoch nor age.
    pub(super) const fn fixed(tag: u16, port: PortId) -> Self {
        Self(Self::dynamic(tag, port, 0, 0).0 | STATIC)
    }

    /// Whether the value has this tag.
    #[inline(always)]
    pub(super) const fn is_of(self, tag: u16) -> bool {
        self.tag() == tag
    }

    #[inline(always)]
    pub(super) const fn tag(self) -> u16 {
        (self.0 >> TAG_SHIFT) as u16
    }

    #[inline(always)]
    pub(super) const fn port(self) -> PortId {
        PortId::from_low_bits(self.0 >> PORT_SHIFT)
    }

    #[inline(always)]
    pub(super) const fn epoch(self) -> u16 {
        (self.0 >> EPOCH_SHIFT) as u16
    }

    #[inline(always)]
    pub(super) const fn is_static(self) -> bool {
        self.0 & STATIC != 0
    }

    /// Whether this is a dynamic value with this tag and epoch: nothing but its age is left to check.
    #[inline(always)]
    pub(super) const fn is_dynamic_of(self, tag: u16, epoch: u16) -> bool {
        let wanted = (tag as u64) << TAG_SHIFT | (epoch as u64) << EPOCH_SHIFT;
        let compared = (u16::MAX as u64) << TAG_SHIFT | STATIC | EPOCH_MASK;
        (self.0 ^ wanted) & compared == 0
    }

    /// Whether this is `other` but for the port.
    #[inline(always)]
    pub(super) const fn is_of_moment(self, other: Self) -> bool {
        (self.0 ^ other.0) & !PORT_MASK == 0
    }

    /// Seconds from the stamp to `now`; negative if the stamp is ahead of this clock.
    #[inline(always)]
    pub(super) const fn age(self, now: u32) -> i32 {
        const UNUSED: u32 = u32::BITS - STAMP_BITS;
        (now.wrapping_sub(self.0 as u32) << UNUSED) as i32 >> UNUSED
    }

    /// The same with these in place of tag 0 and port 0.
    #[inline(always)]
    pub(super) const fn with_tag_and_port(self, tag: u16, port: PortId) -> Self {
        Self(self.0 | (tag as u64) << TAG_SHIFT | (port.index() as u64) << PORT_SHIFT)
    }

    /// The same with another epoch.
    pub(super) const fn with_epoch(self, epoch: u16) -> Self {
        Self(self.0 & !EPOCH_MASK | (epoch as u64) << EPOCH_SHIFT)
    }

    /// The same with the stamp of `other`.
    pub(super) const fn with_stamp_of(self, other: Self) -> Self {
        Self(self.0 & !STAMP_MASK | other.0 & STAMP_MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_do_not_touch_each_other(tag in 1u16.., port in 0usize..64, epoch: u16, now: u32, later in 0..MAX_AGE) {
            let port = PortId::new(port).unwrap();
            let value = Value::dynamic(tag, port, epoch, now);
            prop_assert!(value.is_of(tag) && value.is_dynamic_of(tag, epoch) && !value.is_static());
            prop_assert_eq!((value.port(), value.epoch()), (port, epoch));
            prop_assert_eq!(value.age(now.wrapping_add(later)), later as i32);
            prop_assert_eq!(value.age(now.wrapping_sub(1)), -1);
            prop_assert!(!value.is_dynamic_of(tag, epoch ^ 1) && !value.is_dynamic_of(tag ^ 2, epoch));
            let fixed = Value::fixed(tag, port);
            prop_assert!(fixed.is_static() && fixed.is_of(tag) && !fixed.is_dynamic_of(tag, 0));
            prop_assert_eq!(fixed.port(), port);
            prop_assert_eq!(value.with_epoch(epoch ^ 7).with_epoch(epoch), value);
        }
    }
}
