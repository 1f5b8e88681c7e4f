//! What the lanes of an execution cost: the memory manager's counters at their end, less what they
//! were when they began. What `setup` and `after` cost is left out, as it is of `reach`.

use std::cell::Cell;

use pinfold::{Memory, Platform, Stats};

use crate::scenario::{Atom, Scenario, Spent};

/// The counters at the beginning and at the end of the lanes, where a fact asks for them.
pub(crate) struct Meter {
    asked: bool,
    begun: Cell<Stats>,
    ended: Cell<Stats>,
}

impl Meter {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let asked = scenario.facts().any(|fact| matches!(fact.atom, Atom::Cost { .. }));
        Self { asked, begun: Cell::default(), ended: Cell::default() }
    }

    /// The lanes begin.
    pub(crate) fn begin(&self, memory: &Memory<impl Platform>) {
        if self.asked {
            self.begun.set(memory.stats());
        }
    }

    /// All lanes have ended.
    pub(crate) fn end(&self, memory: &Memory<impl Platform>) {
        if self.asked {
            self.ended.set(memory.stats());
        }
    }

    /// What was counted between the two.
    pub(crate) fn spent(&self, of: Spent) -> u64 {
        counted(&self.ended.get(), of) - counted(&self.begun.get(), of)
    }
}

/// What the counters have of it.
fn counted(stats: &Stats, of: Spent) -> u64 {
    match of {
        Spent::Copies => stats.cow_copy + stats.fork_copy,
        Spent::Faults => stats.pgfault,
        Spent::Flushes => stats.nr_tlb_remote_flush,
        Spent::Moves => stats.pgmigrate_success,
        Spent::SwapIns => stats.pswpin,
        Spent::SwapOuts => stats.pswpout,
    }
}
