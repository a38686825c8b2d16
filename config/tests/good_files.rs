//! Files that load, and what they mean.

use std::path::PathBuf;
use std::time::Duration;

use pollux_config::{
    Bytes, ClassSettings, Config, Control, Device, DeviceSpec, Directions, FlowControl, Log, LogArea,
    LogLevel, Mirror, MirrorFrom, MirrorTo, PauseThresholds, Policer, PolicerAction, PortKind,
    PriorityFlowControl, QosProfile, Rebalance, Remark, Rest, RestMode, Shaper, StaticEntry, Switch,
    VhostOffloads, VhostRole, VhostUser, Watchdog, Wred, WredCurve, limits, parse,
};
use pollux_net::{
    Dscp, FlowMatch, MacMatch, MeterAlgorithm, MeterSpec, Pcp, PcpCoding, PortId, PortVlan, PriorityTags,
    RateUnit, Tpid, TrafficClass, Trust, Vid, VidSet, VlanMode,
};

/// The file that the project promises to load as it stands.
const PRODUCT: &str = include_str!("product.toml");

/// Every key that is about QoS.
const QOS: &str = include_str!("qos.toml");

fn load(text: &str) -> Config {
    parse("pollux.toml", text).unwrap_or_else(|faults| panic!("{}", faults.lines()))
}

fn vid(number: u16) -> Vid {
    Vid::new(number).unwrap()
}

fn all_vids() -> VidSet {
    (1..=4094).collect()
}

/// One that drops red and leaves the rest as it is.
fn plain_policer(algorithm: MeterAlgorithm, unit: RateUnit) -> Policer {
    let actions = [PolicerAction::Pass, PolicerAction::Pass, PolicerAction::Drop];
    Policer { meter: MeterSpec { algorithm, unit, colour_aware: false }, actions }
}

fn device(config: &Config, index: usize) -> &Device {
    match &config.ports[index].kind {
        PortKind::Device(device) => device,
        PortKind::VhostUser(_) => panic!("port {index} is no device"),
    }
}

#[test]
fn a_port_takes_what_it_is_told_to() {
    let text = "switch.burst = 8\n[ports.a]\ndevice = \"net_null0\"\nenabled = false\npromiscuous = false\n\
                allmulticast = true\nmacs = [\"02:00:00:00:00:01\"]\n";
    let config = load(text);
    assert_eq!((config.switch.burst, config.ports[0].enabled), (8, false));
    let Device { promiscuous, allmulticast, macs, .. } = device(&config, 0);
    assert_eq!((*promiscuous, *allmulticast, macs.len()), (false, true, 1));
}

#[test]
fn workers_rest_share_and_are_watched_as_the_file_says() {
    let switch = |keys: &str| load(&format!("[switch]\n{keys}\n[ports.a]\ndevice = \"net_null0\"\n")).switch;
    let plain = switch("");
    assert_eq!(plain.rest.mode, RestMode::Never);
    assert!(!plain.rebalance.auto);
    assert_eq!(plain.watchdog, Watchdog::default());
    assert_eq!(switch("rest = \"interrupt\"").rest, Rest { mode: RestMode::Interrupt, ..plain.rest });
    let rest =
        switch("rest = { mode = \"interrupt\", after = \"1ms\", sleep = \"20us\", timeout = \"5ms\" }").rest;
    let expected = Rest {
        mode: RestMode::Interrupt,
        after: Duration::from_millis(1),
        sleep: Duration::from_micros(20),
        timeout: Duration::from_millis(5),
    };
    assert_eq!(rest, expected);
    let rebalance =
        switch("rebalance = { auto = true, interval = \"10s\", improvement = 0.5, load = 1 }").rebalance;
    let interval = Duration::from_secs(10);
    assert_eq!(rebalance, Rebalance { auto: true, interval, improvement: 0.5, load: 1.0 });
    let worker = Duration::from_secs(1);
    assert_eq!(switch("watchdog = \"1s\"").watchdog, Watchdog { worker, ..plain.watchdog });
    let tx = Duration::from_secs(30);
    let watchdog = switch("watchdog = { worker = \"1s\", tx = \"30s\", reset = false }").watchdog;
    assert_eq!(watchdog, Watchdog { worker, tx, reset: false });
}

