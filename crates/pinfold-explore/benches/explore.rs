//! Executions a second, and executions to exhaustion, on small protocols under each model.
//!
//! `cargo bench -p pinfold-explore`. Prints a table; there is nothing to compare with but an
//! earlier table.

use pinfold_explore::{
    Completeness, Config, Ending, Judgement, Lanes, Model, Search, Subject, explore,
    hook::{self, Order},
};
use std::{cell::Cell, rc::Rc};

#[derive(Clone)]
struct Var(Rc<Cell<u64>>);

impl Var {
    fn new() -> Self {
        Self(Rc::new(Cell::new(0)))
    }

    fn addr(&self) -> usize {
        self.0.as_ptr() as usize
    }

    fn load(&self, order: Order) -> u64 {
        hook::load(self.addr(), self.0.get(), order)
    }

    fn store(&self, value: u64, order: Order) {
        self.0.set(hook::store(self.addr(), self.0.get(), value, order));
    }

    fn add(&self, value: u64, order: Order) -> u64 {
        let mut f = |old: u64| Some(old + value);
        let rmw = hook::rmw(self.addr(), self.0.get(), order, Order::Relaxed, &mut f);
        self.0.set(rmw.latest);
        rmw.old
    }
}

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
    let shared = Var::new();
    for _ in 0..2 {
        let (shared, own) = (shared.clone(), [Var::new(), Var::new()]);
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
    let (seq, data, pins) = (Var::new(), [Var::new(), Var::new()], Var::new());
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
    let counter = Var::new();
    for _ in 0..3 {
        let counter = counter.clone();
        lanes.lane("counter", move || {
            for _ in 0..3 {
                counter.add(1, Order::Full);
            }
        });
    }
}

fn main() {
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
}
