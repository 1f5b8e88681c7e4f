//! Taking pages out of memory, private ones to a swap device: MADV_PAGEOUT, and what reclaim does
//! with the pages that it has chosen (facts 6.7, 7.2, 7.7).
//!
//! Protocol: the address space's lock is held only to find and isolate the pages. Of those of a
//! batch each is locked (tried, never slept for) and put into the swap cache; then their entries
//! become swap entries, by the reverse map; then one flush (rule `swap-flush`); then each is
//! written, without its lock, unless it is all zeros (rule `swap-zero`), and freed if nobody else
//! refers to it. A fault that meets such an entry finds the page in the swap cache, and waits for
//! its lock.
//!
//! Zeros are looked for where nobody can store: after the flush, so that no CPU writes through an
//! entry that was; with the page's lock, so that no fault maps the page; and once nobody refers to
//! it but the swap cache and the isolation. A device that writes by a reference, or a pin, has the
//! page kept before that is asked (`swap-busy`, `swap-pinned`). One whose reference was gone by
//! then stored before it marked the page dirty, and marked it before it let go; and the look comes
//! after the mark was taken off: it sees what was stored, or the page is dirty again, and is not
//! freed (INV-RECLAIM-2). The rules that unmap pinned pages are no exception: a pin is a reference.
//!
//! A page that is locked in memory, pinned (rule `swap-pinned`), under writeback, or that there is
//! no slot for stays as it is. One that others refer to when its entries are out stays in the swap
//! cache, and is not written. A large folio is split first, as by kernels without THP_SWAP. Pages
//! of files leave as `reclaim/cached.rs` says, those of shared memory without a file as
//! `reclaim/shared.rs` does, in the same batch and by the same flush. One whose owner does not need
//! the contents is dropped in place of all that ([`crate::lazyfree`]).
//!
//! Invariants:
//! - INV-RECLAIM-1: nothing is written or freed before the flush of its entries.
//! - INV-RECLAIM-2: what is freed was clean after the last reference but two, those of the swap
//!   cache and of the isolation, was gone: its slot has its contents.
//! - INV-RECLAIM-3: where swap entries remember the mark (rule `swap-in-reuse`), a page that is
//!   pinned and marked keeps its entry.

mod cached;
mod shared;

use core::ops::{AddAssign, Range};

use crate::addr::{Mm, Pfn, VirtRange, Vpn};
use crate::event::EventKind;
use crate::frame::{Flags, Kind, Put, Sizes};
use crate::memory::Memory;
use crate::migrate::Isolated;
use crate::page::PageLock;
use crate::platform::Platform;
use crate::pte::{Entry, Pte, Swap};
use crate::rules::Owners;
use crate::rules::swap::{
    batches_flushes, keeps_pinned, keeps_pinned_unmapped, marks_zeros, remembers_mark,
};
use crate::space::{Looked, Space};
use crate::swap::{Keeper, Slot};
use crate::swapped::Transfer;
use crate::table::Cursor;
use crate::taken::{Flush, Mark, Remembers};
use crate::tlb::DeferredFlush;

/// The references of what keeps a page that is on its way out, its object or the swap cache, and of
/// the isolation.
const REFERENCES: u32 = 2;

/// The most pages that leave together. Linux: SWAP_CLUSTER_MAX.
pub(crate) const BATCH: usize = 32;

/// On whose behalf pages leave, and so which are passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reclaimer {
    /// A program's, by MADV_PAGEOUT: pages that others may map are passed over (facts 7.7).
    Advice,
    /// The system's, which is short of memory: every page is tried.
    Pressure,
}

/// What became of the pages of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reclaimed {
    /// Pages that are not in memory any more.
    pub freed: u64,
    /// Pages that were tried and stay: pinned, referred to, locked in memory, busy, or without a
    /// slot. Their entries may have become swap entries all the same.
    pub kept: u64,
}

impl AddAssign for Reclaimed {
    fn add_assign(&mut self, more: Self) {
        self.freed += more.freed;
        self.kept += more.kept;
    }
}

