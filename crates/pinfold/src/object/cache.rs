//! The pages that an object has, and who maps them: what outlives the object for those who move a
//! page of it.
//!
//! Protocol: the object owns its cache. A page names the cache that has it, by a word in its frame,
//! from before the flag `CACHED` is set until that goes, which it does under the page's lock. So
//! who holds the page's lock and sees the flag finds a cache that has an owner, and becomes one
//! more for as long as he needs it ([`Memory::listed_at`]). The object's end takes each page out
//! under its lock like anybody else; what is left for later owners is an empty list.
//!
//! Where a page was that reclaim has taken out there is its *shadow* ([`crate::workingset`]), until
//! a page is put there again or the place is taken out as a page would be; or until there is no
//! memory for another place of the list, which takes that of all its shadows. Where nothing but
//! swap has the page there is its slot, which has one user for that ([`super::swapped`]).

use core::ops::Range;

use crate::addr::Pfn;
use crate::error::NoMemory;
use crate::memory::Memory;
use crate::platform::Platform;
use crate::swap::{Shadow, Slot, SlotWord, SwapId};
use crate::sync::{self, CellName, RwSem, Shared};

use super::mappers::Mappers;
use super::pages::Pages;

/// What a place of the list has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// A page.
    Page(Pfn),
    /// What is left of one that reclaim has taken out.
    Shadow(Shadow),
    /// One that is on a swap device.
    Swapped(SlotWord),
}

impl Place {
    /// The page.
    #[inline]
    fn page(&self) -> Option<&Pfn> {
        match self {
            Self::Page(pfn) => Some(pfn),
            Self::Shadow(_) | Self::Swapped(_) => None,
        }
    }

    /// The slot.
    fn slot(&self) -> Option<Slot> {
        match self {
            Self::Swapped(word) => Some(word.slot()),
            Self::Page(_) | Self::Shadow(_) => None,
        }
    }
}

/// What the list has of a page that there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Has {
    /// It is in memory.
    Page(Pfn),
    /// It is on a swap device.
    Swapped(Slot),
}

/// The list of pages, and the length.
pub(crate) struct List {
    places: Pages<Place>,
    /// How many pages there may be.
    pub(super) count: u64,
}

impl List {
    /// Page `index`, if it is there.
    #[inline]
    pub(super) fn get(&self, index: u64) -> Option<&Pfn> {
        self.places.get(index)?.page()
    }

    /// What there is of page `index`.
    #[inline]
    pub(super) fn at(&self, index: u64) -> Option<Has> {
        match self.places.get(index)? {
            Place::Page(pfn) => Some(Has::Page(*pfn)),
            Place::Swapped(word) => Some(Has::Swapped(word.slot())),
            Place::Shadow(_) => None,
        }
    }

