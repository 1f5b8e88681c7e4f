//! What a folio moves to: new frames, as many, where they are wanted.
//!
//! Protocol: a new page has its lock held from before anybody can know of it, so that taking it
//! needs no step of its own; the first pass that has the old page's lock takes it over, and ends
//! it. Nobody sleeps for a page, or for a list, with it: who is to do so lets go of it first, and
//! of those of its whole batch. So whoever waits for what the frame was in its last life waits for
//! passes that only try: a fault does so with its space's lock held for reading, for which no pass
//! waits.

use core::cell::Cell;

use crate::addr::Pfn;
use crate::frame::{Flags, NewFolio, NewFrame, Page, Placement, Start, Zone};
use crate::memory::Memory;
use crate::page::PageLock;
use crate::platform::Platform;
use crate::rules::large::{Tally, tally};
use crate::vacate::Contents;

/// What a folio moves to, with the reference that keeps it until entries do; goes back on drop.
pub(super) struct Fresh<'m, P: Platform> {
    /// A page is locked from its first moment on, until the end of a pass that has the old page's
    /// lock, too, or until somebody is to sleep. Dropped before the page.
    lock: Cell<Option<PageLock<'m, P>>>,
    frames: FreshFrames<'m>,
}

enum FreshFrames<'m> {
    Page(NewFrame<'m>),
    Folio(NewFolio<'m>),
}

impl<'m, P: Platform> Fresh<'m, P> {
    pub(super) fn pfn(&self) -> Pfn {
        match &self.frames {
            FreshFrames::Page(page) => page.pfn(),
            FreshFrames::Folio(folio) => folio.head(),
        }
    }

    /// The lock that it was made with, if nobody has taken that yet.
    pub(super) fn take_lock(&self) -> Option<PageLock<'m, P>> {
        self.lock.take()
    }
}

impl<P: Platform> Memory<P> {
    /// Frames for a folio of so many pages to move to, if it may move as a whole.
    pub(super) fn place_for(
        &self,
        (pages, contents): (u64, Contents),
        (placement, zone): (Placement, Zone),
    ) -> Option<Fresh<'_, P>> {
        if pages == 1 {
            let kind = match contents {
                Contents::Private => Flags::ANON,
                // It gets its marks when it gets its place in the list.
                Contents::Listed => Flags::empty(),
            };
            let kind = kind | Page::first_locked();
            let fresh = self.frames().alloc_from(placement, zone, kind, Start::Held).ok()?;
            let lock = self.frames().page(fresh.pfn()).locked_from_first(self.platform());
            return Some(Fresh { lock: Cell::new(Some(lock)), frames: FreshFrames::Page(fresh) });
        }
        match tally(self.rule()) {
            Tally::Head => {
                let order = pages.ilog2();
                let fresh = self.frames().alloc_folio_held((placement, zone), order).ok()?;
                Some(Fresh { lock: Cell::new(None), frames: FreshFrames::Folio(fresh) })
            }
            Tally::HeadAndTail | Tally::HeadAndMapcount => None,
        }
    }
}
