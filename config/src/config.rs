use pollux_net::PortId;

use crate::fault::{Notice, Place};
use crate::tree::{Node, Places, all};
use crate::{
    Control, FdbSettings, Log, Metrics, Mirror, Port, QosProfile, StaticEntry, Switch, control, fdb, log,
    metrics, mirror, port, qos, switch,
};

/// A file that has no fault.
#[derive(Clone, Debug)]
pub struct Config {
    /// The process.
    pub switch: Switch,
    /// The forwarding database.
    pub fdb: FdbSettings,
    /// The ports in the file's order, at least one; the place of each is its [`PortId`].
    pub ports: Vec<Port>,
    /// The QoS profiles in the file's order.
    pub profiles: Vec<QosProfile>,
    /// The mirrors in the file's order.
    pub mirrors: Vec<Mirror>,
    /// Where numbers are served. `None`: nowhere.
    pub metrics: Option<Metrics>,
    /// Who may use the control socket.
    pub control: Control,
    /// What the log tells.
    pub log: Log,
    pub(crate) places: Places,
}

impl Config {
    /// The port of this number.
    pub fn port(&self, id: PortId) -> Option<&Port> {
        self.ports.get(id.index())
    }

    /// The same without the ports of these names, and the static entries and mirrors on them.
    pub fn without(&self, names: &[String]) -> Self {
        let mut config = self.clone();
        config.ports.retain(|port| !names.contains(&port.name));
        let place = |name: &str| config.ports.iter().position(|port| port.name == name);
        let moved = self.fdb.statics.iter().filter_map(|entry| {
            let port = PortId::new(place(&self.port(entry.port)?.name)?)?;
            Some(StaticEntry { port, ..*entry })
        });
        let statics = moved.collect();
        config.fdb.statics = statics;
        config.mirrors = self.mirrors.iter().filter_map(|mirror| mirror.without(names)).collect();
        config
    }

    /// The QoS profile that a port names.
    pub fn profile_of(&self, port: &Port) -> Option<&QosProfile> {
        let name = port.profile.as_ref()?;
        self.profiles.iter().find(|profile| profile.name == *name)
    }

    /// Where the file sets `path`, such as `switch.cores[1]` or `ports.uplink.device`
    /// (see [`Port::path`]). What the file leaves to its default is found at the nearest table around
    /// it that is there, in the last resort at the file's start.
    pub fn locate(&self, path: &str) -> Place {
        self.places.locate(path)
    }

    /// What the file asks for that may not be meant, in the file's order.
    pub fn notices(&self) -> Vec<Notice> {
        let open = self.metrics.filter(|metrics| !metrics.listen.ip().is_loopback());
        let metrics = open.map(|metrics| {
            Notice::at(
                &self.locate("metrics.listen"),
                format!("whoever reaches {} reads the switch's metrics", metrics.listen),
                "leave it so if a firewall says who does, or write a loopback address, as in \"127.0.0.1:9475\"",
            )
        });
        metrics.into_iter().collect()
    }
}

/// Reads the whole file, all but where things are in it: that is known when everything has been read.
/// What is at fault was noted, and the result is then of no use.
pub(crate) fn read(node: &Node<'_>) -> Option<impl FnOnce(Places) -> Config + use<>> {
    node.table(|table| {
        let switch = table.get("switch", switch::read).unwrap_or_default();
        let fdb = table.find("fdb");
        let ports = table.find("ports");
        // Static entries name ports, and ports name profiles.
        let profiles = table.get("qos", qos::read_all).unwrap_or_default();
        let ports = match &ports {
            Some(node) => port::read_all(node, &profiles),
            None => table.refuse_lack(&["ports"], "the switch has no port", port::CURE_NO_PORT),
        };
        let ports = ports.unwrap_or_default();
        let fdb = fdb.map(|node| fdb::read(&node, &ports));
        let metrics = table.get("metrics", metrics::read);
        let control = table.get("control", control::read).unwrap_or_default();
        let log = table.get("log", log::read).unwrap_or_default();
        let fdb = fdb.flatten().unwrap_or_default();
        let mirrors = table.get("mirrors", |node| mirror::read_all(node, &ports, &fdb)).unwrap_or_default();
        let ports = all(ports.into_iter().map(|entry| entry.port))?;
        let profiles = all(profiles.into_iter().map(|entry| entry.profile))?;
        Some(move |places| Config { switch, fdb, ports, profiles, mirrors, metrics, control, log, places })
    })
}
