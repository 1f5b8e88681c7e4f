//! Counters, locks, deadlocks, panics, replay: the basics, under sequential consistency.

mod common;

use common::{FULL, Lock, NAIVE, Var, note, run};
use pinfold_explore::{
    AccessKind, Completeness, Config, Ending, FailureKind, Judgement, Lanes, LockForm, Model,
    Schedule, Search, Subject, explore,
    hook::{self, Mode, Order},
    replay,
};
use std::{cell::Cell, collections::BTreeMap, rc::Rc, time::Duration};

const SEARCHES: [Search; 4] = [
    FULL,
    NAIVE,
    Search::Random { seed: 1, runs: 300 },
    Search::Pct { depth: 3, seed: 1, runs: 300 },
];

/// Two lanes that add in two steps each.
fn lost_update(search: Search) -> pinfold_explore::Report {
    run(Model::Sc, search, |lanes, _| {
        let counter = Var::new(0);
        for name in ["left", "right"] {
            let counter = counter.clone();
            lanes.lane(name, move || {
                let seen = counter.load(Order::Relaxed);
                counter.store(seen + 1, Order::Relaxed);
            });
        }
        Box::new(move |outcome| {
            outcome.push_str(&counter.peek().to_string());
            None
        })
    })
}

#[test]
fn every_search_finds_both_outcomes_of_a_lost_update() {
    for search in SEARCHES {
        let report = lost_update(search);
        assert_eq!(report.outcomes.keys().collect::<Vec<_>>(), ["1", "2"], "{search:?}");
        assert_eq!(report.steps_max, 4);
    }
    assert_eq!(lost_update(FULL).complete, Completeness::Exhausted);
    let naive = lost_update(NAIVE);
    assert_eq!((naive.executions, naive.complete), (6, Completeness::Exhausted));
}

#[test]
fn a_bound_that_cuts_is_said() {
    let report = lost_update(Search::Exhaustive { preemptions: Some(0) });
    assert_eq!(report.outcomes, BTreeMap::from([("2".to_owned(), 2)]));
    // Each lane could have been left after its first step.
    let why = "at most 0 preemptions were tried, and 2 switches beyond them were not".to_owned();
    assert_eq!(report.complete, Completeness::Bounded { why });
}

#[test]
fn a_lock_makes_the_update_whole() {
    for search in SEARCHES {
        let report = run(Model::Sc, search, |lanes, _| {
            let (counter, lock) = (Var::new(0), Lock::new());
            for name in ["a", "b", "c"] {
                let (counter, lock) = (counter.clone(), lock.clone());
                lanes.lane(name, move || {
                    let held = lock.lock(Mode::Exclusive);
                    let seen = counter.load(Order::Relaxed);
                    counter.store(seen + 1, Order::Relaxed);
                    drop(held);
                });
            }
            Box::new(move |_| (counter.peek() != 3).then(|| "lost".to_owned()))
        });
        assert_eq!(report.failure, None, "{search:?}");
    }
}

#[test]
fn shared_holders_overlap_and_exclusive_ones_do_not() {
    let report = run(Model::Sc, FULL, |lanes, log| {
        let (inside, lock) = (Rc::new(Cell::new(0)), Lock::new());
        for (lane, mode) in [Mode::Shared, Mode::Shared, Mode::Exclusive].into_iter().enumerate() {
            let (inside, lock, log) = (inside.clone(), lock.clone(), log.clone());
            let tick = Var::new(0);
            lanes.lane(format!("{mode:?}"), move || {
                let held = lock.lock(mode);
                inside.set(inside.get() + 1);
                tick.store(1, Order::Relaxed);
                note(&log, lane, inside.get());
                inside.set(inside.get() - 1);
                drop(held);
            });
        }
        Box::new(|_| None)
    });
    assert_eq!(report.complete, Completeness::Exhausted);
    assert!(report.outcomes.keys().all(|outcome| outcome.ends_with("/1/")));
}

