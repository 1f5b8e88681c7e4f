//! The walk to a last-level table, or to a huge entry in its place, with and without making tables
//! on the way.

use core::ops::Range;
use core::slice;

use super::huge::Huge;
use super::slot::Slot;
use crate::addr::{Mm, Pfn, VirtRange, Vpn};
use crate::error::OutOfFrames;
use crate::frame::{Flags, Put, Start};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::pte::{BitChange, Format, Match, Pte};
use crate::sync::{self, AtomicU64, CellName, Inside, Masks, RawSpinLock, SpinGuard};

/// The page tables of one address space.
pub(crate) struct Tables<'m, P: Platform> {
    mem: &'m Memory<P>,
    mm: Mm,
}

/// What lies where a walk looked for a last-level table.
pub(crate) enum Missing<'m, P: Platform> {
    /// Nothing.
    Nothing,
    /// An entry that maps the pages of the table at once.
    Huge(Huge<'m, P>),
}

impl<P: Platform> Missing<'_, P> {
    /// The part of a huge entry that maps `page`, as an entry of its own.
    pub(crate) fn entry_of(&self, page: Vpn) -> Pte<P::Format> {
        match self {
            Self::Nothing => Pte::NONE,
            Self::Huge(huge) => huge.part(page),
        }
    }
}

/// What maps a run of pages.
pub(crate) enum Part<'m, P: Platform> {
    /// A last-level table.
    Table(Leaf<'m, P>),
    /// One entry above, as far as the run reaches.
    Huge(Huge<'m, P>),
}

impl<P: Platform> Part<'_, P> {
    /// The table that it is, or that holds the huge entry.
    pub(crate) fn table(&self) -> Pfn {
        match self {
            Self::Table(leaf) => leaf.table,
            Self::Huge(huge) => huge.upper,
        }
    }

    /// The entry of `page`, read without a lock; of a huge one as it was found, the part that maps
    /// the page.
    pub(crate) fn read(&self, page: Vpn) -> Pte<P::Format> {
        match self {
            Self::Table(leaf) => leaf.read(page),
            Self::Huge(huge) => huge.part(page),
        }
    }
}

/// How a walk goes on after a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// With what follows.
    On,
    /// With the same place, where there is a table instead of a huge entry now, or nothing.
    Again,
}

/// A last-level table. Reading its entries needs the address space's lock or a walk section;
/// changing them needs the [`Cursor`].
pub(crate) struct Leaf<'m, P: Platform> {
    mem: &'m Memory<P>,
    /// The frame that holds it.
    pub(crate) table: Pfn,
    entries: &'m [AtomicU64],
    /// The entry that points here, and its bits when it was read: the lock-free walk compares them
    /// again.
    parent: (&'m AtomicU64, u64),
}

impl<P: Platform> Clone for Leaf<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<P: Platform> Copy for Leaf<'_, P> {}

const fn shift<F: Format>(level: u32) -> u32 {
    (F::LEVELS - 1 - level) * F::INDEX_BITS
}

const fn index<F: Format>(page: Vpn, level: u32) -> usize {
    (page.0 >> shift::<F>(level)) as usize & (F::ENTRIES - 1)
}

/// The number of pages that an entry of a table on `level` covers.
const fn slot_pages<F: Format>(level: u32) -> u64 {
    1 << shift::<F>(level)
}

/// One past the last page that the entry for `page` in a table on `level` covers.
const fn slot_end<F: Format>(page: Vpn, level: u32) -> Vpn {
    Vpn((page.0 | (slot_pages::<F>(level) - 1)) + 1)
}

/// The level of the tables that map pages. The root is never one, so every such table has a parent.
const fn last_level<F: Format>() -> u32 {
    const { assert!(F::LEVELS >= 2, "a format has at least two levels of tables") };
    F::LEVELS - 1
}

/// Whether an upper entry names a table.
#[inline]
fn is_table<F: Format>(bits: u64) -> bool {
    Pte::<F>::from_bits(bits).is_table()
}

/// The table that an upper entry names.
#[inline]
fn table_of<F: Format>(bits: u64) -> Pfn {
    Pte::<F>::from_bits(bits).present_pfn()
}

