//! Files and hosts that are refused, before anything is touched.

use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::harness::{require_root, run_to_end, runtime_dir};

/// The file of the manual, as it stands there.
const MANUAL: &str = include_str!("manual.toml");

/// What a command left.
struct Ended {
    pid: u32,
    code: i32,
    stdout: String,
    stderr: String,
}

fn run_as(command: &str, file: &Path) -> Ended {
    let (pid, output) = run_to_end(&[command, "--config", file.to_str().unwrap()]);
    let text = |octets| String::from_utf8(octets).unwrap();
    let Output { status, stdout, stderr } = output;
    Ended { pid, code: status.code().expect("it ends by itself"), stdout: text(stdout), stderr: text(stderr) }
}

fn run(command: &str, file: &Path) -> (i32, String, String) {
    let Ended { code, stdout, stderr, .. } = run_as(command, file);
    (code, stdout, stderr)
}

struct File {
    folder: TempDir,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("pollux.toml"), text).unwrap();
        Self { folder }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("pollux.toml")
    }

    /// What is in the folder beside the file.
    fn others(&self) -> usize {
        std::fs::read_dir(self.folder.path()).unwrap().count() - 1
    }
}

/// The file itself has no fault: all that is missing is what it names and this host doesn't have.
#[test]
fn the_manuals_file_loads_and_the_hosts_faults_are_named() {
    let file = File::new(MANUAL);
    let (code, stdout, stderr) = run("check", &file.path());
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    let name = file.path().display().to_string();
    let line_of = |text: &str| MANUAL.lines().position(|line| line.contains(text)).unwrap() + 1;
    let mut expected = vec![format!("{name}:{}:13: there is no such PCI device", line_of("0000:03:00.0"))];
    let cpus = std::thread::available_parallelism().unwrap().get();
    if cpus <= 2 {
        expected.push(format!("{name}:{}:14: there is no CPU 2", line_of("cores ")));
        expected.push(format!("{name}:{}:17: there is no CPU 3", line_of("cores ")));
    }
    if !Path::new("/run/pollux").exists() {
        for vm in ["vm1.sock", "vm2.sock"] {
            expected.push(format!("{name}:{}:", line_of(vm)));
        }
    }
    for start in expected {
        let fault = stderr.lines().find(|line| line.starts_with(&start));
        let fault = fault.unwrap_or_else(|| panic!("no line `{start}` in:\n{stderr}"));
        assert!(fault.contains("; "), "no cure: {fault}");
    }
    let warnings = stderr.lines().filter(|line| line.contains("is not available in this version"));
    assert!(warnings.count() == 0 || stderr.contains("WARN"), "{stderr}");
}

const BAD: &str = r#"[switch]
cores = [0]
hugepages = false
colour = "red"
[ports.a]
vhost_user = { socket = "@FOLDER@/a.sock", role = "server" }
vlan = { mode = "access", vid = 4095 }
[ports.b]
device = "net_null0"
mtu = 90000
"#;

#[test]
fn a_bad_file_is_refused_with_every_fault_and_nothing_is_touched() {
    for command in ["check", "run"] {
        let file = File::new("");
        std::fs::write(file.path(), BAD.replace("@FOLDER@", file.folder.path().to_str().unwrap())).unwrap();
        let (code, stdout, stderr) = run(command, &file.path());
        assert_eq!((code, stdout.as_str()), (2, ""), "{command}: {stderr}");
        for (line, column) in [(4, 1), (7, 33), (10, 7)] {
            let place = format!("{}:{line}:{column}: ", file.path().display());
            assert!(
                stderr.lines().any(|line| line.starts_with(&place)),
                "{command}: no {place} in:\n{stderr}"
            );
        }
        assert_eq!(file.others(), 0, "{command} made a file");
    }
}

#[test]
fn what_the_host_lacks_ends_run_with_3_before_anything_is_touched() {
    require_root();
    let file = File::new("");
    let socket = file.folder.path().join("vm.sock");
    let text = format!(
        "[switch]\ncores = [0]\nmemory = \"1024GiB\"\n[ports.vm]\nvhost_user = {{ socket = \"{}\", role = \"server\" }}\n",
        socket.display(),
    );
    std::fs::write(file.path(), text).unwrap();
    let Ended { pid, code, stdout, stderr } = run_as("run", &file.path());
    assert_eq!((code, stdout.as_str()), (3, ""), "{stderr}");
    // A tebibyte in pages of 2 MB.
    assert!(
        stderr.contains("1048576 MiB of hugepages are needed") && stderr.contains("echo 524288 >"),
        "{stderr}"
    );
    assert_eq!(file.others(), 0, "a socket was made");
    // Nobody but DPDK makes this folder, and a refused switch never starts it.
    assert!(!runtime_dir(&format!("pollux-{pid}")).exists(), "DPDK was started");
}

#[test]
fn a_good_file_is_good_and_nothing_is_started() {
    let file = File::new("[switch]\ncores = [0]\nhugepages = false\n[ports.a]\ndevice = \"net_null0\"\n");
    let (code, stdout, stderr) = run("check", &file.path());
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains(": good: 1 ports, workers on CPU 0"), "{stdout}");
}

#[test]
fn a_file_that_is_not_there_is_named_with_the_cure() {
    let (code, _, stderr) = run("run", Path::new("/nonexistent/pollux.toml"));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("/nonexistent/pollux.toml") && stderr.contains("--config FILE"), "{stderr}");
}
