//! Flushing, and the gather of an unmap.
//!
//! Invariants:
//! - INV-TLB-1: a page that a gather took is freed only after a flush that began when its entry was
//!   already gone.
//! - INV-TLB-2: a copy replaces a page only with the proof of a flush ([`crate::table::Flushed`]),
//!   except under the never-released switch.
//! - INV-TLB-3: a full gather is an ordinary event: flush, free, continue (facts 6.1). It needs no
//!   allocation to make progress.
//! - INV-TLB-4: there is a full barrier between the unlinking of a table and the wait for walkers,
//!   as there is one after the opening of a walk section: a walker that the wait misses finds the
//!   table gone.

use alloc::vec::Vec;

use crate::addr::{Pfn, SpaceId, VirtRange, Vpn};
use crate::memory::Memory;
use crate::platform::{FlushScope, Platform, RetiredTables};
use crate::pte::Format;
use crate::rules::TableFree;
use crate::sync::smp_mb;
use crate::table::{Flushed, Withdrawn};

/// Pages gathered without any allocation: Linux's on-stack bundle.
const ON_STACK: usize = 8;

/// The pages whose translations have changed since the last flush. The owner flushes by
/// [`FlushBatch::finish`]; dropping it flushes nothing.
#[must_use = "entries were changed and not flushed"]
#[derive(Debug, Default)]
pub(crate) struct FlushBatch {
    pages: Option<(Vpn, Vpn)>,
}

impl FlushBatch {
    /// Records a changed page.
    #[inline]
    pub(crate) fn note(&mut self, page: Vpn) {
        let (first, end) = self.pages.unwrap_or((page, page));
        self.pages = Some((first.min(page), end.max(page + 1)));
    }

    /// Flushes once, if anything changed.
    pub(crate) fn finish<P: Platform>(mut self, mem: &Memory<P>, space: SpaceId) {
        self.flush(mem, space);
    }

    fn flush<P: Platform>(&mut self, mem: &Memory<P>, space: SpaceId) {
        if let Some((first, end)) = self.pages.take() {
            mem.flush(space, FlushScope::Range(VirtRange::of_pages(first, end)));
        }
    }
}

impl<P: Platform> Memory<P> {
    /// Makes all CPUs forget, and counts the flush.
    pub(crate) fn flush(&self, space: SpaceId, scope: FlushScope) {
        self.stats().nr_tlb_remote_flush.add(1);
        self.platform().flush(space, scope);
    }

    /// Makes all CPUs forget a withdrawn entry.
    pub(crate) fn flush_withdrawn<F: Format>(
        &self,
        space: SpaceId,
        old: Withdrawn<F>,
    ) -> Flushed<F> {
        old.flush_by(|page| self.flush(space, FlushScope::Range(page)))
    }
}

/// What a gather says after taking a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    /// There is room for another.
    Left,
    /// Flush before the next one.
    Full,
}

/// Collects unmapped pages, flushes once, frees them.
#[must_use = "pages were unmapped and neither flushed nor freed"]
pub(crate) struct Gather<'m, P: Platform> {
    mem: &'m Memory<P>,
    space: SpaceId,
    batch: FlushBatch,
    few: [Pfn; ON_STACK],
    few_len: usize,
    many: Vec<Pfn>,
    /// Unlinked page tables, chained through their frames' index words.
    tables: Option<Pfn>,
}

impl<'m, P: Platform> Gather<'m, P> {
    pub(crate) fn new(mem: &'m Memory<P>, space: SpaceId) -> Self {
        Self {
            mem,
            space,
            batch: FlushBatch::default(),
            few: [Pfn(0); ON_STACK],
            few_len: 0,
            many: Vec::new(),
            tables: None,
        }
    }

    /// Takes the mapping's reference of `pfn`, whose entry was withdrawn; frees it after the flush.
    #[inline]
    pub(crate) fn add(&mut self, old: Withdrawn<P::Format>, pfn: Pfn) -> Room {
        debug_assert_eq!(old.pte().pfn(), pfn);
        self.batch.note(old.page());
        if self.few_len < ON_STACK {
            self.few[self.few_len] = pfn;
            self.few_len += 1;
            return self.room_behind_stack();
        }
        self.many.push(pfn);
        if self.many.len() < self.many.capacity() { Room::Left } else { Room::Full }
    }

    /// Once the stack's slots are taken, more room comes from the heap; without that the gather
    /// merely stays small.
    fn room_behind_stack(&mut self) -> Room {
        let wanted = self.mem.tuning().gather_pages;
        if self.few_len >= wanted {
            return Room::Full;
        }
        if self.few_len < ON_STACK || self.many.try_reserve_exact(wanted - ON_STACK).is_ok() {
            Room::Left
        } else {
            Room::Full
        }
    }

    /// Records an entry that held no reference: it is flushed, and nothing is freed.
    #[inline]
    pub(crate) fn note(&mut self, old: Withdrawn<P::Format>) {
        self.batch.note(old.page());
    }

    /// Flushes all of `range`, whatever was taken from it here.
    pub(crate) fn cover(&mut self, range: VirtRange) {
        self.batch.note(range.first_page());
        self.batch.note(range.end_page() - 1);
    }

    /// Takes an unlinked table.
    pub(crate) fn add_table(&mut self, table: Pfn) {
        self.mem.frames().table(table).chain(self.tables);
        self.tables = Some(table);
    }

    /// Flushes and frees what was gathered so far: without page-table locks held.
    pub(crate) fn flush_and_free(&mut self) {
        self.batch.flush(self.mem, self.space);
        for pfn in &self.few[..self.few_len] {
            self.mem.put(*pfn, 1);
        }
        for pfn in &self.many {
            self.mem.put(*pfn, 1);
        }
        self.few_len = 0;
        self.many.clear();
    }

    /// Flushes and frees the rest; the tables once the walkers have left them.
    pub(crate) fn finish(mut self) {
        if self.tables.is_some() {
            self.batch.pages = None;
            self.mem.flush(self.space, FlushScope::All);
        }
        self.flush_and_free();
        let Some(first) = self.tables else { return };
        let (mem, tables) = (self.mem, RetiredTables { first });
        match mem.rules().table_free {
            TableFree::AtOnce => return mem.free_tables(tables),
            TableFree::AfterWalkers => {}
        }
        // A flush need not order the stores that unlinked the tables before the check for walkers:
        // INV-TLB-4.
        smp_mb();
        if let Err(tables) = mem.platform().defer(tables) {
            mem.platform().wait_for_walkers();
            mem.free_tables(tables);
        }
    }
}

impl<P: Platform> Memory<P> {
    /// Frees what [`Platform::defer`] has taken, once every walk section that was open at that call
    /// has closed. Called in the context of any call of the manager: interrupts on.
    pub fn free_tables(&self, tables: RetiredTables) {
        let mut next = Some(tables.first);
        while let Some(table) = next {
            next = self.frames().table(table).chained();
            self.put_table(table);
        }
    }
}