/// The first page of the last-level table that maps `page`.
pub(crate) fn table_start<F: Format>(page: Vpn) -> Vpn {
    Vpn(page.0 & !(F::ENTRIES as u64 - 1))
}

/// One past the last page of the last-level table that maps `page`.
pub(crate) fn table_end<F: Format>(page: Vpn) -> Vpn {
    Vpn((page.0 | (F::ENTRIES as u64 - 1)) + 1)
}

impl<'m, P: Platform> Tables<'m, P> {
    pub(crate) fn new(mem: &'m Memory<P>, mm: Mm) -> Self {
        Self { mem, mm }
    }

    /// The last-level table that maps `page`.
    ///
    /// # Errors
    /// When there is none: what is there.
    #[inline]
    pub(crate) fn leaf(&self, page: Vpn) -> Result<Leaf<'m, P>, Missing<'m, P>> {
        self.leaf_or(page, |at| Err(self.missing(at, page)))
    }

    /// As [`Tables::leaf`], for those who look again, or to whom a huge entry is as good as
    /// nothing.
    #[inline]
    pub(crate) fn leaf_now(&self, page: Vpn) -> Option<Leaf<'m, P>> {
        self.leaf_or(page, Err).ok()
    }

    /// As [`Tables::leaf`]; `missing` learns of an upper entry that names no table, in which table
    /// it is and what it is.
    #[inline(always)]
    fn leaf_or<E>(
        &self,
        page: Vpn,
        missing: impl FnOnce((Pfn, &'m AtomicU64, u64)) -> Result<Leaf<'m, P>, E>,
    ) -> Result<Leaf<'m, P>, E> {
        let mut table = self.mm.root;
        let mut level = 0;
        loop {
            let slot = self.mem.entry(table, index::<P::Format>(page, level));
            let bits = slot.load_acquire();
            if !is_table::<P::Format>(bits) {
                return missing((table, slot, bits));
            }
            level += 1;
            if level == last_level::<P::Format>() {
                return Ok(self.found(slot, bits));
            }
            table = table_of::<P::Format>(bits);
        }
    }

    /// The entry of `page`, or the part of a huge one that maps it; none where there is neither.
    #[inline]
    pub(crate) fn read(&self, page: Vpn) -> Pte<P::Format> {
        match self.leaf(page) {
            Ok(leaf) => leaf.read(page),
            Err(missing) => missing.entry_of(page),
        }
    }

    /// What lies in an upper entry that names no table: a huge one only on the level above the
    /// last.
    #[cold]
    #[inline(never)]
    fn missing(&self, at: (Pfn, &'m AtomicU64, u64), page: Vpn) -> Missing<'m, P> {
        if at.2 == 0 { Missing::Nothing } else { Missing::Huge(Huge::found(self.mem, at, page)) }
    }

    /// As [`Tables::leaf`], allocating missing tables, and splitting a huge entry. The caller holds
    /// the address space's lock, or the page's area.
    ///
    /// # Errors
    /// When no frame is left for a table.
    #[inline]
    pub(crate) fn leaf_or_make(&self, page: Vpn) -> Result<Leaf<'m, P>, OutOfFrames> {
        let mut table = self.mm.root;
        let mut level = 0;
        loop {
            let slot = self.mem.entry(table, index::<P::Format>(page, level));
            let mut bits = slot.load_acquire();
            if !is_table::<P::Format>(bits) {
                bits = self.make_or_split((table, slot, bits), page)?;
            }
            level += 1;
            if level == last_level::<P::Format>() {
                return Ok(self.found(slot, bits));
            }
            table = table_of::<P::Format>(bits);
        }
    }

    /// The last-level table that maps `page`, if there is one; a huge entry is split first, but one
    /// for a page of the pool is as none.
    pub(crate) fn leaf_if_any(&self, page: Vpn) -> Option<Leaf<'m, P>> {
        loop {
            match self.leaf(page) {
                Ok(leaf) => return Some(leaf),
                Err(Missing::Nothing) => return None,
                Err(Missing::Huge(huge)) => match self.mem.split_or_pass(self.mm, &huge) {
                    Next::On => return None,
                    Next::Again => {}
                },
            }
        }
    }

    /// The place above the last level for the table of `page`, with what is there, allocating
    /// missing tables above it.
    ///
    /// # Errors
    /// When no frame is left for one.
    pub(crate) fn above_or_make(&self, page: Vpn) -> Result<Huge<'m, P>, OutOfFrames> {
        let mut table = self.mm.root;
        for level in 0..last_level::<P::Format>() - 1 {
            let slot = self.mem.entry(table, index::<P::Format>(page, level));
            let mut bits = slot.load_acquire();
            if bits == 0 {
                bits = self.make(table, slot)?;
            }
            table = table_of::<P::Format>(bits);
        }
        let slot = self.mem.entry(table, index::<P::Format>(page, last_level::<P::Format>() - 1));
        Ok(Huge::found(self.mem, (table, slot, slot.load_acquire()), page))
    }

    /// The same, if the tables above it are there.
    pub(crate) fn above(&self, page: Vpn) -> Option<Huge<'m, P>> {
        let (mut table, last) = (self.mm.root, last_level::<P::Format>() - 1);
        for level in 0..last {
            let bits = self.mem.entry(table, index::<P::Format>(page, level)).load_acquire();
            table = (bits != 0).then(|| table_of::<P::Format>(bits))?;
        }
        let slot = self.mem.entry(table, index::<P::Format>(page, last));
        Some(Huge::found(self.mem, (table, slot, slot.load_acquire()), page))
    }

    /// Makes the table of an entry that names none, or splits it if it is huge, until it names one:
    /// its bits then.
    #[cold]
    #[inline(never)]
    fn make_or_split(
        &self,
        (upper, slot, mut bits): (Pfn, &'m AtomicU64, u64),
        page: Vpn,
    ) -> Result<u64, OutOfFrames> {
        while !is_table::<P::Format>(bits) {
            if bits == 0 {
                bits = self.make(upper, slot)?;
                continue;
            }
            let huge = Huge::found(self.mem, (upper, slot, bits), page);
            // Nobody wants a table where only pages of the pool are mapped (INV-HUGE-5).
            if self.mem.split_or_pass(self.mm, &huge) == Next::On {
                return Err(OutOfFrames);
            }
            bits = slot.load_acquire();
        }
        Ok(bits)
    }

    fn make(&self, upper: Pfn, slot: &AtomicU64) -> Result<u64, OutOfFrames> {
        let fresh = self.mem.new_table()?;
        let entry = Pte::<P::Format>::table(fresh.pfn()).bits();
        let _lock = self.mem.table_lock(upper);
        let seen = slot.read_once();
        if seen != 0 {
            return Ok(seen);
        }
        slot.store_release(entry);
        fresh.keep();
        Ok(entry)
    }

    /// Calls `visit` for each last-level table that exists for `pages`, with the part of the run
    /// that it maps. Huge entries are split, those for pages of the pool passed over. Absent tables
    /// cost one look at the level where they are missing. The first error ends the walk.
    pub(crate) fn for_each_leaf<E>(
        &self,
        pages: Range<Vpn>,
        mut visit: impl FnMut(Leaf<'m, P>, Range<Vpn>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_part(pages, |part, run| match part {
            Part::Table(leaf) => visit(leaf, run).map(|()| Next::On),
            Part::Huge(huge) => Ok(self.mem.split_or_pass(self.mm, &huge)),
        })
    }

    /// As [`Tables::for_each_leaf`], for huge entries, too.
    pub(crate) fn for_each_part<E>(
        &self,
        pages: Range<Vpn>,
        mut visit: impl FnMut(Part<'m, P>, Range<Vpn>) -> Result<Next, E>,
    ) -> Result<(), E> {
        self.parts_below(self.mm.root, 0, pages, &mut visit)
    }

    /// As [`Tables::for_each_part`], for the part of the run that `table`, on `level`, covers.
    fn parts_below<E>(
        &self,
        table: Pfn,
        level: u32,
        pages: Range<Vpn>,
        visit: &mut impl FnMut(Part<'m, P>, Range<Vpn>) -> Result<Next, E>,
    ) -> Result<(), E> {
        let mut page = pages.start;
        while page < pages.end {
            let stop = slot_end::<P::Format>(page, level).min(pages.end);
            let slot = self.mem.entry(table, index::<P::Format>(page, level));
            let bits = slot.load_acquire();
            if is_table::<P::Format>(bits) && level + 1 == last_level::<P::Format>() {
                visit(Part::Table(self.found(slot, bits)), page..stop)?;
            } else if is_table::<P::Format>(bits) {
                self.parts_below(table_of::<P::Format>(bits), level + 1, page..stop, visit)?;
            } else if bits != 0 {
                let huge = Huge::found(self.mem, (table, slot, bits), page);
                if visit(Part::Huge(huge), page..stop)? == Next::Again {
                    continue;
                }
            }
            page = stop;
        }
        Ok(())
    }

    #[inline]
    fn found(&self, slot: &'m AtomicU64, bits: u64) -> Leaf<'m, P> {
        let table = table_of::<P::Format>(bits);
        Leaf { mem: self.mem, table, entries: self.mem.entries(table), parent: (slot, bits) }
    }

    /// Calls `visit` for every table, except the root, of pages before `limit`, and for those that
    /// are deposited. For oracles.
    pub(crate) fn each_table(&self, limit: Vpn, visit: &mut impl FnMut(Pfn)) {
        self.each_below(self.mm.root, 0, Vpn(0), limit, visit);
    }

    fn each_below(
        &self,
        table: Pfn,
        level: u32,
        base: Vpn,
        limit: Vpn,
        visit: &mut impl FnMut(Pfn),
    ) {
        if level == last_level::<P::Format>() {
            return;
        }
        self.mem.frames().each_deposited(table, visit);
        let span = 1 << shift::<P::Format>(level);
        let firsts = (0..P::Format::ENTRIES as u64).map(|index| base + index * span);
        for first in firsts.take_while(|first| *first < limit) {
            let bits = self.mem.entry(table, index::<P::Format>(first, level)).read_once();
            if is_table::<P::Format>(bits) {
                let lower = table_of::<P::Format>(bits);
                visit(lower);
                self.each_below(lower, level + 1, first, limit, visit);
            }
        }
    }

    /// Unlinks every table that covers a page of `gone` and whose pages all lie in `hole`, and
    /// gives each to `dead`, a table before the one it was linked from. The caller holds the
    /// address space's lock for writing, and nothing is mapped in `hole`, which may reach past
    /// `limit`: an entry whose first page lies there does not belong to the address space
    /// (INV-TABLE-3).
    pub(crate) fn unlink(
        &self,
        gone: Range<Vpn>,
        hole: &Range<Vpn>,
        limit: Vpn,
        dead: &mut impl FnMut(Pfn),
    ) {
        let gone = gone.start..gone.end.min(limit);
        self.unlink_below(self.mm.root, 0, gone, hole, dead);
    }

    /// As [`Tables::unlink`], for the pages of `gone` that `table`, on `level`, covers.
    fn unlink_below(
        &self,
        table: Pfn,
        level: u32,
        gone: Range<Vpn>,
        hole: &Range<Vpn>,
        dead: &mut impl FnMut(Pfn),
    ) {
        let mut page = gone.start;
        while page < gone.end {
            let end = slot_end::<P::Format>(page, level);
            let stop = end.min(gone.end);
            let slot = self.mem.entry(table, index::<P::Format>(page, level));
            // A fault in another area may just have made the table.
            let bits = slot.load_acquire();
            if is_table::<P::Format>(bits) {
                let lower = table_of::<P::Format>(bits);
                if level + 1 < last_level::<P::Format>() {
                    self.unlink_below(lower, level + 1, page..stop, hole, dead);
                }
                let first = Vpn(end.0 - slot_pages::<P::Format>(level));
                if hole.start <= first && end <= hole.end {
                    slot.write_once(0);
                    dead(lower);
                }
            }
            page = stop;
        }
    }
}

impl<'m, P: Platform> Leaf<'m, P> {
    /// The entry of `page`, read without a lock.
    #[inline]
    pub(crate) fn read(&self, page: Vpn) -> Pte<P::Format> {
        Pte::from_bits(self.slot(page).load_acquire())
    }

    /// How many entries from the start of a run on map one frame after the other, from `first` on,
    /// and fit `wish`, which no absent entry fits. Read without a lock, some of them at once, so
    /// that the last few may have been read for nothing.
    #[inline]
    pub(crate) fn following(&self, pages: Range<Vpn>, first: Pfn, wish: Match) -> u64 {
        const BLOCK: usize = 8;
        let cells = self.cells(pages);
        let numbered = |at: usize| (first.0 + at as u64..).map(Pfn);
        let fits = |(cell, pfn): (&AtomicU64, Pfn)| {
            Pte::<P::Format>::from_bits(cell.load_acquire()).maps_as(wish, pfn)
        };
        let whole = |(at, block): &(usize, &[AtomicU64])| {
            block.iter().zip(numbered(at * BLOCK)).fold(true, |all, one| all & fits(one))
        };
        let at = cells.chunks_exact(BLOCK).enumerate().take_while(whole).count() * BLOCK;
        let rest = cells[at..].iter().zip(numbered(at));
        (at + rest.take_while(|one| fits(*one)).count()) as u64
    }

    /// Where the entries of a run of the table's pages lie.
    #[inline]
    fn cells(&self, pages: Range<Vpn>) -> &'m [AtomicU64] {
        let first = index::<P::Format>(pages.start, last_level::<P::Format>());
        &self.entries[first..first + (pages.end.0 - pages.start.0) as usize]
    }

    /// Whether the table is still linked where the walk found it.
    #[inline]
    pub(crate) fn still_linked(&self) -> bool {
        self.parent.0.read_once() == self.parent.1
    }

    /// Unlinks the table if it has no entry; the frame, if so. The caller holds the address space's
    /// lock for writing, and has recalled the areas of its span: nobody makes an entry out of none
    /// meanwhile, and a migration that is going to restore one has left its own, which is looked
    /// for under the table's lock.
    pub(crate) fn unlink_empty(self) -> Option<Pfn> {
        let cursor = self.lock();
        let empty = self.entries.iter().all(|entry| entry.load_acquire() == 0);
        drop(cursor);
        if !empty {
            return None;
        }
        self.parent.0.write_once(0);
        Some(self.table)
    }

    #[inline]
    fn slot(&self, page: Vpn) -> &'m AtomicU64 {
        &self.entries[index::<P::Format>(page, last_level::<P::Format>())]
    }

    /// Takes the table's lock: from now on only this cursor and the hardware change its entries.
    #[inline]
    pub(crate) fn lock(self) -> Cursor<'m, P> {
        Cursor { _lock: self.mem.table_lock(self.table), leaf: self }
    }
}

