//! What beside the switch follows the file.

use pollux_config::{Config, Faults};

/// What a [`Follower`] has got ready to do.
pub type Then = Box<dyn FnOnce()>;

/// What beside the switch follows the file, such as where its numbers are served.
pub trait Follower {
    /// Gets ready for `new` in place of `old`. What it returns is called when the switch has become what `new`
    /// says; if it is dropped instead, all is as before.
    ///
    /// # Errors
    ///
    /// What is in the way, at its place in the file.
    fn prepare(&self, old: &Config, new: &Config) -> Result<Then, Faults>;

    /// Whether it could become ready for `new`. Changes nothing.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    fn check(&self, old: &Config, new: &Config) -> Result<(), Faults> {
        self.prepare(old, new).map(drop)
    }
}
