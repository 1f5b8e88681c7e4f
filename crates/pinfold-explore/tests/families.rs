//! Families of small programs that other checkers publish their counts of, with the executions that
//! this search makes of them under the weak model, and with the states that it remembers under
//! sequential consistency.
//!
//! GenMC counts the ways in which reads read from stores, and the orders of stores where they
//! matter. Most counts are equal to its own. Where two lanes each store and then read past the
//! store of the other, this search makes more: the outcome in which both read the old value comes
//! up once for each lane that may be the first in the order of steps, as the read of the first is
//! ordered before the store of the other (`store_buffering`, `independent_reads`, `sums`).

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::{
    FULL,
    judge::{remembering, searched},
    program::{Ins, Program},
};
use pinfold_explore::{
    Completeness, Config, Ending, Judgement, Lanes, Model, Report, States, Subject, explore,
    hook::{
        self, Mode,
        Order::{self, Acquire, Full, Relaxed, Release},
    },
};

/// Each lane stores to its cell and reads the next.
fn store_buffering(lanes: usize) -> Program {
    let lane =
        |own: usize| vec![Ins::Store(own, 1, Relaxed), Ins::Load((own + 1) % lanes, Relaxed)];
    Program { vars: lanes, lanes: (0..lanes).map(lane).collect() }
}

/// Two cells are written, and pairs of lanes read them in both orders.
fn independent_reads(pairs: usize) -> Program {
    let write = |cell| vec![Ins::Store(cell, 1, Relaxed)];
    let reads = |first, second| vec![Ins::Load(first, Relaxed), Ins::Load(second, Relaxed)];
    let mut lanes = vec![write(0), write(1)];
    (0..pairs).for_each(|_| lanes.extend([reads(0, 1), reads(1, 0)]));
    Program { vars: 2, lanes }
}

/// Lane `i` swaps `i` for `i + 1`.
fn rotating(lanes: u64) -> Program {
    let lane = |own| vec![Ins::Cas(0, own, own + 1, Relaxed, Relaxed)];
    Program { vars: 1, lanes: (0..lanes).map(lane).collect() }
}

/// The same, the last lane first.
fn rotating_back(lanes: u64) -> Program {
    let Program { vars, mut lanes } = rotating(lanes);
    lanes.reverse();
    Program { vars, lanes }
}

/// Each lane swaps 0 for 1 and then stores a value of its own.
fn swap_and_store(lanes: u64) -> Program {
    let lane = |own| vec![Ins::Cas(0, 0, 1, Relaxed, Relaxed), Ins::Store(0, own + 3, Relaxed)];
    Program { vars: 1, lanes: (0..lanes).map(lane).collect() }
}

/// One lane stores 2, the others swap 2 for 3.
fn stored_and_swapped(swaps: usize) -> Program {
    let mut lanes = vec![vec![Ins::Store(0, 2, Relaxed)]];
    lanes.extend(vec![vec![Ins::Cas(0, 2, 3, Relaxed, Relaxed)]; swaps]);
    Program { vars: 1, lanes }
}

/// Two lanes add the cells to each other, round after round, and one reads both.
fn sums(rounds: usize) -> Program {
    let round = |own, other| {
        [Ins::Load(own, Acquire), Ins::Load(other, Acquire), Ins::StoreSum(own, Release)]
    };
    let lane = |own, other| (0..rounds).flat_map(|_| round(own, other)).collect();
    let reader = vec![Ins::Load(0, Acquire), Ins::Load(1, Acquire)];
    Program { vars: 2, lanes: vec![lane(0, 1), lane(1, 0), reader] }
}

/// Each lane counts once, and sees whether it was the first.
fn first_to_count(lanes: usize) -> Program {
    Program { vars: 1, lanes: vec![vec![Ins::Count(0, 1)]; lanes] }
}

/// Lanes that read a cell each, in a row: each stores what it read, plus one, in the next.
fn chain(lanes: usize) -> Program {
    let lane = |own| vec![Ins::Load(own, Relaxed), Ins::StoreSum(own + 1, Relaxed)];
    Program { vars: lanes + 1, lanes: (0..lanes).map(lane).collect() }
}

/// Two lanes strike the multiples of what neither has struck, in the cells for 2, 3, 4 and so on.
fn sieve(cells: usize) -> Program {
    let strike = |at: usize| {
        let multiples = (2 * at + 2..cells).step_by(at + 2);
        let mut code = vec![Ins::Store(at, 1, Release)];
        code.extend(multiples.map(|multiple| Ins::Store(multiple, 2, Release)));
        [Ins::Load(at, Acquire), Ins::IfElse(Vec::new(), code)]
    };
    let lane: Vec<Ins> = (0..cells).flat_map(strike).collect();
    Program { vars: cells, lanes: vec![lane; 2] }
}

