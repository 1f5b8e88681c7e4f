//! What is searched to its end and what that costs: the shapes that everybody writes first, each
//! with the executions that it may take at most.
//!
//! `cargo test -p pinfold-lab --release --test scale -- --include-ignored --nocapture
//! --test-threads 1` prints executions, seconds of CPU time and the most memory that was resident
//! (five minutes, 1.1 GB). The small ones are ordinary tests.

mod common;

use std::cell::Cell;
use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pinfold::Rules;
use pinfold_explore::hook::{self, Order};
use pinfold_explore::{Completeness, Ending, Judgement, Lanes, States, Subject, explore};
use pinfold_lab::campaign::share_out;
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::{CheckOptions, Config, Detail, Model, Prepared, scenario};

use common::{MODELS, STALE_COPY, TWO_PINS, on_two_nodes, writers};

/// Three processes share a page, as one is forked before anybody wrote; all write.
const REFORK: &str = r#"scenario refork
machine
  frames 16
setup
  process P
  P: map A 1 private rw
  P: write A "v"
  P: fork C
lane child: C
  fork D
  write A "c"
lane grandchild: D
  read A expect "v"
  write A "d"
lane parent: P
  write A "p"
always
  P:A sees "p"
  C:A sees "c"
  D:A sees "d"
reach fork
"#;

/// [`TWO_PINS`] on a machine of one node, with a CPU for each lane.
fn two_pinners() -> String {
    let cpus = (0..3).map(|cpu| format!("cpu cpu{cpu} node 0\n")).collect::<String>();
    let lanes = TWO_PINS.replace("lane two: P on cpu1", "lane two: P on cpu2");
    format!("scenario two-pinners\nmachine\n{cpus}{lanes}\n")
}

/// What a search printed.
struct Row {
    ended: u64,
    begun: u64,
}

/// A line of the table.
fn print(name: &str, model: Model, counts: [u64; 3], seconds: f64) -> Row {
    let [executions, blocked, pruned] = counts;
    let memory = most_resident().map_or_else(String::new, |kib| format!(", {} MB", kib / 1_000));
    println!(
        "{name:<16} {model:<5} {executions:>7} + {blocked:>4} + {pruned:>6}, {seconds:>6.2} s{memory}"
    );
    Row { ended: executions, begun: executions + blocked + pruned }
}

/// The kilobytes that were resident at most since [`forget_most_resident`], where the system tells.
fn most_resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Begins to look for the most memory anew, where the system can.
fn forget_most_resident() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The CPU time of this thread, where the system tells; otherwise the time.
fn thread_seconds(start: Instant) -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |told| told / 1e9)
}

/// The CPU time of all threads, where the system tells: in hundredths of a second on Linux.
fn process_seconds() -> Option<f64> {
    let told = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = told.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    Some(ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0)
}

fn options(model: Model, memory: usize) -> CheckOptions {
    let asked = CheckOptions::of(Config { model, ..Config::default() });
    CheckOptions { detail: Detail::Verdict, ..asked }.remembering(memory)
}

/// Searches a scenario to its end with so much memory, and prints what it took.
fn searched(text: &str, rules: &str, model: Model, memory: usize) -> Row {
    forget_most_resident();
    let scenario = scenario::parse(text).expect("the scenario parses");
    let rules = Rules::parse(rules).expect("a preset");
    let start = Instant::now();
    let began = thread_seconds(start);
    let name = scenario.name.clone();
    let options = options(model, memory);
    let report = pinfold_lab::check(&scenario, &name, &rules, &options, &mut |_| {});
    let seconds = thread_seconds(start) - began;
    assert_eq!(report.verdict, Verdict::Pass, "{name} under {model}: {:?}", report.search);
    let search = &report.search;
    print(&name, model, [search.executions, search.blocked, search.pruned], seconds)
}

#[test]
fn three_writers() {
    for model in MODELS {
        let row = searched(&writers(&["P", "C", "D"]), "latest", model, 1 << 28);
        assert_eq!(row.ended, 24, "{model}");
        assert!(row.begun < 1_100, "{} under {model}", row.begun);
    }
}

#[test]
#[ignore = "half a minute of a release build"]
fn four_writers() {
    for model in MODELS {
        let row = searched(&writers(&["P", "C", "D", "E"]), "latest", model, 1 << 30);
        assert_eq!(row.ended, 120, "{model}");
        assert!(row.begun < 30_000, "{} under {model}", row.begun);
    }
}

#[test]
#[ignore = "ten seconds of a release build"]
fn three_processes_of_which_one_is_forked_late() {
    for model in MODELS {
        let row = searched(REFORK, "latest", model, 1 << 30);
        assert!(row.begun < 10_500, "{} under {model}", row.begun);
    }
}

/// Without memory that takes 665,876 executions under sc, and five million under weak
/// (`protocols/pins.rs`).
#[test]
#[ignore = "a minute of a release build"]
fn two_pins_against_a_fork() {
    let text = on_two_nodes("two-pins", TWO_PINS);
    for (model, most) in [(Model::Sc, 28_000), (Model::Tso, 58_000), (Model::Weak, 85_000)] {
        let row = searched(&text, "pinfold", model, 2 << 30);
        assert!(row.begun < most, "{} under {model}", row.begun);
    }
}

