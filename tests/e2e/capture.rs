//! Captures, as tshark and tcpdump read them.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use pollux::rpc::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Lab, Switch, bound, frame, wait};
use crate::namespaces::port;

fn start(switch: &Switch, params: Value, file: &impl AsFd) -> Result<Value, String> {
    let mut client = Client::connect(&switch.socket()).unwrap();
    let answer = client.call_with_file("capture.start", params, file.as_fd());
    answer.map(|answer| answer["capture"].clone()).map_err(|error| error.to_string())
}

fn start_into(switch: &Switch, params: Value, path: &Path) {
    start(switch, params, &File::create(path).unwrap()).unwrap();
}

fn stop(switch: &Switch, name: &str) -> Value {
    let mut client = Client::connect(&switch.socket()).unwrap();
    client.call("capture.stop", json!({ "name": name })).unwrap()["capture"].clone()
}

fn list(switch: &Switch) -> Vec<Value> {
    let answer = Client::connect(&switch.socket()).unwrap().call("capture.list", Value::Null).unwrap();
    answer["captures"].as_array().unwrap().clone()
}

/// What tshark says of each frame of a file: some fields.
fn tshark(path: &Path, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(path).args(["-T", "fields", "-E", "separator=|"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.stdin(Stdio::null()).output().expect("these tests need tshark");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

/// A UDP packet to this port, of 200 octets.
fn udp(source: [u8; 6], port: u16) -> Vec<u8> {
    let mut octets = [&frame::BROADCAST[..], &source, &[0x08, 0x00, 0x45, 0]].concat();
    octets.extend(186_u16.to_be_bytes());
    octets.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 255]);
    octets.extend(4321_u16.to_be_bytes());
    octets.extend(port.to_be_bytes());
    octets.extend(166_u16.to_be_bytes());
    octets.extend([0, 0]);
    octets.resize(200, 7);
    octets
}

const MULTICAST: [u8; 6] = [3, 0, 0, 0, 0, 1];

fn two_hosts() -> (Lab, [crate::harness::Host; 2], Switch) {
    let lab = Lab::new();
    let hosts = [lab.host(1, 1500), lab.host(2, 1500)];
    let ports = hosts.each_ref().map(|host| port(&host.port, "access", "vid = 1"));
    let config = format!("[switch]\ncores = [0]\nhugepages = false\n{}", ports.concat());
    let switch = Switch::start_in(&lab.switch, &config);
    (lab, hosts, switch)
}

#[test]
fn tshark_reads_what_was_received_sent_and_dropped() {
    let (_lab, [a, b], switch) = two_hosts();
    let folder = TempDir::new().unwrap();
    let [all, dns, dropped, few, short] =
        ["all", "dns", "dropped", "few", "short"].map(|name| folder.path().join(name));
    start_into(&switch, json!({ "name": "all" }), &all);
    start_into(
        &switch,
        json!({ "name": "dns", "ports": ["p2"], "direction": "tx", "filter": "udp port 53", "snap_length": 60 }),
        &dns,
    );
    start_into(&switch, json!({ "name": "dropped", "dropped": true }), &dropped);
    // One direction only: what p1 sends comes between what it receives whenever p2's worker gets to it.
    start_into(&switch, json!({ "name": "few", "ports": ["0"], "direction": "rx", "max_frames": 2 }), &few);
    start_into(&switch, json!({ "name": "short", "direction": "rx", "max_bytes": 4096 }), &short);
    let [from_a, from_b] = [a.raw(), b.raw()];
    for number in 0..24 {
        from_a.send(&udp(a.mac(), if number % 3 == 0 { 53 } else { 80 }));
    }
    from_a.send(&udp(MULTICAST, 53));
    from_b.send(&udp(b.mac(), 53));
    switch.await_received(26);
    wait("limits", || {
        let ended =
            |name: &str, why: &str| list(&switch).iter().any(|of| of["name"] == name && of["ended"] == why);
        (ended("few", "max_frames") && ended("short", "max_bytes")).then_some(())
    });

    let state = stop(&switch, "all");
    assert_eq!(
        (&state["frames"], &state["lost"], &state["ended"]),
        (&json!(51), &json!(0), &json!("stopped"))
    );
    assert_eq!(state["bytes"], std::fs::metadata(&all).unwrap().len());
    let rows = tshark(
        &all,
        &[
            "frame.interface_name",
            "frame.packet_flags_direction",
            "frame.len",
            "frame.cap_len",
            "udp.dstport",
        ],
    );
    let count = |interface: &str, direction: &str| {
        let same = |row: &&Vec<String>| row[..2] == [interface, direction] && row[2..4] == ["200", "200"];
        rows.iter().filter(same).count()
    };
    let inbound = "0x00000001";
    let outbound = "0x00000002";
    assert_eq!((count("p1/rx", inbound), count("p1/tx", outbound)), (25, 1), "{rows:?}");
    assert_eq!((count("p2/rx", inbound), count("p2/tx", outbound)), (1, 24), "{rows:?}");
    let times = tshark(&all, &["frame.time_delta"]);
    assert!(times.iter().all(|row| row[0].parse::<f64>().unwrap() >= 0.0), "in order: {times:?}");

    stop(&switch, "dns");
    let rows = tshark(&dns, &["frame.interface_name", "frame.len", "frame.cap_len", "udp.dstport"]);
    assert_eq!(rows, vec![["p2/tx", "200", "60", "53"].map(str::to_owned); 8]);

    stop(&switch, "dropped");
    let rows = tshark(
        &dropped,
        &["frame.interface_name", "frame.packet_flags_direction", "frame.comment", "eth.src"],
    );
    let comment = "dropped: source_multicast (The source is a group address; counted on the ingress port)";
    assert_eq!(rows, [["p1/dropped", inbound, comment, "03:00:00:00:00:01"].map(str::to_owned)]);

    assert_eq!(tshark(&few, &["frame.interface_name"]), [["p1/rx"], ["p1/rx"]]);
    assert!(std::fs::metadata(&short).unwrap().len() <= 4096);
    let kept = stop(&switch, "short")["frames"].as_u64().unwrap();
    assert!((1..26).contains(&kept), "{kept}");
    assert_eq!(tshark(&short, &["frame.number"]).len() as u64, kept);
    switch.stop();
}

#[test]
fn what_cannot_be_captured_is_refused() {
    let (_lab, _hosts, switch) = two_hosts();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    start_into(&switch, json!({ "name": "one" }), &path);
    let file = File::create(folder.path().join("other")).unwrap();
    for (params, why) in [
        (json!({ "filter": "tcp prt 80" }), "the filter `tcp prt 80`: "),
        (json!({ "ports": ["nobody"] }), "there is no port nobody"),
        (json!({ "name": "one" }), "there is a capture one already"),
        (json!({ "snap_length": 3 }), "`snap_length` is 14 to"),
    ] {
        let refused = start(&switch, params, &file).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
    let refused = start(&switch, json!({}), &File::open(&path).unwrap()).unwrap_err();
    assert!(refused.contains("open for reading only"), "{refused}");
    let mut client = Client::connect(&switch.socket()).unwrap();
    let refused = client.call("capture.start", json!({})).unwrap_err().to_string();
    assert!(refused.contains("no file came with the call"), "{refused}");
    let refused = client.call("capture.stop", json!({ "name": "two" })).unwrap_err().to_string();
    assert!(refused.contains("there is no capture two"), "{refused}");
    for _ in 0..7 {
        start(&switch, json!({}), &file).unwrap();
    }
    let refused = start(&switch, json!({}), &file).unwrap_err();
    assert!(refused.contains("8 captures run already"), "{refused}");
    assert_eq!(list(&switch).len(), 8);
    // The switch ends them, and their files are whole.
    switch.stop();
    assert!(tshark(&path, &["frame.number"]).is_empty());
}

#[test]
fn a_capture_streams_into_a_pipe_until_its_reader_goes() {
    let (_lab, [a, _b], switch) = two_hosts();
    let mut reader = bound("tcpdump");
    reader
        .args(["-n", "-c", "3", "-r", "-", "udp"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut reader = reader.spawn().expect("these tests need tcpdump");
    let pipe = reader.stdin.take().unwrap();
    start(&switch, json!({ "name": "stream", "ports": ["p1"], "direction": "rx" }), &pipe).unwrap();
    drop(pipe);
    let raw = a.raw();
    let ended = wait("the reader to go", || {
        raw.send(&udp(a.mac(), 53));
        let stream = list(&switch).into_iter().find(|of| of["name"] == "stream").unwrap();
        (stream["state"] == "ended").then_some(stream)
    });
    assert_eq!(ended["ended"], "reader_gone");
    let output = reader.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches(".53: ").count(), 3);
    switch.stop();
}

#[test]
fn a_reader_that_never_reads_only_loses_its_frames() {
    let (lab, [a, b]) = (Lab::new(), [1, 2]);
    let [a, b] = [a, b].map(|number| lab.host(number, 1500));
    let ports = [&a, &b].map(|host| port(&host.port, "access", "vid = 1"));
    // A device that receives all the time, frames without a source.
    let flood = "[ports.flood]\ndevice = \"net_null0,size=1500\"\nrx_ring = 256\ntx_ring = 256\n\
                 vlan = { mode = \"access\", vid = 2 }\n";
    let config = format!("[switch]\ncores = [0]\nhugepages = false\n{}{flood}", ports.concat());
    let switch = Switch::start_in(&lab.switch, &config);
    let (reader, writer) = std::io::pipe().unwrap();
    start(&switch, json!({ "name": "stuck", "direction": "rx" }), &writer).unwrap();
    drop(writer);
    let stuck = wait("frames to be lost", || {
        let stuck = list(&switch).remove(0);
        (stuck["lost"].as_u64() > Some(0)).then_some(stuck)
    });
    assert_eq!(stuck["state"], "running");
    let (from_a, at_b) = (a.raw(), b.raw());
    let octets = frame::build(frame::BROADCAST, a.mac(), "-", 7, 200);
    wait("a frame to pass", || {
        from_a.send(&octets);
        at_b.receive().filter(|octets| frame::number(octets) == Some(7))
    });
    let stopped = stop(&switch, "stuck");
    let of = |key: &str| stopped[key].as_u64().unwrap();
    assert!(of("bytes") < 32 << 20 && of("lost") > 0, "{stopped}");
    switch.stop();
    drop(reader);
}
