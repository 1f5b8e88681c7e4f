//! Merging equal pages, and undoing it (Linux: KSM; facts 7.1): what is done to one address space.
//! [`crate::merger`] finds the pages.
//!
//! Protocol: a page that is to be merged is isolated, and locked; the lock is tried. Under its
//! table's lock the entry is *protected*: it is taken out and flushed, and goes back clean and
//! without write permission, unless more refers to the page than entries and the isolation, or,
//! where rules know the mark, the page has it and may be pinned (facts 3.5, A1 to A3). An entry
//! that neither was written through nor can be, of a page without the mark, stays as it is, and
//! nobody asks who refers to its page. Then
//! - the page itself becomes a *merged* one, which stands for all equal ones, or
//! - without the table's lock it is compared with a merged page, which is locked, too, or with the
//!   zero page; and if they are equal, and the entry is still as it was protected, that takes its
//!   place, after a flush.
//!
//! A merged page has no home, as entries anywhere may map it; whom the merger has found, it has in
//! its lists. No reverse map leads to those entries: who walks from pages to entries, to migrate,
//! to swap out, to reclaim or to split, isolates the page first, and is refused, as for a page that
//! somebody else moves. Such a page is on no LRU list. It goes when its last entry goes; reads and
//! forks use it as any other page. A pin for reading makes a copy before, where rules know the mark
//! (facts 3.6).
//!
//! Invariants:
//! - INV-MERGE-1: a merged page is writable through no entry, and never has the mark. So CPUs leave
//!   its contents as they were when it became one, and they may be compared without a lock. So do
//!   devices, where rules know the mark. Where they do not, an ordinary reference for writing that
//!   a page has kept over a swap-out, which leaves its entry clean and read-only, is not asked for:
//!   what that device stores then, all who map the merged page see (facts 7.1, a gap of Linux's).
//! - INV-MERGE-2: an entry changes its page only for one of equal contents, between a protection
//!   and a second look at the entry which find that no CPU can write to it.
//! - INV-MERGE-3: a page with the mark that is pinned keeps its entry and its mark.
//! - INV-MERGE-4: whoever isolates a page finds it merged or not until he lets it go: it becomes
//!   one only isolated, and a merged one cannot be isolated.
//! - INV-MERGE-5: a page is merged only if the area that shows it was advised so at that time.

use core::ops::Range;

use crate::addr::{Pfn, VirtRange, Vpn, each_page};
use crate::area::Area;
use crate::error::{FaultError, SpaceError};
use crate::event::EventKind;
use crate::fault::{Rights, Want};
use crate::frame::{Counts, Flags, Grab, Sizes};
use crate::memory::Memory;
use crate::migrate::Isolated;
use crate::page::PageLock;
use crate::platform::{Invalidate, Platform, Words};
use crate::pte::{Entry, Pte};
use crate::rmap::Home;
use crate::rules::cow::sets_exclusive;
use crate::space::Space;
use crate::table::{Cursor, Leaf, Next, Part};
use crate::taken::{Mark, Remembers};

/// What becomes of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Becomes {
    /// It becomes the merged page of this number itself.
    Merged(u64),
    /// This page takes its place, if that is the merged page of this number.
    Page(Pfn, u64),
    /// The zero page takes its place.
    Zero,
}

/// Why a page stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stays {
    /// It is not mapped there any more, or was changed meanwhile.
    Changed,
    /// Others refer to it, or have it locked or isolated, or it is on a swap device.
    Busy,
    /// It is not equal.
    Differs,
}

/// A reference on a page; given back on drop.
#[must_use = "the reference is given back on drop"]
pub(crate) struct Kept<'m, P: Platform> {
    mem: &'m Memory<P>,
    pub(crate) pfn: Pfn,
}

impl<'m, P: Platform> Kept<'m, P> {
    /// One more reference on a page that the caller keeps alive.
    fn of(mem: &'m Memory<P>, pfn: Pfn) -> Self {
        mem.get(pfn, 1);
        Self { mem, pfn }
    }
}

impl<P: Platform> Drop for Kept<'_, P> {
    fn drop(&mut self) {
        self.mem.put(self.pfn, 1);
    }
}

impl<P: Platform> Memory<P> {
    /// The number of a merged page, if it is one now.
    pub(crate) fn merged(&self, pfn: Pfn) -> Option<u64> {
        self.frames().page(pfn).merged()
    }

    /// A reference on the merged page of this number, if the frame is still that.
    pub(crate) fn keep_merged(&self, pfn: Pfn, number: u64) -> Option<Kept<'_, P>> {
        if self.merged(pfn) != Some(number) {
            return None;
        }
        let Grab::Taken(counted) = self.frames().try_reference(pfn, || self.rule()) else {
            return None;
        };
        let kept = Kept { mem: self, pfn: counted };
        // It may have been freed, and be something else, since.
        (counted == pfn && self.merged(pfn) == Some(number)).then_some(kept)
    }

    /// A merged page becomes one of its last user's, who writes to it (facts 1.1 step 1). He has
    /// its lock and that of its table.
    #[cold]
    #[inline(never)]
    pub(crate) fn end_merged(&self, pfn: Pfn, (home, page): (Home, Vpn)) {
        self.frames().page(pfn).end_merged(home, page);
        self.lru_add(pfn);
    }
}

