//! A test bed: a system under test and a tester, connected.

use crate::Result;
use crate::systems::System;
use crate::tester::protocol::{Outcome, Ready, Trial};

/// Who sends and receives. The real one is a process; tests have one that knows how a device would behave.
pub(crate) trait Tester {
    fn ready(&self) -> &Ready;

    /// Until each port received from each other.
    fn greet(&mut self, patience: std::time::Duration) -> Result<()>;

    /// Asks for a trial, and returns at once.
    fn begin(&mut self, trial: &Trial) -> Result<()>;

    /// Waits for the outcome of the trial that was begun.
    fn finish(&mut self) -> Result<Outcome>;

    /// A trial from beginning to end.
    fn trial(&mut self, trial: &Trial) -> Result<Outcome> {
        self.begin(trial)?;
        self.finish()
    }
}

/// What a test measures with.
pub(crate) struct Bed {
    /// Before the tester, whose ports may be connected to it: fields are dropped in their order.
    pub(crate) tester: Box<dyn Tester>,
    pub(crate) system: Box<dyn System>,
    /// What carries frames from one to the other: namespaces, cables, VMs that forward.
    pub(crate) wires: Box<dyn Send>,
}
