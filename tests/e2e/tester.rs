//! The lab's tester: whether it finds what a faulty device does, keeps its rates, and counts as testpmd does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Lines, bound, require_root, wait};

/// How long a trial may take on a machine that has much else to do.
const LONG: Duration = Duration::from_secs(150);

/// A program that answers lines with lines. It is killed unless it ends before.
struct Talker {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines,
    errors: Lines,
}

impl Talker {
    fn start(program: &str, folder: &Path, arguments: &[&str]) -> Self {
        Self::spawn(bound(program).args(arguments), folder)
    }

    fn spawn(command: &mut Command, folder: &Path) -> Self {
        require_root();
        command.env("RUNTIME_DIRECTORY", folder);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        let errors = Lines::of(child.stderr.take().unwrap());
        Self { input: child.stdin.take(), child, lines, errors }
    }

    fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its input is open");
        writeln!(input, "{line}").and_then(|()| input.flush()).unwrap_or_else(|error| {
            panic!("{error}:\n{}\n{}", self.lines.text(), self.errors.text());
        });
    }

    /// The first line from number `from` on that `pick` takes.
    fn await_line<T>(&self, what: &str, from: usize, pick: impl Fn(&str) -> Option<T>) -> T {
        let found = self.lines.find_within(LONG, |lines| lines.iter().skip(from).find_map(|line| pick(line)));
        found.unwrap_or_else(|| panic!("no {what}:\n{}\n{}", self.lines.text(), self.errors.text()))
    }

    /// Asks, and returns the answer.
    fn ask(&mut self, question: &Value) -> Value {
        let before = self.lines.count();
        self.say(&question.to_string());
        self.await_line("answer", before, |line| serde_json::from_str(line).ok())
    }

    fn outcome(&mut self, trial: &Value) -> Value {
        let answer = self.ask(&json!({ "trial": trial }));
        assert!(answer["outcome"].is_object(), "{answer}");
        answer["outcome"].clone()
    }

    /// Closes its input, waits for its end, and returns what it said.
    fn end(mut self) -> String {
        self.input = None;
        let status = wait("the program to end", || self.child.try_wait().unwrap());
        let text = self.lines.to_end();
        assert!(status.success(), "{status}:\n{text}\n{}", self.errors.text());
        text
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The CPU of the tester, and that of whatever it tests: another, where there is one.
fn cpus() -> (usize, usize) {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let all: Vec<_> = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap()).collect();
    (all[0], all[1 % all.len()])
}

fn socket(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("s{number}"))
}

/// A tester with front ends at these sockets, which are listened on.
fn tester(folder: &Path, sockets: usize) -> Talker {
    let paths: Vec<_> = (0..sockets).map(|number| socket(folder, number)).collect();
    for path in &paths {
        wait("the socket", || path.exists().then_some(()));
    }
    let port = |(number, path): (usize, &PathBuf)| {
        let path = path.display();
        json!({
            "device": format!("net_virtio_user{number},path={path},queues=1,queue_size=256"),
            "rx_ring": 256, "tx_ring": 256,
        })
    };
    let mut tester = Talker::start(env!("CARGO_BIN_EXE_pollux"), folder, &["bench", "tester"]);
    let ready = tester.ask(&json!({
        "protocol": 1, "cpus": [cpus().0], "ordinary_memory": 128, "largest_frame": 1518,
        "ports": paths.iter().enumerate().map(port).collect::<Vec<_>>(),
    }));
    assert_eq!(ready["ports"].as_array().map(Vec::len), Some(sockets), "{ready}");
    assert_eq!(ready["ports"][0]["driver"], "net_virtio_user", "{ready}");
    tester
}

fn stream(from: u8, to: u8, rate: Value, frames: Option<u64>) -> Value {
    json!({
        "name": format!("{from}>{to}"), "from": from, "to": { "port": to }, "sizes": { "only": 64 },
        "flows": 100, "rate": rate, "frames": frames,
    })
}

