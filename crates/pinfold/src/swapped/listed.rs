//! The slots that places of shared memory name: each has one user, its place, and its page is in
//! the swap cache only on its way back. Protocol: [`crate::object`]'s `swapped`, and
//! [`crate::reclaim`]'s `shared`.

use crate::addr::Pfn;
use crate::memory::Memory;
use crate::platform::Platform;
use crate::swap::{Shadow, Slot};

/// Where the page of a slot is that a place names.
pub(crate) enum Listed {
    /// Another brings it back: this page, on which the caller has a reference now. He has a hold.
    Page(Pfn),
    /// On the device alone. The caller has a hold.
    Device,
    /// There, and another has claimed the slot: the count of the holds that have ended, to be
    /// waited for.
    Claimed(u32),
}

impl<P: Platform> Memory<P> {
    /// Takes a hold on a slot that a place names, whose list the caller has locked, if nobody has
    /// claimed it: one who reads past the swap cache may do so for an entry that is gone, whose
    /// slot this was before (INV-PAST-1).
    pub(crate) fn hold_listed_slot(&self, slot: Slot) -> Listed {
        let mut slots = self.swap_table().slots(slot.device);
        if slots.is_claimed(slot.number) {
            return Listed::Claimed(self.swap_table().ended().seen());
        }
        slots.hold(slot.number);
        match slots.page(slot.number) {
            Some(pfn) => {
                self.get(pfn, 1);
                Listed::Page(pfn)
            }
            None => Listed::Device,
        }
    }

    /// A place, under its list's lock, names its slot no longer.
    #[cold]
    #[inline(never)]
    pub(crate) fn forget_listed_slot(&self, slot: Slot) {
        self.forget_slot(slot);
    }

    /// A page that was filled leaves the swap cache for its place, which names the slot no longer:
    /// the caller holds the slot, and has the list for writing. The cache's reference is the
    /// list's. Whether it did: not if the page was not filled.
    pub(crate) fn leave_swap_for_list(&self, pfn: Pfn, slot: Slot) -> bool {
        let mut slots = self.swap_table().slots(slot.device);
        let is_there = slots.page(slot.number) == Some(pfn);
        if is_there {
            slots.leave(slot.number, None);
            slots.drop_user(slot.number);
            self.frames().leave_swap_cache(pfn);
        }
        is_there
    }

    /// A place names a slot that the caller holds and that has the contents of its page, whose
    /// references were taken away; and this is left of that.
    pub(crate) fn name_slot_in_list(&self, slot: Slot, shadow: Option<Shadow>) {
        self.swap_table().slots(slot.device).keep_for_list(slot.number, shadow);
    }
}
