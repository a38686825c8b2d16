//! What changes while frames go on, and what is asked meanwhile.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pollux::rpc::{CallError, Client};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Switch, Vm, frame, http, pcap, wait};
use crate::vhost::{config, introduce, socket};

/// Frames of which every one must come back while something is changed.
const PINGS: u32 = 400_000;

/// Ports without VM, whose settings change too, room for the queues of a profile, and a profile.
const MORE: &str = "\
[ports.lab]
device = \"net_null0\"
rx_ring = 64
tx_ring = 64
enabled = false
vlan = { mode = \"access\", vid = 99 }
[ports.span]
device = \"net_null1,no-rx=1\"
rx_ring = 64
tx_ring = 64
vlan = { mode = \"access\", vid = 97 }
[qos.profiles.plain]
traffic_classes = 8
";

/// The file with memory for the queues of profiles.
fn roomy(file: &str) -> String {
    file.replace("hugepages = false", "hugepages = false\nmemory = \"128MiB\"")
}

/// Settings, each with the values that it takes in turn.
fn settings() -> Vec<(&'static str, Vec<Value>)> {
    let vlan = |more: Value| {
        let mut vlan = json!({ "mode": "access", "vid": 1 });
        vlan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        vlan
    };
    let trunk = json!({ "mode": "trunk", "allowed": ["1-99"], "native": 1 });
    let metrics = http::free_address().to_string();
    let rate = json!({ "rate": "10Gbit", "burst": "1MiB" });
    let rule = json!([{ "name": "r", "match": { "vid": 1 }, "class": 5, "rate": rate }]);
    vec![
        ("switch.burst", vec![json!(8), json!(32)]),
        ("switch.rest", vec![json!("sleep"), json!("interrupt"), json!("never")]),
        ("switch.rebalance", vec![json!({ "auto": true }), json!({ "auto": false })]),
        ("switch.watchdog", vec![json!("2s"), json!("10s")]),
        ("metrics.listen", vec![json!(metrics)]),
        ("control.mode", vec![json!("0600"), json!("0660")]),
        ("control.group", vec![json!("root"), json!("daemon")]),
        ("log.level", vec![json!("debug"), json!("info")]),
        ("log.areas", vec![json!({ "dpdk": "error" }), json!({})]),
        ("fdb.ageing_time", vec![json!("100s"), json!("300s")]),
        ("ports.vm1.vlan", vec![vlan(json!({ "priority_tags": "never" })), trunk.clone(), vlan(json!({}))]),
        ("ports.vm2.vlan", vec![trunk, vlan(json!({}))]),
        ("ports.vm1.mtu", vec![json!(9000), json!(1500)]),
        ("ports.vm1.vhost_user.guest_agent", vec![json!("/run/nobody.sock")]),
        ("ports.vm2.qos", vec![json!({ "profile": "plain" }), json!({ "default_pcp": 0 })]),
        ("ports.vm1.qos", vec![json!({ "profile": "plain", "trust": "dscp" })]),
        ("qos.profiles.plain.traffic_classes", vec![json!(4), json!(8)]),
        ("qos.profiles.plain.ingress_rate", vec![rate.clone()]),
        ("qos.profiles.plain.egress_rate", vec![rate.clone(), json!({ "rate": "20Gbit", "burst": "2MiB" })]),
        ("qos.profiles.plain.class", vec![json!({ "0": { "max_rate": rate, "queue": "512KiB" } })]),
        (
            "qos.profiles.plain.classes",
            vec![json!({ "strict": [7, 6, 5, 4, 3, 2], "dwrr": { "1": 2, "0": 1 } })],
        ),
        ("qos.profiles.plain.rules", vec![rule, json!([])]),
        (
            "qos.profiles.plain.pcp_to_class",
            vec![json!([7, 6, 5, 4, 3, 2, 1, 0]), json!([0, 1, 2, 3, 4, 5, 6, 7])],
        ),
        (
            "ports.vm1.qos",
            vec![json!({ "pcp_regeneration": [1, 1, 2, 3, 4, 5, 6, 7] }), json!({ "trust": "port" })],
        ),
        ("mirrors.seen", vec![json!({ "from": { "ports": ["vm1"] }, "to": { "port": "span" } })]),
        ("mirrors.seen.filter", vec![json!("udp"), json!("arp")]),
        ("mirrors.seen.snap_length", vec![json!(64)]),
        ("ports.lab.enabled", vec![json!(true), json!(false)]),
        ("ports.lab.promiscuous", vec![json!(false), json!(true)]),
        ("ports.lab.allmulticast", vec![json!(true), json!(false)]),
        ("ports.lab.vlan", vec![json!({ "mode": "trunk", "allowed": ["98-99"] })]),
        ("ports.lab.mtu", vec![json!(2000), json!(1500)]),
    ]
}

/// Ends the talk, also where something fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn edit(path: &str, value: &Value) -> Value {
    let path: Vec<_> = path.split('.').collect();
    json!({ "edits": [{ "set": path, "value": value }] })
}

/// Changes every setting but those on `except`, and some more. Returns how many changes that made.
fn change_everything(switch: &Switch, except: &[&str]) -> u32 {
    let mut client = Client::connect(&switch.socket()).unwrap();
    let mut left: Vec<_> = pollux_config::Changes::live_settings().collect();
    let mut changes = 0;
    for (path, values) in settings().into_iter().filter(|(path, _)| !except.contains(path)) {
        for value in &values {
            let answer = client.call("config.edit", edit(path, value));
            let answer = answer.unwrap_or_else(|error| panic!("{path} = {value}: {error}"));
            // A device's MTU has it started anew, and no other port takes part in that.
            let wanted = if path == "ports.lab.mtu" { json!(["lab"]) } else { json!([]) };
            assert_eq!(answer["changes"]["replaced"], wanted, "{path} = {value}: {answer}");
            let set = answer["changes"]["settings"].as_array().unwrap().iter();
            left.retain(|setting| !set.clone().any(|set| set == setting));
            changes += 1;
        }
    }
    assert!(left.is_empty(), "no change of {left:?} was tried");
    for (method, params) in [
        ("fdb.add", json!({ "vlan": 1, "mac": "02:00:00:00:77:01", "port": "vm2" })),
        ("fdb.remove", json!({ "vlan": 1, "mac": "02:00:00:00:77:01" })),
        ("port.detach", json!({ "name": "lab" })),
        ("worker.rebalance", json!({ "dry_run": false })),
        ("config.reload", Value::Null),
    ] {
        client.call(method, params).unwrap_or_else(|error| panic!("{method}: {error}"));
        changes += 1;
    }
    changes
}

/// Between two VMs, of which one sends back what the other sends.
#[test]
fn no_setting_that_changes_costs_a_vm_a_frame() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&(roomy(&config(folder.path(), 2, "server")) + MORE));
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    introduce(&mut [&mut one, &mut two]);
    let echo = two.mac;
    two.echo();
    let stop = AtomicBool::new(false);
    let (changes, sent, seconds) = std::thread::scope(|scope| {
        let (one, stop) = (&mut one, &stop);
        let _ends = Ends(stop);
        let talk = scope.spawn(move || {
            let (mut sent, mut seconds) = (0, 0.0);
            while !stop.load(Ordering::Relaxed) || sent == 0 {
                let ping = one.ping(echo, &[], sent, PINGS);
                assert_eq!(ping.echoed, u64::from(PINGS), "frames were lost");
                sent += PINGS;
                seconds += ping.seconds;
            }
            (sent, seconds)
        });
        let changes = change_everything(&switch, &[]);
        stop.store(true, Ordering::Relaxed);
        let (sent, seconds) = talk.join().unwrap();
        (changes, sent, seconds)
    });
    let rate = f64::from(2 * sent) / seconds / 1e6;
    println!("{changes} changes: {sent} frames sent and echoed at {rate:.2} Mpps, none lost");
    switch.stop();
}

