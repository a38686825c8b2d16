//! A test bed: a system under test and a tester, connected.

use crate::systems::System;
use crate::tester::Tester;

/// What a test measures with.
pub(crate) struct Bed {
    /// Before the tester, whose ports may be connected to it: fields are dropped in their order.
    pub(crate) tester: Box<dyn Tester>,
    pub(crate) system: Box<dyn System>,
    /// What carries frames from one to the other: namespaces, cables, VMs that forward.
    pub(crate) wires: Box<dyn Send>,
}
