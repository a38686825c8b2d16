//! Captures and mirrors at ports whose frames may wait.

use std::sync::Arc;

use pollux_engine::Reason;
use pollux_engine::qos::ClassSpec;
use pollux_engine::tap::{Capture, CaptureSpec, Mirror, MirrorCounts, MirrorFrom, MirrorTo, Point, Record};
use pollux_model::PlainFilter;
use pollux_net::{PortId, PortSet, Vid};

use crate::rig::*;

fn capture(room: usize) -> Arc<Capture<PlainFilter>> {
    let spec = CaptureSpec { rx: true, tx: true, drops: true, snap_length: 60 };
    Arc::new(Capture::new(spec, PortSet::ALL, None, 1, room))
}

fn mirror(from: MirrorFrom, to: u8) -> Mirror<PlainFilter> {
    let counts = Arc::new(MirrorCounts::new(1));
    Mirror { from, to: MirrorTo::Port(port(to)), filter: None, snap_length: None, counts }
}

fn sent_by(number: u8) -> MirrorFrom {
    MirrorFrom::Ports { ports: port(number).set(), rx: false, tx: true }
}

/// What a capture has, in order.
fn captured(capture: &Capture<PlainFilter>) -> Vec<Record> {
    let next = || {
        let (worker, record) = capture.oldest()?;
        let mut octets = Vec::new();
        capture.take(worker, &mut octets);
        assert_eq!(octets.len(), record.kept);
        Some(record)
    };
    std::iter::from_fn(next).collect()
}

fn count(records: &[Record], number: u8, point: Point) -> usize {
    records.iter().filter(|record| record.port == port(number) && record.point == point).count()
}

/// Four ports, of which port 1 has four places in the queue of a class.
fn rig(capture: &Arc<Capture<PlainFilter>>, mirrors: Vec<Mirror<PlainFilter>>) -> Rig {
    let mut spec = egress(8);
    spec.class = [ClassSpec { queue_frames: 4, ..spec.class[0] }; 8];
    let mut rig = Rig::new(&[trunk(), trunk(), trunk(), trunk()], 1).with_egress(1, &spec);
    rig.snapshot = rig.snapshot.with_taps(vec![capture.clone()], mirrors);
    rig
}

#[test]
fn frames_are_seen_sent_when_the_device_takes_them_and_once() {
    let capture = capture(1 << 20);
    let copies = mirror(sent_by(1), 2);
    let counts = copies.counts.clone();
    let mut rig = rig(&capture, vec![copies]);
    rig.links = rig.links.without(port(3));
    rig.workers[0].2.room.insert(port(1), 3);
    for n in 0..12 {
        rig.give(0, 0, frame(None, &[n; 100]));
    }
    rig.settle();
    let first = captured(&capture);
    let full = Point::Dropped { reason: Reason::QueueFull, inbound: false };
    assert_eq!((count(&first, 0, Point::Rx), count(&first, 1, Point::Tx)), (12, 3));
    assert_eq!((count(&first, 1, full), rig.drops(1, Reason::QueueFull)), (5, 5));
    assert_eq!((count(&first, 2, Point::Tx), counts.totals().frames), (3, 3));
    assert!(first.iter().all(|record| (record.kept, record.len) == (60, 112)), "{first:?}");

    rig.workers[0].2.room.insert(port(1), 2);
    rig.round(0);
    let then = captured(&capture);
    assert_eq!((count(&then, 1, Point::Tx), count(&then, 2, Point::Tx), then.len()), (2, 2, 4));
    rig.links = rig.links.without(port(1));
    rig.round(0);
    let last = captured(&capture);
    let down = Point::Dropped { reason: Reason::PortDown, inbound: false };
    assert_eq!((count(&last, 1, down), last.len(), rig.drops(1, Reason::PortDown)), (2, 2, 2));
    assert!(rig.accounting().balances());
    let copies: Vec<_> = rig.sent().into_iter().filter(|(to, _)| *to == port(2)).collect();
    assert_eq!(copies.len(), 5);
}