#[test]
fn a_deadlock_is_a_failure_that_names_who_waits() {
    for search in SEARCHES {
        let report = run(Model::Sc, search, |lanes, _| {
            let (a, b) = (Lock::new(), Lock::new());
            let (a2, b2) = (a.clone(), b.clone());
            lanes.lane("ab", move || {
                let _a = a.lock(Mode::Exclusive);
                let _b = b.lock(Mode::Exclusive);
            });
            lanes.lane("ba", move || {
                let _b = b2.lock(Mode::Exclusive);
                let _a = a2.lock(Mode::Exclusive);
            });
            Box::new(|_| None)
        });
        let failure = report.failure.expect("a deadlock");
        assert_eq!(failure.kind, FailureKind::Deadlock);
        assert!(failure.message.contains("ab waits for lock"), "{}", failure.message);
    }
}

#[test]
fn a_wait_that_nobody_ends_is_a_deadlock() {
    let report = run(Model::Sc, FULL, |lanes, _| {
        let flag = Var::new(0);
        lanes.lane("waiter", move || {
            flag.wait(Order::Acquire, |value| value == 1);
        });
        Box::new(|_| None)
    });
    assert_eq!(report.failure.expect("stuck").kind, FailureKind::Deadlock);
}

#[test]
fn a_failure_unwinds_every_lane_and_leaks_nothing() {
    let alive = Rc::new(Cell::new(0));
    struct Count(Rc<Cell<i32>>);
    impl Drop for Count {
        fn drop(&mut self) {
            assert!(!hook::active(), "hooks are inactive while lanes unwind");
            self.0.set(self.0.get() - 1);
        }
    }
    for panics in [false, true] {
        let counted = alive.clone();
        let report = run(Model::Sc, FULL, move |lanes, _| {
            let (flag, lock) = (Var::new(0), Lock::new());
            for lane in 0..3 {
                let (flag, lock, counted) = (flag.clone(), lock.clone(), counted.clone());
                lanes.lane("lane", move || {
                    counted.set(counted.get() + 1);
                    let _count = Count(counted);
                    let _held = (lane == 0).then(|| lock.lock(Mode::Exclusive));
                    if flag.add(1, Order::Relaxed) == 1 {
                        match panics {
                            true => panic!("second {}", 2),
                            false => hook::fail("second 2".to_owned()),
                        }
                    }
                    flag.wait(Order::Relaxed, |value| value > 5);
                });
            }
            Box::new(|_| None)
        });
        let failure = report.failure.expect("fails");
        let kind = if panics { FailureKind::Panicked } else { FailureKind::Failed };
        assert_eq!(failure.kind, kind);
        assert!(failure.message.starts_with("second 2"), "{}", failure.message);
        assert_eq!(alive.get(), 0);
    }
}

#[test]
fn choices_are_gone_through() {
    let report = run(Model::Sc, FULL, |lanes, log| {
        let log = log.clone();
        lanes.lane("only", move || {
            note(&log, 0, hook::choose(3) as u64);
            note(&log, 0, hook::choose(2) as u64);
            note(&log, 0, hook::choose(1) as u64);
        });
        Box::new(|_| None)
    });
    assert_eq!((report.executions, report.outcomes.len()), (6, 6));
}

#[test]
fn try_lock_fails_only_while_held() {
    for search in [FULL, NAIVE] {
        let report = run(Model::Sc, search, |lanes, log| {
            let (lock, log, other) = (Lock::new(), log.clone(), Var::new(0));
            let also = lock.clone();
            lanes.lane("holder", move || {
                let held = lock.lock(Mode::Exclusive);
                other.store(1, Order::Relaxed);
                drop(held);
                other.store(2, Order::Relaxed);
            });
            lanes.lane("trier", move || {
                note(&log, 0, u64::from(also.try_lock(Mode::Exclusive).is_some()));
            });
            Box::new(|_| None)
        });
        assert_eq!(report.outcomes.keys().collect::<Vec<_>>(), ["0/", "1/"]);
    }
}

/// Fails when the second lane reads the first one's store between two others.
struct Window;

impl Subject for Window {
    type World = Vec<Var>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Self::World {
        let (a, b) = (Var::new(0), Var::new(7));
        hook::label(a.addr(), 8, Box::new(|offset| format!("a+{offset}")));
        let world = vec![a.clone(), b.clone()];
        lanes.lane("writer", {
            let (a, b) = (a.clone(), b.clone());
            move || {
                a.store(1, Order::Relaxed);
                b.add(1, Order::Full);
                a.store(2, Order::Relaxed);
            }
        });
        lanes.lane("reader", move || {
            if b.load(Order::Relaxed) == 8 && a.load(Order::Relaxed) == 1 {
                hook::fail("in the window".to_owned());
            }
        });
        world
    }

