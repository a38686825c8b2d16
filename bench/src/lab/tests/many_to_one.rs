//! All other ports send to one: RFC 2889, 5.2, the other half of it.
//!
//! Where lines have a rate, the senders together offer what one line carries; more would be the congestion test.

use super::rfc2889::{is_switch, obstacle, ports, rates, search_takes};
use super::{Context, Findings, Test, USUAL};
use crate::Result;

pub(crate) const TEST: Test = Test {
    id: "many-to-one",
    title: "Throughput and forwarding rate, all other ports to one",
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
    let streams: Vec<_> = ports[1..].iter().map(|&from| context.stream(from, ports[0])).collect();
    let rates = rates(context, &streams)?;
    Ok(rates.findings(format!("{} ports sent to one.", ports.len() - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::simulated::{Device, Simulation};

    #[test]
    fn the_receiving_port_is_the_limit() {
        let device = Device { ports: 4, capacity: 1e7, port_capacity: 1.5e6, ..Device::default() };
        let found = Simulation::new(device).run(run);
        let throughput = found.value("throughput");
        assert!((1.48e6..=1.5e6).contains(&throughput), "{throughput}");
        assert!((found.value("forwarding_rate_at_mol") - 1.5e6).abs() < 100.0);
        assert!((found.value("maximum_offered_load") - 6e6).abs() < 10.0);
    }

    #[test]
    fn a_line_is_offered_what_it_carries() {
        let link_mbits = Some(672);
        let device = Device { ports: 4, capacity: 1e7, link_mbits, ..Device::default() };
        let found = Simulation::new(device).run(run);
        assert!((found.value("maximum_offered_load") - 1e6).abs() < 10.0);
        assert!((found.value("throughput") - 1e6).abs() < 10.0);
    }
}
