//! A process that was started here and ends with it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::interrupt::{self, TICK};
use super::namespace::{self, Place};
use crate::{BenchError, Result};

/// Lines of a process that are kept to tell what it said last.
const KEPT_LINES: usize = 30;

/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process, its output line by line. Dropping it ends it.
pub(crate) struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    last: VecDeque<String>,
}

impl Process {
    /// Starts a program, away from the terminal's signals: they are for us to pass on. Should we be
    /// killed, the system kills it (and so it has to be started by a thread that stays).
    pub(crate) fn start(name: &str, program: &Path, set_up: impl FnOnce(&mut Command)) -> Result<Self> {
        Self::start_in(Place::default(), name, program, set_up)
    }

    /// The same in some other place.
    pub(crate) fn start_in(
        place: Place<'_>,
        name: &str,
        program: &Path,
        set_up: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        use std::os::unix::process::CommandExt;

        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(namespace::words(place, program));
        set_up(&mut command);
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(BenchError::io(format_args!("starting {name}")))?;
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            pass_lines(output, sender.clone());
        }
        if let Some(output) = child.stderr.take() {
            pass_lines(output, sender);
        }
        let input = child.stdin.take();
        Ok(Self { name: name.to_owned(), child, input, lines, last: VecDeque::new() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its input.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let Some(input) = &mut self.input else { return Ok(()) };
        let written = writeln!(input, "{line}").and_then(|()| input.flush());
        written.map_err(|error| self.failure(format!("takes no input: {error}")))
    }

    /// Reads lines until `pick` takes one.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + patience;
        loop {
            interrupt::check()?;
            match self.lines.recv_timeout(TICK) {
                Ok(line) => {
                    let picked = pick(&line);
                    self.keep(line);
                    if let Some(picked) = picked {
                        return Ok(picked);
                    }
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < end => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.failure(format!("no {what} within {} s", patience.as_secs())));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.failure(format!("ended before {what}")));
                }
            }
        }
    }

    /// Passes over what it has written so far.
    pub(crate) fn forget_lines(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.keep(line);
        }
    }

    /// The error that says what it did, and what it said last.
    pub(crate) fn failure(&mut self, what: impl std::fmt::Display) -> BenchError {
        self.forget_lines();
        let mut text = what.to_string();
        for line in &self.last {
            text.push_str("\n  | ");
            text.push_str(line);
        }
        BenchError::process(&self.name, text)
    }

    fn keep(&mut self, line: String) {
        if self.last.len() == KEPT_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Ends it as a crash would. Returns when it is gone; an error if it was already.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Err(self.failure(format!("had ended by itself with {status}")));
        }
        self.signal(Signal::SIGKILL);
        let name = &self.name;
        self.child.wait().map(drop).map_err(BenchError::io(format_args!("waiting for {name}")))
    }

    /// Waits for its end, after it was asked for; what it wrote is left to read with `rest`. Whoever
    /// takes too long, or fails, is an error.
    pub(crate) fn wait(&mut self) -> Result<()> {
        // The end of its input is the last thing that it can be told.
        self.input = None;
        match self.wait_until(Instant::now() + PATIENCE) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.failure(format!("ended with {status}"))),
            None => {
                self.signal(Signal::SIGKILL);
                Err(self.failure(format!("didn't end within {} s, and was killed", PATIENCE.as_secs())))
            }
        }
    }

    /// The lines that it wrote and nobody waited for, after its end.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        // Both ends of its output are closed, so this comes to an end.
        std::iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok()).collect()
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = self.child.id().try_into() {
            // It fails only if the process has ended.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    fn wait_until(&mut self, end: Instant) -> Option<ExitStatus> {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < end => thread::sleep(TICK),
                _ => return None,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.input = None;
        self.terminate();
        if self.wait_until(Instant::now() + Duration::from_secs(3)).is_none() {
            self.signal(Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

fn pass_lines(output: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let Ok(line) = line else { return };
            // Nobody may be left to listen, but the process must not block on a full pipe.
            let _ = lines.send(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    });
}

/// Runs a short program, and returns what it wrote.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    use std::os::unix::process::CommandExt;

    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.process_group(0).stdin(Stdio::null()).output();
    let done = done.map_err(BenchError::io(format_args!("starting {name}")))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(BenchError::process(name, format_args!("ended with {}: {said}", done.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Process {
        Process::start("a test", Path::new("sh"), |command| {
            command.args(["-c", script]);
        })
        .unwrap()
    }

    #[test]
    fn lines_are_waited_for_and_the_rest_is_kept() {
        let mut process = shell("echo one; read word; echo $word >&2; read word; echo three");
        process.wait_for("one", SOON, |line| (line == "one").then_some(())).unwrap();
        process.say("two").unwrap();
        process.wait_for("two", SOON, |line| (line == "two").then_some(())).unwrap();
        // Only now: what goes through two pipes comes in either order.
        process.say("more").unwrap();
        process.wait().unwrap();
        assert_eq!(process.rest(), ["three"]);
    }

    #[test]
    fn failures_say_what_the_process_said() {
        let mut process = shell("echo out of memory; exit 3");
        let error = process.wait_for("the end", SOON, |_| None::<()>).unwrap_err().to_string();
        assert!(error.contains("ended before the end") && error.contains("| out of memory"), "{error}");
        let error = process.wait().unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn killed_processes_are_gone_and_were_there() {
        let mut process = shell("echo ready; exec sleep 1000");
        process.wait_for("ready", SOON, |line| (line == "ready").then_some(())).unwrap();
        process.kill().unwrap();
        assert!(!Path::new(&format!("/proc/{}", process.id())).exists());
        assert!(process.kill().unwrap_err().to_string().contains("had ended by itself"));
    }

    #[test]
    fn dropped_processes_are_gone() {
        let mut process = shell("echo ready; exec sleep 1000");
        process.wait_for("ready", SOON, |line| (line == "ready").then_some(())).unwrap();
        let folder = format!("/proc/{}", process.id());
        assert!(Path::new(&folder).exists());
        drop(process);
        assert!(!Path::new(&folder).exists());
    }
}
