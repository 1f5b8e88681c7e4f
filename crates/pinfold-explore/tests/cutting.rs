//! Cutting a failure down ends when time is up or somebody asks for it, and the failure is kept.
//! The clocks are the tests' own, so nothing here depends on the machine's.

mod common;

use common::{Var, run};
use pinfold_explore::{
    Completeness, Config, Ending, Failure, FailureKind, Judgement, Lanes, Model, Report, Search,
    Subject, TimeSource, explore,
    hook::{Order, fence, is_recorded},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// The steps of each of the two lanes: long enough for the search to look at its watch in between.
const STEPS: u64 = 400;

/// Fails in every execution, so that cutting has much to try, and counts them.
#[derive(Default)]
struct Failing {
    built: u64,
    recorded: u64,
    judged: u64,
    /// Becomes true at this execution, counted from 1.
    stop: Option<(u64, Arc<AtomicBool>)>,
}

impl Subject for Failing {
    type World = ();

    fn build(&mut self, lanes: &mut Lanes<'_>) {
        self.built += 1;
        self.recorded += u64::from(is_recorded());
        if let Some((at, stop)) = &self.stop {
            stop.fetch_or(self.built >= *at, Ordering::Relaxed);
        }
        let cell = Var::new(0);
        for name in ["left", "right"] {
            let cell = cell.clone();
            lanes.lane(name, move || {
                for _ in 0..STEPS {
                    cell.add(1, Order::Full);
                }
            });
        }
    }

    fn judge(&mut self, (): (), _: Ending<'_>) -> Judgement {
        self.judged += 1;
        let message = "it always fails".to_owned();
        Judgement::Fail { outcome: "failed".to_owned(), message }
    }
}

/// A clock that moves on by this much each time that it is read.
fn ticking(each: Duration) -> TimeSource {
    let read = AtomicU64::new(0);
    TimeSource::new(move || {
        let times = read.fetch_add(1, Ordering::Relaxed);
        each * u32::try_from(times).expect("few")
    })
}

fn config() -> Config {
    let search = Search::Random { seed: 1, runs: 1_000_000 };
    Config { model: Model::Sc, search, shrink_runs: 1_000_000, ..Config::default() }
}

fn failed(report: &Report) -> &Failure {
    let failure = report.failure.as_ref().expect("it always fails");
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Judged, "it always fails"));
    assert_eq!(failure.steps as usize, failure.schedule.steps().len());
    failure
}

fn why(report: &Report) -> &str {
    match &report.complete {
        Completeness::Bounded { why } => why,
        Completeness::Exhausted => panic!("it was stopped"),
    }
}

#[test]
fn time_bounds_cutting_as_it_bounds_the_search() {
    // About thirty looks at the clock.
    let (time, deadline) = (ticking(Duration::from_millis(1)), Some(Duration::from_millis(30)));
    let mut subject = Failing::default();
    let report = explore(&mut subject, &Config { time, deadline, ..config() }, &mut |_| {});
    failed(&report);
    assert!(subject.built <= 31, "{} executions", subject.built);
    assert_eq!(subject.recorded, 1, "the last execution is recorded");
    let told = "stopped at the first failure; cutting it down was stopped after ";
    assert!(why(&report).starts_with(told), "{}", why(&report));
}

#[test]
fn a_request_to_stop_ends_cutting_and_the_failure_is_kept() {
    for at in [1, 2, 3] {
        let stop = Arc::new(AtomicBool::new(false));
        // The search itself must not stop before it has found the failure.
        let at = at + 1;
        let mut subject = Failing { stop: Some((at, stop.clone())), ..Failing::default() };
        let report = explore(&mut subject, &Config { stop: Some(stop), ..config() }, &mut |_| {});
        let failure = failed(&report);
        assert!(failure.switches <= failure.found.switches);
        // The one in which it was asked for, and the recorded one.
        assert_eq!((subject.built, subject.recorded), (at + 1, 1));
        let told = "stopped at the first failure; cutting it down was stopped on request";
        assert_eq!(why(&report), told);
    }
}

#[test]
fn a_failure_whose_last_execution_takes_too_long_is_told_as_it_was_found() {
    // The grace is over at the second look.
    let time = ticking(Duration::from_secs(1));
    let stop = Arc::new(AtomicBool::new(false));
    let mut subject = Failing { stop: Some((2, stop.clone())), ..Failing::default() };
    let config = Config { stop: Some(stop), time, ..config() };
    let report = explore(&mut subject, &config, &mut |_| {});
    let failure = failed(&report);
    assert_eq!((failure.steps, failure.switches), (failure.found.steps, failure.found.switches));
    // Found, cut, recorded; only the first was judged.
    assert_eq!((subject.built, subject.recorded, subject.judged), (3, 1, 1));
}

#[test]
fn what_is_not_stopped_is_cut_to_the_end() {
    let mut subject = Failing::default();
    let report = explore(&mut subject, &config(), &mut |_| {});
    assert!(failed(&report).switches <= 1);
    assert_eq!(why(&report), "stopped at the first failure");
}

