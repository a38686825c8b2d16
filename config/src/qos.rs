use pollux_net::{Pcp, TrafficClass, Trust};

use crate::tree::{Key, Node, Table, alike, all};
use crate::units::{self, Dimension};
use crate::{Bytes, limits, port};

/// How ports that name it treat priorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QosProfile {
    /// What the file calls it.
    pub name: String,
    /// The class of each PCP, 0 to 7.
    pub pcp_to_class: [TrafficClass; 8],
    /// The PCP that each class is sent with, 0 to 7.
    pub class_to_pcp: [Pcp; 8],
    /// In which order classes are served.
    pub classes: Classes,
    /// What may come in. `None`: everything.
    pub ingress_rate: Option<RateLimit>,
    /// What may leave. `None`: everything.
    pub egress_rate: Option<RateLimit>,
}

/// How classes share a port. Every class is in one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    /// Served first, in this order, each until it is empty.
    pub strict: Vec<TrafficClass>,
    /// Share what is left in proportion to their weights.
    pub dwrr: Vec<(TrafficClass, u16)>,
}

impl Default for Classes {
    /// Strict priority, the standard's default (IEEE 802.1Q-2022 clause 8.6.8.1).
    fn default() -> Self {
        Self { strict: TrafficClass::descending().collect(), dwrr: Vec::new() }
    }
}

/// A rate and the burst that may exceed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    /// In bits of frames, without preamble and gap.
    Bits {
        /// Bits per second.
        bits_per_second: u64,
        /// What may come at once.
        burst: Bytes,
    },
    /// In frames of any size.
    Packets {
        /// Packets per second.
        packets_per_second: u64,
        /// Packets that may come at once.
        burst_packets: u64,
    },
}

/// The class of each PCP if the profile doesn't say, and the other way round: best effort (0) goes
/// before background (1) (IEEE 802.1Q-2022 table 8-5).
const DEFAULT_MAP: [u8; 8] = [1, 0, 2, 3, 4, 5, 6, 7];

/// What the `qos` key of a port says.
#[derive(Default)]
pub(crate) struct PortQos {
    pub(crate) profile: Option<String>,
    pub(crate) trust: Option<Trust>,
    pub(crate) default_pcp: Option<Pcp>,
}

pub(crate) fn read_port(node: &Node<'_>, profiles: &[String]) -> Option<PortQos> {
    node.table(|table| {
        Some(PortQos {
            profile: table.get("profile", |node| profile_name(node, profiles)),
            trust: table.get("trust", trust),
            default_pcp: table.get("default_pcp", pcp),
        })
    })
}

fn profile_name(node: &Node<'_>, profiles: &[String]) -> Option<String> {
    let text = node.text("write the name of a table under [qos.profiles]")?;
    if profiles.iter().any(|name| name == text) {
        return Some(text.to_owned());
    }
    let cure = match alike(text, profiles.iter().map(String::as_str)) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("add `[qos.profiles.{text}]`"),
    };
    node.refuse("there is no such QoS profile", cure)
}

fn trust(node: &Node<'_>) -> Option<Trust> {
    let choices = [("pcp", Trust::Pcp), ("port", Trust::Port)];
    if node.as_str() == Some("dscp") {
        let cure = "write \"pcp\" for the tag's priority, or \"port\" for the port's";
        return node.refuse("trusting the DSCP is not available in this version", cure);
    }
    node.choice(&choices)
}

fn pcp(node: &Node<'_>) -> Option<Pcp> {
    Pcp::new(node.number(&(0..=7))?)
}

fn class(node: &Node<'_>) -> Option<TrafficClass> {
    TrafficClass::new(node.number(&(0..=7))?)
}

/// A QoS profile's name, and the profile unless it is at fault.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) profile: Option<QosProfile>,
}

/// Reads the `qos` table.
pub(crate) fn read_all(node: &Node<'_>) -> Option<Vec<Entry>> {
    node.table(|table| table.get("profiles", read_profiles))
}

fn read_profiles(node: &Node<'_>) -> Option<Vec<Entry>> {
    let entries = node.entries()?;
    let profiles = entries
        .iter()
        .map(|(name, key, node)| Entry { name: (*name).to_owned(), profile: read_profile(name, key, node) });
    Some(profiles.collect())
}

fn read_profile(name: &str, key: &Key<'_>, node: &Node<'_>) -> Option<QosProfile> {
    let named = port::check_name(name, key, "QoS profile");
    let profile = node.table(|table| {
        let pcp_to_class = table.get("pcp_to_class", |node| map(node, class));
        let class_to_pcp = table.get("class_to_pcp", |node| map(node, pcp));
        let classes = table.get("classes", classes);
        Some(QosProfile {
            name: name.to_owned(),
            pcp_to_class: pcp_to_class.unwrap_or(DEFAULT_MAP.map(TrafficClass::from_low_bits)),
            class_to_pcp: class_to_pcp.unwrap_or(DEFAULT_MAP.map(|pcp| Pcp::new(pcp).unwrap_or_default())),
            classes: classes.unwrap_or_default(),
            ingress_rate: table.get("ingress_rate", rate_limit),
            egress_rate: table.get("egress_rate", rate_limit),
        })
    });
    named.and(profile)
}

/// An array of eight.
fn map<T>(node: &Node<'_>, read: impl Fn(&Node<'_>) -> Option<T>) -> Option<[T; 8]> {
    let cure = "write eight numbers from 0 to 7, the first for 0, as in [1, 0, 2, 3, 4, 5, 6, 7]";
    let items = node.list(cure, read)?;
    let count = items.len();
    let map = items.try_into().ok();
    map.or_else(|| node.refuse(format!("`{}` has {count} entries, not 8", node.path()), cure))
}

