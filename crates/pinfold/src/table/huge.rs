//! Huge entries: what the level above the last has in place of a table, mapping all of its pages at
//! once (the kernel's PMD leaf).
//!
//! Protocol: such an entry is made, changed and taken out under the lock of the table that holds it
//! ([`HugeCursor`]), the one under which a table is linked there. Unlike a table it may go at any
//! time while the address space's lock is held for reading: a fault splits it, DONTNEED takes it
//! out, a walk of the reverse map splits it. So who has found one looks again under the lock, and
//! who finds a table by then, or nothing, walks again.
//!
//! Whoever makes one deposits a table with the table that holds it (`frame/deposit.rs`): a split
//! has nothing to allocate, and so cannot fail (facts 5.3).
//!
//! While its folio is on the move a migration entry takes its place (`vacate`), with the same table
//! deposited, for all pages: whoever needs that of one page splits it as any other huge entry.
//!
//! It counts as so many entries of the last level, one for each page: its folio has as many
//! references and mappings for it as pages, and a split changes no count. (Linux counts one, and
//! adds the others when it splits; what rules compare comes to the same, as an entry of this kind
//! maps all pages.) The exclusive mark is on the folio's first page, for all of them.
//!
//! A huge entry for a page of the pool (hugetlb) is of another kind: it lies in an area of such
//! pages, where there are no others, is never split, and no table is deposited with it. What takes
//! its page away leaves an entry that says so. Whoever would split it passes over it.
//!
//! Invariants:
//! - INV-HUGE-1: a huge entry maps private memory, is not counted as locked and not protected for a
//!   monitor: who locks or protects one of its pages splits it. So does who changes, shares or
//!   takes some of its pages and not the others, and who is going to end an area among them. What
//!   would do so to a page of the pool is refused.
//! - INV-HUGE-2: a table above the last level has as many deposited tables as huge entries that are
//!   not for pages of the pool.
//! - INV-HUGE-3: a folio that a huge entry maps has its mark on its first page or nowhere.
//! - INV-HUGE-4: from the first step of a split to the last the entry is neither none nor usable by
//!   the hardware: who looks at it without the lock does not take the pages for untouched. So it is
//!   while a page of the pool is replaced by a copy.
//! - INV-HUGE-5: where an area of pages of the pool lies there is no last-level table.

use core::ops::Range;

use super::frame::TableLock;
use super::level::table_start;
use super::slot::Slot;
use crate::addr::{Pfn, VirtRange, Vpn};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::pte::{Format, Pte};
use crate::sync::AtomicU64;

/// The place of a huge entry, and what was found there: nothing, a table, or such an entry.
pub(crate) struct Huge<'m, P: Platform> {
    mem: &'m Memory<P>,
    /// The table that holds it.
    pub(crate) upper: Pfn,
    slot: &'m AtomicU64,
    first: Vpn,
    bits: u64,
}

impl<'m, P: Platform> Huge<'m, P> {
    /// The place for the table of `page`, in a table, where these bits were found.
    pub(super) fn found(
        mem: &'m Memory<P>,
        (upper, slot, bits): (Pfn, &'m AtomicU64, u64),
        page: Vpn,
    ) -> Self {
        Self { mem, upper, slot, first: table_start::<P::Format>(page), bits }
    }

    /// The pages that it maps.
    pub(crate) fn pages(&self) -> Range<Vpn> {
        self.first..self.first + P::Format::ENTRIES as u64
    }

    /// The same as a range.
    pub(crate) fn range(&self) -> VirtRange {
        let Range { start, end } = self.pages();
        VirtRange::of_pages(start, end)
    }

    /// What was found, if it is neither none nor a table.
    pub(crate) fn pte(&self) -> Option<Pte<P::Format>> {
        entry(self.bits)
    }

    /// The part of what was found that maps `page`, as an entry of its own.
    pub(crate) fn part(&self, page: Vpn) -> Pte<P::Format> {
        match self.pte() {
            None => Pte::NONE,
            Some(pte) if pte.is_lost() => pte,
            Some(pte) => pte.further(page - self.first),
        }
    }

    /// Whether what was found is for a page of the pool. Without the lock, another may be there by
    /// now, and what was found may be for a folio that is gone.
    pub(crate) fn is_pooled(&self) -> bool {
        self.pte().is_some_and(|pte| self.mem.maps_pooled(pte))
    }

    /// Whether the same is there, read without a lock.
    #[inline]
    pub(crate) fn is_still(&self) -> bool {
        self.slot.read_once() == self.bits
    }

    /// Takes out the table that is there: its entry. Ordered as a full exchange.
    pub(super) fn take_table(&self) -> u64 {
        let _lock = self.mem.table_lock(self.upper);
        let bits = self.slot.xchg(0);
        debug_assert!(Pte::<P::Format>::from_bits(bits).is_table(), "no table is there");
        bits
    }

    /// Undoes [`Huge::take_table`].
    pub(super) fn put_table(&self, bits: u64) {
        let _lock = self.mem.table_lock(self.upper);
        self.slot.store_release(bits);
    }

    /// Takes the lock of the table that holds it: from now on only this cursor and the hardware
    /// change what is there.
    pub(crate) fn lock(&self) -> HugeCursor<'_, 'm, P> {
        HugeCursor { huge: self, _lock: self.mem.table_lock(self.upper) }
    }
}

fn entry<F: Format>(bits: u64) -> Option<Pte<F>> {
    (bits != 0 && !Pte::<F>::from_bits(bits).is_table()).then(|| Pte::from_huge(bits))
}

/// A huge entry that was taken out and that CPUs may still have cached: consumed once, by an entry
/// for the same folio in its place, or by a gather that flushes later.
#[must_use = "the old translation is still cached: replace it, or gather it"]
#[derive(Debug)]
pub(crate) struct WithdrawnHuge<F: Format> {
    first: Vpn,
    pte: Pte<F>,
}

impl<F: Format> WithdrawnHuge<F> {
    /// The entry.
    pub(crate) fn pte(&self) -> Pte<F> {
        self.pte
    }

