//! Areas: the runs of pages that an address space has mapped (Linux: VMAs), and the map that holds
//! them.
//!
//! Protocol: the map is under the address space's lock. Faults and pins read it; map, unmap,
//! protect, advise and fork write it. CPUs may have copies of areas ([`delegates`]), which who
//! writes recalls first ([`crate::delegate`]).
//!
//! Invariants:
//! - INV-AREA-1: areas are disjoint and never empty.
//! - INV-AREA-2: neighbours that could be one area are one, provided that both belong to the same
//!   family.
//! - INV-AREA-3: a change that splits reserves its nodes first; from then on it cannot fail.

mod backing;
pub(crate) mod delegates;
pub(crate) mod pages;
mod prot;
pub(crate) mod soft_dirty;
mod tree;
pub(crate) mod trim;

use core::ops::Range;

use crate::addr::{VirtAddr, VirtRange, Vpn};
use crate::error::{NoMemory, SpaceError};
use crate::platform::Platform;
use crate::sync::{Latch, Marks};
use crate::uffd::Registration;

use pages::PageSize;
use soft_dirty::SoftDirty;
use tree::copy::Copy as TreeCopy;
use tree::{AreaTree, Hole, Path, Span};

pub(crate) use backing::{Backing, View};
pub use prot::{ParseProtError, Prot};

bitflags::bitflags! {
    /// What advice has said of an area: what a child does not get of it at fork (facts 2.1), how
    /// large its folios may be, and if its pages may be merged with equal ones. A child's area is
    /// advised as the parent's.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct Advised: u8 {
        /// The area itself: MADV_DONTFORK. The parent's entries stay as they are.
        const LEAVE = 1;
        /// The contents: MADV_WIPEONFORK.
        const WIPE = 2;
        /// Large folios are welcome: MADV_HUGEPAGE.
        const LARGE = 4;
        /// Small pages only: MADV_NOHUGEPAGE.
        const SMALL = 8;
        /// Equal pages may be merged: MADV_MERGEABLE.
        const MERGE = 16;
    }
}

/// Whether an area grows when an access faults beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Grows {
    /// It stays as it was mapped.
    No,
    /// Below its first page: a stack.
    Down,
}

/// Whether an area's pages stay in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Locked {
    /// They need not.
    No,
    /// They do, as mlock asks; entries are marked, and pages count them.
    Yes,
}

/// One area.
pub(crate) struct Area<P: Platform> {
    pub(crate) range: VirtRange,
    pub(crate) prot: Prot,
    pub(crate) advised: Advised,
    pub(crate) grows: Grows,
    pub(crate) locked: Locked,
    pub(crate) uffd: Registration,
    pub(crate) soft_dirty: SoftDirty,
    pub(crate) backing: Backing<P>,
    pub(crate) size: PageSize,
    /// Whether it has held an anonymous page, now or earlier (facts 2.1, 4): Linux's area has an
    /// anon_vma then. What it was cut from or merged with counts. A stack that has grown is as one
    /// that has.
    pub(crate) held_anon: Latch,
    /// Of CPUs that may have a copy of it (INV-DELEG-1).
    pub(crate) delegates: Marks,
}

impl<P: Platform> Clone for Area<P> {
    fn clone(&self) -> Self {
        let (backing, held_anon) = (self.backing.clone(), self.held_anon.clone());
        let (delegates, size) = (self.delegates.clone(), self.size.clone());
        Self { backing, size, held_anon, delegates, ..*self }
    }
}

impl<P: Platform> Area<P> {
    /// Whether writes go to private copies: Linux's is_cow_mapping. Whether the area is writable at
    /// present does not matter (facts 9.8).
    #[inline]
    pub(crate) fn is_cow(&self) -> bool {
        self.backing.seat().is_some()
    }

    /// Whether it is private and shows nothing until it is touched.
    #[inline]
    pub(crate) fn is_anon(&self) -> bool {
        self.backing.view().is_none()
    }

    /// Where it shows page `index` of its object; where it begins, if it does not.
    pub(crate) fn place_of(&self, view: &View<P>, index: u64) -> VirtAddr {
        let shown = view.indices(self.range);
        let skipped = if shown.contains(&index) { index - shown.start } else { 0 };
        (self.range.first_page() + skipped).start()
    }

    /// Whether its pages are huge ones of the pool.
    #[inline]
    pub(crate) fn is_pooled(&self) -> bool {
        match self.size {
            PageSize::Base => false,
            PageSize::Huge(_) => true,
        }
    }

