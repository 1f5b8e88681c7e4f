//! Lanes that start lanes, and plain memory: against the axioms, against every sequence of steps,
//! and by hand.
//!
//! Two hundred random programs of each kind by default; `PINFOLD_ORACLE_PROGRAMS=5000` asks for
//! more.

mod common;

use common::{
    FULL, Lock, NAIVE, Var,
    judge::judged,
    machine::Known,
    note,
    program::{Ins, PLAIN, Program, Rng},
    random::start_some,
    run,
};
use pinfold_explore::{
    Completeness, Config, FailureKind, MAX_LANES, Model, Report, Search, explore,
    hook::{self, Mode, Order},
};
use std::{cell::Cell, rc::Rc};

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];
const ORDERS: [Order; 6] =
    [Order::Relaxed, Order::Relaxed, Order::Acquire, Order::Release, Order::AcqRel, Order::Full];

fn programs() -> u64 {
    std::env::var("PINFOLD_ORACLE_PROGRAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(200)
}

/// Whether a random program touches plain memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Atomic,
    Plain,
}

/// A straight-line program of two to four lanes, some of which others start, and perhaps join.
fn program(seed: u64, memory: Memory) -> Program {
    let mut rng = Rng(seed);
    let lanes = 2 + rng.below(3);
    let vars = 1 + rng.below(2);
    let steps = [4, 3, 2][lanes - 2];
    let ins = |rng: &mut Rng| {
        let (var, order) = (rng.below(vars), rng.pick(&ORDERS));
        match rng.below(if memory == Memory::Plain { 12 } else { 7 }) {
            0..3 => Ins::Load(var, order),
            3 | 4 => Ins::Store(var, 1 + rng.below(2) as u64, order),
            5 => Ins::Add(var, 1, order),
            6 => Ins::Fence(rng.pick(&ORDERS[2..])),
            7..10 => Ins::PlainStore(rng.below(PLAIN), 1 + rng.below(2) as u64),
            _ => Ins::PlainLoad(rng.below(PLAIN)),
        }
    };
    let lane = |rng: &mut Rng| (0..1 + rng.below(steps)).map(|_| ins(rng)).collect();
    let mut program = Program { vars, lanes: (0..lanes).map(|_| lane(&mut rng)).collect() };
    start_some(&mut program, &mut rng);
    program
}

fn explored(program: &Program, model: Model, search: Search) -> Report {
    let config = Config { model, search, shrink_runs: 0, ..Config::default() };
    explore(&mut program.clone(), &config, &mut |_| {})
}

fn outcomes(report: &Report) -> Vec<&str> {
    report.outcomes.keys().map(String::as_str).collect()
}

fn known(program: &Program) -> Known {
    judged(program, Model::Weak, usize::MAX)
}

/// The kind of failure; these programs have at most one.
fn race(report: &Report) -> Option<FailureKind> {
    report.failure.as_ref().map(|failure| failure.kind)
}

#[test]
fn started_lanes_do_what_the_axioms_allow() {
    let (mut executions, mut blocked) = (0, 0);
    for seed in 0..programs() {
        let program = program(seed, Memory::Atomic);
        let report = explored(&program, Model::Weak, FULL);
        assert_eq!(report.complete, Completeness::Exhausted, "seed {seed}: {program:?}");
        assert!(
            known(&program).outcomes.iter().map(String::as_str).eq(outcomes(&report)),
            "seed {seed}: {program:?}"
        );
        executions += report.executions;
        blocked += report.blocked;
    }
    println!("{executions} executions, {blocked} blocked");
}

#[test]
fn races_are_those_of_the_axioms() {
    let (mut racy, mut clean) = (0, 0);
    for seed in 0..programs() {
        let program = program(seed, Memory::Plain);
        let report = explored(&program, Model::Weak, FULL);
        let known = known(&program);
        if known.races {
            racy += 1;
            assert_eq!(race(&report), Some(FailureKind::DataRace), "seed {seed}: {program:?}");
        } else {
            clean += 1;
            assert_eq!(race(&report), None, "seed {seed}: {program:?}");
            assert!(
                known.outcomes.iter().map(String::as_str).eq(outcomes(&report)),
                "seed {seed}: {program:?}"
            );
        }
    }
    println!("{racy} racy, {clean} without a race");
    assert!(racy > programs() / 5 && clean > programs() / 5, "{racy} and {clean} tell nothing");
}

