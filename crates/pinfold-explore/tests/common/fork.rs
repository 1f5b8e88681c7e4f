//! Pinning without a lock against fork, in a reduced shape, for tests and benches.

use super::{Lock, Var};
use pinfold_explore::{
    Ending, Judgement, Lanes, Subject,
    hook::{self, Mode, Order},
};
use std::{cell::Cell, rc::Rc};

/// What orders the writer's odd count before its look at the pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    None,
    /// A write barrier, which does not order a later read.
    Write,
    Full,
}

/// Whether the writer takes the page-table lock in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableLock {
    Untaken,
    Taken,
}

/// Pinning without a lock against fork, guarded by a sequence count: a pin that succeeds must not
/// meet a fork that shared the page because it saw no pin.
pub struct PinAgainstFork {
    pub pinners: usize,
    pub barrier: Barrier,
    pub table_lock: TableLock,
}

pub struct World {
    pinned: Vec<Rc<Cell<bool>>>,
    shared: Rc<Cell<bool>>,
}

impl Subject for PinAgainstFork {
    type World = World;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> World {
        let (seq, pins, writable, lock) = (Var::new(0), Var::new(0), Var::new(1), Lock::new());
        let pinned: Vec<_> = (0..self.pinners).map(|_| Rc::new(Cell::new(false))).collect();
        for pinned in pinned.clone() {
            let (seq, pins, writable) = (seq.clone(), pins.clone(), writable.clone());
            lanes.lane("pin", move || {
                let before = seq.load(Order::Acquire);
                if before % 2 == 1 || writable.load(Order::Relaxed) == 0 {
                    return;
                }
                pins.add(1, Order::Full);
                if writable.load(Order::Relaxed) == 1 && seq.load(Order::Relaxed) == before {
                    pinned.set(true);
                } else {
                    pins.add(u64::MAX, Order::Full);
                }
            });
        }
        let shared = Rc::new(Cell::new(false));
        let (barrier, table_lock, sharing) = (self.barrier, self.table_lock, shared.clone());
        lanes.lane("fork", move || {
            // The only writer counts with plain accesses: no locked instruction.
            let count = seq.load(Order::Relaxed);
            seq.store(count + 1, Order::Relaxed);
            match barrier {
                Barrier::None => {}
                Barrier::Write => hook::fence(Order::Release),
                Barrier::Full => hook::fence(Order::Full),
            }
            let held = (table_lock == TableLock::Taken).then(|| lock.lock(Mode::Exclusive));
            if pins.load(Order::Relaxed) == 0 {
                writable.store(0, Order::Relaxed);
                sharing.set(true);
            }
            drop(held);
            seq.store(count + 2, Order::Release);
        });
        World { pinned, shared }
    }

    fn judge(&mut self, world: World, _: Ending<'_>) -> Judgement {
        let pinned = world.pinned.iter().filter(|pinned| pinned.get()).count();
        let outcome =
            format!("{pinned} pinned, {}", if world.shared.get() { "shared" } else { "copied" });
        match world.shared.get() && pinned > 0 {
            true => Judgement::Fail { outcome, message: "a pinned page was shared".to_owned() },
            false => Judgement::Pass { outcome },
        }
    }
}
