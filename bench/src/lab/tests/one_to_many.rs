//! One port sends to all others: RFC 2889, 5.2, one half of it.

use super::rfc2889::{is_switch, obstacle, ports, rates, search_takes};
use super::{Context, Findings, Test, USUAL};
use crate::Result;

pub(crate) const TEST: Test = Test {
    id: "one-to-many",
    title: "Throughput and forwarding rate, one port to all others in turn",
    standard: "RFC 2889, 5.2",
    ports: 3,
    run,
    takes: search_takes,
    takes_part: is_switch,
    ..USUAL
};

fn run(context: &mut Context<'_>) -> Result<Findings> {
    if let Some(why) = obstacle(context, 3) {
        return Ok(Findings::not_done(why));
    }
    let ports = ports(context);
    let streams: Vec<_> = ports[1..].iter().map(|&to| context.stream(ports[0], to)).collect();
    let rates = rates(context, &streams)?;
    Ok(rates.findings(format!("One port sent to {} others.", ports.len() - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::simulated::{Device, Simulation};

    #[test]
    fn one_port_sends_no_more_than_it_can() {
        let device = Device { ports: 4, capacity: 1e7, tester_sends: 2e6, ..Device::default() };
        let found = Simulation::new(device).run(run);
        assert!((found.value("maximum_offered_load") - 2e6).abs() < 10.0);
        assert!((found.value("throughput") - 2e6).abs() < 10.0);
        assert_eq!(found.value("loss_at_mol"), 0.0);
    }

    #[test]
    fn two_ports_are_too_few() {
        let found = Simulation::new(Device::default()).run(run);
        assert!(found.not_done.unwrap().contains("3 ports"));
    }
}
