//! Every command of the console against a running switch, and the session that the README shows.

use std::path::Path;

use pollux::console::commands::{self, Does, Entry};
use pollux::console::{Command, Failed, Local, Screen, Streams};
use pollux::rpc::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Switch, Vm, run_to_end, wait};
use crate::vhost::{introduce, socket};

/// Two VMs' ports, and memory for those that the examples add.
fn config(folder: &Path) -> String {
    let port = |number: u8| {
        let socket = socket(folder, number);
        format!(
            "[ports.vm{number}]\nvhost_user = {{ socket = \"{}\", role = \"server\" }}\n",
            socket.display()
        )
    };
    format!(
        "[switch]\ncores = [0]\nhugepages = false\nmemory = \"192MiB\"\n[fdb]\ncapacity = 1024\n{}{}",
        port(1),
        port(2)
    )
}

/// What the devices of these examples can't do, by how their commands begin and what the switch says.
const LACKING: &[(&str, &str)] = &[
    ("set link-up", "its device can't set its link"),
    ("show port PORT flow_ctrl", "the device has no flow control"),
    ("set flow_ctrl", "the device has no flow control"),
    ("set pfc_ctrl", "the device has no flow control by priority"),
    ("show port PORT rxq QUEUE desc", "can't count"),
];

#[test]
fn every_command_works_on_a_running_switch() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path()));
    let mut client = Client::connect(&switch.socket()).unwrap();
    let mut failed = Vec::new();
    for known in commands::all() {
        // The examples have their files in /tmp.
        let line = known.entry.example.replace("/tmp/", &format!("{}/", folder.path().display()));
        if line.contains("pollux-example.toml") && !line.starts_with("config diff") {
            let running = switch.ask("show config running")["text"].as_str().unwrap().to_owned();
            std::fs::write(folder.path().join("pollux-example.toml"), running + "# the same\n").unwrap();
        } else if line.contains("pollux-example.toml") {
            std::fs::write(folder.path().join("pollux-example.toml"), config(folder.path())).unwrap();
        }
        let command = Command::parse(&line).unwrap().unwrap();
        match run(&command, &mut client) {
            Ok(text) => {
                let quiet = matches!(command.local(), Some(Local::Load | Local::Quit));
                let quiet = quiet || matches!(command.entry.does, Does::Stream(Streams::Monitor));
                if text.trim().is_empty() && !quiet {
                    failed.push(format!("{line}: says nothing"));
                }
            }
            Err(error) => {
                if !is_lacking(known.entry, &error) {
                    failed.push(format!("{line}: {error}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // Exact once the workers rest.
    switch.ask("stop");
    wait("the balance", || (switch.ask("show accounting")["balances"] == true).then_some(()));
    switch.stop();
}

fn is_lacking(entry: &Entry, error: &str) -> bool {
    LACKING.iter().any(|(syntax, why)| entry.syntax.starts_with(syntax) && error.contains(why))
}

/// Runs a command as a console does, and returns what it shows. What goes on by itself is stopped at once.
fn run(command: &Command, client: &mut Client) -> Result<String, String> {
    let mut shown = Vec::new();
    let mut screen = Screen { out: &mut shown, json: false, stopped: &|| true };
    match command.local() {
        Some(Local::Load | Local::Quit) => return Ok(String::new()),
        _ => command.run(client, &mut screen).map_err(|error: Failed| error.to_string())?,
    }
    Ok(String::from_utf8_lossy(&shown).into_owned())
}

/// The lines of the README's session that are commands, with its folder replaced.
fn session(folder: &Path) -> String {
    let session = include_str!("../../docs/session.txt");
    session.replace("/run/pollux", folder.to_str().unwrap())
}

#[test]
fn the_session_makes_two_vms_in_vlans_with_qos_and_saves_them() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&start_of_session());
    let commands = folder.path().join("session.txt");
    std::fs::write(&commands, session(folder.path())).unwrap();
    let control = switch.socket();
    let (_, output) =
        run_to_end(&["exec", "--control", control.to_str().unwrap(), "-f", commands.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // Both VMs are in one VLAN, and hear each other.
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    introduce(&mut [&mut one, &mut two]);
    drop((one, two));
    assert_eq!(switch.ask("show config diff")["same"], json!(true));
    let asked = ["show config running", "show vlan", "show mirror"];
    let running = asked.map(|command| switch.ask(command));
    let profile = profiles(&switch);
    let saved = switch.ask("show config saved")["text"].as_str().unwrap().to_owned();
    switch.stop();

    let again = Switch::start(&saved);
    for (command, before) in asked.iter().zip(&running) {
        assert_eq!(again.ask(command), *before, "{command}");
    }
    assert_eq!(profiles(&again), profile);
    again.stop();
}

/// Commands of the README's transcript, each with what the README has it answer.
fn transcript() -> Vec<(&'static str, Vec<&'static str>)> {
    let readme = include_str!("../../README.md");
    let (_, block) = readme.split_once("```text\npollux> ").expect("a transcript");
    let (block, _) = block.split_once("\n```").expect("its end");
    let step = |step: &'static str| {
        let mut lines = step.lines();
        (lines.next().expect("a command"), lines.map(str::trim_end).collect())
    };
    block.split("\npollux> ").map(step).collect()
}

#[test]
fn the_readmes_transcript_is_what_the_session_answers() {
    let steps = transcript();
    // What the queues of two ports look like would fill the page.
    let session_lines = include_str!("../../docs/session.txt").lines();
    let commands = session_lines.filter(|line| !line.starts_with('#') && *line != "show qos");
    assert_eq!(steps.iter().map(|(command, _)| *command).collect::<Vec<_>>(), commands.collect::<Vec<_>>());

    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&start_of_session());
    let mut client = Client::connect(&switch.socket()).unwrap();
    for (command, answer) in steps {
        let line = command.replace("/run/pollux", folder.path().to_str().unwrap());
        let shown = run(&Command::parse(&line).unwrap().unwrap(), &mut client).unwrap();
        let shown = shown.replace(switch.file().to_str().unwrap(), "/etc/pollux/pollux.toml");
        assert_eq!(shown.lines().map(str::trim_end).collect::<Vec<_>>(), answer, "{command}");
    }
    switch.stop();
}

/// The switch that the session starts with: one port.
fn start_of_session() -> String {
    "[switch]\ncores = [0]\nhugepages = false\nmemory = \"192MiB\"\n[fdb]\ncapacity = 1024\n\
     [ports.uplink]\ndevice = \"net_ring0\"\nrx_ring = 64\ntx_ring = 64\n"
        .to_owned()
}

/// What is configured of each port's queues.
fn profiles(switch: &Switch) -> Vec<Value> {
    let answer = switch.ask("show qos");
    let ports = answer["ports"].as_array().unwrap().iter();
    ports
        .map(|port| {
            let classes: Vec<_> = port["classes"].as_array().into_iter().flatten().collect();
            let of = |field: &str| classes.iter().map(|class| class[field].clone()).collect::<Vec<_>>();
            json!([port["port"], port["profile"], port["shaper"], of("served"), of("max_rate")])
        })
        .collect()
}

#[test]
fn each_command_has_an_answer_in_json() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path()));
    let mut client = Client::connect(&switch.socket()).unwrap();
    for line in ["show port info all", "show fdb", "show accounting", "help vlan", "show rxq info vm1 0"] {
        let mut shown = Vec::new();
        let mut screen = Screen { out: &mut shown, json: true, stopped: &|| true };
        Command::parse(line).unwrap().unwrap().run(&mut client, &mut screen).unwrap();
        let text = String::from_utf8(shown).unwrap();
        assert_eq!(text.lines().count(), 1, "{line}: {text}");
        assert!(serde_json::from_str::<Value>(&text).unwrap().is_object(), "{line}: {text}");
    }
    switch.stop();
}

#[test]
fn testpmds_vlan_words_change_a_trunk_and_refuse_an_access_port() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path()));
    let mut client = Client::connect(&switch.socket()).unwrap();
    let mut ask = |line: &str| Command::parse(line).unwrap().unwrap().ask(&mut client);
    let refusal = ask("rx_vlan add 30 0").unwrap_err().to_string();
    assert!(refusal.contains("port vm1 is an access port of VLAN 1"), "{refusal}");
    // What the refusal says to write works.
    ask("set port vm1 vlan trunk allowed 1,30 native 1").unwrap();
    ask("rx_vlan add 31 0").unwrap();
    ask("rx_vlan rm 30 vm1").unwrap();
    ask("tx_vlan reset vm1").unwrap();
    let vlans = ask("show vlan 31").unwrap();
    assert_eq!(vlans["vlans"][0]["tagged"], json!(["vm1"]), "{vlans}");
    assert_eq!(ask("show vlan 30").unwrap()["vlans"], json!([]));
    wait("the port to be stopped", || {
        ask("port stop all").unwrap();
        (ask("show port summary vm1").unwrap()["ports"][0]["enabled"] == false).then_some(())
    });
    switch.stop();
}
