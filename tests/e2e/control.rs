//! The control socket, and `pollux exec` on it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Switch, Vm, frame, run_to_end, wait};
use crate::vhost::{config, introduce, socket};

fn call(stream: &mut UnixStream, line: &[u8]) -> Value {
    stream.write_all(line).unwrap();
    let mut answer = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

#[test]
fn a_vm_is_shown_as_its_guest_agent_would() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 2, "server"));
    let vm = &switch.ask("show vhost vm1")["vms"][0];
    assert_eq!(vm["network"]["link_state"], "down");
    assert_eq!(vm["vhost"]["connected"], json!(false));
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let two = Vm::connect(&socket(folder.path(), 2), 2);
    let mut two = two;
    introduce(&mut [&mut one, &mut two]);
    let log = switch.await_link(0, "vm2", true);
    two.crash();
    let log = switch.await_link(log, "vm2", false);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    switch.await_link(log, "vm2", true);
    introduce(&mut [&mut one, &mut two]);

    let answer = switch.ask("show vhost");
    let [one, two] = [0, 1].map(|number| answer["vms"][number].clone());
    assert_eq!(one["network"]["mac_address"], "02:00:00:00:09:01");
    assert_eq!(one["network"]["link_state"], "up");
    assert!(one["network"]["rx_packets"].as_u64() > Some(0), "{one}");
    assert!(one["network"]["tx_bytes"].as_u64() >= Some(60), "{one}");
    assert_eq!(
        one["vhost"]["queues"][0],
        json!({ "rx_enabled": true, "tx_enabled": true, "rx_ring": 1024, "tx_ring": 1024 })
    );
    assert!(one["vhost"]["features"].as_array().unwrap().contains(&json!("VERSION_1")), "{one}");
    assert_eq!((&one["vhost"]["reconnects"], &two["vhost"]["reconnects"]), (&json!(0), &json!(1)));
    assert!(two["vhost"]["last_outage_ms"].is_u64(), "{two}");
    switch.stop();
}

#[test]
fn commands_come_from_arguments_files_and_standard_input() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 1, "server"));
    let control = switch.socket();
    let exec = |arguments: &[&str]| {
        let all = [&["exec", "--control", control.to_str().unwrap()], arguments].concat();
        let (_, output) = run_to_end(&all);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, stdout, _) = exec(&["show", "port", "stats", "all"]);
    assert_eq!(code, Some(0));
    assert!(
        stdout.contains("rx frames") && stdout.contains("vm1") && stdout.contains("accounting: rx 0"),
        "{stdout}"
    );

    let file = folder.path().join("commands");
    std::fs::write(&file, "# all\nshow vhost\n\nport detach nobody\nshow vhost\n").unwrap();
    let (code, stdout, stderr) = exec(&["-f", file.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{stderr}");
    assert_eq!(stdout.matches("vm1: ").count(), 1, "what is behind a failure isn't run: {stdout}");
    assert!(stderr.contains("there is no port nobody"), "{stderr}");
    std::fs::write(&file, "show vhost\nshow nothing\n").unwrap();
    let (code, stdout, stderr) = exec(&["-f", file.to_str().unwrap()]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "no line is run if one is wrong");
    assert!(stderr.contains("commands:2: `nothing` can't stand here"), "{stderr}");

    for (command, code, said) in [
        ("port attach vm1 { device = \"net_null0\" }", 2, "there is a port vm1 already"),
        ("port attach vm2 { device = \"net_nothing0\", rx_ring = 64, tx_ring = 64 }", 1, "port vm2: "),
        (
            "port attach vm2 { device = \"net_null0\" }",
            2,
            "mbufs are needed with this port, and the switch has",
        ),
        ("port attach vm2 { device = \"net_null0\", mtu = 1 }", 2, "`ports.vm2.mtu` is out of range"),
        (
            "port attach vm2 { vhost_user = { socket = \"/nowhere/a.sock\" } }",
            2,
            "there is no folder /nowhere",
        ),
        ("port attach vm2 { device = \"0000:ff:1f.7\" }", 2, "there is no such PCI device"),
        ("port detach vm1", 2, "the switch has no port"),
    ] {
        let (got, _, stderr) = exec(&[command]);
        assert_eq!(got, Some(code), "{command}: {stderr}");
        assert!(stderr.contains(said), "{command}: {stderr}");
    }
    assert_eq!(switch.ask("show port stats all")["ports"].as_array().unwrap().len(), 1);
    switch.stop();
    let (code, _, stderr) = exec(&["show", "vhost"]);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("no switch answers on"), "{stderr}");
}

