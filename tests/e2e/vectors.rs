//! Every port mode, tag and priority through real ports, held against a table written by hand.

use std::collections::BTreeMap;
use std::fmt::Write;

use tempfile::TempDir;

use crate::harness::{Switch, frame, pcap};

const TABLE: &str = include_str!("vectors.txt");

/// Each port, its keys in the file, and the column that says what it sends.
const PORTS: [(&str, &str, &str); 17] = [
    ("acc", "acc", r#"vlan = { mode = "access", vid = 10 }"#),
    ("accif", "accif", r#"vlan = { mode = "access", vid = 10, priority_tags = "if-nonzero" }"#),
    ("accal", "accal", r#"vlan = { mode = "access", vid = 10, priority_tags = "always" }"#),
    ("trk", "trk", r#"vlan = { mode = "trunk", allowed = [10, 20] }"#),
    ("nat", "nat", r#"vlan = { mode = "trunk", allowed = [20], native = 10 }"#),
    ("ntag", "ntag", r#"vlan = { mode = "trunk", allowed = [20], native = 10, native_tagged = true }"#),
    ("tun", "tun", r#"vlan = { mode = "dot1q-tunnel", vid = 10 }"#),
    ("tsel", "tsel", r#"vlan = { mode = "dot1q-tunnel", vid = 10, allowed = [0, 7] }"#),
    ("tal", "tal", r#"vlan = { mode = "dot1q-tunnel", vid = 10, priority_tags = "always" }"#),
    ("acc20", "acc20", r#"vlan = { mode = "access", vid = 20 }"#),
    ("acc3", "acc", "vlan = { mode = \"access\", vid = 10 }\nqos = { default_pcp = 3 }"),
    ("accp", "acc", "vlan = { mode = \"access\", vid = 10 }\nqos = { trust = \"port\", default_pcp = 2 }"),
    (
        "trkp",
        "trk",
        "vlan = { mode = \"trunk\", allowed = [10, 20] }\nqos = { trust = \"port\", default_pcp = 4 }",
    ),
    ("natal", "accal", r#"vlan = { mode = "trunk", native = 10, priority_tags = "always" }"#),
    ("tun81", "tun", r#"vlan = { mode = "dot1q-tunnel", vid = 10, ethertype = 0x8100 }"#),
    ("tuntr", "tun", "vlan = { mode = \"dot1q-tunnel\", vid = 10 }\nqos = { trust = \"pcp\" }"),
    ("tun5", "tun", "vlan = { mode = \"dot1q-tunnel\", vid = 10 }\nqos = { default_pcp = 5 }"),
];

/// A row of the table.
struct Vector<'a> {
    number: u32,
    ingress: &'a str,
    tags: &'a str,
    /// What is sent, by column.
    cells: BTreeMap<&'a str, &'a str>,
    drop: Option<&'a str>,
}

impl Vector<'_> {
    fn frame(&self) -> Vec<u8> {
        let [a, b] = (self.number as u16).to_be_bytes();
        frame::build([2, 0xdd, 0, 0, a, b], [2, 0x55, 0, 0, a, b], self.tags, self.number, 80)
    }

    /// What `port` does with the frame: tags, `!reason`, or a dot. `None` where the table can't say: its
    /// column is the ingress port's own.
    fn expected(&self, port: &str, column: &str) -> Option<&str> {
        match column == self.ingress {
            true if port != column => None,
            _ if port == self.ingress => Some("."),
            _ => Some(self.cells[column]),
        }
    }
}

fn vectors() -> Vec<Vector<'static>> {
    let mut lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let columns: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    let [_, _, columns @ .., _] = &columns[..] else { panic!("in, frame, columns, drop") };
    let row = |(number, line): (usize, &'static str)| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [ingress, tags, cells @ .., drop] = &words[..] else { panic!("{line}") };
        assert_eq!(cells.len(), columns.len(), "{line}");
        Vector {
            number: number as u32,
            ingress,
            tags,
            cells: columns.iter().copied().zip(cells.iter().copied()).collect(),
            drop: Some(*drop).filter(|drop| *drop != "."),
        }
    };
    lines.enumerate().map(row).collect()
}

#[test]
fn frames_of_every_mode_tag_and_priority_leave_as_the_rules_say() {
    let vectors = vectors();
    let folder = TempDir::new().unwrap();
    let file = |port: &str, end: &str| folder.path().join(format!("{port}.{end}.pcap"));
    let mut config = "[switch]\ncores = [0]\nhugepages = false\n".to_owned();
    for (number, (port, _, keys)) in PORTS.iter().enumerate() {
        let mine = vectors.iter().filter(|vector| vector.ingress == *port);
        pcap::write(&file(port, "in"), &mine.map(Vector::frame).collect::<Vec<_>>());
        let device = pcap::device(number, &[(&file(port, "in"), &file(port, "out"))]);
        let rings = "rx_ring = 256\ntx_ring = 256";
        writeln!(config, "[ports.{port}]\ndevice = \"{device}\"\n{rings}\n{keys}").unwrap();
    }
    let switch = Switch::start(&config);
    switch.await_received(vectors.len() as u64);
    let closing = switch.stop();

    let mut verdicts = vec![Vec::new(); vectors.len()];
    for (port, column, _) in PORTS {
        check_sent(port, column, &pcap::read(&file(port, "out")), &vectors, &mut verdicts);
        check_drops(port, column, &closing.port(port).drops, &vectors, &mut verdicts);
    }
    let failed = print(&vectors, &verdicts);
    assert_eq!(failed, 0, "{failed} of {} vectors failed; they are printed above", vectors.len());
}

/// Every frame once, with the right tags, all else as it came, in the order in which it came.
fn check_sent(
    port: &str,
    column: &str,
    sent: &[Vec<u8>],
    vectors: &[Vector<'_>],
    verdicts: &mut [Vec<String>],
) {
    for (vector, faults) in vectors.iter().zip(verdicts) {
        let came = vector.frame();
        let mine: Vec<_> = sent.iter().filter(|frame| frame::number(frame) == Some(vector.number)).collect();
        let expected = vector.expected(port, column);
        let expected =
            if expected.is_some_and(|expected| expected.starts_with('!')) { Some(".") } else { expected };
        let got = mine.iter().map(|frame| frame::notation(frame)).collect::<Vec<_>>().join(" and ");
        let got = if mine.is_empty() { "." } else { &got };
        if let Some(expected) = expected.filter(|expected| *expected != got) {
            faults.push(format!("{port} sends {got}, not {expected}"));
        }
        for frame in mine {
            if frame[..12] != came[..12] || frame::without_tags(frame) != frame::without_tags(&came) {
                faults.push(format!("{port} changes more than tags"));
            }
        }
    }
    let mut last = BTreeMap::new();
    for number in sent.iter().filter_map(|frame| frame::number(frame)) {
        let ingress = vectors[number as usize].ingress;
        let before = last.insert(ingress, number);
        assert!(before.is_none_or(|before| before < number), "{port} reorders frames of {ingress}");
    }
    assert!(sent.iter().all(|frame| frame::number(frame).is_some()), "{port} sends frames that never came");
}

/// Every drop under its name, and no others.
fn check_drops(
    port: &str,
    column: &str,
    drops: &BTreeMap<String, u64>,
    vectors: &[Vector<'_>],
    verdicts: &mut [Vec<String>],
) {
    let mut expected = BTreeMap::<&str, Vec<usize>>::new();
    for (row, vector) in vectors.iter().enumerate() {
        let here = vector.drop.filter(|_| vector.ingress == port);
        let reasons =
            here.into_iter().chain(vector.expected(port, column).and_then(|cell| cell.strip_prefix('!')));
        reasons.for_each(|reason| expected.entry(reason).or_default().push(row));
    }
    for (reason, rows) in &expected {
        let counted = drops.get(*reason).copied().unwrap_or(0);
        if counted != rows.len() as u64 {
            let fault = format!("{port} counts {counted} {reason} over {} such rows", rows.len());
            rows.iter().for_each(|&row| verdicts[row].push(fault.clone()));
        }
    }
    let unexpected: Vec<_> =
        drops.iter().filter(|(reason, _)| !expected.contains_key(reason.as_str())).collect();
    assert!(unexpected.is_empty(), "{port} drops for other reasons: {unexpected:?}");
}

/// The table with a verdict for each row; returns how many failed.
fn print(vectors: &[Vector<'_>], verdicts: &[Vec<String>]) -> usize {
    let mut rows = vectors.iter().zip(verdicts);
    for line in TABLE.lines() {
        if line.is_empty() || line.starts_with('#') || line.starts_with("in ") {
            println!("      {line}");
        } else if let Some((_, faults)) = rows.next() {
            println!("{}  {line}", if faults.is_empty() { "PASS" } else { "FAIL" });
            faults.iter().for_each(|fault| println!("          {fault}"));
        }
    }
    verdicts.iter().filter(|faults| !faults.is_empty()).count()
}
