//! The lock of a page, and the snapshot that rules decide on.
//!
//! The holder of the page lock holds a reference too: a free frame's flags are reset. The lock
//! sleeps. Migration holds it while a page has no entries; the reuse decision of 5.8 sleeps for it,
//! later ones only try.

use crate::addr::Pfn;
use crate::frame::{Counts, Flags, Large, PIN_BIAS, Page};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::rules::cow::counts_most;
use crate::rules::large::{Tally, tally};
use crate::rules::zap::Zapped;
use crate::rules::{Exclusive, LargeState, Lru, PageKind, PageState, SwapCache};
use crate::sync::{BitGuard, Class};

/// Holds the lock of a page.
pub(crate) type PageLock<'m, P> = BitGuard<'m, P>;

impl<P: Platform> Memory<P> {
    /// Takes the page's lock if it is free. The page is not part of a large folio, and the caller
    /// keeps it from becoming one: for any other there is [`Memory::try_lock_folio`].
    #[inline]
    pub(crate) fn try_lock_page(&self, pfn: Pfn) -> Option<PageLock<'_, P>> {
        self.frames().page(pfn).lock().try_lock(self.platform())
    }

    /// As [`Memory::try_lock_page`], the lock of the page's folio, whatever that is.
    pub(crate) fn try_lock_folio(&self, pfn: Pfn) -> Option<PageLock<'_, P>> {
        let of = self.frames().locked_by(pfn);
        let locked = self.try_lock_page(of)?;
        // A tail whose folio was split meanwhile has another lock.
        (of == pfn || self.frames().locked_by(pfn) == of).then_some(locked)
    }

    /// Waits until the page's lock is free, and leaves it so. What its holder did is visible
    /// afterwards, so a retried fault does not find the entry that it waited for. The frame may be
    /// freed and reused in the meantime; then it is simply not locked.
    pub(crate) fn wait_page(&self, pfn: Pfn) {
        self.frames().page(pfn).lock().wait(self.platform());
    }

    /// As [`Memory::wait_page`], but no longer than until the page is being written.
    pub(crate) fn wait_page_unwritten(&self, pfn: Pfn) {
        self.frames().page(pfn).lock().wait_or(self.platform(), Flags::WRITEBACK.bits());
    }

    /// As [`Memory::wait_page`], of the page's folio, whatever that is. While a large folio is
    /// split its lock and those of the pages that it becomes are held until the last of their
    /// entries is back, whichever of them is waited for (INV-SPLIT-3).
    #[inline(never)]
    pub(crate) fn wait_folio(&self, pfn: Pfn) {
        self.wait_page(self.frames().locked_by(pfn));
    }

    /// As [`Memory::wait_page`], for a page that `held` keeps, which is let go of before the wait:
    /// a reference keeps it instead.
    pub(crate) fn wait_page_without<T>(&self, pfn: Pfn, held: T) {
        self.keep_while(pfn, held, || self.wait_page(pfn));
    }

    /// As [`Memory::wait_page_without`], for the page's folio, whatever that is.
    pub(crate) fn wait_folio_without<T>(&self, pfn: Pfn, held: T) {
        self.keep_while(pfn, held, || self.wait_folio(pfn));
    }

    #[inline]
    fn keep_while<T>(&self, pfn: Pfn, held: T, wait: impl FnOnce()) {
        self.get(pfn, 1);
        drop(held);
        wait();
        self.put(pfn, 1);
    }

    /// Takes the page's lock, and sleeps for it. The caller holds a reference.
    pub(crate) fn lock_page(&self, pfn: Pfn) -> PageLock<'_, P> {
        loop {
            if let Some(locked) = self.try_lock_page(pfn) {
                return locked;
            }
            self.wait_page(pfn);
        }
    }

    /// Carries the dirty bit of an entry that was taken out to a page that a backing store may
    /// want. Not to an anonymous page: fork copies the bit, so that every other entry that shares
    /// the page has it, too. That of a file is marked in one step even if it is marked already: who
    /// takes the mark off afterwards sees what was written before.
    #[inline]
    pub(crate) fn carry_dirty(&self, pfn: Pfn) -> Zapped {
        let flags = self.frames().flags(pfn);
        if flags.contains(Flags::FILE) {
            self.mark_dirty(pfn);
            return Zapped::DirtyFile;
        }
        if !flags.intersects(Flags::DIRTY | Flags::ANON) {
            self.mark_dirty(pfn);
        }
        Zapped::Other
    }

    /// What the rules look at, of a page of a large folio, in full.
    #[inline(never)]
    pub(crate) fn page_state(&self, pfn: Pfn) -> PageState {
        // An embedder's run is no anonymous memory, and nothing maps it.
        let Some(folio) = self.frames().large(pfn) else {
            let page = self.frames().page(pfn);
            return self.small_state(pfn, page.flags(), page.counts());
        };
        self.large_state(pfn, folio)
    }

    /// The same for callers that have looked the folio up.
    #[inline]
    pub(crate) fn large_state(&self, pfn: Pfn, folio: Large<'_>) -> PageState {
        let page = self.frames().page(pfn);
        let word = page.counts();
        let own = self.small_state(pfn, page.flags(), word);
        // A page with the mark is its owner's whatever the folio counts.
        let (counts, owners) = folio.counted(self.large_maps(), !word.is_exclusive());
        let most = counts_most(self.rule());
        let (maps, state) = folio.state(pfn, (counts, owners), self.large_maps(), most);
        let pins = self.large_pins(counts, state.pins);
        let large = Some(LargeState { pins, ..state });
        PageState { refs: counts.refs(), maps, large, ..own }
    }

    /// What the rules look at; the caller learns what `look` makes of it.
    #[inline]
    pub(crate) fn judge_page<C: Class>(&self, pfn: Pfn, look: impl Fn(&PageState) -> C) -> C {
        self.judge(pfn, self.frames().page(pfn), look)
    }

    /// The same for callers that have looked the page up.
    #[inline]
    pub(crate) fn judge<C: Class>(
        &self,
        pfn: Pfn,
        page: Page<'_>,
        look: impl Fn(&PageState) -> C,
    ) -> C {
        let flags = page.flags();
        if flags.intersects(Flags::LARGE) {
            return look(&self.page_state(pfn));
        }
        self.judge_own(pfn, (page, flags), look)
    }

    /// How many pins a large folio with these counts may have, which has counted so many: by the
    /// rules that count references on tails they are references, as on a small page.
    fn large_pins(&self, counts: Counts, pins: u32) -> u32 {
        match tally(self.rule()) {
            Tally::Head => pins,
            Tally::HeadAndTail | Tally::HeadAndMapcount => {
                counts.refs().saturating_sub(counts.maps()) / PIN_BIAS
            }
        }
    }

    /// Whether a device may have pinned the page, as [`Frames::maybe_dma_pinned`] says, or, by the
    /// rules that count references on tails, its references. The caller has the lock of the
    /// folio, or of a table that maps it.
    ///
    /// [`Frames::maybe_dma_pinned`]: crate::Frames::maybe_dma_pinned
    pub(crate) fn maybe_pinned(&self, pfn: Pfn) -> bool {
        if !self.frames().is_large(pfn) {
            return self.frames().maybe_dma_pinned(pfn);
        }
        match tally(self.rule()) {
            Tally::Head => self.frames().maybe_dma_pinned(pfn),
            Tally::HeadAndTail | Tally::HeadAndMapcount => {
                self.large_pins(self.frames().folio(pfn).counts(), 0) > 0
            }
        }
    }

    /// Marks a page newer than any store of it, after a device has written to it, of which the
    /// caller has a reference: the folio that it is part of. By the rules under which that does not
    /// keep a folio from being split, the page, as a split leaves it.
    pub(crate) fn mark_page_dirty(&self, pfn: Pfn) {
        if !self.frames().is_large(pfn) {
            return self.mark_dirty(pfn);
        }
        self.mark_dirty(match tally(self.rule()) {
            Tally::Head => self.frames().head_of(pfn),
            Tally::HeadAndTail | Tally::HeadAndMapcount => pfn,
        });
    }

    /// The same for a page that is not part of a large folio.
    #[inline]
    pub(crate) fn judge_small<C: Class>(
        &self,
        pfn: Pfn,
        page: Page<'_>,
        look: impl Fn(&PageState) -> C,
    ) -> C {
        self.judge_own(pfn, (page, page.flags()), look)
    }

    /// As [`Memory::judge_small`], for callers that have seen the page's flags.
    #[inline]
    pub(crate) fn judge_own<C: Class>(
        &self,
        pfn: Pfn,
        (page, flags): (Page<'_>, Flags),
        look: impl Fn(&PageState) -> C,
    ) -> C {
        page.counts_as(|own| look(&self.small_state(pfn, flags, own)))
    }

    /// The state of a page with these flags and counts, which is not part of a large folio. Whether
    /// it is on its list, those say who ask for that ([`Memory::lru_of`]).
    #[inline]
    fn small_state(&self, pfn: Pfn, flags: Flags, own: Counts) -> PageState {
        let mark = if own.is_exclusive() { Exclusive::Marked } else { Exclusive::Unmarked };
        let kind = if flags & Flags::MERGED == Flags::ANON {
            PageKind::Anon(mark)
        } else if flags.contains(Flags::ANON) {
            PageKind::Ksm
        } else if pfn == self.zero_page() || self.is_huge_zero(pfn) {
            PageKind::Zero
        } else {
            PageKind::File
        };
        PageState {
            kind,
            refs: own.refs(),
            maps: own.maps(),
            large: None,
            swap: SwapCache::Absent,
            lru: Lru::On,
        }
    }
}
