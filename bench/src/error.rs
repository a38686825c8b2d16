use std::fmt::Display;
use std::io;
use std::path::Path;

/// Why a measurement came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// Arguments that make no sense.
    #[error("{0}")]
    Input(String),
    /// The host lacks something; the text says what, and the cure.
    #[error("{0}")]
    Host(String),
    /// A process that was started failed.
    #[error("{who}: {what}")]
    Process {
        /// The process.
        who: String,
        /// What it did, and what it said last.
        what: String,
    },
    /// A file or another thing of the operating system.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// DPDK, in the load generator.
    #[error(transparent)]
    Dpdk(#[from] dpdk::Error),
    /// What was asked for is nothing that this one can do; the text says who, and why.
    #[error("{0}")]
    Unsupported(String),
    /// Criteria were missed, and whoever asked wanted to know by the exit code.
    #[error("{0} criteria missed")]
    Missed(usize),
    /// A later report is worse than an earlier one, and whoever asked wanted to know by the exit code.
    #[error("{0} figures worse beyond noise")]
    Regressed(usize),
    /// A signal.
    #[error("interrupted")]
    Interrupted,
}

impl BenchError {
    /// The process's exit code: 2 for input, 3 for the host, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Host(_) => 3,
            _ => 1,
        }
    }

    pub(crate) fn process(who: impl Display, what: impl Display) -> Self {
        Self::Process { who: who.to_string(), what: what.to_string() }
    }

    pub(crate) fn io(what: impl Display) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn file(path: &(impl AsRef<Path> + ?Sized)) -> impl FnOnce(io::Error) -> Self {
        let what = path.as_ref().display().to_string();
        move |source| Self::Io { what, source }
    }
}

/// The result of everything here that can fail.
pub type Result<T, E = BenchError> = std::result::Result<T, E>;
