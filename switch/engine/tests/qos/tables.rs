//! Which class, colour and tag frames get, and what policers do.

use pollux_engine::Reason;
use pollux_engine::qos::{Action, EgressSpec, IngressSpec, PolicerSpec, Remark, RuleSpec};
use pollux_net::{
    Colour, Dscp, FlowMatch, Mac, MeterAlgorithm, MeterSpec, PcpCoding, PortVlan, RateUnit, TrafficClass,
    Trust,
};

use crate::rig::*;

#[test]
fn every_pcp_and_dei_in_every_dress_has_the_standards_class() {
    // Table 8-5 by the number of classes, for priorities 0 to 7.
    let table: [[u8; 8]; 8] = [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 1, 1],
        [0, 0, 0, 0, 1, 1, 2, 2],
        [0, 0, 1, 1, 2, 2, 3, 3],
        [0, 0, 1, 1, 2, 2, 3, 4],
        [1, 0, 2, 2, 3, 3, 4, 5],
        [1, 0, 2, 3, 4, 4, 5, 6],
        [1, 0, 2, 3, 4, 5, 6, 7],
    ];
    for (classes, row) in (1..=8).zip(table) {
        for trust in [Trust::Pcp, Trust::Dscp, Trust::Port] {
            for default in [0, 5] {
                let vlan = PortVlan { trust, default_pcp: pcp(default), ..trunk() };
                let mut spec = ingress(classes);
                if trust == Trust::Dscp {
                    spec.dscp_to_class = Some([class(0); 64]);
                }
                let mut rig = Rig::new(&[vlan, trunk()], 1)
                    .with_ingress(0, &spec, vec![], &[])
                    .with_egress(1, &egress(classes));
                let untagged = one(&mut rig, frame(None, &OTHER));
                let expected_tag = (default != 0).then_some((default, false, 0));
                assert_eq!((untagged.0, tag(&untagged.1)), (row[usize::from(default)], expected_tag));
                for value in 0..8 {
                    for dei in [false, true] {
                        for vid in [0, 1, 7] {
                            let tci = u16::from(value) << 13 | u16::from(dei) << 12 | vid;
                            let (got, octets) = one(&mut rig, frame(Some(tci), &OTHER));
                            // Without IP a DSCP can't be trusted: the tag is.
                            let (value, dei) =
                                if trust == Trust::Port { (default, false) } else { (value, dei) };
                            assert_eq!(
                                got,
                                row[usize::from(value)],
                                "{classes} classes, {trust:?}, PCP {value}"
                            );
                            let vid = if vid == 7 { 7 } else { 0 };
                            let plain = vid == 0 && value == 0 && !dei;
                            assert_eq!(tag(&octets), (!plain).then_some((value, dei, vid)));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_dscp_has_its_class_colour_and_tag() {
    let vlan = PortVlan { trust: Trust::Dscp, ..trunk() };
    let mut spec = ingress(8);
    spec.dscp_to_class = Some(std::array::from_fn(|value| {
        spec.priority_to_class[usize::from(Dscp::new(value as u8).unwrap().priority().value())]
    }));
    let mut rig =
        Rig::new(&[vlan, trunk()], 1).with_ingress(0, &spec, vec![], &[]).with_egress(1, &egress(8));
    for value in 0..64_u8 {
        let dscp = Dscp::new(value).unwrap();
        // Class selectors, but for lower effort, which is below best effort.
        let priority = if value == 1 { 1 } else { value / 8 };
        let dei = dscp.drop_precedence() > Colour::Green;
        for tci in [None, Some(0x2007)] {
            let (got, octets) = one(&mut rig, frame(tci, &ipv4(value)));
            assert_eq!(got, TrafficClass::recommended(pcp(priority), 8).value(), "DSCP {value}");
            let vid = if tci.is_some() { 7 } else { 0 };
            let plain = vid == 0 && priority == 0 && !dei;
            assert_eq!(tag(&octets), (!plain).then_some((priority, dei, vid)), "DSCP {value}");
            let packet = if plain { &octets[12..] } else { &octets[16..] };
            assert_eq!(packet, ipv4(value), "the packet is as it was");
        }
    }
}

#[test]
fn regeneration_and_codings_change_priorities_where_they_should() {
    let mut spec = ingress(8);
    spec.coding = PcpCoding::P5D3;
    spec.regeneration = [7, 6, 5, 4, 3, 2, 1, 0].map(pcp);
    let mut rig = Rig::new(&[trunk(), trunk()], 1)
        .with_ingress(0, &spec, vec![], &[])
        .with_egress(1, &EgressSpec { coding: PcpCoding::P7D1, ..egress(8) });
    // PCP 3 is priority 2, which becomes 5, which 7P1D tells as 5, or as 4 if it may be dropped.
    let (got, octets) = one(&mut rig, frame(Some(0x6007), &OTHER));
    assert_eq!((got, tag(&octets)), (5, Some((5, false, 7))));
    let (got, octets) = one(&mut rig, frame(Some(0x4007), &OTHER));
    assert_eq!((got, tag(&octets)), (5, Some((4, true, 7))));
}

#[test]
fn a_default_priority_is_not_decoded() {
    for coding in PcpCoding::ALL {
        for default in 0..8 {
            let vlan = PortVlan { default_pcp: pcp(default), ..trunk() };
            let spec = IngressSpec { coding, ..ingress(8) };
            let mut rig =
                Rig::new(&[vlan, trunk()], 1).with_ingress(0, &spec, vec![], &[]).with_egress(1, &egress(8));
            let (got, octets) = one(&mut rig, frame(None, &OTHER));
            assert_eq!(got, ingress(8).priority_to_class[usize::from(default)].value());
            assert_eq!(tag(&octets), (default != 0).then_some((default, false, 0)), "{coding:?}");
        }
    }
}

#[test]
fn a_class_of_the_egress_port_is_its_own() {
    // By priority: the egress port's map counts. By a rule: the class goes along.
    let mut spec = egress(8);
    spec.priority_to_class = [3; 8].map(class);
    let mut rules = ingress(8);
    rules.rules = vec![RuleSpec { class: Some(class(6)), policer: None }];
    let ip = FlowMatch { ethertype: Some(0x0800), ..FlowMatch::default() };
    let mut rig =
        Rig::new(&[trunk(), trunk()], 1).with_ingress(0, &rules, vec![ip], &[]).with_egress(1, &spec);
    assert_eq!(one(&mut rig, frame(Some(0xe007), &OTHER)).0, 3);
    assert_eq!(one(&mut rig, frame(Some(0xe007), &ipv4(0))).0, 6);
}

#[test]
fn classes_are_written_into_tags_where_a_map_says_so() {
    let spec = EgressSpec { class_to_priority: Some([0, 0, 1, 1, 2, 2, 3, 3].map(pcp)), ..egress(8) };
    let mut rig = Rig::new(&[trunk(), trunk()], 1).with_egress(1, &spec);
    for (value, expected) in [(0, 0), (1, 0), (2, 1), (5, 2), (7, 3)] {
        for dei in [false, true] {
            let (_, octets) = one(&mut rig, frame(Some(value << 13 | u16::from(dei) << 12 | 9), &OTHER));
            assert_eq!(tag(&octets), Some((expected, dei, 9)), "PCP {value}");
        }
    }
}

#[test]
fn a_port_with_fewer_classes_maps_by_what_stands_for_a_class() {
    let mut rig =
        Rig::new(&[trunk(), trunk()], 1).with_ingress(0, &ingress(8), vec![], &[]).with_egress(1, &egress(4));
    let got: Vec<_> = (0..8).map(|value| one(&mut rig, frame(Some(value << 13 | 9), &OTHER)).0).collect();
    assert_eq!(got, [0, 0, 1, 1, 2, 2, 3, 3]);
}

#[test]
fn the_first_rule_that_fits_decides_and_is_counted() {
    let udp_from = |ports| FlowMatch { protocol: Some(17), source_port: Some(ports), ..FlowMatch::default() };
    let mut spec = ingress(8);
    spec.rules = vec![
        RuleSpec { class: Some(class(0)), policer: None },
        RuleSpec { class: Some(class(6)), policer: None },
    ];
    let rules = vec![udp_from(6881..=6889), udp_from(0..=65535)];
    let mut rig =
        Rig::new(&[trunk(), trunk()], 1).with_ingress(0, &spec, rules, &[]).with_egress(1, &egress(8));
    // From port 6881: the lowest class, whose priority is 1; DEI stays as it was.
    let (got, octets) = one(&mut rig, frame(Some(0xf007), &ipv4(0)));
    assert_eq!((got, tag(&octets)), (0, Some((1, true, 7))));
    let mut other = ipv4(0);
    other[22..24].copy_from_slice(&[0, 80]);
    let (got, octets) = one(&mut rig, frame(Some(0x0007), &other));
    assert_eq!((got, tag(&octets)), (6, Some((6, false, 7))));
    let (got, _) = one(&mut rig, frame(Some(0xa007), &OTHER));
    assert_eq!(got, 5, "what fits no rule keeps its class");
}

fn one_rate(cir: u64, cbs: u64, unit: RateUnit) -> MeterSpec {
    MeterSpec { algorithm: MeterAlgorithm::SrTcm { cir, cbs, ebs: cbs }, unit, colour_aware: true }
}

#[test]
fn policers_mark_remark_and_drop() {
    let mut spec = ingress(8);
    let remark = Remark { pcp: Some(pcp(1)), dei: None, dscp: Some(Dscp::new(12).unwrap()) };
    spec.policers = vec![PolicerSpec {
        unit: RateUnit::Octets,
        actions: [Action::Pass, Action::Remark(remark), Action::Drop],
    }];
    spec.port_policer = Some(0);
    let meter = one_rate(1000, 100, RateUnit::Octets);
    let mut rig =
        Rig::new(&[trunk(), trunk()], 1).with_ingress(0, &spec, vec![], &[meter]).with_egress(1, &egress(8));
    let original = frame(Some(0xa007), &ipv4(46));
    assert_eq!(original.len(), 46);
    for _ in 0..6 {
        rig.give(0, 0, original.clone());
    }
    rig.settle();
    let sent: Vec<_> = rig.sent().into_iter().map(|(_, octets)| octets).collect();
    let mut remarked = frame(Some(0x3007), &ipv4(12));
    remarked[14] = 0x30;
    assert_eq!(sent, [original.clone(), original.clone(), remarked.clone(), remarked]);
    assert_eq!(rig.drops(0, Reason::Policed), 2);
    assert!(rig.accounting().balances());
    // A second brings 1000 tokens, of which 200 fit.
    rig.now += HZ;
    rig.give(0, 0, original.clone());
    rig.settle();
    assert_eq!(rig.sent()[0].1, original);
}

#[test]
fn rules_classes_and_ports_police_one_after_the_other() {
    let mut spec = ingress(8);
    let drop_red = |unit| PolicerSpec { unit, actions: [Action::Pass, Action::Drop, Action::Drop] };
    spec.policers =
        vec![drop_red(RateUnit::Frames), drop_red(RateUnit::Frames), drop_red(RateUnit::WireOctets)];
    spec.rules = vec![RuleSpec { class: None, policer: Some(0) }];
    spec.class_policers[5] = Some(1);
    spec.port_policer = Some(2);
    let rules = vec![FlowMatch { ethertype: Some(0x0800), ..FlowMatch::default() }];
    let meters = [
        one_rate(1, 2, RateUnit::Frames),
        one_rate(1, 3, RateUnit::Frames),
        one_rate(1, 7 * (50 + 24), RateUnit::WireOctets),
    ];
    let mut rig =
        Rig::new(&[trunk(), trunk()], 1).with_ingress(0, &spec, rules, &meters).with_egress(1, &egress(8));
    let (ip, other) = (frame(Some(0xa007), &ipv4(0)), frame(Some(0xa007), &OTHER));
    let best_effort = frame(Some(0x0007), &OTHER[..30]);
    for octets in [&ip, &ip, &ip, &other, &other].into_iter().chain(std::iter::repeat_n(&best_effort, 9)) {
        rig.give(0, 0, octets.clone());
    }
    rig.settle();
    let sent: Vec<_> = rig.sent().into_iter().map(|(_, octets)| octets).collect();
    assert_eq!(sent.iter().filter(|octets| **octets == ip).count(), 2, "the rule's");
    assert_eq!(
        sent.iter().filter(|octets| **octets == other).count(),
        1,
        "the class's: three with the rule's two"
    );
    let left = 7 * 74 - 2 * (46 + 24) - (48 + 24);
    assert_eq!(sent.iter().filter(|octets| **octets == best_effort).count(), left / (46 + 24), "the port's");
    assert!(rig.accounting().balances());
}

#[test]
fn destinations_are_learned_whatever_is_policed() {
    let mut spec = ingress(8);
    spec.policers =
        vec![PolicerSpec { unit: RateUnit::Frames, actions: [Action::Pass, Action::Drop, Action::Drop] }];
    spec.port_policer = Some(0);
    let meter = one_rate(1, 1, RateUnit::Frames);
    let mut rig = Rig::new(&[trunk(), trunk(), trunk()], 1).with_ingress(0, &spec, vec![], &[meter]);
    for _ in 0..3 {
        rig.give(0, 0, frame(None, &OTHER));
    }
    rig.settle();
    assert_eq!((rig.sent().len(), rig.drops(0, Reason::Policed)), (2, 2), "one is flooded to two ports");
    let mut back = frame(None, &OTHER);
    back[..6].copy_from_slice(&Mac::new([2, 0, 0, 0, 0, 0xaa]).octets());
    back[11] = 0xcc;
    rig.give(0, 1, back);
    rig.settle();
    assert_eq!(rig.sent().iter().map(|(port, _)| *port).collect::<Vec<_>>(), [port(0)]);
}
