//! Small concurrent programs as data, flat code for their interpreters, and the explorer's subject.
//!
//! A lane has an accumulator, to which everything that it reads goes (and to its log), and a few
//! registers. What an instruction does to shared memory is up to the interpreter: the explorer
//! here, the references in `machine` and `axioms`. What it does to the lane itself is in
//! [`Thread`], so that all agree on it.

use super::{Var, note};
use pinfold_explore::{
    Ending, Judgement, Lanes, Subject,
    hook::{self, Mode, Order},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

/// One instruction of a lane. Reads go to the lane's log and to its accumulator.
#[derive(Clone, Debug)]
pub enum Ins {
    Load(usize, Order),
    /// Stores the constant.
    Store(usize, u64, Order),
    /// Stores the accumulator plus one.
    StoreSum(usize, Order),
    /// Stores the accumulator plus a constant.
    StorePlus(usize, u64, Order),
    Add(usize, u64, Order),
    /// Adds one; what goes where reads go is the old value, or this if the old value is greater:
    /// the lane looks at no more.
    Count(usize, u64),
    /// Adds one with an ordering, and looks at nothing.
    Tick(usize, Order),
    /// Compare-exchange with success and failure ordering.
    Cas(usize, u64, u64, Order, Order),
    /// Adds one to a value below the constant, in a loop that looks first: a value that is not
    /// below it is only loaded.
    AddBelow(usize, u64, Order),
    Fence(Order),
    /// Waits until the value is at least this.
    Wait(usize, u64, Order),
    /// Waits until the value is below this.
    WaitBelow(usize, u64, Order),
    /// Waits for the value.
    WaitFor(usize, u64, Order),
    /// Runs the part only if the accumulator is not zero.
    If(Vec<Ins>),
    /// Runs the first part if the accumulator is not zero, otherwise the second.
    IfElse(Vec<Ins>, Vec<Ins>),
    /// Runs the part under a lock.
    Locked(usize, Mode, Vec<Ins>),
    /// Runs the part if the lock is free.
    Try(usize, Mode, Vec<Ins>),
    Lock(usize, Mode),
    Unlock(usize, Mode),
    /// Waits until no lane holds the lock exclusively.
    See(usize),
    /// Takes the lock if it is free; whether it did goes where reads go.
    Attempt(usize, Mode),
    /// Copies the accumulator to a register.
    Keep(usize),
    /// Copies a register to the accumulator.
    With(usize),
    /// Sets the accumulator.
    Set(u64),
    Choose(usize),
    /// Reads plain memory.
    PlainLoad(usize),
    /// Writes the constant to plain memory.
    PlainStore(usize, u64),
    /// Reinitialises a cell, which the lane must have to itself.
    Renew(usize, u64),
    /// Starts a lane, which does not run before.
    Spawn(usize),
    /// Waits for the end of a lane that this one started.
    Join(usize),
}

/// How many words of plain memory a program has.
pub const PLAIN: usize = 2;

/// How many registers a lane has.
pub const REGISTERS: usize = 8;

/// What lanes run.
#[derive(Clone, Debug)]
pub struct Program {
    pub vars: usize,
    pub lanes: Vec<Vec<Ins>>,
}

/// An instruction of flat code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    Load(usize, Order),
    Store(usize, Value, Order),
    Add(usize, u64, Order),
    Cas(usize, u64, u64, Order, Order),
    AddBelow(usize, u64, Order),
    Fence(Order),
    Wait(usize, Until, Order),
    Lock(usize, Mode),
    Unlock(usize, Mode),
    Attempt(usize, Mode),
    See(usize),
    Choose(usize),
    PlainLoad(usize),
    PlainStore(usize, u64),
    Renew(usize, u64),
    Spawn(usize),
    Join(usize),
    Local(Local),
}

/// What only the lane itself sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Local {
    Keep(usize),
    With(usize),
    Set(u64),
    /// Of what was just read the lane knows at most this.
    Few(u64),
    /// Jumps to the place if the accumulator is zero.
    IfZero(usize),
    Jump(usize),
}

/// What a store writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    Constant(u64),
    /// The accumulator plus this.
    Sum(u64),
}

/// What a lane waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Until {
    AtLeast(u64),
    Below(u64),
    Equals(u64),
}

impl Until {
    pub fn holds(self, value: u64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::Below(bound) => value < bound,
            Self::Equals(wanted) => value == wanted,
        }
    }
}

