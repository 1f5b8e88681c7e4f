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
use crate::frame::Flags;
use crate::memory::Memory;
use crate::object::Mappers;
use crate::platform::{Platform, WalkSection};
use crate::rmap::{Hold, Home, Lookup, Lost, Members, Walk};
use crate::sync::Park;
use crate::table::{Huge, Leaf, Next, Part, Tables};

/// A run of pages of an address space that may be those of a folio.
pub(crate) struct Run {
    /// Their numbers there.
    pub(crate) pages: Range<Vpn>,
    /// How many pages of the folio come before them.
    pub(crate) skipped: u64,
}

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
    /// A reference on the family of an anonymous page, if it is mapped: for a walk when it no
    /// longer is.
    pub(crate) fn hold_family(&self, pfn: Pfn) -> Option<Hold<'_>> {
        self.hold_family_after(pfn, None)
    }

    /// As [`Memory::hold_family`], after the one for another page, which is dropped before.
    pub(crate) fn hold_family_after<'m>(
        &'m self,
        pfn: Pfn,
        last: Option<&mut Hold<'m>>,
    ) -> Option<Hold<'m>> {
        let (home, folio) = (self.frames().place(pfn).0, self.frames().folio(pfn));
        let lookup = Lookup::new(home, self.rule(), || folio.is_mapped());
        match self.anon().hold(&lookup, last) {
            Ok(hold) => hold,
            Err(lost) => {
                self.tell_lost(pfn, lost);
                None
            }
        }
    }

    /// Visits what may map pages of an anonymous folio, if any is mapped, parents' entries before
    /// their children's: tables, and huge entries.
    ///
    /// # Errors
    /// What a visit ended the walk with.
    pub(crate) fn walk_folio<E>(
        &self,
        (head, pages): (Pfn, u64),
        visit: impl FnMut(Mm, Run, Part<'_, P>) -> Result<Next, E>,
    ) -> Result<(), E> {
        let (home, folio) = (self.frames().place(head).0, self.frames().folio(head));
        let lookup = Lookup::new(home, self.rule(), || folio.is_mapped());
        match self.anon().lock(&lookup, self.platform()) {
            Ok(Some(family)) => self.visit_runs(&self.in_family(family, head), pages, visit),
            Ok(None) => Ok(()),
            Err(lost) => {
                self.tell_lost(head, lost);
                Ok(())
            }
        }
    }

    /// As [`Memory::walk_folio`], for as many pages that were the folio, whose family was held; it
    /// had none if nothing mapped it.
    ///
    /// # Errors
    /// What a visit ended the walk with.
    pub(crate) fn walk_held<E>(
        &self,
        family: Option<&Hold<'_>>,
        (head, pages): (Pfn, u64),
        visit: impl FnMut(Mm, Run, Part<'_, P>) -> Result<Next, E>,
    ) -> Result<(), E> {
        let Some(family) = family else { return Ok(()) };
        let family = family.lock(self.platform());
        self.visit_runs(&self.in_family(family, head), pages, visit)
    }

    fn visit_runs<E>(
        &self,
        who: &OfFamily<'_, P>,
        pages: u64,
        mut visit: impl FnMut(Mm, Run, Part<'_, P>) -> Result<Next, E>,
    ) -> Result<(), E> {
        let mut result = Ok(());
        let mut note = |visited| {
            result = visited;
            if result.is_ok() { Walk::On } else { Walk::Stop }
        };
        if pages == 1 {
            self.visit_entries(who, |mm, page, leaf| {
                let run = Run { pages: page..page + 1, skipped: 0 };
                note(visit(mm, run, Part::Table(leaf)).map(|_| ()))
            });
        } else {
            who.each(self.platform(), |mm, first| {
                note(self.visit_parts(mm, (first, pages), &mut visit))
            });
        }
        result
    }

    /// Visits what may map so many pages of one address space from `first` on.
    fn visit_parts<E>(
        &self,
        mm: Mm,
        (first, pages): (Vpn, u64),
        visit: &mut impl FnMut(Mm, Run, Part<'_, P>) -> Result<Next, E>,
    ) -> Result<(), E> {
        // A member whose area lies lower than the folio was mapped may begin within it: the numbers
        // wrap.
        let before = if first.0.checked_add(pages).is_none() { first.0.wrapping_neg() } else { 0 };
        let mut left = Vpn(first.0.wrapping_add(before))..Vpn(first.0.wrapping_add(pages));
        while left.start < left.end {
            let Some((part, pages)) = self.next_part(mm, left.clone()) else { break };
            let (table, end) = (part.table(), pages.end);
            let skipped = pages.start.0.wrapping_sub(first.0);
            left.start = pages.start;
            let visited = visit(mm, Run { pages, skipped }, part);
            self.put_table(table);
            if visited? == Next::On {
                left.start = end;
            }
        }
        Ok(())
    }

    /// The address spaces that [`Memory::walk_folio`] asks.
    pub(crate) fn each_that_may_map(&self, pfn: Pfn, mut visit: impl FnMut(SpaceId)) {
        if !self.frames().flags(pfn).contains(Flags::ANON) {
            return;
        }
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

    /// As [`Memory::next_part`], a table: huge entries, which map nothing of an object, are passed
    /// over.
    pub(crate) fn next_leaf(
        &self,
        mm: Mm,
        mut pages: Range<Vpn>,
    ) -> Option<(Leaf<'_, P>, Range<Vpn>)> {
        loop {
            let (part, run) = self.next_part(mm, pages.clone())?;
            match part {
                Part::Table(leaf) => return Some((leaf, run)),
                Part::Huge(huge) => {
                    self.put_table(huge.upper);
                    pages.start = run.end;
                }
            }
        }
    }

    /// The first table that exists for a run of pages, or huge entry, with a reference on the table
    /// that it is or lies in, and the part of the run that it maps: as [`Memory::held_leaf`]. The
    /// section that finds it looks at each entry of the upper tables for the run at most once.
    fn next_part(&self, mm: Mm, pages: Range<Vpn>) -> Option<(Part<'_, P>, Range<Vpn>)> {
        let pages = pages.start..pages.end.min(self.frames().table(mm.root).end());
        let _section = WalkSection::open(self.platform());
        let first = Tables::new(self, mm).for_each_part(pages, |part, run| {
            self.frames().table(part.table()).get();
            Err((part, run))
        });
        first.err()
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
