//! Address caching capacity: RFC 2889, 5.7.
//!
//! The switch forgets all addresses. Then each station of the learning port sends one frame, slowly, and one station
//! of the test port a frame to each of them. While the table holds them all, each frame comes to the learning port
//! alone; a frame that comes to a third port was flooded, as its station had been forgotten. How many stations that
//! takes is searched for, beginning at what the configuration says.
//!
//! The test port's station is in the table too, so a table of a thousand entries holds 999 stations of the learning
//! port. The figure counts both.

use super::addresses::{Forgetting, Roles, configured};
use super::rfc2889::{is_switch, obstacle, ports, seconds};
use super::{Context, Findings, Found, Seen, Settings, Test, USUAL};
use crate::Result;
use crate::report::model::{Better, Unit};
use crate::tester::protocol::{Learn, LearnTo, Trial};

/// Stations of the test port.
const TEST_STATIONS: u32 = 1;

/// Seconds in which the stations speak, and in which they are spoken to, and in a smoke run.
const PHASE: f64 = 10.0;
const SHORT_PHASE: f64 = 1.0;

/// Frames a second of both, at least (which the standard says surely is slow enough) and at most.
const LEAST_RATE: f64 = 50.0;
const MOST_RATE: f64 = 5_000.0;

/// Seconds until what was sent last is surely learned.
const SETTLE: f64 = 0.2;

/// Entries of the table that is measured: whether a table holds as many as it was set to doesn't depend on how many
/// those are, but how long it takes to say so does.
const LARGEST_TABLE: u32 = 4096;

/// Where the search gives up, in parts of the configured size.
const MOST: u32 = 2;

/// How long a switch may take to forget, in a typical trial, and trials of a typical search.
const FORGETTING: f64 = 8.0;
const TRIALS: f64 = 3.0;

pub(crate) const TEST: Test = Test {
    id: "addresses",
    title: "Address caching capacity",
    standard: "RFC 2889, 5.7",
    ports: 3,
    run,
    takes,
    takes_part: is_switch,
    job: Some(|job| job.fdb_capacity = job.fdb_capacity.min(LARGEST_TABLE)),
    ..USUAL
};

fn takes(settings: &Settings) -> std::time::Duration {
    seconds(TRIALS * (FORGETTING + 2.0 * phase(settings) + SETTLE + settings.drain))
}

fn phase(settings: &Settings) -> f64 {
    if settings.short { SHORT_PHASE } else { PHASE }
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
    let capacity = context.case.job.fdb_capacity;
    let mut disturbed = false;
    let start = capacity.saturating_sub(TEST_STATIONS).max(1);
    let (held, most) = highest(start, capacity.saturating_mul(MOST), |stations| {
        forgetting.forget(context)?;
        let mut seen = try_stations(context, roles, stations)?;
        // What is found or flooded is, whatever disturbs; what is lost may be somebody else's loss.
        for _ in 0..context.settings.repeats {
            if holds(&seen) || is_flooded(&seen) || !seen.disturbed {
                break;
            }
            forgetting.forget(context)?;
            seen = try_stations(context, roles, stations)?;
        }
        let all_held = holds(&seen);
        disturbed |= !all_held && seen.disturbed && !is_flooded(&seen);
        Ok(all_held)
    })?;
    let staying = forgetting.staying();
    let found = f64::from(held) + f64::from(if held > 0 { TEST_STATIONS } else { 0 }) + staying as f64;
    let mut figure =
        Found { disturbed, ..Found::new("address_capacity", Unit::Addresses, Some(Better::Higher), found) };
    let mut notes = vec![format!(
        "{held} stations of one port were known at once, beside {TEST_STATIONS} of the port that asked for them; \
         they spoke at {:.0} frames a second.",
        rate(context.settings, held)
    )];
    if staying > 0 {
        notes.push(format!("{staying} more addresses stayed in the table whatever it was told to forget."));
    }
    match configured(context) {
        Some(configured) => {
            notes.extend(against(found, configured));
            figure = figure.expecting(configured.into());
        }
        None => notes.push("The system has no limit that was set.".to_owned()),
    }
    if most {
        notes.push("It was not looked further: the capacity is at least that.".to_owned());
    }
    Ok(Findings { figures: vec![figure], notes, ..Findings::default() })
}

fn rate(settings: &Settings, stations: u32) -> f64 {
    (f64::from(stations) / phase(settings)).clamp(LEAST_RATE, MOST_RATE)
}

/// Has so many stations speak, and then be spoken to.
fn try_stations(context: &mut Context<'_>, roles: Roles, stations: u32) -> Result<Seen> {
    let rate = rate(context.settings, stations);
    let trial = Trial {
        streams: vec![roles.test(context, stations, rate)],
        learn: Some(Learn { rate, repeats: 1, settle: SETTLE, to: LearnTo::Sender }),
        warm_up: 0.0,
        ..context.at_rate(Vec::new(), rate, f64::from(stations) / rate)
    };
    context.trial_once(&format!("{stations} addresses"), &trial)
}

