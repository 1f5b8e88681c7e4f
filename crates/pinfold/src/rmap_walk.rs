//! The walk over all entries that may map a page: the kernel's `rmap_walk`.
//!
//! Protocol: the caller has a reference on the page. The family is found as `rmap` says and held
//! for reading; each member's table that may map the page is found inside a walk section, held by a
//! reference, and locked for the visit. The visitor looks for the page in the entry: that a member
//! may map the page does not say that it does. No lock of an address space is taken, as these come
//! before the ones held here.

use crate::addr::{Mm, Pfn, SpaceId, Vpn};
use crate::event::Bug;
use crate::memory::Memory;
use crate::platform::{Platform, WalkSection};
use crate::rmap::{Hold, Lookup, Lost, Members, Walk};
use crate::table::{Cursor, Leaf, Tables};

impl<P: Platform> Memory<P> {
    /// Visits the entries that may map the page, if it is mapped; parents' before their children's.
    pub(crate) fn walk_mapped(&self, pfn: Pfn, visit: impl FnMut(Mm, Vpn, Cursor<'_, P>) -> Walk) {
        let page = self.frames().page(pfn);
        let home = page.home();
        let lookup = Lookup::new(home, self.rules().rmap_check, || page.is_mapped());
        match self.anon().lock(&lookup, self.platform()) {
            Ok(Some(family)) => self.visit_members(&family, pfn, visit),
            Ok(None) => {}
            Err(lost) => self.tell_lost(pfn, lost),
        }
    }

    /// A reference on the family of the page, if it is mapped: for a walk when it no longer is.
    pub(crate) fn hold_family(&self, pfn: Pfn) -> Option<Hold<'_>> {
        let page = self.frames().page(pfn);
        let lookup = Lookup::new(page.home(), self.rules().rmap_check, || page.is_mapped());
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
        visit: impl FnMut(Mm, Vpn, Cursor<'_, P>) -> Walk,
    ) {
        self.visit_members(&family.lock(self.platform()), pfn, visit);
    }

    /// The address spaces that [`Memory::walk_mapped`] asks.
    pub(crate) fn each_that_may_map(&self, pfn: Pfn, mut visit: impl FnMut(SpaceId)) {
        let home = self.frames().page(pfn).home();
        let Some(family) = self.hold_family(pfn) else { return };
        family.lock(self.platform()).walk(home, |mm| {
            visit(mm.id);
            Walk::On
        });
    }

    fn visit_members(
        &self,
        family: &Members<'_, P>,
        pfn: Pfn,
        mut visit: impl FnMut(Mm, Vpn, Cursor<'_, P>) -> Walk,
    ) {
        let page = self.frames().page(pfn);
        let (home, index) = (page.home(), page.index());
        family.walk(home, |mm| {
            let Some(leaf) = self.held_leaf(mm, index) else { return Walk::On };
            let result = visit(mm, index, leaf.lock());
            self.put_table(leaf.table);
            result
        });
    }

    /// The table that maps `page`, with a reference. A member may unmap another of its areas and
    /// free tables there during the walk. The address space's lock would prevent that, but comes
    /// before the locks held here: the walk section guards the search, the reference the use. A
    /// table that is unlinked in the meantime has no entries left, and the one that drops the last
    /// reference frees it.
    pub(crate) fn held_leaf(&self, mm: Mm, page: Vpn) -> Option<Leaf<'_, P>> {
        let _section = WalkSection::open(self.platform());
        let leaf = Tables::new(self, mm.root).leaf(page)?;
        self.frames().table(leaf.table).get();
        Some(leaf)
    }

    fn tell_lost(&self, pfn: Pfn, lost: Lost) {
        self.platform().bug(match lost {
            Lost::Freed => Bug::FamilyFreed(pfn),
            Lost::Reused => Bug::FamilyReused(pfn),
        });
    }
}
