//! A run: the plan carried out, each figure written down at once.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::bed::Bed;
use super::clock::rfc3339;
use super::environment::{Host, Ticks};
use super::plan::{BedPlan, Item, Plan, settles};
use super::progress::Progress;
use super::record::{add, add_settings, add_tester, measurement, merge};
use super::tests::{Case, Context, Findings, Settings};
use super::workshop::{Workshop, facts};
use crate::host::near;
use crate::report::model::{Measurement, Report, SystemRecord, TrialRecord};
use crate::report::{save, save_page, terminal};
use crate::systems::{Job, Kind};
use crate::tester::protocol::Trial;
use crate::{BenchError, Result};

/// Failures of a bed after which the rest of it is left out.
const FAILURES: u32 = 2;

/// The share of the plan's time that waiting for CPUs to be near may take, and repeating trials.
const WAITING: f64 = 0.05;
const REPEATS: f64 = 0.08;

/// The share of a test's time that repeating its trials may take, or so long if that is less.
const REPEATING: f64 = 0.25;
const LEAST_SPARE: Duration = Duration::from_secs(2);

/// Seconds of the window with which a system under load is looked at before it is measured.
const LOOK: f64 = 0.05;

/// Where a report goes.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) json: PathBuf,
    pub(crate) html: PathBuf,
}

/// A run that goes on.
pub(crate) struct Run<'a> {
    workshop: &'a mut dyn Workshop,
    plan: &'a Plan,
    settings: &'a Settings,
    /// Frames a second, over all streams, that no trial goes beyond.
    most: Option<f64>,
    output: Option<&'a Output>,
    tester_command: &'a [String],
    report: Report,
    began: Instant,
    ticks: Option<Ticks>,
    /// Frames a second without loss that were found, by the system and the name without the test.
    throughputs: HashMap<(Kind, String), f64>,
    /// What waiting for the CPUs may still take.
    patience: Duration,
    /// What repeating disturbed trials may still take.
    spare: Duration,
    progress: Progress,
    failures: usize,
}