/// Between two devices that bring more frames than the worker can take, and take all.
#[test]
fn no_setting_that_changes_costs_a_frame_at_full_rate() {
    const STATIONS: u32 = 100;
    let folder = TempDir::new().unwrap();
    let port = |number: u8| {
        let (from, to) = (number, 3 - number);
        let frames = (0..STATIONS).map(|station| {
            let [.., high, low] = station.to_be_bytes();
            frame::build([2, 0, 0, to, high, low], [2, 0, 0, from, high, low], "-", station, 60)
        });
        let path = folder.path().join(format!("in{number}"));
        pcap::write(&path, &frames.collect::<Vec<_>>());
        format!(
            "[ports.vm{number}]\ndevice = \"net_pcap{number},rx_pcap={},infinite_rx=1\"\nrx_ring = 64\n\
             tx_ring = 64\nvlan = {{ mode = \"access\", vid = 1, priority_tags = \"if-nonzero\" }}\n",
            path.display()
        )
    };
    let head = "[switch]\ncores = [0]\nhugepages = false\nmemory = \"128MiB\"\n[fdb]\ncapacity = 1024\n";
    let switch = Switch::start(&format!("{head}{}{}{MORE}", port(1), port(2)));
    let start = Instant::now();
    // A device's MTU, and a guest's agent, are not for such ports.
    let changes = change_everything(&switch, &["ports.vm1.mtu", "ports.vm1.vhost_user.guest_agent"]);
    let seconds = start.elapsed().as_secs_f64();
    let closing = switch.stop();
    let mut frames = 0;
    for port in ["vm1", "vm2"] {
        let port = closing.port(port);
        assert!(port.drops.is_empty(), "{:?}\n{}", port.drops, closing.stdout);
        frames += port.rx_frames;
    }
    let rate = frames as f64 / seconds / 1e6;
    println!("{changes} changes in {seconds:.2} s: {frames} frames at {rate:.2} Mpps, none lost");
}

