//! Pages whose contents may go: MADV_FREE, and reclaim that drops them in place of writing them
//! (facts 7.2, 7.7).
//!
//! Protocol: the advice makes the page and its entry clean, under the page's lock, which is tried,
//! and its table's, and flushes before the address space's lock is released, so that a store marks
//! the entry again. Who takes such a page out of memory has its lock; he takes each entry out and
//! flushes it, and then asks, after a full barrier: who refers to the page, and after that, whether
//! it is dirty. Who has stored by a reference marks the page before he drops it, so that one of the
//! two shows it.
//!
//! On a machine with lists ([`crate::pressure`]) such a page is among those of files, which leave
//! without a swap device, if it was on its list; it is among the private ones again when reclaim
//! finds that it was stored to.
//!
//! Small pages that one address space maps are marked; others stay as they are. What is on a swap
//! device goes at once, with its entry. A page that moves or goes to a swap device is an ordinary
//! one from then on.
//!
//! Invariants:
//! - INV-LAZY-1: contents go only if nobody has stored to the page since the advice, by an entry;
//!   nor, under the rule `lazy-free` since 5.18, while somebody refers to it.
//! - INV-LAZY-2: no page with the mark enters the swap cache, and none that is there gets it: both
//!   are decided under the page's lock.

use core::convert::Infallible;

use crate::addr::{Mm, Pfn, VirtRange, Vpn, each_page};
use crate::area::{Area, Locked};
use crate::error::SpaceError;
use crate::event::EventKind;
use crate::frame::{Flags, Put};
use crate::memory::Memory;
use crate::migrate::Isolated;
use crate::platform::{Invalidate, Platform};
use crate::pte::{Entry, Pte};
use crate::rules::swap::counts_references;
use crate::space::Space;
use crate::swap::Slot;
use crate::sync::smp_mb;
use crate::table::{Cursor, Next, Part};
use crate::tlb::FlushBatch;

impl<P: Platform> Space<P> {
    /// MADV_FREE.
    pub(crate) fn free_lazily(&self, range: VirtRange) -> Result<(), SpaceError> {
        let map = self.read_map();
        let suits = |area: &Area<P>| area.is_cow() && area.is_anon() && !area.is_pooled();
        for area in map.overlapping(range) {
            let at = area.range.start().max(range.start());
            match area.locked {
                _ if !suits(area) => return Err(SpaceError::WrongKind(at)),
                Locked::Yes => return Err(SpaceError::Locked(at)),
                Locked::No => {}
            }
        }
        self.mem().lru_add_drain();
        let mut batch = FlushBatch::default();
        let _changing = self.mem().changing(self.id(), range, Invalidate::Clear);
        let done: Result<(), Infallible> =
            self.tables().for_each_part(range.numbers(), |part, pages| {
                // A large folio stays as it is.
                let Part::Table(leaf) = part else { return Ok(Next::On) };
                let cursor = leaf.lock();
                self.flush_deferred(&cursor);
                each_page(pages).for_each(|page| self.free_entry(&cursor, page, &mut batch));
                Ok(Next::On)
            });
        let Ok(()) = done;
        batch.finish(self.mem(), self.id());
        map.all_mapped(range)
    }

    fn free_entry(&self, cursor: &Cursor<'_, P>, page: Vpn, batch: &mut FlushBatch) {
        let (mem, pte) = (self.mem(), cursor.get(page));
        let pfn = match pte.decode() {
            Entry::Mapped(pfn) => pfn,
            Entry::Swap(entry) => {
                cursor.set(page, Pte::NONE);
                mem.tell(self.id(), page, EventKind::SwapZapped(entry));
                return mem.forget_slot(Slot::of(entry));
            }
            Entry::None | Entry::Marker | Entry::Migration(_) => return,
        };
        if pte.is_special() || mem.frames().is_large(pfn) || mem.may_be_shared(pfn) {
            return;
        }
        let Some(_locked) = mem.try_lock_page(pfn) else { return };
        // A merged page is that of all who come to map it, and they have not said so.
        if mem.merged(pfn).is_some() {
            return;
        }
        mem.leave_swap(pfn);
        let flags = mem.frames().flags(pfn);
        if !flags.contains(Flags::ANON) || flags.contains(Flags::SWAP_CACHE) {
            return;
        }
        mem.frames().free_lazily(pfn);
        mem.lru_lazy(pfn);
        let old = cursor.withdraw(page);
        let clean = old.pte().clean().old();
        cursor.restrict(old, clean);
        batch.note(page);
        mem.tell(self.id(), page, EventKind::LazyFreed(pfn));
    }
}

