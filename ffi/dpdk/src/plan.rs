//! What a port is asked to be, and what its device makes of it.

use std::fmt;

use dpdk_sys as sys;
use pollux_net::MTU_OVERHEAD;

use crate::info::DeviceInfo;
use crate::quirks;
use crate::rss::RssTypes;

/// What a port is asked to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Queues to receive from.
    pub rx_queues: u16,
    /// Queues to transmit on.
    pub tx_queues: u16,
    /// Descriptors of each rx queue.
    pub rx_ring: u16,
    /// Descriptors of each tx queue.
    pub tx_ring: u16,
    /// The MTU in octets, without the Ethernet header and up to two tags.
    pub mtu: u16,
    /// Which kinds of frame are spread over the rx queues.
    pub rss: RssTypes,
    /// Whether frames of several segments may be transmitted even if this port's MTU fits into one
    /// (because another port's doesn't). Where neither is so, a NIC may send the first segment alone and
    /// lose the others' memory.
    pub multi_segment_tx: bool,
    /// Whether the port takes frames for any address, as a switch's must.
    pub promiscuous: bool,
    /// Whether rx queues may interrupt whoever waits for frames. Ports that can't start without; a VM's never do.
    pub rx_interrupts: bool,
    /// Rx and tx offloads to ask for besides, DPDK's bits.
    pub offloads: (u64, u64),
}

impl Default for PortConfig {
    fn default() -> Self {
        Self {
            rx_queues: 1,
            tx_queues: 1,
            rx_ring: 4096,
            tx_ring: 4096,
            mtu: 1500,
            rss: RssTypes::SWITCH,
            multi_segment_tx: false,
            promiscuous: true,
            rx_interrupts: false,
            offloads: (0, 0),
        }
    }
}

/// Something a person should know about how a port was set up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The device can't do what was asked for: `what`, `asked`, `given`.
    Clamped {
        /// A configuration key, such as `rx_ring`.
        what: &'static str,
        /// What was asked for.
        asked: u64,
        /// What the port has.
        given: u64,
    },
    /// Kinds of frame that the device can't tell apart; they all arrive in one queue.
    NoRss(RssTypes),
    /// Frames for a full rx queue are dropped so that they don't stall the others.
    DropsWhenFull,
    /// The device transmits frame by frame because frames may lie in several segments.
    SlowTx,
    /// The device doesn't say that it can receive frames longer than a buffer.
    NoScatter,
    /// The device tells nothing when its link changes.
    NoLinkEvents,
    /// The device has no such operation; what goes without it is named.
    Unsupported(&'static str),
    /// The MTU can change only while the port is stopped.
    MtuNeedsStop,
    /// Statistics must be read at least this often, in seconds.
    ReadStatisticsEvery(u32),
}

impl Note {
    pub(crate) const NO_RX_INTERRUPTS: Self =
        Self::Unsupported("say on which rx queue frames have come; workers that poll it sleep instead");
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clamped { what, asked, given } => {
                write!(f, "{what} is {given}: the device can't do {asked}")
            }
            Self::NoRss(kinds) => write!(f, "the device can't spread by {kinds}"),
            Self::DropsWhenFull => {
                f.write_str("a full rx queue drops its frames, so that it can't stall the others")
            }
            Self::SlowTx => {
                f.write_str("transmits without vector instructions, as frames may have several segments")
            }
            Self::NoScatter => f.write_str("the device doesn't claim to receive frames of several segments"),
            Self::NoLinkEvents => f.write_str("the device doesn't tell when its link changes"),
            Self::Unsupported(what) => write!(f, "the device can't {what}"),
            Self::MtuNeedsStop => f.write_str("the MTU can change only while the port is stopped"),
            Self::ReadStatisticsEvery(seconds) => {
                write!(f, "statistics overflow unless they are read every {seconds} seconds")
            }
        }
    }
}

