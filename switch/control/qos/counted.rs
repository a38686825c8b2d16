//! What ports' meters, rules and queues have counted, beside what the file says of them.

use std::time::Instant;

use pollux_config::{PolicerAction, QosProfile, Shaper};
use pollux_engine::qos::{ClassCounts, MeterCounts};
use pollux_net::{Colour, MeterAlgorithm, MeterSpec, RateUnit, TrafficClass, Trust};
use serde::Serialize;

use super::spec::{self, PolicerOf};
use super::{PortQos, Settings};

/// Counts as they were a while ago, and rates since.
#[derive(Clone, Default)]
pub(in super::super) struct Measured {
    at: Option<Instant>,
    policers: Vec<MeterCounts>,
    classes: [ClassCounts; TrafficClass::COUNT],
    /// Per second, what each policer let pass: frames, octets.
    passed: Vec<(u64, u64)>,
    /// Octets per second, what came to each class and what left.
    came: [u64; TrafficClass::COUNT],
    left: [u64; TrafficClass::COUNT],
    /// Frames per second that came to each class.
    came_frames: [u64; TrafficClass::COUNT],
}

/// A port's priorities, rates and queues.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PortQosState {
    /// The port.
    pub port: String,
    /// The profile that it names.
    pub profile: Option<String>,
    /// Where it reads priorities: `pcp`, `dscp` or `port`.
    pub trust: &'static str,
    /// The priority of frames that bring none.
    pub default_pcp: u8,
    /// Traffic classes that there are.
    pub traffic_classes: usize,
    /// Policers, in the order of the file.
    pub policers: Vec<PolicerState>,
    /// Rules, in the order of the file.
    pub rules: Vec<RuleState>,
    /// The port's shaper.
    pub shaper: Option<RateState>,
    /// Octets per second that left over the last second.
    pub sent_octets_per_second: u64,
    /// Classes that have queues, the most urgent first.
    pub classes: Vec<ClassState>,
}

/// A rate of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RateState {
    /// Octets per second, or frames.
    pub per_second: u64,
    /// Octets at once, or frames.
    pub burst: u64,
    /// What is counted: `octets`, `wire octets` (with preamble, gap and check sequence) or `frames`.
    pub unit: &'static str,
}

/// One number for each colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Colours {
    /// Green.
    pub green: u64,
    /// Yellow.
    pub yellow: u64,
    /// Red.
    pub red: u64,
}

/// A policer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicerState {
    /// What it is about: `port`, `class N` or `rule NAME`.
    pub of: String,
    /// `srtcm`, `trtcm` or `trtcm-4115`.
    pub algorithm: &'static str,
    /// The committed rate.
    pub committed: RateState,
    /// The peak rate, or the excess one.
    pub other: Option<RateState>,
    /// Frames by the colour that they got.
    pub frames: Colours,
    /// Their octets.
    pub octets: Colours,
    /// Frames that it let pass over the last second.
    pub passed_frames_per_second: u64,
    /// Octets of these.
    pub passed_octets_per_second: u64,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleState {
    /// Its name.
    pub name: String,
    /// Frames that it was the first to fit.
    pub hits: u64,
}

/// A class of a port that sends.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassState {
    /// Its number.
    pub class: u8,
    /// `strict`, or `dwrr` and its weight.
    pub served: String,
    /// What it is guaranteed.
    pub min_rate: Option<RateState>,
    /// What it gets at most.
    pub max_rate: Option<RateState>,
    /// Octets that may wait.
    pub queue_octets: u64,
    /// Frames that wait now.
    pub waiting_frames: u64,
    /// Octets that wait now.
    pub waiting_octets: u64,
    /// The most octets that ever waited.
    pub most_octets: u64,
    /// Frames that had to wait.
    pub queued_frames: u64,
    /// Frames that left.
    pub sent_frames: u64,
    /// Their octets.
    pub sent_octets: u64,
    /// Frames that came over the last second.
    pub rate_in_frames: u64,
    /// Octets per second that came over the last second.
    pub rate_in_octets: u64,
    /// Octets per second that left over the last second.
    pub rate_out_octets: u64,
    /// Frames dropped, by reason.
    pub drops: ClassDrops,
    /// How long frames waited that had to: half of them at most so many microseconds.
    pub sojourn_median_us: f64,
    /// 99 of 100 of them.
    pub sojourn_p99_us: f64,
    /// The longest.
    pub sojourn_max_us: f64,
}

