//! Pause frames: asking a link's other end to wait, and waiting when asked.

use dpdk_sys as sys;

use crate::error::{Error, Result, check};

/// How a port uses pause frames (IEEE 802.3-2022 annex 31B).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowControl {
    /// Whether the port stops transmitting when the other end asks it to.
    pub rx: bool,
    /// Whether the port asks the other end to stop when its buffer fills up.
    pub tx: bool,
    /// How full the buffer is when the port asks, in the unit of the device (octets or KiB). `None`, here and
    /// below: as the device has it.
    pub high_water: Option<u32>,
    /// How full the buffer is when the other end may go on, in the unit of the device.
    pub low_water: Option<u32>,
    /// How long the port asks to wait, in times that 512 bits take on the link.
    pub pause_time: Option<u16>,
    /// Whether the port says when the other end may go on, instead of having it wait its time.
    pub send_xon: Option<bool>,
    /// Whether both ends negotiate what they do.
    pub autoneg: Option<bool>,
    /// Whether MAC control frames are received like others instead of being kept by the device.
    pub forward_mac_control: Option<bool>,
}

/// How a port uses pause frames of one priority (IEEE 802.1Q-2022 clause 36).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriorityFlowControl {
    /// Whether the port stops transmitting frames of this priority when the other end asks it to.
    pub rx: bool,
    /// Whether the port asks the other end to stop when its buffer for this priority fills up.
    pub tx: bool,
    /// The priority, 0 to 7.
    pub priority: u8,
    /// As [`FlowControl::high_water`], of the buffer for this priority.
    pub high_water: Option<u32>,
    /// As [`FlowControl::low_water`], of the buffer for this priority.
    pub low_water: Option<u32>,
    /// As [`FlowControl::pause_time`].
    pub pause_time: Option<u16>,
}

impl FlowControl {
    fn of(raw: &sys::rte_eth_fc_conf) -> Self {
        Self {
            rx: matches!(raw.mode, sys::RTE_ETH_FC_RX_PAUSE | sys::RTE_ETH_FC_FULL),
            tx: matches!(raw.mode, sys::RTE_ETH_FC_TX_PAUSE | sys::RTE_ETH_FC_FULL),
            high_water: Some(raw.high_water),
            low_water: Some(raw.low_water),
            pause_time: Some(raw.pause_time),
            send_xon: Some(raw.send_xon != 0),
            autoneg: Some(raw.autoneg != 0),
            forward_mac_control: Some(raw.mac_ctrl_frame_fwd != 0),
        }
    }

    /// Writes what is given over what the device has.
    fn write_over(&self, raw: &mut sys::rte_eth_fc_conf) {
        raw.mode = match (self.rx, self.tx) {
            (false, false) => sys::RTE_ETH_FC_NONE,
            (true, false) => sys::RTE_ETH_FC_RX_PAUSE,
            (false, true) => sys::RTE_ETH_FC_TX_PAUSE,
            (true, true) => sys::RTE_ETH_FC_FULL,
        };
        raw.high_water = self.high_water.unwrap_or(raw.high_water);
        raw.low_water = self.low_water.unwrap_or(raw.low_water);
        raw.pause_time = self.pause_time.unwrap_or(raw.pause_time);
        raw.send_xon = self.send_xon.map_or(raw.send_xon, u16::from);
        raw.autoneg = self.autoneg.map_or(raw.autoneg, u8::from);
        raw.mac_ctrl_frame_fwd = self.forward_mac_control.map_or(raw.mac_ctrl_frame_fwd, u8::from);
    }
}

pub(crate) fn read(port: u16, name: &str) -> Result<FlowControl> {
    Ok(FlowControl::of(&raw(port, name)?))
}

pub(crate) fn set(port: u16, name: &str, wanted: &FlowControl) -> Result<()> {
    const CALL: &str = "rte_eth_dev_flow_ctrl_set";
    let mut raw = raw(port, name)?;
    wanted.write_over(&mut raw);
    // SAFETY: takes any port number, and reads `raw`.
    let ret = unsafe { sys::rte_eth_dev_flow_ctrl_set(port, &mut raw) };
    done(CALL, name, ret, NONE)
}

pub(crate) fn set_priority(port: u16, name: &str, wanted: &PriorityFlowControl) -> Result<()> {
    const CALL: &str = "rte_eth_dev_priority_flow_ctrl_set";
    if wanted.priority > 7 {
        let message = format!("there is no priority {}, they are 0 to 7", wanted.priority);
        return Err(Error::refused(CALL, name, libc::EINVAL, message));
    }
    let PriorityFlowControl { rx, tx, priority, high_water, low_water, pause_time } = *wanted;
    // DPDK can't say what the device has for a priority: what it has for the link is next to it.
    let mut fc = match raw(port, name) {
        Err(error) if error.is_unsupported() => sys::rte_eth_fc_conf::default(),
        result => result?,
    };
    FlowControl { rx, tx, high_water, low_water, pause_time, ..FlowControl::default() }.write_over(&mut fc);
    let mut raw = sys::rte_eth_pfc_conf { fc, priority };
    // SAFETY: takes any port number, and reads `raw`.
    let ret = unsafe { sys::rte_eth_dev_priority_flow_ctrl_set(port, &mut raw) };
    done(CALL, name, ret, "the device has no flow control by priority")
}

const NONE: &str = "the device has no flow control";

/// What the device has.
fn raw(port: u16, name: &str) -> Result<sys::rte_eth_fc_conf> {
    let mut raw = sys::rte_eth_fc_conf::default();
    // SAFETY: takes any port number, and writes into `raw` only.
    let ret = unsafe { sys::rte_eth_dev_flow_ctrl_get(port, &mut raw) };
    done("rte_eth_dev_flow_ctrl_get", name, ret, NONE)?;
    Ok(raw)
}

/// As [`check`], with `none` for the reason where the device has no such operation.
fn done(call: &'static str, name: &str, ret: i32, none: &str) -> Result<()> {
    match check(call, name, ret) {
        Ok(_) => Ok(()),
        Err(error) if error.is_unsupported() => Err(Error::refused(call, name, error.errno(), none)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays_as_the_device_has_it() {
        let device = sys::rte_eth_fc_conf {
            high_water: 96,
            low_water: 64,
            pause_time: 0xffff,
            send_xon: 1,
            mode: sys::RTE_ETH_FC_FULL,
            mac_ctrl_frame_fwd: 0,
            autoneg: 1,
        };
        let known = FlowControl::of(&device);
        assert_eq!(
            (known.rx, known.tx, known.high_water, known.send_xon),
            (true, true, Some(96), Some(true))
        );
        let mut same = sys::rte_eth_fc_conf::default();
        known.write_over(&mut same);
        assert_eq!(FlowControl::of(&same), known);

        for (rx, tx) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut raw = device;
            FlowControl { rx, tx, ..FlowControl::default() }.write_over(&mut raw);
            assert_eq!(FlowControl::of(&raw), FlowControl { rx, tx, ..known });
            let given = FlowControl {
                rx,
                tx,
                high_water: Some(0),
                low_water: Some(0),
                pause_time: Some(0),
                send_xon: Some(false),
                autoneg: Some(false),
                forward_mac_control: Some(true),
            };
            given.write_over(&mut raw);
            assert_eq!(FlowControl::of(&raw), given);
        }
    }
}
