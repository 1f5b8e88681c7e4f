//! What pages are charged to: groups of memory with a limit, a flat form of the kernel's memory
//! cgroups, and what each counts of its pages (facts 6.6).
//!
//! Protocol: a page is charged before it is taken, to the group of who makes it, and names the
//! group from then until the last reference is gone. Frames have no word to spare for that: the
//! numbers of the groups lie in an array of their own, which is made with the first group. A flag
//! (`CHARGED`) says that a page has one: who takes a mapping off any other page, or frees it, does
//! not look there.
//!
//! A charge can move ([`crate::recharge`]) while the page is in use, and what the group counts of
//! the page moves with it. Each page has a lock for that, a spinning one that nothing is taken
//! inside. It is the kernel's lock_page_memcg, of the page instead of the group, so that those who
//! count pages do not meet. Interrupts are off in it: INV-MASK-3. Who takes it and when is the rule
//! `memcg-lock` for the mappings; whoever marks a page dirty, takes such a mark off, or counts it
//! as locked takes it in any case.
//!
//! The slot of a group has another life when it has no user left (a handle or an address space) and
//! no page is charged to it.
//!
//! Invariants:
//! - INV-CHARGE-1: a group's charge is the number of pages that name it, and of those that are
//!   about to; it does not exceed the limit.
//! - INV-CHARGE-2: when nothing runs, what a group counts are the sums over the pages that name it,
//!   unless the rule `memcg-lock` is one that was never released.
//! - INV-CHARGE-3: a page that is in use changes its group under its lock here, with a reference of
//!   the mover; before it is in use, and after it, it has one owner.

use alloc::vec::Vec;

use crate::addr::Pfn;
use crate::error::{NoMemory, OverLimit};
use crate::sync::{
    self, AtomicU32, AtomicU64, CellName, Inside, Masks, Once, RawSpinLock, SpinGuard, SpinLock,
    Stable,
};

/// The number of a group; never zero, which is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GroupId(u32);

impl GroupId {
    /// In a word, where zero is none.
    #[inline]
    pub(crate) fn bits(this: Option<Self>) -> u32 {
        this.map_or(0, |id| id.0)
    }

    /// What [`GroupId::bits`] has made.
    #[inline]
    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }
}

/// What a group counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stat {
    AnonPages,
    FilePages,
    Shmem,
    Mapped,
    Dirty,
    Mlock,
}

impl Stat {
    pub(crate) const COUNT: usize = 6;
}

/// In which direction a count changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    More,
    Less,
}

/// What a group counts of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tally([(Stat, bool); Stat::COUNT]);

/// The state of a page, as far as groups count it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Counted {
    /// Some entry maps it.
    pub(crate) mapped: bool,
    /// It is anonymous.
    pub(crate) anon: bool,
    /// An object has it in its list.
    pub(crate) cached: bool,
    /// It has a store to be written back to.
    pub(crate) file: bool,
    /// It is newer than that.
    pub(crate) dirty: bool,
    /// Some locked entry maps it.
    pub(crate) locked: bool,
}

impl Counted {
    /// What counts it.
    pub(crate) fn tally(self) -> Tally {
        let Self { mapped, anon, cached, file, dirty, locked } = self;
        Tally([
            (Stat::AnonPages, anon && mapped),
            (Stat::FilePages, cached),
            (Stat::Shmem, cached && !file),
            (Stat::Mapped, !anon && mapped),
            (Stat::Dirty, cached && file && dirty),
            (Stat::Mlock, locked),
        ])
    }
}

impl Tally {
    pub(crate) fn stats(self) -> impl Iterator<Item = Stat> {
        self.0.into_iter().filter(|(_, counts)| *counts).map(|(stat, _)| stat)
    }
}

/// The groups of a machine, if there are any, and who is charged for each of its frames.
pub(crate) struct Charges {
    table: Once<Table>,
}

/// The group of a page, and the lock that keeps it in place.
#[derive(Default)]
struct Charge {
    lock: RawSpinLock,
    group: AtomicU32,
}

/// A group, or a place for one.
#[derive(Default)]
struct Slot {
    /// Set when a life begins.
    limit: AtomicU64,
    charged: AtomicU64,
    /// Handles, and address spaces that belong to it.
    users: AtomicU32,
    /// By [`Stat`]; wrapping, as two CPUs may count up and down in any order.
    counts: [AtomicU64; Stat::COUNT],
}

