//! What another file would change.

use std::fmt;

use pollux_net::{Mac, Vid};

use crate::{Config, Device, Fault, Faults, Port, PortKind, StaticEntry, VhostUser};

/// What differs between the configuration that runs and the one that is to run. Ports are known by
/// their names; each is in one list at most, in the order of the file that has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Ports that the running configuration hasn't.
    pub attached: Vec<String>,
    /// Ports that only the running configuration has.
    pub detached: Vec<String>,
    /// Ports over another device or socket, or with other queues or rings: taken away and made anew.
    pub replaced: Vec<String>,
    /// Ports whose device stays: what changes is looked up in the data path (VLANs, what `qos` says, the
    /// QoS profile or what is in it, and on a vhost-user port the MTU) or when somebody asks (its guest
    /// agent's socket), or is set in a device that runs (flow control, which addresses it takes), or whether
    /// the port is enabled.
    pub retuned: Vec<String>,
    /// Settings of the whole switch that change, by their paths in the file.
    pub settings: Vec<&'static str>,
    /// Whether addresses age in another time.
    pub ageing: bool,
    /// Static entries that go, and those that come; one that moves to another port is in both.
    pub statics_removed: Vec<(Vid, Mac)>,
    /// See `statics_removed`.
    pub statics_added: Vec<(Vid, Mac)>,
    /// Mirrors that go, and those that come; one that changes is in both.
    pub mirrors_removed: Vec<String>,
    /// See `mirrors_removed`.
    pub mirrors_added: Vec<String>,
}

impl Changes {
    /// What it takes to get from `old` to `new` without a restart.
    ///
    /// # Errors
    ///
    /// Every setting of `new` that can't change while the switch runs, at its place.
    pub fn between(old: &Config, new: &Config) -> Result<Self, Faults> {
        let faults = restarts(old, new);
        if !faults.is_empty() {
            return Err(faults);
        }
        let find = |config: &Config, name: &str| config.ports.iter().find(|port| port.name == name).cloned();
        let mut changes = Self {
            detached: names(old.ports.iter().filter(|port| find(new, &port.name).is_none())),
            ageing: old.fdb.ageing_time != new.fdb.ageing_time,
            settings: SETTINGS
                .iter()
                .filter(|(_, differs)| differs(old, new))
                .map(|&(path, _)| path)
                .collect(),
            ..Self::default()
        };
        for port in &new.ports {
            let list = match find(old, &port.name) {
                None => &mut changes.attached,
                Some(before) if needs_new_device(&before, port) => &mut changes.replaced,
                Some(before) if before != *port || old.profile_of(&before) != new.profile_of(port) => {
                    &mut changes.retuned
                }
                Some(_) => continue,
            };
            list.push(port.name.clone());
        }
        changes.statics_removed = statics_only_in(old, new);
        changes.statics_added = statics_only_in(new, old);
        changes.mirrors_removed = mirrors_only_in(old, new);
        changes.mirrors_added = mirrors_only_in(new, old);
        Ok(changes)
    }

    /// The settings of the whole switch that can change while it runs, by their paths in the file.
    pub fn live_settings() -> impl Iterator<Item = &'static str> {
        SETTINGS.iter().map(|&(path, _)| path)
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The changes in a line, for people.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = [
            ("attached", &self.attached),
            ("detached", &self.detached),
            ("replaced", &self.replaced),
            ("changed", &self.retuned),
        ];
        let ports = ports.iter().filter(|(_, names)| !names.is_empty());
        let mut parts: Vec<_> = ports.map(|(what, names)| format!("{what} {}", names.join(", "))).collect();
        if !self.settings.is_empty() {
            parts.push(format!("set {}", self.settings.join(", ")));
        }
        if self.ageing {
            parts.push("ageing time set".to_owned());
        }
        for (what, entries) in [("removed", &self.statics_removed), ("added", &self.statics_added)] {
            if !entries.is_empty() {
                parts.push(format!("static entries {what}: {}", entries.len()));
            }
        }
        for (what, names) in [("removed", &self.mirrors_removed), ("added", &self.mirrors_added)] {
            if !names.is_empty() {
                parts.push(format!("mirrors {what}: {}", names.join(", ")));
            }
        }
        if parts.is_empty() { f.write_str("nothing changed") } else { f.write_str(&parts.join("; ")) }
    }
}

fn names<'a>(ports: impl Iterator<Item = &'a Port>) -> Vec<String> {
    ports.map(|port| port.name.clone()).collect()
}

