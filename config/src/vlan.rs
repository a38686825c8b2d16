use std::ops::RangeInclusive;

use pollux_net::{PortVlan, PriorityTags, Tpid, Vid, VidSet, VlanMode};

use crate::tree::{Node, Table};

/// What the `vlan` key of a port says.
pub(crate) struct Vlan {
    pub(crate) mode: VlanMode,
    pub(crate) priority_tags: PriorityTags,
}

impl Default for Vlan {
    fn default() -> Self {
        let PortVlan { mode, priority_tags, .. } = PortVlan::default();
        Self { mode, priority_tags }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Access,
    Trunk,
    Dot1qTunnel,
}

const MODES: [(&str, Mode); 3] =
    [("access", Mode::Access), ("trunk", Mode::Trunk), ("dot1q-tunnel", Mode::Dot1qTunnel)];

const PRIORITY_TAGS: [(&str, PriorityTags); 3] = [
    ("never", PriorityTags::Never),
    ("if-nonzero", PriorityTags::IfNonzero),
    ("always", PriorityTags::Always),
];

pub(crate) fn read(node: &Node<'_>) -> Option<Vlan> {
    node.table(|table| {
        let mode = table.require(
            "mode",
            "add `mode = \"access\"`, `mode = \"trunk\"` or `mode = \"dot1q-tunnel\"`",
            |node| node.choice(&MODES),
        );
        // All keys are read before the mode is looked at: they are known, and their faults are faults,
        // in any mode. 0 has a meaning in a tunnel only.
        let lowest = if mode == Some(Mode::Dot1qTunnel) { 0 } else { 1 };
        let keys = Keys {
            vid: table.get("vid", vid),
            allowed: table.get("allowed", |node| vids(node, lowest..=Vid::MAX.value())),
            native: table.get("native", vid),
            native_tagged: table.get("native_tagged", Node::boolean),
            ethertype: table.get("ethertype", ethertype),
        };
        let priority_tags = table.get("priority_tags", |node| node.choice(&PRIORITY_TAGS));
        let mode = match mode? {
            Mode::Access => keys.access(table),
            Mode::Trunk => keys.trunk(table),
            Mode::Dot1qTunnel => keys.dot1q_tunnel(table),
        };
        Some(Vlan { mode: mode?, priority_tags: priority_tags.unwrap_or_default() })
    })
}

/// The keys that some modes have, as far as they are there and good.
struct Keys {
    vid: Option<Vid>,
    allowed: Option<VidSet>,
    native: Option<Vid>,
    native_tagged: Option<bool>,
    ethertype: Option<Tpid>,
}

impl Keys {
    fn access(self, table: &Table<'_>) -> Option<VlanMode> {
        let what = "has no meaning on an access port, which has one VLAN and no tags";
        let cure = "remove it, or write `mode = \"trunk\"`";
        table.refuse_keys(&["allowed", "native", "native_tagged"], what, cure);
        let what = "has no meaning on an access port, which sends no tags";
        table.refuse_keys(&["ethertype"], what, "remove it, or write `mode = \"dot1q-tunnel\"`");
        let vid = table.require("vid", "add the port's VLAN, as in `vid = 10`", |_| self.vid);
        Some(VlanMode::Access { vid: vid? })
    }

    fn trunk(self, table: &Table<'_>) -> Option<VlanMode> {
        let what = "has no meaning on a trunk, which has many VLANs";
        table.refuse_keys(&["vid"], what, "write `native` for the VLAN of untagged frames, or `allowed`");
        let what = "has no meaning on a trunk, which sends customer tags (0x8100)";
        table.refuse_keys(&["ethertype"], what, "remove it, or write `mode = \"dot1q-tunnel\"`");
        let (has_allowed, has_native) = (table.find("allowed").is_some(), table.find("native").is_some());
        if !has_allowed && !has_native {
            let cure = "add `allowed = [\"1-4094\"]` for every VLAN, or `native = 1`";
            let what = "a trunk without `allowed` and `native` would carry nothing";
            return table.refuse_lack(&["allowed", "native"], what, cure);
        }
        if !has_native {
            let what = "has no meaning without `native`";
            table.refuse_keys(
                &["native_tagged"],
                what,
                "add `native`, the VLAN of untagged frames, or remove it",
            );
        }
        Some(VlanMode::Trunk {
            allowed: self.allowed.unwrap_or_default(),
            native: self.native,
            native_tagged: self.native_tagged.unwrap_or(false),
        })
    }

    fn dot1q_tunnel(self, table: &Table<'_>) -> Option<VlanMode> {
        let what = "has no meaning on a tunnel, where every frame gets the service tag `vid`";
        table.refuse_keys(
            &["native", "native_tagged"],
            what,
            "remove it: 0 in `allowed` stands for untagged frames",
        );
        let vid = table.require("vid", "add the service VLAN, as in `vid = 100`", |_| self.vid);
        Some(VlanMode::Dot1qTunnel {
            vid: vid?,
            allowed: self.allowed,
            tpid: self.ethertype.unwrap_or(Tpid::STag),
        })
    }
}

/// A VLAN's number.
pub(crate) fn vid(node: &Node<'_>) -> Option<Vid> {
    Vid::new(node.number(&(Vid::MIN.value()..=Vid::MAX.value()))?)
}

fn ethertype(node: &Node<'_>) -> Option<Tpid> {
    let cure = "write 0x88a8 (802.1ad, the default) or 0x8100";
    if !node.is_integer() {
        return node.refuse_type("number", cure);
    }
    let ethertype = node.number(&(0..=u16::MAX))?;
    let tpid = Tpid::from_ethertype(ethertype);
    tpid.or_else(|| node.refuse(format!("`{}` introduces no VLAN tag", node.path()), cure))
}

fn vids(node: &Node<'_>, range: RangeInclusive<u16>) -> Option<VidSet> {
    let cure = "write a list of numbers and ranges, as in [10, \"100-199\"]";
    let ranges = node.list(cure, |item| item.range(&range, "VLANs", "100-199"))?;
    if ranges.is_empty() {
        return node.refuse(format!("`{}` is empty", node.path()), "list a VLAN, or leave the key out");
    }
    Some(ranges.into_iter().flatten().collect())
}
