//! A trial from beginning to end: what is asked is checked, dealt out to the workers, and added up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hdrhistogram::Histogram;

use super::course::Course;
use super::engine::{Engine, Task};
use super::frames::{self, Head};
use super::label::{Clock, FLOWS};
use super::order::FlowOrder;
use super::pacer::Pacer;
use super::protocol::{
    Latency, Learn, LearnTo, Outcome, PortOutcome, Rate, Stream, StreamOutcome, Target, TesterLoad, Trial,
};
use super::receiver::{Arrivals, Looks, Receiver, SLOWEST, STREAMS};
use super::sender::{Flight, Sender, Sent};
use super::station::STATIONS;
use super::worker::{Announcer, Greeting, Part, Report};
use crate::{BenchError, Result};

/// Seconds that it takes until all workers are there.
const GATHER: f64 = 0.002;

/// Seconds of a trial, at most: a day.
const LONGEST: f64 = 86_400.0;

/// Frames a second that can be asked for: what is beyond can't be reckoned with in cycles.
const RATES: std::ops::RangeInclusive<f64> = 1e-3..=1e12;

/// Intervals, at most.
const INTERVALS: usize = 1_000_000;

/// Sequence numbers that all windows remember together, and each of them at least and at most.
const REMEMBERED: usize = 1 << 29;
const WINDOWS: (usize, usize) = (1 << 14, 1 << 20);

/// Seconds for which a port is left alone that was empty, or full: what little has come or gone in less isn't worth
/// the look, which would keep both sides of a ring from their work. Where latency is measured, empty ports are looked
/// at all the time.
const REST: f64 = 2e-6;

/// Points of a distribution, at most.
const POINTS: usize = 200;

impl Engine {
    /// See [`Request::Greet`](super::protocol::Request::Greet).
    pub(super) fn greet(&mut self, patience: f64) -> Result<()> {
        let patience = seconds("patience", patience)?;
        let facing = self.facing;
        let greeting = Arc::new(Greeting {
            epoch: facing.epoch | 1,
            first_port: facing.first_port,
            all_ports: facing.all_ports,
            has_others: self.has_others,
            end: pollux_cpu::cycles() + self.clock.cycles(patience),
            heard: self.ready.ports.iter().map(|_| AtomicU64::new(0)).collect(),
        });
        let task = |_| -> Task<()> {
            let greeting = greeting.clone();
            Box::new(move |worker| worker.greet(&greeting))
        };
        self.each((0..self.workers()).map(task).collect())?;
        match greeting.unheard() {
            Some((to, from)) => Err(BenchError::process(
                "the tester",
                format_args!(
                    "nothing came from port {from} to port {to} within {patience} s: is the device between them forwarding?"
                ),
            )),
            None => Ok(()),
        }
    }

    /// See [`Request::Trial`](super::protocol::Request::Trial).
    pub(super) fn trial(&mut self, trial: &Trial) -> Result<Outcome> {
        self.check(trial)?;
        let epoch = self.facing.epoch;
        self.facing.epoch = epoch.wrapping_add(2);
        if let Some(learn) = &trial.learn {
            self.learn(trial, learn, epoch | 1)?;
        }
        let before = (self.device_lost(), self.round_trip());
        let mut course = Course::new(epoch, self.clock, trial.streams.len(), self.workers());
        course.limited = trial.streams.iter().all(|stream| stream.frames.is_some());
        course.patient = trial.streams.iter().any(|stream| matches!(stream.to, Target::Nobody(_)));
        course.interval = trial.interval.map_or(1, |interval| self.clock.cycles(interval).max(1));
        course.bursts = usize::from(self.facing.all_ports).saturating_sub(1).max(1);
        course.drain = self.clock.cycles(trial.drain);
        let parts = self.parts(trial, epoch);
        course.start = pollux_cpu::cycles() + self.clock.cycles(GATHER);
        course.open = course.start + self.clock.cycles(trial.warm_up);
        course.close_at(course.open + self.clock.cycles(trial.seconds));
        let course = Arc::new(course);
        let tasks = parts.into_iter().map(|parts| -> Task<Report> {
            let course = course.clone();
            Box::new(move |worker| worker.run(&course, parts))
        });
        let reports = self.each(tasks.collect())?;
        if self.stop.is_over() {
            return Err(BenchError::Interrupted);
        }
        let mut outcome = add_up(trial, &course, reports, self.ready.ports.len(), self.facing.first_port);
        for (port, (after, before)) in outcome.ports.iter_mut().zip(self.device_lost().iter().zip(&before.0))
        {
            port.device_lost = after.saturating_sub(*before);
        }
        outcome.tester.round_trip = before.1.max(self.round_trip());
        Ok(outcome)
    }

