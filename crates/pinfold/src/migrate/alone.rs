//! Moving a large folio that one huge entry maps and that nothing else refers to, without migration
//! entries: what hinting faults did up to 5.13 (facts 4.4).
//!
//! Protocol: locks of both folios, tried; then the lock of the table that holds the entry, which
//! waits for its hinting fault and so is not usable by the hardware. Under it the entry is compared
//! with the snapshot, and the folio's references are compared and taken away in one step, so that
//! nobody takes one by its number; then the folio is copied and the entry replaced. A folio that is
//! pinned, or shared, stays where it is, and its entry is never out. The copy is made under the
//! table's lock: who goes through a hinting entry all the same, as a forced access may, has written
//! before, or holds a reference, or comes after.

use super::{Isolated, Moved, Pass};
use crate::addr::{Mm, NodeId, Pfn};
use crate::event::EventKind;
use crate::frame::{Placement, Zone};
use crate::memory::Memory;
use crate::platform::{Invalidate, Platform};
use crate::pte::Pte;
use crate::rules::Exclusive;
use crate::table::Huge;

impl<P: Platform> Memory<P> {
    /// Tries once to move the folio that the huge entry `orig` maps alone to `node`, where it is
    /// mapped by what `accessible` makes of the entry.
    pub(crate) fn migrate_alone(
        &self,
        (mm, huge, orig): (Mm, &Huge<'_, P>, Pte<P::Format>),
        page: Isolated<'_, P>,
        node: NodeId,
        accessible: impl FnOnce() -> Pte<P::Format>,
    ) -> Moved {
        let place = (Placement::Only(node), Zone::Movable);
        let moved = self.frames().alloc_folio_held(place, page.pages.ilog2()).ok().and_then(|to| {
            self.exchange_alone((mm, huge, orig), (page.head, to.head()), accessible)
        });
        self.count_moved(&page, if moved.is_some() { Pass::Moved } else { Pass::Again })
    }

    fn exchange_alone(
        &self,
        (mm, huge, orig): (Mm, &Huge<'_, P>, Pte<P::Format>),
        (from, to): (Pfn, Pfn),
        accessible: impl FnOnce() -> Pte<P::Format>,
    ) -> Option<()> {
        let _locks = (self.try_lock_page(from)?, self.try_lock_page(to)?);
        let (home, index) = self.frames().place(from);
        self.frames().page(to).set_rmap(home, index);
        let _changing = self.changing(mm.id, huge.range(), Invalidate::Clear);
        let cursor = huge.lock();
        if cursor.get() != Some(orig) {
            return None;
        }
        let (old, new) = (self.frames().large(from)?, self.frames().large(to)?);
        let pages = old.pages() as u32;
        let pte = accessible().of(to);
        if let Err(counts) = old.freeze_mapped() {
            let (refs, expected) = (counts.refs(), pages + 1);
            self.tell_frame(EventKind::MigrationBusy { pfn: from, refs, expected });
            return None;
        }
        if old.left_on_tail(self.rule()).is_some() {
            old.thaw();
            return None;
        }
        self.copy_frames(from, to, old.pages());
        old.thaw();
        let marked = old.mark(from) == Exclusive::Marked;
        if marked {
            self.frames().page(from).clear_exclusive();
        }
        self.drop_maps_alone(old, (from, pages), mm.id);
        self.inherit_charges(from, to, old.pages());
        self.frames().hand_on_last_fault(from, to);
        self.get_maps(new, (to, pages), Exclusive::Unmarked, mm.id);
        if marked {
            self.frames().page(to).mark_exclusive();
        }
        self.lru_add_for(to, from);
        cursor.set(pte);
        drop(cursor);
        self.put_own(from, pages);
        self.tell_frame(EventKind::Migrated { from, to });
        Some(())
    }
}
