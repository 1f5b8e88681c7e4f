//! What came of it, as data.

use super::desk::{Hung, Kind, Tally};
use super::drive::Transfers;
use super::world::Wrong;
use crate::report::Verdict;
use pinfold::{Stats, ZoneInfo};
use serde::Serialize;

/// What came of one kind of operation.
#[derive(Clone, Debug, Serialize)]
pub struct OperationRow {
    /// What it does.
    pub operation: &'static str,
    /// How often it was done.
    pub done: u64,
    /// The same for each second in which the threads worked, without the looks after these.
    pub each_second: f64,
    /// How often it was refused for want of frames, as by a kernel without an OOM killer.
    pub refused: u64,
    /// How often the swap device failed it: a process would get SIGBUS, a caller EFAULT.
    pub failed: u64,
    /// The longest, in milliseconds.
    pub longest_ms: f64,
}

/// The swap device.
#[derive(Clone, Debug, Serialize)]
pub struct SwapRow {
    /// `memory` or `file`.
    pub medium: &'static str,
    /// Its slots.
    pub slots: u64,
    /// Of so many transfers the last one fails.
    pub fail_every: Option<u64>,
    /// What it has done.
    pub transfers: Transfers,
    /// Pages written for each second in which the threads worked.
    pub written_each_second: f64,
    /// Pages read, likewise.
    pub read_each_second: f64,
    /// The most slots that were seen in use.
    pub most_in_use: u64,
    /// Slots that are in use when every process is gone; nothing, if that was not reached.
    pub in_use_at_end: Option<u64>,
}

/// What the manager has counted, under the names of /proc/vmstat.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counted {
    /// Pages written to swap.
    pub pswpout: u64,
    /// Pages read from swap.
    pub pswpin: u64,
    /// Pages read from swap beside those that faults wanted.
    pub swap_ra: u64,
    /// Of these, those that a fault has wanted since.
    pub swap_ra_hit: u64,
    /// Pages that went to swap and were not written, as they were all zeros.
    pub swpout_zero: u64,
    /// Pages that came back and were not read, as they had been all zeros.
    pub swpin_zero: u64,
    /// Pages that reclaim has looked at.
    pub pgscan_anon: u64,
    /// Pages that it has freed.
    pub pgsteal_anon: u64,
    /// Pages of files that reclaim has looked at.
    pub pgscan_file: u64,
    /// Pages of files that it has freed.
    pub pgsteal_file: u64,
    /// Dirty pages of files that it has met.
    pub nr_vmscan_immediate_reclaim: u64,
    /// How often an operation found no frame, and reclaimed.
    pub allocstall: u64,
    /// Those of them that wanted memory below 4 GiB.
    pub allocstall_dma32: u64,
    /// Pages above that reclaim passed over, as it wanted others.
    pub pgskip_normal: u64,
    /// Pages that those freed who found no frame.
    pub pgsteal_direct: u64,
    /// Pages that the background thread freed.
    pub pgsteal_kswapd: u64,
    /// Pages that were found to be in use.
    pub pgactivate: u64,
    /// Pages that came back from swap after reclaim had taken them out.
    pub workingset_refault_anon: u64,
    /// Of these, those that came back so soon that they count as in use.
    pub workingset_activate_anon: u64,
    /// Of these, those that had been in use before.
    pub workingset_restore_anon: u64,
    /// Pages of files that were read again after reclaim had taken them out.
    pub workingset_refault_file: u64,
    /// Of these, those that came back so soon that they count as in use.
    pub workingset_activate_file: u64,
    /// Of these, those that had been in use before.
    pub workingset_restore_file: u64,
    /// Faults.
    pub pgfault: u64,
    /// Pages moved to another node.
    pub pgmigrate_success: u64,
    /// Pages that were to move and stay.
    pub pgmigrate_fail: u64,
    /// Pages that a fork copied, as they are pinned.
    pub fork_copy: u64,
    /// Pages that a write copied.
    pub cow_copy: u64,
}

