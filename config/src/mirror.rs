use pollux_net::{PortVlan, Vid, VlanMode};

use crate::limits;
use crate::port::{self, check_name};
use crate::tree::{Node, Table, all};
use crate::{FdbSettings, vlan};

/// Copies of frames for somebody who looks at them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// What the file calls it.
    pub name: String,
    /// What is copied.
    pub from: MirrorFrom,
    /// Where copies go. No mirror copies anything of that port or VLAN.
    pub to: MirrorTo,
    /// What is chosen of the frames, in libpcap's words. `None`: all.
    pub filter: Option<String>,
    /// Octets of a frame that are copied at most. `None`: all.
    pub snap_length: Option<u32>,
}

/// What a mirror copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorFrom {
    /// What these ports, by their names, receive or send.
    Ports(Vec<String>, Directions),
    /// What comes into a VLAN, or leaves in it.
    Vlan(Vid, Directions),
    /// What is dropped, wherever.
    Dropped,
}

/// Whether frames are looked at where they come in, where they leave, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directions {
    /// Where they come in.
    pub rx: bool,
    /// Where they leave.
    pub tx: bool,
}

impl Directions {
    /// As the file says it; `None`: neither.
    pub fn word(self) -> Option<&'static str> {
        DIRECTIONS.iter().find(|(_, directions)| *directions == self).map(|(word, _)| *word)
    }
}

/// Where a mirror's copies go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorTo {
    /// To a port, by its name, which does nothing else.
    Port(String),
    /// To every member of a VLAN, of which there is one at least.
    Vlan(Vid),
}

impl Mirror {
    /// The path of one of the mirror's keys, for [`Config::locate`](crate::Config::locate).
    pub fn path(&self, key: &str) -> String {
        format!("mirrors.{}.{key}", self.name)
    }

    /// The same without some ports; `None` if nothing is left to copy, or nowhere to copy it to.
    pub(crate) fn without(&self, names: &[String]) -> Option<Self> {
        let mut mirror = self.clone();
        if let MirrorFrom::Ports(ports, _) = &mut mirror.from {
            ports.retain(|port| !names.contains(port));
            if ports.is_empty() {
                return None;
            }
        }
        let stays = match &mirror.to {
            MirrorTo::Port(port) => !names.contains(port),
            MirrorTo::Vlan(_) => true,
        };
        stays.then_some(mirror)
    }
}

const DIRECTIONS: [(&str, Directions); 3] = [
    ("rx", Directions { rx: true, tx: false }),
    ("tx", Directions { rx: false, tx: true }),
    ("both", Directions { rx: true, tx: true }),
];

/// A mirror, and where its parts are in the file.
struct Entry<'d> {
    mirror: Mirror,
    /// The ports or the VLAN that it copies.
    sources: Vec<Node<'d>>,
    target: Node<'d>,
}

/// Reads the `mirrors` table, whose mirrors name these ports.
pub(crate) fn read_all(node: &Node<'_>, ports: &[port::Entry], fdb: &FdbSettings) -> Option<Vec<Mirror>> {
    let entries = node.entries()?;
    if let Some((_, key, _)) = entries.get(limits::MAX_MIRRORS) {
        let what = format!("the switch has {} mirrors", entries.len());
        key.refuse::<()>(what, format!("keep {}: remove this one and those below", limits::MAX_MIRRORS));
    }
    let mirrors = entries.iter().map(|(name, key, node)| {
        let named = check_name(name, key, "mirror");
        let mirror = read(name, node, ports);
        named.and(mirror)
    });
    let mirrors = all(mirrors)?;
    let allowed = all(mirrors.iter().map(|entry| check_sources(entry, &mirrors)));
    let targets = all(mirrors.iter().map(|entry| check_target(entry, &mirrors, ports, fdb)));
    allowed.and(targets)?;
    Some(mirrors.into_iter().map(|entry| entry.mirror).collect())
}