/// The configuration that runs.
fn running(switch: &Switch) -> String {
    switch.call("config.running", Value::Null)["text"].as_str().unwrap().to_owned()
}

fn refusal(switch: &Switch, method: &str, params: Value) -> String {
    match Client::connect(&switch.socket()).unwrap().call(method, params) {
        Err(CallError::Refused(failure)) => failure.message,
        other => panic!("{method} isn't refused: {other:?}"),
    }
}

#[test]
fn what_nobody_confirms_is_taken_back() {
    let folder = TempDir::new().unwrap();
    let old = config(folder.path(), 2, "server");
    let switch = Switch::start(&old);
    let new = old.replacen("vid = 1", "vid = 7", 1);
    let lines = switch.stderr.count();

    // Whoever applied it is gone at once.
    let mut client = Client::connect(&switch.socket()).unwrap();
    let apply = json!({ "text": new, "confirm_seconds": 1 });
    let answer = client.call("config.apply", apply).unwrap();
    drop(client);
    assert_eq!(answer["changes"]["retuned"], json!(["vm1"]));
    assert!(switch.call("switch.info", Value::Null)["pending"]["seconds"].is_f64());
    let pending = refusal(&switch, "port.detach", json!({ "name": "vm2" }));
    assert!(pending.contains("waits to be confirmed"), "{pending}");
    switch.stderr.await_line(lines, "configuration, rollback: changed vm1");
    assert_eq!(running(&switch), old);
    assert!(refusal(&switch, "config.confirm", Value::Null).contains("no change waits"));

    // One that is confirmed stays, and can be taken back by hand, once.
    switch.call("config.apply", json!({ "text": new, "confirm_seconds": 600 }));
    assert_eq!(switch.call("config.confirm", Value::Null)["confirmed"], true);
    assert_eq!(running(&switch), new);
    switch.call("config.rollback", Value::Null);
    assert_eq!(running(&switch), old);
    assert!(refusal(&switch, "config.rollback", Value::Null).contains("nothing was changed"));

    // What was confirmed isn't taken back by a later one that changes nothing.
    switch.call("config.edit", edit("switch.burst", &json!(16)));
    let edited = running(&switch);
    let lines = switch.stderr.count();
    switch.call("config.apply", json!({ "text": edited, "confirm_seconds": 1 }));
    switch.stderr.await_line(lines, "configuration, rollback: nothing changed");
    assert_eq!(running(&switch), edited);
    switch.call("config.apply", json!({ "text": old }));

    // A bad one changes nothing, whatever good there is in it; and says where it is bad.
    for (text, said) in [
        (new.replace("[ports.vm2]", "[ports.vm2]\nmtu = 90000"), "lab.toml:"),
        (new.replace("cores = [0]", "cores = [1]"), "can't change while the switch runs"),
        (new.replace("/vm2.sock", "/nowhere/vm2.sock"), "there is no folder"),
        ("ports = 7".to_owned(), "lab.toml:1:"),
    ] {
        let message = refusal(&switch, "config.apply", json!({ "text": text, "name": "lab.toml" }));
        assert!(message.contains(said), "{message}");
        let check = refusal(&switch, "config.check", json!({ "text": text, "name": "lab.toml" }));
        assert_eq!(message, check, "it is said beforehand");
        assert_eq!(running(&switch), old);
    }
    switch.stop();
}

