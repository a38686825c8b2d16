//! `pollux bench lab`.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::clock::{left, rfc3339};
use super::environment::{Host, Setting};
use super::plan::{Choice, Plan, is_possible, usual_systems};
use super::run::{Output, Run};
use super::tests::{ALL, Settings, Test};
use super::workshop::{RealWorkshop, Supplies};
use crate::host::{self, Hugepages, cpu, interrupt};
use crate::report::model::{FORMAT, Report};
use crate::report::terminal;
use crate::systems::{Kind, Memory};
use crate::tester::protocol::Sizes;
use crate::wires::{End, Topology};
use crate::{BenchError, Result};

/// MiB of hugepages for a system and the tester; of Open vSwitch, whose pools of large frames are large.
const HUGEPAGES: u64 = 1024;
const HUGEPAGES_OVS: u64 = 2048;

/// The largest frame that fits into usual mbufs, and one that systems are set to for those that don't.
const USUAL_FRAME: u16 = 1518;
const JUMBO_FRAME: u16 = 9018;

/// Left out unless they are named: one is what another does with less, and one takes an hour.
const NAMED_ONLY: [&str; 1] = ["soak"];
const NAMED_ONLY_SHORT: [&str; 2] = ["soak", "throughput"];

/// `pollux bench lab`.
#[derive(Debug, clap::Args)]
pub struct LabArgs {
    /// A smoke run: trials of fractions of a second, and most tests at one size and in one round
    #[arg(long)]
    short: bool,
    /// Who is measured; default: those that make sense on each topology
    #[arg(long, value_enum, value_delimiter = ',')]
    systems: Vec<Kind>,
    /// What frames go through, as in vhost-vhost, veth-veth, phy-phy, phy-vm-phy
    #[arg(long, value_delimiter = ',', default_values = ["vhost-vhost", "veth-veth"])]
    topologies: Vec<Topology>,
    /// Sizes of frames, with the check sequence; the first is what tests use that don't go through all
    #[arg(long, value_delimiter = ',',
          default_values = ["64", "128", "256", "512", "1024", "1280", "1518", "9000", "imix"])]
    sizes: Vec<Sizes>,
    /// Pairs of stations; the first is what tests use that don't go through all
    #[arg(long, value_delimiter = ',', default_values_t = [1, 1000, 10_000, 100_000],
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    flows: Vec<u32>,
    /// The tests, by the end of their names; default: all but `soak`, and in a smoke run `throughput`
    #[arg(long, value_delimiter = ',', value_parser = test)]
    tests: Vec<&'static str>,
    /// Only what has such a name, as in '64B-*-ndr'
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// Rounds, in each of which the systems take turns; default: 5, and 3 in a smoke run
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Seconds of a trial that narrows a search down; default: 1, and 0.1 in a smoke run
    #[arg(long, value_parser = length)]
    seconds: Option<f64>,
    /// Seconds of a trial that decides; default: 10, and 0.2 in a smoke run (RFC 2544 wants 60)
    #[arg(long, value_parser = length)]
    final_seconds: Option<f64>,
    /// Seconds of traffic before each window; default: 1, and 0.05 in a smoke run
    #[arg(long, value_parser = seconds)]
    warm_up: Option<f64>,
    /// Seconds to wait for the last frames; default: 2, and 0.05 in a smoke run
    #[arg(long, value_parser = seconds)]
    drain: Option<f64>,
    /// The width at which a search ends, as a share; default: 0.005, and 0.03 in a smoke run
    #[arg(long, value_parser = share)]
    precision: Option<f64>,
    /// The loss that the partial drop rate allows, as a share
    #[arg(long, default_value_t = 0.005, value_parser = share)]
    partial_loss: f64,
    /// How often a disturbed trial is repeated
    #[arg(long, default_value_t = 2)]
    repeats: u32,
    /// Frames a second, over all streams, that no trial goes beyond: what the links carry
    #[arg(long, value_parser = rate)]
    most: Option<f64>,
    /// The CPUs that poll for the system
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    worker_cpu: Vec<usize>,
    /// The CPU of everything else, the tester included
    #[arg(long, default_value_t = 0)]
    house_cpu: usize,
    /// Descriptors of each ring
    #[arg(long, default_value_t = 256)]
    ring: u16,
    /// Addresses that tables are to hold
    #[arg(long, default_value_t = 131_072)]
    fdb_capacity: u32,
    /// Flows that Open vSwitch may cache
    #[arg(long, default_value_t = 200_000)]
    ovs_flow_limit: u32,
    /// More device arguments of the tester's front ends, as in `packed_vq=1`
    #[arg(long, default_value = "")]
    front_end: String,
    /// NICs of the tester, by PCI address, in the order of the ports that are `phy`
    #[arg(long, value_name = "DEVICE", value_delimiter = ',')]
    port: Vec<String>,
    /// NICs of the system, each cabled to the tester's of the same place
    #[arg(long, value_name = "DEVICE", value_delimiter = ',')]
    device: Vec<String>,
    /// What starts a tester on another host, as in 'ssh tester pollux'
    #[arg(long, value_name = "COMMAND")]
    tester_command: Option<String>,
    /// Ordinary memory instead of hugepages, for systems and tester
    #[arg(long)]
    no_huge: bool,
    /// Leaves out the test of the tester itself
    #[arg(long)]
    no_self_test: bool,
    /// The switch to measure; default: this program
    #[arg(long)]
    pollux: Option<PathBuf>,
    /// The folder for report.json and report.html
    #[arg(long, default_value = "bench-lab")]
    output: PathBuf,
    /// What the report is called
    #[arg(long, default_value = "Pollux and its peers")]
    title: String,
    /// Tells what would be measured and how long that takes, and does nothing
    #[arg(long)]
    list: bool,
}