    fn judge(&mut self, world: Self::World, ending: Ending<'_>) -> Judgement {
        let outcome = format!("{} {ending:?}", world[0].peek());
        Judgement::Pass { outcome }
    }
}

#[test]
fn a_failure_replays_with_names_and_values() {
    let config = Config { model: Model::Sc, ..Config::default() };
    let report = explore(&mut Window, &config, &mut |_| {});
    let failure = report.failure.expect("found");
    assert_eq!(failure.schedule.to_string(), "1,1,2,2");
    assert_eq!((failure.steps, failure.switches), (4, 1));
    let text: Schedule = failure.schedule.to_string().parse().expect("valid");
    for _ in 0..2 {
        let again = replay(&mut Window, Model::Sc, LockForm::Object, &text);
        assert_eq!(again.diverged_at, None);
        assert!(
            matches!(&again.judgement, Judgement::Fail { message, .. } if message == "in the window")
        );
        let last = again.trace.last().expect("steps");
        assert_eq!((last.label.as_str(), last.old, last.lane), ("a+0", 1, 1));
        assert_eq!(again.trace[1].kind, AccessKind::Rmw(Order::Full));
        assert_eq!((again.trace[1].old, again.trace[1].new), (7, 8));
    }
    let other =
        replay(&mut Window, Model::Sc, LockForm::Object, &"1,2,3,3".parse().expect("valid"));
    assert_eq!(other.diverged_at, Some(2));
}

#[test]
fn limits_are_said_and_never_called_exhaustive() {
    let base = Config { model: Model::Sc, ..Config::default() };
    for config in [
        Config { max_executions: Some(1), ..base.clone() },
        Config { max_steps: 2, ..base.clone() },
        Config { deadline: Some(Duration::ZERO), ..base.clone() },
        Config { stop: Some(std::sync::Arc::new(true.into())), ..base },
    ] {
        struct Quiet;
        impl Subject for Quiet {
            type World = ();
            fn build(&mut self, lanes: &mut Lanes<'_>) {
                let cell = Var::new(0);
                for _ in 0..2 {
                    let cell = cell.clone();
                    lanes.lane("adder", move || {
                        cell.add(1, Order::Full);
                        cell.add(1, Order::Full);
                    });
                }
            }
            fn judge(&mut self, (): (), _: Ending<'_>) -> Judgement {
                Judgement::Pass { outcome: String::new() }
            }
        }
        let report = explore(&mut Quiet, &config, &mut |_| {});
        assert!(matches!(report.complete, Completeness::Bounded { .. }), "{config:?}");
    }
}

#[test]
fn too_many_lanes_and_nested_explorations_are_refused() {
    let report = run(Model::Sc, FULL, |lanes, _| {
        for _ in 0..40 {
            lanes.lane("one of many", || {});
        }
        Box::new(|_| None)
    });
    assert_eq!(report.failure.expect("refused").kind, FailureKind::Unsupported);
    let report = run(Model::Sc, FULL, |lanes, log| {
        let log = log.clone();
        lanes.lane("outer", move || {
            let inner = lost_update(FULL);
            note(&log, 0, u64::from(inner.failure.is_some()));
        });
        Box::new(|_| None)
    });
    assert!(report.outcomes.contains_key("1/"));
}

#[test]
fn hooks_outside_an_exploration_act_on_the_cell() {
    assert!(!hook::active());
    let var = Var::new(3);
    assert_eq!(var.load(Order::Full), 3);
    var.store(4, Order::Relaxed);
    assert_eq!(var.add(1, Order::Full), 4);
    assert!(!var.cas(4, 9, Order::Full));
    assert_eq!(var.wait(Order::Acquire, |value| value == 99), 5);
    assert_eq!((hook::choose(5), hook::lane(), hook::step()), (0, 0, 0));
    drop(Lock::new().lock(Mode::Exclusive));
    assert!(Lock::new().try_lock(Mode::Shared).is_some());
    hook::fence(Order::Full);
    var.poke(1);
}

