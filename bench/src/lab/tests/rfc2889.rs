//! The tests of RFC 2889, for LAN switching devices, and what they share. Terms are those of RFC 2285.
//!
//! Partially meshed multiple devices (5.3) is about two devices with one line between them, and isn't among these:
//! a bed has one device.

use crate::lab::search::{self, Answer, Goal, Interval};
use crate::lab::tests::load::figure;
use crate::lab::tests::{Context, Findings, Found, Seen, Settings};
use crate::report::model::{Better, Unit};
use crate::systems::Kind;
use crate::tester::protocol::{Stream, Target};
use crate::{BenchError, Result};

/// Octets that a frame takes of a line beside its own: preamble, start and gap (IEEE 802.3, 4.4.2).
const GAP: f64 = 20.0;

/// By how much the first guess of a throughput is below what was forwarded at the most.
const GUESS: f64 = 0.95;

/// Trials of a search, roughly: those that narrow down, and those that decide.
const NARROWING_TRIALS: f64 = 8.0;
const DECIDING_TRIALS: f64 = 4.0;

/// The ports that reach each other with untagged frames: those of the VLAN that has the most of them.
pub(super) fn ports(context: &Context<'_>) -> Vec<u8> {
    let vlans = vlans(context);
    let ports_of = |vlan: u16| -> Vec<u8> {
        vlans.iter().filter(|(_, other)| *other == vlan).map(|(port, _)| *port).collect()
    };
    let groups = vlans.iter().map(|(_, vlan)| ports_of(*vlan));
    // The first of those with the most.
    groups.rev().max_by_key(Vec::len).unwrap_or_default()
}

/// The tester's ports and the VLANs that their untagged frames are of.
pub(super) fn vlans(context: &Context<'_>) -> Vec<(u8, u16)> {
    let ports = 0..context.bed.tester.ready().ports.len();
    let vlan_of = |port: usize| context.case.job.ports.get(port).map_or(1, |port| port.access.vid());
    ports.map(|port| (port as u8, vlan_of(port))).collect()
}

/// Whether a system learns where stations are, and floods what it doesn't know.
pub(super) fn is_switch(kind: Kind) -> bool {
    !matches!(kind, Kind::TestpmdIo | Kind::TestpmdMac)
}

/// Why a test of a switch with so many ports can't be done here, if it can't.
pub(super) fn obstacle(context: &Context<'_>, least: usize) -> Option<String> {
    if !is_switch(context.case.system) {
        let why = "testpmd hands all frames of a port to one other: it neither learns nor floods";
        return Some(why.to_owned());
    }
    let there = ports(context).len();
    (there < least).then(|| format!("it takes {least} ports of one VLAN, and the bed has {there}"))
}

/// The frames a second that the slowest line carries, where lines have a rate.
pub(super) fn line_rate(context: &Context<'_>) -> Option<f64> {
    let links = context.bed.tester.ready().ports.iter().map(|port| port.link_mbits);
    let slowest = links.collect::<Option<Vec<_>>>()?.into_iter().min()?;
    let octets = context.case.sizes.mean() + GAP;
    (slowest > 0).then(|| f64::from(slowest) * 1e6 / 8.0 / octets)
}

/// How a pattern of streams was carried.
pub(super) struct Rates {
    /// When each port sent all that it could: the maximum offered load (RFC 2285, 3.5.3).
    pub(super) at_most: Seen,
    /// Where the throughput lies.
    pub(super) throughput: Interval,
}

/// Finds the throughput of streams (RFC 2285, 3.6 and RFC 1242, 3.17), and what is forwarded at the maximum offered
/// load.
pub(super) fn rates(context: &mut Context<'_>, streams: &[Stream]) -> Result<Rates> {
    let settings = context.settings;
    let limit = context.case.most.unwrap_or(f64::INFINITY).min(most_of_lines(context, streams));
    let trial = context.at_rate(streams.to_vec(), limit, settings.final_seconds);
    let at_most = context.trial("maximum offered load", &trial)?;
    let offered = at_most.outcome.offered_rate();
    if at_most.outcome.forwarding_rate() == 0.0 {
        return Err(BenchError::Unsupported("nothing was forwarded".to_owned()));
    }
    let goal = Goal {
        loss: 0.0,
        exceed: 0.5,
        first_seconds: settings.first_seconds,
        final_seconds: settings.final_seconds,
        enough: if settings.short { settings.final_seconds } else { 3.0 * settings.final_seconds },
        width: settings.precision,
    };
    let guess = GUESS * at_most.outcome.forwarding_rate().min(offered);
    let found =
        search::several_goals(offered, guess, &[goal], context.settings.search_trials(), |rate, seconds| {
            let trial = context.at_rate(streams.to_vec(), rate, seconds);
            let seen = context.trial_for_loss("throughput", &trial)?;
            Ok(Answer { loss: seen.loss(), disturbed: seen.disturbed, tester_limited: seen.tester_limited })
        })?;
    Ok(Rates { at_most, throughput: found.into_iter().next().unwrap_or_default() })
}

