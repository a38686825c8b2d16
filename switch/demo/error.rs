use std::io;

/// Why the demo came to no end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The host lacks something; the text says what, and the cure.
    #[error("{0}")]
    Lacks(String),
    /// Something failed; the text says what, and where.
    #[error("{0}")]
    Failed(String),
    /// The switch doesn't start.
    #[error("the switch doesn't start: {0}")]
    Start(#[from] crate::control::StartError),
    /// Standard output is gone.
    #[error("standard output can't be written: {0}")]
    Output(io::Error),
    /// A signal.
    #[error("interrupted: everything that the demo made is removed")]
    Interrupted,
}