/// A guest's agent serves one client: it says that it was asked, and answers when it is told to.
fn agent(listener: &UnixListener, asked: impl FnOnce()) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut commands = BufReader::new(stream.try_clone().unwrap()).split(b'\n').map_while(Result::ok);
    let sync = commands.next().unwrap();
    asked();
    let sync: Value = serde_json::from_slice(&sync[1..]).unwrap();
    let address = json!({ "ip-address": "10.0.0.1", "prefix": 24 });
    for answer in [
        json!({ "return": sync["arguments"]["id"] }),
        json!({ "return": [{ "name": "ens3", "ip-addresses": [address] }] }),
        json!({ "return": { "host-name": "web" } }),
    ] {
        // Who waited for it may have lost patience.
        let said = [b"\xff", answer.to_string().as_bytes(), b"\n"].concat();
        let _ = stream.write_all(if answer["return"].is_u64() { &said } else { &said[1..] });
        commands.next();
    }
}

#[test]
fn a_guests_agent_is_asked_while_the_switch_does_other_things() {
    let folder = TempDir::new().unwrap();
    let file = config(folder.path(), 1, "server");
    let switch = Switch::start(&file);
    let mut vm = Vm::connect(&socket(folder.path(), 1), 1);
    let heard = |vm: &Value| vm["network"]["mac_address"] == "02:00:00:00:09:01";
    wait("the VM to be heard", || {
        vm.send(frame::BROADCAST, "-", 0, 1);
        let vm1 = &switch.ask("show vhost vm1")["vms"][0];
        assert_eq!(vm1["guest"], Value::Null);
        heard(vm1).then_some(())
    });

    let path = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let name_agent = |path: &Path| {
        switch.rewrite(&file.replacen(" }", &format!(", guest_agent = \"{}\" }}", path.display()), 1));
        let changes = &switch.ask("config reload")["changes"];
        assert_eq!((&changes["retuned"], &changes["replaced"]), (&json!(["vm1"]), &json!([])), "{changes}");
    };
    name_agent(&path);
    // The agent answers only after another client was: if the switch's thread waited for the agent, that
    // one would wait too, until the agent was given up. It is given up on a host that is too busy as well,
    // but hardly every time.
    let show = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vhost.show\"}\n";
    let info = b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"switch.info\"}\n";
    let connect = || UnixStream::connect(switch.socket()).unwrap();
    let (mut asking, mut other) = (connect(), connect());
    let told = (0..10).find_map(|_| {
        let answer = std::thread::scope(|scope| {
            let answer = scope.spawn(|| call(&mut asking, show));
            agent(&listener, || assert_eq!(call(&mut other, info)["id"], 2));
            answer.join().unwrap()
        });
        let guest = answer["result"]["vms"][0]["guest"].clone();
        guest["error"].is_null().then_some(guest)
    });
    let ens3 = json!({ "name": "ens3", "mac_address": null, "ip_addresses": ["10.0.0.1/24"] });
    let wanted = json!({ "agent": path, "host_name": "web", "interfaces": [ens3], "error": null });
    assert_eq!(told, Some(wanted));

    name_agent(&folder.path().join("none.sock"));
    let vm1 = &switch.ask("show vhost vm1")["vms"][0];
    let error = "there is no such socket: is the VM started with the channel?";
    assert_eq!(vm1["guest"]["error"], error);
    assert_eq!((&vm1["vhost"]["connected"], &vm1["vhost"]["reconnects"]), (&json!(true), &json!(0)));
    assert!(heard(vm1), "nothing else about the port changes: {vm1}");
    vm.shut_down();
    switch.stop();
}

/// Whatever a client sends or doesn't read, others are served.
#[test]
fn no_client_is_in_the_way_of_others() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 1, "server"));
    let connect = || UnixStream::connect(switch.socket()).unwrap();
    let mut stream = connect();
    for (line, code) in [
        (&b"nonsense\n"[..], -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1}\n", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\"}\n", -32601),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"port.detach\"}\n", -32602),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"port.detach\",\"params\":{\"name\":\"x\"}}\n", 2),
    ] {
        assert_eq!(call(&mut stream, line)["error"]["code"], code, "{}", String::from_utf8_lossy(line));
    }
    let info = call(&mut stream, b"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"switch.info\"}\n");
    assert_eq!((&info["id"], &info["result"]["ports"]), (&json!("a"), &json!(1)));

    // A line without end is answered, and its client let go.
    let mut endless = connect();
    let answer = call(&mut endless, &vec![b'x'; 2 << 20]);
    assert_eq!(answer["error"]["code"], -32600);
    assert_eq!(endless.read(&mut [0; 16]).unwrap_or(0), 0);
    drop(endless);

    // Clients that only sit there take the places that there are, and no more.
    let idle: Vec<_> = (0..40).map(|_| connect()).collect();
    let mut late = connect();
    let mut line = String::new();
    BufReader::new(late.try_clone().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("clients are connected already"), "{line}");
    let _ = late.write_all(b"x");
    assert_eq!(call(&mut stream, b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"switch.info\"}\n")["id"], 2);
    drop(idle);
    wait("a place", || {
        let output = switch.exec("show vhost");
        output.status.success().then_some(())
    });
    let socket: &Path = &switch.socket();
    assert!(socket.exists());
    switch.stop();
}
