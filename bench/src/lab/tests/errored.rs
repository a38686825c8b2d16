//! Frames that a switch has to drop: RFC 2889, 5.9, and IEEE 802.1Q-2022, 8.6 and 8.13.4.
//!
//! Each fault is sent beside frames that are as they should be, of which none may be lost. Frames that are too short,
//! whose check sequence is wrong, whose length isn't whole octets, or which end too late can't be made here.

use super::rfc2889::{is_switch, obstacle, ports, seconds};
use super::{Context, Findings, Found, Seen, Settings, Test, USUAL};
use crate::report::model::{Better, Unit};
use crate::tester::protocol::{Flaw, Payload, Rate, Sizes, Stream, Tag, Target, Trial};
use crate::{BenchError, Result};

/// Frames a second of either: slow enough for any device.
const RATE: f64 = 10_000.0;

/// The header of an untagged frame, and the check sequence.
const AROUND_PACKETS: u16 = 18;

/// Octets beyond the largest frame: more than two tags, which a frame of that size may have too.
const OVERSIZED: u16 = 16;

pub(crate) const TEST: Test = Test {
    id: "errored",
    title: "Frames that a switch has to drop",
    standard: "RFC 2889, 5.9; IEEE 802.1Q-2022, 8.6",
    ports: 2,
    run,
    takes,
    takes_part: is_switch,
    ..USUAL
};

/// What the standard has besides.
const NOT_SENT: &str = "Frames below 64 octets, with a wrong check sequence, alignment errors or dribble bits can't be \
                        sent: NICs pad frames and make check sequences themselves, and on virtual ports there is no \
                        check sequence, and no least size that a switch could hold frames to.";

/// Flaws, their names in figures, and what they are.
const FLAWS: [(Flaw, &str, &str); 5] = [
    (Flaw::GroupSource, "group_source", "a group address as source"),
    (Flaw::ZeroSource, "zero_source", "a source of zeros"),
    (Flaw::ReservedVid, "reserved_vid", "a tag with VID 4095"),
    (Flaw::LinkLocal, "link_local", "a destination that bridges keep (01-80-C2-00-00-00 to 0F)"),
    (Flaw::SamePort, "same_port", "a destination behind the port that they came from"),
];

fn takes(settings: &Settings) -> std::time::Duration {
    seconds((FLAWS.len() + 1) as f64 * (settings.first_seconds + settings.drain + 0.1))
}

fn run(context: &mut Context<'_>) -> Result<Findings> {
    if let Some(why) = obstacle(context, 2) {
        return Ok(Findings::not_done(why));
    }
    let ports = ports(context);
    let (from, to) = (ports[0], ports[1]);
    let mut bench = Errors { from, to, good_lost: 0, disturbed: false, findings: Findings::default() };
    bench.oversized(context)?;
    for (flaw, name, what) in FLAWS {
        let stream = Stream { to: Target::Nobody(flaw), tag: tag(flaw), ..context.stream(from, to) };
        let seen = bench.trial(context, what, stream)?;
        let passed = leaked(&seen);
        bench.found(&format!("passed_{name}"), passed);
        if passed > 0 {
            bench.findings.notes.push(format!("Frames with {what} were forwarded."));
        }
    }
    let good = Found::new("good_frames_lost", Unit::Frames, Some(Better::Lower), bench.good_lost as f64);
    bench.findings.figures.push(Found { disturbed: bench.disturbed, ..good }.expecting(0.0));
    bench.findings.notes.push(NOT_SENT.to_owned());
    Ok(bench.findings)
}

/// What the flaw is made of.
fn tag(flaw: Flaw) -> Option<Tag> {
    (flaw == Flaw::ReservedVid).then_some(Tag { vid: 0xfff, pcp: 0, dei: false, ethertype: 0x8100 })
}

struct Errors {
    from: u8,
    to: u8,
    good_lost: u64,
    disturbed: bool,
    findings: Findings,
}

