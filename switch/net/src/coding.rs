use crate::{Pcp, Priority};

/// How a tag's PCP tells both a priority and whether the frame may be dropped first (IEEE 802.1Q-2022
/// clause 6.9.3). The digits say how many priorities, and how many of them with drop precedence.
///
/// A set DEI says drop eligible in every coding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PcpCoding {
    /// Eight priorities: the PCP is the priority, DEI alone tells drop precedence.
    #[default]
    P8D0,
    /// PCP 5 and 4 are priority 4, the latter drop eligible.
    P7D1,
    /// As 7P1D, and 3 and 2 are priority 2.
    P6D2,
    /// As 6P2D, and 1 and 0 are priority 0.
    P5D3,
}

impl PcpCoding {
    /// All four.
    pub const ALL: [Self; 4] = [Self::P8D0, Self::P7D1, Self::P6D2, Self::P5D3];

    /// As the standard and the file have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P8D0 => "8P0D",
            Self::P7D1 => "7P1D",
            Self::P6D2 => "6P2D",
            Self::P5D3 => "5P3D",
        }
    }

    /// Halves of the code points that stand for one priority in pairs.
    const fn pairs(self) -> &'static [u8] {
        match self {
            Self::P8D0 => &[],
            Self::P7D1 => &[2],
            Self::P6D2 => &[1, 2],
            Self::P5D3 => &[0, 1, 2],
        }
    }

    /// The priority, and whether it is drop eligible, of a tag's PCP and DEI (table 6-3).
    pub fn decode(self, tag: Priority) -> Priority {
        let value = tag.pcp.value();
        // The upper code point of a pair is the one that isn't drop eligible, the lower names both.
        if self.pairs().contains(&(value / 2)) {
            let pcp = Pcp::new(value & !1).unwrap_or_default();
            return Priority { pcp, dei: tag.dei || value.is_multiple_of(2) };
        }
        tag
    }

    /// The PCP and DEI that tell a priority, and whether it is drop eligible (table 6-2).
    pub fn encode(self, priority: Priority) -> Priority {
        let value = priority.pcp.value();
        if self.pairs().contains(&(value / 2)) {
            let pcp = if priority.dei { value & !1 } else { value | 1 };
            return Priority { pcp: Pcp::new(pcp).unwrap_or_default(), ..priority };
        }
        priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(text: &str) -> Priority {
        let digit = text.as_bytes()[0] - b'0';
        Priority { pcp: Pcp::new(digit).unwrap(), dei: text.ends_with("DE") }
    }

    #[test]
    fn decoding_is_table_6_3() {
        // By PCP, 7 first, as the rows of the table read.
        for (coding, row) in [
            (PcpCoding::P8D0, ["7", "6", "5", "4", "3", "2", "1", "0"]),
            (PcpCoding::P7D1, ["7", "6", "4", "4DE", "3", "2", "1", "0"]),
            (PcpCoding::P6D2, ["7", "6", "4", "4DE", "2", "2DE", "1", "0"]),
            (PcpCoding::P5D3, ["7", "6", "4", "4DE", "2", "2DE", "0", "0DE"]),
        ] {
            for (pcp, text) in (0..8).rev().zip(row) {
                let tag = Priority::of(Pcp::new(pcp).unwrap());
                assert_eq!(coding.decode(tag), priority(text), "{} {pcp}", coding.name());
                let eligible = Priority { dei: true, ..tag };
                assert_eq!(coding.decode(eligible), Priority { dei: true, ..priority(text) });
            }
        }
    }

    #[test]
    fn encoding_is_table_6_2() {
        let columns =
            ["7", "7DE", "6", "6DE", "5", "5DE", "4", "4DE", "3", "3DE", "2", "2DE", "1", "1DE", "0", "0DE"];
        for (coding, row) in [
            (PcpCoding::P8D0, [7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0]),
            (PcpCoding::P7D1, [7, 7, 6, 6, 5, 4, 5, 4, 3, 3, 2, 2, 1, 1, 0, 0]),
            (PcpCoding::P6D2, [7, 7, 6, 6, 5, 4, 5, 4, 3, 2, 3, 2, 1, 1, 0, 0]),
            (PcpCoding::P5D3, [7, 7, 6, 6, 5, 4, 5, 4, 3, 2, 3, 2, 1, 0, 1, 0]),
        ] {
            for (text, pcp) in columns.into_iter().zip(row) {
                let encoded = coding.encode(priority(text));
                assert_eq!(
                    (encoded.pcp.value(), encoded.dei),
                    (pcp, text.ends_with("DE")),
                    "{} {text}",
                    coding.name()
                );
            }
        }
    }
}
