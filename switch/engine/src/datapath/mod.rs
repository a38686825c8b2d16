//! The data path: what happens to a frame between the port it comes from and the port it leaves by.
//!
//! [`walk`] is the switch in one screen. Each stage is a file, works on a whole burst, and says which
//! lanes it reads and writes and what it drops. Nothing here allocates, locks, logs, formats or makes
//! a system call.

mod batch;
mod classify;
mod egress;
mod learn;
mod lookup;
mod outbox;
mod parse;
mod platform;
mod tx;

use pollux_net::PortSet;

pub use batch::{BURST, Batch};
pub use outbox::Outbox;
pub use platform::Platform;

use crate::fdb::Fdb;
use crate::{Snapshot, WorkerStats};

/// What a worker sees of the rest of the switch while it takes one round.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Ports and VLANs as the control plane last published them.
    pub snapshot: &'a Snapshot,
    /// The addresses, shared by all workers.
    pub fdb: &'a Fdb,
    /// Ports that have a link.
    pub links: PortSet,
    /// Whole seconds since the switch started.
    pub now_seconds: u32,
    /// This worker's counters.
    pub stats: &'a WorkerStats,
}

/// Takes one burst from receive queue `source` through every stage to the outboxes. Returns how many
/// frames there were.
#[inline]
pub fn walk<P: Platform>(
    source: usize,
    batch: &mut Batch<P::Frame>,
    context: &Context<'_>,
    outbox: &mut Outbox<P::Frame>,
    platform: &mut P,
) -> usize {
    batch.ingress = platform.receive(source, &mut batch.frames);
    let frames = batch.frames.len();
    if frames > 0 {
        parse::parse(batch, context.snapshot, context.stats);
        classify::classify(batch, context.snapshot);
        learn::learn(batch, context.fdb, context.now_seconds);
        lookup::lookup(
            batch,
            context.snapshot,
            context.fdb,
            context.links,
            context.now_seconds,
        );
        egress::egress(batch, context, outbox, platform);
    }
    frames
}

/// Polls every receive queue of this worker once, then sends what came of it. Returns how many frames
/// there were.
#[inline]
pub fn round<P: Platform>(
    batch: &mut Batch<P::Frame>,
    context: &Context<'_>,
    outbox: &mut Outbox<P::Frame>,
    platform: &mut P,
) -> usize {
    let frames = (0..platform.sources())
        .map(|source| walk(source, batch, context, outbox, platform))
        .sum();
    outbox.flush(platform, context.stats);
    frames
}
