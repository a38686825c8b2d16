//! Numbers for tests: no count is another's.

use std::time::Duration;

use pollux_engine::{Accounting, PortTotals, REASONS};

use crate::control::{
    BurstCount, ClassDrops, ClassState, Colours, FdbNumbers, Numbers, PolicerState, PoolNumbers, PortNumbers,
    PortQosState, RateState, RestState, RuleState, RxQueueState, VmNumbers, WorkerState,
};

fn totals(from: u64) -> PortTotals {
    PortTotals {
        rx_frames: from,
        rx_bytes: from + 1,
        tx_frames: from + 2,
        tx_bytes: from + 3,
        replicated: from + 4,
        drops: std::array::from_fn::<_, REASONS, _>(|place| from + 5 + place as u64),
    }
}

/// A switch with a VM and a NIC, the former with priorities.
pub(super) fn numbers() -> Numbers {
    let rate = RateState { per_second: 1000, burst: 100, unit: "octets" };
    let vm = VmNumbers {
        connected: Some(Duration::from_millis(2_500)),
        reconnects: 7,
        last_outage: Some(Duration::from_millis(125)),
    };
    let port = |name: &str, from, vm| PortNumbers {
        name: name.to_owned(),
        totals: totals(from),
        device: Some(dpdk::PortStats { rx_missed: from + 50, ..Default::default() }),
        link: dpdk::Link { up: true, mbps: Some(10_000), full_duplex: true, autoneg: false },
        mtu: 1500,
        addresses: 3,
        resets: 28,
        vm,
    };
    let class = ClassState {
        class: 7,
        served: "strict".to_owned(),
        min_rate: None,
        max_rate: None,
        queue_octets: 262_144,
        waiting_frames: 11,
        waiting_octets: 12,
        most_octets: 13,
        queued_frames: 14,
        sent_frames: 15,
        sent_octets: 16,
        rate_in_frames: 0,
        rate_in_octets: 0,
        rate_out_octets: 0,
        drops: ClassDrops { queue_full: 17, wred: 18, tx_full: 19, port_down: 20 },
        sojourn_median_us: 1.5,
        sojourn_p99_us: 250.0,
        sojourn_max_us: 1_000_000.0,
    };
    let policer = PolicerState {
        of: "rule voice".to_owned(),
        algorithm: "srtcm",
        committed: rate,
        other: None,
        frames: Colours { green: 21, yellow: 22, red: 23 },
        octets: Colours { green: 24, yellow: 25, red: 26 },
        passed_frames_per_second: 0,
        passed_octets_per_second: 0,
    };
    let qos = PortQosState {
        port: "vm1".to_owned(),
        profile: Some("gold".to_owned()),
        trust: "pcp",
        default_pcp: 0,
        traffic_classes: 8,
        policers: vec![policer],
        rules: vec![RuleState { name: "voice".to_owned(), hits: 27 }],
        shaper: Some(rate),
        sent_octets_per_second: 0,
        classes: vec![class],
    };
    let worker = WorkerState {
        worker: 0,
        cpu: 3,
        socket: 0,
        tsc_hz: 1_000_000_000,
        rounds: 41,
        idle_rounds: 42,
        busy_cycles: 43,
        idle_cycles: 44,
        asleep_cycles: 45,
        sleeps: 46,
        interrupts: 47,
        load: 0.5,
        frames: 40,
        frames_per_burst: 10.0,
        bursts: vec![
            BurstCount { least: 1, most: 7, bursts: 3 },
            BurstCount { least: 8, most: 32, bursts: 1 },
        ],
        stuck_seconds: 0.0,
        rest: RestState { mode: "never", why: None },
        queues: vec![RxQueueState {
            port: "uplink".to_owned(),
            queue: 2,
            frames: 48,
            bursts: 49,
            cycles: 50,
            share: 0.25,
            fill: Some(51),
        }],
    };
    Numbers {
        dpdk: "DPDK \"22.11\"\\\n".to_owned(),
        uptime: Duration::from_millis(1_250),
        is_healthy: true,
        is_ready: true,
        workers: vec![worker],
        accounting: Accounting { rx: 31, replicated: 32, tx: 33, dropped: 29, queued: 1 },
        ports: vec![port("vm1", 100, Some(vm)), port("uplink", 200, None)],
        departed: totals(300),
        qos: vec![qos],
        fdb: FdbNumbers { capacity: 1024, entries: 5, statics: 2, ..Default::default() },
        pools: vec![PoolNumbers { socket: 0, mbufs: 8192, in_use: 4096 }],
    }
}
