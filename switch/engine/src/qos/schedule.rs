//! Which class is served next: guarantees, then strict priority, then deficit weighted round robin (IEEE
//! 802.1Q-2022 clause 8.6.8; M. Shreedhar and G. Varghese, Efficient Fair Queueing Using Deficit Round
//! Robin, 1995).

use arrayvec::ArrayVec;
use pollux_net::TrafficClass;

use super::bucket::{Bucket, Rate, ShaperSpec};

const CLASSES: usize = TrafficClass::COUNT;

/// Octets that the class of the least weight may send in its turn: any frame of an ordinary MTU.
const QUANTUM: u64 = 1536;

/// The part of the port's burst that the least urgent classes leave to the others: a frame of the most urgent
/// class then leaves at once, where it would otherwise wait for as long as its own octets take at the port's
/// rate.
const RESERVE: usize = 4;

/// The rules of a port's order.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// The port's own rate.
    port: Option<Rate>,
    /// What each class may take before all others.
    guarantees: [Option<Rate>; CLASSES],
    /// What each class may take at most.
    caps: [Option<Rate>; CLASSES],
    /// The most urgent first.
    strict: ArrayVec<u8, CLASSES>,
    /// Who takes turns.
    turns: ArrayVec<u8, CLASSES>,
    /// Octets of a turn, by class.
    quanta: [i64; CLASSES],
    /// Tokens of the port that each class leaves to more urgent ones.
    reserves: [i64; CLASSES],
    guaranteed: u8,
    capped: u8,
}

impl Schedule {
    pub(crate) fn new(
        strict: &[TrafficClass],
        dwrr: &[(TrafficClass, u16)],
        port: Option<ShaperSpec>,
        guarantees: [Option<ShaperSpec>; CLASSES],
        caps: [Option<ShaperSpec>; CLASSES],
        hz: u64,
    ) -> Self {
        let listed =
            |class: &TrafficClass| strict.contains(class) || dwrr.iter().any(|(other, _)| other == class);
        let leftover = TrafficClass::descending().filter(|class| !listed(class));
        let rate = |spec: Option<ShaperSpec>| spec.map(|spec| Rate::new(&spec, hz));
        let (guarantees, caps) = (guarantees.map(rate), caps.map(rate));
        let with = |rates: &[Option<Rate>; CLASSES]| {
            let bits = rates.iter().enumerate().filter(|(_, rate)| rate.is_some());
            bits.fold(0, |bits, (class, _)| bits | 1 << class)
        };
        let least = dwrr.iter().map(|&(_, weight)| u64::from(weight.max(1))).min().unwrap_or(1);
        let mut quanta = [QUANTUM as i64; CLASSES];
        for &(class, weight) in dwrr {
            quanta[class.index()] = (u64::from(weight.max(1)) * QUANTUM / least) as i64;
        }
        let port = rate(port);
        let mut reserves = [0; CLASSES];
        if let Some(port) = &port {
            let last = strict.len();
            let levels = (if dwrr.is_empty() { last.saturating_sub(1) } else { last }).max(1);
            for (rank, class) in strict.iter().enumerate() {
                reserves[class.index()] = port.share(rank, RESERVE * levels);
            }
            for (class, _) in dwrr {
                reserves[class.index()] = port.share(last, RESERVE * levels);
            }
        }
        Self {
            reserves,
            guaranteed: with(&guarantees),
            capped: with(&caps),
            port,
            guarantees,
            caps,
            // What waits of classes that are no more, since before a change, leaves first.
            strict: leftover.chain(strict.iter().copied()).map(TrafficClass::value).collect(),
            turns: dwrr.iter().map(|(class, _)| class.value()).collect(),
            quanta,
        }
    }

    /// Whether something but the device holds frames back.
    pub(crate) fn shapes(&self) -> bool {
        self.port.is_some() || self.capped != 0
    }

    /// What a class may send in its turn, with what it has left of earlier ones: at least the frame that is
    /// next, at most one turn more than that.
    fn turn(&self, class: usize, deficit: i64, len: usize) -> i64 {
        let quantum = self.quanta[class];
        deficit.clamp(0, quantum.max(len as i64)) + quantum
    }
}

/// What a frame took when it left, to be given back if the device has no room for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Paid {
    guarantee: i64,
    in_turn: bool,
}

/// Where a port is in its order.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    port: Bucket,
    guarantees: [Bucket; CLASSES],
    caps: [Bucket; CLASSES],
    /// Octets that a class may still send in its turn.
    deficits: [i64; CLASSES],
    /// Whose turn it is, as a place among those who take turns.
    place: usize,
    /// Whether its quantum has been added.
    under_way: bool,
    /// Whether the class that was chosen last was so because it is its turn.
    in_turn: bool,
    /// Whether it was because it had got less than it is guaranteed.
    guaranteed: bool,
}

