//! Interrupted searches against the same searches in one piece, on random programs.

mod common;

use common::{
    Closures, FULL, Lock, Var, note,
    program::{Ins, Program, Rng},
    random::{mixed, starting, waiting},
};
use pinfold_explore::hook::{Mode, Order};
use pinfold_explore::{
    Ahead, Budget, Completeness, Config, FailureKind, Job, Model, Position, Search, Subject,
    TimeSource, explore, jobs,
};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];
const BOUNDED: Search = Search::Exhaustive { preemptions: Some(2) };

/// The result of a search, in one piece or in several.
#[derive(Debug, Default, PartialEq)]
struct Found {
    executions: u64,
    blocked: u64,
    truncated: u64,
    steps_max: u32,
    outcomes: BTreeMap<String, u64>,
    /// What the last piece reported of itself.
    ended: Option<Completeness>,
    failure: Option<String>,
}

/// Resumes a search from a position, and adds its results. Returns where to resume next.
fn search<S: Subject>(subject: &mut S, config: &Config, found: &mut Found) -> Option<Position> {
    let report = explore(subject, config, &mut |_| {});
    found.executions += report.executions;
    found.blocked += report.blocked;
    found.truncated += report.truncated;
    found.steps_max = found.steps_max.max(report.steps_max);
    for (outcome, count) in report.outcomes {
        *found.outcomes.entry(outcome).or_default() += count;
    }
    found.failure = report.failure.map(|failure| failure.to_string());
    found.ended = Some(report.complete);
    report.position
}

/// Searches in pieces of `most` executions, each from the text of the position before.
fn in_pieces<S: Subject>(subject: &mut S, config: &Config, most: u64) -> Found {
    let mut found = Found::default();
    let mut piece = Config { max_executions: Some(most), ..config.clone() };
    while let Some(position) = search(subject, &piece, &mut found) {
        let text = position.to_string();
        let read: Position = text.parse().expect("what a position writes, it reads");
        assert_eq!(read, position, "{text}");
        piece.resume = Some(read);
    }
    found
}

fn config(model: Model, search: Search) -> Config {
    Config { model, search, shrink_runs: 0, ..Config::default() }
}

fn compare(config: &Config, program: fn(u64) -> Program, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let program = program(seed);
        let mut plain = Found::default();
        assert_eq!(search(&mut program.clone(), config, &mut plain), None);
        for most in [1, 2, 3, 10, 77] {
            // Starting this many times takes longer than the searches.
            if (plain.executions + plain.blocked) / most > 2_000 {
                continue;
            }
            let pieces = in_pieces(&mut program.clone(), config, most);
            assert_eq!(pieces, plain, "seed {seed}, {most} at once, {config:?}: {program:?}");
        }
    }
}

#[test]
fn pieces_are_the_whole() {
    for model in MODELS {
        compare(&config(model, FULL), mixed, 700..730);
        compare(&config(model, FULL), waiting, 100..125);
        compare(&config(model, FULL), starting, 700..720);
    }
}

#[test]
#[ignore = "minutes; run before touching the search"]
fn pieces_are_the_whole_on_many_programs() {
    for model in MODELS {
        compare(&config(model, FULL), mixed, 30_000..30_300);
        compare(&config(model, FULL), waiting, 30_000..30_300);
        compare(&config(model, FULL), starting, 30_000..30_300);
    }
}

#[test]
fn pieces_of_bounded_and_random_searches_are_the_whole() {
    let random = Search::Random { seed: 3, runs: 40 };
    let pct = Search::Pct { depth: 3, seed: 3, runs: 40 };
    for search in [BOUNDED, random, pct] {
        for model in MODELS {
            compare(&config(model, search), mixed, 800..804);
            compare(&config(model, search), waiting, 800..804);
            compare(&config(model, search), starting, 800..804);
        }
    }
}

#[test]
fn pieces_of_jobs_are_the_jobs() {
    for model in MODELS {
        for seed in 820..830 {
            let program = mixed(seed);
            let config = config(model, FULL);
            for job in jobs(&mut program.clone(), &config, 9).expect("jobs") {
                let config = Config { job: Some(job), ..config.clone() };
                let mut plain = Found::default();
                search(&mut program.clone(), &config, &mut plain);
                assert_eq!(
                    in_pieces(&mut program.clone(), &config, 1),
                    plain,
                    "seed {seed}: {program:?}"
                );
            }
        }
    }
}

