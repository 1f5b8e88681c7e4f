//! Collapse: the pages that a last-level table maps become one folio, which one entry above maps
//! (facts 7.4; the kernel's khugepaged, and MADV_COLLAPSE, which is an explicit call like this
//! one).
//!
//! Protocol: the address space's lock is held for writing, and no area of the span is delegated, so
//! that no fault and no operation is in the table. What can fail for want of memory comes first:
//! the folio, charged, and the table that is deposited with its entry. Then, inside a notification:
//!
//! 1. While nobody walks the reverse map of the area's family, the table is unlinked and the span
//!    flushed: no CPU and no walk that begins now finds the pages. By the rule `collapse-sync` it
//!    waits for the lock-free walkers that may have found the table before. Each folio of the span
//!    is locked, tried and never slept for, as the lock of a page comes before that of a family;
//!    and its references are compared with the entries that map it anywhere. One that is locked,
//!    on the move, pinned, or referred to by anybody else ends the attempt: the table is linked
//!    again, as it was.
//! 2. The pages' contents are copied; what was never touched, or maps the zero page, becomes zeros.
//! 3. The pages lose their entries, their mappings and their references, and the folio's entry
//!    takes the table's place. The table is freed once all walkers have left it.
//!
//! Pages of the span that are on a swap device are brought back first, under the lock for reading:
//! they stay so if nothing comes of the rest. One that is swapped out again before the lock is had
//! for writing ends the attempt. A page in the swap cache has one reference for that, and leaves
//! it, and its slot, with its last entry. By the rule `collapse-swapped` of up to 4.7 none is
//! brought back, and with [`Tuning::max_ptes_swap`] no more than so many: a span that has more is
//! not tried. Where no frames are left, for the folio or for a page that comes back, the attempt
//! is over, with no lock held; then as many pages are taken out of memory as the folio has, if the
//! machine reclaims, and it is made once more.
//!
//! A page that others map, too, after a fork, is copied like any other; they keep it, and nobody
//! needs to be asked, as all of them map it read-only. (khugepaged has limits for that and for
//! pages that were never touched, `max_ptes_shared` and `max_ptes_none`, which a request ignores;
//! releases before 5.8 passed over shared pages, which is left out here.)
//!
//! The kernel deposits the old table itself. Here that is freed and another one deposited: a walk
//! of the reverse map of *another* family may have a reference on a table where it only finds that
//! its page is not mapped (INV-RMAP-5), and must not find it in use elsewhere.
//!
//! [`Tuning::max_ptes_swap`]: crate::Tuning::max_ptes_swap
//!
//! Invariants:
//! - INV-COLLAPSE-1: under the rule that waits, a page is copied only while its entries, and the
//!   swap cache, hold its only references, and nobody can take another through this address space:
//!   no device writes to what the owner has left.
//! - INV-COLLAPSE-2: an attempt that fails has changed no entry, no mark and no count, but of pages
//!   that it has brought back.
//! - INV-COLLAPSE-3: from the unlinking on, the entries of the table change only here; nobody finds
//!   it by an address.
//! - INV-COLLAPSE-4: no lock of a page outlives the call.

use core::fmt;
use core::ops::Range;

use crate::addr::{Pfn, VirtAddr, VirtRange, Vpn, each_page};
use crate::error::{FaultError, NoPage, OutOfFrames};
use crate::event::EventKind;
use crate::frame::{Marks, NewFolio};
use crate::platform::{FlushScope, Invalidate, Platform};
use crate::plural::Counted;
use crate::pte::{Entry, Format, Pte};
use crate::rules::CollapseSync;
use crate::rules::collapse::{brings_back, waits_for_walkers};
use crate::space::Space;
use crate::table::{Huge, Leaf, Missing, Unlinked, table_start};
use crate::tlb::Gather;