/// A NIC may have to be stopped to take another MTU; a VM's port has none.
fn needs_new_device(old: &Port, new: &Port) -> bool {
    let device = matches!(new.kind, PortKind::Device(_));
    made_of(&old.kind) != made_of(&new.kind) || (device && old.mtu != new.mtu)
}

/// What is decided when a port is made: whom to ask about the guest is nothing to the VM's connection, and
/// which addresses it takes is set in a device that runs.
fn made_of(kind: &PortKind) -> PortKind {
    match kind {
        PortKind::VhostUser(vhost) => PortKind::VhostUser(VhostUser { guest_agent: None, ..vhost.clone() }),
        PortKind::Device(device) => PortKind::Device(Device {
            promiscuous: true,
            allmulticast: false,
            macs: Vec::new(),
            ..device.clone()
        }),
    }
}

/// A setting of the whole switch, by its path in the file, and whether it differs.
type Setting = (&'static str, fn(&Config, &Config) -> bool);

/// Those that can change while the switch runs.
const SETTINGS: [Setting; 9] = [
    ("switch.burst", |old, new| old.switch.burst != new.switch.burst),
    ("switch.rest", |old, new| old.switch.rest != new.switch.rest),
    ("switch.rebalance", |old, new| old.switch.rebalance != new.switch.rebalance),
    ("switch.watchdog", |old, new| old.switch.watchdog != new.switch.watchdog),
    ("metrics.listen", |old, new| old.metrics != new.metrics),
    ("control.mode", |old, new| old.control.mode != new.control.mode),
    ("control.group", |old, new| old.control.group != new.control.group),
    ("log.level", |old, new| old.log.level != new.log.level),
    ("log.areas", |old, new| old.log.areas != new.log.areas),
];

/// The static entries of `config` that `other` hasn't, or has on another port.
fn statics_only_in(config: &Config, other: &Config) -> Vec<(Vid, Mac)> {
    let whole = |config: &Config, entry: &StaticEntry| {
        (entry.vid, entry.mac, config.port(entry.port).map(|port| port.name.clone()))
    };
    let others: Vec<_> = other.fdb.statics.iter().map(|entry| whole(other, entry)).collect();
    let only = config.fdb.statics.iter().filter(|entry| !others.contains(&whole(config, entry)));
    only.map(|entry| (entry.vid, entry.mac)).collect()
}

/// The mirrors of `config` that `other` hasn't, or has otherwise.
fn mirrors_only_in(config: &Config, other: &Config) -> Vec<String> {
    let only = config.mirrors.iter().filter(|mirror| !other.mirrors.contains(mirror));
    only.map(|mirror| mirror.name.clone()).collect()
}

/// What can't change while the switch runs.
fn restarts(old: &Config, new: &Config) -> Faults {
    let settings = [
        ("switch.cores", old.switch.cores != new.switch.cores),
        ("switch.hugepages", old.switch.hugepages != new.switch.hugepages),
        ("switch.memory", old.switch.memory != new.switch.memory),
        ("fdb.capacity", old.fdb.capacity != new.fdb.capacity),
    ];
    let changed = settings.iter().filter(|(_, changed)| *changed);
    changed
        .map(|(path, _)| {
            let what = format!("`{path}` can't change while the switch runs");
            Fault::at(&new.locate(path), what, "leave it as it was, or restart the switch")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "[switch]\ncores = [1]\n[ports.a]\ndevice = \"net_null0\"\n[ports.b]\n\
                       vhost_user = { socket = \"/run/b.sock\" }\n[ports.c]\ndevice = \"net_null1\"\n\
                       [[fdb.static]]\nmac = \"02:00:00:00:00:01\"\nvid = 1\nport = \"b\"\n";

    fn parse(text: &str) -> Config {
        crate::parse("new.toml", text).unwrap_or_else(|faults| panic!("{}", faults.lines()))
    }

    fn changes(edit: impl Fn(&str) -> String) -> Changes {
        Changes::between(&parse(OLD), &parse(&edit(OLD))).unwrap()
    }

    #[test]
    fn the_same_file_changes_nothing() {
        let none = changes(str::to_owned);
        assert!(none.is_empty());
        assert_eq!(none.to_string(), "nothing changed");
        // Nor do comments, order and what was the default anyway.
        assert!(changes(|old| format!("# mine\n{old}\n[fdb]\nageing_time = \"300s\"\n")).is_empty());
    }

    #[test]
    fn ports_come_go_are_replaced_and_retuned() {
        let changed = changes(|old| {
            old.replace("[ports.c]", "[ports.d]")
                .replace("\"net_null0\"", "\"net_null0\"\nmtu = 9000")
                .replace(
                    "\"/run/b.sock\" }",
                    "\"/run/b.sock\" }\nvlan = { mode = \"trunk\", allowed = [1] }\nmtu = 9000",
                )
        });
        assert_eq!(changed.attached, ["d"]);
        assert_eq!(changed.detached, ["c"]);
        assert_eq!(changed.replaced, ["a"]);
        assert_eq!(changed.retuned, ["b"]);
        assert!(!changed.ageing && changed.statics_added.is_empty() && changed.statics_removed.is_empty());
        assert_eq!(changed.to_string(), "attached d; detached c; replaced a; changed b");
    }

    #[test]
    fn a_guest_agent_comes_and_goes_without_its_port() {
        let agent = |path: &str| format!("\"/run/b.sock\", guest_agent = \"{path}\" }}");
        let with = OLD.replace("\"/run/b.sock\" }", &agent("/run/b.agent.sock"));
        let other = OLD.replace("\"/run/b.sock\" }", &agent("/run/c.agent.sock"));
        for (old, new) in [(OLD, &*with), (&with, &other), (&with, OLD)] {
            let changed = Changes::between(&parse(old), &parse(new)).unwrap();
            assert_eq!(changed, Changes { retuned: vec!["b".to_owned()], ..Changes::default() });
        }
        let moved = with.replace("/run/b.sock", "/run/d.sock");
        assert_eq!(Changes::between(&parse(OLD), &parse(&moved)).unwrap().replaced, ["b"]);
    }

    #[test]
    fn a_port_is_retuned_by_what_its_profile_says() {
        let with = |profile: &str| {
            let ports = OLD.replacen("\"net_null0\"", "\"net_null0\"\nqos.profile = \"gold\"", 1);
            format!("{ports}[qos.profiles.gold]\n{profile}[qos.profiles.other]\n")
        };
        let retuned = |old: &str, new: &str| Changes::between(&parse(old), &parse(new)).unwrap().retuned;
        let plain = with("");
        assert_eq!(retuned(&plain, &with("traffic_classes = 4\n")), ["a"]);
        let rule = "rules = [{ name = \"r\", match = { vid = 1 }, class = 0 }]\n";
        assert_eq!(retuned(&plain, &with(rule)), ["a"]);
        assert_eq!(retuned(&plain, &plain.replace("profile = \"gold\"", "profile = \"other\"")), ["a"]);
        // What the profile has anyway changes nothing, nor does one that no port names.
        assert!(retuned(&plain, &with("traffic_classes = 8\n")).is_empty());
        assert!(retuned(&plain, &format!("{plain}traffic_classes = 4\n")).is_empty());
    }

    #[test]
    fn which_addresses_a_port_takes_and_whether_it_is_enabled_changes_while_it_runs() {
        for keys in [
            "promiscuous = false",
            "allmulticast = true",
            "macs = [\"02:00:00:00:00:01\"]",
            "enabled = false",
        ] {
            let changed = changes(|old| old.replace("\"net_null0\"", &format!("\"net_null0\"\n{keys}")));
            assert_eq!(changed, Changes { retuned: vec!["a".to_owned()], ..Changes::default() }, "{keys}");
        }
        let changed = changes(|old| old.replace("[switch]", "[switch]\nburst = 4"));
        assert_eq!(changed, Changes { settings: vec!["switch.burst"], ..Changes::default() });
        assert_eq!(changed.to_string(), "set switch.burst");
    }

    #[test]
    fn pause_frames_are_set_in_a_device_that_runs() {
        let paused =
            changes(|old| old.replace("\"net_null0\"", "\"net_null0\"\nflow_control = { tx = false }"));
        assert_eq!(paused, Changes { retuned: vec!["a".to_owned()], ..Changes::default() });
    }

    #[test]
    fn workers_rest_and_are_watched_otherwise_at_once() {
        let settings = [
            ("switch.rest", "rest = \"sleep\""),
            ("switch.rebalance", "rebalance = { auto = true }"),
            ("switch.watchdog", "watchdog = \"1s\""),
        ];
        for (path, key) in settings {
            let changed = changes(|old| old.replace("cores = [1]", &format!("cores = [1]\n{key}")));
            assert_eq!(changed, Changes { settings: vec![path], ..Changes::default() });
        }
        assert!(changes(|old| old.replace("cores = [1]", "cores = [1]\nrest = \"never\"")).is_empty());
    }

    #[test]
    fn who_may_control_it_and_what_it_logs_can_change() {
        let with = |tables: &str| parse(&format!("{OLD}{tables}"));
        let changed = |old: &str, new: &str| Changes::between(&with(old), &with(new)).unwrap().settings;
        assert_eq!(changed("", "[control]\ngroup = \"kvm\"\n"), ["control.group"]);
        assert_eq!(changed("[control]\nmode = \"0600\"\n", "[control]\n"), ["control.mode"]);
        assert_eq!(changed("", "[log]\nlevel = \"debug\"\n"), ["log.level"]);
        assert_eq!(changed("", "[log]\nareas = { dpdk = \"off\" }\n"), ["log.areas"]);
        assert!(changed("", "[log]\nlevel = \"info\"\n[control]\nmode = \"0660\"\n").is_empty());
    }

    #[test]
    fn metrics_come_move_and_go() {
        let at = |port: u16| format!("{OLD}[metrics]\nlisten = \"127.0.0.1:{port}\"\n");
        for (old, new) in [(OLD, &*at(9475)), (&at(9475), &at(9476)), (&at(9475), OLD)] {
            let changed = Changes::between(&parse(old), &parse(new)).unwrap();
            assert_eq!(changed.to_string(), "set metrics.listen");
            assert_eq!(changed, Changes { settings: vec!["metrics.listen"], ..Changes::default() });
        }
        assert!(
            Changes::between(&parse(&at(9475)), &parse(&format!("{OLD}[metrics]\n"))).unwrap().is_empty()
        );
    }

    #[test]
    fn a_static_entry_that_moves_goes_and_comes() {
        let moved = changes(|old| old.replace("port = \"b\"", "port = \"a\""));
        assert_eq!(moved.statics_removed.len(), 1);
        assert_eq!(moved.statics_removed, moved.statics_added);
        // The place of a port in the file is not its name.
        let reordered =
            changes(|old| old.replace("[ports.a]", "[ports.x]").replace("[ports.c]", "[ports.a]"));
        assert!(reordered.statics_removed.is_empty(), "{reordered:?}");
    }

    #[test]
    fn mirrors_come_go_and_change() {
        let with = |mirrors: &str| format!("{OLD}{mirrors}");
        let between = |old: &str, new: &str| {
            let Changes { mirrors_removed, mirrors_added, .. } =
                Changes::between(&parse(old), &parse(new)).unwrap();
            (mirrors_removed, mirrors_added)
        };
        let one = with("[mirrors.m]\nfrom = { ports = [\"a\", \"b\"] }\nto = { port = \"c\" }\n");
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(between(OLD, &one), (names(&[]), names(&["m"])));
        assert_eq!(between(&one, OLD), (names(&["m"]), names(&[])));
        assert_eq!(between(&one, &one.replace(", \"b\"", "")), (names(&["m"]), names(&["m"])));
        let changes = Changes::between(&parse(OLD), &parse(&one)).unwrap();
        assert_eq!(changes.to_string(), "mirrors added: m");
        // Without one of its sources it goes on, without where its copies go it doesn't.
        let without = |port: &str| parse(&one).without(&[port.to_owned()]).mirrors;
        assert_eq!(without("a").len(), 1);
        assert!(without("c").is_empty());
    }

    #[test]
    fn a_configuration_without_a_port_is_that_of_a_file_without_it() {
        let without = parse(OLD).without(&["a".to_owned()]);
        let file = parse(&OLD.replace("[ports.a]\ndevice = \"net_null0\"\n", ""));
        assert!(Changes::between(&without, &file).unwrap().is_empty());
        assert_eq!(without.fdb, file.fdb);
        assert!(parse(OLD).without(&["b".to_owned()]).fdb.statics.is_empty());
    }

    #[test]
    fn what_needs_a_restart_is_refused_with_its_place() {
        let new = parse(&(OLD.replace("cores = [1]", "cores = [1, 2]\nmemory = \"1GiB\"")));
        let faults = Changes::between(&parse(OLD), &new).unwrap_err();
        assert_eq!(
            faults.lines().to_string(),
            "new.toml:2:9: `switch.cores` can't change while the switch runs: `[1, 2]`; leave it as it was, or restart the switch\n\
             new.toml:3:10: `switch.memory` can't change while the switch runs: `\"1GiB\"`; leave it as it was, or restart the switch"
        );
    }
}