#[test]
fn the_promised_file_loads() {
    let config = load(PRODUCT);
    let switch = Switch { cores: Some(vec![2, 3]), memory: Some(Bytes::mib(1024)), ..Switch::default() };
    assert_eq!(config.switch, switch);
    assert_eq!(config.fdb.capacity, 131_072);
    assert_eq!(config.fdb.ageing_time, Duration::from_secs(300));
    assert_eq!(config.fdb.statics, []);
    let names: Vec<_> = config.ports.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(names, ["uplink", "vm1", "vm2", "lab"]);

    let uplink = Device {
        spec: DeviceSpec::Pci("0000:03:00.0".parse().unwrap()),
        rx_queues: Some(2),
        rx_ring: 4096,
        tx_ring: 4096,
        promiscuous: true,
        allmulticast: false,
        macs: Vec::new(),
    };
    assert!(config.ports.iter().all(|port| port.enabled));
    assert_eq!(*device(&config, 0), uplink);
    assert_eq!(config.ports[0].mtu, 9000);
    let trunk = VlanMode::Trunk { allowed: all_vids(), native: Some(vid(1)), native_tagged: false };
    assert_eq!(config.ports[0].vlan.mode, trunk);

    let socket = |name: &str, role, queues| {
        PortKind::VhostUser(VhostUser {
            socket: PathBuf::from(format!("/run/pollux/{name}.sock")),
            role,
            queues,
            mode: None,
            group: None,
            guest_agent: None,
            offloads: VhostOffloads { checksum: true, tso: true },
        })
    };
    assert_eq!(config.ports[1].kind, socket("vm1", VhostRole::Client, 2));
    assert_eq!(config.ports[2].kind, socket("vm2", VhostRole::Server, 1));
    let access = PortVlan {
        mode: VlanMode::Access { vid: vid(10) },
        priority_tags: PriorityTags::Never,
        trust: Trust::Pcp,
        default_pcp: Pcp::ZERO,
    };
    assert_eq!(config.ports[1].vlan, access);
    let tunnel = VlanMode::Dot1qTunnel { vid: vid(100), allowed: Some(all_vids()), tpid: Tpid::STag };
    assert_eq!(config.ports[2].vlan.mode, tunnel);
    assert_eq!(config.ports[2].vlan.trust, Trust::Port);

    let lab = DeviceSpec::Vdev("net_tap0,iface=lab0".to_owned());
    assert_eq!(device(&config, 3).spec, lab);
    assert_eq!(device(&config, 3).spec.name(), "net_tap0");
    assert_eq!(config.ports[3].vlan, PortVlan::default());

    let profile = config.profile_of(&config.ports[1]).unwrap();
    assert_eq!(profile.name, "vm");
    let class_numbers = profile.priority_to_class.map(|class| class.value());
    assert_eq!(class_numbers, [1, 0, 2, 3, 4, 5, 6, 7]);
    assert_eq!(profile.class_to_priority.map(Pcp::value), [1, 0, 2, 3, 4, 5, 6, 7]);
    let strict: Vec<_> = profile.classes.strict.iter().map(|class| class.value()).collect();
    let dwrr: Vec<_> = profile.classes.dwrr.iter().map(|(class, weight)| (class.value(), *weight)).collect();
    assert_eq!(strict, [7, 6]);
    assert_eq!(dwrr, [(5, 8), (4, 4), (3, 4), (2, 2), (1, 1), (0, 1)]);
    let ingress = MeterAlgorithm::SrTcm { cir: 250_000_000, cbs: 1 << 20, ebs: 0 };
    assert_eq!(profile.ingress_rate, Some(plain_policer(ingress, RateUnit::Octets)));
    let egress = Shaper { octets_per_second: 625_000_000, burst: Bytes::mib(1), unit: RateUnit::Octets };
    assert_eq!(profile.egress_rate, Some(egress));
    assert_eq!(config.metrics.unwrap().listen, "127.0.0.1:9475".parse().unwrap());
}

#[test]
fn metrics_that_are_open_to_others_are_said() {
    let lines = |text: &str| -> Vec<_> {
        load(text).notices().iter().map(|notice| notice.line().to_string()).collect()
    };
    assert!(lines(PRODUCT).is_empty());
    assert_eq!(
        lines(&PRODUCT.replace("127.0.0.1:9475", "[::]:9475")),
        ["pollux.toml:38:10: note: whoever reaches [::]:9475 reads the switch's metrics: `\"[::]:9475\"`; \
          leave it so if a firewall says who does, or write a loopback address, as in \"127.0.0.1:9475\""]
    );
}