/// An entry that was taken out of its table and that CPUs may still have cached. It is consumed
/// once: by a flush, by an entry for the same frame in its place, or by a gather that flushes
/// later.
#[must_use = "the old translation is still cached: flush it, replace it, or gather it"]
#[derive(Debug)]
pub(crate) struct Withdrawn<F: Format> {
    page: Vpn,
    pte: Pte<F>,
}

impl<F: Format> Withdrawn<F> {
    /// The page that it mapped.
    #[inline]
    pub(crate) fn page(&self) -> Vpn {
        self.page
    }

    /// The entry.
    #[inline]
    pub(crate) fn pte(&self) -> Pte<F> {
        self.pte
    }

    /// Makes every CPU forget the page by `flush`. Returns the proof that they did.
    #[inline]
    pub(crate) fn flush_by(self, flush: impl FnOnce(VirtRange)) -> Flushed<F> {
        flush(self.page.alone());
        Flushed { page: self.page, pte: self.pte }
    }
}

/// Proof that every CPU has forgotten what a withdrawn entry said. Only [`Withdrawn::flush_by`]
/// makes it, and the hazard [`Flushed::published_early`].
#[must_use]
#[derive(Debug)]
pub(crate) struct Flushed<F: Format> {
    page: Vpn,
    pte: Pte<F>,
}

