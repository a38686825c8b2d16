//! Commands that go on answering: captures to the standard output, and events.

use std::fs::OpenOptions;
use std::io::{ErrorKind, PipeReader, Read};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::commands::{capture_params, event_kinds};
use super::grammar::Command;
use super::run::{Failed, Screen};
use crate::rpc::{CallError, Client};

/// How often it is looked whether somebody wants to stop.
const LOOK: Duration = Duration::from_millis(100);

/// What the standard output is called among files.
pub const STANDARD_OUTPUT: &str = "-";

/// Starts a capture. Into a file it goes on by itself; to the standard output for as long as this does.
pub(super) fn capture(command: &Command, client: &mut Client, screen: &mut Screen<'_>) -> Result<(), Failed> {
    let params = capture_params(&command.args);
    let Some(path) = command.args.get("FILE").filter(|path| *path != STANDARD_OUTPUT) else {
        return to_standard_output(client, params, screen);
    };
    // What is there already is somebody's: a capture never overwrites.
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let file = file.map_err(|error| Failed::Input(unopened(path, &error)))?;
    let answer = client.call_with_file("capture.start", params, file.as_fd()).inspect_err(|_| {
        // Nothing is in it.
        let _ = std::fs::remove_file(path);
    })?;
    screen.show(command, &answer)
}

fn unopened(path: &str, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::AlreadyExists => format!("{path}: is there already; name a file that isn't"),
        _ => format!("{path}: can't be made: {error}; name a file in a folder that is there and writable"),
    }
}

fn to_standard_output(client: &mut Client, params: Value, screen: &mut Screen<'_>) -> Result<(), Failed> {
    let here = |error: std::io::Error| Failed::Here(format!("the capture can't be passed on: {error}"));
    let (reader, writer) = std::io::pipe().map_err(here)?;
    let answer = client.call_with_file("capture.start", params, writer.as_fd())?;
    drop(writer);
    let name = answer["capture"]["name"].clone();
    let copied = copy(reader, screen);
    if (screen.stopped)() || copied.is_err() {
        // It may have ended by itself meanwhile.
        let _ = client.call("capture.stop", json!({ "name": name }));
    }
    match copied {
        // Whoever read has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        copied => copied.map_err(here),
    }
}

/// Passes on what comes, until it ends or somebody wants to stop.
fn copy(mut from: PipeReader, screen: &mut Screen<'_>) -> std::io::Result<()> {
    let (chunks, received) = std::sync::mpsc::sync_channel::<std::io::Result<Vec<u8>>>(16);
    // The pipe's end wakes this thread when the switch closes it, or the process ends.
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let chunk = match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => Ok(buffer[..length].to_vec()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = chunk.is_err();
            if chunks.send(chunk).is_err() || failed {
                return;
            }
        }
    });
    while !(screen.stopped)() {
        match received.recv_timeout(LOOK) {
            Ok(chunk) => {
                screen.out.write_all(&chunk?)?;
                screen.out.flush()?;
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(())
}

/// Shows events as they come, until somebody wants to stop.
pub(super) fn monitor(command: &Command, client: &mut Client, screen: &mut Screen<'_>) -> Result<(), Failed> {
    client.subscribe(&event_kinds(command.args.get("KINDS")))?;
    while !(screen.stopped)() {
        match client.next_event(Some(LOOK)) {
            Ok(Some(event)) => screen.show(command, &event)?,
            Ok(None) => {}
            // A signal that asks to stop wakes the call.
            Err(CallError::Broken(_, error)) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
