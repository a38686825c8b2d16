//! Names in filters, which libpcap would look up: those of hosts and networks, with whoever the host asks for
//! them, for as long as that takes.

use std::net::Ipv6Addr;

/// The first word of `expression` that libpcap would take for the name of a host or a network. Names of ports
/// and protocols are none: they stand in files.
pub(crate) fn looked_up(expression: &str) -> Option<&str> {
    let (mut rest, mut names_are_local, mut before) = (expression, false, "");
    while let Some(first) = rest.chars().next() {
        let Some((word, escaped)) = word(rest) else {
            rest = &rest[first.len_utf8()..];
            continue;
        };
        rest = &rest[word.len()..];
        if !escaped && KEYWORDS.contains(&word) {
            match word {
                // What was said to the left of these holds to the right of them too.
                "and" | "or" | "not" => {}
                _ => names_are_local = matches!(word, "port" | "portrange" | "proto" | "protochain"),
            }
        } else if !(is_number(word) || names_are_local || before == "llc") {
            return Some(word);
        }
        before = word;
    }
    None
}

/// The word that `text` begins with, as libpcap's scanner has them, and whether a backslash makes it a name.
fn word(text: &str) -> Option<(&str, bool)> {
    if let Some(name) = text.strip_prefix('\\') {
        let end = name.find([' ', '!', '(', ')', '\n', '\t']).unwrap_or(name.len());
        return Some((&text[..=end], true));
    }
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let run = |inside: &dyn Fn(char) -> bool| &text[..text.find(|c| !inside(c)).unwrap_or(text.len())];
    let with_colons = run(&|c| inside(c) || c == ':');
    if is_address(with_colons) {
        return Some((with_colons, false));
    }
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    starts.then(|| (run(&inside).trim_end_matches(['-', '_']), false))
}

/// Whether it is a number, or an address of some kind.
fn is_number(word: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_digit());
    let hexadecimal = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    hexadecimal.is_some_and(|digits| is_hexadecimal(digits, digits.len()))
        || (word.split('.').count() <= 4 && word.split('.').all(digits))
        || is_address(word)
}

/// Whether it is an IPv6 address, or a MAC address in one of libpcap's forms.
fn is_address(word: &str) -> bool {
    let parts = |separator: char, count: usize, most: usize| {
        word.split(separator).count() == count && word.split(separator).all(|part| is_hexadecimal(part, most))
    };
    let is_mac = [':', '-', '.'].into_iter().any(|separator| parts(separator, 6, 2)) || parts('.', 3, 4);
    is_mac || word.parse::<Ipv6Addr>().is_ok()
}

fn is_hexadecimal(part: &str, most: usize) -> bool {
    (1..=most).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_hexdigit())
}

/// The language's words, as far as they mean something for Ethernet frames.
#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "dst", "src", "link", "ether", "arp", "rarp", "ip", "sctp", "tcp", "udp", "icmp", "igmp", "igrp", "pim",
    "vrrp", "carp", "ip6", "icmp6", "ah", "esp", "atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl",
    "iso", "esis", "es-is", "isis", "is-is", "l1", "l2", "iih", "lsp", "snp", "csnp", "psnp", "clnp", "stp",
    "ipx", "netbeui", "host", "net", "mask", "port", "portrange", "proto", "protochain", "gateway", "less",
    "greater", "byte", "broadcast", "multicast", "and", "or", "not", "len", "length", "inbound", "outbound",
    "vlan", "mpls", "pppoed", "pppoes", "llc", "icmptype", "icmpcode", "icmp6type", "icmp6code", "tcpflags",
    "tcp-fin", "tcp-syn", "tcp-rst", "tcp-push", "tcp-ack", "tcp-urg", "tcp-ece", "tcp-cwr",
    "icmp-echoreply", "icmp-unreach", "icmp-sourcequench", "icmp-redirect", "icmp-echo",
    "icmp-routeradvert", "icmp-routersolicit", "icmp-timxceed", "icmp-paramprob", "icmp-tstamp",
    "icmp-tstampreply", "icmp-ireq", "icmp-ireqreply", "icmp-maskreq", "icmp-maskreply", "icmp6-echo",
    "icmp6-echoreply", "icmp6-destinationunreach", "icmp6-packettoobig", "icmp6-timeexceeded",
    "icmp6-parameterproblem", "icmp6-routersolicit", "icmp6-routeradvert", "icmp6-neighborsolicit",
    "icmp6-neighboradvert", "icmp6-redirect", "icmp6-multicastlistenerquery",
    "icmp6-multicastlistenerreportv1", "icmp6-multicastlistenerreportv2", "icmp6-multicastlistenerdone",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_and_networks_are_found() {
        for (expression, name) in [
            ("host example.org", "example.org"),
            ("host 10.0.0.1 or example.org", "example.org"),
            ("src example", "example"),
            ("tcp and dst net intranet", "intranet"),
            ("ether host gateway1", "gateway1"),
            ("gateway router", "router"),
            ("port http and src (10.0.0.1 or www)", "www"),
            ("host \\tcp", "\\tcp"),
            ("host 1.2.3.4.5", "1.2.3.4.5"),
            ("host cafe.de", "cafe.de"),
            ("host foo:bar", "foo"),
            ("not(example)", "example"),
            ("HOST 10.0.0.1", "HOST"),
            ("host 10.0.0.1&&host a-b_c-", "a-b_c"),
            ("host and.example", "and.example"),
        ] {
            assert_eq!(looked_up(expression), Some(name), "{expression}");
        }
    }

    #[test]
    fn addresses_and_names_of_services_are_none() {
        for expression in [
            "",
            "host 10.0.0.1 or 10.0.0.2 or (fe80::1 and ::1)",
            "net 10/8 or net 10.1 mask 255.255.0.0 or net 2001:db8::/32",
            "ether host 02:00:00:00:00:01 or 2-0-0-0-0-2 or 0200.0000.0003",
            "tcp port http or https",
            "not (src port (ssh or domain) or udp portrange 50-60)",
            "ip proto \\tcp or ospf",
            "ether proto 0x88cc and llc ui",
            "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and icmp6[icmp6type] = icmp6-echo",
            "tcp[4:4] > 0x80000000 and len - 1 > 5",
            "ether[ether[14] & 15:2] / 3 > 1000",
        ] {
            assert_eq!(looked_up(expression), None, "{expression}");
        }
    }
}
