//! What programs ask for: pages one by one with a status for each (move_pages), and a range whose
//! pages all should lie on a node (mbind). facts 4.5, 7.3
//!
//! Protocol: as `range`: the address space's lock is held only to find and isolate a page. The
//! batches of the LRU lists are drained once for a call, as their references would keep what waits
//! there from moving.
//!
//! INV-MIG-7: a status is that of one moment: a page of which it says that it lies on a node did so
//! at the end of its attempt, or when it was looked at.

use super::{MigrateMode, MoveScope, Moved, Mover, NotMoved, PageStatus, Stays, Strict, Target};
use crate::addr::{NodeId, Pfn, VirtAddr, VirtRange, Vpn};
use crate::frame::Sizes;
use crate::memory::Memory;
use crate::migrate::Isolated;
use crate::platform::Platform;
use crate::pte::Pte;
use crate::space::{Looked, Space};

impl<P: Platform> Space<P> {
    /// Moves pages, each to its node; `tell` learns what became of each, in order.
    pub(crate) fn move_pages(
        &self,
        pages: &[(VirtAddr, NodeId)],
        scope: MoveScope,
        mut tell: impl FnMut(PageStatus),
    ) {
        self.mem().lru_add_drain_all();
        for (at, to) in pages {
            tell(self.move_page(at.page(), *to, scope));
        }
    }

    fn move_page(&self, page: Vpn, to: NodeId, scope: MoveScope) -> PageStatus {
        let mem = self.mem();
        if !mem.frames().has_node(to) {
            return PageStatus::NoNode;
        }
        match self.look_up(page, |mem, pfn| mem.pick(pfn, to, scope)) {
            Err(status) => status,
            Ok(picked) => {
                match mem.migrate_telling(picked, Target::node(to), MigrateMode::Sync).1 {
                    Ok(()) => PageStatus::On(to),
                    Err(Stays::Busy) => PageStatus::Busy,
                    Err(Stays::NoFrame) => PageStatus::NoFrame,
                }
            }
        }
    }

    /// Where a page is now.
    pub(crate) fn page_status(&self, page: Vpn) -> PageStatus {
        let on = |mem: &Memory<P>, pfn| PageStatus::On(mem.frames().node(pfn));
        self.look_up(page, |mem, pfn| Ok(on(mem, pfn))).unwrap_or_else(|status| status)
    }

    /// What `look` makes of the page that is mapped, whose table is locked.
    fn look_up<'s, T>(
        &'s self,
        page: Vpn,
        look: impl Fn(&'s Memory<P>, Pfn) -> Result<T, PageStatus>,
    ) -> Result<T, PageStatus> {
        if page >= self.end_page() || self.read_map().find(page).is_none() {
            return Err(PageStatus::NotMapped);
        }
        let mut found = Err(PageStatus::Absent);
        self.look_at(page..page + 1, |pte: Pte<P::Format>| {
            found = match pte.counted() {
                Some(pfn) => look(self.mem(), pfn),
                None if pte.is_mapped() => Err(PageStatus::NotMapped),
                None => Err(PageStatus::Absent),
            };
            Looked::Enough
        });
        found
    }

    /// Moves the pages of a range, of those that the scope allows.
    pub(crate) fn move_range(
        &self,
        range: VirtRange,
        node: NodeId,
        (scope, strict): (MoveScope, Strict),
    ) -> Result<Moved, NotMoved> {
        if !self.mem().frames().has_node(node) {
            return Err(NotMoved::NoNode(node));
        }
        let hole = self.read_map().first_hole(range);
        if hole < range.end_page() {
            return Err(NotMoved::NotMapped(hole.start()));
        }
        let how = (Mover::Policy(scope), MigrateMode::Sync);
        let moved = self.migrate_range(range, node, how);
        match strict {
            Strict::Strict if moved.failed > 0 => Err(NotMoved::Stays(moved)),
            Strict::Strict | Strict::No => Ok(moved),
        }
    }
}

impl<P: Platform> Memory<P> {
    /// Isolates the folio of a page that an entry maps, whose table is locked, for it to move to
    /// `to`; or says why it need not, or cannot.
    fn pick(&self, pfn: Pfn, to: NodeId, scope: MoveScope) -> Result<Isolated<'_, P>, PageStatus> {
        if self.frames().node(pfn) == to {
            return Err(PageStatus::On(to));
        }
        if self.frames().flags(pfn).is_fixed() {
            return Err(PageStatus::Fixed);
        }
        match scope {
            MoveScope::Own if self.may_be_shared(pfn) => Err(PageStatus::Shared),
            MoveScope::Own | MoveScope::All => {
                self.isolate(pfn, Sizes::Any).ok_or(PageStatus::Busy)
            }
        }
    }
}
