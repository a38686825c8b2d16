use super::key::FdbKey;
use super::sync::{AtomicU64, Ordering};
use super::value::Value;
use pollux_net::{MAX_PORTS, PortId, VID_SLOTS, Vid};

const PORTS: usize = if cfg!(loom) { 2 } else { MAX_PORTS };
const VLANS: usize = if cfg!(loom) { 2 } else { VID_SLOTS };

/// Flushes that may come before a sweep has seen every entry. Entries keep only the low 16 bits of a
/// flush's number; half of what these can tell apart, a quarter for entries and a quarter for a
/// thread that stalls between reading the number and storing it.
pub(super) const FLUSHES_PER_SWEEP: u64 = 1 << 14;

const _: () = assert!(2 * FLUSHES_PER_SWEEP <= 1 << (u16::BITS - 1));

/// What was flushed when, in numbers of flushes; nothing is scanned. An entry lives if no flush of
/// its port, its VLAN or everything has a higher number than the one it was last learned under.
///
/// Written by the control plane, once a flush; read by workers for every frame.
pub(super) struct Flushes {
    latest: AtomicU64,
    everything: AtomicU64,
    ports: [AtomicU64; PORTS],
    vlans: Vec<AtomicU64>,
}

/// What a flush ends.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    Everything,
    Port(PortId),
    Vlan(Vid),
}

impl Flushes {
    pub(super) fn new() -> Self {
        Self {
            latest: AtomicU64::new(1),
            everything: AtomicU64::new(0),
            ports: std::array::from_fn(|_| AtomicU64::new(0)),
            vlans: (0..VLANS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The number of the latest flush.
    pub(super) fn latest(&self) -> u64 {
        self.latest.load(Ordering::Acquire)
    }

    /// The epoch of what is learned now.
    #[inline(always)]
    pub(super) fn epoch(&self) -> u16 {
        self.latest.load(Ordering::Acquire) as u16
    }

    /// Whether no flush since ended the dynamic entry of `key`.
    pub(super) fn spare(&self, key: FdbKey, value: Value) -> bool {
        let latest = self.latest();
        if latest as u16 == value.epoch() {
            return true;
        }
        let learned = latest.wrapping_sub(Self::behind(latest, value.epoch()) as u64);
        let since = |flushed: &AtomicU64| flushed.load(Ordering::Acquire) > learned;
        !(since(&self.everything)
            || since(&self.ports[value.port().index() % PORTS])
            || since(&self.vlans[key.vid().index() % VLANS]))
    }

    /// The later of two epochs around now.
    pub(super) fn later(a: u16, b: u16) -> u16 {
        if Self::behind(u64::from(a), b) >= 0 { a } else { b }
    }

    /// Flushes from `epoch` to `latest`; negative if another thread has seen later ones.
    fn behind(latest: u64, epoch: u16) -> i64 {
        i64::from((latest as u16).wrapping_sub(epoch) as i16)
    }

    /// Flushes. One caller at a time.
    pub(super) fn flush(&self, scope: Scope) {
        let number = self.latest() + 1;
        let flushed = match scope {
            Scope::Everything => &self.everything,
            Scope::Port(port) => &self.ports[port.index() % PORTS],
            Scope::Vlan(vid) => &self.vlans[vid.index() % VLANS],
        };
        // In this order: whoever sees the number sees what it flushed.
        flushed.store(number, Ordering::Release);
        self.latest.store(number, Ordering::Release);
    }
}
