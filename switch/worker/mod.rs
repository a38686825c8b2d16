//! A worker: one thread, pinned to one CPU, that polls its receive queues and takes every burst
//! through the whole data path.

mod orders;
mod platform;
mod rest;
mod vhost;

use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::Cache;
use core_affinity::CoreId;
use pollux_engine::datapath::{Batch, Context, Outbox, has_waiting, walk};
use pollux_net::WorkerId;

pub(crate) use orders::{Commander, HandedOver, Order, Orders, orders};
pub(crate) use platform::{DpdkPlatform, Sink, Source};
pub(crate) use rest::RestPlan;
pub(crate) use vhost::VhostSink;

use crate::control::Shared;
use rest::Rest;

/// What a worker starts with.
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) cpu: usize,
    pub(crate) platform: DpdkPlatform,
    pub(crate) orders: Orders,
    pub(crate) shared: Arc<Shared>,
}

/// A worker could not take its place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    #[error(
        "worker {0} can't be pinned to CPU {1}: leave the CPU in this process's affinity mask, or list another in `switch.cores`"
    )]
    Pin(WorkerId, usize),
    #[error("worker {0} can't register with DPDK: {1}")]
    Register(WorkerId, dpdk::Error),
    #[error("the thread of worker {0} can't be started: {1}")]
    Spawn(WorkerId, std::io::Error),
}

impl Worker {
    /// Starts the thread. It calls `ready` once it polls or has failed, and gives the devices back
    /// when the switch stops.
    pub(crate) fn spawn(
        self,
        eal: dpdk::Eal,
        ready: impl FnOnce(Result<(), WorkerError>) + Send + 'static,
    ) -> Result<JoinHandle<DpdkPlatform>, WorkerError> {
        let id = self.id;
        let name = format!("pollux-w{id}");
        let body = move || match self.take_place(&eal) {
            Ok(registered) => {
                ready(Ok(()));
                self.poll(&registered)
            }
            Err(error) => {
                ready(Err(error));
                self.platform
            }
        };
        std::thread::Builder::new().name(name).spawn(body).map_err(|error| WorkerError::Spawn(id, error))
    }

    /// Pins first and registers then: DPDK keeps the affinity it sees, and gives only registered
    /// threads a cache in each mempool.
    fn take_place(&self, eal: &dpdk::Eal) -> Result<dpdk::RegisteredThread, WorkerError> {
        if !core_affinity::set_for_current(CoreId { id: self.cpu }) {
            return Err(WorkerError::Pin(self.id, self.cpu));
        }
        // Sleeps are as long as they are asked to be, not 50 us longer.
        let _ = nix::sys::prctl::set_timerslack(1);
        eal.register_thread().map_err(|error| WorkerError::Register(self.id, error))
    }

    fn poll(mut self, thread: &dpdk::RegisteredThread) -> DpdkPlatform {
        let mut batch = Batch::new();
        let mut outbox = Outbox::new();
        let mut cache = Cache::new(&self.shared.published);
        let stats = &self.shared.stats[usize::from(self.id.0)];
        let mut adopted = u64::MAX;
        let mut rest = Rest::new();
        let mut filled_at = 0;
        let mut now = pollux_cpu::cycles();
        while !self.shared.is_stopping() {
            let published = cache.load();
            if published.epoch != adopted {
                self.orders.follow(&mut self.platform);
                adopted = published.epoch;
                rest.follow(published.rest_of(self.id));
                self.shared.adopt(self.id, published);
            }
            let context = Context {
                snapshot: &published.snapshot,
                fdb: &self.shared.fdb,
                links: self.shared.links(),
                now_seconds: self.shared.now_seconds(),
                now_cycles: now,
                worker: self.id,
                stats,
            };
            if self.orders.expects() {
                self.orders.take_over(&mut self.platform, now);
            }
            if context.now_seconds != filled_at {
                filled_at = context.now_seconds;
                self.platform.count_fill();
            }
            self.platform.begin_round(now);
            let frames = walk(&mut batch, &context, &mut outbox, &mut self.platform, &mut ());
            thread.pass();
            let end = pollux_cpu::cycles();
            let busy = frames > 0 || has_waiting(&context);
            stats.work.count_round(busy, end - now);
            now = end;
            if rest.is_due(busy, now) && !self.orders.expects() {
                let interrupted = rest.rest(&mut self.platform);
                now = pollux_cpu::cycles();
                stats.work.count_sleep(interrupted, now - end);
            }
        }
        self.platform
    }
}