#[test]
fn what_runs_is_saved_with_its_comments_and_loads_to_the_same() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let old = roomy(&config(folder.path(), 2, "server")).replace("\"128MiB\"", "\"128MiB\"    # a trial");
    let old = format!("# The lab's switch.\n{old}# the end\n");
    let switch = Switch::start(&old);
    let file = switch.file();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(switch.call("config.diff", Value::Null)["same"], true);
    let edits = json!({ "edits": [
        { "set": ["ports", "1", "vlan", "vid"], "value": 20 },
        { "set": ["qos", "profiles", "gold"], "value": { "egress_rate": { "rate": "1Gbit", "burst": "1MiB" } } },
        { "set": ["ports", "vm1", "qos"], "value": { "profile": "gold" } },
    ] });
    let dry_run = json!({ "edits": edits["edits"], "dry_run": true });
    let would = switch.call("config.edit", dry_run);
    assert_eq!(running(&switch), old);
    assert_eq!(switch.call("config.edit", edits), would);
    let station = json!({ "vlan": 20, "mac": "02:00:00:00:77:01", "port": "vm2" });
    switch.call("fdb.add", station);
    let diff = switch.call("config.diff", Value::Null);
    let text = diff["diff"].as_str().unwrap();
    assert!(text.contains("\n+[qos.profiles.gold]\n") && text.contains(" # the end"), "{text}");
    assert_eq!(diff["changes"]["retuned"], json!(["vm1", "vm2"]), "what the file would change");

    assert_eq!(switch.call("config.save", Value::Null)["file"], json!(file));
    let saved = std::fs::read_to_string(&file).unwrap();
    assert_eq!(saved, running(&switch));
    assert!(saved.starts_with("# The lab's switch.\n") && saved.contains("# the end\n"), "{saved}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(switch.call("config.reload", Value::Null)["changes"]["summary"], "nothing changed");
    switch.stop();
    let again = Switch::start(&saved);
    assert_eq!(again.call("config.diff", Value::Null)["same"], true);
    let known = &again.call("fdb.list", json!({ "vlan": 20 }))["entries"];
    assert_eq!((&known[0]["static"], &known[0]["port"]), (&json!(true), &json!("vm2")));
    again.stop();
}

