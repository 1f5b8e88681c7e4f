//! Splitting a large folio into pages of their own (facts 5.1 to 5.3).
//!
//! Protocol: the caller has a reference. The folio's lock is tried, never slept for. Every entry
//! becomes a migration entry, as for a migration, by a walk over those who may map the pages; one
//! whose page may be pinned is put back, and that ends the attempt. After the flush the folio is
//! frozen: its references are compared with the caller's one and taken away in one step, so that
//! who takes one without a lock either makes the split fail or finds no folio. Then its frames
//! become pages, the head last, and a second walk puts the entries back, for the pages or for the
//! folio that it still is.
//!
//! So it is since 4.8. By the rule `tail-refs` of 4.5 the references are compared by plain reads
//! and nothing is taken away: one that a walker takes on a tail after that stays on the head. By
//! those of up to 4.4 nothing is compared, and each reference goes on with its page
//! (`frame/tails.rs`); for that the split waits, after the flush, for the walk sections that were
//! open, as those releases' flush did, whose interrupt a lock-free walker held off (facts 3.5).
//! Only an entry that the walk did not find, or a pinned page that keeps its mark by a later rule
//! (`migration-kind`), makes it fail.
//!
//! Invariants:
//! - INV-SPLIT-1: a folio is split only while nothing but the caller refers to it, unless
//!   references are counted on tails.
//! - INV-SPLIT-2: no migration entry for its pages is left after an attempt.
//! - INV-SPLIT-3: the lock of the folio, and of each page that it becomes, is held until the last
//!   entry is back: a fault that meets a migration entry waits for one of them, whichever it finds.
//! - INV-SPLIT-4: a page that nothing maps is freed by the split that made it.

use core::fmt;

use crate::addr::{Pfn, Vpn};
use crate::error::OutOfFrames;
use crate::event::{Bug, EventKind};
use crate::frame::{Counts, Flags, Large, NewFrame, Parted, Short, Start};
use crate::memory::Memory;
use crate::page::PageLock;
use crate::platform::Platform;
use crate::plural::Counted;
use crate::rules::large::{Parting, parting};
use crate::space::Space;
use crate::sync::smp_mb;
use crate::tlb::DeferredFlush;
use crate::vacate::{HugeEntries, Pinned};

/// What became of the folios that waited to be split.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Splits {
    /// Folios that were split.
    pub split: u64,
    /// Folios that could not be, and go on waiting.
    pub failed: u64,
}

/// Why a folio was not split. It is mapped as before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SplitError {
    /// Nothing is mapped there that could be split: no page, or a small one.
    NotLarge,
    /// Somebody else holds the folio's lock: another split, for instance.
    Locked,
    /// A device may have pinned this page.
    Pinned(Pfn),
    /// Somebody refers to the folio beside the entries that map it.
    Busy {
        /// Its references.
        refs: u32,
        /// How many there would be without him.
        expected: u32,
    },
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLarge => f.write_str("no large folio is mapped there"),
            Self::Locked => f.write_str("the folio is locked: try again"),
            Self::Pinned(pfn) => write!(f, "{pfn} may be pinned: unpin it first"),
            Self::Busy { refs, expected } => write!(
                f,
                "the folio has {} where {}: release the others first",
                Counted::new(u64::from(*refs), "reference", "references"),
                Counted::new(u64::from(*expected), "is accounted for", "are accounted for")
            ),
        }
    }
}

impl core::error::Error for SplitError {}

impl<P: Platform> Space<P> {
    /// Splits the large folio that is mapped at `page`.
    pub(crate) fn split_folio(&self, page: Vpn) -> Result<(), SplitError> {
        let mem = self.mem();
        let map = self.read_map();
        let leaf = self.tables().leaf_if_any(page).ok_or(SplitError::NotLarge)?;
        let cursor = leaf.lock();
        let pte = cursor.get(page);
        if !pte.is_mapped() || pte.is_special() || mem.frames().large(pte.pfn()).is_none() {
            return Err(SplitError::NotLarge);
        }
        let pfn = pte.pfn();
        mem.get(pfn, 1);
        drop(cursor);
        drop(map);
        let result = mem.split(pfn);
        mem.put(pfn, 1);
        result
    }
}

impl<P: Platform> Memory<P> {
    /// Splits the folio of a page, of which the caller has one reference: if it succeeds, that is
    /// one of the page's own.
    pub(crate) fn split(&self, pfn: Pfn) -> Result<(), SplitError> {
        self.split_into(pfn, |page| self.put(page, 1))
    }

    /// The same; the other pages are given to `take`, each with a reference.
    pub(crate) fn split_into(&self, pfn: Pfn, take: impl FnMut(Pfn)) -> Result<(), SplitError> {
        if !self.frames().is_large(pfn) {
            return Err(SplitError::NotLarge);
        }
        let result = self.lock_and_split(pfn, take);
        let counters = self.counters();
        match result {
            Ok(()) => counters.thp_split_page.add(1),
            Err(_) => counters.thp_split_page_failed.add(1),
        }
        result
    }

    /// Splits folios that are mapped in part, at most `most`, those first that wait longest.
    pub(crate) fn split_queued(&self, most: u64) -> Splits {
        let mut splits = Splits::default();
        for _ in 0..most.min(self.frames().queue_len()) {
            let Some(head) = self.frames().next_queued() else { break };
            match self.split(head) {
                Ok(()) => splits.split += 1,
                Err(_) => splits.failed += 1,
            }
            self.put(head, 1);
        }
        splits
    }

