//! Counters with the names of /proc/vmstat.
//!
//! Each CPU counts in a place of its own, with one relaxed addition per operation and batch, never
//! per page of a batch. A total is the sum over all places: exact when nothing runs, and otherwise
//! at least what had happened when the sum began.

use crate::error::NoMemory;
use crate::sync::{Counter, PerCpu};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What one CPU has counted.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        /// The counters of one memory manager, as they were when they were asked for.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// Names and values, in /proc/vmstat's spelling.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            fn add(&mut self, counters: &Counters) {
                $(self.$name += counters.$name.get();)*
            }
        }
    };
}

impl Stats {
    /// Pages that are locked in memory, those of large folios included (`nr_mlock`).
    pub fn nr_mlock(&self) -> u64 {
        let gone = self.unevictable_pgs_munlocked + self.unevictable_pgs_stranded;
        self.unevictable_pgs_mlocked.saturating_sub(gone + self.unevictable_pgs_cleared)
    }
}

/// The counters of all CPUs.
#[derive(Debug)]
pub(crate) struct AllCounters(PerCpu<Counters>);

impl AllCounters {
    /// Counters at zero.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn new(cpus: usize) -> Result<Self, NoMemory> {
        PerCpu::new(cpus).map(Self)
    }

    /// Those of one CPU.
    #[inline]
    pub(crate) fn of(&self, cpu: usize) -> &Counters {
        self.0.of(cpu)
    }

    /// The sums.
    pub(crate) fn total(&self) -> Stats {
        let mut total = Stats::default();
        self.0.iter().for_each(|counters| total.add(counters));
        total
    }
}

stats! {
    /// Faults that were resolved.
    pgfault,
    /// Write faults that kept the same page.
    pgreuse,
    /// Frames freed.
    pgfree,
    /// Faults that had to read a page from a swap device, or to fill it with zeros.
    pgmajfault,
    /// Pages read from swap devices.
    pswpin,
    /// Pages written to swap devices.
    pswpout,
    /// Pages that came back from swap without being read, as they were all zeros.
    swpin_zero,
    /// Pages that went to swap without being written, as they are all zeros.
    swpout_zero,
    /// Pages that were read from swap devices, or filled with zeros, beside the page of a fault
    /// ([`crate::Tuning::swap_readahead`]).
    swap_ra,
    /// Of these, those that a fault has asked for since.
    swap_ra_hit,
    /// Anonymous pages that reclaim has looked at.
    pgscan_anon,
    /// Anonymous pages that reclaim has freed.
    pgsteal_anon,
    /// Pages of files that reclaim has looked at.
    pgscan_file,
    /// Pages of files that reclaim has freed.
    pgsteal_file,
    /// Dirty pages of files that reclaim has met, and left to whoever writes files back
    /// ([`crate::File::sync`]).
    nr_vmscan_immediate_reclaim,
    /// Pages of nodes' lists that those looked at who were short of memory.
    pgscan_direct,
    /// Pages of nodes' lists that reclaim in the background has looked at.
    pgscan_kswapd,
    /// Pages that those took out of memory who were short of it.
    pgsteal_direct,
    /// Pages that reclaim in the background took out of memory.
    pgsteal_kswapd,
    /// Pages of the lists of those in use that reclaim has looked at.
    pgrefill,
    /// Pages that came to the lists of those in use.
    pgactivate,
    /// Pages that came from there to the lists of those not in use.
    pgdeactivate,
    /// Operations that had to reclaim before they went on.
    allocstall,
    /// Those of them that wanted memory below 4 GiB ([`crate::Zone::Low32`]).
    allocstall_dma32,
    /// Those that wanted memory for what does not move, or had taken pages that may out in vain.
    allocstall_normal,
    /// Those that wanted memory for what can move.
    allocstall_movable,
    /// Pages below 4 GiB that reclaim has passed over, as it wanted others.
    pgskip_dma32,
    /// Pages above that it has passed over.
    pgskip_normal,
    /// Pages of memory that is set apart for what can move, which it has passed over.
    pgskip_movable,
    /// Anonymous pages that were read from swap devices after reclaim had taken them out, where
    /// there are lists ([`crate::Tuning::lru_batch`]).
    workingset_refault_anon,
    /// Of these, those that came back as in use.
    workingset_activate_anon,
    /// Of these, those that had been in use before.
    workingset_restore_anon,
    /// Pages of files that were read again after reclaim had taken them out, where there are lists.
    workingset_refault_file,
    /// Of these, those that came back as in use.
    workingset_activate_file,
    /// Of these, those that had been in use before.
    workingset_restore_file,
    /// Pages that came to those which may not leave memory, as they are locked there: where there
    /// are lists ([`crate::Tuning::lru_batch`]).
    unevictable_pgs_culled,
    /// Pages that came back from there to a list.
    unevictable_pgs_rescued,
    /// Pages that were locked in memory ([`crate::AddressSpace::mlock`]): whose first entry was.
    unevictable_pgs_mlocked,
    /// Pages that are locked no longer: whose last such entry is gone.
    unevictable_pgs_munlocked,
    /// Pages of which that is so, and which stayed where the locked ones are until somebody who had
    /// them then, such as a migration, put them back.
    unevictable_pgs_stranded,
    /// Pages that were freed while they counted as locked, which is a bug.
    unevictable_pgs_cleared,
    /// Copies that a write fault or unsharing made.
    cow_copy,
    /// Copies of merged pages among them.
    cow_ksm,
    /// Pages that fork copied for the child.
    fork_copy,
    /// Pages whose entries scans made PROT_NONE.
    numa_pte_updates,
    /// Huge entries that scans made PROT_NONE.
    numa_huge_pte_updates,
    /// Hinting faults.
    numa_hint_faults,
    /// Hinting faults on a page of the faulting CPU's node.
    numa_hint_faults_local,
    /// Pages that hinting faults moved.
    numa_pages_migrated,
    /// Pages moved, those of large folios included.
    pgmigrate_success,
    /// Pages that could not be moved, those of large folios included.
    pgmigrate_fail,
    /// Large folios moved as a whole.
    thp_migration_success,
    /// Large folios that could not be moved.
    thp_migration_fail,
    /// Large folios that were split because they could not be moved as a whole.
    thp_migration_split,
    /// Pages pinned.
    nr_foll_pin_acquired,
    /// Pins released.
    nr_foll_pin_released,
    /// Large folios that a first touch took.
    thp_fault_alloc,
    /// Huge entries of the huge zero page that reads made.
    thp_zero_page_alloc,
    /// Huge entries that were split.
    thp_split_pmd,
    /// First touches that took a small page for want of a large folio.
    thp_fault_fallback,
    /// Large folios that a collapse took.
    thp_collapse_alloc,
    /// Collapses that there was no folio for, or no table.
    thp_collapse_alloc_failed,
    /// Large folios that were split.
    thp_split_page,
    /// Large folios that could not be split.
    thp_split_page_failed,
    /// Flushes of all CPUs.
    nr_tlb_remote_flush,
}