fn flatten(code: &[Ins], flat: &mut Vec<Code>) {
    for ins in code {
        let plain = match *ins {
            Ins::Load(var, order) => Code::Load(var, order),
            Ins::Store(var, value, order) => Code::Store(var, Value::Constant(value), order),
            Ins::StoreSum(var, order) => Code::Store(var, Value::Sum(1), order),
            Ins::StorePlus(var, plus, order) => Code::Store(var, Value::Sum(plus), order),
            Ins::Add(var, by, order) => Code::Add(var, by, order),
            Ins::Cas(var, from, to, success, failure) => Code::Cas(var, from, to, success, failure),
            Ins::AddBelow(var, bound, order) => Code::AddBelow(var, bound, order),
            Ins::Count(var, most) => {
                flat.push(Code::Add(var, 1, Order::Full));
                Code::Local(Local::Few(most))
            }
            Ins::Tick(var, order) => {
                flat.push(Code::Add(var, 1, order));
                Code::Local(Local::Few(0))
            }
            Ins::Fence(order) => Code::Fence(order),
            Ins::Wait(var, least, order) => Code::Wait(var, Until::AtLeast(least), order),
            Ins::WaitBelow(var, bound, order) => Code::Wait(var, Until::Below(bound), order),
            Ins::WaitFor(var, value, order) => Code::Wait(var, Until::Equals(value), order),
            Ins::Lock(lock, mode) => Code::Lock(lock, mode),
            Ins::Unlock(lock, mode) => Code::Unlock(lock, mode),
            Ins::Attempt(lock, mode) => Code::Attempt(lock, mode),
            Ins::See(lock) => Code::See(lock),
            Ins::Keep(register) => Code::Local(Local::Keep(register)),
            Ins::With(register) => Code::Local(Local::With(register)),
            Ins::Set(value) => Code::Local(Local::Set(value)),
            Ins::Choose(n) => Code::Choose(n),
            Ins::PlainLoad(at) => Code::PlainLoad(at),
            Ins::PlainStore(at, value) => Code::PlainStore(at, value),
            Ins::Renew(var, value) => Code::Renew(var, value),
            Ins::Spawn(lane) => Code::Spawn(lane),
            Ins::Join(lane) => Code::Join(lane),
            Ins::If(ref code) => {
                branch(flat, |flat| flatten(code, flat));
                continue;
            }
            Ins::IfElse(ref code, ref otherwise) => {
                branch(flat, |flat| {
                    flatten(code, flat);
                    flat.push(Code::Local(Local::Jump(usize::MAX)));
                });
                let jump = flat.len() - 1;
                flatten(otherwise, flat);
                flat[jump] = Code::Local(Local::Jump(flat.len()));
                continue;
            }
            Ins::Locked(lock, mode, ref code) => {
                flat.push(Code::Lock(lock, mode));
                flatten(code, flat);
                Code::Unlock(lock, mode)
            }
            Ins::Try(lock, mode, ref code) => {
                flat.push(Code::Attempt(lock, mode));
                branch(flat, |flat| {
                    flatten(code, flat);
                    flat.push(Code::Unlock(lock, mode));
                });
                continue;
            }
        };
        flat.push(plain);
    }
}

/// Code that runs if the accumulator is not zero.
fn branch(flat: &mut Vec<Code>, inside: impl FnOnce(&mut Vec<Code>)) {
    let test = flat.len();
    flat.push(Code::Local(Local::IfZero(usize::MAX)));
    inside(flat);
    flat[test] = Code::Local(Local::IfZero(flat.len()));
}

impl Program {
    /// Whether another lane starts this one.
    pub fn is_spawned(&self, lane: usize) -> bool {
        self.flat().iter().flatten().any(|code| *code == Code::Spawn(lane))
    }

    /// The code of each lane.
    pub fn flat(&self) -> Vec<Vec<Code>> {
        let flat = |code: &Vec<Ins>| {
            let mut flat = Vec::new();
            flatten(code, &mut flat);
            flat
        };
        self.lanes.iter().map(flat).collect()
    }

    /// How many locks it names.
    pub fn locks(&self) -> usize {
        let lock = |code: &Code| match *code {
            Code::Lock(lock, _)
            | Code::Unlock(lock, _)
            | Code::Attempt(lock, _)
            | Code::See(lock) => lock + 1,
            _ => 0,
        };
        self.flat().iter().flatten().map(lock).max().unwrap_or(0)
    }
}

/// What a lane knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Thread {
    at: usize,
    sum: u64,
    registers: [u64; REGISTERS],
    pub log: Vec<u64>,
}

impl Thread {
    /// The next instruction that touches shared state, and its place; `None` at the end.
    pub fn next(&mut self, code: &[Code]) -> Option<(usize, Code)> {
        loop {
            let at = self.at;
            match *code.get(at)? {
                Code::Local(local) => self.step(local),
                code => return Some((at, code)),
            }
        }
    }

    fn step(&mut self, local: Local) {
        self.at += 1;
        match local {
            Local::Keep(register) => self.registers[register] = self.sum,
            Local::With(register) => self.sum = self.registers[register],
            Local::Set(value) => self.sum = value,
            Local::Few(most) => {
                self.sum = self.sum.min(most);
                self.log.iter_mut().next_back().into_iter().for_each(|last| *last = self.sum);
            }
            Local::IfZero(target) if self.sum == 0 => self.at = target,
            Local::IfZero(_) => {}
            Local::Jump(target) => self.at = target,
        }
    }

    /// The instruction was executed and gave nothing.
    pub fn done(&mut self) {
        self.at += 1;
    }

    /// The instruction was executed and read a value.
    pub fn read(&mut self, value: u64) {
        self.at += 1;
        self.sum = value;
        self.log.push(value);
    }