/// See [`Charges`].
pub(crate) struct Table {
    base: u64,
    charges: Vec<Charge>,
    /// Number `n` is at `n - 1`.
    slots: Stable<Slot>,
    /// How many slots were made.
    made: SpinLock<u32>,
}

/// Room in a group for pages that are about to be charged to it; what is left goes back on drop.
#[must_use]
pub(crate) struct Room<'t> {
    table: &'t Table,
    id: GroupId,
    pages: u64,
}

impl Charges {
    /// No groups.
    pub(crate) const fn new() -> Self {
        Self { table: Once::new() }
    }

    /// The table, if there has been a group.
    #[inline(always)]
    pub(crate) fn table(&self) -> Option<&Table> {
        self.table.get()
    }

    /// A group of at most `limit` pages, with one user, in a machine whose `frames` frames begin at
    /// `base`. Looks at each group that there is.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn found(
        &self,
        (base, frames): (u64, usize),
        limit: u64,
    ) -> Result<GroupId, NoMemory> {
        let table = self.table.get_or_make(|| Table::new(base, frames))?;
        table.label();
        table.found(limit)
    }
}

impl Table {
    fn new(base: u64, frames: usize) -> Result<Self, NoMemory> {
        let mut charges = Vec::new();
        charges.try_reserve_exact(frames).map_err(|_| NoMemory)?;
        charges.resize_with(frames, Charge::default);
        Ok(Self { base, charges, slots: Stable::new(), made: SpinLock::new(0) })
    }

    /// Names the words for a trace.
    fn label(&self) {
        let (first, base) = (self.charges.as_ptr(), self.base);
        sync::label(first, size_of_val(&*self.charges), move |offset| {
            let index = base + (offset / size_of::<Charge>()) as u64;
            let lock = offset % size_of::<Charge>() < size_of::<RawSpinLock>();
            let cell = if lock { "lock" } else { "group" };
            CellName::Object { object: "charge", index, cell }
        });
        let made = &self.made;
        sync::label(&raw const *made, size_of_val(made), |_| CellName::Object {
            object: "groups",
            index: 0,
            cell: "",
        });
    }

    fn found(&self, limit: u64) -> Result<GroupId, NoMemory> {
        let mut made = Inside::lock(Masks::Preemption, || self.made.lock());
        let unused = |id: &GroupId| {
            let slot = self.slot(*id);
            slot.users.load_acquire() == 0 && slot.charged.load_acquire() == 0
        };
        let id = match (1..=*made).map(GroupId).find(unused) {
            Some(id) => id,
            None => {
                self.slots.grow(*made, Slot::default)?;
                *made += 1;
                self.label_slot(GroupId(*made));
                GroupId(*made)
            }
        };
        let slot = self.slot(id);
        slot.limit.init(limit);
        slot.users.add(1);
        Ok(id)
    }

    fn label_slot(&self, id: GroupId) {
        let (slot, index) = (self.slot(id), u64::from(id.0));
        sync::label(&raw const *slot, size_of_val(slot), move |_| CellName::Object {
            object: "group",
            index,
            cell: "counts",
        });
    }

    #[inline]
    fn slot(&self, id: GroupId) -> &Slot {
        self.slots.at(id.0 - 1)
    }

    #[inline]
    fn charge_of(&self, pfn: Pfn) -> &Charge {
        &self.charges[(pfn.0 - self.base) as usize]
    }

    /// One more user of a group that has one.
    pub(crate) fn join(&self, id: GroupId) {
        self.slot(id).users.add(1);
    }

    /// A user less.
    pub(crate) fn leave(&self, id: GroupId) {
        self.slot(id).users.fetch_sub(1);
    }

    /// The most pages that may be charged to it.
    pub(crate) fn limit(&self, id: GroupId) -> u64 {
        self.slot(id).limit.fixed()
    }

    /// How many pages are charged to it.
    pub(crate) fn charged(&self, id: GroupId) -> u64 {
        self.slot(id).charged.read_once()
    }

    /// What it counts. Negative only under a rule that was never released, or while others count.
    pub(crate) fn stat(&self, id: GroupId, stat: Stat) -> i64 {
        self.slot(id).counts[stat as usize].read_once().cast_signed()
    }