/// Why pages were not collapsed. They are mapped as before, but for those that were on a swap
/// device: some may be back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CollapseError {
    /// Nothing is mapped there, or nobody has touched a page from there on: there is no table.
    NotMapped(VirtAddr),
    /// What is mapped there may not get a large folio.
    Unsuitable(VirtAddr),
    /// Somebody else has the lock of the page: it is being moved, for instance.
    Locked {
        /// Where it is mapped.
        at: VirtAddr,
        /// The page.
        pfn: Pfn,
    },
    /// A device may have pinned the page.
    Pinned {
        /// Where it is mapped.
        at: VirtAddr,
        /// The page.
        pfn: Pfn,
    },
    /// Somebody refers to the page, or to its folio, beside the entries that map it.
    Busy {
        /// Where it is mapped.
        at: VirtAddr,
        /// The page.
        pfn: Pfn,
        /// References of its folio.
        refs: u32,
        /// How many there would be without him.
        expected: u32,
    },
    /// A page was swapped out while the collapse began.
    SwappedOut(VirtAddr),
    /// More pages are on swap devices than a collapse brings back
    /// ([`crate::Tuning::max_ptes_swap`]; rule `collapse-swapped`).
    Swapped {
        /// Where the span begins.
        at: VirtAddr,
        /// How many of its pages are there.
        swapped: u64,
        /// How many of them may be.
        most: u64,
    },
    /// A page could not be brought back from its swap device.
    NotRead(FaultError),
    /// No run of frames is left for the folio, or no frame for a table or a page that comes back.
    OutOfFrames,
    /// The folio, or a page that comes back, would exceed the limit of the group of memory.
    OverLimit {
        /// The limit, in pages.
        limit: u64,
    },
}

impl fmt::Display for CollapseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMapped(at) => {
                write!(f, "nothing is mapped from {at} on: map it, and touch a page")
            }
            Self::Unsuitable(at) => write!(
                f,
                "what is mapped from {at} on may not get a large folio: it has to be one area of \
                 private memory as far as a page table reaches, not locked, without a monitor, and \
                 without the advice against it"
            ),
            Self::Locked { at, pfn } => {
                write!(f, "{pfn} at {at} is locked or on the move: try again")
            }
            Self::Pinned { at, pfn } => {
                write!(f, "{pfn} at {at} may be pinned: unpin it first")
            }
            Self::Busy { at, pfn, refs, expected } => write!(
                f,
                "the folio of {pfn} at {at} has {} where {}: release the others first",
                Counted::new(u64::from(*refs), "reference", "references"),
                Counted::new(u64::from(*expected), "is accounted for", "are accounted for")
            ),
            Self::SwappedOut(at) => {
                write!(f, "the page at {at} has just gone to a swap device: try again")
            }
            Self::Swapped { at, swapped, most } => write!(
                f,
                "of the pages from {at} on {} on swap devices, and a collapse brings back {most}: \
                 touch them first",
                Counted::new(*swapped, "is", "are")
            ),
            Self::NotRead(error) => write!(f, "a page is on a swap device: {error}"),
            Self::OutOfFrames => f.write_str(
                "no run of free frames is left for the folio: unmap something, or move pages",
            ),
            Self::OverLimit { limit } => {
                write!(
                    f,
                    "the group of memory may have {}: raise its limit",
                    Counted::pages(*limit)
                )
            }
        }
    }
}

impl core::error::Error for CollapseError {}

impl From<NoPage> for CollapseError {
    fn from(error: NoPage) -> Self {
        match error {
            // Nothing is taken from the pool.
            NoPage::OutOfFrames | NoPage::NoHugePage => Self::OutOfFrames,
            NoPage::OverLimit(over) => Self::OverLimit { limit: over.limit },
        }
    }
}

impl From<OutOfFrames> for CollapseError {
    fn from(OutOfFrames: OutOfFrames) -> Self {
        Self::OutOfFrames
    }
}

impl From<FaultError> for CollapseError {
    fn from(error: FaultError) -> Self {
        match error {
            FaultError::OutOfFrames => Self::OutOfFrames,
            FaultError::OverLimit { limit } => Self::OverLimit { limit },
            FaultError::NotMapped(_)
            | FaultError::Denied(_)
            | FaultError::PastEnd(_)
            | FaultError::Store(..)
            | FaultError::Userfault { .. }
            | FaultError::NoHugePage
            | FaultError::NoMemory => Self::NotRead(error),
        }
    }
}

