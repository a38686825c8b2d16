//! Congestion control and head-of-line blocking: RFC 2889, 5.5.
//!
//! Two ports send as much as a line carries: one half of it to a port that nobody else sends to and half to another,
//! the second all of it to that other, which so is offered one and a half times what it can take. Frames that are
//! lost on the way to the port that isn't congested were held up behind those to the one that is.
//!
//! Virtual ports have no line with a rate of its own: what is behind them takes frames as fast as it can, and what
//! two of them offer too much congests the switch's worker, not a port. There, the congested port is one whose
//! receiver is slow: it takes a fifth of what the switch forwards between two ports, so that the worker has time for
//! more than twice all that is offered.

use super::rfc2889::{is_switch, line_rate, obstacle, ports, seconds};
use super::{Context, Findings, Found, Seen, Settings, Test, USUAL};
use crate::Result;
use crate::report::model::{Better, Unit};
use crate::tester::protocol::{Rate, Stream, StreamOutcome, Trial};

/// What a slow receiver takes, in parts of what the switch forwards from one port to another.
const SLOW: f64 = 0.2;

/// What is lost of the frames to the congested port when nobody is asked to send less: a third of one and a half.
const TOO_MUCH: f64 = 1.0 / 3.0;

/// Less than this share of frames that the tester didn't send says nothing about the switch.
const PRESSED: f64 = 0.001;

pub(crate) const TEST: Test = Test {
    id: "congestion",
    title: "Congestion control and head-of-line blocking",
    standard: "RFC 2889, 5.5",
    ports: 4,
    run,
    takes,
    takes_part: is_switch,
    ..USUAL
};

fn takes(settings: &Settings) -> std::time::Duration {
    let around = settings.warm_up + settings.drain;
    seconds(2.0 * (settings.first_seconds + around) + settings.final_seconds + around)
}

/// What is offered, and how the port is made to be congested.
struct Load {
    streams: Vec<Stream>,
    /// Frames a second that a line carries, or that the slow receiver takes.
    line: f64,
    slow_receiver: Option<u8>,
}

fn run(context: &mut Context<'_>) -> Result<Findings> {
    if let Some(why) = obstacle(context, 4) {
        return Ok(Findings::not_done(why));
    }
    let ports = ports(context);
    let [both, second, free, congested] = [ports[0], ports[1], ports[2], ports[3]];
    let (line, slow_receiver) = match line_rate(context) {
        Some(line) => (line, None),
        None => (SLOW * forwarded(context, both, free)?, Some(congested)),
    };
    let stream = |from, to, rate| Stream { rate: Rate::Frames(rate), ..context.stream(from, to) };
    let streams = vec![
        stream(both, free, line / 2.0),
        stream(both, congested, line / 2.0),
        stream(second, congested, line),
    ];
    let load = Load { streams, line, slow_receiver };
    let mut notes = Vec::new();
    if slow_receiver.is_some() {
        notes.push(format!(
            "Virtual ports have no line rate: the congested port's receiver took {line:.0} frames a second, and \
             ports offered as if lines carried that."
        ));
        let settings = context.settings;
        let fast = load.trial(context, settings.first_seconds, false);
        let uncongested = context.trial("the same without congestion", &fast)?;
        let lost = lost(&uncongested.outcome.streams[0]);
        if lost > 0.0 {
            notes.push(format!(
                "Without congestion {:.4} % of the frames to the same port were lost too.",
                100.0 * lost
            ));
        }
    }
    let congested = load.trial(context, context.settings.final_seconds, true);
    let seen = context.trial("congestion", &congested)?;
    notes.push(verdict(&seen));
    Ok(Findings { figures: load.figures(&seen), notes, ..Findings::default() })
}

/// Frames a second that are forwarded from one port to another, with nothing beside.
fn forwarded(context: &mut Context<'_>, from: u8, to: u8) -> Result<f64> {
    let streams = vec![context.stream(from, to)];
    let trial = context.at_rate(streams, f64::INFINITY, context.settings.first_seconds);
    Ok(context.trial_once("forwarding rate of one port", &trial)?.outcome.forwarding_rate())
}

impl Load {
    fn trial(&self, context: &Context<'_>, seconds: f64, congested: bool) -> Trial {
        let slow = self.slow_receiver.filter(|_| congested);
        Trial {
            streams: self.streams.clone(),
            takes: slow.map(|port| (port, self.line)).into_iter().collect(),
            ..context.at_rate(self.streams.clone(), 2.0 * self.line, seconds)
        }
    }

