//! Changing what entries allow: mprotect, and the scan of NUMA balancing, which is the same walk
//! with another change (facts 4.2, 7.5).
//!
//! Protocol: each entry is taken out, changed and put back under the table's lock, so that no bit
//! set by the hardware is lost, and a lock-free walker sees either none or the final entry. One
//! flush at the end.
//!
//! Invariants:
//! - INV-PROT-1: an entry gains write permission only if the rule `write-upgrade` finds that no
//!   copy is due.
//! - INV-PROT-2: a writable migration entry loses write permission by any change, a scan's included
//!   (facts 9.14).
//! - INV-PROT-3: an area that already has the protection keeps its entries as they are.

use core::convert::Infallible;
use core::ops::Range;

use crate::addr::{Pfn, VirtRange, Vpn, each_page};
use crate::area::{Area, Prot};
use crate::error::{NoMemory, SpaceError};
use crate::event::EventKind;
use crate::frame::Flags;
use crate::platform::{Invalidate, Platform};
use crate::pte::{Entry, Format, Migration, MigrationKind, Pte};
use crate::rules::migrate::remembers_mark;
use crate::rules::numa::{HintedWrite, hinted_write, is_settled, numa_skip};
use crate::rules::pmd::scans_as_page;
use crate::rules::protect::{WriteNotify, can_change_writable, wants_upgrade};
use crate::rules::{
    AreaState, Dirty, EntryState, Locality, Mapping, NumaWrite, PageState, Permission, Protnone,
    Tracking, Users,
};
use crate::space::Space;
use crate::table::{Cursor, Huge, HugeCursor, Next, Part, table_end};
use crate::tlb::FlushBatch;

/// What a walk does to the entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    /// Gives them the area's new protection.
    Protect,
    /// Makes them PROT_NONE, so that the next access shows where it comes from, which is known of
    /// some pages when there is one thread.
    Hint(Users),
}

/// What remains to be done after a look at an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    /// A translation changed.
    Flush,
    /// None did.
    Nothing,
}

/// What a scan has done in an area.
pub(crate) struct AreaPart {
    /// The area's first page.
    pub(crate) area: Vpn,
    /// The page that the next part begins at, or an area behind.
    pub(crate) end: Vpn,
    /// How many pages it has gone over.
    pub(crate) pages: u64,
    /// How many entries it has changed, counted as pages.
    pub(crate) changed: u64,
    /// Whether that was the area's last part.
    pub(crate) ends_area: bool,
}

impl<P: Platform> Area<P> {
    /// Whether a scan of NUMA balancing can do anything here: PROT_NONE areas cannot fault for
    /// placement, and huge pages of the pool are passed over (facts 4.1).
    fn may_hint(&self) -> bool {
        !self.prot.is_empty() && !self.is_pooled()
    }

    /// What the rules need to know of an area.
    pub(crate) fn state(&self) -> AreaState {
        AreaState {
            mapping: if self.is_cow() { Mapping::Cow } else { Mapping::Shared },
            permission: if self.prot.contains(Prot::WRITE) {
                Permission::Write
            } else {
                Permission::ReadOnly
            },
        }
    }

    /// Whether the first store through an entry is to fault: for a monitor, or to be seen.
    #[inline]
    pub(crate) fn awaits_fault(&self, pte: Pte<P::Format>) -> bool {
        pte.is_uffd_wp() || self.awaits_store(pte)
    }

    /// What the rules need to know of an entry of the area.
    pub(crate) fn entry_state(&self, pte: Pte<P::Format>) -> EntryState {
        EntryState {
            dirty: if pte.is_dirty() { Dirty::Dirty } else { Dirty::Clean },
            protnone: if pte.is_protnone() { Protnone::Yes } else { Protnone::No },
            tracking: if self.awaits_fault(pte) { Tracking::WantsFault } else { Tracking::Off },
        }
    }
}

