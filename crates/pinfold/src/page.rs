//! The lock of a page, and the snapshot that rules decide on.
//!
//! The holder of the page lock holds a reference too: a free frame's flags are reset. The lock
//! sleeps. Migration holds it while a page has no entries; the reuse decision of 5.8 sleeps for it,
//! later ones only try.

use crate::addr::Pfn;
use crate::frame::{Flags, Page};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::rules::{Exclusive, Lru, PageKind, PageState, SwapCache};
use crate::sync::BitGuard;

/// Holds the lock of a page.
pub(crate) type PageLock<'m, P> = BitGuard<'m, P>;

impl<P: Platform> Memory<P> {
    /// Takes the page's lock if it is free.
    pub(crate) fn try_lock_page(&self, pfn: Pfn) -> Option<PageLock<'_, P>> {
        self.frames().page(pfn).lock().try_lock(self.platform())
    }

    /// Waits until the page's lock is free, and leaves it so. What its holder did is visible
    /// afterwards, so a retried fault does not find the entry that it waited for. The frame may be
    /// freed and reused in the meantime; then it is simply not locked.
    pub(crate) fn wait_page(&self, pfn: Pfn) {
        self.frames().page(pfn).lock().wait(self.platform());
    }

    /// Carries an entry's dirty bit to a page that a backing store may want. Anonymous pages count
    /// as dirty anyway.
    pub(crate) fn mark_dirty(&self, pfn: Pfn) {
        if !self.frames().flags(pfn).intersects(Flags::DIRTY | Flags::ANON) {
            self.frames().set_flags(pfn, Flags::DIRTY);
        }
    }

    /// What the rules look at.
    #[inline]
    pub(crate) fn page_state(&self, pfn: Pfn) -> PageState {
        self.state_of(pfn, self.frames().page(pfn))
    }

    /// As [`Memory::page_state`], for callers that have looked the page up.
    #[inline]
    pub(crate) fn state_of(&self, pfn: Pfn, page: Page<'_>) -> PageState {
        let (flags, own) = (page.flags(), page.counts());
        let (counts, pincount) = if flags.intersects(Flags::LARGE) {
            let folio = self.frames().folio(pfn);
            (folio.counts(), Some(folio.pins()))
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
