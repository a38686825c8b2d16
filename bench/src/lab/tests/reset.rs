//! How long no frame is forwarded when the system is started anew: in order, and after SIGKILL (RFC 6201).

use std::time::Duration;

use super::context::UNDISTURBED;
use super::intervals::{coarsen, curve, received};
use super::load::throughput;
use super::{Context, Findings, Found, Settings, Test, USUAL};
use crate::host::interrupt;
use crate::report::model::{Better, Unit};
use crate::systems::{PortKind, System};
use crate::tester::protocol::Trial;
use crate::{BenchError, Result};

pub(super) const RESET: Test = Test {
    id: "reset",
    title: "Time without frames around a restart, and a SIGKILL",
    standard: "RFC 6201, 4.2",
    ports: 2,
    run,
    takes,
    outlives: true,
    ..USUAL
};

/// Of the throughput: the rate at which the time is measured, so that what is missed isn't loss by overload.
const LOAD: f64 = 0.5;

/// Frames a second at most: more would make the time no more exact.
const MOST: f64 = 100_000.0;

const INTERVAL: f64 = 0.001;

/// How long a system may take to forward before it is reset.
const BACK: Duration = Duration::from_secs(30);

/// Seconds of the window before the reset.
const BEFORE: f64 = 0.5;

/// Seconds of the window, in which the system has to be back.
const WINDOW: f64 = 30.0;
const SHORT_WINDOW: f64 = 4.0;

type Reset = fn(&mut dyn System) -> Result<()>;

const RESETS: [(&str, &str, Reset); 2] = [
    ("restart", "a restart in order", |system| system.restart()),
    ("crash", "a SIGKILL", |system| system.crash_and_start()),
];

fn run(context: &mut Context<'_>) -> Result<Findings> {
    let is_vhost = |kind: &PortKind| matches!(kind, PortKind::Vhost { listens: true, .. });
    if context.case.job.ports.iter().any(|port| is_vhost(&port.kind)) {
        return Ok(Findings::not_done(
            "the tester's front ends end with the switch that they are connected to: measured where ports outlive it",
        ));
    }
    let mut findings = Findings::default();
    let throughput = throughput(context, &mut findings.notes)?;
    if throughput == 0.0 {
        return Ok(Findings::not_done("nothing was forwarded"));
    }
    let rate = (LOAD * throughput).min(MOST);
    for (name, words, reset) in RESETS {
        // Who hasn't come back from one reset would be measured with the next.
        context.bed.tester.greet(BACK)?;
        measure(context, &mut findings, (name, words, reset), rate)?;
    }
    Ok(findings)
}

fn measure(
    context: &mut Context<'_>,
    findings: &mut Findings,
    (name, words, reset): (&str, &str, Reset),
    rate: f64,
) -> Result<()> {
    let seconds = if context.settings.short { SHORT_WINDOW } else { WINDOW };
    let trial = Trial { interval: Some(INTERVAL), ..context.at_rate(context.both_ways(), rate, seconds) };
    let begins = trial.takes().as_secs_f64() - trial.seconds - trial.drain;
    let until = Duration::from_secs_f64(begins + BEFORE);
    let (seen, done) = context.during(words, &trial, |system| {
        interrupt::sleep(until)?;
        // The trial is waited for in any case, so what comes of it is for later.
        Ok(reset(system))
    })?;
    match done {
        Err(BenchError::Unsupported(why)) => {
            findings.notes.push(format!("There is no such thing as {words} of this system: {why}."));
            context.trials.pop();
            return Ok(());
        }
        other => other?,
    }
    let received = received(&seen.outcome);
    let window = ((seconds / INTERVAL) as usize).min(received.len());
    let each = rate * INTERVAL;
    match outage(&received[..window], each) {
        Some(time) => {
            let figure = Found::new(format!("{name}_time"), Unit::Seconds, Some(Better::Lower), time);
            // What polls for a system isn't there while it is started: its share says nothing here.
            let disturbed = seen.outcome.tester.cpu_share < UNDISTURBED;
            findings.figures.push(Found { disturbed, ..figure });
            let lost: u64 = seen.outcome.streams.iter().map(|stream| stream.lost).sum();
            let figure = Found::new(format!("{name}_lost"), Unit::Frames, None, lost as f64);
            findings.figures.push(Found { disturbed, ..figure });
        }
        None => findings.notes.push(format!("{seconds} s after {words}, frames weren't forwarded again.")),
    }
    findings.curves.push(curve(context, &format!("received_{name}"), INTERVAL, &received[..window]));
    if let Some(record) = context.trials.last_mut() {
        coarsen(record);
    }
    Ok(())
}

/// Seconds of the longest time in which nothing came, to an interval; `None` if it lasts to the end. Where `each`
/// frames are due in an interval, fewer than one in ten of them are nothing: a few may be of what was on its way.
fn outage(received: &[u64], each: f64) -> Option<f64> {
    let is_dark = |came: &u64| *came as f64 <= each / 10.0;
    let mut longest = 0;
    let mut run = 0;
    for came in received {
        run = if is_dark(came) { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    (run < longest || longest == 0).then_some(longest as f64 * INTERVAL)
}

fn takes(settings: &Settings) -> Duration {
    settings.trials(RESETS.len() as f64, if settings.short { SHORT_WINDOW } else { WINDOW })
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Device, Simulation};
    use super::*;

    fn simulation(device: Device) -> Simulation {
        let mut simulation = Simulation::new(device);
        simulation.settings.short = true;
        for port in &mut simulation.case.job.ports {
            port.kind = PortKind::Interface(port.name.clone());
        }
        simulation
    }

    #[test]
    fn both_resets_are_timed() {
        let device = Device { restart_takes: Some(0.3), crash_takes: Some(1.2), ..Device::default() };
        let found = simulation(device).run(run);
        assert!((found.value("restart_time") - 0.3).abs() < 0.01, "{found:?}");
        assert!((found.value("crash_time") - 1.2).abs() < 0.01, "{found:?}");
        assert_eq!(found.curves.len(), 2);
    }

    #[test]
    fn what_cannot_be_killed_has_the_other_time() {
        let found = simulation(Device { crash_takes: None, ..Device::default() }).run(run);
        assert_eq!(found.figures.len(), 2);
        assert!(found.notes[0].contains("a SIGKILL"), "{found:?}");
    }

    #[test]
    fn front_ends_that_end_with_the_switch_say_so() {
        let found = Simulation::new(Device::default()).run(run);
        assert!(found.not_done.unwrap().contains("front ends"));
    }

    #[test]
    fn the_longest_dark_time_counts() {
        let mut received = vec![100; 1000];
        received[10..20].fill(0);
        received[500..700].fill(3);
        assert_eq!(outage(&received, 100.0), Some(0.2));
        assert_eq!(outage(&[100; 10], 100.0), Some(0.0));
        assert_eq!(outage(&[100, 0, 0], 100.0), None);
    }
}
