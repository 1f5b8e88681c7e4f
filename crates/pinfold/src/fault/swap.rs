//! Faults on swap entries: the page is found in the swap cache or read from its device, and mapped
//! (facts 1.8).
//!
//! Protocol: as [`crate::swap`] and `pinfold_rules::swap` say. The page is locked, and slept for:
//! whoever reads it, or takes it out, has the lock. Then the table is locked, and the entry
//! compared with the one that faulted. A page that was not its owner's comes back read-only, and an
//! access that writes faults again.
//!
//! Who reads holds the slot, and looks at the entry once more: the slot of one that is gone may be
//! another's by now, whose page must not get a place in the reverse map of this area. Once his own
//! page is mapped, he may read others ahead (`fault/readahead.rs`). Of a device that answers at
//! once the page may not come to the swap cache at all (`fault/past.rs`).

use core::ops::Range;

use super::request::{Fault, Request, Rights, Want};
use crate::addr::{Pfn, Vpn, each_page};
use crate::area::{AreaMap, Locked, Prot};
use crate::error::{FaultError, NoPage, OutOfFrames, StoreError};
use crate::event::{Bug, EventKind};
use crate::frame::{Counts, Flags, Kind, NewFrame, Placement, Start};
use crate::page::PageLock;
use crate::platform::Platform;
use crate::pte::{Entry, Format, Pte, Swap};
use crate::rules::swap::{
    FreesCache, SwapInFor, SwapInVerdict, drains_lru, frees_cache, grants_write, swap_in,
};
use crate::rules::{Exclusive, Lru, PageState, SwapInReuse};
use crate::space::Space;
use crate::swap::{Asked, Slot, SwapId};
use crate::swapped::{Found, Known};
use crate::table::{Leaf, Next, Part};

impl<P: Platform> Space<P> {
    /// Maps the page that a swap entry names.
    #[cold]
    #[inline(never)]
    pub(super) fn swapped(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        (orig, entry): (Pte<P::Format>, Swap),
    ) -> Result<Fault, FaultError> {
        let (mem, mut was_out) = (self.mem(), false);
        let (pfn, locked) = match mem.find_swapped(entry) {
            Found::Gone => {
                // Who has given the last share up replaces the entry before he unlocks the table.
                drop(leaf.lock());
                return Ok(Fault::Spurious);
            }
            Found::Past(past) => return self.swapped_past(request, leaf, (orig, entry), past),
            Found::Claimed(seen) => {
                mem.tell(self.id(), request.page, EventKind::WaitSwapClaim(entry));
                mem.wait_for_claim(seen);
                return Ok(Fault::Waited);
            }
            Found::Page(pfn, Asked::Fault) => (pfn, self.lock_swapped(request.page, pfn)),
            Found::Page(pfn, Asked::Ahead) => {
                mem.counters().swap_ra_hit.add(1);
                self.asked_ahead(request.area, request.page);
                (pfn, self.lock_swapped(request.page, pfn))
            }
            Found::Device if leaf.read(request.page) != orig => {
                mem.drop_entry_hold(entry);
                return Ok(Fault::Spurious);
            }
            Found::Device => {
                let read = self.read_in(request, entry);
                mem.drop_entry_hold(entry);
                was_out = true;
                read?
            }
        };
        if request.want == Want::Write && drains_lru(mem.rule()) && mem.lru_of(pfn) == Lru::Off {
            mem.lru_add_drain();
        }
        let fault = if mem.is_swapped_to(pfn, entry) {
            self.map_swapped(request, leaf, (orig, entry), pfn)
        } else {
            Fault::Waited
        };
        drop(locked);
        mem.put(pfn, 1);
        if was_out && mem.tuning().swap_readahead > 0 && mem.is_queued(entry) {
            self.read_ahead(request, leaf);
        }
        Ok(fault)
    }

