//! Unmapping: munmap, MADV_DONTNEED, exit.
//!
//! Order of an unmap (facts 6.5): cut the areas out; for each of them withdraw the entries into a
//! gather, leave the family, unlink the tables that it alone needed; flush once, free the pages,
//! wait for the walkers, free the tables. Only tables over the areas that go are looked at.
//!
//! If what goes is one end of an area of private memory, the area becomes shorter where it is, and
//! its family is neither joined nor left ([`crate::area::trim`]).
//!
//! DONTNEED keeps the areas, and since 6.14 frees the tables that it has emptied (rule
//! `table-reclaim`), as a second step under the lock for writing.
//!
//! Pages lose their mapping under the page-table lock, when the rule `zap-rmap` says: with their
//! entry, or, pages of a file whose entry was dirty, after a flush under that lock, so that who
//! cleans the page finds the mapping and waits for the lock, or comes after the flush (facts 6.4).
//! Their reference goes after the flush in any case.
//!
//! A page of a locked area loses its count of that when the rule `zap-munlock` says: today with the
//! mapping, late or not; before 5.18 by a walk of its own over the area (facts 6.6).
//!
//! Invariants:
//! - INV-ZAP-1: no page and no table is freed before the flush (INV-TLB-1).
//! - INV-ZAP-2: a family is left only when no page of the area has a mapping by it any more
//!   (INV-RMAP-1), except under the never-released variant of `zap-rmap`.
//! - INV-ZAP-3: under today's rule a page of a file that could be written through a stale
//!   translation has a mapping: only then is it safe to take an unmapped page for clean.

mod entries;
mod huge;

use core::convert::Infallible;

use crate::addr::{VirtRange, Vpn};
use crate::area::trim::Trimmed;
use crate::area::{Area, AreaMap, Locked};
use crate::error::SpaceError;
use crate::platform::{Invalidate, Platform};
use crate::pte::Format;
use crate::rules::TableReclaim;
use crate::rules::zap::{Munlock, munlock};
use crate::space::Space;
use crate::table::{Next, Part, table_end};
use crate::tlb::Gather;
use crate::uffd::UffdMode;

pub(crate) use entries::{Flushes, Which, Zap};

impl<P: Platform> Space<P> {
    pub(crate) fn unmap(&self, range: VirtRange) -> Result<(), SpaceError> {
        let range = self.allowed(range)?;
        self.unmap_locked(&mut self.write_map(), range)
    }

    /// As [`Space::unmap`], for a caller that holds the lock and has checked the range. A failure
    /// has unmapped nothing.
    pub(crate) fn unmap_locked(
        &self,
        map: &mut AreaMap<P>,
        range: VirtRange,
    ) -> Result<(), SpaceError> {
        let Some(first) = map.first_in(range) else { return Ok(()) };
        let whole = first.range;
        if whole != range
            && !first.is_pooled()
            && whole.intersection(range) == Some(range)
            && let Some(trimmed) = map.trim(range, Vpn(P::Format::PAGES))
        {
            self.drop_end(range, &trimmed);
            return Ok(());
        }
        self.cut_out(map, range)?;
        let _changing = self.mem().changing(self.id(), range, Invalidate::Clear);
        let mut gather = Gather::new(self.mem(), self.id());
        self.drop_areas(map, range, &mut gather);
        gather.finish();
        Ok(())
    }

    /// As [`Space::drop_areas`], for the end of an area, which has been cut off: what is left of
    /// the area stays in its family.
    fn drop_end(&self, range: VirtRange, trimmed: &Trimmed) {
        let _changing = self.mem().changing(self.id(), range, Invalidate::Clear);
        let mut gather = Gather::new(self.mem(), self.id());
        self.recall_marked(trimmed.delegates, range);
        self.zap(range, Which::All, &mut gather);
        let (gone, end) = (range.numbers(), self.end_page());
        self.tables().unlink(gone, &trimmed.hole, end, &mut |table| gather.add_table(table));
        gather.finish();
    }

    /// Takes the areas of `range` out with their pages, and the tables that no area needs any more.
    fn drop_areas(&self, map: &mut AreaMap<P>, range: VirtRange, gather: &mut Gather<'_, P>) {
        let all = Vpn(P::Format::PAGES);
        while let Some((mut area, hole)) = map.remove_first_in(range, all) {
            self.recalled(&mut area);
            if area.locked == Locked::Yes && self.munlock_rule() == Munlock::BeforeEntries {
                self.mark_entries(area.range, Locked::No);
            }
            self.zap(area.range, Which::All, gather);
            self.break_promises(&area.size, area.range);
            self.leave(&area);
            // Every table covers pages of some area, so those that are left without one cover pages
            // of this one.
            let (gone, end) = (area.range.numbers(), self.end_page());
            self.tables().unlink(gone, &hole, end, &mut |table| gather.add_table(table));
            if hole.end >= range.end_page() {
                return;
            }
        }
    }

