//! The end of a process while lanes of it run.
//!
//! Protocol: a process that a lane may end while others of its lanes run, or may end or have
//! execute while other processes reach for its memory, has an exit lock. Who reaches for its memory
//! holds it shared until it has the address space. A step of the process holds it shared for as
//! long as it runs; `exit` takes it exclusively for the moment in which the process ends. So a step
//! that has begun is carried out, as a thread in the kernel ends what it is doing before it dies,
//! and what begins later finds the process gone. The address space is taken down after that moment,
//! beside all that other processes and devices do; nothing of the process itself is in it then, as
//! in Linux, where the last user of an address space takes it down.
//!
//! A step that waits for another lane does not hold the lock: it must not keep that lane from
//! `exit`.

use std::collections::{BTreeMap, BTreeSet};

use crate::scenario::{Action, Scenario, Step};

/// The processes that a lane ends while another of their lanes may run or reach for their memory:
/// those with an exit lock.
pub(crate) fn contested(scenario: &Scenario) -> Vec<String> {
    let ends = |step: &Step| matches!(step.action, Action::Exit | Action::Exec);
    // Of each process: how many lanes it has or has to do with, and whether one of them ends it.
    let mut lanes: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    for lane in &scenario.lanes {
        let Some(process) = lane.process() else { continue };
        let (count, ended) = lanes.entry(process).or_default();
        *count += 1;
        *ended |= lane.steps.iter().any(ends);
        let reached: BTreeSet<&str> = lane
            .steps
            .iter()
            .filter_map(|step| step.action.accesses().map(|name| name.value.as_str()))
            .filter(|name| *name != process)
            .collect();
        for other in reached {
            lanes.entry(other).or_default().0 += 1;
        }
    }
    let contested = lanes.into_iter().filter(|(_, (count, ended))| *count > 1 && *ended);
    contested.map(|(process, _)| process.to_owned()).collect()
}
