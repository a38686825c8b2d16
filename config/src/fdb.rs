use std::time::Duration;

use pollux_net::{Mac, PortId, Vid};

use crate::port::{self, Entry};
use crate::tree::{Node, all};
use crate::{limits, units, vlan};

/// The forwarding database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FdbSettings {
    /// Entries it has room for.
    pub capacity: usize,
    /// How long an address that isn't heard stays, in whole seconds.
    pub ageing_time: Duration,
    /// Entries that are there from the start, don't age and don't move. Fewer than `capacity`.
    pub statics: Vec<StaticEntry>,
}

impl Default for FdbSettings {
    fn default() -> Self {
        Self {
            capacity: limits::DEFAULT_FDB_CAPACITY,
            ageing_time: limits::DEFAULT_AGEING_TIME,
            statics: Vec::new(),
        }
    }
}

/// A station whose port the file knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticEntry {
    /// The station: an individual address other than zero.
    pub mac: Mac,
    /// The VLAN it is in.
    pub vid: Vid,
    /// Its port, a member of `vid`: an index into [`Config::ports`](crate::Config::ports).
    pub port: PortId,
}

/// Reads the `fdb` table, whose static entries name these ports.
pub(crate) fn read(node: &Node<'_>, ports: &[Entry]) -> Option<FdbSettings> {
    node.table(|table| {
        let capacity = table.get("capacity", |node| node.number(&limits::FDB_CAPACITY));
        let capacity = capacity.unwrap_or(limits::DEFAULT_FDB_CAPACITY);
        let ageing_time = table.get("ageing_time", ageing_time);
        let statics = table.get("static", |node| {
            let entries = node.items("write `[[fdb.static]]` and its keys below, once for each entry")?;
            if entries.len() >= capacity {
                let what = format!("{} static entries leave no room in the FDB", entries.len());
                return node.refuse(what, format!("keep fewer than its `capacity`, {capacity}"));
            }
            all(entries.iter().map(|entry| static_entry(entry, ports)))
        });
        Some(FdbSettings {
            capacity,
            ageing_time: ageing_time.unwrap_or(limits::DEFAULT_AGEING_TIME),
            statics: statics.unwrap_or_default(),
        })
    })
}

fn ageing_time(node: &Node<'_>) -> Option<Duration> {
    let time = units::duration(node, &limits::AGEING_TIME, "300s")?;
    if time.subsec_nanos() == 0 {
        Some(time)
    } else {
        node.refuse(
            format!("`{}` is not a whole number of seconds", node.path()),
            "write it without a fraction",
        )
    }
}

fn static_entry(node: &Node<'_>, ports: &[Entry]) -> Option<StaticEntry> {
    node.table(|table| {
        let mac = table.require("mac", "add the station's address, as in `mac = \"02:00:00:00:00:01\"`", mac);
        let vid = table.require("vid", "add the station's VLAN, as in `vid = 10`", vlan::vid);
        let port = table.require("port", "add the station's port, as in `port = \"vm1\"`", |node| {
            let (number, entry) = port::named(node, ports)?;
            // A port or a VLAN at fault says nothing of membership.
            let (Some(port), Some(vid)) = (&entry.port, vid) else { return None };
            if port.vlan.mode.is_member(vid) {
                Some(number)
            } else {
                let what = format!("this port is not a member of VLAN {vid}");
                node.refuse(what, "name a VLAN of the port, or a port of the VLAN")
            }
        });
        let (mac, vid) = (mac?, vid?);
        table.get("mac", |node| {
            node.unique("static", format!("{vid} {mac}"), "this station has an entry already")
        })?;
        Some(StaticEntry { mac, vid, port: port? })
    })
}

/// The address of one station.
pub(crate) fn mac(node: &Node<'_>) -> Option<Mac> {
    let cure = "write six hexadecimal octets, as in \"02:00:00:00:00:01\"";
    let Ok(mac) = node.text(cure)?.parse::<Mac>() else {
        return node.refuse(format!("`{}` is not a MAC address", node.path()), cure);
    };
    let cure = "write the address of one station";
    if mac.is_bridge_reserved() {
        node.refuse("this address is reserved and never forwarded (IEEE 802.1Q-2022 table 8-1)", cure)
    } else if mac.is_multicast() {
        node.refuse("this is a group address, which is sent to every member of the VLAN", cure)
    } else if mac.is_zero() {
        node.refuse("no station has this address", cure)
    } else {
        Some(mac)
    }
}