fn read<'d>(name: &str, node: &Node<'d>, ports: &[port::Entry]) -> Option<Entry<'d>> {
    node.table(|table| {
        let direction = table.get("direction", |node| node.choice(&DIRECTIONS));
        let directions = direction.unwrap_or(Directions { rx: true, tx: true });
        let cure = "add what it copies, as in `from = { ports = [\"vm1\"] }`";
        let from = table.require("from", cure, |node| from(node, directions, ports));
        if matches!(from, Some((MirrorFrom::Dropped, _))) {
            let what = "has no meaning where dropped frames are copied";
            table.refuse_keys(&["direction"], what, "remove it");
        }
        let to = table
            .require("to", "add where copies go, as in `to = { port = \"tap1\" }`", |node| to(node, ports));
        let filter = table.get("filter", filter);
        let snap_length = table.get("snap_length", |node| node.number(&limits::SNAP_LENGTH));
        let ((from, sources), (to, target)) = (from?, to?);
        if let Some(itself) = sources.iter().find(|node| to == MirrorTo::Port(text(node))) {
            return itself.refuse("this port would be copied to itself", "name another port in `to`");
        }
        let mirror = Mirror { name: name.to_owned(), from, to, filter, snap_length };
        Some(Entry { mirror, sources, target })
    })
}

fn text(node: &Node<'_>) -> String {
    node.as_str().unwrap_or_default().to_owned()
}

fn filter(node: &Node<'_>) -> Option<String> {
    let cure = "write it as for tcpdump, as in \"tcp port 80\", or leave it out for all frames";
    let text = node.text(cure)?;
    if text.trim().is_empty() || text.len() > limits::MAX_FILTER_LEN || text.contains('\0') {
        let what = format!("`{}` is no filter of 1 to {} octets", node.path(), limits::MAX_FILTER_LEN);
        return node.refuse(what, cure);
    }
    Some(text.to_owned())
}

/// Notes a fault unless one of `keys` is there, and no other. `cure` says what to write.
fn one_of(table: &Table<'_>, keys: &[&'static str], cure: &str) -> Option<()> {
    let mut there = keys.iter().filter(|key| table.find(key).is_some());
    let Some(first) = there.next() else {
        let what = format!("`{}` is empty", table.node().path());
        return table.refuse_lack(keys, what, cure);
    };
    let others: Vec<_> = there.copied().collect();
    table.refuse_keys(&others, &format!("stands beside `{first}`"), "keep one");
    others.is_empty().then_some(())
}

type From<'d> = (MirrorFrom, Vec<Node<'d>>);

fn from<'d>(node: &Node<'d>, directions: Directions, known: &[port::Entry]) -> Option<From<'d>> {
    node.table(|table| {
        let ports = table.get("ports", |node| ports(node, known));
        let vlan = table.get("vlan", |node| Some((vlan::vid(node)?, node.clone())));
        let dropped = table.get("dropped", |node| match node.boolean()? {
            true => Some(()),
            false => {
                node.refuse("`dropped` copies what is dropped, or isn't there", "write true, or remove it")
            }
        });
        one_of(
            table,
            &["ports", "vlan", "dropped"],
            "add `ports = [\"vm1\"]`, `vlan = 10` or `dropped = true`",
        )?;
        let of_ports = ports.map(|(names, nodes)| (MirrorFrom::Ports(names, directions), nodes));
        let of_vlan = vlan.map(|(vid, node)| (MirrorFrom::Vlan(vid, directions), vec![node]));
        of_ports.or(of_vlan).or(dropped.map(|()| (MirrorFrom::Dropped, Vec::new())))
    })
}