/// Under weak there is an order in which the rules of `latest` part the device from its page.
#[test]
#[ignore = "half a minute of a release build"]
fn two_pinners_of_one_node() {
    for (model, most) in [(Model::Sc, 28_000), (Model::Tso, 58_000)] {
        let row = searched(&two_pinners(), "latest", model, 1 << 30);
        assert!(row.begun < most, "{} under {model}", row.begun);
    }
}

/// A page with another reference is copied in each of these executions, and flushed before.
#[test]
#[ignore = "a minute of a release build"]
fn a_protected_page_that_is_copied() {
    for (model, most) in [(Model::Sc, 18_000), (Model::Tso, 28_000), (Model::Weak, 42_000)] {
        let row = searched(STALE_COPY, "5.12", model, 1 << 30);
        assert!(row.begun < most, "{} under {model}", row.begun);
    }
}

/// Lanes that make one update each of one cell.
struct Updates {
    lanes: u64,
    update: fn(u64, usize, &Cell<u64>) -> u64,
}

impl Subject for Updates {
    type World = Rc<[Cell<u64>]>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Self::World {
        // The cell, and what each lane saw.
        let cells: Rc<[Cell<u64>]> = (0..=self.lanes).map(|_| Cell::new(0)).collect();
        for (own, at) in (0..self.lanes).zip(1..) {
            let (cells, update) = (cells.clone(), self.update);
            lanes.lane("lane", move || {
                let cell = &cells[0];
                cells[at].set(update(own, cell.as_ptr() as usize, cell));
            });
        }
        cells
    }

    fn judge(&mut self, cells: Self::World, _: Ending<'_>) -> Judgement {
        Judgement::Pass { outcome: format!("{:?}", &cells[1..]) }
    }
}

/// Searches under sc with memory, and prints what it took.
fn updated(name: &str, update: fn(u64, usize, &Cell<u64>) -> u64) -> Row {
    forget_most_resident();
    let start = Instant::now();
    let began = thread_seconds(start);
    let states = Some(States::new(1 << 28));
    let config = pinfold_explore::Config { model: Model::Sc, states, ..Default::default() };
    let report = explore(&mut Updates { lanes: 8, update }, &config, &mut |_| {});
    assert_eq!((report.failure, report.complete), (None, Completeness::Exhausted), "{name}");
    let counts = [report.executions, report.blocked, report.pruned];
    print(name, Model::Sc, counts, thread_seconds(start) - began)
}

#[test]
fn eight_lanes_of_one_update() {
    let rotated = updated("casrot-8", |own, addr, cell| {
        let swap = (own, own + 1);
        let done = hook::compare_exchange(addr, cell.get(), swap, Order::Relaxed, Order::Relaxed);
        cell.set(done.latest);
        u64::from(done.done)
    });
    assert_eq!((rotated.ended, rotated.begun), (2_048, 2_048));
    let counted = updated("eight counts", |_, addr, cell| {
        let count = || hook::modify(addr, cell.get(), Order::Full, &mut |old| old + 1);
        let first = |done: hook::Rmw| {
            cell.set(done.latest);
            done.old == 0
        };
        u64::from(hook::observed(count, first, |first| u64::from(*first)))
    });
    assert_eq!((counted.ended, counted.begun), (56, 56 + 2_520));
}

/// The wall time and the CPU time of a search on so many threads.
fn on_threads(prepared: &Prepared, threads: usize) -> (Report, Duration, f64) {
    let (start, began) = (Instant::now(), process_seconds());
    let options = options(Model::Weak, 0);
    let report = share_out(prepared, &options, threads, &mut |_| {}).expect("threads");
    let wall = start.elapsed();
    let spent = began.and_then(|began| Some(process_seconds()? - began));
    (report, wall, spent.unwrap_or(wall.as_secs_f64()))
}

/// A million executions without memory, twice on one thread and twice on two, in turn. How much
/// faster two are depends on what else the machine does; what they cost together does not.
#[test]
#[ignore = "two minutes of a release build"]
fn two_threads_share_a_search() {
    let scenario = scenario::parse(&writers(&["P", "C", "D"])).expect("the scenario parses");
    let rules = Rules::parse("latest").expect("a preset");
    let prepared = Prepared::new(&scenario, "writers", &rules).expect("the scenario can run");
    let mut sums = [(0.0, 0.0); 2];
    for _ in 0..2 {
        let mut begun = Vec::new();
        for (threads, sum) in [1, 2].into_iter().zip(&mut sums) {
            let (report, wall, spent) = on_threads(&prepared, threads);
            assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.search);
            let search = &report.search;
            println!(
                "--jobs {threads}: {} executions, {:.1} s, {spent:.1} s of CPU time",
                search.executions,
                wall.as_secs_f64()
            );
            begun.push(search.executions + search.blocked);
            *sum = (sum.0 + wall.as_secs_f64(), sum.1 + spent);
        }
        assert!(begun[0].abs_diff(begun[1]) * 100 < begun[0], "{begun:?}");
    }
    let [one, two] = sums;
    println!(
        "two threads are {:.2} times as fast for {:.2} of the CPU time",
        one.0 / two.0,
        two.1 / one.1
    );
    assert!(two.1 < 1.25 * one.1, "{one:?} on one thread, {two:?} on two");
}