fn trial(streams: Vec<Value>, seconds: f64) -> Value {
    json!({ "streams": streams, "warm_up": 0.0, "seconds": seconds, "drain": 5.0, "latency": false })
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A device that hands frames from its first to its second port and back, with these faults.
fn faulty(folder: &Path, sockets: usize, faults: &[&str]) -> Talker {
    let cpu = cpus().1.to_string();
    let paths: Vec<_> = (0..sockets).map(|number| socket(folder, number).display().to_string()).collect();
    let mut arguments = vec!["bench", "faulty", "--no-huge", "--cpu", &cpu];
    paths.iter().for_each(|path| arguments.extend(["--socket", path]));
    arguments.extend(faults);
    let device = Talker::start(env!("CARGO_BIN_EXE_pollux"), folder, &arguments);
    device.await_line("device", 0, |line| (line == "ready").then_some(()));
    device
}

#[test]
fn planted_faults_are_found_to_the_frame() {
    const FRAMES: u64 = 2_400_000;
    let folder = TempDir::new().unwrap();
    let every = [
        ["--lose-every", "1000000"],
        ["--duplicate-every", "700001"],
        ["--swap-every", "500009"],
        ["--leak-every", "900007"],
    ];
    let device = faulty(folder.path(), 3, &every.concat());
    let mut tester = tester(folder.path(), 3);
    let both =
        vec![stream(0, 1, json!("max"), Some(FRAMES)), stream(1, 0, json!({ "frames": 1000.0 }), Some(500))];
    let outcome = tester.outcome(&trial(both, 120.0));
    tester.end();
    kill(Pid::from_raw(device.child.id() as i32), Signal::SIGTERM).unwrap();
    let said = device.end();
    let planted: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    println!("planted: {planted}\nfound: {outcome}");

    let found = &outcome["streams"][0];
    assert_eq!((number(&found["sent"]), number(&planted["frames"])), (FRAMES, FRAMES));
    for (what, planted_as, count) in
        [("lost", "lost", 2), ("duplicated", "duplicated", 3), ("reordered", "swapped", 4)]
    {
        assert_eq!(number(&planted[planted_as]), count, "{planted}");
        assert_eq!(number(&found[what]), count, "{what}");
    }
    assert_eq!(number(&planted["leaked"]), 2);
    assert_eq!(found["leaked"], json!({ "2": 2 }));
    assert_eq!(number(&found["received"]), FRAMES - 2);
    // Frames 1,000,000 and 2,000,000 are of the same flow.
    assert_eq!(number(&found["flows_with_loss"]), 1);
    let other = &outcome["streams"][1];
    assert_eq!((number(&other["sent"]), number(&other["received"])), (500, 500));
    for fault in ["lost", "duplicated", "reordered"] {
        assert_eq!(number(&other[fault]), 0, "{fault}");
    }
    assert_eq!(other["leaked"], json!({}));
}

#[test]
fn streams_that_share_a_port_take_turns() {
    let folder = TempDir::new().unwrap();
    let _device = faulty(folder.path(), 2, &[]);
    let mut tester = tester(folder.path(), 2);
    // More than a burst has frames, each as many as go.
    let outcome = tester.outcome(&trial(vec![stream(0, 1, json!("max"), None); 40], 0.5));
    tester.end();
    let sent: Vec<_> =
        outcome["streams"].as_array().unwrap().iter().map(|stream| number(&stream["offered"])).collect();
    let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
    assert!(*least > 0 && most - least <= most / 2, "{sent:?}");
}

#[test]
fn rates_are_kept() {
    let folder = TempDir::new().unwrap();
    let _device = faulty(folder.path(), 2, &[]);
    let mut tester = tester(folder.path(), 2);
    for rate in [1e3, 1e4, 1e5, 1e6] {
        let outcome = tester.outcome(&trial(vec![stream(0, 1, json!({ "frames": rate }), None)], 1.0));
        let (stream, load) = (&outcome["streams"][0], &outcome["tester"]);
        let seconds = outcome["seconds"].as_f64().unwrap();
        let offered = number(&stream["offered"]) as f64;
        let intended = number(&stream["intended"]) as f64;
        let error = offered / seconds / rate - 1.0;
        println!("{rate:>9} a second: {offered} in {seconds} s, off by {:.4} %; {load}", 100.0 * error);
        // What it intends follows from the clock, and from what it owns to have missed itself.
        let due = intended + load["given_up"].as_f64().unwrap();
        assert!((due / seconds / rate - 1.0).abs() < 0.001, "{intended} of {rate}: {load}");
        assert!(offered <= intended);
        let calm = load["paused"].as_f64() == Some(0.0) && load["busy"].as_f64().unwrap() < 0.9;
        // Who takes the frames may be held up too, and then leaves them with the tester.
        if calm && load["blocked"].as_f64() == Some(0.0) {
            assert!(error.abs() < 0.01, "off by {error}: {outcome}");
        }
        assert_eq!(number(&stream["lost"]), 0, "{outcome}");
        assert_eq!(stream["received"], stream["offered"]);
    }
    tester.end();
}

/// testpmd between two of the tester's ports, told on its console.
fn testpmd(folder: &Path) -> Talker {
    let cpu = cpus().1;
    let device = |number| format!("net_vhost{number},iface={}", socket(folder, number).display());
    // It would keep what it says to itself until there is a page of it.
    let mut command = bound("stdbuf");
    command.args(["--output=L", "dpdk-testpmd", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry"]);
    command.arg(format!("--file-prefix=pollux-judge-{}", std::process::id()));
    command.arg(format!("--lcores=0@{},1@{cpu}", cpus().0)).args(["--main-lcore", "0"]);
    command.args(["--vdev", &device(0), "--vdev", &device(1), "--", "-i", "--auto-start", "--nb-cores=1"]);
    command.args(["--forward-mode=io", "--total-num-mbufs=8191"]);
    let judge = Talker::spawn(&mut command, folder);
    judge.await_line("forwarding", 0, |line| line.contains("io packet forwarding").then_some(()));
    judge
}

/// What testpmd says of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Judged {
    received: u64,
    sent: u64,
    /// Since it was last asked.
    received_rate: u64,
}

fn ask_judge(judge: &mut Talker) -> [Judged; 2] {
    let before = judge.lines.count();
    judge.say("show port stats all");
    let read = |lines: &[String]| -> Option<[Judged; 2]> {
        let value = |key: &str, port: usize| {
            let mut lines = lines.iter().skip(before).filter_map(|line| line.trim_start().strip_prefix(key));
            lines.nth(port)?.split_whitespace().next()?.parse().ok()
        };
        let judged = |port| {
            let (received, sent) = (value("RX-packets:", port)?, value("TX-packets:", port)?);
            value("Tx-pps:", port)?;
            Some(Judged { received, sent, received_rate: value("Rx-pps:", port)? })
        };
        Some([judged(0)?, judged(1)?])
    };
    judge.lines.find_within(LONG, read).unwrap_or_else(|| panic!("no statistics:\n{}", judge.lines.text()))
}

#[test]
fn testpmd_counts_the_same() {
    let folder = TempDir::new().unwrap();
    let mut judge = testpmd(folder.path());
    let mut tester = tester(folder.path(), 2);
    let both = vec![
        stream(0, 1, json!({ "frames": 50_000.0 }), None),
        stream(1, 0, json!({ "frames": 20_000.0 }), None),
    ];
    let mut trial = trial(both, 4.0);
    trial["warm_up"] = json!(1.0);
    let before = tester.lines.count();
    tester.say(&json!({ "trial": trial }).to_string());
    // The judge gives the rate between two questions; both are within the window, unless the machine is slow.
    std::thread::sleep(Duration::from_secs(2));
    ask_judge(&mut judge);
    std::thread::sleep(Duration::from_secs(2));
    let rates = ask_judge(&mut judge).map(|port| port.received_rate);
    let answer = tester.await_line("outcome", before, |line| serde_json::from_str::<Value>(line).ok());
    let outcome = &answer["outcome"];
    let totals = ask_judge(&mut judge);
    println!("the judge: {totals:?}, {rates:?} frames a second\nthe tester: {outcome}");

    let seconds = outcome["seconds"].as_f64().unwrap();
    let load = &outcome["tester"];
    for port in 0..2 {
        let own = &outcome["ports"][port];
        assert_eq!(totals[port].received, number(&own["sent"]), "what port {port} sent");
        assert_eq!(totals[port].sent, number(&own["received"]), "what port {port} received");
        let rate = number(&outcome["streams"][port]["offered"]) as f64 / seconds;
        let ratio = rates[port] as f64 / rate;
        println!("port {port}: {rate:.0} frames a second, and {ratio:.4} of that by the judge");
        let calm = load["paused"].as_f64() == Some(0.0) && load["given_up"] == 0 && load["blocked"] == 0.0;
        assert!(!calm || (0.98..1.02).contains(&ratio), "{ratio} of {rate}: {outcome}");
    }
    for (stream, came, went) in
        [(0, totals[0].received, totals[1].sent), (1, totals[1].received, totals[0].sent)]
    {
        // What a ring hadn't room for, as while the tester itself had no CPU, the judge dropped.
        assert_eq!(number(&outcome["streams"][stream]["lost"]), came - went, "{outcome}");
    }
    tester.end();
    judge.say("quit");
    judge.end();
}

#[test]
fn mistakes_are_answered_and_the_tester_goes_on() {
    let folder = TempDir::new().unwrap();
    let _device = faulty(folder.path(), 2, &[]);
    let mut tester = tester(folder.path(), 2);
    let wrong = [
        (stream(0, 7, json!("max"), None), "to port 7"),
        (stream(0, 0, json!("max"), None), "same_port"),
        (stream(0, 1, json!({ "frames": 0.0 }), None), "a rate is 0.001 to"),
    ];
    for (stream, says) in wrong {
        let answer = tester.ask(&json!({ "trial": trial(vec![stream], 1.0) }));
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(error.contains(says), "{error}");
    }
    assert!(tester.ask(&json!("nonsense"))["error"].is_string());
    assert_eq!(tester.ask(&json!({ "greet": { "patience": 60.0 } })), json!("done"));
    let outcome = tester.outcome(&trial(vec![stream(1, 0, json!("max"), Some(1000))], 60.0));
    assert_eq!(number(&outcome["streams"][0]["received"]), 1000, "{outcome}");
    // A closed input ends it in the midst of a trial, too.
    tester.say(&json!({ "trial": trial(vec![stream(1, 0, json!("max"), None)], 3600.0) }).to_string());
    tester.input = None;
    let status = wait("the tester to end", || tester.child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}
