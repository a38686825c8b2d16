use std::path::{Path, PathBuf};

use crate::tree::Node;
use crate::{limits, socket};

/// A port over a VM's vhost-user socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VhostUser {
    /// The socket: absolute, at most [`MAX_SOCKET_PATH_LEN`](limits::MAX_SOCKET_PATH_LEN) octets, and
    /// of characters that have no meaning in DPDK's device arguments.
    pub socket: PathBuf,
    /// Who listens on it.
    pub role: VhostRole,
    /// Queue pairs offered to the VM.
    pub queues: u16,
    /// Permissions of the socket that we listen on. `None`: what the process's umask leaves.
    pub mode: Option<u32>,
    /// The group of the socket that we listen on, by name or number. `None`: the process's.
    pub group: Option<String>,
    /// Work that the VM may leave to us, and we to the VM.
    pub offloads: VhostOffloads,
    /// Where QEMU listens for whoever asks the VM's guest agent: the host's end of the channel. Under the
    /// same rules as `socket`.
    pub guest_agent: Option<PathBuf>,
}

/// Work on frames that a VM and the switch may leave to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VhostOffloads {
    /// TCP and UDP checksums.
    pub checksum: bool,
    /// TCP segmentation; never without checksums.
    pub tso: bool,
}

impl Default for VhostOffloads {
    fn default() -> Self {
        Self { checksum: true, tso: true }
    }
}

/// Our part at the socket. The VM's side has the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum VhostRole {
    /// We connect, again and again, to a socket on which the VM's side listens. Either side can be
    /// restarted.
    #[default]
    Client,
    /// We listen.
    Server,
}

pub(crate) fn read(node: &Node<'_>) -> Option<VhostUser> {
    node.table(|table| {
        let socket = table.require("socket", "add `socket = \"/run/pollux/NAME.sock\"`", |node| {
            socket_path(
                node,
                "/run/pollux/vm1.sock",
                "DPDK's device arguments",
                "another port has this socket",
            )
        });
        let role = table
            .get("role", |node| node.choice(&[("client", VhostRole::Client), ("server", VhostRole::Server)]));
        let queues = table.get("queues", |node| node.number(&limits::QUEUES));
        let mode = table.get("mode", socket::mode);
        let group = table.get("group", socket::group);
        let guest_agent = table.get("guest_agent", |node| {
            let taken = "this socket has a use already";
            socket_path(node, "/run/pollux/vm1.agent.sock", "QEMU's arguments", taken)
        });
        let role = role.unwrap_or_default();
        if role == VhostRole::Client {
            let what = "has no meaning with `role = \"client\"`: the VM's side makes the socket";
            table.refuse_keys(&["mode", "group"], what, "remove it, or write `role = \"server\"`");
        }
        let offloads = table.get("offloads", offloads).unwrap_or_default();
        let queues = queues.unwrap_or(1);
        Some(VhostUser { socket: socket?, role, queues, mode, group, guest_agent, offloads })
    })
}

fn offloads(node: &Node<'_>) -> Option<VhostOffloads> {
    const CURE: &str = "write [\"checksum\", \"tso\"], [\"checksum\"], or [] for none";
    let choices = [("checksum", Offload::Checksum), ("tso", Offload::Tso)];
    let listed = node.list(CURE, |item| item.choice(&choices))?;
    let offloads =
        VhostOffloads { checksum: listed.contains(&Offload::Checksum), tso: listed.contains(&Offload::Tso) };
    if offloads.tso && !offloads.checksum {
        let what = format!("`{}` has \"tso\" without \"checksum\", which every segment needs", node.path());
        return node.refuse(what, "add \"checksum\", or remove \"tso\"");
    }
    Some(offloads)
}

#[derive(Clone, Copy, PartialEq)]
enum Offload {
    Checksum,
    Tso,
}

/// A socket's path that no other key has. `example` is one, `holder` what can't hold every character.
fn socket_path(node: &Node<'_>, example: &str, holder: &str, taken: &str) -> Option<PathBuf> {
    let text = node.text(&format!("write a path, as in \"{example}\""))?;
    if !Path::new(text).is_absolute() {
        let what = format!("`{}` is not an absolute path", node.path());
        return node.refuse(what, format!("write it from the root, as in \"{example}\""));
    }
    if text.ends_with('/') {
        return node.refuse(format!("`{}` names a directory", node.path()), "add the socket's own name");
    }
    // The path becomes part of arguments in which a comma would start the next one.
    if !text.bytes().all(|c| c.is_ascii_alphanumeric() || b"/._-+:@%".contains(&c)) {
        let what = format!("`{}` has a character that {holder} can't hold", node.path());
        return node.refuse(what, "use letters, digits and / . _ - + : @ % only");
    }
    if text.len() > limits::MAX_SOCKET_PATH_LEN {
        let what = format!("`{}` has {} octets", node.path(), text.len());
        let cure =
            format!("shorten it to {}: a socket's path has no room for more", limits::MAX_SOCKET_PATH_LEN);
        return node.refuse(what, cure);
    }
    // Its components leave `//` and `/./` out, which name the same socket.
    let socket: PathBuf = Path::new(text).components().collect();
    node.unique("socket", socket.display(), taken)?;
    Some(socket)
}
