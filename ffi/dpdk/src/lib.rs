//! A safe layer over DPDK: what the switch needs of it, each thing with one owner.
//!
//! [`Eal`] starts DPDK. A [`Mempool`] holds [`Mbuf`]s. A [`Device`] or a [`VhostPort`] attached gives a
//! [`Port`], first [`Stopped`]; started, it hands out an [`RxQueue`] and a [`TxQueue`] per queue, which
//! move bursts: `ArrayVec<Mbuf, N>`. Whatever is dropped first, DPDK is taken down in the order that it
//! needs: queues, ports, pools, environment.
//!
//! A [`FlowAcl`] finds the first of many rules that a frame fits, a [`RateMeter`] colours frames by a rate,
//! a [`PacketFilter`] chooses them as tcpdump does.
//!
//! Unsafe code lives here, next to `pollux-cpu`, and nowhere else in the workspace.
#![deny(unsafe_op_in_unsafe_fn)]

mod acl;
mod device;
mod dump;
mod eal;
mod error;
mod events;
mod filter;
mod filter_words;
mod flow_control;
mod frame;
mod info;
mod interrupt;
mod leftovers;
mod link;
mod log;
mod mbuf;
mod meter;
mod plan;
mod pool;
mod port;
mod queue;
mod quirks;
mod rss;
mod segment;
mod shared_tx;
mod stats;
mod thread;
mod vhost;
mod vhost_ring;
mod vhost_state;

pub use acl::FlowAcl;
pub use device::Device;
pub use dump::Dump;
pub use eal::{Eal, EalOptions, Pci};
pub use error::{Error, Result};
pub use events::{Event, Happened, PortEvents, Waker};
pub use filter::PacketFilter;
pub use flow_control::{FlowControl, PriorityFlowControl};
pub use info::{DeviceInfo, RingLimits};
pub use interrupt::await_frames;
pub use link::Link;
pub use log::{LogLevel, LogSink, to_stderr};
pub use mbuf::{Mbuf, Segments};
pub use meter::RateMeter;
pub use plan::{Note, Plan, PortConfig};
pub use pool::{Mempool, PoolOptions};
pub use port::{Offload, Port, Queues, Refused, Started, Stopped};
pub use queue::{RxQueue, TxQueue};
pub use rss::RssTypes;
pub use shared_tx::SharedTxQueue;
pub use stats::PortStats;
pub use thread::RegisteredThread;
pub use vhost::{Vhost, VhostOffloads, VhostPort};