#[test]
fn places_are_found_and_faults_made_there() {
    let config = load(PRODUCT);
    for (path, place, text) in [
        ("switch.cores[1]", "2:17", "3"),
        ("ports.uplink.device", "11:13", "\"0000:03:00.0\""),
        ("ports.vm1.vhost_user.socket", "19:25", "\"/run/pollux/vm1.sock\""),
        ("ports.lab.rx_ring", "27:1", "[ports.lab]"),
        ("ports.nobody", "10:2", "ports"),
        ("nothing", "1:1", ""),
    ] {
        let found = config.locate(path);
        assert_eq!(found.to_string(), format!("pollux.toml:{place}"), "{path}");
        assert_eq!(found.text(), text, "{path}");
    }
    let place = config.locate(&config.ports[0].path("device"));
    let fault = pollux_config::Fault::at(&place, "this device is not on this host", "list them with lspci");
    assert_eq!(
        fault.line().to_string(),
        "pollux.toml:11:13: this device is not on this host: `\"0000:03:00.0\"`; list them with lspci"
    );
}

#[test]
fn defaults_are_filled_in() {
    let config = load("[ports.lab]\ndevice = \"net_null0\"\n");
    assert_eq!(config.switch, Switch::default());
    assert_eq!(config.fdb.capacity, limits::DEFAULT_FDB_CAPACITY);
    assert_eq!(config.fdb.ageing_time, limits::DEFAULT_AGEING_TIME);
    assert_eq!(config.ports[0].mtu, 1500);
    assert_eq!(device(&config, 0).rx_queues, None);
    assert_eq!(device(&config, 0).rx_ring, 4096);
    assert!(config.metrics.is_none());
    assert_eq!((&config.control, &config.log), (&Control::default(), &Log::default()));
    let served = load("metrics = {}\n[ports.lab]\ndevice = \"net_null0\"\n");
    assert_eq!(served.metrics.unwrap().listen, "127.0.0.1:9475".parse().unwrap());
    assert!(config.notices().is_empty());
}

#[test]
fn the_control_socket_and_the_log_are_as_they_say() {
    let config = load(
        "[ports.lab]\ndevice = \"net_null0\"\n[control]\nmode = \"0666\"\ngroup = \"kvm\"\n\
         [log]\nlevel = \"warn\"\nareas = { rpc = \"debug\", dpdk = \"off\" }\n",
    );
    assert_eq!(config.control, Control { mode: 0o666, group: Some("kvm".to_owned()) });
    let areas = vec![(LogArea::Dpdk, LogLevel::Off), (LogArea::Rpc, LogLevel::Debug)];
    assert_eq!(config.log, Log { level: LogLevel::Warn, areas });
}

