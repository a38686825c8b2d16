//! What waits in one class of a port.

use std::collections::VecDeque;

use pollux_net::{Colour, Frame};

use super::wred::{Average, Wred};
use crate::datapath::BURST;

/// A frame, and since when it waits, in cycles.
#[derive(Debug)]
pub(crate) struct Waiting<F> {
    pub(crate) frame: F,
    pub(crate) since: u64,
}

/// Memory for frames that wait.
pub(crate) type Memory<F> = VecDeque<Waiting<F>>;

/// Memory for so many frames, and for a burst that may come back meanwhile.
pub(crate) fn memory_for<F>(frames: usize) -> Memory<F> {
    VecDeque::with_capacity(frames + BURST)
}

/// What may wait in a class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) octets: u64,
    pub(crate) frames: usize,
    pub(crate) wred: Option<Wred>,
}

/// The frames of one class, in the order in which they leave.
#[derive(Debug)]
pub(crate) struct ClassQueue<F> {
    waiting: Memory<F>,
    /// Frames that there is memory for, beside a burst that comes back.
    room: usize,
    octets: u64,
    average: Average,
}

/// Why a frame doesn't wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    Full,
    Early,
}

impl<F> Default for ClassQueue<F> {
    fn default() -> Self {
        Self { waiting: Memory::new(), room: 0, octets: 0, average: Average::default() }
    }
}

impl<F: Frame> ClassQueue<F> {
    /// Puts the frames that wait into `memory`, which is [for](memory_for) `room` frames, and returns what held
    /// them before. Leaves all as it is where there is room for as many already.
    pub(crate) fn move_to(&mut self, mut memory: Memory<F>, room: usize) -> Memory<F> {
        if room <= self.room {
            return memory;
        }
        memory.extend(self.waiting.drain(..));
        self.room = room;
        std::mem::replace(&mut self.waiting, memory)
    }

    pub(crate) fn frames(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// Whether a frame of `colour` and `len` octets may wait within `bounds`.
    #[inline]
    pub(crate) fn admits(
        &mut self,
        colour: Colour,
        len: usize,
        bounds: &Bounds,
        now: u64,
        random: impl FnOnce() -> u32,
    ) -> Result<(), Refusal> {
        if let Some(wred) = &bounds.wred
            && self.average.drops(wred, colour, self.octets, now, random())
        {
            return Err(Refusal::Early);
        }
        let fits = self.octets + len as u64 <= bounds.octets || self.octets == 0;
        if fits && self.waiting.len() < bounds.frames.min(self.room) { Ok(()) } else { Err(Refusal::Full) }
    }

    /// Adds a frame that was [admitted](Self::admits).
    #[inline]
    pub(crate) fn add(&mut self, frame: F, now: u64) {
        self.octets += frame.len() as u64;
        self.waiting.push_back(Waiting { frame, since: now });
    }

    /// Octets of the first frame, 0 if none waits.
    #[inline]
    pub(crate) fn first_len(&self) -> usize {
        self.waiting.front().map_or(0, |first| first.frame.len())
    }

    #[inline]
    pub(crate) fn take(&mut self) -> Option<Waiting<F>> {
        let first = self.waiting.pop_front()?;
        self.octets -= first.frame.len() as u64;
        Some(first)
    }

    /// Puts back what was taken in a burst, in front of all others.
    pub(crate) fn put_back(&mut self, waiting: Waiting<F>) {
        self.octets += waiting.frame.len() as u64;
        self.waiting.push_front(waiting);
    }
}
