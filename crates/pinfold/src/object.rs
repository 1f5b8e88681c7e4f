//! Objects whose pages several address spaces share: anonymous shared memory, and files. The pages
//! are kept by the object, as a page cache keeps those of a file, so they outlive any mapping.
//!
//! Protocol: the page list, with the object's length, is under a sleeping lock. Each page in it
//! carries one reference of the object (facts 0.2) and the flag `CACHED`. Who maps a page holds the
//! list for reading from the look-up until the entry is there ([`Shown`]); who takes pages out
//! holds it for writing, takes their entries out first, by the list of those who map the object,
//! and then the pages, each under its lock ([`crate::truncate`]). The page's lock comes after the
//! list's: who holds a page's lock never waits for a list.
//!
//! Who moves a page ([`crate::migrate`]) has it isolated and its entries out, and puts the new one
//! into its place with the list for writing and the locks of both: nobody is between a look-up and
//! an entry then. He tries the list, since he has the page's lock, or takes the list first.
//!
//! A page of a file is put into the list empty. Who finds it so locks it, asks the store, and marks
//! it (`UPTODATE`); where the store fails it stays as it is, for the next one to try. A page that
//! has nothing behind it may leave for a swap device, and come back from there
//! ([`crate::reclaim`]'s `shared`, and `swapped`); while it is on its way out nobody maps it.
//!
//! Invariants:
//! - INV-OBJECT-1: a page with the flag `CACHED` is in the list of its object, which its frame
//!   names; the flag goes under the page's lock.
//! - INV-OBJECT-2: an entry of a shared mapping shows a page of the list, or one that is being
//!   taken out.
//! - INV-OBJECT-3: a page that lacks `UPTODATE` is mapped nowhere and has no user but those who
//!   wait for its contents, or for it to have left for a swap device, or to stay.

mod cache;
mod intervals;
mod mappers;
mod pages;
mod swapped;

use alloc::boxed::Box;
use core::ops::Range;

use crate::addr::Pfn;
use crate::charge::GroupId;
use crate::error::{NoMemory, OutOfFrames, OverLimit, Shortage, StoreError};
use crate::event::EventKind;
use crate::frame::{Flags, Start};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::store::Store;
use crate::sync::{ReadGuard, Shared, WriteGuard};

use cache::{Cache, Has, Put};

pub(crate) use cache::{List, Listed};
pub(crate) use mappers::{Mapper, Mappers};
pub(crate) use pages::Pages;

/// Why a page of an object cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PageError {
    /// It lies past the end.
    PastEnd,
    /// Its store failed.
    Store(StoreError),
    /// No frame was left.
    OutOfFrames,
    /// The group that is to be charged is at its limit.
    OverLimit(OverLimit),
    /// The heap is exhausted.
    NoMemory,
}

impl Shortage for PageError {
    fn is_of_frames(&self) -> bool {
        matches!(self, Self::OutOfFrames)
    }
}

impl From<OutOfFrames> for PageError {
    fn from(OutOfFrames: OutOfFrames) -> Self {
        Self::OutOfFrames
    }
}

impl From<OverLimit> for PageError {
    fn from(error: OverLimit) -> Self {
        Self::OverLimit(error)
    }
}

impl From<NoMemory> for PageError {
    fn from(NoMemory: NoMemory) -> Self {
        Self::NoMemory
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What is behind an object.
pub(crate) enum Behind<P: Platform> {
    /// Nothing: its pages always count as dirty, and are zeros at first.
    Nothing,
    /// A store, to which dirty pages are written back.
    Store(Box<dyn Store<P>>),
}

/// Memory that is shared by all who map it.
pub(crate) struct Object<P: Platform> {
    mem: Shared<Memory<P>>,
    cache: Shared<Cache>,
    behind: Behind<P>,
}

/// A page of an object, which stays in the list as long as this lives.
pub(crate) struct Shown<'o, P: Platform> {
    list: ReadGuard<'o, List, P>,
    pub(crate) pfn: Pfn,
}

impl<P: Platform> Shown<'_, P> {
    /// The neighbour with this index, if it could be mapped at once.
    pub(crate) fn neighbour(&self, mem: &Memory<P>, index: u64) -> Option<Pfn> {
        let pfn = *self.list.get(index).filter(|_| index < self.list.count)?;
        mem.frames().is_uptodate(pfn).then_some(pfn)
    }
}

/// The list of an object whose pages nobody can look up, map or put in: faults wait.
pub(crate) struct Closed<'o, P: Platform> {
    object: &'o Object<P>,
    list: WriteGuard<'o, List, P>,
}

