//! What the documentation shows of the file loads.

use std::fs;
use std::path::{Path, PathBuf};

use pollux_config::parse;

/// The pages that show anything.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = fs::read_dir(root.join("docs")).expect("there are docs");
    let mut pages: Vec<_> = docs.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

/// The fenced blocks of a page: the line, what is behind the fence's backquotes, and the lines within.
fn blocks(page: &str) -> Result<Vec<(usize, &str, String)>, String> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, &str, String)> = None;
    for (index, line) in page.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => open = Some((index + 1, language, String::new())),
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some((_, _, text)), None) if !line.contains("```") => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
            (Some(_), _) => return Err(format!("line {}: a fence within a block", index + 1)),
        }
    }
    match open {
        None => Ok(blocks),
        Some((line, ..)) => Err(format!("line {line}: the block never ends")),
    }
}

/// The files that a block stands for: itself, or one for each of its lines where those are ways to write one key.
fn files(block: &str) -> Vec<String> {
    let lines = || block.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let key = |line: &str| line.split_once('=').map(|(key, _)| key.trim().to_owned());
    let first = lines().next().and_then(key);
    if lines().count() > 1 && lines().all(|line| key(line).is_some() && key(line) == first) {
        lines().map(str::to_owned).collect()
    } else {
        vec![block.to_owned()]
    }
}

/// A file of a fragment: the table that its keys stand in, and what it takes for granted.
fn completed(fragment: &str) -> String {
    let table = match fragment.split_whitespace().next() {
        Some("rest") => "[switch]\n",
        Some("vhost_user") => "[ports.vm1]\n",
        _ => "",
    };
    let mut file = format!("{table}{fragment}\n");
    if !file.contains("[ports.") {
        let ports = ["vm1", "vm2", "tap1"];
        file.extend(ports.map(|name| format!("[ports.{name}]\ndevice = \"net_tap_{name}\"\n")));
        // VLANs that a fragment speaks of have members.
        file += "[ports.uplink]\ndevice = \"net_tap_uplink\"\n\
                 vlan = { mode = \"trunk\", allowed = [\"1-4094\"] }\n";
    }
    file
}

#[test]
fn every_block_of_toml_loads() {
    let (mut count, mut wrong) = (0, String::new());
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let shown = blocks(&text).unwrap_or_else(|fault| panic!("{}: {fault}", page.display()));
        for (line, _, block) in shown.into_iter().filter(|(_, language, _)| *language == "toml") {
            for file in files(&block) {
                count += 1;
                if let Err(faults) = parse("pollux.toml", &completed(&file)) {
                    wrong += &format!("{}:{line}:\n{}\n", page.display(), faults.lines());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 10, "{count} blocks");
}

#[test]
fn what_a_page_shows_of_mirrors_are_mirrors() {
    let page = include_str!("../../docs/capture.md");
    let blocks = blocks(page).unwrap();
    let (_, _, block) = blocks.iter().find(|(_, language, _)| *language == "toml").expect("a block");
    let config =
        parse("pollux.toml", &completed(block)).unwrap_or_else(|faults| panic!("{}", faults.lines()));
    let names: Vec<_> = config.mirrors.iter().map(|mirror| mirror.name.as_str()).collect();
    assert_eq!(names, ["web", "remote"]);
}
