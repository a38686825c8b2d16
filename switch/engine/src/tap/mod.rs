//! Looking at frames on their way: captures, which somebody reads, and mirrors, which send copies on.
//!
//! Both see a frame at three points, each time once: as it was received, before anything of it changes; as it
//! was sent, once the device has taken it; and as it was when it was dropped. The points themselves are in
//! [`datapath`](crate::datapath); while there is neither capture nor mirror they cost a test a burst.

mod capture;
mod counts;
mod mirror;
mod record;
mod ring;
mod taps;

pub use capture::{Capture, CaptureSpec, MAX_CAPTURES};
pub use counts::{MirrorCounts, MirrorTotals};
pub use mirror::{MAX_MIRRORS, Mirror, MirrorFrom, MirrorTo};
pub use record::{Point, Record};

pub(crate) use ring::Session;
pub(crate) use taps::{Taps, targets};
