//! What a port does with the frames that it sends: their class there, their tag, and how they wait.

use std::array;
use std::sync::Arc;

use pollux_net::{Colour, Frame, Mark, Pcp, PcpCoding, Priority, Tci, TrafficClass, WorkerId};

use super::bucket::ShaperSpec;
use super::queues::{PortQueues, Slot};
use super::schedule::Schedule;
use super::wred::{Wred, WredSpec};

const CLASSES: usize = TrafficClass::COUNT;

/// The part of a second for which a frame waits that is too long for some VMs' buffers, at a device that
/// takes nothing: by then it is of no use to anybody.
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
    /// How frames are dropped before that.
    pub wred: Option<WredSpec>,
}

/// Who sends what waits for a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Each worker what it received itself, on a transmit queue of its own.
    Each,
    /// One worker what all have received.
    One {
        /// Which.
        worker: WorkerId,
        /// Whether the others may send for themselves as long as nothing waits: only where all send on the
        /// same transmit queues, so that no frame overtakes another of its flow.
        straight: bool,
    },
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
    /// By the number of classes where the frame came in, and the class that it was given there.
    by_class: [[TrafficClass; CLASSES]; CLASSES + 1],
    tags: Tags,
    schedule: Schedule,
    bounds: [(u64, Option<Wred>); CLASSES],
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
        let tags = match spec.class_to_priority {
            Some(priorities) => Tags::ByClass(array::from_fn(|index| {
                encoded(Priority { pcp: priorities[index / 2], dei: index % 2 != 0 })
            })),
            None if spec.coding == PcpCoding::default() => Tags::Kept,
            None => Tags::ByPriority(array::from_fn(|index| encoded(priority(index)))),
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
            schedule: Schedule::new(&spec.strict, &spec.dwrr, spec.shaper, guarantees, caps, hz),
            bounds: spec.class.map(|class| (class.queue_octets, class.wred.map(|wred| Wred::new(&wred, hz)))),
            service: spec.service,
            patience: hz / PATIENCE_FRACTION,
            queues,
        }
    }
}

impl<F> EgressQos<F> {
    /// The mark with which a frame waits here that has this tag, and was given `mark` where it came in, by a
    /// port of so many classes; 0: by none.
    #[inline(always)]
    pub(crate) fn mark(&self, tci: Tci, classes: u8, mark: Mark) -> Mark {
        if classes == 0 {
            return self.by_tag[usize::from(tci.bits() >> 12)];
        }
        let class = self.by_class[usize::from(classes) % (CLASSES + 1)][mark.class().index()];
        Mark::new(class, mark.colour())
    }

    /// The TCI with which a frame of this class leaves.
    #[inline(always)]
    pub(crate) fn tci(&self, tci: Tci, class: TrafficClass) -> Tci {
        let priority = match &self.tags {
            Tags::Kept => return tci,
            Tags::ByPriority(bits) => bits[usize::from(tci.bits() >> 12)],
            Tags::ByClass(bits) => bits[class.index() * 2 + usize::from(tci.bits() >> 12 & 1)],
        };
        Tci::from_bits(priority | tci.vid_bits())
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// How many octets may wait in a class, and how it drops before.
    #[inline(always)]
    pub(crate) fn bounds(&self, class: usize) -> (u64, Option<&Wred>) {
        let (octets, wred) = &self.bounds[class];
        (*octets, wred.as_ref())
    }

    /// Whether a frame that waits since then has waited long enough for a device that may never take it.
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
        let may = match self.service {
            Service::Each => true,
            Service::One { worker: one, straight } => straight || one == worker,
        };
        may && !self.schedule.shapes()
    }

    /// The queues in which what `worker` sends waits, and whether it serves them itself.
    #[inline(always)]
    pub(crate) fn slot(&self, worker: WorkerId) -> (&Slot<F>, bool) {
        let own = self.queues.slot(worker);
        match self.service {
            // What waits of an earlier arrangement leaves first.
            Service::One { worker: one, .. } if one != worker && !own.is_backlogged() => {
                (self.queues.slot(one), false)
            }
            _ => (own, true),
        }
    }
}
