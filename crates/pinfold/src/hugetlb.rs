//! Huge pages of the pool (hugetlb): private memory that is mapped by huge entries alone, of pages
//! that were set aside.
//!
//! Protocol: the pool itself is the frame table's (`frame/pooled.rs`). A mapping is promised all of
//! its pages when it is made, and a child of the process nothing ([`crate::area::pages`]). In an
//! area of such pages no entry is split and no area is cut within a page: what would do so is
//! refused before it changes anything, and walks pass over the entries (`table/huge.rs`).
//!
//! Faults there wait for each other, one upper table's at a time, by the page lock of the table's
//! frame, which comes before the locks of the family and of tables: so that of two that want the
//! last page none fails while the other is about to use it. What they do is in `fault/pooled.rs`,
//! and for fork in `fork/pooled.rs`.
//!
//! A write fault that finds no page for a copy ends a process. It is not to be the one that was
//! promised its pages: that one takes the page from all others that map it, by a walk over the
//! family, and keeps it (Linux: `unmap_ref_private`). In their place an entry is left that says so,
//! and their next access fails.
//!
//! Invariants: INV-POOL-1 to INV-POOL-3, INV-PROMISE-1, INV-HUGE-5.

use crate::addr::{PageCount, Pfn, SpaceId, VirtAddr, VirtRange, Vpn};
use crate::area::AreaMap;
use crate::area::pages::{PageSize, Promises};
use crate::error::SpaceError;
use crate::event::EventKind;
use crate::frame::HugePages;
use crate::memory::Memory;
use crate::platform::{FlushScope, Invalidate, Platform};
use crate::pte::Format;
use crate::space::{Place, Space};
use crate::table::{Huge, table_start};

impl<P: Platform> Memory<P> {
    /// Lets the pool of huge pages have so many, each of as many pages as a last-level table maps;
    /// how many it has then (nr_hugepages). It grows as far as there are runs of free frames, and
    /// shrinks by those that are free and promised to nobody: those in use stay.
    pub fn hugetlb_pool(&self, pages: u64) -> u64 {
        self.frames().resize_pool(pages, P::Format::INDEX_BITS, self.platform().node())
    }

    /// What the pool of huge pages has.
    pub fn hugetlb(&self) -> HugePages {
        self.frames().pooled()
    }

    /// Takes a page of the pool from all address spaces that map it but `owner`, which holds it by
    /// its own mapping. The page lock of the owner's upper table is held, and no table's.
    pub(crate) fn take_from_others(&self, head: Pfn, owner: SpaceId) {
        self.walk_pooled(head, |mm, huge| {
            if mm.id != owner {
                let _changing = self.changing(mm.id, huge.range(), Invalidate::Clear);
                self.take_from(mm.id, huge, head);
            }
        });
    }

    fn take_from(&self, space: SpaceId, huge: &Huge<'_, P>, head: Pfn) {
        let cursor = huge.lock();
        let maps = cursor.get().is_some_and(|pte| pte.is_mapped() && pte.pfn() == head);
        let Some(folio) = self.frames().large(head).filter(|_| maps) else { return };
        let run = (head, folio.pages() as u32);
        let _old = cursor.lose();
        self.flush(space, FlushScope::Range(huge.range()));
        self.drop_maps(folio, run, space);
        drop(cursor);
        self.tell_each(space, (huge.pages().start, head), EventKind::HugetlbTaken);
        self.put_run(head, run.1);
    }
}

impl<P: Platform> Space<P> {
    /// Where a mapping of huge pages goes: as [`Space::place`], at one of their places.
    #[cold]
    #[inline(never)]
    pub(crate) fn place_pooled(
        &self,
        map: &AreaMap<P>,
        place: Place,
        pages: u64,
    ) -> Result<VirtRange, SpaceError> {
        let (each, pages) = (P::Format::ENTRIES as u64, PageCount::new(pages)?.get());
        let starts = |page: Vpn| table_start::<P::Format>(page) == page;
        let misplaced = |at: VirtAddr| Err(SpaceError::PartOfHugePage(at));
        let size = || VirtAddr::of_page(pages);
        match place {
            Place::At(start) | Place::Replace(start) if !starts(start.page()) => misplaced(start),
            _ if !pages.is_multiple_of(each) => misplaced(size()),
            Place::At(_) | Place::Replace(_) => self.place(map, place, pages),
            Place::Anywhere | Place::Lowest => {
                self.may_map(map, pages)?;
                let room = pages.checked_add(each - 1).ok_or(SpaceError::NoGap { pages })?;
                let gap = self.gap(map, place, PageCount::new(room)?.get());
                let gap = gap.map_err(|_| SpaceError::NoGap { pages })?;
                let first = match place {
                    Place::Lowest => table_start::<P::Format>(gap.first_page() + (each - 1)),
                    _ => table_start::<P::Format>(Vpn(gap.end_page().0 - pages)),
                };
                Ok(VirtRange::of_pages(first, first + pages))
            }
        }
    }

    /// Promises a new mapping all of its pages.
    ///
    /// # Errors
    /// When the pool has too few, or the heap is exhausted.
    pub(crate) fn promised(&self, range: VirtRange) -> Result<PageSize, SpaceError> {
        let order = P::Format::INDEX_BITS;
        let promises = Promises::all(self.id(), range, order)?;
        if self.mem().frames().promise_pooled(range.pages() >> order) {
            Ok(PageSize::Huge(promises))
        } else {
            Err(SpaceError::NoHugePage)
        }
    }

    /// What was promised for `range`, and never touched, may be promised to others.
    pub(crate) fn break_promises(&self, size: &PageSize, range: VirtRange) {
        if let Some(promises) = size.promised_to(self.id()) {
            self.mem().frames().release_promises(promises.take_all(range));
        }
    }
}

#[cfg(test)]
mod tests;