impl Turn {
    /// Time has passed.
    pub(crate) fn refill(&mut self, schedule: &Schedule, now: u64) {
        if let Some(rate) = &schedule.port {
            self.port.refill(rate, now);
        }
        let refill = |buckets: &mut [Bucket; CLASSES], rates: &[Option<Rate>; CLASSES]| {
            for (bucket, rate) in buckets.iter_mut().zip(rates) {
                if let Some(rate) = rate {
                    bucket.refill(rate, now);
                }
            }
        };
        if schedule.guaranteed != 0 {
            refill(&mut self.guarantees, &schedule.guarantees);
        }
        if schedule.capped != 0 {
            refill(&mut self.caps, &schedule.caps);
        }
    }

    /// The class whose first frame leaves next, of those whose bits are set in `waiting`; `len` says how long
    /// its first frame is. `None`: rates hold back all.
    #[inline]
    pub(crate) fn next(
        &mut self,
        schedule: &Schedule,
        waiting: u8,
        len: impl Fn(usize) -> usize,
    ) -> Option<usize> {
        let eligible = if schedule.capped == 0 { waiting } else { self.under_caps(schedule, waiting, &len) };
        let class = self.choose(schedule, eligible, &len)?;
        let Some(rate) = &schedule.port else { return Some(class) };
        let reserve = if self.guaranteed { 0 } else { schedule.reserves[class] };
        self.port.allows_beside(rate, len(class), reserve).then_some(class)
    }

    /// Whether the class that was chosen last would be chosen again, of those whose bits are set in `waiting`,
    /// for a frame of `len` octets. May say no where it would be.
    #[inline]
    pub(crate) fn goes_on(&self, schedule: &Schedule, class: usize, waiting: u8, len: usize) -> bool {
        if (schedule.guaranteed & waiting) | (schedule.capped & 1 << class) != 0 {
            return false;
        }
        let its_turn = !self.in_turn || self.deficits[class] >= len as i64;
        let reserve = schedule.reserves[class];
        its_turn && schedule.port.as_ref().is_none_or(|rate| self.port.allows_beside(rate, len, reserve))
    }

    fn choose(&mut self, schedule: &Schedule, eligible: u8, len: &impl Fn(usize) -> usize) -> Option<usize> {
        (self.in_turn, self.guaranteed) = (false, false);
        if eligible == 0 {
            return None;
        }
        if schedule.guaranteed & eligible != 0 {
            let behind = self.behind_guarantee(schedule, eligible, len);
            if behind.is_some() {
                self.guaranteed = true;
                return behind;
            }
        }
        let strict = schedule.strict.iter().find(|&&class| eligible >> class & 1 != 0);
        match strict {
            Some(&class) => Some(usize::from(class)),
            None => self.take_turns(schedule, eligible, len),
        }
    }

    fn under_caps(&self, schedule: &Schedule, waiting: u8, len: &impl Fn(usize) -> usize) -> u8 {
        let mut eligible = waiting;
        for class in bits(waiting & schedule.capped) {
            if let Some(rate) = &schedule.caps[class]
                && !self.caps[class].allows(rate, len(class))
            {
                eligible &= !(1 << class);
            }
        }
        eligible
    }

    /// The most urgent class that has got less than it is guaranteed.
    fn behind_guarantee(
        &self,
        schedule: &Schedule,
        eligible: u8,
        len: &impl Fn(usize) -> usize,
    ) -> Option<usize> {
        let guaranteed = eligible & schedule.guaranteed;
        let behind = |class: &usize| {
            let rate = schedule.guarantees[*class].as_ref();
            rate.is_some_and(|rate| self.guarantees[*class].allows(rate, len(*class)))
        };
        (0..CLASSES).rev().filter(|class| guaranteed >> class & 1 != 0).find(behind)
    }

    fn take_turns(
        &mut self,
        schedule: &Schedule,
        eligible: u8,
        len: &impl Fn(usize) -> usize,
    ) -> Option<usize> {
        let turns = &schedule.turns;
        if !turns.iter().any(|&class| eligible >> class & 1 != 0) {
            return None;
        }
        // A round adds to the deficit of each that waits, so that even the longest frame's turn comes.
        loop {
            if self.place >= turns.len() {
                self.place = 0;
            }
            let class = usize::from(turns[self.place]) % CLASSES;
            if eligible >> class & 1 != 0 {
                if !self.under_way {
                    self.deficits[class] = schedule.turn(class, self.deficits[class], len(class));
                    self.under_way = true;
                }
                if self.deficits[class] >= len(class) as i64 {
                    self.in_turn = true;
                    return Some(class);
                }
            }
            self.place += 1;
            self.under_way = false;
        }
    }