/// Whether each frame came where it belongs, and nowhere else.
pub(super) fn holds(seen: &Seen) -> bool {
    seen.outcome
        .streams
        .iter()
        .all(|stream| stream.lost == 0 && stream.leaked.values().all(|&frames| frames == 0))
}

/// Whether a frame came to a port where it doesn't belong.
fn is_flooded(seen: &Seen) -> bool {
    seen.outcome.streams.iter().any(|stream| stream.leaked.values().any(|&frames| frames > 0))
}

/// What the figure says about the configuration.
fn against(found: f64, configured: u32) -> Option<String> {
    let configured = f64::from(configured);
    let off = found - configured;
    if off == 0.0 {
        None
    } else if off > 0.0 {
        Some(format!("That is {off:.0} more than the configured {configured:.0}."))
    } else {
        Some(format!(
            "That is {:.0} fewer than the configured {configured:.0} ({:.2} %): the figure is where the first of \
             them was forgotten, not where no room was left.",
            -off,
            -100.0 * off / configured
        ))
    }
}

/// The highest number up to `most` for which something holds, and whether it was `most`. The search begins at
/// `start`, looks at what is next to it, and then farther and farther away.
fn highest(start: u32, most: u32, mut holds: impl FnMut(u32) -> Result<bool>) -> Result<(u32, bool)> {
    let start = start.min(most);
    let (mut good, mut bad) = (0, most + 1);
    let mut step = 1;
    let mut next = start;
    while bad - good > 1 {
        match holds(next)? {
            true => good = next,
            false => bad = next,
        }
        let bounded = good > 0 && bad <= most;
        next = match (bounded, bad <= most) {
            (true, _) => good + (bad - good) / 2,
            (false, true) => bad.saturating_sub(step).max(1),
            (false, false) => good.saturating_add(step).min(most),
        };
        step = step.saturating_mul(2);
    }
    Ok((good, good == most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tests::simulated::{Device, Simulation};
    use crate::systems::Kind;

    fn device(fdb: u32) -> Device {
        Device { ports: 4, fdb, ..Device::default() }
    }

    #[test]
    fn a_table_as_large_as_configured_takes_two_trials() {
        for fdb in [2, 100, 4096] {
            let mut simulation = Simulation::new(device(fdb));
            let found = simulation.run(run);
            assert_eq!(found.value("address_capacity"), f64::from(fdb));
            assert_eq!(found.figures[0].expected, Some(f64::from(fdb)));
            assert_eq!((simulation.trials(), found.notes.len()), (2, 1), "{:?}", found.notes);
        }
    }

    #[test]
    fn a_table_of_another_size_is_found() {
        for (fdb, configured) in [(90, 100), (1, 100), (150, 100), (101, 100), (99, 100), (3000, 4096)] {
            let mut simulation = Simulation::new(device(fdb));
            simulation.case.job.fdb_capacity = configured;
            let found = simulation.run(run);
            let value = found.value("address_capacity");
            // With room for one address the test port's own takes the place of any other.
            let expected = if fdb == 1 { 0.0 } else { f64::from(fdb) };
            assert_eq!(value, expected, "{configured}");
            assert!(found.notes[1].contains("than the configured"), "{:?}", found.notes);
        }
    }

    #[test]
    fn a_table_without_end_is_given_up() {
        let mut simulation = Simulation::new(device(1000));
        simulation.case.job.fdb_capacity = 100;
        simulation.case.system = Kind::Bridge;
        let found = simulation.run(run);
        assert_eq!(found.value("address_capacity"), 201.0);
        assert_eq!(found.figures[0].expected, None);
        assert!(found.notes.iter().any(|note| note.contains("at least")));
    }

    #[test]
    fn too_few_ports_see_no_flood() {
        assert!(Simulation::new(Device::default()).run(run).not_done.is_some());
    }

    #[test]
    fn what_cannot_be_told_to_forget_has_to_age() {
        let mut simulation = Simulation::new(Device { is_controlled: false, ..device(100) });
        assert!(simulation.run(run).not_done.unwrap().contains("ageing time"));
        simulation.case.job.ageing_seconds = 10;
        assert!(matches!(Forgetting::of(&mut simulation.context()), Ok(Forgetting::Ageing(_))));
    }

    #[test]
    fn numbers_are_found_from_any_start() {
        for limit in 0..40_u32 {
            for start in 1..=32 {
                let mut trials = 0;
                let found = highest(start, 32, |number| {
                    assert!((1..=32).contains(&number));
                    trials += 1;
                    Ok(number <= limit)
                });
                assert_eq!(found.unwrap(), (limit.min(32), limit >= 32), "{limit} from {start}");
                assert!(trials <= 12, "{limit} from {start}: {trials}");
            }
        }
        assert_eq!(highest(500, 1000, |number| Ok(number <= 500)).unwrap(), (500, false));
    }
}
