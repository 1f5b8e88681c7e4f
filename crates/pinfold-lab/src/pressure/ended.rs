//! How a run on real threads ends, and what it is judged by.
//!
//! Protocol: when all threads have ended, one more looks at everything once more, has all processes
//! exit, and tells what is left ([`Ended::close`]). It is watched as the others were.

use super::board::{Board, NODES};
use super::crew::{Crew, Watched};
use super::desk::{Hung, Tally};
use crate::counted::counted;
use crate::report::Verdict;
use pinfold::{Bug, Memory, NodeId, SwapId, ZoneInfo};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// How many slots of the swap device are in use, if there is one.
pub(crate) fn slots_in_use(memory: &Memory<Board>, swap: Option<SwapId>) -> u64 {
    let usage = swap.and_then(|swap| memory.swap_usage(swap));
    usage.map_or(0, |usage| usage.slots - usage.free)
}

/// How all zones of the machine stand.
pub(super) fn zones(memory: &Memory<Board>) -> Vec<ZoneInfo> {
    (0..NODES).flat_map(|node| memory.frames().zones(NodeId(node))).collect()
}

/// What is left when every process is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    pub(crate) free: u64,
    pub(crate) slots: u64,
    /// How the zones of the machine stand.
    pub(crate) zones: Vec<ZoneInfo>,
    /// Why the swap device cannot be taken out of use, if it cannot.
    pub(crate) off: Option<String>,
}

impl Left {
    /// Looks what is left, and takes the swap device, which nobody needs any more, out of use.
    pub(crate) fn of(memory: &Memory<Board>, swap: Option<SwapId>) -> Self {
        // CPUs' batches have references to pages that nobody needs any more.
        memory.lru_add_drain_all();
        let (free, slots) = (memory.frames().total_free(), slots_in_use(memory, swap));
        let off = swap.and_then(|swap| memory.swap_off(swap).err());
        Self { free, slots, zones: zones(memory), off: off.map(|why| why.to_string()) }
    }
}

/// How it ended, and what had been done when the threads were to stop.
#[derive(Default)]
pub(crate) struct Ended<W> {
    /// Whether that was asked for before the time was over.
    pub(crate) early: bool,
    pub(crate) worked: W,
    pub(crate) tally: Tally,
    pub(crate) hung: Vec<Hung>,
    pub(crate) panics: Vec<String>,
    pub(crate) left: Option<Left>,
}

impl<W> Ended<W> {
    /// Waits for the thread that looks at everything once more, alone in its crew.
    pub(crate) fn close(&mut self, mut crew: Crew, patience: Duration, told: &Receiver<Left>) {
        if let Watched::Hung(hung) = crew.watch(patience, || {}) {
            self.hung = hung;
        }
        self.tally.add(&crew.tally());
        self.panics.extend(crew.join());
        self.left = told.try_recv().ok();
    }

    /// What is wrong, one reason a line: first what the threads found, if they did, and what else
    /// has failed that must not.
    pub(crate) fn failures(
        &self,
        found: Option<String>,
        unexpected: Vec<String>,
        (bugs, free_at_start): (&[Bug], u64),
    ) -> Vec<String> {
        let mut reasons: Vec<String> = found.into_iter().collect();
        let hung = |hung: &Hung| {
            let Hung { thread, operation, seconds } = hung;
            format!("{thread} is in one operation for {seconds:.0} s: {operation}")
        };
        reasons.extend(self.hung.iter().map(hung));
        reasons.extend(self.panics.iter().cloned());
        reasons.extend(unexpected);
        reasons.extend(bugs.iter().map(|bug| format!("broken invariant: {bug}")));
        if let Some(left) = &self.left {
            if left.free != free_at_start {
                let free = counted(left.free, "frame is", "frames are");
                reasons.push(format!("{free} free at the end, of {free_at_start}"));
            }
            if left.slots > 0 {
                let used = counted(left.slots, "slot is", "slots are");
                reasons.push(format!("{used} in use that nobody needs"));
            }
            reasons.extend(left.off.iter().map(|why| format!("swap stays on: {why}")));
        }
        reasons
    }

    /// Why any such run shows less than it should.
    pub(crate) fn doubts(&self) -> Vec<String> {
        self.early.then(|| "it was ended before its time".to_owned()).into_iter().collect()
    }
}

/// The verdict on what is wrong, or else on what makes it show less, with the reasons for it.
pub(crate) fn judged(
    failures: Vec<String>,
    doubts: impl FnOnce() -> Vec<String>,
) -> (Verdict, Vec<String>) {
    if !failures.is_empty() {
        return (Verdict::Fail, failures);
    }
    let doubts = doubts();
    (if doubts.is_empty() { Verdict::Pass } else { Verdict::Partial }, doubts)
}
