//! What the file may ask for. Every number that a fault names comes from here.

use std::ops::RangeInclusive;
use std::time::Duration;

use pollux_net::{MAX_MTU, MAX_WORKERS, MTU_OVERHEAD, TrafficClass, WIRE_OVERHEAD};

use crate::Bytes;

/// Octets in a file. A switch with every port and a page of text for each stays far below.
pub const MAX_FILE_LEN: usize = 1 << 20;

/// CPU numbers, the size of Linux's `cpu_set_t`.
pub const CORES: RangeInclusive<usize> = 0..=1023;

/// Packet memory: from what two ports with short rings need to more than any host has had.
pub const MEMORY: RangeInclusive<Bytes> = Bytes::mib(16)..=Bytes::mib(1 << 20);

/// Times for which a worker finds nothing before it rests. Less would be a rest between two bursts.
pub const REST_AFTER: RangeInclusive<Duration> = Duration::from_micros(1)..=Duration::from_secs(10);

/// The longest sleep of a worker between two looks at its queues: what the kernel can do at least, and what
/// fills a ring of 4096 descriptors at 4 Mpps at most.
pub const REST_SLEEP: RangeInclusive<Duration> = Duration::from_micros(1)..=Duration::from_millis(1);

/// For how long a worker waits for interrupts. Whoever changes the switch waits for its workers.
pub const REST_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(1);

/// Times over which load is measured, and between two changes of who polls what.
pub const REBALANCE_INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Parts of a load.
pub const LOAD_PART: (f64, f64) = (0.01, 1.0);

/// Times after which something stands still: several looks of whoever watches at least.
pub const WATCHDOG: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(3600);

/// Entries the FDB can be sized for. Fewer than the lowest would not hold the stations of one host's
/// VMs; the highest costs half a gigabyte (32 octets an entry), far beyond any layer-2 network.
pub const FDB_CAPACITY: RangeInclusive<usize> = 1 << 10..=1 << 24;

/// FDB entries when the file doesn't say.
pub const DEFAULT_FDB_CAPACITY: usize = 1 << 17;

/// Ageing time (IEEE 802.1Q-2022 table 8-6).
pub const AGEING_TIME: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(1_000_000);

/// Ageing time when the file doesn't say (IEEE 802.1Q-2022 table 8-6).
pub const DEFAULT_AGEING_TIME: Duration = Duration::from_secs(300);

/// Characters in a port's or a profile's name: a column of the console's tables, and with a prefix
/// still a DPDK device name.
pub const MAX_NAME_LEN: usize = 32;

/// Queues of a port in one direction: more than workers would never all be polled at once.
pub const QUEUES: RangeInclusive<u16> = 1..=MAX_WORKERS as u16;

/// Descriptors in a ring. Devices clamp further.
pub const RING: RangeInclusive<u16> = 64..=4096;

/// Descriptors in a ring when the file doesn't say.
pub const DEFAULT_RING: u16 = 4096;

/// Addresses of a port besides its device's own: what common NICs filter by.
pub const MAX_MACS: usize = 63;

/// Frames that a worker takes from a queue at once: what vector drivers of NICs deal in at least, which take none
/// when they are asked for fewer, and what stages work on together at most.
pub const RX_BURST: RangeInclusive<u16> = 4..=32;

/// MTU in octets, from what IPv4 demands (RFC 791).
pub const MTU: RangeInclusive<u16> = 68..=MAX_MTU;

/// MTU in octets when the file doesn't say.
pub const DEFAULT_MTU: u16 = 1500;

/// Octets in a socket's path: `sun_path` without its closing NUL.
pub const MAX_SOCKET_PATH_LEN: usize = 107;

/// Octets in a vdev's name: `RTE_DEV_NAME_MAX_LEN` without its closing NUL.
pub const MAX_VDEV_NAME_LEN: usize = 63;

/// Octets in a vdev's name and arguments.
pub const MAX_VDEV_LEN: usize = 1024;

/// The fill of a device's packet buffer at which it pauses its partner, or lets it go on. Only the
/// device knows its size and unit.
pub const PAUSE_FILL: RangeInclusive<u32> = 1..=u32::MAX;

/// For how long a partner is paused, in the time of 512 bits (IEEE 802.3-2022 annex 31B.2); 0 would
/// let it go on.
pub const PAUSE_TIME: RangeInclusive<u16> = 1..=u16::MAX;

