//! What waits for a port: a queue for each class, and what was counted of them.

use std::array;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use arrayvec::ArrayVec;
use pollux_net::{Frame, TrafficClass, WorkerId};
use spin::{Mutex, MutexGuard};

use super::EgressQos;
use super::queue::{ClassQueue, Refusal, Waiting};
use super::schedule::Turn;
use super::sojourn::{Histogram, Sojourn};
use crate::datapath::BURST;

const CLASSES: usize = TrafficClass::COUNT;

/// The queues of a port, as many sets as there are workers: where each sends what it received itself, each
/// has its own; where all must go through one, only that one's are used.
#[derive(Debug)]
pub struct PortQueues<F> {
    slots: Box<[Slot<F>]>,
}

/// One set, which one worker serves.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Slot<F> {
    /// Whether anything waits. Written by whoever holds the lock.
    backlogged: AtomicBool,
    queues: Mutex<Queues<F>>,
    /// Written by whoever holds the lock.
    counters: [Counters; CLASSES],
    /// Written by the worker whose set this is.
    straight: [Straight; CLASSES],
}

/// What waits in one set, by class.
#[derive(Debug)]
pub(crate) struct Queues<F> {
    classes: [ClassQueue<F>; CLASSES],
    /// Bit n: something waits in class n.
    waiting: u8,
    turn: Turn,
    random: u64,
    /// Whether the device took nothing the last time.
    refused: bool,
}

/// Memory for frames that wait, by class: made by the control plane, so that no worker allocates.
#[derive(Debug)]
pub struct Storage<F> {
    classes: [(VecDeque<Waiting<F>>, usize); CLASSES],
}

#[derive(Debug, Default)]
struct Counters {
    frames: AtomicU64,
    octets: AtomicU64,
    most_octets: AtomicU64,
    queued: AtomicU64,
    sent_frames: AtomicU64,
    sent_octets: AtomicU64,
    full: AtomicU64,
    early: AtomicU64,
    unfit: AtomicU64,
    link_lost: AtomicU64,
    dropped_octets: AtomicU64,
    sojourn: Histogram,
}

impl Counters {
    /// Counts a frame under `reason`, one of these counters.
    fn count_drop(&self, reason: &AtomicU64, octets: u64) {
        add(reason, 1);
        add(&self.dropped_octets, octets);
    }
}

/// Frames that left without waiting.
#[derive(Debug, Default)]
struct Straight {
    frames: AtomicU64,
    octets: AtomicU64,
}

/// What was counted of one class of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClassCounts {
    /// Frames that wait now.
    pub waiting_frames: u64,
    /// Octets that wait now.
    pub waiting_octets: u64,
    /// The most octets that ever waited.
    pub most_octets: u64,
    /// Frames that had to wait.
    pub queued_frames: u64,
    /// Frames that left, at once or after a wait.
    pub sent_frames: u64,
    /// Their octets.
    pub sent_octets: u64,
    /// Frames dropped because the queue was full.
    pub dropped_full: u64,
    /// Frames dropped early, by their colour and the queue's average.
    pub dropped_early: u64,
    /// Frames dropped because the device has no buffer as long.
    pub dropped_unfit: u64,
    /// Frames dropped because the link was lost while they waited.
    pub dropped_link: u64,
    /// Octets of all that was dropped.
    pub dropped_octets: u64,
    /// How long frames waited that had to.
    pub sojourn: Sojourn,
}

impl ClassCounts {
    /// Frames dropped for any reason.
    pub fn dropped(&self) -> u64 {
        self.dropped_full + self.dropped_early + self.dropped_unfit + self.dropped_link
    }
}

/// Frames that didn't get to wait, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Refused {
    pub(crate) full: u64,
    pub(crate) early: u64,
}

/// What is remembered of a frame that was handed to the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    class: u8,
    len: u32,
    since: u64,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

impl<F: Frame> Storage<F> {
    /// Memory for so many frames of each class.
    pub fn new(frames: [usize; CLASSES]) -> Self {
        Self { classes: frames.map(|room| (VecDeque::with_capacity(room), room)) }
    }
}

