//! Where beds come from: systems that are started, wires that are laid, testers that are connected.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::bed::Bed;
use super::plan::BedPlan;
use super::self_test::{SelfTestPlan, self_test};
use crate::host;
use crate::host::near::Near;
use crate::report::model::SelfTest;
use crate::systems::{self, Job, Kind, Memory};
use crate::tester::TesterProcess;
use crate::tester::protocol::{PROTOCOL, Ready, Setup, Sizes};
use crate::wires;
use crate::{BenchError, Result};

/// How long all ports may take until each hears of each other.
const GREETING: Duration = Duration::from_secs(15);

/// The same where a test has its own idea of who hears of whom.
const SHORT_GREETING: Duration = Duration::from_secs(3);

/// MiB of ordinary memory for a tester, and for each half in the test of itself.
const ORDINARY_MEMORY: u32 = 256;

/// Octets by which the tester's frames may be larger than those that systems are to forward.
const OVERSIZE: u16 = 64;

/// Pairs of stations in the test of the tester itself.
const SELF_TEST_FLOWS: u32 = 1000;

/// Gives beds to a run. The real one starts what they are made of; tests have one whose devices are only computed.
pub(crate) trait Workshop {
    /// The tester against itself.
    fn self_test(&mut self, sizes: &[Sizes], seconds: f64, began: Instant) -> Result<Vec<SelfTest>>;

    /// Makes ready what a bed is of. [`BenchError::Unsupported`] where a system can't do it.
    fn open(&mut self, plan: &BedPlan) -> Result<(Bed, Job)>;

    /// Waits, but no longer than that, until the CPUs are near each other. Cycles of a round trip up to which they
    /// count as near; `None` where nobody looks.
    fn wait_until_near(&mut self, patience: Duration) -> Result<Option<u64>>;

    /// Takes note of a round trip that was seen in a trial.
    fn note(&mut self, round_trip: Option<u64>);

    /// What is installed of a system.
    fn version(&self, system: Kind) -> Result<String>;
}

/// What beds of this host are made of.
#[derive(Clone, Debug)]
pub(crate) struct Supplies {
    pub(crate) worker_cpus: Vec<usize>,
    pub(crate) house_cpu: usize,
    pub(crate) memory: Memory,
    pub(crate) largest_frame: u16,
    pub(crate) ring: u16,
    pub(crate) fdb_capacity: u32,
    pub(crate) ageing_seconds: u32,
    pub(crate) ovs_flow_limit: u32,
    pub(crate) pollux: PathBuf,
    /// More device arguments of the tester's front ends.
    pub(crate) front_end: String,
    /// What starts a tester elsewhere; none: this program.
    pub(crate) tester_command: Vec<String>,
    pub(crate) tester_nics: Vec<String>,
    pub(crate) system_nics: Vec<String>,
}

/// The real one.
pub(crate) struct RealWorkshop {
    supplies: Supplies,
    /// `None` until somebody wants to know, and where systems are on another host.
    near: Option<Near>,
}

/// What a bed's wires and files lie in, in the order in which they go.
struct Ground {
    _wires: wires::Wires,
    _folder: TempDir,
}

impl RealWorkshop {
    pub(crate) fn new(supplies: Supplies) -> Self {
        Self { supplies, near: None }
    }

    fn job(&self, plan: &BedPlan, wires: &wires::Wires) -> Job {
        let supplies = &self.supplies;
        let mut job = Job {
            ports: wires.system_ports.clone(),
            worker_cpus: supplies.worker_cpus.clone(),
            house_cpu: supplies.house_cpu,
            memory: supplies.memory,
            largest_frame: supplies.largest_frame,
            fdb_capacity: supplies.fdb_capacity,
            ageing_seconds: supplies.ageing_seconds,
            pollux: supplies.pollux.clone(),
            more_toml: String::new(),
            ovs_flow_limit: supplies.ovs_flow_limit,
            namespace: wires.namespace().map(Into::into),
            // On this host the tester does, too.
            favoured: true,
            kept_mbufs: 0,
        };
        if let Some(change) = plan.alone.and_then(|test| test.job) {
            change(&mut job);
        }
        job
    }

