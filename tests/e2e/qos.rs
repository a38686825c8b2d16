//! Classes, rules and policers over real ports, held against the standards' tables.

use std::fmt::Write;

use tempfile::TempDir;

use crate::harness::{Switch, frame, pcap};

/// IEEE 802.1Q-2022 table 8-5: the class of each priority, by the number of classes.
const RECOMMENDED: [[u8; 8]; 8] = [
    [0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 1, 1, 1, 1],
    [0, 0, 0, 0, 1, 1, 2, 2],
    [0, 0, 1, 1, 2, 2, 3, 3],
    [0, 0, 1, 1, 2, 2, 3, 4],
    [1, 0, 2, 2, 3, 3, 4, 5],
    [1, 0, 2, 3, 4, 4, 5, 6],
    [1, 0, 2, 3, 4, 5, 6, 7],
];

/// The DSCPs whose frames may be dropped first: AFx2 and AFx3 (RFC 2597).
const DROP_ELIGIBLE: [u8; 8] = [12, 14, 20, 22, 28, 30, 36, 38];

/// What every port that takes frames has for a default.
const DEFAULT_PCP: u8 = 3;

/// One frame, and the tag with which the port that shows classes as priorities is to send it.
struct Vector {
    about: String,
    octets: Vec<u8>,
    expected: String,
}

/// A profile whose class shows: class n leaves with PCP n.
fn profile(classes: usize) -> String {
    let map: Vec<_> = (0..classes).map(|class| class.to_string()).collect();
    format!("[qos.profiles.p]\ntraffic_classes = {classes}\nclass_to_pcp = [{}]\n", map.join(", "))
}

fn tag(class: u8, dei: bool) -> String {
    format!("C10.{class}{}", if dei { "d" } else { "" })
}

/// An IP packet of this DSCP and version behind the tags, with a right header checksum, and a number.
fn ip(notation: &str, six: bool, dscp: u8, number: u32) -> Vec<u8> {
    let mut octets = [&frame::BROADCAST[..], &[2, 0x55, 0, 0, 0, 1], &frame::tags(notation)].concat();
    let packet = if six {
        let mut packet = vec![0x60 | dscp >> 2, dscp << 6 | 2, 3, 4, 0, 12, 17, 64];
        packet.extend([0xfd; 32]);
        octets.extend([0x86, 0xdd]);
        packet
    } else {
        let mut packet = vec![0x45, dscp << 2 | 1, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let [high, low] = (!header_sum(&packet)).to_be_bytes();
        packet[10] = high;
        packet[11] = low;
        octets.extend([8, 0]);
        packet
    };
    octets.extend(packet);
    octets.extend([0x1a, 0xe1, 0, 53, 0, 12, 0, 0]);
    octets.extend(number.to_be_bytes());
    octets
}

/// The ones' complement sum of an IPv4 header: 0xffff if its checksum is right (RFC 1071).
fn header_sum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Every PCP and DEI, untagged, priority-tagged and tagged.
fn dresses() -> Vec<(String, Option<(u8, bool)>)> {
    let mut dresses = vec![("-".to_owned(), None)];
    for vid in [0, 10] {
        for pcp in 0..8 {
            for dei in [false, true] {
                let notation = format!("C{vid}.{pcp}{}", if dei { "d" } else { "" });
                dresses.push((notation, Some((pcp, dei))));
            }
        }
    }
    dresses
}

/// All frames for a port with this trust and number of classes.
fn vectors(trust: &str, classes: usize) -> Vec<Vector> {
    let map = RECOMMENDED[classes - 1];
    let mut vectors = Vec::new();
    for (notation, said) in dresses() {
        let (pcp, dei) = said.filter(|_| trust != "port").unwrap_or((DEFAULT_PCP, false));
        vectors.push(Vector {
            about: format!("{classes} classes, trust {trust}, {notation}"),
            octets: frame::build(
                frame::BROADCAST,
                [2, 0x55, 0, 0, 0, 1],
                &notation,
                vectors.len() as u32,
                80,
            ),
            expected: tag(map[usize::from(pcp)], dei),
        });
    }
    if trust == "dscp" {
        for dscp in 0..64 {
            for six in [false, true] {
                let notation = if dscp % 2 == 0 { "-" } else { "C10.2" };
                // The class selector's priority, but for lower effort (RFC 8622), which is background.
                let pcp = if dscp == 1 { 1 } else { dscp / 8 };
                vectors.push(Vector {
                    about: format!(
                        "{classes} classes, DSCP {dscp}, IPv{}, {notation}",
                        if six { 6 } else { 4 }
                    ),
                    octets: ip(notation, six, dscp, vectors.len() as u32),
                    expected: tag(map[usize::from(pcp)], DROP_ELIGIBLE.contains(&dscp)),
                });
            }
        }
    }
    vectors
}

/// Sends frames through a switch with this file behind its ports `in` and `out`, and returns what left.
fn through(frames: &[Vec<u8>], trust: &str, rest: &str) -> (Vec<Vec<u8>>, crate::harness::Closing) {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name);
    pcap::write(&file("in"), frames);
    pcap::write(&file("none"), &[]);
    let devices = [(&*file("in"), &*file("back")), (&*file("none"), &*file("out"))];
    let [from, to] = [0, 1].map(|number| pcap::device(number, &[devices[number]]));
    let rings = "rx_ring = 256\ntx_ring = 256";
    let config = format!(
        "[switch]\ncores = [0]\nhugepages = false\n\
         [ports.in]\ndevice = \"{from}\"\n{rings}\nvlan = {{ mode = \"trunk\", allowed = [10], native = 10 }}\n\
         qos = {{ profile = \"p\", trust = \"{trust}\", default_pcp = {DEFAULT_PCP} }}\n\
         [ports.out]\ndevice = \"{to}\"\n{rings}\nvlan = {{ mode = \"trunk\", allowed = [10] }}\n\
         qos = {{ profile = \"p\" }}\n{rest}"
    );
    let switch = Switch::start(&config);
    switch.await_received(frames.len() as u64);
    let closing = switch.stop();
    (pcap::read(&file("out")), closing)
}

