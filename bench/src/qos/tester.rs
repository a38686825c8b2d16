//! A switch, and traffic through it.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::traffic::{Outcome, Phase, Plan};
use crate::host::profile::Profile;
use crate::host::{self, Pollux, Process, cpu};
use crate::{BenchError, Result};

/// What all sections measure with.
pub(super) struct Tester {
    /// The switch.
    pub(super) pollux: PathBuf,
    /// The CPUs that there are to run on.
    pub(super) cpus: Vec<usize>,
    /// The CPU of the switch's worker, where it has one.
    pub(super) worker_cpu: usize,
    /// The CPU of everything else, the traffic included.
    pub(super) house_cpu: usize,
    pub(super) queue_size: u16,
    /// Seconds of a measurement.
    pub(super) seconds: f64,
    /// The egress rate of congested ports, in bits a second.
    pub(super) rate: f64,
    /// Whether to leave out what takes long.
    pub(super) quick: bool,
}

/// A switch: ports by which frames go in, and one by which they come out.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) cores: Vec<usize>,
    pub(super) ingress_ports: usize,
    pub(super) profiles: Vec<Profile>,
    /// The profile of every ingress port.
    pub(super) ingress: Option<&'static str>,
    /// The profile of the egress port.
    pub(super) egress: Option<&'static str>,
    /// Seconds of traffic that the tester may be behind and make up for.
    pub(super) catch_up: f64,
    /// Descriptors of each ring.
    pub(super) queue_size: u16,
    /// Whether a worker has the tester's CPU too.
    pub(super) shared: bool,
}

/// How often a measurement is repeated when something else ran on its CPUs.
const REPEATS: u32 = 3;

/// Seconds that the tester may be behind where delays don't matter, and where they do: what it makes up for waits
/// behind itself.
pub(super) const CATCH_UP: f64 = 0.01;
pub(super) const CATCH_UP_EARLY: f64 = 0.00002;

impl Setup {
    /// One worker between so many ingress ports and the egress port, without any profile.
    pub(super) fn one_worker(tester: &Tester, ingress_ports: usize) -> Self {
        Self {
            cores: vec![tester.worker_cpu],
            ingress_ports,
            profiles: Vec::new(),
            ingress: None,
            egress: None,
            catch_up: CATCH_UP,
            queue_size: tester.queue_size,
            shared: false,
        }
    }

    /// The switch's file, with these sockets.
    fn file(&self, ingress: &[PathBuf], egress: &PathBuf) -> String {
        let cores: Vec<_> = self.cores.iter().map(usize::to_string).collect();
        let mut text = format!("[switch]\ncores = [{}]\n", cores.join(", "));
        let ingress = ingress.iter().enumerate().map(|(n, socket)| (format!("in{n}"), socket, self.ingress));
        for (name, socket, profile) in ingress.chain([("out".to_owned(), egress, self.egress)]) {
            // Writing to a string doesn't fail.
            let _ = write!(
                text,
                "\n[ports.{name}]\nvhost_user = {{ socket = \"{}\", role = \"server\", offloads = [] }}\n\
                 vlan = {{ mode = \"trunk\", allowed = [\"1-4094\"], native = 1 }}\n",
                socket.display()
            );
            if let Some(profile) = profile {
                let _ = writeln!(text, "qos = {{ profile = \"{profile}\", trust = \"pcp\" }}");
            }
        }
        for profile in &self.profiles {
            let _ = write!(text, "{profile}");
        }
        text
    }
}

impl Tester {
    /// Starts a switch, sends the phases through it, and stops it; again if something else ran during most of
    /// them.
    pub(super) fn measure(&self, setup: &Setup, phases: &[Phase]) -> Result<Vec<Outcome>> {
        let mut outcomes = self.measure_once(setup, phases)?;
        for _ in 0..REPEATS {
            let disturbed = outcomes.iter().filter(|outcome| outcome.disturbed).count();
            if self.quick || 2 * disturbed <= outcomes.len() {
                break;
            }
            outcomes = self.measure_once(setup, phases)?;
        }
        Ok(outcomes)
    }

