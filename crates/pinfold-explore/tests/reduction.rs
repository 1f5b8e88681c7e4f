//! The reduced search against every sequence of steps, on random programs with locks, waits and
//! branches.

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

const ORDERS: [Order; 5] =
    [Order::Relaxed, Order::Acquire, Order::Release, Order::AcqRel, Order::Full];

/// A few instructions, about `budget` steps.
fn block(rng: &mut Rng, budget: &mut usize, depth: usize, vars: usize) -> Vec<Ins> {
    let mut code = Vec::new();
    for _ in 0..1 + rng.below(3) {
        if *budget == 0 {
            break;
        }
        *budget -= 1;
        let var = rng.below(vars);
        let order = rng.pick(&ORDERS);
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
    let lanes = 2 + rng.below(3);
    let vars = 1 + rng.below(3);
    let lanes = (0..lanes)
        .map(|_| {
            let mut budget = [5, 3, 2][lanes - 2];
            let mut code = block(&mut rng, &mut budget, 0, vars);
            code.extend(block(&mut rng, &mut budget, 0, vars));
            code
        })
        .collect();
    Program { vars, lanes }
}

/// Lanes that wait for values which others take away for a while, but always bring back.
fn waiting(seed: u64) -> Program {
    let mut rng = Rng(seed);
    let lanes = 2 + rng.below(2);
    let vars = 1 + rng.below(2);
    let lane = |rng: &mut Rng| {
        let mut code = Vec::new();
        for _ in 0..1 + rng.below(3) {
            let (var, order) = (rng.below(vars), rng.pick(&ORDERS));
            match rng.below(6) {
                0 | 1 => code.push(Ins::WaitBelow(var, 1 + rng.below(2) as u64, order)),
                2 => code.push(Ins::Load(var, order)),
                3 => {
                    code.extend([Ins::Add(var, 2, order), Ins::Store(var, 0, Order::Relaxed)]);
                }
                _ => code.extend([Ins::Store(var, 1, order), Ins::Store(var, 0, order)]),
            }
        }
        code
    };
    Program { vars, lanes: (0..lanes).map(|_| lane(&mut rng)).collect() }
}

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
    compare(Model::Sc, program, 0..120, 4_000);
}

#[test]
fn reduced_and_naive_agree_under_tso() {
    compare(Model::Tso, program, 200..260, 4_000);
}

#[test]
fn reduced_and_naive_agree_under_the_weak_model() {
    compare(Model::Weak, program, 300..360, 4_000);
}

#[test]
fn reduced_and_naive_agree_on_values_that_come_and_go() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        compare(model, waiting, 0..60, 2_000);
    }
}

#[test]
#[ignore = "minutes; run before touching the search"]
fn reduced_and_naive_agree_on_many_programs() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        compare(model, program, 10_000..13_000, 50_000);
        compare(model, waiting, 10_000..13_000, 50_000);
    }
}