fn classes(node: &Node<'_>) -> Option<Classes> {
    node.table(|table| {
        let kind = table.node().path();
        let listed = "this class is listed already";
        let strict = |node: &Node<'_>| {
            node.list("write a list of classes, as in [7, 6]", |item| {
                let class = class(item)?;
                item.unique(kind, class, listed)?;
                Some(class)
            })
        };
        let dwrr = |node: &Node<'_>| {
            let entries = node.entries()?;
            all(entries.iter().map(|(name, key, node)| {
                let class = class_named(name, key);
                let weight = node.number(&limits::DWRR_WEIGHT);
                key.unique(kind, class?, listed)?;
                Some((class?, weight?))
            }))
        };
        // An absent key is an empty list; one at fault says nothing of what is missing.
        let strict = read_or_empty(table, "strict", strict);
        let dwrr = read_or_empty(table, "dwrr", dwrr);
        let classes = Classes { strict: strict?, dwrr: dwrr? };
        refuse_missing(table.node(), &classes)?;
        Some(classes)
    })
}

fn read_or_empty<T>(
    table: &Table<'_>,
    key: &'static str,
    read: impl FnOnce(&Node<'_>) -> Option<Vec<T>>,
) -> Option<Vec<T>> {
    match table.find(key) {
        Some(node) => read(&node),
        None => Some(Vec::new()),
    }
}

fn class_named(name: &str, key: &Key<'_>) -> Option<TrafficClass> {
    let class = match name.as_bytes() {
        [digit @ b'0'..=b'7'] => TrafficClass::new(digit - b'0'),
        _ => None,
    };
    class.or_else(|| key.refuse("this is no traffic class", "write a number from 0 to 7"))
}

fn refuse_missing(node: &Node<'_>, classes: &Classes) -> Option<()> {
    let listed = |class: &TrafficClass| {
        classes.strict.contains(class) || classes.dwrr.iter().any(|(listed, _)| listed == class)
    };
    let missing: Vec<_> = TrafficClass::descending().filter(|class| !listed(class)).collect();
    if missing.is_empty() {
        return Some(());
    }
    let numbers: Vec<_> = missing.iter().map(ToString::to_string).collect();
    let what = format!("`{}` leaves classes out", node.path());
    node.refuse(what, format!("add {} to `strict` or, with a weight, to `dwrr`", numbers.join(", ")))
}

fn rate_limit(node: &Node<'_>) -> Option<RateLimit> {
    node.table(|table| {
        let cure = "add `rate`, as in `rate = \"2Gbit\"` or `rate = \"500kpps\"`";
        let rate = table.require("rate", cure, rate);
        let cure = "add `burst`, as in `burst = \"1MiB\"` or `burst = \"10ms\"`";
        table.require("burst", cure, |node| {
            let burst = units::quantity(node, &[Dimension::Octets, Dimension::Time], "1MiB");
            rate_and_burst(node, rate?, burst?)
        })
    })
}

fn rate(node: &Node<'_>) -> Option<(Dimension, u64)> {
    let (dimension, rate) = units::quantity(node, &[Dimension::BitRate, Dimension::PacketRate], "2Gbit")?;
    let range = match dimension {
        Dimension::PacketRate => limits::PACKET_RATE,
        _ => limits::BIT_RATE,
    };
    units::check_range(node, dimension, rate, &range)?;
    Some((dimension, rate))
}

/// Both together: a burst in time is what the rate lets through in it.
fn rate_and_burst(
    node: &Node<'_>,
    (rated, rate): (Dimension, u64),
    (measured, burst): (Dimension, u64),
) -> Option<RateLimit> {
    const NANOS: u128 = 1_000_000_000;
    let within = |time: u64| u128::from(rate) * u128::from(time) / NANOS;
    match (rated, measured) {
        (Dimension::PacketRate, Dimension::Time) => {
            let range = limits::BURST_PACKETS;
            let packets = u64::try_from(within(burst)).ok().filter(|packets| range.contains(packets));
            let Some(burst_packets) = packets else {
                let what = format!("`{}` is {} packets at this rate", node.path(), within(burst));
                return node.refuse(
                    what,
                    format!("write a time in which {} to {} pass", range.start(), range.end()),
                );
            };
            Some(RateLimit::Packets { packets_per_second: rate, burst_packets })
        }
        (Dimension::PacketRate, _) => {
            let what = format!("`{}` is a size, but the rate counts packets", node.path());
            node.refuse(what, "write a time, as in \"10ms\"")
        }
        (_, Dimension::Time) => {
            let range = limits::BURST;
            let bytes = u64::try_from(within(burst) / 8).ok().map(Bytes::new);
            let Some(burst) = bytes.filter(|bytes| range.contains(bytes)) else {
                let what = format!("`{}` is {} octets at this rate", node.path(), within(burst) / 8);
                return node.refuse(
                    what,
                    format!("write a time in which {} to {} pass", range.start(), range.end()),
                );
            };
            Some(RateLimit::Bits { bits_per_second: rate, burst })
        }
        _ => {
            let range = limits::BURST.start().get()..=limits::BURST.end().get();
            let burst = units::check_range(node, Dimension::Octets, burst, &range)?;
            Some(RateLimit::Bits { bits_per_second: rate, burst: Bytes::new(burst) })
        }
    }
}
