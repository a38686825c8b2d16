//! Workers, and the receive queues that they poll.

use std::fmt::Result;

use super::families::{Families, Family};
use crate::control::{Numbers, RxQueueState, WorkerState};

pub(super) fn encode(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    to.gauge("workers", "Workers that poll.", [([], numbers.workers.len() as u64)])?;
    workers(to, numbers)?;
    queues(to, numbers)
}

fn workers(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let numbered: Vec<_> = numbers.workers.iter().map(|worker| (worker.worker.to_string(), worker)).collect();
    let labelled = || numbered.iter().map(|(number, worker)| ([("worker", &**number)], *worker));
    let counters: [Family<WorkerState, u64>; 8] = [
        ("worker_rounds", "Rounds over the receive queues.", |worker| worker.rounds),
        ("worker_idle_rounds", "Rounds in which there was nothing to do.", |worker| worker.idle_rounds),
        ("worker_busy_cycles", "Cycles of rounds with something to do.", |worker| worker.busy_cycles),
        ("worker_idle_cycles", "Cycles of rounds with nothing to do.", |worker| worker.idle_cycles),
        ("worker_asleep_cycles", "Cycles for which it slept.", |worker| worker.asleep_cycles),
        ("worker_sleeps", "How often it went to sleep.", |worker| worker.sleeps),
        ("worker_interrupts", "How often an interrupt woke it.", |worker| worker.interrupts),
        ("worker_receive_frames", "Frames that it received.", |worker| worker.frames),
    ];
    for (name, help, of) in counters {
        to.counter(name, help, labelled().map(|(labels, worker)| (labels, of(worker))))?;
    }
    let bursts = labelled().map(|(labels, worker)| {
        let sizes = worker.bursts.iter().map(|size| (size.most as f64, size.bursts));
        (labels, worker.frames as f64, sizes.collect())
    });
    to.histogram("worker_burst_frames", "Frames of the bursts that had any.", bursts)?;
    let gauges: [Family<WorkerState, f64>; 2] = [
        ("worker_load_ratio", "The part of the last second for which it was busy.", |worker| worker.load),
        (
            "worker_stuck_seconds",
            "For how long it has finished no round; 0 unless that is too long.",
            |worker| worker.stuck_seconds,
        ),
    ];
    for (name, help, of) in gauges {
        to.gauge(name, help, labelled().map(|(labels, worker)| (labels, of(worker))))?;
    }
    Ok(())
}

fn queues(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let numbered: Vec<_> = numbers
        .workers
        .iter()
        .flat_map(|worker| worker.queues.iter().map(|queue| (worker.worker, queue.queue.to_string(), queue)))
        .collect();
    let labelled = || {
        numbered.iter().map(|(worker, number, queue)| {
            ([("port", &*queue.port), ("queue", &**number)], *queue, *worker as u64)
        })
    };
    let counters: [Family<RxQueueState, u64>; 3] = [
        ("rx_queue_frames", "Frames that came on the queue since its port started.", |queue| queue.frames),
        ("rx_queue_bursts", "Bursts that had any.", |queue| queue.bursts),
        ("rx_queue_cycles", "Cycles from receiving them to having them decided.", |queue| queue.cycles),
    ];
    for (name, help, of) in counters {
        to.counter(name, help, labelled().map(|(labels, queue, _)| (labels, of(queue))))?;
    }
    let workers = labelled().map(|(labels, _, worker)| (labels, worker));
    to.gauge("rx_queue_worker", "The number of the worker that polls the queue.", workers)?;
    let shares = labelled().map(|(labels, queue, _)| (labels, queue.share));
    to.gauge("rx_queue_share_ratio", "The part of its worker's last second that it took.", shares)?;
    let fills = labelled().filter_map(|(labels, queue, _)| Some((labels, u64::from(queue.fill?))));
    let help = "Descriptors that held frames when they were last counted, of devices that can tell.";
    to.gauge("rx_queue_fill_descriptors", help, fills)
}
