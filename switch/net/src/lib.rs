//! The words a bridge is written in, as types.
//!
//! Nothing here knows DPDK, the configuration file or the data path: a [`Vid`] is a number that the
//! standard allows and nothing else. Everything is `Copy` and free at run time, so that the data path
//! and the configuration can share one vocabulary.
#![forbid(unsafe_code)]

mod checksum;
mod class;
mod coding;
mod dscp;
mod filter;
mod flow;
mod flow_key;
mod frame;
mod mac;
mod meter;
mod mode;
mod offload;
mod port;
mod priority;
mod transport;
mod vlan;

pub use checksum::Checksum;
pub use class::{Colour, Mark, TrafficClass};
pub use coding::PcpCoding;
pub use dscp::{Dscp, ParseDscpError};
pub use filter::{FILTER_BURST, FrameFilter};
pub use flow::flow_hash;
pub use flow_key::{FlowKey, FlowMatch, FlowRules, MacMatch, dscp, mapped, set_dscp};
pub use frame::{ETHERNET_HEADER_LEN, Frame, MAX_MTU, MTU_OVERHEAD};
pub use mac::{Mac, ParseMacError};
pub use meter::{Meter, MeterAlgorithm, MeterSpec, RateUnit, WIRE_OVERHEAD};
pub use mode::{PortVlan, PriorityTags, Trust, VlanMode};
pub use offload::{Offloads, Pending};
pub use port::{MAX_PORTS, MAX_WORKERS, PortId, PortSet, QueueId, WorkerId};
pub use priority::{Pcp, Priority};
pub use transport::{IpVersion, Protocol, Transport};
pub use vlan::{ParseVidError, Tag, Tci, Tpid, VID_SLOTS, Vid, VidSet};
