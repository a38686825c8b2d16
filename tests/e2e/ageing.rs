//! Addresses that nobody uses are forgotten.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pollux::rpc::Client;
use serde_json::Value;

use crate::harness::{Lab, RawSocket, Switch, frame};

/// The shortest that the standard allows.
const AGEING: Duration = Duration::from_secs(10);

/// Enough for one of them to be waiting whenever another has been answered.
const CLIENTS: usize = 6;

/// And clients that ask without a pause don't stop the clock.
#[test]
fn a_silent_station_is_flooded_to_again() {
    let lab = Lab::new();
    let hosts = [1, 2, 3].map(|number| lab.host(number, 1500));
    let ports: String =
        hosts.iter().map(|host| crate::namespaces::port(&host.port, "access", "vid = 1")).collect();
    let switch = Switch::start_in(
        &lab.switch,
        &format!("[switch]\ncores = [0]\nhugepages = false\n[fdb]\nageing_time = \"10s\"\n{ports}"),
    );
    let [silent, talker, bystander] = hosts.each_ref().map(|host| host.raw());
    let [silent_mac, talker_mac, _] = hosts.each_ref().map(|host| host.mac());

    silent.send(&frame::build(frame::BROADCAST, silent_mac, "-", 0, 60));
    bystander.receive_until("the broadcast", |octets| frame::number(octets) == Some(0));
    let learned = Instant::now();

    let done = AtomicBool::new(false);
    let forgotten = std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Client::connect(&switch.socket()).unwrap();
                while !done.load(Ordering::Relaxed) {
                    client.call("switch.info", Value::Null).unwrap();
                }
            });
        }
        let forgotten = until_forgotten(&talker, &silent, &bystander, [talker_mac, silent_mac], learned);
        done.store(true, Ordering::Relaxed);
        forgotten
    });
    // Ages are kept in whole seconds, each about a tenth late.
    assert!(forgotten + Duration::from_millis(1200) > AGEING, "forgotten after {forgotten:?}");
    assert!(forgotten < AGEING + Duration::from_secs(5), "forgotten after {forgotten:?}");
    switch.stop();
}

/// Talks to a station that is silent until a bystander hears it too. Returns when that was, or late.
fn until_forgotten(
    talker: &RawSocket,
    silent: &RawSocket,
    bystander: &RawSocket,
    [talker_mac, silent_mac]: [[u8; 6]; 2],
    learned: Instant,
) -> Duration {
    let mut number = 1;
    loop {
        let sent = Instant::now();
        talker.send(&frame::build(silent_mac, talker_mac, "-", number, 60));
        silent.receive_until("a frame", |octets| frame::number(octets) == Some(number));
        // The switch has sent the bystander's copy, if any, about when the other came.
        if bystander.drain(Duration::from_millis(60)).iter().any(|octets| frame::number(octets).is_some()) {
            return sent - learned;
        }
        if learned.elapsed() > 3 * AGEING {
            return learned.elapsed();
        }
        number += 1;
        std::thread::sleep(Duration::from_millis(200));
    }
}