/// What the lines that streams come from and go to carry.
fn most_of_lines(context: &Context<'_>, streams: &[Stream]) -> f64 {
    let count = |port: fn(&Stream) -> Option<u8>| {
        let mut ports: Vec<u8> = streams.iter().filter_map(port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.len()
    };
    let senders = count(|stream| Some(stream.from));
    let receivers = count(|stream| match stream.to {
        Target::Port(port) => Some(port),
        _ => None,
    });
    let lines = if receivers == 0 { senders } else { senders.min(receivers) };
    line_rate(context).map_or(f64::INFINITY, |rate| rate * lines as f64)
}

impl Rates {
    /// All that there is to say of a pattern, of which `what` says what it was.
    pub(super) fn findings(&self, what: String) -> Findings {
        let mut notes = self.notes();
        notes.insert(0, what);
        Findings { figures: self.figures(), notes, ..Findings::default() }
    }

    /// The figures that RFC 2889 wants of a pattern.
    fn figures(&self) -> Vec<Found> {
        let throughput = figure("throughput", &self.throughput, &self.at_most);
        let outcome = &self.at_most.outcome;
        let of_most =
            |name: &str, unit, better, value| Found::new(name, unit, better, value).from(&self.at_most);
        let rate = Unit::FramesPerSecond;
        vec![
            throughput,
            of_most("maximum_offered_load", rate, None, outcome.offered_rate()),
            of_most("forwarding_rate_at_mol", rate, Some(Better::Higher), outcome.forwarding_rate()),
            of_most("loss_at_mol", Unit::Share, Some(Better::Lower), self.at_most.loss()),
        ]
    }

    /// What there is to say of frames that came where they don't belong, or not in order.
    fn notes(&self) -> Vec<String> {
        let streams = &self.at_most.outcome.streams;
        let leaked: u64 = streams.iter().flat_map(|stream| stream.leaked.values()).sum();
        let sum = |field: fn(&crate::tester::protocol::StreamOutcome) -> u64| -> u64 {
            streams.iter().map(field).sum()
        };
        let (reordered, duplicated) = (sum(|stream| stream.reordered), sum(|stream| stream.duplicated));
        [(leaked, "came to other ports too"), (reordered, "came late"), (duplicated, "came twice")]
            .into_iter()
            .filter(|(frames, _)| *frames > 0)
            .map(|(frames, what)| format!("At the maximum offered load {frames} frames {what}."))
            .collect()
    }
}

/// Roughly how long a search for a throughput takes.
pub(super) fn search_takes(settings: &Settings) -> std::time::Duration {
    let around = settings.warm_up + settings.drain;
    let narrowing = NARROWING_TRIALS * (settings.first_seconds + around);
    let repeated = if settings.short { 1.0 } else { 2.0 };
    let deciding = (1.0 + DECIDING_TRIALS * repeated) * (settings.final_seconds + around);
    seconds(narrowing + deciding)
}

pub(super) fn seconds(seconds: f64) -> std::time::Duration {
    std::time::Duration::try_from_secs_f64(seconds).unwrap_or(std::time::Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::ALL;
    use crate::lab::tests::simulated::{Device, Simulation};

    #[test]
    fn ports_of_the_largest_vlan_take_part() {
        let device = Device { ports: 5, vlans: vec![1, 2, 2, 1, 2], ..Device::default() };
        let mut simulation = Simulation::new(device);
        assert_eq!(ports(&simulation.context()), [1, 2, 4]);
        let device = Device { ports: 4, vlans: vec![1, 1, 2, 2], ..Device::default() };
        assert_eq!(ports(&Simulation::new(device).context()), [0, 1]);
    }

    #[test]
    fn what_is_no_switch_is_not_tested_as_one() {
        let mut simulation = Simulation::new(Device { ports: 4, ..Device::default() });
        assert_eq!(obstacle(&simulation.context(), 4), None);
        assert!(obstacle(&simulation.context(), 5).unwrap().contains("has 4"));
        let switches = ALL.iter().filter(|test| !(test.takes_part)(Kind::TestpmdIo));
        let tests: Vec<_> = switches.filter(|test| test.standard.contains("2889")).collect();
        assert!(tests.len() >= 11);
        for test in tests {
            simulation.case.system = Kind::TestpmdIo;
            let found = simulation.run(test.run);
            assert!(found.figures.is_empty() && found.not_done.unwrap().contains("testpmd"), "{}", test.id);
            assert!((test.takes_part)(Kind::Bridge));
        }
    }

    #[test]
    fn a_line_carries_gaps_too() {
        let mut simulation = Simulation::new(Device { link_mbits: Some(10_000), ..Device::default() });
        let rate = line_rate(&simulation.context()).unwrap();
        assert!((rate - 14_880_952.4).abs() < 1.0, "{rate}");
        let context = simulation.context();
        let streams = [context.stream(0, 1), context.stream(1, 0)];
        assert!((most_of_lines(&context, &streams) - 2.0 * rate).abs() < 1.0);
        assert!((most_of_lines(&context, &streams[..1]) - rate).abs() < 1.0);
        assert_eq!(line_rate(&Simulation::new(Device::default()).context()), None);
    }
}
