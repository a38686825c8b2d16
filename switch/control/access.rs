//! Who may use the control socket, as the file says and after it says something else.

use std::io::Result;
use std::path::PathBuf;

use pollux_config::{Config, Control, Faults};

use super::follower::{Follower, Then};
use super::{preflight, sockets};

/// A control socket whose permissions follow the file.
pub struct ControlAccess(PathBuf);

impl ControlAccess {
    /// Gives the socket at `path` the mode and the group that `control` says.
    ///
    /// # Errors
    ///
    /// There is no such group, or it isn't the process's to give.
    pub fn grant(path: impl Into<PathBuf>, control: &Control) -> Result<Self> {
        let path = path.into();
        sockets::open_up(&path, Some(control.mode), control.group.as_deref())?;
        Ok(Self(path))
    }
}

impl Follower for ControlAccess {
    fn prepare(&self, old: &Config, new: &Config) -> std::result::Result<Then, Faults> {
        if old.control == new.control {
            return Ok(Box::new(|| ()));
        }
        if let Some(fault) = preflight::control_fault(new) {
            return Err(Faults::from_iter([fault]));
        }
        let (path, Control { mode, group }) = (self.0.clone(), new.control.clone());
        Ok(Box::new(move || {
            if let Err(error) = sockets::open_up(&path, Some(mode), group.as_deref()) {
                tracing::error!("{error}");
            }
        }))
    }
}
