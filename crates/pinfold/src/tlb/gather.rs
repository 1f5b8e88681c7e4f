//! The gather of an unmap: pages whose entries are gone, until they are flushed and freed.
//!
//! Protocol (facts 6.1): a page goes into the first bundle, on the stack, and when that is full
//! into batches of a page of pointers each, some 10,000 pages in all. A gather without room, for
//! want of heap or at its limit, is *full*: its owner releases the table's lock, lets it flush and
//! free, and goes on. The owner of a gather that delays the removal of a page's mapping calls
//! [`Gather::flush_under_lock`] before it releases the table's lock (facts 6.4); while there is
//! such a page the gather grows by one batch at most, so that few pages are gone through there.
//!
//! Gathers that run at the same time in one address space are nested: each covers its whole range
//! ([`Gather::cover`]), as the other may have taken entries there and not flushed yet.

use alloc::vec::Vec;

use super::batch::FlushBatch;
use crate::addr::{Pfn, SpaceId, VirtRange, Vpn};
use crate::memory::Memory;
use crate::platform::{FlushScope, Platform, RetiredTables};
use crate::rules::TableFree;
use crate::rules::zap::{Removal, Zapped, removal};
use crate::sync::smp_mb;
use crate::table::{Cursor, Withdrawn, WithdrawnHuge};

/// Pages gathered without any allocation: Linux's on-stack bundle.
const BUNDLE: usize = 8;

/// Pages in a batch: a page of pointers without its header.
const BATCH: usize = 510;

/// What a gather says after taking a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    /// There is room for another.
    Left,
    /// Flush before the next one.
    Full,
}

/// Whether a page still counts the locked entry that was taken from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LockCount {
    /// No, or it was none.
    Settled,
    /// It does until its mapping is taken off.
    WithMapping,
}

/// A page whose reference the gather holds, whether its mapping is still to be taken off, and with
/// that the count of a locked entry; or as many pages of a large folio with a reference for each.
/// One word, as in a kernel, whose pointers have bits to spare.
#[derive(Clone, Copy)]
struct Held(u64);

impl Held {
    const MAPPED: u64 = 1 << 63;
    const LOCKED: u64 = 1 << 62;
    /// From here on up to those: how many pages more there are than one. No format's frame numbers
    /// reach so far.
    const MORE_SHIFT: u32 = 52;

    #[inline]
    fn of(pfn: Pfn, removal: Removal, lock: LockCount) -> Self {
        let mapped = match removal {
            Removal::WithEntry => 0,
            Removal::UnderLock | Removal::WhenFreed => Self::MAPPED,
        };
        let locked = match lock {
            LockCount::Settled => 0,
            LockCount::WithMapping => Self::LOCKED,
        };
        Self(pfn.0 | mapped | locked)
    }

    #[inline]
    fn pfn(self) -> Pfn {
        Pfn(self.0 & ((1 << Self::MORE_SHIFT) - 1))
    }

    /// How many references these are.
    #[inline]
    fn pages(self) -> u32 {
        ((self.0 & !(Self::MAPPED | Self::LOCKED)) >> Self::MORE_SHIFT) as u32 + 1
    }

    /// Gives the references back. The mapping was taken off.
    #[inline]
    fn put<P: Platform>(self, mem: &Memory<P>) {
        if self.0 >> Self::MORE_SHIFT == 0 {
            mem.put(Pfn(self.0), 1);
        } else {
            self.put_run(mem);
        }
    }

    #[inline(never)]
    fn put_run<P: Platform>(self, mem: &Memory<P>) {
        mem.put_run(self.pfn(), self.pages());
    }

    /// Takes the mapping off that was left on the page, if there is one.
    #[inline]
    fn unmap<P: Platform>(&mut self, mem: &Memory<P>, space: SpaceId) {
        if self.0 & Self::MAPPED != 0 {
            self.0 &= !Self::MAPPED;
            mem.drop_map(self.pfn(), space);
        }
        if self.0 & Self::LOCKED != 0 {
            self.0 &= !Self::LOCKED;
            mem.munlock(self.pfn());
        }
    }
}

