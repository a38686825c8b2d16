use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pollux::console::Command as ConsoleCommand;
use pollux::rpc::Client;
use serde_json::Value;
use tempfile::TempDir;

use super::{Closing, Lines, Namespace, bound, require_root, runtime_dir, wait};

const FILE: &str = "pollux.toml";
const SOCKET: &str = "control.sock";

/// `pollux run`. It is killed, and what it left removed, unless a test stops it.
pub struct Switch {
    child: Child,
    pub stdout: Lines,
    pub stderr: Lines,
    /// Holds the file and the control socket.
    folder: TempDir,
}

/// A port's counters while the switch runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Live {
    pub rx_frames: u64,
    pub tx_frames: u64,
    pub dropped: u64,
}

impl Switch {
    /// Runs a switch from this file, and returns when it is ready.
    pub fn start(config: &str) -> Self {
        Self::launch(None, config).ready()
    }

    /// The same in a namespace, whose interfaces it then sees.
    pub fn start_in(namespace: &Namespace, config: &str) -> Self {
        Self::launch(Some(namespace), config).ready()
    }

    /// Runs a switch, ready or not.
    pub fn launch(namespace: Option<&Namespace>, config: &str) -> Self {
        let within = namespace.map(|namespace| ["ip", "netns", "exec", namespace.name()]);
        Self::launch_within(within.as_ref().map_or(&[], |within| within), config)
    }

    /// The same with what `prepare` does to the command.
    pub fn launch_with(config: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        Self::launch_prepared(&[], config, prepare)
    }

    /// The same by a command that takes what it runs as its last arguments, and becomes it.
    pub fn launch_within(around: &[&str], config: &str) -> Self {
        Self::launch_prepared(around, config, |_| ())
    }

    fn launch_prepared(around: &[&str], config: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        require_root();
        let folder = TempDir::new().unwrap();
        let file = folder.path().join(FILE);
        std::fs::write(&file, config).unwrap();
        let pollux = env!("CARGO_BIN_EXE_pollux");
        remove_orphans();
        let mut command = match around {
            [] => bound(pollux),
            [program, arguments @ ..] => {
                let mut command = bound(program);
                command.args(arguments).arg(pollux);
                command
            }
        };
        command.args(["run", "--stats-interval", "0.1", "--config"]).arg(&file);
        command.arg("--control").arg(folder.path().join(SOCKET));
        prepare(&mut command);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self { child, stdout, stderr, folder }
    }