#[test]
fn subscribers_hear_of_links_and_changes() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 1, "server"));
    let mut all = Client::connect(&switch.socket()).unwrap();
    let mut links = Client::connect(&switch.socket()).unwrap();
    all.subscribe(&[]).unwrap();
    links.subscribe(&["vm"]).unwrap();
    let vm = Vm::connect(&socket(folder.path(), 1), 1);
    let patience = Some(Duration::from_secs(30));
    let event = links.next_event(patience).unwrap().expect("the VM's coming");
    assert_eq!((&event["kind"], &event["port"], &event["up"]), (&json!("vm"), &json!("vm1"), &json!(true)));
    switch.call("config.edit", edit("switch.burst", &json!(16)));
    let mut kinds = Vec::new();
    wait("the change to be told", || {
        let event = all.next_event(patience).unwrap()?;
        kinds.push(event["kind"].as_str().unwrap().to_owned());
        (event["kind"] == "config").then(|| assert_eq!(event["by"], "edit", "{event}"))
    });
    assert!(kinds.contains(&"vm".to_owned()) && kinds.contains(&"link".to_owned()), "{kinds:?}");
    // A subscriber can go on asking.
    assert_eq!(links.call("switch.info", Value::Null).unwrap()["protocol"], 2);
    let refused = links.subscribe(&["nonsense"]).unwrap_err().to_string();
    assert!(refused.contains("there are no events of kind"), "{refused}");
    vm.shut_down();
    let event = links.next_event(patience).unwrap().expect("the VM's going");
    assert_eq!((&event["port"], &event["up"]), (&json!("vm1"), &json!(false)));
    switch.stop();
}

#[test]
fn ports_tell_of_themselves_by_name_and_number() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&(roomy(&config(folder.path(), 2, "server")) + MORE));
    let list = switch.call("port.list", Value::Null);
    let numbers: Vec<_> = list["ports"].as_array().unwrap().iter().map(|port| &port["number"]).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    let lab = &switch.call("port.list", json!({ "port": "2" }))["ports"];
    assert_eq!(lab.as_array().unwrap().len(), 1);
    assert_eq!(
        (&lab[0]["port"], &lab[0]["driver"], &lab[0]["enabled"]),
        (&json!("lab"), &json!("net_null"), &json!(false))
    );
    let info = &switch.call("port.info", json!({ "port": "lab" }))["ports"][0];
    assert_eq!((&info["rx_ring"], &info["mtu"]), (&json!(64), &json!(1500)), "{info}");
    let queues = &switch.call("port.queues", json!({ "port": "lab" }))["ports"][0];
    assert_eq!(
        (&queues["rx"][0]["descriptors"], &queues["rx"][0]["worker"]),
        (&json!(64), &json!(0)),
        "{queues}"
    );
    assert_eq!(switch.call("port.rss", json!({ "port": "lab" }))["port"], "lab");
    let offloads = switch.call("port.capabilities", json!({ "port": "vm1" }));
    assert!(
        offloads["tx_offloads"].as_array().unwrap().iter().any(|of| of["name"] == "VLAN_INSERT"),
        "{offloads}"
    );
    assert!(switch.call("port.xstats", Value::Null)["ports"][2]["xstats"]["rx_good_packets"].is_u64());
    let vlans = switch.call("vlan.list", Value::Null);
    assert_eq!(vlans["vlans"][0], json!({ "vids": "1", "untagged": ["vm1", "vm2"], "tagged": [] }));
    let pools = switch.call("memory.show", Value::Null);
    assert!(pools["pools"][0]["mbufs"].as_u64() > Some(0), "{pools}");
    for what in ["mempool", "memzone", "physmem"] {
        assert!(!switch.call("memory.dump", json!({ "what": what }))["text"].as_str().unwrap().is_empty());
    }
    assert!(refusal(&switch, "port.list", json!({ "port": "9" })).contains("there is no port 9"));
    assert!(
        refusal(&switch, "port.add_mac", json!({ "port": "vm1", "mac": "02:00:00:00:00:01" }))
            .contains("is a VM's")
    );
    assert!(
        refusal(&switch, "fdb.remove", json!({ "vlan": 1, "mac": "02:00:00:00:00:01" }))
            .contains("isn't known")
    );
    assert!(refusal(&switch, "fdb.list", json!({ "vlan": 4095 })).contains("there is no VLAN 4095"));
    switch.stop();
}