    /// The first page that it mapped, and how many it did.
    pub(crate) fn run(&self) -> (Vpn, u64) {
        (self.first, F::ENTRIES as u64)
    }
}

/// The right to change what lies in the place of a huge entry.
#[must_use]
pub(crate) struct HugeCursor<'h, 'm, P: Platform> {
    huge: &'h Huge<'m, P>,
    _lock: TableLock<'m>,
}

impl<P: Platform> HugeCursor<'_, '_, P> {
    /// The huge entry, if there is one.
    pub(crate) fn get(&self) -> Option<Pte<P::Format>> {
        entry(self.huge.slot.load_acquire())
    }

    /// Whether nothing is there.
    pub(crate) fn is_none(&self) -> bool {
        self.huge.slot.load_acquire() == 0
    }

    /// Makes an entry where none is, and deposits a table, which [`Memory::new_deposit`] gave.
    pub(crate) fn make(&self, pte: Pte<P::Format>, table: Pfn) {
        debug_assert!(self.is_none(), "a huge entry is made over another one");
        self.huge.mem.frames().deposit(self.huge.upper, table);
        self.set(pte);
    }

    /// Takes the entry, which is `now`, out, leaving none, and the table that was deposited with
    /// it, if one was.
    pub(crate) fn withdraw(&self, now: Pte<P::Format>) -> (WithdrawnHuge<P::Format>, Option<Pfn>) {
        let mem = self.huge.mem;
        let pooled = mem.maps_pooled(now);
        let old = self.exchange(0);
        (old, if pooled { None } else { mem.frames().take_deposited(self.huge.upper) })
    }

    /// Makes an entry for a page of the pool, or one that was lost, where none is.
    pub(crate) fn make_pooled(&self, pte: Pte<P::Format>) {
        debug_assert!(self.is_none(), "a huge entry is made over another one");
        self.set(pte);
    }

    /// Takes the entry for a page of the pool out; what is left says that the page was taken.
    pub(crate) fn lose(&self) -> WithdrawnHuge<P::Format> {
        self.exchange(Pte::<P::Format>::lost().to_huge())
    }

    /// Takes the entry out and leaves one that the hardware cannot use: INV-HUGE-4.
    pub(crate) fn invalidate(&self, now: Pte<P::Format>) -> WithdrawnHuge<P::Format> {
        self.exchange(now.hint().to_huge())
    }

    fn exchange(&self, bits: u64) -> WithdrawnHuge<P::Format> {
        let old = Pte::from_huge(self.huge.slot.xchg(bits));
        WithdrawnHuge { first: self.huge.first, pte: old }
    }

    /// Replaces an invalidated entry by one for the same folio. The caller notes the pages in a
    /// [`crate::tlb::FlushBatch`].
    pub(crate) fn restrict(&self, old: WithdrawnHuge<P::Format>, pte: Pte<P::Format>) {
        debug_assert_eq!(old.pte.pfn(), pte.pfn());
        self.set(pte);
    }

    /// Replaces an invalidated entry by one for another folio: after every CPU has forgotten the
    /// old one (facts 1.7), but under the hazardous variant of the rule `cow-publish`.
    pub(crate) fn replace(&self, old: WithdrawnHuge<P::Format>, pte: Pte<P::Format>) {
        let WithdrawnHuge { .. } = old;
        self.set(pte);
    }

    /// Sets an entry over one that the hardware cannot be using.
    pub(crate) fn set(&self, pte: Pte<P::Format>) {
        self.huge.slot.store_release(pte.to_huge());
    }

    /// Links the deposited table, whose entries say what the huge one did, in place of that, which
    /// no CPU has cached any more.
    pub(super) fn link(&self, table: Pfn) {
        self.huge.slot.store_release(Pte::<P::Format>::table(table).bits());
    }

    /// Removes write permission in one step, so that bits that the hardware sets stay; see
    /// [`super::Cursor::revoke_write`].
    pub(crate) fn revoke_write(&self) {
        Slot::<P::Format>::of(self.huge.slot).revoke_write();
    }

    /// Adds what `more` says to the entry, which is `now` but for what the hardware sets; see
    /// [`super::Cursor::grant`].
    pub(crate) fn grant(&self, now: Pte<P::Format>, more: Pte<P::Format>) {
        let (set, clear) = (more.bits(), now.bits() & !more.bits());
        let granted = |bits| {
            let old = Pte::<P::Format>::from_huge(bits).bits();
            Some(Pte::<P::Format>::from_bits(old & !clear | set).to_huge())
        };
        let _ = self.huge.slot.try_update(granted);
    }
}

impl<P: Platform> Memory<P> {
    /// Whether a huge entry is for a page of the pool, or was: its table is locked, or the answer
    /// is a guess.
    pub(crate) fn maps_pooled(&self, pte: Pte<P::Format>) -> bool {
        pte.is_lost() || pte.counted().is_some_and(|pfn| self.frames().is_pooled(pfn))
    }
}
