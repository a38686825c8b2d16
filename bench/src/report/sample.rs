//! A report with one of everything, for tests: five systems, nine sizes, and figures as a machine would give them.

use std::collections::BTreeMap;

use crate::lab::name::stations;
use crate::tester::protocol::{
    Latency, Order, Outcome, Payload, PortOutcome, Rate, Sizes, Stream, StreamOutcome, Target, TesterLoad,
    Trial,
};

use super::model::{
    Axis, Better, Curve, Environment, FORMAT, FactGroup, Figure, Measurement, Report, Sample, SelfTest,
    SystemRecord, TrialRecord, Unit,
};

const SIZES: [&str; 9] = ["64B", "128B", "256B", "512B", "1024B", "1280B", "1518B", "9000B", "imix"];
const OCTETS: [f64; 9] = [64.0, 128.0, 256.0, 512.0, 1024.0, 1280.0, 1518.0, 9000.0, 362.0];
const ROUNDS: u32 = 3;

/// A system as it might be: cycles a frame and an octet, and what a thousand flows cost it more.
struct Character {
    id: &'static str,
    name: &'static str,
    version: &'static str,
    fixed: f64,
    octet: f64,
    flows: f64,
    latency: f64,
}

const CHARACTERS: [Character; 5] = [
    Character {
        id: "pollux",
        name: "Pollux",
        version: "0.1.0 (191f781)",
        fixed: 205.0,
        octet: 0.082,
        flows: 4.0,
        latency: 9_800.0,
    },
    Character {
        id: "testpmd-io",
        name: "testpmd (io)",
        version: "DPDK 22.11.11",
        fixed: 232.0,
        octet: 0.083,
        flows: 1.0,
        latency: 10_900.0,
    },
    Character {
        id: "testpmd-mac",
        name: "testpmd (mac)",
        version: "DPDK 22.11.11",
        fixed: 271.0,
        octet: 0.083,
        flows: 2.0,
        latency: 11_700.0,
    },
    Character {
        id: "ovs",
        name: "Open vSwitch",
        version: "3.1.0",
        fixed: 398.0,
        octet: 0.09,
        flows: 290.0,
        latency: 17_500.0,
    },
    Character {
        id: "bridge",
        name: "Linux bridge",
        version: "6.1.0-25-amd64",
        fixed: 5_400.0,
        octet: 0.31,
        flows: 90.0,
        latency: 88_000.0,
    },
];

impl Character {
    /// Frames a second at best.
    fn rate(&self, octets: f64, flows: u32) -> f64 {
        2.6e9 / (self.fixed + self.octet * octets + self.flows * f64::from(flows.ilog10()))
    }
}

/// The same wavering at every run: a share between -1 and 1.
fn waver(seed: u64) -> f64 {
    let mixed = (seed.wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 40) as f64 / f64::from(1 << 23) - 1.0
}

