//! Which pages come back to memory as in use: those that would still be there if the ones in use
//! were not (workingset detection; facts 7.2).
//!
//! Protocol: a node has an age, in folios, as its lists are counted. It grows by one for each page
//! of the node that leaves memory for a swap device, which large folios do page by page, or that
//! leaves its file, and for each folio that is found to be in use. A page that leaves has the age,
//! as it was before, remembered in its slot, with the node: its *shadow*. It takes the place that
//! the slot has for a page in memory, so it costs nothing, and is gone when the slot is freed or
//! its page is there again; a device that is taken away takes its own along. The shadow of a file's
//! page is in the page's place in its file, until a page is there again or the place is taken out:
//! it keeps the part of the tree that has the place, until there is no heap for another page of the
//! file, which takes that of all its shadows. (Linux has a shrinker for nodes of nothing but
//! shadows.) When the page is read again, a *refault*, the node's age less the one of the shadow is
//! its *distance*: so many more would have had to be not in use for the page to have stayed. If the
//! lists that it competes with have as many, then they may be the wrong pages: it comes to the list
//! of those in use, by way of its CPU's batch as any other, and has to hold its own there. A
//! private page competes with all pages of files and with the private ones in use; one of a file
//! with those of files in use and with all private ones. Private ones count while a device has room
//! for them.
//!
//! When it has, those in use are indeed questioned: as reclaim of the node begins that sees such a
//! refault, which no reclaim before it has seen the end of, it has the last of those in use come to
//! the list of the others, also where that is the longer one ([`crate::pressure`]).
//!
//! That decides about lists alone. References and mappings of the page are the same either way, so
//! no rule of a release sees it and there is no switch for it: reclaim here is that of kernels
//! since 5.9 ([`crate::pressure`]) under all rules, and this came in 5.9, too. Where there are no
//! lists there are no shadows. Shared memory without a file is among the private pages.
//!
//! Invariants:
//! - INV-REFAULT-1: a page that leaves memory gets its shadow under the slots' lock, or that of its
//!   file's list, when its last reference is gone; a page that is read takes it there. So a shadow
//!   is measured once.
//! - INV-REFAULT-2: a read from a device that fails measures nothing: the slot has its shadow
//!   again. That of a file's page is measured when the page is put into its file, before it is
//!   read, and it is there then, read or not (as in Linux).
//! - INV-REFAULT-3: ages only grow.

use crate::addr::Pfn;
use crate::frame::{Kind, List, Used};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::swap::Shadow;

/// What a page adds to the cost of its kind that is written, or read again and was in use before;
/// one that is looked at in vain adds 1. Linux: SWAP_CLUSTER_MAX.
const COST_OF_IO: u64 = 32;

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
    pub(crate) fn refault(&self, pfn: Pfn, shadow: Shadow, kind: Kind) {
        let (frames, counters) = (self.frames(), self.counters());
        let (refault, activate, restore) = match kind {
            Kind::Anon => (
                &counters.workingset_refault_anon,
                &counters.workingset_activate_anon,
                &counters.workingset_restore_anon,
            ),
            Kind::File => (
                &counters.workingset_refault_file,
                &counters.workingset_activate_file,
                &counters.workingset_restore_file,
            ),
        };
        refault.add(1);
        if shadow.distance(frames.age(shadow.node())) > self.rivals(shadow, kind) {
            return;
        }
        frames.begin_in_use(pfn, shadow.used());
        self.age_by_use(pfn);
        frames.count_activated(frames.node(pfn), kind);
        activate.add(1);
        if shadow.used() == Used::Before {
            restore.add(1);
            self.cost_io(pfn, kind);
        }
    }

    /// A page of a kind was written, or read again: what reclaim has cost where there are lists.
    pub(crate) fn cost_io(&self, pfn: Pfn, kind: Kind) {
        let frames = self.frames();
        if frames.has_lists() {
            frames.add_cost(frames.node(pfn), kind, COST_OF_IO);
        }
    }

    /// How many folios kept their place while the page with this shadow lost it, and could have
    /// left: facts 7.2.
    fn rivals(&self, shadow: Shadow, kind: Kind) -> u64 {
        let of = |kind, list| self.frames().listed(shadow.node(), (kind, list));
        let in_use = |kind| of(kind, List::Active);
        let all = |kind| in_use(kind) + of(kind, List::Inactive);
        match (kind, self.has_swap_room()) {
            (Kind::Anon, true) => all(Kind::File) + in_use(Kind::Anon),
            (Kind::Anon, false) => all(Kind::File),
            (Kind::File, true) => in_use(Kind::File) + all(Kind::Anon),
            (Kind::File, false) => in_use(Kind::File),
        }
    }
}

#[cfg(test)]
mod tests;