    /// Whether pages of its own may be merged with equal ones. On others the advice has no effect.
    pub(crate) fn may_merge(&self) -> bool {
        self.advised.contains(Advised::MERGE) && self.is_cow() && !self.is_pooled()
    }

    /// Whether writes are tracked, so that an entry is writable only while it is dirty.
    #[inline]
    pub(crate) fn is_tracked(&self) -> bool {
        self.backing.shares().is_some_and(|view| view.object.is_tracked())
    }

    /// In debug builds: it is being changed, so nobody has a copy of it (INV-DELEG-2).
    #[inline]
    pub(crate) fn is_recalled(&self) {
        debug_assert_eq!(self.delegates.get(), 0, "{} is delegated", self.range);
    }

    /// How many locked pages it has.
    fn locked_pages(&self) -> u64 {
        match self.locked {
            Locked::No => 0,
            Locked::Yes => self.range.pages(),
        }
    }

    /// Whether it may grow over pages of private memory that are mapped with `prot`.
    fn takes_in(&self, prot: Prot) -> bool {
        let plain = self.advised.is_empty() && self.grows == Grows::No && self.locked == Locked::No;
        let own = self.is_anon() && !self.is_pooled();
        let new = self.soft_dirty == SoftDirty::Whole;
        own && self.prot == prot && plain && new && self.uffd.is_none()
    }

    fn continues(&self, next: &Self) -> bool {
        self.range.end_page() == next.range.first_page() && self.is_like(next)
    }

    /// Whether both are alike but for their ranges.
    pub(crate) fn is_like(&self, next: &Self) -> bool {
        self.prot == next.prot
            && self.advised == next.advised
            && self.grows == next.grows
            && self.locked == next.locked
            && self.uffd == next.uffd
            && self.soft_dirty == next.soft_dirty
            && self.backing.same(&next.backing)
            && self.size.is_like(&next.size)
    }
}

impl<P: Platform> Span for Area<P> {
    fn start(&self) -> u64 {
        self.range.first_page().0
    }
    fn end(&self) -> u64 {
        self.range.end_page().0
    }
}

/// On which side of a range an area lies that touches it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// It ends where the range starts.
    Before,
    /// It starts where the range ends.
    Behind,
}

/// The memory that ends at the program break.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Heap {
    pub(crate) start: VirtAddr,
    pub(crate) end: VirtAddr,
}

/// A map that is being filled in ascending order.
pub(crate) struct AreaCopy<'a, P: Platform> {
    copy: TreeCopy<'a, Area<P>>,
    pages: &'a mut u64,
}

impl<P: Platform> AreaCopy<'_, P> {
    /// Adds an area behind all others, one of as many as were announced, and shows it.
    pub(crate) fn push(&mut self, area: Area<P>) -> Option<&Area<P>> {
        *self.pages += area.range.pages();
        self.copy.push(area)
    }
}

/// The areas of one address space.
pub(crate) struct AreaMap<P: Platform> {
    tree: AreaTree<Area<P>>,
    /// Pages in all areas.
    pages: u64,
    /// Pages in those that are locked.
    locked: u64,
    /// From where the program break may lie, and where it is, if it has been placed.
    pub(crate) heap: Option<Heap>,
}

impl<P: Platform> AreaMap<P> {
    pub(crate) const fn new() -> Self {
        Self { tree: AreaTree::new(), pages: 0, locked: 0, heap: None }
    }

    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    /// Pages in locked areas.
    pub(crate) fn locked(&self) -> u64 {
        self.locked
    }

    pub(crate) fn len(&self) -> usize {
        self.tree.len()
    }

    /// The area that holds `page`.
    #[inline]
    pub(crate) fn find(&self, page: Vpn) -> Option<&Area<P>> {
        self.tree.find(page.0)
    }

    /// How many areas there will be once `range` is unmapped.
    pub(crate) fn len_without(&self, range: VirtRange) -> usize {
        let inside = self.overlapping(range).count();
        let kept = [range.first_page(), range.end_page()]
            .into_iter()
            .filter(|page| self.split_by(*page).is_some())
            .count();
        self.len() - inside + kept
    }

    /// How many pages of `range` are mapped.
    pub(crate) fn pages_in(&self, range: VirtRange) -> u64 {
        let parts = self.overlapping(range).filter_map(|area| area.range.intersection(range));
        parts.map(|part| part.pages()).sum()
    }

    /// How many pages of `range` are locked.
    pub(crate) fn locked_in(&self, range: VirtRange) -> u64 {
        let locked = self.overlapping(range).filter(|area| area.locked == Locked::Yes);
        locked.filter_map(|area| area.range.intersection(range)).map(|part| part.pages()).sum()
    }