    /// The first frame of the class that was chosen leaves; `last` if none waits behind it.
    #[inline]
    pub(crate) fn leaves(&mut self, schedule: &Schedule, class: usize, len: usize, last: bool) -> Paid {
        if let Some(rate) = &schedule.port {
            self.port.take(rate, len);
        }
        if let Some(rate) = &schedule.caps[class] {
            self.caps[class].take(rate, len);
        }
        let guarantee = match &schedule.guarantees[class] {
            Some(rate) => self.guarantees[class].take_what_is_there(rate, len),
            None => 0,
        };
        if last {
            self.deficits[class] = 0;
        } else if self.in_turn {
            self.deficits[class] -= len as i64;
        }
        Paid { guarantee, in_turn: self.in_turn }
    }

    /// A frame of `class` came back: the device had no room.
    pub(crate) fn comes_back(&mut self, schedule: &Schedule, class: usize, len: usize, paid: Paid) {
        if let Some(rate) = &schedule.port {
            self.port.give_back(rate, len);
        }
        if let Some(rate) = &schedule.caps[class] {
            self.caps[class].give_back(rate, len);
        }
        if let Some(rate) = &schedule.guarantees[class] {
            self.guarantees[class].give_back_tokens(rate, paid.guarantee);
        }
        if paid.in_turn {
            self.deficits[class] += len as i64;
        }
    }
}

