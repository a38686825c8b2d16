use super::Absent;

const fn absent(syntax: &'static str, why: &'static str, instead: &'static str) -> Absent {
    Absent { syntax, why, instead }
}

const BENCH: &str = "`pollux bench` generates and measures load";
const FILTER: &str = "rules of a QoS profile match frames: `set qos profile PROFILE rules VALUE`";
const RATES: &str = "policers and shapers are a QoS profile's: `help qos`";
const VF: &str = "virtual functions are configured by the host's driver: `ip link set DEVICE vf NUMBER …`";
const CHECKSUMS: &str =
    "VMs leave checksums and segments to each other, or the switch does them: `show vhost` tells";
const TAGS: &str = "tags follow from a port's mode: `set port PORT vlan access|trunk|dot1q-tunnel …`";
const BOND: &str = "use `device = \"net_bonding0,…\"` of DPDK as one port: `port attach NAME device DEVICE`";
const RINGS: &str = "`port config PORT rxd DESCRIPTORS` and `txd` set rings, `show config rxtx` shows them";
const ENCAPSULATION: &str = "let the VM, or a router beside the switch, encapsulate";
const QUEUES: &str = "`port stop PORT` stops a port, `rebalance` moves queues between workers";

/// In the order of testpmd's own help.
pub(super) static ABSENT: &[Absent] = &[
    absent("help filters", "the switch has no flow rules of a NIC", FILTER),
    absent(
        "help traffic_management",
        "the switch queues frames itself, for every kind of port",
        "`help qos`",
    ),
    absent("help devices", "devices come and go as ports", "`help ports`"),
    absent("help drivers", "no command is one driver's own", "`help ports`"),
    absent("start tx_first", "a switch sends what it received, and nothing of its own", BENCH),
    absent(
        "show port fdir PORT|all",
        "the switch has no flow rules of a NIC",
        "`show qos PORT` counts what rules match",
    ),
    absent("show port dcb_tc PORT|all", "traffic classes are the switch's own", "`show qos PORT`"),
    absent(
        "show port info PORT representor",
        "ports stand for devices, never for their parts",
        "`show port info PORT`",
    ),
    absent(
        "show port PORT module_eeprom|eeprom",
        "the switch doesn't read a NIC's memory",
        "`ethtool -m` does, while the host's driver has the NIC",
    ),
    absent(
        "show port PORT rxq|txq QUEUE desc ANY status",
        "descriptors change faster than anybody reads",
        "`show port PORT rxq QUEUE desc used count`",
    ),
    absent(
        "show port PORT tx_metadata",
        "frames have no metadata beside their octets",
        "`capture start` shows frames",
    ),
    absent(
        "show port PORT ptypes",
        "the switch reads frames itself, whatever the NIC recognises",
        "`capture start` shows frames",
    ),
    absent("show port PORT mcast_macs", "a switch's port takes all multicast", "`set allmulti PORT on`"),
    absent(
        "show port PORT flow",
        "the switch has no flow rules of a NIC",
        "`show qos PORT` counts what rules match",
    ),
    absent(
        "show port PORT fec|fec_mode",
        "the NIC and its link's other end agree on it",
        "`show port info PORT`",
    ),
    absent(
        "show port PORT gro|gso",
        "the switch joins no frames, and cuts them only where a VM left that",
        CHECKSUMS,
    ),
    absent("show port PORT queue-region|pctype", "RSS is the same on all NICs", "`show port PORT rss reta`"),
    absent(
        "clear port info|summary|fdir|dcb_tc",
        "there is nothing in it that counts",
        "`clear port stats PORT|all`",
    ),
    absent(
        "show config rxoffs|rxpkts|rxhdrs",
        "frames are received whole, never split",
        "`show config rxtx`",
    ),
    absent("show config txpkts|txtimes", "a switch sends what it received, and nothing of its own", BENCH),
    absent(
        "read|write",
        "the switch shows no registers or descriptors",
        "`show port xstats PORT` and `show port PORT rxq QUEUE desc used count`",
    ),
    absent("show vf", "the switch has no virtual functions below it", VF),
    absent("clear vf", "the switch has no virtual functions below it", VF),
    absent("set vf", "the switch has no virtual functions below it", VF),
    absent("set port PORT vf", "the switch has no virtual functions below it", VF),
    absent("rx_vlan add|rm VID port", "the switch has no virtual functions below it", VF),
    absent("mac_addr add port PORT vf", "the switch has no virtual functions below it", VF),
    absent("show port meter", "meters are a QoS profile's", "`show qos PORT`"),
    absent("add|del|create|enable|disable port meter", "meters are a QoS profile's", RATES),
    absent("set port meter", "meters are a QoS profile's", RATES),
    absent("show port tm", "the switch queues frames itself, for every kind of port", "`show qos PORT`"),
    absent(
        "add|del|set|suspend|resume port tm",
        "the switch queues frames itself, for every kind of port",
        RATES,
    ),
    absent("port tm", "the switch queues frames itself, for every kind of port", RATES),
    absent(
        "set default",
        "there is no default to go back to but the file",
        "`config reload` applies the file, `config rollback` undoes the last change",
    ),
    absent("set verbose", "the switch prints no frames", "`capture start - port PORT` shows them, in pcapng"),
    absent(
        "set log",
        "the log has areas of its own and levels by name, and DPDK's libraries are one of its areas",
        "`set log dpdk debug`, or `set log global LEVEL` for areas that have no level of their own",
    ),
    absent("set nbport|portmask|portlist", "every port takes part", "`port stop PORT` and `port start PORT`"),
    absent(
        "set nbcore|coremask|corelist",
        "the CPUs that poll can't change while the switch runs",
        "write `cores = [2, 3]` below [switch] in the file and restart; `rebalance` moves queues among them",
    ),
    absent(
        "set burst tx",
        "what a device has no room for waits in its class, or is dropped and counted",
        "`set qos port PORT profile PROFILE`",
    ),
    absent(
        "set rxoffs|rxpkts|rxhdrs",
        "frames are received whole, never split",
        "`port config mtu PORT MTU` decides how long they may be",
    ),
    absent("set txpkts|txsplit|txtimes", "a switch sends what it received, and nothing of its own", BENCH),
    absent("set port setup", "a port is whole once it is attached", "`port attach NAME …`"),
    absent("set tx loopback|strict-link-priority", "the switch queues and loops nothing inside a NIC", RATES),
    absent(
        "set all queues drop",
        "drop-enable is set where several queues need it",
        "`show port info PORT` tells, in its notes",
    ),
    absent(
        "vlan set strip|qinq_strip|stripq",
        "frames keep their tags from port to port, and no NIC takes them off",
        TAGS,
    ),
    absent(
        "vlan set filter",
        "every port takes the VLANs that it is a member of, and no others, always",
        "`rx_vlan add VID PORT` or `set port PORT vlan trunk allowed VIDS`",
    ),
    absent("vlan set extend", "service tags are a port's mode", "`set port PORT vlan dot1q-tunnel VID`"),
    absent(
        "vlan set inner|outer",
        "the service tag's EtherType is the port's",
        "`set port PORT vlan dot1q-tunnel VID ethertype ETHERTYPE`",
    ),
    absent("rx_vxlan_port", "the switch looks no further than Ethernet and what rules ask for", FILTER),
    absent("tx_vlan set PORT VID VID", "two tags are a tunnel's", "`set port PORT vlan dot1q-tunnel VID`"),
    absent("csum", "there is no checksum engine to choose", CHECKSUMS),
    absent("tso|tunnel_tso", "there is no segmentation to choose", CHECKSUMS),
    absent(
        "set port PORT gro|gso",
        "the switch joins no frames, and cuts them only where a VM left that",
        CHECKSUMS,
    ),
    absent("set gro|gso", "the switch joins no frames, and cuts them only where a VM left that", CHECKSUMS),
    absent(
        "set fwd",
        "the switch has one way to forward: by VLAN and address (IEEE 802.1Q)",
        "`show fdb` tells what goes where; `pollux bench peers` measures it beside testpmd's ways",
    ),
    absent(
        "mac_addr set",
        "no frame is sent from a port's own address",
        "`mac_addr add PORT MAC` for a device's filter",
    ),
    absent("mcast_addr", "a switch's port takes all multicast", "`set allmulti PORT on`"),
    absent("set eth-peer", "addresses of frames are never written over", "`show fdb` tells what goes where"),
    absent("set port PORT uta", "a switch's port takes all unicast", "`set promisc PORT on`"),
    absent(
        "set flow_ctrl mac_ctrl_frame_fwd",
        "control frames never leave the link that they came from (IEEE 802.1Q clause 8.6.3)",
        "`capture start` shows frames",
    ),
    absent(
        "set flow_ctrl rx on|off tx on|off ANY ANY ANY ANY mac_ctrl_frame_fwd on",
        "control frames never leave the link that they came from (IEEE 802.1Q clause 8.6.3)",
        "leave it out",
    ),
    absent("set pfc_queue_ctrl", "priorities are paused by class, not by queue", "`set pfc_ctrl …`"),
    absent(
        "set port PORT rxq",
        "what waits in a receive queue is asked for, not told",
        "`show port PORT rxq QUEUE desc used count`",
    ),
    absent(
        "set stat_qmap",
        "counters are the switch's own, by port, class and reason",
        "`show port stats PORT`, `show qos PORT`",
    ),
    absent(
        "set xstats-hide-zero",
        "every counter is shown, as a zero tells something too",
        "`pollux exec show port xstats PORT | grep -v ' 0$'`",
    ),
    absent(
        "set record-core-cycles off",
        "each worker's cycles are always counted, at no cost that shows",
        "`show workers`",
    ),
    absent("set record-burst-stats", "bursts are always counted", "`show workers`"),
    absent(
        "set port PORT queue",
        "rates are a class's or a port's, not a queue's",
        "`set qos profile PROFILE class CLASS max_rate …`",
    ),
    absent("set flush_rx", "nothing is thrown away at a start", "`port reset PORT` empties a device's rings"),
    absent("set link_check", "a port without link is known at once, and gets no frames", "`monitor link`"),
    absent("set port PORT ptype_mask", "the switch reads frames itself, whatever the NIC recognises", FILTER),
    absent("set port PORT fec_mode", "the NIC and its link's other end agree on it", "`show port info PORT`"),
    absent("set port PORT queue-region", "RSS is the same on all NICs", "`show port PORT rss reta`"),
    absent(
        "port close|detach all",
        "a switch without ports is none",
        "`port stop all`, or stop the switch itself",
    ),
    absent(
        "port attach DEVICE",
        "a port needs a name, and what the file has below [ports.NAME]",
        "`port attach NAME device DEVICE`",
    ),
    absent(
        "port config PORT|all speed|duplex",
        "the NIC and its link's other end agree on it",
        "choose the speed at the other end; `set qos profile PROFILE egress_rate …` shapes",
    ),
    absent("port config PORT|all loopback", "a frame never leaves through the port that it came from", BENCH),
    absent(
        "port config PORT|all txq",
        "a device has a transmit queue for each worker, as far as it goes",
        "`show config rxtx`",
    ),
    absent(
        "port config all max-pkt-len",
        "the length of frames follows from the MTU",
        "`port config mtu PORT MTU`",
    ),
    absent("port config all max-lro-pkt-size", "the switch joins no frames", "`port config mtu PORT MTU`"),
    absent(
        "port config all drop-en",
        "drop-enable is set where several queues need it",
        "`show port info PORT` tells, in its notes",
    ),
    absent(
        "port config all rss",
        "receive queues share frames by all of VLAN, addresses and ports that the NIC can read",
        "`show port PORT rss-hash`",
    ),
    absent(
        "port config PORT rss|rss-hash-key",
        "flows are dealt to queues evenly, and queues to workers by load",
        "`rebalance`",
    ),
    absent("port config PORT dcb", "traffic classes are the switch's own, for every kind of port", RATES),
    absent("port config all txpt|txht|txwt|rxpt|rxht|rxwt", "the driver's own thresholds are used", RINGS),
    absent("port config all txfreet|txrst|rxfreet", "the driver's own thresholds are used", RINGS),
    absent("port config PORT rxq|txq QUEUE ring_size", "all queues of a port have rings of one size", RINGS),
    absent("port PORT rxq|txq QUEUE", "queues start and stop with their port", QUEUES),
    absent(
        "port config PORT udp_tunnel_port",
        "the switch looks no further than Ethernet and what rules ask for",
        FILTER,
    ),
    absent(
        "port config PORT rx_offload|tx_offload",
        "offloads follow from what ports need, and stay off where they cost vector receive or transmit",
        "`show port cap PORT`",
    ),
    absent(
        "port config PORT tx_metadata|dynf",
        "frames have no metadata beside their octets",
        "`set qos profile PROFILE class_to_pcp PCPS` marks frames",
    ),
    absent("port config PORT pctype", "RSS is the same on all NICs", "`show port PORT rss-hash`"),
    absent("port config bypass", "the switch has no NIC that bypasses it", "`port stop PORT`"),
    absent("port cleanup", "sent frames are freed as new ones are sent", "`show memory`"),
    absent(
        "bpf-load|bpf-unload",
        "no program runs in the path of frames",
        "`capture start … filter EXPRESSION` and `mirror add … filter EXPRESSION` compile filters",
    ),
    absent("flow", "the switch has no flow rules of a NIC", FILTER),
    absent("flow_director_filter", "the switch has no flow rules of a NIC", FILTER),
    absent(
        "set vxlan|vxlan-with-vlan|vxlan-tos-ttl|nvgre|nvgre-with-vlan",
        "the switch makes no tunnels over IP",
        ENCAPSULATION,
    ),
    absent(
        "set l2_encap|l2_encap-with-vlan|l2_decap|l2_decap-with-vlan",
        "the switch makes no tunnels over IP",
        ENCAPSULATION,
    ),
    absent(
        "set mplsogre_encap|mplsogre_encap-with-vlan|mplsogre_decap|mplsogre_decap-with-vlan",
        "the switch makes no tunnels over IP",
        ENCAPSULATION,
    ),
    absent(
        "set mplsoudp_encap|mplsoudp_encap-with-vlan|mplsoudp_decap|mplsoudp_decap-with-vlan",
        "the switch makes no tunnels over IP",
        ENCAPSULATION,
    ),
    absent("set raw_encap|raw_decap|sample_actions", "the switch has no flow rules of a NIC", FILTER),
    absent("set conntrack", "the switch knows addresses, not connections", "`show fdb`"),
    absent("set bonding", "the switch makes no bonds itself", BOND),
    absent("show bonding", "the switch makes no bonds itself", BOND),
    absent("add|remove bonding", "the switch makes no bonds itself", BOND),
    absent("create bonded", "the switch makes no bonds itself", BOND),
    absent("port bonding", "the switch makes no bonds itself", BOND),
    absent("ddp", "the switch loads no programs into a NIC", FILTER),
    absent("ptype", "the switch reads frames itself, whatever the NIC recognises", FILTER),
    absent("set tc", "traffic classes are the switch's own, for every kind of port", RATES),
    absent("set macsec", "the switch has no MACsec", "let the stations encrypt"),
    absent("set bypass", "the switch has no NIC that bypasses it", "`port stop PORT`"),
    absent("show bypass", "the switch has no NIC that bypasses it", "`port stop PORT`"),
    absent(
        "mlx5",
        "no command is one driver's own",
        "write driver arguments behind the device: `port attach NAME device DEVICE`",
    ),
    absent("dump_socket_mem|dump_struct_sizes", "it is DPDK's inside", "`show memory`, `dump_physmem`"),
    absent("dump_ring", "it is DPDK's inside", "`show config rxtx` shows the rings of ports"),
    absent("dump_devargs", "it is DPDK's inside", "`show device info all`"),
    absent("dump_lcores", "it is DPDK's inside", "`show workers`"),
    absent("dump_trace|dump_log_types", "it is DPDK's inside", "`monitor` tells what happens"),
];
