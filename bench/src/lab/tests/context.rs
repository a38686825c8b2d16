//! How a test asks for trials.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Case, Settings};
use crate::Result;
use crate::host::interrupt;
use crate::lab::bed::Bed;
use crate::report::model::TrialRecord;
use crate::systems::{PortCounters, System};
use crate::tester::protocol::{
    Learn, LearnTo, Order, Outcome, Payload, Rate, Stations, Stream, StreamOutcome, Target, Trial,
};

/// The share of its CPU that the tester, and what polls for the system, must have had.
pub(super) const UNDISTURBED: f64 = 0.97;

/// The share of the window that the tester may have looked away.
const PAUSED: f64 = 0.02;

/// Busy so much, the tester could do less than 1.3 times what it did.
const BUSY: f64 = 0.77;

/// The share of bursts that found no room from which on it is the other side that is slow.
const BLOCKED: f64 = 0.1;

/// The share of frames that were to be sent and weren't from which on they weren't all sent.
const SHORT: f64 = 0.001;

/// Frames a second by which stations make themselves known.
const LEARN_RATE: f64 = 100_000.0;

/// How long repeated trials of a measurement may take in all, unless the lab says otherwise.
const USUAL_SPARE: Duration = Duration::from_secs(60);

/// What a test measures with. Its trials are kept, those that something disturbed as well.
pub(crate) struct Context<'a> {
    pub(crate) bed: &'a mut Bed,
    pub(crate) case: &'a Case,
    pub(crate) settings: &'a Settings,
    pub(crate) trials: Vec<TrialRecord>,
    /// When the run began.
    pub(crate) began: Instant,
    /// Cycles of a round trip to the system's CPU up to which a trial counts as undisturbed.
    pub(crate) near: Option<u64>,
    /// Frames a second without loss that an earlier test found for the same frames of the same system.
    pub(crate) throughput: Option<f64>,
    /// What repeating disturbed trials may still take.
    pub(crate) spare: Duration,
}

/// A trial that was kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) outcome: Outcome,
    pub(crate) disturbed: bool,
    pub(crate) tester_limited: bool,
}

impl Seen {
    /// Frames intended but not received, as a share; those that the tester gave up itself are neither.
    pub(crate) fn loss(&self) -> f64 {
        self.outcome.loss_ratio()
    }

    /// Whether all frames came of a load that was the one asked for.
    fn is_whole(&self) -> bool {
        let intended: u64 = self.outcome.streams.iter().map(|stream| stream.intended).sum();
        self.loss() == 0.0 && self.outcome.tester.given_up as f64 <= SHORT * intended as f64
    }
}

impl<'a> Context<'a> {
    /// With no trials yet, and nothing known of the CPUs' distance.
    pub(crate) fn new(bed: &'a mut Bed, case: &'a Case, settings: &'a Settings) -> Self {
        let began = Instant::now();
        Self {
            bed,
            case,
            settings,
            trials: Vec::new(),
            began,
            near: None,
            throughput: None,
            spare: USUAL_SPARE,
        }
    }

    /// Asks for a trial, again if something disturbed it, and keeps all.
    pub(crate) fn trial(&mut self, purpose: &str, trial: &Trial) -> Result<Seen> {
        self.trial_until(purpose, trial, |seen| !seen.disturbed)
    }

    /// Asks for a trial whose loss counts: nothing that disturbs makes a system lose less, so what was without loss is
    /// as good as undisturbed.
    pub(crate) fn trial_for_loss(&mut self, purpose: &str, trial: &Trial) -> Result<Seen> {
        let mut seen = self.trial_until(purpose, trial, |seen| !seen.disturbed || seen.is_whole())?;
        seen.disturbed &= !seen.is_whole();
        Ok(seen)
    }

    /// Asks for a trial, again unless it is good enough, and keeps all.
    fn trial_until(
        &mut self,
        purpose: &str,
        trial: &Trial,
        is_enough: impl Fn(&Seen) -> bool,
    ) -> Result<Seen> {
        let mut seen = self.trial_once(purpose, trial)?;
        for _ in 0..self.settings.repeats {
            let takes = trial.takes();
            if is_enough(&seen) || takes > self.spare {
                break;
            }
            self.spare -= takes;
            seen = self.trial_once(purpose, trial)?;
        }
        Ok(seen)
    }

