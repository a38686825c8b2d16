use std::array;
use std::ops::{AddAssign, SubAssign};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pollux_net::{MAX_PORTS, PortId};

use crate::work::WorkCounters;
use crate::{REASONS, Reason};

/// What one worker counted on one port, on cache lines of its own. The worker writes, anybody reads.
#[repr(align(64))]
#[derive(Debug)]
struct PortCounters {
    rx_frames: AtomicU64,
    rx_bytes: AtomicU64,
    tx_frames: AtomicU64,
    tx_bytes: AtomicU64,
    replicated: AtomicU64,
    drops: [AtomicU64; REASONS],
}

impl PortCounters {
    fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            rx_frames: zero(),
            rx_bytes: zero(),
            tx_frames: zero(),
            tx_bytes: zero(),
            replicated: zero(),
            drops: array::from_fn(|_| zero()),
        }
    }
}

/// Adds to a counter that only this thread writes: a plain load and store, where a locked
/// read-modify-write would cost twenty cycles.
#[inline(always)]
pub(crate) fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// One worker's counters of all ports.
///
/// Only the worker that owns them may call the `count_` functions: two writers would lose counts, not
/// memory safety. Everybody may read.
#[derive(Debug)]
pub struct WorkerStats {
    ports: Box<[PortCounters; MAX_PORTS]>,
    queued: AtomicU64,
    /// How it spends its time.
    pub work: WorkCounters,
}

impl Default for WorkerStats {
    fn default() -> Self {
        Self::new()
    }
}

impl WorkerStats {
    /// All zero.
    pub fn new() -> Self {
        let ports = Box::new(array::from_fn(|_| PortCounters::new()));
        Self { ports, queued: AtomicU64::new(0), work: WorkCounters::default() }
    }

    #[inline]
    pub(crate) fn count_rx(&self, port: PortId, frames: u64, bytes: u64) {
        let counters = &self.ports[port.index()];
        bump(&counters.rx_frames, frames);
        bump(&counters.rx_bytes, bytes);
    }

    #[inline]
    pub(crate) fn count_tx(&self, port: PortId, frames: u64, bytes: u64) {
        let counters = &self.ports[port.index()];
        bump(&counters.tx_frames, frames);
        bump(&counters.tx_bytes, bytes);
    }

    #[inline]
    pub(crate) fn count_replicated(&self, ingress: PortId, copies: u64) {
        bump(&self.ports[ingress.index()].replicated, copies);
    }

    #[inline]
    pub(crate) fn count_drops(&self, port: PortId, reason: Reason, frames: u64) {
        bump(&self.ports[port.index()].drops[reason.index()], frames);
    }

    #[inline]
    pub(crate) fn set_queued(&self, frames: u64) {
        self.queued.store(frames, Relaxed);
    }

    /// What this worker counted on `port` so far.
    pub fn port(&self, port: PortId) -> PortTotals {
        let counters = &self.ports[port.index()];
        PortTotals {
            rx_frames: counters.rx_frames.load(Relaxed),
            rx_bytes: counters.rx_bytes.load(Relaxed),
            tx_frames: counters.tx_frames.load(Relaxed),
            tx_bytes: counters.tx_bytes.load(Relaxed),
            replicated: counters.replicated.load(Relaxed),
            drops: array::from_fn(|i| counters.drops[i].load(Relaxed)),
        }
    }

    /// Frames the worker holds in its outboxes.
    pub fn queued(&self) -> u64 {
        self.queued.load(Relaxed)
    }
}

/// A port's totals, of one worker or added up over all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortTotals {
    /// Frames received, dropped ones included.
    pub rx_frames: u64,
    /// Octets received, without frame check sequences.
    pub rx_bytes: u64,
    /// Frames the device took for sending.
    pub tx_frames: u64,
    /// Octets the device took for sending, without frame check sequences.
    pub tx_bytes: u64,
    /// Frames that floods of frames from this port added (one less than the ports flooded to), and the cutting
    /// of such frames (one less than the pieces).
    pub replicated: u64,
    /// Frames dropped, by [`Reason::index`].
    pub drops: [u64; REASONS],
}

impl Default for PortTotals {
    fn default() -> Self {
        Self { rx_frames: 0, rx_bytes: 0, tx_frames: 0, tx_bytes: 0, replicated: 0, drops: [0; REASONS] }
    }
}

impl PortTotals {
    /// Frames dropped for any reason.
    pub fn dropped(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// The reasons that have dropped a frame, each with how many.
    pub fn drops_by_reason(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().map(|&r| (r, self.drops[r.index()])).filter(|&(_, n)| n > 0)
    }
}

impl AddAssign for PortTotals {
    fn add_assign(&mut self, other: Self) {
        self.rx_frames += other.rx_frames;
        self.rx_bytes += other.rx_bytes;
        self.tx_frames += other.tx_frames;
        self.tx_bytes += other.tx_bytes;
        self.replicated += other.replicated;
        for (mine, theirs) in self.drops.iter_mut().zip(other.drops) {
            *mine += theirs;
        }
    }
}

impl SubAssign for PortTotals {
    /// What was counted since `earlier`, which is of the same counters.
    fn sub_assign(&mut self, earlier: Self) {
        self.rx_frames -= earlier.rx_frames;
        self.rx_bytes -= earlier.rx_bytes;
        self.tx_frames -= earlier.tx_frames;
        self.tx_bytes -= earlier.tx_bytes;
        self.replicated -= earlier.replicated;
        for (mine, theirs) in self.drops.iter_mut().zip(earlier.drops) {
            *mine -= theirs;
        }
    }
}

/// The whole switch's balance: `rx + replicated = tx + dropped + queued`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Accounting {
    /// Frames received on all ports.
    pub rx: u64,
    /// Frames added by floods and by cutting.
    pub replicated: u64,
    /// Frames sent on all ports.
    pub tx: u64,
    /// Frames dropped, each under one reason.
    pub dropped: u64,
    /// Frames inside the switch.
    pub queued: u64,
}

impl Accounting {
    /// The sums over all ports of all workers. Exact once the workers rest; while they run, counts of
    /// bursts under way may be on one side only. `waiting`: frames in the queues of ports.
    pub fn of<'a>(workers: impl IntoIterator<Item = &'a WorkerStats>, waiting: u64) -> Self {
        let mut sum = Self { queued: waiting, ..Self::default() };
        for stats in workers {
            sum.queued += stats.queued();
            for port in PortId::all() {
                let totals = stats.port(port);
                sum.rx += totals.rx_frames;
                sum.replicated += totals.replicated;
                sum.tx += totals.tx_frames;
                sum.dropped += totals.dropped();
            }
        }
        sum
    }

    /// Whether every frame is accounted for.
    pub fn balances(&self) -> bool {
        self.rx + self.replicated == self.tx + self.dropped + self.queued
    }
}
