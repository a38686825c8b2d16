//! `pollux exec` and `pollux cli`, as processes.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Switch, bound, wait};
use crate::vhost::config;

const POLLUX: &str = env!("CARGO_BIN_EXE_pollux");

/// Runs a program that is given this to read.
fn with_input(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn exec(control: &Path, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(POLLUX);
    command.args(["exec", "--control"]).arg(control).args(arguments);
    texts(&with_input(&mut command, input.as_bytes()))
}

#[test]
fn help_and_mistakes_need_no_switch() {
    let nowhere = Path::new("/nowhere/control.sock");
    let (code, stdout, _) = exec(nowhere, &["help"], "");
    assert_eq!(code, Some(0));
    assert!(stdout.contains("help vlan"), "{stdout}");
    let (code, stdout, _) = exec(nowhere, &["help", "set", "port"], "");
    assert_eq!(code, Some(0));
    assert!(stdout.contains("set port PORT vlan access VID"), "{stdout}");
    let (code, stdout, _) = exec(nowhere, &["help", "filters"], "");
    assert_eq!(code, Some(0));
    assert!(stdout.contains("rules of a QoS profile"), "{stdout}");
    for (line, code, said) in [
        ("shwo vhost", 2, "did you mean `show vhost`?"),
        ("set fwd io", 2, "the switch has one way to forward"),
        ("show vlan 5000", 2, "write a VLAN, 1 to 4094"),
        ("load /nowhere/commands", 2, "/nowhere/commands: can't be read"),
        ("show vhost", 3, "no switch answers on /nowhere/control.sock"),
    ] {
        let (got, stdout, stderr) = exec(nowhere, &[line], "");
        assert_eq!((got, stdout.as_str()), (Some(code), ""), "{line}: {stderr}");
        assert!(stderr.contains(said), "{line}: {stderr}");
    }
}

#[test]
fn a_batch_stops_at_its_first_error_unless_told_otherwise() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 1, "server"));
    let control = switch.socket();
    let batch = "show version\nshow port info nobody\nshow accounting\n";
    let (code, stdout, stderr) = exec(&control, &[], batch);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stdout.contains("Pollux") && !stdout.contains("accounting"), "{stdout}");
    assert!(stderr.starts_with("line 2: "), "{stderr}");
    let (code, stdout, _) = exec(&control, &["--keep-going"], batch);
    assert_eq!(code, Some(2), "the first error tells");
    assert!(stdout.contains("accounting: rx"), "{stdout}");

    // A file loads others; all of it is read before any of it is run.
    let inner = folder.path().join("inner");
    let outer = folder.path().join("outer");
    std::fs::write(&inner, "show accounting\n").unwrap();
    std::fs::write(&outer, format!("show version\nload {}\n", inner.display())).unwrap();
    let (code, stdout, stderr) = exec(&control, &["--json", "-f", outer.to_str().unwrap()], "");
    assert_eq!(code, Some(0), "{stderr}");
    let answers: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(answers[0]["version"].is_string() && answers[1]["balances"] == true, "{stdout}");
    std::fs::write(&inner, "show accounting\nshow nothing\n").unwrap();
    let (code, stdout, stderr) = exec(&control, &["-f", outer.to_str().unwrap()], "");
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    assert!(stderr.contains("outer:2: ") && stderr.contains("inner:2: "), "{stderr}");

    // A word of the shell is a word of the command.
    let (code, _, stderr) = exec(&control, &["rebalance", "dry run"], "");
    assert_eq!(code, Some(2));
    assert!(stderr.contains("`dry run`"), "{stderr}");
    switch.stop();
}

/// A console in a terminal of its own.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<String>>,
    /// What of the screen was looked at.
    seen: usize,
}

impl Terminal {
    fn open(control: &Path, state: &Path) -> Self {
        let console = format!("{POLLUX} cli --control {}", control.display());
        let mut command = bound("script");
        command.args(["--quiet", "--echo", "never", "--command", &console, "/dev/null"]);
        command.env("XDG_STATE_HOME", state).env("TERM", "xterm");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut output, shared) = (child.stdout.take().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                shared.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        let keys = child.stdin.take().unwrap();
        Self { child, keys, screen, seen: 0 }
    }

