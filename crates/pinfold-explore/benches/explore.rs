//! Executions a second, and executions to exhaustion, on small protocols under each model.
//!
//! `cargo bench -p pinfold-explore`. Prints two tables: goal P11 on the protocol of fork against a
//! lock-free pin, where the comparison is the search without reduction, and the rates on other
//! protocols, where there is nothing to compare with but an earlier table. `cargo bench -p
//! pinfold-lab` has P11 on the memory manager itself.

use pinfold_explore::{
    Completeness, Config, Ending, Judgement, Lanes, Model, Report, Search, Subject, explore,
    hook::{self, Order},
};
use std::{cell::Cell, rc::Rc, time::Duration};

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

/// Fork against pins without a lock, guarded by a sequence count with a full barrier: a pin that
/// succeeds must not meet a fork that shared the page because it saw no pin.
fn fork_against_pins(lanes: &mut Lanes<'_>, pinners: usize) {
    let (seq, pins, entry) = (Var::new(), Var::new(), Var::new());
    for _ in 0..pinners {
        let (seq, pins, entry) = (seq.clone(), pins.clone(), entry.clone());
        lanes.lane("pin", move || {
            let before = seq.load(Order::Acquire);
            if before % 2 == 1 || entry.load(Order::Relaxed) != 0 {
                return;
            }
            pins.add(1, Order::Full);
            if entry.load(Order::Relaxed) != 0 || seq.load(Order::Relaxed) != before {
                pins.add(u64::MAX, Order::Full);
            }
        });
    }
    lanes.lane("fork", move || {
        seq.store(1, Order::Relaxed);
        hook::fence(Order::Full);
        if pins.load(Order::Relaxed) == 0 {
            entry.store(1, Order::Relaxed);
        }
        seq.store(2, Order::Release);
    });
}

/// Executions that the search without reduction may make.
const MOST: u64 = 8_000_000;
/// How often it says how far it is.
const EVERY: Duration = Duration::from_secs(5);

/// Goal P11.
fn p11() {
    println!(
        "P11, weak model: must 50,000 executions/s and 1/1,000 of the executions of a depth-first \
         search\n     without reduction; stretch 150,000/s and 1/20,000"
    );
    println!(
        "{:<20} {:>12} {:>10} {:>8} {:>16} {:>14}",
        "protocol", "per second", "to exhaust", "blocked", "not reduced", "ratio"
    );
    let protocols: [(&str, AddLanes); 2] = [
        ("fork against a pin", |lanes| fork_against_pins(lanes, 1)),
        ("fork against 2 pins", |lanes| fork_against_pins(lanes, 2)),
    ];
    for (name, protocol) in protocols {
        let weak = |search| Config { search, max_executions: Some(MOST), ..Config::default() };
        let rate = explored(protocol, &weak(Search::Random { seed: 1, runs: 300_000 }));
        let reduced = explored(protocol, &weak(Search::Exhaustive { preemptions: None }));
        assert_eq!(reduced.complete, Completeness::Exhausted);
        let all = explored(protocol, &weak(Search::Exhaustive { preemptions: Some(u32::MAX) }));
        let least = if all.complete == Completeness::Exhausted { "" } else { "> " };
        let ratio = all.executions / reduced.executions.max(1);
        println!(
            "{name:<20} {:>12.0} {:>10} {:>8} {:>16} {:>14}",
            rate.executions as f64 / rate.elapsed.as_secs_f64(),
            reduced.executions,
            reduced.blocked,
            format!("{least}{}", all.executions),
            format!("{least}1/{ratio}").replace("> 1/", "< 1/"),
        );
    }
}

fn explored(protocol: AddLanes, config: &Config) -> Report {
    let mut said = EVERY;
    explore(&mut Protocol(protocol), config, &mut |at| {
        if at.elapsed >= said {
            said += EVERY;
            eprintln!("{} executions, {:.0} s", at.executions, at.elapsed.as_secs_f64());
        }
    })
}

/// What the figures were taken on.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model =
        model.and_then(|line| line.split_once(": ")).map_or("unknown CPU", |(_, name)| name);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cpus} CPUs, of which one is used")
}

fn main() {
    println!("{}\n", machine());
    p11();
    println!();
    rates();
}

fn rates() {
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
                let report = explored(protocol, &config);
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