impl<F: Format> Flushed<F> {
    /// A proof without a flush: what the hazardous variant of the rule `cow-publish` uses instead
    /// of waiting for one. CPUs may keep using the old translation alongside the new one; the
    /// caller flushes afterwards.
    #[inline]
    pub(crate) fn published_early(old: &Withdrawn<F>) -> Self {
        Self { page: old.page, pte: old.pte }
    }

    /// The entry that was flushed.
    #[inline]
    pub(crate) fn pte(&self) -> Pte<F> {
        self.pte
    }
}

/// Holds the lock of a table.
pub(crate) type TableLock<'m> = Inside<SpinGuard<'m>>;

/// The right to change the entries of a last-level table: holds its lock.
#[must_use]
pub(crate) struct Cursor<'m, P: Platform> {
    leaf: Leaf<'m, P>,
    _lock: TableLock<'m>,
}

impl<'m, P: Platform> Cursor<'m, P> {
    /// The entries of a run of the table's pages, in order.
    #[inline]
    pub(crate) fn slots(&self, pages: Range<Vpn>) -> impl Iterator<Item = Slot<'_, P::Format>> {
        self.leaf.cells(pages).iter().map(Slot::of)
    }

    /// The entry of `page`. The hardware may set accessed and dirty bits at any time.
    #[inline]
    pub(crate) fn get(&self, page: Vpn) -> Pte<P::Format> {
        self.leaf.read(page)
    }

    /// Takes the entry out, leaving none, with all bits that the hardware has set so far. CPUs may
    /// keep using the old translation until it is flushed: the value keeps the caller from
    /// forgetting that.
    #[inline]
    pub(crate) fn withdraw(&self, page: Vpn) -> Withdrawn<P::Format> {
        Withdrawn { page, pte: Pte::from_bits(self.leaf.slot(page).xchg(0)) }
    }

    /// Puts a flushed entry back as it was.
    #[inline]
    pub(crate) fn put_back(&self, old: Flushed<P::Format>) {
        self.set(old.page, old.pte);
    }

    /// Replaces a withdrawn entry by one for the same frame with other permissions. The caller
    /// notes the page in a [`crate::tlb::FlushBatch`].
    #[inline]
    pub(crate) fn restrict(&self, old: Withdrawn<P::Format>, pte: Pte<P::Format>) {
        debug_assert_eq!(old.pte.pfn(), pte.pfn());
        self.set(old.page, pte);
    }

    /// Puts a withdrawn entry back as it was: what CPUs have cached of it is true again.
    #[inline]
    pub(crate) fn reinstate(&self, old: Withdrawn<P::Format>) {
        self.set(old.page, old.pte);
    }

    /// Installs an entry that is not present in place of a withdrawn one. The caller notes the page
    /// in a [`crate::tlb::DeferredFlush`].
    #[inline]
    pub(crate) fn hold_place(&self, old: Withdrawn<P::Format>, pte: Pte<P::Format>) {
        debug_assert!(!pte.is_present());
        self.set(old.page, pte);
    }

    /// Installs another entry, for another frame or for none: only after every CPU has forgotten
    /// the old one (facts 1.7).
    #[inline]
    pub(crate) fn publish(&self, proof: Flushed<P::Format>, pte: Pte<P::Format>) {
        self.set(proof.page, pte);
    }

    /// Puts an entry that was withdrawn elsewhere in the same address space in at `page`, where
    /// none is. The caller flushes the place that it came from (INV-REMAP-2).
    #[inline]
    pub(crate) fn take_over(&self, old: Withdrawn<P::Format>, page: Vpn) {
        debug_assert!(self.get(page).is_none(), "an entry moves over another");
        self.set(page, old.pte);
    }

    /// Sets an entry that the hardware cannot be using: it was none or absent.
    #[inline]
    pub(crate) fn set(&self, page: Vpn, pte: Pte<P::Format>) {
        self.leaf.slot(page).store_release(pte.bits());
    }

    /// Sets an entry over a present one for the same frame, and with it loses what the hardware has
    /// set in that one since the caller read it. The kernel before 5.10 did so when fork, having
    /// write-protected the parent's entry early, found the page pinned and put its snapshot back
    /// (facts 2.3); nothing else may.
    #[inline]
    pub(crate) fn overwrite_present(&self, page: Vpn, pte: Pte<P::Format>) {
        self.leaf.slot(page).store_release(pte.bits());
    }

    /// Removes write permission from a mapped entry in one step, so that bits that the hardware
    /// sets concurrently stay. Returns the entry before. Orders nothing, like the kernel's
    /// `ptep_set_wrprotect`: a caller that reads a count afterwards issues the barrier (facts 2.3).
    #[inline]
    pub(crate) fn revoke_write(&self, page: Vpn) -> Pte<P::Format> {
        Slot::<P::Format>::of(self.leaf.slot(page)).revoke_write()
    }

    /// Changes a mark of a mapped entry that the hardware ignores, in one step; the translation
    /// stays as it is, so there is nothing to flush.
    pub(crate) fn mark(&self, page: Vpn, change: BitChange) {
        let slot = self.leaf.slot(page);
        match change {
            BitChange::Set(mask) => slot.fetch_or_relaxed(mask),
            BitChange::Clear(mask) => slot.fetch_and_relaxed(!mask),
        };
    }

    /// Adds what `more` says to a mapped entry: used, stored through, writable. The entry is `now`,
    /// except for what the hardware sets concurrently. In one step, so that bits set by the
    /// hardware stay; if bits are only added, it orders nothing.
    #[inline]
    pub(crate) fn grant(&self, page: Vpn, now: Pte<P::Format>, more: Pte<P::Format>) {
        let (set, clear) = (more.bits(), now.bits() & !more.bits());
        let slot = self.leaf.slot(page);
        if clear == 0 {
            slot.fetch_or_relaxed(set);
        } else {
            let _ = slot.try_update(|bits| Some((bits & !clear) | set));
        }
    }
}

