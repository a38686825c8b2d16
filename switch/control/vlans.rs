//! Who is in which VLAN, for people and programs.

use pollux_net::{VID_SLOTS, Vid, VidSet};
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
        let all = (1..VID_SLOTS as u16).filter_map(Vid::new);
        let mut groups: Vec<(VidSet, Vec<String>, Vec<String>)> = Vec::new();
        for vid in all.filter(|&vid| wanted.is_none_or(|wanted| wanted == vid)) {
            let members = self.config.ports.iter().filter(|port| port.vlan.mode.is_member(vid));
            let (tagged, untagged): (Vec<_>, Vec<_>) =
                members.partition(|port| port.vlan.mode.sends_tagged(vid));
            let names = |ports: Vec<&pollux_config::Port>| -> Vec<_> {
                ports.into_iter().map(|port| port.name.clone()).collect()
            };
            let (untagged, tagged) = (names(untagged), names(tagged));
            if untagged.is_empty() && tagged.is_empty() {
                continue;
            }
            match groups.iter_mut().find(|group| group.1 == untagged && group.2 == tagged) {
                Some(group) => drop(group.0.insert(vid.value())),
                None => {
                    let mut vids = VidSet::default();
                    vids.insert(vid.value());
                    groups.push((vids, untagged, tagged));
                }
            }
        }
        let groups = groups.into_iter();
        groups
            .map(|(vids, untagged, tagged)| VlanMembers { vids: vids.to_string(), untagged, tagged })
            .collect()
    }
}
