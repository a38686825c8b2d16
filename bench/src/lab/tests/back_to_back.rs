//! The longest burst that is forwarded whole, and the buffer that it fills (RFC 9004).

use std::time::Duration;

use super::load::most;
use super::{Context, Findings, Found, Settings, Test, USUAL};
use crate::Result;
use crate::report::model::{Better, Unit};

pub(super) const BACK_TO_BACK: Test = Test {
    id: "back-to-back",
    title: "Back-to-back frames, and the buffer time",
    standard: "RFC 9004, 6",
    ports: 2,
    run,
    takes,
    ..USUAL
};

/// Seconds of the longest burst (RFC 2544, 26.4: at least two), and in a smoke run.
const LONGEST: f64 = 2.0;
const SHORT_LONGEST: f64 = 0.3;

/// The shortest burst that is tried, and by how much the next is longer until there is loss.
const SHORTEST: u64 = 16;
const GROWTH: u64 = 4;

/// How often the search is repeated (RFC 9004, 6.3), and in a smoke run.
const REPEATS: u32 = 50;
const SHORT_REPEATS: u32 = 3;

fn run(context: &mut Context<'_>) -> Result<Findings> {
    // One direction: what comes the other way would take the device's time, and say nothing of its buffer.
    let streams = vec![context.stream(0, 1)];
    let most = most(context, streams)?;
    if most.forwarded == 0.0 {
        return Ok(Findings::not_done("nothing was forwarded"));
    }
    let (seconds, repeats) = match context.settings.short {
        true => (SHORT_LONGEST, SHORT_REPEATS),
        false => (LONGEST, REPEATS),
    };
    let mut search =
        Search { rate: most.offered, longest: (most.offered * seconds) as u64, disturbed: false };
    if search.is_whole(context, search.longest)? {
        // The throughput is the highest load, and the buffer is never needed (RFC 9004, 5).
        return Ok(Findings::not_done(format!(
            "a burst of {seconds} s at the highest load that the port took was forwarded whole: a buffer that \
             doesn't fill has no time"
        )));
    }
    let bursts = (0..repeats).map(|_| search.run(context)).collect::<Result<Vec<u64>>>()?;
    let average = bursts.iter().sum::<u64>() as f64 / f64::from(repeats);
    let least = bursts.iter().min().copied().unwrap_or(0) as f64;
    let implied = average / most.offered;
    let corrected = implied * (1.0 - most.forwarded / most.offered).max(0.0);
    let figures = [
        Found::new("burst", Unit::Frames, Some(Better::Higher), average),
        Found::new("burst_least", Unit::Frames, Some(Better::Higher), least),
        Found::new("buffer_time", Unit::Seconds, Some(Better::Higher), corrected),
    ];
    let disturbed = search.disturbed;
    let figures = figures.map(|figure| Found { disturbed, ..figure }.from(&most.seen));
    let notes = vec![format!(
        "Mean and least of {repeats} searches, one way, sent at {:.0} frames a second, of which {:.0} were forwarded \
         when it lasted; by these two the buffer time is corrected.",
        most.offered, most.forwarded
    )];
    Ok(Findings { figures: figures.to_vec(), notes, ..Findings::default() })
}

struct Search {
    /// Frames a second that bursts are sent at.
    rate: f64,
    /// Frames that weren't forwarded whole.
    longest: u64,
    disturbed: bool,
}

impl Search {
    /// The longest burst without loss: longer ones until there is loss, then by halving.
    fn run(&mut self, context: &mut Context<'_>) -> Result<u64> {
        let (mut whole, mut lossy) = (0, self.longest);
        let mut frames = SHORTEST;
        while frames < lossy {
            match self.is_whole(context, frames)? {
                true => (whole, frames) = (frames, frames * GROWTH),
                false => lossy = frames,
            }
        }
        let width = |lossy: u64| ((context.settings.precision * lossy as f64) as u64).max(1);
        let precision = width(lossy);
        while lossy - whole > precision {
            let middle = whole.midpoint(lossy);
            *if self.is_whole(context, middle)? { &mut whole } else { &mut lossy } = middle;
        }
        Ok(whole)
    }

    /// Whether a burst came as it was sent.
    fn is_whole(&mut self, context: &mut Context<'_>, frames: u64) -> Result<bool> {
        let mut trial = context.at_rate(vec![context.stream(0, 1)], f64::INFINITY, 0.0);
        trial.streams[0].frames = Some(frames);
        // Twice as long as it should take, as the end of the window ends the burst as well.
        trial.seconds = 2.0 * frames as f64 / self.rate + 0.01;
        trial.warm_up = 0.0;
        let seen = context.trial_for_loss(&format!("{frames} frames"), &trial)?;
        self.disturbed |= seen.disturbed;
        Ok(seen.outcome.streams.iter().all(|stream| stream.received >= frames))
    }
}

fn takes(settings: &Settings) -> Duration {
    let searches = if settings.short { SHORT_REPEATS } else { REPEATS };
    let trials = 6.0 + (f64::from(GROWTH as u32) / settings.precision).log2().ceil();
    settings.trials(2.0, settings.final_seconds) + settings.trials(trials * f64::from(searches), 0.01)
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Device, Simulation};
    use super::*;

    #[test]
    fn the_burst_fills_the_buffer() {
        let device = Device { buffer: 1000.0, ..Device::default() };
        let found = Simulation::new(device).run(run);
        // Sent at 2 M/s and forwarded at 1 M/s, 2000 frames leave 1000 in the buffer.
        let burst = found.value("burst");
        assert!((1900.0..=2001.0).contains(&burst), "{burst}");
        // Which 1 M/s takes a millisecond to forward: half of what the burst takes to be sent.
        let time = found.value("buffer_time");
        assert!((0.00045..=0.00051).contains(&time), "{time}");
    }

    #[test]
    fn a_device_that_is_never_overrun_has_no_buffer_time() {
        let found = Simulation::new(Device { capacity: 1e9, ..Device::default() }).run(run);
        assert!(found.not_done.unwrap().contains("forwarded whole"));
        let found = Simulation::new(Device { capacity: 0.0, ..Device::default() }).run(run);
        assert!(found.not_done.unwrap().contains("nothing"));
    }

    #[test]
    fn a_smoke_run_repeats_less() {
        let device = Device { buffer: 100.0, ..Device::default() };
        let mut simulation = Simulation::new(device.clone());
        simulation.run(run);
        let long = simulation.trials();
        let mut simulation = Simulation::new(device);
        simulation.settings.short = true;
        simulation.run(run);
        assert!(simulation.trials() * 10 < long);
    }
}
