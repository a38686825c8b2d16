//! The switch's numbers over HTTP: to Prometheus itself, to its tools, to whoever misbehaves.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use pollux::rpc::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::http::{free_address, get};
use crate::harness::prometheus::{Prometheus, promtool};
use crate::harness::{Switch, Vm, pcap, run_to_end, wait};
use crate::vhost::{config, introduce, socket};

/// What Prometheus asks for.
const OPEN: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

const PROFILE: &str = "[qos.profiles.gold]\ntraffic_classes = 2\nclasses = { strict = [1], dwrr = { 0 = 1 } }\n\
    egress_rate = { rate = \"10Mbit\", burst = \"16KiB\" }\n\
    ingress_rate = { rate = \"8Mbit\", burst = \"96KiB\" }\n\
    rules = [{ name = \"arp\", match = { ethertype = 0x0806 }, class = 1 }]\n";

/// Two VMs' ports, the second with priorities, and metrics.
fn served(folder: &Path, listen: SocketAddr) -> String {
    let ports = config(folder, 2, "server");
    format!("{ports}qos.profile = \"gold\"\n{PROFILE}[metrics]\nlisten = \"{listen}\"\n")
}

fn scrape(listen: SocketAddr, accept: &str) -> String {
    let answer = wait("a scrape", || get(listen, "/metrics", accept));
    assert_eq!(answer.status, 200, "{answer:?}");
    let form = if accept == OPEN {
        "application/openmetrics-text; version=1.0.0"
    } else {
        "text/plain; version=0.0.4"
    };
    assert!(answer.head.contains(&format!("content-type: {form}; charset=utf-8")), "{}", answer.head);
    answer.body
}

/// Samples by their names and labels, in the order of the text.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parsed = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    });
    parsed.collect()
}

/// A switch of two VMs that serves its numbers, and where. Another process may take the TCP port that was free.
fn serving(folder: &Path) -> (Switch, SocketAddr) {
    wait("a TCP port that is free", || {
        let listen = free_address();
        let switch = Switch::launch(None, &served(folder, listen));
        let taken = || switch.stderr.text().contains("metrics can't be served on");
        let up = switch
            .stdout
            .find(|lines| lines.iter().any(|line| line.starts_with("ready after ")).then_some(()));
        if up.is_none() && taken() { None } else { Some((switch.ready(), listen)) }
    })
}

/// Two VMs exchange frames, more than the second's port can take at once, and then rest.
fn exchange(switch: &Switch, folder: &Path) -> [Vm; 2] {
    let mut one = Vm::connect(&socket(folder, 1), 1);
    let mut two = Vm::connect(&socket(folder, 2), 2);
    introduce(&mut [&mut one, &mut two]);
    let (to_two, to_one) = (two.mac, one.mac);
    let received = |of: &str| switch.ask(&format!("show port stats {of}"))["ports"][0]["rx_frames"].as_u64();
    one.send(to_two, "-", 0, 5_000);
    two.send(to_one, "-", 0, 5_000);
    let sent = [("vm1", one.sent), ("vm2", two.sent)];
    wait("all frames to be received, and the queues to be empty", || {
        let all = sent.iter().all(|&(port, frames)| received(port) == Some(frames));
        (all && switch.ask("show accounting")["queued"] == 0).then_some(())
    });
    [one, two]
}

/// What the console shows of ports, under the names of the metrics.
fn shown(stats: &Value) -> BTreeMap<String, f64> {
    let mut shown = BTreeMap::new();
    let number = |value: &Value| value.as_f64().unwrap();
    for port in stats["ports"].as_array().unwrap() {
        let name = port["port"].as_str().unwrap();
        for (field, metric) in [
            ("rx_frames", "receive_frames"),
            ("rx_bytes", "receive_bytes"),
            ("tx_frames", "transmit_frames"),
            ("tx_bytes", "transmit_bytes"),
            ("replicated", "replicated_frames"),
        ] {
            shown.insert(format!("pollux_port_{metric}_total{{port=\"{name}\"}}"), number(&port[field]));
        }
        for (reason, frames) in port["drops"].as_object().unwrap() {
            let series = format!("pollux_port_drops_total{{port=\"{name}\",reason=\"{reason}\"}}");
            shown.insert(series, number(frames));
        }
    }
    let accounting = &stats["accounting"];
    for (field, metric) in [
        ("rx", "receive_frames_total"),
        ("replicated", "replicated_frames_total"),
        ("tx", "transmit_frames_total"),
        ("dropped", "dropped_frames_total"),
        ("queued", "queued_frames"),
    ] {
        shown.insert(format!("pollux_{metric}"), number(&accounting[field]));
    }
    shown
}