    /// What a store writes.
    pub fn value(&self, value: Value) -> u64 {
        match value {
            Value::Constant(value) => value,
            Value::Sum(plus) => self.sum + plus,
        }
    }
}

/// What the lanes of one execution share.
#[derive(Clone)]
pub struct World {
    code: Rc<Vec<Vec<Code>>>,
    vars: Rc<[Var]>,
    plain: Rc<[Cell<u64>; PLAIN]>,
    locks: Rc<[u64]>,
    /// What each lane has read, in its order.
    pub log: super::Log,
    /// The explorer's numbers of the lanes that were started.
    started: Rc<RefCell<Vec<usize>>>,
}

impl World {
    /// Lets a search that remembers states recognise what lanes share.
    fn declare(&self) {
        let name = |_| String::new();
        self.vars.iter().for_each(|var| hook::label(var.addr(), 8, name));
        hook::label(self.plain.as_ptr() as usize, size_of_val(&*self.plain), name);
        hook::label(self.locks.as_ptr() as usize, size_of_val(&*self.locks), name);
    }
}

/// How much the lane knows of what it reads at this place, if not all.
fn looked_at(code: &[Code], at: usize) -> Option<u64> {
    match code.get(at + 1)? {
        Code::Local(Local::Few(most)) => Some(*most),
        _ => None,
    }
}

fn interpret(world: &World, lane: usize) {
    let World { vars, plain, locks, log, started, .. } = world;
    let id = |lock: usize| &raw const locks[lock] as usize;
    let mut thread = Thread::default();
    while let Some((at, code)) = thread.next(&world.code[lane]) {
        let read = match code {
            Code::Load(var, order) => Some(vars[var].load(order)),
            Code::Store(var, value, order) => {
                vars[var].store(thread.value(value), order);
                None
            }
            Code::Add(var, value, order) => {
                let add = || vars[var].add(value, order);
                let most = looked_at(&world.code[lane], at).unwrap_or(u64::MAX);
                match most {
                    u64::MAX => Some(add()),
                    most => Some(hook::observed(add, |old| old.min(most), |few| *few)),
                }
            }
            Code::Cas(var, from, to, success, failure) => {
                Some(vars[var].exchange(from, to, success, failure))
            }
            Code::AddBelow(var, bound, order) => {
                Some(vars[var].rmw(order, |old| (old < bound).then_some(old + 1)).0)
            }
            Code::Fence(order) => {
                hook::fence(order);
                None
            }
            Code::Wait(var, until, order) => {
                Some(vars[var].wait(order, |value| until.holds(value)))
            }
            Code::Lock(lock, mode) => {
                hook::lock(id(lock), mode);
                None
            }
            Code::Unlock(lock, mode) => {
                hook::unlock(id(lock), mode);
                None
            }
            Code::Attempt(lock, mode) => Some(u64::from(hook::try_lock(id(lock), mode))),
            Code::See(lock) => {
                hook::wait_unlocked(id(lock));
                None
            }
            Code::Choose(n) => Some(hook::choose(n) as u64),
            Code::PlainLoad(at) => {
                hook::read_plain(plain[at].as_ptr() as usize);
                Some(plain[at].get())
            }
            Code::PlainStore(at, value) => {
                hook::write_plain(plain[at].as_ptr() as usize);
                plain[at].set(value);
                None
            }
            Code::Renew(var, value) => {
                vars[var].set(value);
                hook::renew(vars[var].addr(), 8);
                None
            }
            Code::Spawn(lane) => {
                let number = hook::spawn(format!("lane {lane}"), body(world, lane));
                started.borrow_mut()[lane] = number;
                None
            }
            Code::Join(lane) => {
                let number = started.borrow()[lane];
                hook::join(number);
                None
            }
            Code::Local(_) => unreachable!("a thread keeps these to itself"),
        };
        match read {
            Some(value) => {
                note(log, lane, value);
                thread.read(value);
            }
            None => thread.done(),
        }
    }
}

/// What a lane of the program runs.
fn body(world: &World, lane: usize) -> impl FnOnce() + 'static {
    let world = world.clone();
    move || interpret(&world, lane)
}

/// How the program's outcomes are written.
pub fn outcome(logs: &[Vec<u64>], finals: &[u64]) -> String {
    format!("{logs:?} {finals:?}")
}

impl Subject for Program {
    type World = World;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> World {
        let world = World {
            code: Rc::new(self.flat()),
            vars: (0..self.vars).map(|_| Var::new(0)).collect(),
            plain: Rc::default(),
            locks: vec![0; self.locks()].into(),
            log: Rc::new(RefCell::new(vec![Vec::new(); self.lanes.len()])),
            started: Rc::new(RefCell::new(vec![usize::MAX; self.lanes.len()])),
        };
        world.declare();
        for lane in (0..self.lanes.len()).filter(|&lane| !self.is_spawned(lane)) {
            lanes.lane(format!("lane {lane}"), body(&world, lane));
        }
        world
    }

    fn judge(&mut self, world: World, _: Ending<'_>) -> Judgement {
        let finals: Vec<u64> = world.vars.iter().map(Var::peek).collect();
        Judgement::Pass { outcome: outcome(&world.log.borrow(), &finals) }
    }
}

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