/// Whether CPUs may still use the address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    /// They may.
    Used,
    /// None has its root loaded, and all have forgotten it.
    Ended,
}

/// Collects unmapped pages, flushes once, frees them.
#[must_use = "pages were unmapped and neither flushed nor freed"]
pub(crate) struct Gather<'m, P: Platform> {
    mem: &'m Memory<P>,
    space: SpaceId,
    life: Life,
    changed: FlushBatch,
    /// When the mapping goes of a dirty page of a file, and of any other page.
    dirty_file: Removal,
    other: Removal,
    /// Whether a page waits for [`Gather::flush_under_lock`].
    delayed: bool,
    bundle: [Held; BUNDLE],
    bundled: usize,
    /// The batch that is being filled; without room before the bundle is full.
    batch: Vec<Held>,
    filled: Vec<Vec<Held>>,
    /// Unlinked page tables, chained through their frames' index words.
    tables: Option<Pfn>,
}

impl<'m, P: Platform> Gather<'m, P> {
    pub(crate) fn new(mem: &'m Memory<P>, space: SpaceId) -> Self {
        let rule = mem.rule();
        Self {
            mem,
            space,
            life: Life::Used,
            changed: FlushBatch::default(),
            dirty_file: removal(rule, Zapped::DirtyFile),
            other: removal(rule, Zapped::Other),
            delayed: false,
            bundle: [Held(0); BUNDLE],
            bundled: 0,
            batch: Vec::new(),
            filled: Vec::new(),
            tables: None,
        }
    }

    /// The gather of an address space that ends: one flush now is all that it needs, since no CPU
    /// has its root loaded ([`Platform`]).
    pub(crate) fn of_dying(mem: &'m Memory<P>, space: SpaceId) -> Self {
        mem.flush(space, FlushScope::All);
        Self { life: Life::Ended, ..Self::new(mem, space) }
    }

    /// When the mapping is taken off a page that was found so.
    #[inline]
    pub(crate) fn removal(&self, zapped: Zapped) -> Removal {
        match zapped {
            Zapped::DirtyFile => self.dirty_file,
            Zapped::Other => self.other,
        }
    }

    /// Takes the mapping's reference of `pfn`, whose entry was withdrawn; frees it after the flush.
    /// Unless `removal` is [`Removal::WithEntry`] the mapping is the gather's, too.
    #[inline(always)]
    pub(crate) fn add(
        &mut self,
        old: Withdrawn<P::Format>,
        pfn: Pfn,
        removal: Removal,
        lock: LockCount,
    ) -> Room {
        debug_assert_eq!(old.pte().pfn(), pfn);
        self.changed.note(old.page());
        if removal == Removal::UnderLock {
            self.delayed = true;
        }
        self.hold(Held::of(pfn, removal, lock))
    }

    /// Takes the references of mappings of a run of a large folio's pages, whose entries were
    /// withdrawn from `page` on. Their mappings were taken off.
    pub(crate) fn add_run(&mut self, page: Vpn, (first, pages): (Pfn, u32)) -> Room {
        self.changed.note(page);
        self.changed.note(page + u64::from(pages) - 1);
        let more = u64::from(pages - 1) << Held::MORE_SHIFT;
        self.hold(Held(Held::of(first, Removal::WithEntry, LockCount::Settled).0 | more))
    }

    /// As [`Gather::add_run`], of a folio whose huge entry was withdrawn.
    pub(crate) fn add_huge(&mut self, old: &WithdrawnHuge<P::Format>, run: (Pfn, u32)) -> Room {
        self.add_run(old.run().0, run)
    }

    /// As [`Gather::note`], of a huge entry.
    pub(crate) fn note_huge(&mut self, old: &WithdrawnHuge<P::Format>) -> Room {
        let (first, pages) = old.run();
        self.changed.note(first);
        self.changed.note(first + pages - 1);
        Room::Left
    }

    #[inline(always)]
    fn hold(&mut self, held: Held) -> Room {
        if self.bundled < BUNDLE {
            self.bundle[self.bundled] = held;
            self.bundled += 1;
            return self.room_after_bundle();
        }
        self.batch.push(held);
        if self.batch.len() < self.batch.capacity() { Room::Left } else { self.next_batch() }
    }

