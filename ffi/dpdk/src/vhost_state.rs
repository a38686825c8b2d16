//! What is known of a vhost port's VM, kept by the callbacks.
//!
//! The library forgets a device before it tells of its end, and frees it right after: asking it later,
//! from another thread, would read freed memory. So everything is asked for inside the callbacks, on the
//! thread that makes and frees devices, and kept.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use dpdk_sys as sys;

use crate::port::Direction;
use crate::vhost_ring::VhostRing;

/// A pair of queues, as seen from our side.
#[derive(Default)]
struct QueuePair {
    rx_enabled: AtomicBool,
    tx_enabled: AtomicBool,
    rx_ring: Arc<VhostRing>,
    tx_ring: Arc<VhostRing>,
}

/// The VM on the other side.
pub(crate) struct VhostState {
    /// The library's number of the device, negative for none.
    vid: AtomicI32,
    features: AtomicU64,
    queues: Box<[QueuePair]>,
}

impl VhostState {
    pub(crate) fn new(queues: u16) -> Self {
        Self {
            vid: AtomicI32::new(-1),
            features: AtomicU64::new(0),
            queues: (0..queues).map(|_| QueuePair::default()).collect(),
        }
    }

    pub(crate) fn vid(&self) -> Option<c_int> {
        Some(self.vid.load(Ordering::Acquire)).filter(|&vid| vid >= 0)
    }

    pub(crate) fn features(&self) -> u64 {
        self.features.load(Ordering::Acquire)
    }

    pub(crate) fn is_rx_enabled(&self, queue: u16) -> bool {
        let pair = self.queues.get(usize::from(queue));
        pair.is_some_and(|pair| pair.rx_enabled.load(Ordering::Acquire))
    }

    pub(crate) fn is_tx_enabled(&self, queue: u16) -> bool {
        let pair = self.queues.get(usize::from(queue));
        pair.is_some_and(|pair| pair.tx_enabled.load(Ordering::Acquire))
    }

    /// Sizes of the rings that we receive from and transmit on.
    pub(crate) fn rings(&self, queue: u16) -> Option<(u16, u16)> {
        let pair = self.queues.get(usize::from(queue))?;
        let sizes = (pair.rx_ring.size(), pair.tx_ring.size());
        Some(sizes).filter(|&sizes| sizes != (0, 0))
    }

    /// The ring that a queue of ours receives from or transmits on.
    pub(crate) fn ring(&self, direction: Direction, queue: u16) -> Option<Arc<VhostRing>> {
        let pair = self.queues.get(usize::from(queue))?;
        Some(match direction {
            Direction::Rx => pair.rx_ring.clone(),
            Direction::Tx => pair.tx_ring.clone(),
        })
    }

    /// A VM came before the port had queues to tell its number by; now it has.
    pub(crate) fn port_started(&self, port: u16) {
        // As in PortEvents::note_link, whoever stores last has looked again since.
        while self.note_vid(port) != vid_of(port) {}
    }

    /// In the callback for the link.
    pub(crate) fn link_changed(&self, port: u16, up: bool) {
        if up {
            self.note_vid(port);
            self.note_device();
            return;
        }
        self.vid.store(-1, Ordering::Release);
        self.features.store(0, Ordering::Release);
        for pair in &self.queues {
            pair.rx_enabled.store(false, Ordering::Release);
            pair.tx_enabled.store(false, Ordering::Release);
            pair.rx_ring.forget();
            pair.tx_ring.forget();
        }
    }

    /// In the callback for queues.
    pub(crate) fn queues_changed(&self, port: u16) {
        let mut event = sys::rte_eth_vhost_queue_event::default();
        // SAFETY: takes any port number, and writes `event` only.
        while unsafe { sys::rte_eth_vhost_get_queue_event(port, &mut event) } == 0 {
            if let Some(pair) = self.queues.get(usize::from(event.queue_id)) {
                let enabled = if event.rx { &pair.rx_enabled } else { &pair.tx_enabled };
                enabled.store(event.enable, Ordering::Release);
            }
        }
        self.note_device();
    }

    fn note_vid(&self, port: u16) -> c_int {
        let vid = vid_of(port);
        self.vid.store(vid, Ordering::Release);
        vid
    }

    /// Asks for what the library knows of the device. Only in a callback, which the library makes
    /// between making the device and freeing it, on the same thread.
    fn note_device(&self) {
        let Some(vid) = self.vid() else { return };
        let mut features = 0;
        // SAFETY: takes any number, and writes the features only; the device can't be freed meanwhile.
        if unsafe { sys::rte_vhost_get_negotiated_features(vid, &mut features) } == 0 {
            self.features.store(features, Ordering::Release);
        }
        for (pair, index) in self.queues.iter().zip((0..u16::MAX).step_by(2)) {
            // The VM names the rings: on its rx ring, of even index, we transmit.
            pair.tx_ring.note(vid, index);
            pair.rx_ring.note(vid, index + 1);
        }
    }
}

fn vid_of(port: u16) -> c_int {
    // SAFETY: takes any port number, and answers a negative one for ports without a device.
    unsafe { sys::rte_eth_vhost_get_vid_from_port_id(port) }.max(-1)
}
