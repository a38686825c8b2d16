//! Vectors worked out by hand.

use pollux_net::{Mac, Pcp, PortId, PortVlan, PriorityTags, Tpid, Trust, Vid, VlanMode};

use crate::{Accounts, Model, ModelMirror, ModelMirrorFrom, ModelMirrorTo, ModelPort, Outcome, Reason};

const A: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0a];
const B: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0b];
const ALL: [u8; 6] = [0xff; 6];

fn id(number: usize) -> PortId {
    PortId::new(number).unwrap()
}

fn vid(number: u16) -> Vid {
    Vid::new(number).unwrap()
}

fn port(mode: VlanMode) -> ModelPort {
    ModelPort { vlan: PortVlan { mode, ..PortVlan::default() }, mtu: 1500, profile: None, up: true }
}

fn access(number: u16) -> ModelPort {
    port(VlanMode::Access { vid: vid(number) })
}

fn trunk(allowed: &[u16], native: Option<u16>, native_tagged: bool) -> ModelPort {
    port(VlanMode::Trunk {
        allowed: allowed.iter().copied().collect(),
        native: native.map(vid),
        native_tagged,
    })
}

fn tunnel(number: u16, allowed: Option<&[u16]>, tpid: Tpid) -> ModelPort {
    port(VlanMode::Dot1qTunnel {
        vid: vid(number),
        allowed: allowed.map(|vids| vids.iter().copied().collect()),
        tpid,
    })
}

fn with_priority_tags(mut port: ModelPort, when: PriorityTags) -> ModelPort {
    port.vlan.priority_tags = when;
    port
}

