//! A process that was started here and ends with it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::DemoError;

/// Lines that a process said last which an error repeats.
const REPEATED: usize = 8;

/// A process at work, and what it has written. Dropping it kills it.
pub(super) struct Background {
    name: &'static str,
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Background {
    /// Starts a program, away from the terminal's signals: they are for the demo, which ends it.
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Self, DemoError> {
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = command.env("LC_ALL", "C").spawn();
        let mut child =
            spawned.map_err(|error| DemoError::Failed(format!("{name} can't be started: {error}")))?;
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            pass_on(output, sender.clone());
        }
        if let Some(errors) = child.stderr.take() {
            pass_on(errors, sender);
        }
        Ok(Self { name, child, lines, said: Vec::new() })
    }

    /// What it has written so far, line by line.
    pub(super) fn said(&mut self) -> &[String] {
        self.said.extend(self.lines.try_iter());
        &self.said
    }

    /// How it ended, once it has; then it has said everything.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, DemoError> {
        let status = self.child.try_wait();
        let status = status.map_err(|error| DemoError::Failed(format!("{}: {error}", self.name)))?;
        if status.is_some() {
            // Ends with the pipes, which have nobody left to write to them.
            self.said.extend(self.lines.iter());
        }
        Ok(status)
    }

    /// Whether it has ended. One that ended badly is an error.
    pub(super) fn ended_well(&mut self) -> Result<bool, DemoError> {
        match self.ended()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(self.failure(&format!("ended with {status}"))),
        }
    }

    /// The error that says what it did, and what it said last.
    pub(super) fn failure(&mut self, what: &str) -> DemoError {
        let mut text = format!("{}: {what}", self.name);
        let said = self.said();
        for line in &said[said.len().saturating_sub(REPEATED)..] {
            text.push_str("\n  | ");
            text.push_str(line);
        }
        DemoError::Failed(text)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Neither fails but for one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pass_on(output: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            // Nobody may be left to listen, but the process must not block on a full pipe.
            let _ = lines.send(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    });
}

/// This program, for starting it again: by the kernel's link, which holds even if the file was replaced,
/// and by number, as `self` would be whatever follows it.
pub(super) fn this_program() -> PathBuf {
    PathBuf::from(format!("/proc/{}/exe", std::process::id()))
}
