//! Which receive queues should go to which worker, so that none has too much to do while others rest. Decides,
//! from measured load; changes nothing.

use std::collections::BTreeMap;

use crate::control::load::QueueId;

/// A queue is moved only if that brings the busiest worker's load down by this part at least.
const LEAST_GAIN: f64 = 0.02;

/// Moves of one change at most. What is still uneven then is measured anew before more are made.
const MOST_MOVES: usize = 16;

/// A worker as far as balancing is concerned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::control) struct Candidate {
    /// The NUMA socket of its CPU.
    pub(in crate::control) socket: usize,
    /// The part of its time for which it is busy.
    pub(in crate::control) load: f64,
}

/// A receive queue as far as balancing is concerned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::control) struct Weight {
    pub(in crate::control) queue: QueueId,
    /// The NUMA socket of its device; `None`: any is as good.
    pub(in crate::control) socket: Option<usize>,
    /// Who polls it.
    pub(in crate::control) poller: usize,
    /// The part of its worker's time that it takes.
    pub(in crate::control) load: f64,
}

/// One queue from one worker to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) struct Move {
    pub(in crate::control) queue: QueueId,
    pub(in crate::control) from: usize,
    pub(in crate::control) to: usize,
}

/// What is gained at least, or nothing is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::control) struct Thresholds {
    /// The load of the busiest worker below which all is well.
    pub(in crate::control) load: f64,
    /// The part by which the busiest worker's load must fall.
    pub(in crate::control) improvement: f64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::control) struct Balance {
    pub(in crate::control) moves: Vec<Move>,
    /// Why, or why nothing.
    pub(in crate::control) reason: String,
    /// The load of each worker now.
    pub(in crate::control) before: Vec<f64>,
    /// What it is reckoned to be after.
    pub(in crate::control) after: Vec<f64>,
}

/// Decides what to move: from the busiest worker, one queue after the other, to whom it burdens least; away from
/// the device's NUMA socket only where that is not enough within it. Few moves are better than perfect ones.
pub(in crate::control) fn balance(
    workers: &[Candidate],
    queues: &[Weight],
    thresholds: Thresholds,
) -> Balance {
    let before: Vec<_> = workers.iter().map(|worker| worker.load).collect();
    let nothing =
        |reason: String| Balance { moves: Vec::new(), reason, before: before.clone(), after: before.clone() };
    if workers.len() < 2 {
        return nothing("there is only one worker".to_owned());
    }
    let (busiest, peak) = peak(&before);
    if peak < thresholds.load {
        let least = percent(thresholds.load);
        return nothing(format!("worker {busiest} is the busiest, at {}, below {least}", percent(peak)));
    }
    let gained = |loads: &[f64]| 1.0 - self::peak(loads).1 / peak;
    let (mut loads, mut pollers) = even(workers, queues, false);
    if loads == before || gained(&loads) < thresholds.improvement {
        (loads, pollers) = even(workers, queues, true);
    }
    let gained = gained(&loads);
    let moves = queues.iter().filter_map(|weight| {
        let to = pollers[&weight.queue];
        (to != weight.poller).then_some(Move { queue: weight.queue, from: weight.poller, to })
    });
    let moves: Vec<_> = moves.collect();
    let (now, then) = (percent(peak), percent(self::peak(&loads).1));
    if moves.is_empty() {
        nothing(format!(
            "worker {busiest} is the busiest, at {now}, and no move of a queue would change that"
        ))
    } else if gained < thresholds.improvement {
        let (gained, wanted) = (percent(gained), percent(thresholds.improvement));
        nothing(format!(
            "worker {busiest} is the busiest, at {now}; moves would bring the peak to {then}, {gained} less, \
             and {wanted} is asked for"
        ))
    } else {
        let reason =
            format!("worker {busiest} was the busiest, at {now}; the busiest is reckoned to have {then}");
        Balance { moves, reason, before, after: loads }
    }
}