impl<P: Platform> Object<P> {
    /// An object of `count` pages, none of which exists yet. Costs the same for any number.
    pub(crate) fn new(
        mem: Shared<Memory<P>>,
        count: u64,
        behind: Behind<P>,
    ) -> Result<Shared<Self>, NoMemory> {
        let cache = Cache::new(mem.next_object(), count)?;
        Shared::try_new(Self { mem, cache, behind })
    }

    pub(crate) fn mem(&self) -> &Memory<P> {
        &self.mem
    }

    /// Who maps it.
    pub(crate) fn mappers(&self) -> &Mappers {
        &self.cache.mappers
    }

    /// Whether writes are tracked, as something is behind it that they have to reach.
    pub(crate) fn is_tracked(&self) -> bool {
        matches!(self.behind, Behind::Store(_))
    }

    /// What keeps its pages, if anything does.
    pub(crate) fn store(&self) -> Option<&dyn Store<P>> {
        match &self.behind {
            Behind::Nothing => None,
            Behind::Store(store) => Some(&**store),
        }
    }

    /// How many pages there may be.
    pub(crate) fn count(&self) -> u64 {
        self.cache.list.read(self.mem.platform()).count
    }

    /// Shows page `index`, which is made or read if it is not there yet; `payer` is charged for a
    /// frame that this takes. Waits for one that is on its way to a swap device. `FAULTS` says
    /// whether it is a fault that asks, which counts as one that waits for a device if it has to.
    pub(crate) fn show<const FAULTS: bool>(
        &self,
        index: u64,
        payer: Option<GroupId>,
    ) -> Result<Shown<'_, P>, PageError> {
        loop {
            let list = self.cache.list.read(self.mem.platform());
            if index >= list.count {
                return Err(PageError::PastEnd);
            }
            let Some(pfn) = list.get(index).copied() else {
                if let Some(Has::Swapped(slot)) = list.at(index) {
                    self.bring_back(index, (slot, list), payer)?;
                    self.mem.counters().pgmajfault.add(u64::from(FAULTS));
                    continue;
                }
                drop(list);
                self.add(index, payer)?;
                continue;
            };
            if self.mem.frames().is_uptodate(pfn) {
                return Ok(Shown { list, pfn });
            }
            self.mem.get(pfn, 1);
            drop(list);
            let read = self.read(index, pfn);
            self.mem.put(pfn, 1);
            read?;
        }
    }

    /// Puts page `index` in, if nobody else has done so: zeros, or what is yet to be read.
    fn add(&self, index: u64, payer: Option<GroupId>) -> Result<(), PageError> {
        self.add_as(index, payer, |pfn| self.mem.platform().zero_frame(pfn)).map(|_| ())
    }

    /// As [`Object::add`], of memory with nothing behind it, filled by `fill`. Whether the page was
    /// put in: it was not if there is one.
    pub(crate) fn add_as(
        &self,
        index: u64,
        payer: Option<GroupId>,
        fill: impl FnOnce(Pfn),
    ) -> Result<bool, PageError> {
        let flags = match self.behind {
            Behind::Nothing => Flags::DIRTY | Flags::UPTODATE,
            Behind::Store(_) => Flags::FILE,
        };
        let room = self.mem.room_for_one(payer)?;
        let charged = if room.is_some() { Flags::CHARGED } else { Flags::empty() };
        let fresh = self.mem.alloc_local(flags | charged, Start::Held)?;
        if let Some(room) = room {
            room.give(fresh.pfn());
        }
        if flags.contains(Flags::UPTODATE) {
            fill(fresh.pfn());
        }
        let mut list = self.cache.list.write(self.mem.platform());
        if index >= list.count {
            return Err(PageError::PastEnd);
        }
        let Put::Done(pfn, shadow) = list.put(index, || fresh.keep())? else { return Ok(false) };
        self.enlist(index, pfn);
        match self.is_tracked() {
            true => self.mem.lru_add_file(pfn, shadow),
            false => self.mem.lru_add(pfn),
        }
        Ok(true)
    }

    /// A page that was just put into the list, which the caller has locked, names it: INV-OBJECT-1.
    #[inline(always)]
    fn enlist(&self, index: u64, pfn: Pfn) {
        self.mem.frames().set_owner(pfn, (self.cache.word(), index));
        self.mem.frames().cache(pfn);
        self.mem.cached(pfn);
    }

    /// Fills a page, on which the caller has a reference, if nobody else has done so: or waits for
    /// who has its lock.
    fn read(&self, index: u64, pfn: Pfn) -> Result<(), StoreError> {
        let _locked = self.mem.lock_page(pfn);
        let flags = self.mem.frames().flags(pfn);
        // One that was taken out is of no use: the caller looks again.
        if flags.contains(Flags::UPTODATE) || !flags.contains(Flags::CACHED) {
            return Ok(());
        }
        if let Behind::Store(store) = &self.behind {
            store.read(self.mem.platform(), index, pfn)?;
        }
        self.mem.frames().mark_uptodate(pfn);
        Ok(())
    }

    /// The first page of `range` that is in the list and that `wanted` agrees to, with its index
    /// and a reference for the caller.
    pub(crate) fn next_that(
        &self,
        range: Range<u64>,
        mut wanted: impl FnMut(Pfn) -> bool,
    ) -> Option<(u64, Pfn)> {
        let list = self.cache.list.read(self.mem.platform());
        let (index, pfn) = list.find_in(range, &mut wanted)?;
        self.mem.get(pfn, 1);
        Some((index, pfn))
    }

    /// How many pages of `range` are in the list that `wanted` agrees to.
    pub(crate) fn count_with(&self, range: Range<u64>, wanted: impl Fn(Pfn) -> bool) -> u64 {
        let mut count = 0;
        let list = self.cache.list.read(self.mem.platform());
        let _ = list.find_in(range, &mut |pfn| {
            count += u64::from(wanted(pfn));
            false
        });
        count
    }

    /// Page `index`, if it is in memory; see [`crate::lab::shared_page`].
    pub(crate) fn find(&self, index: u64) -> Option<Pfn> {
        self.cache.list.read(self.mem.platform()).get(index).copied()
    }

    /// Whether there is a page `index`, in memory or on a swap device.
    pub(crate) fn has(&self, index: u64) -> bool {
        self.cache.list.read(self.mem.platform()).at(index).is_some()
    }

    /// Keeps everybody away from the list.
    pub(crate) fn close(&self) -> Closed<'_, P> {
        Closed { object: self, list: self.cache.list.write(self.mem.platform()) }
    }

    /// Drops the tree without touching the frames; see [`crate::lab::abandon`].
    pub(crate) fn abandon(&self) {
        self.cache.list.write(self.mem.platform()).clear();
    }

    /// Calls `visit` for each page that the object holds.
    pub(crate) fn each_page(&self, mut visit: impl FnMut(Pfn)) {
        self.cache.list.read(self.mem.platform()).each(&mut visit);
    }
}

