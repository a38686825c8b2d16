//! What can stand for the capital words of commands.

use pollux_net::{MAX_MTU, MAX_WORKERS, Mac, Vid, VidSet};
use serde_json::{Map, Value};

/// What a capital word stands for.
#[derive(Debug)]
pub struct Argument {
    /// How it is written in a command's syntax.
    pub name: &'static str,
    /// What can stand there.
    pub kind: Kind,
    /// The same for people.
    pub about: &'static str,
}

/// What an argument can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A port's name or number.
    Port,
    /// Several of them, with commas between.
    Ports,
    /// The name of something else than a port: a letter, then letters, digits, `_` and `-`.
    Name(Named),
    /// A VLAN.
    Vid,
    /// VLANs, as in `10,20-29`; 0 for what has no tag, where that is one of them.
    Vids,
    /// A MAC address.
    Mac,
    /// A number of this range.
    Number(u64, u64),
    /// Numbers of this range, with commas between.
    Numbers(u64, u64),
    /// Masks of 64 bits, in brackets or not, with commas between.
    Masks,
    /// `CLASS=WEIGHT`, with commas between.
    Weights,
    /// A number and a unit, as in `60s`.
    Quantity,
    /// A path of the machine that the console runs on.
    File,
    /// An inline table of TOML.
    Table,
    /// Any value of TOML; a bare word is text.
    Toml,
    /// Keys with dots between, as TOML has them.
    Keys,
    /// One word.
    Word,
    /// All that is left of the line.
    Rest,
}

/// What names can be names of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// What isn't there yet.
    New,
    /// QoS profiles.
    Profile,
    /// Mirrors.
    Mirror,
    /// Captures.
    Capture,
    /// Kinds of events.
    Event,
}

const fn argument(name: &'static str, kind: Kind, about: &'static str) -> Argument {
    Argument { name, kind, about }
}

/// All arguments.
pub static ARGUMENTS: &[Argument] = &[
    argument("PORT", Kind::Port, "a port's name or number"),
    argument("PORTS", Kind::Ports, "ports, as in vm1,vm2"),
    argument("NAME", Kind::Name(Named::New), "a name: a letter, then letters, digits, _ and -"),
    argument("PROFILE", Kind::Name(Named::Profile), "a QoS profile"),
    argument("MIRROR", Kind::Name(Named::Mirror), "a mirror's name"),
    argument("CAPTURE", Kind::Name(Named::Capture), "a capture's name"),
    argument("KINDS", Kind::Word, "kinds of events, as in link,vm"),
    argument("VID", Kind::Vid, "a VLAN, 1 to 4094"),
    argument("VIDS", Kind::Vids, "VLANs, as in 10,20-29"),
    argument("MAC", Kind::Mac, "a MAC address, as in 02:00:00:00:00:01"),
    argument("QUEUE", Kind::Number(0, MAX_WORKERS as u64 - 1), "a queue's number"),
    argument("QUEUES", Kind::Number(1, MAX_WORKERS as u64), "how many queues"),
    argument("DESCRIPTORS", Kind::Number(64, 4096), "descriptors of a ring, 64 to 4096"),
    argument("MTU", Kind::Number(68, MAX_MTU as u64), "octets of a frame's payload, as in 9000"),
    argument("BURST", Kind::Number(4, 32), "frames of a burst"),
    argument("LEVEL", Kind::Number(0, 3), "0 to 3"),
    argument("SIZE", Kind::Number(1, 65_536), "entries of the redirection table"),
    argument("MASKS", Kind::Masks, "which entries: a mask for each 64 of them, as in 0xff,0x1"),
    argument("HIGH", Kind::Number(0, u32::MAX as u64), "the fill at which the link's other end is paused"),
    argument("LOW", Kind::Number(0, u32::MAX as u64), "the fill at which it may go on"),
    argument("TIME", Kind::Number(0, u16::MAX as u64), "for how long it is paused, in the time of 512 bits"),
    argument("XON", Kind::Number(0, u16::MAX as u64), "1: it is told when it may go on; 0: it isn't"),
    argument("PRIORITY", Kind::Number(0, 7), "a priority, 0 to 7"),
    argument("PCP", Kind::Number(0, 7), "a priority, 0 to 7"),
    argument("PCPS", Kind::Numbers(0, 7), "priorities, as in 1,0,2,3,4,5,6,7"),
    argument("CLASS", Kind::Number(0, 7), "a traffic class, 0 to 7"),
    argument("CLASSES", Kind::Numbers(0, 7), "traffic classes, as in 7,6"),
    argument("COUNT", Kind::Number(1, 8), "how many classes, 1 to 8"),
    argument("WEIGHTS", Kind::Weights, "classes and their weights, as in 5=8,4=4"),
    argument("RATE", Kind::Quantity, "a rate, as in 2Gbit or 500kpps"),
    argument("OCTETS_OR_TIME", Kind::Quantity, "a burst, as in 1MiB or 10ms"),
    argument("BYTES", Kind::Quantity, "octets, as in 256KiB"),
    argument("DURATION", Kind::Quantity, "a time, as in 60s"),
    argument("ETHERTYPE", Kind::Toml, "a tag's EtherType: 0x8100 or 0x88a8"),
    argument("FRAMES", Kind::Number(1, u64::MAX), "a number of frames"),
    argument("OCTETS", Kind::Number(1, u64::MAX), "a number of octets"),
    argument("SECONDS", Kind::Number(1, u64::MAX), "a number of seconds"),
    argument("SNAP", Kind::Number(1, 65_535), "how many octets of each frame"),
    argument("EXPRESSION", Kind::Word, "a pcap filter, as in \"tcp port 80\""),
    argument("FILE", Kind::File, "a file of this machine"),
    argument("DEVICE", Kind::Word, "a PCI address or a DPDK vdev"),
    argument("SOCKET", Kind::File, "the path of a vhost-user socket"),
    argument("TABLE", Kind::Table, "keys and values in braces, as in { mtu = 9000 }"),
    argument("VALUE", Kind::Toml, "a value as the file has it"),
    argument("KEYS", Kind::Keys, "keys of the file, as in ports.vm1.mtu"),
    argument("POOL", Kind::Word, "a pool's name"),
    argument("TOPIC", Kind::Rest, "a section, or how commands begin"),
    argument("ANY", Kind::Word, "any word"),
];