/// Pages that were chosen.
struct Chosen<'m, P: Platform> {
    pages: [Option<Isolated<'m, P>>; BATCH],
    used: usize,
    who: Reclaimer,
    kept: u64,
    /// The large folio that was met last: its other pages are not looked at by themselves.
    last: Range<Pfn>,
}

/// A page on its way out: locked, and if it is a private one, in the swap cache.
struct Leaving<'m, P: Platform> {
    // Dropped in this order: the lock before the page that it is of.
    lock: Option<PageLock<'m, P>>,
    page: Isolated<'m, P>,
    to: To,
}

/// Where a page is found again that has left.
#[derive(Clone, Copy)]
enum To {
    /// On a swap device: its slot, with a hold, and what kept the slot's contents when the page was
    /// locked.
    Slot(Slot, Keeper),
    /// In its file, which the page names as long as its lock is held.
    File,
    /// On a swap device, which its object names then: its slot, with a hold.
    Shared(Slot),
}

impl<'m, P: Platform> Chosen<'m, P> {
    const fn new(who: Reclaimer) -> Self {
        let pages = [const { None }; BATCH];
        Self { pages, used: 0, who, kept: 0, last: Pfn(0)..Pfn(0) }
    }

    fn seen(&self) -> Looked {
        if self.used == BATCH { Looked::Enough } else { Looked::GoOn }
    }

    fn push(&mut self, page: Isolated<'m, P>) {
        self.pages[self.used] = Some(page);
        self.used += 1;
    }

    /// Looks at an entry whose table is locked.
    fn look(&mut self, mem: &'m Memory<P>, pte: Pte<P::Format>) {
        match pte.decode() {
            Entry::Mapped(pfn) if !pte.is_special() => self.choose(mem, pfn),
            // One that was swapped out and is still in memory.
            Entry::Swap(entry) => {
                if let Some(pfn) = mem.cached_page(entry) {
                    self.isolate(mem, pfn);
                    mem.put(pfn, 1);
                }
            }
            Entry::None | Entry::Marker | Entry::Mapped(_) | Entry::Migration(_) => {}
        }
    }

    fn choose(&mut self, mem: &'m Memory<P>, pfn: Pfn) {
        if self.last.contains(&pfn) {
            return;
        }
        if let Some(head) = mem.frames().mapped_head(pfn) {
            self.last = head..Pfn(head.0 + (1 << mem.frames().order(head)));
        }
        let passed_over = match self.who {
            Reclaimer::Advice => mem.may_be_shared(pfn),
            Reclaimer::Pressure => false,
        };
        let flags = mem.frames().flags(pfn);
        if !passed_over && (flags.contains(Flags::ANON) || flags.is_cached()) {
            self.isolate(mem, pfn);
        }
    }

    fn isolate(&mut self, mem: &'m Memory<P>, pfn: Pfn) {
        match mem.isolate(pfn, Sizes::Any) {
            Some(page) => self.push(page),
            None => self.kept += 1,
        }
    }

    /// Takes what was chosen out.
    fn take(&mut self) -> impl DoubleEndedIterator<Item = Isolated<'m, P>> {
        let used = core::mem::take(&mut self.used);
        self.pages[..used].iter_mut().filter_map(Option::take)
    }
}

impl<P: Platform> Space<P> {
    /// Takes the pages of a range out of memory.
    pub(crate) fn page_out(&self, range: VirtRange, who: Reclaimer) -> Reclaimed {
        let mut done = Reclaimed::default();
        self.each_batch(range, who, |chosen| {
            done.kept += core::mem::take(&mut chosen.kept);
            done += self.mem().swap_out(chosen.take());
        });
        done
    }

    /// Has such pages of a range leave before others, when memory is short: MADV_COLD, which
    /// passes over those that others may map (facts 7.7).
    pub(crate) fn cool(&self, range: VirtRange) {
        if self.mem().frames().has_lists() {
            self.each_batch(range, Reclaimer::Advice, |chosen| {
                // So that of those that leave next the first one does first.
                chosen.take().rev().for_each(|page| self.mem().cool(page));
            });
        }
    }

