//! A tester's process, as the lab sees it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::Tester;
use super::protocol::{Facing, Outcome, PROTOCOL, Ready, Reply, Request, Setup, Trial};
use crate::host::{Process, keep_runtime_files};
use crate::{BenchError, Result};

/// How long a tester may take to start DPDK and its ports.
const START: Duration = Duration::from_secs(60);

/// How much longer than it was asked to a tester may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A tester that runs. Dropping it ends it.
pub(crate) struct TesterProcess {
    process: Process,
    ready: Ready,
    /// How long the trial that was begun may take.
    patience: Duration,
}

impl TesterProcess {
    /// Starts a tester. `command` is what comes before `bench tester`: a program and its arguments, so that it may
    /// be on another host (`ssh host pollux`); none: this program. DPDK's runtime files go into `folder`.
    pub(crate) fn start(command: &[String], folder: &Path, setup: &Setup) -> Result<Self> {
        let this = || std::env::current_exe().map_err(BenchError::io("finding this program"));
        let (program, arguments) = match command {
            [] => (this()?, &[][..]),
            [program, arguments @ ..] => (PathBuf::from(program), arguments),
        };
        let mut process = Process::start("the tester", &program, |command| {
            keep_runtime_files(command, folder);
            command.args(arguments).args(["bench", "tester"]);
        })?;
        process.say(&line(setup)?)?;
        let ready = process.wait_for("the ports", START, |line| match serde_json::from_str(line) {
            Ok(ready) => Some(Ok(ready)),
            Err(_) => refusal(line).map(Err),
        })?;
        let ready: Ready = ready.map_err(|what| BenchError::process("the tester", what))?;
        if ready.protocol != PROTOCOL {
            return Err(BenchError::process(
                "the tester",
                format_args!(
                    "it speaks version {} of the protocol, and the lab {PROTOCOL}: use the same binary",
                    ready.protocol
                ),
            ));
        }
        Ok(Self { process, ready, patience: PATIENCE })
    }

    /// Makes it one of several that face each other.
    pub(crate) fn face(&mut self, facing: Facing) -> Result<()> {
        self.ask(&Request::Face(facing))?;
        self.done(PATIENCE)
    }

    /// As [`greet`](Tester::greet), in two parts.
    pub(crate) fn begin_greeting(&mut self, patience: Duration) -> Result<()> {
        self.patience = patience + PATIENCE;
        self.ask(&Request::Greet { patience: patience.as_secs_f64() })
    }

    pub(crate) fn finish_greeting(&mut self) -> Result<()> {
        self.done(self.patience)
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.process.wait()
    }

    fn ask(&mut self, request: &Request) -> Result<()> {
        self.process.say(&line(request)?)
    }

    fn reply(&mut self, what: &str, patience: Duration) -> Result<Reply> {
        let reply = self.process.wait_for(what, patience, parse)?;
        match reply {
            Reply::Error(why) => Err(BenchError::process("the tester", why)),
            reply => Ok(reply),
        }
    }

    fn done(&mut self, patience: Duration) -> Result<()> {
        match self.reply("an answer", patience)? {
            Reply::Done => Ok(()),
            _ => Err(BenchError::process("the tester", "it answered something else")),
        }
    }
}

impl Tester for TesterProcess {
    fn ready(&self) -> &Ready {
        &self.ready
    }

    fn greet(&mut self, patience: Duration) -> Result<()> {
        self.begin_greeting(patience)?;
        self.finish_greeting()
    }

    fn begin(&mut self, trial: &Trial) -> Result<()> {
        self.patience = duration(trial) + PATIENCE;
        self.ask(&Request::Trial(trial.clone()))
    }

    fn finish(&mut self) -> Result<Outcome> {
        match self.reply("the outcome", self.patience)? {
            Reply::Outcome(outcome) => Ok(*outcome),
            _ => Err(BenchError::process("the tester", "it answered something else")),
        }
    }
}

/// How long a trial takes, at most.
fn duration(trial: &Trial) -> Duration {
    let learn = trial.learn.map_or(0.0, |learn| {
        let flows: f64 = trial.streams.iter().map(|stream| f64::from(stream.flows)).sum();
        flows * f64::from(learn.repeats) / learn.rate + learn.settle
    });
    let seconds = trial.warm_up + trial.seconds + trial.drain + learn;
    // What is no time at all the tester refuses at once.
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn line(what: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(what).map_err(|error| BenchError::process("the tester", error))
}

fn parse<T: DeserializeOwned>(line: &str) -> Option<T> {
    serde_json::from_str(line).ok()
}

fn refusal(line: &str) -> Option<String> {
    match parse(line)? {
        Reply::Error(why) => Some(why),
        _ => None,
    }
}
