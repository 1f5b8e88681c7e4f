//! The memory of states loses nothing: random programs under sequential consistency, searched with
//! it, against the search without it and a reference that shares nothing with the explorer.
//!
//! `PINFOLD_STATES_PROGRAMS=20000` asks for as many of each kind, `PINFOLD_STATES_FIRST=1000000` for
//! others: `cargo test -p pinfold-explore --release --test states -- --nocapture`.

mod common;

use common::{
    judge::{Limits, Remembering, compare_remembering},
    program::Program,
    random::{Kind, counting, dense, exchanges, mixed, ordered, starting, tiny, waiting},
};
use std::time::Instant;

fn wanted(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Compares programs of a kind; `few` of them unless more are asked for.
fn hold(kind: &str, few: u64, program: impl Fn(u64) -> Program) {
    let start = Instant::now();
    let first = wanted("PINFOLD_STATES_FIRST").unwrap_or(0);
    let (programs, limits) = match wanted("PINFOLD_STATES_PROGRAMS") {
        None => (few, Limits { reduced: 2_000, naive: 2_000, reference: 2_000 }),
        Some(many) => (many, Limits { reduced: 20_000, naive: 20_000, reference: 20_000 }),
    };
    let mut tally = Remembering::default();
    let mut wrong = Vec::new();
    for seed in first..first + programs {
        let program = program(seed);
        if let Err(difference) = compare_remembering(&program, limits, &mut tally) {
            wrong.push(format!("{kind} {seed}: {difference}\n{program:?}"));
        }
    }
    println!("{kind}: {tally:?}; {:.1} s", start.elapsed().as_secs_f64());
    let shown = wrong.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {programs} differ:\n{shown}", wrong.len());
}

#[test]
fn locks() {
    hold("locks", 400, |seed| dense(seed, Kind::Atomic));
}

#[test]
fn locks_and_waits() {
    hold("locks and waits", 300, |seed| dense(seed, Kind::Waiting));
}

#[test]
fn locks_and_plain_memory() {
    hold("locks and plain memory", 300, |seed| dense(seed, Kind::Plain));
}

#[test]
fn small_ones() {
    hold("exchanges", 500, exchanges);
    hold("orders", 500, ordered);
    hold("tiny", 1_000, tiny);
}

#[test]
fn counts_by_class() {
    hold("counts", 1_000, counting);
}

#[test]
fn mixed_ones() {
    hold("mixed", 500, mixed);
    hold("waiting", 500, waiting);
    hold("started lanes", 500, starting);
}
