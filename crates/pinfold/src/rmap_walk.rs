//! The walk over all entries that may map a page, anonymous or a file's: the kernel's `rmap_walk`.
//!
//! Protocol: the caller has a reference on the page. Those who may map it ([`MayMap`]) are held for
//! reading: the members of its family, found as `rmap` says, or the mappers of its file. Each one's
//! table that may map the page is found inside a walk section, held by a reference, and handed to
//! the visitor, which locks it and looks for the page in the entry: that somebody may map the page
//! does not say that he does. No lock of an address space is taken, as these come before the ones
//! held here.

use core::ops::Range;

use crate::addr::{Mm, Pfn, SpaceId, Vpn};
use crate::event::Bug;
use crate::memory::Memory;
use crate::object::Mappers;
use crate::platform::{Platform, WalkSection};
use crate::pte::Pte;
use crate::rmap::{Hold, Home, Lookup, Lost, Members, Walk};
use crate::sync::Park;
use crate::table::{Huge, Leaf, Next, Part, Tables};

/// Those who may map a page, as values: an address space, and the number of the page there.
pub(crate) trait MayMap<W: Park> {
    /// Calls `visit` for each of them, parents before children, as long as it says to continue.
    fn each(&self, park: &W, visit: impl FnMut(Mm, Vpn) -> Walk);
}

/// Those who may map an anonymous page: members of its family.
struct OfFamily<'a, W: Park> {
    family: Members<'a, W>,
    home: Home,
    index: Vpn,
}

impl<W: Park> MayMap<W> for OfFamily<'_, W> {
    fn each(&self, _: &W, mut visit: impl FnMut(Mm, Vpn) -> Walk) {
        self.family.walk(self.home, |mm, shift| visit(mm, Vpn(self.index.0.wrapping_add(shift))));
    }
}

/// Those who may map a page of an object: everybody who shows it.
pub(crate) struct OfObject<'a> {
    /// Who maps the object.
    pub(crate) mappers: &'a Mappers,
    /// The number of the page in the object.
    pub(crate) index: u64,
}

impl<W: Park> MayMap<W> for OfObject<'_> {
    fn each(&self, park: &W, mut visit: impl FnMut(Mm, Vpn) -> Walk) {
        let page = self.index..self.index + 1;
        self.mappers.walk(page, park, |who, _| visit(who.mm, who.page(self.index)));
    }
}

impl<P: Platform> Memory<P> {
    /// Visits the entries that may map the page, if it is mapped; parents' before their children's.
    pub(crate) fn walk_mapped(&self, pfn: Pfn, visit: impl FnMut(Mm, Vpn, Leaf<'_, P>) -> Walk) {
        let (home, folio) = (self.frames().place(pfn).0, self.frames().folio(pfn));
        let lookup = Lookup::new(home, self.rule(), || folio.is_mapped());
        match self.anon().lock(&lookup, self.platform()) {
            Ok(Some(family)) => self.visit_entries(&self.in_family(family, pfn), visit),
            Ok(None) => {}
            Err(lost) => self.tell_lost(pfn, lost),
        }
    }

    /// A reference on the family of the page, if it is mapped: for a walk when it no longer is.
    pub(crate) fn hold_family(&self, pfn: Pfn) -> Option<Hold<'_>> {
        let (home, folio) = (self.frames().place(pfn).0, self.frames().folio(pfn));
        let lookup = Lookup::new(home, self.rule(), || folio.is_mapped());
        match self.anon().hold(&lookup) {
            Ok(hold) => hold,
            Err(lost) => {
                self.tell_lost(pfn, lost);
                None
            }
        }
    }