#[test]
fn reduced_and_naive_agree_on_started_lanes_and_races() {
    for (model, memory) in
        MODELS.into_iter().flat_map(|model| [(model, Memory::Atomic), (model, Memory::Plain)])
    {
        let (mut all, mut reduced) = (0, 0);
        for seed in 0..programs() / 2 {
            let program = program(1_000_000 + seed, memory);
            let config = Config {
                model,
                search: NAIVE,
                max_executions: Some(4_000),
                shrink_runs: 0,
                ..Config::default()
            };
            let naive = explore(&mut program.clone(), &config, &mut |_| {});
            if naive.failure.is_none() && naive.complete != Completeness::Exhausted {
                continue;
            }
            let full = explored(&program, model, FULL);
            assert_eq!(race(&full), race(&naive), "seed {seed} {model:?}: {program:?}");
            if naive.failure.is_none() {
                assert_eq!(outcomes(&full), outcomes(&naive), "seed {seed} {model:?}: {program:?}");
                all += naive.executions;
                reduced += full.executions;
            }
        }
        println!("{model:?}: {all} executions, {reduced} reduced");
        assert!(reduced * 2 < all, "{reduced} of {all}");
    }
}

/// Stronger models order more: what is not a race under a weaker model is not one under a stronger
/// one.
#[test]
fn a_stronger_model_has_no_more_races() {
    for seed in 0..programs() / 2 {
        let program = program(seed, Memory::Plain);
        let [sc, tso, weak] = MODELS.map(|model| race(&explored(&program, model, FULL)).is_some());
        assert!(sc <= tso && tso <= weak, "seed {seed}: {program:?}");
    }
}

#[test]
fn plain_data_needs_an_order_that_the_model_gives() {
    let publish = |store, load| {
        move |model| {
            let lanes = vec![
                vec![Ins::PlainStore(0, 1), Ins::Store(0, 1, store)],
                vec![Ins::Wait(0, 1, load), Ins::PlainLoad(0)],
            ];
            race(&explored(&Program { vars: 1, lanes }, model, FULL))
        }
    };
    let racy = Some(FailureKind::DataRace);
    for model in MODELS {
        assert_eq!(publish(Order::Release, Order::Acquire)(model), None);
    }
    // On x86 each store releases and each load acquires.
    assert_eq!(publish(Order::Relaxed, Order::Acquire)(Model::Tso), None);
    assert_eq!(publish(Order::Relaxed, Order::Acquire)(Model::Weak), racy);
    assert_eq!(publish(Order::Release, Order::Relaxed)(Model::Weak), racy);
}

#[test]
fn a_lock_orders_plain_accesses_and_sharing_it_does_not() {
    let both = |mode, second: Ins| {
        let lane = |ins: Ins| vec![Ins::Locked(0, mode, vec![ins])];
        let lanes = vec![lane(Ins::PlainStore(0, 1)), lane(second)];
        MODELS.map(|model| {
            race(&explored(&Program { vars: 1, lanes: lanes.clone() }, model, FULL)).is_some()
        })
    };
    assert_eq!(both(Mode::Exclusive, Ins::PlainStore(0, 2)), [false; 3]);
    assert_eq!(both(Mode::Exclusive, Ins::PlainLoad(0)), [false; 3]);
    assert_eq!(both(Mode::Shared, Ins::PlainLoad(0)), [true; 3]);
    assert_eq!(both(Mode::Shared, Ins::PlainLoad(1)), [false; 3]);
}

#[test]
fn the_last_owner_comes_after_the_others() {
    #[derive(Clone, Copy, PartialEq)]
    enum Told {
        Yes,
        No,
    }
    let owners = |told: Told| {
        let report = run(Model::Weak, FULL, move |lanes, _| {
            let (step, place) = (Var::new(0), Var::new(0));
            let owners = std::rc::Rc::new(());
            for name in ["one", "two"] {
                let (step, place, owners) = (step.clone(), place.clone(), owners.clone());
                lanes.lane(name, move || {
                    step.add(1, Order::Relaxed);
                    hook::read_plain(place.addr());
                    if told == Told::Yes {
                        hook::hand_over(place.addr());
                    }
                    if std::rc::Rc::strong_count(&owners) == 1 {
                        hook::take_over(place.addr());
                        hook::write_plain(place.addr());
                    }
                    drop(owners);
                });
            }
            drop(owners);
            Box::new(|_| None)
        });
        race(&report)
    };
    assert_eq!(owners(Told::Yes), None);
    assert_eq!(owners(Told::No), Some(FailureKind::DataRace));
}

