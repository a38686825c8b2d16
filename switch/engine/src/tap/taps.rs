use std::sync::Arc;

use pollux_net::{PortId, PortSet, VidSet};

use super::{Capture, Mirror, MirrorFrom, MirrorTo, Point};

/// What looks at frames, as workers see it.
pub(crate) struct Taps<X> {
    pub(crate) captures: Box<[Arc<Capture<X>>]>,
    pub(crate) mirrors: Box<[Mirror<X>]>,
    /// VLANs that mirrors' copies are in.
    pub(crate) carriers: VidSet,
    /// Whether there are any.
    pub(crate) carries: bool,
    /// Whether anybody wants to see what is dropped.
    pub(crate) drops: bool,
}

impl<X> Taps<X> {
    pub(crate) fn new(captures: Vec<Arc<Capture<X>>>, mut mirrors: Vec<Mirror<X>>) -> Self {
        let targets = targets(&mirrors);
        for mirror in &mut mirrors {
            if let MirrorFrom::Ports { ports, .. } = &mut mirror.from {
                *ports = ports.minus(targets);
            }
        }
        let carriers = mirrors.iter().filter_map(|mirror| match mirror.to {
            MirrorTo::Vlan(vid) => Some(vid.value()),
            MirrorTo::Port(_) => None,
        });
        let carriers: VidSet = carriers.collect();
        Self {
            carries: !carriers.is_empty(),
            carriers,
            drops: captures.iter().any(|capture| capture.spec().drops)
                || mirrors.iter().any(|mirror| mirror.from == MirrorFrom::Drops),
            captures: captures.into(),
            mirrors: mirrors.into(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.captures.is_empty() && self.mirrors.is_empty()
    }

    /// Captures that see what happens there.
    pub(crate) fn captures_of(&self, port: PortId, point: Point) -> impl Iterator<Item = &Capture<X>> {
        self.captures.iter().map(Arc::as_ref).filter(move |capture| capture.sees(port, point))
    }
}

/// The ports that mirrors' copies go to.
pub(crate) fn targets<X>(mirrors: &[Mirror<X>]) -> PortSet {
    let ports = mirrors.iter().filter_map(|mirror| match mirror.to {
        MirrorTo::Port(port) => Some(port),
        MirrorTo::Vlan(_) => None,
    });
    ports.collect()
}
