//! The reduced search against every sequence of steps, on random programs with locks, waits and
//! branches.

mod common;

use common::{
    FULL, NAIVE,
    program::{Ins, Program, Rng},
    random::{mixed, starting, waiting},
};
use pinfold_explore::{
    Completeness, Config, FailureKind, Model, Report, Search, explore,
    hook::{Mode, Order},
};

fn explored(program: &Program, model: Model, search: Search, most: Option<u64>) -> Report {
    let config = Config { model, search, max_executions: most, ..Config::default() };
    explore(&mut program.clone(), &config, &mut |_| {})
}

/// Programs with more sequences of steps than `most` are skipped.
fn compare(model: Model, program: fn(u64) -> Program, seeds: std::ops::Range<u64>, most: u64) {
    let (mut all, mut reduced, mut blocked, mut deadlocks) = (0, 0, 0, 0);
    for seed in seeds {
        let program = program(seed);
        let naive = explored(&program, model, NAIVE, Some(most));
        if naive.failure.is_none() && naive.complete != Completeness::Exhausted {
            continue;
        }
        let full = explored(&program, model, FULL, None);
        if let Some(failure) = &naive.failure {
            assert_eq!(failure.kind, FailureKind::Deadlock, "{failure}");
            deadlocks += 1;
        }
        assert_eq!(
            full.failure.as_ref().map(|failure| failure.kind),
            naive.failure.as_ref().map(|failure| failure.kind),
            "seed {seed}: {program:?}"
        );
        if naive.failure.is_some() {
            continue;
        }
        assert_eq!(full.complete, Completeness::Exhausted);
        let outcomes = |report: &Report| report.outcomes.keys().cloned().collect::<Vec<_>>();
        assert_eq!(outcomes(&full), outcomes(&naive), "seed {seed}: {program:?}");
        all += naive.executions;
        reduced += full.executions;
        blocked += full.blocked;
    }
    println!(
        "{model:?}: {all} executions, {reduced} reduced, {blocked} blocked, {deadlocks} deadlocks"
    );
    assert!(reduced * 2 < all, "{reduced} of {all}");
}

#[test]
fn reduced_and_naive_agree_under_sc() {
    compare(Model::Sc, mixed, 0..120, 4_000);
}

#[test]
fn reduced_and_naive_agree_under_tso() {
    compare(Model::Tso, mixed, 200..260, 4_000);
}

#[test]
fn reduced_and_naive_agree_under_the_weak_model() {
    compare(Model::Weak, mixed, 300..360, 4_000);
}

#[test]
fn reduced_and_naive_agree_on_values_that_come_and_go() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        compare(model, waiting, 0..60, 2_000);
    }
}

#[test]
fn reduced_and_naive_agree_on_lanes_that_start_lanes() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        compare(model, starting, 0..80, 4_000);
    }
}

#[test]
#[ignore = "minutes; run before touching the search"]
fn reduced_and_naive_agree_on_many_programs() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        compare(model, mixed, 10_000..13_000, 50_000);
        compare(model, waiting, 10_000..13_000, 50_000);
        compare(model, starting, 10_000..13_000, 50_000);
    }
}

/// Whether both searches find the same in all models.
fn agree(program: &Program) {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        let [full, naive] = [FULL, NAIVE].map(|search| explored(program, model, search, None));
        assert_eq!(full.complete, Completeness::Exhausted, "{model:?}: {:?}", full.failure);
        assert!(full.outcomes.keys().eq(naive.outcomes.keys()), "{model:?}: {program:?}");
    }
}

/// The lock is released only if the load reads the old value, and the load may read that only once
/// an attempt has failed: so the attempt must be tried before and after it, although with the new
/// value nothing is released.
#[test]
fn an_option_that_is_withheld_may_give_a_lock_back() {
    let attempt = vec![Ins::Store(0, 1, Order::Relaxed), Ins::Try(0, Mode::Exclusive, vec![])];
    let guarded = vec![Ins::Load(0, Order::Relaxed), Ins::If(vec![Ins::Load(1, Order::Relaxed)])];
    let lanes = vec![attempt, vec![Ins::Locked(0, Mode::Exclusive, guarded)]];
    agree(&Program { vars: 2, lanes });
}

/// Random programs of that shape.
#[test]
fn reduced_and_naive_agree_on_attempts_at_locks_around_a_branch() {
    for seed in 0..150 {
        let mut rng = Rng(seed);
        let relaxed = Order::Relaxed;
        let modes = [Mode::Exclusive, Mode::Shared];
        let mut attempt = vec![Ins::Store(0, 1, relaxed)];
        if rng.below(2) == 0 {
            attempt.push(Ins::Store(rng.below(2), 2, relaxed));
        }
        attempt.push(Ins::Try(0, rng.pick(&modes), vec![]));
        if rng.below(2) == 0 {
            attempt.push(Ins::Cas(0, 1, 2, relaxed, relaxed));
        }
        let branch = Ins::If(vec![Ins::Load(rng.below(2), relaxed)]);
        let mut guarded =
            vec![Ins::Locked(0, rng.pick(&modes), vec![Ins::Load(0, relaxed), branch])];
        if rng.below(3) == 0 {
            guarded.push(Ins::Store(0, 3, relaxed));
        }
        agree(&Program { vars: 2, lanes: vec![attempt, guarded] });
    }
}

/// It is born in the last step of another lane, and the value that it waits for is only there for a
/// while.
#[test]
fn a_lane_may_be_born_waiting() {
    let store = |var, value| Ins::Store(var, value, Order::Relaxed);
    let lanes = vec![
        vec![store(0, 1), store(1, 1), store(0, 0)],
        vec![Ins::Load(2, Order::Relaxed), Ins::Spawn(2)],
        vec![Ins::WaitBelow(0, 1, Order::Relaxed), Ins::Load(1, Order::Relaxed)],
    ];
    agree(&Program { vars: 3, lanes });
}
