//! How long a migration waits, and how often it tries.

use crate::memory::Tuning;

/// How long a migration waits for what is in its way (facts 4.5). A page that is being written to
/// a swap device is isolated by who writes it, and stays in every mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MigrateMode {
    /// For nothing: a page whose lock another has stays (MIGRATE_ASYNC). For a fault, whose access
    /// has to wait, and for who looks for any page that moves. Makes
    /// [`crate::Tuning::hint_passes`] passes.
    Async,
    /// For page locks, once three passes have tried them in vain, unless a page says that it is
    /// being written to its file's store (MIGRATE_SYNC_LIGHT). For compaction. Makes
    /// [`crate::Tuning::migrate_passes`] passes.
    SyncLight,
    /// For page locks, once three passes have tried them in vain, and so for the end of a writeback
    /// (MIGRATE_SYNC). For move_pages, mbind, memory hotplug, CMA and long-term pins. Makes
    /// [`crate::Tuning::migrate_passes`] passes.
    Sync,
}

/// How many passes only try the locks, also of who can wait. Linux: NR_MAX_MIGRATE_ASYNC_RETRY
/// since 6.3, and the passes before `force` was set until then.
pub(super) const TRIED: u32 = 3;

/// What a pass does about a page's lock that another has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Locking {
    Try,
    SleepUnlessWritten,
    Sleep,
}

impl MigrateMode {
    pub(super) fn locking(self, pass: u32) -> Locking {
        match self {
            Self::Sync if pass >= TRIED => Locking::Sleep,
            Self::SyncLight if pass >= TRIED => Locking::SleepUnlessWritten,
            Self::Sync | Self::SyncLight | Self::Async => Locking::Try,
        }
    }

    /// How many passes are made.
    pub(super) fn passes(self, tuning: &Tuning) -> u32 {
        match self {
            Self::Sync | Self::SyncLight => tuning.migrate_passes,
            Self::Async => tuning.hint_passes,
        }
    }

    /// Whether a folio that finds no place as a whole moves page by page.
    pub(super) fn splits(self) -> bool {
        match self {
            Self::Sync | Self::SyncLight => true,
            Self::Async => false,
        }
    }
}
