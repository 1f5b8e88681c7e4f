//! The explorer against independent references, on random programs: RC11 by its axioms, TSO by
//! store buffers.
//!
//! Two hundred programs by default; `PINFOLD_ORACLE_PROGRAMS=20000` asks for more. Five thousand
//! for each model, as a test of its own, in half a minute:
//! `cargo test -p pinfold-explore --release --test oracle -- --ignored --nocapture`.

mod common;

use common::{
    FULL, NAIVE,
    judge::judged,
    program::{Ins, Program, Rng, World},
};
use pinfold_explore::{
    Completeness, Config, Ending, FailureKind, Judgement, Lanes, LockForm, Model, Search, Subject,
    explore, hook::Order, replay,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Instant,
};

const LOADS: [Order; 5] =
    [Order::Relaxed, Order::Relaxed, Order::Acquire, Order::SeqCst, Order::Full];
const STORES: [Order; 5] =
    [Order::Relaxed, Order::Relaxed, Order::Release, Order::SeqCst, Order::Full];
const UPDATES: [Order; 6] =
    [Order::Relaxed, Order::Acquire, Order::Release, Order::AcqRel, Order::SeqCst, Order::Full];

/// The program of a seed; one with few enough stores that the reference can go through their
/// orders.
fn program(seed: u64) -> Program {
    let mut rng = Rng(seed);
    loop {
        let program = if seed.is_multiple_of(2) { mixture(&mut rng) } else { litmus(&mut rng) };
        let writes = |var: usize| {
            let writes = program.lanes.iter().flatten().filter(|ins| match ins {
                Ins::Store(at, ..)
                | Ins::StoreSum(at, ..)
                | Ins::Add(at, ..)
                | Ins::Cas(at, ..) => *at == var,
                _ => false,
            });
            writes.count()
        };
        if (0..program.vars).all(|var| writes(var) <= 4) {
            return program;
        }
    }
}

/// Plain accesses to two or three cells with a fence here and there: where weak behaviour shows.
fn litmus(rng: &mut Rng) -> Program {
    let lanes = 2 + rng.below(3);
    let vars = 2 + rng.below(2);
    let lane = |rng: &mut Rng| {
        let mut code = Vec::new();
        for at in 0..[3, 3, 2][lanes - 2] {
            if at > 0 && rng.below(3) == 0 {
                code.push(Ins::Fence(rng.pick(&[
                    Order::Acquire,
                    Order::Release,
                    Order::Full,
                    Order::Full,
                ])));
            }
            let var = rng.below(vars);
            code.push(match rng.below(8) {
                0..4 => Ins::Load(var, rng.pick(&LOADS[..3])),
                4..7 => Ins::Store(var, 1 + at as u64, rng.pick(&STORES[..3])),
                _ => Ins::Add(var, 1, rng.pick(&UPDATES[..4])),
            });
        }
        code
    };
    Program { vars, lanes: (0..lanes).map(|_| lane(rng)).collect() }
}

/// Everything.
fn mixture(rng: &mut Rng) -> Program {
    let lanes = 2 + rng.below(3);
    let vars = 1 + rng.below(3);
    let steps = [4, 3, 2][lanes - 2];
    let ins = |rng: &mut Rng| {
        let var = rng.below(vars);
        match rng.below(14) {
            0..4 => Ins::Load(var, rng.pick(&LOADS)),
            4..7 => Ins::Store(var, 1 + rng.below(2) as u64, rng.pick(&STORES)),
            7 => Ins::StoreSum(var, rng.pick(&STORES)),
            8 => Ins::Add(var, 1, rng.pick(&UPDATES)),
            9..12 => Ins::Cas(var, rng.below(2) as u64, 3, rng.pick(&UPDATES), rng.pick(&LOADS)),
            _ => Ins::Fence(rng.pick(&UPDATES[1..])),
        }
    };
    let lanes = (0..lanes).map(|_| (0..1 + rng.below(steps)).map(|_| ins(rng)).collect()).collect();
    Program { vars, lanes }
}