impl<F: Frame> PortQueues<F> {
    /// A set for each of so many workers. None has room for anything before it is given
    /// [memory](Self::enlarge).
    pub fn new(workers: usize) -> Self {
        let slot = |number| Slot {
            backlogged: AtomicBool::new(false),
            queues: Mutex::new(Queues {
                classes: array::from_fn(|_| ClassQueue::default()),
                waiting: 0,
                turn: Turn::default(),
                random: number as u64,
                refused: false,
            }),
            counters: Default::default(),
            straight: Default::default(),
        };
        Self { slots: (0..workers).map(slot).collect() }
    }

    /// Gives a worker's queues room, and returns the memory that isn't needed any more. Queues that have as
    /// much room keep theirs. Neither allocates nor frees, nor loses what waits.
    pub fn enlarge(&self, worker: WorkerId, storage: Storage<F>) -> Storage<F> {
        let mut queues = self.slot(worker).queues.lock();
        let mut classes = queues.classes.iter_mut();
        let swapped = storage.classes.map(|(memory, room)| {
            let class = classes.next().expect("as many as there are classes");
            (class.move_to(memory, room), 0)
        });
        Storage { classes: swapped }
    }

    /// Frames that wait, over all workers.
    pub fn waiting(&self) -> u64 {
        self.slots.iter().flat_map(|slot| &slot.counters).map(|counters| counters.frames.load(Relaxed)).sum()
    }

    /// Drops all that waits; for when no worker is there to do it. Returns how many frames that were.
    pub fn clear(&self) -> u64 {
        self.slots.iter().map(|slot| slot.lock().clear(slot)).sum()
    }

    /// What was counted of each class, over all workers.
    pub fn counts(&self) -> [ClassCounts; CLASSES] {
        array::from_fn(|class| {
            let mut sum = ClassCounts::default();
            for slot in &self.slots {
                let (queued, straight) = (&slot.counters[class], &slot.straight[class]);
                let of = |counter: &AtomicU64| counter.load(Relaxed);
                sum.waiting_frames += of(&queued.frames);
                sum.waiting_octets += of(&queued.octets);
                sum.most_octets = sum.most_octets.max(of(&queued.most_octets));
                sum.queued_frames += of(&queued.queued);
                sum.sent_frames += of(&queued.sent_frames) + of(&straight.frames);
                sum.sent_octets += of(&queued.sent_octets) + of(&straight.octets);
                sum.dropped_full += of(&queued.full);
                sum.dropped_early += of(&queued.early);
                sum.dropped_unfit += of(&queued.unfit);
                sum.dropped_link += of(&queued.link_lost);
                sum.dropped_octets += of(&queued.dropped_octets);
            }
            sum.sojourn = Histogram::quantiles(self.slots.iter().map(|slot| &slot.counters[class].sojourn));
            sum
        })
    }

    #[inline(always)]
    pub(crate) fn slot(&self, worker: WorkerId) -> &Slot<F> {
        &self.slots[usize::from(worker.0)]
    }
}

impl<F: Frame> Slot<F> {
    /// Whether anything waits. Says yes of what the caller itself has let wait, until it has left.
    #[inline(always)]
    pub(crate) fn is_backlogged(&self) -> bool {
        self.backlogged.load(Acquire)
    }

    /// The queues. Whoever holds them never waits for anything else.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Queues<F>> {
        self.queues.lock()
    }

    /// Counts frames that leave without waiting, by the worker whose set this is.
    #[inline]
    pub(crate) fn count_straight(&self, class: TrafficClass, frames: u64, octets: u64) {
        let straight = &self.straight[class.index()];
        add(&straight.frames, frames);
        add(&straight.octets, octets);
    }
}