    /// Waits for this on the screen, behind what was waited for before, and returns what stands before it.
    fn find(&mut self, text: &str) -> String {
        wait(&format!("{text:?} on the screen"), || {
            let screen = self.screen.lock().unwrap();
            let found = screen[self.seen..].find(text)?;
            let before = screen[self.seen..self.seen + found].to_owned();
            self.seen += found + text.len();
            Some(before)
        })
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for a prompt, types a line, and returns what is shown up to the next prompt.
    fn line(&mut self, keys: &str) -> String {
        self.press(keys);
        self.press("\r");
        self.find("\n");
        self.find(PROMPT)
    }

    /// Types the last key, after which it ends.
    fn leave(mut self, keys: &str) {
        self.press(keys);
        let status = wait("the console to end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}\n{}", self.screen.lock().unwrap());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Without its terminal the console ends as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PROMPT: &str = "pollux> ";

#[test]
fn the_console_completes_explains_and_remembers() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 2, "server"));
    let control = switch.socket();
    let mut terminal = Terminal::open(&control, folder.path());
    assert!(terminal.find(PROMPT).contains("2 ports"));
    // Tab ends words and names.
    let stats = terminal.line("sh\tport sta\tvm2");
    assert!(stats.contains("accounting: rx"), "{stats}");
    // ? explains what can come next, and leaves the line.
    terminal.press("set port vm1 vlan ?");
    terminal.find("makes it a tunnel");
    terminal.find("set port vm1 vlan ");
    let changed = terminal.line("access 7");
    assert!(changed.contains("changed vm1"), "{changed}");
    // Ctrl-C abandons the line, ctrl-D leaves.
    terminal.press("nonsense\x03");
    terminal.find("nonsense");
    terminal.find(PROMPT);
    let vlans = terminal.line("show vlan");
    assert!(vlans.contains("sent untagged by"), "{vlans}");
    let meant = terminal.line("shwo vlan");
    assert!(meant.contains("did you mean `show vlan`?"), "{meant}");
    terminal.leave("\x04");
    let history = std::fs::read_to_string(folder.path().join("pollux/history")).unwrap();
    for line in ["show port stats vm2", "set port vm1 vlan access 7", "show vlan"] {
        assert!(history.lines().any(|known| known.trim() == line), "{line:?} is not in\n{history}");
    }
}

#[test]
fn the_console_goes_on_without_its_switch() {
    let folder = TempDir::new().unwrap();
    let text = config(folder.path(), 1, "server");
    let switch = Switch::start(&text);
    let mut terminal = Terminal::open(&switch.socket(), folder.path());
    terminal.find(PROMPT);
    assert!(terminal.line("show accounting").contains("accounting: rx"));
    // What goes on by itself is ended by ctrl-C, and the console isn't.
    terminal.press("monitor\r");
    switch.ask("set port vm1 vlan access 9");
    wait("an event on the screen", || {
        // The subscription may have come after the change.
        switch.ask("set port vm1 vlan access 9");
        switch.ask("set port vm1 vlan access 8");
        terminal.screen.lock().unwrap().contains(" config by edit").then_some(())
    });
    terminal.press("\x03");
    terminal.find(PROMPT);
    switch.stop();
    assert!(terminal.line("show vlan").contains("no switch answers on"));
    assert!(terminal.line("help vlan").contains("rx_vlan add|rm"));
    terminal.leave("quit\r");
}

#[test]
fn the_console_reads_what_is_no_terminal() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 1, "server"));
    let mut command = Command::new(POLLUX);
    command.arg("cli").arg("--control").arg(switch.socket()).env("XDG_STATE_HOME", folder.path());
    let (code, stdout, stderr) =
        texts(&with_input(&mut command, b"show version\nshow nothing\nshow accounting\n"));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("accounting: rx") && stderr.contains("`nothing`"), "{stdout}\n{stderr}");
    switch.stop();
}
