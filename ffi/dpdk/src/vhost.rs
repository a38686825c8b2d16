//! vhost-user ports: the VM's side is a socket and shared memory, ours a port.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys as sys;

use crate::Eal;
use crate::device;
use crate::error::{Error, Result};
use crate::events::PortEvents;
use crate::port::{Port, Stopped};

/// A vhost-user port to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VhostPort {
    socket: PathBuf,
    client: bool,
    queues: u16,
    arguments: Vec<String>,
}

/// What a vhost port was made from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    socket: PathBuf,
    client: bool,
    queues: u16,
}

impl VhostPort {
    /// A port that listens on `socket` for a VM, with one pair of queues.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            client: false,
            queues: 1,
            arguments: Vec::new(),
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

    /// Adds an argument for the driver, as in `tso=1`.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
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
            return Err(Error::refused(
                CALL,
                self.socket.to_string_lossy(),
                libc::EINVAL,
                message,
            ));
        };
        let name = eal.unique("net_vhost");
        let (client, queues) = (u8::from(self.client), self.queues);
        let mut devargs = format!("{name},iface={path},client={client},queues={queues}");
        for argument in &self.arguments {
            devargs.push(',');
            devargs.push_str(argument);
        }
        let origin = Origin {
            socket: self.socket.clone(),
            client: self.client,
            queues,
        };
        device::attach(eal, &devargs, Some(origin))
    }
}

fn is_socket_path(path: &str) -> bool {
    // sun_path has 108 octets, one of them for the end.
    !path.is_empty() && path.len() < 108 && !path.contains([',', '\0'])
}

/// A vhost port's own side.
pub struct Vhost {
    port: u16,
    origin: Origin,
    events: Arc<PortEvents>,
    /// Serialises those who drain the library's queue of changes.
    drain: Mutex<()>,
    rx_enabled: Box<[AtomicBool]>,
    tx_enabled: Box<[AtomicBool]>,
}

impl Vhost {
    pub(crate) fn new(port: u16, origin: Origin, events: Arc<PortEvents>) -> Self {
        let disabled = || (0..origin.queues).map(|_| AtomicBool::new(false)).collect();
        Self {
            port,
            events,
            drain: Mutex::new(()),
            rx_enabled: disabled(),
            tx_enabled: disabled(),
            origin,
        }
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.origin.socket
    }

    /// Whether the VM listens, and the port connects.
    pub fn is_client(&self) -> bool {
        self.origin.client
    }

    /// Takes up which queues the VM has enabled or disabled since the last call; returns how many
    /// changes there were. Call it when [`Happened::queues`](crate::Happened) says so, and before
    /// trusting [`is_rx_enabled`](Self::is_rx_enabled) and [`is_tx_enabled`](Self::is_tx_enabled).
    pub fn refresh_queues(&self) -> usize {
        let _alone = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changes = 0;
        let mut event = sys::rte_eth_vhost_queue_event::default();
        // SAFETY: takes any port number, and writes `event` only.
        while unsafe { sys::rte_eth_vhost_get_queue_event(self.port, &mut event) } == 0 {
            let queues = if event.rx {
                &self.rx_enabled
            } else {
                &self.tx_enabled
            };
            if let Some(queue) = queues.get(usize::from(event.queue_id)) {
                queue.store(event.enable, Ordering::Release);
            }
            changes += 1;
        }
        changes
    }

    /// Whether the VM transmits on rx queue `queue` of ours.
    #[inline]
    pub fn is_rx_enabled(&self, queue: u16) -> bool {
        let queue = self.rx_enabled.get(usize::from(queue));
        queue.is_some_and(|enabled| enabled.load(Ordering::Acquire))
    }

    /// Whether the VM receives on tx queue `queue` of ours.
    #[inline]
    pub fn is_tx_enabled(&self, queue: u16) -> bool {
        let queue = self.tx_enabled.get(usize::from(queue));
        queue.is_some_and(|enabled| enabled.load(Ordering::Acquire))
    }

    /// The vhost library's number of the VM that is connected, if one is.
    pub fn vid(&self) -> Option<i32> {
        self.events.vid()
    }

    /// The sizes of the rings of queue pair `queue` as the VM set them: ours to receive from, ours to
    /// transmit on. `None` while no VM is connected.
    pub fn ring_sizes(&self, queue: u16) -> Option<(u16, u16)> {
        let vid = self.vid()?;
        // The VM's view names the rings: its rx ring, of even index, is the one that we transmit on.
        let index = queue.checked_mul(2)?;
        // SAFETY: takes any numbers; a VM that is gone has rings of size 0.
        let (tx, rx) = unsafe {
            (
                sys::shim_vhost_ring_size(vid, index),
                sys::shim_vhost_ring_size(vid, index + 1),
            )
        };
        (rx != 0 || tx != 0).then_some((rx, tx))
    }

    /// The virtio features that were negotiated, DPDK's bits. `None` while no VM is connected.
    pub fn negotiated_features(&self) -> Option<u64> {
        let mut features = 0;
        // SAFETY: takes any number, and writes the features only.
        let ret = unsafe { sys::rte_vhost_get_negotiated_features(self.vid()?, &mut features) };
        (ret == 0).then_some(features)
    }
}
