//! Faults where one entry maps, or could map, as many pages as a table does (facts 1.6; the
//! kernel's `do_huge_pmd_*`).
//!
//! Protocol: as for a page, with the lock of the table that holds the huge entry in place of that
//! of the last-level table. What such an entry cannot give is left to its split ([`crate::table`]):
//! the fault goes on with the one page. In particular a page that another may use is copied alone.
//! (Up to 5.7 all of the folio was copied; what the processes see is the same.)

use super::request::{Fault, Request, Want};
use crate::addr::{Pfn, VirtRange, Vpn};
use crate::area::{Area, Locked, Prot};
use crate::event::EventKind;
use crate::frame::{Counts, Marks};
use crate::memory::{Memory, PmdMapping};
use crate::platform::Platform;
use crate::pte::{Format, Pte};
use crate::rules::pmd::{HugeState, PmdStep, PmdVerdict, pmd_cow, pmd_cow_locked};
use crate::space::Space;
use crate::table::{Huge, HugeCursor, table_end, table_start};

impl<P: Platform> Memory<P> {
    /// What rules look at before a huge entry is written through, of the folio that it maps.
    pub(super) fn huge_state(&self, head: Pfn) -> HugeState {
        let state = self.page_state(head);
        let own = P::Format::ENTRIES as u32 - 1;
        let maps = state.large.map_or(state.maps, |folio| folio.maps);
        HugeState {
            kind: state.kind,
            refs: state.refs.saturating_sub(own),
            maps: maps.saturating_sub(own),
        }
    }
}

impl<P: Platform> Space<P> {
    /// Whether the pages around `page` may get one entry: INV-HUGE-1.
    fn may_be_huge(&self, area: &Area<P>, page: Vpn) -> bool {
        let plain = area.is_anon() && area.locked == Locked::No && area.uffd.is_none();
        let (first, end) = (table_start::<P::Format>(page), table_end::<P::Format>(page));
        plain
            && self.mem().tuning().pmd_mapping == PmdMapping::On
            && self.folio_orders(area) >> P::Format::INDEX_BITS & 1 != 0
            && area.range.first_page() <= first
            && end <= area.range.end_page()
    }

    /// A first touch where there is no table yet: of a folio that one entry maps, if there may be
    /// one and it can be had; else nothing has happened.
    pub(super) fn touch_huge(&self, request: &Request<'_, P>) -> Option<Fault> {
        if !self.may_be_huge(request.area, request.page) {
            return None;
        }
        match request.want {
            Want::Write => self.first_touch_huge(request),
            Want::Read | Want::Unshare => None,
        }
    }

    fn first_touch_huge(&self, request: &Request<'_, P>) -> Option<Fault> {
        let (mem, area) = (self.mem(), request.area);
        let huge = self.tables().above_or_make(request.page).ok()?;
        let order = (P::Format::INDEX_BITS, Marks::First);
        let folio = mem.alloc_folio(self.payer(), order, self.id()).ok()?;
        let table = mem.new_deposit().ok()?;
        folio.pfns().for_each(|pfn| mem.platform().zero_frame(pfn));
        let first = huge.pages().start;
        if let Some(seat) = area.backing.seat() {
            folio.set_rmap(seat.home, seat.index(first));
            area.held_anon.set();
        }
        let cursor = huge.lock();
        if !cursor.is_none() {
            return Some(Fault::Spurious);
        }
        let head = folio.keep();
        let dirty = Pte::mapping(head, area.prot.reach()).dirty();
        let writes = area.prot.contains(Prot::WRITE);
        cursor.make(if writes { dirty.writable() } else { dirty }, table.keep());
        drop(cursor);
        mem.counters().thp_fault_alloc.add(1);
        let pages = P::Format::ENTRIES as u64;
        mem.tell(self.id(), first, EventKind::HugeMapped { head, pages });
        Some(Fault::FirstTouch)
    }