    /// Unmaps everything: what dropping the owner does.
    pub(crate) fn exit(&self) {
        let mut map = self.write_map();
        let everything = VirtRange::of_pages(Vpn(0), Vpn(P::Format::PAGES));
        let _changing = self.mem().changing(self.id(), everything, Invalidate::Clear);
        let mut gather = Gather::of_dying(self.mem(), self.id());
        self.drop_areas(&mut map, everything, &mut gather);
        self.mem().platform().retire_root(self.id(), self.root());
        gather.add_table(self.root());
        gather.finish();
        drop(map);
        self.join_group(None);
    }

    /// MADV_DONTNEED: the pages go, the area stays (facts 7.7).
    pub(crate) fn dont_need(&self, range: VirtRange) -> Result<(), SpaceError> {
        let map = self.read_map();
        let stops =
            |area: &&Area<P>| area.locked == Locked::Yes || self.parted(area, range).is_some();
        let locked = map.overlapping(range).find(stops);
        if let Some(page) = locked.and_then(|area| self.parted(area, range)) {
            return Err(SpaceError::PartOfHugePage(page.start()));
        }
        let end = locked.map_or(range.end_page(), |area| area.range.first_page());
        // Holes are passed over.
        let whole = || map.all_mapped(range);
        let refused = locked.map_or_else(whole, |area| Err(SpaceError::Locked(area.range.start())));
        if end <= range.first_page() {
            return refused;
        }
        let range = VirtRange::of_pages(range.first_page(), end);
        let changing = self.mem().changing(self.id(), range, Invalidate::Clear);
        let mut gather = Gather::new(self.mem(), self.id());
        self.zapping.fetch_add(1);
        if map.overlapping(range).any(keeps_markers) {
            for area in map.overlapping(range) {
                let which = if keeps_markers(area) { Which::Marked } else { Which::All };
                if let Some(part) = area.range.intersection(range) {
                    self.zap(part, which, &mut gather);
                }
            }
        } else {
            self.zap(range, Which::All, &mut gather);
        }
        // Another thread may have taken entries of this range out and not flushed yet: this call
        // promises that those are gone, too.
        if self.zapping.read_once() > 1 {
            gather.cover(range);
        }
        gather.finish();
        self.zapping.fetch_sub(1);
        drop(changing);
        drop(map);
        match self.mem().rule::<TableReclaim>() {
            TableReclaim::Unmap => {}
            TableReclaim::DontNeed => self.reclaim_tables(range),
        }
        refused
    }

    /// Frees the last-level tables whose whole span lies in `range` and that have no entry
    /// (facts 7.9). Others may have touched pages there since they were dropped: those tables stay.
    ///
    /// The kernel unlinks the table under the lock for reading, and whoever has found it there
    /// notices when he has its lock. Here the lock is held for writing, and no area of the range is
    /// delegated, so that only walkers without either can be in the table: those that a free waits
    /// for (INV-TABLE-2).
    fn reclaim_tables(&self, range: VirtRange) {
        let first = table_end::<P::Format>(Vpn(range.first_page().0.saturating_sub(1)));
        let end = Vpn(range.end_page().0 & !(P::Format::ENTRIES as u64 - 1));
        if range.first_page().0 == 0 || first >= end {
            return;
        }
        let mut map = self.write_map();
        // A fault that is in may have found the table.
        self.recall(&mut map, range);
        let mut gather = Gather::new(self.mem(), self.id());
        let done: Result<(), Infallible> = self.tables().for_each_part(first..end, |part, _| {
            if let Part::Table(leaf) = part
                && let Some(table) = leaf.unlink_empty()
            {
                gather.add_table(table);
            }
            Ok(Next::On)
        });
        let Ok(()) = done;
        gather.finish();
    }

    /// Withdraws these entries of `range`.
    fn zap(&self, range: VirtRange, which: Which, gather: &mut Gather<'_, P>) {
        let zap = Zap::new(self.mem(), self.mm(), which, Flushes::AsRuled);
        let done: Result<(), Infallible> =
            self.tables().for_each_part(range.numbers(), |part, pages| {
                Ok(match part {
                    Part::Table(leaf) => {
                        zap.table(leaf, pages, gather);
                        Next::On
                    }
                    Part::Huge(huge) => zap.huge(&huge, &pages, gather),
                })
            });
        let Ok(()) = done;
    }

    /// Asked only where something is locked.
    fn munlock_rule(&self) -> Munlock {
        munlock(self.mem().rule())
    }
}

/// Whether DONTNEED leaves a marker where a monitor has a page of the area protected (facts 7.14).
fn keeps_markers<P: Platform>(area: &Area<P>) -> bool {
    area.uffd.has(UffdMode::WP) && !area.is_anon()
}

#[cfg(test)]
mod tests;
