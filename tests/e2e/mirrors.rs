//! Mirrors: what they copy, and how they come and go.

use std::time::Duration;

use pollux::rpc::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Lab, RawSocket, Switch, frame, pcap, wait};
use crate::namespaces::port;

const HEAD: &str = "[switch]\ncores = [0]\nhugepages = false\n";

/// The numbers of the frames that tests made, and how long each is, sorted.
fn numbers(frames: &[Vec<u8>]) -> Vec<(u32, usize)> {
    let mut numbers: Vec<_> =
        frames.iter().filter_map(|octets| Some((frame::number(octets)?, octets.len()))).collect();
    numbers.sort_unstable();
    numbers
}

fn mirrors(switch: &Switch) -> Vec<(String, u64)> {
    let answer = Client::connect(&switch.socket()).unwrap().call("mirror.list", Value::Null).unwrap();
    let mirrors = answer["mirrors"].as_array().unwrap();
    let count =
        |mirror: &Value| (mirror["name"].as_str().unwrap().to_owned(), mirror["frames"].as_u64().unwrap());
    mirrors.iter().map(count).collect()
}

fn edit(switch: &Switch, edits: Value) -> Result<Value, String> {
    let mut client = Client::connect(&switch.socket()).unwrap();
    client.call("config.edit", json!({ "edits": edits })).map_err(|error| error.to_string())
}

/// Frames of this length from this host, untagged.
fn broadcast(raw: &RawSocket, from: [u8; 6], numbers: &[u32]) {
    for &number in numbers {
        raw.send(&frame::build(frame::BROADCAST, from, "-", number, 200));
    }
}

#[test]
fn ports_vlans_and_drops_are_copied_to_ports_and_vlans() {
    let lab = Lab::new();
    let (a, b, analyser) = (lab.host(1, 1500), lab.host(2, 1500), lab.host(3, 1500));
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    pcap::write(&path("in"), &[]);
    let file = |number: usize, name: &str, vlan: &str| {
        let device = pcap::device(number, &[(&path("in"), &path(name))]);
        format!("[ports.{name}]\ndevice = \"{device}\"\nrx_ring = 256\ntx_ring = 256\nvlan = {vlan}\n")
    };
    let ports = [
        port(&a.port, "access", "vid = 10"),
        port(&b.port, "access", "vid = 10"),
        port(&analyser.port, "access", "vid = 10"),
        file(0, "trunk", "{ mode = \"trunk\", allowed = [10, 999] }"),
        file(1, "drops", "{ mode = \"access\", vid = 20 }"),
    ];
    let mirrors_of_it = "[mirrors.span]\nfrom = { ports = [\"p1\"] }\nto = { port = \"p3\" }\n\
                         [mirrors.rspan]\nfrom = { vlan = 10 }\ndirection = \"rx\"\nto = { vlan = 999 }\n\
                         filter = \"ether[17] = 1\"\n\
                         [mirrors.dropped]\nfrom = { dropped = true }\nto = { port = \"drops\" }\nsnap_length = 60\n";
    let switch = Switch::start_in(&lab.switch, &format!("{HEAD}{}{mirrors_of_it}", ports.concat()));
    let [from_a, from_b, seen] = [&a, &b, &analyser].map(|host| host.raw());
    broadcast(&from_a, a.mac(), &[1, 2]);
    broadcast(&from_b, b.mac(), &[3]);
    broadcast(&from_a, [3, 0, 0, 0, 0, 1], &[4]);
    broadcast(&seen, analyser.mac(), &[5]);
    switch.await_received(5);
    let copies = wait("copies", || {
        let counts = mirrors(&switch);
        (counts.iter().map(|(_, frames)| frames).sum::<u64>() >= 7).then_some(counts)
    });
    let named = |name: &str, frames| (name.to_owned(), frames);
    assert_eq!(copies, [named("span", 4), named("rspan", 1), named("dropped", 2)]);
    let mut on_analyser = Vec::new();
    seen.receive_until("four copies", |octets| {
        on_analyser.push(octets.to_vec());
        numbers(&on_analyser).len() == 4
    });
    // And no others.
    on_analyser.extend(seen.drain(Duration::from_millis(200)));
    assert_eq!(numbers(&on_analyser), [(1, 200), (2, 200), (3, 200), (4, 200)]);

    // A mirror goes while frames pass, and its port is a port again.
    let gone = edit(&switch, json!([{ "remove": ["mirrors", "span"] }])).unwrap();
    assert_eq!(gone["changes"]["mirrors_removed"], json!(["span"]));
    broadcast(&seen, analyser.mac(), &[6]);
    from_b.receive_until("a frame from the port", |octets| frame::number(octets) == Some(6));
    let wrong = edit(
        &switch,
        json!([{ "set": ["mirrors", "wrong"], "value":
            { "from": { "ports": ["p1"] }, "to": { "port": "p3" }, "filter": "tcp prt 80" } }]),
    );
    let wrong = wrong.unwrap_err();
    assert!(wrong.contains("this is no filter: ") && wrong.contains("tcp prt 80"), "{wrong}");
    // One of a VLAN, where frames leave: once for each port.
    let value = json!({ "from": { "vlan": 10 }, "direction": "tx", "to": { "port": "p3" } });
    edit(&switch, json!([{ "set": ["mirrors", "leaving"], "value": value }])).unwrap();
    seen.drain(Duration::from_millis(100));
    broadcast(&from_a, a.mac(), &[7]);
    let (first, _) = seen.receive_until("a copy", |octets| frame::number(octets) == Some(7));
    let (second, _) = seen.receive_until("another", |octets| frame::number(octets) == Some(7));
    assert_eq!(
        [first.len(), second.len()].iter().sum::<usize>(),
        400,
        "to p2, and to the trunk, whose tag the kernel takes off"
    );

    // The port that copies go to goes, and the mirror with it.
    let mut client = Client::connect(&switch.socket()).unwrap();
    let detached = client.call("port.detach", json!({ "name": "p3" })).unwrap();
    assert_eq!(detached["changes"]["mirrors_removed"], json!(["leaving"]));
    let closing = switch.stop();
    assert_eq!(closing.drops("p1", "source_multicast"), 1);
    let trunk = pcap::read(&path("trunk"));
    let mut tags: Vec<_> =
        trunk.iter().map(|octets| (frame::number(octets).unwrap(), frame::notation(octets))).collect();
    tags.sort();
    let tagged = |number: u32, tags: &str| (number, tags.to_owned());
    assert_eq!(
        tags,
        [
            tagged(1, "C10.0"),
            tagged(1, "C999.0"),
            tagged(2, "C10.0"),
            tagged(3, "C10.0"),
            tagged(6, "C10.0"),
            tagged(7, "C10.0")
        ]
    );
    assert_eq!(numbers(&pcap::read(&path("drops"))), [(4, 60), (5, 60)]);
}
