//! Writing the pages of a file back to what stores it: clean first, then write.
//!
//! Protocol (facts 6.2, 7.8): the page is locked throughout. If entries map it, the walk of the
//! reverse map takes the write and dirty bits out of each, under its table's lock and with a flush;
//! the mark of the page is taken off; then the contents are written. A write after that faults, and
//! the fault marks the entry dirty under the page's lock: after the write. The address space's lock
//! is not held meanwhile.
//!
//! Invariants:
//! - INV-BACK-1: a page without the mark and without a dirty entry has been written back as it is,
//!   or never written to.
//! - INV-BACK-2: a page whose mapping is gone is not looked for in any table. The rule `zap-rmap`
//!   decides whether that is safe (INV-ZAP-3).

use crate::addr::{Mm, Pfn, VirtAddr, VirtRange, Vpn};
use crate::area::Backing;
use crate::error::SpaceError;
use crate::event::EventKind;
use crate::memory::Memory;
use crate::object::{Mappers, SharedObject};
use crate::platform::{Invalidate, Platform};
use crate::rmap::Walk;
use crate::rmap_walk::OfFile;
use crate::space::Space;
use crate::sync::{Shared, smp_mb};
use crate::table::Cursor;

/// A page of a file.
struct FilePage<P: Platform> {
    object: Shared<SharedObject<P>>,
    index: u64,
    pfn: Pfn,
}

impl<P: Platform> Space<P> {
    /// Writes the dirty pages of the files in `range` back; how many.
    pub(crate) fn write_back(
        &self,
        range: VirtRange,
        write: &mut dyn FnMut(VirtAddr, Pfn),
    ) -> Result<u64, SpaceError> {
        let mut written = 0;
        for page in self.allowed(range)?.iter() {
            let Some(file) = self.file_page(page)? else { continue };
            let mem = self.mem();
            {
                let _locked = mem.lock_page(file.pfn);
                if mem.clean(&file) {
                    write(page.start(), file.pfn);
                    written += 1;
                }
            }
            mem.put(file.pfn, 1);
        }
        Ok(written)
    }

    /// The file's page that is shown at `page`, with a reference; none if nobody has touched it.
    fn file_page(&self, page: Vpn) -> Result<Option<FilePage<P>>, SpaceError> {
        let map = self.read_map();
        let area = map.find(page).ok_or(SpaceError::NotMapped(page.start()))?;
        match &area.backing {
            Backing::Object { object, origin } if object.mappers().is_some() => {
                let index = page.0.wrapping_sub(origin.0);
                let object = object.clone();
                let found = object.existing(index);
                Ok(found.map(|pfn| FilePage { object, index, pfn }))
            }
            Backing::Object { .. } | Backing::Private(_) => {
                Err(SpaceError::WrongKind(page.start()))
            }
        }
    }
}

impl<P: Platform> Memory<P> {
    /// Takes the marks off a locked page and its entries; whether it is to be written.
    fn clean(&self, file: &FilePage<P>) -> bool {
        let mapped = self.frames().counts_as(file.pfn, |counts| counts.maps() != 0);
        // What the one who took the last mapping off did before that is seen below.
        smp_mb();
        if let Some(mappers) = file.object.mappers().filter(|_| mapped) {
            self.clean_entries(mappers, file);
        }
        let dirty = self.frames().clear_dirty(file.pfn);
        if dirty {
            self.tell_frame(EventKind::WrittenBack(file.pfn));
        }
        dirty
    }

    /// Takes write permission and the dirty mark from every entry of the page; a mark goes to the
    /// page.
    fn clean_entries(&self, mappers: &Mappers, file: &FilePage<P>) {
        self.visit_entries(&OfFile { mappers, index: file.index }, |mm, page, leaf| {
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
            self.frames().mark_dirty(pfn);
        }
        cursor.publish(flushed, old.read_only().clean());
        self.tell(mm.id, page, EventKind::EntryCleaned(pfn));
    }
}

#[cfg(test)]
mod tests;
