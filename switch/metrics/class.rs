//! What is done about priorities: policers, rules, and the queues of classes.

use std::fmt::Result;

use super::families::{Families, Family};
use crate::control::{ClassState, Colours, Numbers, PolicerState};

pub(super) fn encode(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    policers(to, numbers)?;
    let hits = numbers.qos.iter().flat_map(|port| {
        port.rules.iter().map(|rule| ([("port", &*port.port), ("rule", &*rule.name)], rule.hits))
    });
    to.counter("rule_hits", "Frames that the rule was the first to fit.", hits)?;
    queues(to, numbers)
}

fn policers(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let families: [Family<PolicerState, Colours>; 2] = [
        ("policer_frames", "Frames by the colour that the policer gave them.", |policer| policer.frames),
        ("policer_bytes", "Octets of frames by the colour that the policer gave them.", |policer| {
            policer.octets
        }),
    ];
    for (name, help, of) in families {
        let policers =
            numbers.qos.iter().flat_map(|port| port.policers.iter().map(move |policer| (port, policer)));
        let colours = policers.flat_map(|(port, policer)| {
            let Colours { green, yellow, red } = of(policer);
            [("green", green), ("yellow", yellow), ("red", red)].map(|(colour, count)| {
                ([("port", &*port.port), ("policer", &*policer.of), ("colour", colour)], count)
            })
        });
        to.counter(name, help, colours)?;
    }
    Ok(())
}

fn queues(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let numbered: Vec<_> = numbers
        .qos
        .iter()
        .flat_map(|port| port.classes.iter().map(|class| (&*port.port, class.class.to_string(), class)))
        .collect();
    let labelled =
        || numbered.iter().map(|(port, number, class)| ([("port", *port), ("class", &**number)], *class));
    let gauges: [Family<ClassState, u64>; 4] = [
        ("class_waiting_frames", "Frames that wait in the queue.", |class| class.waiting_frames),
        ("class_waiting_bytes", "Octets that wait in the queue.", |class| class.waiting_octets),
        ("class_waiting_peak_bytes", "The most octets that ever waited.", |class| class.most_octets),
        ("class_limit_bytes", "Octets that may wait.", |class| class.queue_octets),
    ];
    for (name, help, of) in gauges {
        to.gauge(name, help, labelled().map(|(labels, class)| (labels, of(class))))?;
    }
    let counters: [Family<ClassState, u64>; 3] = [
        ("class_queued_frames", "Frames that had to wait.", |class| class.queued_frames),
        ("class_transmit_frames", "Frames that left.", |class| class.sent_frames),
        ("class_transmit_bytes", "Octets of frames that left.", |class| class.sent_octets),
    ];
    for (name, help, of) in counters {
        to.counter(name, help, labelled().map(|(labels, class)| (labels, of(class))))?;
    }
    let drops = labelled().flat_map(|([port, number], class)| {
        let causes = [
            ("queue_full", class.drops.queue_full),
            ("wred", class.drops.wred),
            ("tx_full", class.drops.tx_full),
            ("port_down", class.drops.port_down),
        ];
        causes.map(|(reason, frames)| ([port, number, ("reason", reason)], frames))
    });
    let help = "Frames of the class that were dropped, by the reason under which the port counts them too.";
    to.counter("class_drops", help, drops)?;
    let sojourns: [Family<ClassState, f64>; 3] = [
        ("class_sojourn_median_seconds", "How long the median of frames that had to wait waited.", |class| {
            class.sojourn_median_us
        }),
        ("class_sojourn_p99_seconds", "How long the 99th percentile of them waited.", |class| {
            class.sojourn_p99_us
        }),
        ("class_sojourn_max_seconds", "The longest that a frame waited.", |class| class.sojourn_max_us),
    ];
    for (name, help, of) in sojourns {
        to.gauge(name, help, labelled().map(|(labels, class)| (labels, of(class) / 1e6)))?;
    }
    Ok(())
}