impl<P: Platform> Memory<P> {
    /// The entries of the table in `table`.
    #[inline]
    fn entries(&self, table: Pfn) -> &[AtomicU64] {
        let first = self.platform().table(table);
        // SAFETY: the platform promises `ENTRIES` valid words for a frame of ours; only tables are
        // asked for.
        unsafe { slice::from_raw_parts(first.as_ptr(), P::Format::ENTRIES) }
    }

    /// Entry `index` of the table in `table`.
    #[inline]
    pub(crate) fn entry(&self, table: Pfn, index: usize) -> &AtomicU64 {
        &self.entries(table)[index]
    }

    /// The lock of the table in `table`.
    #[inline]
    pub(crate) fn table_lock(&self, table: Pfn) -> TableLock<'_> {
        let lock = RawSpinLock::from_word(self.frames().table(table).lock_word());
        Inside::lock(Masks::Preemption, || lock.lock())
    }

    /// An empty table.
    pub(crate) fn new_table(&self) -> Result<crate::frame::NewFrame<'_>, OutOfFrames> {
        let fresh = self.alloc_local(Flags::TABLE, Start::Held)?;
        let pfn = fresh.pfn();
        let bytes = P::Format::ENTRIES * size_of::<u64>();
        sync::label(self.entry(pfn, 0), bytes, move |offset| CellName::Entry {
            table: pfn,
            entry: offset / size_of::<u64>(),
        });
        for entry in self.entries(pfn) {
            entry.init(0);
        }
        Ok(fresh)
    }

    /// Drops a reference to a table; the last one frees the frame. The table has been unlinked,
    /// flushed and waited for: INV-TABLE-2.
    pub(crate) fn put_table(&self, pfn: Pfn) {
        let put = self.frames().table(pfn).put();
        if put == Put::Last {
            sync::renew(self.entry(pfn, 0), P::Format::ENTRIES * size_of::<u64>());
        }
        self.after_put(pfn, put);
    }
}
