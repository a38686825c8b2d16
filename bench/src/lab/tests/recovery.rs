//! How long loss outlives an overload (RFC 2544, 26.5).

use std::time::Duration;

use super::intervals::{coarsen, curve, received};
use super::load::throughput;
use super::{Context, Findings, Found, Settings, Test, USUAL};
use crate::Result;
use crate::report::model::{Better, Unit};
use crate::tester::protocol::{Outcome, Rate, Stream, Trial};

pub(super) const RECOVERY: Test = Test {
    id: "recovery",
    title: "Recovery from an overload",
    standard: "RFC 2544, 26.5",
    ports: 2,
    run,
    takes,
    ..USUAL
};

/// Of the throughput: while overloaded, and afterwards.
const OVERLOAD: f64 = 1.1;
const AFTERWARDS: f64 = 0.5;

/// Seconds of the overload (RFC 2544: at least 60), and in a smoke run; seconds of what follows.
const OVERLOADED: f64 = 60.0;
const SHORT_OVERLOADED: f64 = 1.0;
const FOLLOWS: f64 = 10.0;
const SHORT_FOLLOWS: f64 = 1.0;

const INTERVAL: f64 = 0.001;

/// Intervals that frames may be late by: where a tester looks away, they come all at once afterwards.
const LATE: f64 = 10.0;

fn seconds(settings: &Settings) -> (f64, f64) {
    match settings.short {
        true => (SHORT_OVERLOADED, SHORT_FOLLOWS),
        false => (OVERLOADED, FOLLOWS),
    }
}

fn run(context: &mut Context<'_>) -> Result<Findings> {
    let mut findings = Findings::default();
    let throughput = throughput(context, &mut findings.notes)?;
    if throughput == 0.0 {
        return Ok(Findings::not_done("nothing was forwarded"));
    }
    let (overloaded, follows) = seconds(context.settings);
    // What goes on is streams of their own, and what makes it an overload others, that end. So the load changes
    // within one trial, and nothing is in between.
    let steady = AFTERWARDS * throughput;
    let mut trial = context.at_rate(context.both_ways(), steady, overloaded + follows);
    let added = context.at_rate(context.both_ways(), (OVERLOAD - AFTERWARDS) * throughput, 0.0);
    trial.streams.extend(added.streams.into_iter().map(|stream| ends_after(stream, overloaded)));
    trial.interval = Some(INTERVAL);
    let seen = context.trial("an overload, then half the throughput", &trial)?;
    let lost_while_overloaded = lost_until(&seen.outcome, steady, overloaded, &trial);
    if lost_while_overloaded <= 0.0 {
        findings
            .notes
            .push(format!("{:.0} % of the throughput lost nothing: it was no overload.", OVERLOAD * 100.0));
    }
    let all = received(&seen.outcome);
    let time = recovery(&steadily(&seen.outcome), steady * INTERVAL, (overloaded, trial.seconds));
    findings.figures.push(Found::new("recovery_time", Unit::Seconds, Some(Better::Lower), time).from(&seen));
    findings.curves.push(curve(context, "received", INTERVAL, &all));
    if let Some(record) = context.trials.last_mut() {
        coarsen(record);
    }
    Ok(findings)
}

fn ends_after(stream: Stream, seconds: f64) -> Stream {
    let rate = match stream.rate {
        Rate::Frames(rate) => rate,
        Rate::Max => 0.0,
    };
    Stream { name: format!("{}, added", stream.name), frames: Some((rate * seconds) as u64), ..stream }
}

/// What came of the streams that go on: the first two.
fn steadily(outcome: &Outcome) -> Vec<u64> {
    received(&Outcome { streams: outcome.streams.iter().take(2).cloned().collect(), ..Outcome::default() })
}

/// Frames that didn't come while the overload lasted.
fn lost_until(outcome: &Outcome, steady: f64, end: f64, trial: &Trial) -> f64 {
    let added: u64 = trial.streams.iter().filter_map(|stream| stream.frames).sum();
    let intervals = (end / INTERVAL) as usize;
    let came: u64 = received(outcome).iter().take(intervals).sum();
    // What is still on its way at the end is within a thousandth.
    (steady * end + added as f64) * 0.999 - came as f64
}

