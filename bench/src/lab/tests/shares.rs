//! What each traffic class gets of a port that all of them together want more of than it sends (IEEE 802.1Q-2022,
//! 8.6.8).

use std::time::Duration;

use super::{Context, Findings, Found, Settings, Test, USUAL};
use crate::Result;
use crate::host::profile::{Limit, Profile, pcp_of};
use crate::lab::name::Function;
use crate::report::model::{Axis, Curve, Unit};
use crate::systems::{Access, Job, Kind};
use crate::tester::protocol::{Rate, Stream, Tag};

pub(super) const SHARES: Test = Test {
    id: "shares",
    title: "Shares of a congested port by traffic class",
    standard: "IEEE 802.1Q-2022, 8.6.8",
    ports: 2,
    run,
    takes,
    takes_part: |system| system == Kind::Pollux,
    job: Some(with_weights),
    function: Function::L2Qos,
    ..USUAL
};

/// The classes that send, and their weights.
const WEIGHTS: [(u8, u16); 4] = [(5, 8), (4, 4), (3, 2), (2, 1)];

/// What the port sends: little, so that any front end can offer it several times.
const SHAPER: Limit = Limit { rate: 50e6, burst: 16 << 10 };

/// Octets of a frame that a shaper counts and no frame has: preamble and gap.
const OVERHEAD: f64 = 20.0;

/// What every class is offered, in parts of the largest share.
const SATURATED: f64 = 1.3;

/// Until every class has frames that wait.
const WARM_UP: f64 = 0.7;

const VID: u16 = 10;

fn run(context: &mut Context<'_>) -> Result<Findings> {
    let size = context.case.sizes.mean();
    let each = SATURATED * share(WEIGHTS[0].1) * SHAPER.rate / (8.0 * size);
    let stream = |(class, _): (u8, u16)| Stream {
        name: format!("class {class}"),
        tag: Some(Tag { vid: VID, pcp: pcp_of(class), dei: false, ethertype: 0x8100 }),
        ..context.stream(0, 1)
    };
    let mut trial = context.at_rate(WEIGHTS.map(stream).to_vec(), f64::INFINITY, seconds(context.settings));
    for stream in &mut trial.streams {
        stream.rate = Rate::Frames(each);
    }
    trial.warm_up = WARM_UP;
    let seen = context.trial("all classes at once", &trial)?;
    let rates: Vec<f64> = seen.outcome.streams.iter().map(|stream| stream.forwarding_rate).collect();
    let sum: f64 = rates.iter().sum();
    if sum == 0.0 {
        return Ok(Findings::not_done("nothing was forwarded"));
    }
    let mut findings = Findings::default();
    let mut points = Vec::new();
    for ((class, weight), rate) in WEIGHTS.into_iter().zip(rates) {
        let measured = rate / sum;
        points.push((f64::from(class), measured));
        let figure = Found::new(format!("share_class_{class}"), Unit::Share, None, measured);
        findings.figures.push(figure.expecting(share(weight)).from(&seen));
    }
    points.reverse();
    findings.curves.push(Curve {
        name: "queue_shares".to_owned(),
        x: Axis { label: "traffic class".to_owned(), unit: Unit::Frames, logarithmic: false },
        y: Axis { label: "share of frames".to_owned(), unit: Unit::Share, logarithmic: false },
        round: context.case.round,
        points,
    });
    let most = (SHAPER.rate / (8.0 * (size + OVERHEAD))).min(sum);
    if sum < 0.9 * most {
        findings
            .notes
            .push(format!("The port sent {sum:.0} frames a second, less than its shaper lets through."));
    }
    Ok(findings)
}

/// Has the first two ports take tags, and the second share what it sends among classes by their weights.
fn with_weights(job: &mut Job) {
    let weights: Vec<_> = WEIGHTS.iter().map(|(class, weight)| format!("{class} = {weight}")).collect();
    let classes = format!("{{ strict = [7, 6], dwrr = {{ {}, 1 = 1, 0 = 1 }} }}", weights.join(", "));
    let plain = Profile { classes, ..Profile::strict("plain") };
    let shaped = Profile { name: "shaped", egress_rate: Some(SHAPER), ..plain.clone() };
    job.more_toml.push_str(&format!("{plain}{shaped}"));
    for (port, profile) in job.ports.iter_mut().zip([plain.name, shaped.name]) {
        port.access = Access::Trunk { native: 1 };
        port.more_toml.push_str(&format!("qos = {{ profile = \"{profile}\", trust = \"pcp\" }}\n"));
    }
}

/// What a weight is of all those that have frames.
fn share(weight: u16) -> f64 {
    let all: u16 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    f64::from(weight) / f64::from(all)
}

fn seconds(settings: &Settings) -> f64 {
    settings.final_seconds.max(2.0)
}

fn takes(settings: &Settings) -> Duration {
    settings.trials(1.0, WARM_UP + seconds(settings))
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Device, Simulation};
    use super::*;

    /// A device that sends as much as the shaper lets through, shared like this.
    fn simulation(shares: [f64; 4]) -> Simulation {
        let mut by_priority = [0.0; 8];
        for ((class, _), share) in WEIGHTS.into_iter().zip(shares) {
            by_priority[usize::from(pcp_of(class))] = share;
        }
        let sent = SHAPER.rate / (8.0 * 64.0);
        Simulation::new(Device { port_capacity: sent, shares: Some(by_priority), ..Device::default() })
    }

    #[test]
    fn shares_are_measured_beside_what_was_set() {
        let found = simulation([0.4, 0.3, 0.2, 0.1]).run(run);
        let expected: Vec<_> = found.figures.iter().map(|figure| figure.expected.unwrap()).collect();
        assert_eq!(expected, WEIGHTS.map(|(_, weight)| f64::from(weight) / 15.0));
        for (class, share) in [(5, 0.4), (4, 0.3), (3, 0.2), (2, 0.1)] {
            let found = found.value(&format!("share_class_{class}"));
            assert!((found - share).abs() < 1e-3, "{class}: {found}");
        }
        assert_eq!(found.curves[0].points[0].0, 2.0);
        assert!(found.notes.is_empty(), "{found:?}");
    }

    #[test]
    fn the_job_has_trunks_and_a_profile() {
        let mut job = Simulation::new(Device::default()).case.job;
        with_weights(&mut job);
        assert!(job.more_toml.contains("[qos.profiles.shaped]"), "{}", job.more_toml);
        assert!(job.more_toml.contains("dwrr = { 5 = 8, 4 = 4, 3 = 2, 2 = 1, 1 = 1, 0 = 1 }"));
        assert!(job.ports[1].more_toml.contains("\"shaped\""));
        assert_eq!(job.ports[0].access, Access::Trunk { native: 1 });
        assert!(!(SHARES.takes_part)(Kind::Ovs));
    }
}
