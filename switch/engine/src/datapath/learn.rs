//! Learns each frame's source on the port it came from (IEEE 802.1Q-2022 clause 8.7), one address in
//! each VLAN on its own.
//!
//! Batch: [`prepare`] hashes the whole batch and has its buckets fetched, well before [`learn`] learns
//! the whole batch, in order, and lookup looks it up: two frames of a batch that answer each other are
//! both known unicast. Reads the lanes `source`, `destination`, `vid` and `verdict`; writes the probes.
//! Drops nothing: a source that can't be learned is forwarded all the same.

use super::batch::{Batch, Verdict};
use crate::fdb::{FdbKey, Moment};

pub(super) fn prepare<F>(batch: &mut Batch<F>, fdb: Moment<'_>) {
    for (lane, probes) in batch.lanes_mut() {
        *probes = [lane.source, lane.destination].map(|mac| fdb.probe(FdbKey::new(lane.vid, mac)));
        for probe in probes {
            fdb.prefetch(probe);
        }
    }
}

pub(super) fn learn<F>(batch: &mut Batch<F>, fdb: Moment<'_>) {
    let ingress = batch.ingress;
    for (lane, [source, _]) in batch.lanes_mut() {
        if lane.verdict == Verdict::Pending {
            fdb.learn(source, ingress);
        }
    }
}
