//! Taking pages out of an object: a shorter file, a hole in it, an invalidation before direct I/O,
//! and an owner of the storage who waits until nobody uses a page (facts 7.8).
//!
//! Protocol: the page list is held for writing throughout, so that no fault shows a page of it. All
//! who map pages of the range are known to the object; their entries are withdrawn under their
//! tables' locks, and flushed there. No lock of an address space is taken, which would come before.
//! Then each page leaves the list under its lock: who writes it back has finished, or finds it
//! gone. Whoever holds a reference keeps the page as an orphan: a device with a pin goes on writing
//! memory that no process sees. A batch on the way to reclaim's lists ([`crate::frame`]'s `lru`) is
//! drained before references are compared.
//!
//! A truncation takes private copies past the new end, too; a hole leaves them (facts 7.8).
//!
//! Invariants:
//! - INV-TRUNC-1: when a page is taken out no entry of a shared mapping shows it, and none can be
//!   made.
//! - INV-TRUNC-2: a page that was taken out is never written to the store, and what is discarded
//!   there is discarded when the page's writeback, if one was under way, is over.
//! - INV-TRUNC-3: once the entries are gone and flushed, and a full barrier has passed, a page with
//!   no reference but the object's has no user: a lock-free pin that saw its entry has its
//!   reference already, or reads the entry again and gives up (facts 3.5).
//! - INV-TRUNC-4: an invalidation takes no dirty page out. It reads the counts before the mark: a
//!   device's owner marks the page first, and then drops the reference.

use core::ops::Range;

use crate::addr::{Pfn, VirtRange};
use crate::frame::Flags;
use crate::memory::Memory;
use crate::object::{Closed, Mapper, Object, PageError};
use crate::platform::{Invalidate, Platform};
use crate::rmap::Walk;
use crate::sync::{smp_mb, smp_rmb};
use crate::tlb::Gather;
use crate::zap::{Flushes, Which, Zap};

/// The end of all pages.
const END: u64 = u64::MAX;

impl<P: Platform> Memory<P> {
    /// Withdraws what entries there are for pages of an object.
    fn unmap_shown(&self, object: &Object<P>, pages: Range<u64>, which: Which) {
        object.mappers().walk(pages, self.platform(), |who, shown| {
            self.unmap_mapper(who, shown, which);
            Walk::On
        });
    }

    fn unmap_mapper(&self, who: Mapper, shown: Range<u64>, which: Which) {
        let mut pages = who.page(shown.start)..who.page(shown.end);
        let range = VirtRange::of_pages(pages.start, pages.end);
        let _changing = self.changing(who.mm.id, range, Invalidate::Clear);
        let mut gather = Gather::new(self, who.mm.id);
        while let Some((leaf, part)) = self.next_leaf(who.mm, pages.clone()) {
            pages.start = part.end;
            Zap::new(self, who.mm, which, Flushes::UnderLock).table(leaf, part, &mut gather);
            self.put_table(leaf.table);
        }
        gather.finish();
    }
}

impl<P: Platform> Closed<'_, P> {
    /// Withdraws all entries that show pages of the range: accesses wait from now on.
    pub(crate) fn unmap(&self, pages: Range<u64>, which: Which) {
        self.object().mem().unmap_shown(self.object(), pages, which);
    }

    /// The object has so many pages from now on.
    pub(crate) fn truncate(&mut self, count: u64) {
        let shorter = count < self.count();
        self.set_count(count);
        if shorter {
            self.unmap(count..END, Which::All);
            self.drop_pages(count..END);
        }
    }

    /// As [`Closed::truncate`]; `cut` is called with the frame of the last page, if there is one,
    /// under its lock. If that is on a swap device it is brought back before.
    ///
    /// # Errors
    /// When it does not come. Nothing has changed.
    pub(crate) fn truncate_within(
        &mut self,
        count: u64,
        cut: impl FnOnce(Pfn),
    ) -> Result<(), (u64, PageError)> {
        let last = count.checked_sub(1).filter(|last| *last < self.count());
        if let Some(last) = last {
            self.bring_back(last).map_err(|error| (last, error))?;
        }
        self.truncate(count);
        if let Some(pfn) = last.and_then(|last| self.get(last)) {
            let _locked = self.object().mem().lock_page(pfn);
            cut(pfn);
        }
        Ok(())
    }

    /// The pages of the range are zeros from now on.
    pub(crate) fn punch(&mut self, pages: Range<u64>) {
        self.unmap(pages.clone(), Which::Cached);
        self.drop_pages(pages);
    }

    /// Takes pages that nobody maps out, here and in the store.
    fn drop_pages(&mut self, pages: Range<u64>) {
        let object = self.object();
        self.take_out(pages.clone());
        if let Some(store) = object.store() {
            store.discard(object.mem().platform(), pages);
        }
    }

    /// The first page of the range that somebody uses in another way than by an entry.
    pub(crate) fn busy(&self, pages: Range<u64>) -> Option<u64> {
        self.unmap(pages.clone(), Which::Cached);
        self.object().mem().lru_add_drain_all();
        // INV-TRUNC-3.
        smp_mb();
        let frames = self.object().mem().frames();
        let held = |pfn| frames.counts_as(pfn, |counts| counts.refs() > 1);
        self.find_in(pages, held).map(|(index, _)| index)
    }

    /// Takes the pages of the range out that are clean and that nobody uses, so that the next
    /// access asks the store. The first page that stayed: where there is no store, the first that
    /// there is, in memory or on a swap device.
    pub(crate) fn invalidate(&mut self, pages: Range<u64>) -> Option<u64> {
        self.unmap(pages.clone(), Which::Cached);
        if self.object().store().is_none() {
            return self.first_in(pages);
        }
        self.object().mem().lru_add_drain_all();
        smp_mb();
        let frames = self.object().mem().frames();
        let stays = |pfn: Pfn| {
            // INV-TRUNC-4.
            let held = frames.counts_as(pfn, |counts| counts.refs() > 1);
            smp_rmb();
            held || frames.flags(pfn).contains(Flags::DIRTY)
        };
        let mut from = pages.start;
        let mut first = None;
        while let Some((index, _)) = self.find_in(from..pages.end, stays) {
            first = first.or(Some(index));
            self.take_out(from..index);
            from = index + 1;
        }
        self.take_out(from..pages.end);
        first
    }
}
