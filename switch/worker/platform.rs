use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use dpdk::{FlowAcl, Mbuf, Mempool, PacketFilter, RateMeter, RxQueue, SharedTxQueue, TxQueue};
use pollux_engine::QueueCounters;
use pollux_engine::datapath::{BURST, Platform};
use pollux_net::{MAX_PORTS, Offloads, PortId, WorkerId};

use super::VhostSink;

/// Queues that a worker can poll: all that there can be.
const MAX_SOURCES: usize = MAX_PORTS * *pollux_config::limits::QUEUES.end() as usize;

/// Of so many rounds, one is looked at closely: reading the time stamp counter after each burst of each round
/// would cost a short burst a tenth of its time. A prime, so that no rhythm of the load has the same.
const SAMPLE: u32 = 31;

/// A receive queue, and the port it belongs to.
pub(crate) struct Source {
    pub(crate) port: PortId,
    pub(crate) queue: RxQueue,
    /// What it brought. It goes with the queue, to whichever worker.
    pub(crate) counters: Arc<QueueCounters>,
}

/// Where a worker's frames for one port go.
pub(crate) enum Sink {
    /// No such port.
    None,
    /// A queue of the worker's own.
    Own(TxQueue),
    /// A queue that other workers use too: the device has fewer than there are workers.
    Shared(SharedTxQueue),
    /// A VM, which decides how many queues there are.
    Vhost(VhostSink),
}

/// One worker's share of the devices.
pub(crate) struct DpdkPlatform {
    worker: WorkerId,
    /// Never more than there was room for from the start, so that adding one allocates nothing.
    sources: Vec<Source>,
    sinks: [Sink; MAX_PORTS],
    /// Where copies for floods come from.
    pool: Mempool,
    /// Frames to take from a queue at once, at most.
    burst: u16,
    /// Whether to receive at all.
    receives: bool,
    /// When the last burst was through, or the round began, in cycles: only in a round that is a sample.
    through_at: u64,
    is_sample: bool,
    /// Rounds until the next sample.
    until_sample: u32,
}

impl DpdkPlatform {
    pub(crate) fn new(worker: WorkerId, pool: Mempool, burst: u16) -> Self {
        let sources = Vec::with_capacity(MAX_SOURCES);
        let sinks = [const { Sink::None }; MAX_PORTS];
        Self {
            worker,
            sources,
            sinks,
            pool,
            burst,
            receives: true,
            through_at: 0,
            is_sample: false,
            until_sample: 0,
        }
    }

    pub(crate) fn set_receiving(&mut self, receives: bool) {
        self.receives = receives;
    }

    pub(crate) fn set_burst(&mut self, burst: u16) {
        self.burst = burst;
    }

    pub(crate) fn add_source(&mut self, source: Source) {
        debug_assert!(self.sources.len() < MAX_SOURCES);
        self.sources.push(source);
    }

    /// Takes out one of the port's queues.
    pub(crate) fn remove_source(&mut self, port: PortId) -> Option<Source> {
        let place = self.sources.iter().position(|source| source.port == port)?;
        Some(self.sources.swap_remove(place))
    }

    /// Counts what the last burst took.
    #[cold]
    fn look_closely(&mut self, source: usize) {
        let now = pollux_cpu::cycles();
        self.sources[source].counters.count_cycles((now - self.through_at) * u64::from(SAMPLE));
        self.through_at = now;
    }

    /// Takes out this queue of the port.
    pub(crate) fn remove_queue(&mut self, port: PortId, queue: u16) -> Option<Source> {
        let is_it = |source: &Source| source.port == port && source.queue.index() == queue;
        let place = self.sources.iter().position(is_it)?;
        Some(self.sources.swap_remove(place))
    }

    /// A round begins: whatever happened before it is no queue's.
    #[inline(always)]
    pub(super) fn begin_round(&mut self, now: u64) {
        self.through_at = now;
        self.is_sample = self.until_sample == 0;
        self.until_sample = if self.is_sample { SAMPLE - 1 } else { self.until_sample - 1 };
    }

