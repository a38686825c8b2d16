//! What a port does with the frames that it sends: their class there, their tag, and how they wait.

use std::array;
use std::sync::Arc;

use pollux_net::{Colour, Frame, Mark, Pcp, PcpCoding, Priority, Tci, TrafficClass, WorkerId};

use super::bucket::ShaperSpec;
use super::queue::Bounds;
use super::queues::PortQueues;
use super::schedule::Schedule;
use super::wred::{Wred, WredSpec};

const CLASSES: usize = TrafficClass::COUNT;

/// The part of a second for which a frame waits at a device that takes others and not this one: by then it is
/// of no use to anybody.
const PATIENCE_FRACTION: u64 = 10;

/// One class of a port that sends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ClassSpec {
    /// What it gets before all others.
    pub guarantee: Option<ShaperSpec>,
    /// What it gets at most.
    pub cap: Option<ShaperSpec>,
    /// Octets that may wait. A single frame always may.
    pub queue_octets: u64,
    /// Frames that may wait.
    pub queue_frames: usize,
    /// How frames are dropped before that.
    pub wred: Option<WredSpec>,
}

/// Who sends what waits for a port: one worker what all have received, so that classes are served in their
/// order whoever received the frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Service {
    /// Which worker.
    pub server: WorkerId,
    /// Whether the others may send for themselves as long as nothing waits: only where all send on the same
    /// transmit queue, so that no frame overtakes another of its flow.
    pub straight: bool,
    /// The port has no profile any more: only what waits is sent in the order of classes, and nothing new waits
    /// once it is gone.
    pub ends: bool,
}

/// How a port sends frames, as the control plane describes it.
#[derive(Clone, PartialEq, Debug)]
pub struct EgressSpec {
    /// How many classes there are, 1 to 8.
    pub classes: usize,
    /// How tags tell priorities.
    pub coding: PcpCoding,
    /// The class of each priority.
    pub priority_to_class: [TrafficClass; 8],
    /// The priority that frames of each class are sent with; `None`: the one that they have.
    pub class_to_priority: Option<[Pcp; CLASSES]>,
    /// Classes that are served first, in this order.
    pub strict: Vec<TrafficClass>,
    /// Classes that share the rest, with their weights.
    pub dwrr: Vec<(TrafficClass, u16)>,
    /// The port's rate.
    pub shaper: Option<ShaperSpec>,
    /// What else there is of each class.
    pub class: [ClassSpec; CLASSES],
    /// Who sends.
    pub service: Service,
}

/// A port's way of sending frames. It never changes; what waits is in [`PortQueues`].
#[derive(Debug)]
pub struct EgressQos<F> {
    /// By the upper four bits of a TCI, for frames that came with nothing else.
    by_tag: [Mark; 16],
    /// By the number of classes where the frame came in, and the class that was decided for it there.
    by_class: [[TrafficClass; CLASSES]; CLASSES + 1],
    tags: Tags,
    /// Bit n: place n of `tags` stands for another priority than 0, or may be dropped first.
    says: u16,
    schedule: Schedule,
    bounds: [Bounds; CLASSES],
    service: Service,
    /// Cycles after which a frame that the device refuses, and may never take, is given up.
    patience: u64,
    queues: Arc<PortQueues<F>>,
}

/// What is written into tags: PCP and DEI as bits of a TCI.
#[derive(Debug)]
enum Tags {
    /// What they say already.
    Kept,
    /// What they say already, but for classes that something else than the priority decided: by class, and DEI.
    KeptUnlessDecided([u16; 16]),
    /// By the priority that they have.
    ByPriority([u16; 16]),
    /// By class, and DEI.
    ByClass([u16; 16]),
}

