//! vhost-user ports, and front ends in processes of their own.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::front_end::format_mac;
use crate::harness::{Closing, Switch, Vm, frame, wait};

/// Ports `vm1` to `vm<count>`, whose sockets are in `folder`.
pub fn config(folder: &Path, count: u8, role: &str) -> String {
    let port = |number| {
        let socket = socket(folder, number);
        let socket = socket.display();
        format!(
            "[ports.vm{number}]\nvhost_user = {{ socket = \"{socket}\", role = \"{role}\" }}\n\
             vlan = {{ mode = \"access\", vid = 1, priority_tags = \"if-nonzero\" }}\n"
        )
    };
    // A small FDB, which the console looks through for each VM.
    let head = "[switch]\ncores = [0]\nhugepages = false\n[fdb]\ncapacity = 1024\n";
    head.to_owned() + &(1..=count).map(port).collect::<String>()
}

pub fn socket(folder: &Path, number: u8) -> PathBuf {
    folder.join(format!("vm{number}.sock"))
}

/// Lets each VM be heard by all others, so that nothing between them is flooded after.
pub fn introduce(vms: &mut [&mut Vm]) {
    for number in 0..vms.len() {
        let from = vms[number].mac;
        let mut hello = 0;
        // The switch takes a moment to see a link.
        wait("a broadcast to reach everybody", || {
            vms[number].send(frame::BROADCAST, "-", hello, 1);
            hello += 1;
            let mut others = vms.iter_mut().enumerate().filter(|(other, _)| *other != number);
            others.all(|(_, vm)| vm.received(from, frame::BROADCAST, 0).count > 0).then_some(())
        });
    }
}

/// Waits until a VM has all frames that the switch has sent it.
fn settle(switch: &Switch, port: &str, vm: &mut Vm, streams: &[([u8; 6], u8)], sent: u64) {
    let mac = vm.mac;
    wait("all frames to be received or dropped", || {
        let received: u64 = streams.iter().map(|&(from, pcp)| vm.received(from, mac, pcp).count).sum();
        let dropped = switch.counters().get(port).map_or(0, |live| live.dropped);
        (received + dropped >= sent).then_some(())
    });
}

#[test]
fn streams_lose_nothing_unaccounted_and_keep_their_order() {
    const FRAMES: u32 = 20_000;
    const SENT: u64 = 2 * FRAMES as u64;
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 3, "server"));
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    let mut third = Vm::connect(&socket(folder.path(), 3), 3);
    introduce(&mut [&mut one, &mut two, &mut third]);
    let (mac1, mac2) = (one.mac, two.mac);

    // Both ways at once, each as two streams of different priorities.
    let send = |vm: &mut Vm, to| {
        for first in (0..FRAMES).step_by(500) {
            vm.send(to, "-", first, 500);
            vm.send(to, "C0.5", first, 500);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| send(&mut one, mac2));
        scope.spawn(|| send(&mut two, mac1));
    });
    settle(&switch, "vm1", &mut one, &[(mac2, 0), (mac2, 5)], SENT);
    settle(&switch, "vm2", &mut two, &[(mac1, 0), (mac1, 5)], SENT);
    let reports = [one.report(), two.report(), third.report()];
    let closing = switch.stop();

    for (number, (report, from)) in [(&reports[0], mac2), (&reports[1], mac1)].into_iter().enumerate() {
        let port = format!("vm{}", number + 1);
        let mut arrived = 0;
        for (source, to, stream) in report {
            assert_eq!((stream.out_of_order, stream.duplicates), (0, 0), "{port} from {source} for {to}");
            arrived +=
                if source.starts_with(&format_mac(&from)) && to.starts_with("02") { stream.count } else { 0 };
        }
        assert_eq!(arrived + closing.drops(&port, "tx_full"), SENT, "{port}:\n{}", closing.stdout);
        let in_all: u64 = report.iter().map(|(_, _, stream)| stream.count).sum();
        assert_eq!(in_all, closing.port(&port).tx_frames, "{port}:\n{}", closing.stdout);
    }
    let strays = reports[2].iter().filter(|(_, to, _)| *to != format_mac(&frame::BROADCAST));
    assert_eq!(strays.count(), 0, "the third VM: {:?}", reports[2]);
}