/// Seconds from `end` until nothing is lost any more: from there on, as many frames came as were sent, but for what an
/// interval's edges leave open. `each` frames are sent in an interval, up to `over`, and none in those of the drain.
fn recovery(received: &[u64], each: f64, (end, over): (f64, f64)) -> f64 {
    let place = |seconds: f64| ((seconds / INTERVAL).round() as usize).min(received.len());
    let (begin, over) = (place(end), place(over));
    let open = (each / 2.0).max(2.0);
    let mut missing = 0.0_f64;
    let mut recovered = begin;
    for (index, came) in received.iter().enumerate().skip(begin).rev() {
        let sent = if index < over { each } else { 0.0 };
        // What came late was missed before; what a queue held back for longer makes up for nothing.
        missing = (missing + sent - *came as f64).max(-LATE * each);
        if missing > open {
            recovered = index + 1;
            break;
        }
    }
    (recovered - begin) as f64 * INTERVAL
}

fn takes(settings: &Settings) -> Duration {
    let (overloaded, follows) = seconds(settings);
    settings.trials(1.0, overloaded + follows)
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Device, Simulation};
    use super::*;

    const WINDOW: (f64, f64) = (0.2, 1.0);

    #[test]
    fn loss_that_goes_on_is_found_by_its_end() {
        let mut received = vec![100; 1000];
        received[200..250].fill(40);
        assert!((recovery(&received, 100.0, WINDOW) - 0.05).abs() < 1e-9);
        received[600] = 0;
        assert!((recovery(&received, 100.0, WINDOW) - 0.401).abs() < 1e-9);
        assert_eq!(recovery(&[], 100.0, WINDOW), 0.0);
    }

    #[test]
    fn frames_that_come_late_are_not_lost() {
        let mut received = vec![100; 1050];
        received[1000..].fill(0);
        received[500..504].fill(0);
        received[504..512].fill(150);
        assert_eq!(recovery(&received, 100.0, WINDOW), 0.0);
        // The tester looked away at the end of the window: the last frames came in the drain.
        received[996..1000].fill(0);
        received[1000] = 400;
        assert_eq!(recovery(&received, 100.0, WINDOW), 0.0);
        // What waited in a queue at the end of the overload comes then, and makes up for little.
        received[200] = 5000;
        assert_eq!(recovery(&received, 100.0, WINDOW), 0.0);
        received[200..230].fill(300);
        received[230..260].fill(20);
        assert!((recovery(&received, 100.0, WINDOW) - 0.06).abs() < 1e-9);
    }

    #[test]
    fn a_device_that_recovers_at_once_takes_no_time() {
        let (found, trial) = found(0.0);
        assert!(found.value("recovery_time") < 0.002, "{:?}", found.figures);
        assert_eq!(found.curves[0].name, "received");
        assert!(found.notes.is_empty(), "{:?}", found.notes);
        // The load is 110 %, then 50 %, of one trial.
        assert_eq!(trial.streams.len(), 4);
        assert_eq!(trial.streams[2].frames, Some(300_000));
    }

    #[test]
    fn a_device_that_takes_its_time_is_found_out() {
        let time = found(0.25).0.value("recovery_time");
        assert!((time - 0.25).abs() < 0.003, "{time}");
    }

    fn found(recovery: f64) -> (Findings, Trial) {
        let mut simulation = Simulation::new(Device { recovery, ..Device::default() });
        simulation.settings.short = true;
        let mut context = simulation.context();
        context.throughput = Some(1e6);
        let found = run(&mut context).unwrap();
        (found, context.trials.last().unwrap().trial.clone())
    }

    #[test]
    fn a_dead_device_does_not_recover() {
        let found = Simulation::new(Device { capacity: 0.0, ..Device::default() }).run(run);
        assert!(found.not_done.is_some());
    }
}
