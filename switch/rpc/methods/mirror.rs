//! Mirrors: `mirror.…`. They come and go with the configuration.

use serde_json::json;

use super::{Arguments, Method, Reply};
use crate::control::Running;
use crate::rpc::Failure;

pub(super) const METHODS: &[(&str, Method)] = &[("mirror.list", list)];

fn list(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    arguments.parse::<()>()?;
    Ok(json!({ "mirrors": running.switch.mirrors() }).into())
}
