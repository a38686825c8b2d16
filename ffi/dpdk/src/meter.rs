//! Token buckets that colour frames, over DPDK's metering library.

use dpdk_sys as sys;
use pollux_net::{Colour, Meter, MeterAlgorithm, MeterSpec};

use crate::error::{Error, Result, check};

/// A meter, exact to less than 0.01 % of its rates up to terabits a second, however far apart they are. It
/// never lets more pass than a burst and what the rate gives.
///
/// The library adds tokens a period at a time, and takes periods in whole cycles of the time stamp counter.
/// At the rates of NICs these are few, and what is cut off of a period would show: so this counts time in
/// parts of a cycle, as fine as the meter's higher rate needs.
#[derive(Debug)]
pub struct RateMeter {
    buckets: Buckets,
    colour_aware: bool,
    /// A cycle has two to the power of this many of the meter's ticks.
    shift: u32,
    /// Ticks since the meter was made; only differences count, so it may wrap.
    ticks: u64,
    /// The latest time, in cycles.
    latest: u64,
}

#[derive(Debug)]
enum Buckets {
    SrTcm(sys::rte_meter_srtcm, sys::rte_meter_srtcm_profile),
    TrTcm(sys::rte_meter_trtcm, sys::rte_meter_trtcm_profile),
    TrTcm4115(sys::rte_meter_trtcm_rfc4115, sys::rte_meter_trtcm_rfc4115_profile),
}

/// Ticks of the shortest period, so that rounding it up changes the rate by less than 0.01 %.
const MIN_PERIOD: u128 = 1 << 14;

/// The most that a cycle is divided into: enough for 10^12 tokens a second, and the meter's time still
/// wraps after hours only.
const MAX_SHIFT: u32 = 24;

/// No burst is larger, so that no sum of tokens overflows.
const MAX_BURST: u64 = 1 << 62;

impl RateMeter {
    /// A meter with full buckets at `now_cycles`, as [`colour`](Meter::colour) has the time. What it counts
    /// in is the caller's to know.
    ///
    /// # Errors
    ///
    /// Rates or bursts of zero where the algorithm needs some; a peak rate below the committed one; DPDK
    /// wasn't started, whose clock it is.
    pub fn new(spec: &MeterSpec, now_cycles: u64) -> Result<Self> {
        // SAFETY: reads a variable, which is 0 until rte_eal_init sets it.
        let hz = unsafe { sys::shim_tsc_hz() };
        if hz == 0 {
            let message = "DPDK must be started before";
            return Err(Error::refused("rte_get_tsc_hz", "a meter", libc::EAGAIN, message));
        }
        let shift = match spec.algorithm {
            MeterAlgorithm::SrTcm { cir, .. } => shift(hz, cir),
            MeterAlgorithm::TrTcm { cir, pir, .. } => shift(hz, cir.max(pir)),
            MeterAlgorithm::TrTcm4115 { cir, eir, .. } => shift(hz, cir.max(eir)),
        };
        let buckets = Buckets::new(&spec.algorithm, hz, shift)?;
        Ok(Self { buckets, colour_aware: spec.colour_aware, shift, ticks: 0, latest: now_cycles })
    }
}

impl Meter for RateMeter {
    #[inline]
    fn colour(&mut self, now_cycles: u64, count: u32, colour: Colour) -> Colour {
        // To the library, time that goes backwards or overflows has leapt ahead.
        let cycles = now_cycles.saturating_sub(self.latest).min(u64::MAX >> 1 >> self.shift);
        self.latest = self.latest.max(now_cycles);
        self.ticks = self.ticks.wrapping_add(cycles << self.shift);
        // What comes green is coloured as if it had no colour.
        let colour = if self.colour_aware { colour } else { Colour::Green };
        let found = self.buckets.colour(self.ticks, count, colour as u32);
        match found {
            sys::SHIM_COLOUR_GREEN => Colour::Green,
            sys::SHIM_COLOUR_YELLOW => Colour::Yellow,
            _ => Colour::Red,
        }
    }
}

const _: () = {
    assert!(Colour::Green as u32 == sys::SHIM_COLOUR_GREEN);
    assert!(Colour::Yellow as u32 == sys::SHIM_COLOUR_YELLOW);
    assert!(Colour::Red as u32 == sys::SHIM_COLOUR_RED);
};

