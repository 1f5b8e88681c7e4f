//! Writing the pages of a file back to what stores it: clean first, then write.
//!
//! Protocol (facts 6.2, 7.8): the page is locked throughout. If entries map it, the walk of the
//! reverse map takes the write and dirty bits out of each, under its table's lock and with a flush;
//! the mark of the page is taken off; then the contents are written. A write after that faults, and
//! the fault marks the page and its entry under the page's lock: after the write. The address
//! space's lock is not held meanwhile. A page that left its file before its lock was taken is
//! nobody's, and is not written.
//!
//! Where the store fails the mark is set again: nothing that was not written counts as clean. Until
//! one or the other is known the page says so (`WRITEBACK`): another who writes it back waits for
//! its lock, and looks again.
//!
//! Invariants:
//! - INV-BACK-1: a page without the mark and without a dirty entry has been written back as it is,
//!   or never written to.
//! - INV-BACK-2: a page whose mapping is gone is not looked for in any table. The rule `zap-rmap`
//!   decides whether that is safe (INV-ZAP-3).
//! - INV-BACK-3: a page of a file that an entry maps writable or dirty has the mark, except while
//!   its lock is held for writeback: who looks for dirty pages need not look at entries.
//! - INV-BACK-4: what was written before a writeback of its page began is stored when that ends
//!   without an error, whoever wrote it back.

use core::ops::Range;

use crate::addr::{Mm, Pfn, VirtRange, Vpn};
use crate::error::{SpaceError, StoreError};
use crate::event::EventKind;
use crate::frame::Flags;
use crate::memory::Memory;
use crate::object::Object;
use crate::platform::{Invalidate, Platform};
use crate::rmap::Walk;
use crate::rmap_walk::OfObject;
use crate::space::Space;
use crate::sync::smp_mb;
use crate::table::Cursor;

/// Where and why a writeback ended early. What was written before that stays written; all else is
/// still dirty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unwritten {
    /// The number of the page in its file.
    pub page: u64,
    /// Why it could not be written.
    pub error: StoreError,
}

impl core::fmt::Display for Unwritten {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "page {} of the file stays dirty: {}", self.page, self.error)
    }
}

impl core::error::Error for Unwritten {}

/// Why an msync ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SyncError {
    /// Part of the range is not mapped, or lies outside the limits; what comes before it has been
    /// written.
    Space(SpaceError),
    /// The store of a file failed.
    Store(Unwritten),
}

impl core::fmt::Display for SyncError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Space(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SyncError {}

impl From<SpaceError> for SyncError {
    fn from(error: SpaceError) -> Self {
        Self::Space(error)
    }
}

impl From<Unwritten> for SyncError {
    fn from(error: Unwritten) -> Self {
        Self::Store(error)
    }
}

/// A page of a file, with a reference.
struct FilePage<'o, P: Platform> {
    object: &'o Object<P>,
    index: u64,
    pfn: Pfn,
}

impl<P: Platform> Space<P> {
    /// Writes the dirty pages of files that are shared in `range` back; how many.
    pub(crate) fn sync(&self, range: VirtRange) -> Result<u64, SyncError> {
        let range = self.allowed(range)?;
        let (mut page, mut written) = (range.first_page(), 0);
        while page < range.end_page() {
            let (shown, end) = {
                let map = self.read_map();
                let area = map.find(page).ok_or(SpaceError::NotMapped(page.start()))?;
                let end = area.range.end_page().min(range.end_page());
                // What is private is in step with its store: msync succeeds there.
                let shown = area.backing.shares().map(|view| {
                    (view.object.clone(), view.indices(VirtRange::of_pages(page, end)))
                });
                (shown, end)
            };
            if let Some((object, pages)) = shown {
                written += object.write_back(pages)?;
            }
            page = end;
        }
        Ok(written)
    }
}

impl<P: Platform> Object<P> {
    /// Writes the dirty pages of a range back; how many.
    pub(crate) fn write_back(&self, pages: Range<u64>) -> Result<u64, Unwritten> {
        let (mut from, mut written) = (pages.start, 0);
        if !self.is_tracked() {
            return Ok(0);
        }
        // INV-BACK-4: a page that another is writing may turn out dirty.
        let unstored = Flags::DIRTY | Flags::WRITEBACK;
        let wanted = |pfn| self.mem().frames().flags(pfn).intersects(unstored);
        while let Some((index, pfn)) = self.next_that(from..pages.end, wanted) {
            let wrote = self.mem().write_page(&FilePage { object: self, index, pfn });
            self.mem().put(pfn, 1);
            written += u64::from(wrote.map_err(|error| Unwritten { page: index, error })?);
            from = index + 1;
        }
        Ok(written)
    }
}

impl<P: Platform> Memory<P> {
    /// Writes one page back, if it is dirty; whether it was.
    fn write_page(&self, file: &FilePage<'_, P>) -> Result<bool, StoreError> {
        let _locked = self.lock_page(file.pfn);
        let dirty = Flags::CACHED | Flags::DIRTY;
        let Some(store) = file.object.store() else { return Ok(false) };
        if !self.frames().flags(file.pfn).contains(dirty) {
            return Ok(false);
        }
        self.clean(file);
        let written = store.write(self.platform(), file.index, file.pfn);
        if written.is_err() {
            self.mark_dirty(file.pfn);
        }
        self.frames().end_writeback(file.pfn);
        written?;
        self.tell_frame(EventKind::WrittenBack(file.pfn));
        Ok(true)
    }

    /// Takes the marks off a locked page, which has one, and its entries.
    fn clean(&self, file: &FilePage<'_, P>) {
        let mapped = self.frames().counts_as(file.pfn, |counts| counts.maps() != 0);
        // What the one who took the last mapping off did before that is seen below.
        smp_mb();
        if mapped {
            self.clean_entries(file);
        }
        self.begin_writeback(file.pfn);
    }

    /// Takes write permission and the dirty mark from every entry of the page; a mark goes to the
    /// page.
    fn clean_entries(&self, file: &FilePage<'_, P>) {
        let who = OfObject { mappers: file.object.mappers(), index: file.index };
        self.visit_entries(&who, |mm, page, leaf| {
            let _changing = self.changing(mm.id, page.alone(), Invalidate::ProtectPage);
            let cursor = leaf.lock();
            let pte = cursor.get(page);
            if pte.is_mapped() && pte.pfn() == file.pfn && (pte.is_writable() || pte.is_dirty()) {
                self.clean_entry(mm, page, &cursor, file.pfn);
            }
            Walk::On
        });
    }

    fn clean_entry(&self, mm: Mm, page: Vpn, cursor: &Cursor<'_, P>, pfn: Pfn) {
        let flushed = self.flush_withdrawn(mm.id, cursor.withdraw(page));
        let old = flushed.pte();
        if old.is_dirty() {
            self.mark_dirty(pfn);
        }
        cursor.publish(flushed, old.read_only().clean());
        self.tell(mm.id, page, EventKind::EntryCleaned(pfn));
    }
}

#[cfg(test)]
mod tests;
