//! The rules of the module's text, in the orders that two threads can meet.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p pollux-engine --lib fdb::tests::loom`
//!
//! loom doesn't go back to before a load for a store of another thread that has loaded the same word
//! first. Hence every scene is explored with either thread first.

use super::*;
use ::loom::sync::atomic::AtomicBool;
use ::loom::thread;
use std::sync::Arc;

const NOW: u32 = 100;
const SEED: u64 = 1;
const SWITCHES: usize = 3;

/// Runs a scene in every order with up to [`SWITCHES`] switches of thread that nobody waits for: `set_up`
/// alone, `left` and `right` at once, then `check` of what these returned.
fn explore<S: Sync + Send + 'static, L: Send + 'static, R: Send + 'static>(
    set_up: impl Fn() -> S + Copy + Sync + Send + 'static,
    left: impl Fn(&S) -> L + Copy + Sync + Send + 'static,
    right: impl Fn(&S) -> R + Copy + Sync + Send + 'static,
    check: impl Fn(&S, L, R) + Copy + Sync + Send + 'static,
) {
    explore_beginning(set_up, left, right, check);
    explore_beginning(set_up, right, left, move |scene, right, left| check(scene, left, right));
}

fn explore_beginning<S: Sync + Send + 'static, A: 'static, B: Send + 'static>(
    set_up: impl Fn() -> S + Sync + Send + 'static,
    first: impl Fn(&S) -> A + Sync + Send + 'static,
    second: impl Fn(&S) -> B + Copy + Sync + Send + 'static,
    check: impl Fn(&S, A, B) + Sync + Send + 'static,
) {
    let mut builder = ::loom::model::Builder::new();
    builder.preemption_bound = Some(SWITCHES);
    builder.max_branches = 20_000;
    let orders = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&orders);
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let scene = Arc::new(set_up());
        let other = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || second(&scene))
        };
        let mine = first(&scene);
        let others = other.join().unwrap();
        check(&scene, mine, others);
    });
    println!("{} orders", orders.load(Ordering::Relaxed));
}

/// A table and some keys in it.
struct Scene<const N: usize> {
    fdb: Fdb,
    keys: [FdbKey; N],
}

impl<const N: usize> Scene<N> {
    fn learn(&self, number: usize, on: usize, now: u32) -> Learned {
        learn(&self.fdb, self.keys[number], on, now)
    }

    /// Puts another key in the slot.
    fn replace(&self, old: usize, new: usize, on: usize) -> Learned {
        assert!(self.fdb.remove(self.keys[old]));
        self.learn(new, on, NOW)
    }

    fn lookup(&self, number: usize) -> Option<usize> {
        lookup(&self.fdb, self.keys[number], NOW)
    }

    fn check_counts(&self) {
        check_counts(&self.fdb, NOW);
    }
}

/// A table and keys of different stripes that want the same slot of it.
fn one_slot<const N: usize>(capacity: usize) -> Scene<N> {
    let keys = keys(|probe, chosen| want_one_slot(probe, chosen, |tag, other| (tag ^ other) & 2 != 0));
    Scene { fdb: fdb(capacity), keys }
}

/// Whether the key wants the slot of those chosen, and its tag fits theirs.
fn want_one_slot(probe: &Probe, chosen: &[Probe], tags: impl Fn(u16, u16) -> bool) -> bool {
    buckets(probe) == (0, 1)
        && chosen.iter().all(|other| tags(probe.tag(), other.tag()) && probe.slot() == other.slot())
}

/// The two buckets of a key in a table of two.
fn buckets(probe: &Probe) -> (u64, u64) {
    (probe.primary() % 2, probe.secondary() % 2)
}

fn fdb(capacity: usize) -> Fdb {
    Fdb::with_buckets(FdbOptions { capacity, ageing_seconds: 300, seed: SEED }, 2)
}

/// The first keys of which each fits those before it.
fn keys<const N: usize>(fits: impl Fn(&Probe, &[Probe]) -> bool) -> [FdbKey; N] {
    let mut chosen: Vec<Probe> = Vec::new();
    let hasher = key::Hasher::new(SEED);
    let probes = (1..).map(|mac| hasher.probe(key(1, mac)));
    for probe in probes {
        if chosen.len() == N {
            break;
        }
        if fits(&probe, &chosen) {
            chosen.push(probe);
        }
    }
    std::array::from_fn(|i| chosen[i].key)
}

