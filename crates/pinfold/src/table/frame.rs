//! Tables as frames: their words, their lock, their life.

use core::slice;

use crate::addr::Pfn;
use crate::error::OutOfFrames;
use crate::frame::{Flags, Put, Start};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::pte::Format;
use crate::sync::{self, AtomicU64, CellName, Inside, Masks, RawSpinLock, SpinGuard};

/// Holds the lock of a table.
pub(crate) type TableLock<'m> = Inside<SpinGuard<'m>>;

impl<P: Platform> Memory<P> {
    /// The entries of the table in `table`.
    #[inline]
    pub(super) fn entries(&self, table: Pfn) -> &[AtomicU64] {
        let first = self.platform().table(table);
        // SAFETY: the platform promises `ENTRIES` valid words for a frame of ours; only tables are
        // asked for.
        unsafe { slice::from_raw_parts(first.as_ptr(), P::Format::ENTRIES) }
    }

    /// Entry `index` of the table in `table`.
    #[inline]
    pub(crate) fn entry(&self, table: Pfn, index: usize) -> &AtomicU64 {
        &self.entries(table)[index]
    }

    /// The lock of the table in `table`.
    #[inline]
    pub(crate) fn table_lock(&self, table: Pfn) -> TableLock<'_> {
        let lock = RawSpinLock::from_word(self.frames().table(table).lock_word());
        Inside::lock(Masks::Preemption, || lock.lock())
    }

    /// An empty table.
    pub(crate) fn new_table(&self) -> Result<crate::frame::NewFrame<'_>, OutOfFrames> {
        let fresh = self.alloc_local(Flags::TABLE, Start::Held)?;
        let pfn = fresh.pfn();
        let bytes = P::Format::ENTRIES * size_of::<u64>();
        sync::label(self.entry(pfn, 0), bytes, move |offset| CellName::Entry {
            table: pfn,
            entry: offset / size_of::<u64>(),
        });
        for entry in self.entries(pfn) {
            entry.init(0);
        }
        Ok(fresh)
    }

    /// Drops a reference to a table; the last one frees the frame. The table has been unlinked,
    /// flushed and waited for: INV-TABLE-2.
    pub(crate) fn put_table(&self, pfn: Pfn) {
        let put = self.frames().table(pfn).put();
        if put == Put::Last {
            sync::renew(self.entry(pfn, 0), P::Format::ENTRIES * size_of::<u64>());
        }
        self.after_put(pfn, put);
    }
}