/// Measures what `args` name, and reports.
pub(crate) fn run(args: &LabArgs) -> Result<()> {
    let choice = args.choice()?;
    let plan = choice.plan();
    if plan.beds.is_empty() {
        return Err(BenchError::Input(
            "nothing is left to measure: --list tells the names that --only and --tests choose from"
                .to_owned(),
        ));
    }
    let self_test = args.self_test();
    let whole = args.takes(&choice, &plan);
    if args.list {
        print!("{}", plan.list(&choice.settings));
        println!("with the tester against itself: {}", left(whole));
        return Ok(());
    }
    args.check_cpus()?;
    interrupt::watch()?;
    let supplies = args.supplies()?;
    let output = output(&args.output)?;
    let setting = Setting {
        worker_cpus: args.worker_cpu.clone(),
        house_cpu: args.house_cpu,
        memory: supplies.memory,
        has_nics: args.topologies.iter().any(|topology| topology.ends().any(|end| end == End::Phy)),
    };
    let report = args.blank(&setting);
    let _favoured = cpu::FavouredSession::new();
    // The tester goes before ordinary processes: whatever changes a system under load has to get its turn beside it.
    // Where that isn't allowed, it is slower.
    let _ = cpu::favour(std::process::id());
    let _hugepages = args.hugepages(&plan)?;
    cpu::stay_on(args.house_cpu)?;
    eprintln!("{} measurements, about {}", plan.count(), left(whole));
    let mut workshop = RealWorkshop::new(supplies.clone());
    let run = Run::new(&mut workshop, &plan, &choice.settings, report);
    let run = run.up_to(args.most).writing(&output).with_tester(&supplies.tester_command);
    let (report, done) = run.carry_out(self_test);
    print!("{}", terminal::summary(&report));
    println!("\n{}\n{}", output.json.display(), output.html.display());
    done
}

/// What the test of the tester takes for each size.
const SELF_TEST: Duration = Duration::from_millis(3200);

impl LabArgs {
    /// Roughly how long all of it takes.
    fn takes(&self, choice: &Choice, plan: &Plan) -> Duration {
        let alone = self.self_test().map(|_| SELF_TEST.mul_f64(choice.sizes.len() as f64));
        plan.takes(&choice.settings) + alone.unwrap_or_default()
    }