#[test]
fn a_vm_that_comes_back_gets_its_frames_again() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 2, "server"));
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    introduce(&mut [&mut one, &mut two]);
    let mac2 = two.mac;

    let mut log = switch.await_link(0, "vm2", true);
    for crashes in [false, true] {
        if crashes {
            two.crash()
        } else {
            two.shut_down()
        }
        log = switch.await_link(log, "vm2", false);
        let dropped = || switch.counters().values().map(|port| port.dropped).sum::<u64>();
        let before = dropped();
        one.send(mac2, "-", 0, 100);
        wait("frames without a destination to be dropped", || (dropped() >= before + 100).then_some(()));
        two = Vm::connect(&socket(folder.path(), 2), 2);
        log = switch.await_link(log, "vm2", true);
        reach(&mut one, &mut two);
        reach(&mut two, &mut one);
    }
    let closing = switch.stop();
    // A worker that the kernel has set aside in the midst of a round ends it with the link as it was.
    let lost = closing.drops("vm1", "port_down") + closing.drops("vm2", "tx_full");
    assert!(lost >= 200 && closing.drops("vm1", "port_down") > 0, "{}", closing.stdout);
    only(&closing, "vm1", &["port_down", "no_destination", "tx_full"]);
}

/// Sends one frame after another until one arrives.
pub fn reach(from: &mut Vm, to: &mut Vm) {
    let (source, target) = (from.mac, to.mac);
    let mut number = 1000;
    wait("a frame to arrive", || {
        from.send(target, "-", number, 1);
        number += 1;
        (to.received(source, target, 0).count > 0).then_some(())
    });
}

/// Checks that a port dropped for no other reasons.
pub fn only(closing: &Closing, port: &str, reasons: &[&str]) {
    let others = closing.port(port).drops.keys().filter(|reason| !reasons.contains(&reason.as_str()));
    assert_eq!(others.count(), 0, "{}", closing.stdout);
}

/// A VM that goes on elsewhere is heard there in one VLAN, and followed in the others.
#[test]
fn a_station_that_moved_is_followed_in_all_its_vlans() {
    let folder = TempDir::new().unwrap();
    let trunk = "mode = \"trunk\", allowed = [1, 7], native = 1";
    let text = config(folder.path(), 3, "server").replace("mode = \"access\", vid = 1", trunk);
    let switch = Switch::start(&text);
    let station = [2, 0, 0, 0, 9, 77];
    let mut old = Vm::connect(&socket(folder.path(), 1), 1);
    let mut peer = Vm::connect(&socket(folder.path(), 2), 2);
    let mut new = Vm::connect(&socket(folder.path(), 3), 3);
    introduce(&mut [&mut old, &mut peer, &mut new]);
    for tags in ["-", "C7.0"] {
        old.send_on(0, peer.mac, station, tags, 0, 1, &[64]);
    }
    wait("the station to be heard in both VLANs", || {
        (peer.received(station, peer.mac, 0).count == 2).then_some(())
    });
    let log = switch.stderr.count();
    old.crash();
    switch.await_link(log, "vm1", false);
    new.send_on(0, peer.mac, station, "-", 1, 1, &[64]);
    let mut number = 10;
    wait("frames in the other VLAN to follow", || {
        peer.send(station, "C7.0", number, 1);
        number += 1;
        (new.received(peer.mac, station, 0).count > 0).then_some(())
    });
    switch.stop();
}

#[test]
fn a_switch_that_connects_finds_its_vms_before_and_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path(), 2, "client");
    let first = Vm::listen(&socket(folder.path(), 1), 1);
    let switch = Switch::start(&config);
    // One VM was there before the switch, the other comes after.
    let mut first = first.attached();
    let mut second = Vm::listen(&socket(folder.path(), 2), 2).attached();
    introduce(&mut [&mut first, &mut second]);
    reach(&mut first, &mut second);
    switch.stop();

    let switch = Switch::start(&config);
    switch.await_link(0, "vm1", true);
    switch.await_link(0, "vm2", true);
    reach(&mut first, &mut second);
    reach(&mut second, &mut first);
    switch.stop();
    first.shut_down();
    second.shut_down();
}

#[test]
fn sockets_are_there_while_the_switch_is() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 2, "server"));
    assert!(socket(folder.path(), 1).exists() && socket(folder.path(), 2).exists());
    switch.stop();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