/// Frames that a class has dropped, by the names that the port counts them under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassDrops {
    /// The queue was full.
    pub queue_full: u64,
    /// Early, by colour and average.
    pub wred: u64,
    /// The device has no buffer as long.
    pub tx_full: u64,
    /// The link was lost meanwhile.
    pub port_down: u64,
}

const fn unit(unit: RateUnit) -> &'static str {
    match unit {
        RateUnit::Octets => "octets",
        RateUnit::WireOctets => "wire octets",
        RateUnit::Frames => "frames",
    }
}

fn rate(shaper: Shaper) -> RateState {
    RateState { per_second: shaper.octets_per_second, burst: shaper.burst.get(), unit: unit(shaper.unit) }
}

fn algorithm(spec: &MeterSpec) -> (&'static str, RateState, Option<RateState>) {
    let rate = |(per_second, burst)| RateState { per_second, burst, unit: unit(spec.unit) };
    let (name, committed, other) = match spec.algorithm {
        MeterAlgorithm::SrTcm { cir, cbs, ebs } => ("srtcm", (cir, cbs), (ebs > 0).then_some((cir, ebs))),
        MeterAlgorithm::TrTcm { cir, cbs, pir, pbs } => ("trtcm", (cir, cbs), Some((pir, pbs))),
        MeterAlgorithm::TrTcm4115 { cir, cbs, eir, ebs } => ("trtcm-4115", (cir, cbs), Some((eir, ebs))),
    };
    (name, rate(committed), other.map(rate))
}

fn colours(counts: [u64; Colour::COUNT]) -> Colours {
    let [green, yellow, red] = counts;
    Colours { green, yellow, red }
}

impl PortQos {
    /// Looks at the counters again, and at what came since the last time.
    pub(in super::super) fn measure(&mut self, now: Instant) {
        let policers = self.ingress.as_ref().map(|ingress| ingress.counts()).unwrap_or_default();
        let classes = self.queues().map(|queues| queues.counts()).unwrap_or_default();
        let before = &self.measured;
        let seconds = before.at.map_or(0.0, |at| now.duration_since(at).as_secs_f64());
        let rate = |more: u64| if seconds > 0.0 { (more as f64 / seconds).round() as u64 } else { 0 };
        let actions: Vec<_> = match &self.settings.profile {
            Some(profile) => spec::policers(profile).map(|(_, policer)| policer.actions).collect(),
            None => Vec::new(),
        };
        let passed = policers.iter().zip(actions).enumerate().map(|(place, (counts, actions))| {
            let before = before.policers.get(place).copied().unwrap_or_default();
            let passed = |of: [u64; Colour::COUNT]| -> u64 {
                of.iter()
                    .zip(actions)
                    .filter(|(_, action)| *action != PolicerAction::Drop)
                    .map(|(n, _)| n)
                    .sum()
            };
            let frames = passed(counts.frames).saturating_sub(passed(before.frames));
            (rate(frames), rate(passed(counts.octets).saturating_sub(passed(before.octets))))
        });
        let passed = passed.collect();
        let left_of =
            |class: usize| classes[class].sent_octets.saturating_sub(before.classes[class].sent_octets);
        let came = |counts: &ClassCounts| {
            let frames = counts.sent_frames + counts.dropped() + counts.waiting_frames;
            (frames, counts.sent_octets + counts.dropped_octets + counts.waiting_octets)
        };
        let came_of = |class: usize| {
            let (now, then) = (came(&classes[class]), came(&before.classes[class]));
            (now.0.saturating_sub(then.0), now.1.saturating_sub(then.1))
        };
        self.measured = Measured {
            at: Some(now),
            passed,
            came: std::array::from_fn(|class| rate(came_of(class).1)),
            came_frames: std::array::from_fn(|class| rate(came_of(class).0)),
            left: std::array::from_fn(|class| rate(left_of(class))),
            policers,
            classes,
        };
    }
}