/// Traffic classes of a profile.
pub const TRAFFIC_CLASSES: RangeInclusive<usize> = 1..=TrafficClass::COUNT;

/// Weights of classes served by DWRR.
pub const DWRR_WEIGHT: RangeInclusive<u16> = 1..=1000;

/// Rates in bits per second.
pub const BIT_RATE: RangeInclusive<u64> = 64_000..=400_000_000_000;

/// Rates in packets per second.
pub const PACKET_RATE: RangeInclusive<u64> = 100..=1_000_000_000;

/// Bursts of a rate in bits. A bucket smaller than a frame would stop that frame for ever.
pub const BURST: RangeInclusive<Bytes> = Bytes::new(MAX_MTU as u64 + MTU_OVERHEAD as u64)..=Bytes::mib(1024);

/// Bursts of a rate in bits that counts what frames take on a wire.
pub const WIRE_BURST: RangeInclusive<Bytes> =
    Bytes::new(BURST.start().get() + WIRE_OVERHEAD as u64)..=*BURST.end();

/// The least burst of a policer of a VM that leaves frames to be cut: 64 KiB of IP packet, and the headers that
/// its pieces have beside, down to a payload of 536 octets each (RFC 9293 section 3.7.1).
pub const TSO_BURST: Bytes = Bytes::new(80 << 10);

/// Bursts of a rate in packets.
pub const BURST_PACKETS: RangeInclusive<u64> = 1..=1_000_000;

/// What a class's queue at a port can be bound to: from a few of the largest frames to all of a short
/// stop at 100 Gbit/s.
pub const CLASS_QUEUE: RangeInclusive<Bytes> = Bytes::kib(64)..=Bytes::mib(16);

/// What a class's queue at a port is bound to when the file doesn't say.
pub const DEFAULT_CLASS_QUEUE: Bytes = Bytes::kib(256);

/// Average lengths of a queue between which WRED drops some frames.
pub const WRED_LENGTH: RangeInclusive<Bytes> = Bytes::new(0)..=*CLASS_QUEUE.end();

/// Weights of WRED's average.
pub const WRED_WEIGHT: RangeInclusive<u8> = 0..=15;

/// The weight of WRED's average when the file doesn't say.
pub const DEFAULT_WRED_WEIGHT: u8 = 9;

/// The TCP port that metrics are served on, of the loopback address, when the file doesn't say.
pub const DEFAULT_METRICS_PORT: u16 = 9475;

/// Rules of a profile.
pub const MAX_RULES: usize = 1024;

/// Mirrors: what a worker looks through for each burst.
pub const MAX_MIRRORS: usize = 16;

/// Octets of a filter: what DPDK's part of the switch compiles.
pub const MAX_FILTER_LEN: usize = 4096;

/// Octets of a frame that a mirror or a capture takes at most: from a header to the longest that a VM hands over.
pub const SNAP_LENGTH: RangeInclusive<u32> = 14..=262_144;

/// EtherTypes: what is below is a length (IEEE 802.3-2022 clause 3.2.6).
pub const ETHERTYPE: RangeInclusive<u16> = 0x0600..=u16::MAX;

const _: () = assert!(*CORES.end() >= MAX_WORKERS);
const _: () =
    assert!(DEFAULT_FDB_CAPACITY >= *FDB_CAPACITY.start() && DEFAULT_FDB_CAPACITY <= *FDB_CAPACITY.end());
const _: () = assert!(DEFAULT_RING >= *RING.start() && DEFAULT_RING <= *RING.end());
const _: () = assert!(DEFAULT_MTU >= *MTU.start() && DEFAULT_MTU <= *MTU.end());
// A bit rate is kept in octets, and none of them must be 0.
const _: () = assert!(*BIT_RATE.start() >= 8);
const _: () = assert!(BURST.start().get() <= CLASS_QUEUE.start().get());
const _: () = assert!(
    DEFAULT_CLASS_QUEUE.get() >= CLASS_QUEUE.start().get()
        && DEFAULT_CLASS_QUEUE.get() <= CLASS_QUEUE.end().get()
);
const _: () =
    assert!(DEFAULT_WRED_WEIGHT >= *WRED_WEIGHT.start() && DEFAULT_WRED_WEIGHT <= *WRED_WEIGHT.end());
const _: () = assert!(MAX_VDEV_NAME_LEN < MAX_VDEV_LEN);
const _: () = assert!(MAX_NAME_LEN + "net_vhost_".len() <= MAX_VDEV_NAME_LEN);
