//! What the last answers and those before say together: rates, and what moves.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::sample::{PortSample, Sample};

/// Rates that are kept of each port, for its curve.
const KEPT: usize = 120;

/// What happens at a port in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) rx_frames: f64,
    pub(super) rx_bits: f64,
    pub(super) tx_frames: f64,
    pub(super) tx_bits: f64,
    pub(super) dropped: f64,
}

/// A port, and how it got on.
#[derive(Clone, Debug, Default)]
pub(super) struct Port {
    pub(super) now: PortSample,
    pub(super) rates: Rates,
    /// Frames by reason, of which some were dropped since the last drawing.
    pub(super) moving: BTreeMap<String, f64>,
    /// Frames a second, in and out, the latest last.
    pub(super) curve: VecDeque<u64>,
}

/// All that is drawn.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) last: Option<Sample>,
    pub(super) ports: BTreeMap<String, Port>,
    /// Frames a second of each worker.
    pub(super) worker_rates: Vec<f64>,
    /// Why no answer comes any more.
    pub(super) lost: Option<String>,
}

impl Model {
    /// Takes up new answers.
    pub(super) fn take(&mut self, sample: Sample) {
        self.lost = None;
        let before = self.last.take();
        // A switch that started anew counts from nothing.
        let before = before.filter(|before| before.uptime_seconds <= sample.uptime_seconds);
        if before.is_none() {
            self.ports.clear();
        }
        let seconds = before.as_ref().map(|before| sample.at - before.at).unwrap_or_default();
        self.ports.retain(|name, _| sample.ports.contains_key(name));
        for (name, now) in &sample.ports {
            let was = before.as_ref().and_then(|before| before.ports.get(name));
            self.ports.entry(name.clone()).or_default().take(now, was, seconds);
        }
        let frames_before = |worker: usize| before.as_ref().and_then(|before| before.workers.get(worker));
        let rates = sample.workers.iter().enumerate().map(|(place, worker)| {
            frames_before(place).map_or(0.0, |was| per_second(worker.frames, was.frames, seconds))
        });
        self.worker_rates = rates.collect();
        self.last = Some(sample);
    }

    /// Notes that no answer comes any more.
    pub(super) fn lose(&mut self, why: String) {
        self.lost = Some(why);
    }
}

impl Port {
    fn take(&mut self, now: &PortSample, was: Option<&PortSample>, seconds: Duration) {
        self.now = now.clone();
        self.moving.clear();
        let Some(was) = was else { return };
        let rate = |now: u64, was: u64| per_second(now, was, seconds);
        self.rates = Rates {
            rx_frames: rate(now.rx_frames, was.rx_frames),
            rx_bits: 8.0 * rate(now.rx_bytes, was.rx_bytes),
            tx_frames: rate(now.tx_frames, was.tx_frames),
            tx_bits: 8.0 * rate(now.tx_bytes, was.tx_bytes),
            dropped: rate(now.dropped(), was.dropped()),
        };
        for (reason, &frames) in &now.drops {
            let more = rate(frames, was.drops.get(reason).copied().unwrap_or_default());
            if more > 0.0 {
                self.moving.insert(reason.clone(), more);
            }
        }
        self.curve.push_back((self.rates.rx_frames + self.rates.tx_frames) as u64);
        if self.curve.len() > KEPT {
            self.curve.pop_front();
        }
    }
}

/// Counters that went down were cleared, and say nothing.
fn per_second(now: u64, was: u64, time: Duration) -> f64 {
    let more = now.saturating_sub(was);
    if time.is_zero() { 0.0 } else { more as f64 / time.as_secs_f64() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::top::sample::WorkerSample;
    use std::time::Instant;

    /// A switch with a NIC and a VM, `seconds` after its start, at a rate of a million frames a second.
    pub(in crate::top) fn sample(start: Instant, seconds: u64) -> Sample {
        let frames = seconds * 1_000_000;
        let nic = PortSample {
            device: "0000:03:00.0".to_owned(),
            driver: "net_ixgbe".to_owned(),
            vlan: "trunk 1-4094".to_owned(),
            mtu: 9000,
            up: true,
            mbps: Some(10_000),
            enabled: true,
            rx_frames: frames,
            rx_bytes: 64 * frames,
            ..PortSample::default()
        };
        let vm = PortSample {
            number: 1,
            is_vm: true,
            device: "/run/vm1.sock".to_owned(),
            vlan: "access 10".to_owned(),
            enabled: true,
            tx_frames: frames - seconds * 500,
            tx_bytes: 64 * frames,
            drops: [("tx_full".to_owned(), seconds * 500), ("runt".to_owned(), 3)].into(),
            ..PortSample::default()
        };
        Sample {
            at: start + Duration::from_secs(seconds),
            version: "0.1.0".to_owned(),
            uptime_seconds: seconds as f64,
            ports: [("nic0".to_owned(), nic), ("vm1".to_owned(), vm)].into(),
            workers: vec![WorkerSample {
                worker: 0,
                cpu: 2,
                load: 0.25,
                frames,
                frames_per_burst: 12.5,
                queues: 2,
                stuck: false,
            }],
            accounting: [frames, 0, frames - seconds * 500, seconds * 500, 0],
        }
    }

    #[test]
    fn what_a_switch_did_before_it_started_anew_is_forgotten() {
        let start = Instant::now();
        let mut model = Model::default();
        model.take(sample(start, 3));
        model.take(sample(start, 4));
        assert!(model.ports["nic0"].rates != Rates::default() && model.worker_rates[0] > 0.0);
        model.take(sample(start + Duration::from_secs(9), 1));
        let nic = &model.ports["nic0"];
        assert_eq!((nic.rates, nic.curve.len(), model.worker_rates[0]), (Rates::default(), 0, 0.0));
    }

    #[test]
    fn two_samples_make_rates_and_show_what_moves() {
        let start = Instant::now();
        let mut model = Model::default();
        model.take(sample(start, 1));
        assert_eq!(model.ports["nic0"].rates, Rates::default());
        model.take(sample(start, 3));
        let (nic, vm) = (&model.ports["nic0"], &model.ports["vm1"]);
        assert_eq!((nic.rates.rx_frames, nic.rates.rx_bits), (1e6, 512e6));
        assert_eq!((vm.rates.dropped, vm.moving.len(), vm.moving["tx_full"]), (500.0, 1, 500.0));
        assert_eq!((model.worker_rates[0], nic.curve.len()), (1e6, 1));
    }

    #[test]
    fn a_switch_that_starts_anew_counts_from_nothing() {
        let start = Instant::now();
        let mut model = Model::default();
        model.take(sample(start, 100));
        model.lose("gone".to_owned());
        let mut again = sample(start + Duration::from_secs(200), 1);
        again.ports.remove("vm1");
        model.take(again);
        assert!(model.lost.is_none() && !model.ports.contains_key("vm1"));
        assert_eq!(model.ports["nic0"].rates.rx_frames, 0.0);
    }
}