#[test]
fn a_race_says_who_where_and_when() {
    let report = run(Model::Sc, FULL, |lanes, _| {
        let (flag, cell) = (Var::new(0), Var::new(0));
        hook::label(cell.addr(), 8, Box::new(|_| "the datum".to_owned()));
        let (flag2, cell2) = (flag.clone(), cell.clone());
        lanes.lane("left", move || {
            flag.store(1, Order::Relaxed);
            hook::write_plain(cell.addr());
        });
        lanes.lane("right", move || {
            flag2.store(1, Order::Relaxed);
            hook::read_plain(cell2.addr());
        });
        Box::new(|_| None)
    });
    let failure = report.failure.expect("a race");
    assert_eq!(failure.kind, FailureKind::DataRace);
    assert_eq!(
        failure.message,
        "right reads the datum, which left writes too (after access 1), and nothing orders the two"
    );
}

/// A cell is reinitialised, or freed, while another lane may be using it.
#[test]
fn the_life_of_a_cell_ends_for_all_at_once() {
    let ends = |order, end: fn(usize, usize)| {
        move |model| {
            let report = run(model, FULL, move |lanes, _| {
                let (cell, gone) = (Var::new(0), Var::new(0));
                let (cell2, gone2) = (cell.clone(), gone.clone());
                lanes.lane("user", move || {
                    cell.add(1, Order::Relaxed);
                    gone.store(1, order);
                });
                lanes.lane("owner", move || {
                    gone2.wait(order, |value| value == 1);
                    cell2.set(7);
                    end(cell2.addr(), 8);
                    cell2.load(Order::Relaxed);
                });
                Box::new(|_| None)
            });
            race(&report)
        }
    };
    for end in [hook::renew, hook::forget] {
        for model in MODELS {
            assert_eq!(ends(Order::Full, end)(model), None, "{model:?}");
        }
        assert_eq!(ends(Order::Relaxed, end)(Model::Weak), Some(FailureKind::DataRace));
    }
}

#[test]
fn a_reinitialised_cell_must_be_published() {
    let published = |order| {
        run(Model::Weak, FULL, move |lanes, _| {
            let (cell, ready) = (Var::new(0), Var::new(0));
            let (cell2, ready2) = (cell.clone(), ready.clone());
            lanes.lane("owner", move || {
                cell.set(7);
                hook::renew(cell.addr(), 8);
                ready.store(1, order);
            });
            lanes.lane("user", move || {
                ready2.wait(Order::Acquire, |value| value == 1);
                cell2.load(Order::Relaxed);
            });
            Box::new(|_| None)
        })
    };
    assert_eq!(race(&published(Order::Release)), None);
    assert_eq!(race(&published(Order::Relaxed)), Some(FailureKind::DataRace));
}

/// Another lane has announced its access before it could learn of the end.
#[test]
fn a_cell_that_ends_before_the_first_step_is_missed_by_nobody() {
    for (model, end) in
        MODELS.into_iter().flat_map(|m| [(m, hook::forget as fn(usize, usize)), (m, hook::renew)])
    {
        for search in [FULL, NAIVE] {
            let report = run(model, search, move |lanes, _| {
                let (cell, other) = (Var::new(0), Var::new(0));
                let addr = cell.addr();
                lanes.lane("user", move || {
                    cell.load(Order::Relaxed);
                });
                lanes.lane("owner", move || {
                    end(addr, 8);
                    other.load(Order::Relaxed);
                });
                Box::new(|_| None)
            });
            assert_eq!(race(&report), Some(FailureKind::DataRace), "{model:?} {search:?}");
        }
    }
}

#[test]
fn the_rest_of_reinitialised_memory_must_still_be_published() {
    let report = run(Model::Weak, FULL, |lanes, _| {
        let block: std::rc::Rc<[std::cell::Cell<u64>; 2]> = std::rc::Rc::default();
        let (mine, first, second) = (block.clone(), Var::new(0), Var::new(0));
        let start = block.as_ptr() as usize;
        lanes.lane("owner", move || {
            hook::renew(start, 16);
            hook::forget(start, 8);
            first.load(Order::Relaxed);
        });
        lanes.lane("user", move || {
            second.load(Order::Relaxed);
            hook::load(start + 8, mine[1].get(), Order::Relaxed);
        });
        Box::new(move |_| {
            drop(block);
            None
        })
    });
    assert_eq!(race(&report), Some(FailureKind::DataRace));
}

