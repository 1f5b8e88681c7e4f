//! What the hinting faults of an address space tell its balancer, and what that knows of the areas
//! (facts 4.7).
//!
//! Protocol: it is made when the address space gets a [`crate::Balancer`]. A hinting fault adds to
//! the counters, and notes its task in the record of the area, if there is one: under a spin lock
//! that lies below those of page tables, with nothing inside. The balancer adds records and takes
//! them out, and tells how many sequences of scans have ended.

use alloc::vec::Vec;

use crate::addr::Vpn;
use crate::error::NoMemory;
use crate::sync::{AtomicU32, Counter, SpinLock};

/// What is known of an area, which is found by its first page: one that is cut, or grows down, is a
/// new one there.
#[derive(Clone, Copy, Hash, Debug)]
pub(crate) struct AreaRecord {
    first: Vpn,
    /// When the scanner came to it first.
    pub(crate) known: u64,
    /// How many sequences had ended then.
    pub(crate) since: u32,
    /// The sequence that met it last.
    pub(crate) met: u32,
    /// The sequence that looked at all of it last.
    pub(crate) done: Option<u32>,
    /// When the window of tasks ends.
    pub(crate) window_ends: u64,
    /// The tasks that took hinting faults in the last window and in this one, a bit for each hash.
    pub(crate) tasks: [u64; 2],
}

impl AreaRecord {
    /// Whether the task has taken a hinting fault here lately.
    pub(crate) fn has_seen(&self, task: u32) -> bool {
        (self.tasks[0] | self.tasks[1]) & task_bit(task) != 0
    }
}

/// The bit of a task: of 64, so that several have one.
const fn task_bit(task: u32) -> u64 {
    1 << (task.wrapping_mul(0x9e37_79b1) >> 26)
}

/// How many pages hinting faults were on, by what they tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct HintTally {
    pub(crate) private: u64,
    pub(crate) shared: u64,
    pub(crate) local: u64,
    pub(crate) remote: u64,
    /// That could not be moved.
    pub(crate) failed: u64,
}

/// The hinting faults of an address space.
#[derive(Debug)]
pub(crate) struct HintFaults {
    private: Counter,
    shared: Counter,
    local: Counter,
    remote: Counter,
    failed: Counter,
    /// Sequences of scans that have ended.
    scans: AtomicU32,
    areas: SpinLock<Vec<AreaRecord>>,
}

impl HintFaults {
    /// None yet.
    pub(crate) fn new() -> Self {
        let [private, shared, local, remote, failed] = [const { Counter::new() }; 5];
        let (scans, areas) = (AtomicU32::new(0), SpinLock::hashed(Vec::new()));
        Self { private, shared, local, remote, failed, scans, areas }
    }

    /// Counts a fault that told this.
    pub(crate) fn add(&self, tally: HintTally) {
        for (counter, more) in self.counters().into_iter().zip(tally.parts()) {
            if more > 0 {
                counter.add(more);
            }
        }
    }

    /// What was counted.
    pub(crate) fn tally(&self) -> HintTally {
        HintTally::of_parts(self.counters().map(Counter::get))
    }

    /// As [`HintFaults::tally`]; that is not counted any more.
    pub(crate) fn take_tally(&self) -> HintTally {
        let tally = self.tally();
        for (counter, less) in self.counters().into_iter().zip(tally.parts()) {
            counter.sub(less);
        }
        tally
    }

    fn counters(&self) -> [&Counter; 5] {
        [&self.private, &self.shared, &self.local, &self.remote, &self.failed]
    }

    /// How many sequences of scans have ended.
    pub(crate) fn scans(&self) -> u32 {
        self.scans.read_once()
    }

    /// A task has taken a hinting fault in the area that begins there.
    pub(crate) fn note_task(&self, first: Vpn, task: u32) {
        let mut areas = self.areas.lock();
        if let Ok(at) = areas.binary_search_by_key(&first, |area| area.first) {
            areas[at].tasks[1] |= task_bit(task);
        }
    }

    /// Changes the record of the area that begins there, which is made if there is none: the
    /// scanner has met it at `now`, and its first window of tasks ends at `window_ends`.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn with_area<T>(
        &self,
        first: Vpn,
        (now, window_ends): (u64, u64),
        change: impl FnOnce(&mut AreaRecord) -> T,
    ) -> Result<T, NoMemory> {
        let scans = self.scans();
        let mut areas = self.areas.lock();
        let at = match areas.binary_search_by_key(&first, |area| area.first) {
            Ok(at) => at,
            Err(at) => {
                areas.try_reserve(1).map_err(|_| NoMemory)?;
                let (known, since, met) = (now, scans, scans);
                let (done, tasks) = (None, [0; 2]);
                let new = AreaRecord { first, known, since, met, done, window_ends, tasks };
                areas.insert(at, new);
                at
            }
        };
        areas[at].met = scans;
        Ok(change(&mut areas[at]))
    }

    /// A sequence of scans has ended: areas that it has not met are gone.
    pub(crate) fn end_sequence(&self) {
        let scans = self.scans();
        self.areas.lock().retain(|area| area.met == scans);
        self.scans.write_once(scans.saturating_add(1));
    }

    /// How many areas have records.
    #[cfg(test)]
    pub(crate) fn areas(&self) -> usize {
        self.areas.lock().len()
    }
}

impl HintTally {
    const fn parts(self) -> [u64; 5] {
        [self.private, self.shared, self.local, self.remote, self.failed]
    }

    const fn of_parts([private, shared, local, remote, failed]: [u64; 5]) -> Self {
        Self { private, shared, local, remote, failed }
    }
}
