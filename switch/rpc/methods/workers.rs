//! Workers, and who polls what.

use serde::Deserialize;
use serde_json::json;

use super::{Arguments, Failure, Method, Reply};
use crate::control::Running;
use crate::rpc::Code;

pub(super) const METHODS: &[(&str, Method)] = &[("worker.list", list), ("worker.rebalance", rebalance)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DryRun {
    #[serde(default)]
    dry_run: bool,
}

fn list(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    Ok(json!({ "workers": running.switch.worker_states() }).into())
}

fn rebalance(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let DryRun { dry_run } = arguments.parse()?;
    let failed = |error| Failure::new(Code::Failed, format!("{error}"));
    let done = running.switch.rebalance(dry_run).map_err(failed)?;
    Ok(json!(done).into())
}