#[test]
fn a_slot_that_changes_keys_twice_never_lends_its_port() {
    explore(
        || {
            let scene = one_slot::<2>(1);
            scene.learn(0, 1, NOW);
            scene
        },
        |scene| scene.lookup(0),
        |scene| [(0, 1, 2), (1, 0, 3)].map(|(old, new, on)| scene.replace(old, new, on)),
        |scene, found, learned| {
            assert!(matches!(found, None | Some(1 | 3)), "{found:?}");
            assert_eq!(learned, [Learned::New; 2]);
            assert_eq!((scene.lookup(0), scene.lookup(1)), (Some(3), None));
            scene.check_counts();
        },
    );
}

#[test]
fn a_slot_that_changes_keys_once_never_lends_its_port_even_if_tags_are_equal() {
    let keys: [FdbKey; 2] = keys(|probe, chosen| want_one_slot(probe, chosen, |tag, other| tag == other));
    for (number, on) in [(0, 1), (1, 2)] {
        explore(
            move || {
                let scene = Scene { fdb: fdb(1), keys };
                scene.learn(0, 1, NOW);
                scene
            },
            move |scene| scene.lookup(number),
            |scene| scene.replace(0, 1, 2),
            move |scene, found, learned| {
                assert!(found.is_none() || found == Some(on), "{found:?}");
                assert_eq!(learned, Learned::New);
                scene.check_counts();
            },
        );
    }
}

#[test]
fn a_key_learned_twice_at_once_is_there_once() {
    explore(
        || one_slot::<1>(4),
        |scene| scene.learn(0, 1, NOW),
        |scene| scene.learn(0, 2, NOW),
        |scene, left, right| {
            let busy = Learned::Refused(Refusal::Busy);
            let on = scene.lookup(0).unwrap();
            match (left, right) {
                (Learned::New, Learned::Moved { .. }) => assert_eq!(on, 2),
                (Learned::Moved { .. }, Learned::New) => assert_eq!(on, 1),
                (Learned::New, right) => assert_eq!((on, right), (1, busy)),
                (left, Learned::New) => assert_eq!((on, left), (2, busy)),
                both => panic!("{both:?}"),
            }
            scene.check_counts();
        },
    );
}

#[test]
fn a_stripe_that_is_busy_stays_so() {
    explore(
        || one_slot::<1>(4),
        |scene| scene.learn(0, 1, NOW),
        |scene| [2, 3].map(|on| scene.learn(0, on, NOW)),
        |scene, _, _| scene.check_counts(),
    );
}

#[test]
fn keys_that_want_one_slot_each_get_their_own() {
    explore(
        || one_slot::<2>(4),
        |scene| scene.learn(0, 1, NOW),
        |scene| scene.learn(1, 2, NOW),
        |scene, left, right| {
            assert_eq!(scene.lookup(0), (left == Learned::New).then_some(1));
            assert_eq!(scene.lookup(1), (right == Learned::New).then_some(2));
            scene.check_counts();
        },
    );
}

#[test]
fn capacity_holds_when_two_add_the_last_entry() {
    explore(
        || one_slot::<2>(1),
        |scene| scene.learn(0, 1, NOW),
        |scene| scene.learn(1, 1, NOW),
        |scene, _, _| {
            assert_eq!(scene.fdb.len(), 1);
            scene.check_counts();
        },
    );
}

const MOVING: usize = 0;
const NEWCOMER: usize = 1;

/// A full bucket whose one entry that can live in the other bucket is `MOVING`; adding `NEWCOMER`
/// displaces it, from its primary bucket if it is `outward`, else from its secondary one. All keys have
/// one stripe if they are `together`; else the newcomer has another than the rest.
fn crowd(outward: bool, together: bool) -> Scene<5> {
    let home = u64::from(!outward);
    let keys = keys(|probe, chosen| {
        let wanted = match chosen.len() {
            MOVING => (home, 1 - home),
            1..3 => (0, 0),
            _ => (1, 1),
        };
        let stripe = usize::from(!together && chosen.len() == NEWCOMER);
        let distinct = chosen.iter().all(|other| other.tag() != probe.tag());
        buckets(probe) == wanted && probe.stripe() % 2 == stripe && distinct
    });
    let scene = Scene { fdb: fdb(100), keys };
    if !outward {
        (3..5).for_each(|obstacle| assert_eq!(scene.learn(obstacle, 0, NOW), Learned::New));
    }
    for number in [MOVING, 2] {
        assert_eq!(scene.learn(number, 1, NOW), Learned::New);
    }
    if !outward {
        assert!(scene.fdb.remove(scene.keys[3]));
    }
    scene
}

