//! Hinting faults of NUMA balancing: a page whose entry a scan made PROT_NONE is moved to the node
//! that touches it, or made accessible again (facts 4.3, 4.4).
//!
//! Protocol: the fault holds the area. The order of restoring and
//! migrating is the rule `numa-fault`; what becomes of a large folio is the rule `thp-numa`: up to
//! 5.13 it moves only as one that a huge entry maps alone (`migrate/alone.rs`), from then on like a
//! page, and from 6.10 on also where entries map its pages. Then all hinting entries of it in the
//! table and the area become accessible with the one that was used. A page of a file that is not
//! written back yet stays, and so does one of an executable mapping that others map, too, as that
//! of a library whose other part can be written (one that is only read the scanner passes over,
//! facts 4.1). Up to 3.12 every page stays that several map, private ones, too (`shared_stays`).
//!
//! Where pages remember their last hinting fault ([`crate::Tuning::hint_filter`]), the rule
//! `numa-filter` says first if the page may follow at all (`filter`). Linux asks further, which
//! nodes a group of tasks with common memory uses most; there are no such groups here, and no node
//! that a task prefers (facts 4.8), nor tiers of memory.
//!
//! Invariants:
//! - INV-NUMA-1: after a hinting fault the entry is accessible, unless it changed in the meantime.
//! - INV-NUMA-2: the write bit comes back only by the rule `numa-write`: kept in the entry,
//!   recomputed from the mark under the table's lock, or not at all.

mod filter;

use core::ops::Range;

use super::request::{Fault, Hinted, Request};
use crate::addr::{Pfn, VirtRange, Vpn, each_page};
use crate::area::{Area, Prot};
use crate::event::EventKind;
use crate::frame::{Flags, Sizes};
use crate::migrate::{Isolated, MigrateMode, Moved, Target};
use crate::platform::Platform;
use crate::pte::{Format, Pte};
use crate::rules::large::{Tally, tally};
use crate::rules::numa::{
    HintedMove, HintedWrite, SharedStays, hinted_huge, hinted_page, hinted_write, is_of_several,
    shared_stays,
};
use crate::rules::{Locality, NumaFault};
use crate::space::Space;
use crate::table::{Cursor, Huge, HugeCursor, Leaf, table_end, table_start};

use filter::Follows;

/// What is known of the write bit when an entry is restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WriteBit {
    /// By the rule. What 6.2 to 6.10 restored when a migration had failed is unclear: facts 4.4
    /// says that the bit was recomputed, but not whether before or after the lock was dropped. It
    /// is modelled as recomputed; without the bit there is one more fault, which reuses the page.
    ByRule,
    /// The information was lost with the lock: without the bit (facts 9.12).
    Lost,
}

/// Where a hinting entry lies.
enum Place<'a, 'm, P: Platform> {
    Page(Leaf<'m, P>, Vpn),
    Huge(&'a Huge<'m, P>),
}

/// The right to change it.
enum Held<'a, 'm, P: Platform> {
    Page(Cursor<'m, P>, Vpn),
    Huge(HugeCursor<'a, 'm, P>),
}

impl<'a, 'm, P: Platform> Place<'a, 'm, P> {
    fn lock(&self) -> Held<'a, 'm, P> {
        match self {
            Self::Page(leaf, page) => Held::Page(leaf.lock(), *page),
            Self::Huge(huge) => Held::Huge(huge.lock()),
        }
    }

    /// How many pages the entry maps.
    fn pages(&self) -> u64 {
        match self {
            Self::Page(..) => 1,
            Self::Huge(_) => P::Format::ENTRIES as u64,
        }
    }
}

impl<P: Platform> Held<'_, '_, P> {
    fn get(&self) -> Option<Pte<P::Format>> {
        match self {
            Self::Page(cursor, page) => Some(cursor.get(*page)),
            Self::Huge(cursor) => cursor.get(),
        }
    }
}

impl<P: Platform> Space<P> {
    pub(super) fn hint_fault(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        orig: Pte<P::Format>,
    ) -> Fault {
        self.hint_fault_at(request, &Place::Page(leaf, request.page), orig)
    }

    /// As [`Space::hint_fault`], where one entry maps as many pages as a table does.
    pub(super) fn hint_fault_huge(
        &self,
        request: &Request<'_, P>,
        huge: &Huge<'_, P>,
        orig: Pte<P::Format>,
    ) -> Fault {
        self.hint_fault_at(request, &Place::Huge(huge), orig)
    }

