//! Cells, locks and a subject made of closures, for the tests.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod axioms;
pub mod fork;
pub mod graphs;
pub mod judge;
pub mod machine;
pub mod notation;
pub mod program;
pub mod random;

use pinfold_explore::{
    Config, Ending, Judgement, Lanes, Model, Report, Search, Subject, explore,
    hook::{self, Mode, Order},
};
use std::{cell::Cell, rc::Rc};

/// A shared cell.
#[derive(Clone)]
pub struct Var(Rc<Cell<u64>>);

impl Var {
    pub fn new(value: u64) -> Self {
        Self(Rc::new(Cell::new(value)))
    }

    pub fn addr(&self) -> usize {
        self.0.as_ptr() as usize
    }

    pub fn peek(&self) -> u64 {
        self.0.get()
    }

    pub fn set(&self, value: u64) {
        self.0.set(value);
    }

    pub fn poke(&self, value: u64) {
        self.0.set(value);
        hook::forget(self.addr(), 8);
    }

    pub fn load(&self, order: Order) -> u64 {
        hook::load(self.addr(), self.peek(), order)
    }

    pub fn store(&self, value: u64, order: Order) {
        let latest = hook::store(self.addr(), self.peek(), value, order);
        self.0.set(latest);
    }

    pub fn rmw(&self, order: Order, mut f: impl FnMut(u64) -> Option<u64>) -> (u64, bool) {
        let rmw = hook::rmw(self.addr(), self.peek(), order, Order::Relaxed, &mut f);
        self.0.set(rmw.latest);
        (rmw.old, rmw.done)
    }

    pub fn add(&self, value: u64, order: Order) -> u64 {
        let mut sum = |old: u64| old.wrapping_add(value);
        let rmw = hook::modify(self.addr(), self.peek(), order, &mut sum);
        self.0.set(rmw.latest);
        rmw.old
    }

    pub fn cas(&self, from: u64, to: u64, order: Order) -> bool {
        self.exchange(from, to, order, Order::Relaxed) == from
    }

    /// A compare-exchange; the value found.
    pub fn exchange(&self, from: u64, to: u64, success: Order, failure: Order) -> u64 {
        let rmw = hook::compare_exchange(self.addr(), self.peek(), (from, to), success, failure);
        self.0.set(rmw.latest);
        rmw.old
    }

    pub fn wait(&self, order: Order, mut ready: impl FnMut(u64) -> bool) -> u64 {
        hook::wait_until(self.addr(), self.peek(), order, &mut ready)
    }
}

/// A lock without data.
#[derive(Clone)]
pub struct Lock(Rc<Cell<u8>>);

/// Releases the lock when dropped.
pub struct Held(usize, Mode);

impl Lock {
    pub fn new() -> Self {
        Self(Rc::new(Cell::new(0)))
    }

    fn id(&self) -> usize {
        self.0.as_ptr() as usize
    }

    pub fn lock(&self, mode: Mode) -> Held {
        hook::lock(self.id(), mode);
        Held(self.id(), mode)
    }

    pub fn try_lock(&self, mode: Mode) -> Option<Held> {
        hook::try_lock(self.id(), mode).then(|| Held(self.id(), mode))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        hook::unlock(self.0, self.1);
    }
}

/// What the lanes of a [`Closures`] subject log: one word for each read, by lane.
pub type Log = Rc<std::cell::RefCell<Vec<Vec<u64>>>>;

/// Judges what an execution left behind.
pub type Last = Box<dyn FnOnce(&mut String) -> Option<String>>;

type Build = Box<dyn FnMut(&mut Lanes<'_>, &Log) -> Last>;

/// A subject whose outcome is what the lanes logged, plus what `last` appends; `last` may object.
pub struct Closures(pub Build);

pub struct World {
    log: Log,
    last: Last,
}

impl Subject for Closures {
    type World = World;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> World {
        let log = Log::default();
        let last = (self.0)(lanes, &log);
        World { log, last }
    }

    fn judge(&mut self, world: World, _: Ending<'_>) -> Judgement {
        let mut outcome = String::new();
        for lane in world.log.borrow().iter() {
            for value in lane {
                outcome.push_str(&value.to_string());
            }
            outcome.push('/');
        }
        match (world.last)(&mut outcome) {
            None => Judgement::Pass { outcome },
            Some(message) => Judgement::Fail { outcome, message },
        }
    }
}

/// Appends to the log of a lane.
pub fn note(log: &Log, lane: usize, value: u64) {
    let mut log = log.borrow_mut();
    if log.len() <= lane {
        log.resize(lane + 1, Vec::new());
    }
    log[lane].push(value);
}

/// Explores closures.
pub fn run(
    model: Model,
    search: Search,
    build: impl FnMut(&mut Lanes<'_>, &Log) -> Last + 'static,
) -> Report {
    let config = Config { model, search, ..Config::default() };
    explore(&mut Closures(Box::new(build)), &config, &mut |_| {})
}

/// The reduced exhaustive search.
pub const FULL: Search = Search::Exhaustive { preemptions: None };
/// Every sequence of steps.
pub const NAIVE: Search = Search::Exhaustive { preemptions: Some(u32::MAX) };
