use pollux_net::PortId;

/// Why a frame, or a copy of it, went nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Shorter than a header, or than a header with the tag it announces.
    Runt,
    /// Longer than the ingress port's MTU allows.
    Oversize,
    /// The source is a group address.
    SourceMulticast,
    /// The source is 00-00-00-00-00-00.
    SourceZero,
    /// The destination is one that no bridge forwards, 01-80-C2-00-00-00 to 0F.
    BridgeReserved,
    /// The outer VID is 4095.
    ReservedVid,
    /// A VLAN tag on an access port.
    TaggedOnAccess,
    /// No VID, on a trunk without a native VLAN.
    UntaggedOnTrunk,
    /// A VLAN that the ingress port isn't a member of.
    NotMember,
    /// A customer VID that the tunnel doesn't let in (ingress port) or out (egress port).
    CustomerVid,
    /// The destination was learned where the frame came from.
    SamePort,
    /// The destination's port isn't a member of the VLAN.
    EgressNotMember,
    /// The destination's port has no link.
    PortDown,
    /// The ingress port is where a mirror's copies go.
    MirrorPort,
    /// A flood with nobody to take it.
    NoDestination,
    /// Longer, as sent, than the egress port's MTU allows.
    MtuExceeded,
    /// A mirror's copy that has not two addresses to put a tag behind.
    NoHeadroom,
}

/// What became of one frame.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Copies sent, in order of the ports, each as it is on the wire.
    pub sent: Vec<(PortId, Vec<u8>)>,
    /// Copies dropped, with the port each is counted on, in order of the ports.
    pub drops: Vec<(PortId, Reason)>,
    /// What became of the copies that mirrors made, at the port that each went to.
    pub mirrored: Vec<(PortId, Result<Vec<u8>, Reason>)>,
    /// Mirrors that chose it, by number, once for each time, with the octets of the copy; `None`: where it should go
    /// was no link.
    pub chosen: Vec<(usize, Option<usize>)>,
}

impl Outcome {
    pub(crate) fn dropped(port: PortId, reason: Reason) -> Self {
        Self { drops: vec![(port, reason)], ..Self::default() }
    }
}

/// Totals over outcomes, for `rx + replicated = tx + drops`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Accounts {
    /// Frames that came in.
    pub rx: usize,
    /// Copies that flooding added, one less than the targets of each frame that had any, and those that mirrors
    /// made.
    pub replicated: usize,
    /// Copies sent.
    pub tx: usize,
    /// Copies dropped.
    pub drops: usize,
}

impl Accounts {
    /// Adds up `outcomes`.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut sums = Self::default();
        for outcome in outcomes {
            // A frame dropped at ingress had no target and one drop.
            let fates = outcome.sent.len() + outcome.drops.len();
            sums.rx += 1;
            sums.replicated += fates.saturating_sub(1) + outcome.mirrored.len();
            let sent = outcome.mirrored.iter().filter(|(_, copy)| copy.is_ok()).count();
            sums.tx += outcome.sent.len() + sent;
            sums.drops += outcome.drops.len() + outcome.mirrored.len() - sent;
        }
        sums
    }

    /// Whether every frame left or was counted.
    pub fn balance(&self) -> bool {
        self.rx + self.replicated == self.tx + self.drops
    }
}
