//! From counters to rates.

use std::time::Instant;

use pollux_engine::PortTotals;

/// Octets that every frame has on the wire beside those counted: the check sequence at layer 2.
const CHECK_SEQUENCE: u64 = 4;

/// Preamble, start delimiter and the gap between frames.
const BETWEEN_FRAMES: u64 = 20;

/// Frames and octets that passed within some time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    pub(super) frames: u64,
    /// Without check sequences.
    pub(super) bytes: u64,
    pub(super) seconds: f64,
}

impl Flow {
    /// Frames a second.
    pub(super) fn frame_rate(&self) -> f64 {
        self.a_second(self.frames)
    }

    /// Bits a second of layer 2, check sequences included.
    pub(super) fn layer2_rate(&self) -> f64 {
        8.0 * self.a_second(self.bytes + self.frames * CHECK_SEQUENCE)
    }

    /// Bits a second that an Ethernet link would be busy with.
    pub(super) fn wire_rate(&self) -> f64 {
        8.0 * self.a_second(self.bytes + self.frames * (CHECK_SEQUENCE + BETWEEN_FRAMES))
    }

    fn a_second(&self, number: u64) -> f64 {
        if self.seconds > 0.0 { number as f64 / self.seconds } else { 0.0 }
    }
}

/// Every port's totals at a moment.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) totals: Vec<(String, PortTotals)>,
}

impl Sample {
    /// What the switch sent on all ports since `before`.
    pub(super) fn sent_since(&self, before: &Self) -> Flow {
        let mut flow = Flow { seconds: (self.at - before.at).as_secs_f64(), ..Flow::default() };
        for ((_, now), (_, then)) in self.totals.iter().zip(&before.totals) {
            flow.frames += now.tx_frames - then.tx_frames;
            flow.bytes += now.tx_bytes - then.tx_bytes;
        }
        flow
    }

    /// What moves: each port that received or sent since `before`, and the sum of what was sent.
    pub(super) fn line(&self, before: &Self) -> String {
        let seconds = (self.at - before.at).as_secs_f64();
        let ports = self.totals.iter().zip(&before.totals).filter_map(|((name, now), (_, then))| {
            let (rx, tx) = (now.rx_frames - then.rx_frames, now.tx_frames - then.tx_frames);
            let rate = |frames: u64| short(frames as f64 / seconds);
            (rx + tx > 0).then(|| format!("{name} rx {} tx {}", rate(rx), rate(tx)))
        });
        let ports: Vec<_> = ports.collect();
        if ports.is_empty() {
            return "nothing moves".to_owned();
        }
        let flow = self.sent_since(before);
        format!("{} frames/s; sent {} bit/s", ports.join(", "), short(flow.layer2_rate()))
    }
}

/// A number in three digits or four, as in `1.42 M`.
pub(super) fn short(number: f64) -> String {
    let units = ["", " k", " M", " G", " T"];
    let mut number = number;
    let mut unit = 0;
    while number >= 999.5 && unit + 1 < units.len() {
        number /= 1000.0;
        unit += 1;
    }
    let decimals = if unit == 0 || number >= 99.95 {
        0
    } else if number >= 9.995 {
        1
    } else {
        2
    };
    format!("{number:.decimals$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_rate_is_what_the_standard_says() {
        let flow = Flow { frames: 14_880_952, bytes: 14_880_952 * 60, seconds: 1.0 };
        assert_eq!(short(flow.wire_rate()), "10.0 G");
        assert_eq!(short(flow.layer2_rate()), "7.62 G");
        assert_eq!(short(flow.frame_rate()), "14.9 M");
        assert_eq!(Flow::default().frame_rate(), 0.0);
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 7.4, 999.0, 1234.0, 99_960.0, 1.0e6, 2.5e13].map(short);
        assert_eq!(texts, ["0", "7", "999", "1.23 k", "100 k", "1.00 M", "25.0 T"]);
    }
}