    fn tester(&self, wires: &wires::Wires, folder: &TempDir) -> Result<TesterProcess> {
        let supplies = &self.supplies;
        let is_here = supplies.tester_command.is_empty();
        let setup = Setup {
            protocol: PROTOCOL,
            cpus: vec![supplies.house_cpu],
            neighbour: supplies.worker_cpus.first().copied().filter(|_| is_here),
            ordinary_memory: (supplies.memory == Memory::Ordinary).then_some(ORDINARY_MEMORY),
            // Larger than what the system is set to, to see that it drops them.
            largest_frame: supplies.largest_frame.saturating_add(OVERSIZE),
            ports: wires.tester_ports.clone(),
        };
        TesterProcess::start(&supplies.tester_command, folder.path(), &setup)
    }
}

impl Workshop for RealWorkshop {
    fn self_test(&mut self, sizes: &[Sizes], seconds: f64, began: Instant) -> Result<Vec<SelfTest>> {
        let supplies = &self.supplies;
        let Some(worker) = supplies.worker_cpus.first().filter(|_| supplies.tester_command.is_empty()) else {
            return Ok(Vec::new());
        };
        self_test(&SelfTestPlan {
            sizes,
            cpus: (supplies.house_cpu, *worker),
            seconds,
            ring: supplies.ring,
            front_end: &supplies.front_end,
            ordinary_memory: (supplies.memory == Memory::Ordinary).then_some(ORDINARY_MEMORY),
            flows: SELF_TEST_FLOWS,
            began,
        })
    }

    fn open(&mut self, plan: &BedPlan) -> Result<(Bed, Job)> {
        let supplies = &self.supplies;
        let folder = host::folder()?;
        let place = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).map_err(BenchError::file(&path))?;
            Ok::<_, BenchError>(path)
        };
        let mut wires = wires::lay(
            plan.topology,
            &wires::Options {
                folder: place("w")?,
                ring: supplies.ring,
                largest_frame: supplies.largest_frame,
                memory: supplies.memory,
                // Open vSwitch counts nothing on sockets that it makes.
                front_ends_listen: plan.system == Kind::Ovs || plan.alone.is_some_and(|test| test.outlives),
                front_end: supplies.front_end.clone(),
                guest_cpus: vec![supplies.house_cpu],
                tester_nics: supplies.tester_nics.clone(),
                system_nics: supplies.system_nics.clone(),
            },
        )?;
        let job = self.job(plan, &wires);
        let system = systems::start(plan.system, &job, &place("s")?)?;
        wires.start_guests()?;
        let tester = self.tester(&wires, &folder)?;
        let ground = Ground { _wires: wires, _folder: folder };
        let mut bed = Bed { tester: Box::new(tester), system, wires: Box::new(ground) };
        let is_usual = plan.alone.is_none_or(|test| test.job.is_none());
        match bed.tester.greet(if is_usual { GREETING } else { SHORT_GREETING }) {
            Err(error) if is_usual => Err(error),
            _ => Ok((bed, job)),
        }
    }

    fn wait_until_near(&mut self, patience: Duration) -> Result<Option<u64>> {
        let is_here = self.supplies.tester_command.is_empty();
        let Some(worker) = self.supplies.worker_cpus.first().filter(|_| is_here) else { return Ok(None) };
        let near = match &mut self.near {
            Some(near) => near,
            none => none.insert(Near::find(*worker)?),
        };
        near.wait(patience)?;
        Ok(Some(near.limit()))
    }

    fn note(&mut self, round_trip: Option<u64>) {
        if let Some(near) = &mut self.near {
            near.note(round_trip);
        }
    }

    fn version(&self, system: Kind) -> Result<String> {
        systems::version(system, &self.supplies.pollux)
    }
}

/// What is to be told of a tester that is ready.
pub(crate) fn facts(ready: &Ready, command: &[String]) -> Vec<(String, String)> {
    let mut facts = vec![
        ("DPDK".to_owned(), ready.dpdk.clone()),
        ("clock".to_owned(), format!("{:.3} GHz", ready.tsc_hz as f64 / 1e9)),
    ];
    if !command.is_empty() {
        facts.push(("started by".to_owned(), command.join(" ")));
    }
    for (number, port) in ready.ports.iter().enumerate() {
        let link = port.link_mbits.map(|mbits| format!(", {mbits} Mbit/s")).unwrap_or_default();
        let text = format!("{}, rings of {} and {}{link}", port.driver, port.rx_ring, port.tx_ring);
        facts.push((format!("port {number}"), text));
    }
    facts
}
