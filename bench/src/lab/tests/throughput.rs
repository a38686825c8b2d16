//! Throughput as RFC 2544, 26.1 has it: the interval is halved until it is narrow.

use std::time::Duration;

use super::load::{ask, figure, most};
use super::{Context, Findings, Settings, Test, USUAL};
use crate::Result;
use crate::lab::search;

pub(super) const THROUGHPUT: Test = Test {
    id: "throughput",
    title: "Throughput by halving",
    standard: "RFC 2544, 26.1",
    ports: 2,
    run,
    takes,
    ..USUAL
};

fn run(context: &mut Context<'_>) -> Result<Findings> {
    let streams = context.both_ways();
    let most = most(context, streams.clone())?;
    let settings = context.settings;
    let found = search::binary(most.offered, settings.precision, |rate| {
        ask(context, &streams, rate, most.offered, settings.final_seconds)
    })?;
    let figures = vec![figure("throughput", &found, &most.seen)];
    let mut findings = Findings { figures, ..Findings::default() };
    if found.upper.is_none() {
        findings.notes.push("The highest load that the ports took was without loss.".to_owned());
    }
    Ok(findings)
}

fn takes(settings: &Settings) -> Duration {
    let trials = 2.0 + (1.0 / settings.precision).log2().ceil();
    settings.trials(trials, settings.final_seconds)
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Device, Simulation};
    use super::*;

    #[test]
    fn the_capacity_is_found() {
        let mut simulation = Simulation::new(Device::default());
        let found = simulation.run(run).value("throughput");
        assert!((990_000.0..=1_000_000.0).contains(&found), "{found}");
        assert!(simulation.trials() < 12);
    }

    #[test]
    fn a_single_lost_frame_is_loss() {
        let mut simulation = Simulation::new(Device { base_loss: 1e-6, ..Device::default() });
        assert_eq!(simulation.run(run).value("throughput"), 0.0);
    }

    #[test]
    fn what_the_tester_could_not_exceed_says_so() {
        let device = Device { capacity: 1e9, tester_busy: 0.99, ..Device::default() };
        let found = Simulation::new(device).run(run);
        assert!(found.figures[0].tester_limited);
        assert!(found.notes[0].contains("without loss"), "{found:?}");
    }

    #[test]
    fn the_links_rate_is_the_highest() {
        let mut simulation = Simulation::new(Device::default());
        simulation.case.most = Some(300_000.0);
        assert_eq!(simulation.run(run).value("throughput"), 300_000.0);
    }
}
