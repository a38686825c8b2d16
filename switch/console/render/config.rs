//! How configurations and their changes read.

use std::fmt::Write;

use serde_json::Value;

use super::{list, text};
use crate::console::grammar::Args;

pub(crate) fn text_of(_: &Args, answer: &Value) -> String {
    answer["text"].as_str().unwrap_or_default().trim_end().to_owned()
}

pub(crate) fn changes(_: &Args, answer: &Value) -> String {
    text(&answer["changes"]["summary"])
}

/// Changes by an edit, which may be of what no port uses yet.
pub(crate) fn edited(args: &Args, answer: &Value) -> String {
    let changes_of = &answer["changes"];
    let empty = ["attached", "detached", "replaced", "retuned", "settings"]
        .iter()
        .all(|list| changes_of[list].as_array().is_some_and(Vec::is_empty));
    match args.word(2) {
        _ if !empty => changes(args, answer),
        "profile" => "set; no port uses the profile so far, or it was so already".to_owned(),
        _ => "it was so already".to_owned(),
    }
}

/// Changes of ports one by one.
pub(crate) fn each_changes(args: &Args, answer: &Value) -> String {
    let port = |port: &Value| format!("port {}: {}", text(&port["port"]), changes(args, port));
    list(&answer["ports"]).map(port).collect::<Vec<_>>().join("\n")
}

/// What would change.
pub(crate) fn would(args: &Args, answer: &Value) -> String {
    format!("good; applying it: {}", changes(args, answer))
}

pub(crate) fn applied(args: &Args, answer: &Value) -> String {
    let mut out = changes(args, answer);
    if let Some(seconds) = answer["confirm_seconds"].as_u64() {
        let _ = write!(out, "\nundone by itself in {seconds} s: write `config confirm` to keep it");
    }
    out
}

pub(crate) fn confirmed(_: &Args, answer: &Value) -> String {
    match answer["confirmed"].as_bool() {
        Some(false) => "nothing waits to be confirmed".to_owned(),
        _ => "kept".to_owned(),
    }
}

pub(crate) fn saved(_: &Args, answer: &Value) -> String {
    format!("saved in {}", text(&answer["file"]))
}

pub(crate) fn diff(args: &Args, answer: &Value) -> String {
    if answer["same"] == true {
        return "nothing differs".to_owned();
    }
    let mut out = answer["diff"].as_str().unwrap_or_default().trim_end().to_owned();
    if answer["changes"].is_object() {
        let _ = write!(out, "\napplying it: {}", changes(args, answer));
    }
    if !answer["refused"].is_null() {
        let _ = write!(out, "\nit can't be applied while the switch runs: {}", text(&answer["refused"]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Command;
    use serde_json::json;

    #[test]
    fn an_edit_that_changes_nothing_says_so() {
        let none = json!({ "changes": { "attached": [], "detached": [], "replaced": [], "retuned": [],
                                        "settings": [], "summary": "nothing" } });
        let read = |line: &str| Command::parse(line).unwrap().unwrap().read(&none);
        assert_eq!(read("set qos port vm2 trust pcp"), "it was so already");
        assert_eq!(read("set log dpdk error"), "it was so already");
        assert!(read("set qos profile vm traffic_classes 8").starts_with("set; no port uses the profile"));
    }

    #[test]
    fn changes_read_as_their_summary() {
        let answer = json!({ "changes": { "summary": "attached a" }, "confirm_seconds": 60 });
        assert_eq!(changes(&Args::default(), &answer), "attached a");
        assert!(applied(&Args::default(), &answer).ends_with("in 60 s: write `config confirm` to keep it"));
        assert_eq!(diff(&Args::default(), &json!({ "same": true, "diff": "" })), "nothing differs");
    }
}
