//! How a page of a file leaves memory: nothing is written, as its file can be read again, and a
//! page that is dirty stays (facts 7.2).
//!
//! Protocol: the page is isolated, and locked by trying. Its entries are found by those who map the
//! file, and taken out under their tables' locks, all but those that are locked in memory; an entry
//! that was stored through marks the page. Then comes the flush of the batch. Then the file's page
//! list is tried, for writing: the list comes before the page's lock, so nobody sleeps for it here.
//! With it, nobody is between a look-up and an entry; the page's references are taken away in one
//! step if they are those of the list and of the isolation, so that a lock-free pin, which may
//! still have the entry in hand, finds no page, and looks again; and only then the mark is asked
//! for. The page's place has its shadow from then on ([`crate::workingset`]).
//!
//! What is dirty is not written here, nor by the background: it is unmapped, and goes to the list
//! of those in use, and whoever writes files back ([`crate::File::sync`]) makes it clean, as in
//! Linux, where reclaim wakes the flusher. The counter `nr_vmscan_immediate_reclaim` tells the
//! embedder, who is the flusher here, that there is something to do.
//!
//! Invariants:
//! - INV-CACHED-1: no page of a file leaves before the flush of its entries.
//! - INV-CACHED-2: what leaves was clean after its last reference but two, those of its file and of
//!   the isolation, was gone: who stores by a reference marks the page before he drops it, and who
//!   stores by an entry marks it before he has that (INV-BACK-3).
//! - INV-CACHED-3: the list has the page until its references are taken away, and has it no more
//!   when its lock is free: who looks it up finds a page that lives, or reads the file.
//! - INV-CACHED-4: a page that is locked in memory, is being written, has left its file, or is in
//!   the hands of a fault, a move or a truncation, which have its lock or the list, stays.

use crate::addr::{Mm, Pfn, Vpn};
use crate::event::EventKind;
use crate::frame::{Flags, List, Put};
use crate::memory::Memory;
use crate::migrate::Isolated;
use crate::object::Listed;
use crate::page::PageLock;
use crate::platform::{Invalidate, Platform};
use crate::pte::Pte;
use crate::rmap::Walk;
use crate::rmap_walk::OfObject;
use crate::rules::swap::{batches_flushes, keeps_pinned_unmapped};
use crate::table::Cursor;
use crate::taken::Flush;
use crate::tlb::DeferredFlush;

use super::{Leaving, Left, REFERENCES, To};

/// Why a page stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stays {
    /// It is in use, or was: it goes to the list of those in use.
    InUse,
    /// It was not to be had just now.
    Busy,
}

impl<P: Platform> Memory<P> {
    /// Locks a page; none, if it stays as it is.
    pub(super) fn prepare_cached<'m>(&'m self, page: Isolated<'m, P>) -> Option<Leaving<'m, P>> {
        self.counters().pgscan_file.add(1);
        let pfn = page.head();
        let lock = self.try_lock_page(pfn)?;
        if self.frames().locks(pfn).read_once() != 0 {
            return None;
        }
        let listed = self.frames().flags(pfn).is_cached();
        listed.then_some(Leaving { lock: Some(lock), page, to: To::File })
    }

    /// Takes the entries of a page out.
    pub(super) fn drop_entries(&self, pfn: Pfn, deferred: &mut DeferredFlush) {
        if !self.frames().folio(pfn).is_mapped() {
            // Who maps it from now on is found with the list.
            return;
        }
        let Some(at) = self.listed_at(pfn) else { return };
        let who = OfObject { mappers: &at.cache.mappers, index: at.index };
        self.visit_entries(&who, |mm, page, leaf| {
            let _changing = self.changing(mm.id, page.alone(), Invalidate::Clear);
            let cursor = leaf.lock();
            let pte = cursor.get(page);
            if pte.maps_counted(pfn) && !pte.is_locked() {
                self.drop_entry_of(pfn, (mm, page), &cursor, deferred);
            }
            Walk::On
        });
    }

    fn drop_entry_of(
        &self,
        pfn: Pfn,
        (mm, page): (Mm, Vpn),
        cursor: &Cursor<'_, P>,
        deferred: &mut DeferredFlush,
    ) {
        let flush = if batches_flushes(self.rule()) { Flush::Deferred } else { Flush::Now };
        let gone = self.take_entry((mm, page), cursor, flush);
        let old = gone.pte();
        if old.is_dirty() {
            self.mark_dirty(pfn);
        }
        let left = if old.is_uffd_wp() { Pte::marker() } else { Pte::NONE };
        self.replace_gone(gone, (mm, page), cursor, left, deferred);
        self.drop_small_map(pfn);
        self.tell(mm.id, page, EventKind::CacheUnmapped(pfn));
        self.put(pfn, 1);
    }

    /// Frees a page whose entries are out, if nothing maps it, nobody else refers to it, and it is
    /// clean.
    pub(super) fn finish_cached(
        &self,
        lock: Option<PageLock<'_, P>>,
        page: Isolated<'_, P>,
    ) -> Left {
        let pfn = page.head();
        let left = match self.listed_at(pfn) {
            Some(at) => self.leave_cache(pfn, &at),
            None => Err(Stays::Busy),
        };
        drop(lock);
        match left {
            Ok(()) => {
                page.end();
                self.tell_frame(EventKind::CacheReclaimed(pfn));
                self.counters().pgsteal_file.add(1);
                self.after_put(pfn, Put::Last);
                return Left::Freed;
            }
            Err(Stays::InUse) if self.frames().has_lists() => {
                self.counters().pgactivate.add(1);
                self.age_by_use(pfn);
                page.put_back_to(List::Active);
            }
            Err(Stays::InUse | Stays::Busy) => {}
        }
        Left::Kept
    }

    /// Takes a page out of its file, and its references away.
    fn leave_cache(&self, pfn: Pfn, at: &Listed) -> Result<(), Stays> {
        // What those did who had a reference comes before the look at the mark.
        if self.frames().counts_acquire(pfn).maps() != 0 {
            return Err(Stays::Busy);
        }
        if keeps_pinned_unmapped(self.rule()) && self.maybe_pinned(pfn) {
            self.tell_frame(EventKind::SwapPinned(pfn));
            return Err(Stays::InUse);
        }
        if self.frames().flags(pfn).contains(Flags::DIRTY) {
            return Err(self.met_dirty(pfn));
        }
        let Some(mut list) = at.cache.list.try_write(self.platform()) else {
            return Err(Stays::Busy);
        };
        let page = self.frames().page(pfn);
        if let Err(counts) = page.freeze(REFERENCES) {
            let refs = counts.refs();
            self.tell_frame(EventKind::CacheBusy { pfn, refs, expected: REFERENCES });
            return Err(Stays::Busy);
        }
        // After the references: who has changed the page did so before he dropped his (facts 7.2).
        if page.flags().contains(Flags::DIRTY) {
            page.thaw(REFERENCES);
            return Err(self.met_dirty(pfn));
        }
        list.evict(at.index, self.shadow_of(pfn));
        self.uncache(pfn);
        Ok(())
    }

    fn met_dirty(&self, pfn: Pfn) -> Stays {
        self.counters().nr_vmscan_immediate_reclaim.add(1);
        self.tell_frame(EventKind::CacheDirty(pfn));
        Stays::InUse
    }
}

#[cfg(test)]
mod tests;
