//! QoS profiles, as the switch's file has them.

use std::fmt;

use serde::Serialize;

/// A profile: the default maps, in which priority 1 is class 0, 0 is class 1, and every other its own.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    /// What `classes` says.
    pub(crate) classes: String,
    pub(crate) ingress_rate: Option<Limit>,
    pub(crate) egress_rate: Option<Limit>,
}

/// A rate in bits a second, and what may exceed it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Limit {
    pub(crate) rate: f64,
    /// In octets.
    pub(crate) burst: u64,
}

/// All classes by strict priority.
pub(crate) const STRICT: &str = "{ strict = [7, 6, 5, 4, 3, 2, 1, 0] }";

/// What the default map calls a class.
pub(crate) const fn pcp_of(class: u8) -> u8 {
    match class {
        0 => 1,
        1 => 0,
        other => other,
    }
}

impl Profile {
    /// Strict priorities, and no rates.
    pub(crate) fn strict(name: &'static str) -> Self {
        Self { name, classes: STRICT.to_owned(), ingress_rate: None, egress_rate: None }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n[qos.profiles.{}]", self.name)?;
        writeln!(f, "pcp_to_class = [1, 0, 2, 3, 4, 5, 6, 7]")?;
        writeln!(f, "class_to_pcp = [1, 0, 2, 3, 4, 5, 6, 7]")?;
        writeln!(f, "classes = {}", self.classes)?;
        for (key, limit) in [("ingress_rate", self.ingress_rate), ("egress_rate", self.egress_rate)] {
            if let Some(Limit { rate, burst }) = limit {
                writeln!(f, "{key} = {{ rate = \"{rate:.0}bit\", burst = \"{burst}B\" }}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_written_as_the_file_has_it() {
        let limit = Limit { rate: 5e9, burst: 1 << 20 };
        let text = Profile { egress_rate: Some(limit), ..Profile::strict("p") }.to_string();
        assert!(text.contains("[qos.profiles.p]"), "{text}");
        assert!(text.contains("egress_rate = { rate = \"5000000000bit\", burst = \"1048576B\" }"), "{text}");
        assert!(!text.contains("ingress_rate"), "{text}");
        assert_eq!([0, 1, 2, 7].map(pcp_of), [1, 0, 2, 7]);
    }
}
