//! Areas that are delegated to CPUs: faults that do not need the address space's lock (facts 7.11).
//!
//! Protocol: a fault that has found its area under the address space's lock, held for reading,
//! leaves a copy of it with its CPU, in one of a few slots, which the page's number chooses. The
//! next fault of that CPU in the area uses the copy ([`crate::sync::Delegated`]): it takes no lock
//! of the address space and does not look at the tree, so it neither waits for a change of another
//! area nor keeps one waiting. Who changes an area, or takes it out, holds the address space's lock
//! for writing and first *recalls* its copies: it waits for the faults that are in. An area knows
//! which CPUs may have copies of it, so a change looks at a CPU at most once for each time that the
//! CPU was given one, and at none if nobody has faulted in the area.
//!
//! What the fault finds in its copy is what it would find in the map, as long as it is in:
//!
//! - INV-DELEG-1: for every page of a copy, the map has an area with that page which is like the
//!   copy in all but its range, and which names the CPU. An area that grows, is cut or is merged
//!   with one like it stays so for each of its pages, and need not be recalled.
//! - INV-DELEG-2: nobody changes an area otherwise, takes it out, takes its entries to another
//!   place, or takes a table away under its pages, before its copies are recalled and while the
//!   address space's lock is held for writing.
//! - INV-DELEG-3: an area of private memory is delegated once it has held an anonymous page, so
//!   that no fault sets that mark in a copy: fork looks for it in the map. (Linux: a fault that
//!   needs an anon_vma takes the address space's lock.)
//! - INV-DELEG-4: who is in a slot does not ask for the address space's lock: who has that may be
//!   waiting for the slot.
//!
//! So faults of one area exclude changes of that area, those of fork and of exit; and everything
//! that the lock for reading kept away from a fault is kept away still.
//!
//! # Unlike Linux
//!
//! Linux counts the readers of an area in the area: two CPUs that fault in one area write one word,
//! and any fault finds any area without the address space's lock. Here a CPU's faults write their
//! CPU's word, so that two CPUs in one area do not meet; the price is that the first fault of a CPU
//! in an area takes the address space's lock, and so does one whose slot another area has taken.
//! Linux has had two forms of its lock, with a sequence number and with a count; what a fault waits
//! for is the same under both, and here one form stands for them (rule `fault-lock`).

use core::mem;

use crate::addr::{VirtRange, Vpn};
use crate::area::{Area, AreaMap};
use crate::platform::Platform;
use crate::pte::Format;
use crate::rules::FaultLock;
use crate::space::Space;
use crate::sync::DelegatedGuard;

impl<P: Platform> Space<P> {
    /// The area that holds `page`, if it is delegated to this CPU. It does not change while the
    /// guard lives. The caller is not going to ask for the address space's lock (INV-DELEG-4).
    #[inline]
    pub(crate) fn delegated(&self, page: Vpn) -> Option<DelegatedGuard<'_, Area<P>, P>> {
        match self.mem().rule() {
            FaultLock::Space => return None,
            FaultLock::Area => {}
        }
        let platform = self.mem().platform();
        self.delegates.find((platform.cpu(), page.0), platform)
    }

    /// Delegates the area, which holds `page`, to this CPU, if the rules have that, nobody is in
    /// the slot and the heap has room. The caller holds the address space's lock for reading.
    pub(crate) fn delegate(&self, area: &Area<P>, page: Vpn) {
        if area.is_cow() && !area.held_anon.is_set() {
            return;
        }
        match self.mem().rule() {
            FaultLock::Space => return,
            FaultLock::Area => {}
        }
        let cpu = self.mem().platform().cpu();
        self.delegates.give((cpu, page.0), |mark| area.delegates.set(mark), || area.clone());
    }

    /// The area, of which nobody has a copy any more. The caller holds the address space's lock for
    /// writing, and is going to change the area, its entries or its tables (INV-DELEG-2).
    #[inline]
    pub(crate) fn recalled<'a>(&self, area: &'a mut Area<P>) -> &'a mut Area<P> {
        if area.delegates.get() != 0 {
            self.recall_area(area);
        }
        area
    }

    #[cold]
    fn recall_area(&self, area: &mut Area<P>) {
        let marks = mem::take(&mut area.delegates).get();
        self.recall_copies(marks, area.range);
    }

    fn recall_copies(&self, marks: u64, range: VirtRange) {
        let (first, end) = (range.first_page().0, range.end_page().0);
        self.delegates.recall(marks, (first, end), self.mem().platform());
    }

    /// As [`Space::recalled`], of the part `range` of an area with these marks, which keeps them:
    /// CPUs may still have copies by which they reach the rest.
    #[inline]
    pub(crate) fn recall_marked(&self, marks: u64, range: VirtRange) {
        if marks != 0 {
            self.recall_copies(marks, range);
        }
    }

    /// As [`Space::recalled`], of all areas that share a page with `range`.
    pub(crate) fn recall(&self, map: &mut AreaMap<P>, range: VirtRange) {
        map.each_in(range, |area| _ = self.recalled(area));
    }

    /// Recalls all copies there are. The caller takes the areas' marks away.
    pub(crate) fn recall_all(&self) {
        self.delegates.recall(u64::MAX, (0, P::Format::PAGES), self.mem().platform());
    }
}

#[cfg(test)]
mod tests;
