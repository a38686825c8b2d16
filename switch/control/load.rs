//! How busy workers and receive queues are: what they counted, at two moments.

use std::collections::BTreeMap;

use pollux_engine::{QueueWork, Work};
use pollux_net::PortId;

use super::Switch;

/// A receive queue: its port and its number there.
pub(super) type QueueId = (PortId, u16);

/// What was counted by a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Mark {
    /// The time stamp counter then.
    pub(super) cycles: u64,
    pub(super) workers: Vec<Work>,
    pub(super) queues: BTreeMap<QueueId, QueueWork>,
}

/// The load between two moments.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Load {
    /// The part of its time for which each worker had something to do, 0 to 1.
    pub(super) workers: Vec<f64>,
    /// The part of its worker's time that each queue took, what it took to send its frames among it.
    pub(super) queues: BTreeMap<QueueId, f64>,
}

/// What is remembered of the past.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// A second ago and more, and since.
    second: [Mark; 2],
}

impl Marks {
    /// A second has passed.
    pub(super) fn add(&mut self, mark: Mark) {
        let [_, last] = std::mem::take(&mut self.second);
        self.second = [last, mark];
    }

    /// The load over the last whole second, of queues that `pollers` has, each with its worker.
    pub(super) fn last_second(&self, pollers: &BTreeMap<QueueId, usize>) -> Load {
        let [before, after] = &self.second;
        between(before, after, pollers)
    }
}

/// The load between two moments of queues, each polled by the worker that `pollers` says.
pub(super) fn between(before: &Mark, after: &Mark, pollers: &BTreeMap<QueueId, usize>) -> Load {
    let passed = after.cycles.saturating_sub(before.cycles).max(1) as f64;
    let busy = |worker: usize| {
        let then = before.workers.get(worker).map_or(0, |work| work.busy_cycles);
        after.workers.get(worker).map_or(0, |work| work.busy_cycles).saturating_sub(then) as f64
    };
    let queue = |id: &QueueId| {
        let now = after.queues.get(id).copied().unwrap_or_default();
        let then = before.queues.get(id).copied().unwrap_or_default();
        // One that was replaced counts from nothing.
        let then = if then.frames > now.frames { QueueWork::default() } else { then };
        let frames = now.frames - then.frames;
        (frames as f64, now.cycles.saturating_sub(then.cycles) as f64)
    };
    let workers = (0..after.workers.len()).map(|worker| (busy(worker) / passed).min(1.0));
    let mut load = Load { workers: workers.collect(), queues: BTreeMap::new() };
    for worker in 0..after.workers.len() {
        let mine = pollers.iter().filter(|(_, poller)| **poller == worker);
        let mine: Vec<_> = mine.map(|(id, _)| (*id, queue(id))).collect();
        let frames: f64 = mine.iter().map(|(_, (frames, _))| frames).sum();
        let own: f64 = mine.iter().map(|(_, (_, cycles))| cycles).sum();
        // Sending is done for all queues at once.
        let shared = (busy(worker) - own).max(0.0) / frames.max(1.0);
        load.queues.extend(
            mine.into_iter()
                .map(|(id, (frames, cycles))| (id, ((cycles + shared * frames) / passed).min(1.0))),
        );
    }
    load
}

impl Switch {
    /// What has been counted by now.
    pub(super) fn mark(&self) -> Mark {
        let queues = self.ports.iter().flat_map(|port| {
            let counters = (0..).zip(&port.counters);
            counters.map(|(queue, counters)| ((port.id, queue), counters.totals()))
        });
        Mark {
            cycles: pollux_cpu::cycles(),
            workers: self.shared.stats.iter().map(|stats| stats.work.totals()).collect(),
            queues: queues.collect(),
        }
    }

    /// Who polls each receive queue.
    pub(super) fn pollers(&self) -> BTreeMap<QueueId, usize> {
        let ports = self.ports.iter();
        ports
            .flat_map(|port| (0..).zip(&port.pollers).map(|(queue, &poller)| ((port.id, queue), poller)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(cycles: u64, busy: [u64; 2], queues: &[(QueueId, u64, u64)]) -> Mark {
        let work = |busy_cycles| Work { busy_cycles, ..Work::default() };
        let queue =
            |&(id, frames, cycles): &(QueueId, u64, u64)| (id, QueueWork { frames, cycles, bursts: frames });
        Mark { cycles, workers: busy.map(work).to_vec(), queues: queues.iter().map(queue).collect() }
    }

    #[test]
    fn what_sending_takes_is_the_queues_whose_frames_are_sent() {
        let [a, b, c] = [0, 1, 2].map(|port| (PortId::from_low_bits(port), 0));
        let before = mark(1_000, [100, 0], &[(a, 10, 50), (b, 0, 0), (c, 5, 5)]);
        let after = mark(2_000, [900, 500], &[(a, 40, 350), (b, 10, 100), (c, 5, 5)]);
        let pollers = [(a, 0), (b, 0), (c, 1)].into();
        let load = between(&before, &after, &pollers);
        assert_eq!(load.workers, [0.8, 0.5]);
        // 800 cycles, 400 of them for 30 and 10 frames.
        assert_eq!(load.queues, [(a, 0.6), (b, 0.2), (c, 0.0)].into());
    }

    #[test]
    fn a_queue_that_begins_anew_counts_from_nothing() {
        let a = (PortId::from_low_bits(0), 0);
        let before = mark(0, [0, 0], &[(a, 1_000, 900)]);
        let after = mark(1_000, [500, 0], &[(a, 10, 500)]);
        assert_eq!(between(&before, &after, &[(a, 0)].into()).queues, [(a, 0.5)].into());
    }
}
