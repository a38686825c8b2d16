//! Meters in simulated time: what their rates and bursts let pass.
#![allow(missing_docs)]

mod support;

use dpdk::RateMeter;
use pollux_net::{Colour, Meter, MeterAlgorithm, MeterSpec, RateUnit};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use support::*;

/// 64 kbit/s to 400 Gbit/s in octets.
const OCTET_RATES: [u64; 9] = [
    8_000,
    125_000,
    1_187_500,
    12_500_000,
    125_000_000,
    1_250_000_000,
    3_333_333_333,
    12_500_000_000,
    50_000_000_000,
];
const FRAME_RATES: [u64; 5] = [100, 1_488, 148_809, 14_880_952, 1_000_000_000];
const LENS: [u32; 5] = [64, 594, 1_518, 2_000, 9_018];

fn meter(algorithm: MeterAlgorithm, colour_aware: bool, now: u64) -> RateMeter {
    RateMeter::new(&MeterSpec { algorithm, unit: RateUnit::Octets, colour_aware }, now).unwrap()
}

/// What frames counted of each colour in a time, when the buckets had been emptied before.
struct Passed {
    colours: [u64; Colour::COUNT],
    seconds: f64,
    /// When the last frame came, in cycles.
    end: u64,
}

impl Passed {
    /// Of green frames that count `count` each and come evenly at `offered` a second, more than the meter
    /// lets pass.
    fn of(meter: &mut RateMeter, hz: u64, count: u32, offered: u64) -> Self {
        const TO_EMPTY_BUCKETS: u64 = 200;
        const FRAMES: u64 = 20_000;
        let mut passed = Self { colours: [0; Colour::COUNT], seconds: 0.0, end: 0 };
        let at =
            |n: u64| NOW + (u128::from(n) * u128::from(count) * u128::from(hz) / u128::from(offered)) as u64;
        for n in 0..TO_EMPTY_BUCKETS + FRAMES {
            let colour = meter.colour(at(n), count, Colour::Green);
            passed.colours[colour as usize] += u64::from(n >= TO_EMPTY_BUCKETS) * u64::from(count);
        }
        passed.end = at(TO_EMPTY_BUCKETS + FRAMES - 1);
        passed.seconds = (passed.end - at(TO_EMPTY_BUCKETS - 1)) as f64 / hz as f64;
        passed
    }

    /// That these colours were what `rate` gives, to 0.1 %.
    fn assert(&self, what: &str, colours: &[Colour], rate: u64) {
        let found: u64 = colours.iter().map(|&colour| self.colours[colour as usize]).sum();
        let error = found as f64 / (rate as f64 * self.seconds) - 1.0;
        assert!(error.abs() < 1e-3, "{what}: {colours:?} {found}, {error:.5} off {rate}/s");
    }
}

/// Every rate with every way that frames count at it, and the octets of its frames.
fn rates() -> impl Iterator<Item = (u64, u32, String)> {
    let of_units = |unit: RateUnit, rates: &'static [u64]| {
        rates.iter().flat_map(move |&rate| {
            LENS.map(|len| (rate, unit.count(len), format!("{rate} {unit:?}/s, frames of {len}")))
        })
    };
    of_units(RateUnit::Octets, &OCTET_RATES)
        .chain(of_units(RateUnit::WireOctets, &OCTET_RATES))
        .chain(of_units(RateUnit::Frames, &FRAME_RATES))
}

/// When meters are made, in cycles.
const NOW: u64 = 0x1234_5678_9abc;

