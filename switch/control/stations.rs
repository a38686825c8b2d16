//! Stations that moved with their VM: heard on another port in one VLAN, they are there in all.
//!
//! A VM that was migrated is heard at once in the VLANs in which it announces itself. In the others its
//! addresses would stay where they were until it speaks there, and what is sent to it be lost: the port
//! that it left has no link any more.

use std::collections::BTreeMap;

use pollux_engine::fdb::FdbKey;
use pollux_net::{Mac, PortId};

use super::Switch;

impl Switch {
    /// Lets addresses follow that were heard elsewhere since the last call.
    pub(super) fn follow_moved_stations(&mut self) {
        let moved = self.shared.fdb.counters().moved;
        if self.moved.replace(moved) == Some(moved) {
            return;
        }
        let down = |port: PortId| !self.shared.links().contains(port);
        let left = self.ports.iter().any(|port| down(port.id) && self.shared.fdb.len_of(port.id) > 0);
        if !left {
            return;
        }
        let now = self.shared.now_seconds();
        let entries: Vec<_> = self.shared.fdb.entries(now).filter(|entry| !entry.is_static).collect();
        let (stale, heard): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| down(entry.port));
        let heard: BTreeMap<Mac, PortId> = heard.iter().map(|entry| (entry.key.mac(), entry.port)).collect();
        for entry in stale {
            if let Some(&port) = heard.get(&entry.key.mac()) {
                self.move_station(entry.key, port);
            }
        }
    }

    /// To its port, if that is in the VLAN; else the address is forgotten.
    fn move_station(&self, key: FdbKey, port: PortId) {
        let name = self.ports.iter().find(|live| live.id == port).map(|live| &live.name);
        let config = self.config.ports.iter().find(|config| Some(&config.name) == name);
        if config.is_some_and(|config| config.vlan.mode.is_member(key.vid())) {
            let moment = self.shared.fdb.at(self.shared.now_seconds());
            moment.learn(&moment.probe(key), port);
        } else {
            self.shared.fdb.remove(key);
        }
    }
}
