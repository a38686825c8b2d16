//! What waits for a port: a queue for each class, and what was counted of them.

use std::array;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use arrayvec::ArrayVec;
use pollux_net::{Frame, TrafficClass, WorkerId};
use spin::{Mutex, MutexGuard};

use super::EgressQos;
use super::queue::{Bounds, ClassQueue, Memory, Refusal, Waiting, memory_for};
use super::schedule::{Paid, Turn, bits};
use super::sojourn::{Histogram, Sojourn};
use crate::datapath::BURST;
use crate::stats::bump;

const CLASSES: usize = TrafficClass::COUNT;

/// The queues of a port. Every worker puts frames in, one takes them out.
#[derive(Debug)]
pub struct PortQueues<F> {
    backlog: Backlog,
    queues: Mutex<Queues<F>>,
    /// Written by whoever holds the lock.
    counters: [Counters; CLASSES],
    /// Frames that left without waiting, by the worker that sent them and wrote this.
    straight: Box<[Straight]>,
}

/// Whether anything waits, or is on its way from a queue to the device: what all workers read for each burst,
/// on a line that is written only when it changes.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Backlog(AtomicBool);

/// What waits, by class.
#[derive(Debug)]
pub(crate) struct Queues<F> {
    classes: [ClassQueue<F>; CLASSES],
    /// Bit n: something waits in class n.
    waiting: u8,
    /// Bit n: what waits in class n has changed since everybody was told.
    touched: u8,
    /// Frames were taken out, and the device hasn't got all of them yet.
    under_way: bool,
    /// The device took nothing the last time.
    refused: bool,
    turn: Turn,
    random: u64,
}

/// Memory for frames that wait, by class: made by the control plane, so that no worker allocates.
#[derive(Debug)]
pub struct Storage<F> {
    /// With the frames that each is for.
    classes: Box<[(Memory<F>, usize); CLASSES]>,
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
        bump(reason, 1);
        bump(&self.dropped_octets, octets);
    }
}

/// One worker's, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Straight {
    frames: [AtomicU64; CLASSES],
    octets: [AtomicU64; CLASSES],
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
    /// Frames dropped because the device has no buffer as long, or lets theirs stand.
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
pub(crate) struct Refused<F> {
    pub(crate) full: ArrayVec<F, BURST>,
    pub(crate) early: ArrayVec<F, BURST>,
}

impl<F> Default for Refused<F> {
    fn default() -> Self {
        Self { full: ArrayVec::new(), early: ArrayVec::new() }
    }
}

/// What is remembered of a frame that was taken out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    class: u8,
    len: u32,
    since: u64,
    paid: Paid,
}

/// What was taken out in one burst, in order.
pub(crate) type Takings = ArrayVec<Taken, BURST>;

impl<F: Frame> Storage<F> {
    /// Memory for so many frames of each class.
    pub fn new(frames: [usize; CLASSES]) -> Self {
        Self { classes: Box::new(frames.map(|room| (memory_for(room), room))) }
    }
}

impl<F: Frame> PortQueues<F> {
    /// Queues without room for anything, until they are given [memory](Self::enlarge). So many workers send to
    /// the port.
    pub fn new(workers: usize) -> Self {
        Self {
            backlog: Backlog::default(),
            queues: Mutex::new(Queues {
                classes: array::from_fn(|_| ClassQueue::default()),
                waiting: 0,
                touched: 0,
                under_way: false,
                refused: false,
                turn: Turn::default(),
                random: 0,
            }),
            counters: Default::default(),
            straight: (0..workers).map(|_| Straight::default()).collect(),
        }
    }

    /// Gives queues room, and returns the memory that isn't needed any more. Queues that have as much room keep
    /// theirs. Neither allocates nor frees, nor loses what waits.
    pub fn enlarge(&self, mut storage: Storage<F>) -> Storage<F> {
        let mut queues = self.queues.lock();
        for (class, (memory, room)) in queues.classes.iter_mut().zip(storage.classes.iter_mut()) {
            *memory = class.move_to(std::mem::take(memory), *room);
        }
        storage
    }

    /// Frames that wait.
    pub fn waiting(&self) -> u64 {
        self.counters.iter().map(|counters| counters.frames.load(Relaxed)).sum()
    }

    /// Drops all that waits; for when no worker is there to do it. Returns how many frames that were.
    pub fn clear(&self) -> u64 {
        let mut cleared = 0;
        loop {
            let mut lost = ArrayVec::new();
            self.lock().take_lost(self, &mut lost);
            cleared += lost.len() as u64;
            if !lost.is_full() {
                return cleared;
            }
        }
    }

