//! Telling those who keep translations of their own that entries are about to change (facts 7.10).
//!
//! A device or a second-stage table that follows an address space takes no reference on what it
//! maps. It is told before the first entry of a range changes and again after the last one has, by
//! [`Platform::invalidate_start`] and [`Platform::invalidate_end`]. [`crate::Mirror`] is the half
//! that follows.
//!
//! Protocol: whoever takes rights away opens a [`Changing`] before it takes the first page-table
//! lock, and closes it after it has released the last one. The space's lock, page locks and reverse
//! maps may be held, a spin lock never. An unmap closes it when the pages are freed. What only
//! grants rights (a first touch, a reuse, a restored entry) tells nobody.
//!
//! Invariants:
//! - INV-NOTIFY-1: an entry loses rights, its frame or its presence only inside a [`Changing`] that
//!   covers its page.
//! - INV-NOTIFY-2: every start has its end, on errors too; a frame that a change takes away is
//!   freed only after the start has returned.

use crate::addr::{SpaceId, VirtRange};
use crate::memory::Memory;
use crate::platform::{Invalidate, Invalidation, Platform};
use crate::rules::Notify;

/// A change of entries that is under way; ends on drop.
#[must_use = "the followers hear of the end when this is dropped"]
pub(crate) struct Changing<'m, P: Platform> {
    mem: &'m Memory<P>,
    what: Invalidation,
}

impl<P: Platform> Memory<P> {
    /// Tells the followers of `space` that entries of `range` are about to change.
    #[inline]
    pub(crate) fn changing(
        &self,
        space: SpaceId,
        range: VirtRange,
        kind: Invalidate,
    ) -> Changing<'_, P> {
        let what = Invalidation { space, range, kind };
        match self.rule() {
            Notify::Around => self.platform().invalidate_start(what),
            Notify::Afterwards => {}
        }
        Changing { mem: self, what }
    }
}

impl<P: Platform> Drop for Changing<'_, P> {
    #[inline]
    fn drop(&mut self) {
        match self.mem.rule() {
            Notify::Around => {}
            // The hazard: the followers used their translations during the change.
            Notify::Afterwards => self.mem.platform().invalidate_start(self.what),
        }
        self.mem.platform().invalidate_end(self.what);
    }
}