/// Lanes that add to each of some cells.
fn counters((lanes, cells): (usize, usize)) -> Program {
    let lane: Vec<Ins> = (0..cells).map(|cell| Ins::Add(cell, 1, Relaxed)).collect();
    Program { vars: cells, lanes: vec![lane; lanes] }
}

/// One lane writes to all cells, and the others read one each.
fn readers(lanes: usize) -> Program {
    let write = (0..lanes).map(|cell| Ins::Store(cell, 1, Relaxed)).collect();
    let mut all = vec![write];
    all.extend((0..lanes).map(|cell| vec![Ins::Load(cell, Relaxed)]));
    Program { vars: lanes, lanes: all }
}

/// Lanes that count twice under one lock, in two steps each.
fn locked_sums(lanes: usize) -> Program {
    let count = |cell| [Ins::Load(cell, Relaxed), Ins::StoreSum(cell, Relaxed)];
    let code = [count(0), count(1)].concat();
    let lane = vec![Ins::Locked(0, Mode::Exclusive, code)];
    Program { vars: 2, lanes: vec![lane; lanes] }
}

/// One lane publishes a cell with a flag, and another looks at the flag so many times.
fn published(looks: usize) -> Program {
    let write = vec![Ins::Store(0, 42, Release), Ins::Store(1, 1, Release)];
    let end = vec![Ins::Load(0, Acquire)];
    let look = |rest: Vec<Ins>, _| vec![Ins::Load(1, Acquire), Ins::IfElse(end.clone(), rest)];
    Program { vars: 2, lanes: vec![write, (0..looks).fold(Vec::new(), look)] }
}

/// Lanes that put their stamp on a cell and look whether it is still there.
fn stamped(lanes: u64) -> Program {
    let lane = |own| vec![Ins::Store(0, own, Release), Ins::Load(0, Acquire)];
    Program { vars: 1, lanes: (1..=lanes).map(lane).collect() }
}

/// Lanes that add to one cell and read the result.
fn additions(lanes: usize) -> Program {
    Program { vars: 1, lanes: vec![vec![Ins::Add(0, 1, Full)]; lanes] }
}

fn exhausted(report: &Report) -> &Report {
    assert_eq!(report.failure, None);
    assert_eq!(report.complete, Completeness::Exhausted);
    report
}

/// Executions of each size under the weak model, from this size on.
#[track_caller]
fn counts<N: Copy>(program: impl Fn(N) -> Program, sizes: &[N], expected: &[u64]) {
    let count = |&size: &N| {
        let report = searched(&program(size), Model::Weak, FULL, u64::MAX);
        exhausted(&report).executions
    };
    let found: Vec<_> = sizes.iter().map(count).collect();
    println!("{found:?}");
    assert_eq!(found, expected);
}

#[test]
fn additions_and_chains_make_as_many_as_there_are_ways_to_read() {
    counts(additions, &[2, 3, 4, 5], &[2, 6, 24, 120]);
    counts(chain, &[2, 3, 4, 5], &[2, 4, 8, 16]);
}

#[test]
fn reads_beside_stores() {
    // GenMC: 4, 8, 16, 32, 64.
    counts(store_buffering, &[2, 3, 4, 5, 6], &[5, 10, 19, 36, 69]);
    // GenMC: 16, 256, 4,096.
    counts(independent_reads, &[1, 2, 3], &[17, 305, 5_465]);
    // GenMC: 153, 2,258.
    counts(sums, &[2, 3], &[167, 3_231]);
    // GenMC: 1,512 for five cells.
    counts(sieve, &[2, 3, 4, 5], &[16, 78, 312, 3_934]);
}

#[test]
fn writers_readers_and_counters_make_as_many_as_there_are_ways_to_read() {
    // (n!)^k.
    counts(counters, &[(2, 2), (3, 2), (2, 3), (3, 3)], &[4, 36, 8, 216]);
    // 2^n.
    counts(readers, &[2, 4, 8], &[4, 16, 256]);
    // n!.
    counts(locked_sums, &[2, 3, 4], &[2, 6, 24]);
    // n + 1.
    counts(published, &[1, 2, 3, 8], &[2, 3, 4, 9]);
    // (n!)^2: an order of the stores, and for each the later ones.
    counts(stamped, &[2, 3, 4], &[4, 36, 576]);
}