impl CollapseError {
    /// Whether another span may fare better.
    fn is_of_span(&self) -> bool {
        match self {
            Self::OutOfFrames | Self::OverLimit { .. } => false,
            Self::NotMapped(_)
            | Self::Unsuitable(_)
            | Self::Locked { .. }
            | Self::Pinned { .. }
            | Self::Busy { .. }
            | Self::SwappedOut(_)
            | Self::Swapped { .. }
            | Self::NotRead(_) => true,
        }
    }
}

/// The pages of one last-level table, and what they are to become.
struct Span<'m, P: Platform> {
    space: &'m Space<P>,
    pages: Range<Vpn>,
    head: Pfn,
}

impl<P: Platform> Space<P> {
    /// Collapses each whole span of a table in `range`: how many were.
    pub(crate) fn collapse(&self, range: VirtRange) -> Result<u64, CollapseError> {
        let size = P::Format::ENTRIES as u64;
        let end = Vpn(range.end_page().min(self.end_page()).0 & !(size - 1));
        let mut first = Vpn(range.first_page().0.div_ceil(size) * size);
        let (mut done, mut failed) = (0, None);
        // INV-COLLAPSE-1 compares references.
        self.mem().lru_add_drain_all();
        while first < end {
            let mut next = first + size;
            match self.collapse_or_relieve(first) {
                Ok(now) => done += now,
                Err(error) if error.is_of_span() => {
                    if let CollapseError::NotMapped(_) = error {
                        next = self.next_mapped(next, end);
                    }
                    failed = Some(error);
                }
                Err(error) => return Err(error),
            }
            first = next;
        }
        failed.map_or(Ok(done), Err)
    }

    /// The span at `from` if something is mapped there, or the next of which that is so; `end` if
    /// there is none before.
    fn next_mapped(&self, from: Vpn, end: Vpn) -> Vpn {
        if from >= end {
            return end;
        }
        let map = self.read_map();
        let area = map.first_in(VirtRange::of_pages(from, end));
        area.map_or(end, |area| table_start::<P::Format>(area.range.first_page().max(from)))
    }

    /// As [`Space::collapse_span`]; once more, where that finds no frames and others can leave.
    fn collapse_or_relieve(&self, first: Vpn) -> Result<u64, CollapseError> {
        match self.collapse_span(first) {
            Err(CollapseError::OutOfFrames) if self.mem().make_room(P::Format::ENTRIES as u64) => {
                self.collapse_span(first)
            }
            result => result,
        }
    }

    /// Collapses the span of the table that maps `first`; 0 if one entry maps it already.
    fn collapse_span(&self, first: Vpn) -> Result<u64, CollapseError> {
        let (mem, at) = (self.mem(), first.start());
        let pages = first..first + P::Format::ENTRIES as u64;
        let range = VirtRange::of_pages(pages.start, pages.end);
        if mem.swaps().table().is_some() {
            self.bring_back(pages.clone())?;
        }
        let mut map = self.write_map();
        self.recall(&mut map, range);
        let area = map.find(first).ok_or(CollapseError::NotMapped(at))?;
        if !self.may_collapse(area, first) {
            return Err(CollapseError::Unsuitable(at));
        }
        let leaf = match self.tables().leaf(first) {
            Ok(leaf) => leaf,
            Err(Missing::Huge(_)) => return Ok(0),
            Err(Missing::Nothing) => return Err(CollapseError::NotMapped(at)),
        };
        // Without a family there has been no page of its own here.
        let seat = area.backing.seat().ok_or(CollapseError::NotMapped(at))?;
        let (folio, deposit) = self.prepare_collapse()?;
        let place = self.tables().above_or_make(first)?;
        let span = Span { space: self, pages, head: folio.head() };
        let changing = mem.changing(self.id(), range, Invalidate::Clear);
        let taken = mem.anon().alone(seat, mem.platform(), || span.take_out(place, leaf));
        let table = taken?;
        span.copy(&table.leaf, &folio);
        span.unlock(&table.leaf, span.pages.end);
        area.settle(&folio, first);
        span.drop_entries(table.leaf);
        let pte = area.written(folio.keep());
        mem.lru_add(pte.pfn());
        let dead = table.replace(pte, deposit.keep());
        let (head, pages) = (span.head, P::Format::ENTRIES as u64);
        mem.tell(self.id(), first, EventKind::Collapsed { head, pages });
        drop(changing);
        self.free_dead(dead);
        Ok(1)
    }