    fn hint_fault_at(
        &self,
        request: &Request<'_, P>,
        place: &Place<'_, '_, P>,
        orig: Pte<P::Format>,
    ) -> Fault {
        let (mem, page, pfn) = (self.mem(), request.page, orig.pfn());
        let held = place.lock();
        if held.get() != Some(orig) {
            return Fault::Spurious;
        }
        mem.counters().numa_hint_faults.add(1);
        mem.tell(self.id(), page, EventKind::HintFault(pfn));
        let local = mem.frames().node(pfn) == mem.platform().node();
        let locality = if local { Locality::Local } else { Locality::Remote };
        let follows = self.judge_hint(request.area.range, (pfn, place.pages()), locality);
        if local {
            mem.counters().numa_hint_faults_local.add(1);
            self.restore(request, &held, orig, WriteBit::ByRule);
            return Fault::Hint(Hinted::Local);
        }
        if follows == Follows::NotYet {
            mem.tell(self.id(), page, EventKind::NumaFiltered(pfn));
            self.restore(request, &held, orig, WriteBit::ByRule);
            return Fault::Hint(Hinted::NotYet);
        }
        if self.stays(request.area, pfn) {
            self.note_failed_move(place.pages());
            self.restore(request, &held, orig, WriteBit::ByRule);
            return Fault::Hint(Hinted::MoveFailed);
        }
        let sizes = match (self.hinted_move(place, pfn), place) {
            (HintedMove::Alone, Place::Huge(huge)) => {
                return self.move_alone(request, (huge, held), orig);
            }
            // No page of a folio moves by itself.
            (HintedMove::Alone | HintedMove::Stays, _) => Sizes::Small,
            (HintedMove::Common, _) => Sizes::Any,
        };
        match mem.rule() {
            NumaFault::RestoreFirst => {
                self.restore(request, &held, orig, WriteBit::ByRule);
                mem.get(pfn, 1);
                drop(held);
                let isolated = mem.isolate(pfn, sizes);
                mem.put(pfn, 1);
                Fault::Hint(self.move_here(isolated))
            }
            NumaFault::MigrateFirst => {
                mem.get(pfn, 1);
                drop(held);
                let isolated = mem.isolate(pfn, sizes);
                mem.put(pfn, 1);
                self.move_or_restore(request, place, orig, isolated, WriteBit::ByRule)
            }
            NumaFault::IsolateUnderLock => match mem.isolate(pfn, sizes) {
                Some(isolated) => {
                    drop(held);
                    self.move_or_restore(request, place, orig, Some(isolated), WriteBit::Lost)
                }
                None => {
                    self.note_failed_move(place.pages());
                    self.restore(request, &held, orig, WriteBit::ByRule);
                    Fault::Hint(Hinted::MoveFailed)
                }
            },
        }
    }

    /// Whether what a hinting entry maps, whose table is locked, is a page that does not follow: of
    /// several, or of a file that is dirty.
    fn stays(&self, area: &Area<P>, pfn: Pfn) -> bool {
        let frames = self.mem().frames();
        // Of a large folio the page's own mappings: its head counts those of all pages.
        let shared = || self.mem().judge_page(pfn, |page| is_of_several(page.maps));
        match shared_stays(self.mem().rule()) {
            SharedStays::All if shared() => return true,
            SharedStays::All | SharedStays::Code => {}
        }
        let file = area.backing.view().is_some() && frames.flags(pfn).contains(Flags::FILE);
        let code = || area.prot.contains(Prot::EXEC);
        file && (code() && shared() || frames.is_dirty_file(pfn))
    }

    /// How what a hinting entry maps moves, whose table is locked. Where references do not keep a
    /// folio whole, only as one that an entry maps alone.
    fn hinted_move(&self, place: &Place<'_, '_, P>, pfn: Pfn) -> HintedMove {
        let mem = self.mem();
        if mem.frames().mapped_head(pfn).is_none() {
            return HintedMove::Common;
        }
        let how = match place {
            Place::Page(..) => hinted_page(mem.rule()),
            Place::Huge(_) => hinted_huge(mem.rule()),
        };
        match (how, tally(mem.rule())) {
            (HintedMove::Common, Tally::HeadAndTail | Tally::HeadAndMapcount) => HintedMove::Stays,
            _ => how,
        }
    }

    fn move_here(&self, isolated: Option<Isolated<'_, P>>) -> Hinted {
        let mem = self.mem();
        let here = mem.platform().node();
        self.hinted(isolated.map(|page| mem.migrate(page, Target::node(here), MigrateMode::Async)))
    }

    fn hinted(&self, moved: Option<Moved>) -> Hinted {
        match moved {
            Some(Moved { moved: pages @ 1.., .. }) => {
                self.mem().counters().numa_pages_migrated.add(pages);
                Hinted::Moved
            }
            moved => {
                self.note_failed_move(moved.map_or(1, |moved| moved.failed));
                Hinted::MoveFailed
            }
        }
    }