    /// Asks for a trial once.
    pub(crate) fn trial_once(&mut self, purpose: &str, trial: &Trial) -> Result<Seen> {
        self.during(purpose, trial, |_| Ok(())).map(|(seen, ())| seen)
    }

    /// Asks for a trial once, and does something with the system meanwhile. The trial is waited for even if that
    /// fails.
    pub(crate) fn during<T>(
        &mut self,
        purpose: &str,
        trial: &Trial,
        what: impl FnOnce(&mut dyn System) -> Result<T>,
    ) -> Result<(Seen, T)> {
        interrupt::check()?;
        let counted = self.bed.system.counters()?;
        let (start, ran) = (Instant::now(), self.bed.system.worker_time()?);
        let at = start.duration_since(self.began).as_secs_f64();
        self.bed.tester.begin(trial)?;
        let done = what(self.bed.system.as_mut());
        let outcome = self.bed.tester.finish()?;
        let (took, ran_since) = (start.elapsed(), self.bed.system.worker_time()?);
        let done = done?;
        let counters = difference(&self.case.job, &counted, &self.bed.system.counters()?);
        let worker_share = worker_share(ran, ran_since, took, self.case.job.worker_cpus.len());
        let seen = Seen {
            disturbed: self.is_disturbed(&outcome, worker_share),
            tester_limited: is_tester_limited(trial, &outcome),
            outcome: outcome.clone(),
        };
        self.trials.push(TrialRecord {
            round: self.case.round,
            purpose: purpose.to_owned(),
            at,
            trial: trial.clone(),
            outcome,
            worker_share,
            counters,
        });
        Ok((seen, done))
    }

    /// A stream of this case's frames.
    pub(crate) fn stream(&self, from: u8, to: u8) -> Stream {
        let order = if self.case.flows > 1 { Order::Shuffled } else { Order::Sequential };
        Stream {
            name: format!("{from} to {to}"),
            from,
            to: Target::Port(to),
            sizes: self.case.sizes.clone(),
            tag: None,
            payload: Payload::Udp,
            flows: self.case.flows,
            first_station: 0,
            stations: Stations::Pairs,
            order,
            rate: Rate::Max,
            frames: None,
        }
    }

    /// Streams both ways between the first two ports: what most tests measure with.
    pub(crate) fn both_ways(&self) -> Vec<Stream> {
        vec![self.stream(0, 1), self.stream(1, 0)]
    }

    /// A trial of these streams, of so many frames a second over all of them, as the settings have it. An infinite
    /// rate is as many as the ports take, up to what the links carry. Stations that say nothing otherwise make
    /// themselves known before.
    pub(crate) fn at_rate(&self, streams: Vec<Stream>, rate: f64, seconds: f64) -> Trial {
        let rate = rate.min(self.case.most.unwrap_or(f64::INFINITY));
        let each = match rate.is_finite() {
            true => Rate::Frames(rate / streams.len().max(1) as f64),
            false => Rate::Max,
        };
        let silent = self.bed.tester.ready().ports.len() > 2 || has_silent_stations(&streams);
        Trial {
            streams: streams.into_iter().map(|stream| Stream { rate: each, ..stream }).collect(),
            learn: silent.then_some(Learn {
                rate: LEARN_RATE,
                repeats: 1,
                settle: 0.05,
                to: LearnTo::Sender,
            }),
            warm_up: self.settings.warm_up,
            seconds,
            drain: self.settings.drain,
            latency: false,
            interval: None,
            takes: BTreeMap::new(),
        }
    }

    /// Whether something else than the system decided what came of a trial.
    fn is_disturbed(&self, outcome: &Outcome, worker_share: Option<f64>) -> bool {
        let load = &outcome.tester;
        let far = load.round_trip.zip(self.near).is_some_and(|(round_trip, near)| round_trip > near);
        let lost_here: u64 = outcome.ports.iter().map(|port| port.device_lost).sum();
        far || self.polls_in_user_space() && lost_here > 0
            || load.cpu_share < UNDISTURBED
            || worker_share.is_some_and(|share| share < UNDISTURBED)
            || self.polls_in_user_space() && load.paused > PAUSED * outcome.seconds
            || self.overran(outcome)
    }

    /// Whether a look at a port takes no time to speak of. Where the kernel is asked for each burst, pauses are work.
    fn polls_in_user_space(&self) -> bool {
        let by_the_kernel = ["net_af_packet", "net_pcap", "net_tap", "net_af_xdp"];
        self.bed.tester.ready().ports.iter().all(|port| !by_the_kernel.contains(&port.driver.as_str()))
    }

