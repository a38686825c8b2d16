//! What changes of a system that forwards cost its forwarding: addresses that come and go, and a setting.

use std::time::{Duration, Instant};

use pollux_net::Mac;

use super::load::most;
use super::{Context, Findings, Found, Settings, Test, USUAL};
use crate::Result;
use crate::host::interrupt;
use crate::report::model::{Better, Unit};
use crate::systems::Control;

pub(super) const COUPLING: Test = Test {
    id: "coupling",
    title: "Forwarding while the system is changed",
    standard: "RFC 8204 (coupling of control path and data path)",
    ports: 2,
    run,
    takes,
    ..USUAL
};

/// Of the forwarding rate at the highest load.
const LOAD: f64 = 0.5;

/// Changes a second that are tried.
const CHANGES: f64 = 200.0;

/// Seconds of each of the two trials.
const SECONDS: f64 = 30.0;
const SHORT_SECONDS: f64 = 2.0;

/// The addresses that come and go: of no station here, from a block for documentation (RFC 9542, 2.1.2).
const ADDRESSES: u64 = 64;
const FIRST: Mac = Mac::new([0x00, 0x00, 0x5e, 0x00, 0x53, 0x00]);

fn run(context: &mut Context<'_>) -> Result<Findings> {
    let Some(mut control) = context.bed.system.control() else {
        return Ok(Findings::not_done("this system can't be changed while it runs"));
    };
    let forwarded = most(context, context.both_ways())?.forwarded;
    if forwarded == 0.0 {
        return Ok(Findings::not_done("nothing was forwarded"));
    }
    let rate = LOAD * forwarded;
    let trial = context.at_rate(context.both_ways(), rate, seconds(context.settings));
    let alone = context.trial("left alone", &trial)?;
    let begins = Duration::from_secs_f64(trial.takes().as_secs_f64() - trial.seconds - trial.drain);
    let window = Duration::from_secs_f64(trial.seconds);
    let (changed, changes) = context.during("while it is changed", &trial, |_| {
        interrupt::sleep(begins)?;
        change(control.as_mut(), window)
    })?;
    // By what was asked of the tester and what it could send: it shares its CPU with whoever changes the system.
    let ratio = (1.0 - changed.loss()) / (1.0 - alone.loss()).max(f64::MIN_POSITIVE);
    let a_second = changes as f64 / window.as_secs_f64();
    let figures = vec![
        Found::new("loss", Unit::Share, Some(Better::Lower), changed.loss()).from(&changed),
        Found::new("loss_left_alone", Unit::Share, Some(Better::Lower), alone.loss()).from(&alone),
        Found::new("forwarding_ratio", Unit::Share, Some(Better::Higher), ratio).from(&changed).from(&alone),
        Found::new("changes_per_second", Unit::ChangesPerSecond, Some(Better::Higher), a_second),
    ];
    let notes = vec![format!(
        "Up to {CHANGES:.0} changes a second, in turn a static address that comes, one that goes, and a setting; fewer \
         where whoever asks, and whoever is asked, share a CPU with the tester."
    )];
    Ok(Findings { figures, notes, ..Findings::default() })
}

/// Changes for so long, at the rate, or as fast as it takes them. How many there were.
fn change(control: &mut dyn Control, window: Duration) -> Result<u64> {
    let start = Instant::now();
    let mut turn = 0;
    while start.elapsed() < window {
        let address = Mac::from_u64(FIRST.as_u64() + turn / 3 % ADDRESSES);
        match turn % 3 {
            0 => control.set_entry(0, address, true)?,
            1 => control.set_entry(0, address, false)?,
            _ => control.change_setting(turn / 3)?,
        }
        turn += 1;
        let due = Duration::from_secs_f64(turn as f64 / CHANGES);
        interrupt::sleep(due.min(window).saturating_sub(start.elapsed()))?;
    }
    // What came is to be gone.
    if turn % 3 == 1 {
        control.set_entry(0, Mac::from_u64(FIRST.as_u64() + turn / 3 % ADDRESSES), false)?;
    }
    Ok(turn)
}

fn seconds(settings: &Settings) -> f64 {
    if settings.short { SHORT_SECONDS } else { SECONDS }
}

fn takes(settings: &Settings) -> Duration {
    settings.trials(1.0, settings.final_seconds) + settings.trials(2.0, seconds(settings))
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Device, Simulation};
    use super::*;

    fn found(device: Device) -> Findings {
        let mut simulation = Simulation::new(device);
        simulation.settings.short = true;
        simulation.run(run)
    }

    #[test]
    fn changes_that_cost_nothing() {
        let found = found(Device::default());
        assert_eq!(found.value("loss"), 0.0);
        assert!((found.value("forwarding_ratio") - 1.0).abs() < 1e-6);
        let changes = found.value("changes_per_second");
        // More than a few, however busy this host is, and never more than the rate.
        assert!(changes > 1.0 && changes <= CHANGES * 1.01, "{changes}");
    }

    #[test]
    fn changes_that_stop_the_forwarding() {
        let found = found(Device { change_costs: 0.01, ..Device::default() });
        let ratio = found.value("forwarding_ratio");
        assert!(found.value("changes_per_second") < 60.0 || ratio < 1.0, "{ratio}");
        assert!((found.value("loss") - (1.0 - ratio)).abs() < 1e-3);
        assert_eq!(found.value("loss_left_alone"), 0.0);
    }
}
