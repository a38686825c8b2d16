//! Pause frames of a port's link: from the file's words to its device.

use dpdk::{FlowControl, Port, PriorityFlowControl, Started};
use pollux_config::PauseThresholds;

/// What the file says of a port's pause frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pauses {
    link: Option<pollux_config::FlowControl>,
    by_priority: Option<pollux_config::PriorityFlowControl>,
}

impl Pauses {
    pub(super) fn of(port: &pollux_config::Port) -> Self {
        Self { link: port.flow_control, by_priority: port.priority_flow_control.clone() }
    }

    /// Has the device do what the file says. What the file doesn't say, and `before` did, ends.
    pub(super) fn set(&self, before: &Self, device: &mut Port<Started>) -> Result<(), dpdk::Error> {
        match (&self.link, &before.link) {
            (Some(wanted), _) => device.set_flow_control(&link(wanted))?,
            (None, Some(_)) => device.set_flow_control(&FlowControl::default())?,
            (None, None) => {}
        }
        let wanted = self.by_priority.as_ref();
        let was = before.by_priority.as_ref().map(|before| &before.priorities[..]).unwrap_or_default();
        let ends = was.iter().filter(|pcp| wanted.is_none_or(|wanted| !wanted.priorities.contains(pcp)));
        for pcp in ends {
            let none = PriorityFlowControl { priority: pcp.value(), ..PriorityFlowControl::default() };
            device.set_priority_flow_control(&none)?;
        }
        for priority in wanted.into_iter().flat_map(by_priority) {
            device.set_priority_flow_control(&priority)?;
        }
        Ok(())
    }
}

fn link(wanted: &pollux_config::FlowControl) -> FlowControl {
    let PauseThresholds { high_water, low_water, pause_time } = wanted.thresholds;
    FlowControl {
        rx: wanted.rx,
        tx: wanted.tx,
        high_water,
        low_water,
        pause_time,
        send_xon: wanted.send_xon,
        autoneg: wanted.autoneg,
        forward_mac_control: None,
    }
}

fn by_priority(wanted: &pollux_config::PriorityFlowControl) -> impl Iterator<Item = PriorityFlowControl> {
    let PauseThresholds { high_water, low_water, pause_time } = wanted.thresholds;
    let (rx, tx) = (wanted.rx, wanted.tx);
    wanted.priorities.iter().map(move |pcp| PriorityFlowControl {
        rx,
        tx,
        priority: pcp.value(),
        high_water,
        low_water,
        pause_time,
    })
}