#[test]
fn one_rate_lets_its_rate_pass() {
    let eal = eal();
    let hz = eal.tsc_hz();
    for (cir, count, what) in rates() {
        let (cbs, ebs) = (20 * u64::from(count), 10 * u64::from(count));
        let mut meter = meter(MeterAlgorithm::SrTcm { cir, cbs, ebs }, false, NOW);
        let passed = Passed::of(&mut meter, hz, count, cir * 2);
        passed.assert(&what, &[Colour::Green], cir);
        assert_eq!(passed.colours[Colour::Yellow as usize], 0, "{what}: the excess burst has no rate");
        // What stays below the rate is green, once there are tokens again.
        let gap = (u128::from(count) * u128::from(hz) * 1001 / 1000).div_ceil(cir.into()) as u64;
        for n in 2..2000 {
            assert_eq!(meter.colour(passed.end + n * gap, count, Colour::Green), Colour::Green, "{what}");
        }
    }
}

#[test]
fn two_rates_let_theirs_pass() {
    let eal = eal();
    let hz = eal.tsc_hz();
    for (cir, count, what) in rates() {
        let pir = cir * 5 / 3;
        let (cbs, pbs) = (20 * u64::from(count), 30 * u64::from(count));
        let mut meter = meter(MeterAlgorithm::TrTcm { cir, cbs, pir, pbs }, false, NOW);
        let passed = Passed::of(&mut meter, hz, count, cir * 3);
        passed.assert(&what, &[Colour::Green], cir);
        passed.assert(&what, &[Colour::Green, Colour::Yellow], pir);
    }
}

#[test]
fn an_excess_rate_comes_on_top() {
    let eal = eal();
    let hz = eal.tsc_hz();
    for (cir, count, what) in rates() {
        let eir = cir * 2 / 3;
        let (cbs, ebs) = (20 * u64::from(count), 30 * u64::from(count));
        let mut meter = meter(MeterAlgorithm::TrTcm4115 { cir, cbs, eir, ebs }, false, NOW);
        let passed = Passed::of(&mut meter, hz, count, cir * 3);
        passed.assert(&what, &[Colour::Green], cir);
        passed.assert(&what, &[Colour::Yellow], eir);
    }
}

#[test]
fn rates_far_apart_are_both_right() {
    let eal = eal();
    let hz = eal.tsc_hz();
    let count = 1518;
    let burst = 20 * u64::from(count);
    for low in OCTET_RATES {
        for high in OCTET_RATES.into_iter().filter(|&high| high > low * 2) {
            let what = format!("{low} beside {high}");
            let both = [Colour::Green, Colour::Yellow];
            let two = MeterAlgorithm::TrTcm { cir: low, cbs: burst, pir: high, pbs: burst };
            let passed = Passed::of(&mut meter(two, false, NOW), hz, count, high * 2);
            passed.assert(&what, &both, high);
            // Frames slow enough for the lower rate to show.
            let passed = Passed::of(&mut meter(two, false, NOW), hz, count, low * 2);
            passed.assert(&what, &[Colour::Green], low);
            passed.assert(&what, &both, low * 2);
            let excess = MeterAlgorithm::TrTcm4115 { cir: low, cbs: burst, eir: high, ebs: burst };
            let passed = Passed::of(&mut meter(excess, false, NOW), hz, count, high * 2);
            passed.assert(&what, &[Colour::Yellow], high);
            let passed = Passed::of(&mut meter(excess, false, NOW), hz, count, low * 2);
            passed.assert(&what, &[Colour::Green], low);
            let excess = MeterAlgorithm::TrTcm4115 { cir: high, cbs: burst, eir: low, ebs: burst };
            let passed = Passed::of(&mut meter(excess, false, NOW), hz, count, high * 2);
            passed.assert(&what, &[Colour::Green], high);
        }
    }
}

/// Frames: cycles since the one before, what each counts, the colour that it comes with.
type Arrivals = Vec<(u64, u32, Colour)>;

