use crate::socket;
use crate::tree::Node;

/// Who may use the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Its permissions.
    pub mode: u32,
    /// Its group, by name or number. `None`: the process's.
    pub group: Option<String>,
}

impl Default for Control {
    fn default() -> Self {
        Self { mode: 0o660, group: None }
    }
}

pub(crate) fn read(node: &Node<'_>) -> Option<Control> {
    node.table(|table| {
        let mode = table.get("mode", socket::mode).unwrap_or(Control::default().mode);
        let group = table.get("group", socket::group);
        Some(Control { mode, group })
    })
}
