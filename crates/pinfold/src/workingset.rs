//! Which pages come back to memory as in use: those that would still be there if the ones in use
//! were not (workingset detection; facts 7.2).
//!
//! Protocol: a node has an age, in folios, as its lists are counted. It grows by one for each page
//! of the node that leaves memory for a swap device, which large folios do page by page, and for
//! each folio that is found to be in use. A page that
//! leaves has the age, as it was before, remembered in its slot, with the node: its *shadow*. It
//! takes the place that the slot has for a page in memory, so it costs nothing, and is gone when
//! the slot is freed or its page is there again; a device that is taken away takes its own along.
//! When the page is read again, a *refault*, the node's age less the one of the shadow is its
//! *distance*: so many more would have had to be not in use for the page to have stayed. If
//! the list of those in use has as many, then they may be the wrong ones: the page comes to that
//! list, by way of its CPU's batch as any other, and has to hold its own there.
//!
//! When it has, those in use are indeed questioned: as reclaim of the node begins that sees such a
//! refault, which no reclaim before it has seen the end of, it has the last of those in use come to
//! the list of the others, also where that is the longer one ([`crate::pressure`]).
//!
//! That decides about lists alone. References and mappings of the page are the same either way, so
//! no rule of a release sees it and there is no switch for it: reclaim here is that of kernels
//! since 5.9 ([`crate::pressure`]) under all rules, and this came in 5.9, too. Where there are no
//! lists there are no shadows. Pages of files are on no list, and so do not count.
//!
//! Invariants:
//! - INV-REFAULT-1: a page that leaves memory gets its shadow under the slots' lock, when its last
//!   reference is gone; a page that is read takes it there. So a shadow is measured once.
//! - INV-REFAULT-2: a read that fails measures nothing: the slot has its shadow again.
//! - INV-REFAULT-3: ages only grow.

use crate::addr::Pfn;
use crate::frame::{List, Used};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::swap::Shadow;

impl<P: Platform> Memory<P> {
    /// What is to be remembered of a page that leaves memory, of which nobody has a reference any
    /// more; nothing, where there are no lists.
    #[inline]
    pub(crate) fn shadow_of(&self, pfn: Pfn) -> Option<Shadow> {
        self.frames().has_lists().then(|| self.evict(pfn))
    }

    #[cold]
    #[inline(never)]
    fn evict(&self, pfn: Pfn) -> Shadow {
        let frames = self.frames();
        let node = frames.node(pfn);
        Shadow::new(node, frames.grow_old(node, 1), frames.used(pfn))
    }

    /// A folio, which the caller has isolated, was found to be in use.
    pub(crate) fn age_by_use(&self, head: Pfn) {
        let frames = self.frames();
        frames.grow_old(frames.node(head), 1);
    }

    /// A page was read that had this shadow; it is locked, and yet to come to its list.
    #[cold]
    #[inline(never)]
    pub(crate) fn refault(&self, pfn: Pfn, shadow: Shadow) {
        let (frames, counters) = (self.frames(), self.counters());
        counters.workingset_refault_anon.add(1);
        if shadow.distance(frames.age(shadow.node())) > self.rivals(shadow) {
            return;
        }
        frames.begin_in_use(pfn, shadow.used());
        self.age_by_use(pfn);
        frames.count_activated(frames.node(pfn));
        counters.workingset_activate_anon.add(1);
        if shadow.used() == Used::Before {
            counters.workingset_restore_anon.add(1);
        }
    }

    /// How many folios kept their place while the page with this shadow lost it: those in use, if
    /// they can leave at all.
    fn rivals(&self, shadow: Shadow) -> u64 {
        if self.has_swap_room() { self.frames().listed(shadow.node(), List::Active) } else { 0 }
    }
}

#[cfg(test)]
mod tests;
