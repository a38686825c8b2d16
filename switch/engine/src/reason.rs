use std::fmt;

/// Declares [`Reason`] with each name as the console and the metrics print it.
macro_rules! reasons {
    ($($variant:ident $name:literal $about:literal,)*) => {
        /// Why a frame was dropped. Every frame that doesn't leave has exactly one.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = $about] $variant,)*
        }

        impl Reason {
            /// Every reason, in the order of the stages that give them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that people and programs see; it doesn't change between releases.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What happened, in a sentence.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }
        }
    };
}

reasons! {
    Runt "runt" "Shorter than an Ethernet header, or cut off inside its tag; counted on the ingress port.",
    Oversize "oversize" "Longer than the ingress port's MTU allows; counted on the ingress port.",
    BadOffload "bad_offload" "A VM left a checksum or cutting to do that the frame's headers don't allow; counted on the ingress port.",
    HeaderSplit "header_split" "The header doesn't lie in the first segment; counted on the ingress port.",
    SourceMulticast "source_multicast" "The source is a group address; counted on the ingress port.",
    SourceZero "source_zero" "The source address is zero; counted on the ingress port.",
    BridgeReserved "bridge_reserved" "The destination is one of 01-80-C2-00-00-00 to 0F; counted on the ingress port.",
    MirrorPort "mirror_port" "A mirror's copies go to the port, and it takes nothing; counted on the ingress port.",
    ReservedVid "reserved_vid" "The tag's VID is 4095; counted on the ingress port.",
    TaggedOnAccess "tagged_on_access" "An access port was sent a tag with a VID; counted on the ingress port.",
    UntaggedOnTrunk "untagged_on_trunk" "A trunk without native VLAN was sent a frame without a VID; counted on the ingress port.",
    NotMember "not_member" "The port is no member of the tag's VLAN; counted on the ingress port.",
    CustomerVid "customer_vid" "A tunnel port doesn't carry the frame's customer VID; counted on the tunnel port.",
    SamePort "same_port" "The destination is behind the port the frame came from; counted on the ingress port.",
    EgressNotMember "egress_not_member" "The destination's port is no longer a member of the VLAN; counted on the ingress port.",
    PortDown "port_down" "The destination's port has no link; counted on the ingress port.",
    NoDestination "no_destination" "Nobody else in the VLAN has a link; counted on the ingress port.",
    Policed "policed" "Above the rate that a policer takes; counted on the ingress port.",
    NoMbuf "no_mbuf" "No buffer was free for a flood's copy or a piece of a frame to be cut; counted on the egress port.",
    MtuExceeded "mtu_exceeded" "Longer than the egress port's MTU allows; counted on the egress port.",
    NoHeadroom "no_headroom" "The buffer has no room for a tag, or is shared; counted on the egress port.",
    QueueFull "queue_full" "The queue of its class had no room; counted on the egress port.",
    Wred "wred" "Dropped early, by its colour and how full the queue of its class was on average; counted on the egress port.",
    TxFull "tx_full" "The device or the VM took no more, or has no buffer as long; counted on the egress port.",
}

/// Reasons there are: the length of an array indexed by [`Reason::index`].
pub const REASONS: usize = Reason::ALL.len();

impl Reason {
    /// Its place in [`Reason::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_indices_dense() {
        let names: std::collections::HashSet<_> = Reason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), REASONS);
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
    }
}