/// Waits until the worker has gone round often enough to have taken all there is.
fn await_rounds(switch: &Switch) {
    let rounds = || switch.call("worker.list", Value::Null)["workers"][0]["rounds"].as_u64();
    let before = rounds().unwrap();
    wait("rounds of the worker", || (rounds()? > before + 10_000).then_some(()));
}

/// A port that doesn't start again is told of, and can be taken out.
#[test]
fn a_port_that_is_lost_can_be_taken_out() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    pcap::write(&path("in"), &[]);
    let device = pcap::device(0, &[(&path("in"), &path("out"))]);
    let file = config(folder.path(), 1, "server");
    let port = format!("[ports.lab]\ndevice = \"{device}\"\nrx_ring = 64\ntx_ring = 64\n");
    let switch = Switch::start(&format!("{file}{port}"));
    std::fs::remove_file(path("in")).unwrap();
    let lost = refusal(&switch, "port.reset", json!({ "port": "lab" }));
    assert!(lost.contains("doesn't start again"), "{lost}");
    assert_eq!(switch.call("port.list", Value::Null)["ports"].as_array().unwrap().len(), 1);
    let refused = refusal(&switch, "config.edit", edit("switch.burst", &json!(16)));
    assert!(refused.contains("lab"), "each change tries again: {refused}");
    switch.call("port.detach", json!({ "name": "lab" }));
    switch.call("config.edit", edit("switch.burst", &json!(16)));
    switch.stop();
}

#[test]
fn a_port_that_is_stopped_keeps_its_vm_and_passes_nothing() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 2, "server"));
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    introduce(&mut [&mut one, &mut two]);
    let stats = |port: &str| switch.call("port.stats", json!({ "port": port }))["ports"][0].clone();
    let enable = |on: bool| switch.call("config.edit", edit("ports.vm2.enabled", &json!(on)));

    enable(false);
    let before = stats("vm2")["rx_frames"].as_u64();
    one.send(two.mac, "-", 0, 100);
    wait("frames to the stopped port to be dropped", || {
        (stats("vm1")["drops"]["port_down"].as_u64()? >= 100).then_some(())
    });
    two.send(one.mac, "-", 0, 10);
    let vm = &switch.call("vhost.show", json!({ "port": "vm2" }))["vms"][0];
    assert_eq!(vm["vhost"]["connected"], true, "the VM stays: {vm}");
    await_rounds(&switch);
    assert_eq!(stats("vm2")["rx_frames"].as_u64(), before);
    enable(true);
    wait("what the VM sent meanwhile", || (one.received(two.mac, one.mac, 0).count >= 10).then_some(()));
    one.send(two.mac, "-", 1000, 50);
    wait("frames to the port that is back", || (two.received(one.mac, two.mac, 0).count >= 50).then_some(()));

    // The switch as a whole.
    assert_eq!(switch.call("switch.stop", Value::Null)["forwarding"], false);
    one.send(two.mac, "-", 2000, 20);
    await_rounds(&switch);
    assert_eq!(two.received(one.mac, two.mac, 0).count, 50);
    switch.call("switch.start", Value::Null);
    wait("what waited", || (two.received(one.mac, two.mac, 0).count >= 70).then_some(()));

    // What somebody clears counts from nothing for people, and goes on for the accounting.
    let balance = switch.call("accounting.show", Value::Null);
    switch.call("port.clear", json!({ "port": "vm1", "what": "stats" }));
    let cleared = stats("vm1");
    assert_eq!((&cleared["rx_frames"], &cleared["drops"]), (&json!(0), &json!({})));
    assert!(cleared["cleared_seconds"].is_f64());
    assert_eq!(switch.call("accounting.show", Value::Null), balance);
    assert!(
        switch.call("drops.show", json!({ "port": "vm1" }))["drops"]
            .as_array()
            .unwrap()
            .iter()
            .any(|drop| drop["reason"] == "port_down")
    );

    // A port that is stopped when it is detached, or when the switch ends, leaves nothing.
    enable(false);
    switch.call("port.detach", json!({ "name": "vm2" }));
    switch.call("config.edit", edit("ports.vm1.enabled", &json!(false)));
    switch.stop();
}

