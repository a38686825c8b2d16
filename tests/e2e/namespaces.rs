//! Kernel hosts in namespaces, on veth pairs (af_packet) and taps.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::harness::{Host, Lab, Switch, frame, pcap, wait};

const HEAD: &str = "[switch]\ncores = [0]\nhugepages = false\n";

/// Octets of the TCP transfer.
const TRANSFER: usize = 32 << 20;

/// A port on this interface of the switch's namespace, in this VLAN mode.
pub fn port(interface: &str, mode: &str, keys: &str) -> String {
    format!(
        "[ports.{interface}]\ndevice = \"net_af_packet_{interface},iface={interface}\"\n\
         rx_ring = 256\ntx_ring = 256\nvlan = {{ mode = \"{mode}\", {keys} }}\n"
    )
}

fn config(hosts: &[&Host], vids: &[u8]) -> String {
    let ports = hosts.iter().zip(vids).map(|(host, vid)| port(&host.port, "access", &format!("vid = {vid}")));
    HEAD.to_owned() + &ports.collect::<String>()
}

#[test]
fn two_hosts_ping_and_transfer() {
    let lab = Lab::new();
    let (a, b) = (lab.host(1, 1500), lab.host(2, 1500));
    let switch = Switch::start_in(&lab.switch, &config(&[&a, &b], &[1, 1]));
    a.ping(&b.address(), 56);
    b.ping(&a.address(), 1472);
    transfer(&a, &b);
    let closing = switch.stop();
    assert!(closing.port("p1").rx_bytes > TRANSFER as u64, "{}", closing.stdout);
}

/// af_packet's ring has no room for such frames, and DPDK's tap takes none above 1504: libpcap does.
#[test]
fn frames_of_9000_octets_cross_in_several_segments() {
    let lab = Lab::new();
    let (a, b) = (lab.host(1, 9000), lab.host(2, 9000));
    let ports = [&a, &b].map(|host| {
        let port = &host.port;
        format!("[ports.{port}]\ndevice = \"net_pcap_{port},iface={port}\"\nrx_ring = 256\ntx_ring = 256\nmtu = 9000\n")
    });
    let switch = Switch::start_in(&lab.switch, &format!("{HEAD}{}", ports.concat()));
    a.ping(&b.address(), 1472);
    a.ping(&b.address(), 8972);
    b.ping(&a.address(), 8972);
    transfer(&a, &b);
    let closing = switch.stop();
    // Payloads of 8948 octets need no more frames than this.
    let frames = closing.port("p1").rx_frames;
    assert!(frames < 3 * (TRANSFER / 8948) as u64, "{frames} frames");
}

#[test]
fn vlans_keep_hosts_apart() {
    let lab = Lab::new();
    let (a, b, c) = (lab.host(1, 1500), lab.host(2, 1500), lab.host(3, 1500));
    let switch = Switch::start_in(&lab.switch, &config(&[&a, &b, &c], &[10, 20, 10]));
    let stranger = b.raw();
    a.ping(&c.address(), 56);
    assert!(!a.reaches(&b.address(), 2), "VLAN 10 reaches VLAN 20");
    let seen = stranger.drain(Duration::from_millis(200));
    let from = |host: &Host| seen.iter().filter(|octets| octets[6..12] == host.mac()).count();
    assert_eq!((from(&a), from(&c)), (0, 0), "a host of VLAN 20 sees frames of VLAN 10");
    let closing = switch.stop();
    assert_eq!(closing.port("p2").tx_frames, 0);
}

/// The kernel keeps a received frame's tag beside the frame, and the driver must put it back.
#[test]
fn tags_survive_the_kernel() {
    const TAGS: [&str; 6] = ["C10.0", "C10.5d", "C20.7", "C10.3/C7.2", "C20.1/S7.6", "C10.4/C0.5"];
    let lab = Lab::new();
    let trunk = lab.host(1, 1500);
    let folder = tempfile::TempDir::new().unwrap();
    let (nothing, sent) = (folder.path().join("in"), folder.path().join("out"));
    pcap::write(&nothing, &[]);
    let config = format!(
        "{HEAD}{}[ports.file]\ndevice = \"{}\"\nrx_ring = 256\ntx_ring = 256\nvlan = {{ mode = \"trunk\", allowed = [10, 20] }}\n",
        port(&trunk.port, "trunk", "allowed = [10, 20]"),
        pcap::device(0, &[(&nothing, &sent)]),
    );
    let switch = Switch::start_in(&lab.switch, &config);
    let raw = trunk.raw();
    for (number, tags) in TAGS.into_iter().enumerate() {
        raw.send(&frame::build(frame::BROADCAST, trunk.mac(), tags, number as u32, 200));
    }
    switch.await_received(TAGS.len() as u64);
    switch.stop();
    let sent: Vec<_> = pcap::read(&sent).iter().map(|octets| frame::notation(octets)).collect();
    assert_eq!(sent, TAGS);
}

/// Tags from one switch's trunk to another's, both through the kernel.
#[test]
fn two_switches_are_joined_by_a_trunk() {
    let (left, right) = (Lab::new(), Lab::new());
    let (a, b) = (left.host(1, 1500), right.host(2, 1500));
    let (c, d) = (left.host(3, 1500), right.host(4, 1500));
    left.join(&right, "trunk", 1500);
    let switch = |lab: &Lab, hosts: [&Host; 2]| {
        let trunk = port("trunk", "trunk", "allowed = [10, 20]");
        Switch::start_in(&lab.switch, &(config(&hosts, &[10, 20]) + &trunk))
    };
    let switches = [switch(&left, [&a, &c]), switch(&right, [&b, &d])];
    a.ping(&b.address(), 56);
    b.ping(&a.address(), 1472);
    c.ping(&d.address(), 1472);
    assert!(!a.reaches(&d.address(), 2) && !c.reaches(&a.address(), 2));
    for switch in switches {
        switch.stop();
    }
}

