//! Splitting a huge entry: a table takes its place whose entries map the same pages (the kernel's
//! split of a PMD). The folio stays whole.
//!
//! Protocol: under the lock of the table that holds it the entry is made unusable, and flushed, so
//! that no CPU uses it beside the new ones or sets a bit in it; then the table that was deposited
//! with it is filled, where nobody else can find it, and linked. It does not ask for references or
//! pins, waits for nothing but the flush, and cannot fail (facts 5.3).

use crate::addr::{Mm, Pfn};
use crate::event::{Bug, EventKind};
use crate::memory::Memory;
use crate::platform::{FlushScope, Invalidate, Platform};
use crate::pte::{Format, Pte};
use crate::rules::Exclusive;

use super::huge::{Huge, HugeCursor};
use super::walk::Next;

impl<P: Platform> Memory<P> {
    /// A table that can be deposited with a huge entry.
    ///
    /// # Errors
    /// When no frame is left, or its number is too large for the list of deposited tables.
    pub(crate) fn new_deposit(
        &self,
    ) -> Result<crate::frame::NewFrame<'_>, crate::error::OutOfFrames> {
        let table = self.new_table()?;
        if self.frames().may_deposit(table.pfn()) {
            Ok(table)
        } else {
            Err(crate::error::OutOfFrames)
        }
    }

    /// Splits what lies in the place of a huge entry, if it is one, and not for a page of the pool.
    /// No table is locked. Afterwards there is a table, or nothing, unless another huge entry was
    /// made meanwhile.
    #[cold]
    #[inline(never)]
    pub(crate) fn split_huge(&self, mm: Mm, huge: &Huge<'_, P>) {
        let _changing = self.changing(mm.id, huge.range(), Invalidate::Clear);
        let cursor = huge.lock();
        if let Some(pte) = cursor.get().filter(|pte| !self.maps_pooled(*pte)) {
            self.split_locked(mm, huge, &cursor, pte);
        }
    }

    /// The same for a walk, which goes on where the entry was, or passes over it.
    pub(crate) fn split_or_pass(&self, mm: Mm, huge: &Huge<'_, P>) -> Next {
        if huge.is_pooled() {
            return Next::On;
        }
        self.split_huge(mm, huge);
        Next::Again
    }

    fn split_locked(
        &self,
        mm: Mm,
        huge: &Huge<'_, P>,
        cursor: &HugeCursor<'_, '_, P>,
        now: Pte<P::Format>,
    ) {
        let first = huge.pages().start;
        // A migration entry is neither none nor usable: INV-HUGE-4.
        let old = if now.is_mapped() { cursor.invalidate(now).pte() } else { now };
        if old.is_present() {
            self.flush(mm.id, FlushScope::Range(huge.range()));
        }
        let Some(table) = self.frames().take_deposited(huge.upper) else {
            // INV-HUGE-2. The pages are lost to the process, and nobody else's.
            return self.platform().bug(Bug::NoTableDeposited(huge.upper));
        };
        self.fill(table, old);
        if let Some(head) = old.counted() {
            self.mark_all(head);
        }
        cursor.link(table);
        self.counters().thp_split_pmd.add(1);
        self.tell(
            mm.id,
            first,
            EventKind::HugeSplit { head: old.pfn(), pages: P::Format::ENTRIES as u64 },
        );
    }

    /// Fills a table that nobody can find with the entries of the pages of a huge one.
    fn fill(&self, table: Pfn, old: Pte<P::Format>) {
        // The zero page is as good as any page of the huge one.
        let zero = (old.is_mapped() && old.is_special()).then(|| old.of(self.zero_page()));
        for (entry, place) in self.entries(table).iter().zip(0..) {
            entry.write_once(zero.unwrap_or_else(|| old.further(place)).bits());
        }
    }

    /// Gives the mark of a folio's first page to all: INV-HUGE-3 holds no longer.
    fn mark_all(&self, head: Pfn) {
        let Some(folio) = self.frames().large(head) else { return };
        if folio.mark(head) == Exclusive::Marked {
            folio.set_marks(self.large_maps(), self.rule());
        }
    }
}