/// Lanes that begin new lifetimes of cells, and release a lock one step earlier or later, depending
/// on what they read.
fn careless(seed: u64) -> Closures {
    let mut rng = Rng(seed);
    let lanes: Vec<Vec<(usize, usize)>> =
        (0..3).map(|_| (0..2).map(|_| (rng.below(8), rng.below(2))).collect()).collect();
    Closures(Box::new(move |build, log| {
        let vars = [Var::new(0), Var::new(0)];
        let lock = Lock::new();
        for (lane, code) in lanes.iter().cloned().enumerate() {
            let (vars, lock, log) = (vars.clone(), lock.clone(), log.clone());
            build.lane(format!("lane {lane}"), move || {
                let read = |value| note(&log, lane, value);
                for (what, at) in code {
                    let var = &vars[at];
                    match what {
                        0 => read(var.load(Order::Relaxed)),
                        1 => var.store(1, Order::Relaxed),
                        2 | 5 => {
                            let seen = var.load(Order::Relaxed);
                            read(seen);
                            if (seen == 0) == (what == 2) {
                                var.poke(3);
                            }
                        }
                        3 | 4 => {
                            let held = lock.lock(Mode::Exclusive);
                            let seen = var.load(Order::Relaxed);
                            read(seen);
                            if (seen == 0) == (what == 3) {
                                read(vars[1 - at].load(Order::Relaxed));
                            }
                            drop(held);
                        }
                        _ => {
                            let held = lock.try_lock(Mode::Exclusive);
                            read(u64::from(held.is_some()));
                        }
                    }
                }
            });
        }
        Box::new(|_| None)
    }))
}

#[test]
fn pieces_are_the_whole_where_what_a_step_does_depends_on_its_option() {
    for model in MODELS {
        for seed in 0..80 {
            let config = config(model, FULL);
            let mut plain = Found::default();
            search(&mut careless(seed), &config, &mut plain);
            for most in [1, 3] {
                assert_eq!(in_pieces(&mut careless(seed), &config, most), plain, "seed {seed}");
            }
        }
    }
}

#[test]
fn executions_cut_off_are_counted_once() {
    for search_for in [FULL, BOUNDED] {
        let config = Config { max_steps: 7, ..config(Model::Weak, search_for) };
        let (mut plain, program) = (Found::default(), mixed(707));
        search(&mut program.clone(), &config, &mut plain);
        assert!(plain.truncated > 1);
        for most in [1, 4] {
            // Each piece reports only its own.
            let pieces = Found {
                ended: plain.ended.clone(),
                ..in_pieces(&mut program.clone(), &config, most)
            };
            assert_eq!(pieces, plain);
        }
    }
}

#[test]
fn stopping_before_anything_was_done_changes_nothing() {
    for search_for in [FULL, BOUNDED] {
        let program = mixed(707);
        let config = config(Model::Weak, search_for);
        let mut plain = Found::default();
        search(&mut program.clone(), &config, &mut plain);
        let mut found = Found::default();
        let mut piece = config.clone();
        for most in [0, 5, 0, 0, 1, 0, u64::MAX] {
            piece.max_executions = Some(most);
            piece.resume = search(&mut program.clone(), &piece, &mut found);
        }
        assert_eq!(found, plain);
    }
}

#[test]
fn runs_shared_out_are_the_runs_of_one_search() {
    for runs in [1, 10, 45] {
        for search_for in
            [Search::Random { seed: 9, runs }, Search::Pct { depth: 3, seed: 9, runs }]
        {
            for seed in 850..860 {
                let program = mixed(seed);
                let config = config(Model::Weak, search_for);
                let mut plain = Found::default();
                search(&mut program.clone(), &config, &mut plain);
                let parts = jobs(&mut program.clone(), &config, 7).expect("jobs");
                assert_eq!(parts.len() as u64, runs.min(7));
                let mut shared = Found::default();
                // In a different order, as other threads might.
                for job in parts.into_iter().rev() {
                    let job: Job = job.to_string().parse().expect("what a job writes, it reads");
                    search(
                        &mut program.clone(),
                        &Config { job: Some(job), ..config.clone() },
                        &mut shared,
                    );
                }
                if plain.failure.is_none() {
                    assert!(matches!(shared.ended, Some(Completeness::Bounded { .. })));
                    shared.ended.clone_from(&plain.ended);
                    assert_eq!(shared, plain, "seed {seed}, {search_for:?}: {program:?}");
                }
            }
        }
    }
}

/// Three lanes that add to one counter, two steps each: 90 executions.
fn counter() -> Program {
    Program { vars: 1, lanes: vec![vec![Ins::Add(0, 1, Order::Full); 2]; 3] }
}

#[test]
fn progress_says_what_is_ahead() {
    // Under this clock a report is due before each execution.
    let read = AtomicU64::new(0);
    let time = TimeSource::new(move || Duration::from_secs(read.fetch_add(1, Ordering::Relaxed)));
    for search_for in [FULL, BOUNDED, Search::Random { seed: 0, runs: 60 }] {
        let config = Config { time: time.clone(), ..config(Model::Sc, search_for) };
        let mut seen = Vec::new();
        explore(&mut counter(), &config, &mut |at| seen.push(*at));
        for at in &seen {
            match at.ahead.expect("known") {
                // The search, or a bound, may just begin.
                Ahead::Alternatives { depth: 0, .. }
                    if at.executions == 0 || search_for == BOUNDED => {}
                Ahead::Alternatives { open, from, depth } => {
                    assert!((1..=depth).contains(&from) && depth <= 6, "{at:?}");
                    // Where nothing is open, the last step stands for the first that is.
                    assert!(open > 0 || from == depth, "{at:?}");
                }
                Ahead::Runs { done, of } => assert_eq!((done, of), (at.executions, 60)),
            }
            assert_eq!(at.bound.is_some(), search_for == BOUNDED);
        }
        assert!(seen.len() >= 60, "{} reports", seen.len());
    }
}