#[test]
fn a_tree_of_lanes_is_exhausted_and_joined() {
    for model in MODELS {
        let report = run(model, FULL, |lanes, _| {
            let counter = Var::new(0);
            let seen = counter.clone();
            lanes.lane("root", move || {
                let children: Vec<usize> = (0..2)
                    .map(|child| {
                        let counter = counter.clone();
                        hook::spawn(format!("child {child}"), move || {
                            let own = counter.clone();
                            let leaf = hook::spawn(format!("leaf {child}"), move || {
                                own.add(1, Order::Relaxed);
                            });
                            counter.add(1, Order::Relaxed);
                            hook::join(leaf);
                        })
                    })
                    .collect();
                children.into_iter().for_each(hook::join);
                if counter.load(Order::Relaxed) != 4 {
                    hook::fail("a lane was not waited for".to_owned());
                }
            });
            Box::new(move |outcome| {
                outcome.push_str(&seen.peek().to_string());
                None
            })
        });
        assert_eq!((report.failure, report.complete), (None, Completeness::Exhausted));
        assert_eq!(report.outcomes.len(), 1);
        // Four additions to one cell, in any order.
        assert_eq!(report.executions, 24, "{model:?}");
    }
}

/// Every order of six additions, and every meeting of three pairs: one execution of each class.
#[test]
fn six_lanes_are_exhausted_with_one_execution_of_each_class() {
    let counter = Program { vars: 1, lanes: vec![vec![Ins::Add(0, 1, Order::Full)]; 6] };
    let pair = |var| {
        let pass = vec![Ins::Store(var, 1, Order::Release)];
        [pass, vec![Ins::Load(var, Order::Acquire), Ins::Load(var, Order::Acquire)]]
    };
    let pairs = Program { vars: 3, lanes: [0, 1, 2].into_iter().flat_map(pair).collect() };
    for model in MODELS {
        for (program, classes) in [(&counter, 720), (&pairs, 27)] {
            let report = explored(program, model, FULL);
            assert_eq!((report.executions, report.blocked), (classes, 0), "{model:?}");
            assert_eq!(report.complete, Completeness::Exhausted);
        }
    }
}

#[test]
fn waiting_for_each_others_end_is_a_deadlock() {
    let report = run(Model::Weak, FULL, |lanes, _| {
        lanes.lane("one", || hook::join(1));
        lanes.lane("two", || hook::join(0));
        Box::new(|_| None)
    });
    let failure = report.failure.expect("stuck");
    assert_eq!(failure.kind, FailureKind::Deadlock);
    assert_eq!(failure.message, "one waits for the end of two; two waits for the end of one");
}

#[test]
fn what_cannot_be_started_or_joined_is_a_failure() {
    let report = run(Model::Sc, FULL, |lanes, _| {
        lanes.lane("only", || hook::join(7));
        Box::new(|_| None)
    });
    assert_eq!(report.failure.expect("no such lane").message, "there is no lane 7 to wait for");
    let report = run(Model::Sc, FULL, |lanes, _| {
        lanes.lane("mother", || {
            for _ in 0..MAX_LANES {
                hook::spawn("child", || {});
            }
        });
        Box::new(|_| None)
    });
    assert_eq!(report.failure.expect("too many").kind, FailureKind::Unsupported);
}

/// Lanes that have ended and been joined make room, however many there are.
#[test]
fn a_thousand_lanes_may_come_one_after_the_other() {
    const ROUNDS: usize = 1_000;
    for model in MODELS {
        let report = run(model, FULL, |lanes, log| {
            let (counter, log) = (Var::new(0), log.clone());
            lanes.lane("mother", move || {
                for round in 1..=ROUNDS {
                    let counter = counter.clone();
                    let child = hook::spawn(format!("child {round}"), move || {
                        counter.add(1, Order::Relaxed);
                    });
                    assert_eq!(child, round, "no number is given again");
                    hook::join(child);
                    // Long gone, and known to have ended.
                    hook::join(1);
                }
                note(&log, 0, counter.load(Order::Relaxed));
            });
            Box::new(|_| None)
        });
        assert_eq!((report.failure, report.complete), (None, Completeness::Exhausted));
        assert_eq!(
            (report.executions, report.outcomes.keys().next()),
            (1, Some(&"1000/".to_owned()))
        );
    }
}

/// The place of a lane that has ended is not reused by a lane that does not know of its end.
#[test]
fn who_does_not_know_of_an_end_finds_no_room() {
    let started = |joins: bool| {
        run(Model::Weak, FULL, move |lanes, _| {
            lanes.lane("mother", move || {
                for _ in 0..MAX_LANES {
                    let child = hook::spawn("child", || {});
                    if joins {
                        hook::join(child);
                    }
                }
            });
            Box::new(|_| None)
        })
    };
    assert_eq!(started(true).failure, None);
    let failure = started(false).failure.expect("too many");
    assert_eq!(failure.kind, FailureKind::Unsupported);
    assert!(failure.message.contains("33 lanes at a time; at most 32"), "{}", failure.message);
}

