//! Help, scripts, starting and stopping.

use serde_json::Value;

use super::{Does, Entry, call};
use crate::console::render;
use crate::console::run::{Local, Streams};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        syntax: "help [TOPIC]",
        about: "all commands, or those of a section, or those that begin so; `?` does it anywhere in a line",
        example: "help vlan",
        does: Does::Local(Local::Help),
        reads: render::plain,
    },
    Entry {
        syntax: "load FILE",
        about: "runs the commands of a file, up to the first that fails",
        example: "load /etc/pollux/commands.txt",
        does: Does::Local(Local::Load),
        reads: render::plain,
    },
    Entry {
        syntax: "quit",
        about: "leaves the console; the switch goes on",
        example: "quit",
        does: Does::Local(Local::Quit),
        reads: render::plain,
    },
    call(
        "stop",
        "takes in no frames until `start`; what waits in queues still leaves",
        "stop",
        |_| ("switch.stop", Value::Null),
        render::forwarding,
    ),
    call(
        "start",
        "takes in frames again, after `stop`",
        "start",
        |_| ("switch.start", Value::Null),
        render::forwarding,
    ),
    call(
        "show version",
        "which Pollux this is, and how long it has run",
        "show version",
        |_| ("switch.info", Value::Null),
        render::info,
    ),
    Entry {
        syntax: "monitor [KINDS]",
        about: "tells what happens, of these kinds or of all, until ctrl-C",
        example: "monitor link,drops",
        does: Does::Stream(Streams::Monitor),
        reads: render::event,
    },
];

/// The parameters of a subscription.
pub(crate) fn kinds(kinds: Option<&str>) -> Vec<&str> {
    kinds.map(|kinds| kinds.split(',').collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_are_listed_with_commas() {
        assert_eq!(json!(kinds(Some("link,vm"))), json!(["link", "vm"]));
        assert!(kinds(None).is_empty());
    }
}