/// Why a page keeps its contents.
enum Kept {
    /// It was stored to: it is an ordinary page again.
    Dirty,
    /// Somebody refers to it.
    Referred,
}

impl<P: Platform> Memory<P> {
    /// Whether a page's contents may go: for certain only to who has its lock (INV-LAZY-2).
    pub(crate) fn is_lazy(&self, pfn: Pfn) -> bool {
        let flags = self.frames().flags(pfn);
        flags.contains(Flags::LAZY_FREE | Flags::ANON) && !flags.contains(Flags::SWAP_CACHE)
    }

    /// Frees a page whose contents may go, unless it was stored to, or is in use; whether it did.
    pub(crate) fn discard(&self, page: Isolated<'_, P>) -> bool {
        let pfn = page.head();
        self.counters().pgscan_anon.add(1);
        let Some(locked) = self.try_lock_page(pfn) else { return false };
        if !self.is_lazy(pfn) || self.frames().locks(pfn).read_once() != 0 {
            return false;
        }
        let kept = self.take_entries(pfn, |at, cursor| self.discard_entry(at, cursor));
        if let Err(Kept::Dirty) = kept {
            self.frames().keep_contents(pfn);
            self.lru_kept(pfn);
        }
        // The isolation's reference is the last one.
        let free = kept.is_ok() && self.freeze_clean(pfn);
        drop(locked);
        if free {
            page.end();
            self.tell_frame(EventKind::LazyGone(pfn));
            self.counters().pgsteal_anon.add(1);
            self.after_put(pfn, Put::Last);
        }
        free
    }

    /// Takes an entry out, for good if its page may go.
    fn discard_entry(&self, (mm, page): (Mm, Vpn), cursor: &Cursor<'_, P>) -> Result<(), Kept> {
        let gone = self.flush_withdrawn(mm.id, cursor.withdraw(page));
        let old = gone.pte();
        let pfn = old.pfn();
        if old.is_dirty() {
            self.frames().mark_dirty(pfn);
        }
        // INV-LAZY-1. Against a lock-free walk, which takes its reference and looks again.
        smp_mb();
        let counts = self.frames().counts_acquire(pfn);
        let kept = if self.frames().flags(pfn).contains(Flags::DIRTY) {
            Some(Kept::Dirty)
        } else if counts_references(self.rule()) && counts.refs() != 1 + counts.maps() {
            Some(Kept::Referred)
        } else {
            None
        };
        if let Some(kept) = kept {
            cursor.put_back(gone);
            self.tell(mm.id, page, EventKind::LazyKept(pfn));
            return Err(kept);
        }
        let left = if old.is_uffd_wp() { Pte::marker() } else { Pte::NONE };
        cursor.publish(gone, left);
        self.drop_small_map(pfn);
        self.tell(mm.id, page, EventKind::LazyDropped(pfn));
        self.put(pfn, 1);
        Ok(())
    }

    /// Takes the last reference of a page that nothing maps, if it is the last one and the page is
    /// clean.
    fn freeze_clean(&self, pfn: Pfn) -> bool {
        let page = self.frames().page(pfn);
        if page.freeze(1).is_err() {
            return false;
        }
        if page.flags().contains(Flags::DIRTY) {
            page.thaw(1);
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests;