#[test]
fn an_end_can_be_asked_for() {
    let folder = TempDir::new().unwrap();
    let mut switch = Switch::start(&config(folder.path(), 1, "server"));
    switch.call("switch.quit", Value::Null);
    switch.closing();
}

/// Addresses come in pages, however many there are, and go by VLAN, by port, or one by one.
#[test]
fn addresses_are_listed_in_pages_and_flushed() {
    const STATIONS: u16 = 600;
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 2, "server"));
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    introduce(&mut [&mut one, &mut two]);
    for station in 0..STATIONS {
        let [high, low] = station.to_be_bytes();
        one.send_on(0, frame::BROADCAST, [2, 0, 0, 1, high, low], "-", 0, 1, &[64]);
    }
    let listed = |params: Value| {
        let (mut found, mut after) = (std::collections::BTreeSet::new(), json!(0));
        while !after.is_null() {
            let mut params = params.clone();
            params["after"] = after;
            params["limit"] = json!(100);
            let page = switch.call("fdb.list", params);
            let entries = page["entries"].as_array().unwrap();
            assert!(entries.len() <= 108, "a page is bounded: {}", entries.len());
            found.extend(entries.iter().map(|entry| entry["mac"].as_str().unwrap().to_owned()));
            after = page["next"].clone();
        }
        found
    };
    wait("all stations to be known", || {
        (listed(json!({ "port": "vm1" })).len() > usize::from(STATIONS)).then_some(())
    });
    assert_eq!(listed(json!({ "vlan": 1, "port": "vm2" })).len(), 1);
    assert_eq!(listed(json!({ "mac": "02:00:00:01:00:05" })).len(), 1);
    assert!(listed(json!({ "vlan": 2 })).is_empty());
    let info = switch.call("fdb.info", Value::Null);
    assert_eq!(info["ports"]["vm2"], 1, "{info}");
    assert_eq!(switch.call("fdb.remove", json!({ "vlan": 1, "mac": "02:00:00:01:00:05" }))["removed"], true);
    assert_eq!(switch.call("fdb.flush", json!({ "vlan": 1, "port": "vm2" }))["flushed"], 1);
    assert_eq!(switch.call("fdb.flush", json!({ "port": "vm1" }))["flushed"], STATIONS);
    assert!(listed(json!({})).is_empty());
    switch.stop();
}

/// Clients that subscribe to everything, or ask for much, and never read.
#[test]
fn clients_that_never_read_are_let_go_and_hinder_nobody() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 1, "server"));
    let silent: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = UnixStream::connect(switch.socket()).unwrap();
            stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
            let subscribe = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"events.subscribe\"}\n";
            stream.write_all(subscribe).unwrap();
            let dump = b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"memory.dump\",\"params\":{\"what\":\"memzone\"}}\n";
            // As many as the socket takes.
            while stream.write_all(dump).is_ok() {}
            stream
        })
        .collect();
    for burst in 0..200 {
        switch.call("config.edit", edit("switch.burst", &json!(4 + burst % 29)));
    }
    // They are let go once they have kept the switch waiting for long enough.
    for mut one in silent {
        wait("a client that never reads to be let go", || {
            let refused = one.write_all(b"\n").err()?.kind();
            matches!(refused, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset).then_some(())
        });
    }
    switch.stop();
}
