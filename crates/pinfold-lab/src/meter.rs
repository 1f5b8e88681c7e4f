//! What the lanes of an execution cost: the memory manager's counters at their end, less what they
//! were when they began. What `setup` and `after` cost is left out, as it is of `reach`.

use std::cell::Cell;

use pinfold::Stats;

use crate::scenario::Spent;

/// The counters at the beginning and at the end of the lanes.
#[derive(Default)]
pub(crate) struct Meter {
    begun: Cell<Stats>,
    ended: Cell<Stats>,
}

impl Meter {
    /// The lanes begin.
    pub(crate) fn begin(&self, stats: Stats) {
        self.begun.set(stats);
    }

    /// All lanes have ended.
    pub(crate) fn end(&self, stats: Stats) {
        self.ended.set(stats);
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