impl Buckets {
    /// Full, at tick 0. The library checks what is asked for and fills in a profile, whose periods are then
    /// set anew.
    fn new(algorithm: &MeterAlgorithm, hz: u64, shift: u32) -> Result<Self> {
        let checked = |call, ret| check(call, &format!("{algorithm:?}"), ret);
        match *algorithm {
            MeterAlgorithm::SrTcm { cir, cbs, ebs } => {
                let (cbs, ebs) = (cbs.min(MAX_BURST), ebs.min(MAX_BURST));
                let mut params = sys::rte_meter_srtcm_params { cir, cbs, ebs };
                let mut profile = sys::rte_meter_srtcm_profile::default();
                // SAFETY: reads `params` and writes `profile`.
                let ret = unsafe { sys::rte_meter_srtcm_profile_config(&mut profile, &mut params) };
                checked("rte_meter_srtcm_profile_config", ret)?;
                (profile.cir_period, profile.cir_bytes_per_period) = refill(hz, cir, shift);
                Ok(Self::SrTcm(sys::rte_meter_srtcm { time: 0, tc: cbs, te: ebs }, profile))
            }
            MeterAlgorithm::TrTcm { cir, cbs, pir, pbs } => {
                let (cbs, pbs) = (cbs.min(MAX_BURST), pbs.min(MAX_BURST));
                let mut params = sys::rte_meter_trtcm_params { cir, pir, cbs, pbs };
                let mut profile = sys::rte_meter_trtcm_profile::default();
                // SAFETY: reads `params` and writes `profile`.
                let ret = unsafe { sys::rte_meter_trtcm_profile_config(&mut profile, &mut params) };
                checked("rte_meter_trtcm_profile_config", ret)?;
                (profile.cir_period, profile.cir_bytes_per_period) = refill(hz, cir, shift);
                (profile.pir_period, profile.pir_bytes_per_period) = refill(hz, pir, shift);
                let meter = sys::rte_meter_trtcm { time_tc: 0, time_tp: 0, tc: cbs, tp: pbs };
                Ok(Self::TrTcm(meter, profile))
            }
            MeterAlgorithm::TrTcm4115 { cir, cbs, eir, ebs } => {
                let (cbs, ebs) = (cbs.min(MAX_BURST), ebs.min(MAX_BURST));
                let mut params = sys::rte_meter_trtcm_rfc4115_params { cir, eir, cbs, ebs };
                let mut profile = sys::rte_meter_trtcm_rfc4115_profile::default();
                // SAFETY: reads `params` and writes `profile`.
                let ret = unsafe { sys::rte_meter_trtcm_rfc4115_profile_config(&mut profile, &mut params) };
                checked("rte_meter_trtcm_rfc4115_profile_config", ret)?;
                (profile.cir_period, profile.cir_bytes_per_period) = refill(hz, cir, shift);
                (profile.eir_period, profile.eir_bytes_per_period) = refill(hz, eir, shift);
                let meter = sys::rte_meter_trtcm_rfc4115 { time_tc: 0, time_te: 0, tc: cbs, te: ebs };
                Ok(Self::TrTcm4115(meter, profile))
            }
        }
    }

    #[inline]
    fn colour(&mut self, ticks: u64, count: u32, colour: u32) -> u32 {
        match self {
            // SAFETY: reads and writes these two; no period is 0.
            Self::SrTcm(meter, profile) => unsafe {
                sys::shim_meter_srtcm(meter, profile, ticks, count, colour)
            },
            // SAFETY: as above.
            Self::TrTcm(meter, profile) => unsafe {
                sys::shim_meter_trtcm(meter, profile, ticks, count, colour)
            },
            // SAFETY: as above.
            Self::TrTcm4115(meter, profile) => unsafe {
                sys::shim_meter_trtcm_rfc4115(meter, profile, ticks, count, colour)
            },
        }
    }
}

/// The fewest times that a cycle must be halved so that periods of `rate` are fine enough.
fn shift(hz: u64, rate: u64) -> u32 {
    let fine = |shift: &u32| u128::from(hz) << shift >= MIN_PERIOD * u128::from(rate);
    (0..MAX_SHIFT).find(fine).unwrap_or(MAX_SHIFT)
}

/// Ticks between two additions to a bucket, never 0, and how many tokens each adds. Rounded up, so that
/// there is never more than `rate` allows.
fn refill(hz: u64, rate: u64, shift: u32) -> (u64, u64) {
    if rate == 0 {
        return (u64::MAX, 0);
    }
    ((u128::from(hz) << shift).div_ceil(rate.into()) as u64, 1)
}

#[cfg(test)]
mod tests {
    use super::{MAX_SHIFT, refill, shift};

    #[test]
    fn periods_are_exact_for_every_clock_and_pair_of_rates() {
        for hz in [1_000_000_000_u64, 1_999_999_993, 2_450_000_000, 5_200_000_000] {
            let rates = [
                1,
                99,
                8_000,
                125_000,
                1_234_567,
                125_000_000,
                1_250_000_001,
                50_000_000_000,
                1_000_000_000_000,
            ];
            for (n, &high) in rates.iter().enumerate() {
                let shift = shift(hz, high);
                for &rate in &rates[..=n] {
                    let (period, tokens) = refill(hz, rate, shift);
                    let given = tokens as f64 * hz as f64 * f64::from(shift).exp2() / period as f64;
                    let error = given / rate as f64 - 1.0;
                    assert!((-1e-4..=1e-9).contains(&error), "{rate} beside {high} at {hz} Hz: {error:e}");
                }
            }
        }
        assert_eq!((shift(2_000_000_000, 8_000), shift(2_000_000_000, u64::MAX)), (0, MAX_SHIFT));
        assert_eq!(refill(2_000_000_000, u64::MAX, MAX_SHIFT), (1, 1));
        assert_eq!(refill(2_000_000_000, 0, 0).1, 0);
    }
}