    /// Counts the descriptors that hold frames.
    #[cold]
    pub(super) fn count_fill(&mut self) {
        for source in &mut self.sources {
            source.counters.set_fill(source.queue.fill());
        }
    }

    /// Waits until a device says that frames have come, if all can and some are wanted: what nobody takes would end
    /// each wait at once.
    pub(super) fn await_interrupt(&mut self, timeout: Duration) -> Option<bool> {
        if !self.receives {
            return None;
        }
        dpdk::await_frames(self.sources.iter_mut().map(|source| &mut source.queue), timeout)
    }

    /// Returns where frames for the port went before.
    pub(crate) fn set_sink(&mut self, port: PortId, sink: Sink) -> Sink {
        std::mem::replace(&mut self.sinks[port.index()], sink)
    }
}

impl Platform for DpdkPlatform {
    type Frame = Mbuf;
    type Rules = Arc<FlowAcl>;
    type Meter = RateMeter;
    type Filter = Arc<PacketFilter>;

    #[inline(always)]
    fn sources(&self) -> usize {
        if self.receives { self.sources.len() } else { 0 }
    }

    #[inline(always)]
    fn receive(&mut self, source: usize, burst: &mut ArrayVec<Mbuf, BURST>) -> PortId {
        let source = &mut self.sources[source];
        source.queue.receive_some(burst, self.burst);
        source.port
    }

    #[inline(always)]
    fn expect_receive(&mut self, source: usize) {
        self.sources[source].queue.prefetch();
    }

    #[inline(always)]
    fn went_through(&mut self, source: usize, frames: usize) {
        let counters = &self.sources[source].counters;
        counters.count(frames as u64);
        if self.is_sample {
            self.look_closely(source);
        }
    }

    #[inline(always)]
    fn expect_transmit(&mut self, port: PortId) {
        if let Sink::Vhost(vhost) = &self.sinks[port.index()] {
            vhost.prefetch(self.worker);
        }
    }

    #[inline(always)]
    fn transmit(&mut self, port: PortId, frames: &mut ArrayVec<Mbuf, BURST>) {
        match &mut self.sinks[port.index()] {
            Sink::Own(queue) => {
                queue.transmit(frames);
            }
            Sink::Shared(queue) => {
                queue.transmit(frames);
            }
            Sink::Vhost(vhost) => vhost.transmit(self.worker, frames),
            Sink::None => {}
        }
    }

    #[inline(always)]
    fn transmit_in_order(&mut self, port: PortId, frames: &mut ArrayVec<Mbuf, BURST>) -> usize {
        if let Sink::Vhost(vhost) = &self.sinks[port.index()] {
            return vhost.transmit_in_order(self.worker, frames);
        }
        self.transmit(port, frames);
        0
    }

    fn is_choosy(&self, port: PortId) -> bool {
        matches!(&self.sinks[port.index()], Sink::Vhost(vhost) if vhost.is_choosy())
    }

    #[inline]
    fn copy(&mut self, frame: &Mbuf) -> Option<Mbuf> {
        frame.copy(&self.pool)
    }

    #[inline]
    fn copy_start(&mut self, frame: &Mbuf, len: usize) -> Option<Mbuf> {
        frame.copy_start(&self.pool, len)
    }

    #[inline]
    fn frame(&mut self, octets: &[u8]) -> Option<Mbuf> {
        Mbuf::from_slice(&self.pool, octets)
    }

    #[inline]
    fn append(&mut self, frame: &mut Mbuf, octets: &[u8]) -> bool {
        frame.append(&self.pool, octets)
    }

    #[inline]
    fn offloads(&self, port: PortId) -> Offloads {
        match &self.sinks[port.index()] {
            Sink::Vhost(vhost) => vhost.takes(),
            Sink::None | Sink::Own(_) | Sink::Shared(_) => Offloads::NONE,
        }
    }
}
