//! Which pages were stored to since that was last forgotten (`clear_refs` and pagemap's bit 55;
//! facts 7.6).
//!
//! Protocol: the fault of a store marks the entry, together with the hardware's dirty mark, and a
//! page that moves or is swapped out takes the mark along. To forget, each area is set to go by its
//! entries, under the address space's lock for writing; then each entry loses the mark and write
//! permission under its table's lock, with the address space's lock as the rule
//! `clear-refs-pinned` says; then one flush, before that lock is released. Who asks of a page reads
//! its entry under its table's lock: others withdraw entries for a while. An area that is mapped
//! later counts as stored to, as a whole, until the next time.
//!
//! An address space that never forgets has areas that count as a whole, so its entries gain write
//! permission as they would without all this.
//!
//! Invariants:
//! - INV-SOFT-1: in an area that goes by its entries, an entry that is writable, or a migration
//!   entry that remembers that, is soft-dirty.
//! - INV-SOFT-2: when the call returns, no CPU stores by a translation of an entry that is not
//!   soft-dirty.

use core::convert::Infallible;

use crate::addr::{VirtAddr, Vpn, each_page};
use crate::area::soft_dirty::SoftDirty;
use crate::area::{Area, AreaMap};
use crate::error::SpaceError;
use crate::event::EventKind;
use crate::platform::{Invalidate, Platform};
use crate::pte::{BitChange, Entry, Format, Migration, Pte};
use crate::rules::protect::{ClearsUnder, clears_under, spares_pinned};
use crate::space::Space;
use crate::table::{Cursor, Huge, Next, Part};
use crate::tlb::FlushBatch;

impl<P: Platform> Area<P> {
    /// Whether a store through the entry is to fault, so that it is seen: INV-SOFT-1.
    #[inline]
    pub(crate) fn awaits_store(&self, pte: Pte<P::Format>) -> bool {
        match self.soft_dirty {
            SoftDirty::Whole => false,
            SoftDirty::Entries => !pte.is_soft_dirty(),
        }
    }
}

impl<P: Platform> Space<P> {
    /// Forgets which pages were stored to.
    pub(crate) fn clear_soft_dirty(&self) -> Result<(), SpaceError> {
        if P::Format::SOFT_DIRTY == 0 {
            return Err(SpaceError::NoSoftDirty);
        }
        let mut map = self.write_map();
        self.go_by_entries(&mut map);
        match clears_under(self.mem().rule()) {
            ClearsUnder::WriteLock => self.clear_areas(&map),
            ClearsUnder::ReadLock => {
                drop(map);
                self.clear_areas(&self.read_map());
            }
        }
        Ok(())
    }

    /// Whether the page may have been stored to since then.
    pub(crate) fn is_soft_dirty(&self, at: VirtAddr) -> Result<bool, SpaceError> {
        let map = self.read_map();
        let area = map.find(at.page()).ok_or(SpaceError::NotMapped(at))?;
        Ok(match area.soft_dirty {
            SoftDirty::Whole => true,
            SoftDirty::Entries => self.tables().read_settled(at.page()).is_soft_dirty(),
        })
    }

    /// Has all areas go by their entries, but for huge pages of the pool, and merges those that are
    /// alike then. No fault is left in a copy of one.
    fn go_by_entries(&self, map: &mut AreaMap<P>) {
        let mut path = map.start();
        while let Some(area) = map.next_mut(&mut path) {
            if !area.is_pooled() {
                self.recalled(area).soft_dirty = SoftDirty::Entries;
            }
        }
        let mut from = Vpn(0);
        while let Some(first) = map.next_from(from).map(|area| area.range.first_page()) {
            self.merge(map, first);
            from = map.find(first).map_or(first + 1, |area| area.range.end_page());
        }
    }

    fn clear_areas(&self, map: &AreaMap<P>) {
        let mut batch = FlushBatch::default();
        for area in map.iter().filter(|area| area.soft_dirty == SoftDirty::Entries) {
            self.clear_area(area, &mut batch);
        }
        batch.finish(self.mem(), self.id());
    }