impl<P: Platform> Space<P> {
    pub(crate) fn protect(&self, range: VirtRange, prot: Prot) -> Result<(), SpaceError> {
        let range = self.allowed(range)?;
        let mut map = self.write_map();
        let (range, whole) = map.before_hole(range);
        let Some(range) = range else { return whole };
        self.isolate_where(&mut map, range, |area| area.prot != prot)?;
        let mut batch = FlushBatch::default();
        let mut page = range.first_page();
        while page < range.end_page() {
            let Some(area) = map.find_mut(page) else { break };
            page = area.range.end_page();
            if area.prot == prot {
                continue;
            }
            let area = self.recalled(area);
            area.prot = prot;
            self.change_entries(area, area.range, Change::Protect, &mut batch);
        }
        batch.finish(self.mem(), self.id());
        self.merge_within(&mut map, range);
        whole
    }

    /// Merges what has become alike inside and at the ends of `range`.
    pub(crate) fn merge_within(&self, map: &mut crate::area::AreaMap<P>, range: VirtRange) {
        let mut page = range.first_page();
        while page <= range.end_page() {
            self.merge(map, page);
            let Some(area) = map.find(page) else { return };
            page = area.range.end_page();
        }
    }

    /// NUMA balancing's scan over `range`. Returns how many entries it changed.
    pub(crate) fn numa_scan(&self, range: VirtRange, users: Users) -> u64 {
        let map = self.read_map();
        let mut batch = FlushBatch::default();
        let mut changed = 0;
        for area in map.overlapping(range).filter(|area| area.may_hint()) {
            if let Some(part) = area.range.intersection(range) {
                changed += self.change_entries(area, part, Change::Hint(users), &mut batch);
            }
        }
        batch.finish(self.mem(), self.id());
        self.mem().counters().numa_pte_updates.add(changed);
        changed
    }

    /// As [`Space::numa_scan`], of the first area that has pages from `from` on: of so many as
    /// `most` says, rounded up to a whole table; none, if that is zero, or a scan cannot do
    /// anything there. Nothing, if there is no such area.
    ///
    /// # Errors
    /// Those of `most`: nothing is scanned then.
    pub(crate) fn numa_scan_next(
        &self,
        from: Vpn,
        users: Users,
        most: impl FnOnce(&Area<P>) -> Result<u64, NoMemory>,
    ) -> Result<Option<AreaPart>, NoMemory> {
        let end = self.end_page();
        if from >= end {
            return Ok(None);
        }
        let map = self.read_map();
        let Some(area) = map.overlapping(VirtRange::of_pages(from, end)).next() else {
            return Ok(None);
        };
        let (start, end) = (area.range.first_page(), area.range.end_page());
        let most = if area.may_hint() { most(area)? } else { 0 };
        if most == 0 {
            return Ok(Some(AreaPart { area: start, end, pages: 0, changed: 0, ends_area: true }));
        }
        let first = from.max(start);
        let last = Vpn(first.0.saturating_add(most - 1)).min(end - 1);
        let part = VirtRange::of_pages(first, table_end::<P::Format>(last).min(end));
        let mut batch = FlushBatch::default();
        let changed = self.change_entries(area, part, Change::Hint(users), &mut batch);
        batch.finish(self.mem(), self.id());
        self.mem().counters().numa_pte_updates.add(changed);
        let (pages, to) = (part.pages(), part.end_page());
        Ok(Some(AreaPart { area: start, end: to, pages, changed, ends_area: to == end }))
    }

    fn change_entries(
        &self,
        area: &Area<P>,
        range: VirtRange,
        change: Change,
        batch: &mut FlushBatch,
    ) -> u64 {
        let _changing = self.mem().changing(self.id(), range, Invalidate::ProtectRange);
        let mut changed = 0;
        let done: Result<(), Infallible> =
            self.tables().for_each_part(range.numbers(), |part, pages| {
                let leaf = match part {
                    Part::Table(leaf) => leaf,
                    Part::Huge(huge) => {
                        let (next, pages) = self.change_huge(area, &huge, (pages, change), batch);
                        changed += pages;
                        return Ok(next);
                    }
                };
                let cursor = leaf.lock();
                self.flush_deferred(&cursor);
                for page in each_page(pages) {
                    if self.change_entry(area, &cursor, page, change) == Due::Flush {
                        batch.note(page);
                        changed += 1;
                    }
                }
                Ok(Next::On)
            });
        let Ok(()) = done;
        changed
    }