    /// A frame for a private page where none was free: large folios that are mapped in part are
    /// split until one is (facts 5.6). No table is locked.
    ///
    /// # Errors
    /// When no split has given one.
    #[cold]
    #[inline(never)]
    pub(crate) fn alloc_of_splits(
        &self,
        flags: Flags,
        start: Start,
    ) -> Result<NewFrame<'_>, OutOfFrames> {
        for _ in 0..self.frames().queue_len() {
            if self.split_queued(1).split > 0
                && let Ok(fresh) = self.alloc_local(flags, start)
            {
                return Ok(fresh);
            }
        }
        Err(OutOfFrames)
    }

    fn lock_and_split(&self, kept: Pfn, mut take: impl FnMut(Pfn)) -> Result<(), SplitError> {
        let locked = self.try_lock_folio(kept).ok_or(SplitError::Locked)?;
        // Whole until the lock is released, if another split has not been here before.
        let folio = self.frames().large(kept).ok_or(SplitError::NotLarge)?;
        let (head, pages) = (folio.head(), folio.pages());
        let parting = parting(self.rule());
        match parting {
            Parting::Shared => {}
            Parting::Compared | Parting::Frozen => {
                let counts = folio.folio().counts();
                // The caller's reference.
                let expected = counts.maps() + 1;
                if counts.refs() != expected {
                    return Err(self.busy(head, counts.refs(), expected));
                }
            }
        }
        self.tell_frame(EventKind::SplitBegins(head));
        let waited = self.frames().is_queued(folio);
        let family = self.hold_family(head);
        let mut deferred = DeferredFlush::new();
        let family = family.as_ref();
        let vacated = self.vacate(family, (head, pages), HugeEntries::Split, &mut deferred);
        deferred.finish(self);
        let vacated = vacated.map_err(|Pinned(pfn)| SplitError::Pinned(pfn));
        let result = vacated.and_then(|()| self.break_up(folio, parting));
        if result.is_ok() {
            // From the first entry on, a part has hinting faults of its own.
            self.frames().spread_last_fault(head, pages);
        }
        // INV-SPLIT-2.
        self.reoccupy(family, (head, pages), head, HugeEntries::Split);
        match result {
            Ok(()) => {
                self.lru_add_parts(head, pages);
                self.tell_frame(EventKind::Split(head));
                drop(locked);
                self.unlock_pages(head, pages);
                match parting {
                    // Each reference has gone on with its page: the caller's, too.
                    Parting::Shared => self.put(kept, 1),
                    // They were compared with the caller's one: that is the head's, or became it.
                    Parting::Compared | Parting::Frozen => {}
                }
                let others = (head.0..head.0 + pages).map(Pfn).filter(|pfn| *pfn != kept);
                others.for_each(&mut take);
            }
            Err(_) if !waited => self.requeue(folio),
            Err(_) => {}
        }
        result
    }

    fn busy(&self, head: Pfn, refs: u32, expected: u32) -> SplitError {
        self.tell_frame(EventKind::SplitBusy { head, refs, expected });
        SplitError::Busy { refs, expected }
    }

    /// Makes pages of the frames of a folio that nothing maps, each locked, with one reference that
    /// is this split's.
    fn break_up(&self, folio: Large<'_>, parting: Parting) -> Result<(), SplitError> {
        let head = folio.head();
        let busy = |counts: Counts| self.busy(head, counts.refs(), 1 + counts.maps());
        match parting {
            Parting::Frozen => folio.freeze().map_err(busy)?,
            Parting::Compared => {
                let counts = folio.folio().counts();
                if counts.refs() != 1 + counts.maps() {
                    return Err(busy(counts));
                }
            }
            Parting::Shared => {
                smp_mb();
                self.platform().wait_for_walkers();
                let counts = folio.folio().counts();
                if counts.maps() != 0 {
                    return Err(busy(counts));
                }
                folio.folio().get(1);
            }
        }
        self.frames().unqueue(folio);
        for pfn in folio.pfns().skip(1) {
            // Nobody else locks a tail by itself.
            let lock = self.frames().page(pfn).lock().try_lock(self.platform());
            debug_assert!(lock.is_some(), "{pfn} was locked while it was a tail");
            core::mem::forget(lock);
        }
        match parting {
            Parting::Frozen => folio.break_up(),
            Parting::Compared | Parting::Shared => {
                let told = |parted| {
                    self.tell_frame(match parted {
                        Parted::Tail { tail, refs } => EventKind::TailParted { tail, refs },
                        Parted::Head { head, refs, had } => {
                            EventKind::HeadParted { head, refs, had }
                        }
                    });
                };
                if let Err(Short { refs, had }) = folio.part(self.rule(), told) {
                    self.platform().bug(Bug::SplitShort { head: folio.head(), refs, had });
                }
            }
        }
        Ok(())
    }

    /// Unlocks the pages that a folio has become beside its head.
    fn unlock_pages(&self, head: Pfn, pages: u64) {
        for pfn in (head.0 + 1..head.0 + pages).map(Pfn) {
            let lock: PageLock<'_, P> = self.frames().page(pfn).lock().adopt(self.platform());
            drop(lock);
        }
    }
}

#[cfg(test)]
mod tests;
