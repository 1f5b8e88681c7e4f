//! Reduced shapes of real protocols: the wrong variants must fail, the right ones must be exhausted
//! clean.

mod common;

use common::{
    FULL, Var,
    fork::{Barrier, PinAgainstFork, TableLock},
};
use pinfold_explore::{
    Completeness, Config, Ending, Judgement, Lanes, Model, Report, Search, Subject, explore,
    hook::{self, Order},
};

fn explored(subject: &mut impl Subject, model: Model, search: Search) -> Report {
    explore(subject, &Config { model, search, ..Config::default() }, &mut |_| {})
}

#[test]
fn the_sequence_count_needs_a_full_barrier() {
    use Barrier::{Full, None, Write};
    use TableLock::{Taken, Untaken};
    for (barrier, table_lock, model, holds) in [
        (None, Untaken, Model::Sc, true),
        (Write, Untaken, Model::Tso, false),
        // Taking the lock empties the store buffer on x86; in general it does not order the count
        // before the look.
        (Write, Taken, Model::Tso, true),
        (Write, Taken, Model::Weak, false),
        (Full, Untaken, Model::Tso, true),
        (Full, Untaken, Model::Weak, true),
        (Full, Taken, Model::Weak, true),
    ] {
        let mut subject = PinAgainstFork { pinners: 1, barrier, table_lock };
        let report = explored(&mut subject, model, FULL);
        assert_eq!(report.failure.is_none(), holds, "{barrier:?} {table_lock:?} {model:?}");
        assert_eq!(report.complete == Completeness::Exhausted, holds);
        let random = explored(&mut subject, model, Search::Random { seed: 1, runs: 2_000 });
        assert_eq!(random.failure.is_none(), holds, "random {barrier:?} {table_lock:?} {model:?}");
    }
}

#[test]
fn two_pinners_are_exhausted_too() {
    let mut subject =
        PinAgainstFork { pinners: 2, barrier: Barrier::Full, table_lock: TableLock::Untaken };
    let report = explored(&mut subject, Model::Weak, FULL);
    assert_eq!((report.failure, report.complete), (None, Completeness::Exhausted));
    assert!(report.outcomes.contains_key("2 pinned, copied"), "{:?}", report.outcomes);
    println!("{} executions, {} blocked, {:?}", report.executions, report.blocked, report.elapsed);
}

/// A flag that says that data is ready.
#[derive(Clone, Copy)]
struct Publish(Order, Order);

impl Subject for Publish {
    type World = ();

    fn build(&mut self, lanes: &mut Lanes<'_>) {
        let (data, flag, Self(store, wait)) = (Var::new(0), Var::new(0), *self);
        let (data2, flag2) = (data.clone(), flag.clone());
        lanes.lane("publish", move || {
            data.store(1, Order::Relaxed);
            flag.store(1, store);
        });
        lanes.lane("consume", move || {
            flag2.wait(wait, |value| value == 1);
            if data2.load(Order::Relaxed) == 0 {
                hook::fail("unpublished data".to_owned());
            }
        });
    }

    fn judge(&mut self, (): (), _: Ending<'_>) -> Judgement {
        Judgement::Pass { outcome: String::new() }
    }
}

#[test]
fn publishing_needs_release_and_acquire() {
    for (store, wait, holds) in [
        (Order::Release, Order::Acquire, true),
        (Order::Relaxed, Order::Acquire, false),
        (Order::Release, Order::Relaxed, false),
    ] {
        let weak = explored(&mut Publish(store, wait), Model::Weak, FULL);
        assert_eq!(weak.failure.is_none(), holds, "{store:?} {wait:?}");
        assert_eq!(explored(&mut Publish(store, wait), Model::Tso, FULL).failure, None);
    }
}
