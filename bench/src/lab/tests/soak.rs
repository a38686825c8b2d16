//! A long time at a load that is carried: what is lost then (the packet loss ratio of ETSI GS NFV-TST 009).

use std::time::Duration;

use super::intervals::{curve, received};
use super::load::throughput;
use super::{Context, Findings, Found, Settings, Test, USUAL};
use crate::Result;
use crate::report::model::{Better, Unit};
use crate::tester::protocol::Trial;

pub(super) const SOAK: Test = Test {
    id: "soak",
    title: "Loss over a long time",
    standard: "RFC 8204 (soak)",
    ports: 2,
    run,
    takes,
    ..USUAL
};

/// Of the throughput.
const LOAD: f64 = 0.9;

/// Seconds, and in a smoke run. Longer ones are made of more final seconds.
const SECONDS: f64 = 3600.0;
const SHORT_SECONDS: f64 = 10.0;

const INTERVAL: f64 = 1.0;

fn run(context: &mut Context<'_>) -> Result<Findings> {
    let mut findings = Findings::default();
    let throughput = throughput(context, &mut findings.notes)?;
    if throughput == 0.0 {
        return Ok(Findings::not_done("nothing was forwarded"));
    }
    let trial = context.at_rate(context.both_ways(), LOAD * throughput, seconds(context.settings));
    let trial = Trial { interval: Some(INTERVAL), ..trial };
    // Once: whatever happens in so long a time belongs to it.
    let seen = context.trial_once("soak", &trial)?;
    let received = received(&seen.outcome);
    // The last interval is the drain's.
    let whole = ((trial.seconds / INTERVAL) as usize).min(received.len());
    let rates = received[..whole].iter().map(|came| *came as f64 / INTERVAL);
    let least = rates.clone().fold(f64::INFINITY, f64::min);
    let figures = [
        Found::new("loss", Unit::Share, Some(Better::Lower), seen.loss()),
        Found::new("rate", Unit::FramesPerSecond, Some(Better::Higher), seen.outcome.forwarding_rate()),
        Found::new("least_rate", Unit::FramesPerSecond, Some(Better::Higher), least),
    ];
    findings.figures.extend(figures.map(|figure| figure.from(&seen)));
    findings.curves.push(curve(context, "received", INTERVAL, &received[..whole]));
    Ok(findings)
}

fn seconds(settings: &Settings) -> f64 {
    if settings.short { SHORT_SECONDS } else { SECONDS.max(settings.final_seconds) }
}

fn takes(settings: &Settings) -> Duration {
    settings.trials(1.0, seconds(settings))
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Device, Simulation};
    use super::*;

    #[test]
    fn a_little_loss_shows_after_a_long_time() {
        let mut simulation = Simulation::new(Device { base_loss: 1e-6, ..Device::default() });
        let mut context = simulation.context();
        context.throughput = Some(1e6);
        let found = run(&mut context).unwrap();
        let loss = found.value("loss");
        assert!((loss - 1e-6).abs() < 1e-7, "{loss}");
        assert!((found.value("rate") - 900_000.0).abs() < 10.0);
        assert!((found.value("least_rate") - 900_000.0).abs() < 10.0);
    }

    #[test]
    fn a_dead_device_is_not_soaked() {
        let found = Simulation::new(Device { capacity: 0.0, ..Device::default() }).run(run);
        assert!(found.not_done.is_some());
    }
}