/// A sample of Prometheus's as the text has it, without what Prometheus adds.
fn series(sample: &Value) -> String {
    let labels = sample["metric"].as_object().unwrap();
    let own = labels.iter().filter(|(name, _)| !["__name__", "instance", "job"].contains(&name.as_str()));
    let own: Vec<_> = own.map(|(name, value)| format!("{name}={value}")).collect();
    let name = labels["__name__"].as_str().unwrap();
    if own.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", own.join(",")) }
}

fn packaging(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path)
}

#[test]
fn prometheus_has_what_the_console_shows_to_the_frame() {
    let folder = TempDir::new().unwrap();
    let (switch, listen) = serving(folder.path());
    let prometheus = Prometheus::watch(listen, &packaging("prometheus/pollux.rules.yml"));
    let vms = exchange(&switch, folder.path());
    let shown = shown(&switch.ask("show port stats all"));
    assert!(shown["pollux_port_receive_frames_total{port=\"vm1\"}"] >= 5_000.0, "{shown:?}");
    assert!(shown.keys().any(|series| series.contains("drops_total{port=")), "{shown:?}");
    let scraped = wait("Prometheus to have scraped what is shown", || {
        let found = prometheus.query("%7Bjob=%22pollux%22%7D");
        let value = |sample: &Value| sample["value"][1].as_str().unwrap().parse::<f64>().unwrap();
        let scraped: BTreeMap<_, _> = found.iter().map(|sample| (series(sample), value(sample))).collect();
        shown.iter().all(|(series, value)| scraped.get(series) == Some(value)).then_some(scraped)
    });
    assert_eq!(scraped["up"], 1.0);
    let direct = samples(&scrape(listen, OPEN));
    let changing = |series: &str| series.ends_with("_seconds") || series.contains("_seconds{");
    let sorted = |series: &str| series.split(['{', ',', '}']).map(str::to_owned).collect::<BTreeSet<_>>();
    let names: BTreeSet<_> = scraped.keys().map(|series| sorted(series)).collect();
    for (series, value) in direct.iter().filter(|(series, _)| !changing(series)) {
        assert!(names.contains(&sorted(series)), "Prometheus lacks {series} {value}");
    }
    // The same as the classes' own words.
    let class = &switch.ask("show qos vm2")["ports"][0]["classes"][0];
    let sent = direct["pollux_class_transmit_frames_total{port=\"vm2\",class=\"1\"}"];
    assert_eq!(class["sent_frames"].as_f64(), Some(sent));

    let rules = wait("the rules to be evaluated", || {
        let groups = prometheus.api("rules")["groups"].clone();
        let rules = groups[0]["rules"].as_array().unwrap().clone();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    assert!(rules.len() > 5 && rules.iter().all(|rule| rule["health"] == "ok"), "{rules:?}");
    drop(prometheus);
    vms.into_iter().for_each(Vm::shut_down);
    switch.stop();
}

/// The metrics that an expression names.
fn named(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("pollux_"))
}

fn expressions(json: &Value) -> Vec<String> {
    match json {
        Value::Object(fields) => {
            let own = fields.iter().filter(|(name, _)| ["expr", "query"].contains(&name.as_str()));
            let own = own.filter_map(|(_, value)| Some(value.as_str()?.to_owned()));
            own.chain(fields.values().flat_map(expressions)).collect()
        }
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn what_ships_with_it_names_what_there_is() {
    let folder = TempDir::new().unwrap();
    let (switch, listen) = serving(folder.path());
    let text = scrape(listen, "*/*");
    let file = folder.path().join("scrape");
    std::fs::write(&file, &text).unwrap();
    let checked = promtool(&["check", "metrics"], &file);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!((checked.status.code(), said.as_str()), (Some(0), ""));

    let names: BTreeSet<_> =
        samples(&text).into_keys().map(|series| series.split('{').next().unwrap().to_owned()).collect();
    let dashboard = std::fs::read_to_string(packaging("grafana/pollux.json")).unwrap();
    let expressions = expressions(&serde_json::from_str(&dashboard).unwrap());
    assert!(expressions.len() > 20, "{expressions:?}");
    let rules = std::fs::read_to_string(packaging("prometheus/pollux.rules.yml")).unwrap();
    let used = expressions.iter().flat_map(|expression| named(expression)).chain(named(&rules));
    let declared: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let known = |name: &str| names.contains(name) || declared.contains(name);
    let unknown: BTreeSet<_> = used.filter(|name| !known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are in no scrape");

    // The table of docs/operations.md has every family with its type and labels, and no other.
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let rows = docs.lines().filter(|line| line.starts_with("| `pollux_"));
    let rows: BTreeSet<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
            (cells[1].clone(), cells[2].clone(), cells[3].clone())
        })
        .collect();
    let reasons = pollux_engine::Reason::ALL.iter().map(|reason| format!("| `{reason}` |"));
    let unexplained: Vec<_> = reasons.filter(|row| !docs.contains(row)).collect();
    assert!(unexplained.is_empty(), "docs/operations.md doesn't explain {unexplained:?}");
    let labels = |name: &str| {
        // As in `a="1",b="2"} 3`: a name before each value.
        let of = |line: &'_ str| {
            Some(line.strip_prefix(name)?.trim_start_matches("_sum").strip_prefix('{')?.to_owned())
        };
        let first = text.lines().find_map(of)?;
        let names = first.split('"').step_by(2).map(|part| part.trim_matches([',', '=']));
        Some(names.filter(|part| !part.starts_with('}')).collect::<Vec<_>>().join(", "))
    };
    let told =
        |name: &str| rows.iter().find(|row| row.0 == name).map(|row| row.2.clone()).unwrap_or_default();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let families: BTreeSet<_> = types
        .map(|(name, kind)| {
            // What no device here can tell has no sample, and what labels it would have isn't seen.
            let empty = !names.contains(name) && !names.contains(&format!("{name}_sum"));
            let labels = if empty { told(name) } else { labels(name).unwrap_or_default() };
            (name.to_owned(), kind.to_owned(), labels)
        })
        .collect();
    let missing: Vec<_> = families.difference(&rows).collect();
    let stale: Vec<_> = rows.difference(&families).collect();
    assert!(missing.is_empty() && stale.is_empty(), "missing in the table: {missing:?}; stale: {stale:?}");
    switch.stop();
}

#[test]
fn the_alerts_are_raised_when_they_should() {
    let tests = packaging("prometheus/pollux.rules.test.yml");
    let output = promtool(&["test", "rules", tests.to_str().unwrap()], Path::new("/dev/null"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// A port that goes takes nothing away from what was counted.
#[test]
fn totals_outlive_their_ports() {
    let folder = TempDir::new().unwrap();
    let (switch, listen) = serving(folder.path());
    let vms = exchange(&switch, folder.path());
    let before = samples(&scrape(listen, OPEN));
    vms.into_iter().for_each(Vm::shut_down);
    switch.ask("port detach vm1");
    let after = samples(&scrape(listen, OPEN));
    let of_port = |series: &str| series.contains("port=\"vm1\"");
    for (series, value) in before.iter().filter(|(series, _)| series.contains("_total")) {
        assert!(of_port(series) || after[series] >= *value, "{series}: {value}, then {}", after[series]);
    }
    assert!(!after.keys().any(|series| of_port(series)));
    let gone = after["pollux_detached_receive_frames_total"];
    assert!(gone >= before["pollux_port_receive_frames_total{port=\"vm1\"}"] && gone > 0.0);
    let there = after["pollux_port_receive_frames_total{port=\"vm2\"}"];
    assert_eq!(there + gone, after["pollux_receive_frames_total"]);
    switch.stop();
}

#[test]
fn who_asks_for_nothing_is_in_nobodys_way() {
    let folder = TempDir::new().unwrap();
    let (switch, listen) = serving(folder.path());
    let idle: Vec<_> = (0..200).map(|_| TcpStream::connect(listen).unwrap()).collect();
    let mut slow = TcpStream::connect(listen).unwrap();
    slow.write_all(b"GET /metrics HT").unwrap();
    for path in ["/metrics", "/healthz", "/readyz", "/"] {
        assert_eq!(get(listen, path, OPEN).unwrap().status, 200, "{path}");
    }
    assert_eq!(get(listen, "/nothing", OPEN).unwrap().status, 404);
    slow.write_all(b"TP/1.0\r\n\r\n").unwrap();
    let mut said = String::new();
    slow.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.0 200 "), "{said}");
    assert_eq!(switch.ask("show port stats all")["ports"].as_array().unwrap().len(), 2);
    drop(idle);
    switch.stop();
}

#[test]
fn a_switch_without_one_of_its_ports_is_not_ready() {
    let folder = TempDir::new().unwrap();
    let input = folder.path().join("in");
    pcap::write(&input, &[]);
    let device = pcap::device(0, &[(&input, &folder.path().join("out"))]);
    let listen = free_address();
    let port = format!("[ports.lab]\ndevice = \"{device}\"\nrx_ring = 64\ntx_ring = 64\n");
    let switch = Switch::start(&format!("{}{port}", served(folder.path(), listen)));
    let ready = || get(listen, "/readyz", OPEN).unwrap().status;
    assert_eq!(ready(), 200);
    std::fs::remove_file(&input).unwrap();
    let mut client = Client::connect(&switch.socket()).unwrap();
    client.call("port.reset", json!({ "port": "lab" })).unwrap_err();
    assert_eq!(ready(), 503);
    assert_eq!(get(listen, "/healthz", OPEN).unwrap().status, 200);
    switch.call("port.detach", json!({ "name": "lab" }));
    assert_eq!(ready(), 200);
    switch.stop();
}

#[test]
fn metrics_move_with_the_file_or_stay_where_they_are() {
    let folder = TempDir::new().unwrap();
    let [first, second] = [free_address(), free_address()];
    let plain = config(folder.path(), 1, "server");
    let at = |listen: SocketAddr| format!("{plain}[metrics]\nlisten = \"{listen}\"\n");
    let switch = Switch::start(&plain);
    for (file, there, gone) in [
        (at(first), Some(first), Some(second)),
        (at(second), Some(second), Some(first)),
        (plain.clone(), None, Some(second)),
    ] {
        switch.rewrite(&file);
        let changes = switch.ask("config reload")["changes"].clone();
        assert_eq!(changes["summary"], "set metrics.listen");
        if let Some(listen) = there {
            assert!(scrape(listen, OPEN).ends_with("# EOF\n"));
        }
        assert!(gone.is_none_or(|listen| get(listen, "/metrics", OPEN).is_none()));
    }
    switch.rewrite(&at(first));
    switch.ask("config reload");

    // Another process's port, and a port that comes in the same file, which it then doesn't.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_at = taken.local_addr().unwrap();
    // A trial says what the change would.
    let mut client = Client::connect(&switch.socket()).unwrap();
    let tried = client.call("config.check", json!({ "text": at(taken_at) })).unwrap_err().to_string();
    assert!(tried.contains("metrics can't be served here: Address already in use"), "{tried}");
    let tried = switch.call("config.diff", json!({ "text": at(taken_at) }));
    assert!(tried["refused"].to_string().contains("metrics can't be served here"), "{tried}");
    switch.rewrite(&format!("{}[ports.late]\ndevice = \"net_null9\"\n", at(taken_at)));
    let refused = switch.exec("config reload");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("metrics can't be served here: Address already in use"), "{said}");
    assert!(said.contains("`ss -ltnp` tells"), "{said}");
    assert!(scrape(first, OPEN).contains("pollux_port_link_up{port=\"vm1\"}"));
    assert!(!scrape(first, OPEN).contains("late"));

    switch.rewrite(&at(SocketAddr::new("0.0.0.0".parse().unwrap(), first.port())));
    let refused = switch.exec("config reload");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("change the TCP port as well"), "{refused:?}");
    scrape(first, OPEN);

    // What is refused for another reason moves nothing either.
    switch.rewrite(&at(second).replace("cores = [0]", "cores = [0, 1]"));
    let log = switch.stderr.count();
    switch.signal(Signal::SIGHUP);
    switch.stderr.await_line(log, "refused whole");
    scrape(first, OPEN);
    assert!(get(second, "/metrics", OPEN).is_none());
    switch.stop();

    let file = folder.path().join("taken.toml");
    std::fs::write(&file, at(taken_at)).unwrap();
    let control = folder.path().join("taken.sock");
    let arguments = ["run", "--config", file.to_str().unwrap(), "--control", control.to_str().unwrap()];
    let (_, output) = run_to_end(&arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(&format!("metrics can't be served on {taken_at}: ")), "{said}");
}
