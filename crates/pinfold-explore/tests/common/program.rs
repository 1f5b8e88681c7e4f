//! Small concurrent programs as data, and a seeded generator of them.

use super::{Held, Lock, Var, note};
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
    Add(usize, u64, Order),
    /// Compare-exchange with success and failure ordering.
    Cas(usize, u64, u64, Order, Order),
    Fence(Order),
    /// Waits until the value is at least this.
    Wait(usize, u64, Order),
    /// Waits until the value is below this.
    WaitBelow(usize, u64, Order),
    /// Runs the second part only if the accumulator is not zero.
    If(Vec<Ins>),
    /// Runs the part under a lock.
    Locked(usize, Mode, Vec<Ins>),
    /// Runs the part if the lock is free.
    Try(usize, Mode, Vec<Ins>),
    Choose(usize),
    /// Reads plain memory.
    PlainLoad(usize),
    /// Writes the constant to plain memory.
    PlainStore(usize, u64),
    /// Starts a lane, which does not run before.
    Spawn(usize),
    /// Waits for the end of a lane that this one started.
    Join(usize),
}

/// How many words of plain memory a program has.
pub const PLAIN: usize = 2;

/// What lanes run.
#[derive(Clone, Debug)]
pub struct Program {
    pub vars: usize,
    pub lanes: Vec<Vec<Ins>>,
}

impl Program {
    /// Whether another lane starts this one.
    pub fn is_spawned(&self, lane: usize) -> bool {
        fn starts(ins: &Ins, lane: usize) -> bool {
            match ins {
                Ins::Spawn(started) => *started == lane,
                Ins::Locked(_, _, code) => code.iter().any(|ins| starts(ins, lane)),
                _ => false,
            }
        }
        self.lanes.iter().flatten().any(|ins| starts(ins, lane))
    }
}

/// What the lanes of one execution share.
#[derive(Clone)]
pub struct World {
    program: Rc<Program>,
    vars: Rc<[Var]>,
    plain: Rc<[Cell<u64>; PLAIN]>,
    locks: Rc<[Lock; 2]>,
    /// What each lane has read, in its order.
    pub log: super::Log,
    /// The explorer's numbers of the lanes that were started.
    started: Rc<RefCell<Vec<usize>>>,
}

fn interpret(world: &World, code: &[Ins], lane: usize, sum: &mut u64) {
    let World { vars, plain, locks, log, .. } = world;
    for ins in code {
        let mut read = |value: u64| {
            *sum = value;
            note(log, lane, value);
        };
        match ins {
            Ins::Load(var, order) => read(vars[*var].load(*order)),
            Ins::Store(var, value, order) => vars[*var].store(*value, *order),
            Ins::StoreSum(var, order) => vars[*var].store(*sum + 1, *order),
            Ins::Add(var, value, order) => read(vars[*var].add(*value, *order)),
            Ins::Cas(var, from, to, success, failure) => {
                let var = &vars[*var];
                let mut f = |old| (old == *from).then_some(*to);
                let rmw = hook::rmw(var.addr(), var.peek(), *success, *failure, &mut f);
                var.set(rmw.latest);
                read(rmw.old);
            }
            Ins::Fence(order) => hook::fence(*order),
            Ins::Wait(var, least, order) => read(vars[*var].wait(*order, |value| value >= *least)),
            Ins::WaitBelow(var, bound, order) => {
                read(vars[*var].wait(*order, |value| value < *bound));
            }
            Ins::If(code) => {
                if *sum != 0 {
                    interpret(world, code, lane, sum);
                }
            }
            Ins::Locked(lock, mode, code) => {
                let _held: Held = locks[*lock].lock(*mode);
                interpret(world, code, lane, sum);
            }
            Ins::Try(lock, mode, code) => {
                let held = locks[*lock].try_lock(*mode);
                read(u64::from(held.is_some()));
                if held.is_some() {
                    interpret(world, code, lane, sum);
                }
            }
            Ins::Choose(n) => read(hook::choose(*n) as u64),
            Ins::PlainLoad(at) => {
                hook::read_plain(plain[*at].as_ptr() as usize);
                read(plain[*at].get());
            }
            Ins::PlainStore(at, value) => {
                hook::write_plain(plain[*at].as_ptr() as usize);
                plain[*at].set(*value);
            }
            Ins::Spawn(started) => {
                let number = hook::spawn(format!("lane {started}"), body(world, *started));
                world.started.borrow_mut()[*started] = number;
            }
            Ins::Join(ended) => {
                let number = world.started.borrow()[*ended];
                hook::join(number);
            }
        }
    }
}

/// What a lane of the program runs.
fn body(world: &World, lane: usize) -> impl FnOnce() + 'static {
    let world = world.clone();
    move || interpret(&world, &world.program.lanes[lane], lane, &mut 0)
}

impl Subject for Program {
    type World = World;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> World {
        let world = World {
            program: Rc::new(self.clone()),
            vars: (0..self.vars).map(|_| Var::new(0)).collect(),
            plain: Rc::default(),
            locks: Rc::new([Lock::new(), Lock::new()]),
            log: Rc::new(RefCell::new(vec![Vec::new(); self.lanes.len()])),
            started: Rc::new(RefCell::new(vec![usize::MAX; self.lanes.len()])),
        };
        for lane in (0..self.lanes.len()).filter(|&lane| !self.is_spawned(lane)) {
            lanes.lane(format!("lane {lane}"), body(&world, lane));
        }
        world
    }

    fn judge(&mut self, world: World, _: Ending<'_>) -> Judgement {
        let finals: Vec<u64> = world.vars.iter().map(Var::peek).collect();
        Judgement::Pass { outcome: format!("{:?} {finals:?}", world.log.borrow()) }
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
