//! Counters with the names of /proc/vmstat.
//!
//! Each is exact and costs one relaxed addition per operation and batch, never per page of a batch.

use crate::sync::Counter;

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one memory manager.
        #[derive(Debug, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Stats {
            /// Names and values, in /proc/vmstat's spelling.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.get()),)*].into_iter()
            }
        }
    };
}

stats! {
    /// Faults that were resolved.
    pgfault,
    /// Write faults that kept the same page.
    pgreuse,
    /// Frames freed.
    pgfree,
    /// Copies that a write fault or unsharing made.
    cow_copy,
    /// Pages that fork copied for the child.
    fork_copy,
    /// Entries that scans made PROT_NONE.
    numa_pte_updates,
    /// Hinting faults.
    numa_hint_faults,
    /// Hinting faults on a page of the faulting CPU's node.
    numa_hint_faults_local,
    /// Pages that hinting faults moved.
    numa_pages_migrated,
    /// Pages moved.
    pgmigrate_success,
    /// Pages that could not be moved.
    pgmigrate_fail,
    /// Pages pinned.
    nr_foll_pin_acquired,
    /// Pins released.
    nr_foll_pin_released,
    /// Flushes of all CPUs.
    nr_tlb_remote_flush,
}
