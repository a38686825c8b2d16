//! What a port makes of the frames that it receives: their class, colour and tag, and whether they come at
//! a rate that it takes.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pollux_net::{
    Colour, Dscp, FlowRules, Mark, Meter, Pcp, PcpCoding, Priority, RateUnit, Tci, TrafficClass,
};
use spin::Mutex;

use crate::stats::bump;

/// What a policer does with frames of one colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Action {
    /// Nothing.
    #[default]
    Pass,
    /// Changes what they say of their importance.
    Remark(Remark),
    /// Drops them.
    Drop,
}

/// What is written into frames of one colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Remark {
    /// The priority of their tag.
    pub pcp: Option<Pcp>,
    /// The drop eligible indicator of their tag. Otherwise it is set in what isn't green.
    pub dei: Option<bool>,
    /// The DSCP of the IP packet that they carry.
    pub dscp: Option<Dscp>,
}

/// A policer but for its meter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PolicerSpec {
    /// What its meter counts.
    pub unit: RateUnit,
    /// What it does with each [`Colour`].
    pub actions: [Action; Colour::COUNT],
}

/// What a rule does with the frames that fit it first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleSpec {
    /// The class that they are of.
    pub class: Option<TrafficClass>,
    /// The place in [`IngressSpec::policers`] of the policer that they pass.
    pub policer: Option<u16>,
}

/// How a port takes frames, as the control plane describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IngressSpec {
    /// How many classes there are, 1 to 8.
    pub classes: usize,
    /// How tags tell priorities.
    pub coding: PcpCoding,
    /// What each received priority becomes (IEEE 802.1Q-2022 clause 6.9.4, table 6-4).
    pub regeneration: [Pcp; 8],
    /// The class of each priority.
    pub priority_to_class: [TrafficClass; 8],
    /// The priority of a class that something else than a priority decided.
    pub class_to_priority: [Pcp; TrafficClass::COUNT],
    /// The class of each DSCP, if IP packets are trusted to tell theirs.
    pub dscp_to_class: Option<[TrafficClass; Dscp::COUNT]>,
    /// One for each rule of the port's rules, in their order.
    pub rules: Vec<RuleSpec>,
    /// All policers.
    pub policers: Vec<PolicerSpec>,
    /// The policer of all of the port's frames, by its place.
    pub port_policer: Option<u16>,
    /// The policer of each class, by its place.
    pub class_policers: [Option<u16>; TrafficClass::COUNT],
}

/// What a frame becomes that says of itself what an index says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Treatment {
    pub(crate) mark: Mark,
    /// PCP and DEI as bits of a TCI.
    pub(crate) priority: u16,
}

/// A port's way of taking frames. Tables never change; meters and counts are shared by all workers.
#[derive(Debug)]
pub struct IngressQos<R, M> {
    classes: u8,
    /// By the upper four bits of a TCI.
    by_tag: [Treatment; 16],
    /// By the port's default priority, for frames without a tag that counts: nothing is decoded there.
    by_default: [Treatment; 8],
    by_dscp: Option<Box<[Treatment; Dscp::COUNT]>>,
    /// The bits of a TCI that stand for each class.
    class_priorities: [u16; TrafficClass::COUNT],
    rules: Option<R>,
    rule_specs: Box<[RuleSpec]>,
    hits: Box<[AtomicU64]>,
    policing: Option<Policing<M>>,
    /// Whether every priority stays as it is, and nothing else is looked at: what a frame's class is then shows
    /// where it leaves.
    keeps: bool,
}

/// A port's policers.
#[derive(Debug)]
pub(crate) struct Policing<M> {
    pub(crate) port: Option<u16>,
    pub(crate) classes: [Option<u16>; TrafficClass::COUNT],
    pub(crate) policers: Box<[Policer]>,
    /// In the order of `policers`.
    pub(crate) meters: Mutex<Meters<M>>,
}

/// What is known of a policer beside its meter.
#[derive(Debug)]
pub(crate) struct Policer {
    pub(crate) spec: PolicerSpec,
    counts: [ColourCounts; Colour::COUNT],
}

/// Written by whoever holds the meters, read by anybody.
#[derive(Debug, Default)]
struct ColourCounts {
    frames: AtomicU64,
    octets: AtomicU64,
}

/// The meters of one port, and the latest time that they were shown: another worker's clock may be behind.
#[derive(Debug)]
pub(crate) struct Meters<M> {
    meters: Box<[M]>,
    latest: u64,
}

/// Frames and octets that a policer has seen, by [`Colour`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MeterCounts {
    /// Frames.
    pub frames: [u64; Colour::COUNT],
    /// Octets of frames, without check sequences.
    pub octets: [u64; Colour::COUNT],
}

impl Policer {
    #[inline]
    pub(crate) fn count(&self, colour: Colour, frames: u64, octets: u64) {
        let counts = &self.counts[colour as usize];
        bump(&counts.frames, frames);
        bump(&counts.octets, octets);
    }
}

impl<M: Meter> Meters<M> {
    /// The time to meter at, when a worker's clock says `now_cycles`.
    #[inline]
    pub(crate) fn now(&mut self, now_cycles: u64) -> u64 {
        self.latest = self.latest.max(now_cycles);
        self.latest
    }

    #[inline]
    pub(crate) fn colour(&mut self, policer: u16, now: u64, count: u32, colour: Colour) -> Colour {
        self.meters[usize::from(policer)].colour(now, count, colour)
    }
}

fn bits(priority: Priority) -> u16 {
    Tci::priority_tag(priority).bits()
}