impl Counted {
    pub(super) fn of(stats: &Stats) -> Self {
        Self {
            pswpout: stats.pswpout,
            pswpin: stats.pswpin,
            swap_ra: stats.swap_ra,
            swap_ra_hit: stats.swap_ra_hit,
            swpout_zero: stats.swpout_zero,
            swpin_zero: stats.swpin_zero,
            pgscan_anon: stats.pgscan_anon,
            pgsteal_anon: stats.pgsteal_anon,
            pgscan_file: stats.pgscan_file,
            pgsteal_file: stats.pgsteal_file,
            nr_vmscan_immediate_reclaim: stats.nr_vmscan_immediate_reclaim,
            allocstall: stats.allocstall,
            allocstall_dma32: stats.allocstall_dma32,
            pgskip_normal: stats.pgskip_normal,
            pgsteal_direct: stats.pgsteal_direct,
            pgsteal_kswapd: stats.pgsteal_kswapd,
            pgactivate: stats.pgactivate,
            workingset_refault_anon: stats.workingset_refault_anon,
            workingset_activate_anon: stats.workingset_activate_anon,
            workingset_restore_anon: stats.workingset_restore_anon,
            workingset_refault_file: stats.workingset_refault_file,
            workingset_activate_file: stats.workingset_activate_file,
            workingset_restore_file: stats.workingset_restore_file,
            pgfault: stats.pgfault,
            pgmigrate_success: stats.pgmigrate_success,
            pgmigrate_fail: stats.pgmigrate_fail,
            fork_copy: stats.fork_copy,
            cow_copy: stats.cow_copy,
        }
    }
}

/// The frames.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FrameRow {
    /// All of them.
    pub all: u64,
    /// Those that were free before the first process, and that the manager has for itself.
    pub free_at_start: u64,
    /// Those that are free when every process is gone; nothing, if that was not reached.
    pub free_at_end: Option<u64>,
}

/// A zone of a node.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ZoneRow {
    /// The node.
    pub node: u8,
    /// Its name in /proc/zoneinfo.
    pub zone: &'static str,
    /// Its frames.
    pub managed: u64,
    /// With fewer free, those reclaim who want some.
    pub min: u64,
    /// With fewer, the background thread does.
    pub low: u64,
    /// Until there are so many.
    pub high: u64,
    /// What it keeps of them from what does not move, if a higher zone could serve.
    pub reserve_any: u64,
    /// What it keeps from pages of processes.
    pub reserve_movable: u64,
    /// Those that were free before the first process.
    pub free_at_start: u64,
    /// Those that are free when every process is gone; nothing, if that was not reached.
    pub free_at_end: Option<u64>,
}

/// The rows of all zones.
pub(super) fn zone_rows(at_start: &[ZoneInfo], at_end: Option<&[ZoneInfo]>) -> Vec<ZoneRow> {
    let row = |info: &ZoneInfo| {
        let same = |end: &&ZoneInfo| (end.node, end.zone) == (info.node, info.zone);
        let end = at_end.and_then(|all| all.iter().find(same));
        ZoneRow {
            node: info.node.0,
            zone: info.zone.name(),
            managed: info.managed,
            min: info.min,
            low: info.low,
            high: info.high,
            reserve_any: info.reserve_any,
            reserve_movable: info.reserve_movable,
            free_at_start: info.free,
            free_at_end: end.map(|end| end.free),
        }
    };
    at_start.iter().map(row).collect()
}

/// Everything that came of it.
#[derive(Clone, Debug, Serialize)]
pub struct PressureReport {
    /// What it amounts to.
    pub verdict: Verdict,
    /// Why that is no pass, one reason a line.
    pub reasons: Vec<String>,
    /// The rules in force.
    pub rules: String,
    /// The seed.
    pub seed: u64,
    /// Threads that worked.
    pub threads: u32,
    /// Processes.
    pub processes: u32,
    /// The pages of each.
    pub pages: u64,
    /// For how long the threads worked.
    pub seconds: f64,
    /// The frames.
    pub frames: FrameRow,
    /// The same by zone.
    pub zones: Vec<ZoneRow>,
    /// The swap device.
    pub swap: SwapRow,
    /// The operations, those that came at all.
    pub operations: Vec<OperationRow>,
    /// The counters.
    pub counted: Counted,
    /// Words that were held against what their writer wrote.
    pub checked: u64,
    /// How many of them were something else.
    pub wrongs: u64,
    /// Those that were found first.
    pub wrong: Vec<Wrong>,
    /// Operations that did not end.
    pub hung: Vec<Hung>,
}

/// The rows of the operations, of which `worked` had been done after so many seconds.
pub(crate) fn rows(tally: &Tally, (worked, seconds): (&Tally, f64)) -> Vec<OperationRow> {
    let row = |kind: &Kind| {
        let row = tally.row(*kind);
        OperationRow {
            operation: kind.name(),
            done: row.done,
            each_second: each_second(worked.row(*kind).done, seconds),
            refused: row.refused,
            failed: row.failed,
            longest_ms: row.longest.as_secs_f64() * 1e3,
        }
    };
    let came = |row: &OperationRow| row.done + row.refused + row.failed > 0;
    Kind::ALL.iter().map(row).filter(came).collect()
}

/// How many of them come in a second.
pub(crate) fn each_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(1e-3)
}