impl Argument {
    /// The argument of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        ARGUMENTS.iter().find(|argument| argument.name == name)
    }

    /// Whether `word` can stand for it.
    ///
    /// # Errors
    ///
    /// Why not, and what could.
    pub fn check(&self, word: &str) -> Result<(), String> {
        let expected = || Err(format!("write {}", self.about));
        let fits = match self.kind {
            Kind::Port => is_port(word),
            Kind::Ports => word.split(',').all(is_port),
            Kind::Name(_) => is_name(word),
            Kind::Vid => word.parse::<Vid>().is_ok(),
            Kind::Vids => vids(word).is_some(),
            Kind::Mac => word.parse::<Mac>().is_ok(),
            Kind::Number(least, most) => {
                let range = || format!("write {}: a number from {least} to {most}", self.about);
                let number: u64 = word.parse().map_err(|_| range())?;
                return if (least..=most).contains(&number) { Ok(()) } else { Err(range()) };
            }
            Kind::Numbers(least, most) => {
                word.split(',').all(|word| word.parse().is_ok_and(|number| (least..=most).contains(&number)))
            }
            Kind::Masks => masks(word).is_some(),
            Kind::Weights => weights(word).is_some(),
            Kind::Quantity => {
                let digits = word.starts_with(|first: char| first.is_ascii_digit());
                digits && word.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'.')
            }
            Kind::Table => {
                let value = toml(word).map_err(|what| format!("{what}; write {}", self.about))?;
                value.is_object()
            }
            Kind::Toml => {
                return toml(word).map(drop).map_err(|what| format!("{what}; write {}", self.about));
            }
            Kind::Keys => keys(word).is_some(),
            Kind::File | Kind::Word | Kind::Rest => !word.is_empty() && !word.contains('\0'),
        };
        if fits { Ok(()) } else { expected() }
    }
}

fn is_name(word: &str) -> bool {
    let first = word.starts_with(|first: char| first.is_ascii_alphabetic());
    first && word.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-'))
}

/// What stands where a port's name could: a port that is called so goes by its number.
const NO_PORTS: &[&str] = &["all", "info", "summary", "stats", "xstats", "cap", "macs", "mtu"];

fn is_port(word: &str) -> bool {
    (is_name(word) && !NO_PORTS.contains(&word)) || word.parse::<u16>().is_ok()
}

/// VLANs in the file's notation.
pub fn vids(text: &str) -> Option<VidSet> {
    let mut set = VidSet::EMPTY;
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || !(first..=last).all(|vid| set.insert(vid)) {
            return None;
        }
    }
    Some(set)
}

