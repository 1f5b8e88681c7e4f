//! The reduced search against every sequence of steps, on random programs with locks, waits and
//! branches.

mod common;

use common::{
    FULL, NAIVE,
    program::Program,
    random::{mixed, starting, waiting},
};
use pinfold_explore::{Completeness, Config, FailureKind, Model, Report, Search, explore};

fn explored(program: &Program, model: Model, search: Search, most: Option<u64>) -> Report {
    let config = Config { model, search, max_executions: most, ..Config::default() };
    explore(&mut program.clone(), &config, &mut |_| {})
}

/// Programs with more sequences of steps than `most` are passed over.
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