/// A bed that is used.
struct Open {
    bed: Bed,
    job: Job,
    near: Option<u64>,
    /// Pairs of stations that the system has been under load with.
    settled: Option<u32>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        workshop: &'a mut dyn Workshop,
        plan: &'a Plan,
        settings: &'a Settings,
        report: Report,
    ) -> Self {
        Self {
            workshop,
            plan,
            settings,
            most: None,
            output: None,
            tester_command: &[],
            report,
            began: Instant::now(),
            ticks: Host::new().ticks(),
            throughputs: HashMap::new(),
            patience: plan.takes(settings).mul_f64(WAITING),
            spare: plan.takes(settings).mul_f64(REPEATS),
            progress: Progress::new(plan, settings),
            failures: 0,
        }
    }

    /// The same, no trial beyond so many frames a second.
    pub(crate) fn up_to(self, most: Option<f64>) -> Self {
        Self { most, ..self }
    }

    /// The same, with the report written after each measurement.
    pub(crate) fn writing(self, output: &'a Output) -> Self {
        Self { output: Some(output), ..self }
    }

    /// The same, with testers that are started by this.
    pub(crate) fn with_tester(self, tester_command: &'a [String]) -> Self {
        Self { tester_command, ..self }
    }

    /// Carries the plan out. The report is of what was measured, however it ended.
    pub(crate) fn carry_out(mut self, self_test: Option<f64>) -> (Report, Result<()>) {
        let done = self.all(self_test);
        self.report.ended = rfc3339(SystemTime::now());
        if let Some(caution) = self.stolen() {
            self.report.environment.cautions.push(caution);
        }
        let done = match done {
            Ok(()) if self.failures > 0 => {
                let what = format!("{} of the measurements failed: the report says why", self.failures);
                self.report.cut_short = Some(what.clone());
                Err(BenchError::process("the lab", what))
            }
            Ok(()) => {
                self.report.complete = true;
                Ok(())
            }
            Err(error) => {
                self.report.cut_short = Some(match &error {
                    BenchError::Interrupted => "interrupted by a signal".to_owned(),
                    error => error.to_string(),
                });
                Err(error)
            }
        };
        // What ended the run is the error to tell, unless there is none.
        let written = self.write().and_then(|()| match self.output {
            Some(output) => save_page(&self.report, &output.html),
            None => Ok(()),
        });
        (self.report, done.and(written))
    }

    fn all(&mut self, self_test: Option<f64>) -> Result<()> {
        if let Some(seconds) = self_test {
            self.test_the_tester(seconds)?;
        }
        self.progress.begin();
        let plan = self.plan;
        // Who isn't installed is missed now, and not in the middle.
        for bed in &plan.beds {
            self.register(bed.system)?;
        }
        for bed in &plan.beds {
            self.bed(bed)?;
        }
        Ok(())
    }

    fn test_the_tester(&mut self, seconds: f64) -> Result<()> {
        let mut sizes: Vec<_> = Vec::new();
        for item in self.plan.beds.iter().flat_map(|bed| &bed.items) {
            if !sizes.contains(&item.name.sizes) {
                sizes.push(item.name.sizes.clone());
            }
        }
        tell(format_args!("the tester against itself, {} sizes", sizes.len()));
        self.report.self_test = self.workshop.self_test(&sizes, seconds, self.began)?;
        for test in &self.report.self_test {
            tell(format_args!(
                "{:>8}: {:.2} Mpps each way, could do {:.2}",
                test.size,
                test.both_rate / 1e6,
                test.capability / 1e6
            ));
        }
        self.write()
    }

    /// Measures with a bed, which is made ready again after a failure.
    fn bed(&mut self, plan: &BedPlan) -> Result<()> {
        let mut open = None;
        let mut failed = Vec::new();
        for item in &plan.items {
            if failed.len() as u32 >= FAILURES {
                let why = format!("left out after failures: {}", failed.join("; "));
                self.keep(plan, item, Findings::not_done(why), Vec::new())?;
                continue;
            }
            let mut trials = Vec::new();
            let findings = match self.item(plan, item, &mut open, &mut trials) {
                Ok(findings) => findings,
                Err(BenchError::Interrupted) => return Err(BenchError::Interrupted),
                Err(BenchError::Unsupported(why)) => Findings::not_done(why),
                Err(error) => {
                    self.failures += 1;
                    open = None;
                    failed.push(error.to_string().lines().next().unwrap_or_default().to_owned());
                    Findings::not_done(format!("failed: {error}"))
                }
            };
            self.keep(plan, item, findings, trials)?;
        }
        match open {
            Some(open) => self.close(plan, open),
            None => Ok(()),
        }
    }

    /// Does a test. Its trials are there even if it fails.
    fn item(
        &mut self,
        plan: &BedPlan,
        item: &Item,
        open: &mut Option<Open>,
        trials: &mut Vec<TrialRecord>,
    ) -> Result<Findings> {
        let open = match open {
            Some(open) => open,
            none => none.insert(self.open(plan)?),
        };
        let case = Case {
            system: plan.system,
            topology: item.name.topology.clone(),
            sizes: item.name.sizes.clone(),
            flows: item.name.flows,
            round: plan.round,
            most: self.most,
            job: open.job.clone(),
        };
        settle(open, &case, self.settings)?;
        let key = (plan.system, like(item));
        let mut context = Context::new(&mut open.bed, &case, self.settings);
        context.began = self.began;
        context.near = open.near;
        context.throughput = self.throughputs.get(&key).copied();
        let spare = self.spare.min(item.takes(self.settings).mul_f64(REPEATING).max(LEAST_SPARE));
        context.spare = spare;
        let found = (item.test.run)(&mut context);
        self.spare = self.spare.saturating_sub(spare.saturating_sub(context.spare));
        *trials = context.trials;
        let findings = found?;
        for record in &*trials {
            self.workshop.note(record.outcome.tester.round_trip);
        }
        if let Some(found) = findings.figures.iter().find(|found| found.name == item.test.id)
            && ["ndr", "throughput"].contains(&item.test.id)
        {
            self.throughputs.insert(key, found.value);
        }
        Ok(findings)
    }

    fn open(&mut self, plan: &BedPlan) -> Result<Open> {
        let start = Instant::now();
        let near = self.workshop.wait_until_near(self.patience.min(near::PATIENCE))?;
        self.patience = self.patience.saturating_sub(start.elapsed());
        let (bed, job) = self.workshop.open(plan)?;
        let tester = facts(bed.tester.ready(), self.tester_command);
        add_tester(&mut self.report.environment, plan, tester);
        if let Some(record) = self.report.systems.iter_mut().find(|record| record.id == plan.system.id()) {
            add_settings(record, plan, bed.system.settings());
        }
        Ok(Open { bed, job, near, settled: None })
    }

    /// Stops what a bed is of in order. What goes wrong then is said beside its figures.
    fn close(&mut self, plan: &BedPlan, open: Open) -> Result<()> {
        let Bed { tester, system, wires } = open.bed;
        drop(tester);
        let stopped = system.stop();
        drop(wires);
        match stopped {
            Err(BenchError::Interrupted) => Err(BenchError::Interrupted),
            Err(error) => {
                tell(format_args!("{} on {}: {error}", plan.system.name(), plan.topology));
                let note = format!("When the system was stopped, after round {}: {error}", plan.round + 1);
                let names: Vec<String> = plan.items.iter().map(|item| item.name.to_string()).collect();
                let of_bed = self.report.measurements.iter_mut().filter(|measurement| {
                    measurement.system == plan.system.id() && names.contains(&measurement.name)
                });
                of_bed.for_each(|measurement| measurement.notes.push(note.clone()));
                self.write()
            }
            Ok(()) => Ok(()),
        }
    }

    fn register(&mut self, system: Kind) -> Result<()> {
        if self.report.systems.iter().all(|record| record.id != system.id()) {
            self.report.systems.push(SystemRecord {
                id: system.id().to_owned(),
                name: system.name().to_owned(),
                version: self.workshop.version(system)?,
                settings: Vec::new(),
            });
        }
        Ok(())
    }

    /// Puts what was found in a round into the report.
    fn keep(
        &mut self,
        plan: &BedPlan,
        item: &Item,
        findings: Findings,
        mut trials: Vec<TrialRecord>,
    ) -> Result<()> {
        if self.settings.short && item.test.id != "latency" {
            let streams = trials.iter_mut().flat_map(|record| &mut record.outcome.streams);
            streams
                .filter_map(|stream| stream.latency.as_mut())
                .for_each(|latency| latency.distribution.clear());
        }
        let mut found = measurement(plan, item);
        add(&mut found, plan.round, findings);
        found.trials = trials;
        self.progress.done(item.takes(self.settings));
        tell(format_args!("{} {}", self.progress, terminal::line(&found)));
        let same = |measurement: &&mut Measurement| {
            measurement.name == found.name && measurement.system == found.system
        };
        match self.report.measurements.iter_mut().find(same) {
            Some(before) => merge(before, found, plan.round),
            None => self.report.measurements.push(found),
        }
        self.report.ended = rfc3339(SystemTime::now());
        self.write()
    }

    fn write(&self) -> Result<()> {
        match self.output {
            Some(output) => save(&self.report, &output.json),
            None => Ok(()),
        }
    }

    fn stolen(&self) -> Option<String> {
        Host::new().ticks()?.caution_since(self.ticks?)
    }
}