    /// Brings the pages of a span that may be collapsed back from swap devices.
    fn bring_back(&self, pages: Range<Vpn>) -> Result<(), CollapseError> {
        let (map, at) = (self.read_map(), pages.start.start());
        let area = map.find(pages.start);
        if !area.is_some_and(|area| self.may_collapse(area, pages.start)) {
            return Ok(());
        }
        let brings = brings_back(self.mem().rule());
        let most = if brings { self.mem().tuning().max_ptes_swap } else { 0 };
        let swapped = self.swapped_in(pages.clone());
        if swapped > most {
            let left = EventKind::CollapseLeft { swapped, most };
            self.mem().tell(self.id(), pages.start, left);
            return Err(CollapseError::Swapped { at, swapped, most });
        }
        let first = pages.start;
        let back = self.swap_in_pages(&map, pages, |_| true)?;
        if back > 0 {
            drop(map);
            // They wait in this CPU's batch, which has a reference of each.
            self.mem().lru_add_drain();
            self.mem().tell(self.id(), first, EventKind::CollapseBroughtBack { pages: back });
        }
        Ok(())
    }

    /// How many of a span's pages are on swap devices, or in the swap cache and not mapped.
    fn swapped_in(&self, pages: Range<Vpn>) -> u64 {
        let Ok(leaf) = self.tables().leaf(pages.start) else { return 0 };
        let is_swapped = |page: &Vpn| matches!(leaf.read(*page).decode(), Entry::Swap(_));
        each_page(pages).filter(is_swapped).count() as u64
    }

    /// The folio, and the table that will be deposited with its entry.
    fn prepare_collapse(
        &self,
    ) -> Result<(NewFolio<'_>, crate::frame::NewFrame<'_>), CollapseError> {
        let (mem, order) = (self.mem(), (P::Format::INDEX_BITS, Marks::First));
        let prepared = mem
            .alloc_folio(self.payer(), order, self.id())
            .map_err(CollapseError::from)
            .and_then(|folio| Ok((folio, mem.new_deposit()?)));
        let counters = mem.counters();
        match prepared {
            Ok(_) => counters.thp_collapse_alloc.add(1),
            Err(_) => counters.thp_collapse_alloc_failed.add(1),
        }
        prepared
    }

    /// Frees a table whose entries are gone, as INV-TABLE-2 says.
    fn free_dead(&self, table: Pfn) {
        let rule: CollapseSync = self.mem().rule();
        if waits_for_walkers(rule) {
            return self.mem().put_table(table);
        }
        let mut gather = Gather::new(self.mem(), self.id());
        gather.add_table(table);
        gather.finish();
    }
}