    fn round_trip(&self) -> Option<u64> {
        self.distance.as_ref()?.measure()
    }

    /// The place of a port in the setup, if it is one of ours.
    fn own(&self, port: u8) -> Option<usize> {
        let place = usize::from(port.checked_sub(self.facing.first_port)?);
        (place < self.ready.ports.len()).then_some(place)
    }

    fn check(&self, trial: &Trial) -> Result<()> {
        let input = |what: String| Err(BenchError::Input(what));
        if trial.streams.is_empty() || trial.streams.len() > STREAMS {
            return input(format!("{} streams: a trial has 1 to {STREAMS}", trial.streams.len()));
        }
        let times = [("warm_up", trial.warm_up), ("seconds", trial.seconds), ("drain", trial.drain)];
        for (what, value) in times {
            seconds(what, value)?;
        }
        if let Some(interval) = trial.interval {
            seconds("interval", interval)?;
            if interval <= 0.0 || intervals(trial) > INTERVALS {
                return input(format!("intervals of {interval} s: there can be 1 to {INTERVALS}"));
            }
        }
        if let Some(learn) = &trial.learn {
            seconds("settle", learn.settle)?;
            rate("learn", learn.rate)?;
        }
        for (port, frames) in &trial.takes {
            if !(SLOWEST..=*RATES.end()).contains(frames) {
                return input(format!("port {port} takes {frames} frames a second: {SLOWEST} at least"));
            }
            if *port >= self.facing.all_ports {
                return input(format!("port {port} takes frames, and there are {}", self.facing.all_ports));
            }
        }
        for (number, stream) in trial.streams.iter().enumerate() {
            let named = format!("stream {number} ({})", stream.name);
            let all = self.facing.all_ports;
            if stream.from >= all {
                return input(format!("{named} is from port {}, and there are {all}", stream.from));
            }
            match stream.to {
                Target::Port(port) | Target::Unknown(port) if port >= all => {
                    return input(format!("{named} is to port {port}, and there are {all}"));
                }
                Target::Port(port) if port == stream.from => {
                    return input(format!(
                        "{named} is to the port that it is from: say `nobody` with `same_port`"
                    ));
                }
                _ => {}
            }
            if let Some(fault) = stream.sizes.fault() {
                return input(format!("{named}: {fault}"));
            }
            if stream.sizes.largest() > self.largest_frame {
                let (has, most) = (stream.sizes.largest(), self.largest_frame);
                return input(format!(
                    "{named} has frames of {has} octets, and the tester was set up for {most}"
                ));
            }
            let stations = u64::from(stream.first_station) + u64::from(stream.flows);
            if stream.flows == 0 || stream.flows > FLOWS || stations > STATIONS.into() {
                return input(format!("{named} has stations up to {stations}: there can be 1 to {STATIONS}"));
            }
            if let Rate::Frames(frames) = stream.rate {
                rate(&named, frames)?;
            }
            if let Some(tag) = stream.tag.filter(|tag| !frames::TAGS.contains(&tag.ethertype)) {
                return input(format!("{named}: {:#06x} is no tag's EtherType", tag.ethertype));
            }
            if let Some(tag) = stream.tag.filter(|tag| tag.vid > 4095 || tag.pcp > 7) {
                return input(format!(
                    "{named}: VID {} with priority {}: 0 to 4095, and 0 to 7",
                    tag.vid, tag.pcp
                ));
            }
        }
        Ok(())
    }

