//! What is asked of folios from outside: splitting and making them, and references by frame number
//! and through other references.
//!
//! A reference that is taken by a frame's number alone, as a working-set scanner or a lookup in a
//! page cache does, knows of no entry and no lock: it is taken only if the folio is alive, and if
//! the frame is still part of it afterwards (facts 5.4). The rule `head-recheck` is one of walks by
//! entries alone: a scanner never had a reference on a page that was not its folio's any more.

use core::fmt;

use crate::addr::{Pfn, VirtAddr, VirtRange};
use crate::address_space::AddressSpace;
use crate::collapse::CollapseError;
use crate::event::{Bug, EventKind};
use crate::frame::{Flags, Grab};
use crate::memory::Memory;
use crate::pin::Refs;
use crate::platform::Platform;
use crate::split::{SplitError, Splits};
use crate::sync::{Lease, Shared};

impl<P: Platform> AddressSpace<P> {
    /// Splits the large folio that is mapped at `at`, for all who map it, into small pages, which
    /// are mapped as the folio was: what the kernel does when it needs a part of one for itself,
    /// and on request of its debugging interface (`split_huge_pages`).
    ///
    /// By the rules `tail-refs` up to 4.4 the references of others do not matter: each goes on with
    /// its page. There an entry mapped the whole folio, and this was what happened when the kernel
    /// wanted single entries; here entries map single pages already.
    ///
    /// # Errors
    /// When no large folio is mapped there, and when somebody else has a reference on it, a pin for
    /// instance, or its lock: nothing has changed then.
    pub fn split_folio(&self, at: VirtAddr) -> Result<(), SplitError> {
        self.space().split_folio(at.page())
    }
}

impl<P: Platform> AddressSpace<P> {
    /// Makes one large folio, which one entry maps, of the pages of each aligned run in `range` of
    /// as many as a page table maps, and copies their contents: khugepaged, and MADV_COLLAPSE.
    /// Returns how many such runs it has collapsed: not those that one entry maps already. The
    /// sizes of folios in the tuning do not matter, but [`Advice::NoHugePage`] does, and
    /// [`PmdMapping::Off`].
    ///
    /// Pages that are on a swap device are brought back first.
    ///
    /// Children that share pages keep them. By the rules `collapse-sync` and `fast-recheck` of up
    /// to 5.19 a lock-free pin that runs at the same time may take a page that is then left.
    ///
    /// # Errors
    /// For the last run that could not be collapsed, if one could not: it is as it was, but that
    /// its pages may be back from a swap device, and the others are done; but at the first for
    /// which there is no folio.
    ///
    /// [`Advice::NoHugePage`]: crate::Advice::NoHugePage
    /// [`PmdMapping::Off`]: crate::PmdMapping::Off
    pub fn collapse(&self, range: VirtRange) -> Result<u64, CollapseError> {
        self.space().collapse(range)
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

    /// Takes a reference on the folio of a frame of private memory, whatever it is just now:
    /// nothing if it is free, a page table, an embedder's own, or changing.
    ///
    /// By the rules `tail-refs` that count references on tails (up to 4.4) it is one on the frame
    /// itself, if that has any: a tail of a large folio is refused, but the rule of 3.1 takes one
    /// that somebody else has a reference on, and counts it there alone (facts 5.1, H-I).
    ///
    /// # Panics
    /// When the machine has no such frame.
    pub fn try_reference(this: &Shared<Self>, pfn: Pfn) -> Option<Reference<P>> {
        Self::reference_if(this, pfn, |flags| flags.contains(Flags::ANON))
    }

    /// As [`Memory::try_reference`], of a page whose flags suit.
    pub(crate) fn reference_if(
        this: &Shared<Self>,
        pfn: Pfn,
        suits: impl Fn(Flags) -> bool,
    ) -> Option<Reference<P>> {
        if !suits(this.frames().flags(pfn)) {
            return None;
        }
        this.tell_frame(EventKind::FastLook(pfn));
        let counted = match this.frames().try_reference(pfn, || this.rule()) {
            Grab::Taken(counted) => counted,
            Grab::Gone | Grab::Overflow => return None,
        };
        // The frame may have been freed and have become something else between the two.
        let now = this.frames().flags(pfn);
        if !suits(now) {
            this.put(pfn, 1);
            return None;
        }
        if counted == pfn && now.contains(Flags::TAIL) {
            this.tell_frame(EventKind::TailTaken(pfn));
        }
        let mem = this.lease(this.platform().cpu());
        this.tell_frame(EventKind::FastTaken(pfn));
        Some(Reference { mem, pfn })
    }
}

/// A reference on a page, by the frame's number or through another; dropped with it.
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

    /// One more reference on the page with this number of those that are held: the kernel's
    /// get_page, as direct I/O calls it on the pages that get_user_pages gave it (facts 5.1, H-J).
    /// It takes no lock of a table, so by the rules `tail-refs` that let a folio be split while
    /// there are references, a split may run at the same time. `None` if there is no such page, or
    /// if one more could overflow its count.
    pub fn through(held: &Refs<P>, index: usize) -> Option<Self> {
        Self::taken(held.memory().clone(), *held.pages().get(index)?)
    }

    /// One more reference on the same page; `None` if it could overflow the count.
    pub fn again(&self) -> Option<Self> {
        Self::taken(self.mem.clone(), self.pfn)
    }

    /// One more on a page on which the caller has a reference.
    fn taken(mem: Lease<Memory<P>>, pfn: Pfn) -> Option<Self> {
        let taken = mem.frames().get_again(pfn, || mem.rule());
        if let Some(head) = taken.freed {
            mem.platform().bug(Bug::LockOfFreed(head));
        }
        if let Some((head, put)) = taken.meanwhile {
            mem.after_put(head, put);
        }
        match taken.grab {
            Grab::Taken(_) => Some(Self { mem, pfn }),
            Grab::Gone | Grab::Overflow => None,
        }
    }
}

impl<P: Platform> Drop for Reference<P> {
    fn drop(&mut self) {
        self.mem.put(self.pfn, 1);
    }
}
