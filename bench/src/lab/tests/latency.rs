//! Latency at shares of the throughput. Where RFC 2544, 26.2 wants one marked frame in a trial, every frame counts
//! here, and the variation is that of RFC 5481, 4.2: delays over the least one.

use std::time::Duration;

use super::load::throughput;
use super::{Context, Findings, Found, Seen, Settings, Test, USUAL};
use crate::Result;
use crate::report::model::{Axis, Better, Curve, Unit};
use crate::tester::protocol::{Latency, Trial};

pub(super) const LATENCY: Test = Test {
    id: "latency",
    title: "Latency at 10, 50, 90 and 100 % of the throughput",
    standard: "RFC 2544, 26.2; RFC 5481, 4.2",
    ports: 2,
    run,
    takes,
    ..USUAL
};

/// Of the throughput, in percent.
const LOADS: [u32; 4] = [10, 50, 90, 100];

type Percentile = (&'static str, fn(&Latency) -> f64);

const PERCENTILES: [Percentile; 7] = [
    ("min", |latency| latency.min),
    ("p50", |latency| latency.p50),
    ("p90", |latency| latency.p90),
    ("p99", |latency| latency.p99),
    ("p99_9", |latency| latency.p99_9),
    ("p99_99", |latency| latency.p99_99),
    ("max", |latency| latency.max),
];

/// Percentiles of the variation. That of the least is 0 by definition.
const VARIATIONS: [Percentile; 3] =
    [("p50", |latency| latency.p50), ("p99", |latency| latency.p99), ("p99_9", |latency| latency.p99_9)];

fn run(context: &mut Context<'_>) -> Result<Findings> {
    let mut findings = Findings::default();
    let throughput = throughput(context, &mut findings.notes)?;
    if throughput == 0.0 {
        return Ok(Findings::not_done("nothing was forwarded"));
    }
    for load in LOADS {
        let rate = throughput * f64::from(load) / 100.0;
        let trial = context.at_rate(context.both_ways(), rate, context.settings.final_seconds);
        let trial = Trial { latency: true, ..trial };
        let seen = context.trial(&format!("latency at {load} %"), &trial)?;
        match merged(&seen) {
            Some(latency) => add(&mut findings, context, load, &seen, &latency),
            None => findings.notes.push(format!("At {load} % of the throughput no frame came.")),
        }
    }
    Ok(findings)
}

fn add(findings: &mut Findings, context: &Context<'_>, load: u32, seen: &Seen, latency: &Latency) {
    let mut figure = |name: String, value: f64| {
        let found = Found::new(name, Unit::Nanoseconds, Some(Better::Lower), value);
        findings.figures.push(found.from(seen));
    };
    for (name, value) in PERCENTILES {
        figure(format!("latency_{name}_at_{load}"), value(latency));
    }
    // Each stream's delays vary from its own least one: ways differ.
    let streams = || seen.outcome.streams.iter().filter_map(|stream| stream.latency.as_ref());
    for (name, value) in VARIATIONS {
        let worst = streams().map(|latency| value(latency) - latency.min).fold(0.0, f64::max);
        figure(format!("pdv_{name}_at_{load}"), worst);
    }
    if !latency.distribution.is_empty() {
        findings.curves.push(Curve {
            name: format!("latency_at_{load}"),
            x: Axis { label: "latency".to_owned(), unit: Unit::Nanoseconds, logarithmic: true },
            y: Axis { label: "share of frames".to_owned(), unit: Unit::Share, logarithmic: false },
            round: context.case.round,
            points: latency.distribution.clone(),
        });
    }
}

/// Of all streams: the worse of their percentiles, as those of different streams can't be added up.
fn merged(seen: &Seen) -> Option<Latency> {
    let mut all = seen.outcome.streams.iter().filter_map(|stream| stream.latency.as_ref());
    let mut merged = all.next()?.clone();
    for latency in all {
        let frames = merged.frames + latency.frames;
        let mean = merged.mean * merged.frames as f64 + latency.mean * latency.frames as f64;
        if latency.p50 > merged.p50 {
            merged.distribution.clone_from(&latency.distribution);
        }
        merged.mean = mean / frames.max(1) as f64;
        merged.frames = frames;
        merged.min = merged.min.min(latency.min);
        merged.p50 = merged.p50.max(latency.p50);
        merged.p90 = merged.p90.max(latency.p90);
        merged.p99 = merged.p99.max(latency.p99);
        merged.p99_9 = merged.p99_9.max(latency.p99_9);
        merged.p99_99 = merged.p99_99.max(latency.p99_99);
        merged.max = merged.max.max(latency.max);
    }
    Some(merged)
}

fn takes(settings: &Settings) -> Duration {
    settings.trials(LOADS.len() as f64, settings.final_seconds)
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Device, Simulation};
    use super::*;

    #[test]
    fn each_load_has_its_figures_and_its_curve() {
        let found = Simulation::new(Device::default()).run(run);
        for load in LOADS {
            assert_eq!(found.value(&format!("latency_p50_at_{load}")), 10_000.0);
            assert_eq!(found.value(&format!("latency_max_at_{load}")), 50_000.0);
            assert_eq!(found.value(&format!("pdv_p99_at_{load}")), 15_000.0);
        }
        assert_eq!(found.curves.len(), 4);
        assert_eq!(found.curves[1].name, "latency_at_50");
    }

    #[test]
    fn a_known_throughput_is_not_searched_again() {
        let mut simulation = Simulation::new(Device::default());
        let mut context = simulation.context();
        context.throughput = Some(500_000.0);
        run(&mut context).unwrap();
        assert_eq!(context.trials.len(), 4);
        assert!((context.trials[0].outcome.offered_rate() - 50_000.0).abs() < 1.0);
    }

    #[test]
    fn where_everything_loses_a_stand_in_is_named() {
        let found = Simulation::new(Device { base_loss: 1e-3, ..Device::default() }).run(run);
        assert!(found.notes[0].contains("stands in"), "{found:?}");
        assert_eq!(found.value("latency_p50_at_100"), 10_000.0);
    }

    #[test]
    fn a_dead_device_has_no_latency() {
        let found = Simulation::new(Device { capacity: 0.0, ..Device::default() }).run(run);
        assert!(found.not_done.is_some());
    }

    #[test]
    fn streams_are_merged_to_the_worse() {
        let mut simulation = Simulation::new(Device::default());
        let mut context = simulation.context();
        let trial = context.at_rate(context.both_ways(), 1000.0, 1.0);
        let mut seen = context.trial("latency", &Trial { latency: true, ..trial }).unwrap();
        let second = seen.outcome.streams[1].latency.as_mut().unwrap();
        (second.min, second.p99) = (1.0, 1e6);
        let both = merged(&seen).unwrap();
        assert_eq!((both.min, both.p99, both.p50), (1.0, 1e6, 10_000.0));
        assert_eq!(both.frames, 1000);
    }
}
