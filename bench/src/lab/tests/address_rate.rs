//! Address learning rate: RFC 2889, 5.8.
//!
//! The switch forgets all addresses, and stations of the learning port send one frame each, so many a second. Then
//! one station of the test port sends a frame to each, slowly. A frame that comes to a third port says that an
//! address wasn't learned. The highest rate at which all are is searched for, beginning at the most that the port
//! takes: a switch that learns whatever it forwards needs no second trial.
//!
//! A switch that learns in the path of its frames can't be made to learn faster than it forwards, so the same frames
//! are sent again once their addresses are known: the two rates side by side say what learning costs.

use super::address_capacity::holds;
use super::addresses::{Forgetting, Roles};
use super::rfc2889::{is_switch, obstacle, ports, seconds};
use super::{Context, Findings, Found, Seen, Settings, Test, USUAL};
use crate::Result;
use crate::report::model::{Better, Unit};
use crate::tester::protocol::{Learn, LearnTo, Rate, Trial};

/// Stations that speak, in parts of the table: whatever the table does when it is nearly full isn't asked here.
const PART: u32 = 2;
const MOST_STATIONS: u32 = 20_000;

/// Frames a second at which they are spoken to afterwards.
const TEST_RATE: f64 = 10_000.0;

/// Frames a second at which a switch that can't learn is given up.
const LEAST_RATE: f64 = 50.0;

/// The relative width at which the search ends, and in a smoke run.
const PRECISION: f64 = 0.05;
const SHORT_PRECISION: f64 = 0.2;

/// Rates are divided by so much until one is found.
const STEP: f64 = 4.0;

const SETTLE: f64 = 0.2;

/// Seconds that are enough to send all, whatever the rate, beside the time that the rate takes.
const SPARE: f64 = 0.5;

/// How often a trial that something disturbed is repeated.
const REPEATS: u32 = 2;

/// How long a switch may take to forget, in a typical trial, and trials of a typical search.
const FORGETTING: f64 = 8.0;
const TRIALS: f64 = 2.0;

pub(crate) const TEST: Test = Test {
    id: "learning",
    title: "Address learning rate",
    standard: "RFC 2889, 5.8",
    ports: 3,
    run,
    takes,
    takes_part: is_switch,
    ..USUAL
};

fn takes(settings: &Settings) -> std::time::Duration {
    seconds(TRIALS * (FORGETTING + 2.0 * (SPARE + settings.drain) + SETTLE + 1.0))
}

/// What came of stations that spoke, and were spoken to.
struct Learned {
    /// Frames a second that they spoke at, as they came.
    rate: f64,
    /// The share that was known afterwards.
    share: f64,
    spoke: Seen,
    asked: Seen,
}

fn run(context: &mut Context<'_>) -> Result<Findings> {
    if let Some(why) = obstacle(context, 3) {
        return Ok(Findings::not_done(why));
    }
    let roles = Roles::of(&ports(context));
    let mut forgetting = match Forgetting::of(context) {
        Ok(forgetting) => forgetting,
        Err(why) => return Ok(Findings::not_done(why)),
    };
    let stations = (context.case.job.fdb_capacity / PART).clamp(1, MOST_STATIONS);
    let at_most = learn(context, roles, &mut forgetting, stations, Rate::Max)?;
    let known = known(context, roles, stations)?;
    let mut notes = vec![format!(
        "{stations} stations spoke once each, which at the most took {:.2} ms: rings hold a part of that.",
        1e3 * f64::from(stations) / at_most.rate.max(1.0)
    )];
    let rate_at_most = at_most.rate;
    let of_most = [
        Found::new("learned_at_most", Unit::Share, Some(Better::Higher), at_most.share),
        Found::new("forwarding_rate_of_new", Unit::FramesPerSecond, Some(Better::Higher), rate_at_most),
    ]
    .map(|found| found.from(&at_most.spoke).from(&at_most.asked));
    let best = if at_most.is_whole() {
        notes.push(
            "All addresses were learned at the most that the port takes: learning is no limit.".to_owned(),
        );
        Some(at_most)
    } else {
        let precision = if context.settings.short { SHORT_PRECISION } else { PRECISION };
        highest(rate_at_most, precision, |rate| {
            let learned = learn(context, roles, &mut forgetting, stations, Rate::Frames(rate))?;
            Ok((learned.is_whole(), learned))
        })?
    };
    let rate = Unit::AddressesPerSecond;
    let learning =
        Found::new("learning_rate", rate, Some(Better::Higher), best.as_ref().map_or(0.0, |b| b.rate));
    let learning = match &best {
        Some(best) => learning.from(&best.spoke).from(&best.asked),
        None => {
            notes.push(format!("Not even at {LEAST_RATE:.0} addresses a second were all of them learned."));
            learning
        }
    };
    let known_rate = known.outcome.streams.first().map_or(0.0, |stream| stream.forwarding_rate);
    let mut figures = vec![learning];
    figures.extend(of_most);
    figures.push(
        Found::new("forwarding_rate_of_known", Unit::FramesPerSecond, Some(Better::Higher), known_rate)
            .from(&known),
    );
    Ok(Findings { figures, notes, ..Findings::default() })
}

impl Learned {
    fn is_whole(&self) -> bool {
        holds(&self.asked)
    }

    fn is_disturbed(&self) -> bool {
        self.spoke.disturbed || self.asked.disturbed
    }
}