    pub fn ready(self) -> Self {
        let ready =
            self.stdout.find(|lines| lines.iter().any(|line| line.starts_with("ready after ")).then_some(()));
        assert!(ready.is_some(), "not ready:\n{}\n{}", self.stdout.text(), self.stderr.text());
        self
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// The file that it was started with.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// Puts other text into the file.
    pub fn rewrite(&self, config: &str) {
        std::fs::write(self.folder.path().join(FILE), config).unwrap();
    }

    /// Runs a console command.
    pub fn exec(&self, command: &str) -> Output {
        let socket = self.socket();
        run_to_end(&["exec", "--control", socket.to_str().unwrap(), "--json", command]).1
    }

    /// Asks what the console asks with `command`, which succeeds; without a process for each question.
    pub fn ask(&self, command: &str) -> Value {
        let mut client = Client::connect(&self.socket()).unwrap();
        let asked = ConsoleCommand::parse(command).unwrap().expect("a command");
        asked.ask(&mut client).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Calls a method of the control socket, which succeeds.
    pub fn call(&self, method: &str, params: Value) -> Value {
        let answer = Client::connect(&self.socket()).and_then(|mut client| client.call(method, params));
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Ends it as a crash does.
    pub fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Where DPDK keeps its files.
    pub fn runtime_dir(&self) -> PathBuf {
        runtime_dir(&format!("pollux-{}", self.pid()))
    }

    /// The counters as last printed.
    pub fn counters(&self) -> HashMap<String, Live> {
        self.stdout.find(|lines| Some(last_counters(lines))).unwrap_or_default()
    }

    /// Waits until the counters please `enough`.
    pub fn await_counters(&self, what: &str, enough: impl Fn(&HashMap<String, Live>) -> bool) {
        let found = self.stdout.find(|lines| enough(&last_counters(lines)).then_some(()));
        assert!(found.is_some(), "waited in vain for {what}: {:?}", self.counters());
    }

    /// Waits until the ports together have received this many frames.
    pub fn await_received(&self, frames: u64) {
        self.await_counters(&format!("{frames} frames"), |ports| {
            ports.values().map(|port| port.rx_frames).sum::<u64>() >= frames
        });
    }

    /// Waits for a line of the log that is about this port's link, from line `from` on.
    pub fn await_link(&self, from: usize, port: &str, up: bool) -> usize {
        let state = if up { "up" } else { "down" };
        self.stderr.await_line(from, &format!("port {port}: link {state}"))
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("the switch runs");
    }

    pub fn await_exit(&mut self) -> ExitStatus {
        wait("the switch to end", || self.child.try_wait().unwrap())
    }

    /// Stops the switch as systemd does, and checks what it says and leaves.
    pub fn stop(mut self) -> Closing {
        self.signal(Signal::SIGTERM);
        self.closing()
    }

    /// What a switch says that was told to stop.
    pub fn closing(&mut self) -> Closing {
        let status = self.await_exit();
        let (stdout, stderr) = (self.stdout.to_end(), self.stderr.to_end());
        assert_eq!(status.code(), Some(0), "{status}:\n{stdout}\n{stderr}");
        let runtime_dir = self.runtime_dir();
        assert!(!runtime_dir.exists(), "{} is left", runtime_dir.display());
        Closing::parse(stdout, &stderr)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        let runs = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        if std::thread::panicking() && runs(&mut self.child) {
            // Its closing words may tell what went wrong.
            self.signal(Signal::SIGTERM);
            self.stdout.find_within(Duration::from_secs(3), |_| None::<()>);
        }
        if runs(&mut self.child) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let _ = std::fs::remove_dir_all(self.runtime_dir());
        if std::thread::panicking() {
            let stdout = self.stdout.text();
            let told = stdout.lines().filter(|line| !line.starts_with("stats "));
            println!("the switch said:\n{}\n{}", told.collect::<Vec<_>>().join("\n"), self.stderr.text());
        }
    }
}

/// Removes what DPDK left of tests and switches that were killed, whose names end with their process's number.
fn remove_orphans() {
    let Ok(entries) = std::fs::read_dir(runtime_dir("")) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_str().filter(|name| name.starts_with("pollux-")).unwrap_or_default();
        let owner = name.rsplit('-').next().and_then(|last| last.parse::<u32>().ok());
        if owner.is_some_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn last_counters(lines: &[String]) -> HashMap<String, Live> {
    let mut ports = HashMap::new();
    for line in lines.iter().rev().map_while(|line| line.strip_prefix("stats ")) {
        let (name, live) = parse_stats(line);
        if ports.contains_key(&name) {
            break;
        }
        ports.insert(name, live);
    }
    ports
}

fn parse_stats(line: &str) -> (String, Live) {
    let mut name = String::new();
    let mut live = Live::default();
    for (key, value) in line.split_whitespace().filter_map(|word| word.split_once('=')) {
        let number = || value.parse().expect("a counter is a number");
        match key {
            "port" => name = value.to_owned(),
            "rx_frames" => live.rx_frames = number(),
            "tx_frames" => live.tx_frames = number(),
            "dropped" => live.dropped = number(),
            _ => {}
        }
    }
    (name, live)
}

/// Runs the binary to its end. Returns the process's number too.
pub fn run_to_end(arguments: &[&str]) -> (u32, Output) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollux"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the binary runs");
    (child.id(), child.wait_with_output().expect("the binary runs"))
}
