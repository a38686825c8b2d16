use std::array;
use std::sync::Arc;

use pollux_net::{
    MAX_PORTS, MAX_WORKERS, MTU_OVERHEAD, PortId, PortSet, PortVlan, PriorityTags, Tci, Tpid, Trust,
    VID_SLOTS, Vid, VidSet, VlanMode, WorkerId,
};

use crate::datapath::Platform;
use crate::qos::{EgressQos, IngressQos};
use crate::tap::{self, Capture, Mirror, Taps};

/// Who is in a VLAN.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Vlan {
    /// Ports that take and get its frames.
    pub(crate) members: PortSet,
    /// Members that its frames leave with a tag.
    pub(crate) tagged: PortSet,
}

/// How a port's frames come to a VLAN.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Admission {
    /// No such port: its VLAN is nobody's.
    Access {
        vid: Vid,
    },
    Trunk {
        native: Option<Vid>,
    },
    Tunnel {
        vid: Vid,
        tpid: Tpid,
    },
    /// Mirrors' copies go there.
    Nothing,
}

/// What the data path needs to know of one port.
pub(crate) struct PortTable<P: Platform> {
    pub(crate) admission: Admission,
    /// Octets of the longest frame that the port takes or sends, tags included.
    pub(crate) max_len: usize,
    /// Whether the outer tag's priority counts.
    pub(crate) trusts_tag: bool,
    /// The priority of frames whose tag doesn't count, as bits of a TCI.
    pub(crate) default_priority: u16,
    pub(crate) priority_tags: PriorityTags,
    /// Customer VIDs that a tunnel passes; `None`: all, or no tunnel.
    pub(crate) customer_vids: Option<Box<VidSet>>,
    /// Whether sending untagged is all there is to do: no priority tag, no customer VIDs to check.
    pub(crate) plain_untagged: bool,
    /// Whether what sends to the port may leave checksums and segmentation to others.
    pub(crate) may_leave_work: bool,
    /// Its classes, rules and policers for what comes. `None`: frames keep their priority.
    pub(crate) ingress: Option<Arc<IngressQos<P::Rules, P::Meter>>>,
    /// Its classes, queues and rates for what leaves. `None`: what the device has no room for is dropped.
    pub(crate) egress: Option<Arc<EgressQos<P::Frame>>>,
}

/// One port, as the control plane describes it to the relay.
#[derive(Clone, Debug)]
pub struct PortSpec {
    /// Its number.
    pub id: PortId,
    /// Its VLAN mode, tags and priorities.
    pub vlan: PortVlan,
    /// Octets of payload it carries, without Ethernet header and up to two tags.
    pub mtu: u16,
    /// Whether what is behind it may leave checksums and segmentation to others, as a VM's driver does.
    pub may_leave_work: bool,
}

/// Everything the data path reads and never writes: built whole by the control plane, then swapped in
/// between bursts.
pub struct Snapshot<P: Platform> {
    /// By VID. As long as the type says, so that an index needs no check.
    vlans: Box<[Vlan; VID_SLOTS]>,
    ports: Box<[PortTable<P>; MAX_PORTS]>,
    /// Ports that have classes for what leaves, by the worker that serves them.
    served_by: [PortSet; MAX_WORKERS],
    /// What looks at frames; `None`: nothing does.
    taps: Option<Box<Taps<P::Filter>>>,
}

impl<P: Platform> Snapshot<P> {
    /// The tables of these ports.
    pub fn new(ports: &[PortSpec]) -> Self {
        let mut vlans = Box::new([Vlan::default(); VID_SLOTS]);
        for vid in (1..VID_SLOTS as u16).filter_map(Vid::new) {
            let vlan = &mut vlans[vid.index()];
            for port in ports.iter().filter(|port| port.vlan.mode.is_member(vid)) {
                vlan.members = vlan.members.with(port.id);
                if port.vlan.mode.sends_tagged(vid) {
                    vlan.tagged = vlan.tagged.with(port.id);
                }
            }
        }
        let mut tables = Box::new(array::from_fn(|_| PortTable::new(&PortVlan::default(), 0, false)));
        for port in ports {
            tables[port.id.index()] = PortTable::new(&port.vlan, port.mtu, port.may_leave_work);
        }
        Self { vlans, ports: tables, served_by: [PortSet::EMPTY; MAX_WORKERS], taps: None }
    }

    /// The same, with `port` taking frames like this.
    #[must_use]
    pub fn with_ingress(mut self, port: PortId, qos: Arc<IngressQos<P::Rules, P::Meter>>) -> Self {
        self.ports[port.index()].ingress = Some(qos);
        self
    }

    /// The same, with `port` sending frames like this.
    #[must_use]
    pub fn with_egress(mut self, port: PortId, qos: Arc<EgressQos<P::Frame>>) -> Self {
        let served = &mut self.served_by[usize::from(qos.server().0)];
        *served = served.with(port);
        self.ports[port.index()].egress = Some(qos);
        self
    }

    /// The same, with captures and mirrors that look at frames. A port that a mirror's copies go to is a member of
    /// no VLAN any more.
    #[must_use]
    pub fn with_taps(
        mut self,
        captures: Vec<Arc<Capture<P::Filter>>>,
        mirrors: Vec<Mirror<P::Filter>>,
    ) -> Self {
        let targets = tap::targets(&mirrors);
        for target in targets.iter() {
            self.ports[target.index()].admission = Admission::Nothing;
        }
        for vlan in self.vlans.iter_mut().filter(|_| !targets.is_empty()) {
            vlan.members = vlan.members.minus(targets);
            vlan.tagged = vlan.tagged.minus(targets);
        }
        let taps = Taps::new(captures, mirrors);
        self.taps = (!taps.is_empty()).then(|| Box::new(taps));
        self
    }

    #[inline(always)]
    pub(crate) fn served_by(&self, worker: WorkerId) -> PortSet {
        self.served_by[usize::from(worker.0) % MAX_WORKERS]
    }

    #[inline(always)]
    pub(crate) fn taps(&self) -> Option<&Taps<P::Filter>> {
        self.taps.as_deref()
    }

    #[inline(always)]
    pub(crate) fn vlan(&self, vid: Vid) -> Vlan {
        self.vlans[vid.index()]
    }

    #[inline(always)]
    pub(crate) fn port(&self, port: PortId) -> &PortTable<P> {
        &self.ports[port.index()]
    }
}

impl<P: Platform> PortTable<P> {
    fn new(vlan: &PortVlan, mtu: u16, may_leave_work: bool) -> Self {
        let (admission, customer_vids) = match &vlan.mode {
            VlanMode::Access { vid } => (Admission::Access { vid: *vid }, None),
            VlanMode::Trunk { native, .. } => (Admission::Trunk { native: *native }, None),
            VlanMode::Dot1qTunnel { vid, allowed, tpid } => {
                (Admission::Tunnel { vid: *vid, tpid: *tpid }, allowed.clone().map(Box::new))
            }
        };
        Self {
            admission,
            max_len: usize::from(mtu) + MTU_OVERHEAD,
            trusts_tag: vlan.trust != Trust::Port,
            default_priority: Tci::priority_tag(pollux_net::Priority::of(vlan.default_pcp)).bits(),
            priority_tags: vlan.priority_tags,
            plain_untagged: vlan.priority_tags == PriorityTags::Never && customer_vids.is_none(),
            customer_vids,
            may_leave_work,
            ingress: None,
            egress: None,
        }
    }
}
