//! The end of a process while lanes of it run.
//!
//! Protocol: a process that a lane may end while others of its lanes run has an exit lock. A step
//! of the process holds it shared for as long as it runs; `exit` takes it exclusively for the
//! moment in which the process ends. So a step that has begun is carried out, as a thread in the
//! kernel ends what it is doing before it dies, and what begins later finds the process gone. The
//! address space is taken down after that moment, beside all that other processes and devices do;
//! nothing of the process itself is in it then, as in Linux, where the last user of an address
//! space takes it down.
//!
//! A step that waits for another lane does not hold the lock: it must not keep that lane from
//! `exit`.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinfold_explore::hook::{self, Mode};

use crate::scenario::{Action, Scenario, Step};

/// The processes that a lane ends while another of their lanes may run.
pub(crate) fn contested(scenario: &Scenario) -> Vec<String> {
    let ends = |step: &Step| matches!(step.action, Action::Exit);
    // Of each process: how many lanes it has, and whether one of them ends it.
    let mut lanes: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    for lane in &scenario.lanes {
        let Some(process) = lane.process() else { continue };
        let (count, ended) = lanes.entry(process).or_default();
        *count += 1;
        *ended |= lane.steps.iter().any(ends);
    }
    let contested = lanes.into_iter().filter(|(_, (count, ended))| *count > 1 && *ended);
    contested.map(|(process, _)| process.to_owned()).collect()
}

/// The exit locks of one execution: a place for each, whose address is the lock's name.
pub(crate) struct ExitLocks {
    names: Arc<[String]>,
    places: Box<[u64]>,
}

/// An exit lock that is held, released on drop.
#[must_use = "dropping it lets the process end"]
pub(crate) struct ExitLock<'a> {
    lock: usize,
    mode: Mode,
    _of: &'a ExitLocks,
}

impl Drop for ExitLock<'_> {
    fn drop(&mut self) {
        hook::unlock(self.lock, self.mode);
    }
}

impl ExitLocks {
    /// Nobody holds one.
    pub(crate) fn new(names: &Arc<[String]>) -> Self {
        Self { names: Arc::clone(names), places: vec![0; names.len()].into() }
    }

    /// Names the locks in a trace.
    pub(crate) fn label(&self) {
        let (start, len) = (self.places.as_ptr() as usize, size_of_val(&*self.places));
        let names = Arc::clone(&self.names);
        hook::label(start, len, move |offset| {
            format!("exit lock of {}", names[offset / size_of::<u64>()])
        });
    }

    /// Takes the lock of a process; none if its lanes cannot be running when it ends.
    pub(crate) fn take(&self, process: &str, mode: Mode) -> Option<ExitLock<'_>> {
        let at = self.names.binary_search_by(|name| name.as_str().cmp(process)).ok()?;
        let lock = &raw const self.places[at] as usize;
        hook::lock(lock, mode);
        Some(ExitLock { lock, mode, _of: self })
    }
}