    /// Calls `act` with the pages of a range, in batches.
    fn each_batch<'s>(
        &'s self,
        range: VirtRange,
        who: Reclaimer,
        mut act: impl FnMut(&mut Chosen<'s, P>),
    ) {
        let (mut page, end) = (range.first_page(), range.end_page().min(self.end_page()));
        let mut chosen = Chosen::new(who);
        self.mem().lru_add_drain();
        while page < end {
            page = self.choose_pages(page..end, &mut chosen);
            act(&mut chosen);
            // If its pages left, what is left of a folio was split, and they were tried.
            chosen.last = Pfn(0)..Pfn(0);
        }
    }

    /// Chooses pages until there are enough. Returns the first page that was not looked at.
    fn choose_pages<'s>(&'s self, pages: Range<Vpn>, chosen: &mut Chosen<'s, P>) -> Vpn {
        let mem = self.mem();
        self.look_at(pages, |pte| {
            chosen.look(mem, pte);
            chosen.seen()
        })
    }
}

impl<P: Platform> Memory<P> {
    /// Whether more than one entry, or address space, may map the page, whose entry's table is
    /// locked.
    pub(crate) fn may_be_shared(&self, pfn: Pfn) -> bool {
        self.judge_page(pfn, |state| match state.large {
            None => state.maps != 1,
            Some(folio) => match folio.owners {
                Owners::One => false,
                Owners::Several => true,
                Owners::Uncounted => folio.maps > folio.pages,
            },
        })
    }