    /// Whether frames were lost while the tester looked away for longer than its rings last: whose loss that is,
    /// nobody knows.
    fn overran(&self, outcome: &Outcome) -> bool {
        let ports = &self.bed.tester.ready().ports;
        let Some(ring) = ports.iter().map(|port| port.rx_ring).min() else { return false };
        let each = outcome.forwarding_rate() / ports.len() as f64;
        let missed = each * outcome.tester.longest_pause / 1e6;
        let lost: u64 = outcome.streams.iter().map(|stream| stream.lost).sum();
        lost > 0 && missed > f64::from(ring)
    }
}

impl Trial {
    /// Roughly how long it takes.
    pub(crate) fn takes(&self) -> Duration {
        let learn = self.learn.map_or(0.0, |learn| {
            let stations: u32 = self.streams.iter().map(|stream| stream.receivers().len() as u32).sum();
            learn.settle + f64::from(stations) * f64::from(learn.repeats) / learn.rate.max(1.0)
        });
        Duration::try_from_secs_f64(learn + self.warm_up + self.seconds + self.drain).unwrap_or(Duration::MAX)
    }
}

/// Whether a stream goes to stations that send nothing themselves.
fn has_silent_stations(streams: &[Stream]) -> bool {
    let speaks = |port: u8, stream: &Stream| {
        let heard = stream.receivers();
        streams.iter().any(|other| {
            let speakers = other.senders();
            other.from == port && speakers.start <= heard.start && speakers.end >= heard.end
        })
    };
    streams.iter().any(|stream| matches!(stream.to, Target::Port(port) if !speaks(port, stream)))
}

/// Whether the tester, and not what it measures, was the limit: it had little time to spare, its ports seldom were
/// full, and of frames at a rate it didn't send all.
fn is_tester_limited(trial: &Trial, outcome: &Outcome) -> bool {
    let load = &outcome.tester;
    let as_many_as_go = trial.streams.iter().any(|stream| stream.rate == Rate::Max);
    let sum = |field: fn(&StreamOutcome) -> u64| outcome.streams.iter().map(field).sum::<u64>() as f64;
    let sent = sum(|stream| stream.offered);
    let fell_short = sent < (1.0 - SHORT) * (sum(|stream| stream.intended) + load.given_up as f64);
    load.busy > BUSY && load.blocked < BLOCKED && (as_many_as_go || fell_short)
}

/// The share of the time that the system's workers ran. Whoever was started anew meanwhile has none.
fn worker_share(
    before: Option<Duration>,
    after: Option<Duration>,
    took: Duration,
    workers: usize,
) -> Option<f64> {
    let ran = after?.checked_sub(before?)?.as_secs_f64();
    Some(ran / took.as_secs_f64() / workers.max(1) as f64)
}

