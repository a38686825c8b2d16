//! Half of the ports send to the other half: RFC 2889, 5.4.

use super::rfc2889::{is_switch, obstacle, ports, rates, search_takes};
use super::{Context, Findings, Test, USUAL};
use crate::Result;
use crate::tester::protocol::Stream;

/// Ports that take part at most, so that streams are few enough for any trial.
const MOST_PORTS: usize = 32;

const _: () = assert!(MOST_PORTS * MOST_PORTS / 4 <= 256, "streams of a trial");

pub(crate) const TEST: Test = Test {
    id: "half-mesh",
    title: "Throughput and forwarding rate, half of the ports to the other half",
    standard: "RFC 2889, 5.4",
    ports: 4,
    run,
    takes: search_takes,
    takes_part: is_switch,
    ..USUAL
};

fn run(context: &mut Context<'_>) -> Result<Findings> {
    if let Some(why) = obstacle(context, 4) {
        return Ok(Findings::not_done(why));
    }
    let mut ports = ports(context);
    ports.truncate(MOST_PORTS);
    let rates = rates(context, &streams(context, &ports))?;
    let half = ports.len() / 2;
    Ok(rates.findings(format!("{half} ports sent to {half} others, and those nothing.")))
}

/// Each of the first half to each of the second, beginning with another one each.
fn streams(context: &Context<'_>, ports: &[u8]) -> Vec<Stream> {
    let half = ports.len() / 2;
    let (senders, receivers) = (&ports[..half], &ports[half..2 * half]);
    let pairs = (0..half).flat_map(|from| (0..half).map(move |step| (from, (from + step) % half)));
    pairs.map(|(from, to)| context.stream(senders[from], receivers[to])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::simulated::{Device, Simulation};
    use crate::tester::protocol::Target;

    #[test]
    fn one_half_sends_to_the_other() {
        let mut simulation = Simulation::new(Device { ports: 5, ..Device::default() });
        let streams = streams(&simulation.context(), &[0, 1, 2, 3, 4]);
        let pairs: Vec<_> = streams.iter().map(|stream| (stream.from, stream.to)).collect();
        assert_eq!(pairs, [(0, 2), (0, 3), (1, 3), (1, 2)].map(|(from, to)| (from, Target::Port(to))));
    }

    #[test]
    fn what_the_halves_exchange_is_found() {
        let device = Device { ports: 4, capacity: 2.5e6, ..Device::default() };
        let found = Simulation::new(device).run(run);
        assert!((2.4e6..=2.5e6).contains(&found.value("throughput")));
        assert!((found.value("maximum_offered_load") - 4e6).abs() < 10.0);
    }
}
