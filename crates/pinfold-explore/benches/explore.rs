//! Executions a second, and executions to exhaustion, on small protocols under each model.
//!
//! `cargo bench -p pinfold-explore`. Prints two tables. The first can only be compared with an
//! earlier one; the second compares the reduced search with one that tries every sequence of steps.
//! The real code's figures are in the bench of `pinfold-lab`.

#[path = "../tests/common/mod.rs"]
mod common;

use common::{
    FULL, NAIVE, Var,
    fork::{Barrier, PinAgainstFork, TableLock},
};
use pinfold_explore::{
    Completeness, Config, Ending, Judgement, Lanes, Model, Report, Search, Subject, explore,
    hook::{self, Order},
};
use std::{
    io::{Write, stderr},
    time::Duration,
};

type AddLanes = fn(&mut Lanes<'_>);

/// A protocol: adds its lanes.
struct Protocol(AddLanes);

impl Subject for Protocol {
    type World = ();

    fn build(&mut self, lanes: &mut Lanes<'_>) {
        (self.0)(lanes);
    }

    fn judge(&mut self, (): (), _: Ending<'_>) -> Judgement {
        Judgement::Pass { outcome: String::new() }
    }
}

/// Two lanes of 16 relaxed steps, most of them on cells of their own.
fn mostly_private(lanes: &mut Lanes<'_>) {
    let shared = Var::new(0);
    for _ in 0..2 {
        let (shared, own) = (shared.clone(), [Var::new(0), Var::new(0)]);
        lanes.lane("lane", move || {
            for step in 0..4 {
                own[0].store(step, Order::Relaxed);
                own[1].add(own[0].load(Order::Relaxed), Order::Relaxed);
                shared.add(1, Order::Relaxed);
            }
        });
    }
}

/// A sequence count: one writer, readers that give up when it changed.
fn sequence_count(lanes: &mut Lanes<'_>) {
    let (seq, data, pins) = (Var::new(0), [Var::new(0), Var::new(0)], Var::new(0));
    for _ in 0..2 {
        let (seq, data, pins) = (seq.clone(), data.clone(), pins.clone());
        lanes.lane("reader", move || {
            let before = seq.load(Order::Acquire);
            if before % 2 == 1 {
                return;
            }
            pins.add(1, Order::Full);
            let _ = (data[0].load(Order::Relaxed), data[1].load(Order::Relaxed));
            hook::fence(Order::Acquire);
            if seq.load(Order::Relaxed) != before {
                pins.add(1, Order::Full);
            }
        });
    }
    lanes.lane("writer", move || {
        seq.add(1, Order::Relaxed);
        hook::fence(Order::Full);
        if pins.load(Order::Relaxed) == 0 {
            data[0].store(1, Order::Relaxed);
            data[1].store(1, Order::Relaxed);
        }
        seq.add(1, Order::Release);
    });
}

/// Three lanes that count on one cell, three times each.
fn counters(lanes: &mut Lanes<'_>) {
    let counter = Var::new(0);
    for _ in 0..3 {
        let counter = counter.clone();
        lanes.lane("counter", move || {
            for _ in 0..3 {
                counter.add(1, Order::Full);
            }
        });
    }
}

/// How long a search without reduction may take.
const LIMIT: Duration = Duration::from_secs(60);

fn fork_searched(pinners: usize, search: Search) -> Report {
    let mut subject =
        PinAgainstFork { pinners, barrier: Barrier::Full, table_lock: TableLock::Untaken };
    let config = Config { model: Model::Weak, search, deadline: Some(LIMIT), ..Config::default() };
    let report = explore(&mut subject, &config, &mut |at| {
        let _ =
            write!(stderr(), "\r{} executions, {:.0} s ", at.executions, at.elapsed.as_secs_f64());
    });
    let _ = write!(stderr(), "\r{:40}\r", "");
    assert_eq!(report.failure, None, "the protocol holds");
    report
}

/// Executions until the protocol of a pin against fork is exhausted under the weak model.
fn reduction() {
    println!(
        "\n{:<16} {:>8} {:>8} {:>8} {:>20} {:>16}",
        "pin against fork", "reduced", "blocked", "seconds", "every sequence", "reduced to"
    );
    for pinners in 1..=2 {
        let reduced = fork_searched(pinners, FULL);
        assert_eq!(reduced.complete, Completeness::Exhausted);
        let every = fork_searched(pinners, NAIVE);
        let ratio = every.executions / (reduced.executions + reduced.blocked);
        let (count, ratio) = match every.complete {
            Completeness::Exhausted => (format!("{}", every.executions), format!("1/{ratio}")),
            Completeness::Bounded { .. } => {
                (format!("more than {}", every.executions), format!("under 1/{ratio}"))
            }
        };
        println!(
            "{:<16} {:>8} {:>8} {:>8.3} {count:>20} {ratio:>16}",
            format!("{pinners} pinning"),
            reduced.executions,
            reduced.blocked,
            reduced.elapsed.as_secs_f64()
        );
    }
}

/// The machine on which the figures were measured.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores, one used", model.unwrap_or("unknown processor"))
}

fn main() {
    println!("{}", machine());
    let protocols: [(&str, AddLanes); 3] = [
        ("mostly private", mostly_private),
        ("sequence count", sequence_count),
        ("counters", counters),
    ];
    println!(
        "{:<16} {:<6} {:<8} {:>10} {:>8} {:>6} {:>12}",
        "protocol", "model", "search", "executions", "blocked", "steps", "per second"
    );
    for (name, protocol) in protocols {
        for model in [Model::Sc, Model::Tso, Model::Weak] {
            for (search_name, search) in [
                ("full", Search::Exhaustive { preemptions: None }),
                ("random", Search::Random { seed: 1, runs: 100_000 }),
            ] {
                let config =
                    Config { model, search, max_executions: Some(300_000), ..Config::default() };
                let report = explore(&mut Protocol(protocol), &config, &mut |_| {});
                let tried = report.executions + report.blocked;
                let rate = tried as f64 / report.elapsed.as_secs_f64();
                let end = if report.complete == Completeness::Exhausted { "" } else { "+" };
                println!(
                    "{name:<16} {:<6} {search_name:<8} {:>10} {:>8} {:>6} {rate:>12.0}",
                    format!("{model:?}"),
                    format!("{}{end}", report.executions),
                    report.blocked,
                    report.steps_max,
                );
            }
        }
    }
    reduction();
}
