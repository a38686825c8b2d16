use pollux_net::{MAX_PORTS, Pcp, PortId, PortVlan, Trust, VlanMode};

use crate::device::{self, Device};
use crate::flow_control::{self, FlowControl, PriorityFlowControl};
use crate::limits;
use crate::qos::{self, PortQos};
use crate::tree::{Key, Node, Table, alike};
use crate::vhost::{self, VhostUser};
use crate::vlan::{self, Vlan};

/// A port of the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// What the file calls it: a letter, then letters, digits, `_` and `-`; never `all`.
    pub name: String,
    /// What frames come from and go to.
    pub kind: PortKind,
    /// Whether it takes part; one that doesn't keeps its device and its VM, and no frames pass.
    pub enabled: bool,
    /// The MTU in octets, without the Ethernet header and tags.
    pub mtu: u16,
    /// VLANs, and of `qos` what tells a frame's priority: `trust` and `default_pcp`.
    pub vlan: PortVlan,
    /// The name of one of [`Config::profiles`](crate::Config::profiles).
    pub profile: Option<String>,
    /// What becomes of each priority that tags bring (IEEE 802.1Q-2022 clause 6.9.4). Changes none but
    /// where the port trusts them.
    pub pcp_regeneration: [Pcp; 8],
    /// Pause frames; of a device only. `None`: as the device does.
    pub flow_control: Option<FlowControl>,
    /// Pause frames by priority; of a device only, and never beside `flow_control`.
    pub priority_flow_control: Option<PriorityFlowControl>,
}

impl Port {
    /// The path of one of the port's keys, for [`Config::locate`](crate::Config::locate).
    pub fn path(&self, key: &str) -> String {
        format!("ports.{}.{key}", self.name)
    }
}

/// What a port is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// A DPDK device.
    Device(Device),
    /// A VM's socket.
    VhostUser(VhostUser),
}

impl PortKind {
    /// What no two ports have in common: a device's name, or a socket's path.
    pub fn identity(&self) -> String {
        match self {
            Self::Device(device) => device.spec.name(),
            Self::VhostUser(vhost) => vhost.socket.display().to_string(),
        }
    }
}

/// What the file says of a port's name: the port, or `None` if it is at fault.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) port: Option<Port>,
}

/// Reads the `ports` table, which may use these profiles.
pub(crate) fn read_all(node: &Node<'_>, profiles: &[qos::Entry]) -> Option<Vec<Entry>> {
    let entries = node.entries()?;
    if entries.is_empty() {
        return node.refuse("the switch has no port", CURE_NO_PORT);
    }
    if let Some((_, key, _)) = entries.get(MAX_PORTS) {
        let what = format!("the switch has {} ports", entries.len());
        key.refuse::<()>(what, format!("keep {MAX_PORTS}: remove this one and those below"));
    }
    let ports = entries.iter().map(|(name, key, node)| {
        let named = check_name(name, key, "port");
        let port = read(name, node, profiles);
        Entry { name: (*name).to_owned(), port: named.and(port) }
    });
    Some(ports.collect())
}

/// What to do about a switch without ports.
pub(crate) const CURE_NO_PORT: &str = "add one: `[ports.uplink]` and below it `device = \"0000:03:00.0\"`";

/// The port that a value names.
pub(crate) fn named<'p>(node: &Node<'_>, ports: &'p [Entry]) -> Option<(PortId, &'p Entry)> {
    let text = node.text("write a port's name, as in \"vm1\"")?;
    let found = ports.iter().position(|entry| entry.name == text);
    let port = found.and_then(|index| Some((PortId::new(index)?, ports.get(index)?)));
    port.or_else(|| {
        let cure = match alike(text, ports.iter().map(|entry| entry.name.as_str())) {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => format!("add `[ports.{text}]`, or name one that is there"),
        };
        node.refuse("there is no such port", cure)
    })
}

/// Refuses what can't be a name on the console's command line.
pub(crate) fn check_name(name: &str, key: &Key<'_>, noun: &str) -> Option<()> {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let word = name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'));
    if !first || !word {
        let cure = "start with a letter, then use letters, digits, _ and - only";
        key.refuse(format!("this can't be the name of a {noun}"), cure)
    } else if name.len() > limits::MAX_NAME_LEN {
        let what = format!("the name of a {noun} has {} characters", name.len());
        key.refuse(what, format!("shorten it to {}", limits::MAX_NAME_LEN))
    } else if name.eq_ignore_ascii_case("all") {
        let what = format!("this can't be the name of a {noun}: the console reads it as all of them");
        key.refuse(what, "choose another name")
    } else {
        Some(())
    }
}

