//! Classes, rules and policers over real ports, held against the standards' tables.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Switch, Vm, frame, pcap, wait};
use crate::vhost::{introduce, only, socket};

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
    for (classes, trust) in all {
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

/// Two VMs that see priorities, the second with a profile; `more` is the rest of the file.
fn two_vms(folder: &Path, cores: &str, qos: &str, more: &str) -> String {
    let port = |number: u8, qos: &str| {
        let socket = socket(folder, number);
        format!(
            "[ports.vm{number}]\nvhost_user = {{ socket = \"{}\", role = \"server\" }}\n\
             vlan = {{ mode = \"access\", vid = 1, priority_tags = \"if-nonzero\" }}\n{qos}\n",
            socket.display()
        )
    };
    format!(
        "[switch]\ncores = {cores}\nhugepages = false\n[fdb]\ncapacity = 1024\n{}{}{more}",
        port(1, ""),
        port(2, qos)
    )
}

/// What `show qos` says of a class of a port.
fn class(switch: &Switch, port: &str, number: u64) -> Value {
    let state = switch.ask(&format!("show qos {port}"));
    let classes = state["ports"][0]["classes"].as_array().unwrap();
    classes.iter().find(|class| class["class"] == number).unwrap().clone()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_vm_that_reads_nothing_fills_its_classes_one_by_one() {
    let folder = TempDir::new().unwrap();
    let profile = "[qos.profiles.p]\nclass.1 = { queue = \"64KiB\" }\n";
    let switch = Switch::start(&two_vms(folder.path(), "[0]", "qos = { profile = \"p\" }", profile));
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    introduce(&mut [&mut one, &mut two]);
    let (mac1, mac2) = (one.mac, two.mac);
    let waiting = two.while_stopped(|| {
        for first in (0..3000).step_by(500) {
            one.send(mac2, "-", first, 500);
            one.send(mac2, "C0.7", first / 10, 50);
        }
        wait("all frames to be sent, queued or dropped", || {
            let [best_effort, urgent] = [1, 7].map(|number| class(&switch, "vm2", number));
            let of = |class: &Value| {
                let frames = [&class["sent_frames"], &class["waiting_frames"], &class["drops"]["queue_full"]];
                frames.map(number)
            };
            let (best_effort, urgent) = (of(&best_effort), of(&urgent));
            (best_effort.iter().sum::<u64>() > 3000 && urgent.iter().sum::<u64>() >= 300)
                .then_some((best_effort, urgent))
        })
    });
    println!("while it is stopped, sent, waiting, dropped: {waiting:?}");
    let (best_effort, urgent) = waiting;
    assert_eq!(best_effort[1], 256, "64 KiB are room for 256 frames");
    assert!(best_effort[2] > 0);
    assert_eq!(urgent[2], 0, "the urgent class has a queue of its own");
    // The VM reads again, and gets what waited.
    let urgent = wait("what waited", || {
        let urgent = two.received(mac1, mac2, 7);
        (urgent.count >= 300).then_some(urgent)
    });
    assert_eq!((urgent.count, urgent.out_of_order, urgent.duplicates), (300, 0, 0));
    let dropped = wait("all to be accounted for", || {
        let state = class(&switch, "vm2", 1);
        let dropped = number(&state["drops"]["queue_full"]);
        (two.received(mac1, mac2, 0).count + dropped >= 3000).then_some(dropped)
    });
    let stream = two.received(mac1, mac2, 0);
    assert_eq!((stream.count + dropped, stream.out_of_order, stream.duplicates), (3000, 0, 0));
    assert!(class(&switch, "vm2", 7)["sojourn_max_us"].as_f64().unwrap() > 0.0);
    let closing = switch.stop();
    assert_eq!(closing.drops("vm2", "queue_full"), dropped);
    only(&closing, "vm2", &["no_destination", "queue_full"]);
}

#[test]
fn profiles_come_change_and_go_without_loss() {
    const ROUNDS: u32 = 3;
    const FRAMES: u32 = 2_000;
    let folder = TempDir::new().unwrap();
    let named = "qos = { profile = \"p\" }";
    let files = [
        two_vms(folder.path(), "[0]", "", ""),
        two_vms(folder.path(), "[0]", named, "[qos.profiles.p]\n"),
        two_vms(folder.path(), "[0]", named, "[qos.profiles.p]\nclass.1 = { queue = \"1MiB\" }\n"),
        two_vms(
            folder.path(),
            "[0]",
            named,
            "[qos.profiles.p]\negress_rate = { rate = \"10Gbit\", burst = \"1MiB\" }\n\
             [[qos.profiles.p.rules]]\nname = \"experiments\"\nmatch = { ethertype = 0x88b5 }\nclass = 1\n",
        ),
        two_vms(folder.path(), "[0]", named, "[qos.profiles.p]\ntraffic_classes = 2\n"),
    ];
    // What the ports may hold at once is known from the start.
    let memory = "hugepages = false\nmemory = \"256MiB\"";
    let files = files.map(|file| file.replace("hugepages = false", memory));
    let switch = Switch::start(&files[0]);
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    introduce(&mut [&mut one, &mut two]);
    let (mac1, mac2) = (one.mac, two.mac);
    two.echo();
    let reload = |text: &str| {
        switch.rewrite(text);
        let answer = switch.exec("config reload");
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    };
    let mut echoed = 0;
    for round in 0..ROUNDS {
        std::thread::scope(|scope| {
            let pings = scope.spawn(|| one.ping(mac2, &[], round * FRAMES, FRAMES));
            for text in files.iter().cycle().skip(1).take(files.len()) {
                reload(text);
            }
            echoed += pings.join().unwrap().echoed;
        });
    }
    assert_eq!(echoed, u64::from(ROUNDS * FRAMES));
    let stream = two.received(mac1, mac2, 0);
    assert_eq!((stream.count, stream.out_of_order, stream.duplicates), (echoed, 0, 0));
    // A rule that the frames from VM 2 fit counts them.
    reload(&files[3]);
    one.ping(mac2, &[], ROUNDS * FRAMES, 100);
    let hits = number(&switch.ask("show qos vm2")["ports"][0]["rules"][0]["hits"]);
    assert!(hits >= 100, "{hits}");
    let closing = switch.stop();
    only(&closing, "vm1", &["no_destination"]);
    only(&closing, "vm2", &["no_destination"]);
}

#[test]
fn two_workers_send_through_one_shaped_port_in_order() {
    const FRAMES: u32 = 3_000;
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name);
    pcap::write(&file("none"), &[]);
    let mut config = "[switch]\ncores = [0, 1]\nhugepages = false\n".to_owned();
    let rings = "rx_queues = 1\nrx_ring = 256\ntx_ring = 256";
    for (number, port) in ["one", "two"].into_iter().enumerate() {
        let frames = (0..FRAMES).map(|place| {
            let tags = if place % 3 == 0 { "C0.7" } else { "-" };
            frame::build(
                frame::BROADCAST,
                [2, 0, 0, 0, 0, number as u8],
                tags,
                place,
                64 + place as usize % 900,
            )
        });
        pcap::write(&file(port), &frames.collect::<Vec<_>>());
        let device = pcap::device(number, &[(&file(port), &file("back"))]);
        writeln!(config, "[ports.{port}]\ndevice = \"{device}\"\n{rings}").unwrap();
    }
    let device = pcap::device(2, &[(&file("none"), &file("out"))]);
    writeln!(
        config,
        "[ports.out]\ndevice = \"{device}\"\n{rings}\nqos = {{ profile = \"p\" }}\n\
         vlan = {{ mode = \"access\", vid = 1, priority_tags = \"always\" }}\n\
         [qos.profiles.p]\negress_rate = {{ rate = \"50Mbit\", burst = \"16KiB\" }}\n\
         class.1 = {{ queue = \"8MiB\" }}\nclass.7 = {{ queue = \"8MiB\" }}"
    )
    .unwrap();
    let switch = Switch::start(&config);
    switch.await_received(2 * u64::from(FRAMES));
    wait("all that waits to leave", || {
        let classes = [1, 7].map(|number| class(&switch, "out", number));
        let waiting = classes.iter().map(|class| number(&class["waiting_frames"])).sum::<u64>();
        (waiting == 0).then_some(())
    });
    let closing = switch.stop();
    only(&closing, "out", &[]);
    let sent = pcap::read(&file("out"));
    assert_eq!(sent.len(), 2 * FRAMES as usize);
    for port in 0..2 {
        for tag in ["C0.0", "C0.7"] {
            let flow = sent.iter().filter(|octets| octets[11] == port && frame::notation(octets) == tag);
            assert!(flow.map(|octets| frame::number(octets)).is_sorted(), "port {port}, {tag}");
        }
    }
}

#[test]
fn a_policed_vm_cannot_stall_the_others() {
    let folder = TempDir::new().unwrap();
    let profile = "[qos.profiles.p]\ningress_rate = { rate = \"1kpps\", burst = \"100ms\" }\n";
    let switch = Switch::start(&two_vms(folder.path(), "[0]", "qos = { profile = \"p\" }", profile));
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    introduce(&mut [&mut one, &mut two]);
    let (mac1, mac2) = (one.mac, two.mac);
    for first in (0..10_000).step_by(500) {
        two.send(mac1, "C0.7", first, 500);
    }
    let (passed, policed) = wait("all to be received or policed", || {
        let passed = one.received(mac2, mac1, 7).count;
        let policed = number(&switch.ask("show qos vm2")["ports"][0]["policers"][0]["frames"]["red"]);
        (passed + policed >= 10_000).then_some((passed, policed))
    });
    println!("{passed} of 10,000 passed");
    assert!(passed >= 90 && policed > 0, "{passed}, {policed}");
    // Learning and forwarding go on: a new address is known at once, and answered.
    let new = [2, 0, 0, 0, 9, 77];
    wait("the new address to be answered", || {
        two.send_on(0, mac1, new, "-", 0, 1, &[64]);
        one.send(new, "-", 0, 1);
        (two.received(mac1, new, 0).count > 0).then_some(())
    });
    let closing = switch.stop();
    only(&closing, "vm1", &["no_destination"]);
    only(&closing, "vm2", &["no_destination", "policed"]);
}

#[test]
fn pauses_are_refused_where_the_device_has_none() {
    let file = "[switch]\ncores = [0]\nhugepages = false\n[ports.a]\ndevice = \"net_null0\"\nrx_ring = 64\n\
                tx_ring = 64\nflow_control = { rx = true, tx = true }\n";
    let mut switch = Switch::launch(None, file);
    assert_eq!(switch.await_exit().code(), Some(1));
    let said = switch.stderr.to_end();
    assert!(said.contains("port a: ") && said.contains("the device has no flow control"), "{said}");

    let plain = file.replace("flow_control = { rx = true, tx = true }\n", "");
    let switch = Switch::start(&plain);
    for command in ["set flow_ctrl rx on tx on 80 40 100 1 a", "set pfc_ctrl rx on tx on 80 40 100 3 a"] {
        let answer = switch.exec(command);
        assert!(!answer.status.success());
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        assert!(said.contains("port a: ") && said.contains("the device has no flow control"), "{said}");
    }
    let running = switch.ask("show config running");
    assert_eq!(running["text"].as_str().unwrap(), plain, "nothing is half applied");
    assert!(!switch.exec("show port a flow_ctrl").status.success());
    switch.stop();
}
