//! From a frame of a VLAN to what a port sends, or the reason why not.

use pollux_net::{PriorityTags, VlanMode};

use crate::bytes::{self, C_TAG, MTU_ALLOWANCE, WireTag};
use crate::ingress::{Admitted, check_customer};
use crate::{ModelPort, Reason, profile};

/// Beside the reason, the frame as it is then.
pub(crate) fn send(port: &ModelPort, frame: &Admitted) -> Result<Vec<u8>, (Reason, Vec<u8>)> {
    let is_tunnel = matches!(port.vlan.mode, VlanMode::Dot1qTunnel { .. });
    if is_tunnel {
        check_customer(port, &frame.untagged).map_err(|reason| (reason, frame.untagged.clone()))?;
    }
    let (pcp, dei, says_something) = profile::send(port.profile.as_ref(), frame.worth);
    let tagged = |tpid, vid| bytes::with_tag(&frame.untagged, WireTag { tpid, pcp, dei, vid });
    let bytes = if port.sends_tagged(frame.vid) {
        tagged(frame.tpid, frame.vid.value())
    } else if gets_priority_tag(port, frame, says_something) {
        tagged(C_TAG, 0)
    } else {
        frame.untagged.clone()
    };
    if bytes.len() > usize::from(port.mtu) + MTU_ALLOWANCE {
        return Err((Reason::MtuExceeded, bytes));
    }
    Ok(bytes)
}

fn gets_priority_tag(port: &ModelPort, frame: &Admitted, says_something: bool) -> bool {
    if bytes::announces_tag(&frame.untagged) {
        return false;
    }
    match port.vlan.priority_tags {
        PriorityTags::Never => false,
        PriorityTags::IfNonzero => says_something,
        PriorityTags::Always => true,
    }
}
