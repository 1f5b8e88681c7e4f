//! mremap: a mapping that grows, shrinks, or moves with its pages (facts 7.12).
//!
//! Protocol: the address space's lock is held for writing. What can fail comes first: the place,
//! the split of the old area, the tables of the new range, the place in the family that the moved
//! area will have. Then, while nobody walks the reverse map, each entry is taken out of its old
//! table and put into the new one, under both tables' locks, and the old range is flushed before
//! they are released (rule `remap-flush`). The area that is left behind has no entry any more, and
//! goes as an unmap goes, tables included; or stays empty, if it is to be kept.
//!
//! A pin keeps its page and its owner: the page moves to the new address, and the device has the
//! page that the owner finds there.
//!
//! Invariants:
//! - INV-REMAP-1: an entry that moves is found by a walk of the reverse map in one of the two
//!   places, or the walk waits.
//! - INV-REMAP-2: no CPU uses a translation of the old address when a page that moved can be freed
//!   from the new one.
//! - INV-REMAP-3: a remap that fails has moved nothing, and unmapped at most what was in the new
//!   place.

use core::ops::Range;

use crate::addr::{PageCount, VirtAddr, VirtRange, Vpn};
use crate::area::soft_dirty::SoftDirty;
use crate::area::{Area, AreaMap, Backing, Locked, View};
use crate::error::SpaceError;
use crate::event::EventKind;
use crate::platform::{Invalidate, Platform};
use crate::pte::Entry;
use crate::rules::RemapFlush;
use crate::space::{Place, Space};
use crate::table::{Cursor, Leaf, table_end};
use crate::tlb::FlushBatch;
use crate::uffd::UffdMode;

/// Where a remapped range may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remap {
    /// It stays where it is, or the remap fails.
    InPlace,
    /// Somewhere else if it cannot grow where it is (MREMAP_MAYMOVE).
    MayMove,
    /// Exactly there; what is mapped there goes (MREMAP_FIXED).
    To(VirtAddr),
    /// Somewhere else, and the old mapping stays, without its pages (MREMAP_DONTUNMAP). The size
    /// must not change.
    Keep,
}

/// A range and where it goes.
struct Move {
    from: VirtRange,
    to: VirtRange,
}

impl Move {
    /// By how many pages; wraps.
    fn by(&self) -> u64 {
        self.to.first_page().0.wrapping_sub(self.from.first_page().0)
    }

    /// Where a page goes.
    fn there(&self, page: Vpn) -> Vpn {
        Vpn(page.0.wrapping_add(self.by()))
    }
}

impl<P: Platform> Space<P> {
    pub(crate) fn remap(
        &self,
        range: VirtRange,
        pages: u64,
        how: Remap,
    ) -> Result<VirtRange, SpaceError> {
        let (range, pages) = (self.allowed(range)?, PageCount::new(pages)?.get());
        let mut map = self.write_map();
        let area = self.one_area(&map, range)?;
        if area.is_pooled() {
            return Err(SpaceError::HugePages(area.range.start()));
        }
        let locked = area.locked;
        let to = self.remap_locked(&mut map, range, pages, how)?;
        drop(map);
        if locked == Locked::Yes && range.pages() < pages {
            self.populate_locked(VirtRange::of_pages(
                to.first_page() + range.pages(),
                to.end_page(),
            ));
        }
        Ok(to)
    }

    /// As [`Space::remap`], for a caller that holds the lock and has checked the mapping.
    fn remap_locked(
        &self,
        map: &mut AreaMap<P>,
        range: VirtRange,
        pages: u64,
        how: Remap,
    ) -> Result<VirtRange, SpaceError> {
        match how {
            Remap::Keep if pages != range.pages() => Err(SpaceError::SizeChanges { pages }),
            Remap::Keep => {
                let to = self.gap(map, Place::Anywhere, pages)?;
                self.may_map(map, pages)?;
                self.move_area(map, &Move { from: range, to }, pages, how)
            }
            Remap::To(start) => {
                let to = self.allowed(VirtRange::new(start, pages)?)?;
                if to.intersection(range).is_some() {
                    return Err(SpaceError::Overlaps(to));
                }
                self.may_grow(
                    map,
                    self.one_area(map, range)?.locked,
                    pages.saturating_sub(range.pages()),
                )?;
                self.move_area(map, &Move { from: range, to }, pages, how)
            }
            Remap::InPlace | Remap::MayMove if pages <= range.pages() => {
                self.shrink(map, range, pages)
            }
            Remap::InPlace | Remap::MayMove => self.grow(map, range, pages, how),
        }
    }

