//! The data path: what happens to a frame between the port it comes from and the port it leaves by.
//!
//! [`walk`] is the switch in one screen. Each stage is a file, works on a whole burst, and says which
//! lanes it reads and writes and what it drops. Nothing here allocates, logs, formats or makes a system
//! call; the only locks are spin locks, once a burst, of ports that meter or have classes.

mod batch;
mod classify;
mod cut;
mod egress;
mod finish;
mod learn;
mod lookup;
mod mirror;
mod offload;
mod outbox;
mod parse;
mod platform;
mod police;
mod prioritise;
mod queue;
mod tap;
mod tx;

use std::sync::Arc;

use pollux_net::{PortSet, WorkerId};

pub use batch::{BURST, Batch};
pub use outbox::Outbox;
pub use platform::Platform;

use crate::fdb::Fdb;
use crate::qos::EgressQos;
use crate::{Snapshot, WorkerStats};

/// What a worker sees of the rest of the switch while it walks one round.
pub struct Context<'a, P: Platform> {
    /// Ports and VLANs as the control plane last published them.
    pub snapshot: &'a Snapshot<P>,
    /// The addresses, shared by all workers.
    pub fdb: &'a Fdb,
    /// Ports that have a link.
    pub links: PortSet,
    /// Whole seconds since the switch started.
    pub now_seconds: u32,
    /// The time stamp counter at the start of the round.
    pub now_cycles: u64,
    /// Which worker this is.
    pub worker: WorkerId,
    /// This worker's counters.
    pub stats: &'a WorkerStats,
}

impl<P: Platform> Clone for Context<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Platform> Copy for Context<'_, P> {}

/// A stretch of the way that an [`Observer`] hears of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// Frames came from the device.
    Rx,
    /// Headers were read, and what VMs left to do.
    Parse,
    /// VLANs, priorities and classes were decided.
    Classify,
    /// The FDB's lines were asked for.
    Prepare,
    /// Sources were learned.
    Learn,
    /// Destinations were found, and rates looked at.
    Lookup,
    /// Tags were set, floods copied, outboxes filled.
    Egress,
    /// Devices took what was in the outboxes.
    Tx,
}

/// Whoever wants to know when a stage has done with a batch: a benchmark, a profiler. `()` doesn't,
/// and costs nothing.
pub trait Observer {
    /// `stage` is through with `frames` frames.
    fn passed(&mut self, stage: Stage, frames: usize);
}

impl Observer for () {
    #[inline(always)]
    fn passed(&mut self, _stage: Stage, _frames: usize) {}
}

/// Whether frames wait at ports that this worker serves.
pub fn has_waiting<P: Platform>(context: &Context<'_, P>) -> bool {
    let ports = context.snapshot.served_by(context.worker);
    let waits = |egress: &Arc<EgressQos<P::Frame>>| egress.queues().is_backlogged();
    ports.iter().any(|port| context.snapshot.port(port).egress.as_ref().is_some_and(waits))
}

/// Polls every receive queue of this worker once, then sends what came of it. Returns how many frames
/// there were.
///
/// Each queue's burst goes all the way to the outboxes before the next is received, so that one burst's
/// headers, lanes and FDB lines are all that the first-level cache has to hold.
#[inline]
pub fn walk<P: Platform>(
    batch: &mut Batch<P::Frame>,
    context: &Context<'_, P>,
    outbox: &mut Outbox<P::Frame>,
    platform: &mut P,
    observer: &mut impl Observer,
) -> usize {
    let Context { snapshot, links, stats, .. } = *context;
    let mut total = 0;
    let sources = platform.sources();
    for source in 0..sources {
        batch.ingress = platform.receive(source, &mut batch.frames);
        let frames = batch.frames.len();
        if frames == 0 {
            continue;
        }
        platform.expect_receive(if source + 1 < sources { source + 1 } else { 0 });
        total += frames;
        stats.work.count_burst(frames);
        let fdb = context.fdb.at(context.now_seconds);
        observer.passed(Stage::Rx, frames);
        parse::parse(batch, snapshot, stats);
        offload::offload(batch, snapshot);
        observer.passed(Stage::Parse, frames);
        classify::classify(batch, snapshot);
        tap::received(batch, context, outbox, platform);
        prioritise::prioritise(batch, snapshot);
        observer.passed(Stage::Classify, frames);
        learn::prepare(batch, fdb);
        observer.passed(Stage::Prepare, frames);
        learn::learn(batch, fdb);
        observer.passed(Stage::Learn, frames);
        lookup::lookup(batch, snapshot, fdb, links);
        police::police(batch, context);
        observer.passed(Stage::Lookup, frames);
        egress::egress(batch, context, outbox, platform);
        observer.passed(Stage::Egress, frames);
        platform.went_through(source, frames);
    }
    outbox.flush(context, platform);
    queue::serve_waiting(context, outbox, platform);
    outbox.flush_copies(context, platform);
    observer.passed(Stage::Tx, total);
    total
}
