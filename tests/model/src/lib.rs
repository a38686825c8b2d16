//! The naive switch: what the rules say, written as plainly as they can be, to hold the real data
//! path against.
//!
//! It shares the vocabulary of `pollux-net` and no logic with the engine: frames are byte vectors
//! that are taken apart and put together again, the FDB is a map, and every port is asked for every
//! frame. It is slow, and that is fine.
//!
//! # What it decides where the rules leave room
//!
//! - **Order of checks** on the ingress port: [`Reason::Runt`], [`Reason::Oversize`], the source
//!   address, [`Reason::BridgeReserved`], VLAN admission. A frame that fails any of them teaches
//!   nothing. On the egress port: [`Reason::CustomerVid`], then [`Reason::MtuExceeded`].
//! - **A tag** is TPID 0x8100 or 0x88a8 at octet 12. A received frame that has the TPID and ends
//!   before octet 18 is a runt. What is left of an 18-octet frame when its tag is off may have the
//!   TPID and nothing behind it: as a tunnel's customer frame that is a frame without a VID (0).
//! - **VID 4095** is refused in the outer tag of what comes in, on every kind of port. Behind a tag
//!   it is payload; a tunnel with `allowed` still keeps it in, as no such set holds it.
//! - **The tag of a frame inside the switch** has the TPID it came with (VLAN tag or priority tag),
//!   the tunnel's own for what a tunnel took in, and 0x8100 for what came untagged.
//! - **A priority tag at egress** has the TPID 0x8100. A frame that would leave with a VLAN TPID at
//!   octet 12 gets none.
//! - **A profile** of the ingress port decodes PCP and DEI, regenerates the priority, and gives a class: by
//!   the priority, the DSCP, or the first rule. One of the egress port writes PCPs. Policers and queues are
//!   outside the model.
//! - **A mirror** copies frames as they are received, before anything of them changes, as they are sent, or
//!   as they are when they are dropped. The port that copies go to is in no VLAN and takes nothing
//!   ([`Reason::MirrorPort`], checked first of what concerns VLANs). In a VLAN, copies go to every member that
//!   is up; one that sends the VLAN tagged puts a tag with the TPID 0x8100 and the priority 0 around what they
//!   have. A sent frame is in the VLAN that it says it is in: the port's, on a trunk that of its tag or the
//!   native one. So is a received one; on an access port it is in the VLAN of a tag that it shouldn't have as
//!   well. Nothing in a VLAN that mirrors send to is copied, nor anything at a port that they send to.
//! - **A batch** is learned whole before any of it is looked up. An entry is live while less than
//!   the ageing time has passed since its source was last seen.
//! - **Eviction** is outside the model: it panics when its capacity is exceeded, so that a test that
//!   needs more says so.
#![forbid(unsafe_code)]

mod bytes;
mod egress;
mod fdb;
mod ingress;
mod mirror;
mod model;
mod outcome;
mod plain;
mod profile;
#[cfg(test)]
mod tests;

pub use mirror::{ModelMirror, ModelMirrorFrom, ModelMirrorTo};
pub use model::{Model, ModelPort};
pub use outcome::{Accounts, Outcome, Reason};
pub use plain::{PlainFilter, PlainMeter, PlainRules};
pub use profile::ModelProfile;
