//! vhost-user ports: the VM's side is a socket and shared memory, ours a port.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dpdk_sys as sys;
use pollux_net::Offloads;

use crate::Eal;
use crate::device;
use crate::error::{Error, Result, c_string, check};
use crate::events::PortEvents;
use crate::port::{Port, Stopped};
use crate::vhost_state::VhostState;

/// A vhost-user port to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VhostPort {
    socket: PathBuf,
    client: bool,
    queues: u16,
    offloads: VhostOffloads,
    offered_before: u64,
}

/// What a vhost port was made from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    socket: PathBuf,
    client: bool,
    pub(crate) queues: u16,
    /// Features that aren't offered.
    withheld: u64,
}

impl VhostPort {
    /// A port that listens on `socket` for a VM, with one pair of queues.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            client: false,
            queues: 1,
            offloads: VhostOffloads::ALL,
            offered_before: 0,
        }
    }

    /// Whether the VM listens and the port connects, again and again until it succeeds; it then
    /// reconnects after either side restarted.
    pub fn client(mut self, client: bool) -> Self {
        self.client = client;
        self
    }

    /// Pairs of queues that a VM may use.
    pub fn queues(mut self, queues: u16) -> Self {
        self.queues = queues;
        self
    }

    /// What the VM and the port may leave to each other; by default all of it.
    pub fn offloads(mut self, offloads: VhostOffloads) -> Self {
        self.offloads = offloads;
        self
    }

    /// Features that a VM agreed on before and has to find again, DPDK's bits, whatever
    /// [`offloads`](Self::offloads) says.
    pub fn offer_again(mut self, features: u64) -> Self {
        self.offered_before = features;
        self
    }

    /// Makes the port. Its socket appears when it starts.
    ///
    /// # Errors
    ///
    /// A path that the driver can't take (a comma, or 107 octets and more); too many queues; more
    /// ports than this DPDK has room for.
    pub fn attach(&self, eal: &Eal) -> Result<Port<Stopped>> {
        const CALL: &str = "rte_dev_probe";
        let Some(path) = self.socket.to_str().filter(|path| is_socket_path(path)) else {
            let message = "a socket's path has no comma, is UTF-8 and shorter than 108 octets";
            return Err(Error::refused(CALL, self.socket.to_string_lossy(), libc::EINVAL, message));
        };
        let name = eal.unique("net_vhost");
        let (client, queues) = (u8::from(self.client), self.queues);
        // Without `tso=1` the driver withholds what `restrict` may want offered.
        let devargs = format!("{name},iface={path},client={client},queues={queues},tso=1");
        let withheld = self.offloads.withheld() & !self.offered_before;
        let origin = Origin { socket: self.socket.clone(), client: self.client, queues, withheld };
        device::attach(eal, &devargs, Some(origin))
    }
}

fn is_socket_path(path: &str) -> bool {
    // sun_path has 108 octets, one of them for the end.
    !path.is_empty() && path.len() < 108 && !path.contains([',', '\0'])
}

/// A vhost port's own side: what its VM has set up. Readable from every thread.
#[derive(Clone)]
pub struct Vhost {
    origin: Origin,
    events: Arc<PortEvents>,
}

impl Vhost {
    pub(crate) fn new(origin: Origin, events: Arc<PortEvents>) -> Self {
        Self { origin, events }
    }

    fn state(&self) -> &VhostState {
        self.events.vhost().expect("a vhost port's events know its VM")
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.origin.socket
    }

    /// Whether the VM listens, and the port connects.
    pub fn is_client(&self) -> bool {
        self.origin.client
    }

    /// Pairs of queues that a VM may use.
    pub fn queues(&self) -> u16 {
        self.origin.queues
    }

    /// Whether the VM transmits on our rx queue `queue`.
    #[inline]
    pub fn is_rx_enabled(&self, queue: u16) -> bool {
        self.state().is_rx_enabled(queue)
    }

    /// Whether the VM receives on our tx queue `queue`.
    #[inline]
    pub fn is_tx_enabled(&self, queue: u16) -> bool {
        self.state().is_tx_enabled(queue)
    }

    /// The vhost library's number of the VM that is connected, if one is.
    pub fn vid(&self) -> Option<i32> {
        self.state().vid()
    }

    /// The sizes of queue pair `queue`'s rings as the VM set them: the one we receive from, the one we
    /// transmit on. `None` while the VM hasn't set them up.
    pub fn ring_sizes(&self, queue: u16) -> Option<(u16, u16)> {
        self.state().rings(queue)
    }