    pub(super) fn lock_swapped(&self, page: Vpn, pfn: Pfn) -> PageLock<'_, P> {
        self.mem().try_lock_page(pfn).unwrap_or_else(|| {
            self.mem().tell(self.id(), page, EventKind::WaitSwap(pfn));
            self.mem().lock_page(pfn)
        })
    }

    /// Reads a page, of whose slot the caller has a hold, unless another does so first: the page,
    /// with a reference and locked.
    fn read_in(
        &self,
        request: &Request<'_, P>,
        entry: Swap,
    ) -> Result<(Pfn, PageLock<'_, P>), FaultError> {
        let (page, fresh) = (request.page, self.new_swapped(request, Effort::Splits)?);
        match self.fill(fresh, page, entry, Asked::Fault) {
            Filled::Read(pfn, locked) => {
                self.mem().counters().pgmajfault.add(1);
                Ok((pfn, locked))
            }
            Filled::Other(pfn) => Ok((pfn, self.lock_swapped(page, pfn))),
            Filled::Failed(error) => Err(FaultError::Store(page.start(), error)),
        }
    }

    /// Puts a new frame into the swap cache and fills it, unless another does so first.
    #[inline(always)]
    pub(super) fn fill<'s>(
        &'s self,
        fresh: NewFrame<'s>,
        page: Vpn,
        entry: Swap,
        asked: Asked,
    ) -> Filled<'s, P> {
        let (mem, pfn, slot) = (self.mem(), fresh.pfn(), Slot::of(entry));
        let locked = self.lock_swapped(page, pfn);
        let Known { shadow, keeper } = match mem.enter_read(pfn, slot, asked) {
            Ok(known) => known,
            Err(other) => {
                drop(locked);
                drop(fresh);
                return Filled::Other(other);
            }
        };
        match mem.read_swapped(pfn, slot, keeper) {
            Ok(()) => {
                let pfn = fresh.keep();
                if let Some(shadow) = shadow {
                    mem.refault(pfn, shadow, Kind::Anon);
                }
                mem.lru_add(pfn);
                Filled::Read(pfn, locked)
            }
            Err(error) => {
                mem.unread(pfn, slot, shadow);
                drop(locked);
                mem.put(fresh.keep(), 1);
                Filled::Failed(error)
            }
        }
    }

    /// A frame for a page of an area that comes back, and that any member of its family may map.
    #[inline(always)]
    pub(super) fn new_swapped(
        &self,
        request: &Request<'_, P>,
        effort: Effort,
    ) -> Result<NewFrame<'_>, NoPage> {
        let (mem, area) = (self.mem(), request.area);
        let room = mem.room_for_one(self.payer())?;
        let charged = if room.is_some() { Flags::CHARGED } else { Flags::empty() };
        let flags = Flags::ANON | charged;
        // Not as first touches do, whose way to a frame is for them alone.
        let near = Placement::Prefer(mem.platform().node());
        let fresh = match mem.frames().alloc(near, flags, Start::Held) {
            Ok(fresh) => fresh,
            Err(OutOfFrames) => match effort {
                Effort::Splits => mem.alloc_of_splits(flags, Start::Held)?,
                Effort::Free => return Err(OutOfFrames.into()),
            },
        };
        if let Some(room) = room {
            room.give(fresh.pfn());
        }
        if let Some(seat) = area.backing.seat() {
            fresh.page().set_rmap(mem.anon().common_home(seat), seat.index(request.page));
        }
        Ok(fresh)
    }

    /// Maps a page, whose lock and a reference the caller has, in place of the entry, if that is
    /// still there.
    fn map_swapped(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        (orig, entry): (Pte<P::Format>, Swap),
        pfn: Pfn,
    ) -> Fault {
        let (mem, area, page) = (self.mem(), request.area, request.page);
        let wanted = wanted(request.want);
        let frees = frees_cache(mem.rule());
        let cursor = leaf.lock();
        if cursor.get(page) != orig {
            return Fault::Spurious;
        }
        if mem.frames().counts_as(pfn, Counts::is_exclusive) {
            mem.platform().bug(Bug::SwappedExclusive(pfn));
        }
        let short = area.locked == Locked::Yes || mem.is_swap_short(entry);
        let mut shares = Shares::Entry;
        if frees == FreesCache::BeforeAsking && (short || self.is_likely_alone(wanted, pfn)) {
            shares = self.give_up(entry, pfn);
        }
        let swap = mem.swap_state(pfn);
        let state = PageState { swap, ..mem.page_state(pfn) };
        let remembered = if entry.exclusive { Exclusive::Marked } else { Exclusive::Unmarked };
        let verdict = swap_in(mem.rule::<SwapInReuse>(), wanted, remembered, &state);
        if frees == FreesCache::OnReuse && matches!(verdict, SwapInVerdict::Own(_)) {
            shares = self.give_up(entry, pfn);
        }
        mem.get_small_map(pfn);
        let pte = self.in_area(area, self.restored(request, (pfn, entry), verdict));
        cursor.set(page, pte);
        area.held_anon.set();
        if shares == Shares::Entry {
            mem.forget_slot(Slot::of(entry));
        }
        drop(cursor);
        if frees != FreesCache::BeforeAsking && (short || wanted == SwapInFor::Write) {
            mem.leave_swap(pfn);
        }
        mem.tell(self.id(), page, mapped_event(pfn, verdict));
        Fault::SwappedIn
    }

    /// Whether a page that is about to be written looks as if nobody but the swap cache and the
    /// caller referred to it.
    fn is_likely_alone(&self, wanted: SwapInFor, pfn: Pfn) -> bool {
        wanted == SwapInFor::Write
            && self.mem().frames().counts_as(pfn, |counts| counts.refs() == 2)
    }

    /// Gives the entry's share of the slot up together with the slot, if no other has one.
    fn give_up(&self, entry: Swap, pfn: Pfn) -> Shares {
        if self.mem().leave_swap_by(entry, pfn) { Shares::Nothing } else { Shares::Entry }
    }

    /// The entry of a page that comes back, which gets the mark if it is its owner's.
    pub(super) fn restored(
        &self,
        request: &Request<'_, P>,
        (pfn, entry): (Pfn, Swap),
        verdict: SwapInVerdict,
    ) -> Pte<P::Format> {
        let area = request.area;
        let pte = Pte::mapping(pfn, area.prot.reach());
        let pte = pte.with_soft_dirty(entry.soft_dirty);
        let pte = if entry.uffd_wp { pte.uffd_wp() } else { pte };
        match verdict {
            SwapInVerdict::Shared(_) => return pte,
            SwapInVerdict::Own(_) => {}
        }
        let page = self.mem().frames().page(pfn);
        page.mark_exclusive();
        if let Some(seat) = area.backing.seat() {
            page.set_home(seat.home);
        }
        let (wanted, pte) = match request.want {
            Want::Write => (SwapInFor::Write, pte.stored()),
            Want::Read | Want::Unshare => (SwapInFor::Read, pte),
        };
        let granted = area.prot.contains(Prot::WRITE) && !area.awaits_fault(pte);
        if granted && grants_write(self.mem().rule(), wanted) { pte.writable() } else { pte }
    }

    /// Brings the pages of this address space back that are on a device, and all those of the
    /// shared memory that it maps; how many.
    pub(crate) fn swap_in_all(&self, id: SwapId) -> Result<u64, FaultError> {
        let (map, all) = (self.read_map(), Vpn(0)..self.end_page());
        let mut done = self.swap_in_pages(&map, all, |entry| entry.device == id.number())?;
        for area in map.iter() {
            if let Some(view) = area.backing.view() {
                let back = view.object.swap_in(id, self.payer());
                done += back.map_err(|(index, error)| error.at(area.place_of(view, index)))?;
            }
        }
        Ok(done)
    }

    /// Brings those of a run of pages back whose swap entries are wanted; how many.
    pub(crate) fn swap_in_pages(
        &self,
        map: &AreaMap<P>,
        pages: Range<Vpn>,
        wanted: impl Fn(Swap) -> bool,
    ) -> Result<u64, FaultError> {
        let (mut from, end, mut done) = (pages.start, pages.end, 0);
        loop {
            let found = self.tables().for_each_part(from..end, |part, pages| match part {
                Part::Table(leaf) => {
                    // Who has taken an entry out has given up its share of the slot as well when he
                    // releases the lock: where none is found, none has one.
                    let cursor = leaf.lock();
                    let of = |page: &Vpn| swapped_to(cursor.get(*page)).is_some_and(&wanted);
                    each_page(pages).find(of).map_or(Ok(Next::On), Err)
                }
                Part::Huge(_) => Ok(Next::On),
            });
            let Err(page) = found else { return Ok(done) };
            let fault = self.fault_at(map, page, Want::Read, Rights::Forced)?;
            done += u64::from(fault == Fault::SwappedIn);
            from = page;
        }
    }
}