    /// The fault of a page that a huge entry maps; nothing, if that is split now or has changed: to
    /// be looked at again.
    pub(super) fn fault_huge(&self, request: &Request<'_, P>, huge: &Huge<'_, P>) -> Option<Fault> {
        let pte = huge.pte()?;
        if pte.is_hint() {
            return self.hint_fault_huge(request, huge, pte);
        }
        if request.want == Want::Read || pte.is_writable() {
            return self.present_huge(request, huge, pte);
        }
        if pte.is_special() {
            self.mem().split_huge(self.mm(), huge);
            return None;
        }
        self.write_protected_huge(request, huge, pte)
    }

    /// An entry that permits the access, or that another changes now.
    pub(super) fn present_huge(
        &self,
        request: &Request<'_, P>,
        huge: &Huge<'_, P>,
        pte: Pte<P::Format>,
    ) -> Option<Fault> {
        let used = if request.want == Want::Write { pte.young().dirty() } else { pte.young() };
        let cursor = huge.lock();
        if cursor.get() == Some(pte) && used != pte {
            cursor.grant(pte, used);
        }
        drop(cursor);
        self.flush_huge_here(huge.range());
        self.mem().tell(self.id(), request.page, EventKind::Spurious);
        Some(Fault::Spurious)
    }

    /// The entry only gained permissions, so other CPUs' stale translations are harmless.
    fn flush_huge_here(&self, range: VirtRange) {
        self.mem().platform().flush_local(self.id(), range);
    }

    fn write_protected_huge(
        &self,
        request: &Request<'_, P>,
        huge: &Huge<'_, P>,
        orig: Pte<P::Format>,
    ) -> Option<Fault> {
        let (mem, head) = (self.mem(), orig.pfn());
        let cursor = huge.lock();
        if cursor.get() != Some(orig) {
            return None;
        }
        let why = match pmd_cow(mem.rule(), &mem.huge_state(head)) {
            PmdStep::Reuse(why) => why,
            PmdStep::NeedPageLock => {
                let lock = mem.frames().page(head).lock();
                let Some(_locked) = lock.try_lock(mem.platform()) else {
                    mem.get(head, 1);
                    drop(cursor);
                    mem.wait_folio(head);
                    mem.put(head, 1);
                    return Some(Fault::Waited);
                };
                match pmd_cow_locked(mem.rule(), &mem.huge_state(head)) {
                    PmdVerdict::Reuse(why) => why,
                    PmdVerdict::Split(why) => {
                        drop(_locked);
                        drop(cursor);
                        mem.tell(self.id(), request.page, EventKind::HugeShared { head, why });
                        mem.split_huge(self.mm(), huge);
                        return None;
                    }
                }
            }
        };
        let kept = EventKind::HugeKept { head, why };
        Some(self.reuse_huge(request, huge, cursor, (orig, kept)))
    }

    /// Lets the entry be written through, and tells of it.
    pub(super) fn reuse_huge(
        &self,
        request: &Request<'_, P>,
        huge: &Huge<'_, P>,
        cursor: HugeCursor<'_, '_, P>,
        (orig, kept): (Pte<P::Format>, EventKind),
    ) -> Fault {
        let (mem, pfn) = (self.mem(), orig.pfn());
        let page = mem.frames().page(pfn);
        if !page.counts_as(Counts::is_exclusive) {
            page.mark_exclusive();
        }
        if request.want == Want::Unshare {
            drop(cursor);
            mem.tell(self.id(), request.page, EventKind::UnshareReuse(pfn));
            return Fault::Reused;
        }
        let used = orig.young().dirty();
        let writes = request.area.prot.contains(Prot::WRITE);
        cursor.grant(orig, if writes { used.writable() } else { used });
        drop(cursor);
        self.flush_huge_here(huge.range());
        mem.counters().pgreuse.add(1);
        mem.tell(self.id(), request.page, kept);
        Fault::Reused
    }
}