/// The loads after good moves, and who polls each queue then. `far`: away from their sockets too.
fn even(workers: &[Candidate], queues: &[Weight], far: bool) -> (Vec<f64>, BTreeMap<QueueId, usize>) {
    let mut loads: Vec<_> = workers.iter().map(|worker| worker.load).collect();
    let mut pollers: BTreeMap<_, _> = queues.iter().map(|weight| (weight.queue, weight.poller)).collect();
    for _ in 0..MOST_MOVES {
        let Some((weight, to)) = best_move(workers, queues, &loads, &pollers, far) else { break };
        loads[pollers[&weight.queue]] -= weight.load;
        loads[to] += weight.load;
        pollers.insert(weight.queue, to);
    }
    (loads, pollers)
}

/// The busiest worker and its load.
fn peak(loads: &[f64]) -> (usize, f64) {
    let busiest = loads.iter().copied().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
    busiest.unwrap_or_default()
}

/// The move of a queue of the busiest worker that leaves the least for the busier of the two.
fn best_move(
    workers: &[Candidate],
    queues: &[Weight],
    loads: &[f64],
    pollers: &BTreeMap<QueueId, usize>,
    far: bool,
) -> Option<(Weight, usize)> {
    let (from, peak) = peak(loads);
    let outcome = |weight: &Weight, to: usize| (loads[from] - weight.load).max(loads[to] + weight.load);
    let better = |weight: &Weight, to: usize| outcome(weight, to) <= peak * (1.0 - LEAST_GAIN);
    let mine = queues.iter().filter(|weight| pollers[&weight.queue] == from && weight.load > 0.0);
    let options = mine.flat_map(|weight| {
        let is_far = |to: usize| weight.socket.is_some_and(|socket| workers[to].socket != socket);
        let may = move |to: usize| far || !is_far(to) || is_far(from);
        (0..workers.len())
            .filter(move |&to| to != from && may(to) && better(weight, to))
            .map(move |to| (weight, to))
    });
    let best = options.min_by(|(a, a_to), (b, b_to)| outcome(a, *a_to).total_cmp(&outcome(b, *b_to)));
    best.map(|(weight, to)| (*weight, to))
}

fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollux_net::PortId;
    use proptest::prelude::*;

    const ANY: Thresholds = Thresholds { load: 0.0, improvement: 0.0 };

    fn queue(number: u8) -> QueueId {
        (PortId::from_low_bits(u64::from(number) / 4), u16::from(number % 4))
    }

    /// Workers, all of one socket unless told, with queues that make up their load.
    fn case(sockets: &[usize], queues: &[(usize, f64, Option<usize>)]) -> (Vec<Candidate>, Vec<Weight>) {
        let weight =
            |(number, &(poller, load, socket))| Weight { queue: queue(number), socket, poller, load };
        let queues: Vec<_> = (0..).zip(queues).map(weight).collect();
        let load =
            |worker| queues.iter().filter(|queue| queue.poller == worker).map(|queue| queue.load).sum();
        let candidate = |(worker, &socket)| Candidate { socket, load: load(worker) };
        (sockets.iter().enumerate().map(candidate).collect(), queues)
    }

    #[test]
    fn one_of_two_busy_queues_goes_to_the_worker_that_rests() {
        let (workers, queues) = case(&[0, 0], &[(0, 0.5, None), (0, 0.4, None), (1, 0.0, None)]);
        let balance = balance(&workers, &queues, ANY);
        assert_eq!(balance.moves.len(), 1, "{balance:?}");
        assert_eq!((balance.moves[0].from, balance.moves[0].to), (0, 1));
        assert_eq!(balance.before, [0.9, 0.0]);
        assert!(balance.after.iter().all(|&load| (0.3..0.6).contains(&load)), "{balance:?}");
        assert_eq!(balance.reason, "worker 0 was the busiest, at 90 %; the busiest is reckoned to have 50 %");
    }

    #[test]
    fn one_queue_alone_goes_nowhere() {
        let (workers, queues) = case(&[0, 0], &[(0, 1.0, None)]);
        let balance = balance(&workers, &queues, ANY);
        assert_eq!(balance.moves, [], "{balance:?}");
        assert_eq!(balance.before, balance.after);
    }

    #[test]
    fn a_queue_stays_on_its_socket_where_that_helps() {
        let (workers, queues) = case(&[0, 0, 1], &[(0, 0.5, Some(0)), (0, 0.4, Some(0)), (1, 0.1, Some(0))]);
        let balance = balance(&workers, &queues, ANY);
        assert!(balance.moves.iter().all(|step| step.to != 2), "{balance:?}");
        assert_eq!(balance.moves.len(), 1, "{balance:?}");
        let (workers, queues) = case(&[0, 1], &[(0, 0.5, Some(0)), (0, 0.4, Some(0))]);
        assert_eq!(super::balance(&workers, &queues, ANY).moves.len(), 1, "or else it crosses");
    }

    #[test]
    fn little_is_not_enough() {
        let (workers, queues) = case(&[0, 0], &[(0, 0.5, None), (0, 0.1, None), (1, 0.45, None)]);
        let strict = Thresholds { load: 0.0, improvement: 0.25 };
        assert_eq!(balance(&workers, &queues, strict).moves, []);
        let calm = Thresholds { load: 0.7, improvement: 0.0 };
        let calm = balance(&workers, &queues, calm);
        assert_eq!(calm.moves, []);
        assert_eq!(calm.reason, "worker 0 is the busiest, at 60 %, below 70 %");
    }

    fn cases() -> impl Strategy<Value = (Vec<Candidate>, Vec<Weight>)> {
        let sockets = prop::collection::vec(0_usize..2, 1..6);
        sockets.prop_flat_map(|sockets| {
            let count = sockets.len();
            let queue = (0..count, 0.0..0.5_f64, prop::option::of(0_usize..2));
            let queues = prop::collection::vec(queue, 0..24);
            queues.prop_map(move |queues| case(&sockets, &queues))
        })
    }

    proptest! {
        #[test]
        fn it_is_never_worse_and_nothing_is_lost(
            (workers, queues) in cases(), improvement in 0.0..0.9_f64, load in 0.0..1.0_f64,
        ) {
            let thresholds = Thresholds { load, improvement };
            let balance = balance(&workers, &queues, thresholds);
            let peak = |loads: &[f64]| loads.iter().copied().fold(0.0, f64::max);
            let (before, after) = (peak(&balance.before), peak(&balance.after));
            prop_assert!(after <= before + 1e-9);
            if !balance.moves.is_empty() {
                prop_assert!(before >= load);
                prop_assert!(1.0 - after / before >= improvement - 1e-9);
            }
            // Every move is of a queue that is there, from who has it, to another; of each queue one at most.
            let mut pollers: BTreeMap<_, _> = queues.iter().map(|weight| (weight.queue, weight.poller)).collect();
            let mut loads = balance.before.clone();
            for step in &balance.moves {
                prop_assert_eq!(pollers.insert(step.queue, step.to), Some(step.from));
                prop_assert!(step.from != step.to && step.to < workers.len());
                let weight = queues.iter().find(|weight| weight.queue == step.queue).unwrap();
                loads[step.from] -= weight.load;
                loads[step.to] += weight.load;
            }
            for (reckoned, load) in balance.after.iter().zip(loads) {
                prop_assert!((reckoned - load).abs() < 1e-6);
            }
        }

        /// What was balanced once isn't balanced again: no queue goes to and fro.
        #[test]
        fn it_comes_to_rest((workers, mut queues) in cases()) {
            let mut workers = workers;
            let thresholds = Thresholds { load: 0.0, improvement: 0.1 };
            for _ in 0..queues.len() + 8 {
                let balance = balance(&workers, &queues, thresholds);
                if balance.moves.is_empty() {
                    return Ok(());
                }
                for step in &balance.moves {
                    queues.iter_mut().find(|weight| weight.queue == step.queue).unwrap().poller = step.to;
                }
                for (worker, load) in workers.iter_mut().zip(balance.after) {
                    worker.load = load;
                }
            }
            prop_assert!(false, "there is always something left to move");
        }
    }
}
