//! The reduced search against every sequence of steps, on random programs with locks, waits and branches.

mod common;

use common::{
    FULL, NAIVE,
    program::{Ins, Program, Rng},
};
use pinfold_explore::{
    Completeness, Config, FailureKind, Model, Report, Search, explore,
    hook::{Mode, Order},
};

const MODES: [Mode; 2] = [Mode::Exclusive, Mode::Shared];

/// A few instructions, about `budget` steps.
fn block(rng: &mut Rng, budget: &mut usize, depth: usize, vars: usize) -> Vec<Ins> {
    let mut code = Vec::new();
    for _ in 0..1 + rng.below(3) {
        if *budget == 0 {
            break;
        }
        *budget -= 1;
        let var = rng.below(vars);
        let order = Order::Relaxed;
        code.push(match rng.below(if depth < 2 { 14 } else { 9 }) {
            0 | 1 => Ins::Load(var, order),
            2 | 3 => Ins::Store(var, 1 + rng.below(2) as u64, order),
            4 => Ins::StoreSum(var, order),
            5 => Ins::Add(var, 1, order),
            6 => Ins::Cas(var, rng.below(2) as u64, 2, order, order),
            7 => Ins::Wait(var, 1, order),
            8 => Ins::Choose(2),
            9 => Ins::If(block(rng, budget, depth + 1, vars)),
            10 | 11 => {
                Ins::Locked(rng.below(2), rng.pick(&MODES), block(rng, budget, depth + 1, vars))
            }
            _ => Ins::Try(rng.below(2), rng.pick(&MODES), block(rng, budget, depth + 1, vars)),
        });
    }
    code
}

fn program(seed: u64) -> Program {
    let mut rng = Rng(seed);
    let lanes = 2 + rng.below(2);
    let vars = 1 + rng.below(3);
    let lanes = (0..lanes)
        .map(|_| {
            let mut budget = if lanes == 2 { 5 } else { 3 };
            let mut code = block(&mut rng, &mut budget, 0, vars);
            code.extend(block(&mut rng, &mut budget, 0, vars));
            code
        })
        .collect();
    Program { vars, lanes }
}

fn explored(program: &Program, search: Search) -> Report {
    let config = Config { model: Model::Sc, search, ..Config::default() };
    explore(&mut program.clone(), &config, &mut |_| {})
}

fn compare(seeds: std::ops::Range<u64>) {
    let (mut all, mut reduced, mut blocked, mut deadlocks) = (0, 0, 0, 0);
    for seed in seeds {
        let program = program(seed);
        let naive = explored(&program, NAIVE);
        let full = explored(&program, FULL);
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
        assert_eq!(naive.complete, Completeness::Exhausted);
        assert_eq!(full.complete, Completeness::Exhausted);
        let outcomes = |report: &Report| report.outcomes.keys().cloned().collect::<Vec<_>>();
        assert_eq!(outcomes(&full), outcomes(&naive), "seed {seed}: {program:?}");
        all += naive.executions;
        reduced += full.executions;
        blocked += full.blocked;
    }
    println!("{all} executions, {reduced} reduced, {blocked} blocked, {deadlocks} deadlocks");
    assert!(reduced * 3 < all, "{reduced} of {all}");
}

#[test]
fn reduced_and_naive_agree_on_outcomes() {
    compare(0..600);
}

#[test]
#[ignore = "minutes; run before touching the search"]
fn reduced_and_naive_agree_on_many_outcomes() {
    compare(10_000..40_000);
}