impl<F: Frame> Queues<F> {
    /// Lets frames wait, each in its class; drops those that may not.
    pub(crate) fn enqueue(
        &mut self,
        frames: impl Iterator<Item = F>,
        slot: &Slot<F>,
        qos: &EgressQos<F>,
        now: u64,
    ) -> Refused {
        let mut refused = Refused::default();
        for frame in frames {
            let (mark, len) = (frame.mark(), frame.len());
            let class = mark.class().index();
            let (limit, wred) = qos.bounds(class);
            let counters = &slot.counters[class];
            let random = &mut self.random;
            let admitted =
                self.classes[class].admits(mark.colour(), len, limit, wred, now, || next_random(random));
            match admitted {
                Ok(()) => {
                    self.classes[class].add(frame, now);
                    self.waiting |= 1 << class;
                    add(&counters.queued, 1);
                    let octets = self.classes[class].octets();
                    if octets > counters.most_octets.load(Relaxed) {
                        counters.most_octets.store(octets, Relaxed);
                    }
                }
                Err(Refusal::Full) => {
                    refused.full += 1;
                    counters.count_drop(&counters.full, len as u64);
                }
                Err(Refusal::Early) => {
                    refused.early += 1;
                    counters.count_drop(&counters.early, len as u64);
                }
            }
        }
        refused
    }

    /// Time has passed since the last time that anything left.
    pub(crate) fn refill(&mut self, qos: &EgressQos<F>, now: u64) {
        self.turn.refill(qos.schedule(), now);
    }

    /// Takes up to `most` frames in the order in which they leave.
    pub(crate) fn dequeue(
        &mut self,
        qos: &EgressQos<F>,
        most: usize,
        burst: &mut ArrayVec<F, BURST>,
    ) -> ArrayVec<Taken, BURST> {
        let mut taken = ArrayVec::new();
        let schedule = qos.schedule();
        while burst.len() < most {
            let classes = &self.classes;
            let Some(class) = self.turn.next(schedule, self.waiting, |class| classes[class].first_len())
            else {
                break;
            };
            let Some(Waiting { frame, since }) = self.classes[class].take() else { break };
            let len = frame.len();
            let last = self.classes[class].frames() == 0;
            if last {
                self.waiting &= !(1 << class);
            }
            self.turn.leaves(schedule, class, len, last);
            taken.push(Taken { class: class as u8, len: len as u32, since });
            burst.push(frame);
        }
        taken
    }

    /// Counts frames that the device took.
    pub(crate) fn left(&self, taken: &[Taken], slot: &Slot<F>, now: u64) {
        for taken in taken {
            let counters = &slot.counters[usize::from(taken.class)];
            add(&counters.sent_frames, 1);
            add(&counters.sent_octets, taken.len.into());
            counters.sojourn.add(now.saturating_sub(taken.since));
        }
    }

    /// Puts a frame back that the device had no room for. What was taken later is put back first.
    pub(crate) fn put_back(&mut self, frame: F, since: u64, qos: &EgressQos<F>) {
        let (class, len) = (frame.mark().class().index(), frame.len());
        self.turn.comes_back(qos.schedule(), class, len);
        self.classes[class].put_back(Waiting { frame, since });
        self.waiting |= 1 << class;
    }

    /// Whether the device took nothing the last time.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused
    }

    pub(crate) fn set_refused(&mut self, refused: bool) {
        self.refused = refused;
    }

    /// Counts a frame that the device can't take.
    pub(crate) fn count_unfit(&self, frame: &F, slot: &Slot<F>) {
        let counters = &slot.counters[frame.mark().class().index()];
        counters.count_drop(&counters.unfit, frame.len() as u64);
    }

    /// Drops all that waits, as the link is lost. Returns how many frames that were.
    pub(crate) fn clear(&mut self, slot: &Slot<F>) -> u64 {
        let mut cleared = 0;
        for (class, counters) in self.classes.iter_mut().zip(&slot.counters) {
            while let Some(waiting) = class.take() {
                counters.count_drop(&counters.link_lost, waiting.frame.len() as u64);
                cleared += 1;
            }
        }
        self.waiting = 0;
        self.publish(slot);
        cleared
    }

    /// Tells everybody what waits now. To be called before the lock is given back.
    pub(crate) fn publish(&self, slot: &Slot<F>) {
        for (class, counters) in self.classes.iter().zip(&slot.counters) {
            counters.frames.store(class.frames() as u64, Relaxed);
            counters.octets.store(class.octets(), Relaxed);
        }
        slot.backlogged.store(self.waiting != 0, Release);
    }
}

impl Taken {
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) fn since(&self) -> u64 {
        self.since
    }
}

/// SplitMix64: small, and good enough to drop frames by.
fn next_random(state: &mut u64) -> u32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ mixed >> 27) >> 32) as u32
}
