//! Addresses that nobody uses are forgotten.

use std::time::{Duration, Instant};

use crate::harness::{Lab, Switch, frame};

/// The shortest that the standard allows.
const AGEING: Duration = Duration::from_secs(10);

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

    let mut number = 1;
    let forgotten = loop {
        let sent = Instant::now();
        talker.send(&frame::build(silent_mac, talker_mac, "-", number, 60));
        silent.receive_until("a frame", |octets| frame::number(octets) == Some(number));
        // The switch has sent the bystander's copy, if any, about when the other came.
        if bystander.drain(Duration::from_millis(60)).iter().any(|octets| frame::number(octets).is_some()) {
            break sent - learned;
        }
        assert!(learned.elapsed() < 3 * AGEING, "never forgotten");
        number += 1;
        std::thread::sleep(Duration::from_millis(200));
    };
    // Ages are kept in whole seconds, each about a tenth late.
    assert!(forgotten + Duration::from_millis(1200) > AGEING, "forgotten after {forgotten:?}");
    assert!(forgotten < AGEING + Duration::from_secs(5), "forgotten after {forgotten:?}");
    switch.stop();
}
