//! The tester as a process: requests from its standard input, answers to its standard output.

use std::io::{BufRead, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::course::Stop;
use super::engine::Engine;
use super::protocol::{Facing, Reply, Request, Setup};
use super::station::PORTS;
use crate::host::interrupt;
use crate::{BenchError, Result};

/// `pollux bench tester`.
#[derive(Debug, clap::Args)]
pub struct TesterArgs {}

/// Answers until the input ends, or a signal comes.
pub(crate) fn serve() -> Result<()> {
    interrupt::watch()?;
    let stop = Stop::default();
    let lines = lines(stop.clone());
    let Some(setup) = next(&lines)? else { return Ok(()) };
    let started = read::<Setup>(&setup).and_then(|setup| Engine::start(&setup, stop));
    let mut engine = match started {
        Ok(engine) => engine,
        Err(error) => {
            say(&Reply::Error(error.to_string()))?;
            return Err(error);
        }
    };
    say(&engine.ready)?;
    while let Some(line) = next(&lines)? {
        let reply = read(&line).and_then(|request| answer(&mut engine, &request));
        interrupt::check()?;
        say(&reply.unwrap_or_else(|error| Reply::Error(error.to_string())))?;
    }
    Ok(())
}

fn answer(engine: &mut Engine, request: &Request) -> Result<Reply> {
    match request {
        Request::Greet { patience } => engine.greet(*patience).map(|()| Reply::Done),
        Request::Trial(trial) => engine.trial(trial).map(|outcome| Reply::Outcome(Box::new(outcome))),
        Request::Face(facing) => face(engine, *facing).map(|()| Reply::Done),
    }
}

fn face(engine: &mut Engine, facing: Facing) -> Result<()> {
    let own = engine.ready.ports.len();
    if facing.all_ports > PORTS || usize::from(facing.first_port) + own > facing.all_ports.into() {
        return Err(BenchError::Input(format!(
            "ports from {} on of {}: this tester has {own}, and there can be {PORTS}",
            facing.first_port, facing.all_ports
        )));
    }
    // The next one is for greetings.
    engine.facing = Facing { epoch: facing.epoch & !1, ..facing };
    engine.has_others = own < facing.all_ports.into();
    Ok(())
}

/// The lines of the standard input. The end of them stops a trial, too.
fn lines(stop: Stop) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if !line.trim().is_empty() && sender.send(line).is_err() {
                return;
            }
        }
        stop.stop();
    });
    lines
}

/// The next line; `None` at the end.
fn next(lines: &Receiver<String>) -> Result<Option<String>> {
    loop {
        interrupt::check()?;
        match lines.recv_timeout(interrupt::TICK) {
            Ok(line) => return Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

fn read<T: DeserializeOwned>(line: &str) -> Result<T> {
    serde_json::from_str(line)
        .map_err(|error| BenchError::Input(format!("a line that isn't understood: {error}")))
}

fn say(answer: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(answer).map_err(|error| BenchError::process("the tester", error))?;
    let mut output = std::io::stdout().lock();
    let written = writeln!(output, "{text}").and_then(|()| output.flush());
    written.map_err(BenchError::io("answering"))
}
