//! Priorities: which class a frame is of and how soon it may be dropped, what may come in, and in which
//! order a port sends what waits for it (IEEE 802.1Q-2022 clauses 6.9 and 8.6.5 to 8.6.8).
//!
//! [`IngressQos`] is what a port does with frames that come, [`EgressQos`] what it does with frames that
//! leave; both are tables that the control plane builds once and never changes, with state beside them
//! that the workers write: meters, and [`PortQueues`].

mod bucket;
mod egress;
mod ingress;
mod queue;
mod queues;
mod schedule;
mod sojourn;
mod wred;

pub use bucket::ShaperSpec;
pub use egress::{ClassSpec, EgressQos, EgressSpec, Service};
pub use ingress::{Action, IngressQos, IngressSpec, MeterCounts, PolicerSpec, Remark, RuleSpec};
pub use queues::{ClassCounts, PortQueues, Storage};
pub use sojourn::Sojourn;
pub use wred::{WredCurve, WredSpec};

pub(crate) use ingress::{Meters, Policing, Treatment};
pub(crate) use queues::{Queues, Refused};
