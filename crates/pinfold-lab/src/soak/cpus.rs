//! Which CPUs the threads of processes run on.
//!
//! Protocol: a thread of a process claims a CPU before it runs there, and leaves the one that it
//! had afterwards; it does so between two operations only. There are more CPUs than such threads on
//! each node, so that there is always one to go to. The other threads have CPUs of their own,
//! behind these.
//!
//! Invariants:
//! - INV-CPUS-1: no two threads run on a CPU at the same time.

use super::plan::{Affinity, SoakPlan, THREADS};
use crate::pressure::board::sit_at;
use crate::pressure::dice::Dice;
use pinfold::NodeId;
use std::sync::atomic::{AtomicBool, Ordering};

/// CPUs of a node that are free when all processes' threads are bound to it that may be.
const SPARE: usize = 2;

/// See the module.
pub(super) struct Cpus {
    nodes: usize,
    taken: Box<[AtomicBool]>,
}

impl Cpus {
    pub(super) fn new(plan: &SoakPlan) -> Self {
        let nodes = usize::from(plan.nodes);
        let bound = (plan.processes as usize).div_ceil(nodes) * THREADS as usize;
        let taken = (0..nodes * (bound + SPARE)).map(|_| AtomicBool::new(false)).collect();
        Self { nodes, taken }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.taken.len()
    }

    /// The node of a process's memory.
    pub(super) fn home(&self, process: usize) -> NodeId {
        NodeId((process % self.nodes) as u8)
    }

    /// Whether a thread of a process may run there.
    fn suits(&self, cpu: usize, affinity: Affinity, home: NodeId) -> bool {
        match affinity {
            Affinity::Roams => true,
            Affinity::Bound => cpu % self.nodes == usize::from(home.0),
        }
    }
}

/// The CPU that a thread runs on.
pub(super) struct Seated<'c> {
    cpus: &'c Cpus,
    affinity: Affinity,
    home: NodeId,
    cpu: usize,
}

impl<'c> Seated<'c> {
    /// Has the calling thread, of a process with its memory there, run on some CPU.
    pub(super) fn first(cpus: &'c Cpus, affinity: Affinity, home: NodeId, dice: &mut Dice) -> Self {
        let mut seated = Self { cpus, affinity, home, cpu: usize::MAX };
        seated.roam(dice);
        seated
    }

    /// The calling thread goes to another CPU.
    pub(super) fn roam(&mut self, dice: &mut Dice) {
        loop {
            let cpu = dice.roll(self.cpus.count() as u64) as usize;
            if self.cpus.suits(cpu, self.affinity, self.home)
                && !self.cpus.taken[cpu].swap(true, Ordering::AcqRel)
            {
                self.leave();
                self.cpu = cpu;
                sit_at(cpu);
                return;
            }
        }
    }

    /// Where it runs.
    #[cfg(test)]
    pub(super) fn cpu(&self) -> usize {
        self.cpu
    }

    fn leave(&self) {
        if let Some(taken) = self.cpus.taken.get(self.cpu) {
            taken.store(false, Ordering::Release);
        }
    }
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