impl<P: Platform> Space<P> {
    /// Whether any of its areas asks for merging.
    pub(crate) fn may_merge(&self) -> bool {
        self.read_map().iter().any(Area::may_merge)
    }

    /// The first page from `from` on that may be merged, or is: where it is mapped, with a
    /// reference.
    pub(crate) fn next_to_merge(&self, from: Vpn) -> Option<(Vpn, Kept<'_, P>)> {
        let (map, end) = (self.read_map(), self.end_page());
        if from >= end {
            return None;
        }
        let areas = map.overlapping(VirtRange::of_pages(from, end));
        areas.filter(|area| area.may_merge()).find_map(|area| {
            self.first_mapped(from.max(area.range.first_page())..area.range.end_page())
        })
    }

    fn first_mapped(&self, pages: Range<Vpn>) -> Option<(Vpn, Kept<'_, P>)> {
        let found = self.tables().for_each_part(pages, |part, run| {
            // Large folios, and what one entry maps, stay as they are.
            let Part::Table(leaf) = part else { return Ok(Next::On) };
            let cursor = leaf.lock();
            let mut found = each_page(run).filter_map(|page| {
                let pfn = self.candidate(cursor.get(page))?;
                Some((page, Kept::of(self.mem(), pfn)))
            });
            found.next().map_or(Ok(Next::On), Err)
        });
        found.err()
    }

    /// The page of an entry that may be merged, or is.
    fn candidate(&self, pte: Pte<P::Format>) -> Option<Pfn> {
        let pfn = pte.counted().filter(|_| !pte.is_hint())?;
        let frames = self.mem().frames();
        (frames.flags(pfn).contains(Flags::ANON) && !frames.is_large(pfn)).then_some(pfn)
    }

    /// What is mapped at a page that may be merged, with a reference.
    pub(crate) fn page_to_merge(&self, page: Vpn) -> Option<Kept<'_, P>> {
        let map = self.read_map();
        let _area = map.find(page).filter(|area| area.may_merge())?;
        let (_, kept) = self.first_mapped(page..page + 1)?;
        Some(kept)
    }

    /// Whether the zero page is mapped at a page.
    pub(crate) fn shows_zeros(&self, page: Vpn) -> bool {
        let map = self.read_map();
        map.find(page).is_some() && self.walk(page).is_special()
    }

    /// Undoes what was merged in a range.
    pub(crate) fn unmerge(&self, range: VirtRange) -> Result<(), SpaceError> {
        // Where nothing is mapped, no table need be any more.
        let map = self.read_map();
        for area in map.overlapping(range) {
            let Some(part) = area.range.intersection(range) else { continue };
            let mut from = part.first_page();
            while let Some(page) = self.first_merged(from..part.end_page()) {
                self.fault_at(&map, page, Want::Unshare, Rights::Forced).map_err(short)?;
                from = page;
            }
        }
        Ok(())
    }

    /// Undoes all that was merged.
    pub(crate) fn unmerge_all(&self) -> Result<(), SpaceError> {
        let end = self.end_page();
        if end == Vpn(0) { Ok(()) } else { self.unmerge(VirtRange::of_pages(Vpn(0), end)) }
    }

    fn first_merged(&self, pages: Range<Vpn>) -> Option<Vpn> {
        let merged = |leaf: Leaf<'_, P>, page: Vpn| match leaf.read(page).decode() {
            Entry::Mapped(pfn) if !leaf.read(page).is_special() => self.mem().merged(pfn).is_some(),
            _ => false,
        };
        let found = self.tables().for_each_part(pages, |part, run| match part {
            Part::Table(leaf) => {
                each_page(run).find(|page| merged(leaf, *page)).map_or(Ok(Next::On), Err)
            }
            Part::Huge(_) => Ok(Next::On),
        });
        found.err()
    }

    /// Takes the write permission of an entry away, with what CPUs have of it; the entry then. The
    /// page is isolated, and locked.
    fn protect_to_merge(
        &self,
        cursor: &Cursor<'_, P>,
        (page, pfn): (Vpn, Pfn),
    ) -> Result<Pte<P::Format>, Stays> {
        let (mem, pte) = (self.mem(), cursor.get(page));
        self.flush_deferred(cursor);
        if !pte.maps_counted(pfn) || pte.is_hint() {
            return Err(Stays::Changed);
        }
        let marked = mem.frames().counts_as(pfn, Counts::is_exclusive);
        if !pte.is_writable() && !pte.is_dirty() && !marked && !self.flushes_late() {
            return Ok(pte);
        }
        let gone = mem.flush_withdrawn(self.id(), cursor.withdraw(page));
        // The isolation's reference, and those of the entries. What those did who had another comes
        // before the comparison of contents.
        let counts = mem.frames().counts_acquire(pfn);
        let remembers = Remembers::by(sets_exclusive(mem.rule()));
        // INV-MERGE-3.
        if counts.refs() != counts.maps() + 1 || mem.take_mark(pfn, remembers) == Mark::Kept {
            cursor.put_back(gone);
            mem.tell(self.id(), page, EventKind::KsmKept(pfn));
            return Err(Stays::Busy);
        }
        let old = gone.pte();
        if old.is_dirty() {
            mem.mark_dirty(pfn);
        }
        let left = old.clean().read_only();
        cursor.publish(gone, left);
        Ok(left)
    }

    /// Whether entries may have lost write permission that CPUs have still cached, as whoever took
    /// it flushes later.
    fn flushes_late(&self) -> bool {
        self.zapping.load_acquire() != 0 || self.uffd_late.load_acquire() != 0
    }
}

