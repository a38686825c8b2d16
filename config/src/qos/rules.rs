use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use pollux_net::{FlowMatch, Mac, MacMatch, Tpid, TrafficClass, Vid};

use super::classes::ClassCount;
use super::maps;
use super::rates::{self, Policer};
use crate::tree::{Node, Table, all, alternatives};
use crate::{limits, port};

/// What happens to frames of some kind. It has a class, a policer or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What the file calls it; no other rule of the profile has it.
    pub name: String,
    /// Which frames it is about; never all.
    pub matches: FlowMatch,
    /// The class that they get. `None`: that of their priority.
    pub class: Option<TrafficClass>,
    /// What of them may come in. `None`: everything.
    pub policer: Option<Policer>,
}

const PROTOCOLS: [(&str, u8); 8] = [
    ("tcp", 6),
    ("udp", 17),
    ("icmp", 1),
    ("icmpv6", 58),
    ("sctp", 132),
    ("igmp", 2),
    ("gre", 47),
    ("esp", 50),
];

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ETHERTYPES: [(&str, u16); 3] = [("ipv4", IPV4), ("ipv6", IPV6), ("arp", 0x0806)];

/// A profile's rules, the first that fits first.
pub(super) fn read(node: &Node<'_>, count: ClassCount) -> Option<Vec<Rule>> {
    let path = node.path();
    let rules = node.items(&format!("write `[[{path}]]` and its keys below, once for each rule"))?;
    if let Some(surplus) = rules.get(limits::MAX_RULES) {
        let what = format!("`{path}` has {} rules", rules.len());
        let cure = format!("keep {}: remove this one and those below", limits::MAX_RULES);
        return surplus.refuse(what, cure);
    }
    all(rules.iter().map(|node| rule(node, path, count)))
}

fn rule(node: &Node<'_>, kind: &str, count: ClassCount) -> Option<Rule> {
    node.table(|table| {
        let name = table.require("name", "add the rule's name, as in `name = \"bulk\"`", |node| {
            let name = node.text("write a name, as in \"bulk\"")?;
            port::check_name(name, &node.as_key(), "rule")?;
            node.unique(kind, name, "another rule has this name")?;
            Some(name.to_owned())
        });
        let cure = "add which frames it is about, as in `match = { vid = 10 }`";
        let matches = table.require("match", cure, flow_match);
        let class = table.get("class", |node| count.class(node));
        let policer = table.get("rate", rates::policer);
        if table.find("class").is_none() && table.find("rate").is_none() {
            let what = format!("`{}` does nothing", node.path());
            let cure = "add `class`, the class of its frames, or `rate`, what of them may come in";
            return table.refuse_lack(&["class", "rate"], what, cure);
        }
        Some(Rule { name: name?, matches: matches?, class, policer })
    })
}

fn flow_match(node: &Node<'_>) -> Option<FlowMatch> {
    node.table(|table| {
        if table.is_empty() {
            let what = format!("`{}` is empty: every frame fits", node.path());
            let cure = "name what it is about, as in `vid = 10`, or use the profile's `ingress_rate`";
            return node.refuse(what, cure);
        }
        let port = |node: &Node<'_>| node.range(&(0..=u16::MAX), "ports", "6881-6889");
        let matches = FlowMatch {
            source_mac: table.get("source_mac", mac),
            destination_mac: table.get("destination_mac", mac),
            vid: table
                .get("vid", |node| node.range(&(Vid::MIN.value()..=Vid::MAX.value()), "VLANs", "100-199")),
            ethertype: table.get("ethertype", ethertype),
            source: table.get("source", network),
            destination: table.get("destination", network),
            protocol: table.get("protocol", |node| number_or_word(node, &(1..=255), &PROTOCOLS)),
            source_port: table.get("source_port", port),
            destination_port: table.get("destination_port", port),
            dscp: table.get("dscp", maps::dscps),
        };
        refuse_contradictions(table, &matches);
        Some(matches)
    })
}

/// Refuses what no frame fits.
fn refuse_contradictions(table: &Table<'_>, matches: &FlowMatch) {
    let refuse = |key, what: &str, cure: &str| {
        table.get(key, |node| node.refuse::<()>(what, cure));
    };
    let version = |network: IpNet| if network.addr().is_ipv4() { IPV4 } else { IPV6 };
    let versions = (matches.source.map(version), matches.destination.map(version));
    if let (Some(source), Some(destination)) = versions
        && source != destination
    {
        let what = "`source` and `destination` are not of one IP version";
        refuse("destination", what, "write networks of one version, in a rule for each");
        return;
    }
    let Some(ethertype) = matches.ethertype else { return };
    if versions.0.or(versions.1).is_some_and(|version| version != ethertype) {
        let what = "no frame of this EtherType has an address in the rule's networks";
        refuse("ethertype", what, "remove it: the networks say which IP it is");
    } else if matches.flags() != 0 && ethertype != IPV4 && ethertype != IPV6 {
        let what = "frames of this EtherType have no IP header, which the rule looks into";
        refuse("ethertype", what, "write \"ipv4\" or \"ipv6\", or leave it out for both");
    }
}

fn mac(node: &Node<'_>) -> Option<MacMatch> {
    let cure = "write an address, as in \"02:00:00:00:00:01\", or with the bits that count, as in \
                \"02:00:00:00:00:00/ff:ff:ff:00:00:00\"";
    let text = node.text(cure)?;
    let (mac, mask) = text.split_once('/').map_or((text, None), |(mac, mask)| (mac, Some(mask)));
    let mask = mask.map_or(Ok(Mac::BROADCAST), str::parse);
    let (Ok(mac), Ok(mask)) = (mac.parse::<Mac>(), mask) else {
        return node.refuse(format!("`{}` is not a MAC address", node.path()), cure);
    };
    if mask.is_zero() {
        return node.refuse("no bit of this address counts: every address fits", "leave the key out");
    }
    Some(MacMatch { mac: Mac::from_u64(mac.as_u64() & mask.as_u64()), mask })
}

fn ethertype(node: &Node<'_>) -> Option<u16> {
    let ethertype = number_or_word(node, &limits::ETHERTYPE, &ETHERTYPES)?;
    if Tpid::from_ethertype(ethertype).is_none() {
        return Some(ethertype);
    }
    let what = format!("`{}` introduces a VLAN tag, behind which rules look", node.path());
    node.refuse(what, "write what follows the tags, or match `vid`")
}

/// An IP network, or a single address.
fn network(node: &Node<'_>) -> Option<IpNet> {
    let cure = "write a network, as in \"10.0.0.0/8\" or \"2001:db8::/32\", or an address";
    let text = node.text(cure)?;
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let Some(network) = text.parse().ok().or_else(address) else {
        return node.refuse(format!("`{}` is no IP network", node.path()), cure);
    };
    let truncated = network.trunc();
    if truncated == network {
        return Some(network);
    }
    let what = format!("`{}` has bits set behind its prefix", node.path());
    node.refuse(what, format!("write \"{truncated}\""))
}

/// A number in a range, or a word for one.
fn number_or_word<T>(node: &Node<'_>, range: &RangeInclusive<T>, words: &[(&str, T)]) -> Option<T>
where
    T: Copy + Display + PartialOrd + TryFrom<i128>,
{
    let Some(text) = node.as_str() else { return node.number(range) };
    let named = words.iter().find(|(word, _)| *word == text);
    named.map(|(_, number)| *number).or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let cure = format!("write a number or {}", alternatives(&words));
        node.refuse(format!("`{}` has no such value", node.path()), cure)
    })
}
