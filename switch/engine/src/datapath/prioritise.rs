//! Gives each frame its class and colour, and the priority that it has from here on (IEEE 802.1Q-2022
//! clauses 6.9.3, 6.9.4 and 8.6.6), by its tag, its DSCP or the first rule that it fits.
//!
//! Batch: every frame alone; nothing where the port has no profile, or one
//! that changes nothing. Reads headers and the lanes `vid`, `tag`,
//! `tag_counts` and `verdict`; writes `tag`, `mark` and `rule`. Drops nothing.

use arrayvec::ArrayVec;
use pollux_net::{FlowKey, FlowRules, Frame, Meter, Tci, dscp};

use super::batch::{BURST, Batch, Lane, Verdict};
use super::platform::Platform;
use crate::Snapshot;
use crate::qos::{IngressQos, Treatment};

pub(super) fn prioritise<P: Platform>(batch: &mut Batch<P::Frame>, snapshot: &Snapshot<P>) {
    batch.classes = 0;
    let Some(qos) = snapshot.port(batch.ingress).ingress.as_ref().filter(|qos| !qos.keeps()) else { return };
    batch.classes = qos.classes();
    for (lane, _) in batch.lanes_mut() {
        lane.rule = 0;
        let tci = lane.tag.tci;
        treat(lane, if lane.tag_counts { qos.by_tag(tci) } else { qos.by_default(tci) });
    }
    if qos.trusts_dscp() {
        by_dscp(batch, qos);
    }
    if let Some(rules) = qos.rules() {
        by_rule(batch, qos, rules);
    }
}

#[inline(always)]
fn treat(lane: &mut Lane, Treatment { mark, priority }: Treatment) {
    lane.mark = mark;
    lane.tag.tci = Tci::from_bits(priority | lane.tag.tci.vid_bits());
}

#[inline(never)]
fn by_dscp<F: Frame, R, M>(batch: &mut Batch<F>, qos: &IngressQos<R, M>) {
    for (frame, lane) in batch.iter_mut().filter(|(_, lane)| lane.verdict == Verdict::Pending) {
        if let Some(treatment) = dscp(frame.head()).and_then(|dscp| qos.by_dscp(dscp)) {
            treat(lane, treatment);
        }
    }
}

#[inline(never)]
fn by_rule<F: Frame, R: FlowRules, M: Meter>(batch: &mut Batch<F>, qos: &IngressQos<R, M>, rules: &R) {
    let mut keys = ArrayVec::<FlowKey, BURST>::new();
    keys.extend(batch.iter_mut().map(|(frame, lane)| FlowKey::of(frame.head(), lane.vid)));
    let mut hits = [0; BURST];
    rules.first_fits(&keys, &mut hits);
    let pending = batch.iter_mut().zip(hits).filter(|((_, lane), _)| lane.verdict == Verdict::Pending);
    // Counted by runs: frames of one flow come together.
    let (mut last, mut run) = (0, 0);
    for ((_, lane), number) in pending {
        let Some(rule) = qos.rule(number) else { continue };
        if number != last {
            qos.hit(last, run);
            (last, run) = (number, 0);
        }
        run += 1;
        lane.rule = number as u16;
        if let Some(class) = rule.class {
            let before = Treatment { mark: lane.mark, priority: lane.tag.tci.bits() };
            treat(lane, qos.with_class(before, class));
        }
    }
    qos.hit(last, run);
}
