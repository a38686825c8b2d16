//! Names of measurements: what has the same name can be compared.
//!
//! ```text
//! 64B-1c-vhost-vhost-l2-1kmac-ndr
//! size-cores-topology-function-stations-test
//! ```

use std::fmt;
use std::str::FromStr;

use crate::tester::protocol::Sizes;

/// A name in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) sizes: Sizes,
    /// CPUs that poll for the system.
    pub(crate) cores: u32,
    /// What frames go through, from port to port: `vhost-vhost`, `veth-veth`, `vhost-vm-vhost`.
    pub(crate) topology: String,
    pub(crate) function: Function,
    /// Pairs of stations of each stream.
    pub(crate) flows: u32,
    /// The test's id.
    pub(crate) test: String,
}

/// What the system does with frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// Forwards by addresses.
    L2,
    /// The same, in VLANs with tags.
    L2Vlan,
    /// The same, by priorities.
    L2Qos,
}

const FUNCTIONS: [(&str, Function); 3] =
    [("l2", Function::L2), ("l2vlan", Function::L2Vlan), ("l2qos", Function::L2Qos)];

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = FUNCTIONS.iter().find(|(_, function)| function == self).map_or("l2", |(word, _)| word);
        f.write_str(word)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sizes, cores, topology, function, flows, test } = self;
        write!(f, "{}-{cores}c-{topology}-{function}-{}-{test}", sizes.label(), stations(*flows))
    }
}

/// A number of stations as names have it: `1mac`, `10kmac`.
pub(crate) fn stations(flows: u32) -> String {
    match flows {
        1000.. if flows.is_multiple_of(1000) => format!("{}kmac", flows / 1000),
        _ => format!("{flows}mac"),
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let missing =
            |what: &str| format!("`{text}` has no {what}: a name is like 64B-1c-vhost-vhost-l2-1kmac-ndr");
        let words: Vec<&str> = text.split('-').collect();
        let at = |what: &str, from: usize, is_it: &dyn Fn(&str) -> bool| {
            let found = words.iter().skip(from).position(|word| is_it(word)).map(|index| from + index);
            found.filter(|index| *index > from || from == 0).ok_or_else(|| missing(what))
        };
        // A mix of sizes has dashes of its own, as the topology and the test.
        let cores = at("number of cores", 0, &|word| parse_cores(word).is_some())?;
        let function = at("function", cores + 1, &|word| parse_function(word).is_some())?;
        let stations = words.get(function + 1).and_then(|word| parse_stations(word));
        let test = words.get(function + 2..).filter(|words| words.iter().all(|word| !word.is_empty()));
        Ok(Self {
            sizes: parse_sizes(&words[..cores])?,
            cores: parse_cores(words[cores]).ok_or_else(|| missing("number of cores"))?,
            topology: words[cores + 1..function].join("-"),
            function: parse_function(words[function]).ok_or_else(|| missing("function"))?,
            flows: stations.ok_or_else(|| missing("number of stations"))?,
            test: test.filter(|words| !words.is_empty()).ok_or_else(|| missing("test"))?.join("-"),
        })
    }
}

fn parse_cores(word: &str) -> Option<u32> {
    word.strip_suffix('c')?.parse().ok()
}

fn parse_function(word: &str) -> Option<Function> {
    FUNCTIONS.iter().find(|(name, _)| *name == word).map(|(_, function)| *function)
}

fn parse_stations(word: &str) -> Option<u32> {
    let number = word.strip_suffix("mac")?;
    match number.strip_suffix('k') {
        Some(thousands) => thousands.parse::<u32>().ok()?.checked_mul(1000),
        None => number.parse().ok(),
    }
}

/// `64B`, `imix`, or a mix: `64B7`, `594B4`.
fn parse_sizes(words: &[&str]) -> Result<Sizes, String> {
    let part = |word: &str| match word.split_once('B') {
        Some((size, "")) if words.len() == 1 => size.to_owned(),
        Some((size, count)) => format!("{size}:{count}"),
        None => word.to_owned(),
    };
    words.iter().map(|word| part(word)).collect::<Vec<_>>().join(",").parse()
}