    /// What was counted of each class, over all workers.
    pub fn counts(&self) -> [ClassCounts; CLASSES] {
        array::from_fn(|class| {
            let of = |counter: &AtomicU64| counter.load(Relaxed);
            let queued = &self.counters[class];
            ClassCounts {
                waiting_frames: of(&queued.frames),
                waiting_octets: of(&queued.octets),
                most_octets: of(&queued.most_octets),
                queued_frames: of(&queued.queued),
                sent_frames: of(&queued.sent_frames)
                    + self.straight.iter().map(|worker| of(&worker.frames[class])).sum::<u64>(),
                sent_octets: of(&queued.sent_octets)
                    + self.straight.iter().map(|worker| of(&worker.octets[class])).sum::<u64>(),
                dropped_full: of(&queued.full),
                dropped_early: of(&queued.early),
                dropped_unfit: of(&queued.unfit),
                dropped_link: of(&queued.link_lost),
                dropped_octets: of(&queued.dropped_octets),
                sojourn: queued.sojourn.quantiles(),
            }
        })
    }

    /// Whether anything waits. Says yes of what the caller itself has let wait, until the device has it.
    #[inline(always)]
    pub(crate) fn is_backlogged(&self) -> bool {
        self.backlog.0.load(Acquire)
    }

    /// What waits. Whoever holds it never waits for anything else.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Queues<F>> {
        self.queues.lock()
    }

    /// Counts frames that leave without waiting.
    #[inline]
    pub(crate) fn count_straight(&self, worker: WorkerId, class: TrafficClass, frames: u64, octets: u64) {
        let straight = &self.straight[usize::from(worker.0)];
        bump(&straight.frames[class.index()], frames);
        bump(&straight.octets[class.index()], octets);
    }
}

impl<F: Frame> Queues<F> {
    /// Lets frames of a burst wait, each in its class. Those that may not, counted as dropped, go to `refused`,
    /// which has room.
    pub(crate) fn enqueue(
        &mut self,
        frames: impl Iterator<Item = F>,
        port: &PortQueues<F>,
        qos: &EgressQos<F>,
        now: u64,
        refused: &mut Refused<F>,
    ) {
        let mut queued = [0; CLASSES];
        let mut came = 0_u8;
        for frame in frames {
            let (mark, len) = (frame.mark(), frame.len());
            let class = mark.class().index();
            let bounds: &Bounds = qos.bounds(class);
            let (queue, random) = (&mut self.classes[class], &mut self.random);
            match queue.admits(mark.colour(), len, bounds, now, || next_random(random)) {
                Ok(()) => {
                    queue.add(frame, now);
                    queued[class] += 1;
                    came |= 1 << class;
                }
                Err(refusal) => {
                    let counters = &port.counters[class];
                    let (list, reason) = match refusal {
                        Refusal::Full => (&mut refused.full, &counters.full),
                        Refusal::Early => (&mut refused.early, &counters.early),
                    };
                    list.push(frame);
                    counters.count_drop(reason, len as u64);
                }
            }
        }
        self.waiting |= came;
        self.touched |= came;
        for class in bits(came) {
            let counters = &port.counters[class];
            bump(&counters.queued, queued[class]);
            let octets = self.classes[class].octets();
            if octets > counters.most_octets.load(Relaxed) {
                counters.most_octets.store(octets, Relaxed);
            }
        }
    }

    /// Time has passed since the last time that anything left.
    pub(crate) fn refill(&mut self, qos: &EgressQos<F>, now: u64) {
        self.turn.refill(qos.schedule(), now);
    }

    /// Takes out up to `most` frames in the order in which they leave. They are to be [`settle`](Self::settle)d
    /// before more are taken out.
    pub(crate) fn dequeue(
        &mut self,
        qos: &EgressQos<F>,
        most: usize,
        burst: &mut ArrayVec<F, BURST>,
    ) -> Takings {
        let mut takings = Takings::new();
        let schedule = qos.schedule();
        while burst.len() < most {
            let classes = &self.classes;
            let chosen = self.turn.next(schedule, self.waiting, |class| classes[class].first_len());
            let Some(class) = chosen else { break };
            self.touched |= 1 << class;
            // The rest of a run costs no choice.
            loop {
                let queue = &mut self.classes[class];
                let Some(Waiting { frame, since }) = queue.take() else { break };
                let (len, next) = (frame.len(), queue.first_len());
                let last = queue.frames() == 0;
                let paid = self.turn.leaves(schedule, class, len, last);
                takings.push(Taken { class: class as u8, len: len as u32, since, paid });
                burst.push(frame);
                if last {
                    self.waiting &= !(1 << class);
                    break;
                }
                if burst.len() == most || !self.turn.goes_on(schedule, class, self.waiting, next) {
                    break;
                }
            }
        }
        self.under_way = !takings.is_empty();
        takings
    }