/// The failure needs one switch; a random search finds it with many.
#[test]
fn a_failure_is_cut_to_the_fewest_switches() {
    struct Many;
    impl Subject for Many {
        type World = Var;
        fn build(&mut self, lanes: &mut Lanes<'_>) -> Var {
            let cell = Var::new(0);
            for _ in 0..3 {
                let cell = cell.clone();
                lanes.lane("adder", move || {
                    for _ in 0..3 {
                        let seen = cell.load(Order::Relaxed);
                        cell.store(seen + 1, Order::Relaxed);
                    }
                });
            }
            cell
        }
        fn judge(&mut self, cell: Var, _: Ending<'_>) -> Judgement {
            let outcome = cell.peek().to_string();
            match cell.peek() {
                9 => Judgement::Pass { outcome },
                _ => Judgement::Fail {
                    outcome: "lost".to_owned(),
                    message: "an update was lost".to_owned(),
                },
            }
        }
    }
    let search = Search::Random { seed: 3, runs: 100 };
    let rough = Config { model: Model::Sc, search, shrink_runs: 0, ..Config::default() };
    let cut = Config { shrink_runs: 2_000, ..rough.clone() };
    let rough = explore(&mut Many, &rough, &mut |_| {}).failure.expect("found");
    let cut = explore(&mut Many, &cut, &mut |_| {}).failure.expect("found");
    assert!(rough.switches > 3);
    assert_eq!(cut.switches, 3, "{cut}");
}

#[test]
fn a_subject_that_is_not_deterministic_is_found_out() {
    struct Moody(u64);
    impl Subject for Moody {
        type World = ();
        fn build(&mut self, lanes: &mut Lanes<'_>) {
            self.0 += 1;
            let (cell, mood) = (Var::new(0), self.0);
            for _ in 0..2 {
                let cell = cell.clone();
                lanes.lane("moody", move || {
                    cell.store(1, Order::Relaxed);
                    if mood % 2 == 0 {
                        hook::fail("bad day".to_owned());
                    }
                });
            }
        }
        fn judge(&mut self, (): (), _: Ending<'_>) -> Judgement {
            Judgement::Pass { outcome: String::new() }
        }
    }
    let config = Config { model: Model::Sc, shrink_runs: 0, ..Config::default() };
    let failure = explore(&mut Moody(0), &config, &mut |_| {}).failure.expect("a failure");
    assert_eq!(failure.kind, FailureKind::Nondeterministic, "{failure}");
}

#[test]
fn a_failure_before_the_first_access_ends_the_execution() {
    let report = run(Model::Weak, FULL, |lanes, _| {
        let cell = Var::new(0);
        lanes.lane("fails", || hook::fail("at once".to_owned()));
        lanes.lane("never runs", move || cell.store(1, Order::Relaxed));
        Box::new(|_| None)
    });
    let failure = report.failure.expect("fails");
    assert_eq!((failure.kind, failure.steps), (FailureKind::Failed, 0));
}

/// A cell that is reinitialised under a lock: no value of its former lifetime is seen.
#[test]
fn forgotten_cells_start_over() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        let [full, naive] = [FULL, NAIVE].map(|search| {
            run(model, search, |lanes, log| {
                let (cell, lock) = (Var::new(0), Lock::new());
                for lane in 0..2 {
                    let (cell, lock, log) = (cell.clone(), lock.clone(), log.clone());
                    lanes.lane("lane", move || {
                        let held = lock.lock(Mode::Exclusive);
                        note(&log, lane, cell.add(1, Order::Relaxed));
                        cell.poke(7);
                        note(&log, lane, cell.load(Order::Relaxed));
                        drop(held);
                    });
                }
                Box::new(|_| None)
            })
        });
        assert_eq!(full.outcomes.keys().collect::<Vec<_>>(), ["07/77/", "77/07/"], "{model:?}");
        assert!(full.outcomes.keys().eq(naive.outcomes.keys()));
        assert_eq!(full.complete, Completeness::Exhausted);
    }
}

/// Labels given while building name what a deadlock waits for.
#[test]
fn a_deadlock_uses_labels() {
    let report = run(Model::Sc, FULL, |lanes, _| {
        let flag = Var::new(0);
        hook::label(flag.addr(), 8, Box::new(|_| "the flag".to_owned()));
        lanes.lane("waiter", move || {
            flag.wait(Order::Acquire, |value| value == 1);
        });
        Box::new(|_| None)
    });
    assert_eq!(report.failure.expect("stuck").message, "waiter waits for a value of the flag");
}