fn ports<'d>(node: &Node<'d>, known: &[port::Entry]) -> Option<(Vec<String>, Vec<Node<'d>>)> {
    let cure = "write a list of ports' names, as in [\"vm1\", \"vm2\"]";
    let named = node.list(cure, |item| {
        let (_, entry) = port::named(item, known)?;
        item.unique(node.path(), &entry.name, "this port is listed already")?;
        Some((entry.name.clone(), item.clone()))
    })?;
    if named.is_empty() {
        return node.refuse("no port would be copied", cure);
    }
    Some(named.into_iter().unzip())
}

fn to<'d>(node: &Node<'d>, known: &[port::Entry]) -> Option<(MirrorTo, Node<'d>)> {
    node.table(|table| {
        let port = table.get("port", |node| Some((port::named(node, known)?.1.name.clone(), node.clone())));
        let vlan = table.get("vlan", |node| Some((vlan::vid(node)?, node.clone())));
        one_of(table, &["port", "vlan"], "add `port = \"tap1\"` or `vlan = 999`")?;
        let to_port = port.map(|(name, node)| (MirrorTo::Port(name), node));
        to_port.or(vlan.map(|(vid, node)| (MirrorTo::Vlan(vid), node)))
    })
}

/// What copies go to is not copied.
fn check_sources(entry: &Entry<'_>, mirrors: &[Entry<'_>]) -> Option<()> {
    let goes_to =
        |to: MirrorTo| mirrors.iter().find(|other| other.mirror.to == to).map(|other| &other.mirror.name);
    let refuse = |node: &Node<'_>, noun: &str, mirror: Option<&String>| {
        let Some(mirror) = mirror else { return Some(()) };
        let what = format!("copies of the mirror `{mirror}` go to this {noun}, and nothing of it is copied");
        node.refuse(what, format!("name another {noun}"))
    };
    let checked = entry.sources.iter().map(|node| match entry.mirror.from {
        MirrorFrom::Vlan(vid, _) => refuse(node, "VLAN", goes_to(MirrorTo::Vlan(vid))),
        MirrorFrom::Ports(..) => refuse(node, "port", goes_to(MirrorTo::Port(text(node)))),
        MirrorFrom::Dropped => Some(()),
    });
    all(checked).map(drop)
}

/// Somebody gets the copies, and the port that does is free for them.
fn check_target(
    entry: &Entry<'_>,
    mirrors: &[Entry<'_>],
    ports: &[port::Entry],
    fdb: &FdbSettings,
) -> Option<()> {
    match &entry.mirror.to {
        MirrorTo::Port(name) => {
            let on = |entry: &crate::StaticEntry| {
                ports.get(entry.port.index()).is_some_and(|port| port.name == *name)
            };
            if fdb.statics.iter().any(on) {
                let what = "a static entry of the FDB is on this port, which takes nothing but copies";
                return entry.target.refuse(what, "name another port, or remove the entry");
            }
        }
        MirrorTo::Vlan(vid) => {
            let is_target = |name: &str| {
                mirrors.iter().any(|other| matches!(&other.mirror.to, MirrorTo::Port(port) if port == name))
            };
            let members = ports.iter().filter_map(|entry| entry.port.as_ref());
            let mut members = members.filter(|port| port.vlan.mode.is_member(*vid) && !is_target(&port.name));
            let Some(first) = members.next() else {
                let what = format!("no port is in VLAN {vid}, so nobody would get the copies");
                return entry.target.refuse(what, "name the VLAN of a port, or put a port into this one");
            };
            let ambiguous = |vlan: &PortVlan| matches!(vlan.mode, VlanMode::Trunk { native: Some(native), native_tagged: false, .. } if native == *vid);
            if let Some(port) = std::iter::once(first).chain(members).find(|port| ambiguous(&port.vlan)) {
                let what = format!(
                    "the trunk `{}` sends VLAN {vid} without its tag: copies would pass for other frames",
                    port.name
                );
                let cure = "name another VLAN, or write `native_tagged = true` in the port's `vlan`";
                return entry.target.refuse(what, cure);
            }
        }
    }
    Some(())
}