fn algorithm() -> impl Strategy<Value = MeterAlgorithm> {
    let rate = || prop_oneof![select(&OCTET_RATES[..]), 1_000..50_000_000_000_u64];
    let burst = || prop_oneof![64..2_000_u64, 2_000..100_000_u64];
    let srtcm = (rate(), burst(), prop_oneof![Just(0), burst()])
        .prop_map(|(cir, cbs, ebs)| MeterAlgorithm::SrTcm { cir, cbs, ebs });
    let trtcm = (rate(), burst(), rate(), burst()).prop_map(|(a, cbs, b, pbs)| MeterAlgorithm::TrTcm {
        cir: a.min(b),
        cbs,
        pir: a.max(b),
        pbs,
    });
    let excess = (prop_oneof![Just(0), rate()], burst(), prop_oneof![Just(0), rate()], burst())
        .prop_map(|(cir, cbs, eir, ebs)| MeterAlgorithm::TrTcm4115 { cir, cbs, eir, ebs });
    prop_oneof![srtcm, trtcm, excess]
}

fn arrivals() -> impl Strategy<Value = Arrivals> {
    // Bursts and pauses, from what 400 Gbit/s has between frames to seconds.
    let gap = prop_oneof![Just(0), 0..100_u64, 0..10_000_u64, 0..10_000_000_u64, 0..10_000_000_000_u64];
    let colour = select(Colour::ALL.to_vec());
    prop::collection::vec((gap, 64..9_019_u32, colour), 1..150)
}

/// What each algorithm bounds: colours, a burst and a rate.
fn bounds(algorithm: &MeterAlgorithm) -> Vec<(&'static [Colour], u64, u64)> {
    const GREEN: &[Colour] = &[Colour::Green];
    const YELLOW: &[Colour] = &[Colour::Yellow];
    const BOTH: &[Colour] = &[Colour::Green, Colour::Yellow];
    match *algorithm {
        MeterAlgorithm::SrTcm { cir, cbs, ebs } => vec![(GREEN, cbs, cir), (BOTH, cbs + ebs, cir)],
        MeterAlgorithm::TrTcm { cir, cbs, pir, pbs } => vec![(GREEN, cbs, cir), (BOTH, pbs, pir)],
        MeterAlgorithm::TrTcm4115 { cir, cbs, eir, ebs } => vec![(GREEN, cbs, cir), (YELLOW, ebs, eir)],
    }
}

fn run<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut runner = TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() });
    runner.run(&strategy, test).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn no_window_has_more_than_a_burst_and_what_the_rate_gives() {
    let eal = eal();
    let hz = u128::from(eal.tsc_hz());
    run((algorithm(), arrivals(), any::<bool>()), |(algorithm, arrivals, aware)| {
        let mut meter = meter(algorithm, aware, NOW);
        let mut now = NOW;
        let mut seen = Vec::new();
        for (gap, count, before) in arrivals {
            now += gap;
            seen.push((now, count, meter.colour(now, count, before)));
        }
        for (colours, burst, rate) in bounds(&algorithm) {
            for (n, &(from, ..)) in seen.iter().enumerate() {
                let mut sum = 0_u128;
                for &(to, count, colour) in &seen[n..] {
                    sum += u128::from(count) * u128::from(colours.contains(&colour));
                    // Tokens are whole: the first of them may have been due.
                    let most =
                        u128::from(burst) + (u128::from(rate) * u128::from(to - from)).div_ceil(hz) + 1;
                    prop_assert!(sum <= most, "{colours:?} from {from} to {to}: {sum}, at most {most}");
                }
            }
        }
        Ok(())
    });
}

#[test]
fn colours_count_only_where_the_meter_is_aware() {
    let _eal = eal();
    run((algorithm(), arrivals()), |(algorithm, arrivals)| {
        let [mut aware, mut blind, mut green] =
            [true, false, false].map(|aware| meter(algorithm, aware, NOW));
        let mut now = NOW;
        for &(gap, count, before) in &arrivals {
            now += gap;
            prop_assert!(aware.colour(now, count, before) >= before, "never better than before");
            prop_assert_eq!(
                blind.colour(now, count, before),
                green.colour(now, count, Colour::Green),
                "blind to {:?}",
                before
            );
        }
        // What came red took nothing of what is left for green.
        let [mut with, mut without] = [(); 2].map(|()| meter(algorithm, true, NOW));
        let mut now = NOW;
        for &(gap, count, before) in &arrivals {
            now += gap;
            with.colour(now, count, Colour::Red);
            if before == Colour::Green {
                prop_assert_eq!(with.colour(now, count, before), without.colour(now, count, before));
            }
        }
        Ok(())
    });
}

