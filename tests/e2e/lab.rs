//! `pollux bench lab`: a report that is whole, one that is cut short, and nothing left of either.

use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Lines, bound, require_root, wait};

/// How long a run may take on a machine that has much else to do.
const LONG: Duration = Duration::from_secs(240);

/// A run of the lab, in a folder of its own for all that it makes.
struct Lab {
    child: Child,
    errors: Lines,
    output: Lines,
    folder: TempDir,
}

/// Two CPUs that polling threads can share with other tests.
fn cpus() -> [usize; 2] {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let all: Vec<_> = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap()).collect();
    assert!(all.len() >= 2, "the lab polls with two CPUs: run this test where there are two");
    [all[0], all[1]]
}

impl Lab {
    /// Measures Pollux and the kernel's bridge with cables between them and the tester.
    fn start(more: &[&str]) -> Self {
        require_root();
        let folder = tempfile::Builder::new().prefix("lab").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let [house, worker] = cpus().map(|cpu| cpu.to_string());
        let mut command = bound(env!("CARGO_BIN_EXE_pollux"));
        command.args(["bench", "lab", "--short", "--systems", "pollux,bridge", "--topologies", "veth-veth"]);
        command.args(["--no-huge", "--no-self-test", "--house-cpu", &house, "--worker-cpu", &worker]);
        command.args(["--seconds", "0.05", "--final-seconds", "0.1", "--repeats", "0", "--rounds", "1"]);
        command.args(["--flows", "1", "--output"]).arg(folder.path().join("report")).args(more);
        command.env("TMPDIR", folder.path().join("tmp"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self {
            errors: Lines::of(child.stderr.take().unwrap()),
            output: Lines::of(child.stdout.take().unwrap()),
            child,
            folder,
        }
    }

    fn await_line(&self, text: &str) {
        let found =
            self.errors.find_within(LONG, |lines| lines.iter().find(|line| line.contains(text)).cloned());
        assert!(found.is_some(), "no {text:?}:\n{}\n{}", self.errors.text(), self.output.text());
    }

    fn interrupt(&self) {
        kill(self.pid(), Signal::SIGINT).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    fn end(&mut self) -> ExitStatus {
        let deadline = std::time::Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(std::time::Instant::now() < deadline, "it doesn't end:\n{}", self.errors.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn report(&self) -> Value {
        let path = self.folder.path().join("report/report.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn page(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("report/report.html")).unwrap()
    }

    /// Fails if there is a process, a file or an interface of this run.
    #[track_caller]
    fn left_nothing(&self) {
        let tmp = self.folder.path().join("tmp");
        // What is killed with its parent takes a moment to be gone.
        wait("its processes to be gone", || processes_in(&tmp).is_empty().then_some(()));
        let files: Vec<_> = std::fs::read_dir(&tmp).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(files.is_empty(), "{files:?}");
        let begin = format!("plx{}c", self.child.id());
        let cables = std::fs::read_dir("/sys/class/net").unwrap().flatten();
        let cables: Vec<_> =
            cables.filter(|entry| entry.file_name().to_string_lossy().starts_with(&begin)).collect();
        assert!(cables.is_empty(), "{cables:?}");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // It has ended, or a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes whose temporary files lie in a folder.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let variable = format!("TMPDIR={}", folder.display());
    let all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let has_it = |process: &PathBuf| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|octet| *octet == 0).any(|word| word == variable.as_bytes())
    };
    all.filter(has_it).collect()
}

/// Measurements of a report, as (system, name).
fn measured(report: &Value) -> Vec<(String, String)> {
    let text = |measurement: &Value, key: &str| measurement[key].as_str().unwrap().to_owned();
    let all = report["measurements"].as_array().unwrap().iter();
    all.map(|measurement| (text(measurement, "system"), text(measurement, "name"))).collect()
}

#[test]
fn a_run_gives_a_complete_report_and_leaves_nothing() {
    let mut lab = Lab::start(&["--sizes", "64,512", "--tests", "ndr,latency"]);
    let status = lab.end();
    assert!(status.success(), "{status}:\n{}\n{}", lab.errors.text(), lab.output.text());
    let report = lab.report();
    assert_eq!((&report["complete"], &report["cut_short"]), (&Value::Bool(true), &Value::Null));
    let names =
        ["64B-1c-veth-veth-l2-1mac-ndr", "512B-1c-veth-veth-l2-1mac-ndr", "64B-1c-veth-veth-l2-1mac-latency"];
    let measured = measured(&report);
    for system in ["pollux", "bridge"] {
        for name in names {
            assert!(
                measured.contains(&(system.to_owned(), name.to_owned())),
                "{system} {name}: {measured:?}"
            );
        }
    }
    for measurement in report["measurements"].as_array().unwrap() {
        assert_eq!(measurement["not_done"], Value::Null, "{measurement}");
        assert!(!measurement["figures"].as_array().unwrap().is_empty());
        assert!(!measurement["trials"].as_array().unwrap().is_empty());
        // Frames came through both ways.
        let rate = measurement["trials"][0]["outcome"]["streams"].as_array().unwrap();
        assert!(rate.iter().all(|stream| stream["received"].as_u64().unwrap() > 0), "{measurement}");
    }
    assert!(!report["environment"]["groups"].as_array().unwrap().is_empty());
    assert_eq!(report["systems"].as_array().unwrap().len(), 2);
    assert!(lab.page().contains("<svg"), "a page without plots");
    assert!(lab.output.text().contains("report.json"), "{}", lab.output.text());
    lab.left_nothing();
}

#[test]
fn a_signal_at_any_time_leaves_a_partial_report_and_nothing_else() {
    // Before the first system is there, while one is measured, and between two.
    for moment in [" measurements, about ", "[1/", "[5/"] {
        let mut lab = Lab::start(&["--sizes", "64,128,256,512,1024", "--tests", "ndr"]);
        lab.await_line(moment);
        lab.interrupt();
        let status = lab.end();
        assert_eq!(status.code(), Some(1), "{moment}: {status}:\n{}", lab.errors.text());
        let report = lab.report();
        assert_eq!(report["complete"], Value::Bool(false));
        assert_eq!(report["cut_short"], "interrupted by a signal", "{moment}");
        let done = report["measurements"].as_array().unwrap().len();
        assert!(done < 10, "{moment}: {done}");
        let expected = lab.errors.text().lines().filter(|line| line.starts_with('[')).count();
        assert_eq!(done, expected, "{moment}:\n{}", lab.errors.text());
        assert!(!lab.page().is_empty());
        lab.left_nothing();
    }
}

#[test]
fn a_list_says_what_would_be_done_and_does_nothing() {
    let mut lab = Lab::start(&["--list", "--only", "*-ndr"]);
    assert!(lab.end().success());
    let text = lab.output.text();
    assert!(text.contains("imix-1c-veth-veth-l2-1mac-ndr") && !text.contains("latency"), "{text}");
    assert!(!lab.folder.path().join("report").exists());
    lab.left_nothing();
}
