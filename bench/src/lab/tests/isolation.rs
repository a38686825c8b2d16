//! Whether VLANs are kept apart (IEEE 802.1Q-2022, 8.6.1 to 8.6.3): what a port broadcasts, and what it sends to
//! stations that nobody knows, comes to no port of another VLAN.

use super::rfc2889::{is_switch, seconds, vlans};
use super::{Context, Findings, Found, Settings, Test, USUAL};
use crate::Result;
use crate::lab::name::Function;
use crate::report::model::{Better, Unit};
use crate::systems::{Access, Job};
use crate::tester::protocol::{Stream, Target, Trial};

/// Frames a second: slow enough for any device.
const RATE: f64 = 10_000.0;

pub(crate) const TEST: Test = Test {
    id: "isolation",
    title: "Whether VLANs are kept apart",
    standard: "IEEE 802.1Q-2022, 8.6",
    ports: 4,
    run,
    takes,
    takes_part: is_switch,
    job: Some(in_two_vlans),
    function: Function::L2Vlan,
    ..USUAL
};

/// Puts every other port into a VLAN of its own kind.
fn in_two_vlans(job: &mut Job) {
    for (number, port) in job.ports.iter_mut().enumerate() {
        port.access = Access::Vlan(1 + number as u16 % 2);
    }
}

fn takes(settings: &Settings) -> std::time::Duration {
    seconds(4.0 * (settings.first_seconds + settings.drain))
}

fn run(context: &mut Context<'_>) -> Result<Findings> {
    if !is_switch(context.case.system) {
        return Ok(Findings::not_done("testpmd knows no VLANs"));
    }
    let vlans = vlans(context);
    let first_of_each: Vec<_> = vlans
        .iter()
        .enumerate()
        .filter(|(index, (_, vlan))| vlans[..*index].iter().all(|(_, before)| before != vlan))
        .map(|(_, port)| *port)
        .collect();
    if first_of_each.len() < 2 {
        return Ok(Findings::not_done("all ports of the bed are of one VLAN"));
    }
    let mut crossed = 0;
    for &(from, vlan) in &first_of_each {
        for to in [Target::Broadcast, Target::Unknown(from)] {
            let stream = Stream { to, ..context.stream(from, from) };
            let trial = context.at_rate(vec![stream], RATE, context.settings.first_seconds);
            let seen =
                context.trial_once("flooding one VLAN", &Trial { learn: None, warm_up: 0.0, ..trial })?;
            let own = vlans.iter().filter(|(port, other)| *other == vlan && *port != from);
            let mut own = own.filter_map(|(port, _)| seen.outcome.ports.get(usize::from(*port))).peekable();
            if own.peek().is_some() && own.all(|port| port.received == 0) {
                return Ok(Findings::not_done(format!("port {from} reached nobody in its own VLAN either")));
            }
            let others = vlans.iter().filter(|(_, other)| *other != vlan);
            let ports = others.filter_map(|(port, _)| seen.outcome.ports.get(usize::from(*port)));
            crossed += ports.map(|port| port.received.saturating_sub(port.foreign + port.stale)).sum::<u64>();
        }
    }
    let figure =
        Found::new("crossed_frames", Unit::Frames, Some(Better::Lower), crossed as f64).expecting(0.0);
    Ok(Findings {
        figures: vec![figure],
        notes: vec![format!(
            "The bed has ports of {} VLANs; one port of each flooded its own.",
            first_of_each.len()
        )],
        ..Findings::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::simulated::{Device, Simulation};

    fn device(vlans: &[u16]) -> Device {
        Device { ports: vlans.len() as u8, vlans: vlans.to_vec(), ..Device::default() }
    }

    #[test]
    fn vlans_that_are_kept_apart_are_quiet() {
        let mut simulation = Simulation::new(device(&[1, 2, 1, 3]));
        let found = simulation.run(run);
        assert_eq!(found.value("crossed_frames"), 0.0);
        assert_eq!((simulation.trials(), found.figures[0].expected), (6, Some(0.0)));
    }

    #[test]
    fn vlans_that_are_not_are_found_out() {
        let found = Simulation::new(Device { mixes_vlans: true, ..device(&[1, 2]) }).run(run);
        assert_eq!(found.value("crossed_frames"), 4.0 * RATE);
    }

    #[test]
    fn one_vlan_has_nothing_to_be_kept_from() {
        assert!(Simulation::new(device(&[7, 7])).run(run).not_done.unwrap().contains("one VLAN"));
    }
}
