//! Faults where one entry maps, or could map, as many pages as a table does (facts 1.6; the
//! kernel's `do_huge_pmd_*`).
//!
//! Protocol: as for a page, with the lock of the table that holds the huge entry in place of that
//! of the last-level table. What such an entry cannot give is left to its split ([`crate::table`]):
//! the fault goes on with the one page. In particular a page that another may use is copied alone.
//! (Up to 5.7 all of the folio was copied; what the processes see is the same.)

use super::request::{Fault, Request, Want};
use crate::addr::{Pfn, Vpn};
use crate::area::{Area, Locked};
use crate::event::EventKind;
use crate::frame::{Marks, NewFolio};
use crate::memory::{Memory, PmdMapping};
use crate::platform::{FlushScope, Invalidate, Platform};
use crate::pte::{Entry, Format, Pte};
use crate::rules::pmd::{
    HugeState, PmdStep, PmdVerdict, pmd_cow, pmd_cow_locked, writes_whole_zero,
};
use crate::rules::{CowPublish, Why};
use crate::space::Space;
use crate::table::{Huge, HugeCursor, table_end, table_start};

/// What the decision under the table's lock came to.
enum Decision {
    Reuse(Why),
    Split(Why),
    /// The folio's lock is contended: sleep for it without the table's lock, then look again.
    SleepForFolio,
}

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
    /// Whether a first touch of `page` may give the pages around it one entry.
    fn may_be_huge(&self, area: &Area<P>, page: Vpn) -> bool {
        self.folio_orders(area) >> P::Format::INDEX_BITS & 1 != 0 && self.fits_huge(area, page)
    }

    /// Whether a request may: whatever sizes there are for first touches, but for the advice
    /// against large ones.
    pub(crate) fn may_collapse(&self, area: &Area<P>, page: Vpn) -> bool {
        self.orders_on_request(area) >> P::Format::INDEX_BITS & 1 != 0 && self.fits_huge(area, page)
    }

    /// Whether the pages around `page` can have one entry: INV-HUGE-1.
    fn fits_huge(&self, area: &Area<P>, page: Vpn) -> bool {
        let plain = area.is_anon() && area.locked == Locked::No && area.uffd.is_none();
        let (first, end) = (table_start::<P::Format>(page), table_end::<P::Format>(page));
        plain
            && self.mem().tuning().pmd_mapping == PmdMapping::On
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
            Want::Read | Want::Unshare => self.map_huge_zero(request),
        }
    }

    fn first_touch_huge(&self, request: &Request<'_, P>) -> Option<Fault> {
        let huge = self.tables().above_or_make(request.page).ok()?;
        let folio = self.new_huge(request.area, huge.pages().start)?;
        let table = self.mem().new_deposit().ok()?;
        let cursor = huge.lock();
        if !cursor.is_none() {
            return Some(Fault::Spurious);
        }
        let pte = request.area.written(folio.keep());
        self.mem().lru_add(pte.pfn());
        cursor.make(pte, table.keep());
        drop(cursor);
        self.huge_mapped(&huge, pte.pfn());
        Some(Fault::FirstTouch)
    }

    /// A zeroed folio that one entry is to map from `first` on, if there is one to be had.
    fn new_huge(&self, area: &Area<P>, first: Vpn) -> Option<NewFolio<'_>> {
        let mem = self.mem();
        let order = (P::Format::INDEX_BITS, Marks::First);
        let folio = mem.alloc_folio(self.payer(), order, self.id()).ok()?;
        mem.zero_folio(&folio);
        area.settle(&folio, first);
        Some(folio)
    }

    fn huge_mapped(&self, huge: &Huge<'_, P>, head: Pfn) {
        let pages = P::Format::ENTRIES as u64;
        self.mem().counters().thp_fault_alloc.add(1);
        self.mem().tell(self.id(), huge.pages().start, EventKind::HugeMapped { head, pages });
    }

    /// A read where there is no table yet: the huge zero page, if the machine has one. The area has
    /// a reverse map from then on, and is copied by forks, which a small zero page does not bring
    /// about (facts 2.1).
    fn map_huge_zero(&self, request: &Request<'_, P>) -> Option<Fault> {
        let mem = self.mem();
        let zero = mem.huge_zero_page()?;
        let huge = self.tables().above_or_make(request.page).ok()?;
        let table = mem.new_deposit().ok()?;
        let cursor = huge.lock();
        if !cursor.is_none() {
            return Some(Fault::Spurious);
        }
        cursor.make(Pte::mapping(zero, request.area.prot.reach()).special(), table.keep());
        request.area.held_anon.set();
        drop(cursor);
        mem.counters().thp_zero_page_alloc.add(1);
        mem.tell(self.id(), huge.pages().start, EventKind::ZeroMapped(zero));
        Some(Fault::ZeroPage)
    }

    /// A write to the huge zero page: by the rule `huge-zero-write` a folio takes its place, or, if
    /// there is none, a table with entries of the zero page (facts 1.6).
    fn write_huge_zero(
        &self,
        request: &Request<'_, P>,
        huge: &Huge<'_, P>,
        orig: Pte<P::Format>,
    ) -> Option<Fault> {
        let mem = self.mem();
        let whole = request.want == Want::Write && writes_whole_zero(mem.rule());
        // Whatever is advised by now.
        let folio = if whole && self.fits_huge(request.area, request.page) {
            self.new_huge(request.area, huge.pages().start)
        } else {
            None
        };
        let Some(folio) = folio else {
            mem.split_huge(self.mm(), huge);
            return None;
        };
        let _changing = mem.changing(self.id(), huge.range(), Invalidate::Clear);
        let cursor = huge.lock();
        if cursor.get() != Some(orig) {
            return Some(Fault::Spurious);
        }
        let pte = request.area.written(folio.keep());
        mem.lru_add(pte.pfn());
        self.publish_huge(huge, &cursor, (orig, pte));
        drop(cursor);
        self.huge_mapped(huge, pte.pfn());
        Some(Fault::Copied)
    }

    /// Puts an entry for another folio in the place of one that CPUs may know. Nothing is never
    /// there (INV-HUGE-4), and nobody reads the old folio any more when the first store to the new
    /// one is seen (INV-FAULT-2), but under the hazardous variant of the rule `cow-publish`.
    pub(super) fn publish_huge(
        &self,
        huge: &Huge<'_, P>,
        cursor: &HugeCursor<'_, '_, P>,
        (orig, new): (Pte<P::Format>, Pte<P::Format>),
    ) {
        let mem = self.mem();
        let flush = || mem.flush(self.id(), FlushScope::Range(huge.range()));
        let old = cursor.invalidate(orig);
        match mem.rule() {
            CowPublish::AfterFlush => {
                flush();
                cursor.replace(old, new);
            }
            CowPublish::BeforeFlush => {
                cursor.replace(old, new);
                flush();
            }
        }
    }

    /// The fault of a page that a huge entry maps; nothing, if that is split now. One that has
    /// changed meanwhile stays whole: the access is tried again.
    pub(super) fn fault_huge(&self, request: &Request<'_, P>, huge: &Huge<'_, P>) -> Option<Fault> {
        let pte = huge.pte()?;
        if let Entry::Migration(entry) = pte.decode() {
            self.mem().tell(self.id(), request.page, EventKind::WaitMigration(entry.pfn));
            self.mem().wait_folio(entry.pfn);
            return Some(Fault::Waited);
        }
        if pte.is_hint() {
            return Some(self.hint_fault_huge(request, huge, pte));
        }
        if request.want == Want::Read || pte.is_writable() {
            return self.present_huge(request, huge, pte);
        }
        if pte.is_special() {
            return self.write_huge_zero(request, huge, pte);
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
        let used = if request.want == Want::Write { pte.young().stored() } else { pte.young() };
        let cursor = huge.lock();
        if cursor.get() == Some(pte) && used != pte {
            cursor.grant(pte, used);
        }
        drop(cursor);
        self.flush_here(huge.range());
        self.mem().tell(self.id(), request.page, EventKind::Spurious);
        Some(Fault::Spurious)
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
            return Some(Fault::Spurious);
        }
        match self.decide_huge(head) {
            Decision::Reuse(why) => {
                let kept = EventKind::HugeKept { head, why };
                Some(self.reuse_huge(request, huge, cursor, (orig, kept)))
            }
            Decision::Split(why) => {
                drop(cursor);
                mem.tell(self.id(), request.page, EventKind::HugeShared { head, why });
                mem.split_huge(self.mm(), huge);
                None
            }
            Decision::SleepForFolio => {
                mem.wait_folio_without(head, cursor);
                Some(Fault::Waited)
            }
        }
    }

    /// The steps of the rule `pmd-cow`.
    fn decide_huge(&self, head: Pfn) -> Decision {
        let (mem, rule) = (self.mem(), self.mem().rule());
        if let PmdStep::Reuse(why) = pmd_cow(rule, &mem.huge_state(head)) {
            return Decision::Reuse(why);
        }
        let lock = mem.frames().page(head).lock();
        let Some(_locked) = lock.try_lock(mem.platform()) else { return Decision::SleepForFolio };
        match pmd_cow_locked(rule, &mem.huge_state(head)) {
            PmdVerdict::Reuse(why) => Decision::Reuse(why),
            PmdVerdict::Split(why) => Decision::Split(why),
        }
    }

    /// Lets the entry be written through, and tells of it.
    pub(super) fn reuse_huge(
        &self,
        request: &Request<'_, P>,
        huge: &Huge<'_, P>,
        cursor: HugeCursor<'_, '_, P>,
        (orig, kept): (Pte<P::Format>, EventKind),
    ) -> Fault {
        self.reuse_by(request, (orig, huge.range()), kept, move |used| {
            used.into_iter().for_each(|used| cursor.grant(orig, used));
        })
    }
}
