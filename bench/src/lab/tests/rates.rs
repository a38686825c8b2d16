//! The rates without loss and with little, found in one search, and the one at the highest load.

use std::time::Duration;

use super::load::{figure, most, search};
use super::{Context, Findings, Found, Settings, Test, USUAL};
use crate::Result;
use crate::report::model::{Better, Unit};

pub(super) const NDR: Test = Test {
    id: "ndr",
    title: "Rates without loss, with partial loss, and at the highest load",
    standard: "RFC 2544, 26.1; draft-ietf-bmwg-mlrsearch; RFC 2285, 3.6.2",
    ports: 2,
    run,
    takes,
    ..USUAL
};

fn run(context: &mut Context<'_>) -> Result<Findings> {
    let streams = context.both_ways();
    let most = most(context, streams.clone())?;
    let losses = [context.settings.partial_loss, 0.0];
    let found = search(context, &streams, &most, &losses)?;
    let mut findings = Findings::default();
    for (name, interval) in [("ndr", &found[1]), ("pdr", &found[0])] {
        findings.figures.push(figure(name, interval, &most.seen));
    }
    if found.iter().any(|interval| interval.is_rough) {
        findings.notes.push(
            "The search had used up its trials before its interval was narrow, and is marked as disturbed."
                .to_owned(),
        );
    }
    let forwarded =
        Found::new("forwarding_rate", Unit::FramesPerSecond, Some(Better::Higher), most.forwarded);
    findings.figures.push(forwarded.from(&most.seen));
    if found[1].lower.is_none() {
        findings.notes.push("Even the least load wasn't without loss.".to_owned());
    } else if found[1].upper.is_none() {
        findings.notes.push(
            "The highest load that the ports took was without loss: the system holds back who sends."
                .to_owned(),
        );
    }
    Ok(findings)
}

/// Trials that narrow down and that decide, as searches on this kind of device need them.
const NARROWING: f64 = 4.0;
const DECIDING: f64 = 8.0;

fn takes(settings: &Settings) -> Duration {
    settings.trials(NARROWING, settings.first_seconds) + settings.trials(DECIDING, settings.final_seconds)
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Device, Simulation};
    use super::*;

    fn values(device: Device) -> [f64; 3] {
        let found = Simulation::new(device).run(run);
        ["ndr", "pdr", "forwarding_rate"].map(|name| found.value(name))
    }

    #[test]
    fn three_rates_of_a_plain_device() {
        let [ndr, pdr, forwarding_rate] = values(Device::default());
        assert!((990_000.0..=1_000_000.0).contains(&ndr), "{ndr}");
        assert!((ndr..=1_005_100.0).contains(&pdr), "{pdr}");
        assert!((forwarding_rate - 1e6).abs() < 2.0, "{forwarding_rate}");
    }

    #[test]
    fn a_little_loss_leaves_the_partial_rate() {
        let [ndr, pdr, _] = values(Device { base_loss: 1e-4, ..Device::default() });
        assert_eq!(ndr, 0.0);
        assert!(pdr > 980_000.0, "{pdr}");
    }

    #[test]
    fn noise_and_bad_luck_move_it_little() {
        for seed in 0..20 {
            let device = Device { noise: 0.02, disturbances: 0.05, ..Device::default() };
            let found = Simulation::new(device).seeded(seed).run(run);
            let ndr = found.value("ndr");
            assert!((880_000.0..=1_030_000.0).contains(&ndr), "{seed}: {ndr}");
        }
    }

    #[test]
    fn a_device_that_holds_back_has_one_rate() {
        let device = Device { capacity: 1e9, ..Device::default() };
        let mut simulation = Simulation::new(device);
        let found = simulation.run(run);
        assert_eq!(found.value("ndr"), 4e6);
        assert_eq!(found.value("pdr"), 4e6);
        assert!(found.notes[0].contains("holds back"), "{found:?}");
        assert!(simulation.trials() < 8);
    }

    #[test]
    fn a_dead_device_has_none() {
        let [ndr, pdr, forwarding_rate] = values(Device { capacity: 0.0, ..Device::default() });
        assert_eq!([ndr, pdr, forwarding_rate], [0.0; 3]);
    }
}