    /// The device has had its chance at what was taken out. `stay` it didn't take; of these, the first `unfit`
    /// it never will. Returns those that are dropped, and counted: these, and those that have waited for too
    /// long at a device that takes others. The rest wait again, in front of all others.
    pub(crate) fn settle(
        &mut self,
        takings: &Takings,
        mut stay: ArrayVec<F, BURST>,
        unfit: usize,
        port: &PortQueues<F>,
        qos: &EgressQos<F>,
        is_stale: impl Fn(u64) -> bool,
        now: u64,
    ) -> ArrayVec<F, BURST> {
        let mut given_up = ArrayVec::new();
        self.under_way = false;
        self.refused = stay.len() == takings.len();
        if stay.is_empty() {
            count_sent(takings.iter(), port, now);
            return given_up;
        }
        let mut staying = [0_usize; CLASSES];
        for frame in &stay {
            staying[frame.mark().class().index()] += 1;
        }
        // Of each class, the device took the first ones.
        let (mut back, mut left) = (Takings::new(), Takings::new());
        for taken in takings.iter().rev() {
            let stays = &mut staying[usize::from(taken.class)];
            let to = if *stays > 0 { &mut back } else { &mut left };
            *stays = stays.saturating_sub(1);
            to.push(*taken);
        }
        count_sent(left.iter(), port, now);
        // Last first, so that they stand in front in their order.
        while let Some(frame) = stay.pop() {
            let class = frame.mark().class().index();
            let place = back.iter().position(|taken| usize::from(taken.class) == class);
            let Some(taken) = place.map(|place| back.remove(place)) else { continue };
            self.turn.comes_back(qos.schedule(), class, taken.len as usize, taken.paid);
            self.touched |= 1 << class;
            if stay.len() < unfit || is_stale(taken.since) {
                let counters = &port.counters[class];
                counters.count_drop(&counters.unfit, frame.len() as u64);
                given_up.push(frame);
            } else {
                self.classes[class].put_back(Waiting { frame, since: taken.since });
                self.waiting |= 1 << class;
            }
        }
        given_up
    }

    /// Drops frames that didn't have to wait, and that the device never takes.
    #[cold]
    pub(crate) fn drop_unfit(&self, frames: impl Iterator<Item = F>, port: &PortQueues<F>) {
        for frame in frames {
            let counters = &port.counters[frame.mark().class().index()];
            counters.count_drop(&counters.unfit, frame.len() as u64);
        }
    }

    /// Whether the device took nothing the last time.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused
    }

    /// Takes what waits out, counted as dropped because the link is lost, as much of it as `lost` has room for.
    pub(crate) fn take_lost(&mut self, port: &PortQueues<F>, lost: &mut ArrayVec<F, BURST>) {
        for class in bits(self.waiting) {
            let (queue, counters) = (&mut self.classes[class], &port.counters[class]);
            while !lost.is_full()
                && let Some(Waiting { frame, .. }) = queue.take()
            {
                counters.count_drop(&counters.link_lost, frame.len() as u64);
                lost.push(frame);
            }
            if queue.frames() == 0 {
                self.waiting &= !(1 << class);
            }
        }
        self.touched = u8::MAX;
        self.publish(port);
    }

    /// Tells everybody what waits now. To be called before the lock is given back.
    pub(crate) fn publish(&mut self, port: &PortQueues<F>) {
        while self.touched != 0 {
            let class = self.touched.trailing_zeros() as usize;
            self.touched &= self.touched - 1;
            port.counters[class].frames.store(self.classes[class].frames() as u64, Relaxed);
            port.counters[class].octets.store(self.classes[class].octets(), Relaxed);
        }
        let backlogged = self.waiting != 0 || self.under_way;
        if port.backlog.0.load(Relaxed) != backlogged {
            port.backlog.0.store(backlogged, Release);
        }
    }
}

/// Counts frames that the device took: once for each run of a class that began to wait at one time.
fn count_sent<'a, F>(takings: impl Iterator<Item = &'a Taken>, port: &PortQueues<F>, now: u64) {
    let mut takings = takings.peekable();
    while let Some(first) = takings.next() {
        let (mut frames, mut octets) = (1, u64::from(first.len));
        while let Some(next) = takings.next_if(|next| (next.class, next.since) == (first.class, first.since))
        {
            frames += 1;
            octets += u64::from(next.len);
        }
        let counters = &port.counters[usize::from(first.class)];
        bump(&counters.sent_frames, frames);
        bump(&counters.sent_octets, octets);
        counters.sojourn.add(now.saturating_sub(first.since), frames);
    }
}

/// SplitMix64: small, and good enough to drop frames by.
fn next_random(state: &mut u64) -> u32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ mixed >> 27) >> 32) as u32
}
