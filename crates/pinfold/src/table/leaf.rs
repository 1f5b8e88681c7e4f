//! A last-level table, and the right to change its entries.

use core::ops::Range;

use super::frame::TableLock;
use super::level::{index, last_level};
use super::slot::Slot;
use crate::addr::{Pfn, VirtRange, Vpn};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::pte::{BitChange, Format, Match, Pte};
use crate::sync::AtomicU64;

/// So many entries are looked at at once.
const BLOCK: usize = 8;

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

impl<'m, P: Platform> Leaf<'m, P> {
    /// The table in `table`, which this entry names, and did so with these bits.
    #[inline]
    pub(super) fn found(mem: &'m Memory<P>, table: Pfn, parent: (&'m AtomicU64, u64)) -> Self {
        Self { mem, table, entries: mem.entries(table), parent }
    }

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
        let none = |entries: &[AtomicU64]| {
            entries.iter().fold(0, |bits, entry| bits | entry.load_acquire()) == 0
        };
        let (blocks, rest) = self.entries.as_chunks::<BLOCK>();
        let empty = blocks.iter().all(|block| none(block)) && none(rest);
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