impl<F: Frame> EgressQos<F> {
    /// What `spec` describes; frames wait in `queues`. `hz`: cycles of the platform's clock in a second.
    pub fn new(spec: &EgressSpec, queues: Arc<PortQueues<F>>, hz: u64) -> Self {
        let priority = |index: usize| Tci::from_bits((index as u16) << 12).priority();
        let encoded = |priority: Priority| Tci::priority_tag(spec.coding.encode(priority)).bits();
        // A map that gives every priority back changes only what came by a class of another origin.
        let gives_back = |priorities: &[Pcp; CLASSES]| {
            let back = |pcp: usize| priorities[spec.priority_to_class[pcp].index()].value();
            (0..8).all(|pcp| usize::from(back(pcp)) == pcp)
        };
        let tags = match spec.class_to_priority {
            Some(priorities) if spec.coding == PcpCoding::default() && gives_back(&priorities) => {
                Tags::KeptUnlessDecided(array::from_fn(|index| {
                    encoded(Priority { pcp: priorities[index / 2], dei: index % 2 != 0 })
                }))
            }
            Some(priorities) => Tags::ByClass(array::from_fn(|index| {
                encoded(Priority { pcp: priorities[index / 2], dei: index % 2 != 0 })
            })),
            None if spec.coding == PcpCoding::default() => Tags::Kept,
            None => Tags::ByPriority(array::from_fn(|index| encoded(priority(index)))),
        };
        let says = |index: &usize| {
            let pcp = spec.class_to_priority.map_or(priority(*index).pcp, |priorities| priorities[index / 2]);
            Priority { pcp, dei: !index.is_multiple_of(2) }.is_nonzero()
        };
        let of = |classes: usize, class: TrafficClass| {
            if classes == spec.classes {
                class
            } else {
                // Another number of classes: by the priority that stands for the class there.
                spec.priority_to_class[usize::from(class.representative(classes).value())]
            }
        };
        let guarantees = spec.class.map(|class| class.guarantee);
        let caps = spec.class.map(|class| class.cap);
        Self {
            by_tag: array::from_fn(|index| {
                let Priority { pcp, dei } = priority(index);
                let colour = if dei { Colour::Yellow } else { Colour::Green };
                Mark::new(spec.priority_to_class[usize::from(pcp.value())], colour)
            }),
            by_class: array::from_fn(|classes| {
                array::from_fn(|class| of(classes, TrafficClass::from_low_bits(class as u8)))
            }),
            tags,
            says: (0..16).filter(says).fold(0, |says, index| says | 1 << index),
            schedule: Schedule::new(&spec.strict, &spec.dwrr, spec.shaper, guarantees, caps, hz),
            bounds: spec.class.map(|class| Bounds {
                octets: class.queue_octets,
                frames: class.queue_frames,
                wred: class.wred.map(|wred| Wred::new(&wred, hz)),
            }),
            service: spec.service,
            patience: hz / PATIENCE_FRACTION,
            queues,
        }
    }
}

impl<F> EgressQos<F> {
    /// The mark with which a frame waits here that has this tag, and was given `mark` where it came in, by a
    /// port of so many classes; 0: by none. Its class is that of its priority (IEEE 802.1Q-2022 clause 8.6.6),
    /// unless something else decided it.
    #[inline(always)]
    pub(crate) fn mark(&self, tci: Tci, classes: u8, mark: Mark) -> Mark {
        let by_tag = self.by_tag[usize::from(tci.bits() >> 12)];
        if classes == 0 {
            return by_tag;
        }
        let class = if mark.is_decided() {
            self.by_class[usize::from(classes) % (CLASSES + 1)][mark.class().index()]
        } else {
            by_tag.class()
        };
        Mark::new(class, mark.colour())
    }

    /// The TCI with which a frame of this mark leaves, and whether its priority says anything; `decided`:
    /// whether something else than its priority decided its class.
    #[inline(always)]
    pub(crate) fn tci(&self, tci: Tci, mark: Mark, decided: bool) -> (Tci, bool) {
        let by_class = || mark.class().index() * 2 + usize::from(tci.bits() >> 12 & 1);
        let (index, bits) = match &self.tags {
            Tags::KeptUnlessDecided(bits) if decided => (by_class(), bits),
            Tags::Kept | Tags::KeptUnlessDecided(_) => return (tci, tci.bits() >> 12 != 0),
            Tags::ByPriority(bits) => (usize::from(tci.bits() >> 12), bits),
            Tags::ByClass(bits) => (by_class(), bits),
        };
        (Tci::from_bits(bits[index % 16] | tci.vid_bits()), self.says & 1 << index != 0)
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// What may wait in a class.
    #[inline(always)]
    pub(crate) fn bounds(&self, class: usize) -> &Bounds {
        &self.bounds[class]
    }

    /// Whether a frame that waits since then has waited long enough for a device that takes others.
    pub(crate) fn is_stale(&self, since: u64, now: u64) -> bool {
        now.saturating_sub(since) > self.patience
    }

    /// Where frames that wait for the port are.
    pub fn queues(&self) -> &Arc<PortQueues<F>> {
        &self.queues
    }
}

impl<F: Frame> EgressQos<F> {
    /// Whether `worker` may send at once what doesn't have to wait behind anything.
    #[inline(always)]
    pub(crate) fn goes_straight(&self, worker: WorkerId) -> bool {
        let Service { straight, ends, .. } = self.service;
        (straight || ends || self.serves(worker)) && !self.schedule.shapes()
    }

    /// Whether `worker` sends what waits.
    #[inline(always)]
    pub(crate) fn serves(&self, worker: WorkerId) -> bool {
        self.service.server == worker
    }

    /// Which worker sends what waits.
    pub(crate) fn server(&self) -> WorkerId {
        self.service.server
    }

    /// Whether nothing new is to wait.
    #[inline(always)]
    pub(crate) fn ends(&self) -> bool {
        self.service.ends
    }
}
