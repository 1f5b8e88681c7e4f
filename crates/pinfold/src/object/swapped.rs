//! Pages of shared memory that come back from a swap device (facts 7.2, 7.8). How they get there is
//! in [`crate::reclaim`]'s `shared`.
//!
//! Protocol: the place of such a page names its slot, and is the slot's one user. Who wants the
//! page takes a hold on the slot, with the list, and lets go of that. The first one puts a new
//! frame into the swap cache, locked, and fills it; others find it there, and wait for its lock.
//! Each that has had it then takes the list for writing, with no page's lock, and the first one
//! puts the page there: it leaves the swap cache, and the slot loses its user, under the slots'
//! lock, and nobody fills a frame for the slot from then on. The slot is free with the last hold.
//!
//! Where the device fails the frame leaves the swap cache again under its lock, the place stays as
//! it is, and the next one tries. Where the place is taken out meanwhile the slot loses its user,
//! and page and slot are free with the last hold.
//!
//! A page that came back is marked: what it had on the device is gone. Synchronous devices are no
//! exception, as up to 6.13 (facts 1.8, 7.2), and nothing is read ahead.
//!
//! Invariants:
//! - INV-SHARED-1: a page of shared memory is in its list or in the slot that its place names,
//!   never in both; while it is read it is in the swap cache, and mapped nowhere.
//! - INV-SHARED-2: a slot that a place names has one user, and no swap entry names it.

use crate::addr::Pfn;
use crate::charge::GroupId;
use crate::frame::{Flags, Kind, Start};
use crate::platform::Platform;
use crate::swap::{Asked, Shadow, Slot, SwapId};
use crate::swapped::Known;
use crate::swapped::listed::Listed;
use crate::sync::ReadGuard;

use super::{Closed, Has, List, Object, PageError};

/// A page that has come back, with a reference of the caller's.
struct Back {
    pfn: Pfn,
    /// When it left, if the caller has read it.
    shadow: Option<Shadow>,
}

impl<P: Platform> Object<P> {
    /// Brings page `index` back, whose place names a slot in a list that the caller has locked, or
    /// waits for who does. Where the place does not name the slot when that is over there is no
    /// error: the caller looks again.
    #[cold]
    #[inline(never)]
    pub(super) fn bring_back(
        &self,
        index: u64,
        (slot, list): (Slot, ReadGuard<'_, List, P>),
        payer: Option<GroupId>,
    ) -> Result<(), PageError> {
        let there = self.mem.hold_listed_slot(slot);
        drop(list);
        let back = match there {
            Listed::Page(pfn) => Ok(self.wait_for(pfn)),
            Listed::Device => self.read_back(slot, payer),
            Listed::Claimed(seen) => {
                self.mem.wait_for_claim(seen);
                return Ok(());
            }
        };
        let result = back.map(|back| {
            let pfn = back.pfn;
            self.put_back(&mut self.cache.list.write(self.mem.platform()), (index, slot), back);
            self.mem.put(pfn, 1);
        });
        let still = || {
            let list = self.cache.list.read(self.mem.platform());
            list.at(index) == Some(Has::Swapped(slot))
        };
        let result = result.or_else(|error| if still() { Err(error) } else { Ok(()) });
        self.mem.drop_slot_hold(slot);
        result
    }

    /// Waits for who fills a page, on which the caller has a reference.
    fn wait_for(&self, pfn: Pfn) -> Back {
        drop(self.mem.lock_page(pfn));
        Back { pfn, shadow: None }
    }

    /// Reads the page of a slot that the caller holds, unless another does so first.
    fn read_back(&self, slot: Slot, payer: Option<GroupId>) -> Result<Back, PageError> {
        let mem = &*self.mem;
        let room = mem.room_for_one(payer)?;
        let charged = if room.is_some() { Flags::CHARGED } else { Flags::empty() };
        let fresh = mem.alloc_local(Flags::DIRTY | Flags::UPTODATE | charged, Start::Held)?;
        let pfn = fresh.pfn();
        if let Some(room) = room {
            room.give(pfn);
        }
        let locked = mem.lock_page(pfn);
        let Known { shadow, keeper } = match mem.enter_read(pfn, slot, Asked::Fault) {
            Ok(known) => known,
            Err(other) => {
                drop(locked);
                drop(fresh);
                return Ok(self.wait_for(other));
            }
        };
        if let Err(error) = mem.read_swapped(pfn, slot, keeper) {
            mem.unread(pfn, slot, shadow);
            drop(locked);
            mem.put(fresh.keep(), 1);
            return Err(error.into());
        }
        Ok(Back { pfn: fresh.keep(), shadow })
    }

    /// Puts a page that was filled into its place, if that still names its slot.
    fn put_back(&self, list: &mut List, (index, slot): (u64, Slot), Back { pfn, shadow }: Back) {
        let mem = &*self.mem;
        if list.at(index) != Some(Has::Swapped(slot)) || !mem.leave_swap_for_list(pfn, slot) {
            return;
        }
        list.replace(index, pfn);
        self.enlist(index, pfn);
        if let Some(shadow) = shadow {
            mem.refault(pfn, shadow, Kind::Anon);
        }
        mem.lru_add(pfn);
    }

    /// Brings all pages back that are on a device: how many, or the first that does not come.
    pub(crate) fn swap_in(
        &self,
        device: SwapId,
        payer: Option<GroupId>,
    ) -> Result<u64, (u64, PageError)> {
        let (mut from, mut last, mut done) = (0, None, 0);
        loop {
            let list = self.cache.list.read(self.mem.platform());
            let Some((index, slot)) = list.next_swapped(from, device) else { return Ok(done) };
            if last == Some((index, slot)) {
                // Another's read failed, for which this one waited: the next is its own.
                done -= 1;
            }
            self.bring_back(index, (slot, list), payer).map_err(|error| (index, error))?;
            // One that has left again, for another slot, is no reason to go on for ever.
            (from, last, done) = (index, Some((index, slot)), done + 1);
        }
    }

    /// Calls `visit` for each page that is on a device, with its index.
    pub(crate) fn each_swapped(&self, mut visit: impl FnMut(u64, Slot)) {
        self.cache.list.read(self.mem.platform()).each_swapped(&mut visit);
    }
}

impl<P: Platform> Closed<'_, P> {
    /// Brings page `index` back, if it is on a device: charged to nobody. The list stays closed.
    pub(crate) fn bring_back(&mut self, index: u64) -> Result<(), PageError> {
        let (object, mem) = (self.object, self.object.mem());
        while let Some(Has::Swapped(slot)) = self.list.at(index) {
            let back = match mem.hold_listed_slot(slot) {
                Listed::Page(pfn) => Ok(object.wait_for(pfn)),
                Listed::Device => mem.relieved(|| object.read_back(slot, None)),
                Listed::Claimed(seen) => {
                    mem.wait_for_claim(seen);
                    continue;
                }
            };
            let back = back.map(|back| {
                let pfn = back.pfn;
                object.put_back(&mut self.list, (index, slot), back);
                mem.put(pfn, 1);
            });
            mem.drop_slot_hold(slot);
            back?;
        }
        Ok(())
    }
}
