//! Quantities: a number and its unit, as in `1GiB`. A number alone is refused, for whoever reads the
//! file would have to guess.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::tree::{Node, alternatives};

/// A number of octets. Displays in the largest unit that divides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(u64);

impl Bytes {
    /// So many octets.
    pub const fn new(octets: u64) -> Self {
        Self(octets)
    }

    /// So many times 2^10 octets.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// So many times 2^20 octets.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// The number of octets.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Dimension::Octets.show(self.0))
    }
}

/// What a unit measures. Quantities are counted in the unit whose scale is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dimension {
    Octets,
    Time,
    BitRate,
    PacketRate,
}

impl Dimension {
    const fn units(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Octets => {
                &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)]
            }
            Self::Time => &[
                ("ns", 1),
                ("us", 1_000),
                ("ms", 1_000_000),
                ("s", NANOS),
                ("min", 60 * NANOS),
                ("h", 3_600 * NANOS),
                ("d", 86_400 * NANOS),
            ],
            Self::BitRate => &[("bit", 1), ("kbit", 1_000), ("Mbit", 1_000_000), ("Gbit", 1_000_000_000)],
            Self::PacketRate => &[("pps", 1), ("kpps", 1_000), ("Mpps", 1_000_000)],
        }
    }

    /// The quantity in the largest unit that divides it.
    pub(crate) fn show(self, quantity: u64) -> String {
        let units = self.units().iter().rev();
        let mut fitting = units.filter(|(_, scale)| quantity >= *scale && quantity.is_multiple_of(*scale));
        let (unit, scale) = fitting.next().unwrap_or(&self.units()[0]);
        format!("{}{unit}", quantity / scale)
    }
}

const NANOS: u64 = 1_000_000_000;

/// A quantity of one of some dimensions. `example` is one as the file would have it.
pub(crate) fn quantity(node: &Node<'_>, dimensions: &[Dimension], example: &str) -> Option<(Dimension, u64)> {
    let units: Vec<_> =
        dimensions.iter().flat_map(|dimension| dimension.units()).map(|(name, _)| name).collect();
    let cure = format!("write a number and its unit ({}), as in \"{example}\"", alternatives(&units));
    if node.is_integer() {
        return node.refuse(format!("`{}` has no unit", node.path()), cure);
    }
    let text = node.text(&cure)?;
    let (number, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let unit = unit.trim_start();
    if unit.is_empty() {
        return node.refuse(format!("`{}` has no unit", node.path()), cure);
    }
    let found = dimensions.iter().find_map(|dimension| {
        let (_, scale) = dimension.units().iter().find(|(name, _)| *name == unit)?;
        Some((*dimension, *scale))
    });
    let Some((dimension, scale)) = found else {
        return node.refuse(format!("`{}` has no unit that fits", node.path()), cure);
    };
    match scaled(number, scale) {
        Some(quantity) => Some((dimension, quantity)),
        None => node.refuse(format!("`{}` is not a number of its smallest unit", node.path()), cure),
    }
}

/// `number`, a decimal fraction, times `scale`, if that is a whole number that fits.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let divisor = 10_u128.checked_pow(fraction.len().try_into().ok()?)?;
    let scale = u128::from(scale);
    let fraction = fraction.parse::<u128>().ok()?.checked_mul(scale)?;
    let whole = whole.parse::<u128>().ok()?.checked_mul(scale)?;
    let exact = fraction % divisor == 0;
    exact.then(|| whole.checked_add(fraction / divisor)?.try_into().ok())?
}

/// A quantity of one dimension, within a range.
fn in_range(node: &Node<'_>, dimension: Dimension, range: RangeInclusive<u64>, example: &str) -> Option<u64> {
    let (_, quantity) = quantity(node, &[dimension], example)?;
    check_range(node, dimension, quantity, &range)
}

/// Refuses a quantity that is outside a range.
pub(crate) fn check_range(
    node: &Node<'_>,
    dimension: Dimension,
    quantity: u64,
    range: &RangeInclusive<u64>,
) -> Option<u64> {
    if range.contains(&quantity) {
        return Some(quantity);
    }
    let (low, high) = (dimension.show(*range.start()), dimension.show(*range.end()));
    let what = format!("`{}` is out of range", node.path());
    node.refuse(what, format!("write \"{low}\" to \"{high}\""))
}

/// A size within a range.
pub(crate) fn bytes(node: &Node<'_>, range: &RangeInclusive<Bytes>, example: &str) -> Option<Bytes> {
    let range = range.start().get()..=range.end().get();
    in_range(node, Dimension::Octets, range, example).map(Bytes::new)
}

/// A time within a range.
pub(crate) fn duration(node: &Node<'_>, range: &RangeInclusive<Duration>, example: &str) -> Option<Duration> {
    let nanos = |time: &Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let range = nanos(range.start())..=nanos(range.end());
    in_range(node, Dimension::Time, range, example).map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact() {
        for (number, scale, quantity) in [
            ("1", 1 << 30, Some(1 << 30)),
            ("2.5", 1_000_000_000, Some(2_500_000_000)),
            ("0.1", 10, Some(1)),
            ("0.1", 1, None),
            ("", 1, None),
            (".", 1, None),
            ("1.", 1, None),
            ("1.2.3", 10, None),
            ("18446744073709551616", 1, None),
            ("0.00000000000000000000000000000000000000000001", 1, None),
        ] {
            assert_eq!(scaled(number, scale), quantity, "{number} * {scale}");
        }
    }

    #[test]
    fn quantities_show_in_the_largest_unit() {
        for (dimension, quantity, text) in [
            (Dimension::Octets, 0, "0B"),
            (Dimension::Octets, 1025, "1025B"),
            (Dimension::Octets, 1 << 30, "1GiB"),
            (Dimension::Time, 300 * NANOS, "5min"),
            (Dimension::Time, 1_500_000, "1500us"),
            (Dimension::BitRate, 2_500_000_000, "2500Mbit"),
        ] {
            assert_eq!(dimension.show(quantity), text);
        }
    }
}