    /// Each worker's parts, in the order of its ports.
    fn parts(&self, trial: &Trial, epoch: u16) -> Vec<Vec<Part>> {
        let all = self.facing.all_ports;
        let count = trial.streams.len();
        let comes_to = |stream: &Stream, port: u8| match stream.to {
            Target::Port(to) => to == port,
            Target::Broadcast | Target::Unknown(_) => stream.from != port,
            Target::Nobody(_) => false,
        };
        let ports: Vec<u8> =
            (0..self.ready.ports.len() as u8).map(|port| self.facing.first_port + port).collect();
        let awaited = trial
            .streams
            .iter()
            .flat_map(|stream| ports.iter().filter(|port| comes_to(stream, **port)))
            .count();
        let window = (REMEMBERED / awaited.max(1)).clamp(WINDOWS.0, WINDOWS.1);
        let looks = Looks {
            // A power of two no greater.
            window: 1 << window.ilog2(),
            latency: trial.latency,
            intervals: intervals(trial),
        };
        let rest = self.clock.cycles(REST);
        let mut parts: Vec<Vec<Part>> = (0..self.workers()).map(|_| Vec::new()).collect();
        for (place, port) in ports.into_iter().enumerate() {
            let numbered = || trial.streams.iter().enumerate();
            let flights = numbered()
                .filter(|(_, stream)| stream.from == port)
                .map(|(number, stream)| Flight::new(stream, number, count, epoch, all, self.clock));
            let arrivals = numbered().filter(|(_, stream)| comes_to(stream, port)).map(|(number, stream)| {
                let order = FlowOrder::new(stream.flows, stream.order);
                let tag = Head::new(stream, all).tag();
                Arrivals::new(number, order, tag, self.own(stream.from).is_none(), looks)
            });
            let intake = trial.takes.get(&port).map(|rate| Pacer::new(Some(*rate), self.clock.tsc_hz));
            let part = Part {
                sender: Sender::new(flights.collect(), trial.latency.then_some(self.clock), rest),
                receiver: Receiver::new(
                    arrivals.collect(),
                    count,
                    intake,
                    if trial.latency { 0 } else { rest },
                ),
            };
            parts[self.worker_of(place)].push(part);
        }
        parts
    }

    /// Has the stations that streams go to say that they are there.
    fn learn(&mut self, trial: &Trial, learn: &Learn, epoch: u16) -> Result<()> {
        let mut stations = BTreeMap::<usize, Vec<_>>::new();
        for (number, stream) in trial.streams.iter().enumerate() {
            let announced = Head::announcement(stream, self.facing.all_ports, learn.to == LearnTo::Broadcast);
            let Some((port, head)) = announced else { continue };
            if let Some(place) = self.own(port) {
                let these = (head, stream.first_station, stream.receivers().len() as u32, number as u8);
                stations.entry(place).or_default().push(these);
            }
        }
        let start = pollux_cpu::cycles() + self.clock.cycles(GATHER);
        let mut announcers: Vec<Vec<Announcer>> = (0..self.workers()).map(|_| Vec::new()).collect();
        let mut most = 0;
        for place in 0..self.ready.ports.len() {
            let these = stations.remove(&place).unwrap_or_default();
            let announcer = Announcer::new(these, epoch, learn.rate, learn.repeats, start, self.clock.tsc_hz);
            most = most.max(announcer.frames());
            announcers[self.worker_of(place)].push(announcer);
        }
        let until = start + self.clock.cycles(most as f64 / learn.rate + learn.settle);
        let tasks = announcers
            .into_iter()
            .map(|announcers| -> Task<u64> { Box::new(move |worker| worker.announce(announcers, until)) });
        let left: u64 = self.each(tasks.collect())?.iter().sum();
        match left {
            0 => Ok(()),
            _ => Err(BenchError::process(
                "the tester",
                format_args!(
                    "{left} frames of stations that make themselves known weren't taken at {} frames a second: \
                     use a lower rate, or a longer time to settle",
                    learn.rate
                ),
            )),
        }
    }
}

