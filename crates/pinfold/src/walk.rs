//! The walk without a lock: the entry of an address, for callers that may not wait, such as the
//! TLB fill of an emulated CPU and a debugger. [`crate::AddressSpace::walk`] is its face and says
//! what a caller may do with the answer.
//!
//! Protocol: the walk opens a walk section, reads the upper entries and the entry itself, each with
//! acquire, and closes the section. It takes no lock, waits for nothing, allocates nothing, changes
//! nothing and tells no event. What it relies on is what the lock-free pin relies on (facts 3.5):
//! the section keeps unlinked tables from being freed, and the root lives as long as the owner,
//! which the caller borrows.
//!
//! Invariants:
//! - INV-WALK-1: a table is read only inside the section in which its parent's entry was read. With
//!   INV-TABLE-2 no freed table is read.
//! - INV-WALK-2: the answer is an entry that the page has had, or none; never a part of one, and
//!   nothing from a table that belongs to something else. It is not older than what happens before
//!   the call.
//! - INV-WALK-3: nothing past the address space's limit is read (INV-TABLE-3).

use crate::addr::Vpn;
use crate::platform::{Platform, WalkSection};
use crate::pte::Pte;
use crate::space::Space;

impl<P: Platform> Space<P> {
    /// The entry of `page`; none past the limit.
    pub(crate) fn walk(&self, page: Vpn) -> Pte<P::Format> {
        if page >= self.end_page() {
            return Pte::NONE;
        }
        let _section = WalkSection::open(self.mem().platform());
        self.tables().read(page)
    }
}

#[cfg(test)]
mod tests;
