//! Numbers as text, in the two forms that Prometheus reads.

use std::fmt::Result;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use super::families::Families;
use super::format::{self, Format};
use super::{class, port, whole, worker};
use crate::control::Numbers;

/// What every name begins with.
const PREFIX: &str = "pollux";

#[derive(Debug)]
struct All(Arc<Numbers>);

impl Collector for All {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result {
        let mut families = Families(encoder);
        whole::encode(&mut families, &self.0)?;
        worker::encode(&mut families, &self.0)?;
        port::encode(&mut families, &self.0)?;
        class::encode(&mut families, &self.0)
    }
}

/// All numbers as text.
pub(super) fn render(numbers: Arc<Numbers>, as_: Format) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(All(numbers)));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("writing to a String can't fail");
    match as_ {
        Format::OpenMetrics => text,
        Format::Classic => format::classic(&text),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::metrics::sample::numbers;

    #[test]
    fn every_number_has_its_line() {
        let text = render(Arc::new(numbers()), Format::OpenMetrics);
        assert!(text.ends_with("\n# EOF\n"));
        for line in [
            "pollux_uptime_seconds 1.25",
            "pollux_receive_frames_total 31",
            "pollux_queued_frames 1",
            "pollux_detached_receive_frames_total 300",
            "pollux_detached_drops_total{reason=\"runt\"} 305",
            "pollux_workers 1",
            "pollux_worker_busy_cycles_total{worker=\"0\"} 43",
            "pollux_worker_burst_frames_sum{worker=\"0\"} 40.0",
            "pollux_worker_burst_frames_count{worker=\"0\"} 4",
            "pollux_worker_burst_frames_bucket{le=\"7.0\",worker=\"0\"} 3",
            "pollux_worker_burst_frames_bucket{le=\"+Inf\",worker=\"0\"} 4",
            "pollux_rx_queue_fill_descriptors{port=\"uplink\",queue=\"2\"} 51",
            "pollux_port_resets_total{port=\"vm1\"} 28",
            "pollux_port_receive_frames_total{port=\"vm1\"} 100",
            "pollux_port_transmit_bytes_total{port=\"uplink\"} 203",
            "pollux_port_drops_total{port=\"vm1\",reason=\"runt\"} 105",
            "pollux_port_device_losses_total{port=\"uplink\",loss=\"missed\"} 250",
            "pollux_port_link_speed_bytes_per_second{port=\"vm1\"} 1250000000",
            "pollux_vhost_connected{port=\"vm1\"} 1",
            "pollux_vhost_reconnects_total{port=\"vm1\"} 7",
            "pollux_vhost_last_outage_seconds{port=\"vm1\"} 0.125",
            "pollux_policer_frames_total{port=\"vm1\",policer=\"rule voice\",colour=\"red\"} 23",
            "pollux_rule_hits_total{port=\"vm1\",rule=\"voice\"} 27",
            "pollux_class_drops_total{port=\"vm1\",class=\"7\",reason=\"wred\"} 18",
            "pollux_class_sojourn_p99_seconds{port=\"vm1\",class=\"7\"} 0.00025",
            "pollux_fdb_static_entries 2",
            "pollux_pool_mbufs_in_use{numa_socket=\"0\"} 4096",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} isn't in\n{text}");
        }
        assert!(text.contains(r#"dpdk="DPDK \"22.11\"\\\n"} 1"#), "values are escaped:\n{text}");
    }

    #[test]
    fn families_come_once_with_help_and_series_too() {
        let text = render(Arc::new(numbers()), Format::OpenMetrics);
        let words = |kind: &str| -> Vec<_> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(kind));
            lines.map(|line| line.split_once(' ').expect("a name and more")).collect()
        };
        let (helps, types) = (words("# HELP "), words("# TYPE "));
        assert!(helps.iter().all(|(_, help)| help.ends_with('.') && help.len() > 5), "{helps:?}");
        let names: Vec<_> = types.iter().map(|(name, _)| *name).collect();
        assert_eq!(helps.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        let series: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.rsplit_once(' ').unwrap().0)
            .collect();
        assert_eq!(series.iter().collect::<HashSet<_>>().len(), series.len());
        for (name, kind) in types {
            assert!(name.starts_with("pollux_"));
            let suffix = match kind {
                "counter" => "_total",
                "histogram" => "_count",
                _ => "",
            };
            let sample = format!("{name}{suffix}");
            assert!(series.iter().any(|series| series.split('{').next() == Some(&sample)), "{sample}");
        }
    }
}
