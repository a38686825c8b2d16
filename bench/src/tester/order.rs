//! The order in which a stream's flows send. It follows from sequence numbers, so that whoever receives one knows
//! the flow, and whoever misses one too.

use super::protocol::Order;

#[derive(Clone, Copy, Debug)]
pub(super) struct FlowOrder {
    flows: u32,
    order: Order,
    /// One less than a power of two that is no less than `flows`.
    mask: u32,
    /// Half of its bits.
    half: u32,
}

impl FlowOrder {
    /// Of so many flows, one at least.
    pub(super) fn new(flows: u32, order: Order) -> Self {
        let mask = flows.next_power_of_two() - 1;
        Self { flows, order, mask, half: (mask.count_ones() / 2).max(1) }
    }

    pub(super) fn flows(&self) -> u32 {
        self.flows
    }

    /// Whether a flow is drawn for each frame, so that its frames come at no regular distances.
    pub(super) fn is_random(&self) -> bool {
        self.order == Order::Random && self.flows > 1
    }

    /// The flow of a frame.
    pub(super) fn flow(&self, sequence: u64) -> u32 {
        self.flow_at(sequence, (sequence % u64::from(self.flows)) as u32)
    }

    /// The same for whoever keeps `turn`, the remainder of the sequence number by the number of flows.
    #[inline(always)]
    pub(super) fn flow_at(&self, sequence: u64, turn: u32) -> u32 {
        match self.order {
            Order::Sequential => turn,
            Order::Shuffled => self.shuffle(turn),
            Order::Random => {
                let mixed = sequence.wrapping_add(0x2545_f491_4f6c_dd1d).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
                (((mixed >> 32) * u64::from(self.flows)) >> 32) as u32
            }
        }
    }

    /// A permutation: one of the numbers below the power of two, again until it is below `flows`.
    #[inline(always)]
    fn shuffle(&self, turn: u32) -> u32 {
        let mut place = turn;
        loop {
            place = place.wrapping_mul(0x9e37_79b1) & self.mask;
            place ^= place >> self.half;
            place = place.wrapping_mul(0x85eb_ca77) & self.mask;
            if place < self.flows {
                return place;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_shuffled_round_has_every_flow_once(flows in 1_u32..3000) {
            let order = FlowOrder::new(flows, Order::Shuffled);
            let round = u64::from(flows);
            let mut seen: Vec<u32> = (round..2 * round).map(|sequence| order.flow(sequence)).collect();
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..flows));
        }

        #[test]
        fn flows_are_those_that_there_are(flows in 1_u32..(1 << 24), sequence: u64) {
            for order in [Order::Sequential, Order::Shuffled, Order::Random] {
                let order = FlowOrder::new(flows, order);
                prop_assert!(order.flow(sequence) < flows);
                let turn = (sequence % u64::from(flows)) as u32;
                prop_assert_eq!(order.flow(sequence), order.flow_at(sequence, turn));
            }
        }
    }

    #[test]
    fn shuffled_flows_come_in_another_order() {
        for flows in [100, 1000, 10_000] {
            let order = FlowOrder::new(flows, Order::Shuffled);
            let neighbours =
                (1..u64::from(flows)).filter(|&n| order.flow(n) == order.flow(n - 1) + 1).count();
            assert!(neighbours < flows as usize / 50, "{neighbours} of {flows}");
        }
    }

    #[test]
    fn drawn_flows_come_about_equally_often() {
        let order = FlowOrder::new(100, Order::Random);
        let mut counts = [0; 100];
        (0..100_000).for_each(|sequence| counts[order.flow(sequence) as usize] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