/// What a port will be: a configuration that its device can do, and how it differs from the one asked
/// for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The configuration, with nothing that the device can't do.
    pub config: PortConfig,
    /// What a person should know.
    pub notes: Vec<Note>,
    pub(crate) rx_offloads: u64,
    pub(crate) tx_offloads: u64,
    pub(crate) drop_when_full: bool,
}

impl Plan {
    /// Fits `asked` to a device whose rx buffers hold `data_room` octets.
    pub fn new(info: &DeviceInfo, asked: &PortConfig, data_room: u16) -> Self {
        let quirks = quirks::of(&info.driver);
        let mut notes = Vec::new();
        let mut clamp = |what, asked: u16, given: u16| {
            if asked != given {
                notes.push(Note::Clamped { what, asked: asked.into(), given: given.into() });
            }
            given
        };

        let mut config = asked.clone();
        let within = |n: u16, max: u16| n.clamp(1, max.max(1));
        config.rx_queues = clamp("rx_queues", asked.rx_queues, within(asked.rx_queues, info.max_rx_queues));
        config.tx_queues = clamp("tx_queues", asked.tx_queues, within(asked.tx_queues, info.max_tx_queues));
        let ring = |limits: crate::RingLimits, asked: u16| limits.clamp(asked.min(quirks.max_ring));
        config.rx_ring = clamp("rx_ring", asked.rx_ring, ring(info.rx_ring, asked.rx_ring));
        config.tx_ring = clamp("tx_ring", asked.tx_ring, ring(info.tx_ring, asked.tx_ring));
        let mtu = asked.mtu.max(*info.mtu.start()).min(*info.mtu.end());
        config.mtu = clamp("mtu", asked.mtu, mtu);

        config.rss = RssTypes::NONE;
        if config.rx_queues > 1 {
            config.rss = asked.rss & info.rss;
            let missing = missing_kinds(asked.rss, info.rss);
            if !missing.is_empty() {
                notes.push(Note::NoRss(missing));
            }
        }

        let (mut rx_offloads, mut tx_offloads) = asked.offloads;
        rx_offloads &= info.rx_offloads;
        tx_offloads &= info.tx_offloads & !sys::SHIM_TX_OFFLOAD_MBUF_FAST_FREE;
        // The check sequence lies in the buffer too while the device receives.
        let longest = u32::from(config.mtu) + MTU_OVERHEAD as u32 + 4;
        let scattered = longest > u32::from(data_room);
        if scattered && info.can_scatter() {
            rx_offloads |= sys::SHIM_RX_OFFLOAD_SCATTER;
        } else if scattered {
            notes.push(Note::NoScatter);
        }
        if (scattered || asked.multi_segment_tx) && info.can_gather() {
            tx_offloads |= sys::SHIM_TX_OFFLOAD_MULTI_SEGS;
        }
        if tx_offloads != 0 && quirks.tx_offloads_are_slow {
            notes.push(Note::SlowTx);
        }
        let drop_when_full = quirks.drop_when_full && config.rx_queues > 1;
        if drop_when_full {
            notes.push(Note::DropsWhenFull);
        }
        if !info.link_events {
            notes.push(Note::NoLinkEvents);
        }
        if quirks.mtu_needs_stop {
            notes.push(Note::MtuNeedsStop);
        }
        if quirks.read_statistics_every > 0 {
            notes.push(Note::ReadStatisticsEvery(quirks.read_statistics_every));
        }
        Self { config, notes, rx_offloads, tx_offloads, drop_when_full }
    }
}

/// The kinds of which the device can do no part at all.
fn missing_kinds(asked: RssTypes, can: RssTypes) -> RssTypes {
    let kinds =
        [RssTypes::IP, RssTypes::TCP, RssTypes::UDP, RssTypes::VLAN, RssTypes::MAC, RssTypes::L2_PAYLOAD];
    let missing = kinds.into_iter().filter(|&kind| (asked & kind) == kind && (can & kind).is_empty());
    missing.fold(RssTypes::NONE, |all, kind| all | kind)
}
