//! The maximum forwarding rate: RFC 2889, 5.6, and what its forward pressure would take.

use super::rfc2889::{is_switch, obstacle, ports, seconds};
use super::{Context, Findings, Found, Settings, Test, USUAL};
use crate::Result;
use crate::report::model::{Axis, Better, Curve, Unit};

/// Offered loads, in parts of the maximum offered load, and those of a smoke run.
const LOADS: [f64; 11] = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0];
const FEW_LOADS: [f64; 4] = [0.7, 0.8, 0.9, 1.0];

pub(crate) const TEST: Test = Test {
    id: "mfr",
    title: "Maximum forwarding rate over offered loads",
    standard: "RFC 2889, 5.6",
    ports: 2,
    run,
    takes,
    takes_part: is_switch,
    ..USUAL
};

fn loads(settings: &Settings) -> &'static [f64] {
    if settings.short { &FEW_LOADS } else { &LOADS }
}

fn takes(settings: &Settings) -> std::time::Duration {
    let each = settings.warm_up + settings.final_seconds + settings.drain;
    seconds(each * (1 + loads(settings).len()) as f64)
}

fn run(context: &mut Context<'_>) -> Result<Findings> {
    if let Some(why) = obstacle(context, 2) {
        return Ok(Findings::not_done(why));
    }
    let ports = ports(context);
    let (first, second) = (ports[0], ports[1]);
    let streams = vec![context.stream(first, second), context.stream(second, first)];
    let settings = context.settings;
    let trial = context.at_rate(streams.clone(), f64::INFINITY, settings.final_seconds);
    let at_most = context.trial("maximum offered load", &trial)?;
    let offered = at_most.outcome.offered_rate();
    let mut best = at_most.clone();
    let mut points = Vec::new();
    for share in loads(settings) {
        let trial = context.at_rate(streams.clone(), share * offered, settings.final_seconds);
        let seen = context.trial("forwarding rate", &trial)?;
        points.push((share * offered, seen.outcome.forwarding_rate()));
        if seen.outcome.forwarding_rate() > best.outcome.forwarding_rate() {
            best = seen;
        }
    }
    let found = |name: &str, better, value| Found::new(name, Unit::FramesPerSecond, better, value);
    let highest = Some(Better::Higher);
    let axis =
        |label: &str| Axis { label: label.to_owned(), unit: Unit::FramesPerSecond, logarithmic: false };
    Ok(Findings {
        figures: vec![
            found("maximum_forwarding_rate", highest, best.outcome.forwarding_rate()).from(&best),
            found("load_at_mfr", None, best.outcome.offered_rate()).from(&best),
            found("forwarding_rate_at_mol", highest, at_most.outcome.forwarding_rate()).from(&at_most),
            found("maximum_offered_load", None, offered).from(&at_most),
        ],
        curves: vec![Curve {
            name: "forwarding_rate".to_owned(),
            x: axis("offered load"),
            y: axis("forwarding rate"),
            round: context.case.round,
            points,
        }],
        notes: vec![
            "Forward pressure wasn't tested: it takes a sender that leaves gaps below 96 bit times between frames. \
             Virtual ports have no gaps at all, and no NIC that DPDK drives sends with smaller ones."
                .to_owned(),
        ],
        ..Findings::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::simulated::{Device, Simulation};

    #[test]
    fn a_device_that_collapses_is_best_before() {
        let device = Device { capacity: 2.4e6, collapses_to: 0.5, ..Device::default() };
        let found = Simulation::new(device).run(run);
        // 4 million frames a second can be sent; at 60 % of that it still carries all.
        assert!((found.value("maximum_forwarding_rate") - 2.4e6).abs() < 10.0, "{found:?}");
        assert!((found.value("load_at_mfr") - 2.4e6).abs() < 10.0);
        assert!((found.value("forwarding_rate_at_mol") - 1.2e6).abs() < 10.0);
        assert_eq!(found.curves[0].points.len(), LOADS.len());
        assert!(found.notes[0].contains("Forward pressure"));
    }

    #[test]
    fn a_device_that_keeps_up_is_best_at_its_most() {
        let mut simulation = Simulation::new(Device { capacity: 2.5e6, ..Device::default() });
        simulation.settings.short = true;
        let found = simulation.run(run);
        assert!((found.value("maximum_forwarding_rate") - 2.5e6).abs() < 10.0);
        assert!((found.value("forwarding_rate_at_mol") - 2.5e6).abs() < 10.0);
        assert_eq!(simulation.trials(), 5);
    }
}