impl Errors {
    /// Sends a stream with a fault beside one without.
    fn trial(&mut self, context: &mut Context<'_>, what: &str, stream: Stream) -> Result<Seen> {
        let good = context.stream(self.from, self.to);
        let streams = [stream, good].map(|stream| Stream { rate: Rate::Frames(RATE), ..stream });
        let trial = context.at_rate(streams.to_vec(), 2.0 * RATE, context.settings.first_seconds);
        let trial = Trial { warm_up: 0.0, ..trial };
        let lost = |seen: &Seen| seen.outcome.streams.get(1).map_or(0, |stream| stream.lost);
        let mut seen = context.trial_once(what, &trial)?;
        // What passes, passes whatever disturbs; what is lost may be somebody else's loss.
        if seen.disturbed && lost(&seen) > 0 {
            seen = context.trial(what, &trial)?;
        }
        self.good_lost += lost(&seen);
        self.disturbed |= seen.disturbed && lost(&seen) > 0;
        Ok(seen)
    }

    fn found(&mut self, name: &str, passed: u64) {
        let found = Found::new(name, Unit::Frames, Some(Better::Lower), passed as f64);
        self.findings.figures.push(found.expecting(0.0));
    }

    /// Longer than the system was set to forward.
    fn oversized(&mut self, context: &mut Context<'_>) -> Result<()> {
        let largest = context.case.job.mtu().saturating_add(AROUND_PACKETS);
        let size = largest.saturating_add(OVERSIZED);
        let (sizes, payload) = (Sizes::Only(size), Payload::Plain);
        let stream = Stream { sizes, payload, ..context.stream(self.from, self.to) };
        let seen = match self.trial(context, "oversized frames", stream) {
            Ok(seen) => seen,
            Err(BenchError::Interrupted) => return Err(BenchError::Interrupted),
            Err(error) => {
                self.findings.notes.push(format!("Frames of {size} octets weren't sent: {error}."));
                return Ok(());
            }
        };
        let passed = came(&seen);
        self.found("passed_oversized", passed);
        if passed > 0 {
            self.findings.notes.push(format!(
                "Frames of {size} octets were forwarded, though the system was set to {largest} at most."
            ));
        }
        Ok(())
    }
}

/// Frames of the first stream that came anywhere at all.
fn came(seen: &Seen) -> u64 {
    let received = seen.outcome.streams.first().map_or(0, |stream| stream.sent.saturating_sub(stream.lost));
    received + leaked(seen)
}

fn leaked(seen: &Seen) -> u64 {
    seen.outcome.streams.first().map_or(0, |stream| stream.leaked.values().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::simulated::{Device, Simulation};

    #[test]
    fn a_switch_that_drops_them_all_is_right() {
        let mut simulation = Simulation::new(Device { ports: 3, ..Device::default() });
        let found = simulation.run(run);
        for (_, name, _) in FLAWS {
            assert_eq!(found.value(&format!("passed_{name}")), 0.0);
        }
        assert_eq!(found.value("passed_oversized"), 0.0);
        assert_eq!(found.value("good_frames_lost"), 0.0);
        assert_eq!(simulation.trials(), 6);
        let expecting = found.figures.iter().filter(|figure| figure.expected == Some(0.0));
        assert_eq!(expecting.count(), FLAWS.len() + 2);
    }

    #[test]
    fn what_is_passed_is_counted_and_told() {
        let device = Device {
            ports: 3,
            forwards: vec![Flaw::ReservedVid, Flaw::SamePort],
            longest: u16::MAX,
            base_loss: 0.001,
            ..Device::default()
        };
        let found = Simulation::new(device).run(run);
        // To both other ports.
        assert_eq!(found.value("passed_reserved_vid"), 2.0 * 9_990.0);
        assert_eq!(found.value("passed_same_port"), 2.0 * 9_990.0);
        assert_eq!(found.value("passed_zero_source"), 0.0);
        assert_eq!(found.value("passed_oversized"), 9_990.0);
        assert_eq!(found.value("good_frames_lost"), 60.0);
        assert!(found.notes.iter().any(|note| note.contains("VID 4095 were forwarded")), "{:?}", found.notes);
        assert!(found.notes.iter().any(|note| note.contains("1518 at most")), "{:?}", found.notes);
    }

    #[test]
    fn a_tester_that_cannot_send_them_says_so() {
        let device = Device { ports: 2, tester_longest: 1518, ..Device::default() };
        let found = Simulation::new(device).run(run);
        assert!(found.figures.iter().all(|figure| figure.name != "passed_oversized"));
        assert!(
            found.notes.iter().any(|note| note.contains("1534 octets weren't sent")),
            "{:?}",
            found.notes
        );
    }
}