    /// The area that holds all of `range`: a remap is of one mapping.
    fn one_area<'a>(
        &self,
        map: &'a AreaMap<P>,
        range: VirtRange,
    ) -> Result<&'a Area<P>, SpaceError> {
        map.all_mapped(range)?;
        let area = map.find(range.first_page());
        area.filter(|area| range.end_page() <= area.range.end_page())
            .ok_or(SpaceError::NotOneMapping(range))
    }

    /// Lets go of all but the first `pages` pages.
    fn shrink(
        &self,
        map: &mut AreaMap<P>,
        range: VirtRange,
        pages: u64,
    ) -> Result<VirtRange, SpaceError> {
        let end = range.first_page() + pages;
        if end < range.end_page() {
            self.unmap_locked(map, VirtRange::of_pages(end, range.end_page()))?;
        }
        Ok(VirtRange::of_pages(range.first_page(), end))
    }

    /// Makes the mapping longer, in its place if there is room behind it.
    fn grow(
        &self,
        map: &mut AreaMap<P>,
        range: VirtRange,
        pages: u64,
        how: Remap,
    ) -> Result<VirtRange, SpaceError> {
        let more = pages - range.pages();
        let area = self.one_area(map, range)?;
        self.may_grow(map, area.locked, more)?;
        let area_ends = area.range.end_page() == range.end_page();
        let room = range.end_page().0.checked_add(more).map(Vpn).filter(|_| area_ends);
        let behind = room.filter(|end| *end <= self.end_page());
        let behind = behind.map(|end| VirtRange::of_pages(range.end_page(), end));
        if let Some(behind) = behind.filter(|behind| map.first_in(*behind).is_none()) {
            self.lengthen_view(map, range.first_page(), behind.end_page());
            map.lengthen(range.first_page(), behind);
            self.merge(map, behind.end_page());
            return Ok(VirtRange::of_pages(range.first_page(), behind.end_page()));
        }
        if how == Remap::InPlace {
            return Err(SpaceError::NoGap { pages });
        }
        let to = self.gap(map, Place::Anywhere, pages)?;
        self.move_area(map, &Move { from: range, to }, pages, how)
    }

    /// Tells the object behind the area that holds `page`, if there is one, that the area is going
    /// to end at `end`.
    fn lengthen_view(&self, map: &AreaMap<P>, page: Vpn, end: Vpn) {
        let Some(area) = map.find(page) else { return };
        let Some(view) = area.backing.view() else { return };
        let (pages, end) = (view.indices(area.range), view.index(end));
        view.object.mappers().lengthen(view.mapper(self.mm()), pages, end, self.mem().platform());
    }

    /// Moves the mapping, of which at most `pages` pages are left.
    fn move_area(
        &self,
        map: &mut AreaMap<P>,
        whole: &Move,
        pages: u64,
        how: Remap,
    ) -> Result<VirtRange, SpaceError> {
        let cleared = matches!(how, Remap::To(_)).then_some(whole.to);
        let parts = [whole.from.first_page(), whole.from.end_page()]
            .into_iter()
            .filter(|page| map.split_by(*page).is_some())
            .count();
        self.may_hold(map, cleared, parts + 1)?;
        self.isolate(map, whole.from)?;
        let moved = self.move_isolated(map, whole, pages, how);
        let ends = |range: VirtRange| [range.first_page(), range.end_page()];
        for page in ends(whole.from).into_iter().chain(ends(whole.to)) {
            self.merge(map, page);
        }
        moved.map(|()| whole.to)
    }

    /// The same, for a range that is of areas of its own.
    fn move_isolated(
        &self,
        map: &mut AreaMap<P>,
        whole: &Move,
        pages: u64,
        how: Remap,
    ) -> Result<(), SpaceError> {
        let first = whole.from.first_page();
        let kept = VirtRange::of_pages(first, first + whole.from.pages().min(pages));
        let part = Move { from: kept, to: whole.to };
        // For itself, and for the parts of two areas that are cut where it goes.
        map.reserve(3)?;
        self.recall(map, whole.from);
        if let Remap::To(_) = how {
            self.unmap_locked(map, whole.to)?;
        }
        let Some(old) = map.find(first).cloned() else {
            return Err(SpaceError::NotMapped(first.start()));
        };
        let backing = self.moved_backing(&old.backing, &part)?;
        let uffd = old.uffd.after(UffdMode::EVENT_REMAP);
        let soft_dirty = SoftDirty::Whole;
        map.insert(Area { range: whole.to, backing, uffd, soft_dirty, ..old.clone() })?;
        if let Err(error) = self.make_tables(&part) {
            // A whole area, so that this needs no heap.
            self.unmap_locked(map, whole.to)?;
            return Err(error);
        }
        let changing = self.mem().changing(self.id(), kept, Invalidate::Clear);
        let late = self.while_nobody_walks(&old.backing, || self.move_entries(&part));
        if uffd.is_none() && old.uffd.has(UffdMode::WP) {
            self.clear_protection(whole.to);
        }
        if !uffd.is_none() {
            let kind = EventKind::UffdMoved { uffd: uffd.id, from: kept.start() };
            self.mem().tell(self.id(), whole.to.first_page(), kind);
        }
        late.finish(self.mem(), self.id());
        drop(changing);
        match how {
            Remap::Keep => {
                map.set_locked(first, Locked::No);
                Ok(())
            }
            Remap::InPlace | Remap::MayMove | Remap::To(_) => self.unmap_locked(map, whole.from),
        }
    }

    /// What the area will map in its new place: nothing maps it there yet.
    fn moved_backing(&self, backing: &Backing<P>, to: &Move) -> Result<Backing<P>, SpaceError> {
        let by = to.by();
        let home = |seat| self.mem().anon().moved(seat, by, self.mem().platform());
        let shown = |view: &View<P>| {
            let view = view.moved(by)?;
            self.join_view(&view, to.to).map(|()| view)
        };
        let view = backing.view().map(shown).transpose()?;
        let seat = match backing.seat().map(home).transpose() {
            Ok(seat) => seat,
            Err(error) => {
                if let Some(view) = &view {
                    self.leave_view(view, to.to);
                }
                return Err(error.into());
            }
        };
        Ok(Backing::of(seat, view))
    }

    /// Runs `change` while no walk of the reverse map is among the pages: INV-REMAP-1.
    fn while_nobody_walks<R>(&self, backing: &Backing<P>, change: impl FnOnce() -> R) -> R {
        let platform = self.mem().platform();
        let in_family = || match backing.seat() {
            Some(seat) => self.mem().anon().alone(seat, platform, change),
            None => change(),
        };
        match backing.view() {
            Some(view) => view.object.mappers().alone(platform, in_family),
            None => in_family(),
        }
    }

    /// Makes the tables that the entries will lie in.
    fn make_tables(&self, part: &Move) -> Result<(), SpaceError> {
        self.tables().for_each_leaf(part.from.numbers(), |_, pages| {
            let (mut page, end) = (part.there(pages.start), part.there(pages.end - 1));
            while page <= end {
                self.tables().leaf_or_make(page)?;
                page = table_end::<P::Format>(page);
            }
            Ok(())
        })
    }

    /// Moves all entries. What is returned is to be flushed: nothing, but under the hazardous
    /// variant of the rule `remap-flush`.
    fn move_entries(&self, part: &Move) -> FlushBatch {
        let mut late = FlushBatch::default();
        let done: Result<(), core::convert::Infallible> =
            self.tables().for_each_leaf(part.from.numbers(), |from, mut pages| {
                while pages.start < pages.end {
                    let there = part.there(pages.start);
                    let fit = table_end::<P::Format>(there).0 - there.0;
                    let stop = pages.end.min(pages.start + fit);
                    if let Ok(to) = self.tables().leaf(there) {
                        self.move_run(part, from, to, pages.start..stop, &mut late);
                    }
                    pages.start = stop;
                }
                Ok(())
            });
        let Ok(()) = done;
        late
    }

    /// Moves the entries of a run that lies in one table, to a run that lies in one table.
    fn move_run(
        &self,
        part: &Move,
        from: Leaf<'_, P>,
        to: Leaf<'_, P>,
        pages: Range<Vpn>,
        late: &mut FlushBatch,
    ) {
        let source = from.lock();
        self.flush_deferred(&source);
        // Within one table there is one lock. Nobody else takes two tables of this address space,
        // whose lock is held for writing.
        let other = (to.table != from.table).then(|| to.lock());
        let target = other.as_ref().unwrap_or(&source);
        let mut batch = FlushBatch::default();
        for page in crate::addr::each_page(pages) {
            self.move_entry(part, &source, target, page, &mut batch);
        }
        match self.mem().rule() {
            RemapFlush::UnderLock => batch.finish(self.mem(), self.id()),
            RemapFlush::AfterLocks => late.join(batch),
        }
    }

    #[inline]
    fn move_entry(
        &self,
        part: &Move,
        source: &Cursor<'_, P>,
        target: &Cursor<'_, P>,
        page: Vpn,
        batch: &mut FlushBatch,
    ) {
        if source.get(page).is_none() {
            return;
        }
        let old = source.withdraw(page);
        let (pte, there) = (old.pte(), part.there(page));
        if let Entry::Mapped(_) = pte.decode() {
            batch.note(page);
        }
        target.take_over(old, there);
        let from = page.start();
        let kind = match pte.decode() {
            Entry::Swap(entry) => EventKind::SwapRemapped { entry, from },
            Entry::None | Entry::Marker | Entry::Mapped(_) | Entry::Migration(_) => {
                EventKind::Remapped { pfn: pte.pfn(), from }
            }
        };
        self.mem().tell(self.id(), there, kind);
    }
}

#[cfg(test)]
mod tests;
