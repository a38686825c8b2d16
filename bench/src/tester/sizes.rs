//! Sizes of frames: in a round, as text.

use std::fmt;
use std::str::FromStr;

use super::protocol::Sizes;

/// Octets of the frame check sequence, which counts in the size by which frames are called and lies in no memory.
pub(crate) const FCS_LEN: u16 = 4;

/// The smallest frame there is, and the largest that is sent.
pub(crate) const SMALLEST: u16 = 64;
pub(crate) const LARGEST: u16 = 16_000;

/// Frames in a round, at most.
const ROUND: usize = 4096;

const IMIX: [(u16, u16); 3] = [(64, 7), (594, 4), (1518, 1)];

impl Sizes {
    fn parts(&self) -> Vec<(u16, u16)> {
        match self {
            Self::Only(size) => vec![(*size, 1)],
            Self::Imix => IMIX.to_vec(),
            Self::Mix(parts) => parts.clone(),
        }
    }

    /// The octets of frames in memory, without check sequence, in an order that is repeated: each size at even
    /// distances.
    pub(crate) fn lens_in_memory(&self) -> Vec<u16> {
        let mut places: Vec<_> = self
            .parts()
            .iter()
            .flat_map(|&(size, count)| {
                let place = move |n| (2 * u32::from(n) + 1) * 100_000 / u32::from(count);
                (0..count).map(move |n| (place(n), size))
            })
            .collect();
        places.sort_unstable();
        places.into_iter().map(|(_, size)| size.saturating_sub(FCS_LEN)).collect()
    }

    /// The mean size, with the check sequence.
    pub(crate) fn mean(&self) -> f64 {
        let parts = self.parts();
        let sum = |of: fn(&(u16, u16)) -> f64| parts.iter().map(of).sum::<f64>();
        let frames = sum(|part| f64::from(part.1));
        match frames > 0.0 {
            true => sum(|part| f64::from(part.0) * f64::from(part.1)) / frames,
            false => 0.0,
        }
    }

    /// The largest size, with the check sequence.
    pub(crate) fn largest(&self) -> u16 {
        self.parts().iter().map(|part| part.0).max().unwrap_or_default()
    }

    /// As in names of measurements: `64B`, `imix`, `64B7-594B4`.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Only(size) => format!("{size}B"),
            Self::Imix => "imix".to_owned(),
            Self::Mix(parts) => {
                parts.iter().map(|(size, count)| format!("{size}B{count}")).collect::<Vec<_>>().join("-")
            }
        }
    }

    /// Why there are no such frames.
    pub(crate) fn fault(&self) -> Option<String> {
        let parts = self.parts();
        let frames: usize = parts.iter().map(|part| usize::from(part.1)).sum();
        if let Some((size, _)) = parts.iter().find(|(size, _)| !(SMALLEST..=LARGEST).contains(size)) {
            return Some(format!("frames of {size} octets: {SMALLEST} to {LARGEST} are possible"));
        }
        match frames {
            1..=ROUND if parts.iter().all(|part| part.1 > 0) => None,
            1..=ROUND => Some("a size that never comes: leave it out".to_owned()),
            _ => Some(format!("{frames} frames in a round of sizes: 1 to {ROUND} are possible")),
        }
    }
}

impl fmt::Display for Sizes {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(size) => write!(f, "{size}B"),
            Self::Imix => f.write_str("imix"),
            Self::Mix(parts) => {
                let parts: Vec<_> = parts.iter().map(|(size, count)| format!("{size}:{count}")).collect();
                f.write_str(&parts.join(","))
            }
        }
    }
}

impl FromStr for Sizes {
    type Err = String;

    /// `64`, `64B`, `imix`, or `64:7,594:4`.
    fn from_str(text: &str) -> Result<Self, String> {
        let size = |text: &str| -> Result<u16, String> {
            let digits = text.strip_suffix(['B', 'b']).unwrap_or(text);
            digits.parse().map_err(|_| format!("`{text}` is no size: it is 64, imix, or 64:7,594:4"))
        };
        let part = |text: &str| -> Result<(u16, u16), String> {
            let (of, count) = text.split_once(':').unwrap_or((text, "1"));
            let count = count.parse().map_err(|_| format!("`{count}` isn't how often a size comes"))?;
            Ok((size(of)?, count))
        };
        let sizes = match text {
            "imix" | "IMIX" => Self::Imix,
            _ if text.contains([',', ':']) => Self::Mix(text.split(',').map(part).collect::<Result<_, _>>()?),
            _ => Self::Only(size(text)?),
        };
        sizes.fault().map_or(Ok(sizes), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_has_its_parts_and_spreads_them() {
        let lens = Sizes::Imix.lens_in_memory();
        let count = |len| lens.iter().filter(|l| **l == len).count();
        assert_eq!((lens.len(), count(60), count(590), count(1514)), (12, 7, 4, 1));
        assert!(!lens.windows(2).any(|pair| pair == [590, 590]), "{lens:?}");
        assert_eq!(Sizes::Only(64).lens_in_memory(), [60]);
        let mean = (7.0 * 64.0 + 4.0 * 594.0 + 1518.0) / 12.0;
        assert!((Sizes::Imix.mean() - mean).abs() < 1e-9);
        assert_eq!(Sizes::Imix.largest(), 1518);
    }

    #[test]
    fn sizes_are_read_and_called_as_people_do() {
        let parse = |text: &str| text.parse::<Sizes>();
        assert_eq!(parse("64"), Ok(Sizes::Only(64)));
        assert_eq!(parse("1518B"), Ok(Sizes::Only(1518)));
        assert_eq!(parse("imix"), Ok(Sizes::Imix));
        let mix = parse("64:7,594:4,1518").unwrap();
        assert_eq!(mix, Sizes::Mix(vec![(64, 7), (594, 4), (1518, 1)]));
        assert_eq!(mix.label(), "64B7-594B4-1518B1");
        for sizes in [&mix, &Sizes::Only(1518), &Sizes::Imix] {
            assert_eq!(parse(&sizes.to_string()).as_ref(), Ok(sizes));
        }
        assert_eq!([Sizes::Only(64).label(), Sizes::Imix.label()], ["64B", "imix"]);
        for text in ["", "63", "16001", "64:0", "a", "64:", "64:7,", "64:5000", "-64"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_mean_is_over_a_round() {
        assert_eq!(Sizes::Only(1518).mean(), 1518.0);
        assert_eq!(Sizes::Mix(vec![(64, 1), (128, 3)]).mean(), 112.0);
        assert!((Sizes::Imix.mean() - 361.83).abs() < 0.01);
    }
}
