//! How DPDK is started.
#![allow(missing_docs)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use dpdk::{Device, Eal, EalOptions, LogLevel, Pci};
use support::*;

static LINES: Mutex<Vec<(LogLevel, String)>> = Mutex::new(Vec::new());

fn note(level: LogLevel, line: &str) {
    LINES.lock().unwrap().push((level, line.to_owned()));
}

#[test]
fn every_line_goes_to_the_sink() {
    let options = EalOptions { log: note, log_level: LogLevel::Info, ..options() };
    let eal = Eal::init(&options).unwrap();
    Device::new("nonsense").attach(&eal).unwrap_err();
    let lines = LINES.lock().unwrap();
    assert!(lines.iter().any(|(level, _)| *level == LogLevel::Info), "{lines:?}");
    assert!(
        lines.iter().any(|(level, line)| *level == LogLevel::Error && line.contains("nonsense")),
        "{lines:?}"
    );
}

#[test]
fn its_threads_stay_on_the_management_processor() {
    let allowed = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let options = EalOptions { management_cpu: Some(0), ..options() };
    let _eal = Eal::init(&options).unwrap();
    assert!(allowed().contains("Cpus_allowed_list:\t0\n"));
    let mut checked = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let folder = task.unwrap().path();
        let name = std::fs::read_to_string(folder.join("comm")).unwrap();
        let status = std::fs::read_to_string(folder.join("status")).unwrap();
        // The test harness has a thread too, from before.
        if name.starts_with("eal-intr") || name.starts_with("rte_mp") || name.starts_with("dpdk-") {
            assert!(status.contains("Cpus_allowed_list:\t0\n"), "{name}: {status}");
            checked += 1;
        }
    }
    assert!(checked > 0);
}

#[test]
fn wrong_options_are_refused_before_anything_starts() {
    for options in [
        EalOptions { file_prefix: "../x".into(), ..options() },
        EalOptions { extra: vec!["--zero\0".into()], ..options() },
        EalOptions { management_cpu: Some(1023), ..options() },
    ] {
        let error = Eal::init(&options).unwrap_err();
        assert!(error.to_string().len() > 20, "{error}");
    }
    let first = Eal::init(&EalOptions { extra: vec!["--no-such-option".into()], ..options() });
    let error = first.unwrap_err();
    assert_eq!((error.call(), error.errno()), ("rte_eal_init", libc::EINVAL), "{error}");
    // EAL can't be asked a second time, even so.
    assert_eq!(Eal::init(&options()).unwrap_err().errno(), libc::EALREADY);
}

#[test]
fn pci_devices_can_be_attached_later_if_allowed() {
    let options = EalOptions { pci: Pci::Allow(Vec::new()), ..options() };
    let eal = Eal::init(&options).unwrap();
    let error = Device::new("0000:ff:1f.7").attach(&eal).unwrap_err();
    assert_eq!(error.errno(), libc::ENODEV, "{error}");
    // Nothing was taken that nobody asked for.
    assert_eq!(Device::new("net_null0").attach(&eal).unwrap().number(), 0);
}

#[test]
fn one_prefix_serves_one_process_at_a_time() {
    // The other process is this test, told to hold a prefix until its input ends.
    const HOLD: &str = "POLLUX_TEST_HOLD_PREFIX";
    if let Ok(file_prefix) = std::env::var(HOLD) {
        let eal = Eal::init(&EalOptions { file_prefix, ..options() }).unwrap();
        println!("ready {}", eal.runtime_dir().display());
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let program = std::env::current_exe().unwrap();
    let mut other = Command::new(program)
        .args(["--exact", "one_prefix_serves_one_process_at_a_time", "--nocapture"])
        .env(HOLD, options().file_prefix)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines().map(Result::unwrap);
    let folder = lines.find_map(|line| Some(line.split_once("ready ")?.1.to_owned())).unwrap();
    let config = std::path::Path::new(&folder).join("config");
    assert!(config.exists());
    let error = Eal::init(&options()).unwrap_err();
    assert_eq!(error.call(), "rte_eal_init", "{error}");
    assert!(config.exists(), "a start that fails leaves the other's files alone");
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    assert!(!config.exists());
}
