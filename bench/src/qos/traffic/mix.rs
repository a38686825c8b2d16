//! Sizes of frames.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Octets of the frame check sequence, which counts in the size by which frames are called, and neither lies
/// in memory nor counts in rates.
pub(crate) const FCS_LEN: u16 = 4;

/// Sizes and how often each comes in a round of a mix.
const IMIX: [(u16, usize); 3] = [(64, 7), (594, 4), (1518, 1)];

/// The sizes of a flow's frames; as usual with their check sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mix {
    /// One size.
    Only(u16),
    /// 64, 594 and 1518 octets, seven to four to one.
    Imix,
}

impl Mix {
    /// The octets of frames in memory, in an order that is repeated.
    pub(crate) fn lens(self) -> Vec<usize> {
        let in_memory = |size: u16| usize::from(size - FCS_LEN);
        match self {
            Self::Only(size) => vec![in_memory(size)],
            Self::Imix => {
                // Each size at even distances.
                let mut places: Vec<_> = IMIX
                    .iter()
                    .flat_map(|&(size, count)| (0..count).map(move |n| ((2 * n + 1) * 1000 / count, size)))
                    .collect();
                places.sort_unstable();
                places.into_iter().map(|(_, size)| in_memory(size)).collect()
            }
        }
    }

    /// The mean of the octets of frames in memory.
    pub(crate) fn mean_len(self) -> f64 {
        let lens = self.lens();
        lens.iter().sum::<usize>() as f64 / lens.len() as f64
    }

    /// The longest frame in memory, in octets.
    pub(crate) fn longest(self) -> usize {
        self.lens().into_iter().max().unwrap_or_default()
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(size) => write!(f, "{size}"),
            Self::Imix => f.write_str("mixed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_has_its_parts_and_spreads_them() {
        let lens = Mix::Imix.lens();
        let count = |len| lens.iter().filter(|l| **l == len).count();
        assert_eq!((lens.len(), count(60), count(590), count(1514)), (12, 7, 4, 1));
        assert!(!lens.windows(2).any(|pair| pair == [590, 590]), "{lens:?}");
        assert_eq!(Mix::Only(64).lens(), [60]);
        assert_eq!((Mix::Imix.mean_len(), Mix::Imix.longest()), (4294.0 / 12.0, 1514));
    }
}