    fn measure_once(&self, setup: &Setup, phases: &[Phase]) -> Result<Vec<Outcome>> {
        let folder = host::folder()?;
        let ingress: Vec<_> =
            (0..setup.ingress_ports).map(|n| folder.path().join(format!("in{n}"))).collect();
        let egress = folder.path().join("out");
        let switch = Pollux::start(&self.pollux, folder.path(), &setup.file(&ingress, &egress))?;
        for socket in ingress.iter().chain([&egress]) {
            host::wait_for_socket(socket)?;
        }
        let plan = Plan {
            ingress,
            egress,
            cpu: self.house_cpu,
            queue_size: setup.queue_size,
            catch_up: setup.catch_up,
            phases: phases.to_vec(),
        };
        let process = switch.process().id();
        // Those who share a CPU take turns as they are.
        if !setup.shared {
            let workers = setup.cores.iter().map(|cpu| Ok(cpu::worker(process, *cpu)?.0));
            workers.collect::<Result<Vec<_>>>()?.into_iter().try_for_each(cpu::favour)?;
        }
        // Of several workers, the mean.
        let used = || -> Result<Duration> {
            let times = setup.cores.iter().map(|cpu| Ok(cpu::worker(process, *cpu)?.1));
            Ok(times.sum::<Result<Duration>>()? / setup.cores.len() as u32)
        };
        let outcomes = self.run(&plan, &folder, setup.shared, used)?;
        switch.stop()?;
        Ok(outcomes)
    }

    /// Has the traffic's process carry out a plan; `used` tells how long the workers have run.
    fn run(
        &self,
        plan: &Plan,
        folder: &tempfile::TempDir,
        shared: bool,
        used: impl Fn() -> Result<Duration>,
    ) -> Result<Vec<Outcome>> {
        let file = folder.path().join("plan.json");
        let text = serde_json::to_string(plan).map_err(|error| BenchError::process("the plan", error))?;
        fs::write(&file, text).map_err(BenchError::file(&file))?;
        // The traffic is a command of this binary.
        let program = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
        let mut traffic = Process::start("the traffic", &program, |command| {
            host::keep_runtime_files(command, folder.path());
            command.args(["bench", "qos-traffic", "--plan"]).arg(&file);
        })?;
        if !shared {
            // The thread that polls is the process's first.
            cpu::favour(traffic.id())?;
        }
        let mut outcomes = Vec::new();
        let mut before = (Instant::now(), used()?);
        for phase in &plan.phases {
            let patience = Duration::from_secs_f64(phase.warm_up + phase.seconds + 60.0);
            let mut outcome: Outcome =
                traffic.wait_for("the outcome", patience, |line| serde_json::from_str(line).ok())?;
            let now = (Instant::now(), used()?);
            outcome.worker_share =
                now.1.saturating_sub(before.1).as_secs_f64() / (now.0 - before.0).as_secs_f64();
            outcome.disturbed = !shared && outcome.has_lost_time();
            before = now;
            outcomes.push(outcome);
        }
        traffic.wait()?;
        Ok(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_every_port_and_profile() {
        let setup = Setup {
            cores: vec![0, 1],
            ingress_ports: 2,
            profiles: vec![Profile::strict("plain"), Profile::strict("shaped")],
            ingress: Some("plain"),
            egress: Some("shaped"),
            catch_up: CATCH_UP,
            queue_size: 256,
            shared: true,
        };
        let text = setup.file(&["/a".into(), "/b".into()], &"/c".into());
        assert!(text.starts_with("[switch]\ncores = [0, 1]\n"), "{text}");
        assert_eq!(text.matches("qos = { profile = \"plain\", trust = \"pcp\" }").count(), 2, "{text}");
        assert_eq!(text.matches("qos = { profile = \"shaped\", trust = \"pcp\" }").count(), 1, "{text}");
        assert!(
            text.contains("[ports.in1]\nvhost_user = { socket = \"/b\", role = \"server\", offloads = [] }"),
            "{text}"
        );
        assert!(text.contains("[qos.profiles.shaped]"), "{text}");
    }
}
