//! "Exhausted" is true: random programs, half of them locks, against references that share nothing
//! with the explorer and against the search of every sequence of steps.
//!
//! Two and a half thousand programs for each model by default, none of them long.
//! `PINFOLD_SOUND_PROGRAMS=20000` asks for as many of each kind, with higher limits, and
//! `PINFOLD_SOUND_FIRST=1000000` for others. The command is
//! `cargo test -p pinfold-explore --release --test soundness -- --nocapture`.

mod common;

use common::{
    judge::{Limits, Tally, compare},
    program::Program,
    random::{Kind, dense, exchanges, ordered, tiny},
};
use pinfold_explore::Model;
use std::time::Instant;

fn wanted(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Compares programs of a kind; `few` of them unless more are asked for.
fn hold(model: Model, kind: &str, few: u64, program: impl Fn(u64) -> Program) {
    let start = Instant::now();
    let first = wanted("PINFOLD_SOUND_FIRST").unwrap_or(0);
    let (programs, limits) = match wanted("PINFOLD_SOUND_PROGRAMS") {
        None => (few, Limits { reduced: 2_000, naive: 500, reference: 800 }),
        Some(many) => (many, Limits { reduced: 20_000, naive: 5_000, reference: 8_000 }),
    };
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for seed in first..first + programs {
        let program = program(seed);
        if let Err(difference) = compare(&program, model, limits, &mut tally) {
            wrong.push(format!("{kind} {seed}: {difference}\n{program:?}"));
        }
    }
    println!("{model:?}, {kind}: {tally}; {:.1} s", start.elapsed().as_secs_f64());
    let shown = wrong.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {programs} differ:\n{shown}", wrong.len());
}

fn hold_all(model: Model) {
    hold(model, "locks", 400, |seed| dense(seed, Kind::Atomic));
    hold(model, "locks and waits", 300, |seed| dense(seed, Kind::Waiting));
    hold(model, "locks and plain memory", 300, |seed| dense(seed, Kind::Plain));
    hold(model, "exchanges", 500, exchanges);
    hold(model, "orders", 500, ordered);
    hold(model, "tiny", 1_000, tiny);
}

#[test]
fn nothing_is_missed_under_sc() {
    hold_all(Model::Sc);
}

#[test]
fn nothing_is_missed_under_tso() {
    hold_all(Model::Tso);
}

#[test]
fn nothing_is_missed_under_the_weak_model() {
    hold_all(Model::Weak);
}