/// What a port named so does about priorities, and has counted; `hz`: cycles in a second.
pub(in super::super) fn state(name: &str, qos: &PortQos, hz: u64) -> PortQosState {
    let Settings { trust, default_pcp, profile, .. } = &qos.settings;
    let plain = QosProfile::plain("", TrafficClass::COUNT);
    let named = profile.as_ref().map(|profile| profile.name.clone());
    let profile = profile.as_ref().unwrap_or(&plain);
    let counts = qos.ingress.as_ref().map(|ingress| ingress.counts()).unwrap_or_default();
    let hits = qos.ingress.as_ref().map(|ingress| ingress.hits()).unwrap_or_default();
    let policers = spec::policers(profile).zip(counts).enumerate().map(|(place, ((of, policer), counts))| {
        let (algorithm, committed, other) = algorithm(&policer.meter);
        let (frames, octets) = qos.measured.passed.get(place).copied().unwrap_or_default();
        PolicerState {
            of: match of {
                PolicerOf::Port => "port".to_owned(),
                PolicerOf::Class(class) => format!("class {class}"),
                PolicerOf::Rule(_, name) => format!("rule {name}"),
            },
            algorithm,
            committed,
            other,
            frames: colours(counts.frames),
            octets: colours(counts.octets),
            passed_frames_per_second: frames,
            passed_octets_per_second: octets,
        }
    });
    let rules =
        profile.rules.iter().zip(hits).map(|(rule, hits)| RuleState { name: rule.name.clone(), hits });
    let classes = qos.queues().map(|queues| {
        let counts = queues.counts();
        let there = TrafficClass::descending().filter(|class| class.index() < profile.traffic_classes);
        there.map(|number| class(number, profile, &counts[number.index()], &qos.measured, hz)).collect()
    });
    PortQosState {
        port: name.to_owned(),
        profile: named,
        trust: match trust {
            Trust::Pcp => "pcp",
            Trust::Dscp => "dscp",
            Trust::Port => "port",
        },
        default_pcp: default_pcp.value(),
        traffic_classes: profile.traffic_classes,
        policers: policers.collect(),
        rules: rules.collect(),
        shaper: profile.egress_rate.map(rate),
        sent_octets_per_second: qos.measured.left.iter().sum(),
        classes: classes.unwrap_or_default(),
    }
}

fn class(
    number: TrafficClass,
    profile: &QosProfile,
    counts: &ClassCounts,
    measured: &Measured,
    hz: u64,
) -> ClassState {
    let settings = &profile.class[number.index()];
    let weight = profile.classes.dwrr.iter().find(|(class, _)| *class == number);
    let microseconds = |cycles: u64| cycles as f64 * 1e6 / hz as f64;
    ClassState {
        class: number.value(),
        served: weight.map_or_else(|| "strict".to_owned(), |(_, weight)| format!("dwrr {weight}")),
        min_rate: settings.min_rate.map(rate),
        max_rate: settings.max_rate.map(rate),
        queue_octets: settings.queue.get(),
        waiting_frames: counts.waiting_frames,
        waiting_octets: counts.waiting_octets,
        most_octets: counts.most_octets,
        queued_frames: counts.queued_frames,
        sent_frames: counts.sent_frames,
        sent_octets: counts.sent_octets,
        rate_in_frames: measured.came_frames[number.index()],
        rate_in_octets: measured.came[number.index()],
        rate_out_octets: measured.left[number.index()],
        drops: ClassDrops {
            queue_full: counts.dropped_full,
            wred: counts.dropped_early,
            tx_full: counts.dropped_unfit,
            port_down: counts.dropped_link,
        },
        sojourn_median_us: microseconds(counts.sojourn.median_cycles),
        sojourn_p99_us: microseconds(counts.sojourn.p99_cycles),
        sojourn_max_us: microseconds(counts.sojourn.max_cycles),
    }
}