#[test]
fn every_mode_and_quantity_loads() {
    let config = load(
        r#"
        switch.hugepages = false
        switch.memory = "1.5GiB"

        [fdb]
        capacity = 1_024
        ageing_time = "5min"

        [[fdb.static]]
        mac = "02:00:00:00:00:01"
        vid = 30
        port = "trunk"

        [[fdb.static]]
        mac = "02-00-00-00-00-01"
        vid = 31
        port = "native"

        [ports.trunk]
        device = "AF:00.1"
        vlan.mode = "trunk"
        vlan.allowed = [10, "20", "30-40"]
        qos = { profile = "packets", trust = "port", default_pcp = 7 }

        [ports.native]
        device = "net_pcap0,rx_pcap=/tmp/in.pcap"
        rx_ring = 64
        promiscuous = false
        vlan = { mode = "trunk", native = 31, native_tagged = true, priority_tags = "if-nonzero" }

        [ports.tunnel]
        vhost_user.socket = "/run//pollux/./t.sock"
        vhost_user.guest_agent = "/run/pollux//t.agent.sock"
        vlan = { mode = "dot1q-tunnel", vid = 5, allowed = ["0-9"], ethertype = 0x8100, priority_tags = "always" }
        qos = { trust = "pcp", profile = "plain" }

        [qos.profiles.packets]
        ingress_rate = { rate = "500kpps", burst = "10ms" }
        egress_rate = { rate = "1Gbit", burst = "10ms" }

        [qos.profiles.plain]
        "#,
    );
    assert!(!config.switch.hugepages);
    assert_eq!(config.switch.memory, Some(Bytes::mib(1536)));
    let entry = |vid_number, port| StaticEntry {
        mac: "02:00:00:00:00:01".parse().unwrap(),
        vid: vid(vid_number),
        port: PortId::new(port).unwrap(),
    };
    assert_eq!(config.fdb.statics, [entry(30, 0), entry(31, 1)]);
    assert_eq!(device(&config, 0).spec.to_string(), "0000:af:00.1");
    let trunk = VlanMode::Trunk {
        allowed: [10, 20].into_iter().chain(30..=40).collect(),
        native: None,
        native_tagged: false,
    };
    assert_eq!(config.ports[0].vlan.mode, trunk);
    assert_eq!(config.ports[0].vlan.trust, Trust::Port);
    assert_eq!(config.ports[0].vlan.default_pcp.value(), 7);
    let native = VlanMode::Trunk { allowed: VidSet::EMPTY, native: Some(vid(31)), native_tagged: true };
    assert_eq!(config.ports[1].vlan.mode, native);
    assert_eq!(config.ports[1].vlan.priority_tags, PriorityTags::IfNonzero);
    assert!(!device(&config, 1).promiscuous);
    let tunnel = VlanMode::Dot1qTunnel { vid: vid(5), allowed: Some((0..=9).collect()), tpid: Tpid::CTag };
    assert_eq!(config.ports[2].vlan.mode, tunnel);
    assert_eq!(config.ports[2].vlan.trust, Trust::Pcp);
    let PortKind::VhostUser(vhost) = &config.ports[2].kind else { panic!("the tunnel is a VM's") };
    assert_eq!(vhost.socket, PathBuf::from("/run/pollux/t.sock"));
    assert_eq!(vhost.guest_agent, Some(PathBuf::from("/run/pollux/t.agent.sock")));
    let packets = MeterAlgorithm::SrTcm { cir: 500_000, cbs: 5_000, ebs: 0 };
    assert_eq!(config.profiles[0].ingress_rate, Some(plain_policer(packets, RateUnit::Frames)));
    let burst = Bytes::new(1_250_000);
    let bits = Shaper { octets_per_second: 125_000_000, burst, unit: RateUnit::Octets };
    assert_eq!(config.profiles[0].egress_rate, Some(bits));
    let strict: Vec<_> = config.profiles[1].classes.strict.iter().map(|class| class.value()).collect();
    assert_eq!(strict, [7, 6, 5, 4, 3, 2, 1, 0]);
}

#[test]
fn offloads_are_what_is_listed() {
    let offloads = |list: &str| {
        let text = format!("[ports.vm]\nvhost_user = {{ socket = \"/run/vm.sock\", offloads = {list} }}\n");
        match &parse("pollux.toml", &text).unwrap().ports[0].kind {
            PortKind::VhostUser(vhost) => (vhost.offloads.checksum, vhost.offloads.tso),
            PortKind::Device(_) => panic!("a device"),
        }
    };
    assert_eq!(offloads("[]"), (false, false));
    assert_eq!(offloads("[\"checksum\"]"), (true, false));
    assert_eq!(offloads("[\"tso\", \"checksum\"]"), (true, true));
}

#[test]
fn pause_frames_are_what_is_given() {
    let config = load(
        r#"
        [ports.whole]
        device = "net_null0"
        flow_control = { rx = true, tx = true, high_water = 60000, low_water = 30000, pause_time = 65535, send_xon = true, autoneg = false }

        [ports.off]
        device = "net_null1"
        flow_control = { rx = false, tx = false }

        [ports.lossless]
        device = "net_null2"
        priority_flow_control = { priorities = [4, 3], rx = false, pause_time = 1 }

        [ports.none]
        device = "net_null3"
        "#,
    );
    let whole = FlowControl {
        rx: true,
        tx: true,
        thresholds: PauseThresholds {
            high_water: Some(60_000),
            low_water: Some(30_000),
            pause_time: Some(65_535),
        },
        send_xon: Some(true),
        autoneg: Some(false),
    };
    let unsaid = PauseThresholds::default();
    let off = FlowControl { rx: false, tx: false, thresholds: unsaid, send_xon: None, autoneg: None };
    let flow_control: Vec<_> = config.ports.iter().map(|port| port.flow_control).collect();
    assert_eq!(flow_control, [Some(whole), Some(off), None, None]);
    let lossless = PriorityFlowControl {
        priorities: [4, 3].map(|pcp| Pcp::new(pcp).unwrap()).to_vec(),
        rx: false,
        tx: true,
        thresholds: PauseThresholds { pause_time: Some(1), ..unsaid },
    };
    assert_eq!(config.ports[2].priority_flow_control, Some(lossless));
    assert_eq!(config.ports[0].priority_flow_control, None);
}

fn class(number: u8) -> TrafficClass {
    TrafficClass::new(number).unwrap()
}

fn dscp(text: &str) -> Dscp {
    text.parse().unwrap()
}