    fn figures(&self, seen: &Seen) -> Vec<Found> {
        let [free, half, whole] = &seen.outcome.streams[..] else { return Vec::new() };
        let congested = half.forwarding_rate + whole.forwarding_rate;
        let dropped = both(half, whole, |stream| stream.offered.saturating_sub(stream.received));
        let offered = both(half, whole, |stream| stream.offered);
        // However busy it was, the tester was no limit unless it gave frames up.
        let tester_limited = seen.tester_limited && seen.outcome.tester.given_up > 0;
        let found = |name: &str, unit, better, value| Found {
            tester_limited,
            ..Found::new(name, unit, better, value).from(seen)
        };
        let (share, rate) = (Unit::Share, Unit::FramesPerSecond);
        let lower = Some(Better::Lower);
        vec![
            found("head_of_line_loss", share, lower, lost(free)).expecting(0.0),
            found("back_pressure", share, lower, pressure(seen)),
            found("congested_forwarding_rate", rate, Some(Better::Higher), congested).expecting(self.line),
            found("congested_loss", share, None, dropped as f64 / offered.max(1) as f64).expecting(TOO_MUCH),
            found("uncongested_forwarding_rate", rate, Some(Better::Higher), free.forwarding_rate)
                .expecting(self.line / 2.0),
        ]
    }
}

fn both(first: &StreamOutcome, second: &StreamOutcome, field: fn(&StreamOutcome) -> u64) -> u64 {
    field(first) + field(second)
}

/// The share of a stream's frames that were sent and never came.
fn lost(stream: &StreamOutcome) -> f64 {
    stream.offered.saturating_sub(stream.received) as f64 / stream.offered.max(1) as f64
}

/// The share of frames that the switch kept the tester from sending.
fn pressure(seen: &Seen) -> f64 {
    let sum = |field: fn(&StreamOutcome) -> u64| seen.outcome.streams.iter().map(field).sum::<u64>();
    let (intended, offered) = (sum(|stream| stream.intended), sum(|stream| stream.offered));
    intended.saturating_sub(offered) as f64 / intended.max(1) as f64
}

/// What the standard wants said: whether there is head-of-line blocking, and whether back pressure.
fn verdict(seen: &Seen) -> String {
    let blocked = seen.outcome.streams.first().is_some_and(|stream| lost(stream) > 0.0);
    let pressed = pressure(seen) > PRESSED;
    let blocking = if blocked { "Head-of-line blocking: yes" } else { "Head-of-line blocking: no" };
    let pressure = if pressed { "back pressure: yes" } else { "back pressure: no" };
    format!("{blocking}; {pressure}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::simulated::{Device, Simulation};

    fn device() -> Device {
        Device { ports: 4, capacity: 1.6e6, ..Device::default() }
    }

    #[test]
    fn a_switch_that_drops_for_the_slow_port_alone_is_right() {
        let mut simulation = Simulation::new(device());
        let found = simulation.run(run);
        assert_eq!(found.value("head_of_line_loss"), 0.0);
        assert_eq!(found.value("back_pressure"), 0.0);
        let rate = found.value("congested_forwarding_rate");
        assert!((rate - 320_000.0).abs() < 10.0, "{rate}");
        assert!((found.value("congested_loss") - TOO_MUCH).abs() < 1e-4);
        assert!((found.value("uncongested_forwarding_rate") - 160_000.0).abs() < 10.0);
        assert!(found.notes.iter().any(|note| note == "Head-of-line blocking: no; back pressure: no."));
        assert!(found.notes.iter().any(|note| note.contains("no line rate")));
        assert!(!found.notes.iter().any(|note| note.contains("lost too")));
        assert_eq!(simulation.trials(), 3);
    }

    #[test]
    fn a_switch_that_waits_for_the_slow_port_blocks() {
        let found = Simulation::new(Device { blocks_head_of_line: true, ..device() }).run(run);
        assert!((found.value("head_of_line_loss") - TOO_MUCH).abs() < 1e-4, "{found:?}");
        assert!(found.notes.iter().any(|note| note.starts_with("Head-of-line blocking: yes")));
    }

    #[test]
    fn a_switch_that_stops_who_sends_presses_back() {
        let found = Simulation::new(Device { presses_back: true, ..device() }).run(run);
        assert_eq!(found.value("head_of_line_loss"), 0.0);
        assert!((found.value("back_pressure") - 0.25).abs() < 1e-4, "{found:?}");
        assert_eq!(found.value("congested_loss"), 0.0);
        assert!(found.notes.iter().any(|note| note.ends_with("back pressure: yes.")));
    }

    #[test]
    fn lines_congest_by_themselves() {
        let device = Device { link_mbits: Some(672), port_capacity: 1e6, capacity: 1e7, ..device() };
        let mut simulation = Simulation::new(device);
        let found = simulation.run(run);
        assert_eq!(simulation.trials(), 1);
        assert!((found.value("congested_forwarding_rate") - 1e6).abs() < 10.0);
        assert_eq!(found.value("head_of_line_loss"), 0.0);
        assert_eq!(found.notes.len(), 1);
    }

    #[test]
    fn loss_that_isnt_of_congestion_is_told() {
        let found = Simulation::new(Device { base_loss: 0.01, ..device() }).run(run);
        assert!(found.notes.iter().any(|note| note.contains("1.0000 % of the frames")), "{:?}", found.notes);
    }
}