    /// Migrates while the entry is still PROT_NONE; a failure makes it accessible, if it has not
    /// changed.
    fn move_or_restore(
        &self,
        request: &Request<'_, P>,
        place: &Place<'_, '_, P>,
        orig: Pte<P::Format>,
        isolated: Option<Isolated<'_, P>>,
        write: WriteBit,
    ) -> Fault {
        let hinted = self.move_here(isolated);
        if hinted == Hinted::MoveFailed {
            self.restore_if_same(request, place, orig, write);
        }
        Fault::Hint(hinted)
    }

    fn restore_if_same(
        &self,
        request: &Request<'_, P>,
        place: &Place<'_, '_, P>,
        orig: Pte<P::Format>,
        write: WriteBit,
    ) {
        let held = place.lock();
        if held.get() == Some(orig) {
            self.restore(request, &held, orig, write);
        }
    }

    /// Moves the folio of a huge entry if nothing else refers to it, and makes the entry accessible
    /// there or here.
    fn move_alone(
        &self,
        request: &Request<'_, P>,
        (huge, held): (&Huge<'_, P>, Held<'_, '_, P>),
        orig: Pte<P::Format>,
    ) -> Fault {
        let (mem, here) = (self.mem(), self.mem().platform().node());
        let isolated = mem.isolate(orig.pfn(), Sizes::Any);
        drop(held);
        let accessible = || self.accessible(request, orig, WriteBit::ByRule).young();
        let entry = (self.mm(), huge, orig);
        let moved = isolated.map(|page| mem.migrate_alone(entry, page, here, accessible));
        let hinted = self.hinted(moved);
        if hinted == Hinted::MoveFailed {
            self.restore_if_same(request, &Place::Huge(huge), orig, WriteBit::ByRule);
        }
        Fault::Hint(hinted)
    }

    /// Makes the entry accessible: INV-NUMA-1. Of a large folio that moves as a whole, all of its
    /// hinting entries in the table and the area.
    fn restore(
        &self,
        request: &Request<'_, P>,
        held: &Held<'_, '_, P>,
        orig: Pte<P::Format>,
        write: WriteBit,
    ) {
        let pte = self.accessible(request, orig, write).young();
        match held {
            Held::Page(cursor, page) => {
                cursor.set(*page, pte);
                self.tell_restored(*page, pte);
                if let Some(head) = self.mem().frames().mapped_head(orig.pfn()) {
                    self.restore_others(request, cursor, (*page, orig.pfn(), head), write);
                }
            }
            Held::Huge(cursor) => {
                cursor.set(pte);
                let told = |pfn| EventKind::HintRestored { pfn, writable: pte.is_writable() };
                let first = table_start::<P::Format>(request.page);
                self.mem().tell_each(self.id(), (first, pte.pfn()), told);
            }
        }
    }

    fn tell_restored(&self, page: Vpn, pte: Pte<P::Format>) {
        let kind = EventKind::HintRestored { pfn: pte.pfn(), writable: pte.is_writable() };
        self.mem().tell(self.id(), page, kind);
    }

    /// The same for the other entries of a folio, one of whose pages is mapped here.
    fn restore_others(
        &self,
        request: &Request<'_, P>,
        cursor: &Cursor<'_, P>,
        (page, pfn, head): (Vpn, Pfn, Pfn),
        write: WriteBit,
    ) {
        match hinted_page(self.mem().rule()) {
            HintedMove::Alone | HintedMove::Stays => return,
            HintedMove::Common => {}
        }
        let end = head.0 + (1 << self.mem().frames().order(head));
        let around = run_around::<P::Format>(request.area.range, page);
        let before = (pfn.0 - head.0).min(page - around.start);
        let after = (end - pfn.0).min(around.end - page);
        let first = Vpn(page.0 - before);
        for (at, pfn) in each_page(first..page + after).zip((pfn.0 - before..).map(Pfn)) {
            let pte = cursor.get(at);
            if pte.is_mapped() && pte.is_hint() && pte.pfn() == pfn {
                let pte = self.accessible(request, pte, write);
                cursor.set(at, pte);
                self.tell_restored(at, pte);
            }
        }
    }

    /// What a hinting entry becomes, but for being young.
    fn accessible(
        &self,
        request: &Request<'_, P>,
        orig: Pte<P::Format>,
        write: WriteBit,
    ) -> Pte<P::Format> {
        let area = request.area;
        let mut pte = orig.with_reach(area.prot.reach());
        match hinted_write(self.mem().rule()) {
            HintedWrite::InEntry => {}
            HintedWrite::Dropped => pte = pte.read_only(),
            HintedWrite::Recomputed => {
                pte = pte.read_only();
                if write == WriteBit::ByRule && self.may_become_writable(area, pte) {
                    pte = pte.writable();
                }
            }
        }
        pte
    }
}

/// The pages around one that lie in its area and in its table.
fn run_around<F: Format>(area: VirtRange, page: Vpn) -> Range<Vpn> {
    area.first_page().max(table_start::<F>(page))..area.end_page().min(table_end::<F>(page))
}

#[cfg(test)]
mod tests;
