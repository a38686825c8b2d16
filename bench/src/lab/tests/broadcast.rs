//! Broadcast frames: RFC 2889, 5.10: the throughput of one port's broadcast to all others, and its latency.
//!
//! A frame counts as often as there are ports to get it: none of them may miss one. Rates are of what is sent.

use super::rfc2889::{is_switch, obstacle, ports, rates, search_takes, seconds};
use super::{Context, Findings, Found, Settings, Test, USUAL};
use crate::Result;
use crate::report::model::{Axis, Better, Curve, Unit};
use crate::tester::protocol::{Stream, Target, Trial};

pub(crate) const TEST: Test = Test {
    id: "broadcast",
    title: "Throughput and latency of broadcast",
    standard: "RFC 2889, 5.10",
    ports: 3,
    run,
    takes,
    takes_part: is_switch,
    ..USUAL
};

fn takes(settings: &Settings) -> std::time::Duration {
    search_takes(settings) + seconds(settings.warm_up + settings.final_seconds + settings.drain)
}

fn run(context: &mut Context<'_>) -> Result<Findings> {
    if let Some(why) = obstacle(context, 3) {
        return Ok(Findings::not_done(why));
    }
    let ports = ports(context);
    if ports.len() < context.bed.tester.ready().ports.len() {
        return Ok(Findings::not_done(
            "a broadcast reaches the ports of one VLAN only, and these are of several",
        ));
    }
    let streams = vec![Stream {
        name: format!("{} to all", ports[0]),
        to: Target::Broadcast,
        ..context.stream(ports[0], ports[1])
    }];
    let rates = rates(context, &streams)?;
    let copies = ports.len() - 1;
    let mut findings = rates.findings(format!(
        "Each frame is to come out of {copies} ports: as many times as sent frames were forwarded."
    ));
    if let Some(throughput) = &rates.throughput.lower {
        let trial = context.at_rate(streams, throughput.rate, context.settings.final_seconds);
        let seen = context.trial("latency at throughput", &Trial { latency: true, ..trial })?;
        let stream = seen.outcome.streams.first();
        if let Some((latency, stream)) = stream.and_then(|stream| Some((stream.latency.as_ref()?, stream))) {
            let found = |name: &str, value| {
                Found::new(name, Unit::Nanoseconds, Some(Better::Lower), value).from(&seen)
            };
            findings.figures.extend([
                found("latency_min", latency.min),
                found("latency_p50", latency.p50),
                found("latency_p99", latency.p99),
                found("latency_max", latency.max),
            ]);
            let by_port = stream.latency_of_ports.iter();
            findings.figures.extend(
                by_port.map(|(port, latency)| found(&format!("latency_p50_port_{port}"), latency.p50)),
            );
            findings.curves.push(distribution(context.case.round, &latency.distribution));
            findings.notes.push("Where no port is named, latencies are of all copies.".to_owned());
        }
    }
    Ok(findings)
}

fn distribution(round: u32, points: &[(f64, f64)]) -> Curve {
    Curve {
        name: "latency_at_throughput".to_owned(),
        x: Axis { label: "latency".to_owned(), unit: Unit::Nanoseconds, logarithmic: true },
        y: Axis { label: "frames with at most that".to_owned(), unit: Unit::Share, logarithmic: false },
        round,
        points: points.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::simulated::{Device, Simulation};

    #[test]
    fn each_copy_takes_its_share() {
        let device = Device { ports: 4, capacity: 3e6, ..Device::default() };
        let found = Simulation::new(device).run(run);
        let throughput = found.value("throughput");
        assert!((0.97e6..=1e6).contains(&throughput), "{throughput}");
        assert!((found.value("forwarding_rate_at_mol") - 1e6).abs() < 10.0);
        assert_eq!(found.value("latency_p50"), 10_000.0);
        for port in 1..4 {
            assert_eq!(found.value(&format!("latency_p50_port_{port}")), 10_000.0);
        }
        assert_eq!(found.curves[0].points.len(), 3);
    }

    #[test]
    fn who_loses_always_has_no_latency() {
        let device = Device { ports: 3, base_loss: 0.001, ..Device::default() };
        let found = Simulation::new(device).run(run);
        assert_eq!(found.value("throughput"), 0.0);
        assert!(found.curves.is_empty());
    }

    #[test]
    fn several_vlans_have_no_common_broadcast() {
        let device = Device { ports: 4, vlans: vec![1, 1, 1, 2], ..Device::default() };
        assert!(Simulation::new(device).run(run).not_done.unwrap().contains("VLAN"));
    }
}