    fn choice(&self) -> Result<Choice> {
        let mut teams = Vec::new();
        for topology in &self.topologies {
            let systems = match self.systems.is_empty() {
                true => usual_systems(*topology),
                false => self.systems.clone(),
            };
            let systems: Vec<Kind> =
                systems.into_iter().filter(|system| is_possible(*system, *topology)).collect();
            teams.push((*topology, systems));
        }
        if teams.iter().all(|(_, systems)| systems.is_empty()) {
            let what = "none of these systems can be on one of these topologies: the bridge takes veth-veth, an \
                        external device phy-phy";
            return Err(BenchError::Input(what.to_owned()));
        }
        let settings = self.settings();
        if settings.first_seconds > settings.final_seconds {
            let what = format!(
                "--seconds {} is longer than --final-seconds {}: trials that narrow down are the shorter ones",
                settings.first_seconds, settings.final_seconds
            );
            return Err(BenchError::Input(what));
        }
        Ok(Choice {
            teams,
            sizes: self.sizes.clone(),
            flows: self.flows.clone(),
            tests: self.chosen_tests(),
            only: self.only.clone(),
            rounds: self.rounds.unwrap_or(if self.short { 3 } else { 5 }),
            cores: self.worker_cpu.len() as u32,
            settings,
        })
    }

    fn settings(&self) -> Settings {
        let either = |short: f64, long: f64| if self.short { short } else { long };
        let final_seconds = self.final_seconds.unwrap_or(either(0.2, 10.0));
        Settings {
            short: self.short,
            final_seconds,
            first_seconds: self.seconds.unwrap_or_else(|| either(0.1, 1.0).min(final_seconds)),
            warm_up: self.warm_up.unwrap_or(either(0.05, 1.0)),
            drain: self.drain.unwrap_or(either(0.05, 2.0)),
            partial_loss: self.partial_loss,
            precision: self.precision.unwrap_or(either(0.03, 0.005)),
            repeats: self.repeats,
        }
    }

    fn chosen_tests(&self) -> Vec<&'static Test> {
        let named_only = if self.short { &NAMED_ONLY_SHORT[..] } else { &NAMED_ONLY[..] };
        let is_chosen = |test: &&&Test| match self.tests.is_empty() {
            true => !named_only.contains(&test.id),
            false => self.tests.contains(&test.id),
        };
        ALL.iter().filter(is_chosen).copied().collect()
    }

    /// Seconds of a window of the test of the tester itself, if there is to be one.
    fn self_test(&self) -> Option<f64> {
        let seconds = if self.short { 0.2 } else { 1.0 };
        (!self.no_self_test && self.tester_command.is_none()).then_some(seconds)
    }

    fn check_cpus(&self) -> Result<()> {
        let mut polling = self.worker_cpu.clone();
        polling.push(self.house_cpu);
        polling.sort_unstable();
        if let Some(pair) = polling.windows(2).find(|pair| pair[0] == pair[1]) {
            let what = format!(
                "CPU {} is named twice: --worker-cpu and --house-cpu name CPUs that poll, each on its own",
                pair[0]
            );
            return Err(BenchError::Input(what));
        }
        match polling.iter().find(|cpu| !cpu::is_there(**cpu)) {
            Some(cpu) => Err(BenchError::Host(format!(
                "there is no CPU {cpu} for this process: name others with --worker-cpu and --house-cpu ({:?} are there)",
                cpu::all()
            ))),
            None => Ok(()),
        }
    }

    fn supplies(&self) -> Result<Supplies> {
        let sizes = self.sizes.iter().map(Sizes::largest);
        let largest = sizes.max().unwrap_or(USUAL_FRAME);
        let largest_frame = match largest {
            0..=USUAL_FRAME => USUAL_FRAME,
            _ => largest.max(JUMBO_FRAME),
        };
        let command = self.tester_command.as_deref().unwrap_or_default();
        Ok(Supplies {
            worker_cpus: self.worker_cpu.clone(),
            house_cpu: self.house_cpu,
            memory: if self.no_huge { Memory::Ordinary } else { Memory::Hugepages },
            largest_frame,
            ring: self.ring,
            fdb_capacity: self.fdb_capacity,
            ageing_seconds: 300,
            ovs_flow_limit: self.ovs_flow_limit,
            pollux: host::program(self.pollux.as_ref())?,
            front_end: self.front_end.clone(),
            tester_command: command.split_whitespace().map(str::to_owned).collect(),
            tester_nics: self.port.clone(),
            system_nics: self.device.clone(),
        })
    }

    fn hugepages(&self, plan: &Plan) -> Result<Option<Hugepages>> {
        if self.no_huge {
            return Ok(None);
        }
        let has_ovs = plan.beds.iter().any(|bed| bed.system == Kind::Ovs);
        Hugepages::reserve(if has_ovs { HUGEPAGES_OVS } else { HUGEPAGES }).map(Some)
    }

    /// A report of nothing yet.
    fn blank(&self, setting: &Setting) -> Report {
        let now = rfc3339(SystemTime::now());
        Report {
            format: FORMAT,
            title: self.title.clone(),
            started: now.clone(),
            ended: now,
            complete: false,
            cut_short: None,
            short: self.short,
            command: std::env::args().collect(),
            environment: Host::new().environment(setting),
            self_test: Vec::new(),
            systems: Vec::new(),
            measurements: Vec::new(),
        }
    }
}

