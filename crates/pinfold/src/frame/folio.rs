//! New large folios of anonymous memory.

use core::fmt;

use super::counts::{EXCLUSIVE, MAP, REF};
use super::flags::{Flags, HOME_MASK, order_bits};
use super::frames::Frames;
use super::owners::Owners;
use super::source::{Placement, Request, Zone};
use crate::addr::{NodeId, Pfn, SpaceId, Vpn};
use crate::error::OutOfFrames;
use crate::rmap::Home;
use crate::rules::LargeMaps;
use crate::rules::large::{counts_each_page, counts_owners};

/// Which frames of a new folio have the exclusive mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Marks {
    /// Each: entries are to map single pages.
    Each,
    /// The first, for all of them: one entry is to map them (INV-HUGE-3).
    First,
}

/// A large folio that nobody else knows of yet; goes back to its node, or the pool, on drop.
#[must_use]
pub(crate) struct NewFolio<'a> {
    frames: &'a Frames,
    head: Pfn,
    pages: u64,
    start: Start,
}

/// The counts that it starts with.
#[derive(Clone, Copy)]
enum Start {
    /// One reference.
    Held,
    /// A mapping of each page, with its reference, all of this address space and exclusive.
    Mapped(SpaceId, LargeMaps),
}

impl fmt::Debug for NewFolio<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewFolio").field("head", &self.head).field("pages", &self.pages).finish()
    }
}

impl NewFolio<'_> {
    /// All of its frames.
    pub(crate) fn pfns(&self) -> impl Iterator<Item = Pfn> + use<> {
        (self.head.0..self.head.0 + self.pages).map(Pfn)
    }

    /// How many they are.
    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    /// Its first frame.
    pub(crate) fn head(&self) -> Pfn {
        self.head
    }

    /// Records where its pages are mapped; `page` is the number of the first.
    pub(crate) fn set_rmap(&self, home: Home, page: Vpn) {
        self.frames.page(self.head).set_rmap(home, page);
    }

    /// Hands the references to the entries that map the pages from now on.
    pub(crate) fn keep(self) -> Pfn {
        let head = self.head;
        core::mem::forget(self);
        head
    }
}

impl Drop for NewFolio<'_> {
    fn drop(&mut self) {
        // A walker that guesses frame numbers may hold a reference by now.
        if let Start::Mapped(space, rule) = self.start {
            let (folio, pages) = (self.frames.large_of(self.head), self.pages as u32);
            let _ = folio.drop_maps((self.head, pages), space, rule);
            self.frames.frame(self.head).counts.fetch_sub((self.pages - 1) * REF);
            self.frames.uncount_folio(self.head, self.pages);
        }
        self.frames.drop_unused(self.head, 1);
    }
}

impl Frames {
    /// Takes a large folio near `node`, for `space` to map: counted as mapped by one entry for each
    /// page, and exclusive.
    ///
    /// # Errors
    /// When no node has such a run of free frames.
    pub(crate) fn alloc_folio(
        &self,
        (node, order, marks): (NodeId, u32, Marks),
        flags: Flags,
        (space, rule): (SpaceId, LargeMaps),
    ) -> Result<NewFolio<'_>, OutOfFrames> {
        let placement = Placement::Prefer(node);
        let head = self.obtain(Request { order, placement, zone: Zone::Movable })?;
        Ok(self.form(head, (order, marks), flags, (space, rule)))
    }

    /// Makes a folio of a free run of frames, for `space` to map.
    pub(super) fn form(
        &self,
        head: Pfn,
        (order, marks): (u32, Marks),
        flags: Flags,
        (space, rule): (SpaceId, LargeMaps),
    ) -> NewFolio<'_> {
        let pages: u64 = 1 << order;
        let mark = match marks {
            Marks::Each => EXCLUSIVE,
            Marks::First => 0,
        };
        let each = if counts_each_page(rule) { mark | MAP } else { mark };
        self.form_tails(head, order, each);
        if counts_each_page(rule) {
            self.frame(Pfn(head.0 + 1)).spare.init(1);
        }
        if counts_owners(rule) {
            let [first, second] = Owners::sole(space, pages as u32).words();
            self.frame(Pfn(head.0 + 1)).mapping.init(first);
            self.frame(Pfn(head.0 + 2)).mapping.init(second);
        }
        self.form_head(head, (order, flags), EXCLUSIVE | (pages * (MAP + REF)));
        NewFolio { frames: self, head, pages, start: Start::Mapped(space, rule) }
    }

    /// Takes a large folio that nothing maps yet.
    ///
    /// # Errors
    /// When the placement leaves no such run of free frames in the zone.
    pub(crate) fn alloc_folio_held(
        &self,
        (placement, zone): (Placement, Zone),
        order: u32,
    ) -> Result<NewFolio<'_>, OutOfFrames> {
        let head = self.obtain(Request { order, placement, zone })?;
        self.form_tails(head, order, 0);
        self.form_head(head, (order, Flags::empty()), REF);
        Ok(NewFolio { frames: self, head, pages: 1 << order, start: Start::Held })
    }

    /// Makes all but the first of `1 << order` free frames tails with these counts.
    fn form_tails(&self, head: Pfn, order: u32, counts: u64) {
        for pfn in (head.0 + 1..head.0 + (1 << order)).map(Pfn) {
            let frame = self.frame(pfn);
            frame.index.write_once(head.0);
            frame.spare.init(0);
            frame.mapping.init(0);
            let home = frame.flags.fixed(HOME_MASK);
            frame.flags.store_release((Flags::TAIL | Flags::ANON).bits() | home);
            frame.counts.write_once(counts);
        }
    }

    /// Makes the first one their head.
    fn form_head(&self, head: Pfn, (order, flags): (u32, Flags), counts: u64) {
        let frame = self.frame(head);
        let home = frame.flags.fixed(HOME_MASK);
        let large = Flags::HEAD.bits() | order_bits(order);
        frame.flags.write_once((flags | Flags::ANON).bits() | large | home);
        frame.spare.init(0);
        // Who takes a reference from now on sees that this is a folio: he counts pins by that.
        frame.counts.store_release(counts);
    }
}
