//! The share of frames lost by the load, from the highest down (RFC 2544, 26.3).

use std::time::Duration;

use super::load::most;
use super::rfc2889::line_rate;
use super::{Context, Findings, Found, Settings, Test, USUAL};
use crate::Result;
use crate::report::model::{Axis, Curve, Unit};

pub(super) const LOSS: Test = Test {
    id: "loss",
    title: "Frame loss by load",
    standard: "RFC 2544, 26.3",
    ports: 2,
    run,
    takes,
    ..USUAL
};

/// Of the highest load, in percent.
const STEP: u32 = 10;

/// Where links have no rate, the highest load is this multiple of what was forwarded.
const OVERLOAD: f64 = 1.5;

fn run(context: &mut Context<'_>) -> Result<Findings> {
    let mut findings = Findings::default();
    let forwarded = most(context, context.both_ways())?.forwarded;
    if forwarded == 0.0 {
        return Ok(Findings::not_done("nothing was forwarded"));
    }
    let lines = line_rate(context).map_or(f64::INFINITY, |rate| 2.0 * rate);
    let highest = context.case.most.unwrap_or(forwarded * OVERLOAD).min(lines);
    if context.case.most.is_none() && highest < lines {
        findings.notes.push(format!(
            "The links would carry more: 100 % is {OVERLOAD} times the forwarding rate at the highest load."
        ));
    }
    let mut points = Vec::new();
    let mut lossless = 0;
    for percent in (1..=100 / STEP).rev().map(|step| step * STEP) {
        let rate = highest * f64::from(percent) / 100.0;
        let trial = context.at_rate(context.both_ways(), rate, context.settings.final_seconds);
        let seen = context.trial_for_loss(&format!("{percent} % of the highest load"), &trial)?;
        let loss = seen.loss();
        points.push((rate, loss));
        // Of its own highest load: a faster system's is at another rate, so neither less nor more is better.
        let name = format!("loss_at_{percent}");
        findings.figures.push(Found::new(name, Unit::Share, None, loss).from(&seen));
        lossless = if loss == 0.0 { lossless + 1 } else { 0 };
        if lossless == 2 {
            break;
        }
    }
    points.reverse();
    findings.curves.push(Curve {
        name: "loss".to_owned(),
        x: Axis { label: "offered load".to_owned(), unit: Unit::FramesPerSecond, logarithmic: false },
        y: Axis { label: "frames lost".to_owned(), unit: Unit::Share, logarithmic: false },
        round: context.case.round,
        points,
    });
    Ok(findings)
}

fn takes(settings: &Settings) -> Duration {
    // From one and a half times the forwarding rate it is seven steps until two are without loss.
    settings.trials(8.0, settings.final_seconds)
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Device, Simulation};
    use super::*;

    #[test]
    fn it_ends_with_two_trials_without_loss() {
        let found = Simulation::new(Device::default()).run(run);
        let points = &found.curves[0].points;
        // 1.5 times the capacity in tenths: 1.5, 1.35, 1.2, 1.05 lose; 0.9 and 0.75 don't.
        assert_eq!(points.len(), 6, "{points:?}");
        assert_eq!([points[0].1, points[1].1], [0.0, 0.0]);
        assert!(points[2..].iter().all(|point| point.1 > 0.0), "{points:?}");
        assert!((found.value("loss_at_100") - 1.0 / 3.0).abs() < 1e-3);
    }

    #[test]
    fn the_links_rate_is_the_highest() {
        let mut simulation = Simulation::new(Device::default());
        simulation.case.most = Some(2e6);
        let found = simulation.run(run);
        assert_eq!(found.curves[0].points.last(), Some(&(2e6, 0.5)));
        assert!(found.notes.is_empty());
    }

    #[test]
    fn a_device_that_always_loses_is_followed_down_to_the_least() {
        let found = Simulation::new(Device { base_loss: 0.01, ..Device::default() }).run(run);
        assert_eq!(found.curves[0].points.len(), 10);
    }
}