/// Where the search over a program is after some executions, unless it ends before.
fn stand(program: &Program, config: &Config, executions: u64) -> Option<Position> {
    let config = Config { max_executions: Some(executions), ..config.clone() };
    search(&mut program.clone(), &config, &mut Found::default())
}

#[test]
fn the_position_of_another_subject_is_nondeterministic() {
    let (mut told, mut silent) = (0, 0);
    for search_for in [FULL, BOUNDED] {
        for model in MODELS {
            let config = config(model, search_for);
            for seed in 900..940 {
                let Some(position) = stand(&mixed(seed), &config, 6) else { continue };
                // With no step to repeat, nothing can differ.
                let head = if search_for == FULL { 3 } else { 5 };
                if position.to_string().split(' ').count() < head + 2 {
                    continue;
                }
                let config = Config { resume: Some(position), ..config.clone() };
                let report = explore(&mut mixed(seed + 1000), &config, &mut |_| {});
                match report.failure.map(|failure| failure.kind) {
                    Some(FailureKind::Nondeterministic | FailureKind::Deadlock) => told += 1,
                    _ => silent += 1,
                }
            }
        }
    }
    assert!(told > 100 && silent == 0, "{silent} of {} positions were taken", told + silent);
}

#[test]
fn the_position_of_another_job_is_nondeterministic() {
    let program = counter();
    let config = config(Model::Weak, FULL);
    let parts = jobs(&mut program.clone(), &config, 9).expect("jobs");
    let in_job = |job: &Job| Config { job: Some(job.clone()), ..config.clone() };
    let mut told = 0;
    for job in &parts {
        let Some(position) = stand(&program, &in_job(job), 1) else { continue };
        for other in parts.iter().filter(|other| *other != job) {
            let config = Config { resume: Some(position.clone()), ..in_job(other) };
            let report = explore(&mut program.clone(), &config, &mut |_| {});
            let kind = report.failure.map(|failure| failure.kind);
            assert_eq!(kind, Some(FailureKind::Nondeterministic), "{job} in {other}");
            told += 1;
        }
    }
    assert!(told > 0);
}

#[test]
fn the_position_or_job_of_another_search_is_refused() {
    let program = mixed(822);
    let searches = [
        FULL,
        BOUNDED,
        Search::Exhaustive { preemptions: Some(0) },
        Search::Random { seed: 3, runs: 40 },
        Search::Random { seed: 4, runs: 40 },
        Search::Random { seed: 3, runs: 4 },
        Search::Pct { depth: 3, seed: 3, runs: 40 },
        Search::Pct { depth: 2, seed: 3, runs: 40 },
    ];
    for (index, &search_for) in searches.iter().enumerate() {
        let config = config(Model::Weak, search_for);
        let position = stand(&program, &config, 30);
        let job = jobs(&mut program.clone(), &config, 9).expect("jobs").pop();
        for (other, &search_for) in searches.iter().enumerate().filter(|(other, _)| *other != index)
        {
            let refused = |config: &Config| {
                let report = explore(&mut program.clone(), config, &mut |_| {});
                report.failure.is_some_and(|failure| failure.kind == FailureKind::Unsupported)
            };
            let base = Config { search: search_for, ..config.clone() };
            if let Some(position) = &position {
                let config = Config { resume: Some(position.clone()), ..base.clone() };
                // A smaller bound already passed, and runs past the last, are not part of it
                // either.
                assert!(refused(&config), "{position} of {index} in {other}");
            }
            if let (Some(job), FULL | BOUNDED) = (&job, search_for) {
                let whole = *job == Job::default();
                let fits = whole || (index == 0 && search_for == FULL);
                let config = Config { job: Some(job.clone()), ..base };
                assert_eq!(refused(&config), !fits, "{job} of {index} in {other}");
            }
        }
    }
}

#[test]
fn a_budget_is_spent_to_the_last_execution_and_no_further() {
    let program = counter();
    let config = config(Model::Weak, FULL);
    let budget = Budget::new(50);
    let piece = Config { budget: Some(budget), ..config.clone() };
    let counted = std::thread::scope(|scope| {
        let search = || {
            let report = explore(&mut program.clone(), &piece, &mut |_| {});
            assert!(report.position.is_some());
            report.executions + report.blocked
        };
        let threads = [(); 3].map(|()| scope.spawn(search));
        threads.map(|thread| thread.join().expect("no panic"))
    });
    assert_eq!(counted.iter().sum::<u64>(), 50, "{counted:?}");
}
