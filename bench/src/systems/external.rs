//! A device that runs already: nothing here starts, asks or stops it.

use std::time::Duration;

use super::{Control, Job, PortCounters, PortKind, System};
use crate::{BenchError, Result};

pub(super) struct External {
    ports: usize,
}

pub(super) fn supports(job: &Job) -> Result<(), String> {
    match job.ports.iter().find(|port| !matches!(port.kind, PortKind::Device(_))) {
        Some(_) => Err("it is beyond NICs: name the tester's, and a topology of phy".to_owned()),
        None => Ok(()),
    }
}

impl External {
    pub(super) fn new(job: &Job) -> Self {
        Self { ports: job.ports.len() }
    }
}

impl System for External {
    fn counters(&mut self) -> Result<Vec<PortCounters>> {
        Ok(vec![PortCounters::default(); self.ports])
    }

    fn worker_time(&self) -> Result<Option<Duration>> {
        Ok(None)
    }

    fn workers(&self) -> Result<Vec<u32>> {
        Ok(Vec::new())
    }

    fn crash_and_start(&mut self) -> Result<()> {
        let what =
            "the external device was not started here, so it isn't killed here either: pull its plug by hand";
        Err(BenchError::Unsupported(what.to_owned()))
    }

    fn restart(&mut self) -> Result<()> {
        let what = "the external device was not started here, so it isn't started anew here either";
        Err(BenchError::Unsupported(what.to_owned()))
    }

    fn control(&mut self) -> Option<Box<dyn Control>> {
        None
    }

    fn settings(&self) -> Vec<(String, String)> {
        vec![("set up by".to_owned(), "whoever runs it".to_owned())]
    }

    fn stop(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
