use std::sync::Arc;

/// The most frames that a [`FrameFilter`] looks at in one call: a bit of its answer for each.
pub const FILTER_BURST: usize = u32::BITS as usize;

/// What chooses frames by their octets.
pub trait FrameFilter<F> {
    /// Bit n: frame n is one of those that are wanted. There are [`FILTER_BURST`] frames at most.
    fn choose(&self, frames: &[F]) -> u32;
}

impl<F, X: FrameFilter<F>> FrameFilter<F> for Arc<X> {
    fn choose(&self, frames: &[F]) -> u32 {
        self.as_ref().choose(frames)
    }
}