    fn limit(&self) -> usize {
        self.mem.tuning().gather_pages
    }

    fn room_after_bundle(&mut self) -> Room {
        if self.bundled >= self.limit() {
            Room::Full
        } else if self.bundled < BUNDLE || self.batch.capacity() > 0 {
            Room::Left
        } else {
            self.make_batch(BUNDLE).map_or(Room::Full, |batch| {
                self.batch = batch;
                Room::Left
            })
        }
    }

    /// A batch for a gather that has `taken` pages; none if that is the limit, or for want of heap:
    /// then the gather merely stays small.
    fn make_batch(&self, taken: usize) -> Option<Vec<Held>> {
        let wanted = self.limit().saturating_sub(taken).min(BATCH);
        let mut batch = Vec::new();
        (wanted > 0 && batch.try_reserve_exact(wanted).is_ok()).then_some(batch)
    }

    #[cold]
    fn next_batch(&mut self) -> Room {
        let taken = BUNDLE + BATCH * self.filled.len() + self.batch.len();
        if self.delayed || self.filled.try_reserve(1).is_err() {
            return Room::Full;
        }
        let Some(batch) = self.make_batch(taken) else { return Room::Full };
        self.filled.push(core::mem::replace(&mut self.batch, batch));
        Room::Left
    }

    /// Records an entry that held no reference: it is flushed, and nothing is freed.
    #[inline]
    pub(crate) fn note(&mut self, old: Withdrawn<P::Format>) {
        self.changed.note(old.page());
    }

    /// Flushes all of `range`, whatever was taken from it here.
    pub(crate) fn cover(&mut self, range: VirtRange) {
        self.changed.note(range.first_page());
        self.changed.note(range.end_page() - 1);
    }

    /// Takes an unlinked table.
    pub(crate) fn add_table(&mut self, table: Pfn) {
        self.mem.frames().table(table).chain(self.tables);
        self.tables = Some(table);
    }

    /// Flushes, and takes the mappings off that were delayed until then, if there are any; the
    /// table in which they were is still locked. The pages are to be freed before the next entry.
    pub(crate) fn flush_under_lock(&mut self, _table: &Cursor<'_, P>) -> Room {
        if !self.delayed {
            return Room::Left;
        }
        self.delayed = false;
        self.flush();
        let (mem, space) = (self.mem, self.space);
        self.each_held(|held| held.unmap(mem, space));
        Room::Full
    }

    /// As [`Gather::flush_under_lock`], and flushes in any case: who finds an entry of this table
    /// gone under its lock may rely on no CPU having it.
    pub(crate) fn flush_all_under_lock(&mut self, table: &Cursor<'_, P>) -> Room {
        let room = self.flush_under_lock(table);
        if room == Room::Left {
            self.flush();
        }
        room
    }

    fn each_held(&mut self, mut act: impl FnMut(&mut Held)) {
        self.bundle[..self.bundled].iter_mut().for_each(&mut act);
        self.filled.iter_mut().flatten().for_each(&mut act);
        self.batch.iter_mut().for_each(&mut act);
    }

    fn flush(&mut self) {
        match self.life {
            Life::Used => self.changed.flush(self.mem, self.space),
            Life::Ended => {}
        }
    }

    /// Flushes and frees what was gathered so far: without page-table locks held.
    pub(crate) fn flush_and_free(&mut self) {
        self.flush();
        let (mem, space) = (self.mem, self.space);
        if self.other == Removal::WhenFreed {
            self.each_held(|held| {
                held.unmap(mem, space);
                held.put(mem);
            });
        } else {
            self.each_held(|held| held.put(mem));
        }
        self.bundled = 0;
        self.batch.clear();
        self.filled.clear();
    }

    /// Flushes and frees the rest; the tables once the walkers have left them.
    pub(crate) fn finish(mut self) {
        if self.tables.is_some() && self.life == Life::Used {
            self.changed = FlushBatch::NONE;
            self.mem.flush(self.space, FlushScope::All);
        }
        self.flush_and_free();
        let Some(first) = self.tables else { return };
        let (mem, tables) = (self.mem, RetiredTables { first });
        match mem.rule() {
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