#[test]
fn known_unicast_reaches_nobody_else() {
    let lab = Lab::new();
    let (a, b, c) = (lab.host(1, 1500), lab.host(2, 1500), lab.host(3, 1500));
    let switch = Switch::start_in(&lab.switch, &config(&[&a, &b, &c], &[1, 1, 1]));
    a.ping(&b.address(), 56);
    let third = c.raw();
    third.drain(Duration::from_millis(100));
    transfer(&a, &b);
    let between = |octets: &[u8]| {
        let pair = [a.mac(), b.mac()];
        pair.iter().any(|mac| octets[..6] == *mac) && pair.iter().any(|mac| octets[6..12] == *mac)
    };
    let seen = third.drain(Duration::from_millis(200));
    let leaked = seen.iter().filter(|octets| between(octets)).count();
    assert_eq!(leaked, 0, "the third host saw {leaked} frames of the others");
    switch.stop();
}

#[test]
fn a_station_that_moves_is_followed_by_its_frames() {
    let lab = Lab::new();
    let hosts = [1, 2, 3].map(|number| lab.host(number, 1500));
    let switch = Switch::start_in(&lab.switch, &config(&hosts.each_ref(), &[1, 1, 1]));
    let [first, second, talker] = hosts.each_ref().map(|host| host.raw());
    let (roamer, talkers) = ([2, 0, 0, 0, 1, 1], hosts[2].mac());
    let is = |wanted: u32| move |octets: &[u8]| frame::number(octets) == Some(wanted);

    for (number, (here, there)) in
        [(&first, &second), (&second, &first), (&first, &second)].into_iter().enumerate()
    {
        let number = 10 * number as u32;
        here.send(&frame::build(frame::BROADCAST, roamer, "-", number, 60));
        talker.receive_until("the station's broadcast", is(number));
        talker.send(&frame::build(roamer, talkers, "-", number + 1, 60));
        here.receive_until("a frame for the station", is(number + 1));
        let elsewhere = there.drain(Duration::from_millis(100));
        assert!(!elsewhere.iter().any(|octets| is(number + 1)(octets)), "a frame followed the station late");
    }
    switch.stop();
}

#[test]
fn frames_for_a_port_without_a_link_are_named() {
    let lab = Lab::new();
    let (a, b) = (lab.host(1, 1500), lab.host(2, 1500));
    let tap = "[ports.tap0]\ndevice = \"net_tap0,iface=tap0\"\nrx_ring = 256\ntx_ring = 256\n";
    let switch = Switch::start_in(&lab.switch, &(config(&[&a, &b], &[1, 1]) + tap));
    let behind_tap = crate::harness::RawSocket::open(&lab.switch, "tap0");
    let (here, bystander) = (a.raw(), b.raw());
    let station = [2, 0, 0, 0, 1, 1];
    behind_tap.send(&frame::build(frame::BROADCAST, station, "-", 0, 60));
    here.receive_until("the broadcast", |octets| frame::number(octets) == Some(0));

    let log = switch.stderr.count();
    lab.switch.ip(&["link", "set", "tap0", "down"]);
    let log = switch.await_link(log, "tap0", false);
    let mut numbers = 1..;
    let mut send = || {
        let number = numbers.next().unwrap();
        here.send(&frame::build(station, a.mac(), "-", number, 60));
        number
    };
    // A worker that the kernel has set aside in the midst of a round ends it with the link as it was.
    wait("the workers to see the link", || {
        send();
        switch.counters().get("p1").filter(|port| port.dropped > 0).map(drop)
    });
    for _ in 0..7 {
        send();
    }
    // A flood still goes to those who have a link.
    here.send(&frame::build(frame::BROADCAST, a.mac(), "-", 0xf100d, 60));
    bystander.receive_until("the flood", |octets| frame::number(octets) == Some(0xf100d));
    lab.switch.ip(&["link", "set", "tap0", "up"]);
    switch.await_link(log, "tap0", true);
    wait("a frame to cross again", || {
        let number = send();
        behind_tap
            .drain(Duration::from_millis(20))
            .iter()
            .find(|octets| frame::number(octets) == Some(number))
            .map(drop)
    });
    let closing = switch.stop();
    let named = closing.drops("p1", "port_down");
    assert!(named >= 8, "{}", closing.stdout);
    let reasons: Vec<_> = closing.ports.values().flat_map(|port| port.drops.keys()).collect();
    assert!(
        reasons.iter().all(|reason| ["port_down", "tx_full"].contains(&reason.as_str())),
        "{}",
        closing.stdout
    );
}

/// Sends octets that nobody could guess from one host to another, and checks that all arrive.
fn transfer(from: &Host, to: &Host) {
    let address: SocketAddr = format!("{}:7777", to.address()).parse().unwrap();
    let listener = to.namespace.inside(|| TcpListener::bind(address)).unwrap();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut stream = from.namespace.inside(|| TcpStream::connect(address)).unwrap();
            let octets: Vec<u8> = noise().take(TRANSFER).collect();
            stream.write_all(&octets).unwrap();
        });
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        sender.join().unwrap();
        assert_eq!(got.len(), TRANSFER);
        assert!(got.into_iter().eq(noise().take(TRANSFER)), "the octets changed on their way");
    });
}

/// A fixed sequence without short repetitions (xorshift64).
fn noise() -> impl Iterator<Item = u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}