/// What was counted meanwhile, by port and name. A system that was started anew counts from 0.
fn difference(
    job: &crate::systems::Job,
    before: &[PortCounters],
    after: &[PortCounters],
) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    let none = PortCounters::default();
    for (port, after) in after.iter().enumerate() {
        let before = before.get(port).unwrap_or(&none);
        let name = job.ports.get(port).map_or_else(|| port.to_string(), |port| port.name.clone());
        let mut add = |what: &str, now: u64, then: u64| {
            counters.insert(format!("{name}.{what}"), now.checked_sub(then).unwrap_or(now));
        };
        add("received", after.received, before.received);
        add("sent", after.sent, before.sent);
        for (reason, now) in &after.drops {
            let then = before.drops.get(reason).copied().unwrap_or(0);
            if *now != then {
                add(reason, *now, then);
            }
        }
    }
    counters
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Device, Simulation};
    use super::*;
    use crate::tester::protocol::TesterLoad;

    fn calm() -> Outcome {
        let stream = StreamOutcome { intended: 1000, offered: 1000, received: 1000, ..Default::default() };
        let tester = TesterLoad { cpu_share: 1.0, ..TesterLoad::default() };
        Outcome { seconds: 1.0, streams: vec![stream], tester, ..Outcome::default() }
    }

    fn is_disturbed(change: impl Fn(&mut Outcome), worker_share: Option<f64>) -> bool {
        let mut simulation = Simulation::new(Device::default());
        let context = Context { near: Some(500), ..simulation.context() };
        let mut outcome = calm();
        change(&mut outcome);
        context.is_disturbed(&outcome, worker_share)
    }

    #[test]
    fn what_takes_time_or_is_far_disturbs() {
        assert!(!is_disturbed(|_| {}, None) && !is_disturbed(|_| {}, Some(0.99)));
        assert!(is_disturbed(|_| {}, Some(0.9)));
        assert!(is_disturbed(|outcome| outcome.tester.cpu_share = 0.9, None));
        assert!(is_disturbed(|outcome| outcome.tester.paused = 0.1, None));
        assert!(is_disturbed(|outcome| outcome.tester.round_trip = Some(900), None));
        assert!(!is_disturbed(|outcome| outcome.tester.round_trip = Some(400), None));
    }

    #[test]
    fn loss_while_the_tester_looked_away_is_nobodys() {
        let change = |lost: u64, pause: f64| {
            move |outcome: &mut Outcome| {
                outcome.streams[0].lost = lost;
                outcome.streams[0].forwarding_rate = 4e6;
                outcome.tester.longest_pause = pause;
            }
        };
        // Two ports with rings of 1024 last half a millisecond.
        assert!(is_disturbed(change(5, 600.0), None));
        assert!(!is_disturbed(change(5, 400.0), None));
        assert!(!is_disturbed(change(0, 600.0), None));
    }

    #[test]
    fn frames_that_the_tester_gave_up_are_no_loss_and_no_proof() {
        let mut outcome = calm();
        outcome.streams[0].intended = 940;
        outcome.streams[0].offered = 940;
        outcome.streams[0].received = 900;
        outcome.tester.given_up = 60;
        let mut seen = Seen { outcome, disturbed: true, tester_limited: false };
        assert!((seen.loss() - 40.0 / 940.0).abs() < 1e-9);
        seen.outcome.streams[0].received = 940;
        assert!(seen.loss() == 0.0 && !seen.is_whole());
        seen.outcome.tester.given_up = 0;
        assert!(seen.is_whole());
    }

    #[test]
    fn the_tester_is_the_limit_when_it_is_busy_and_nobody_holds_it_back() {
        let mut simulation = Simulation::new(Device::default());
        let context = simulation.context();
        let limited = |rate, busy, blocked, given_up| {
            let trial = context.at_rate(context.both_ways(), rate, 1.0);
            let stream = StreamOutcome { intended: 1000, offered: 1000, ..StreamOutcome::default() };
            let tester = TesterLoad { busy, blocked, given_up, ..TesterLoad::default() };
            is_tester_limited(&trial, &Outcome { streams: vec![stream], tester, ..Outcome::default() })
        };
        let most = f64::INFINITY;
        assert!(limited(most, 0.8, 0.05, 0) && limited(1000.0, 0.8, 0.05, 10));
        assert!(!limited(most, 0.8, 0.2, 0) && !limited(most, 0.7, 0.0, 0));
        assert!(!limited(1000.0, 0.99, 0.0, 0), "what was to be sent was sent");
    }

    #[test]
    fn stations_that_say_nothing_are_made_known() {
        let mut simulation = Simulation::new(Device::default());
        let context = simulation.context();
        assert_eq!(context.at_rate(context.both_ways(), 1.0, 1.0).learn, None);
        assert!(context.at_rate(vec![context.stream(0, 1)], 1.0, 1.0).learn.is_some());
        let mut simulation = Simulation::new(Device { ports: 3, ..Device::default() });
        let context = simulation.context();
        assert!(context.at_rate(context.both_ways(), 1.0, 1.0).learn.is_some());
    }

    #[test]
    fn a_rate_is_shared_out_and_stays_within_the_links() {
        let mut simulation = Simulation::new(Device::default());
        simulation.case.most = Some(1000.0);
        let context = simulation.context();
        let rate = |rate| context.at_rate(context.both_ways(), rate, 1.0).streams[0].rate;
        assert_eq!([rate(10.0), rate(1e9), rate(f64::INFINITY)], [5.0, 500.0, 500.0].map(Rate::Frames));
        let mut simulation = Simulation::new(Device::default());
        let context = simulation.context();
        assert_eq!(context.at_rate(context.both_ways(), f64::INFINITY, 1.0).streams[0].rate, Rate::Max);
    }
}