    fn clear_area(&self, area: &Area<P>, batch: &mut FlushBatch) {
        let _changing = self.mem().changing(self.id(), area.range, Invalidate::ProtectPage);
        let done: Result<(), Infallible> =
            self.tables().for_each_part(area.range.numbers(), |part, pages| match part {
                Part::Table(leaf) => {
                    let cursor = leaf.lock();
                    self.flush_deferred(&cursor);
                    each_page(pages).for_each(|page| self.clear_entry(area, &cursor, page, batch));
                    Ok(Next::On)
                }
                Part::Huge(huge) => Ok(self.clear_huge(area, &huge, batch)),
            });
        let Ok(()) = done;
    }

    fn clear_entry(
        &self,
        area: &Area<P>,
        cursor: &Cursor<'_, P>,
        page: Vpn,
        batch: &mut FlushBatch,
    ) {
        let pte = cursor.get(page);
        match pte.decode() {
            Entry::None | Entry::Marker => {}
            Entry::Swap(_) => cursor.set(page, pte.with_soft_dirty(false)),
            Entry::Migration(entry) => cursor.set(page, self.forgotten(entry)),
            Entry::Mapped(pfn) if self.is_spared(area, pte) => {
                // INV-SOFT-1: while its area counted as a whole it may have had no mark.
                cursor.mark(page, BitChange::Set(P::Format::SOFT_DIRTY));
                self.mem().tell(self.id(), page, EventKind::SoftDirtyKept(pfn));
            }
            Entry::Mapped(pfn) => {
                let old = cursor.withdraw(page);
                let new = old.pte().read_only().with_soft_dirty(false);
                cursor.restrict(old, new);
                // One that was not writable, too: a scan may have taken that and not flushed yet.
                batch.note(page);
                self.mem().tell(self.id(), page, EventKind::SoftDirtyCleared(pfn));
            }
        }
    }

    /// The same for a huge entry, all of whose pages are the area's (INV-HUGE-1).
    #[cold]
    #[inline(never)]
    fn clear_huge(&self, area: &Area<P>, huge: &Huge<'_, P>, batch: &mut FlushBatch) -> Next {
        let cursor = huge.lock();
        let Some(pte) = cursor.get() else { return Next::Again };
        let (first, end) = (huge.pages().start, huge.pages().end);
        match pte.decode() {
            Entry::Migration(entry) => cursor.set(self.forgotten(entry)),
            Entry::Mapped(head) if self.is_spared(area, pte) => {
                cursor.grant(pte, pte.with_soft_dirty(true));
                self.mem().tell_each(self.id(), (first, head), EventKind::SoftDirtyKept);
            }
            Entry::Mapped(head) => {
                let old = cursor.invalidate(pte);
                let new = old.pte().read_only().with_soft_dirty(false);
                cursor.restrict(old, new);
                batch.note(first);
                batch.note(end - 1);
                self.mem().tell_each(self.id(), (first, head), EventKind::SoftDirtyCleared);
            }
            Entry::None | Entry::Marker | Entry::Swap(_) => {}
        }
        Next::On
    }

    /// What a migration entry becomes: it loses write permission as by mprotect, so that the page
    /// does not come back writable (INV-SOFT-1).
    fn forgotten(&self, entry: Migration) -> Pte<P::Format> {
        let kind = self.downgraded(entry);
        Pte::migration(Migration { kind, soft_dirty: false, ..entry })
    }

    /// Whether an entry keeps write permission, and with it the mark, as a device may have its page
    /// pinned.
    fn is_spared(&self, area: &Area<P>, pte: Pte<P::Format>) -> bool {
        pte.is_writable()
            && area.is_cow()
            && spares_pinned(self.mem().rule())
            && self.has_pinned.read_once() != 0
            && pte.counted().is_some_and(|pfn| self.mem().maybe_pinned(pfn))
    }
}

#[cfg(test)]
mod tests;
