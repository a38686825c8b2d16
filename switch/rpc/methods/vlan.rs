//! VLANs.

use serde::Deserialize;
use serde_json::json;

use super::fdb::vid;
use super::{Arguments, Failure, Method, Reply};
use crate::control::Running;

pub(super) const METHODS: &[(&str, Method)] = &[("vlan.list", list)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    vlan: Option<u16>,
}

fn list(running: &mut Running, arguments: Arguments) -> Result<Reply, Failure> {
    let List { vlan } = arguments.parse()?;
    let vlans = running.switch.vlans(vlan.map(vid).transpose()?);
    Ok(json!({ "vlans": vlans }).into())
}
