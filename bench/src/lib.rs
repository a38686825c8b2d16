//! The lab's tester.
#![forbid(unsafe_code)]

mod distance;
mod error;
mod faulty;
mod generator;
mod host;
mod lab;
mod load;
mod peers;
mod qos;
mod report;
mod systems;
mod tester;
mod virtio_user;
mod wires;

pub use error::{BenchError, Result};
pub use faulty::FaultyArgs;
pub use generator::GeneratorArgs;
pub use lab::{LabArgs, SelfTestArgs};
pub use peers::PeersArgs;
pub use qos::{QosArgs, QosTrafficArgs};
pub use report::ReportArgs;
pub use tester::{TesterArgs, TrafficArgs};

/// What the tester can do.
#[derive(Debug, clap::Subcommand)]
pub enum BenchCommand {
    /// Puts Pollux, testpmd and Open vSwitch in turn under the same load
    Peers(PeersArgs),
    /// The standards' tests, of Pollux and its peers, and a report
    Lab(Box<LabArgs>),
    /// Shows what Pollux's priorities and rates do, as measured where frames come out
    Qos(QosArgs),
    /// Reads a report of the lab, or sets two beside each other
    Report(ReportArgs),
    /// Paced traffic between vhost-user ports, for the tester's own use
    #[command(hide = true)]
    QosTraffic(QosTrafficArgs),
    /// The load between two vhost-user ports, for the tester's own use
    #[command(hide = true)]
    Generate(GeneratorArgs),
    /// Sends frames from any DPDK ports, and says what became of them
    Traffic(Box<TrafficArgs>),
    /// Shows what the tester itself can do, with no switch between
    SelfTest(SelfTestArgs),
    /// The generator and analyser, for the lab's own use: requests and answers as lines of JSON
    #[command(hide = true)]
    Tester(TesterArgs),
    /// A device that loses, repeats, swaps and leaks frames, to test the tester with
    #[command(hide = true)]
    Faulty(FaultyArgs),
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
            Self::Lab(args) => lab::run(args),
            Self::Qos(args) => qos::run(args),
            Self::Report(args) => report::run(args),
            Self::QosTraffic(args) => qos::run_traffic(args),
            Self::Generate(args) => generator::run(args),
            Self::Traffic(args) => tester::run_traffic(args),
            Self::SelfTest(args) => lab::run_self_test(args),
            Self::Tester(_) => tester::serve(),
            Self::Faulty(args) => faulty::run(args),
        }
    }
}