#[test]
fn every_word_about_qos_loads() {
    let config = load(QOS);
    assert_eq!(config.ports[2].pcp_regeneration.map(Pcp::value), [0, 1, 2, 3, 4, 5, 5, 5]);
    assert_eq!(config.ports[3].pcp_regeneration.map(Pcp::value), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(config.ports[3].vlan.trust, Trust::Dscp);

    let profile = &config.profiles[0];
    assert_eq!((profile.traffic_classes, profile.coding), (8, PcpCoding::P6D2));
    let of = |text: &str| profile.dscp_to_class[dscp(text).index()].value();
    assert_eq!(["ef", "cs6", "af41", "be", "7", "cs1", "13", "af13"].map(of), [5, 6, 4, 0, 0, 1, 1, 1]);
    // The others have the class of their priority.
    assert_eq!(["15", "cs2", "af42", "va", "63"].map(of), [0, 2, 4, 5, 7]);
    let wire = MeterAlgorithm::SrTcm { cir: 250_000_000, cbs: 1 << 20, ebs: 0 };
    assert_eq!(profile.ingress_rate, Some(plain_policer(wire, RateUnit::WireOctets)));
    assert!(config.notices().is_empty());
}

#[test]
fn classes_have_rates_queues_and_random_drops() {
    let config = load(QOS);
    let classes = &config.profiles[0].class;
    for other in [1, 2, 4, 6, 7] {
        assert_eq!(classes[other], ClassSettings::default());
    }
    assert_eq!(ClassSettings::default().queue, Bytes::kib(256));

    let shaper = |octets_per_second, unit| Shaper { octets_per_second, burst: Bytes::kib(64), unit };
    assert_eq!(classes[0].min_rate, Some(shaper(12_500_000, RateUnit::Octets)));
    assert_eq!(classes[0].max_rate, Some(shaper(125_000_000, RateUnit::WireOctets)));
    assert_eq!(classes[0].queue, Bytes::kib(512));
    let curves = |wred: &Wred| {
        let curve = |curve: WredCurve| (curve.min, curve.max, curve.probability.per_billion());
        wred.curves.map(|found| found.map(curve))
    };
    let wred = classes[0].wred.unwrap();
    let green = (Bytes::kib(128), Bytes::kib(512), 100_000_000);
    assert_eq!(curves(&wred), [Some(green), Some((Bytes::kib(0), Bytes::kib(64), 1_000_000_000)), None]);
    assert_eq!(wred.weight, 7);
    let wred = classes[3].wred.unwrap();
    assert_eq!(curves(&wred), [None, None, Some((Bytes::kib(64), Bytes::kib(64), 2_500_000))]);
    assert_eq!(wred.weight, 9);
}

#[test]
fn policers_have_four_forms() {
    let config = load(QOS);
    let profile = &config.profiles[0];
    let meter = |class: usize| profile.class[class].ingress_rate.unwrap().meter;
    let actions = |class: usize| profile.class[class].ingress_rate.unwrap().actions;

    let one = MeterAlgorithm::SrTcm { cir: 125_000_000, cbs: 1_250_000, ebs: 0 };
    assert_eq!(meter(0), MeterSpec { algorithm: one, unit: RateUnit::Octets, colour_aware: true });
    let af12 = Remark { pcp: None, dei: None, dscp: Some(dscp("af12")) };
    assert_eq!(actions(0), [PolicerAction::Pass, PolicerAction::Pass, PolicerAction::Remark(af12)]);

    let single = MeterAlgorithm::SrTcm { cir: 10_000, cbs: 100, ebs: 200 };
    assert_eq!(meter(3), MeterSpec { algorithm: single, unit: RateUnit::Frames, colour_aware: true });
    assert_eq!(actions(3), [PolicerAction::Pass, PolicerAction::Drop, PolicerAction::Drop]);

    let two = MeterAlgorithm::TrTcm { cir: 12_500_000, cbs: 65_536, pir: 25_000_000, pbs: 250_000 };
    assert_eq!(meter(5), MeterSpec { algorithm: two, unit: RateUnit::Octets, colour_aware: true });
    let green = Remark { pcp: Pcp::new(5), dei: Some(false), dscp: None };
    let yellow = Remark { pcp: Pcp::new(4), dei: Some(true), dscp: Some(dscp("af43")) };
    let [green, yellow] = [green, yellow].map(PolicerAction::Remark);
    assert_eq!(actions(5), [green, yellow, PolicerAction::Drop]);

    let excess = MeterAlgorithm::TrTcm4115 { cir: 125_000_000, cbs: 1 << 20, eir: 8_000, ebs: 1 << 20 };
    let blind = plain_policer(excess, RateUnit::WireOctets);
    assert_eq!(profile.rules[1].policer, Some(blind));
}

#[test]
fn rules_match_what_they_name() {
    let config = load(QOS);
    let rules = &config.profiles[0].rules;
    let names: Vec<_> = rules.iter().map(|rule| (rule.name.as_str(), rule.class)).collect();
    let seven = Some(class(7));
    assert_eq!(names, [("bulk", Some(class(0))), ("backup", None), ("neighbours", seven), ("arp", seven)]);
    let mac =
        |mac: &str, mask: &str| Some(MacMatch { mac: mac.parse().unwrap(), mask: mask.parse().unwrap() });
    let bulk = FlowMatch {
        source_mac: mac("02:00:00:00:00:00", "ff:ff:ff:00:00:00"),
        destination_mac: mac("02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"),
        vid: Some(10..=20),
        protocol: Some(6),
        source_port: Some(6881..=6889),
        destination_port: Some(80..=80),
        dscp: Some(34..=34),
        ..FlowMatch::default()
    };
    assert_eq!(rules[0].matches, bulk);
    let rate = MeterAlgorithm::SrTcm { cir: 6_250_000, cbs: 65_536, ebs: 0 };
    assert_eq!(rules[0].policer, Some(plain_policer(rate, RateUnit::Octets)));
    let backup = FlowMatch {
        ethertype: Some(0x0800),
        source: Some("10.0.0.0/8".parse().unwrap()),
        destination: Some("192.0.2.1/32".parse().unwrap()),
        dscp: Some(8..=14),
        ..FlowMatch::default()
    };
    assert_eq!(rules[1].matches, backup);
    assert_eq!(rules[2].matches.protocol, Some(58));
    assert_eq!(rules[3].matches.ethertype, Some(0x0806));
    assert_eq!(rules[3].matches.vid, Some(4094..=4094));
}

#[test]
fn fewer_classes_have_the_standards_maps() {
    let config = load(QOS);
    let profile = &config.profiles[1];
    assert_eq!(*profile, QosProfile::plain("four", 4));
    assert_eq!(profile.priority_to_class.map(TrafficClass::value), [0, 0, 1, 1, 2, 2, 3, 3]);
    assert_eq!(profile.class_to_priority.map(Pcp::value), [0, 3, 5, 7, 0, 0, 0, 0]);
    assert_eq!(profile.dscp_to_class[46], class(2));
    assert_eq!(profile.classes.strict, [3, 2, 1, 0].map(class));
}

#[test]
fn mirrors_say_what_they_copy_and_where_to() {
    let text = "[ports.a]\ndevice = \"net_null0\"\n[ports.b]\ndevice = \"net_null1\"\n[ports.c]\ndevice = \"net_null2\"\n\
                vlan = { mode = \"trunk\", allowed = [10, 999] }\n\
                [mirrors.all-of-a]\nfrom = { ports = [\"a\", \"c\"] }\nto = { port = \"b\" }\n\
                [mirrors.web]\nfrom = { vlan = 10 }\ndirection = \"rx\"\nto = { vlan = 999 }\n\
                filter = \"tcp port 80\"\nsnap_length = 96\n\
                [mirrors.drops]\nfrom = { dropped = true }\nto = { port = \"b\" }\n";
    let both = Directions { rx: true, tx: true };
    let mirror =
        |name: &str, from, to| Mirror { name: name.to_owned(), from, to, filter: None, snap_length: None };
    let to_b = || MirrorTo::Port("b".to_owned());
    let ports = ["a", "c"].map(str::to_owned).to_vec();
    let web = MirrorFrom::Vlan(vid(10), Directions { tx: false, ..both });
    let web = mirror("web", web, MirrorTo::Vlan(vid(999)));
    let config = load(text);
    assert_eq!(config.mirrors[0], mirror("all-of-a", MirrorFrom::Ports(ports, both), to_b()));
    assert_eq!(
        config.mirrors[1],
        Mirror { filter: Some("tcp port 80".to_owned()), snap_length: Some(96), ..web }
    );
    assert_eq!(config.mirrors[2], mirror("drops", MirrorFrom::Dropped, to_b()));
    let place = config.locate(&config.mirrors[1].path("filter"));
    assert_eq!((place.line(), place.text()), (15, "\"tcp port 80\""));
}
