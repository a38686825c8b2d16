//! Whatever a file holds, reading it ends, and its faults can be shown.

use pollux_config::{Config, Faults, PortKind, parse, parse_bytes};
use pollux_net::{
    FlowMatch, Mac, MacMatch, MeterAlgorithm, PriorityTags, RateUnit, Tpid, TrafficClass, Vid, VlanMode,
};
use proptest::prelude::*;

const PRODUCT: &str = include_str!("product.toml");
const QOS: &str = include_str!("qos.toml");
const BAD_FILES: &str = include_str!("bad_files.txt");

/// What the caller does with a result, whichever it is.
fn show(result: &Result<Config, Faults>) {
    match result {
        Ok(config) => {
            for notice in config.notices() {
                assert!(!notice.line().to_string().contains('\n'));
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                let line = fault.line().to_string();
                assert!(!line.contains(char::is_control), "{line:?}");
                assert!(!fault.cure().is_empty());
            }
            let mut shown = String::new();
            let theme = miette::GraphicalTheme::unicode_nocolor();
            let handler = miette::GraphicalReportHandler::new_themed(theme);
            handler.render_report(&mut shown, faults).unwrap();
        }
    }
}

/// A file that starts as a good or a bad one and has suffered.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let bad = BAD_FILES.split("\n=== ").skip(1).map(|case| {
        let text = case.split_once('\n').unwrap().1;
        text.split("---\n").next().unwrap().to_owned()
    });
    let files: Vec<String> = bad.chain([PRODUCT.to_owned(), QOS.to_owned()]).collect();
    let tokens = [
        "[", "]", "{", "}", "\"", "'", "=", ",", ".", "\n", "#", "-", "0", "\"\"\"", "\u{e9}", "[[", "vlan",
        "\0",
    ];
    let token = prop_oneof![
        proptest::sample::select(tokens.to_vec()).prop_map(|token| token.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 1..3),
    ];
    let cut = (any::<proptest::sample::Index>(), 0_usize..8, token);
    (proptest::sample::select(files), proptest::collection::vec(cut, 1..6)).prop_map(|(file, cuts)| {
        let mut octets = file.into_bytes();
        for (index, len, token) in cuts {
            let start = index.index(octets.len() + 1);
            let end = (start + len).min(octets.len());
            octets.splice(start..end, token);
        }
        octets
    })
}

/// A `vlan` value and what it means.
fn vlan() -> impl Strategy<Value = (String, VlanMode, PriorityTags)> {
    let vid = 1_u16..=4094;
    let ranges = |lowest: u16| proptest::collection::vec((lowest..=4094, 0_u16..50), 1..5);
    let show = |ranges: &[(u16, u16)]| {
        let ranges: Vec<_> = ranges
            .iter()
            .map(|(first, more)| match more {
                0 => first.to_string(),
                _ => format!("\"{first}-{}\"", (first + more).min(4094)),
            })
            .collect();
        format!("allowed = [{}]", ranges.join(", "))
    };
    let set = |ranges: &[(u16, u16)]| {
        ranges.iter().flat_map(|(first, more)| *first..=(first + more).min(4094)).collect()
    };
    let mode = prop_oneof![
        vid.clone().prop_map(|vid| {
            let mode = VlanMode::Access { vid: Vid::new(vid).unwrap() };
            (format!("mode = \"access\", vid = {vid}"), mode)
        }),
        (ranges(1), proptest::option::of((vid.clone(), any::<bool>()))).prop_map(move |(allowed, native)| {
            let mut text = format!("mode = \"trunk\", {}", show(&allowed));
            if let Some((native, tagged)) = native {
                text += &format!(", native = {native}, native_tagged = {tagged}");
            }
            let mode = VlanMode::Trunk {
                allowed: set(&allowed),
                native: native.and_then(|(vid, _)| Vid::new(vid)),
                native_tagged: native.is_some_and(|(_, tagged)| tagged),
            };
            (text, mode)
        }),
        (vid, proptest::option::of(ranges(0)), any::<bool>()).prop_map(move |(vid, allowed, customer)| {
            let mut text = format!("mode = \"dot1q-tunnel\", vid = {vid}");
            if let Some(allowed) = &allowed {
                text += &format!(", {}", show(allowed));
            }
            let tpid = if customer { Tpid::CTag } else { Tpid::STag };
            text += &format!(", ethertype = {tpid}");
            let mode = VlanMode::Dot1qTunnel {
                vid: Vid::new(vid).unwrap(),
                allowed: allowed.as_deref().map(set),
                tpid,
            };
            (text, mode)
        }),
    ];
    let tags = proptest::sample::select(vec![
        ("never", PriorityTags::Never),
        ("if-nonzero", PriorityTags::IfNonzero),
        ("always", PriorityTags::Always),
    ]);
    (mode, tags).prop_map(|((text, mode), (word, tags))| {
        (format!("{{ {text}, priority_tags = \"{word}\" }}"), mode, tags)
    })
}

