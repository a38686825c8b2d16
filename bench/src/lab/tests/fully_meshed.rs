//! Every port sends to every other: RFC 2889, 5.1.
//!
//! Each port's streams follow each other in the order of the ports after it, so that at any time each port gets
//! frames from one (5.1.3).

use super::rfc2889::{is_switch, obstacle, ports, rates, search_takes};
use super::{Context, Findings, Test, USUAL};
use crate::Result;
use crate::tester::protocol::Stream;

/// Ports that take part at most, so that streams are few enough for any trial.
const MOST_PORTS: usize = 16;

const _: () = assert!(MOST_PORTS * (MOST_PORTS - 1) <= 256, "streams of a trial");

pub(crate) const TEST: Test = Test {
    id: "mesh",
    title: "Throughput and forwarding rate, every port to every other",
    standard: "RFC 2889, 5.1",
    ports: 4,
    run,
    takes: search_takes,
    takes_part: is_switch,
    ..USUAL
};

fn run(context: &mut Context<'_>) -> Result<Findings> {
    // Two ports make a mesh too, if a small one.
    if let Some(why) = obstacle(context, 2) {
        return Ok(Findings::not_done(why));
    }
    let mut ports = ports(context);
    ports.truncate(MOST_PORTS);
    let rates = rates(context, &streams(context, &ports))?;
    Ok(rates.findings(format!("{} ports took part.", ports.len())))
}

fn streams(context: &Context<'_>, ports: &[u8]) -> Vec<Stream> {
    let others = |from: usize| (1..ports.len()).map(move |step| (from, (from + step) % ports.len()));
    let pairs = (0..ports.len()).flat_map(others);
    pairs.map(|(from, to)| context.stream(ports[from], ports[to])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::simulated::{Device, Simulation};
    use crate::tester::protocol::Target;

    #[test]
    fn every_pair_is_there_in_turn() {
        let mut simulation = Simulation::new(Device { ports: 3, ..Device::default() });
        let streams = streams(&simulation.context(), &[0, 1, 2]);
        let pairs: Vec<_> = streams.iter().map(|stream| (stream.from, stream.to)).collect();
        let expected = [(0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)];
        assert_eq!(pairs, expected.map(|(from, to)| (from, Target::Port(to))));
    }

    #[test]
    fn what_a_switch_forwards_is_found() {
        let device = Device { ports: 4, capacity: 3.3e6, ..Device::default() };
        let found = Simulation::new(device).run(run);
        let throughput = found.value("throughput");
        assert!((3.2e6..=3.3e6).contains(&throughput), "{throughput}");
        assert!((found.value("forwarding_rate_at_mol") - 3.3e6).abs() < 100.0);
        assert!((found.value("maximum_offered_load") - 8e6).abs() < 10.0);
        assert!((found.value("loss_at_mol") - 4.7 / 8.0).abs() < 0.001);
        assert_eq!(found.notes, ["4 ports took part."]);
    }

    #[test]
    fn a_port_that_is_narrow_limits_the_mesh() {
        let device = Device { ports: 4, capacity: 1e7, port_capacity: 0.5e6, ..Device::default() };
        let throughput = Simulation::new(device).run(run).value("throughput");
        assert!((1.95e6..=2e6).contains(&throughput), "{throughput}");
    }
}
