//! What is asked of folios from outside: splitting them, and references by frame number.
//!
//! A reference that is taken by a frame's number alone, as a working-set scanner or a lookup in a
//! page cache does, knows of no entry and no lock: it is taken only if the folio is alive and, by
//! the rule `head-recheck`, if the frame is still part of it afterwards (facts 5.4).

use core::fmt;

use crate::addr::{Pfn, VirtAddr};
use crate::address_space::AddressSpace;
use crate::event::EventKind;
use crate::frame::{Flags, Grab, Holds};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::rules::pin::Hold;
use crate::split::{SplitError, Splits};
use crate::sync::{Lease, Shared};

impl<P: Platform> AddressSpace<P> {
    /// Splits the large folio that is mapped at `at`, for all who map it, into small pages, which
    /// are mapped as the folio was: what the kernel does when it needs a part of one for itself,
    /// and on request of its debugging interface (`split_huge_pages`).
    ///
    /// # Errors
    /// When no large folio is mapped there, and when somebody else has a reference on it, a pin for
    /// instance, or its lock: nothing has changed then.
    pub fn split_folio(&self, at: VirtAddr) -> Result<(), SplitError> {
        self.space().split_folio(at.page())
    }
}

impl<P: Platform> Memory<P> {
    /// How many large folios are mapped in part and wait for [`Memory::split_partly_mapped`].
    pub fn partly_mapped(&self) -> u64 {
        self.frames().queue_len()
    }

    /// Splits large folios of which only some pages are mapped, at most `most` of them, so that
    /// their other pages are free again: what a kernel's shrinker does when memory is short
    /// (facts 5.6). Nothing does it by itself: who meets a lack of frames may call it and try anew.
    pub fn split_partly_mapped(&self, most: u64) -> Splits {
        self.split_queued(most)
    }

    /// Takes a reference on the folio of a frame of private memory, whatever it is just now: nothing
    /// if it is free, a page table, an embedder's own, or changing.
    ///
    /// # Panics
    /// When the machine has no such frame.
    pub fn try_reference(this: &Shared<Self>, pfn: Pfn) -> Option<Reference<P>> {
        let is_private = || this.frames().flags(pfn).contains(Flags::ANON);
        if !is_private() {
            return None;
        }
        this.tell_frame(EventKind::FastLook(pfn));
        match this.frames().try_grab(pfn, &Holds::of(Hold::Get, 1).grip(this.rule())) {
            Grab::Taken(_) => {}
            Grab::Gone | Grab::Overflow => return None,
        }
        // The frame may have been freed and have become something else between the two.
        if !is_private() {
            this.put(pfn, 1);
            return None;
        }
        let mem = this.lease(this.platform().cpu());
        this.tell_frame(EventKind::FastTaken(pfn));
        Some(Reference { mem, pfn })
    }
}

/// A reference on the folio of a frame, by the frame's number; dropped with it.
#[must_use = "dropping the reference gives it back"]
pub struct Reference<P: Platform> {
    mem: Lease<Memory<P>>,
    pfn: Pfn,
}

impl<P: Platform> fmt::Debug for Reference<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reference").field(&self.pfn).finish()
    }
}

impl<P: Platform> Reference<P> {
    /// The frame that was asked for.
    pub fn pfn(&self) -> Pfn {
        self.pfn
    }
}

impl<P: Platform> Drop for Reference<P> {
    fn drop(&mut self) {
        self.mem.put(self.pfn, 1);
    }
}