fn seconds(what: &str, value: f64) -> Result<f64> {
    match (0.0..=LONGEST).contains(&value) {
        true => Ok(value),
        false => Err(BenchError::Input(format!("{what} of {value} s: 0 to {LONGEST} are possible"))),
    }
}

fn rate(what: &str, value: f64) -> Result<()> {
    match RATES.contains(&value) {
        true => Ok(()),
        false => Err(BenchError::Input(format!(
            "{what}: {value} frames a second: a rate is {} to {}",
            RATES.start(),
            RATES.end()
        ))),
    }
}

fn intervals(trial: &Trial) -> usize {
    trial.interval.map_or(0, |interval| ((trial.seconds + trial.drain) / interval).ceil() as usize)
}

fn add_up(trial: &Trial, course: &Course, reports: Vec<Report>, ports: usize, first_port: u8) -> Outcome {
    let seconds = course.clock.seconds(course.close().saturating_sub(course.open));
    let mut outcome = Outcome {
        seconds,
        tester: load(&reports, course.clock),
        ports: vec![PortOutcome::default(); ports],
        ..Outcome::default()
    };
    let mut sent = BTreeMap::<usize, Sent>::new();
    let mut arrivals = BTreeMap::<usize, Vec<Arrivals>>::new();
    let mut leaked = vec![BTreeMap::new(); trial.streams.len()];
    let mut latencies = vec![BTreeMap::new(); trial.streams.len()];
    for (place, part, own) in reports.into_iter().flat_map(|report| report.parts) {
        let Receiver { arrivals: came, leaked: leaks, received, foreign, stale, .. } = part.receiver;
        let port = &mut outcome.ports[place];
        *port = PortOutcome { sent: part.sender.counts.frames, received, foreign, stale, device_lost: 0 };
        outcome.tester.given_up += own.iter().map(|sent| sent.given_up).sum::<u64>();
        sent.extend(own.into_iter().map(|sent| (sent.number, sent)));
        for arrival in came {
            let belongs_to_all = !matches!(trial.streams[arrival.stream].to, Target::Port(_));
            if let Some(cycles) = arrival.latency.as_ref().filter(|_| belongs_to_all) {
                let latency = Latency { distribution: Vec::new(), ..summary(cycles, course.clock) };
                latencies[arrival.stream].insert(first_port + place as u8, latency);
            }
            arrivals.entry(arrival.stream).or_default().push(arrival);
        }
        for (stream, count) in leaks.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            leaked[stream].insert(first_port + place as u8, count);
        }
    }
    for (number, (stream, leaked)) in trial.streams.iter().zip(leaked).enumerate() {
        let sent = sent.get(&number).copied();
        let came = arrivals.remove(&number).unwrap_or_default();
        let latency_of_ports = std::mem::take(&mut latencies[number]);
        let name = stream.name.clone();
        let one = StreamOutcome { name, leaked, latency_of_ports, ..stream_outcome(sent, came, course) };
        outcome.streams.push(one);
    }
    outcome
}