#[test]
fn time_that_goes_backwards_stands_still() {
    let _eal = eal();
    let times = prop::collection::vec((-1_000_000_000..1_000_000_000_i64, 64..2_000_u32), 1..200);
    run((algorithm(), times), |(algorithm, times)| {
        let [mut back, mut still] = [(); 2].map(|()| meter(algorithm, false, NOW));
        let (mut now, mut latest) = (NOW, NOW);
        for (step, count) in times {
            now = now.saturating_add_signed(step);
            latest = latest.max(now);
            prop_assert_eq!(
                back.colour(now, count, Colour::Green),
                still.colour(latest, count, Colour::Green)
            );
        }
        Ok(())
    });
}

#[test]
fn a_pause_of_years_fills_the_buckets() {
    let eal = eal();
    for cir in OCTET_RATES {
        let spec = MeterAlgorithm::TrTcm { cir, cbs: 15_000, pir: cir, pbs: 15_000 };
        let mut meter = meter(spec, false, 0);
        let year = eal.tsc_hz() * 31_557_600;
        // A whole number of times that what the library counts wraps is the worst of pauses.
        for now in [0, year, year + (1 << 60), u64::MAX] {
            let green = (0..20).filter(|_| meter.colour(now, 1500, Colour::Green) == Colour::Green).count();
            assert_eq!(green, 10, "{cir} at {now}");
        }
    }
}

#[test]
fn what_makes_no_meter_is_refused() {
    let spec = |algorithm| MeterSpec { algorithm, unit: RateUnit::Frames, colour_aware: true };
    let right = spec(MeterAlgorithm::SrTcm { cir: 1, cbs: 1, ebs: 0 });
    let error = RateMeter::new(&right, 0).unwrap_err();
    assert!(error.to_string().contains("started before"), "{error}");
    let _eal = eal();
    RateMeter::new(&right, 0).unwrap();
    for (algorithm, says) in [
        (MeterAlgorithm::SrTcm { cir: 0, cbs: 1, ebs: 1 }, "give a rate"),
        (MeterAlgorithm::SrTcm { cir: 1, cbs: 0, ebs: 0 }, "a burst"),
        (MeterAlgorithm::TrTcm { cir: 2, cbs: 1, pir: 1, pbs: 1 }, "at least the committed one"),
        (MeterAlgorithm::TrTcm { cir: 0, cbs: 1, pir: 1, pbs: 1 }, "two rates"),
        (MeterAlgorithm::TrTcm4115 { cir: 1, cbs: 0, eir: 0, ebs: 0 }, "each rate a burst"),
    ] {
        let error = RateMeter::new(&spec(algorithm), 0).unwrap_err();
        assert_eq!(error.errno(), libc::EINVAL);
        assert!(error.to_string().contains(says), "{error}");
    }
    // Rates and bursts beyond everything are no trouble.
    let most = u64::MAX;
    for algorithm in [
        MeterAlgorithm::SrTcm { cir: most, cbs: most, ebs: most },
        MeterAlgorithm::TrTcm { cir: 1, cbs: most, pir: most, pbs: most },
        MeterAlgorithm::TrTcm4115 { cir: most, cbs: most, eir: 1, ebs: most },
    ] {
        let mut meter = RateMeter::new(&spec(algorithm), 0).unwrap();
        for now in [0, 1, u64::MAX / 2, u64::MAX, 0] {
            assert_eq!(meter.colour(now, u32::MAX, Colour::Green), Colour::Green);
        }
    }
}