/// Destination, source, and what follows in hexadecimal.
fn frame(to: [u8; 6], from: [u8; 6], rest: &str) -> Vec<u8> {
    let mut bytes = [to, from].concat();
    let digits: Vec<u8> = rest.bytes().filter(|b| *b != b' ').collect();
    for pair in digits.chunks(2) {
        bytes.push(u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    }
    bytes
}

fn switch(ports: Vec<ModelPort>) -> Model {
    Model::new(ports, 300, 100, Vec::new())
}

/// What becomes of one frame that enters by port 0 of a new switch.
fn one(ports: Vec<ModelPort>, bytes: Vec<u8>) -> Outcome {
    feed(&mut switch(ports), 0, &bytes, 0)
}

/// What becomes of one frame.
fn feed(model: &mut Model, port: usize, bytes: &[u8], now: u32) -> Outcome {
    let mut outcomes = model.burst(id(port), &[bytes.to_vec()], now);
    assert_eq!(outcomes.len(), 1);
    assert!(Accounts::of(&outcomes).balance());
    outcomes.remove(0)
}

fn sent(copies: Vec<(usize, Vec<u8>)>) -> Outcome {
    let sent = copies.into_iter().map(|(port, bytes)| (id(port), bytes)).collect();
    Outcome { sent, ..Outcome::default() }
}

fn dropped(port: usize, reason: Reason) -> Outcome {
    Outcome::dropped(id(port), reason)
}

#[test]
fn floods_then_knows() {
    let mut model = switch(vec![access(1), access(1), access(1), access(2)]);
    let ask = frame(B, A, "0806 01");
    let answer = frame(A, B, "0806 02");
    assert_eq!(feed(&mut model, 0, &ask, 0), sent(vec![(1, ask.clone()), (2, ask.clone())]));
    assert_eq!(feed(&mut model, 1, &answer, 1), sent(vec![(0, answer)]));
    assert_eq!(feed(&mut model, 0, &ask, 2), sent(vec![(1, ask)]));
}

#[test]
fn entries_age_and_move() {
    let mut model = switch(vec![access(1), access(1), access(1)]);
    let hello = frame(ALL, A, "0800");
    let to_a = frame(A, B, "0800");
    feed(&mut model, 0, &hello, 0);
    assert_eq!(feed(&mut model, 2, &to_a, 299), sent(vec![(0, to_a.clone())]));
    let flooded = sent(vec![(0, to_a.clone()), (1, to_a.clone())]);
    assert_eq!(feed(&mut model, 2, &to_a, 300), flooded);
    feed(&mut model, 1, &hello, 300);
    assert_eq!(feed(&mut model, 2, &to_a, 301), sent(vec![(1, to_a)]));
}

#[test]
fn a_batch_is_learned_before_it_is_looked_up() {
    let mut model = switch(vec![access(1), access(1)]);
    let outcomes = model.burst(id(0), &[frame(B, A, "0800"), frame(ALL, B, "0800")], 0);
    let expected = [dropped(0, Reason::SamePort), sent(vec![(1, frame(ALL, B, "0800"))])];
    assert_eq!(outcomes, expected);
}

#[test]
fn static_entries_stay() {
    let fixed = vec![(vid(1), Mac::new(A), id(1)), (vid(2), Mac::new(A), id(1))];
    let ports = vec![access(1), access(1), access(1), access(2)];
    let mut model = Model::new(ports, 300, 100, fixed);
    let to_a = frame(A, B, "0800");
    feed(&mut model, 2, &frame(ALL, A, "0800"), 0);
    assert_eq!(feed(&mut model, 0, &to_a, 10_000), sent(vec![(1, to_a.clone())]));
    assert_eq!(feed(&mut model, 3, &to_a, 0), dropped(3, Reason::EgressNotMember));
    let down = ModelPort { up: false, ..access(1) };
    model.set_port(id(1), down);
    assert_eq!(feed(&mut model, 0, &to_a, 0), dropped(0, Reason::PortDown));
}

#[test]
fn bad_frames_are_named_and_teach_nothing() {
    let fat = |len: usize| {
        let mut bytes = frame(B, A, "0800");
        bytes.resize(len, 0);
        bytes
    };
    let vectors = [
        (fat(13), Reason::Runt),
        (frame(B, A, "8100 000a 08"), Reason::Runt),
        (fat(1500 + 23), Reason::Oversize),
        (frame(B, ALL, "0800"), Reason::SourceMulticast),
        (frame(B, [0; 6], "0800"), Reason::SourceZero),
        (frame([1, 0x80, 0xc2, 0, 0, 0x0f], A, "8100 000a 0800"), Reason::BridgeReserved),
        (frame(B, A, "8100 000a 0800"), Reason::TaggedOnAccess),
        (frame(B, A, "88a8 7fff 0800"), Reason::ReservedVid),
    ];
    for (bytes, reason) in vectors {
        let mut model = switch(vec![access(10), access(10)]);
        assert_eq!(feed(&mut model, 0, &bytes, 0), dropped(0, reason));
        let to_a = frame(A, B, "0800");
        assert_eq!(feed(&mut model, 1, &to_a, 0), sent(vec![(0, to_a)]));
    }
    assert_eq!(one(vec![access(1), access(1)], fat(1522)), sent(vec![(1, fat(1522))]));
    let forwarded = frame([1, 0x80, 0xc2, 0, 0, 0x10], A, "0800");
    assert_eq!(one(vec![access(1), access(1)], forwarded.clone()), sent(vec![(1, forwarded)]));
}

#[test]
fn access_takes_and_consumes_priority_tags() {
    let ports = vec![
        access(10),
        access(10),
        trunk(&[10], None, false),
        with_priority_tags(access(10), PriorityTags::IfNonzero),
        with_priority_tags(access(10), PriorityTags::Always),
    ];
    let expected = vec![
        (1, frame(B, A, "0800 aa")),
        (2, frame(B, A, "8100 b00a 0800 aa")),
        (3, frame(B, A, "8100 b000 0800 aa")),
        (4, frame(B, A, "8100 b000 0800 aa")),
    ];
    assert_eq!(one(ports.clone(), frame(B, A, "8100 b000 0800 aa")), sent(expected));
    let expected = vec![
        (1, frame(B, A, "0800 aa")),
        (2, frame(B, A, "8100 000a 0800 aa")),
        (3, frame(B, A, "0800 aa")),
        (4, frame(B, A, "8100 0000 0800 aa")),
    ];
    assert_eq!(one(ports, frame(B, A, "0800 aa")), sent(expected));
}

#[test]
fn trunks_check_and_keep_tags() {
    let ports = vec![trunk(&[10, 20], None, false), trunk(&[20], None, false), access(20)];
    let tagged = frame(B, A, "88a8 7014 0800 aa");
    let expected = vec![(1, tagged.clone()), (2, frame(B, A, "0800 aa"))];
    assert_eq!(one(ports.clone(), tagged), sent(expected));
    let refused = [
        ("8100 001e 0800", Reason::NotMember),
        ("8100 000a 0800", Reason::NoDestination),
        ("8100 0fff 0800", Reason::ReservedVid),
        ("8100 e000 0800", Reason::UntaggedOnTrunk),
        ("0800", Reason::UntaggedOnTrunk),
    ];
    for (rest, reason) in refused {
        assert_eq!(one(ports.clone(), frame(B, A, rest)), dropped(0, reason), "{rest}");
    }
}

#[test]
fn native_vlans_leave_as_they_are_told() {
    let ports = vec![
        trunk(&[], Some(5), false),
        trunk(&[], Some(5), true),
        trunk(&[7], Some(5), false),
        trunk(&[5], Some(7), false),
    ];
    let expected = vec![
        (1, frame(B, A, "8100 0005 0800")),
        (2, frame(B, A, "0800")),
        (3, frame(B, A, "8100 0005 0800")),
    ];
    assert_eq!(one(ports.clone(), frame(B, A, "0800")), sent(expected.clone()));
    assert_eq!(one(ports, frame(B, A, "8100 0005 0800")), sent(expected));
}

#[test]
fn tunnels_wrap_and_unwrap() {
    let ports = vec![
        tunnel(100, None, Tpid::STag),
        trunk(&[100], None, false),
        tunnel(100, Some(&[10]), Tpid::CTag),
        tunnel(100, Some(&[0, 11]), Tpid::STag),
        with_priority_tags(access(100), PriorityTags::Always),
    ];
    let tagged = frame(B, A, "8100 600a 0800 aa");
    let expected = Outcome {
        sent: vec![
            (id(1), frame(B, A, "88a8 6064 8100 600a 0800 aa")),
            (id(2), tagged.clone()),
            (id(4), tagged.clone()),
        ],
        drops: vec![(id(3), Reason::CustomerVid)],
        ..Outcome::default()
    };
    assert_eq!(one(ports.clone(), tagged), expected);
    let untagged = frame(B, A, "0800 aa");
    let expected = Outcome {
        sent: vec![
            (id(1), frame(B, A, "88a8 0064 0800 aa")),
            (id(3), untagged.clone()),
            (id(4), frame(B, A, "8100 0000 0800 aa")),
        ],
        drops: vec![(id(2), Reason::CustomerVid)],
        ..Outcome::default()
    };
    assert_eq!(one(ports, untagged), expected);
}

#[test]
fn tunnels_admit_their_customers_only() {
    let ports = vec![tunnel(100, Some(&[10]), Tpid::STag), trunk(&[100], None, false)];
    let refused = [
        ("0800", Reason::CustomerVid),
        ("8100 e000 0800", Reason::CustomerVid),
        ("8100 000b 0800", Reason::CustomerVid),
        ("8100 0fff 0800", Reason::ReservedVid),
    ];
    for (rest, reason) in refused {
        assert_eq!(one(ports.clone(), frame(B, A, rest)), dropped(0, reason), "{rest}");
    }
}

#[test]
fn a_service_tag_comes_off_and_its_priority_can_be_kept() {
    let ports = vec![
        trunk(&[100], None, false),
        with_priority_tags(tunnel(100, None, Tpid::STag), PriorityTags::IfNonzero),
    ];
    let expected = sent(vec![(1, frame(B, A, "8100 b000 0800 aa"))]);
    assert_eq!(one(ports.clone(), frame(B, A, "88a8 b064 0800 aa")), expected);
    let expected = sent(vec![(1, frame(B, A, "8100 000a 0800 aa"))]);
    assert_eq!(one(ports, frame(B, A, "88a8 b064 8100 000a 0800 aa")), expected);
}

#[test]
fn priority_is_the_tags_or_the_ports() {
    let mut distrustful = trunk(&[10], Some(10), false);
    distrustful.vlan.trust = Trust::Port;
    distrustful.vlan.default_pcp = Pcp::new(3).unwrap();
    let ports = vec![distrustful, trunk(&[10], None, false)];
    let expected = sent(vec![(1, frame(B, A, "8100 600a 0800"))]);
    assert_eq!(one(ports.clone(), frame(B, A, "8100 f00a 0800")), expected);
    assert_eq!(one(ports, frame(B, A, "0800")), expected);
    let mut customer = tunnel(100, None, Tpid::STag);
    customer.vlan.default_pcp = Pcp::new(3).unwrap();
    let ports = vec![customer, trunk(&[100], None, false)];
    let expected = sent(vec![(1, frame(B, A, "88a8 6064 0800"))]);
    assert_eq!(one(ports, frame(B, A, "0800")), expected);
}

#[test]
fn egress_mtu_counts_what_is_sent() {
    let small = |mtu, mode: &ModelPort| ModelPort { mtu, ..mode.clone() };
    let tagging = trunk(&[1], None, false);
    let ports = vec![access(1), small(100, &access(1)), small(100, &tagging), small(104, &tagging)];
    let mut bytes = frame(B, A, "0800");
    bytes.resize(122, 0xaa);
    let mut tagged = frame(B, A, "8100 0001 0800");
    tagged.resize(126, 0xaa);
    let expected = Outcome {
        sent: vec![(id(1), bytes.clone()), (id(3), tagged)],
        drops: vec![(id(2), Reason::MtuExceeded)],
        ..Outcome::default()
    };
    assert_eq!(one(ports, bytes), expected);
}

#[test]
fn flushing_forgets_what_was_learned() {
    let mut model = switch(vec![access(1), access(1), access(1)]);
    let to_a = frame(A, B, "0800");
    let flooded = sent(vec![(0, to_a.clone()), (1, to_a.clone())]);
    for flush in [|m: &mut Model| m.flush_port(id(0)), |m: &mut Model| m.flush_vlan(vid(1))] {
        feed(&mut model, 0, &frame(ALL, A, "0800"), 0);
        flush(&mut model);
        assert_eq!(feed(&mut model, 2, &to_a, 0), flooded);
    }
}

#[test]
fn mirrors_copy_what_comes_leaves_and_is_dropped() {
    let mirror = |from, to| ModelMirror { from, rx: true, tx: true, to, filter: None, snap_length: None };
    let ports = vec![access(1), access(1), access(1), trunk(&[1, 99], None, false), access(99)];
    let to_all = frame(ALL, A, "0800 aa");
    let to_port = |from| mirror(from, ModelMirrorTo::Port(id(2)));
    let with = |mirror| switch(ports.clone()).with_mirrors(vec![mirror]);
    let mirrored =
        |outcome: &Outcome| outcome.mirrored.iter().map(|(port, _)| port.index()).collect::<Vec<_>>();

    let outcome = feed(&mut with(to_port(ModelMirrorFrom::Ports(vec![id(0), id(3)]))), 0, &to_all, 0);
    let tagged = frame(ALL, A, "8100 0001 0800 aa");
    assert_eq!(
        outcome.sent,
        [(id(1), to_all.clone()), (id(3), tagged.clone())],
        "the mirror's port is in no VLAN"
    );
    assert_eq!(outcome.mirrored, [(id(2), Ok(to_all.clone())), (id(2), Ok(tagged))]);

    let refused = feed(&mut with(to_port(ModelMirrorFrom::Dropped)), 4, &frame(B, A, "8100 0005 0800"), 0);
    assert_eq!((refused.drops.len(), mirrored(&refused)), (1, vec![2]));
    let refused = feed(&mut with(to_port(ModelMirrorFrom::Dropped)), 2, &to_all, 0);
    assert_eq!(refused.drops, [(id(2), Reason::MirrorPort)]);

    let remote = ModelMirrorTo::Vlan(vid(99));
    let outcome = feed(
        &mut with(mirror(ModelMirrorFrom::Vlan(vid(1)), remote)),
        3,
        &frame(ALL, A, "8100 6001 0800"),
        0,
    );
    let outer = frame(ALL, A, "8100 0063 8100 6001 0800");
    assert_eq!(outcome.mirrored[0], (id(3), Ok(outer)), "around what the frame has");
    assert_eq!(
        mirrored(&outcome),
        [3, 4, 3, 4, 3, 4, 3, 4],
        "once as it came, and once for each port that it left by"
    );
    let again = feed(
        &mut with(mirror(ModelMirrorFrom::Ports(vec![id(3)]), remote)),
        3,
        &frame(ALL, A, "8100 0063 0800"),
        0,
    );
    assert_eq!(mirrored(&again), [0_usize; 0], "what a mirror made is not copied again");
}

/// Else two switches that mirror a port into the VLAN of that port send each other copies of copies for ever.
#[test]
fn what_comes_into_a_mirrors_vlan_is_not_copied_whatever_its_tag() {
    let copies = |from: ModelPort, source, rest: &str| {
        let to = ModelMirrorTo::Vlan(vid(99));
        let mirror = ModelMirror { from: source, rx: true, tx: false, to, filter: None, snap_length: None };
        let mut model = switch(vec![from, trunk(&[99], None, false)]).with_mirrors(vec![mirror]);
        feed(&mut model, 0, &frame(ALL, A, rest), 0).mirrored.len()
    };
    let port = || ModelMirrorFrom::Ports(vec![id(0)]);
    for (from, rest) in [
        (access(99), "0800"),
        (access(99), "8100 0000 0800"),
        (access(99), "8100 0005 0800"),
        (access(5), "8100 0063 0800"),
        (trunk(&[5], Some(99), false), "0800"),
        (trunk(&[5], Some(99), false), "8100 6000 0800"),
        (trunk(&[5, 99], Some(5), false), "8100 0063 0800"),
        (tunnel(99, None, Tpid::STag), "8100 0005 0800"),
    ] {
        assert_eq!(copies(from.clone(), port(), rest), 0, "{from:?} {rest}");
        assert_eq!(copies(from.clone(), ModelMirrorFrom::Dropped, rest), 0, "{from:?} {rest}");
    }
    assert_eq!(
        copies(tunnel(5, None, Tpid::STag), port(), "8100 0063 0800"),
        1,
        "a customer's VID is his own"
    );
    let refusing = tunnel(5, Some(&[7]), Tpid::STag);
    assert_eq!(copies(refusing, ModelMirrorFrom::Dropped, "8100 0063 0800"), 1, "and so when it is refused");
    assert_eq!(copies(access(5), port(), "0800"), 1);
    assert_eq!(
        copies(trunk(&[5], Some(99), false), port(), "8100 0005 0800"),
        2,
        "to the native VLAN's port too"
    );
}
