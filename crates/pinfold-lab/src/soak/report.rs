//! What came of it, as data.

use super::harm::Apart;
use super::plan::Affinity;
use super::story::{Held, Told};
use crate::pressure::{FrameRow, Hung, OperationRow};
use crate::report::Verdict;
use pinfold::Stats;
use serde::Serialize;

/// How a process has a frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mapped {
    /// The node of the frame.
    pub node: u8,
    /// Whether its entry allows writing.
    pub writable: bool,
}

/// A page of a command buffer that is not what its process wrote.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Corruption {
    /// Who found it: a device, or the process itself.
    pub found_by: String,
    /// Whose buffer it is.
    pub process: usize,
    /// The buffer.
    pub buffer: u64,
    /// The page of the buffer.
    pub page: u64,
    /// The number of the process's last write to it.
    pub write: u32,
    /// The first word that is wrong: what it holds.
    pub found: String,
    /// What was written there.
    pub wanted: String,
    /// Where the process has it mapped.
    pub at: String,
    /// The device that reads it.
    pub device: usize,
    /// The frame that the device has, if one has.
    pub device_frame: Option<u64>,
    /// How the device came by it.
    pub pinned: Option<Held>,
    /// The frame that the process has.
    pub owner_frame: Option<u64>,
    /// How it is mapped there.
    pub mapped: Option<Mapped>,
    /// The events that led there, in order.
    pub events: Vec<Told>,
    /// What they come to.
    pub outcome: Option<String>,
}

/// What the manager has counted, under the names of /proc/vmstat.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Moves {
    /// Entries that scans of NUMA balancing changed.
    pub numa_pte_updates: u64,
    /// Entries among them that map as many pages as a table does.
    pub numa_huge_pte_updates: u64,
    /// Hinting faults.
    pub numa_hint_faults: u64,
    /// Those on pages of the node where they were taken.
    pub numa_hint_faults_local: u64,
    /// Pages that such faults moved.
    pub numa_pages_migrated: u64,
    /// Pages moved to another node.
    pub pgmigrate_success: u64,
    /// Pages that were to move and stay.
    pub pgmigrate_fail: u64,
    /// Pages written to swap.
    pub pswpout: u64,
    /// Pages read from swap.
    pub pswpin: u64,
    /// Pages that a fork copied, as they are pinned.
    pub fork_copy: u64,
    /// Pages that a write copied.
    pub cow_copy: u64,
    /// Faults.
    pub pgfault: u64,
    /// Pages that were merged with equal ones.
    pub merged: u64,
}

impl Moves {
    pub(super) fn of(stats: &Stats, merged: u64) -> Self {
        Self {
            numa_pte_updates: stats.numa_pte_updates,
            numa_huge_pte_updates: stats.numa_huge_pte_updates,
            numa_hint_faults: stats.numa_hint_faults,
            numa_hint_faults_local: stats.numa_hint_faults_local,
            numa_pages_migrated: stats.numa_pages_migrated,
            pgmigrate_success: stats.pgmigrate_success,
            pgmigrate_fail: stats.pgmigrate_fail,
            pswpout: stats.pswpout,
            pswpin: stats.pswpin,
            fork_copy: stats.fork_copy,
            cow_copy: stats.cow_copy,
            pgfault: stats.pgfault,
            merged,
        }
    }
}

/// Everything that came of it.
#[derive(Clone, Debug, Serialize)]
pub struct SoakReport {
    /// What it amounts to.
    pub verdict: Verdict,
    /// Why that is no pass, one reason a line.
    pub reasons: Vec<String>,
    /// The rules in force.
    pub rules: String,
    /// The seed.
    pub seed: u64,
    /// Processes.
    pub processes: u32,
    /// The threads of each.
    pub threads: u32,
    /// Devices.
    pub devices: u32,
    /// Nodes.
    pub nodes: u8,
    /// Whether threads stay on the node of their process's memory.
    pub affinity: bool,
    /// What did not go on: it was left out, or kernels with these rules have not got it.
    pub without: Vec<&'static str>,
    /// What was kept from buffers, as it has a harm of its own under these rules.
    pub apart: Vec<Apart>,
    /// For how long the threads worked.
    pub seconds: f64,
    /// Buffers that devices have read.
    pub buffers_checked: u64,
    /// Pages of buffers that were held against what the process wrote, by devices and by itself.
    pub pages_checked: u64,
    /// Pages that were moved for each second, for whatever reason.
    pub migrations_each_second: f64,
    /// Hinting faults for each second.
    pub hint_faults_each_second: f64,
    /// Pages that were wrong.
    pub corruptions: u64,
    /// The one that was found first.
    pub first: Option<Corruption>,
    /// The counters.
    pub counted: Moves,
    /// The frames.
    pub frames: FrameRow,
    /// Slots of the swap device that are in use when every process is gone; nothing, if that was
    /// not reached.
    pub slots_at_end: Option<u64>,
    /// The operations, those that came at all.
    pub operations: Vec<OperationRow>,
    /// Operations that did not end.
    pub hung: Vec<Hung>,
}

/// Whether threads stay where they are.
pub(super) const fn is_bound(affinity: Affinity) -> bool {
    match affinity {
        Affinity::Roams => false,
        Affinity::Bound => true,
    }
}
