use pollux_net::{Mac, PortId, PortVlan, Vid, VlanMode};

use crate::fdb::Fdb;
use crate::ingress::{Admitted, admit};
use crate::{
    ModelMirror, ModelMirrorFrom, ModelMirrorTo, ModelProfile, Outcome, Reason, bytes, egress, mirror,
};

/// What mirrors made of a frame, as an [`Outcome`] has it.
#[derive(Default)]
struct Copies {
    mirrored: Vec<(PortId, Result<Vec<u8>, Reason>)>,
    chosen: Vec<(usize, Option<usize>)>,
}

impl Copies {
    fn extend(&mut self, more: Self) {
        self.mirrored.extend(more.mirrored);
        self.chosen.extend(more.chosen);
    }
}

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

    pub(crate) fn sends_tagged(&self, vid: Vid) -> bool {
        match self.vlan.mode {
            VlanMode::Access { .. } | VlanMode::Dot1qTunnel { .. } => false,
            VlanMode::Trunk { native, native_tagged, .. } => native != Some(vid) || native_tagged,
        }
    }
}

/// The naive switch.
#[derive(Clone, Debug)]
pub struct Model {
    ports: Vec<ModelPort>,
    mirrors: Vec<ModelMirror>,
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
        Self { ports, mirrors: Vec::new(), fdb }
    }

    /// The same, with mirrors.
    #[must_use]
    pub fn with_mirrors(mut self, mirrors: Vec<ModelMirror>) -> Self {
        self.mirrors = mirrors;
        self
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
        let takes_nothing = self.is_target(ingress);
        let admitted: Vec<_> = frames.iter().map(|frame| admit(port, frame, takes_nothing)).collect();
        for frame in admitted.iter().flatten() {
            let source = bytes::source(&frame.untagged);
            self.fdb.learn(frame.vid, source, ingress, now_seconds);
        }
        let outcomes = frames.iter().zip(admitted).map(|(received, verdict)| {
            let mut copies = self.copies_of_received(ingress, received, verdict.as_ref().ok());
            let mut outcome =
                match verdict.and_then(|frame| Ok((self.targets(ingress, &frame, now_seconds)?, frame))) {
                    Ok((targets, frame)) => self.send(&targets, &frame, &mut copies),
                    Err(reason) => {
                        copies.extend(self.copies_of_dropped(&self.brought_in(ingress, received), received));
                        Outcome::dropped(ingress, reason)
                    }
                };
            (outcome.mirrored, outcome.chosen) = (copies.mirrored, copies.chosen);
            outcome
        });
        outcomes.collect()
    }

    fn send(&self, targets: &[PortId], frame: &Admitted, copies: &mut Copies) -> Outcome {
        let mut outcome = Outcome::default();
        for &target in targets {
            let port = &self.ports[target.index()];
            match egress::send(port, frame) {
                Ok(bytes) => {
                    copies.extend(self.copies_of_sent(target, &bytes));
                    outcome.sent.push((target, bytes));
                }
                Err((reason, bytes)) => {
                    copies.extend(self.copies_of_dropped(&[mirror::sent_vid(port, &bytes)], &bytes));
                    outcome.drops.push((target, reason));
                }
            }
        }
        outcome
    }

    fn copies_of_received(&self, ingress: PortId, frame: &[u8], admitted: Option<&Admitted>) -> Copies {
        self.copies(&self.brought_in(ingress, frame), frame, |mirror| {
            mirror.rx
                && match &mirror.from {
                    ModelMirrorFrom::Ports(ports) => ports.contains(&ingress) && !self.is_target(ingress),
                    ModelMirrorFrom::Vlan(vid) => admitted.is_some_and(|admitted| admitted.vid == *vid),
                    ModelMirrorFrom::Dropped => false,
                }
        })
    }

    fn copies_of_sent(&self, port: PortId, frame: &[u8]) -> Copies {
        let within = mirror::sent_vid(&self.ports[port.index()], frame);
        self.copies(&[within], frame, |mirror| {
            mirror.tx
                && match &mirror.from {
                    ModelMirrorFrom::Ports(ports) => ports.contains(&port),
                    ModelMirrorFrom::Vlan(vid) => within == Some(*vid),
                    ModelMirrorFrom::Dropped => false,
                }
        })
    }

    fn copies_of_dropped(&self, within: &[Option<Vid>], frame: &[u8]) -> Copies {
        self.copies(within, frame, |mirror| mirror.from == ModelMirrorFrom::Dropped)
    }

    /// The VLANs that a frame may be in for whoever sent it to a port: the one that it comes into, and the one that
    /// its tag names, unless that is a tunnel customer's.
    fn brought_in(&self, ingress: PortId, frame: &[u8]) -> [Option<Vid>; 2] {
        let port = &self.ports[ingress.index()];
        let named = mirror::named_vid(frame);
        match port.vlan.mode {
            _ if self.is_target(ingress) => [None, named],
            VlanMode::Dot1qTunnel { vid, .. } => [Some(vid), None],
            VlanMode::Access { vid } => [Some(vid), named],
            VlanMode::Trunk { native, .. } => [named.or(native), None],
        }
    }

    /// What becomes of the copies of a frame that is in one of the VLANs `within`, by all mirrors that want it.
    fn copies(&self, within: &[Option<Vid>], frame: &[u8], wants: impl Fn(&ModelMirror) -> bool) -> Copies {
        let carries =
            |mirror: &ModelMirror| within.iter().flatten().any(|vid| mirror.to == ModelMirrorTo::Vlan(*vid));
        if self.mirrors.iter().any(carries) {
            return Copies::default();
        }
        let mut copies = Copies::default();
        for (number, mirror) in self.mirrors.iter().enumerate().filter(|(_, mirror)| wants(mirror)) {
            let Some(copy) = mirror.copy(frame) else { continue };
            let numbers = (0..self.ports.len()).filter_map(PortId::new);
            let (targets, vid): (Vec<_>, _) = match mirror.to {
                ModelMirrorTo::Port(port) => (vec![port], None),
                ModelMirrorTo::Vlan(vid) => {
                    (numbers.filter(|port| self.is_member(*port, vid)).collect(), Some(vid))
                }
            };
            let up: Vec<_> = targets.into_iter().filter(|port| self.ports[port.index()].up).collect();
            copies.chosen.push((number, (!up.is_empty()).then_some(copy.len())));
            let sent = |target: PortId| (target, mirror::send(&self.ports[target.index()], &copy, vid));
            copies.mirrored.extend(up.into_iter().map(sent));
        }
        copies
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
        !self.is_target(port) && self.ports[port.index()].is_member(vid)
    }

    /// Whether mirrors' copies go to a port.
    fn is_target(&self, port: PortId) -> bool {
        self.mirrors.iter().any(|mirror| mirror.to == ModelMirrorTo::Port(port))
    }
}