fn check_displaced(scene: &Scene<5>) {
    assert_eq!(scene.fdb.counters().displaced, 1);
    assert_eq!(scene.lookup(NEWCOMER), Some(0));
    scene.check_counts();
}

#[test]
fn an_entry_that_is_displaced_is_never_missed() {
    for set_up in [|| crowd(true, false), || crowd(false, false)] {
        explore(
            set_up,
            |scene| scene.lookup(MOVING),
            |scene| scene.learn(NEWCOMER, 0, NOW),
            |scene, found, learned| {
                assert_eq!((found, learned), (Some(1), Learned::New));
                assert_eq!(scene.lookup(MOVING), Some(1));
                check_displaced(scene);
            },
        );
    }
}

#[test]
fn a_move_during_displacement_is_not_lost() {
    for set_up in [|| crowd(true, false), || crowd(false, false)] {
        explore(
            set_up,
            |scene| scene.learn(MOVING, 0, NOW),
            |scene| scene.learn(NEWCOMER, 0, NOW),
            |scene, moved, learned| {
                let on = match moved {
                    Learned::Moved { .. } => 0,
                    Learned::Refused(Refusal::Busy) => 1,
                    other => panic!("{other:?}"),
                };
                assert_eq!((scene.lookup(MOVING), learned), (Some(on), Learned::New));
                check_displaced(scene);
            },
        );
    }
}

#[test]
fn a_stripe_that_two_keys_share_is_let_go_of_once() {
    explore(
        || crowd(true, true),
        |scene| scene.learn(NEWCOMER, 0, NOW),
        |scene| scene.learn(NEWCOMER, 0, NOW),
        |scene, _, _| check_displaced(scene),
    );
}

#[test]
fn an_entry_is_refreshed_or_evicted() {
    explore(
        || {
            let scene = one_slot::<2>(1);
            scene.learn(0, 1, NOW - 1);
            scene
        },
        |scene| scene.learn(0, 1, NOW),
        |scene| scene.learn(1, 0, NOW),
        |scene, refreshed, added| {
            let there = (scene.lookup(0), scene.lookup(1));
            match there {
                (Some(1), None) => assert!(matches!(refreshed, Learned::Known | Learned::New)),
                (None, Some(0)) => assert_eq!(added, Learned::New),
                _ => panic!("{there:?}"),
            }
            scene.check_counts();
        },
    );
}

#[test]
fn a_flush_ends_what_was_learned_before_and_nothing_after() {
    for flush in [|fdb: &Fdb| fdb.flush_port(port(1)), |fdb: &Fdb| fdb.flush_all()] {
        explore(
            || {
                let scene = one_slot::<2>(4);
                scene.learn(0, 1, NOW);
                (scene, AtomicBool::new(false))
            },
            |(scene, flushed)| (flushed.load(Ordering::Acquire), scene.lookup(0)),
            move |(scene, flushed)| {
                flush(&scene.fdb);
                flushed.store(true, Ordering::Release);
                scene.learn(1, 1, NOW)
            },
            |(scene, _), (over, found), learned| {
                assert!(found == Some(1) && !over || found.is_none());
                assert_eq!(learned, Learned::New);
                assert_eq!((scene.lookup(0), scene.lookup(1)), (None, Some(1)));
            },
        );
    }
}

#[test]
fn what_is_learned_while_a_sweep_passes_stays() {
    explore(
        || {
            let scene = one_slot::<1>(4);
            scene.learn(0, 1, NOW);
            scene.fdb.flush_port(port(1));
            scene
        },
        |scene| scene.learn(0, 0, NOW),
        |scene| scene.fdb.sweep(NOW, 1).removed,
        |scene, learned, removed| {
            assert!(removed <= 1);
            assert_eq!(scene.lookup(0), (learned == Learned::New).then_some(0), "{learned:?}");
            scene.fdb.sweep(NOW, 1);
            scene.check_counts();
        },
    );
}