/// testpmd's masks: `(0xff,0x1)`.
pub fn masks(text: &str) -> Option<Vec<u64>> {
    let inner = text.strip_prefix('(').map_or(Some(text), |text| text.strip_suffix(')'))?;
    let mask = |mask: &str| match mask.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => mask.parse().ok(),
    };
    inner.split(',').map(mask).collect()
}

/// Weights of classes, as a table of the file.
pub fn weights(text: &str) -> Option<Map<String, Value>> {
    let weight = |pair: &str| {
        let (class, weight) = pair.split_once('=')?;
        let (class, weight): (u8, u16) = (class.parse().ok()?, weight.parse().ok()?);
        (class < 8).then(|| (class.to_string(), weight.into()))
    };
    text.split(',').map(weight).collect()
}

/// A value of TOML. What isn't TOML and is one plain word is text: `gold` for `"gold"`.
///
/// # Errors
///
/// What is wrong with it.
pub fn toml(text: &str) -> Result<Value, String> {
    let not_toml = match toml::from_str::<Map<String, Value>>(&format!("v = {text}")) {
        Ok(mut table) if table.len() == 1 => {
            let value = table.remove("v").unwrap_or_default();
            return if value.is_null() {
                Err("this can't be a value of the file".to_owned())
            } else {
                Ok(value)
            };
        }
        Ok(_) => "more than a value".to_owned(),
        Err(error) => error.message().to_owned(),
    };
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"_-./:@,=+".contains(&octet);
    if !text.is_empty() && text.bytes().all(plain) { Ok(text.into()) } else { Err(not_toml) }
}

/// Keys with dots between, one by one.
pub fn keys(text: &str) -> Option<Vec<String>> {
    let mut table: toml::Table = toml::from_str(&format!("{text} = 0")).ok()?;
    let mut keys = Vec::new();
    loop {
        let mut entries = table.into_iter();
        let (key, value) = entries.next()?;
        keys.push(key);
        match (value, entries.next()) {
            (toml::Value::Table(inner), None) => table = inner,
            (toml::Value::Integer(0), None) => return Some(keys),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_fit_their_arguments() {
        for (name, good, bad) in [
            ("PORT", &["vm1", "0", "a-b_c"][..], &["all", "-1", "", "70000", "a b"][..]),
            ("PORTS", &["vm1,2"], &["vm1,", "all"]),
            ("VID", &["1", "4094"], &["0", "4095", "x"]),
            ("VIDS", &["0,10-12,4094", "1"], &["", "5-4", "1-4095", "1,,2"]),
            ("MAC", &["02:00:00:00:00:01"], &["02:00:00:00:00"]),
            ("PCPS", &["1,0"], &["8", "1,"]),
            ("MASKS", &["0xff,0x1", "(0x3,1)", "18446744073709551615"], &["all", "(1", "0xff,", "0x", "-1"]),
            ("WEIGHTS", &["5=8,4=4"], &["8=1", "5", ""]),
            ("RATE", &["2Gbit", "1.5Mbit"], &["fast", ""]),
            ("TABLE", &["{ a = 1 }", "{}"], &["{ a = }", "7", "[1]"]),
            ("VALUE", &["7", "true", "gold", "[1, 2]", "\"a b\""], &["a b", "{ a = }", "1\nb = 2"]),
            ("KEYS", &["ports.vm1.mtu", "a.\"b c\""], &["", "a..b", "a = 1\nb", "a.{"]),
        ] {
            let argument = Argument::find(name).unwrap();
            for word in good {
                assert_eq!(argument.check(word), Ok(()), "{name} {word}");
            }
            for word in bad {
                assert!(argument.check(word).is_err(), "{name} {word}");
            }
        }
        assert_eq!(Argument::find("MTU").unwrap().check("1").unwrap_err(), {
            format!("write octets of a frame's payload, as in 9000: a number from 68 to {MAX_MTU}")
        });
    }

    #[test]
    fn values_are_the_files() {
        assert_eq!(toml("0x88a8"), Ok(json!(0x88a8)));
        assert_eq!(toml("2Gbit"), Ok(json!("2Gbit")));
        assert_eq!(toml("{ a = [1, 'b'] }"), Ok(json!({ "a": [1, "b"] })));
        assert_eq!(keys("a.\"b.c\".d").unwrap(), ["a", "b.c", "d"]);
        assert_eq!(Value::from(weights("5=8").unwrap()), json!({ "5": 8 }));
    }
}