#[test]
fn a_port_without_classes_shows_what_it_takes_and_what_it_refuses() {
    let capture = capture(1 << 20);
    let mut rig = Rig::new(&[trunk(), trunk(), trunk()], 1);
    rig.snapshot = rig.snapshot.with_taps(vec![capture.clone()], vec![mirror(MirrorFrom::Drops, 2)]);
    rig.workers[0].2.room.insert(port(1), 3);
    rig.workers[0].2.longest = Some(1000);
    for n in 0..10 {
        rig.give(0, 0, frame(None, &vec![n; if n % 2 == 0 { 100 } else { 1200 }]));
    }
    rig.settle();
    let seen = captured(&capture);
    let full = Point::Dropped { reason: Reason::TxFull, inbound: false };
    // Of the short ones three are taken, between long ones that stay. Copies of long ones are refused as well,
    // and of those there are no copies.
    assert_eq!((count(&seen, 1, Point::Tx), count(&seen, 1, full)), (3, 7));
    assert_eq!((count(&seen, 2, Point::Tx), count(&seen, 2, full)), (2, 5));
    assert_eq!(rig.drops(1, Reason::TxFull) + rig.drops(2, Reason::TxFull), 12);
    let lens = seen.iter().filter(|record| record.port == port(1) && record.point == Point::Tx);
    assert!(lens.clone().all(|record| record.len == 112));
    assert!(rig.accounting().balances());
}

#[test]
fn copies_that_wait_or_are_dropped_are_not_copied_again() {
    let capture = capture(1 << 20);
    let mirrors = vec![mirror(sent_by(0), 1), mirror(MirrorFrom::Drops, 2)];
    let counts = mirrors[1].counts.clone();
    let mut rig = rig(&capture, mirrors);
    // Copies of what port 0 sends wait at port 1, until there is no room.
    rig.workers[0].2.room.extend([(port(1), 0), (port(0), 8)]);
    for n in 0..10 {
        rig.give(0, 3, frame(None, &[n; 100]));
    }
    rig.settle();
    let seen = captured(&capture);
    let full = |reason| Point::Dropped { reason, inbound: false };
    // Ten came, eight left by port 0; of their copies four wait and four are dropped, and only the two that port 0
    // refused are copied as dropped.
    assert_eq!((count(&seen, 0, Point::Tx), count(&seen, 0, full(Reason::TxFull))), (8, 2));
    assert_eq!((rig.queues[0].waiting(), count(&seen, 1, full(Reason::QueueFull))), (4, 4));
    assert_eq!((counts.totals().frames, count(&seen, 2, Point::Tx)), (2, 2));
    // When they leave after all, that is no frame of a port that is mirrored.
    rig.workers[0].2.room.insert(port(1), 10);
    rig.round(0);
    assert_eq!(count(&captured(&capture), 1, Point::Tx), 4);
    assert!(rig.accounting().balances());
}

/// More frames wait at a port than leave in a round, and copies for a VLAN that it is in come on top.
#[test]
fn frames_that_wait_where_copies_go_are_seen_by_that_ports_mirrors() {
    let received = MirrorFrom::Ports { ports: port(0).set(), rx: true, tx: false };
    let carried = Mirror { to: MirrorTo::Vlan(Vid::new(999).unwrap()), ..mirror(received, 0) };
    let mirrors = vec![carried, mirror(sent_by(1), 2)];
    let counts: Vec<_> = mirrors.iter().map(|mirror| mirror.counts.clone()).collect();
    let mut rig = Rig::new(&[trunk(), trunk(), trunk(), trunk()], 1).with_egress(1, &egress(8));
    rig.snapshot = rig.snapshot.with_taps(Vec::new(), mirrors);
    rig.workers[0].2.room.insert(port(1), 0);
    for n in 0..600 {
        rig.give(0, 3, frame(None, &[n as u8; 100]));
    }
    rig.settle();
    rig.workers[0].2.room.remove(&port(1));
    rig.give(0, 0, frame(None, &[1; 100]));
    while rig.queues[0].waiting() > 0 {
        rig.round(0);
    }
    let sent: Vec<_> = rig.sent().into_iter().filter(|(to, _)| *to == port(1)).collect();
    let copies = sent.iter().filter(|(_, octets)| tag(octets).is_some_and(|(_, _, vid)| vid == 999)).count();
    assert_eq!((sent.len(), copies), (602, 1));
    assert_eq!([0, 1].map(|n: usize| counts[n].totals().frames), [1, 601]);
    assert!(rig.accounting().balances());
}

#[test]
fn what_a_capture_has_no_room_for_is_counted() {
    let capture = capture(1024);
    let mut rig = rig(&capture, Vec::new());
    rig.links = [port(0), port(1)].into_iter().collect();
    for n in 0..40 {
        rig.give(0, 0, frame(Some(7), &[n; 100]));
    }
    rig.settle();
    let kept = captured(&capture).len() as u64;
    let lost: u64 = PortId::all().flat_map(|port| capture.lost(port)).sum();
    let events = rig.accounting();
    assert!(kept > 0 && lost > 0);
    assert_eq!(kept + lost, events.rx + events.tx + events.dropped);
    capture.end();
    rig.give(0, 0, frame(None, &[1; 100]));
    rig.settle();
    assert!(captured(&capture).is_empty(), "one that has ended sees nothing");
}
