//! The lab's tester.
#![forbid(unsafe_code)]

mod distance;
mod error;
mod generator;
mod host;
mod load;
mod peers;
mod qos;
mod virtio_user;

pub use error::{BenchError, Result};
pub use generator::GeneratorArgs;
pub use peers::PeersArgs;
pub use qos::{QosArgs, QosTrafficArgs};

/// What the tester can do.
#[derive(Debug, clap::Subcommand)]
pub enum BenchCommand {
    /// Puts Pollux, testpmd and Open vSwitch in turn under the same load
    Peers(PeersArgs),
    /// Shows what Pollux's priorities and rates do, as measured where frames come out
    Qos(QosArgs),
    /// Paced traffic between vhost-user ports, for the tester's own use
    #[command(hide = true)]
    QosTraffic(QosTrafficArgs),
    /// The load between two vhost-user ports, for the tester's own use
    #[command(hide = true)]
    Generate(GeneratorArgs),
}

impl BenchCommand {
    /// Does it.
    ///
    /// # Errors
    ///
    /// See [`BenchError`].
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Peers(args) => peers::run(args),
            Self::Qos(args) => qos::run(args),
            Self::QosTraffic(args) => qos::run_traffic(args),
            Self::Generate(args) => generator::run(args),
        }
    }
}
