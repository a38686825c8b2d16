//! Evening the workers' load: receive queues go from one to another while frames come.
//!
//! The worker that is to have a queue is told to expect it, then the one that has it hands it over; frames wait
//! in the queue's ring meanwhile. What a worker received from a queue it has handed to the devices before, or put
//! into class queues, which stay with the worker that serves them: so a flow keeps its order, unless the port
//! that it leaves by is congested and has several tx queues.

mod balance;

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::load::{self, Mark};
use super::ports::LivePort;
use super::{Happening, ReconfigureError, Switch};
use crate::worker::{HandedOver, Order};
use balance::{Candidate, Move, Thresholds, Weight, balance};

/// Less than this is not measured long enough.
const LEAST_MEASURED: Duration = Duration::from_secs(1);

/// What was done to even the workers' load, or would be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rebalancing {
    /// Queues that go to another worker.
    pub moves: Vec<QueueMove>,
    /// Why, or why none does, in a sentence.
    pub reason: String,
    /// The load of each worker as measured, 0 to 1.
    pub before: Vec<f64>,
    /// What it is reckoned to be with these moves.
    pub after: Vec<f64>,
    /// Over how many seconds it was measured.
    pub measured_seconds: f64,
    /// Whether it was done.
    pub applied: bool,
}

/// A receive queue that goes to another worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueMove {
    /// The port's name.
    pub port: String,
    /// The queue's number.
    pub queue: u16,
    /// The worker that polled it.
    pub from: usize,
    /// The worker that polls it.
    pub to: usize,
}

/// Since when load is measured for this.
#[derive(Debug)]
pub(super) struct Measuring {
    since: Option<(Instant, Mark)>,
    /// After half of it.
    next: Option<(Instant, Mark)>,
}

impl Measuring {
    pub(super) const NEW: Self = Self { since: None, next: None };
}

impl Switch {
    /// Evens the workers' load as measured, if it is worth it; `dry_run`: only says what it would do. The
    /// busiest worker's load must fall as far as `switch.rebalance` asks for.
    ///
    /// # Errors
    ///
    /// A worker doesn't answer.
    pub fn rebalance(&mut self, dry_run: bool) -> Result<Rebalancing, ReconfigureError> {
        let improvement = self.config.switch.rebalance.improvement;
        self.rebalance_within(Thresholds { load: 0.0, improvement }, dry_run)
    }

    /// Once a second.
    pub(super) fn rebalance_when_due(&mut self) -> Option<Happening> {
        let settings = self.config.switch.rebalance;
        let now = Instant::now();
        if self.measuring.since.is_none() {
            self.measuring.since = Some((now, self.mark()));
        }
        let (since, _) = self.measuring.since.as_ref()?;
        let passed = now.duration_since(*since);
        if passed >= settings.interval / 2 && self.measuring.next.is_none() {
            self.measuring.next = Some((now, self.mark()));
        }
        if passed < settings.interval {
            return None;
        }
        let thresholds = Thresholds { load: settings.load, improvement: settings.improvement };
        let done =
            if settings.auto { self.rebalance_within(thresholds, false) } else { return self.measure_on() };
        let told = match done {
            Ok(Rebalancing { moves, reason, applied: true, .. }) => {
                Some(Happening::Rebalance { moves, reason })
            }
            Ok(_) => None,
            Err(error) => {
                tracing::error!("rebalancing: {error}");
                None
            }
        };
        told.or_else(|| self.measure_on())
    }

    /// Nothing was changed: the older half of what was measured is forgotten.
    fn measure_on(&mut self) -> Option<Happening> {
        if self.measuring.next.is_some() {
            self.measuring.since = self.measuring.next.take();
        }
        None
    }

    fn rebalance_within(
        &mut self,
        thresholds: Thresholds,
        dry_run: bool,
    ) -> Result<Rebalancing, ReconfigureError> {
        let since = self.measuring.since.as_ref();
        let measured = since.map_or(Duration::ZERO, |(since, _)| since.elapsed());
        let Some((_, before)) = since.filter(|_| measured >= LEAST_MEASURED) else {
            let reason = "load has been measured for less than a second since the last change".to_owned();
            let zero = vec![0.0; self.sockets.len()];
            let (before, after, measured_seconds) = (zero.clone(), zero, measured.as_secs_f64());
            return Ok(Rebalancing {
                moves: Vec::new(),
                reason,
                before,
                after,
                measured_seconds,
                applied: false,
            });
        };
        let load = load::between(before, &self.mark(), &self.pollers());
        let candidate = |(&socket, &load)| Candidate { socket, load };
        let workers: Vec<_> = self.sockets.iter().zip(&load.workers).map(candidate).collect();
        let weights = self.ports.iter().flat_map(|port| {
            let load = |queue| load.queues.get(&(port.id, queue)).copied().unwrap_or(0.0);
            let weight = move |(queue, &poller): (u16, &usize)| Weight {
                queue: (port.id, queue),
                socket: port.socket,
                poller,
                load: load(queue),
            };
            (0..).zip(&port.pollers).map(weight).collect::<Vec<_>>()
        });
        let weights: Vec<_> = weights.collect();
        let decided = balance(&workers, &weights, thresholds);
        let applied = !dry_run && !decided.moves.is_empty();
        let moves = decided.moves.iter().filter_map(|step| self.told(step)).collect();
        if applied {
            self.move_queues(&decided.moves)?;
        }
        Ok(Rebalancing {
            moves,
            reason: decided.reason,
            before: decided.before,
            after: decided.after,
            measured_seconds: measured.as_secs_f64(),
            applied,
        })
    }

    fn told(&self, step: &Move) -> Option<QueueMove> {
        let (port, queue) = step.queue;
        let port = self.ports.iter().find(|live| live.id == port)?.name.clone();
        Some(QueueMove { port, queue, from: step.from, to: step.to })
    }

    /// Has queues go to other workers, and measures anew.
    fn move_queues(&mut self, moves: &[Move]) -> Result<(), ReconfigureError> {
        let mut hand_overs = Vec::new();
        for step in moves {
            let (to, from) = sync_channel::<HandedOver>(1);
            self.commanders[step.to].give(Order::Expect(from));
            hand_overs.push((step, to));
        }
        // Whoever expects a queue is awake from here on.
        self.publish()?;
        for (step, to) in hand_overs {
            let (port, queue) = step.queue;
            self.commanders[step.from].give(Order::HandOver(port, queue, to));
            self.note(step);
        }
        self.measuring = Measuring::NEW;
        self.publish()
    }

    fn note(&mut self, step: &Move) {
        let (port, queue) = step.queue;
        let live = self.ports.iter_mut().find(|live| live.id == port);
        if let Some(poller) = live.and_then(|live: &mut LivePort| live.pollers.get_mut(usize::from(queue))) {
            *poller = step.to;
            self.loads[step.from] -= 1;
            self.loads[step.to] += 1;
        }
    }
}
