//! What a change did, or why it was refused.

use pollux_config::Changes;
use pollux_net::{Mac, Vid};
use serde_json::{Value, json};

use super::{Failure, Reply};
use crate::control::ChangeError;
use crate::rpc::Code;

/// The answer to what changes the configuration.
pub(super) fn changed(result: Result<Changes, ChangeError>) -> Result<Reply, Failure> {
    result.map(|changes| json!({ "changes": described(&changes) }).into()).map_err(refused)
}

/// Changes, as `docs/control.md` has them.
pub(super) fn described(changes: &Changes) -> Value {
    let statics = |entries: &[(Vid, Mac)]| -> Vec<_> {
        entries.iter().map(|(vid, mac)| json!({ "vid": vid.value(), "mac": mac.to_string() })).collect()
    };
    json!({
        "attached": changes.attached,
        "detached": changes.detached,
        "replaced": changes.replaced,
        "retuned": changes.retuned,
        "settings": changes.settings,
        "ageing": changes.ageing,
        "statics_removed": statics(&changes.statics_removed),
        "statics_added": statics(&changes.statics_added),
        "mirrors_removed": changes.mirrors_removed,
        "mirrors_added": changes.mirrors_added,
        "summary": changes.to_string(),
    })
}

pub(super) fn refused(error: ChangeError) -> Failure {
    let code = match error {
        ChangeError::Failed(_) => Code::Failed,
        _ => Code::Input,
    };
    Failure::new(code, error.to_string())
}