/// Makes the folder of a report.
fn output(folder: &Path) -> Result<Output> {
    std::fs::create_dir_all(folder).map_err(BenchError::file(folder))?;
    Ok(Output { json: folder.join("report.json"), html: folder.join("report.html") })
}

fn test(text: &str) -> Result<&'static str, String> {
    let known = ALL.iter().map(|test| test.id);
    known
        .clone()
        .find(|id| *id == text)
        .ok_or_else(|| format!("no test {text:?}: there are {}", known.collect::<Vec<_>>().join(", ")))
}

fn length(text: &str) -> Result<f64, String> {
    within(text, 0.001..=86_400.0, "seconds, from 0.001 up to a day")
}

fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.0..=86_400.0, "seconds, up to a day")
}

fn share(text: &str) -> Result<f64, String> {
    within(text, 1e-6..=0.5, "a share, from 0.000001 to 0.5")
}

fn rate(text: &str) -> Result<f64, String> {
    within(text, 1.0..=1e12, "frames a second, 1 at least")
}

fn within(text: &str, range: std::ops::RangeInclusive<f64>, what: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| format!("{text:?} isn't {what}"))
}

/// How long a command line's measurements are planned to take.
#[cfg(test)]
pub(crate) fn planned(words: &[&str]) -> Result<Duration> {
    let args = tests::parse(words).map_err(|error| BenchError::Input(error.to_string()))?;
    let choice = args.choice()?;
    Ok(args.takes(&choice, &choice.plan()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: LabArgs,
    }

    pub(super) fn parse(words: &[&str]) -> Result<LabArgs, clap::Error> {
        Line::try_parse_from([&["lab"], words].concat()).map(|line| line.args)
    }

    #[test]
    fn defaults_are_those_of_the_standards_or_of_a_smoke_run() {
        let args = parse(&[]).unwrap();
        let settings = args.settings();
        assert_eq!((settings.drain, settings.partial_loss, settings.short), (2.0, 0.005, false));
        let tests: Vec<_> = args.chosen_tests().iter().map(|test| test.id).collect();
        assert!(tests.contains(&"throughput") && !tests.contains(&"soak"));
        let args = parse(&["--short", "--final-seconds", "0.05"]).unwrap();
        assert_eq!(args.settings().first_seconds, 0.05);
        assert!(args.chosen_tests().iter().all(|test| !NAMED_ONLY_SHORT.contains(&test.id)));
        assert_eq!(parse(&["--tests", "soak,ndr"]).unwrap().chosen_tests().len(), 2);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            &["--tests", "nothing"][..],
            &["--sizes", "63"],
            &["--topologies", "here-there"],
            &["--systems", "nobody"],
            &["--flows", "0"],
            &["--rounds", "0"],
            &["--seconds", "-1"],
            &["--precision", "0"],
            &["--partial-loss", "nan"],
            &["--most", "0"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        let refused = |words: &[&str]| parse(words).unwrap().choice().err().map(|error| error.exit_code());
        assert_eq!(refused(&["--systems", "bridge", "--topologies", "vhost-vhost"]), Some(2));
        assert_eq!(refused(&["--seconds", "5", "--final-seconds", "2"]), Some(2));
        assert_eq!(refused(&[]), None);
        let twice = parse(&["--worker-cpu", "0", "--house-cpu", "0"]).unwrap().check_cpus().unwrap_err();
        assert!(twice.to_string().contains("named twice"), "{twice}");
        let nowhere = parse(&["--worker-cpu", "1000"]).unwrap().check_cpus().unwrap_err();
        assert_eq!(nowhere.exit_code(), 3);
    }

    #[test]
    fn large_frames_are_set_for_every_system_alike() {
        let largest = |sizes: &str| parse(&["--sizes", sizes]).unwrap().supplies().unwrap().largest_frame;
        assert_eq!([largest("64,imix"), largest("64,9000"), largest("9200")], [1518, 9018, 9200]);
    }
}