#[test]
fn exchanges_make_as_many_as_there_are_ways_to_read() {
    counts(rotating, &[3, 4, 5, 6, 7, 8], &[5, 14, 43, 144, 523, 2_048]);
    counts(rotating_back, &[3, 4, 5, 6, 7], &[5, 14, 43, 144, 523]);
    counts(swap_and_store, &[3, 4], &[66, 1_200]);
    // n 2^(n - 1) + 1.
    counts(stored_and_swapped, &[2, 3, 4, 5], &[5, 13, 33, 81]);
}

/// Executions under sequential consistency, and of the search that remembers states those and the
/// pruned ones; both have the same outcomes.
fn with_states(program: &Program) -> [u64; 3] {
    let with = remembering(program, Model::Sc, &States::new(1 << 28), 1_000_000);
    let without = searched(program, Model::Sc, FULL, 1_000_000);
    assert!(exhausted(&with).outcomes.keys().eq(exhausted(&without).outcomes.keys()));
    [without.executions, with.executions, with.pruned]
}

#[test]
fn remembered_states_leave_few_executions_for_each_end() {
    assert_eq!(with_states(&rotating(8)), [2_048, 2_048, 0]);
    // As many as there are pairs of a first lane and a last.
    assert_eq!(with_states(&first_to_count(8)), [40_320, 56, 2_520]);
    assert_eq!(with_states(&stored_and_swapped(5)), [81, 81, 0]);
    assert_eq!(with_states(&store_buffering(5)), [31, 31, 0]);
}

/// Lane `i` adds one to what it reads in cell `i - 1` and stores that in cell `i`; one lane looks
/// for the last cell that is still 0, from the end.
struct LastZero {
    lanes: usize,
    orders: (Order, Order),
}

/// The cells of [`LastZero`], and what each lane read.
struct Row {
    cells: Vec<Cell<u64>>,
    read: RefCell<Vec<Vec<u64>>>,
    orders: (Order, Order),
}

impl Row {
    fn load(&self, lane: usize, at: usize) -> u64 {
        let cell = &self.cells[at];
        let value = hook::load(cell.as_ptr() as usize, cell.get(), self.orders.0);
        self.read.borrow_mut()[lane].push(value);
        value
    }

    fn store(&self, at: usize, value: u64) {
        let cell = &self.cells[at];
        cell.set(hook::store(cell.as_ptr() as usize, cell.get(), value, self.orders.1));
    }
}

impl Subject for LastZero {
    type World = Rc<Row>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Rc<Row> {
        let count = self.lanes + 1;
        let (cells, read) = (vec![Cell::new(0); count], RefCell::new(vec![Vec::new(); count]));
        let row = Rc::new(Row { cells, read, orders: self.orders });
        let (last, looked) = (self.lanes, row.clone());
        lanes.lane("reader", move || {
            let _ = (0..=last).rev().find(|at| looked.load(0, *at) == 0);
        });
        for own in 1..=last {
            let row = row.clone();
            lanes.lane(format!("lane {own}"), move || row.store(own, row.load(own, own - 1) + 1));
        }
        row
    }

    fn judge(&mut self, row: Rc<Row>, _: Ending<'_>) -> Judgement {
        Judgement::Pass { outcome: format!("{:?}", row.read.borrow()) }
    }
}

/// Executions, and how many different vectors of what lanes read they have.
fn last_zero(lanes: usize, model: Model, orders: (Order, Order)) -> (u64, usize) {
    let config = Config { model, ..Config::default() };
    let report = explore(&mut LastZero { lanes, orders }, &config, &mut |_| {});
    let report = exhausted(&report);
    (report.executions, report.outcomes.len())
}

#[test]
fn the_last_zero_is_looked_for_in_each_way_once() {
    for lanes in 2..=8 {
        // Whoever reads what the next lane made of a cell knows that cell: (n + 3) 2^(n - 2).
        let known = (lanes + 3) << lanes >> 2;
        // Otherwise it may still read 0 there: (n + 1) 2^(n - 1).
        let free = (lanes + 1) << lanes >> 1;
        for (model, orders, ways) in [
            (Model::Sc, (Relaxed, Relaxed), known),
            (Model::Tso, (Relaxed, Relaxed), known),
            (Model::Weak, (Acquire, Release), known),
            (Model::Weak, (Relaxed, Relaxed), free),
        ] {
            let found = last_zero(lanes, model, orders);
            assert_eq!(found, (ways as u64, ways), "{lanes} lanes, {model:?}, {orders:?}");
        }
    }
}
