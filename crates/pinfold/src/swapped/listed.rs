//! The slots that places of shared memory name: each has one user, its place, and its page is in
//! the swap cache only on its way back. Protocol: [`crate::object`]'s `swapped`, and
//! [`crate::reclaim`]'s `shared`.

use crate::addr::Pfn;
use crate::memory::Memory;
use crate::platform::Platform;
use crate::swap::{Shadow, Slot};

impl<P: Platform> Memory<P> {
    /// Takes a hold on a slot that a place names, whose list the caller has locked: the page that
    /// another brings back, with a reference, if one does.
    pub(crate) fn hold_listed_slot(&self, slot: Slot) -> Option<Pfn> {
        let mut slots = self.swap_table().slots(slot.device);
        slots.hold(slot.number);
        let pfn = slots.page(slot.number)?;
        self.get(pfn, 1);
        Some(pfn)
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
