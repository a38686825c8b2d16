//! Who is in which VLAN, for people and programs.

use hashbrown::HashMap;
use pollux_config::Config;
use pollux_net::{PortId, PortSet, VID_SLOTS, Vid, VidSet};
use serde::Serialize;

use super::Switch;

/// VLANs that have the same members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VlanMembers {
    /// The VLANs, as in `10,20-29`.
    pub vids: String,
    /// Ports that send their frames without the VLAN's tag, in the file's order.
    pub untagged: Vec<String>,
    /// Ports that send them with it.
    pub tagged: Vec<String>,
}

impl Switch {
    /// The VLANs that have a member: all, or only `wanted`.
    pub fn vlans(&self, wanted: Option<Vid>) -> Vec<VlanMembers> {
        members(&self.config, wanted)
    }
}

fn members(config: &Config, wanted: Option<Vid>) -> Vec<VlanMembers> {
    // By their places in the file.
    let ports = || PortId::all().zip(&config.ports);
    let all = (1..VID_SLOTS as u16).filter_map(Vid::new);
    let mut groups: Vec<(VidSet, PortSet, PortSet)> = Vec::new();
    let mut places = HashMap::new();
    for vid in all.filter(|&vid| wanted.is_none_or(|wanted| wanted == vid)) {
        let members = ports().filter(|(_, port)| port.vlan.mode.is_member(vid));
        let (tagged, untagged) = members.fold((PortSet::EMPTY, PortSet::EMPTY), |(tagged, untagged), of| {
            match of.1.vlan.mode.sends_tagged(vid) {
                true => (tagged.with(of.0), untagged),
                false => (tagged, untagged.with(of.0)),
            }
        });
        if tagged.is_empty() && untagged.is_empty() {
            continue;
        }
        let place = *places.entry((tagged, untagged)).or_insert_with(|| {
            groups.push((VidSet::default(), tagged, untagged));
            groups.len() - 1
        });
        groups[place].0.insert(vid.value());
    }
    let names = |set: PortSet| {
        let members = ports().filter(|(id, _)| set.contains(*id));
        members.map(|(_, port)| port.name.clone()).collect()
    };
    let groups = groups.into_iter().map(|(vids, tagged, untagged)| VlanMembers {
        vids: vids.to_string(),
        untagged: names(untagged),
        tagged: names(tagged),
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vlans_of_the_same_members_are_told_together() {
        let text = r#"
            [ports.a]
            device = "net_null0"
            vlan = { mode = "trunk", allowed = ["1-4094"], native = 1 }
            [ports.b]
            device = "net_null1"
            vlan = { mode = "access", vid = 10 }
            [ports.c]
            device = "net_null2"
            vlan = { mode = "trunk", allowed = ["20-4094"] }
        "#;
        let config = pollux_config::parse("test", text).unwrap();
        let told: Vec<_> = members(&config, None)
            .into_iter()
            .map(|of| (of.vids, of.untagged.join(" "), of.tagged.join(" ")))
            .collect();
        let wanted = [("1", "a", ""), ("2-9,11-19", "", "a"), ("10", "b", "a"), ("20-4094", "", "a c")];
        let wanted = wanted.map(|(vids, untagged, tagged)| (vids.into(), untagged.into(), tagged.into()));
        assert_eq!(told, wanted);
        assert_eq!(members(&config, Vid::new(11))[0].vids, "11");
    }
}