/// What an access wants of a page that comes back.
#[inline]
pub(super) fn wanted(want: Want) -> SwapInFor {
    match want {
        Want::Write => SwapInFor::Write,
        Want::Read | Want::Unshare => SwapInFor::Read,
    }
}

/// What there is to tell of a page that was mapped in place of a swap entry.
#[inline]
pub(super) fn mapped_event(pfn: Pfn, verdict: SwapInVerdict) -> EventKind {
    match verdict {
        SwapInVerdict::Own(why) => EventKind::SwapOwned { pfn, why },
        SwapInVerdict::Shared(why) => EventKind::SwapShared { pfn, why },
    }
}

/// What a swap entry names.
fn swapped_to<F: Format>(pte: Pte<F>) -> Option<Swap> {
    match pte.decode() {
        Entry::Swap(entry) => Some(entry),
        Entry::None | Entry::Marker | Entry::Mapped(_) | Entry::Migration(_) => None,
    }
}

/// How much is done for a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effort {
    /// It is taken if one is free.
    Free,
    /// Otherwise large folios that wait for it are split.
    Splits,
}

/// What filling a frame has come to.
pub(super) enum Filled<'s, P: Platform> {
    /// It was read: the page, with a reference and locked.
    Read(Pfn, PageLock<'s, P>),
    /// Another page is the slot's: that, with a reference.
    Other(Pfn),
    /// The device has failed.
    Failed(StoreError),
}

/// Which shares of the slot a fault still has to give up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shares {
    /// The entry's.
    Entry,
    /// None.
    Nothing,
}
