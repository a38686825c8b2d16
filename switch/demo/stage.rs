//! Where scenes play: the switch is watched over, signals are seen and rates shown while something
//! else is awaited.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::rates::{Flow, Sample};
use super::{DemoError, Screen};
use crate::control::{KnownAddress, Stopped, Switch};

/// How often what is awaited is looked at.
const PATIENCE: Duration = Duration::from_millis(20);

/// How often rates are shown.
const LIVE: Duration = Duration::from_millis(500);

pub(super) struct Stage<'a> {
    switch: Switch,
    screen: &'a mut Screen,
    stop: &'a AtomicBool,
    /// What the rates shown last went up to.
    shown: Sample,
}

impl<'a> Stage<'a> {
    pub(super) fn new(switch: Switch, screen: &'a mut Screen, stop: &'a AtomicBool) -> Self {
        let shown = sample(&switch);
        Self { switch, screen, stop, shown }
    }

    /// Announces a scene, and begins to count for it.
    pub(super) fn begin(&mut self, text: &str) -> Result<Sample, DemoError> {
        self.screen.text(text)?;
        self.shown = sample(&self.switch);
        Ok(self.shown.clone())
    }

    /// What the switch sent since a scene began.
    pub(super) fn sent_since(&self, begin: &Sample) -> Flow {
        sample(&self.switch).sent_since(begin)
    }

    /// Waits until `look` finds what it looks for, for `longest` at most.
    pub(super) fn wait<T>(
        &mut self,
        scene: &str,
        longest: Duration,
        mut look: impl FnMut() -> Result<Option<T>, DemoError>,
    ) -> Result<T, DemoError> {
        let end = Instant::now() + longest;
        loop {
            if self.stop.load(Ordering::SeqCst) {
                return Err(DemoError::Interrupted);
            }
            if let Some(found) = look()? {
                return Ok(found);
            }
            let now = Instant::now();
            if now >= end {
                let seconds = longest.as_secs();
                return Err(DemoError::Failed(format!("{scene}: not done after {seconds} s, and given up")));
            }
            if now - self.shown.at >= LIVE {
                let sample = sample(&self.switch);
                self.screen.live(&format!("{scene}: {}", sample.line(&self.shown)))?;
                self.shown = sample;
            }
            self.switch.watch(now + PATIENCE);
        }
    }

    /// Stops the switch. Returns what became of it, and the addresses that it knew.
    pub(super) fn close(self) -> (Stopped, Vec<KnownAddress>) {
        let addresses = self.switch.addresses();
        (self.switch.stop(), addresses)
    }
}

fn sample(switch: &Switch) -> Sample {
    Sample { at: Instant::now(), totals: switch.totals() }
}