    /// Puts a page into its place, if there is none; what was left there of one before. If there
    /// is no memory for the place, the list's shadows make room.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(super) fn put(&mut self, index: u64, page: impl FnOnce() -> Pfn) -> Result<Put, NoMemory> {
        self.try_put(index, page).or_else(|page| self.put_again(index, page))
    }

    #[cold]
    #[inline(never)]
    fn put_again(&mut self, index: u64, page: impl FnOnce() -> Pfn) -> Result<Put, NoMemory> {
        self.places.prune(&mut |place| !matches!(place, Place::Shadow(_)));
        self.try_put(index, page).map_err(|_| NoMemory)
    }

    /// As [`List::put`], as long as there is memory; else `page` is the caller's again.
    #[inline]
    fn try_put<F: FnOnce() -> Pfn>(&mut self, index: u64, page: F) -> Result<Put, F> {
        let Ok(place) = self.places.slot(index) else { return Err(page) };
        let before = match place {
            Some(Place::Page(_) | Place::Swapped(_)) => return Ok(Put::Occupied),
            Some(Place::Shadow(shadow)) => Some(*shadow),
            None => None,
        };
        let pfn = page();
        *place = Some(Place::Page(pfn));
        Ok(Put::Done(pfn, before))
    }

    /// The first page of `range` that is there and that `wanted` agrees to.
    pub(super) fn find_in(
        &self,
        range: Range<u64>,
        wanted: &mut impl FnMut(Pfn) -> bool,
    ) -> Option<(u64, Pfn)> {
        let mut wanted = |place: &Place| place.page().is_some_and(|pfn| wanted(*pfn));
        let (index, place) = self.places.find_in(range, &mut wanted)?;
        place.page().map(|pfn| (index, *pfn))
    }

    /// The first page of `range` that there is, in memory or on a device.
    pub(super) fn first_in(&self, range: Range<u64>) -> Option<u64> {
        let mut wanted = |place: &Place| !matches!(place, Place::Shadow(_));
        self.places.find_in(range, &mut wanted).map(|(index, _)| index)
    }

    /// The first page from `index` on that is on this device.
    pub(super) fn next_swapped(&self, index: u64, device: SwapId) -> Option<(u64, Slot)> {
        let mut wanted = |place: &Place| place.slot().is_some_and(|slot| slot.device == device);
        let (index, place) = self.places.find_in(index..u64::MAX, &mut wanted)?;
        place.slot().map(|slot| (index, slot))
    }

    /// Calls `visit` for each page that is on a device, in order.
    pub(super) fn each_swapped(&self, visit: &mut impl FnMut(u64, Slot)) {
        self.places.each(&mut |index, place| {
            if let Some(slot) = place.slot() {
                visit(index, slot);
            }
        });
    }

    /// Calls `visit` for each page, in order.
    pub(super) fn each(&self, visit: &mut impl FnMut(Pfn)) {
        self.places.each(&mut |_, place| {
            if let Some(pfn) = place.page() {
                visit(*pfn);
            }
        });
    }

    /// Takes the pages of `range` out, and gives each to `take`, in order.
    pub(super) fn take_in(&mut self, range: Range<u64>, take: &mut impl FnMut(Has)) {
        self.places.take_in(range, &mut |_, place| match place {
            Place::Page(pfn) => take(Has::Page(pfn)),
            Place::Swapped(word) => take(Has::Swapped(word.slot())),
            Place::Shadow(_) => {}
        });
    }

    /// Forgets all pages.
    pub(super) fn clear(&mut self) {
        self.places.clear();
    }

    /// Another page takes the place of the one with this index, which is there.
    pub(crate) fn replace(&mut self, index: u64, to: Pfn) {
        self.set(index, Place::Page(to));
    }

    /// The page with this index, which is there, leaves memory: this is left of it.
    pub(crate) fn evict(&mut self, index: u64, shadow: Option<Shadow>) {
        match shadow {
            Some(shadow) => self.set(index, Place::Shadow(shadow)),
            None => {
                self.places.take(index);
            }
        }
    }

    /// The page with this index, which is there, is in this slot from now on.
    pub(crate) fn swap_out(&mut self, index: u64, slot: Slot) {
        self.set(index, Place::Swapped(SlotWord::of(slot)));
    }

    fn set(&mut self, index: u64, to: Place) {
        // The place is there, so no memory is needed.
        if let Ok(place) = self.places.slot(index) {
            *place = Some(to);
        }
    }
}

/// Whether a page was put into the list.
pub(super) enum Put {
    /// There is one.
    Occupied,
    /// It was: the page, and what was left of one before it.
    Done(Pfn, Option<Shadow>),
}

/// See the module.
pub(crate) struct Cache {
    pub(crate) list: RwSem<List>,
    pub(crate) mappers: Mappers,
}

/// Where a page of an object is listed, which keeps the list, but not the page in it.
pub(crate) struct Listed {
    pub(crate) cache: Shared<Cache>,
    pub(crate) index: u64,
}

impl Cache {
    /// Of an object with this number and so many pages, none of which exists yet.
    pub(super) fn new(number: u64, count: u64) -> Result<Shared<Self>, NoMemory> {
        let list = RwSem::new(List { places: Pages::new(), count });
        let this = Shared::try_new(Self { list, mappers: Mappers::new() })?;
        let list = &this.list;
        sync::label(&raw const *list, size_of_val(list), move |offset| CellName::Object {
            object: "file",
            index: number,
            cell: RwSem::<List>::name(offset, "page list", "page list's gate"),
        });
        this.mappers.label(number);
        Ok(this)
    }
}

impl<P: Platform> Memory<P> {
    /// Where a page is listed, whose lock the caller holds; nowhere, if it is no page of an object
    /// or has left it.
    pub(crate) fn listed_at(&self, pfn: Pfn) -> Option<Listed> {
        if !self.frames().flags(pfn).is_cached() {
            return None;
        }
        let (word, index) = self.frames().owner(pfn);
        // SAFETY: `Object::enlist` set the word of its cache before the flag, which is still there
        // (INV-OBJECT-1). Under the page's lock it stays, and with it the object, which owns the
        // cache.
        let cache = unsafe { Shared::<Cache>::of_word(word) };
        Some(Listed { cache, index })
    }
}
