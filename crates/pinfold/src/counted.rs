//! Changes of a page that its group counts: mappings, marks, locks, and the list of its object.
//!
//! Protocol: as [`crate::charge`] says. Each change has a short form, for pages that no group is
//! charged for or a machine that has no groups.

use crate::addr::{Pfn, SpaceId};
use crate::charge::{Change, GroupId, Room, Stat, Table};
use crate::error::{NoPage, OutOfFrames, OverLimit};
use crate::event::{Bug, EventKind};
use crate::frame::{
    Flags, Folio, Large, MapCount, MapsLeft, Marks, NewFolio, NewFrame, Put, Start,
};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::rules::Exclusive;
use crate::rules::charge::{Counting, counting, locks_charge};
use crate::rules::large::counts_each_page;
use crate::sync::{Inside, SpinGuard};

/// Keeps a page in its group, if the rule has a lock for that.
pub(crate) type ChargeHeld<'m> = Option<Inside<SpinGuard<'m>>>;

impl<P: Platform> Memory<P> {
    /// The groups, if there are any.
    #[inline(always)]
    pub(crate) fn charges(&self) -> Option<&Table> {
        self.frames().charges().table()
    }

    /// Room for a page of `payer`; none is needed without one.
    ///
    /// # Errors
    /// When the group is at its limit.
    #[inline]
    pub(crate) fn room_for_one(
        &self,
        payer: Option<GroupId>,
    ) -> Result<Option<Room<'_>>, OverLimit> {
        self.room_for(payer, 1)
    }

    /// Room for so many pages of `payer`; none is needed without one.
    ///
    /// # Errors
    /// When the group is at its limit.
    #[inline]
    fn room_for(&self, payer: Option<GroupId>, pages: u64) -> Result<Option<Room<'_>>, OverLimit> {
        match (self.charges(), payer) {
            (Some(charges), Some(id)) => charges.reserve(id, pages).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether `payer`, if there is one, is that many pages below its limit at the moment.
    pub(crate) fn has_room(&self, payer: Option<GroupId>, pages: u64) -> bool {
        match (self.charges(), payer) {
            (Some(charges), Some(id)) => {
                charges.limit(id).saturating_sub(charges.charged(id)) >= pages
            }
            _ => true,
        }
    }

    /// A large folio for private pages of `space`, counted as mapped, that `payer` is charged for.
    ///
    /// # Errors
    /// When there is no such run of frames, or the group is at its limit.
    pub(crate) fn alloc_folio(
        &self,
        payer: Option<GroupId>,
        (order, marks): (u32, Marks),
        space: SpaceId,
    ) -> Result<NewFolio<'_>, NoPage> {
        let pages = 1 << order;
        let room = self.room_for(payer, pages)?;
        let flags = if room.is_some() { Flags::CHARGED } else { Flags::empty() };
        let at = (self.platform().node(), order, marks);
        let fresh = self.frames().alloc_folio(at, flags, (space, self.large_maps()))?;
        if let (Some(room), Some(charges)) = (room, self.charges()) {
            room.give_all(fresh.pfns());
            charges.count_pages(fresh.head(), Stat::AnonPages, Change::More, pages);
        }
        Ok(fresh)
    }

    /// A frame for a private page, counted as mapped, that `payer` is charged for.
    ///
    /// # Errors
    /// When no frame is left or the group is at its limit.
    pub(crate) fn alloc_charged(&self, payer: GroupId) -> Result<NewFrame<'_>, NoPage> {
        let room = self.room_for_one(Some(payer))?;
        let flags = Flags::ANON.union(Flags::CHARGED);
        let fresh = match self.alloc_local(flags, Start::Mapped) {
            Ok(fresh) => fresh,
            Err(OutOfFrames) => self.alloc_of_splits(flags, Start::Mapped)?,
        };
        if let (Some(room), Some(charges)) = (room, self.charges()) {
            room.give(fresh.pfn());
            charges.count(fresh.pfn(), Stat::AnonPages, Change::More);
        }
        Ok(fresh)
    }

    /// Keeps a page in its group.
    pub(crate) fn hold_charge<'m>(&self, charges: &'m Table, pfn: Pfn) -> ChargeHeld<'m> {
        locks_charge(self.rule()).then(|| charges.lock(pfn))
    }

    /// One entry of `space` no longer maps the page; its reference stays with the caller, who holds
    /// the lock of the entry's table.
    #[inline]
    pub(crate) fn drop_map(&self, pfn: Pfn, space: SpaceId) {
        if !self.drop_plain_map(pfn) {
            self.drop_other_map(pfn, space);
        }
    }

    /// As [`Memory::drop_map`], for a small page that no group is charged for; whether it is one.
    #[inline]
    pub(crate) fn drop_plain_map(&self, pfn: Pfn) -> bool {
        let Some(folio) = self.frames().plain_folio(pfn) else { return false };
        if folio.drop_map() == MapCount::Underflow {
            self.platform().bug(Bug::MapUnderflow(pfn));
        }
        true
    }

    /// One entry, which is out, no longer maps a small page that no group is charged for and that
    /// is not in the swap cache; its reference goes with it, and the page's mark, if it is set: in
    /// one step. The caller holds the lock of the entry's table, and another reference.
    #[inline]
    pub(crate) fn drop_plain_entry(&self, page: Folio<'_>, mark: Exclusive) {
        match page.drop_entry(mark) {
            Put::Underflow => self.platform().bug(Bug::MapUnderflow(page.head())),
            put => self.after_put(page.head(), put),
        }
    }

    #[inline(never)]
    fn drop_other_map(&self, pfn: Pfn, space: SpaceId) {
        if let Some(folio) = self.frames().large(pfn) {
            return self.drop_maps(folio, (pfn, 1), space);
        }
        self.drop_small_map(pfn);
        if self.is_swap_cached(pfn) {
            self.unmapped_cached(pfn);
        }
    }

    /// As [`Memory::drop_map`], of a small page, which stays in the swap cache if it is there:
    /// for who holds its slot.
    pub(crate) fn drop_small_map(&self, pfn: Pfn) {
        match self.charges() {
            Some(charges) => self.drop_map_counted(charges, pfn),
            None => {
                if self.frames().folio(pfn).drop_map() == MapCount::Underflow {
                    self.platform().bug(Bug::MapUnderflow(pfn));
                }
            }
        }
    }

    fn drop_map_counted(&self, charges: &Table, pfn: Pfn) {
        let how = counting(self.rule());
        let _throughout = (how == Counting::Throughout).then(|| charges.lock(pfn));
        let folio = self.frames().folio(pfn);
        match folio.drop_map_left() {
            MapsLeft::Some => {}
            MapsLeft::None => self.count_mapping(charges, pfn, how, (Change::Less, 1)),
            MapsLeft::Underflow => self.platform().bug(Bug::MapUnderflow(folio.head())),
        }
    }

    /// Entries of `space` no longer map a run of a large folio's pages, one each; their references
    /// stay with the caller, who holds the lock of the entries' table. A folio that is mapped in
    /// part from now on waits to be split.
    pub(crate) fn drop_maps(&self, folio: Large<'_>, run: (Pfn, u32), space: SpaceId) {
        folio.keep_refs(run, self.rule());
        self.drop_maps_alone(folio, run, space);
    }

    /// As [`Memory::drop_map`], but the entry's reference stays what it was, until the caller drops
    /// it before he releases the lock of the table: one of this frame by itself
    /// ([`Memory::put_own`]). A page in the swap cache, whose slot the caller holds, stays there,
    /// and what its entry knew of stores, he knows.
    pub(crate) fn drop_map_alone(&self, pfn: Pfn, space: SpaceId) -> Pfn {
        if !self.frames().is_large(pfn) {
            if !self.drop_plain_map(pfn) {
                self.drop_small_map(pfn);
            }
            return pfn;
        }
        let Some(folio) = self.frames().large(pfn) else { return pfn };
        self.drop_maps_alone(folio, (pfn, 1), space);
        folio.head()
    }

    /// As [`Memory::drop_maps`], but the entries' references stay what they were, as for
    /// [`Memory::drop_map_alone`]: references of the head.
    pub(crate) fn drop_maps_alone(&self, folio: Large<'_>, run: (Pfn, u32), space: SpaceId) {
        let charges = self.charges().filter(|_| self.is_charged(folio.head()));
        let how = charges.map(|_| counting(self.rule()));
        let _throughout = charges
            .filter(|_| how == Some(Counting::Throughout))
            .map(|charges| charges.lock(folio.head()));
        let left = folio.drop_maps(run, space, self.large_maps());
        if left.underflow {
            return self.platform().bug(Bug::MapUnderflow(folio.head()));
        }
        if let (Some(charges), Some(how), 0) = (charges, how, left.maps) {
            self.count_mapping(charges, folio.head(), how, (Change::Less, folio.pages()));
        }
        if left.partly {
            self.frames().queue(folio);
        }
    }

    /// The same, but the folio goes on counting them, and only its pages, as far as they are
    /// counted by themselves, do not (rule `large-maps`, forgotten).
    pub(crate) fn drop_page_maps(&self, folio: Large<'_>, (first, pages): (Pfn, u32)) {
        folio.keep_refs((first, pages), self.rule());
        if counts_each_page(self.large_maps()) {
            let _ = folio.drop_page_maps(first, pages);
        }
    }

    fn is_charged(&self, head: Pfn) -> bool {
        self.frames().flags(head).contains(Flags::CHARGED)
    }

    /// A folio of so many pages has its first mapping, or has lost its last one.
    fn count_mapping(
        &self,
        charges: &Table,
        head: Pfn,
        how: Counting,
        (change, pages): (Change, u64),
    ) {
        let anon = self.frames().flags(head).contains(Flags::ANON);
        let stat = if anon { Stat::AnonPages } else { Stat::Mapped };
        let _around = (how == Counting::AroundCounts).then(|| charges.lock(head));
        charges.count_pages(head, stat, change, pages);
    }

    /// One more entry of `space` maps a page, with a reference that goes with it; the lock of the
    /// entry's table is held.
    #[inline]
    pub(crate) fn get_map(&self, pfn: Pfn, space: SpaceId) {
        if let Some(folio) = self.frames().large(pfn) {
            return self.get_maps(folio, (pfn, 1), Exclusive::Unmarked, space);
        }
        self.get_small_map(pfn);
    }

    /// As [`Memory::get_map`], of a page that has the mark from now on.
    #[inline]
    pub(crate) fn get_map_marked(&self, pfn: Pfn, space: SpaceId) {
        let page = self.frames().page(pfn);
        if self.charges().is_none() && !self.frames().is_large(pfn) {
            return page.get_map_marked();
        }
        self.get_map(pfn, space);
        page.mark_exclusive();
    }

    /// As [`Memory::get_map`], for a page that is not part of a large folio.
    #[inline]
    pub(crate) fn get_small_map(&self, pfn: Pfn) {
        let page = self.frames().page(pfn);
        match self.charges() {
            None => page.get_map_small(Exclusive::Unmarked),
            Some(charges) => self.get_map_counted(charges, pfn),
        }
    }

    /// Entries of `space` map a run of a large folio's pages, one each, with a reference that goes
    /// with each; the lock of their table is held. The head's mark goes as [`Large::get_maps`]
    /// says.
    pub(crate) fn get_maps(
        &self,
        folio: Large<'_>,
        run: (Pfn, u32),
        marked: Exclusive,
        space: SpaceId,
    ) {
        let rule = self.large_maps();
        let charges = self.charges().filter(|_| self.is_charged(folio.head()));
        let Some(charges) = charges else { return folio.get_maps(run, marked, space, rule) };
        let how = counting(self.rule());
        let _throughout = (how == Counting::Throughout).then(|| charges.lock(folio.head()));
        let first = !folio.folio().is_mapped();
        folio.get_maps(run, marked, space, rule);
        if first {
            self.count_mapping(charges, folio.head(), how, (Change::More, folio.pages()));
        }
    }

    #[inline(never)]
    fn get_map_counted(&self, charges: &Table, pfn: Pfn) {
        let how = counting(self.rule());
        let _throughout = (how == Counting::Throughout).then(|| charges.lock(pfn));
        if self.frames().page(pfn).get_map_first() {
            self.count_mapping(charges, pfn, how, (Change::More, 1));
        }
    }

    /// A folio that is to have the contents of another one of so many pages takes its charges over,
    /// before it is mapped. The locks of both are held, and nothing maps either.
    pub(crate) fn inherit_charges(&self, from: Pfn, to: Pfn, pages: u64) {
        let Some(charges) = self.charges() else { return };
        let mut charged = false;
        for page in 0..pages {
            charged |= charges.inherit(Pfn(from.0 + page), Pfn(to.0 + page));
        }
        if charged {
            self.frames().mark_charged(to);
        }
    }

    /// Marks a folio as newer than its store. Full ordering: what was written before is seen by
    /// whoever takes the mark off.
    #[inline]
    pub(crate) fn mark_dirty(&self, pfn: Pfn) {
        let Some(charges) = self.charges() else {
            self.frames().mark_dirty(pfn);
            return;
        };
        let _held = self.hold_charge(charges, pfn);
        let was = self.frames().mark_dirty(pfn);
        if counts_dirty(was) && !was.contains(Flags::DIRTY) {
            charges.count(pfn, Stat::Dirty, Change::More);
        }
    }

    /// Takes the mark off a page that has it, whose lock is held, and says that it is being
    /// written. Full ordering. Who does not wait for that ([`Memory::wait_page_unwritten`]) stops
    /// waiting for the lock.
    pub(crate) fn begin_writeback(&self, pfn: Pfn) {
        let held = self.charges().map(|charges| (charges, self.hold_charge(charges, pfn)));
        let was = self.frames().begin_writeback(pfn);
        if let Some((charges, _held)) = held
            && counts_dirty(was)
        {
            charges.count(pfn, Stat::Dirty, Change::Less);
        }
        // INV-MIG-9.
        self.frames().page(pfn).lock().wake(self.platform(), was.bits());
    }

    /// A page that nobody else knows yet is in the list of its object: before the list's lock is
    /// released.
    pub(crate) fn cached(&self, pfn: Pfn) {
        let Some(charges) = self.charges() else { return };
        charges.count(pfn, Stat::FilePages, Change::More);
        if !self.frames().flags(pfn).contains(Flags::FILE) {
            charges.count(pfn, Stat::Shmem, Change::More);
        }
    }

    /// The page leaves its object. A mark does not count any more: nobody will write it back.
    pub(crate) fn uncache(&self, pfn: Pfn) {
        let Some(charges) = self.charges() else {
            self.frames().uncache(pfn);
            return;
        };
        let _held = self.hold_charge(charges, pfn);
        let was = self.frames().uncache(pfn);
        if !was.contains(Flags::CACHED) {
            return;
        }
        charges.count(pfn, Stat::FilePages, Change::Less);
        if !was.contains(Flags::FILE) {
            charges.count(pfn, Stat::Shmem, Change::Less);
        } else if was.contains(Flags::DIRTY) {
            charges.count(pfn, Stat::Dirty, Change::Less);
        }
    }

    /// One more entry of a locked area maps the page.
    pub(crate) fn mlock(&self, pfn: Pfn) {
        let (frames, locks) = (self.frames(), self.frames().locks(pfn));
        let first = match self.charges() {
            None => locks.fetch_add(1) == 0,
            Some(charges) => {
                let head = frames.head_of(pfn);
                let _held = self.hold_charge(charges, head);
                let first = locks.fetch_add(1) == 0;
                if first {
                    charges.count_pages(head, Stat::Mlock, Change::More, 1 << frames.order(head));
                }
                first
            }
        };
        if first {
            self.count_locked(frames.head_of(pfn));
        }
        self.tell_frame(EventKind::PageLocked(pfn));
    }

    /// One entry of a locked area less maps the page.
    #[cold]
    pub(crate) fn munlock(&self, pfn: Pfn) {
        let (frames, head) = (self.frames(), self.frames().head_of(pfn));
        let held = self.charges().map(|charges| (charges, self.hold_charge(charges, head)));
        let locks = frames.locks(pfn);
        let had = locks.fetch_sub(1);
        match (had, held) {
            (0, _) => {
                locks.add(1);
                self.platform().bug(Bug::LockUnderflow(pfn));
            }
            (1, Some((charges, _held))) => {
                charges.count_pages(head, Stat::Mlock, Change::Less, 1 << frames.order(head));
            }
            _ => {}
        }
        if had == 1 {
            self.count_unlocked(head);
        }
        self.tell_frame(EventKind::PageUnlocked(pfn));
    }

    /// A page that is freed while it counts as locked does not count any more.
    #[cold]
    pub(crate) fn freed_while_locked(&self, head: Pfn) {
        let pages = 1 << self.frames().order(head);
        self.counters().unevictable_pgs_cleared.add(pages);
        if let Some(charges) = self.charges() {
            charges.count_pages(head, Stat::Mlock, Change::Less, pages);
        }
        self.platform().bug(Bug::FreedWhileLocked(head));
    }
}

/// Whether a group counts a page with these flags as dirty when it is.
fn counts_dirty(flags: Flags) -> bool {
    flags.contains(Flags::CACHED.union(Flags::FILE))
}
