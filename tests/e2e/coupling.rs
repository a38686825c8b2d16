//! What clients of the control socket cost those who send frames: measured and printed, as a ratio of the same run.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pollux::rpc::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Switch, Vm, frame, pcap, wait};
use crate::vhost::{config, introduce, socket};

/// Addresses to be listed.
const STATIONS: u32 = 10_000;

/// Frames sent and sent back for each figure; `POLLUX_PINGS` asks for more.
const PINGS: u32 = 20_000;

/// Pairs of figures, without clients and with them.
const PAIRS: usize = 5;

/// Lists all addresses, again and again. Returns how often.
fn list(switch: &Switch, stop: &AtomicBool) -> usize {
    let mut client = Client::connect(&switch.socket()).unwrap();
    let mut lists = 0;
    while !stop.load(Ordering::Relaxed) {
        let (mut entries, mut after) = (0, json!(0));
        while !after.is_null() {
            let page = client.call("fdb.list", json!({ "after": after })).unwrap();
            entries += page["entries"].as_array().unwrap().len();
            after = page["next"].clone();
        }
        assert!(entries >= STATIONS as usize, "{entries} addresses listed");
        lists += 1;
    }
    lists
}

/// Asks for all that fits into its socket, and never reads.
fn never_read(switch: &Switch) -> UnixStream {
    let mut stream = UnixStream::connect(switch.socket()).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let calls = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"events.subscribe\"}\n\
                  {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"fdb.list\"}\n";
    while stream.write_all(calls).is_ok() {}
    stream
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[test]
fn listings_and_clients_that_never_read_cost_no_frame() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let stations = (0..STATIONS).map(|station| {
        let [_, high, middle, low] = station.to_be_bytes();
        frame::build([2, 0, 0, 0, 9, 1], [2, 0, 7, high, middle, low], "-", station, 60)
    });
    pcap::write(&path("in"), &stations.collect::<Vec<_>>());
    let device = pcap::device(0, &[(&path("in"), &path("out"))]);
    let file = config(folder.path(), 2, "server").replace("capacity = 1024", "capacity = 32768");
    let switch =
        Switch::start(&format!("{file}[ports.many]\ndevice = \"{device}\"\nrx_ring = 64\ntx_ring = 64\n"));
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    introduce(&mut [&mut one, &mut two]);
    wait("all stations to be known", || {
        let entries = switch.call("fdb.info", Value::Null)["entries"].as_u64()?;
        (entries >= u64::from(STATIONS)).then_some(())
    });
    let pings = std::env::var("POLLUX_PINGS").ok().and_then(|pings| pings.parse().ok()).unwrap_or(PINGS);
    let echo = two.mac;
    two.echo();
    let mut first = 0;
    let mut rate = |one: &mut Vm| {
        let ping = one.ping(echo, &[], first, pings);
        first += pings;
        assert_eq!(ping.echoed, u64::from(pings), "frames were lost");
        2e-6 * f64::from(pings) / ping.seconds
    };
    let mut figures = Vec::new();
    for _ in 0..PAIRS {
        let without = rate(&mut one);
        let stop = AtomicBool::new(false);
        let (listing, lists) = std::thread::scope(|scope| {
            let lister = scope.spawn(|| list(&switch, &stop));
            let rate = rate(&mut one);
            stop.store(true, Ordering::Relaxed);
            (rate, lister.join().unwrap())
        });
        let silent: Vec<_> = (0..4).map(|_| never_read(&switch)).collect();
        let unread = rate(&mut one);
        drop(silent);
        println!(
            "{without:.3} Mpps without clients, {listing:.3} beside {lists} listings, {unread:.3} beside clients that never read"
        );
        figures.push((listing / without, unread / without));
    }
    let (listing, unread): (Vec<_>, Vec<_>) = figures.into_iter().unzip();
    println!(
        "ratios (medians of {PAIRS}): {:.3} beside listings of {STATIONS} addresses, {:.3} beside clients that never read",
        median(listing),
        median(unread)
    );
    switch.stop();
}