/// A lane at the place of another is a separate lane: it races with third lanes by itself, under
/// its own name, and a lane that waits for the first does not wait for anything of the second.
#[test]
fn who_comes_after_another_races_under_its_own_name() {
    let report = run(Model::Weak, FULL, |lanes, _| {
        let (datum, steps) = (Var::new(0), Var::new(0));
        let (datum2, steps2) = (datum.clone(), steps.clone());
        let first = Rc::new(Cell::new(0));
        let number = first.clone();
        lanes.lane("mother", move || {
            first.set(hook::spawn("first", || {}));
            hook::join(first.get());
            let (datum, steps) = (datum.clone(), steps.clone());
            hook::spawn("second", move || {
                steps.add(1, Order::Relaxed);
                hook::write_plain(datum.addr());
            });
        });
        lanes.lane("other", move || {
            steps2.wait(Order::Relaxed, |made| made == 1);
            hook::join(number.get());
            hook::write_plain(datum2.addr());
        });
        Box::new(|_| None)
    });
    let failure = report.failure.expect("nothing orders the second and the other");
    assert_eq!(failure.kind, FailureKind::DataRace);
    assert!(failure.message.contains("which second writes too"), "{}", failure.message);
}

/// Random programs in which lanes start after others have ended.
#[test]
fn places_given_again_change_no_outcome() {
    let load = |var| Ins::Load(var, Order::Relaxed);
    let store = |var, value| Ins::Store(var, value, Order::Relaxed);
    for seed in 0..programs() / 4 {
        let mut rng = Rng(seed);
        let access = |rng: &mut Rng| match rng.below(2) {
            0 => load(rng.below(2)),
            _ => store(rng.below(2), 1 + rng.below(2) as u64),
        };
        let lane = |rng: &mut Rng, code: Vec<Ins>| [code, vec![access(rng)]].concat();
        let first = vec![Ins::Spawn(2), Ins::Join(2)];
        let mother = lane(&mut rng, lane(&mut Rng(!seed), [first, vec![Ins::Spawn(3)]].concat()));
        let other = lane(&mut rng, lane(&mut Rng(seed + 7), Vec::new()));
        let [second, third] = [1, 2].map(|n| lane(&mut Rng(seed + n), Vec::new()));
        let program = Program { vars: 2, lanes: vec![mother, other, second, third] };
        for model in MODELS {
            let known = judged(&program, model, usize::MAX);
            let report = explored(&program, model, FULL);
            assert!(known.outcomes.iter().map(String::as_str).eq(outcomes(&report)), "{program:?}");
        }
    }
}

/// A lane that fails or panics before it made a step, and lanes that never run.
#[test]
fn a_started_lane_may_fail_at_once() {
    for search in [FULL, NAIVE, Search::Random { seed: 1, runs: 50 }] {
        let report = run(Model::Weak, search, |lanes, _| {
            let (cell, lock) = (Var::new(0), Lock::new());
            lanes.lane("mother", move || {
                cell.store(1, Order::Relaxed);
                let held = lock.lock(Mode::Exclusive);
                hook::spawn("bad", || panic!("at birth"));
                hook::spawn("unborn", move || {
                    cell.store(2, Order::Relaxed);
                });
                drop(held);
            });
            Box::new(|_| None)
        });
        let failure = report.failure.expect("it fails");
        assert_eq!((failure.kind, failure.steps), (FailureKind::Panicked, 2), "{search:?}");
    }
}

#[test]
fn random_searches_reach_started_lanes() {
    let program = Program {
        vars: 2,
        lanes: vec![
            vec![Ins::Spawn(1), Ins::Spawn(2), Ins::Store(0, 1, Order::Relaxed)],
            vec![Ins::Load(0, Order::Relaxed), Ins::Store(1, 1, Order::Relaxed)],
            vec![Ins::Load(1, Order::Relaxed)],
        ],
    };
    let full = explored(&program, Model::Weak, FULL);
    for search in
        [Search::Random { seed: 7, runs: 500 }, Search::Pct { depth: 3, seed: 7, runs: 500 }]
    {
        assert_eq!(outcomes(&explored(&program, Model::Weak, search)), outcomes(&full));
    }
}

#[test]
fn outside_an_exploration_a_started_lane_runs_at_once() {
    let var = Var::new(0);
    let own = var.clone();
    let lane = hook::spawn("alone", move || own.store(3, Order::Relaxed));
    hook::join(lane);
    hook::read_plain(var.addr());
    hook::write_plain(var.addr());
    hook::renew(var.addr(), 8);
    assert_eq!(var.peek(), 3);
}