    /// Charges the group for so many pages, of which none is known yet.
    ///
    /// # Errors
    /// When they would exceed the limit: nothing is charged.
    #[inline]
    pub(crate) fn reserve(&self, id: GroupId, pages: u64) -> Result<Room<'_>, OverLimit> {
        if self.add(id, pages) {
            Ok(Room { table: self, id, pages })
        } else {
            Err(OverLimit { limit: self.limit(id) })
        }
    }

    /// Charges it, within the limit; whether it did.
    #[inline]
    fn add(&self, id: GroupId, pages: u64) -> bool {
        let (slot, limit) = (self.slot(id), self.limit(id));
        let within = |now: u64| now.checked_add(pages).filter(|sum| *sum <= limit);
        slot.charged.try_update_as(within, |result| result.is_ok())
    }

    #[inline]
    fn sub(&self, id: GroupId, pages: u64) {
        // Adding so much subtracts them, and tells the caller nothing.
        self.slot(id).charged.add(pages.wrapping_neg());
    }

    /// Keeps a page in its group.
    #[inline]
    pub(crate) fn lock(&self, pfn: Pfn) -> Inside<SpinGuard<'_>> {
        Inside::lock(Masks::Interrupts, || self.charge_of(pfn).lock.lock())
    }

    /// The group of a page.
    #[inline]
    pub(crate) fn group_of(&self, pfn: Pfn) -> Option<GroupId> {
        GroupId::from_bits(self.charge_of(pfn).group.read_once())
    }

    /// As [`Table::group_of`], while nothing else runs: not a step of an exploration.
    pub(crate) fn peek_group(&self, pfn: Pfn) -> Option<GroupId> {
        GroupId::from_bits(self.charge_of(pfn).group.peek())
    }

    /// The group of the page, if it has one, counts one page more or less.
    #[inline]
    pub(crate) fn count(&self, pfn: Pfn, stat: Stat, change: Change) {
        self.count_pages(pfn, stat, change, 1);
    }

    /// As [`Table::count`], for a folio of so many pages by its head.
    #[inline]
    pub(crate) fn count_pages(&self, head: Pfn, stat: Stat, change: Change, pages: u64) {
        if let Some(id) = self.group_of(head) {
            self.count_in(id, stat, change, pages);
        }
    }

    fn count_in(&self, id: GroupId, stat: Stat, change: Change, pages: u64) {
        let change = match change {
            Change::More => pages,
            Change::Less => pages.wrapping_neg(),
        };
        self.slot(id).counts[stat as usize].add_relaxed(change);
    }

    /// The page, which counts as `tally` in its group, is moved to the group of `room`.
    pub(crate) fn shift(&self, pfn: Pfn, from: GroupId, room: &mut Room<'_>, tally: Tally) {
        debug_assert!(room.pages > 0, "the caller has made sure of room");
        let to = room.id;
        for stat in tally.stats() {
            self.count_in(from, stat, Change::Less, 1);
            self.count_in(to, stat, Change::More, 1);
        }
        self.charge_of(pfn).group.write_once(to.0);
        room.pages -= 1;
        self.sub(from, 1);
    }

    /// A page that is nobody's yet takes the charge over of one that nothing counts any more: the
    /// locks of both pages are held. Whether there is one.
    pub(crate) fn inherit(&self, from: Pfn, to: Pfn) -> bool {
        let group = self.charge_of(from).group.xchg(0);
        self.charge_of(to).group.write_once(group);
        group != 0
    }

    /// The frame, which nobody holds any more, is free.
    pub(crate) fn end(&self, pfn: Pfn) {
        let charge = self.charge_of(pfn);
        if let Some(id) = GroupId::from_bits(charge.group.peek()) {
            charge.group.init(0);
            self.sub(id, 1);
        }
    }
}

impl Room<'_> {
    /// Makes sure that there is room for a page.
    pub(crate) fn has_one(&mut self) -> bool {
        if self.pages == 0 && self.table.add(self.id, 1) {
            self.pages = 1;
        }
        self.pages > 0
    }

    /// The group is charged for this page, which nobody else knows yet.
    #[inline]
    pub(crate) fn give(mut self, pfn: Pfn) {
        self.give_one(pfn);
    }

    /// The same for the frames of a large folio.
    pub(crate) fn give_all(mut self, pfns: impl Iterator<Item = Pfn>) {
        pfns.for_each(|pfn| self.give_one(pfn));
    }

    #[inline]
    fn give_one(&mut self, pfn: Pfn) {
        debug_assert!(self.pages > 0);
        self.pages -= 1;
        self.table.charge_of(pfn).group.init(self.id.0);
    }
}

impl Drop for Room<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.pages > 0 {
            self.table.sub(self.id, self.pages);
        }
    }
}
