//! Workers.

use std::fmt::Result;

use super::families::Families;
use crate::control::Numbers;

pub(super) fn encode(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    to.gauge("workers", "Workers that poll.", [([], numbers.workers as u64)])
}
