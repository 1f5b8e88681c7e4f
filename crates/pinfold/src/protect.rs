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

use crate::addr::{VirtRange, Vpn, each_page};
use crate::area::{Area, Prot};
use crate::error::SpaceError;
use crate::event::EventKind;
use crate::frame::Flags;
use crate::platform::{Invalidate, Platform};
use crate::pte::{Entry, Format, Migration, MigrationKind, Pte};
use crate::rules::migrate::remembers_mark;
use crate::rules::numa::{HintedWrite, hinted_write, is_settled, numa_skip};
use crate::rules::protect::{WriteNotify, can_change_writable, wants_upgrade};
use crate::rules::{
    AreaState, Dirty, EntryState, Locality, Mapping, PageState, Permission, Protnone, Tracking,
    Users,
};
use crate::space::Space;
use crate::table::Cursor;
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

impl<P: Platform> Area<P> {
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
}

/// What the rules need to know of an entry.
pub(crate) fn entry_state<F: Format>(pte: Pte<F>) -> EntryState {
    EntryState {
        dirty: if pte.is_dirty() { Dirty::Dirty } else { Dirty::Clean },
        protnone: if pte.is_protnone() { Protnone::Yes } else { Protnone::No },
        tracking: if pte.is_uffd_wp() { Tracking::WantsFault } else { Tracking::Off },
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
        for area in map.overlapping(range) {
            // PROT_NONE areas cannot fault for placement (facts 4.1).
            if area.prot.is_empty() {
                continue;
            }
            if let Some(part) = area.range.intersection(range) {
                changed += self.change_entries(area, part, Change::Hint(users), &mut batch);
            }
        }
        batch.finish(self.mem(), self.id());
        self.mem().counters().numa_pte_updates.add(changed);
        changed
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
            self.tables().for_each_leaf(range.numbers(), |leaf, pages| {
                let cursor = leaf.lock();
                self.flush_deferred(&cursor);
                for page in each_page(pages) {
                    if self.change_entry(area, &cursor, page, change) == Due::Flush {
                        batch.note(page);
                        changed += 1;
                    }
                }
                Ok(())
            });
        let Ok(()) = done;
        changed
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
                self.change_migration(area, cursor, page, entry, change);
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
        // The area's protection alone does not say that a private page may be written: the entry
        // must qualify for write permission again.
        let mut new = old.pte().with_reach(area.prot.reach()).read_only();
        if self.may_become_writable(area, new) {
            new = new.writable();
        }
        let (pfn, writable) = (new.pfn(), new.is_writable());
        cursor.restrict(old, new);
        self.mem().tell(self.id(), page, EventKind::Protected { pfn, writable });
        Due::Flush
    }

    /// Whether an entry may get the write bit without a fault: INV-PROT-1.
    pub(crate) fn may_become_writable(&self, area: &Area<P>, pte: Pte<P::Format>) -> bool {
        if pte.is_uffd_wp() {
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
            can_change_writable(rule, area.state(), entry_state(pte), page).is_yes()
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
        let mem = self.mem();
        mem.tell(self.id(), page, EventKind::NumaLook(pfn));
        let skip = |state: &PageState| numa_skip(mem.rule(), area.state().mapping, state);
        if let Some(why) = mem.judge_page(pfn, skip) {
            mem.tell(self.id(), page, EventKind::NumaSkipped { pfn, why });
            return Due::Nothing;
        }
        let local = mem.frames().node(pfn) == mem.platform().node();
        let locality = if local { Locality::Local } else { Locality::Remote };
        if is_settled(area.state().mapping, users, locality) {
            mem.tell(self.id(), page, EventKind::NumaLocal(pfn));
            return Due::Nothing;
        }
        let old = cursor.withdraw(page);
        let hinting = old.pte().hint();
        let new = match hinted_write(mem.rule()) {
            HintedWrite::InEntry => hinting,
            HintedWrite::Dropped | HintedWrite::Recomputed => hinting.read_only(),
        };
        cursor.restrict(old, new);
        mem.tell(self.id(), page, EventKind::NumaProtected(pfn));
        Due::Flush
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

    fn change_migration(
        &self,
        area: &Area<P>,
        cursor: &Cursor<'_, P>,
        page: Vpn,
        entry: Migration,
        change: Change,
    ) {
        let mut new = entry;
        if change == Change::Protect {
            new.reach = area.prot.reach();
        }
        if entry.kind == MigrationKind::Write {
            new.kind = self.downgraded(entry);
            let kind = EventKind::MigrationDowngraded { pfn: entry.pfn, to: new.kind };
            self.mem().tell(self.id(), page, kind);
        }
        if new != entry {
            cursor.set(page, Pte::migration(new));
        }
    }
}

#[cfg(test)]
mod tests;