    /// The virtio features that were negotiated, DPDK's bits. `None` while no VM is connected.
    pub fn negotiated_features(&self) -> Option<u64> {
        self.vid().map(|_| self.state().features())
    }
}

impl Vhost {
    /// What the VM takes unfinished; nothing while none is connected.
    #[inline]
    pub fn takes(&self) -> Offloads {
        taken(self.state().features())
    }

    /// Whether a frame may take several of the VM's buffers, so that it fits whatever their length (virtio 1.2,
    /// clause 5.1.6.3.1).
    #[inline]
    pub fn is_mergeable(&self) -> bool {
        self.state().features() & MERGEABLE != 0
    }

    pub(crate) fn restrict(&self) -> Result<()> {
        restrict(&self.origin)
    }
}

impl std::fmt::Debug for Vhost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vhost")
            .field("origin", &self.origin)
            .field("vid", &self.vid())
            .finish_non_exhaustive()
    }
}

/// A bit of the virtio features (virtio 1.2, clauses 5.1.3 and 5.1.3.1).
const fn feature(bit: u32) -> u64 {
    1 << bit
}

/// The VM may leave checksums to us.
const CSUM: u64 = feature(0);
/// We may leave checksums to the VM.
const GUEST_CSUM: u64 = feature(1);
/// We may hand the VM TCP frames that are longer than a wire's, of IPv4 and IPv6.
const GUEST_TSO4: u64 = feature(7);
const GUEST_TSO6: u64 = feature(8);
/// The VM may hand us TCP frames that are longer than a wire's, of IPv4 and IPv6.
const HOST_TSO4: u64 = feature(11);
const HOST_TSO6: u64 = feature(12);

/// A frame may take several of the VM's buffers.
const MERGEABLE: u64 = feature(15);

/// What the library offers and doesn't do: it forgets that a frame to be cut carries a congestion signal
/// (HOST_ECN), and takes UDP fragments to be for datagrams (HOST_UFO). Their counterparts for what the VM is
/// sent (GUEST_ECN, GUEST_UFO) stay on offer, though it never gets such frames: a VM that agreed to them with
/// another switch can be taken over.
const NEVER: u64 = feature(13) | feature(14);

/// Work on frames that a VM and its port may leave to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VhostOffloads {
    /// TCP and UDP checksums.
    pub checksum: bool,
    /// TCP segmentation. Without checksums there is none, as every segment has one.
    pub tso: bool,
}

impl VhostOffloads {
    /// All that there is.
    pub const ALL: Self = Self { checksum: true, tso: true };

    /// The features that a port without some of them doesn't offer.
    fn withheld(self) -> u64 {
        let tso = GUEST_TSO4 | GUEST_TSO6 | HOST_TSO4 | HOST_TSO6;
        match self {
            Self { checksum: true, tso: true } => NEVER,
            Self { checksum: true, tso: false } => NEVER | tso,
            Self { checksum: false, .. } => NEVER | tso | CSUM | GUEST_CSUM,
        }
    }
}

/// What a VM that agreed on `features` takes unfinished.
fn taken(features: u64) -> Offloads {
    let agreed = |feature| features & feature != 0;
    let checksum = agreed(GUEST_CSUM);
    Offloads { checksum, tso4: checksum && agreed(GUEST_TSO4), tso6: checksum && agreed(GUEST_TSO6) }
}

/// Stops offering what isn't wanted, and what hostile or restarted VMs can do harm with. The device must be
/// configured, and no VM can have connected before, but for the microseconds since.
fn restrict(origin: &Origin) -> Result<()> {
    const CALL: &str = "rte_vhost_driver_set_protocol_features";
    // INFLIGHT messages end the process (DPDK 22.11.11).
    const INFLIGHT: u64 = 1 << sys::VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD;
    let subject = origin.socket.to_string_lossy();
    let path = c_string(CALL, &subject)?;
    let mut features = 0;
    // SAFETY: the path ends; the features are written only.
    let ret = unsafe { sys::rte_vhost_driver_get_protocol_features(path.as_ptr(), &mut features) };
    check("rte_vhost_driver_get_protocol_features", &subject, ret)?;
    // SAFETY: the path ends, and is not kept.
    let ret = unsafe { sys::rte_vhost_driver_set_protocol_features(path.as_ptr(), features & !INFLIGHT) };
    check(CALL, &subject, ret)?;
    // SAFETY: the path ends, and is not kept.
    let ret = unsafe { sys::rte_vhost_driver_disable_features(path.as_ptr(), origin.withheld) };
    check("rte_vhost_driver_disable_features", &subject, ret)?;
    Ok(())
}
