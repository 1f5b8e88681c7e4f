//! The lock of a page, and the snapshot that rules decide on.
//!
//! Whoever holds the page lock holds a reference too: a free frame's flags are set anew. The lock sleeps. Migration holds it while a page has no
//! entries; the reuse decision of 5.8 sleeps for it, later ones only try.

use crate::addr::Pfn;
use crate::frame::{Counts, Flags, Frame};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::rules::{Exclusive, Lru, PageKind, PageState, SwapCache};
use crate::sync::Taken;

#[cfg(feature = "explore")]
use pinfold_explore::hook;

/// Holds the lock of a page.
#[must_use]
pub(crate) struct PageLock<'m, P: Platform> {
    mem: &'m Memory<P>,
    pfn: Pfn,
    by: Taken,
}

impl<P: Platform> Memory<P> {
    /// Takes the page's lock if it is free.
    pub(crate) fn try_lock_page(&self, pfn: Pfn) -> Option<PageLock<'_, P>> {
        #[cfg(feature = "explore")]
        if hook::active() {
            return hook::try_lock(self.page_lock_id(pfn), hook::Mode::Exclusive)
                .then(|| PageLock { mem: self, pfn, by: Taken::Explorer });
        }
        let old = self.frames().frame(pfn).flags.fetch_or(Flags::LOCKED.bits());
        // Made only on success: a guard that is dropped unlocks the page, whoever locked it.
        (old & Flags::LOCKED.bits() == 0).then(|| PageLock { mem: self, pfn, by: Taken::Native })
    }

    /// Waits until the page's lock is free, and leaves it so. The frame may be freed and reused meanwhile; then it just is not locked.
    pub(crate) fn wait_page(&self, pfn: Pfn) {
        #[cfg(feature = "explore")]
        if hook::active() {
            hook::lock(self.page_lock_id(pfn), hook::Mode::Exclusive);
            hook::unlock(self.page_lock_id(pfn), hook::Mode::Exclusive);
            return;
        }
        let word = &self.frames().frame(pfn).flags;
        loop {
            let seen = word.read_once();
            if seen & Flags::LOCKED.bits() == 0 {
                return;
            }
            let marked = seen | Flags::WAITERS.bits();
            if seen == marked || word.cmpxchg(seen, marked).is_ok() {
                self.platform().park(word.native(), marked);
            }
        }
    }

    #[cfg(feature = "explore")]
    fn page_lock_id(&self, pfn: Pfn) -> usize {
        core::ptr::from_ref(&self.frames().frame(pfn).flags) as usize
    }

    /// Carries an entry's dirty bit to a page that a backing store may want. Anonymous pages are taken for dirty anyway.
    pub(crate) fn mark_dirty(&self, pfn: Pfn) {
        if !self.frames().flags(pfn).intersects(Flags::DIRTY | Flags::ANON) {
            self.frames().set_flags(pfn, Flags::DIRTY);
        }
    }

    /// What the rules look at.
    #[inline]
    pub(crate) fn page_state(&self, pfn: Pfn) -> PageState {
        self.state_of(pfn, self.frames().frame(pfn))
    }

    /// As [`Memory::page_state`], for callers that have looked the frame up.
    #[inline]
    pub(crate) fn state_of(&self, pfn: Pfn, frame: &Frame) -> PageState {
        let flags = Flags::from_bits_truncate(frame.flags.read_once());
        let own = Counts(frame.counts.read_once());
        let (counts, pincount) = if flags.intersects(Flags::LARGE) {
            let (_, head) = self.frames().folio(pfn);
            (Counts(head.counts.read_once()), Some(head.spare.read_once()))
        } else {
            (own, None)
        };
        let mark = if own.is_exclusive() { Exclusive::Marked } else { Exclusive::Unmarked };
        let kind = if flags.contains(Flags::ANON) {
            PageKind::Anon(mark)
        } else if pfn == self.zero_page() {
            PageKind::Zero
        } else {
            PageKind::File
        };
        PageState {
            kind,
            refs: counts.refs(),
            maps: counts.maps(),
            pincount,
            swap: SwapCache::Absent,
            lru: Lru::On,
        }
    }
}

impl<P: Platform> Drop for PageLock<'_, P> {
    fn drop(&mut self) {
        match self.by {
            Taken::Native => {}
            #[cfg(feature = "explore")]
            Taken::Explorer => {
                return hook::unlock(self.mem.page_lock_id(self.pfn), hook::Mode::Exclusive);
            }
        }
        let word = &self.mem.frames().frame(self.pfn).flags;
        let bits = Flags::LOCKED.union(Flags::WAITERS).bits();
        if word.fetch_and(!bits) & Flags::WAITERS.bits() != 0 {
            self.mem.platform().unpark(word.native());
        }
    }
}