/// Has so many stations speak at this rate, and then asks for each. Again if something disturbed that: from the
/// beginning, as stations that spoke are known.
fn learn(
    context: &mut Context<'_>,
    roles: Roles,
    forgetting: &mut Forgetting,
    stations: u32,
    rate: Rate,
) -> Result<Learned> {
    let mut learned = learn_once(context, roles, forgetting, stations, rate)?;
    for _ in 0..context.settings.repeats.min(REPEATS) {
        if !learned.is_disturbed() || learned.is_whole() {
            break;
        }
        learned = learn_once(context, roles, forgetting, stations, rate)?;
    }
    Ok(learned)
}

fn learn_once(
    context: &mut Context<'_>,
    roles: Roles,
    forgetting: &mut Forgetting,
    stations: u32,
    rate: Rate,
) -> Result<Learned> {
    forgetting.forget(context)?;
    let spoke = context.trial_once("stations speak", &speaking(context, roles, stations, rate))?;
    let asked = Trial {
        streams: vec![roles.test(context, stations, TEST_RATE)],
        learn: None,
        ..trial(context, f64::from(stations) / TEST_RATE)
    };
    let asked = context.trial_once("stations are asked for", &asked)?;
    let came = spoke.outcome.streams.first().map_or(0.0, |stream| stream.forwarding_rate);
    let unknown = asked.outcome.streams.first().map_or(0, |stream| {
        let flooded = stream.leaked.values().copied().max().unwrap_or(0);
        flooded.max(stream.lost)
    });
    let share = 1.0 - unknown.min(stations.into()) as f64 / f64::from(stations);
    Ok(Learned { rate: came, share, spoke, asked })
}

/// The same frames once their addresses are known.
fn known(context: &mut Context<'_>, roles: Roles, stations: u32) -> Result<Seen> {
    let trial = speaking(context, roles, stations, Rate::Max);
    context.trial("known stations speak", &trial)
}

/// The station that they speak to makes itself known first, so that nothing is flooded.
fn speaking(context: &Context<'_>, roles: Roles, stations: u32, rate: Rate) -> Trial {
    let takes = match rate {
        Rate::Max => SPARE,
        Rate::Frames(rate) => f64::from(stations) / rate + SPARE,
    };
    Trial {
        streams: vec![roles.learn(context, stations, rate)],
        learn: Some(Learn { rate: TEST_RATE, repeats: 1, settle: SETTLE, to: LearnTo::Sender }),
        ..trial(context, takes)
    }
}

fn trial(context: &Context<'_>, seconds: f64) -> Trial {
    Trial { warm_up: 0.0, ..context.at_rate(Vec::new(), 0.0, seconds) }
}

/// The highest rate below `most` for which something is true, and what was found there.
fn highest<T>(most: f64, precision: f64, mut at: impl FnMut(f64) -> Result<(bool, T)>) -> Result<Option<T>> {
    let (mut good, mut bad) = (0.0, most);
    let mut best = None;
    while bad > LEAST_RATE && (best.is_none() || bad - good > precision * bad) {
        let rate = if best.is_none() { (bad / STEP).max(LEAST_RATE) } else { (good * bad).sqrt() };
        match at(rate)? {
            (true, found) => (good, best) = (rate, Some(found)),
            (false, _) => bad = rate,
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::simulated::{Device, Simulation};

    fn device() -> Device {
        Device { ports: 4, fdb: 4096, learns: f64::INFINITY, ..Device::default() }
    }

    #[test]
    fn who_learns_what_it_forwards_needs_one_trial() {
        let mut simulation = Simulation::new(device());
        let found = simulation.run(run);
        assert_eq!(found.value("learned_at_most"), 1.0);
        assert_eq!(found.value("learning_rate"), found.value("forwarding_rate_of_known"));
        assert_eq!(found.value("forwarding_rate_of_new"), found.value("learning_rate"));
        assert_eq!(simulation.trials(), 3);
        assert!(found.notes[1].contains("no limit"), "{:?}", found.notes);
    }

    #[test]
    fn who_learns_slowly_is_found_out() {
        let found = Simulation::new(Device { learns: 12_345.0, ..device() }).run(run);
        let rate = found.value("learning_rate");
        assert!((11_700.0..=12_345.0).contains(&rate), "{rate}");
        let share = found.value("learned_at_most");
        assert!(share < 0.05, "{share}");
        assert!(found.value("forwarding_rate_of_known") > 500_000.0);
    }

    #[test]
    fn who_learns_nothing_is_given_up() {
        let found = Simulation::new(Device { learns: 0.0, ..device() }).run(run);
        assert_eq!(found.value("learning_rate"), 0.0);
        assert!(found.notes[1].contains("Not even"), "{:?}", found.notes);
    }

    #[test]
    fn a_smoke_run_is_content_with_less() {
        let mut simulations = [false, true].map(|short| {
            let mut simulation = Simulation::new(Device { learns: 12_345.0, ..device() });
            simulation.settings.short = short;
            simulation.run(run);
            simulation.trials()
        });
        simulations.sort_unstable();
        assert!(simulations[0] < simulations[1]);
    }

    #[test]
    fn rates_are_bracketed_first() {
        let mut tried = Vec::new();
        let found = highest(1e6, 0.05, |rate| {
            tried.push(rate);
            Ok((rate <= 30_000.0, rate))
        });
        assert_eq!(&tried[..3], &[250_000.0, 62_500.0, 15_625.0]);
        let found = found.unwrap().unwrap();
        assert!((28_500.0..=30_000.0).contains(&found), "{found}");
        assert_eq!(highest(1e6, 0.05, |rate| Ok((false, rate))).unwrap(), None);
        assert_eq!(highest(40.0, 0.05, |rate| Ok((true, rate))).unwrap(), None);
    }
}