impl<'m, P: Platform> Span<'m, P> {
    /// The first step: nobody finds the table, and all of its pages are locked and known. Nobody
    /// walks the family.
    fn take_out(
        &self,
        place: Huge<'m, P>,
        leaf: Leaf<'m, P>,
    ) -> Result<Unlinked<'m, P>, CollapseError> {
        let (mem, id, first) = (self.space.mem(), self.space.id(), self.pages.start);
        // A full exchange: the table is unlinked before the look at who is in it, or at what he has
        // taken.
        let table = Unlinked::new(place, leaf);
        mem.tell(id, first, EventKind::CollapseBegins(self.head));
        let range = VirtRange::of_pages(self.pages.start, self.pages.end);
        mem.flush(id, FlushScope::Range(range));
        let rule: CollapseSync = mem.rule();
        let waited = waits_for_walkers(rule);
        if waited {
            mem.platform().wait_for_walkers();
        }
        mem.tell(id, first, EventKind::CollapseCounts { head: self.head, waited });
        for page in each_page(self.pages.clone()) {
            if let Err(error) = self.take_page(&table.leaf, page) {
                self.unlock(&table.leaf, page);
                table.link_again();
                return Err(error);
            }
        }
        Ok(table)
    }

    /// Locks the folio that the entry of `page` maps, unless an entry before it does, too, if the
    /// entries that map it are all that refer to it.
    fn take_page(&self, leaf: &Leaf<'_, P>, page: Vpn) -> Result<(), CollapseError> {
        let (mem, at, pte) = (self.space.mem(), page.start(), leaf.read(page));
        let busy = |pfn| mem.tell(self.space.id(), page, EventKind::CollapseBusy(pfn));
        match pte.decode() {
            Entry::None | Entry::Mapped(_) => {}
            Entry::Migration(migration) => {
                busy(migration.pfn);
                return Err(CollapseError::Locked { at, pfn: migration.pfn });
            }
            Entry::Swap(_) => return Err(CollapseError::SwappedOut(at)),
            Entry::Marker => return Err(CollapseError::Unsuitable(at)),
        }
        let Some(pfn) = pte.counted().filter(|pfn| self.is_first(leaf, page, *pfn)) else {
            return Ok(());
        };
        let Some(locked) = mem.try_lock_folio(pfn) else {
            busy(pfn);
            return Err(CollapseError::Locked { at, pfn });
        };
        // What those did who had a reference comes before the copy.
        let counts = mem.frames().folio(pfn).counts_acquire();
        let (counts, cached) = match counts.refs() == counts.maps() {
            true => (counts, 0),
            false => mem.counts_with_cache(pfn),
        };
        let (refs, expected) = (counts.refs(), counts.maps() + cached);
        if refs != expected {
            busy(pfn);
            return Err(if mem.maybe_pinned(pfn) {
                CollapseError::Pinned { at, pfn }
            } else {
                CollapseError::Busy { at, pfn, refs, expected }
            });
        }
        core::mem::forget(locked);
        Ok(())
    }

    /// Whether no entry before that of `page`, which maps `pfn`, maps a page of the same folio.
    /// Such entries lie as far apart as their pages, in one area.
    fn is_first(&self, leaf: &Leaf<'_, P>, page: Vpn, pfn: Pfn) -> bool {
        let mem = self.space.mem();
        let Some(folio) = mem.frames().large(pfn) else { return true };
        let (head, end) = (folio.head(), Pfn(folio.head().0 + folio.pages()));
        let most = (pfn.0 - head.0).min(page - self.pages.start);
        let before = (1..=most).map(|back| leaf.read(Vpn(page.0 - back)));
        let mut same = before.filter_map(Pte::counted);
        !same.any(|pfn| head <= pfn && pfn < end)
    }

    /// Unlocks the folios that the entries before that of `end` map.
    fn unlock(&self, leaf: &Leaf<'_, P>, end: Vpn) {
        let mem = self.space.mem();
        for page in each_page(self.pages.start..end) {
            let pfn = leaf.read(page).counted();
            if let Some(pfn) = pfn.filter(|pfn| self.is_first(leaf, page, *pfn)) {
                let lock = mem.frames().page(mem.frames().locked_by(pfn)).lock();
                drop(lock.adopt(mem.platform()));
            }
        }
    }

    /// The second step.
    fn copy(&self, leaf: &Leaf<'_, P>, folio: &NewFolio<'_>) {
        let mem = self.space.mem();
        for (page, to) in each_page(self.pages.clone()).zip(folio.pfns()) {
            match leaf.read(page).counted() {
                Some(from) => mem.platform().copy_frame(from, to),
                None => mem.platform().zero_frame(to),
            }
        }
    }

    /// The third: whoever else has a page may do with it what he likes from now on.
    fn drop_entries(&self, leaf: Leaf<'_, P>) {
        let (mem, id) = (self.space.mem(), self.space.id());
        // A walk of another family may have the table.
        let cursor = leaf.lock();
        for page in each_page(self.pages.clone()) {
            if cursor.get(page).is_none() {
                continue;
            }
            // Flushed when the table was unlinked.
            let old = cursor.withdraw(page).flush_by(|_| ()).pte();
            if let Some(pfn) = old.counted() {
                mem.drop_mapping(old, id);
                mem.put(pfn, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
