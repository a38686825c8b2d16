//! Files that load, and what they mean.

use std::path::PathBuf;
use std::time::Duration;

use pollux_config::{
    Bytes, Config, Device, DeviceSpec, FlowControl, PauseThresholds, Policer, PolicerAction, PortKind,
    PriorityFlowControl, Shaper, StaticEntry, Switch, VhostOffloads, VhostRole, VhostUser, limits, parse,
};
use pollux_net::{
    MeterAlgorithm, MeterSpec, Pcp, PortId, PortVlan, PriorityTags, RateUnit, Tpid, Trust, Vid, VidSet,
    VlanMode,
};

/// The file that the project promises to load as it stands.
const PRODUCT: &str = include_str!("product.toml");

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
fn the_promised_file_loads() {
    let config = load(PRODUCT);
    let switch = Switch { cores: Some(vec![2, 3]), hugepages: true, memory: Some(Bytes::mib(1024)) };
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
    };
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
fn what_is_not_done_yet_is_said() {
    let lines: Vec<_> = load(PRODUCT).notices().iter().map(|notice| notice.line().to_string()).collect();
    assert_eq!(
        lines,
        ["pollux.toml:38:10: note: metrics are not served yet: nothing listens on 127.0.0.1:9475: \
             `\"127.0.0.1:9475\"`; read them with `show` in the console",]
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
    assert!(config.notices().is_empty());
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