#[test]
fn every_priority_and_dscp_has_the_standards_class() {
    let mut failed = 0;
    let mut table = String::new();
    let all = (1..=8).flat_map(|classes| ["pcp", "port", "dscp"].map(|trust| (classes, trust)));
    // One switch for every third: the tables themselves are held against the standard elsewhere too.
    for (classes, trust) in all.filter(|(classes, trust)| *classes == 8 || classes % 3 == trust.len() % 3) {
        let vectors = vectors(trust, classes);
        let frames: Vec<_> = vectors.iter().map(|vector| vector.octets.clone()).collect();
        let (sent, _) = through(&frames, trust, &profile(classes));
        assert_eq!(sent.len(), vectors.len());
        for vector in &vectors {
            let rest = frame::without_tags(&vector.octets).unwrap();
            let got: Vec<_> = sent.iter().filter(|sent| frame::without_tags(sent) == Some(rest)).collect();
            let got = got.iter().map(|frame| frame::notation(frame)).collect::<Vec<_>>().join(" and ");
            let passed = got == vector.expected;
            failed += usize::from(!passed);
            let verdict = if passed { "PASS" } else { "FAIL" };
            writeln!(table, "{verdict}  {}: {got}, expected {}", vector.about, vector.expected).unwrap();
        }
    }
    println!("{table}");
    assert_eq!(failed, 0, "{failed} vectors failed; they are printed above");
}

#[test]
fn policers_remark_with_a_right_checksum_and_drop() {
    const BURST: usize = 20_000;
    let rest = "[qos.profiles.p]\n\
                ingress_rate = { algorithm = \"srtcm\", cir = \"64kbit\", cbs = \"20000B\", ebs = \"20000B\", \
                yellow = { pcp = 1, dscp = \"af12\" }, red = \"drop\" }\n";
    for six in [false, true] {
        let frames: Vec<_> = (0..2000).map(|number| ip("C10.5", six, 46, number)).collect();
        let (sent, closing) = through(&frames, "pcp", rest);
        let len = frames[0].len();
        let mut counts = [0, 0];
        for octets in &sent {
            let came =
                frames.iter().find(|came| came[came.len() - 4..] == octets[octets.len() - 4..]).unwrap();
            let remarked = frame::notation(octets) == "C10.1d";
            counts[usize::from(remarked)] += 1;
            let number = u32::from_be_bytes(*octets.last_chunk().unwrap());
            let expected = if remarked { ip("C10.1d", six, 12, number) } else { came.clone() };
            assert_eq!(*octets, expected, "all but PCP, DEI, DSCP and checksum is as it was");
            if !six {
                assert_eq!(header_sum(&octets[18..38]), 0xffff);
            }
        }
        // The file is read in an instant, in which 64 kbit/s bring next to nothing.
        let fits = BURST / len;
        println!("IPv{}: {counts:?} frames, {fits} fit a burst", if six { 6 } else { 4 });
        assert!(
            (fits..fits + 100).contains(&counts[0]) && (fits..fits + 100).contains(&counts[1]),
            "{counts:?}"
        );
        let policed = closing.port("in").drops["policed"];
        assert_eq!(policed, (frames.len() - sent.len()) as u64);
    }
}