/// What keeps a merged page from being copied.
fn short(error: FaultError) -> SpaceError {
    match error {
        FaultError::OutOfFrames => SpaceError::OutOfFrames,
        FaultError::OverLimit { limit } => SpaceError::OverLimit { limit },
        FaultError::NoMemory => SpaceError::NoMemory,
        FaultError::NoHugePage => SpaceError::NoHugePage,
        // The page is private memory's, and mapped: nobody else is asked.
        FaultError::NotMapped(at)
        | FaultError::Denied(at)
        | FaultError::PastEnd(at)
        | FaultError::Store(at, _)
        | FaultError::Userfault { at, .. } => SpaceError::NotMapped(at),
    }
}

impl<P: Words> Space<P> {
    /// Merges the page that `kept` is a reference of, if it is still mapped there and may be.
    pub(crate) fn merge_page(
        &self,
        page: Vpn,
        kept: Kept<'_, P>,
        becomes: Becomes,
    ) -> Result<(), Stays> {
        let (mem, pfn, map) = (self.mem(), kept.pfn, self.read_map());
        let area = map.find(page).filter(|area| area.may_merge()).ok_or(Stays::Changed)?;
        let isolated = mem.isolate(pfn, Sizes::Small).ok_or(Stays::Busy)?;
        // From now on the isolation keeps the page.
        drop(kept);
        let lock = mem.try_lock_page(pfn).ok_or(Stays::Busy)?;
        mem.leave_swap(pfn);
        if mem.is_swap_cached(pfn) {
            return Err(Stays::Busy);
        }
        let leaf = self.tables().leaf(page).map_err(|_| Stays::Changed)?;
        let _changing = mem.changing(self.id(), page.alone(), Invalidate::Clear);
        let protected = self.protect_to_merge(&leaf.lock(), (page, pfn))?;
        match becomes {
            Becomes::Merged(number) => {
                self.stand_for(page, (isolated, lock), number);
                Ok(())
            }
            Becomes::Page(to, number) => {
                // INV-MERGE-1: whoever ends it has its lock.
                let _of_merged = mem.try_lock_page(to).ok_or(Stays::Busy)?;
                if mem.merged(to) != Some(number) {
                    return Err(Stays::Changed);
                }
                self.replace((area, leaf, page), protected, to)
            }
            Becomes::Zero => self.replace((area, leaf, page), protected, mem.zero_page()),
        }
    }

    /// Makes an isolated and locked page, whose entry is protected, a merged one.
    fn stand_for(
        &self,
        page: Vpn,
        (isolated, lock): (Isolated<'_, P>, PageLock<'_, P>),
        number: u64,
    ) {
        let pfn = isolated.head();
        self.mem().frames().keep_contents(pfn);
        self.mem().lru_kept(pfn);
        self.mem().frames().page(pfn).merge(number);
        drop(lock);
        isolated.leave_lists();
        self.mem().tell(self.id(), page, EventKind::KsmStable(pfn));
    }

    /// Puts `to`, whose contents do not change, in the place of the page of a protected entry, if
    /// they are equal: INV-MERGE-2.
    fn replace(
        &self,
        (area, leaf, page): (&Area<P>, Leaf<'_, P>, Vpn),
        protected: Pte<P::Format>,
        to: Pfn,
    ) -> Result<(), Stays> {
        let (mem, pfn) = (self.mem(), protected.pfn());
        if !mem.platform().is_same(pfn, to) {
            return Err(Stays::Differs);
        }
        let cursor = leaf.lock();
        if cursor.get(page) != protected {
            return Err(Stays::Changed);
        }
        let flushed = mem.flush_withdrawn(self.id(), cursor.withdraw(page));
        cursor.publish(flushed, self.equal(area, protected, to));
        mem.drop_mapping(protected, self.id());
        drop(cursor);
        mem.tell(self.id(), page, EventKind::KsmMerged { from: pfn, to });
        mem.put(pfn, 1);
        Ok(())
    }

    /// The entry that maps `to` in place of a protected one.
    fn equal(&self, area: &Area<P>, old: Pte<P::Format>, to: Pfn) -> Pte<P::Format> {
        let pte = Pte::mapping(to, area.prot.reach()).with_soft_dirty(old.is_soft_dirty());
        let pte = if old.is_uffd_wp() { pte.uffd_wp() } else { pte };
        if to == self.mem().zero_page() {
            return pte.special();
        }
        self.mem().get_small_map(to);
        self.in_area(area, pte)
    }
}

#[cfg(test)]
mod tests;
