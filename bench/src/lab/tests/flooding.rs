//! Unknown unicast: frames to stations that never spoke go to all ports but the one they came from (IEEE
//! 802.1Q-2022, 8.6.3). The standard's tests have nothing of the kind, but a switch whose table is full or was
//! flushed does little else.

use super::rfc2889::{is_switch, obstacle, ports, rates, search_takes};
use super::{Context, Findings, Test, USUAL};
use crate::Result;
use crate::tester::protocol::{Stream, Target};

pub(crate) const TEST: Test = Test {
    id: "flooding",
    title: "Throughput of unknown unicast",
    standard: "IEEE 802.1Q-2022, 8.6.3; RFC 2889, 5.10",
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
    if ports.len() < context.bed.tester.ready().ports.len() {
        return Ok(Findings::not_done(
            "a flood reaches the ports of one VLAN only, and these are of several",
        ));
    }
    let streams = vec![Stream {
        name: format!("{} to nobody known", ports[0]),
        to: Target::Unknown(ports[1]),
        ..context.stream(ports[0], ports[1])
    }];
    let rates = rates(context, &streams)?;
    Ok(rates.findings(format!("Each frame is to come out of {} ports.", ports.len() - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::simulated::{Device, Simulation};

    #[test]
    fn each_copy_takes_its_share() {
        let device = Device { ports: 3, capacity: 3e6, ..Device::default() };
        let found = Simulation::new(device).run(run);
        let throughput = found.value("throughput");
        assert!((1.47e6..=1.5e6).contains(&throughput), "{throughput}");
    }
}
