//! Filters of frames, in libpcap's words.
#![allow(missing_docs)]

mod support;

use dpdk::{Mbuf, Mempool, PacketFilter, PoolOptions};
use pollux_net::FrameFilter;
use support::*;

/// A UDP packet over IPv4 of 10.0.0.`from` to 10.0.0.2, with these octets of tags.
fn udp(tags: &[u8], from: u8, port: u16, payload: usize) -> Vec<u8> {
    let mut octets = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, from];
    octets.extend(tags);
    octets.extend([0x08, 0x00, 0x45, 0]);
    octets.extend((28 + payload as u16).to_be_bytes());
    octets.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, 2]);
    octets.extend(4321_u16.to_be_bytes());
    octets.extend(port.to_be_bytes());
    octets.extend((8 + payload as u16).to_be_bytes());
    octets.extend([0, 0]);
    octets.extend(std::iter::repeat_n(7, payload));
    octets
}

fn arp() -> Vec<u8> {
    let mut octets = vec![0xff; 6];
    octets.extend([2, 0, 0, 0, 0, 1, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
    octets.resize(60, 0);
    octets
}

/// Bits of `frames` that `expression` chooses.
fn choose(eal: &dpdk::Eal, pool: &Mempool, expression: &str, frames: &[Vec<u8>]) -> u32 {
    let filter = PacketFilter::compile(eal, expression).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(filter.expression(), expression);
    let frames: Vec<_> = frames.iter().map(|octets| Mbuf::from_slice(pool, octets).unwrap()).collect();
    filter.choose(&frames)
}

#[test]
fn expressions_choose_what_libpcap_would() {
    let eal = eal();
    let pool = pool(&eal);
    let frames = [
        udp(&[], 1, 53, 20),
        udp(&[], 9, 80, 20),
        udp(&[0x81, 0, 0, 10], 1, 53, 20),
        udp(&[0x88, 0xa8, 0, 100, 0x81, 0, 0, 7], 1, 53, 20),
        arp(),
        vec![2; 20],
        vec![],
        udp(&[], 1, 53, 1400),
    ];
    for (expression, wanted) in [
        ("", 0b1111_1111),
        ("ip", 0b1000_0011),
        ("udp port 53", 0b1000_0001),
        ("vlan 10", 0b0000_0100),
        ("vlan 10 and udp port 53", 0b0000_0100),
        ("vlan 100 and vlan 7 and src host 10.0.0.1", 0b0000_1000),
        ("arp or src host 10.0.0.9", 0b0001_0010),
        ("not ip", 0b0011_1100),
        ("ether src 02:00:00:00:00:09", 0b0000_0010),
        ("broadcast", 0b0001_0000),
        ("greater 1000", 0b1000_0000),
        ("less 30", 0b0110_0000),
        ("udp[8] = 7 and ip[2:2] > 100", 0b1000_0000),
        ("udp[8] = 7", 0b1000_0011),
        ("ether[70] = 7", 0b1000_0000),
    ] {
        let found = choose(&eal, &pool, expression, &frames);
        assert_eq!(found, wanted, "{expression}: {found:08b}");
    }
    assert!(PacketFilter::compile(&eal, "ip").unwrap().is_native() || cfg!(not(target_arch = "x86_64")));
}

#[test]
fn later_segments_are_looked_at_too() {
    let eal = eal();
    let small = PoolOptions { data_room: 64, ..PoolOptions::default() };
    let pool = Mempool::create(&eal, &small).unwrap();
    let mut marked = udp(&[], 1, 53, 1000);
    marked[700] = 99;
    // Across the seam, and where the packet ends.
    marked[63..67].copy_from_slice(&[1, 2, 3, 4]);
    let frames = [marked, udp(&[], 1, 53, 1000)];
    for expression in ["ether[700] = 99", "ether[63:4] = 0x01020304", "ip[49:4] = 0x01020304"] {
        assert_eq!(choose(&eal, &pool, expression, &frames), 0b01, "{expression}");
    }
    assert_eq!(choose(&eal, &pool, "ether[5000] = 0", &frames), 0);
}

#[test]
fn what_is_no_filter_is_refused_by_its_name() {
    let eal = eal();
    let refused = PacketFilter::check("tcp 80 port").unwrap_err().to_string();
    assert!(refused.contains("the filter `tcp 80 port`") && refused.contains("syntax error"), "{refused}");
    assert!(PacketFilter::check("ether host 1").is_err());
    let refused = PacketFilter::check("host localhost").unwrap_err().to_string();
    assert!(refused.contains("`localhost`") && refused.contains("aren't looked up"), "{refused}");
    assert!(PacketFilter::check("tcp prt 80").unwrap_err().to_string().contains("`prt`"));
    PacketFilter::check("tcp port http or https").unwrap();
    assert!(PacketFilter::check("ip\0").is_err());
    assert!(PacketFilter::check(&"ip or ".repeat(2000)).unwrap_err().to_string().contains("more than 4096"));
    assert!(PacketFilter::compile(&eal, "inbound").is_err(), "a dead handle knows no direction");
}

/// The library's verifier takes ever longer for programs with many ways through them.
#[test]
fn large_filters_are_loaded_or_refused() {
    let eal = eal();
    let any_of = |n: usize| (0..n).map(|n| format!("host 2001:db8::{n:x}")).collect::<Vec<_>>().join(" or ");
    let all_of = |n: usize| {
        let each = (0..n).map(|n| format!("(ether[{n}] = 1 or ether[{}] = 2)", n + 100));
        each.collect::<Vec<_>>().join(" and ")
    };
    for expression in [any_of(6), any_of(40), all_of(80)] {
        PacketFilter::compile(&eal, &expression).unwrap_or_else(|error| panic!("{error}"));
    }
    let refused = PacketFilter::compile(&eal, &any_of(120)).unwrap_err().to_string();
    assert!(refused.contains("instructions, and 1024 are the most"), "{refused}");
}
