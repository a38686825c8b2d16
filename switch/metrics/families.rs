//! Families of metrics, one after the other.

use std::fmt::{Result, Write};

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelValue, LabelValueEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

/// Names and values of a sample's labels.
pub(super) type Labels<'l, const N: usize> = [(&'static str, &'l str); N];

/// A family's name, its help, and where in a `T` its number is.
pub(super) type Family<T, N> = (&'static str, &'static str, fn(&T) -> N);

/// A label's value as both forms of text have it, which the library writes as it stands.
struct Value<'l>(&'l str);

impl EncodeLabelValue for Value<'_> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => encoder.write_str("\\\\"),
            '"' => encoder.write_str("\\\""),
            '\n' => encoder.write_str("\\n"),
            other => encoder.write_char(other),
        })
    }
}

/// Writes families. Names are without prefix, and counters' without `_total`; `help` is a sentence.
pub(super) struct Families<'a>(pub(super) DescriptorEncoder<'a>);

impl Families<'_> {
    /// What only goes up.
    pub(super) fn counter<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l, N>, u64)>,
    ) -> Result {
        let write = |metric: &mut MetricEncoder<'_>, value| {
            metric.encode_counter::<NoLabelSet, u64, u64>(&value, None)
        };
        self.family(name, help, MetricType::Counter, samples, write)
    }

    /// What goes up and down.
    pub(super) fn gauge<'l, V: EncodeGaugeValue, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l, N>, V)>,
    ) -> Result {
        let write = |metric: &mut MetricEncoder<'_>, value| metric.encode_gauge(&value);
        self.family(name, help, MetricType::Gauge, samples, write)
    }

    /// How many there were of each size: the sum, and counts by the largest that each range takes.
    pub(super) fn histogram<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l, N>, f64, Vec<(f64, u64)>)>,
    ) -> Result {
        let samples = samples.into_iter().map(|(labels, sum, ranges)| (labels, (sum, ranges)));
        let write = |metric: &mut MetricEncoder<'_>, (sum, mut ranges): (f64, Vec<(f64, u64)>)| {
            let count = ranges.iter().map(|(_, count)| count).sum();
            // The library writes the largest number as the infinity that must end them.
            ranges.push((f64::MAX, 0));
            metric.encode_histogram::<NoLabelSet>(sum, count, &ranges, None)
        };
        self.family(name, help, MetricType::Histogram, samples, write)
    }

    fn family<'l, V, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        samples: impl IntoIterator<Item = (Labels<'l, N>, V)>,
        write: impl Fn(&mut MetricEncoder<'_>, V) -> Result,
    ) -> Result {
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            match N {
                0 => write(&mut metric, value)?,
                _ => {
                    write(&mut metric.encode_family(&labels.map(|(name, text)| (name, Value(text))))?, value)?
                }
            }
        }
        Ok(())
    }
}