/// The numbers of the bits that are set.
pub(super) fn bits(mut bits: u8) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then_some(bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        bit
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollux_net::RateUnit;

    const HZ: u64 = 1_000_000_000;
    const NONE: [Option<ShaperSpec>; CLASSES] = [None; CLASSES];

    fn class(number: u8) -> TrafficClass {
        TrafficClass::new(number).unwrap()
    }

    fn rate(octets_per_second: u64, burst: u64) -> Option<ShaperSpec> {
        Some(ShaperSpec { octets_per_second, burst, unit: RateUnit::Octets })
    }

    /// What each class sends while all of `waiting` always wait with frames of these lengths, for `seconds`
    /// at a device of a Gbit/s.
    fn shares(schedule: &Schedule, waiting: u8, lens: [usize; CLASSES], seconds: f64) -> [f64; CLASSES] {
        let mut turn = Turn::default();
        let mut sent = [0.0; CLASSES];
        let (mut now, end) = (HZ, HZ + (seconds * HZ as f64) as u64);
        while now < end {
            turn.refill(schedule, now);
            match turn.next(schedule, waiting, |class| lens[class]) {
                Some(class) => {
                    turn.leaves(schedule, class, lens[class], false);
                    sent[class] += lens[class] as f64;
                    now += 8 * lens[class] as u64;
                }
                None => now += 100,
            }
        }
        sent.map(|octets| octets / seconds)
    }

    #[test]
    fn strict_classes_go_first() {
        let schedule = Schedule::new(&[class(7), class(3)], &[(class(0), 1)], None, NONE, NONE, HZ);
        let sent = shares(&schedule, 0b1000_1001, [1000; 8], 0.01);
        assert!(sent[7] > 1e8 && sent[3] == 0.0 && sent[0] == 0.0, "{sent:?}");
        let sent = shares(&schedule, 0b1001, [1000; 8], 0.01);
        assert!(sent[3] > 1e8 && sent[0] == 0.0, "{sent:?}");
    }

    #[test]
    fn weights_share_octets_whatever_the_lengths() {
        let weights = [(5, 8), (4, 4), (3, 4), (2, 2), (1, 1), (0, 1)];
        let dwrr = weights.map(|(number, weight)| (class(number), weight));
        let schedule = Schedule::new(&[], &dwrr, None, NONE, NONE, HZ);
        for lens in [[60; 8], [1514; 8], [9014, 60, 590, 1514, 60, 1514, 0, 0]] {
            let sent = shares(&schedule, 0b11_1111, lens, 0.5);
            let total: f64 = sent.iter().sum();
            for (number, weight) in weights {
                let error = sent[usize::from(number)] / total * 20.0 / f64::from(weight) - 1.0;
                assert!(error.abs() < 0.02, "{lens:?}: class {number} is off by {error}");
            }
        }
    }

    #[test]
    fn a_guarantee_holds_against_strict_classes_and_a_cap_against_idle_ones() {
        let mut guarantees = NONE;
        guarantees[0] = rate(12_500_000, 10_000);
        let mut caps = NONE;
        caps[7] = rate(50_000_000, 10_000);
        let strict: Vec<_> = TrafficClass::descending().collect();
        let schedule = Schedule::new(&strict, &[], None, guarantees, caps, HZ);
        let sent = shares(&schedule, 0b1000_0011, [1000; 8], 1.0);
        assert!((sent[0] / 12_500_000.0 - 1.0).abs() < 0.01, "{sent:?}");
        assert!((sent[7] / 50_000_000.0 - 1.0).abs() < 0.01, "{sent:?}");
        assert!((sent[1] / 62_500_000.0 - 1.0).abs() < 0.02, "{sent:?}");
        let alone = shares(&schedule, 0b1000_0000, [1000; 8], 1.0);
        assert!((alone[7] / 50_000_000.0 - 1.0).abs() < 0.01, "{alone:?}");
    }

    #[test]
    fn the_ports_rate_holds_for_all_together() {
        let dwrr = [(class(1), 3), (class(0), 1)];
        let schedule = Schedule::new(&[], &dwrr, rate(25_000_000, 20_000), NONE, NONE, HZ);
        let sent = shares(&schedule, 0b11, [1514, 60, 0, 0, 0, 0, 0, 0], 1.0);
        assert!(((sent[0] + sent[1]) / 25_000_000.0 - 1.0).abs() < 0.01, "{sent:?}");
        assert!((sent[1] / sent[0] / 3.0 - 1.0).abs() < 0.02, "{sent:?}");
    }

    #[test]
    fn what_comes_back_costs_nothing() {
        let schedule = Schedule::new(&[], &[(class(0), 1)], rate(1_000_000, 3000), NONE, NONE, HZ);
        let mut turn = Turn::default();
        turn.refill(&schedule, HZ);
        for _ in 0..100 {
            assert_eq!(turn.next(&schedule, 1, |_| 1500), Some(0));
            let paid = turn.leaves(&schedule, 0, 1500, false);
            turn.comes_back(&schedule, 0, 1500, paid);
        }
        for _ in 0..2 {
            assert_eq!(turn.next(&schedule, 1, |_| 1500), Some(0));
            turn.leaves(&schedule, 0, 1500, false);
        }
        assert_eq!(turn.next(&schedule, 1, |_| 1500), None);
    }

    /// Classes 0 and 1 have waited all the time for a device of a Gbit/s, with frames of 1000 octets.
    fn after_a_while(schedule: &Schedule) -> Turn {
        let mut turn = Turn::default();
        for frame in 0..100_000 {
            turn.refill(schedule, HZ + frame * 8000);
            let class = turn.next(schedule, 0b11, |_| 1000).unwrap();
            turn.leaves(schedule, class, 1000, false);
        }
        turn
    }

    #[test]
    fn a_guarantee_above_its_share_runs_up_no_debt() {
        let mut guarantees = NONE;
        guarantees[0] = rate(62_500_000, 10_000);
        let dwrr = [(class(1), 9), (class(0), 1)];
        let schedule = Schedule::new(&[], &dwrr, None, guarantees, NONE, HZ);
        let turn = after_a_while(&schedule);
        assert!(turn.deficits.iter().all(|deficit| deficit.abs() < 20_000), "{:?}", turn.deficits);
    }

    #[test]
    fn a_capped_class_saves_up_no_turns() {
        let mut caps = NONE;
        caps[1] = rate(1_000_000, 10_000);
        let dwrr = [(class(1), 100), (class(0), 1)];
        let schedule = Schedule::new(&[], &dwrr, None, NONE, caps, HZ);
        let turn = after_a_while(&schedule);
        assert!(turn.deficits[1] <= 2 * 100 * QUANTUM as i64, "{:?}", turn.deficits);
    }

    #[test]
    fn what_waits_of_a_class_that_is_no_more_leaves() {
        let schedule = Schedule::new(&[class(1)], &[(class(0), 1)], None, NONE, NONE, HZ);
        assert_eq!(Turn::default().next(&schedule, 0b1000_0011, |_| 60), Some(7));
    }

    #[test]
    fn an_urgent_frame_leaves_at_once() {
        let schedule =
            Schedule::new(&[class(7)], &[(class(0), 1)], rate(125_000_000, 16_384), NONE, NONE, HZ);
        let mut turn = Turn::default();
        turn.refill(&schedule, HZ);
        // Best effort takes all that it may.
        while turn.next(&schedule, 1, |_| 1514).is_some() {
            turn.leaves(&schedule, 0, 1514, false);
        }
        for _ in 0..2 {
            assert_eq!(turn.next(&schedule, 0b1000_0001, |_| 1514), Some(7));
            turn.leaves(&schedule, 7, 1514, false);
        }
        assert_eq!(turn.next(&schedule, 1, |_| 60), None);
    }
}