fn stream_outcome(sent: Option<Sent>, mut came: Vec<Arrivals>, course: &Course) -> StreamOutcome {
    let seconds = course.clock.seconds(course.close().saturating_sub(course.open));
    let known = sent.is_some();
    let sent = sent.unwrap_or_default();
    for arrival in &mut came {
        arrival.finish(if known { sent.frames } else { arrival.window.next() });
    }
    let places = came.len().max(1) as u64;
    let sum = |of: fn(&Arrivals) -> u64| came.iter().map(of).sum::<u64>();
    let rates = came.iter().map(|arrival| {
        let few = if seconds > 0.0 { arrival.received as f64 / seconds } else { 0.0 };
        arrival.forwarding_rate(course.clock.tsc_hz).unwrap_or(few)
    });
    let forwarding_rate = rates.sum::<f64>() / places as f64;
    let lost = |arrival: &Arrivals| arrival.window.next().max(sent.frames) - arrival.window.unique();
    let mut lossy: Vec<u64> = Vec::new();
    let mut intervals: Vec<u64> = Vec::new();
    let mut latency: Option<Histogram<u64>> = None;
    for arrival in &came {
        let flows = arrival.flows_with_loss();
        lossy.resize(flows.len(), 0);
        lossy.iter_mut().zip(flows).for_each(|(all, these)| *all |= these);
        intervals.resize(arrival.intervals.len(), 0);
        intervals.iter_mut().zip(&arrival.intervals).for_each(|(all, these)| *all += these);
        match (&mut latency, &arrival.latency) {
            // They are alike, so adding them can't fail.
            (Some(all), Some(these)) => all.add(these).unwrap_or_default(),
            (None, these) => latency.clone_from(these),
            (Some(_), None) => {}
        }
    }
    StreamOutcome {
        name: String::new(),
        intended: sent.intended,
        offered: sent.offered,
        offered_octets: sent.offered_octets,
        received: sum(|arrival| arrival.received) / places,
        received_octets: sum(|arrival| arrival.octets) / places,
        forwarding_rate,
        sent: sent.frames,
        lost: came.iter().map(lost).sum(),
        duplicated: sum(|arrival| arrival.duplicated),
        reordered: sum(|arrival| arrival.reordered),
        leaked: BTreeMap::new(),
        remarked: sum(|arrival| arrival.remarked),
        flows_with_loss: lossy.iter().map(|word| word.count_ones()).sum(),
        latency: latency.map(|cycles| summary(&cycles, course.clock)),
        latency_of_ports: BTreeMap::new(),
        intervals,
    }
}

/// The worst of all workers.
fn load(reports: &[Report], clock: Clock) -> TesterLoad {
    let mut all = TesterLoad { cpu_share: 1.0, ..TesterLoad::default() };
    let share = |part: u64, whole: u64| if whole > 0 { part as f64 / whole as f64 } else { 0.0 };
    for Report { load, cpu_share, counts, .. } in reports {
        all.busy = all.busy.max(share(load.busy, load.all));
        all.blocked = all.blocked.max(share(counts.blocked, counts.bursts));
        all.cpu_share = all.cpu_share.min(*cpu_share);
        all.longest_pause = all.longest_pause.max(1e6 * clock.seconds(load.longest_pause));
        all.paused = all.paused.max(clock.seconds(load.paused));
    }
    all
}

fn summary(cycles: &Histogram<u64>, clock: Clock) -> Latency {
    if cycles.is_empty() {
        return Latency::default();
    }
    let nanos = |cycles: u64| cycles as f64 / clock.tsc_hz * 1e9;
    let at = |quantile: f64| nanos(cycles.value_at_quantile(quantile));
    Latency {
        frames: cycles.len(),
        min: nanos(cycles.min()),
        mean: cycles.mean() / clock.tsc_hz * 1e9,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: at(0.999),
        p99_99: at(0.9999),
        max: nanos(cycles.max()),
        distribution: distribution(cycles).map(|(value, share)| (nanos(value), share)).collect(),
    }
}

/// Values, and the share of frames with at most that: closer together the nearer to all.
fn distribution(cycles: &Histogram<u64>) -> impl Iterator<Item = (u64, f64)> {
    let mut points = Vec::new();
    // Half of what is left, in so many steps, again and again.
    const STEPS: usize = 10;
    let mut from = 0.0;
    while points.len() + 1 < POINTS && (1.0 - from) * cycles.len() as f64 >= 0.5 {
        let half = (1.0 - from) / 2.0;
        points.extend((0..STEPS).map(|step| from + half * step as f64 / STEPS as f64));
        from += half;
    }
    points.truncate(POINTS - 1);
    points.push(1.0);
    points.into_iter().map(|share| {
        let value = cycles.value_at_quantile(share);
        (value, if share < 1.0 { share } else { 1.0 })
    })
}