impl<R: FlowRules, M: Meter> IngressQos<R, M> {
    /// What `spec` describes, with these rules, and a meter for each of its policers.
    ///
    /// # Panics
    ///
    /// If there are more or fewer meters than policers, or something names a policer that isn't there.
    pub fn new(spec: &IngressSpec, rules: Option<R>, meters: Vec<M>) -> Self {
        assert_eq!(meters.len(), spec.policers.len(), "each policer has its meter");
        let named = spec.class_policers.iter().flatten().chain(&spec.port_policer);
        let named = named.chain(spec.rules.iter().filter_map(|rule| rule.policer.as_ref()));
        assert!(
            named.copied().all(|policer| usize::from(policer) < meters.len()),
            "a policer that isn't there"
        );
        let class_priorities = spec.class_to_priority.map(|pcp| bits(Priority::of(pcp)));
        let treatment = |received: Priority| {
            let pcp = spec.regeneration[usize::from(received.pcp.value())];
            let colour = if received.dei { Colour::Yellow } else { Colour::Green };
            let class = spec.priority_to_class[usize::from(pcp.value())];
            Treatment { mark: Mark::new(class, colour), priority: bits(Priority { pcp, dei: received.dei }) }
        };
        let by_tag = array::from_fn(|index| {
            treatment(spec.coding.decode(Tci::from_bits((index as u16) << 12).priority()))
        });
        let by_default =
            array::from_fn(|value| treatment(Priority::of(Pcp::new(value as u8).unwrap_or_default())));
        let by_dscp = spec.dscp_to_class.map(|classes| {
            Box::new(array::from_fn(|index| {
                let class = classes[index];
                let colour = Dscp::new(index as u8).unwrap_or_default().drop_precedence();
                let dei = Tci::priority_tag(Priority { pcp: Pcp::ZERO, dei: colour > Colour::Green });
                Treatment {
                    mark: Mark::new(class, colour).decided(),
                    priority: class_priorities[class.index()] | dei.bits(),
                }
            }))
        });
        let policing = (!meters.is_empty()).then(|| Policing {
            port: spec.port_policer,
            classes: spec.class_policers,
            policers: spec
                .policers
                .iter()
                .map(|&spec| Policer { spec, counts: Default::default() })
                .collect(),
            meters: Mutex::new(Meters { meters: meters.into_boxed_slice(), latest: 0 }),
        });
        let same = |(index, treatment): (usize, &Treatment)| usize::from(treatment.priority >> 12) == index;
        let keeps_tags = by_tag.iter().enumerate().all(same);
        let defaults = by_default.iter().enumerate().map(|(value, treatment)| (2 * value, treatment));
        let rules = rules.filter(|_| !spec.rules.is_empty());
        let keeps = keeps_tags && defaults.into_iter().all(same);
        Self {
            keeps: keeps && by_dscp.is_none() && rules.is_none() && policing.is_none(),
            classes: spec.classes as u8,
            by_tag,
            by_default,
            by_dscp,
            class_priorities,
            rules,
            hits: spec.rules.iter().map(|_| AtomicU64::new(0)).collect(),
            rule_specs: spec.rules.clone().into_boxed_slice(),
            policing,
        }
    }
}

impl<R, M> IngressQos<R, M> {
    /// Whether frames go on as if the port had no profile.
    pub(crate) fn keeps(&self) -> bool {
        self.keeps
    }

    /// How many classes there are.
    pub(crate) fn classes(&self) -> u8 {
        self.classes
    }

    #[inline(always)]
    pub(crate) fn by_tag(&self, tci: Tci) -> Treatment {
        self.by_tag[usize::from(tci.bits() >> 12)]
    }

    #[inline(always)]
    pub(crate) fn by_default(&self, tci: Tci) -> Treatment {
        self.by_default[usize::from(tci.bits() >> 13)]
    }

    pub(crate) fn trusts_dscp(&self) -> bool {
        self.by_dscp.is_some()
    }

    #[inline(always)]
    pub(crate) fn by_dscp(&self, dscp: Dscp) -> Option<Treatment> {
        self.by_dscp.as_ref().map(|treatments| treatments[dscp.index()])
    }

    /// What a frame becomes that was treated like this before a rule gave it `class`.
    pub(crate) fn with_class(&self, before: Treatment, class: TrafficClass) -> Treatment {
        const DEI: u16 = 1 << 12;
        Treatment {
            mark: Mark::new(class, before.mark.colour()).decided(),
            priority: self.class_priorities[class.index()] | before.priority & DEI,
        }
    }

    pub(crate) fn rules(&self) -> Option<&R> {
        self.rules.as_ref()
    }

    /// The rule of this number, counted from 1.
    pub(crate) fn rule(&self, number: u32) -> Option<RuleSpec> {
        self.rule_specs.get((number as usize).checked_sub(1)?).copied()
    }

    /// So many frames fitted the rule of this number. Workers share the counts.
    pub(crate) fn hit(&self, number: u32, frames: u64) {
        if let Some(hits) = (number as usize).checked_sub(1).and_then(|place| self.hits.get(place)) {
            hits.fetch_add(frames, Relaxed);
        }
    }

    pub(crate) fn policing(&self) -> Option<&Policing<M>> {
        self.policing.as_ref()
    }

    /// Frames that each rule was the first to fit, in their order.
    pub fn hits(&self) -> Vec<u64> {
        self.hits.iter().map(|hits| hits.load(Relaxed)).collect()
    }

    /// What each policer has seen, in the order of [`IngressSpec::policers`].
    pub fn counts(&self) -> Vec<MeterCounts> {
        let policers = self.policing.iter().flat_map(|policing| &policing.policers);
        let counts = |policer: &Policer| MeterCounts {
            frames: policer.counts.each_ref().map(|counts| counts.frames.load(Relaxed)),
            octets: policer.counts.each_ref().map(|counts| counts.octets.load(Relaxed)),
        };
        policers.map(counts).collect()
    }
}