    /// Changes a huge entry of which so many pages are in the range, or splits it. How many pages
    /// have lost a translation.
    #[cold]
    #[inline(never)]
    fn change_huge(
        &self,
        area: &Area<P>,
        huge: &Huge<'_, P>,
        (pages, change): (Range<Vpn>, Change),
        batch: &mut FlushBatch,
    ) -> (Next, u64) {
        if pages != huge.pages() {
            return (self.mem().split_or_pass(self.mm(), huge), 0);
        }
        let cursor = huge.lock();
        let Some(pte) = cursor.get() else { return (Next::Again, 0) };
        if let Entry::Migration(entry) = pte.decode() {
            let new = self.changed_migration(area, pages.start, entry, change);
            cursor.set(Pte::migration(new));
            return (Next::On, 0);
        }
        if !pte.is_mapped() {
            return (Next::On, 0);
        }
        let due = match change {
            Change::Protect => self.protect_huge(area, &cursor, pages.start, pte),
            Change::Hint(users) => self.hint_huge(area, &cursor, (pages.start, users), pte),
        };
        match due {
            Due::Nothing => (Next::On, 0),
            Due::Flush => {
                batch.note(pages.start);
                batch.note(pages.end - 1);
                (Next::On, pages.end - pages.start)
            }
        }
    }

    fn protect_huge(
        &self,
        area: &Area<P>,
        cursor: &HugeCursor<'_, '_, P>,
        first: Vpn,
        pte: Pte<P::Format>,
    ) -> Due {
        let old = cursor.invalidate(pte);
        let new = if self.mem().maps_pooled(pte) {
            // A fault looks at who maps it: only `hugetlb-cow` says who may write.
            old.pte().with_reach(area.prot.reach()).read_only()
        } else {
            self.protected(area, old.pte())
        };
        let (pfn, writable) = (new.pfn(), new.is_writable());
        cursor.restrict(old, new);
        let kind = |pfn| EventKind::Protected { pfn, writable };
        self.mem().tell_each(self.id(), (first, pfn), kind);
        Due::Flush
    }

    /// Until 6.18 a scan asked of a huge entry only whether it maps the zero page (facts 4.2).
    fn hint_huge(
        &self,
        area: &Area<P>,
        cursor: &HugeCursor<'_, '_, P>,
        (first, users): (Vpn, Users),
        pte: Pte<P::Format>,
    ) -> Due {
        let mem = self.mem();
        if pte.is_protnone() || pte.is_special() {
            return Due::Nothing;
        }
        if scans_as_page(mem.rule()) && self.is_passed_over(area, (first, users), pte.pfn()) {
            return Due::Nothing;
        }
        let old = cursor.invalidate(pte);
        let new = hinting(mem.rule(), old.pte());
        cursor.restrict(old, new);
        mem.counters().numa_huge_pte_updates.add(1);
        mem.tell_each(self.id(), (first, pte.pfn()), EventKind::NumaProtected);
        Due::Flush
    }

    /// Changes one entry.
    #[inline]
    fn change_entry(
        &self,
        area: &Area<P>,
        cursor: &Cursor<'_, P>,
        page: Vpn,
        change: Change,
    ) -> Due {
        let pte = cursor.get(page);
        match pte.decode() {
            Entry::None | Entry::Marker | Entry::Swap(_) => Due::Nothing,
            Entry::Migration(entry) => {
                let new = self.changed_migration(area, page, entry, change);
                if new != entry {
                    cursor.set(page, Pte::migration(new));
                }
                Due::Nothing
            }
            Entry::Mapped(_) => match change {
                Change::Protect => self.protect_entry(area, cursor, page),
                Change::Hint(users) => self.hint_entry(area, cursor, page, pte, users),
            },
        }
    }

    fn protect_entry(&self, area: &Area<P>, cursor: &Cursor<'_, P>, page: Vpn) -> Due {
        let old = cursor.withdraw(page);
        let new = self.protected(area, old.pte());
        let (pfn, writable) = (new.pfn(), new.is_writable());
        cursor.restrict(old, new);
        self.mem().tell(self.id(), page, EventKind::Protected { pfn, writable });
        Due::Flush
    }