/// A `match` value and what it means.
fn flow_match() -> impl Strategy<Value = (String, FlowMatch)> {
    let range = |all: std::ops::RangeInclusive<u16>| {
        let ends = (all.clone(), all).prop_map(|(a, b)| a.min(b)..=a.max(b));
        ends.prop_map(|range| (format!("\"{}-{}\"", range.start(), range.end()), range))
    };
    let networks = prop_oneof![
        (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(octets, len)| (octets.into(), len)),
        (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(octets, len)| (octets.into(), len)),
    ];
    let network = networks.prop_map(|(address, len)| ipnet::IpNet::new(address, len).unwrap().trunc());
    let mac = (any::<[u8; 6]>(), 1..=6_usize).prop_map(|(octets, len)| {
        let mask = Mac::from_u64(u64::MAX << (48 - 8 * len));
        let mac = Mac::new(octets);
        (format!("\"{mac}/{mask}\""), MacMatch { mac: Mac::from_u64(mac.as_u64() & mask.as_u64()), mask })
    });
    let parts = (
        proptest::option::of(mac),
        range(1..=4094),
        proptest::option::of(network),
        proptest::option::of(range(0..=65535)),
        proptest::option::of(1..=255_u8),
        proptest::option::of(0..=63_u8),
    );
    parts.prop_map(|(mac, vid, network, port, protocol, dscp)| {
        let texts = [
            mac.as_ref().map(|(text, _)| format!("source_mac = {text}")),
            Some(format!("vid = {}", vid.0)),
            network.map(|network| format!("destination = \"{network}\"")),
            port.as_ref().map(|(text, _)| format!("source_port = {text}")),
            protocol.map(|protocol| format!("protocol = {protocol}")),
            dscp.map(|dscp| format!("dscp = {dscp}")),
        ];
        let matches = FlowMatch {
            source_mac: mac.map(|(_, mac)| mac),
            vid: Some(vid.1),
            destination: network,
            source_port: port.map(|(_, port)| port),
            protocol,
            dscp: dscp.map(|dscp| dscp..=dscp),
            ..FlowMatch::default()
        };
        (format!("{{ {} }}", texts.into_iter().flatten().collect::<Vec<_>>().join(", ")), matches)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn octets_never_panic(octets: Vec<u8>) {
        show(&parse_bytes("pollux.toml", &octets));
    }

    #[test]
    fn text_never_panics(text in "\\PC*") {
        show(&parse("pollux.toml", &text));
    }

    #[test]
    fn damaged_files_never_panic(octets in damaged()) {
        show(&parse_bytes("pollux.toml", &octets));
        show(&parse("pollux.toml", &String::from_utf8_lossy(&octets)));
    }

    #[test]
    fn what_is_valid_loads_as_written(
        vlan in vlan(),
        mtu in 68_u16..=9216,
        rings in (64_u16..=4096, 64_u16..=4096),
        queues in proptest::option::of(1_u16..=64),
        name in "[A-Za-z][A-Za-z0-9_-]{0,31}",
    ) {
        prop_assume!(!name.eq_ignore_ascii_case("all"));
        let (vlan, mode, priority_tags) = vlan;
        let (rx_ring, tx_ring) = rings;
        let rx_queues = queues.map(|queues| format!("rx_queues = {queues}")).unwrap_or_default();
        let text = format!(
            "[ports.{name}]\ndevice = \"net_null0\"\nmtu = {mtu}\nrx_ring = {rx_ring}\ntx_ring = {tx_ring}\n\
             {rx_queues}\nvlan = {vlan}\n"
        );
        let config = parse("pollux.toml", &text).map_err(|faults| TestCaseError::fail(faults.lines().to_string()))?;
        let port = &config.ports[0];
        let PortKind::Device(device) = &port.kind else { panic!("no device") };
        prop_assert_eq!(&port.name, &name);
        prop_assert_eq!(port.mtu, mtu);
        prop_assert_eq!(&port.vlan.mode, &mode);
        prop_assert_eq!(port.vlan.priority_tags, priority_tags);
        prop_assert_eq!((device.rx_ring, device.tx_ring, device.rx_queues), (rx_ring, tx_ring, queues));
    }

    #[test]
    fn valid_qos_loads_as_written(
        classes in 1..=8_usize,
        flow in flow_match(),
        kbit in 64..=400_000_000_u64,
        burst in 9262..=1_u64 << 30,
        wire: bool,
        probability in 1..=1_000_000_u32,
    ) {
        let (flow, matches) = flow;
        let (last, count) = (classes - 1, if wire { "wire" } else { "frame" });
        let text = format!(
            "[ports.a]\ndevice = \"net_null0\"\n[qos.profiles.p]\ntraffic_classes = {classes}\n\
             rules = [{{ name = \"r\", match = {flow}, class = {last}, \
             rate = {{ rate = \"{kbit}kbit\", burst = \"{burst}B\", count = \"{count}\" }} }}]\n\
             class.{last}.wred.red = {{ min = \"0B\", max = \"1KiB\", probability = {} }}\n",
            f64::from(probability) / 1e6
        );
        let config = parse("pollux.toml", &text).map_err(|faults| TestCaseError::fail(faults.lines().to_string()))?;
        let profile = &config.profiles[0];
        let rule = &profile.rules[0];
        prop_assert_eq!(&rule.matches, &matches);
        prop_assert_eq!(rule.class.map(TrafficClass::index), Some(last));
        let meter = rule.policer.unwrap().meter;
        prop_assert_eq!(meter.algorithm, MeterAlgorithm::SrTcm { cir: kbit * 125, cbs: burst, ebs: 0 });
        prop_assert_eq!(meter.unit, if wire { RateUnit::WireOctets } else { RateUnit::Octets });
        let curve = profile.class[last].wred.unwrap().curves[2].unwrap();
        prop_assert_eq!(curve.probability.per_billion(), probability * 1000);
    }
}