fn figure(name: &str, unit: Unit, better: Option<Better>, value: f64, spread: f64) -> Figure {
    let seed = name.bytes().fold(value.to_bits(), |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let rounds = (0..ROUNDS).map(|round| Sample {
        round,
        value: value * (1.0 + spread * waver(seed ^ u64::from(round))),
        disturbed: false,
        tester_limited: false,
    });
    Figure { name: name.to_owned(), unit, better, rounds: rounds.collect(), expected: None }
}

fn higher(name: &str, unit: Unit, value: f64) -> Figure {
    figure(name, unit, Some(Better::Higher), value, 0.02)
}

fn lower(name: &str, unit: Unit, value: f64) -> Figure {
    figure(name, unit, Some(Better::Lower), value, 0.06)
}

fn axis(label: &str, unit: Unit, logarithmic: bool) -> Axis {
    Axis { label: label.to_owned(), unit, logarithmic }
}

/// A test's measurement of a system, without figures yet.
fn measurement(
    test: &str,
    standard: &str,
    system: &str,
    topology: &str,
    size: &str,
    flows: u32,
) -> Measurement {
    let stations = stations(flows);
    Measurement {
        name: format!("{size}-1c-{topology}-l2-{stations}-{test}"),
        test: test.to_owned(),
        standard: standard.to_owned(),
        system: system.to_owned(),
        topology: topology.to_owned(),
        size: size.to_owned(),
        flows,
        cores: 1,
        not_done: None,
        figures: Vec::new(),
        curves: Vec::new(),
        notes: Vec::new(),
        trials: Vec::new(),
    }
}

fn distribution(median: f64) -> Vec<(f64, f64)> {
    (0..60)
        .map(|step| {
            let share = 1.0 - 10f64.powf(-f64::from(step) / 14.0);
            let tail = 0.55 + 0.9 * share + 0.35 * (f64::from(step) / 14.0).powi(2);
            (median * tail, share)
        })
        .collect()
}

fn trial_record(system: &Character, octets: f64, round: u32) -> TrialRecord {
    let rate = system.rate(octets, 1);
    let stream = Stream {
        name: "0 to 1".to_owned(),
        from: 0,
        to: Target::Port(1),
        sizes: Sizes::Only(octets as u16),
        tag: None,
        payload: Payload::Udp,
        flows: 1,
        first_station: 0,
        stations: Default::default(),
        order: Order::Sequential,
        rate: Rate::Frames(rate.round()),
        frames: None,
    };
    let trial = Trial {
        streams: vec![stream],
        learn: None,
        warm_up: 0.1,
        seconds: 0.5,
        drain: 0.2,
        latency: true,
        interval: None,
        takes: Default::default(),
    };
    let frames = (rate * 0.5) as u64;
    let latency = Latency {
        frames,
        min: 4_100.0,
        mean: system.latency * 1.1,
        p50: system.latency,
        p90: system.latency * 1.6,
        p99: system.latency * 2.2,
        p99_9: system.latency * 4.0,
        p99_99: system.latency * 9.0,
        max: system.latency * 21.0,
        distribution: distribution(system.latency),
    };
    let stream = StreamOutcome {
        name: "0 to 1".to_owned(),
        intended: frames,
        offered: frames,
        received: frames,
        sent: frames,
        forwarding_rate: rate,
        latency: Some(latency),
        ..StreamOutcome::default()
    };
    let port = PortOutcome { sent: frames, ..PortOutcome::default() };
    let outcome = Outcome {
        seconds: 0.5,
        streams: vec![stream],
        ports: vec![port, PortOutcome { received: frames, ..PortOutcome::default() }],
        tester: TesterLoad { busy: 0.6, blocked: 0.1, cpu_share: 1.0, ..TesterLoad::default() },
    };
    TrialRecord {
        round,
        purpose: "the rate at which nothing is lost".to_owned(),
        at: 12.5 + f64::from(round) * 300.0,
        trial,
        outcome,
        worker_share: Some(0.999),
        counters: BTreeMap::from([("rx_packets".to_owned(), frames), ("tx_packets".to_owned(), frames)]),
    }
}

/// No-drop and partial-drop rate and what comes out at full load.
fn rates(system: &Character, size: &str, octets: f64, flows: u32) -> Measurement {
    let mut found = measurement("ndr", "RFC 2544, 26.1", system.id, "vhost-vhost", size, flows);
    let rate = system.rate(octets, flows);
    found.figures = vec![
        figure("ndr", Unit::FramesPerSecond, Some(Better::Higher), rate * 0.93, 0.05),
        higher("pdr", Unit::FramesPerSecond, rate * 0.97),
        higher("forwarding_rate", Unit::FramesPerSecond, rate),
    ];
    if size == "9000B" && system.id.starts_with("testpmd") {
        for figure in &mut found.figures {
            figure.rounds.iter_mut().for_each(|sample| sample.tester_limited = true);
        }
    }
    if size == "256B" && system.id == "ovs" {
        found.figures[0].rounds[1].disturbed = true;
        found.figures[0].rounds[1].value *= 0.4;
        found.notes.push("Something else had the worker's CPU for 18 % of round 2.".to_owned());
    }
    if size == "64B" {
        found.trials = (0..ROUNDS).map(|round| trial_record(system, octets, round)).collect();
    }
    found
}

fn latency(system: &Character, size: &str, octets: f64) -> Measurement {
    let mut found = measurement("latency", "RFC 2544, 26.2", system.id, "vhost-vhost", size, 1);
    for (load, factor) in [(10, 0.55), (50, 0.7), (90, 1.0), (100, 1.9)] {
        let median = system.latency * factor * (1.0 + octets / 9000.0);
        for (name, times) in
            [("p50", 1.0), ("p90", 1.5), ("p99", 2.1), ("p99_9", 4.0), ("p99_99", 8.5), ("max", 19.0)]
        {
            found.figures.push(lower(
                &format!("latency_{name}_at_{load}"),
                Unit::Nanoseconds,
                median * times,
            ));
        }
        found.curves.push(Curve {
            name: format!("latency_at_{load}"),
            x: axis("latency", Unit::Nanoseconds, true),
            y: axis("share of frames", Unit::Share, false),
            round: 0,
            points: distribution(median),
        });
    }
    found
}

fn loss(system: &Character, size: &str, octets: f64) -> Measurement {
    let mut found = measurement("loss", "RFC 2544, 26.3", system.id, "vhost-vhost", size, 1);
    let best = system.rate(octets, 1);
    let most = CHARACTERS[0].rate(octets, 1) * 1.25;
    for round in 0..ROUNDS {
        let points = (1..=10).map(|tenth| {
            let rate = most * f64::from(tenth) / 10.0;
            (rate, (1.0 - best * (1.0 + 0.01 * waver(u64::from(round))) / rate).max(0.0))
        });
        found.curves.push(Curve {
            name: "loss".to_owned(),
            x: axis("offered rate", Unit::FramesPerSecond, false),
            y: axis("frames lost", Unit::Share, false),
            round,
            points: points.collect(),
        });
    }
    found
}

/// Frames that came in each interval around a failure.
fn outage(system: &Character, test: &str, standard: &str, seconds: f64) -> Measurement {
    let mut found = measurement(test, standard, system.id, "vhost-vhost", "64B", 1);
    found.figures.push(lower(&format!("{test}_time"), Unit::Seconds, seconds));
    let rate = system.rate(64.0, 1) * 0.5;
    let points = (0..100).map(|step| {
        let at = f64::from(step) * 0.05;
        (at, if at > 1.0 && at < 1.0 + seconds { 0.0 } else { rate * (1.0 + 0.01 * waver(step as u64)) })
    });
    found.curves.push(Curve {
        name: "received".to_owned(),
        x: axis("time", Unit::Seconds, false),
        y: axis("frames received", Unit::FramesPerSecond, false),
        round: 0,
        points: points.collect(),
    });
    found
}

fn shares(system: &Character) -> Measurement {
    let mut found = measurement("shares", "IEEE 802.1Q-2022, 8.6.8", system.id, "vhost-vhost", "512B", 8);
    if system.id != "pollux" {
        found.not_done = Some("Queues are set for Pollux only.".to_owned());
        return found;
    }
    for (class, weight) in [(0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (4, 4.0), (5, 8.0)] {
        let mut share = figure(&format!("share_class_{class}"), Unit::Share, None, weight / 20.0, 0.01);
        share.expected = Some(weight / 20.0);
        found.figures.push(share);
    }
    for round in 0..ROUNDS {
        found.curves.push(Curve {
            name: "queue_shares".to_owned(),
            x: axis("traffic class", Unit::Frames, false),
            y: axis("share of frames", Unit::Share, false),
            round,
            points: found
                .figures
                .iter()
                .zip(0u8..)
                .map(|(it, class)| (class.into(), it.rounds[0].value))
                .collect(),
        });
    }
    found
}

/// Tests with a few figures each.
fn others(system: &Character, report: &mut Vec<Measurement>) {
    let rate = system.rate(64.0, 1);
    let mut add = |test: &str, standard: &str, topology: &str, figures: Vec<Figure>| {
        let mut found = measurement(test, standard, system.id, topology, "64B", 1);
        found.figures = figures;
        report.push(found);
    };
    add(
        "back-to-back",
        "RFC 9004, 6",
        "vhost-vhost",
        vec![higher("burst", Unit::Frames, rate / 900.0), higher("buffer_time", Unit::Seconds, 0.0004)],
    );
    add(
        "mesh",
        "RFC 2889, 5.1",
        "4vhost",
        vec![higher("forwarding_rate", Unit::FramesPerSecond, rate * 0.8)],
    );
    add(
        "partial",
        "RFC 2889, 5.3",
        "4vhost",
        vec![higher("forwarding_rate", Unit::FramesPerSecond, rate * 0.85)],
    );
    add(
        "pressure",
        "RFC 2889, 5.6",
        "vhost-vhost",
        vec![
            higher("forwarding_rate", Unit::FramesPerSecond, rate * 0.99),
            figure("pressure", Unit::Frames, None, 0.0, 0.0),
        ],
    );
    add(
        "congestion",
        "RFC 2889, 5.5",
        "4vhost",
        vec![
            lower("uncongested_loss", Unit::Share, if system.id == "ovs" { 0.12 } else { 0.0 }),
            figure(
                "head_of_line_blocking",
                Unit::Share,
                Some(Better::Lower),
                if system.id == "ovs" { 1.0 } else { 0.0 },
                0.0,
            ),
        ],
    );
    add(
        "broadcast",
        "RFC 2889, 5.10",
        "4vhost",
        vec![
            higher("forwarding_rate", Unit::FramesPerSecond, rate * 0.3),
            lower("latency_p50", Unit::Nanoseconds, system.latency * 1.7),
        ],
    );
    add(
        "errored",
        "RFC 2889, 5.9",
        "vhost-vhost",
        vec![figure("forwarded", Unit::Frames, Some(Better::Lower), 0.0, 0.0)],
    );
    add("soak", "TST009, 12.4", "vhost-vhost", vec![lower("loss", Unit::Share, 0.000_001_2)]);
    add(
        "coupling",
        "none",
        "vhost-vhost",
        vec![higher("changes", Unit::ChangesPerSecond, 1000.0), lower("loss", Unit::Share, 0.0)],
    );

    let mut capacity = measurement("addresses", "RFC 2889, 5.7", system.id, "3vhost", "64B", 1);
    let mut learning = measurement("learning", "RFC 2889, 5.8", system.id, "3vhost", "64B", 1);
    if system.id.starts_with("testpmd") {
        for it in [&mut capacity, &mut learning] {
            it.not_done = Some("testpmd learns no addresses.".to_owned());
        }
    } else {
        let mut found = figure("address_capacity", Unit::Addresses, Some(Better::Higher), 131_072.0, 0.0);
        found.expected = Some(131_072.0);
        capacity.figures.push(found);
        learning.figures.push(higher("learning_rate", Unit::AddressesPerSecond, rate / 4.0));
    }
    report.extend([capacity, learning]);
}

fn fact(what: &str, value: &str) -> (String, String) {
    (what.to_owned(), value.to_owned())
}

/// The report.
pub(crate) fn sample() -> Report {
    let mut measurements = Vec::new();
    for system in &CHARACTERS {
        for (size, octets) in SIZES.into_iter().zip(OCTETS) {
            measurements.push(rates(system, size, octets, 1));
            measurements.push(latency(system, size, octets));
        }
        for flows in [10, 100, 1000, 10_000, 100_000] {
            measurements.push(rates(system, "64B", 64.0, flows));
        }
        for (size, octets) in [("64B", 64.0), ("512B", 512.0), ("1518B", 1518.0)] {
            measurements.push(loss(system, size, octets));
        }
        let slowness = system.fixed / 2000.0;
        measurements.push(outage(system, "recovery", "RFC 2544, 26.5", 0.05 + slowness / 10.0));
        measurements.push(outage(system, "reset", "RFC 6201, 4.2", 0.3 + slowness));
        measurements.push(shares(system));
        others(system, &mut measurements);
    }
    let self_test = SIZES.into_iter().zip(OCTETS).map(|(size, octets)| SelfTest {
        size: size.to_owned(),
        send_rate: 2.6e9 / (62.0 + 0.05 * octets),
        receive_rate: 2.6e9 / (71.0 + 0.05 * octets),
        both_rate: 2.6e9 / (131.0 + 0.077 * octets),
        both_busy: 0.97,
        capability: 2.6e9 / (131.0 + 0.077 * octets) / 0.97,
        latency_p50: Some(2_150.0),
        trials: Vec::new(),
    });
    Report {
        format: FORMAT,
        title: "Five switches between two vhost-user ports".to_owned(),
        started: "2026-12-01T08:12:09Z".to_owned(),
        ended: "2026-12-01T08:35:41Z".to_owned(),
        complete: false,
        cut_short: Some("Interrupted after 201 of 204 measurements.".to_owned()),
        short: true,
        command: ["pollux", "bench", "lab", "--short", "--json", "report.json"].map(str::to_owned).to_vec(),
        environment: Environment {
            groups: vec![
                FactGroup {
                    name: "Processor".to_owned(),
                    facts: vec![
                        fact("model", "Intel(R) Xeon(R) Platinum 8488C"),
                        fact("cores", "2, in one socket; one thread each"),
                        fact("time stamp counter", "2.600 GHz"),
                        fact("L3", "105 MiB"),
                    ],
                },
                FactGroup {
                    name: "Kernel".to_owned(),
                    facts: vec![
                        fact("release", "6.1.0-25-amd64"),
                        fact("command line", "BOOT_IMAGE=/boot/vmlinuz-6.1.0-25-amd64 root=/dev/vda1 ro console=ttyS0,115200 net.ifnames=0"),
                        fact("isolated CPUs", "none"),
                        fact("hypervisor", "KVM"),
                    ],
                },
                FactGroup {
                    name: "Memory".to_owned(),
                    facts: vec![fact("hugepages", "1024 of 2 MiB"), fact("transparent", "madvise")],
                },
                FactGroup {
                    name: "Tester".to_owned(),
                    facts: vec![fact("DPDK", "22.11.11"), fact("ring", "1024 descriptors"), fact("offloads", "none")],
                },
            ],
            cautions: vec![
                "The CPUs are a hypervisor's: somebody else may take their time, and what takes it isn't seen.".to_owned(),
                "CPU 1 isn't isolated (isolcpus): the kernel's own work runs there too.".to_owned(),
            ],
        },
        self_test: self_test.collect(),
        systems: CHARACTERS
            .iter()
            .map(|system| SystemRecord {
                id: system.id.to_owned(),
                name: system.name.to_owned(),
                version: system.version.to_owned(),
                settings: vec![fact("cores", "1"), fact("ring", "1024"), fact("memory", "hugepages")],
            })
            .collect(),
        measurements,
    }
}

/// The same another day, as `change` makes each value of a figure of a system.
pub(crate) fn changed(change: impl Fn(&Measurement, &Figure, f64) -> f64) -> Report {
    let mut report = sample();
    for measurement in &mut report.measurements {
        for place in 0..measurement.figures.len() {
            let before = measurement.figures[place].clone();
            let changed: Vec<f64> =
                before.rounds.iter().map(|sample| change(measurement, &before, sample.value)).collect();
            for (sample, value) in measurement.figures[place].rounds.iter_mut().zip(changed) {
                sample.value = value;
            }
        }
    }
    report
}
