//! Captures: `capture.…`.

use std::time::Duration;

use pollux_config::limits::{MAX_NAME_LEN, SNAP_LENGTH};
use serde::Deserialize;
use serde_json::json;

use super::{Arguments, Method, Reply, resolve};
use crate::control::{CaptureError, CaptureRequest, Running, StartCaptureError};
use crate::rpc::{Code, Failure};

pub(super) const METHODS: &[(&str, Method)] =
    &[("capture.start", start), ("capture.stop", stop), ("capture.list", list)];

/// The least that a capture can be bound to: what a file takes without any frame.
const LEAST_BYTES: u64 = 4096;

/// The longest that a capture can be told to run: a year.
const MAX_SECONDS: f64 = 365.0 * 86_400.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    name: Option<String>,
    #[serde(default)]
    ports: Vec<String>,
    direction: Option<Direction>,
    #[serde(default)]
    dropped: bool,
    filter: Option<String>,
    snap_length: Option<u32>,
    max_frames: Option<u64>,
    max_bytes: Option<u64>,
    max_seconds: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Rx,
    Tx,
    Both,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stop {
    name: Option<String>,
}

fn start(running: &mut Running, mut arguments: Arguments) -> Result<Reply, Failure> {
    let file = arguments.file.take();
    let asked: Start = arguments.parse()?;
    asked.check()?;
    let file = file.ok_or_else(|| {
        Failure::new(
            Code::Params,
            "no file came with the call: pass one that is open for writing (SCM_RIGHTS)",
        )
    })?;
    let ports = asked.ports.iter().map(|port| resolve(running, port)).collect::<Result<_, _>>()?;
    // What is dropped alone, unless a direction is named beside.
    let direction = asked.direction.or((!asked.dropped).then_some(Direction::Both));
    let request = CaptureRequest {
        name: asked.name,
        ports,
        rx: matches!(direction, Some(Direction::Rx | Direction::Both)),
        tx: matches!(direction, Some(Direction::Tx | Direction::Both)),
        dropped: asked.dropped,
        filter: asked.filter.filter(|filter| !filter.trim().is_empty()),
        snap_length: asked.snap_length.unwrap_or(*SNAP_LENGTH.end()),
        max_frames: asked.max_frames,
        max_bytes: asked.max_bytes,
        max_seconds: asked.max_seconds.map(Duration::from_secs_f64),
    };
    let state = running.switch.start_capture(request, file).map_err(refused)?;
    Ok(json!({ "capture": state }).into())
}

impl Start {
    fn check(&self) -> Result<(), Failure> {
        let wrong = |what: String| Err(Failure::new(Code::Params, what));
        let first = |name: &String| name.starts_with(|c: char| c.is_ascii_alphabetic());
        let word =
            |name: &String| name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'));
        if self.name.as_ref().is_some_and(|name| !first(name) || !word(name) || name.len() > MAX_NAME_LEN) {
            return wrong(format!(
                "`name` starts with a letter and has at most {MAX_NAME_LEN} letters, digits, _ and -"
            ));
        }
        if self.snap_length.is_some_and(|len| !SNAP_LENGTH.contains(&len)) {
            return wrong(format!(
                "`snap_length` is {} to {} octets",
                SNAP_LENGTH.start(),
                SNAP_LENGTH.end()
            ));
        }
        if self.max_frames == Some(0) {
            return wrong("`max_frames` is 1 or more".to_owned());
        }
        if self.max_bytes.is_some_and(|bytes| bytes < LEAST_BYTES) {
            return wrong(format!("`max_bytes` is {LEAST_BYTES} or more"));
        }
        if self.max_seconds.is_some_and(|seconds| !(0.001..=MAX_SECONDS).contains(&seconds)) {
            return wrong(format!("`max_seconds` is 0.001 to {MAX_SECONDS}"));
        }
        Ok(())
    }
}

fn stop(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let Stop { name } = arguments.parse()?;
    running.switch.stop_capture(name.as_deref()).map(Reply::Ending).map_err(refused)
}

fn list(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    Ok(json!({ "captures": running.switch.captures() }).into())
}

fn refused(error: StartCaptureError) -> Failure {
    let code = match &error {
        StartCaptureError::Stuck(_) | StartCaptureError::Refused(CaptureError::Host(_)) => Code::Failed,
        StartCaptureError::Refused(_) => Code::Input,
    };
    Failure::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn bounds_are_within_bounds() {
        let check =
            |params: Value| Arguments { params, file: None }.parse::<Start>().and_then(|start| start.check());
        for good in [
            json!({}),
            json!({ "name": "a-1", "max_bytes": 4096, "max_frames": 1, "max_seconds": 0.5, "snap_length": 14 }),
        ] {
            assert!(check(good).is_ok());
        }
        for bad in [
            json!({ "name": "1" }),
            json!({ "name": "a b" }),
            json!({ "max_frames": 0 }),
            json!({ "max_bytes": 100 }),
            json!({ "max_seconds": 0 }),
            json!({ "max_seconds": 1e10 }),
            json!({ "snap_length": 0 }),
            json!({ "direction": "in" }),
            json!({ "snaplen": 96 }),
        ] {
            assert!(check(bad.clone()).is_err(), "{bad}");
        }
    }
}
