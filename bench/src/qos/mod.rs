//! Pollux's priorities and rates, as whoever receives sees them.
//!
//! # How it is measured
//!
//! A switch is started for each case, with its worker on a CPU of its own. A second process, on another CPU, is
//! the front end of some vhost-user ports by which frames go in, and of one by which they come out. It sends
//! each flow at a pace, by the time stamp counter, and every frame says which it is and when it was handed to
//! the switch; sender and receiver are the same thread, so delays need no clocks that agree. A delay includes
//! what the frame waits in the ring until that thread looks, which is a few microseconds, or, where something
//! else runs on its CPU, as long as that takes: such pauses are reported.
//!
//! Every frame has a tag on its whole way, so that it is as long when it leaves as when it came. Rates and shares
//! are of octets received, without the check sequence.

mod cost;
mod dwrr;
mod hosts;
mod rates;
mod report;
mod strict;
mod tcp;
mod tester;
mod traffic;

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::host::{self, Hugepages, cpu, interrupt};
use crate::{BenchError, Result};
use report::{Run, Section};
use tester::Tester;
pub use traffic::QosTrafficArgs;
pub(crate) use traffic::run as run_traffic;

/// Hugepages for the switch and the traffic.
const HUGEPAGES_MIB: u64 = 1280;

/// `pollux bench qos`.
#[derive(Debug, clap::Args)]
pub struct QosArgs {
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::ALL)]
    sections: Vec<Part>,
    /// Seconds of each measurement; default: 3, or 1 with --quick
    #[arg(long)]
    seconds: Option<f64>,
    /// Leaves out what takes long
    #[arg(long)]
    quick: bool,
    /// Ends with exit code 1 if a criterion is missed
    #[arg(long)]
    check: bool,
    /// What congested ports are shaped to, of frames without their check sequence
    #[arg(long, default_value = "1Gbit", value_parser = parse_rate)]
    rate: f64,
    /// Rounds of the cost; its systems take turns in each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The CPU of the switch's worker
    #[arg(long, default_value_t = 1)]
    worker_cpu: usize,
    /// The CPU of everything else, the traffic included
    #[arg(long, default_value_t = 0)]
    house_cpu: usize,
    /// Descriptors of the front ends' rings
    #[arg(long, default_value_t = 1024)]
    queue_size: u16,
    /// The switch to measure; default: this program
    #[arg(long)]
    pollux: Option<PathBuf>,
    /// Where all figures go, as JSON
    #[arg(long, default_value = "bench-qos.json")]
    json: PathBuf,
}

/// A section of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Class 7 beside best effort that a shaped port can't carry
    Strict,
    /// Six classes that share a shaped port by weights
    Dwrr,
    /// Policers and shapers at 10 Mbit/s to 5 Gbit/s
    Rates,
    /// TCP behind a policer, and behind a shaper
    Tcp,
    /// What profiles and scheduling cost where nothing is congested
    Cost,
}

impl Part {
    const ALL: [Self; 5] = [Self::Strict, Self::Dwrr, Self::Rates, Self::Tcp, Self::Cost];
}

/// Measures every section that `args` name, and prints it.
pub(crate) fn run(args: &QosArgs) -> Result<()> {
    let tester = args.tester()?;
    let mut version = Command::new(&tester.pollux);
    let version = host::output(version.arg("--version"))?.trim().to_owned();
    interrupt::watch()?;
    cpu::stay_on(tester.house_cpu)?;
    let _hugepages = Hugepages::reserve(HUGEPAGES_MIB)?;
    let _favoured = cpu::FavouredSession::new();
    let mut sections = Vec::new();
    for part in &args.sections {
        let _ = writeln!(std::io::stderr(), "measuring: {part:?}");
        sections.push(args.measure(*part, &tester)?);
    }
    let run = Run {
        processor: cpu::model(),
        cpus: tester.cpus.len(),
        version,
        seconds: tester.seconds,
        rate: tester.rate,
        sections,
    };
    run.save(&args.json)?;
    // Whoever reads may be gone, which must not keep what was reserved from being given back.
    writeln!(std::io::stdout(), "{}", run.text()).map_err(BenchError::io("printing the figures"))?;
    match run.missed() {
        missed if args.check && missed > 0 => Err(BenchError::Missed(missed)),
        _ => Ok(()),
    }
}

impl QosArgs {
    fn tester(&self) -> Result<Tester> {
        let seconds = self.seconds.unwrap_or(if self.quick { 1.0 } else { 3.0 });
        if !(0.1..=3600.0).contains(&seconds) {
            return Err(BenchError::Input("--seconds is 0.1 to 3600".to_owned()));
        }
        if !self.queue_size.is_power_of_two() {
            return Err(BenchError::Input("--queue-size is a power of two".to_owned()));
        }
        if self.worker_cpu == self.house_cpu {
            return Err(BenchError::Input("--worker-cpu and --house-cpu must differ".to_owned()));
        }
        let cpus = cpu::all();
        if let Some(cpu) = [self.worker_cpu, self.house_cpu].into_iter().find(|cpu| !cpus.contains(cpu)) {
            let what = format!("no CPU {cpu} to run on: name others, or use a host with two");
            return Err(BenchError::Host(what));
        }
        Ok(Tester {
            pollux: host::program(self.pollux.as_ref())?,
            cpus,
            worker_cpu: self.worker_cpu,
            house_cpu: self.house_cpu,
            queue_size: self.queue_size,
            seconds,
            rate: self.rate,
            quick: self.quick,
        })
    }

    fn measure(&self, part: Part, tester: &Tester) -> Result<Section> {
        match part {
            Part::Strict => strict::run(tester),
            Part::Dwrr => dwrr::run(tester),
            Part::Rates => rates::run(tester),
            Part::Tcp => tcp::run(tester),
            Part::Cost => cost::run(tester, self.rounds, !self.quick),
        }
    }
}

/// Bits a second, as the switch's file has them.
fn parse_rate(text: &str) -> std::result::Result<f64, String> {
    const UNITS: [(&str, f64); 3] = [("Gbit", 1e9), ("Mbit", 1e6), ("kbit", 1e3)];
    let cure = "write a number of Mbit or Gbit from 1Mbit to 100Gbit, as in 1Gbit or 500Mbit";
    let split = UNITS.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)));
    let (number, scale) = split.ok_or(cure)?;
    let rate = number.trim().parse::<f64>().map_err(|_| cure)? * scale;
    if (1e6..=100e9).contains(&rate) { Ok(rate) } else { Err(cure.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_units() {
        assert_eq!(parse_rate("1Gbit"), Ok(1e9));
        assert_eq!(parse_rate("2.5 Mbit"), Ok(2.5e6));
        for wrong in ["1", "1Gbps", "Gbit", "-1Gbit", "1kbit", "NaNMbit"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }
}