    /// What an entry becomes that gets the area's protection, which alone does not say that a
    /// private page may be written: the entry must qualify for write permission again.
    #[inline]
    fn protected(&self, area: &Area<P>, old: Pte<P::Format>) -> Pte<P::Format> {
        let new = old.with_reach(area.prot.reach()).read_only();
        if self.may_become_writable(area, new) { new.writable() } else { new }
    }

    /// Whether an entry may get the write bit without a fault: INV-PROT-1.
    pub(crate) fn may_become_writable(&self, area: &Area<P>, pte: Pte<P::Format>) -> bool {
        if area.awaits_fault(pte) {
            return false;
        }
        if !area.is_cow() {
            // Shared anonymous memory: the first write is not tracked, so the area's protection is
            // the entry's. A file's page is found by writeback only if the entry is dirty.
            return area.prot.contains(Prot::WRITE) && (!area.is_tracked() || pte.is_dirty());
        }
        if pte.is_special() || !wants_upgrade(area.state(), WriteNotify::Unneeded).is_yes() {
            return false;
        }
        let rule = self.mem().rule();
        self.mem().judge_page(pte.pfn(), |page| {
            can_change_writable(rule, area.state(), area.entry_state(pte), page).is_yes()
        })
    }

    fn hint_entry(
        &self,
        area: &Area<P>,
        cursor: &Cursor<'_, P>,
        page: Vpn,
        pte: Pte<P::Format>,
        users: Users,
    ) -> Due {
        let pfn = pte.pfn();
        if pte.is_protnone() || pte.is_special() {
            return Due::Nothing;
        }
        if self.is_passed_over(area, (page, users), pfn) {
            return Due::Nothing;
        }
        let old = cursor.withdraw(page);
        let new = hinting(self.mem().rule(), old.pte());
        cursor.restrict(old, new);
        self.mem().tell(self.id(), page, EventKind::NumaProtected(pfn));
        Due::Flush
    }

    /// Whether a scan leaves an entry that maps this page accessible.
    #[inline]
    fn is_passed_over(&self, area: &Area<P>, (page, users): (Vpn, Users), pfn: Pfn) -> bool {
        let mem = self.mem();
        mem.tell(self.id(), page, EventKind::NumaLook(pfn));
        let skip = |state: &PageState| numa_skip(mem.rule(), area.state().mapping, state);
        if let Some(why) = mem.judge_page(pfn, skip) {
            mem.tell(self.id(), page, EventKind::NumaSkipped { pfn, why });
            return true;
        }
        let local = mem.frames().node(pfn) == mem.platform().node();
        let locality = if local { Locality::Local } else { Locality::Remote };
        let settled = is_settled(area.state().mapping, users, locality);
        if settled {
            mem.tell(self.id(), page, EventKind::NumaLocal(pfn));
        }
        settled
    }

    /// What a migration entry remembers when it loses write permission (INV-PROT-2).
    pub(crate) fn downgraded(&self, entry: Migration) -> MigrationKind {
        if entry.kind != MigrationKind::Write {
            return entry.kind;
        }
        let keeps_mark = remembers_mark(self.mem().rule())
            && self.mem().frames().flags(entry.pfn).contains(Flags::ANON);
        if keeps_mark { MigrationKind::ReadExclusive } else { MigrationKind::Read }
    }

    /// What a migration entry becomes.
    fn changed_migration(
        &self,
        area: &Area<P>,
        page: Vpn,
        entry: Migration,
        change: Change,
    ) -> Migration {
        let mut new = entry;
        if change == Change::Protect {
            new.reach = area.prot.reach();
        }
        if entry.kind == MigrationKind::Write {
            new.kind = self.downgraded(entry);
            let kind = EventKind::MigrationDowngraded { pfn: entry.pfn, to: new.kind };
            self.mem().tell(self.id(), page, kind);
        }
        new
    }
}

/// What an entry becomes that waits for a hinting fault.
#[inline]
fn hinting<F: Format>(rule: NumaWrite, old: Pte<F>) -> Pte<F> {
    match hinted_write(rule) {
        HintedWrite::InEntry => old.hint(),
        HintedWrite::Dropped | HintedWrite::Recomputed => old.hint().read_only(),
    }
}

#[cfg(test)]
mod tests;
