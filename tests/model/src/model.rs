use pollux_net::{Mac, PortId, PortVlan, Vid, VlanMode};

use crate::fdb::Fdb;
use crate::ingress::{Admitted, admit};
use crate::{ModelProfile, Outcome, Reason, bytes, egress};

/// A port of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPort {
    /// How it takes and gives tags.
    pub vlan: PortVlan,
    /// Its MTU in octets.
    pub mtu: u16,
    /// What it makes of priorities, if anything.
    pub profile: Option<ModelProfile>,
    /// Whether it has link.
    pub up: bool,
}

impl ModelPort {
    pub(crate) fn is_member(&self, vid: Vid) -> bool {
        match &self.vlan.mode {
            VlanMode::Access { vid: own } => *own == vid,
            VlanMode::Dot1qTunnel { vid: own, .. } => *own == vid,
            VlanMode::Trunk { allowed, native, .. } => allowed.contains(vid.value()) || *native == Some(vid),
        }
    }
}

/// The naive switch.
#[derive(Clone, Debug)]
pub struct Model {
    ports: Vec<ModelPort>,
    fdb: Fdb,
}

impl Model {
    /// A switch of these ports, numbered as they stand, with these static FDB entries.
    ///
    /// # Panics
    ///
    /// If a static entry names a port that isn't there, or there are more than `capacity`.
    pub fn new(
        ports: Vec<ModelPort>,
        ageing_seconds: u32,
        capacity: usize,
        statics: Vec<(Vid, Mac, PortId)>,
    ) -> Self {
        let mut fdb = Fdb::new(ageing_seconds, capacity);
        for (vid, mac, port) in statics {
            assert!(port.index() < ports.len(), "a static entry on a port that isn't there");
            fdb.add_static(vid, mac.octets(), port);
        }
        Self { ports, fdb }
    }

    /// Replaces a port's settings or link. What was learned stays.
    ///
    /// # Panics
    ///
    /// If there is no such port.
    pub fn set_port(&mut self, port: PortId, to: ModelPort) {
        self.ports[port.index()] = to;
    }

    /// Forgets every address learned on a port.
    pub fn flush_port(&mut self, port: PortId) {
        self.fdb.forget(|_, learned_on| learned_on == port);
    }

    /// Forgets every address learned in a VLAN.
    pub fn flush_vlan(&mut self, vid: Vid) {
        self.fdb.forget(|learned_in, _| learned_in == vid);
    }

    /// Takes a batch of frames from one port, and says what becomes of each.
    ///
    /// # Panics
    ///
    /// If there is no such port, time goes backwards, or more addresses are learned than fit.
    pub fn burst(&mut self, ingress: PortId, frames: &[Vec<u8>], now_seconds: u32) -> Vec<Outcome> {
        let port = &self.ports[ingress.index()];
        let admitted: Vec<_> = frames.iter().map(|frame| admit(port, frame)).collect();
        for frame in admitted.iter().flatten() {
            let source = bytes::source(&frame.untagged);
            self.fdb.learn(frame.vid, source, ingress, now_seconds);
        }
        let forward = |verdict| match verdict {
            Ok(frame) => self.forward(ingress, &frame, now_seconds),
            Err(reason) => Outcome::dropped(ingress, reason),
        };
        admitted.into_iter().map(forward).collect()
    }

    fn forward(&self, ingress: PortId, frame: &Admitted, now: u32) -> Outcome {
        let targets = match self.targets(ingress, frame, now) {
            Ok(targets) => targets,
            Err(reason) => return Outcome::dropped(ingress, reason),
        };
        let mut outcome = Outcome::default();
        for target in targets {
            match egress::send(&self.ports[target.index()], frame) {
                Ok(bytes) => outcome.sent.push((target, bytes)),
                Err(reason) => outcome.drops.push((target, reason)),
            }
        }
        outcome
    }

    /// The ports a frame goes to: one, or all that a flood reaches.
    fn targets(&self, ingress: PortId, frame: &Admitted, now: u32) -> Result<Vec<PortId>, Reason> {
        let destination = bytes::destination(&frame.untagged);
        let known =
            if bytes::is_group(destination) { None } else { self.fdb.lookup(frame.vid, destination, now) };
        match known {
            Some(port) if port == ingress => Err(Reason::SamePort),
            Some(port) if !self.is_member(port, frame.vid) => Err(Reason::EgressNotMember),
            Some(port) if !self.ports[port.index()].up => Err(Reason::PortDown),
            Some(port) => Ok(vec![port]),
            None => {
                let takes = |port: &PortId| {
                    *port != ingress && self.ports[port.index()].up && self.is_member(*port, frame.vid)
                };
                let numbers = 0..self.ports.len();
                let targets: Vec<_> = numbers.filter_map(PortId::new).filter(takes).collect();
                if targets.is_empty() { Err(Reason::NoDestination) } else { Ok(targets) }
            }
        }
    }

    fn is_member(&self, port: PortId, vid: Vid) -> bool {
        self.ports[port.index()].is_member(vid)
    }
}
