//! The manual lists the commands of the table, all of them and nothing else.

use super::{commands, help};

const MANUAL: &str = include_str!("../../docs/console.md");

#[test]
fn the_manual_lists_every_command_and_nothing_else() {
    let listed = MANUAL.split("\n## Commands\n").nth(1).expect("a part about commands");
    let listed = listed.split("\n## ").next().expect("its text");
    let expected: String = commands::sections()
        .iter()
        .map(|section| {
            let text = help::text(Some(section.name));
            let (_, entries) = text.split_once("\n\n").expect("a heading");
            format!("\n### {}\n\n{}.\n\n```text\n{entries}```\n", section.name, upper(section.about))
        })
        .collect();
    if listed.trim() != expected.trim() {
        println!("{expected}");
        panic!("docs/console.md lists other commands: put what is printed above under its heading");
    }
}

fn upper(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}

#[test]
fn the_session_is_of_commands() {
    let session = include_bytes!("../../docs/session.txt");
    assert!(super::script::read(session, "docs/session.txt").unwrap().len() > 10);
}
