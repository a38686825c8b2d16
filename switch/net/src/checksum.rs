/// The Internet checksum (RFC 1071) of octets that come in pieces, of any length each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum {
    /// A sum of 16-bit words in this machine's order of octets, which RFC 1071 shows to be as good as any,
    /// with its carries still in the upper bits.
    sum: u64,
    /// Whether an odd number of octets came so far.
    odd: bool,
}

impl Checksum {
    /// Of no octets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the octets that come next.
    #[inline]
    pub fn add(&mut self, octets: &[u8]) {
        let (words, rest) = octets.as_chunks::<4>();
        let mut sum: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        sum += u64::from(u32::from_ne_bytes(last));
        let folded = fold(sum);
        self.sum += u64::from(if self.odd { folded.swap_bytes() } else { folded });
        self.odd ^= octets.len() % 2 == 1;
    }

    /// The checksum as it stands in a header: the complement of the sum.
    #[inline]
    pub fn finish(self) -> [u8; 2] {
        (!fold(self.sum)).to_ne_bytes()
    }
}

/// Adds the carries until none is left.
#[inline]
fn fold(sum: u64) -> u16 {
    let mut sum = (sum >> 32) + (sum & 0xffff_ffff);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Word by word, as RFC 1071 describes it first.
    fn naive(octets: &[u8]) -> [u8; 2] {
        let mut sum = 0u32;
        for pair in octets.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    }

    #[test]
    fn the_rfcs_own_example() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        let mut checksum = Checksum::new();
        checksum.add(&octets);
        assert_eq!(checksum.finish(), [!0xdd, !0xf2]);
        // With its checksum behind it, the sum of anything is all ones.
        checksum.add(&checksum.finish());
        assert_eq!(checksum.finish(), [0, 0]);
    }

    #[test]
    fn pieces_make_no_difference() {
        let octets: Vec<u8> = (0..70_001u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
        for len in [0, 1, 2, 3, 4, 5, 63, 64, 65, 1447, 65_535, 70_001] {
            let whole = &octets[..len];
            for step in [1, 2, 3, 7, 64, 1448, 2048, 70_001] {
                let mut checksum = Checksum::new();
                whole.chunks(step).for_each(|piece| checksum.add(piece));
                assert_eq!(checksum.finish(), naive(whole), "{len} octets by {step}");
            }
        }
        let mut all_ones = Checksum::new();
        all_ones.add(&[0xff; 70_000]);
        assert_eq!(all_ones.finish(), [0, 0]);
    }
}
