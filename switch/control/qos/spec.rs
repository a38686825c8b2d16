//! From the file's words to the data path's.

use pollux_config::{Policer, PolicerAction, Port, PortKind, QosProfile, Shaper};
use pollux_engine::qos::{
    Action, ClassSpec, EgressSpec, IngressSpec, PolicerSpec, Remark, RuleSpec, Service, ShaperSpec,
    WredCurve, WredSpec,
};
use pollux_net::{MeterSpec, TrafficClass, Trust, WorkerId};

/// Octets of a queue for which there is room for one frame: a queue of smaller frames holds fewer octets, so
/// that queues don't take all mbufs.
const OCTETS_A_FRAME: u64 = 256;

/// Octets that an mbuf of a chain holds.
const OCTETS_AN_MBUF: u64 = super::super::plan::DATA_ROOM as u64;

/// The frames that may wait in each class.
pub(super) fn frames_waiting(profile: &QosProfile) -> [usize; TrafficClass::COUNT] {
    std::array::from_fn(|class| {
        let there = class < profile.traffic_classes;
        if there { (profile.class[class].queue.get() / OCTETS_A_FRAME) as usize } else { 0 }
    })
}

/// Mbufs that wait when all queues of a port are full.
pub(in super::super) fn queue_mbufs(profile: Option<&QosProfile>) -> u32 {
    let Some(profile) = profile else { return 0 };
    let classes = frames_waiting(profile).into_iter().zip(&profile.class);
    // A frame in several mbufs fills all but its last.
    let mbufs = |(frames, class): (usize, &pollux_config::ClassSettings)| match frames {
        0 => 0,
        _ => frames as u64 + class.queue.get() / OCTETS_AN_MBUF,
    };
    u32::try_from(classes.map(mbufs).sum::<u64>()).unwrap_or(u32::MAX)
}

/// Who sends what waits for a port whose first receive queue `poller` polls: that worker, for all. Where all
/// send on the same queue, the others send for themselves as long as nothing waits.
pub(super) fn service(port: &Port, profile: Option<&QosProfile>, poller: usize, workers: usize) -> Service {
    let one_queue = match &port.kind {
        PortKind::VhostUser(vhost) => vhost.queues == 1,
        PortKind::Device(_) => false,
    };
    Service { server: WorkerId(poller as u8), straight: one_queue || workers == 1, ends: profile.is_none() }
}

/// The meters of a profile, in the order in which [`ingress`] numbers them: the port's, the classes', the
/// rules'.
pub(super) fn policers(profile: &QosProfile) -> impl Iterator<Item = (PolicerOf<'_>, &Policer)> {
    let port = profile.ingress_rate.iter().map(|policer| (PolicerOf::Port, policer));
    let classes = TrafficClass::all().zip(&profile.class);
    let classes = classes
        .filter_map(|(class, settings)| Some((PolicerOf::Class(class), settings.ingress_rate.as_ref()?)));
    let rules = profile.rules.iter().enumerate();
    let rules =
        rules.filter_map(|(place, rule)| Some((PolicerOf::Rule(place, &rule.name), rule.policer.as_ref()?)));
    port.chain(classes).chain(rules)
}

/// What a policer is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PolicerOf<'a> {
    Port,
    Class(TrafficClass),
    /// With its place among the rules.
    Rule(usize, &'a str),
}

pub(super) fn meters(profile: &QosProfile) -> Vec<MeterSpec> {
    policers(profile).map(|(_, policer)| policer.meter).collect()
}

/// How a port takes frames; `None` if it keeps what they say, and counts nothing.
pub(super) fn ingress(port: &Port, profile: Option<&QosProfile>) -> Option<IngressSpec> {
    let dscp = port.vlan.trust == Trust::Dscp;
    let regenerates = port.pcp_regeneration.iter().zip(0..).any(|(pcp, value)| pcp.value() != value);
    if profile.is_none() && !dscp && !regenerates {
        return None;
    }
    let plain = QosProfile::plain("", TrafficClass::COUNT);
    let profile = profile.unwrap_or(&plain);
    let number =
        |wanted: PolicerOf<'_>| policers(profile).position(|(of, _)| of == wanted).map(|place| place as u16);
    let rules = profile.rules.iter().enumerate();
    Some(IngressSpec {
        classes: profile.traffic_classes,
        coding: profile.coding,
        regeneration: port.pcp_regeneration,
        priority_to_class: profile.priority_to_class,
        class_to_priority: profile.class_to_priority,
        dscp_to_class: dscp.then_some(profile.dscp_to_class),
        rules: rules
            .map(|(place, rule)| RuleSpec {
                class: rule.class,
                policer: number(PolicerOf::Rule(place, &rule.name)),
            })
            .collect(),
        policers: policers(profile)
            .map(|(_, policer)| PolicerSpec {
                unit: policer.meter.unit,
                actions: policer.actions.map(action),
            })
            .collect(),
        port_policer: number(PolicerOf::Port),
        class_policers: std::array::from_fn(|class| {
            number(PolicerOf::Class(TrafficClass::from_low_bits(class as u8)))
        }),
    })
}

fn action(action: PolicerAction) -> Action {
    match action {
        PolicerAction::Pass => Action::Pass,
        PolicerAction::Drop => Action::Drop,
        PolicerAction::Remark(remark) => {
            Action::Remark(Remark { pcp: remark.pcp, dei: remark.dei, dscp: remark.dscp })
        }
    }
}

/// How a port with this profile sends frames.
pub(super) fn egress(profile: &QosProfile, service: Service) -> EgressSpec {
    let wred = |wred: pollux_config::Wred| WredSpec {
        curves: wred.curves.map(|curve| {
            curve.map(|curve| WredCurve {
                min: curve.min.get(),
                max: curve.max.get(),
                probability: f64::from(curve.probability.per_billion()) / 1e9,
            })
        }),
        weight: wred.weight,
    };
    let frames = frames_waiting(profile);
    EgressSpec {
        classes: profile.traffic_classes,
        coding: profile.coding,
        priority_to_class: profile.priority_to_class,
        class_to_priority: profile.sends_class_priority.then_some(profile.class_to_priority),
        strict: profile.classes.strict.clone(),
        dwrr: profile.classes.dwrr.clone(),
        shaper: profile.egress_rate.map(shaper),
        class: std::array::from_fn(|number| {
            let class = &profile.class[number];
            ClassSpec {
                guarantee: class.min_rate.map(shaper),
                cap: class.max_rate.map(shaper),
                queue_octets: class.queue.get(),
                queue_frames: frames[number],
                wred: class.wred.map(wred),
            }
        }),
        service,
    }
}

fn shaper(shaper: Shaper) -> ShaperSpec {
    ShaperSpec { octets_per_second: shaper.octets_per_second, burst: shaper.burst.get(), unit: shaper.unit }
}