    /// As [`Memory::walk_mapped`], for a page that the family was held for while it was mapped.
    pub(crate) fn walk_held(
        &self,
        family: &Hold<'_>,
        pfn: Pfn,
        visit: impl FnMut(Mm, Vpn, Leaf<'_, P>) -> Walk,
    ) {
        let family = family.lock(self.platform());
        self.visit_entries(&self.in_family(family, pfn), visit);
    }

    /// Visits the tables whose entries may map pages of a large folio, if any is mapped: which
    /// pages a table maps, and how far from the first page of the folio they begin.
    pub(crate) fn walk_folio(
        &self,
        head: Pfn,
        pages: u64,
        visit: impl FnMut(Mm, Range<Vpn>, u64, Leaf<'_, P>) -> Walk,
    ) {
        let (home, folio) = (self.frames().place(head).0, self.frames().folio(head));
        let lookup = Lookup::new(home, self.rule(), || folio.is_mapped());
        match self.anon().lock(&lookup, self.platform()) {
            Ok(Some(family)) => {
                self.visit_runs(&self.in_family(family, head), (head, pages), visit)
            }
            Ok(None) => {}
            Err(lost) => self.tell_lost(head, lost),
        }
    }

    /// As [`Memory::walk_folio`], for as many pages that were the folio, whose family was held.
    pub(crate) fn walk_held_folio(
        &self,
        family: &Hold<'_>,
        head: Pfn,
        pages: u64,
        visit: impl FnMut(Mm, Range<Vpn>, u64, Leaf<'_, P>) -> Walk,
    ) {
        let family = family.lock(self.platform());
        self.visit_runs(&self.in_family(family, head), (head, pages), visit);
    }

    fn visit_runs(
        &self,
        who: &OfFamily<'_, P>,
        (head, pages): (Pfn, u64),
        mut visit: impl FnMut(Mm, Range<Vpn>, u64, Leaf<'_, P>) -> Walk,
    ) {
        who.each(self.platform(), |mm, first| {
            // A member whose area lies lower than the folio was mapped may begin within it: the
            // numbers wrap.
            let before =
                if first.0.checked_add(pages).is_none() { first.0.wrapping_neg() } else { 0 };
            let mut run = Vpn(first.0.wrapping_add(before))..Vpn(first.0.wrapping_add(pages));
            let its = |pte: Pte<P::Format>| pte.is_mapped() && pte.pfn() == head;
            while run.start < run.end {
                let Some((leaf, part)) = self.next_leaf(mm, run.clone(), its) else { break };
                run.start = part.end;
                let skipped = part.start.0.wrapping_sub(first.0);
                let result = visit(mm, part, skipped, leaf);
                self.put_table(leaf.table);
                if result == Walk::Stop {
                    return Walk::Stop;
                }
            }
            Walk::On
        });
    }

    /// The address spaces that [`Memory::walk_mapped`] asks.
    pub(crate) fn each_that_may_map(&self, pfn: Pfn, mut visit: impl FnMut(SpaceId)) {
        let Some(family) = self.hold_family(pfn) else { return };
        let who = self.in_family(family.lock(self.platform()), pfn);
        who.each(self.platform(), |mm, _| {
            visit(mm.id);
            Walk::On
        });
    }

    fn in_family<'a>(&self, family: Members<'a, P>, pfn: Pfn) -> OfFamily<'a, P> {
        let (home, index) = self.frames().place(pfn);
        OfFamily { family, home, index }
    }

    /// Visits the entries of those who may map a page.
    pub(crate) fn visit_entries(
        &self,
        who: &impl MayMap<P>,
        mut visit: impl FnMut(Mm, Vpn, Leaf<'_, P>) -> Walk,
    ) {
        who.each(self.platform(), |mm, page| {
            let Some(leaf) = self.held_leaf(mm, page) else { return Walk::On };
            let result = visit(mm, page, leaf);
            self.put_table(leaf.table);
            result
        });
    }

    /// The table that maps `page`, with a reference. A member may unmap another of its areas and
    /// free tables there during the walk. The address space's lock would prevent that, but comes
    /// before the locks held here: the walk section guards the search, the reference the use. A
    /// table that is unlinked in the meantime has no entries left, and the one that drops the last
    /// reference frees it.
    fn held_leaf(&self, mm: Mm, page: Vpn) -> Option<Leaf<'_, P>> {
        // INV-RMAP-5. What the walk would find there is another's, a kernel's half for instance.
        if page >= self.frames().table(mm.root).end() {
            return None;
        }
        let _section = WalkSection::open(self.platform());
        // A huge entry maps no page that is looked for alone.
        let leaf = Tables::new(self, mm).leaf_now(page)?;
        self.frames().table(leaf.table).get();
        Some(leaf)
    }

    /// The first table that exists for a run of pages, with a reference, and the part of the run
    /// that it maps: as [`Memory::held_leaf`]. The section that finds it looks at each entry of the
    /// upper tables for the run at most once. Huge entries that `splits` wants split are, others
    /// are passed over, and those for pages of the pool.
    pub(crate) fn next_leaf(
        &self,
        mm: Mm,
        pages: Range<Vpn>,
        splits: impl Fn(Pte<P::Format>) -> bool,
    ) -> Option<(Leaf<'_, P>, Range<Vpn>)> {
        let mut pages = pages.start..pages.end.min(self.frames().table(mm.root).end());
        loop {
            let section = WalkSection::open(self.platform());
            let first = Tables::new(self, mm).for_each_part(pages.clone(), |part, run| {
                let table = match &part {
                    Part::Table(leaf) => leaf.table,
                    Part::Huge(huge) => huge.upper,
                };
                self.frames().table(table).get();
                Err((part, run))
            });
            drop(section);
            let (part, run) = first.err()?;
            match part {
                Part::Table(leaf) => return Some((leaf, run)),
                Part::Huge(huge) => {
                    let wanted = huge.pte().is_some_and(&splits);
                    let split = wanted && self.split_or_pass(mm, &huge) == Next::Again;
                    self.put_table(huge.upper);
                    pages.start = if split { run.start } else { run.end };
                }
            }
        }
    }

    /// Visits the places where huge entries of those who may map a page of the pool would be. One
    /// that is empty, too: who has just taken his entry out counts the mapping off before he
    /// releases the table's lock, which the visitor takes.
    pub(crate) fn walk_pooled(&self, head: Pfn, mut visit: impl FnMut(Mm, &Huge<'_, P>)) {
        let (home, folio) = (self.frames().place(head).0, self.frames().folio(head));
        let lookup = Lookup::new(home, self.rule(), || folio.is_mapped());
        let family = match self.anon().lock(&lookup, self.platform()) {
            Ok(Some(family)) => family,
            Ok(None) => return,
            Err(lost) => return self.tell_lost(head, lost),
        };
        self.in_family(family, head).each(self.platform(), |mm, page| {
            if let Some(huge) = self.held_above(mm, page) {
                visit(mm, &huge);
                self.put_table(huge.upper);
            }
            Walk::On
        });
    }

    /// The place of a huge entry that would map `page`, with a reference on the table that holds
    /// it: as [`Memory::held_leaf`].
    fn held_above(&self, mm: Mm, page: Vpn) -> Option<Huge<'_, P>> {
        if page >= self.frames().table(mm.root).end() {
            return None;
        }
        let _section = WalkSection::open(self.platform());
        let huge = Tables::new(self, mm).above(page)?;
        self.frames().table(huge.upper).get();
        Some(huge)
    }

    fn tell_lost(&self, pfn: Pfn, lost: Lost) {
        self.platform().bug(match lost {
            Lost::Freed => Bug::FamilyFreed(pfn),
            Lost::Reused => Bug::FamilyReused(pfn),
        });
    }
}

#[cfg(test)]
mod tests;
