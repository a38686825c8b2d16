//! What most tests begin with: how much the system forwards.

use super::{Context, Found, Seen};
use crate::Result;
use crate::lab::search::{self, Answer, Goal, Interval};
use crate::report::model::{Better, Unit};
use crate::tester::protocol::Stream;

/// A load that comes so near to the highest is the highest.
const AT_MOST: f64 = 0.9999;

/// The share of the highest load that stands in for a throughput of nothing.
const STAND_IN: f64 = 0.5;

/// What came of as many frames as the ports take.
pub(super) struct Most {
    pub(super) seen: Seen,
    /// Frames a second that were offered, and that were forwarded.
    pub(super) offered: f64,
    pub(super) forwarded: f64,
}

/// Sends as many frames as the ports take, which RFC 2285, 3.5.3 calls the maximum offered load.
pub(super) fn most(context: &mut Context<'_>, streams: Vec<Stream>) -> Result<Most> {
    let trial = context.at_rate(streams, f64::INFINITY, context.settings.final_seconds);
    let seen = context.trial("at the highest load", &trial)?;
    let (offered, forwarded) = (seen.outcome.offered_rate(), seen.outcome.forwarding_rate());
    Ok(Most { seen, offered, forwarded })
}

/// A figure of what a search found. Where no load lost frames, the highest was what decided.
pub(super) fn figure(name: &str, interval: &Interval, highest: &Seen) -> Found {
    let found = Found::new(name, Unit::FramesPerSecond, Some(Better::Higher), interval.rate());
    let found = match interval.upper {
        None => found.from(highest),
        Some(_) => Found {
            disturbed: interval.is_disturbed(),
            tester_limited: interval.is_tester_limited(),
            ..found
        },
    };
    // What a rough search found is only roughly what there is.
    Found { disturbed: found.disturbed || interval.is_rough, ..found }
}

/// What the search wants to know of a trial.
fn answer(seen: &Seen) -> Answer {
    Answer { loss: seen.loss(), disturbed: seen.disturbed, tester_limited: seen.tester_limited }
}

/// Asks for a trial of these streams at a rate, of which `most` is as many as the ports take.
pub(super) fn ask(
    context: &mut Context<'_>,
    streams: &[Stream],
    rate: f64,
    most: f64,
    seconds: f64,
) -> Result<Answer> {
    let paced = if rate >= most * AT_MOST { f64::INFINITY } else { rate };
    let trial = context.at_rate(streams.to_vec(), paced, seconds);
    // What only narrows down decides nothing, and isn't worth repeating.
    let seen = match seconds < context.settings.final_seconds {
        true => context.trial_once("narrowing down", &trial)?,
        false => context.trial_for_loss("search", &trial)?,
    };
    Ok(answer(&seen))
}

/// The highest loads that lose no more than these shares of their frames.
pub(super) fn search(
    context: &mut Context<'_>,
    streams: &[Stream],
    most: &Most,
    losses: &[f64],
) -> Result<Vec<Interval>> {
    let settings = context.settings;
    let agreeing = if settings.short { 2.0 } else { 3.0 };
    let goals: Vec<Goal> = losses
        .iter()
        .map(|loss| Goal {
            loss: *loss,
            exceed: 0.5,
            first_seconds: settings.first_seconds,
            final_seconds: settings.final_seconds,
            enough: agreeing * settings.final_seconds,
            width: settings.precision,
        })
        .collect();
    let trials = settings.search_trials();
    let guess = most.forwarded.min(most.offered);
    search::several_goals(most.offered, guess, &goals, trials, |rate, seconds| {
        ask(context, streams, rate, most.offered, seconds)
    })
}

/// Frames a second both ways without loss: what an earlier test found, or a search of its own. Where there is no
/// such rate, half of what is forwarded stands in for it, and a note says so.
pub(super) fn throughput(context: &mut Context<'_>, notes: &mut Vec<String>) -> Result<f64> {
    let streams = context.both_ways();
    let known = match context.throughput {
        Some(rate) => rate,
        None => {
            let most = most(context, streams.clone())?;
            search(context, &streams, &most, &[0.0])?[0].rate()
        }
    };
    if known > 0.0 {
        return Ok(known);
    }
    let most = most(context, streams)?;
    let stand_in = most.forwarded * STAND_IN;
    notes.push(format!(
        "No load was without loss: {stand_in:.0} frames a second, half of the forwarding rate, stands in for the \
         throughput."
    ));
    Ok(stand_in)
}