/// Whether a name is one that a pattern means, in which `*` stands for any characters, and `?` for one.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut in_name) = (0, 0);
    // Where to go on with one character more for the last star.
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, in_name));
                at += 1;
            }
            Some(b'?') => (at, in_name) = (at + 1, in_name + 1),
            Some(octet) if *octet == name[in_name] => (at, in_name) = (at + 1, in_name + 1),
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (at, in_name) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|octet| *octet == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_written_and_read() {
        let name = Name {
            sizes: Sizes::Only(64),
            cores: 1,
            topology: "vhost-vhost".to_owned(),
            function: Function::L2,
            flows: 1000,
            test: "ndr".to_owned(),
        };
        assert_eq!(name.to_string(), "64B-1c-vhost-vhost-l2-1kmac-ndr");
        assert_eq!("64B-1c-vhost-vhost-l2-1kmac-ndr".parse(), Ok(name));
        let name: Name = "imix-2c-vhost-vm-vhost-l2vlan-1mac-back-to-back".parse().unwrap();
        assert_eq!((name.sizes, name.cores), (Sizes::Imix, 2));
        assert_eq!((name.topology.as_str(), name.test.as_str()), ("vhost-vm-vhost", "back-to-back"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |text: &str| text.parse::<Name>().unwrap_err();
        assert!(missing("").contains("cores"));
        assert!(missing("64B-vhost-vhost-l2-1mac-ndr").contains("cores"));
        assert!(missing("64B-1c-vhost-vhost-1mac-ndr").contains("function"));
        assert!(missing("64B-1c-l2-1mac-ndr").contains("function"));
        assert!(missing("64B-1c-vhost-vhost-l2-ndr").contains("stations"));
        assert!(missing("64B-1c-vhost-vhost-l2-1mac").contains("test"));
        assert!(missing("64B-1c-vhost-vhost-l2-1mac-").contains("test"));
        assert!(missing("7B-1c-vhost-vhost-l2-1mac-ndr").contains("7 octets"));
        assert!(missing("64B-1c-vhost-vhost-l2-9999999kmac-ndr").contains("stations"));
    }

    #[test]
    fn patterns_choose_names() {
        let name = "64B-1c-vhost-vhost-l2-1mac-ndr";
        for pattern in ["*", "64B-*", "*-ndr", "64B-*-ndr", "*vhost*", "64B-?c-*", name, "**ndr*"] {
            assert!(matches(pattern, name), "{pattern}");
        }
        for pattern in ["", "ndr", "128B-*", "*-ndr-", "64B-??c-*", "*x*", "64B-1c"] {
            assert!(!matches(pattern, name), "{pattern}");
        }
        assert!(matches("", "") && matches("*", "") && !matches("?", ""));
    }

    prop_compose! {
        fn any_sizes()(kind in 0..3, size in 64u16..=9216, other in 64u16..=1518, count in 1u16..9) -> Sizes {
            match kind {
                0 => Sizes::Only(size),
                1 => Sizes::Imix,
                _ => Sizes::Mix(vec![(size, count), (other, 1)]),
            }
        }
    }

    proptest! {
        #[test]
        fn a_name_comes_back_as_it_was(
            sizes in any_sizes(),
            cores in 1..=64u32,
            topology in "(phy|vhost|veth)(-vm){0,3}-(phy|vhost|veth)",
            function in 0..3usize,
            flows in 1..=2_000_000u32,
            test in "[a-z]{2,8}(-[a-z]{2,4}){0,2}",
        ) {
            let name = Name { sizes, cores, topology, function: FUNCTIONS[function].1, flows, test };
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }

        #[test]
        fn no_text_is_too_odd_to_refuse(text in ".*") {
            if let Ok(name) = text.parse::<Name>() {
                prop_assert_eq!(name.to_string().parse(), Ok(name));
            }
        }

        #[test]
        fn what_stands_for_a_part_matches_it(
            text in "[a-c-]{0,12}",
            from in 0..12usize,
            len in 0..12usize,
        ) {
            let from = from.min(text.len());
            let end = (from + len).min(text.len());
            let starred = format!("{}*{}", &text[..from], &text[end..]);
            prop_assert!(matches(&starred, &text), "{} {}", starred, text);
            let dots = format!("{}{}{}", &text[..from], "?".repeat(end - from), &text[end..]);
            prop_assert!(matches(&dots, &text));
        }
    }
}