/// Has the system under the load that it will be measured with, until it is used to it.
fn settle(open: &mut Open, case: &Case, settings: &Settings) -> Result<()> {
    if open.settled == Some(case.flows) || case.job.ports.len() > 2 {
        return Ok(());
    }
    let context = Context::new(&mut open.bed, case, settings);
    let trial = context.at_rate(context.both_ways(), f64::INFINITY, LOOK);
    let warm_up = settles(case.system, case.flows).as_secs_f64();
    let trial = Trial { warm_up, ..trial };
    open.bed.tester.trial(&trial)?;
    open.settled = Some(case.flows);
    Ok(())
}

/// What measurements of the same frames have in common: the name without the test.
fn like(item: &Item) -> String {
    super::name::Name { test: String::new(), ..item.name.clone() }.to_string()
}

/// A line for whoever waits. Nobody may be there to read it.
fn tell(what: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::plan::{Choice, usual_systems};
    use crate::lab::tests::ALL;
    use crate::lab::tests::simulated::{Device, Simulation, settings};
    use crate::report::load;
    use crate::report::model::{Environment, FORMAT, SelfTest};
    use crate::tester::protocol::Sizes;

    /// What goes wrong with a system.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Trouble {
        Breaks,
        CannotDoIt,
        IsInterrupted,
        EndsBadly,
    }

    struct Simulated {
        trouble: Option<(Kind, u32, Trouble)>,
        opened: Vec<(u32, Kind)>,
    }

    impl Workshop for Simulated {
        fn self_test(&mut self, sizes: &[Sizes], _: f64, _: Instant) -> Result<Vec<SelfTest>> {
            let test = |sizes: &Sizes| SelfTest {
                size: sizes.label(),
                send_rate: 1.0,
                receive_rate: 1.0,
                both_rate: 1.0,
                both_busy: 1.0,
                capability: 1.0,
                latency_p50: None,
                trials: Vec::new(),
            };
            Ok(sizes.iter().map(test).collect())
        }

        fn open(&mut self, plan: &BedPlan) -> Result<(Bed, Job)> {
            self.opened.push((plan.round, plan.system));
            let trouble =
                self.trouble.filter(|(system, round, _)| (*system, *round) == (plan.system, plan.round));
            let mut device = Device { ports: plan.topology.ports(), ..Device::default() };
            match trouble.map(|(_, _, trouble)| trouble) {
                Some(Trouble::Breaks) => {
                    return Err(BenchError::process("the system", "fell over\n | badly"));
                }
                Some(Trouble::CannotDoIt) => {
                    return Err(BenchError::Unsupported("it has no ports".to_owned()));
                }
                Some(Trouble::IsInterrupted) => return Err(BenchError::Interrupted),
                Some(Trouble::EndsBadly) => device.stops_badly = true,
                None => {}
            }
            let simulation = Simulation::new(device);
            Ok((simulation.bed, simulation.case.job))
        }

        fn wait_until_near(&mut self, _: Duration) -> Result<Option<u64>> {
            Ok(Some(1000))
        }

        fn note(&mut self, _: Option<u64>) {}

        fn version(&self, system: Kind) -> Result<String> {
            Ok(format!("{} 1", system.name()))
        }
    }

    struct Ran {
        report: Report,
        done: Result<()>,
        opened: Vec<(u32, Kind)>,
        folder: tempfile::TempDir,
    }

    fn run(trouble: Option<(Kind, u32, Trouble)>) -> Ran {
        let topology = "vhost-vhost".parse().unwrap();
        let settings = Settings { short: true, ..settings() };
        let choice = Choice {
            teams: vec![(topology, usual_systems(topology)[..2].to_vec())],
            sizes: vec![Sizes::Only(64), Sizes::Imix],
            flows: vec![1],
            tests: ALL.iter().filter(|test| ["ndr", "latency"].contains(&test.id)).copied().collect(),
            only: Vec::new(),
            rounds: 2,
            cores: 1,
            settings: settings.clone(),
        };
        let blank = Report {
            format: FORMAT,
            title: "a test".to_owned(),
            started: rfc3339(SystemTime::now()),
            ended: String::new(),
            complete: false,
            cut_short: None,
            short: true,
            command: Vec::new(),
            environment: Environment::default(),
            self_test: Vec::new(),
            systems: Vec::new(),
            measurements: Vec::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let output =
            Output { json: folder.path().join("report.json"), html: folder.path().join("report.html") };
        let mut workshop = Simulated { trouble, opened: Vec::new() };
        let plan = choice.plan();
        let (report, done) =
            Run::new(&mut workshop, &plan, &settings, blank).writing(&output).carry_out(Some(0.1));
        Ran { report, done, opened: workshop.opened, folder }
    }

    impl Ran {
        fn saved(&self) -> Report {
            load(&self.folder.path().join("report.json")).unwrap()
        }

        fn measurement(&self, name: &str, system: Kind) -> &Measurement {
            let found = self
                .report
                .measurements
                .iter()
                .find(|measurement| measurement.name == name && measurement.system == system.id());
            found.unwrap_or_else(|| panic!("no {name} of {system:?}"))
        }
    }

    const NDR: &str = "64B-1c-vhost-vhost-l2-1mac-ndr";

    #[test]
    fn everything_that_was_planned_is_in_the_report() {
        let ran = run(None);
        ran.done.as_ref().unwrap();
        assert!(ran.report.complete && ran.report.cut_short.is_none());
        assert_eq!(ran.saved(), ran.report);
        assert!(ran.folder.path().join("report.html").exists());
        assert_eq!(ran.report.self_test.len(), 2);
        let systems: Vec<_> = ran.report.systems.iter().map(|system| system.id.as_str()).collect();
        assert_eq!(systems, ["pollux", "testpmd-mac"]);
        assert!(ran.report.environment.groups.iter().any(|group| group.name == "Tester"));
        // Each system once a round, the other one first in the second.
        let (pollux, testpmd) = (Kind::Pollux, Kind::TestpmdMac);
        assert_eq!(ran.opened, [(0, pollux), (0, testpmd), (1, testpmd), (1, pollux)]);
        assert_eq!(ran.report.measurements.len(), 6);
        let rounds: Vec<_> =
            ran.measurement(NDR, pollux).figures[0].rounds.iter().map(|it| it.round).collect();
        assert_eq!(rounds, [0, 1]);
        let latency = ran.measurement("64B-1c-vhost-vhost-l2-1mac-latency", testpmd);
        assert_eq!(latency.figure("latency_p50_at_50").unwrap().rounds.len(), 1);
        // The rate that was found before is what loads are shares of: nothing is searched for again.
        assert_eq!(latency.trials.len(), 4);
        assert!(latency.trials[0].outcome.streams[0].latency.as_ref().unwrap().distribution.len() > 1);
    }

    #[test]
    fn a_system_that_breaks_costs_its_own_figures_only() {
        let ran = run(Some((Kind::TestpmdMac, 0, Trouble::Breaks)));
        assert_eq!(ran.done.as_ref().unwrap_err().exit_code(), 1);
        assert!(!ran.report.complete && ran.report.cut_short.as_ref().unwrap().contains("failed"));
        let broken = ran.measurement("64B-1c-vhost-vhost-l2-1mac-latency", Kind::TestpmdMac);
        assert!(broken.not_done.as_ref().unwrap().contains("fell over"), "{broken:?}");
        // It is tried again in the next round, and what went wrong before is a note then.
        let ndr = ran.measurement(NDR, Kind::TestpmdMac);
        assert_eq!((ndr.figures[0].rounds.len(), &ndr.not_done), (1, &None));
        assert!(ndr.notes.iter().any(|note| note.contains("round 1: failed")), "{:?}", ndr.notes);
        assert_eq!(ran.measurement(NDR, Kind::Pollux).figures[0].rounds.len(), 2);
        // After two failures the rest of the bed is left out.
        assert_eq!(ran.opened.iter().filter(|opened| **opened == (0, Kind::TestpmdMac)).count(), 2);
    }

    #[test]
    fn what_cannot_be_done_is_no_failure() {
        let ran = run(Some((Kind::TestpmdMac, 0, Trouble::CannotDoIt)));
        ran.done.as_ref().unwrap();
        assert!(ran.report.complete);
        let latency = ran.measurement("64B-1c-vhost-vhost-l2-1mac-latency", Kind::TestpmdMac);
        assert_eq!(latency.not_done.as_deref(), Some("it has no ports"));
    }

    #[test]
    fn an_interrupted_run_leaves_what_it_found() {
        let ran = run(Some((Kind::TestpmdMac, 1, Trouble::IsInterrupted)));
        assert!(matches!(ran.done, Err(BenchError::Interrupted)));
        assert!(!ran.report.complete);
        assert_eq!(ran.report.cut_short.as_deref(), Some("interrupted by a signal"));
        assert_eq!(ran.saved(), ran.report);
        assert!(ran.folder.path().join("report.html").exists());
        assert_eq!(ran.measurement(NDR, Kind::Pollux).figures[0].rounds.len(), 1);
    }

    #[test]
    fn a_system_that_ends_badly_has_a_note() {
        let ran = run(Some((Kind::Pollux, 1, Trouble::EndsBadly)));
        ran.done.as_ref().unwrap();
        let notes = &ran.measurement(NDR, Kind::Pollux).notes;
        let ended = |note: &String| note.contains("after round 2: ") && note.contains("lost frames");
        assert!(notes.iter().any(ended), "{notes:?}");
        assert!(!ran.measurement(NDR, Kind::TestpmdMac).notes.iter().any(ended));
    }

    #[test]
    fn settings_that_differ_by_topology_say_so() {
        let mut record = SystemRecord {
            id: "pollux".to_owned(),
            name: String::new(),
            version: String::new(),
            settings: Vec::new(),
        };
        let plan = |topology: &str| BedPlan {
            round: 0,
            system: Kind::Pollux,
            topology: topology.parse().unwrap(),
            alone: None,
            items: Vec::new(),
        };
        let set = |value: &str| vec![("ring".to_owned(), value.to_owned())];
        add_settings(&mut record, &plan("vhost-vhost"), set("256"));
        add_settings(&mut record, &plan("vhost-vhost"), set("256"));
        add_settings(&mut record, &plan("veth-veth"), set("512"));
        add_settings(&mut record, &plan("veth-veth"), set("512"));
        let known = |(what, value): &(String, String)| format!("{what}={value}");
        let known: Vec<_> = record.settings.iter().map(known).collect();
        assert_eq!(known, ["ring=256", "ring, veth-veth=512"]);
    }
}