#[test]
fn a_depth_beyond_every_step_costs_no_more_than_the_steps() {
    for depth in [1_000_000, u32::MAX] {
        let report = run(Model::Sc, Search::Pct { depth, seed: 3, runs: 4 }, |lanes, _| {
            let cell = Var::new(0);
            for name in ["left", "right"] {
                let cell = cell.clone();
                lanes.lane(name, move || {
                    (0..STEPS).for_each(|_| {
                        cell.add(1, Order::Full);
                    });
                });
            }
            Box::new(|_| None)
        });
        assert_eq!((report.executions, report.failure), (4, None));
    }
}

#[test]
fn one_long_access_is_interrupted_too() {
    // Each load could read most of the stores before it, and each of them is checked. Looks between
    // steps alone would come to a hundred only after five executions.
    for model in [Model::Tso, Model::Weak] {
        let search = Search::Random { seed: 1, runs: 1_000 };
        let (time, limit) = (ticking(Duration::from_millis(1)), Duration::from_millis(100));
        let config = Config { model, search, time, deadline: Some(limit), ..Config::default() };
        let report = explore(&mut Stores(600), &config, &mut |_| {});
        assert_eq!((report.executions, report.failure.as_ref()), (0, None), "{model}");
        assert!(why(&report).starts_with("stopped after "), "{}", why(&report));
        assert!(report.position.is_some());
    }
}

/// One lane stores often, and another loads as often.
struct Stores(u64);

impl Subject for Stores {
    type World = ();

    fn build(&mut self, lanes: &mut Lanes<'_>) {
        let (cell, often) = (Var::new(0), self.0);
        let other = cell.clone();
        lanes.lane("stores", move || (1..often).for_each(|value| cell.store(value, Order::SeqCst)));
        lanes.lane("loads", move || {
            for _ in 1..often {
                other.load(Order::SeqCst);
            }
        });
    }

    fn judge(&mut self, (): (), _: Ending<'_>) -> Judgement {
        Judgement::Pass { outcome: String::new() }
    }
}

#[test]
fn one_check_of_a_long_execution_is_interrupted_too() {
    // To see whether one load may be old, each fence is asked whether it comes before each other,
    // and each answer looks at most of the execution. Looks between questions about different
    // loads come to a thousand until the execution is over.
    let search = Search::Random { seed: 1, runs: 1 };
    let (time, limit) = (ticking(Duration::from_millis(1)), Duration::from_secs(10));
    let model = Model::Weak;
    let config = Config { model, search, time, deadline: Some(limit), ..Config::default() };
    let report = explore(&mut Fences(300), &config, &mut |_| {});
    assert_eq!((report.executions, report.failure.as_ref()), (0, None));
    assert!(why(&report).starts_with("stopped after "), "{}", why(&report));
}

/// Two lanes that store, make a fence, and load what the other stores.
struct Fences(u64);

impl Subject for Fences {
    type World = ();

    fn build(&mut self, lanes: &mut Lanes<'_>) {
        let cells = [Var::new(0), Var::new(0)];
        for (at, name) in ["left", "right"].into_iter().enumerate() {
            let (mine, other, often) = (cells[at].clone(), cells[1 - at].clone(), self.0);
            lanes.lane(name, move || {
                for value in 1..often {
                    mine.store(value, Order::Relaxed);
                    fence(Order::SeqCst);
                    other.load(Order::Relaxed);
                }
            });
        }
    }

    fn judge(&mut self, (): (), _: Ending<'_>) -> Judgement {
        Judgement::Pass { outcome: String::new() }
    }
}

/// Fails when the second store is missed by a lane that has seen the first: either a switch comes
/// between the two, or the lane reads an old value.
struct Missed;

impl Subject for Missed {
    type World = Var;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Var {
        let [first, second, missed] = [(); 3].map(|()| Var::new(0));
        let (one, two) = (first.clone(), second.clone());
        lanes.lane("writer", move || {
            one.store(1, Order::Relaxed);
            two.store(1, Order::Relaxed);
        });
        let told = missed.clone();
        lanes.lane("reader", move || {
            let seen = [first.load(Order::Relaxed), second.load(Order::Relaxed)];
            told.set(u64::from(seen == [1, 0]));
        });
        missed
    }

    fn judge(&mut self, missed: Var, _: Ending<'_>) -> Judgement {
        match missed.peek() {
            0 => Judgement::Pass { outcome: "seen".to_owned() },
            _ => Judgement::Fail { outcome: "missed".to_owned(), message: "missed".to_owned() },
        }
    }
}

#[test]
fn few_old_reads_are_better_than_few_switches() {
    let mut old = 0;
    for seed in 0..20 {
        let search = Search::Random { seed, runs: 1_000 };
        let config = Config { model: Model::Weak, search, ..Config::default() };
        let found = explore(&mut Missed, &Config { shrink_runs: 0, ..config.clone() }, &mut |_| {});
        let cut = explore(&mut Missed, &config, &mut |_| {});
        let [found, cut] = [found, cut].map(|report| report.failure.expect("it fails at times"));
        let late = |failure: &Failure| {
            failure.schedule.steps().iter().filter(|step| step.choice > 0).count()
        };
        old += late(&found);
        assert_eq!((late(&cut), cut.switches), (0, 2), "{cut}");
    }
    assert!(old > 0, "none was found with an old read");
}