impl<'o, P: Platform> Closed<'o, P> {
    pub(crate) fn object(&self) -> &'o Object<P> {
        self.object
    }

    pub(crate) fn count(&self) -> u64 {
        self.list.count
    }

    pub(crate) fn set_count(&mut self, count: u64) {
        self.list.count = count;
    }

    /// Page `index`, if it exists.
    pub(crate) fn get(&self, index: u64) -> Option<Pfn> {
        self.list.get(index).copied()
    }

    /// The first page of `range` that `wanted` agrees to.
    pub(crate) fn find_in(
        &self,
        range: Range<u64>,
        mut wanted: impl FnMut(Pfn) -> bool,
    ) -> Option<(u64, Pfn)> {
        self.list.find_in(range, &mut wanted)
    }

    /// The first page of `range` that there is, in memory or on a swap device.
    pub(crate) fn first_in(&self, range: Range<u64>) -> Option<u64> {
        self.list.first_in(range)
    }

    /// Takes the pages of `range`, which nobody maps any more, out of the list: INV-OBJECT-1.
    /// References of others keep them, as orphans.
    pub(crate) fn take_out(&mut self, range: Range<u64>) {
        let mem = self.object.mem();
        self.end_pages(range, |pfn| mem.tell_frame(EventKind::CacheRemoved(pfn)));
    }

    /// The same; `gone` is called with each page before the list's reference goes.
    fn end_pages(&mut self, range: Range<u64>, gone: impl Fn(Pfn)) {
        let mem = self.object.mem();
        self.list.take_in(range, &mut |has| match has {
            Has::Page(pfn) => {
                {
                    let _locked = mem.lock_page(pfn);
                    mem.uncache(pfn);
                }
                gone(pfn);
                mem.put(pfn, 1);
            }
            Has::Swapped(slot) => mem.forget_listed_slot(slot),
        });
    }
}

impl<P: Platform> Drop for Object<P> {
    fn drop(&mut self) {
        // Holds of others may live on: what they hold is nobody's from now on.
        self.close().end_pages(0..u64::MAX, |_| ());
    }
}