    /// Takes pages out of memory, at most [`BATCH`]: of large folios, page by page.
    pub(crate) fn swap_out<'m>(
        &'m self,
        chosen: impl Iterator<Item = Isolated<'m, P>>,
    ) -> Reclaimed {
        let mut done = Reclaimed::default();
        let mut ready: [Option<Leaving<'m, P>>; BATCH] = [const { None }; BATCH];
        for (page, place) in chosen.zip(&mut ready) {
            if page.pages() > 1 {
                done += self.swap_out_parts(page);
                continue;
            }
            if self.is_lazy(page.head()) {
                let freed = self.discard(page);
                done += Reclaimed { freed: u64::from(freed), kept: u64::from(!freed) };
                continue;
            }
            *place = self.make_ready(page);
            done.kept += u64::from(place.is_none());
        }
        done += self.swap_out_batch(&mut ready);
        done
    }

    /// Splits a large folio, and takes its pages out one by one, those that are mapped.
    fn swap_out_parts(&self, mut folio: Isolated<'_, P>) -> Reclaimed {
        let (head, pages, mut done) = (folio.head(), folio.pages(), Reclaimed::default());
        let split = self.split_into(head, |pfn| {
            let mapped = self.frames().folio(pfn).is_mapped();
            let page = mapped.then(|| self.isolate(pfn, Sizes::Small));
            // The split's reference, which nobody accounts for any more.
            self.put(pfn, 1);
            if let Some(page) = page {
                done += self.swap_out_one(page);
            }
        });
        if split.is_err() {
            return Reclaimed { freed: 0, kept: pages };
        }
        folio.is_split();
        if self.frames().folio(head).is_mapped() {
            done += self.swap_out_one(Some(folio));
        }
        done
    }

    fn swap_out_one<'m>(&'m self, page: Option<Isolated<'m, P>>) -> Reclaimed {
        match page.and_then(|page| self.make_ready(page)) {
            Some(ready) => self.swap_out_batch(&mut [Some(ready)]),
            None => Reclaimed { freed: 0, kept: 1 },
        }
    }

    /// Unmaps, flushes, writes and frees pages that are ready for that.
    fn swap_out_batch<'m>(&'m self, pages: &mut [Option<Leaving<'m, P>>]) -> Reclaimed {
        let (mut done, mut deferred) = (Reclaimed::default(), DeferredFlush::new());
        for leaving in pages.iter().flatten() {
            let pfn = leaving.page.head();
            match leaving.to {
                To::Slot(slot, _) => self.swap_entries(pfn, slot, &mut deferred),
                To::File | To::Shared(_) => self.drop_entries(pfn, &mut deferred),
            }
        }
        // INV-RECLAIM-1.
        deferred.finish(self);
        for page in pages.iter_mut().filter_map(Option::take) {
            let left = match page.to {
                To::Slot(slot, keeper) => self.finish(page, (slot, keeper)),
                To::File => self.finish_cached(page.lock, page.page),
                To::Shared(slot) => self.finish_shared(page.lock, page.page, slot),
            };
            match left {
                Left::Freed => done.freed += 1,
                Left::Kept => done.kept += 1,
            }
        }
        done
    }

    /// Locks a page, puts a private one into the swap cache, and gives a shared one a slot; none,
    /// if it stays as it is.
    #[inline]
    fn make_ready<'m>(&'m self, page: Isolated<'m, P>) -> Option<Leaving<'m, P>> {
        match page.is_of_object() {
            false => self.prepare(page),
            true if page.is_of_file() => self.prepare_cached(page),
            true => self.prepare_shared(page),
        }
    }

    /// Locks a private page and puts it into the swap cache; none, if it stays as it is.
    fn prepare<'m>(&'m self, page: Isolated<'m, P>) -> Option<Leaving<'m, P>> {
        self.counters().pgscan_anon.add(1);
        let pfn = page.head();
        let lock = self.try_lock_page(pfn)?;
        // MADV_FREE may have come since the page was chosen: another round discards it.
        if self.is_lazy(pfn) {
            return None;
        }
        let flags = self.frames().flags(pfn);
        if flags.contains(Flags::WRITEBACK) || self.frames().locks(pfn).read_once() != 0 {
            return None;
        }
        let (slot, keeper) = match flags.contains(Flags::SWAP_CACHE) {
            true => self.hold_slot_of(pfn)?,
            false if keeps_pinned(self.rule()) && self.maybe_pinned(pfn) => {
                self.tell_frame(EventKind::SwapPinned(pfn));
                return None;
            }
            false => (self.enter(pfn)?, Keeper::Device),
        };
        Some(Leaving { lock: Some(lock), page, to: To::Slot(slot, keeper) })
    }

    fn enter(&self, pfn: Pfn) -> Option<Slot> {
        let slot = self.take_slot()?;
        self.enter_swap(pfn, slot);
        self.tell_frame(EventKind::SwapCacheEntered(pfn));
        Some(slot)
    }

    /// Replaces the entries of a page by swap entries, up to one that stays as the page may be
    /// pinned.
    fn swap_entries(&self, pfn: Pfn, slot: Slot, deferred: &mut DeferredFlush) {
        let _kept: Result<(), Kept> =
            self.take_entries(pfn, |at, cursor| self.swap_entry(at, cursor, slot, deferred));
    }

    /// Replaces one entry by a swap entry.
    fn swap_entry(
        &self,
        (mm, page): (Mm, Vpn),
        cursor: &Cursor<'_, P>,
        slot: Slot,
        deferred: &mut DeferredFlush,
    ) -> Result<(), Kept> {
        let flush = if batches_flushes(self.rule()) { Flush::Deferred } else { Flush::Now };
        let gone = self.take_entry((mm, page), cursor, flush);
        let old = gone.pte();
        let pfn = old.pfn();
        let mark = self.take_mark(pfn, Remembers::by(remembers_mark(self.rule())));
        if mark == Mark::Kept {
            gone.put_back(cursor);
            self.tell(mm.id, page, EventKind::SwapRefused(pfn));
            return Err(Kept);
        }
        if old.is_dirty() {
            self.frames().mark_dirty(pfn);
        }
        self.add_slot_user(slot);
        let exclusive = mark == Mark::Remembered;
        let entry = Swap {
            device: slot.device.number(),
            slot: slot.number,
            exclusive,
            uffd_wp: old.is_uffd_wp(),
            soft_dirty: old.is_soft_dirty(),
        };
        self.replace_gone(gone, (mm, page), cursor, Pte::swap(entry), deferred);
        self.drop_small_map(pfn);
        self.tell(mm.id, page, EventKind::SwapEntry { pfn, exclusive });
        self.put(pfn, 1);
        Ok(())
    }

    /// Writes and frees a page whose entries are out, if nothing maps it and nobody else refers to
    /// it.
    fn finish<'m>(&'m self, mut leaving: Leaving<'m, P>, (slot, keeper): (Slot, Keeper)) -> Left {
        let pfn = leaving.page.head();
        let removed = self.may_go(pfn)
            && self.write_out(&mut leaving, (slot, keeper))
            && leaving.lock.is_some()
            && self.remove_swapped(pfn, slot);
        drop(leaving.lock.take());
        if removed {
            leaving.page.end();
            self.tell_frame(EventKind::SwapFreed(pfn));
            self.counters().pgsteal_anon.add(1);
            self.after_put(pfn, Put::Last);
        }
        self.drop_slot_hold(slot);
        if removed { Left::Freed } else { Left::Kept }
    }

    /// Has the slot of a page that is all zeros say so, if the rules want that; whether it does.
    fn keep_zeros(&self, pfn: Pfn, (slot, kept): (Slot, Keeper)) -> bool {
        let zeros = marks_zeros(self.rule()) && self.platform().is_zero_frame(pfn);
        let keeper = if zeros { Keeper::Zeros } else { Keeper::Device };
        if keeper != kept {
            self.set_slot_keeper(slot, keeper);
        }
        if zeros {
            self.counters().swpout_zero.add(1);
            self.tell_frame(EventKind::SwapZeros(pfn));
        }
        zeros
    }

    /// Whether nothing maps a page any more, and nobody else refers to it.
    fn may_go(&self, pfn: Pfn) -> bool {
        // What those did who had a reference comes before the look at the page.
        let counts = self.frames().counts_acquire(pfn);
        if counts.maps() != 0 {
            return false;
        }
        if keeps_pinned_unmapped(self.rule()) && self.maybe_pinned(pfn) {
            self.tell_frame(EventKind::SwapPinned(pfn));
            return false;
        }
        let refs = counts.refs();
        if refs != REFERENCES {
            self.tell_frame(EventKind::SwapBusy { pfn, refs, expected: REFERENCES });
            return false;
        }
        true
    }

    /// Writes a page, if it is dirty and not all zeros, without its lock, which is taken again if
    /// that is free; whether the slot has the page's contents then.
    fn write_out<'m>(
        &'m self,
        leaving: &mut Leaving<'m, P>,
        (slot, keeper): (Slot, Keeper),
    ) -> bool {
        let pfn = leaving.page.head();
        if !self.frames().flags(pfn).contains(Flags::DIRTY) {
            return true;
        }
        self.begin_writeback(pfn);
        // With the lock: nobody maps the page until that is settled. Who writes to it by a
        // reference marks it as dirty afterwards, and it is not freed.
        if self.keep_zeros(pfn, (slot, keeper)) {
            self.frames().end_writeback(pfn);
            return true;
        }
        drop(leaving.lock.take());
        let written = self.write_to(pfn, slot);
        if !written {
            self.mark_dirty(pfn);
        }
        self.frames().end_writeback(pfn);
        leaving.lock = self.try_lock_page(pfn);
        written
    }

    /// Has a slot's device take a page; whether it did.
    #[inline(always)]
    fn write_to(&self, pfn: Pfn, slot: Slot) -> bool {
        let written = self.transfer(slot, Transfer::Write, pfn).is_ok();
        if written {
            self.counters().pswpout.add(1);
            self.cost_io(pfn, Kind::Anon);
            self.tell_frame(EventKind::SwappedOut(pfn));
        }
        written
    }
}

/// A page keeps an entry, as it may be pinned.
struct Kept;

/// What became of a page whose entries are out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    Freed,
    Kept,
}

#[cfg(test)]
mod tests;
