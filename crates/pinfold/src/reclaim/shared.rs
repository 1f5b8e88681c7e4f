//! How a page of shared memory without a file leaves for a swap device (facts 7.2, 7.8).
//!
//! Protocol: the page is isolated, locked by trying, and gets a slot, with a hold. Its entries are
//! found by those who map the object, and taken out as those of a file's page are
//! ([`super::cached`]); then comes the flush of the batch. Then the list is tried, for writing: the
//! list comes before the page's lock, so nobody sleeps for it here. With it, nobody is between a
//! look-up and an entry; if nothing maps the page then, and nobody refers to it but the list and
//! the isolation, it says that it is being written (`WRITEBACK`) and is not dirty any more, in one
//! step, and that its contents cannot be had (no `UPTODATE`), and the list is free again. Who looks
//! the page up from now on waits for its lock, which the writer keeps: nobody maps the page before
//! it has left or stays. So a device that wants its pages unchanged while it writes them has that
//! of every process (Linux: a fault waits for the end of the writeback, in every release).
//!
//! When it is written the list is tried again, the page's references are taken away in one step if
//! they are those two, and only then the mark is asked for. Its place names the slot from then on,
//! which has the shadow of the page ([`crate::workingset`]). Else it is dirty again before it may
//! be mapped, and its slot is free: the contents are not kept twice.
//!
//! In Linux the page leaves its list for the swap cache before it is written, and a fault brings it
//! back from there. What programs and devices can see of either is the same; here a page in the
//! list has no slot.
//!
//! Invariants:
//! - INV-SHARED-3: no page is written before the flush of its entries, and none is mapped while it
//!   is written.
//! - INV-SHARED-4: what leaves was unchanged since it was written: who stores by a reference marks
//!   the page before he drops it, and there was none when it left.

use crate::addr::Pfn;
use crate::event::EventKind;
use crate::frame::{Flags, Put};
use crate::memory::Memory;
use crate::migrate::Isolated;
use crate::object::{List, Listed};
use crate::page::PageLock;
use crate::platform::Platform;
use crate::rules::swap::keeps_pinned;
use crate::swap::{Keeper, Slot};

use super::{Leaving, Left, REFERENCES, To};

impl<P: Platform> Memory<P> {
    /// Locks a page and gives it a slot; none, if it stays as it is.
    #[cold]
    #[inline(never)]
    pub(super) fn prepare_shared<'m>(&'m self, page: Isolated<'m, P>) -> Option<Leaving<'m, P>> {
        self.counters().pgscan_anon.add(1);
        let pfn = page.head();
        let lock = self.try_lock_page(pfn)?;
        if !self.frames().flags(pfn).is_cached() || self.frames().locks(pfn).read_once() != 0 {
            return None;
        }
        if keeps_pinned(self.rule()) && self.maybe_pinned(pfn) {
            self.tell_frame(EventKind::SwapPinned(pfn));
            return None;
        }
        let slot = self.take_slot()?;
        Some(Leaving { lock: Some(lock), page, to: To::Shared(slot) })
    }

    /// Writes and frees a page whose entries are out, if nothing maps it and nobody else refers to
    /// it.
    #[cold]
    #[inline(never)]
    pub(super) fn finish_shared(
        &self,
        lock: Option<PageLock<'_, P>>,
        page: Isolated<'_, P>,
        slot: Slot,
    ) -> Left {
        let pfn = page.head();
        let gone = self.listed_at(pfn).is_some_and(|at| self.leave_for_swap(pfn, &at, slot));
        drop(lock);
        if gone {
            page.end();
            self.tell_frame(EventKind::SwapFreed(pfn));
            self.counters().pgsteal_anon.add(1);
            self.after_put(pfn, Put::Last);
        }
        self.drop_slot_hold(slot);
        if gone { Left::Freed } else { Left::Kept }
    }

    /// Writes a page to a slot, and takes it out of its object, and its references away; whether it
    /// did.
    fn leave_for_swap(&self, pfn: Pfn, at: &Listed, slot: Slot) -> bool {
        if !self.begin_leaving(pfn, at) {
            return false;
        }
        let written = self.keep_zeros(pfn, (slot, Keeper::Device)) || self.write_to(pfn, slot);
        let list = if written { at.cache.list.try_write(self.platform()) } else { None };
        let gone = list.is_some_and(|mut list| self.leave_list(pfn, (&mut list, at.index), slot));
        if !gone {
            // Before it may be mapped.
            self.mark_dirty(pfn);
        }
        self.frames().end_writeback(pfn);
        if !gone {
            self.frames().mark_uptodate(pfn);
        }
        gone
    }

    /// Has nobody map a page from now on, until it has left or its writeback ends; whether nobody
    /// uses it.
    fn begin_leaving(&self, pfn: Pfn, at: &Listed) -> bool {
        let Some(_list) = at.cache.list.try_write(self.platform()) else { return false };
        let idle = self.may_go(pfn);
        if idle {
            self.begin_writeback(pfn);
            self.frames().hide(pfn);
        }
        idle
    }

    fn leave_list(&self, pfn: Pfn, (list, index): (&mut List, u64), slot: Slot) -> bool {
        let page = self.frames().page(pfn);
        if let Err(counts) = page.freeze(REFERENCES) {
            let refs = counts.refs();
            self.tell_frame(EventKind::SwapBusy { pfn, refs, expected: REFERENCES });
            return false;
        }
        // After the references: who has changed the page did so before he dropped his (facts 7.2).
        if page.flags().contains(Flags::DIRTY) {
            page.thaw(REFERENCES);
            return false;
        }
        self.name_slot_in_list(slot, self.shadow_of(pfn));
        list.swap_out(index, slot);
        self.uncache(pfn);
        true
    }
}

#[cfg(test)]
mod tests;
