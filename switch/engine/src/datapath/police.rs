//! Meters what ports take: first by the rule that a frame fits, then by its class, then all of the port's
//! together (IEEE 802.1Q-2022 clause 8.6.5). The worst colour that it gets is the frame's.
//!
//! Batch: in order; nothing where the port has no policer. Reads every lane; writes `mark`, `tag` and
//! `verdict`, and the DSCP in the frame where a policer remarks it. Drops: [`Reason::Policed`]. What was
//! dropped before counts for no policer.

use pollux_net::{Frame, Meter, Priority, RateUnit, Tci, WIRE_OVERHEAD, set_dscp};

use super::Context;
use super::batch::{Batch, Lane, Verdict};
use super::offload::Offload;
use super::platform::Platform;
use crate::Reason;
use crate::qos::{Action, Meters, Policing, Remark};

pub(super) fn police<P: Platform>(batch: &mut Batch<P::Frame>, context: &Context<'_, P>) {
    let Some(qos) = &context.snapshot.port(batch.ingress).ingress else { return };
    let Some(policing) = qos.policing() else { return };
    // One lock for a burst. Other workers that poll queues of this port hold it as short.
    let mut meters = policing.meters.lock();
    let now = meters.now(context.now_cycles);
    let lanes = batch.lanes.iter_mut().zip(&batch.offloads).enumerate();
    for (frame, (index, (lane, offload))) in batch.frames.iter_mut().zip(lanes) {
        if matches!(lane.verdict, Verdict::Drop(_)) {
            continue;
        }
        let offload = (batch.unfinished >> index & 1 == 1).then_some(offload);
        let size = Size::of(frame.len(), offload);
        let rule = qos.rule(lane.rule.into()).and_then(|rule| rule.policer);
        let class = policing.classes[lane.mark.class().index()];
        for policer in [rule, class, policing.port].into_iter().flatten() {
            pass(frame, lane, policer, size, policing, &mut meters, now);
            if matches!(lane.verdict, Verdict::Drop(_)) {
                break;
            }
        }
    }
}

/// How large a frame is, as wires see it.
#[derive(Clone, Copy)]
struct Size {
    frames: u32,
    octets: u32,
}

impl Size {
    fn of(len: usize, offload: Option<&Offload>) -> Self {
        let Some(offload) = offload else { return Self { frames: 1, octets: len as u32 } };
        let frames = offload.frames() as u32;
        // Every piece has headers of its own.
        Self { frames, octets: len as u32 + (frames - 1) * u32::from(offload.transport.payload) }
    }

    fn count(self, unit: RateUnit) -> u32 {
        match unit {
            RateUnit::Octets => self.octets,
            RateUnit::WireOctets => self.octets + self.frames * WIRE_OVERHEAD,
            RateUnit::Frames => self.frames,
        }
    }
}

/// Has one policer judge a frame.
fn pass<F: Frame, M: Meter>(
    frame: &mut F,
    lane: &mut Lane,
    number: u16,
    size: Size,
    policing: &Policing<M>,
    meters: &mut Meters<M>,
    now: u64,
) {
    let policer = &policing.policers[usize::from(number)];
    let before = lane.mark.colour();
    let colour = meters.colour(number, now, size.count(policer.spec.unit), before);
    policer.count(colour, size.frames.into(), size.octets.into());
    let worst = before.max(colour);
    lane.mark = lane.mark.with_colour(worst);
    let action = policer.spec.actions[colour as usize];
    let remark = match action {
        Action::Drop => {
            lane.verdict = Verdict::Drop(Reason::Policed);
            return;
        }
        Action::Pass => Remark::default(),
        Action::Remark(remark) => remark,
    };
    let Priority { pcp, dei } = lane.tag.tci.priority();
    let priority =
        Priority { pcp: remark.pcp.unwrap_or(pcp), dei: remark.dei.unwrap_or(dei || worst > before) };
    lane.tag.tci = Tci::from_bits(Tci::priority_tag(priority).bits() | lane.tag.tci.vid_bits());
    if let Some(dscp) = remark.dscp
        && let Some(head) = frame.head_mut()
    {
        set_dscp(head, dscp);
    }
}