fn read(name: &str, node: &Node<'_>, profiles: &[qos::Entry]) -> Option<Port> {
    node.table(|table| {
        let kind = kind(table);
        let enabled = table.get("enabled", Node::boolean).unwrap_or(true);
        let mtu = table.get("mtu", |node| node.number(&limits::MTU));
        let vlan = match table.find("vlan") {
            Some(node) => vlan::read(&node),
            None => Some(Vlan::default()),
        };
        let default_trust = vlan.as_ref().map(|vlan| default_trust(&vlan.mode));
        let qos = table.get("qos", |node| qos::read_port(node, profiles, default_trust));
        let flow_control = table.get("flow_control", flow_control::read);
        let priority_flow_control = table.get("priority_flow_control", flow_control::read_by_priority);
        if table.find("flow_control").is_some() {
            let cure = "keep one: a link is paused as a whole or by priority";
            table.refuse_keys(&["priority_flow_control"], "stands beside `flow_control`", cure);
        }
        let Vlan { mode, priority_tags } = vlan?;
        let PortQos { profile, trust, default_pcp, pcp_regeneration } = qos.unwrap_or_default();
        refuse_bursts_below_what_is_cut(table, kind.as_ref(), profile.as_ref(), profiles);
        Some(Port {
            name: name.to_owned(),
            kind: kind?,
            enabled,
            mtu: mtu.unwrap_or(limits::DEFAULT_MTU),
            vlan: PortVlan {
                trust: trust.or(default_trust)?,
                mode,
                priority_tags,
                default_pcp: default_pcp.unwrap_or(Pcp::ZERO),
            },
            profile,
            pcp_regeneration: pcp_regeneration.unwrap_or_else(qos::unchanged),
            flow_control,
            priority_flow_control,
        })
    })
}

/// A policer sees what a VM leaves to be cut as one frame: one that its burst can't hold never passes.
fn refuse_bursts_below_what_is_cut(
    table: &Table<'_>,
    kind: Option<&PortKind>,
    profile: Option<&String>,
    profiles: &[qos::Entry],
) {
    let cuts = matches!(kind, Some(PortKind::VhostUser(vhost)) if vhost.offloads.tso);
    let entry = profiles.iter().find(|entry| profile == Some(&entry.name));
    let Some(policed) = entry.and_then(|entry| entry.profile.as_ref()).filter(|_| cuts) else { return };
    let least = limits::TSO_BURST;
    if policed.smallest_policed_burst().is_some_and(|burst| burst < least) {
        table.get("qos", |node| {
            let what = format!(
                "a policer of `{}` has a burst below {least}, in which no frame passes that a VM leaves to be cut",
                policed.name
            );
            let cure = format!("raise it to \"{least}\", or write `offloads = [\"checksum\"]` in `vhost_user`");
            node.refuse::<()>(what, cure)
        });
    }
}

/// A customer's word counts in the provider's network only if the file says so.
fn default_trust(mode: &VlanMode) -> Trust {
    match mode {
        VlanMode::Access { .. } | VlanMode::Trunk { .. } => Trust::Pcp,
        VlanMode::Dot1qTunnel { .. } => Trust::Port,
    }
}

fn kind(table: &Table<'_>) -> Option<PortKind> {
    let device = device::read(table);
    let vhost_user = table.get("vhost_user", vhost::read);
    match (table.find("device").is_some(), table.find("vhost_user").is_some()) {
        (true, false) => device.map(PortKind::Device),
        (false, true) => {
            let what = "has no meaning on a vhost-user port, whose rings and queues are the VM's";
            table.refuse_keys(&device::KEYS, what, "remove it; queue pairs are `vhost_user.queues`");
            let what = "has no meaning on a vhost-user port: a VM sends and takes no pause frames";
            table.refuse_keys(&flow_control::KEYS, what, "remove it");
            vhost_user.map(PortKind::VhostUser)
        }
        (true, true) => {
            table.refuse_keys(&["vhost_user"], "stands beside `device`", "keep one: a port has one of them");
            None
        }
        (false, false) => {
            let what = format!("`{}` has neither `device` nor `vhost_user`", table.node().path());
            table.refuse_lack(
                &["device", "vhost_user"],
                what,
                "add `device = \"0000:03:00.0\"` or `vhost_user = { socket = \"/run/pollux/NAME.sock\" }`",
            )
        }
    }
}
