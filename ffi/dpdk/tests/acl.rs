//! Ordered rules, against the naive way to match them.
#![allow(missing_docs)]

mod support;

use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use dpdk::{Eal, EalOptions, FlowAcl};
use ipnet::IpNet;
use pollux_net::{FlowKey, FlowMatch, FlowRules, Mac, MacMatch, Vid};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use support::*;

const MACS: [[u8; 6]; 4] =
    [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [2, 9, 0, 0, 0, 1], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]];
const VIDS: [u16; 4] = [1, 10, 255, 256];
const PORTS: [u16; 6] = [0, 80, 255, 256, 4789, 65535];
const DSCPS: [u8; 4] = [0, 10, 46, 63];
const PROTOCOLS: [u8; 4] = [1, 6, 17, 132];
const ETHERTYPES: [u16; 3] = [0x0800, 0x86dd, 0x0806];
const IPV4: [[u8; 4]; 4] = [[10, 1, 2, 3], [10, 1, 2, 4], [10, 129, 2, 3], [192, 168, 255, 1]];

fn ipv6() -> Vec<Ipv6Addr> {
    ["fd00::1", "fd00::2", "fd00:0:0:8000::1", "::ffff:10.1.2.3"].map(|text| text.parse().unwrap()).into()
}

/// A range between two values that frames have, or next to them; now and then the wrong way round.
fn range<T>(values: &'static [T]) -> impl Strategy<Value = RangeInclusive<T>>
where
    T: Copy + PartialOrd + std::fmt::Debug + 'static,
{
    (select(values), select(values), 0..20_u8).prop_map(|(a, b, turned)| {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        if turned == 0 { high..=low } else { low..=high }
    })
}

fn network() -> impl Strategy<Value = IpNet> {
    let v4 = (select(&IPV4[..]), 0..=32_u8)
        .prop_map(|(address, len)| IpNet::new(Ipv4Addr::from(address).into(), len).unwrap());
    let v6 = (select(ipv6()), 0..=128_u8).prop_map(|(address, len)| IpNet::new(address.into(), len).unwrap());
    prop_oneof![v4, v6]
}

fn mac() -> impl Strategy<Value = MacMatch> {
    let masks = [[0xff; 6], [0xff, 0xff, 0xff, 0, 0, 0], [0, 0, 0, 0, 0, 0xff], [1, 0, 0, 0, 0, 0], [0; 6]];
    // Bits that don't count are set as well.
    (select(&MACS[..]), select(masks.to_vec()))
        .prop_map(|(mac, mask)| MacMatch { mac: Mac::new(mac), mask: Mac::new(mask) })
}

fn rule() -> impl Strategy<Value = FlowMatch> {
    let sometimes = 0.25;
    let link = (
        option::weighted(sometimes, mac()),
        option::weighted(sometimes, mac()),
        option::weighted(sometimes, range(&VIDS)),
        option::weighted(sometimes, select(&ETHERTYPES[..])),
    );
    let network = (
        option::weighted(sometimes, network()),
        option::weighted(sometimes, network()),
        option::weighted(sometimes, select(&PROTOCOLS[..])),
        option::weighted(sometimes, range(&PORTS)),
        option::weighted(sometimes, range(&PORTS)),
        option::weighted(sometimes, range(&DSCPS)),
    );
    (link, network).prop_map(|(link, network)| FlowMatch {
        source_mac: link.0,
        destination_mac: link.1,
        vid: link.2,
        ethertype: link.3,
        source: network.0,
        destination: network.1,
        protocol: network.2,
        source_port: network.3,
        destination_port: network.4,
        dscp: network.5,
    })
}

prop_compose! {
    fn key()(
        macs in (select(&MACS[..]), select(&MACS[..])),
        vid in select(&VIDS[..]),
        tags in 0..3_usize,
        ethertype in select(&ETHERTYPES[..]),
        v4 in (select(&IPV4[..]), select(&IPV4[..])),
        v6 in (select(ipv6()), select(ipv6())),
        protocol in select(&PROTOCOLS[..]),
        ports in (select(&PORTS[..]), select(&PORTS[..])),
        dscp in select(&DSCPS[..]),
        fragment in 0..8_u8,
        cut in option::weighted(0.1, 0..60_usize),
    ) -> FlowKey {
        let mut frame = [macs.0, macs.1].concat();
        frame.extend([0x81, 0, 0, 7].repeat(tags));
        frame.extend(ethertype.to_be_bytes());
        match ethertype {
            0x0800 => {
                frame.extend([0x45, dscp << 2, 0, 40, 0, 0, 0, u8::from(fragment == 0), 64, protocol, 0, 0]);
                frame.extend([v4.0, v4.1].concat());
            }
            0x86dd => {
                frame.extend([0x60 | dscp >> 2, dscp << 6, 0, 0, 0, 8, protocol, 64]);
                frame.extend([v6.0.octets(), v6.1.octets()].concat());
            }
            _ => {}
        }
        frame.extend([ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat());
        frame.extend([0; 4]);
        let seen = cut.unwrap_or(frame.len()).min(frame.len());
        FlowKey::of(&frame[..seen], Vid::new(vid).unwrap())
    }
}

fn naive(rules: &[FlowMatch], key: &FlowKey) -> u32 {
    rules.iter().position(|rule| rule.fits(key)).map_or(0, |index| index as u32 + 1)
}

/// Holds what is built of `rules` against the naive way, and returns how many keys fit one.
fn agree(eal: &Eal, rules: &[FlowMatch], keys: &[FlowKey]) -> Result<usize, TestCaseError> {
    let acl = FlowAcl::build(eal, rules).unwrap();
    prop_assert_eq!(acl.len(), rules.len());
    let mut hits = vec![u32::MAX; keys.len() + 1];
    acl.first_fits(keys, &mut hits);
    prop_assert_eq!(hits.pop(), Some(u32::MAX));
    let expected: Vec<_> = keys.iter().map(|key| naive(rules, key)).collect();
    prop_assert_eq!(&hits, &expected, "{:?}", acl);
    Ok(hits.iter().filter(|&&hit| hit != 0).count())
}

#[test]
fn the_first_rule_that_fits_is_found() {
    let eal = eal();
    let (fitting, all) = (Cell::new(0), Cell::new(0));
    let sets = (prop::collection::vec(rule(), 0..40), prop::collection::vec(key(), 0..100));
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let result = runner.run(&sets, |(rules, keys)| {
        fitting.set(fitting.get() + agree(&eal, &rules, &keys)?);
        all.set(all.get() + keys.len());
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let share = fitting.get() * 100 / all.get();
    assert!((20..=98).contains(&share), "{share} % of the keys fit a rule");
}

/// As many of what `strategy` makes, the same every time.
fn some<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// As lists of networks and ports are.
fn usual() -> impl Strategy<Value = FlowMatch> {
    let network = || {
        (any::<[u8; 2]>(), 8..=32_u8)
            .prop_map(|([a, b], len)| IpNet::new(Ipv4Addr::new(10, 1, a & 3, b & 7).into(), len).unwrap())
    };
    (network(), network(), select(&PORTS[..]), select(&PROTOCOLS[..])).prop_map(
        |(source, destination, port, protocol)| FlowMatch {
            source: Some(source),
            destination: Some(destination),
            destination_port: (protocol != 1).then_some(port..=port),
            protocol: Some(protocol),
            ..FlowMatch::default()
        },
    )
}

/// As no list is: each overlaps most others in any of eight fields.
fn overlapping() -> impl Strategy<Value = FlowMatch> {
    let numbers = (any::<[u16; 6]>(), any::<[[u8; 6]; 2]>(), any::<[[u8; 4]; 2]>(), any::<[u8; 2]>());
    (numbers, any::<u8>()).prop_map(|((numbers, macs, addresses, lens), given)| {
        let given = |bit: u8| given >> bit & 1 == 1;
        let range = |a: u16, b: u16| a.min(b)..=a.max(b);
        let mac = |a: usize| MacMatch { mac: Mac::new(macs[a]), mask: Mac::new(macs[1 - a]) };
        let network = |n: usize| IpNet::new(Ipv4Addr::from(addresses[n]).into(), lens[n] % 33).unwrap();
        FlowMatch {
            source_mac: given(0).then(|| mac(0)),
            destination_mac: given(1).then(|| mac(1)),
            vid: given(2).then(|| range(numbers[0] % 512, numbers[1] % 512)),
            source: given(3).then(|| network(0)),
            destination: given(4).then(|| network(1)),
            source_port: given(5).then(|| range(numbers[2], numbers[3])),
            destination_port: given(6).then(|| range(numbers[4], numbers[5])),
            dscp: given(7).then(|| lens[0] % 64..=63),
            ..FlowMatch::default()
        }
    })
}

#[test]
fn as_many_rules_as_there_can_be_are_found() {
    let eal = eal();
    let rules = some(usual(), FlowAcl::MAX_RULES);
    let keys = some(key(), 2000);
    for rules in [&rules[..], &some(rule(), FlowAcl::MAX_RULES)] {
        assert!(agree(&eal, rules, &keys).unwrap() > 20);
    }
    // All fit; the first wins.
    let all = vec![FlowMatch::default(); FlowAcl::MAX_RULES];
    assert_eq!(agree(&eal, &all, &keys).unwrap(), keys.len());
    let error = FlowAcl::build(&eal, &vec![FlowMatch::default(); FlowAcl::MAX_RULES + 1]).unwrap_err();
    assert!(error.to_string().contains("1025 rules: there can be 1024 rules at most"), "{error}");
}

#[test]
fn rules_that_are_too_much_for_one_table_are_found_too() {
    let eal = eal();
    let (rules, keys) = (some(overlapping(), 200), some(key(), 1000));
    let acl = FlowAcl::build(&eal, &rules).unwrap();
    assert!(!format!("{acl:?}").contains("tables: 1,"), "{acl:?}");
    assert!(agree(&eal, &rules, &keys).unwrap() > 100);
}

#[test]
fn without_rules_nothing_fits() {
    let eal = eal();
    let keys = some(key(), 77);
    // The only range of the second is empty.
    #[allow(clippy::reversed_empty_ranges)]
    let never = FlowMatch { vid: Some(2..=1), ..FlowMatch::default() };
    for rules in [vec![], vec![never]] {
        let acl = FlowAcl::build(&eal, &rules).unwrap();
        assert_eq!(acl.is_empty(), rules.is_empty());
        let mut hits = vec![7; keys.len()];
        acl.first_fits(&keys, &mut hits);
        assert_eq!(hits, vec![0; keys.len()]);
        acl.first_fits(&[], &mut []);
    }
}

#[test]
fn building_and_dropping_leaks_nothing() {
    let eal = Eal::init(&EalOptions { memory: Some(32), ..options() }).unwrap();
    // Each takes 300 KiB.
    let many = vec![FlowMatch::default(); FlowAcl::MAX_RULES];
    let few = some(rule(), 5);
    let mut before = FlowAcl::build(&eal, &many).unwrap();
    for _ in 0..150 {
        // Both are there for a moment.
        before = FlowAcl::build(&eal, &many).unwrap();
        FlowAcl::build(&eal, &few).unwrap();
    }
    // The environment stays for as long as there are rules.
    let runtime_dir = eal.runtime_dir().to_owned();
    drop(eal);
    assert!(runtime_dir.exists());
    let keys = some(key(), 10);
    before.first_fits(&keys, &mut [0; 10]);
    drop(before);
    assert!(!runtime_dir.exists());
}

#[test]
fn threads_look_up_the_same_rules() {
    let eal = eal();
    let (rules, keys) = (some(rule(), 100), some(key(), 500));
    let expected: Vec<_> = keys.iter().map(|key| naive(&rules, key)).collect();
    let acl = FlowAcl::build(&eal, &rules).unwrap();
    std::thread::scope(|scope| {
        for burst in [1, 3, 7, 32] {
            let (acl, keys, expected) = (&acl, &keys, &expected);
            scope.spawn(move || {
                for _ in 0..50 {
                    let mut hits = vec![u32::MAX; keys.len()];
                    for (keys, hits) in keys.chunks(burst).zip(hits.chunks_mut(burst)) {
                        acl.first_fits(keys, hits);
                    }
                    assert_eq!(&hits, expected, "by {burst}");
                }
            });
        }
    });
}