/// What the compared programs contained, and how often.
#[derive(Default)]
struct Coverage(BTreeMap<String, u64>);

impl Coverage {
    fn note(&mut self, what: String) {
        *self.0.entry(what).or_default() += 1;
    }

    fn program(&mut self, program: &Program) {
        self.note(format!("{} lanes", program.lanes.len()));
        for ins in program.lanes.iter().flatten() {
            match ins {
                Ins::Load(_, order) => self.note(format!("load {order:?}")),
                Ins::Store(.., order) | Ins::StoreSum(_, order) => {
                    self.note(format!("store {order:?}"));
                }
                Ins::Add(.., order) => self.note(format!("add {order:?}")),
                Ins::Fence(order) => self.note(format!("fence {order:?}")),
                // Counted by their results.
                _ => {}
            }
        }
    }

    /// The results of the compare-exchanges of an execution.
    fn execution(&mut self, program: &Program, log: &[Vec<u64>]) {
        for (code, log) in program.lanes.iter().zip(log) {
            let reads = |ins: &&Ins| matches!(ins, Ins::Load(..) | Ins::Add(..) | Ins::Cas(..));
            for (ins, read) in code.iter().filter(reads).zip(log) {
                match ins {
                    Ins::Cas(_, from, _, success, _) if read == from => {
                        self.note(format!("exchange done {success:?}"));
                    }
                    Ins::Cas(.., failure) => self.note(format!("exchange failed {failure:?}")),
                    _ => {}
                }
            }
        }
    }

    /// What the generator can put into a program but did not put into any.
    fn missing(&self) -> Vec<String> {
        let lanes = (2..=4).map(|lanes| format!("{lanes} lanes"));
        let expected = [
            ("load", &LOADS[..]),
            ("store", &STORES),
            ("add", &UPDATES),
            ("exchange done", &UPDATES),
            ("exchange failed", &LOADS),
            ("fence", &UPDATES[1..]),
        ];
        let orders = expected
            .iter()
            .flat_map(|(what, orders)| orders.iter().map(move |order| format!("{what} {order:?}")));
        lanes.chain(orders).filter(|what| !self.0.contains_key(what)).collect()
    }
}

/// A program whose executions are counted.
struct Counted<'a>(&'a Program, &'a mut Coverage);

impl Subject for Counted<'_> {
    type World = World;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> World {
        self.0.clone().build(lanes)
    }

    fn judge(&mut self, world: World, ending: Ending<'_>) -> Judgement {
        self.1.execution(self.0, &world.log.borrow());
        self.0.clone().judge(world, ending)
    }
}

/// The outcomes of a search that must end, and its executions, completed and blocked.
fn explored(
    subject: &mut impl Subject,
    model: Model,
    search: Search,
) -> (BTreeSet<String>, u64, u64) {
    let config = Config { model, search, ..Config::default() };
    let report = explore(subject, &config, &mut |_| {});
    assert_eq!(report.failure, None);
    assert_eq!(report.complete, Completeness::Exhausted);
    (report.outcomes.into_keys().collect(), report.executions, report.blocked)
}

fn difference(a: &BTreeSet<String>, b: &BTreeSet<String>) -> Vec<String> {
    a.difference(b).cloned().collect()
}