    /// Areas that share a page with `range`, in order.
    pub(crate) fn overlapping(&self, range: VirtRange) -> impl Iterator<Item = &Area<P>> {
        self.tree
            .iter_from(range.first_page().0)
            .take_while(move |area| area.range.first_page() < range.end_page())
    }

    /// All areas, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Area<P>> {
        self.tree.iter_from(0)
    }

    /// The first area that ends past `page`.
    pub(crate) fn next_from(&self, page: Vpn) -> Option<&Area<P>> {
        self.tree.iter_from(page.0).next()
    }

    /// The last area that ends at `page` or before it.
    pub(crate) fn before(&self, page: Vpn) -> Option<&Area<P>> {
        self.tree.before(page.0)
    }

    /// The first area that shares a page with `range`.
    pub(crate) fn first_in(&self, range: VirtRange) -> Option<&Area<P>> {
        self.overlapping(range).next()
    }

    /// Fails with the first page of `range` that no area holds.
    pub(crate) fn all_mapped(&self, range: VirtRange) -> Result<(), SpaceError> {
        self.before_hole(range).1
    }

    /// What lies in `range` before its first hole, if anything does, and whether that is all of it.
    pub(crate) fn before_hole(
        &self,
        range: VirtRange,
    ) -> (Option<VirtRange>, Result<(), SpaceError>) {
        let (first, hole) = (range.first_page(), self.first_hole(range));
        let is_whole = hole >= range.end_page();
        let whole = if is_whole { Ok(()) } else { Err(SpaceError::NotMapped(hole.start())) };
        ((first < hole).then(|| VirtRange::of_pages(first, hole)), whole)
    }

    /// The first page of `range` that no area holds, or its end.
    pub(crate) fn first_hole(&self, range: VirtRange) -> Vpn {
        let mut page = range.first_page();
        for area in self.overlapping(range) {
            if area.range.first_page() > page {
                break;
            }
            page = area.range.end_page();
        }
        page.min(range.end_page())
    }

    /// The highest gap of `pages` pages in `within`: mappings grow down, as on Linux.
    pub(crate) fn highest_gap(&self, pages: u64, within: Range<Vpn>) -> Option<Vpn> {
        self.tree.highest_gap(pages, within.start.0, within.end.0).map(Vpn)
    }

    /// The lowest gap of `pages` pages in `within`.
    pub(crate) fn lowest_gap(&self, pages: u64, within: Range<Vpn>) -> Option<Vpn> {
        self.tree.lowest_gap(pages, within.start.0, within.end.0).map(Vpn)
    }

    /// Makes room for `more` insertions that then cannot fail: INV-AREA-3.
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), NoMemory> {
        self.tree.reserve(more)
    }

    /// Adds an area in a gap.
    pub(crate) fn insert(&mut self, area: Area<P>) -> Result<(), SpaceError> {
        let (range, pages, locked) = (area.range, area.range.pages(), area.locked_pages());
        match self.tree.insert(area) {
            Ok(()) => {
                self.pages += pages;
                self.locked += locked;
                Ok(())
            }
            Err(tree::InsertError::Overlap(_)) => Err(SpaceError::Occupied(range)),
            Err(tree::InsertError::NoMemory(_)) => Err(SpaceError::NoMemory),
        }
    }

    /// Takes out the first area that shares a page with `range`. Returns also the pages around it
    /// that no area holds any more: from the end of the area before to the start of the area after,
    /// or to `all`.
    pub(crate) fn remove_first_in(
        &mut self,
        range: VirtRange,
        all: Vpn,
    ) -> Option<(Area<P>, Range<Vpn>)> {
        let (start, end) = (range.first_page().0, range.end_page().0);
        let (area, Hole { below, above }) = self.tree.remove_first(start, end)?;
        self.pages -= area.range.pages();
        self.locked -= area.locked_pages();
        Some((area, below.map_or(Vpn(0), Vpn)..above.map_or(all, Vpn)))
    }

    /// Shows all areas that share a page with `range`, to change them as [`AreaMap::find_mut`]
    /// allows.
    pub(crate) fn each_in(&mut self, range: VirtRange, mut visit: impl FnMut(&mut Area<P>)) {
        let mut path = self.tree.path_before(range.first_page().0);
        while let Some(area) = self.tree.next_mut(&mut path) {
            if area.range.first_page() >= range.end_page() {
                return;
            }
            visit(area);
        }
    }

    /// Locks the area that holds `page`, or unlocks it.
    pub(crate) fn set_locked(&mut self, page: Vpn, locked: Locked) {
        if let Some(area) = self.tree.find_mut(page.0) {
            area.is_recalled();
            self.locked -= area.locked_pages();
            area.locked = locked;
            self.locked += area.locked_pages();
        }
    }

    /// The area that holds `page`, to be changed in place, but for its range and whether it is
    /// locked.
    pub(crate) fn find_mut(&mut self, page: Vpn) -> Option<&mut Area<P>> {
        self.tree.find_mut(page.0)
    }

    /// The way to the first area, for [`AreaMap::next_mut`].
    pub(crate) fn start(&self) -> Path {
        self.tree.path_before(0)
    }

    /// The area that `path` has come to, to be changed as [`AreaMap::find_mut`] allows. Moves the
    /// path on.
    pub(crate) fn next_mut(&mut self, path: &mut Path) -> Option<&mut Area<P>> {
        self.tree.next_mut(path)
    }

    /// Begins to fill this map, which is empty, with up to `areas` areas in ascending order.
    pub(crate) fn copy(&mut self, areas: usize) -> Result<AreaCopy<'_, P>, NoMemory> {
        Ok(AreaCopy { copy: self.tree.copy(areas)?, pages: &mut self.pages })
    }

    /// The area that holds both `page - 1` and `page`, if one does.
    pub(crate) fn split_by(&self, page: Vpn) -> Option<&Area<P>> {
        self.tree.find(page.0).filter(|area| area.range.first_page() < page)
    }

    /// Cuts the area that holds both `page - 1` and `page`, if one does, so that an area starts at
    /// `page`. Needs one reserved insertion. Returns the area that was added.
    pub(crate) fn split_at(&mut self, page: Vpn) -> Option<&Area<P>> {
        self.tree.split(page.0, |area| {
            let mut rest = area.clone();
            rest.range = VirtRange::of_pages(page, area.range.end_page());
            area.range = VirtRange::of_pages(area.range.first_page(), page);
            rest
        })
    }

    /// Merges the areas on both sides of `page` if they are alike. Returns the one that is gone.
    pub(crate) fn merge_at(&mut self, page: Vpn) -> Option<Area<P>> {
        self.tree.merge(page.0, Area::continues, |area, next| {
            area.range = VirtRange::of_pages(area.range.first_page(), next.range.end_page());
            if next.held_anon.is_set() {
                area.held_anon.set();
            }
            area.delegates.set(next.delegates.get());
        })
    }

    /// Grows the area that holds `page` over the free range behind it.
    pub(crate) fn lengthen(&mut self, page: Vpn, behind: VirtRange) {
        debug_assert!(!self.tree.overlaps(behind.first_page().0, behind.end_page().0));
        let Some(area) = self.find(page) else { return };
        let (start, locked) = (area.range.first_page(), area.locked);
        let end = behind.end_page();
        self.tree.resize(start.0, |area| area.range = VirtRange::of_pages(start, end));
        self.count(behind.pages(), locked);
    }

    /// Where a private area with the same protection touches `range`, which could grow over it.
    #[inline]
    pub(crate) fn fits_beside(&self, range: VirtRange, prot: Prot) -> Option<Side> {
        if self.fits_before(range, prot) {
            return Some(Side::Before);
        }
        self.fits_behind(range, prot).then_some(Side::Behind)
    }

    fn fits_before(&self, range: VirtRange, prot: Prot) -> bool {
        let before = range.first_page().checked_sub(1).and_then(|page| self.find(page));
        before.is_some_and(|area| area.takes_in(prot))
    }

    fn fits_behind(&self, range: VirtRange, prot: Prot) -> bool {
        self.find(range.end_page()).is_some_and(|area| area.takes_in(prot))
    }

    /// Grows the area that starts where the free `range` ends down over it.
    pub(crate) fn lower(&mut self, range: VirtRange) {
        debug_assert!(!self.tree.overlaps(range.first_page().0, range.end_page().0));
        let first = range.first_page();
        let locked = self.find(range.end_page()).map_or(Locked::No, |area| area.locked);
        let grown = self.tree.resize(range.end_page().0, |area| {
            area.range = VirtRange::of_pages(first, area.range.end_page());
        });
        if grown {
            self.count(range.pages(), locked);
        }
    }

    /// An area has so many pages more.
    fn count(&mut self, pages: u64, locked: Locked) {
        self.pages += pages;
        match locked {
            Locked::No => {}
            Locked::Yes => self.locked += pages,
        }
    }
}

#[cfg(test)]
mod tests;
