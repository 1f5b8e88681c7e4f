//! Swap-in past the swap cache: a fault reads the page of a device that answers at once into a
//! frame of its own, which nobody finds before it is mapped (rule `swap-in-cache`; facts 7.2).
//!
//! Protocol: the slots' lock says that the fault may: no page of the slot is in memory, and one
//! swap entry names it. By the rule since 6.8 it claims the slot in the same step, with a hold: it
//! is not free before the claim has ended, and others that want the page wait for that, with what a
//! fault holds. By the rule from 4.15 to 6.7 it holds nothing: another thread may read the same
//! slot, map its page, and give the slot up, which is then free for any page.
//!
//! The page is locked from before it is read until it is mapped. Then the table is locked, the
//! entry compared with the one that faulted, and its share of the slot given up: the last one, so
//! that the slot is free, with the end of the claim if there is one. Where the entry has changed
//! the page goes back, whatever the device has said of it.
//!
//! Invariants:
//! - INV-PAST-1: a slot that is claimed has no page in memory, and the claimer's hold alone.
//! - INV-PAST-2: by the rule that claims, a page that is mapped here has what its slot had when
//!   the entry was put in its place. (The other rule compares the entry alone, and so does not.)

use super::request::{Fault, Request};
use super::swap::{Effort, mapped_event, wanted};
use crate::addr::Pfn;
use crate::error::FaultError;
use crate::event::EventKind;
use crate::frame::Kind;
use crate::platform::Platform;
use crate::pte::{Pte, Swap};
use crate::rules::swap::swap_in_fresh;
use crate::space::Space;
use crate::swap::Slot;
use crate::swapped::Past;
use crate::table::Leaf;

impl<P: Platform> Space<P> {
    /// Reads the page that a swap entry names into one of its own, and maps that.
    #[cold]
    #[inline(never)]
    pub(super) fn swapped_past(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        swap: (Pte<P::Format>, Swap),
        past: Past,
    ) -> Result<Fault, FaultError> {
        let fault = self.read_past(request, leaf, swap, past);
        self.mem().end_past(swap.1, past);
        fault
    }

    fn read_past(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        (orig, entry): (Pte<P::Format>, Swap),
        Past { known, .. }: Past,
    ) -> Result<Fault, FaultError> {
        let (mem, page) = (self.mem(), request.page);
        let fresh = self.new_swapped(request, Effort::Splits)?;
        let locked = self.lock_swapped(page, fresh.pfn());
        if let Err(error) = mem.read_swapped(fresh.pfn(), Slot::of(entry), known.keeper) {
            drop(locked);
            let unchanged = leaf.read(page) == orig;
            return match unchanged {
                true => Err(FaultError::Store(page.start(), error)),
                false => Ok(Fault::Spurious),
            };
        }
        let pfn = fresh.keep();
        mem.counters().pgmajfault.add(1);
        mem.tell(self.id(), page, EventKind::SwapCacheSkipped(pfn));
        if let Some(shadow) = known.shadow {
            mem.refault(pfn, shadow, Kind::Anon);
        }
        mem.lru_add(pfn);
        let fault = self.map_past(request, leaf, (orig, entry), pfn);
        drop(locked);
        mem.put(pfn, 1);
        Ok(fault)
    }

    /// Maps a page that nobody else has found, if the entry is still there.
    fn map_past(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        (orig, entry): (Pte<P::Format>, Swap),
        pfn: Pfn,
    ) -> Fault {
        let (mem, area, page) = (self.mem(), request.area, request.page);
        let cursor = leaf.lock();
        if cursor.get(page) != orig {
            return Fault::Spurious;
        }
        let verdict = swap_in_fresh(mem.rule(), wanted(request.want));
        mem.get_small_map(pfn);
        let pte = self.in_area(area, self.restored(request, (pfn, entry), verdict));
        cursor.set(page, pte);
        area.held_anon.set();
        mem.forget_slot(Slot::of(entry));
        drop(cursor);
        mem.tell(self.id(), page, mapped_event(pfn, verdict));
        Fault::SwappedIn
    }
}

#[cfg(test)]
mod tests;