fn programs() -> usize {
    std::env::var("PINFOLD_ORACLE_PROGRAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(200)
}

/// Compares this many programs, no two of them equal.
fn compare(model: Model, programs: usize) {
    let start = Instant::now();
    let (mut executions, mut blocked, mut outcomes, mut relaxed) = (0, 0, 0, 0);
    let mut coverage = Coverage::default();
    let mut seen = HashSet::new();
    for seed in 0.. {
        let program = program(seed);
        if !seen.insert(format!("{program:?}")) {
            continue;
        }
        coverage.program(&program);
        let expected = judged(&program, model, usize::MAX).outcomes;
        let (found, ran, left) = explored(&mut Counted(&program, &mut coverage), model, FULL);
        let (missing, forbidden) = (difference(&expected, &found), difference(&found, &expected));
        assert!(
            missing.is_empty() && forbidden.is_empty(),
            "seed {seed}: {program:?}\nmissing {missing:?}\nforbidden {forbidden:?}"
        );
        executions += ran;
        blocked += left;
        outcomes += expected.len();
        relaxed += usize::from(explored(&mut program.clone(), Model::Sc, FULL).0 != expected);
        if seen.len() == programs {
            break;
        }
    }
    println!(
        "{model:?}: {programs} programs, {relaxed} of them relaxed, {outcomes} outcomes, \
         {executions} executions, {blocked} blocked, {:.1} s",
        start.elapsed().as_secs_f64()
    );
    println!("{:?}", coverage.0);
    assert_eq!(coverage.missing(), [""; 0], "in none of {programs} programs");
    assert!(relaxed > programs / 100, "{relaxed} programs tell {model:?} from Sc");
}

#[test]
fn weak_is_rc11() {
    compare(Model::Weak, programs());
}

#[test]
fn tso_is_store_buffers() {
    compare(Model::Tso, programs());
}

#[test]
#[ignore = "half a minute with optimisation; run before touching a memory model"]
fn five_thousand_programs_agree_with_the_references() {
    compare(Model::Weak, 5_000);
    compare(Model::Tso, 5_000);
}

#[test]
fn the_models_are_ordered_by_strength() {
    for seed in 0..programs() as u64 / 3 {
        let mut program = program(seed);
        let [sc, tso, weak] =
            [Model::Sc, Model::Tso, Model::Weak].map(|model| explored(&mut program, model, FULL).0);
        assert!(sc.is_subset(&tso) && tso.is_subset(&weak), "seed {seed}: {program:?}");
    }
}

/// A program that fails in some of its outcomes.
struct Picky(Program);

impl Subject for Picky {
    type World = World;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> World {
        self.0.build(lanes)
    }

    fn judge(&mut self, world: World, ending: Ending<'_>) -> Judgement {
        match self.0.judge(world, ending) {
            Judgement::Pass { outcome } if outcome.bytes().map(u32::from).sum::<u32>() % 5 == 0 => {
                Judgement::Fail { message: outcome.clone(), outcome }
            }
            other => other,
        }
    }
}

#[test]
fn failures_replay_and_agree_with_themselves() {
    let mut failed = 0;
    for seed in 0..programs() as u64 {
        for model in [Model::Sc, Model::Tso, Model::Weak] {
            let mut subject = Picky(program(seed));
            let config = Config { model, search: FULL, shrink_runs: 20, ..Config::default() };
            let report = explore(&mut subject, &config, &mut |_| {});
            let Some(failure) = report.failure else { continue };
            assert_eq!(failure.kind, FailureKind::Judged, "{failure}");
            failed += 1;
            let [first, second] =
                [(); 2].map(|()| replay(&mut subject, model, LockForm::Object, &failure.schedule));
            assert_eq!(first.diverged_at, None);
            assert!(
                matches!(&first.judgement, Judgement::Fail { outcome, .. } if *outcome == failure.outcome)
            );
            assert_eq!(first.trace, second.trace);
            assert_eq!(first.trace.len(), failure.schedule.steps().len());
        }
    }
    assert!(failed > 20, "{failed} failures are too few to tell");
}

#[test]
fn every_sequence_gives_the_same_outcomes() {
    for seed in 0..programs() as u64 / 10 {
        let mut program = program(seed);
        program.lanes.truncate(2);
        for model in [Model::Tso, Model::Weak] {
            let (naive, ..) = explored(&mut program, model, NAIVE);
            let (full, ..) = explored(&mut program, model, FULL);
            assert_eq!(naive, full, "seed {seed} {model:?}: {program:?}");
        }
    }
}
