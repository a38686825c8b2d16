//! What looks at frames: captures and mirrors.

use std::os::fd::OwnedFd;

use pollux_engine::Snapshot;

use super::capture::{CaptureError, CaptureRequest, CaptureState, Captures, Ending};
use super::mirrors::{LiveMirror, MirrorState};
use super::ports::LivePort;
use super::{ReconfigureError, Switch};
use crate::worker::DpdkPlatform;

/// All of it.
#[derive(Default)]
pub(super) struct Taps {
    pub(super) captures: Captures,
    pub(super) mirrors: Vec<LiveMirror>,
}

impl Taps {
    /// A snapshot in which workers see it.
    pub(super) fn add_to(
        &self,
        snapshot: Snapshot<DpdkPlatform>,
        ports: &[LivePort],
    ) -> Snapshot<DpdkPlatform> {
        let mirrors = self.mirrors.iter().filter_map(|mirror| mirror.of(ports));
        snapshot.with_taps(self.captures.seen(), mirrors.collect())
    }
}

/// Why a capture doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartCaptureError {
    /// It can't be had.
    #[error(transparent)]
    Refused(#[from] CaptureError),
    /// A worker doesn't answer.
    #[error(transparent)]
    Stuck(#[from] ReconfigureError),
}

impl Switch {
    /// Starts a capture into `file`, which is in the workers' sight when this returns.
    ///
    /// # Errors
    ///
    /// See [`CaptureError`]; a worker doesn't answer.
    pub fn start_capture(
        &mut self,
        request: CaptureRequest,
        file: OwnedFd,
    ) -> Result<CaptureState, StartCaptureError> {
        let workers = self.sockets.len();
        let state = self.taps.captures.start(&self.eal, request, file, &self.ports, workers)?;
        self.publish()?;
        Ok(state)
    }

    /// Takes a capture out of the workers' sight; without a name, the only one. What it has is still to be
    /// written.
    ///
    /// # Errors
    ///
    /// There is none, or it isn't clear which; a worker doesn't answer.
    pub fn stop_capture(&mut self, name: Option<&str>) -> Result<Ending, StartCaptureError> {
        let ending = self.taps.captures.stop(name)?;
        self.publish()?;
        Ok(ending)
    }

    /// The captures that run, and those that have ended and weren't stopped yet.
    pub fn captures(&self) -> Vec<CaptureState> {
        self.taps.captures.states()
    }

    /// The mirrors, in the file's order.
    pub fn mirrors(&self) -> Vec<MirrorState> {
        self.taps.mirrors.iter().map(LiveMirror::state).collect()
    }

    /// Takes captures that have ended out of the workers' sight.
    pub(super) fn look_at_captures(&mut self) {
        if self.taps.captures.hide_ended() {
            let tables = super::snapshot(&self.config, &self.ports, &[], &self.taps);
            self.shared.publish(tables, self.rest_plans());
        }
    }
}
