//! A last-level table that was taken out of its place although it has entries: for a collapse,
//! which links it again, or puts a huge entry there.
//!
//! Protocol: the caller holds the address space's lock for writing, and has recalled the areas of
//! the table's span; nobody walks the family whose pages it maps until he knows which of the two he
//! will do. So nobody finds the table, and who found it before is a lock-free walker, or a walk of
//! the reverse map of another family, which finds no page of its own there.

use super::huge::Huge;
use super::leaf::Leaf;
use crate::addr::Pfn;
use crate::platform::Platform;
use crate::pte::Pte;

/// Such a table. Nothing is in its place.
#[must_use = "its pages are lost to the process unless it is linked again or replaced"]
pub(crate) struct Unlinked<'m, P: Platform> {
    place: Huge<'m, P>,
    bits: u64,
    /// The table.
    pub(crate) leaf: Leaf<'m, P>,
}

impl<'m, P: Platform> Unlinked<'m, P> {
    /// Takes out the table `leaf`, which was found in `place`. Ordered as a full exchange.
    pub(crate) fn new(place: Huge<'m, P>, leaf: Leaf<'m, P>) -> Self {
        let bits = place.take_table();
        Self { place, bits, leaf }
    }

    /// Links the table where it was.
    pub(crate) fn link_again(self) {
        self.place.put_table(self.bits);
    }

    /// Makes a huge entry in its place, and deposits a table, which
    /// [`Memory::new_deposit`](crate::memory::Memory::new_deposit) gave. The old one's frame:
    /// nobody finds it any more, but who has found it may be in it.
    pub(crate) fn replace(self, pte: Pte<P::Format>, deposit: Pfn) -> Pfn {
        self.place.lock().make(pte, deposit);
        self.leaf.table
    }
}
