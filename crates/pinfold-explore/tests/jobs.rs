//! A divided search against the same search in one piece, on random programs.

mod common;

use common::{
    FULL,
    program::Program,
    random::{mixed, starting, waiting},
};
use pinfold_explore::{Completeness, Config, FailureKind, Job, Model, Search, explore, jobs};
use std::collections::BTreeSet;

#[derive(Default)]
struct Sums {
    plain: u64,
    divided: u64,
    plain_blocked: u64,
    divided_blocked: u64,
    jobs: usize,
}

/// The result of one search over a program.
#[derive(Default)]
struct Found {
    executions: u64,
    blocked: u64,
    outcomes: BTreeSet<String>,
    failures: BTreeSet<String>,
}

fn searched(program: &Program, config: &Config, found: &mut Found) {
    let report = explore(&mut program.clone(), config, &mut |_| {});
    found.executions += report.executions;
    found.blocked += report.blocked;
    found.outcomes.extend(report.outcomes.into_keys());
    match report.failure {
        Some(failure) => {
            assert_eq!(failure.kind, FailureKind::Deadlock, "{failure}");
            found.failures.insert(failure.kind.to_string());
        }
        None => assert_eq!(report.complete, Completeness::Exhausted),
    }
}

fn compare(model: Model, program: fn(u64) -> Program, seeds: std::ops::Range<u64>) {
    let mut sums = Sums::default();
    for seed in seeds {
        let program = program(seed);
        let config = Config { model, search: FULL, shrink_runs: 0, ..Config::default() };
        let mut plain = Found::default();
        searched(&program, &config, &mut plain);
        for at_least in [2, 7, 40] {
            let mut divided = Found::default();
            let divide = || jobs(&mut program.clone(), &config, at_least).expect("jobs");
            let parts = divide();
            assert_eq!(parts, divide(), "seed {seed}");
            for job in &parts {
                let job: Job = job.to_string().parse().expect("what a job writes, it reads");
                searched(&program, &Config { job: Some(job), ..config.clone() }, &mut divided);
            }
            assert_eq!(divided.failures, plain.failures, "seed {seed}: {program:?}");
            if plain.failures.is_empty() {
                assert_eq!(divided.outcomes, plain.outcomes, "seed {seed}: {program:?}");
                sums.plain += plain.executions;
                sums.divided += divided.executions;
                sums.plain_blocked += plain.blocked;
                sums.divided_blocked += divided.blocked;
                sums.jobs += parts.len();
            }
        }
    }
    let Sums { plain, divided, plain_blocked, divided_blocked, jobs } = sums;
    println!(
        "{model:?}: {plain} executions and {plain_blocked} blocked in one piece, {divided} and \
         {divided_blocked} in {jobs} jobs"
    );
    // Whether two steps meet may be known only once both are made (an update that does not write),
    // so a sleeping lane is occasionally woken needlessly, here as in the plain search.
    assert!(plain <= divided && divided <= plain + plain / 10, "{divided} for {plain}");
}

#[test]
fn jobs_together_find_what_the_plain_search_finds() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        compare(model, mixed, 500..600);
        compare(model, waiting, 0..60);
        compare(model, starting, 500..560);
    }
}

#[test]
#[ignore = "minutes; run before touching the search"]
fn jobs_together_find_what_the_plain_search_finds_on_many_programs() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        compare(model, mixed, 20_000..23_000);
        compare(model, waiting, 20_000..23_000);
        compare(model, starting, 20_000..23_000);
    }
}

#[test]
fn a_job_is_refused_by_a_search_that_has_none() {
    let random = Search::Random { seed: 0, runs: 4 };
    let pct = Search::Pct { depth: u32::MAX, seed: 0, runs: 4 };
    let bounded = Search::Exhaustive { preemptions: Some(1) };
    let foreign = [
        (random, "1"),
        (random, "runs 3+2"),
        (bounded, "1"),
        (FULL, "runs 0+1"),
        // No execution is so long, and as many changes of priority would fill the memory.
        (pct, "runs 2+1/18446744073709551615"),
    ];
    for (search, job) in foreign {
        let job: Job = job.parse().expect("a job");
        let config = Config { search, job: Some(job), ..Config::default() };
        let report = explore(&mut mixed(1), &config, &mut |_| {});
        assert_eq!(report.failure.expect("refused").kind, FailureKind::Unsupported);
    }
}

#[test]
fn a_job_of_another_subject_is_a_failure_and_no_panic() {
    for text in ["16,1.9;16+w9,1+l", "1.7,1.7,1.7,1.7,1.7,1.7,1.7,1.7,1.7,1.7,1.7,1.7,1.7"] {
        let job: Job = text.parse().expect("a job");
        let config = Config { job: Some(job), shrink_runs: 0, ..Config::default() };
        let report = explore(&mut mixed(1), &config, &mut |_| {});
        assert_eq!(report.failure.expect("no such job").kind, FailureKind::Nondeterministic);
    }
}