/// The explorer does not see what a lane's destructors do while it unwinds, so a lane that catches
/// its own panic must not continue.
#[test]
fn a_lane_that_catches_its_own_panic_is_refused() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Then {
        GoesOn,
        Ends,
        PassesNothing,
    }
    for then in [Then::GoesOn, Then::Ends, Then::PassesNothing] {
        let report = run(Model::Sc, FULL, move |lanes, _| {
            let (lock, cell) = (Lock::new(), Var::new(0));
            let (lock2, cell2) = (lock.clone(), cell.clone());
            lanes.lane("careless", move || {
                let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let _held = (then != Then::PassesNothing).then(|| lock.lock(Mode::Exclusive));
                    panic!("inside");
                }));
                assert!(caught.is_err());
                if then != Then::Ends {
                    cell.store(1, Order::Relaxed);
                }
            });
            lanes.lane("other", move || {
                let _held = lock2.lock(Mode::Exclusive);
                cell2.load(Order::Relaxed);
            });
            Box::new(|_| None)
        });
        if then == Then::PassesNothing {
            assert_eq!((report.failure, report.complete), (None, Completeness::Exhausted));
            continue;
        }
        let failure = report.failure.expect("not a deadlock that is none");
        assert_eq!(failure.kind, FailureKind::Unsupported, "{then:?}: {failure}");
        assert!(failure.message.starts_with("careless caught its own panic"), "{failure}");
    }
}

/// Steps of one lane on one cell: their cost does not grow with the number of earlier ones.
#[test]
fn a_long_lane_is_as_long_as_its_steps() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        let config = Config { model, max_steps: 1_000_000, ..Config::default() };
        let build = |lanes: &mut Lanes<'_>, _: &common::Log| -> common::Last {
            let cell = Var::new(0);
            lanes.lane("long", move || {
                for step in 0..100_000 {
                    match step % 3 {
                        0 => cell.store(step, Order::Relaxed),
                        1 => drop(cell.add(1, Order::Full)),
                        _ => drop(cell.load(Order::SeqCst)),
                    }
                }
            });
            Box::new(|_| None)
        };
        let mut subject = common::Closures(Box::new(move |lanes, log| build(lanes, log)));
        let report = explore(&mut subject, &config, &mut |_| {});
        assert_eq!((report.steps_max, report.complete), (100_000, Completeness::Exhausted));
    }
}

/// A search that is asked to stop does so within an execution, and resumes as if that execution had
/// not been begun.
#[test]
fn a_stop_is_honoured_within_an_execution() {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    let stop = Arc::new(AtomicBool::new(false));
    for search in SEARCHES {
        let asks = Rc::new(Cell::new(0));
        let (flag, count) = (stop.clone(), asks.clone());
        let mut subject = common::Closures(Box::new(move |lanes, _| {
            let cell = Var::new(0);
            count.set(count.get() + 1);
            let ask = (count.get() == 3).then(|| flag.clone());
            for name in ["one", "two"] {
                let (cell, ask) = (cell.clone(), ask.clone());
                let own = Var::new(0);
                lanes.lane(name, move || {
                    cell.add(1, Order::Relaxed);
                    if let Some(stop) = ask {
                        stop.store(true, Ordering::Relaxed);
                    }
                    for step in 0..500 {
                        own.store(step, Order::Relaxed);
                    }
                    cell.add(1, Order::Relaxed);
                });
            }
            Box::new(|_| None)
        }));
        let whole =
            Config { model: Model::Sc, search, max_executions: Some(6), ..Config::default() };
        let budget = pinfold_explore::Budget::new(6);
        let piece = Config {
            stop: Some(stop.clone()),
            budget: Some(budget.clone()),
            max_executions: None,
            ..whole.clone()
        };
        let first = explore(&mut subject, &piece, &mut |_| {});
        assert_eq!(first.executions + first.blocked, 2, "{search:?}");
        assert_eq!(first.complete, Completeness::Bounded { why: "stopped on request".to_owned() });
        stop.store(false, Ordering::Relaxed);
        let rest = Config { resume: first.position, ..piece };
        let rest = explore(&mut subject, &rest, &mut |_| {});
        asks.set(100);
        let plain = explore(&mut subject, &whole, &mut |_| {});
        let sum = |a: &pinfold_explore::Report| (a.executions, a.blocked);
        assert_eq!((first.executions + rest.executions, first.blocked + rest.blocked), sum(&plain));
    }
}
