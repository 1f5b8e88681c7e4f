//! The inside of an address space: what faults, pins, reverse maps and all operations share. Its
//! face is [`crate::AddressSpace`].
//!
//! Lock order, outermost first:
//!
//! 1. the address space's lock (parent before child at fork)
//! 2. the page list of an object
//! 3. the lock of a page
//! 4. the list of those who map an object, then the lock of a family
//! 5. the lock of a page table (child's before parent's at fork; remap takes two of one address
//!    space, that of the entries' old place before that of their new one)
//! 6. the lock of a node's free frames, and in it those of CPUs' stocks of them; or the locks that
//!    an outside owner of the frames takes ([`crate::FrameSource`])
//!
//! Faults, pins, scans, DONTNEED and FREE hold 1 for reading; map, unmap, protect, the other
//! advice, fork, exit and the clearing of soft-dirty marks hold it for writing. A fault in an area
//! that is delegated to its CPU holds that area in its place, and who holds 1 for writing waits for
//! it before he changes the area (INV-DELEG-2). The lock-free pin holds nothing but a walk section.

use core::ops::Range;

use crate::addr::{Mm, Pfn, SpaceId, VirtAddr, VirtRange, Vpn, each_page};
use crate::area::delegates::Delegates;
use crate::area::{Area, AreaMap, Backing, View};
use crate::error::{NoMemory, SpaceError};
use crate::hinted::HintFaults;
use crate::memory::Memory;
use crate::object::Object;
use crate::platform::Platform;
use crate::pte::{Format, Pte};
use crate::rmap::Seat;
use crate::sync::{
    self, Apart, AtomicU32, AtomicU64, CellName, Counter, EventCount, Once, SeqCount, Shared,
    Spread, SpreadGuard, WriteGuard,
};
use crate::table::{Cursor, Next, Part, Tables, table_start};

/// What an address space may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Pages that may be mapped: RLIMIT_AS.
    pub pages: u64,
    /// Pages that long-term pins may hold, and as many that locked areas may have: RLIMIT_MEMLOCK
    /// (facts 3.12).
    pub locked: u64,
    /// Areas that there may be: the sysctl `vm.max_map_count`. What would make one more is refused,
    /// be it a new mapping or a change that cuts an area in two.
    pub areas: usize,
    /// Pages that an area which grows down may come to have: RLIMIT_STACK.
    pub stack: u64,
    /// Pages that stay free below such an area when it grows, and above what the system places
    /// under it: the kernel's `stack_guard_gap`.
    pub stack_gap: u64,
    /// The lowest page number that the system chooses or accepts.
    pub first_page: Vpn,
    /// One past the highest page number. An entry of an upper table belongs to the address space if
    /// the first page that it covers lies before this; entries beyond, a kernel's half for
    /// instance, are never read or changed ([`Platform::prepare_root`]).
    pub end_page: Vpn,
}

impl Limits {
    /// All that format `F` leaves to user programs, except page 0, and Linux's defaults of areas,
    /// stacks (8 MiB) and the gap below them.
    pub const fn of_format<F: Format>() -> Self {
        Self {
            pages: u64::MAX,
            locked: u64::MAX,
            areas: 65_530,
            stack: 2048,
            stack_gap: 256,
            first_page: Vpn(1),
            end_page: Vpn(F::USER_PAGES),
        }
    }
}

/// How many faults and pins take the long way to the address space's lock after it was written,
/// before readers of different CPUs do not meet any more: a writer has to look at each CPU's place
/// once for that many.
const READERS_A_WRITER: u32 = 64;

/// How many words an address space has for windows of readahead.
pub(crate) const WINDOWS: usize = 8;

/// An address space without its owner: what long-term pins refer to. Empty after exit.
///
/// No two share a cache line, nor two that are fetched together: what is done in one does not slow
/// down another that the heap has put beside it.
#[repr(align(128))]
pub(crate) struct Space<P: Platform> {
    mem: Shared<Memory<P>>,
    mm: Mm,
    limits: Limits,
    /// The areas, under the address space's lock. Apart from the rest, which faults and pins read
    /// while others take the lock.
    map: Apart<Spread<AreaMap<P>>>,
    /// Copies of areas that CPUs have.
    pub(crate) delegates: Delegates<Area<P>>,
    /// Odd while fork copies page tables (facts 2.5).
    pub(crate) protect_seq: SeqCount,
    /// Set before the first pin is attempted, never cleared, not inherited (facts 2.3).
    pub(crate) has_pinned: AtomicU32,
    /// Pages held by long-term pins.
    pub(crate) locked: Counter,
    /// DONTNEEDs that have taken entries out but have not flushed yet. Each writes it twice.
    pub(crate) zapping: Apart<AtomicU32>,
    /// Faults that a monitor has resolved.
    pub(crate) uffd_resolved: EventCount,
    /// Changes that have taken write permission for userfaultfd and have not flushed yet.
    pub(crate) uffd_late: AtomicU32,
    /// What is known of pages that were read ahead from swap (`fault/readahead.rs`).
    pub(crate) windows: [AtomicU64; WINDOWS],
    /// What hinting faults tell its balancer, if it has one.
    pub(crate) hint_faults: Once<HintFaults>,
    /// The group that it belongs to, as [`crate::charge::GroupId::bits`] says; changes under the
    /// lock for writing.
    pub(crate) group: AtomicU32,
}

impl<P: Platform> Space<P> {
    pub(crate) fn new(mem: &Shared<Memory<P>>, limits: Limits) -> Result<Shared<Self>, SpaceError> {
        let root = mem.new_table()?;
        let space = Shared::try_new(Self {
            mem: mem.clone(),
            mm: Mm { id: mem.next_space(), root: root.pfn() },
            limits,
            map: Apart(Spread::new(AreaMap::new(), mem.platform().cpus(), READERS_A_WRITER)?),
            delegates: Delegates::new(mem.platform().cpus())?,
            protect_seq: SeqCount::new(),
            has_pinned: AtomicU32::new(0),
            locked: Counter::new(),
            zapping: Apart(AtomicU32::new(0)),
            uffd_resolved: EventCount::new(),
            uffd_late: AtomicU32::new(0),
            windows: [const { AtomicU64::new(0) }; WINDOWS],
            hint_faults: Once::new(),
            group: AtomicU32::new(0),
        })?;
        mem.frames().table(root.keep()).set_end(space.end_page());
        space.label();
        space.mem.platform().prepare_root(space.id(), space.root());
        Ok(space)
    }

    fn label(&self) {
        let index = self.id().0;
        let name = move |cell| move |_| CellName::Object { object: "space", index, cell };
        sync::label(&raw const *self.map, size_of_val(&*self.map), move |offset| {
            let names = ("lock", "lock's gate");
            let cell = Spread::<AreaMap<P>>::name(offset, names, "lock's bias");
            CellName::Object { object: "space", index, cell }
        });
        for place in self.map.places() {
            sync::label(&raw const *place, size_of_val(place), name("lock's readers"));
        }
        for word in self.delegates.words() {
            sync::label(&raw const *word, size_of_val(word), name("delegated area"));
        }
        let seq = &self.protect_seq;
        sync::label(&raw const *seq, size_of_val(seq), name("write-protect sequence count"));
        let pinned = &self.has_pinned;
        sync::label(&raw const *pinned, size_of_val(pinned), name("has-pinned"));
        let zapping = &*self.zapping;
        sync::label(&raw const *zapping, size_of_val(zapping), name("zapping"));
        let resolved = self.uffd_resolved.word();
        sync::label(&raw const *resolved, size_of_val(resolved), name("resolved faults"));
        let late = &self.uffd_late;
        sync::label(&raw const *late, size_of_val(late), name("late protections"));
        let windows = &self.windows;
        sync::label(&raw const *windows, size_of_val(windows), name("readahead"));
        let group = &self.group;
        sync::label(&raw const *group, size_of_val(group), name("group"));
    }

    pub(crate) fn child(&self) -> Result<Shared<Self>, SpaceError> {
        Self::new(&self.mem, self.limits)
    }

    #[inline]
    pub(crate) fn mem(&self) -> &Memory<P> {
        &self.mem
    }

    pub(crate) fn shared_mem(&self) -> &Shared<Memory<P>> {
        &self.mem
    }

    #[inline]
    pub(crate) fn id(&self) -> SpaceId {
        self.mm.id
    }

    /// The form in which a reverse map refers to it.
    #[inline]
    pub(crate) fn mm(&self) -> Mm {
        self.mm
    }

    #[inline]
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn root(&self) -> Pfn {
        self.mm.root
    }

    /// One past the highest page number of this address space: what the tables hold from there on
    /// does not belong to it.
    #[inline]
    pub(crate) fn end_page(&self) -> Vpn {
        self.limits.end_page.min(Vpn(P::Format::PAGES))
    }

    #[inline]
    pub(crate) fn tables(&self) -> Tables<'_, P> {
        Tables::new(&self.mem, self.mm)
    }

    #[inline]
    pub(crate) fn read_map(&self) -> SpreadGuard<'_, AreaMap<P>, P> {
        let platform = self.mem.platform();
        self.map.read(platform, platform.cpu())
    }

    #[inline]
    pub(crate) fn write_map(&self) -> WriteGuard<'_, AreaMap<P>, P> {
        self.map.write(self.mem.platform())
    }

    /// The range, if this address space may use it.
    pub(crate) fn allowed(&self, range: VirtRange) -> Result<VirtRange, SpaceError> {
        let inside =
            self.limits.first_page <= range.first_page() && range.end_page() <= self.end_page();
        if inside { Ok(range) } else { Err(SpaceError::OutsideLimits(range)) }
    }
}

/// Whether a mapping's writes stay with the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// MAP_PRIVATE: copy on write.
    Private,
    /// MAP_SHARED: children see the same memory.
    Shared,
    /// As [`Sharing::Private`], and the area grows down when an access faults below it, up to
    /// [`Limits::stack`] and as long as [`Limits::stack_gap`] stays free (MAP_GROWSDOWN).
    Stack,
}

/// Whether a mapping's writes reach the file that it shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileSharing {
    /// MAP_PRIVATE: a page is the file's until it is written, and then a copy of the process's own.
    /// Until then it shows what others write to the file.
    Private,
    /// MAP_SHARED: a write is one to the file.
    Shared,
}

/// What a new mapping shows.
pub(crate) enum Source<P: Platform> {
    /// New memory of its own.
    New(Sharing),
    /// Pages of an object, from `first` on.
    Object { object: Shared<Object<P>>, first: u64, sharing: FileSharing },
    /// New private memory of huge pages of the pool.
    Pool,
}

/// Where a mapping goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Anywhere; the highest gap is chosen.
    Anywhere,
    /// Anywhere; the lowest gap is chosen: for addresses that must stay small.
    Lowest,
    /// Exactly there, and only if nothing is mapped there (MAP_FIXED_NOREPLACE).
    At(VirtAddr),
    /// Exactly there; what is mapped there goes in the same step (MAP_FIXED), so that no other
    /// thread finds nothing there.
    Replace(VirtAddr),
}

/// The madvise advice that Pinfold models.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    /// The pages' contents are not needed: the next access finds zeros (private memory).
    DontNeed,
    /// The pages' contents are not needed, unless they are stored to again: whoever takes them out
    /// of memory may drop them, and the next access finds zeros then (private memory that shows no
    /// file).
    Free,
    /// The pages are not needed for a while: those that nobody else maps leave before others when
    /// memory is short. Those in use become pages not in use; those that were not leave next
    /// (Linux leaves them their place). Nothing, where there are no lists to choose from
    /// ([`crate::Tuning::lru_batch`]).
    Cold,
    /// Children do not get the range: the old workaround for pinned buffers.
    DontFork,
    /// Undoes [`Advice::DontFork`].
    DoFork,
    /// Children get zeros there. Private memory only.
    WipeOnFork,
    /// Undoes [`Advice::WipeOnFork`].
    KeepOnFork,
    /// First touches may take large folios of the sizes that are for those who ask:
    /// [`crate::Tuning::folios_advised`].
    HugePage,
    /// First touches take small pages.
    NoHugePage,
    /// Pages of private memory may be merged with equal ones, by a [`crate::Merger`] that the
    /// address space was added to (MADV_MERGEABLE). Without effect on other memory.
    Merge,
    /// Undoes [`Advice::Merge`], and what was merged: each page that stands for equal ones is
    /// copied (MADV_UNMERGEABLE). Where that fails for want of a frame, what lies before is done.
    Unmerge,
}

impl<P: Platform> Space<P> {
    /// Whether the limit on mapped pages leaves room for `more`.
    pub(crate) fn may_map(&self, map: &AreaMap<P>, more: u64) -> Result<(), SpaceError> {
        let limit = self.limits.pages;
        let all = map.pages().saturating_add(more);
        if all > limit { Err(SpaceError::TooManyPages { limit }) } else { Ok(()) }
    }

    /// Merges the areas on both sides of `page` if they are alike.
    pub(crate) fn merge(&self, map: &mut AreaMap<P>, page: Vpn) {
        let Some(gone) = map.merge_at(page) else { return };
        if let Some(seat) = gone.backing.seat() {
            self.leave_family(seat);
        }
        if let (Some(view), Some(kept)) = (gone.backing.view(), map.find(page)) {
            self.mend(view, kept.range, page);
        }
    }

    /// The object behind a view hears that what were two areas, parted before page `at`, is one.
    fn mend(&self, view: &View<P>, range: VirtRange, at: Vpn) {
        let (who, platform) = (view.mapper(self.mm), self.mem.platform());
        view.object.mappers().mend(who, view.indices(range), view.index(at), platform);
    }

    fn leave_family(&self, seat: Seat) {
        let platform = self.mem.platform();
        self.mem.anon().leave(seat, platform, platform.cpu());
    }

    /// An area of `range` in this address space is going to map pages of `view`.
    pub(crate) fn join_view(&self, view: &View<P>, range: VirtRange) -> Result<(), NoMemory> {
        let mappers = view.object.mappers();
        mappers.join(view.mapper(self.mm), view.indices(range), self.mem.platform())
    }

    /// An area of this address space has no entries any more, and is gone.
    pub(crate) fn leave(&self, area: &Area<P>) {
        self.leave_backing(&area.backing, area.range);
    }

    /// As [`Space::leave`], for one that was never there.
    pub(crate) fn leave_backing(&self, backing: &Backing<P>, range: VirtRange) {
        if let Some(seat) = backing.seat() {
            self.leave_family(seat);
        }
        if let Some(view) = backing.view() {
            self.leave_view(view, range);
        }
    }

    /// Undoes [`Space::join_view`].
    pub(crate) fn leave_view(&self, view: &View<P>, range: VirtRange) {
        let pages = view.indices(range);
        view.object.mappers().leave(view.mapper(self.mm), pages, self.mem.platform());
    }

    /// Makes areas start at both ends of `range`, so that it covers whole areas only. Allocates
    /// only for what it splits.
    pub(crate) fn isolate(&self, map: &mut AreaMap<P>, range: VirtRange) -> Result<(), SpaceError> {
        self.isolate_where(map, range, |_| true)
    }

    /// As [`Space::isolate`], but does not split areas that will not change. The limit on areas
    /// counts each part, also one that is going to merge with its neighbour.
    pub(crate) fn isolate_where(
        &self,
        map: &mut AreaMap<P>,
        range: VirtRange,
        changes: impl Fn(&Area<P>) -> bool,
    ) -> Result<(), SpaceError> {
        let ends = self.cuts(map, range, changes)?;
        let more = ends.iter().flatten().count();
        let limit = self.limits.areas;
        if map.len() + more > limit && more > 0 {
            return Err(SpaceError::TooManyAreas { limit });
        }
        self.split(map, ends)
    }

    /// As [`Space::isolate`], for a range that is about to be unmapped: the limit on areas counts
    /// what is left then.
    pub(crate) fn cut_out(&self, map: &mut AreaMap<P>, range: VirtRange) -> Result<(), SpaceError> {
        self.may_hold(map, Some(range), 0)?;
        let ends = self.cuts(map, range, |_| true)?;
        self.split(map, ends)
    }

    /// The ends of `range` where an area is cut that will change, each with whether that shows an
    /// object.
    fn cuts(
        &self,
        map: &AreaMap<P>,
        range: VirtRange,
        changes: impl Fn(&Area<P>) -> bool,
    ) -> Result<[Option<(Vpn, bool)>; 2], SpaceError> {
        let cut = |page| match map.split_by(page).filter(|area| changes(area)) {
            None => Ok(None),
            Some(area) => match self.parted(area, range) {
                None => Ok(Some((page, area.backing.view().is_some()))),
                Some(page) => Err(SpaceError::PartOfHugePage(page.start())),
            },
        };
        Ok([cut(range.first_page())?, cut(range.end_page())?])
    }

    /// The end of `range` at which a huge page of the pool would be parted that lies in the area.
    #[inline]
    pub(crate) fn parted(&self, area: &Area<P>, range: VirtRange) -> Option<Vpn> {
        let inside = |page: Vpn| area.range.first_page() < page && page < area.range.end_page();
        let parts = |page: &Vpn| inside(*page) && table_start::<P::Format>(*page) != *page;
        let ends = [range.first_page(), range.end_page()];
        if area.is_pooled() { ends.into_iter().find(parts) } else { None }
    }

    /// Cuts the areas that hold these pages and the ones before them, of which each is known to
    /// show an object or not: all, or nothing is changed.
    fn split(
        &self,
        map: &mut AreaMap<P>,
        pages: [Option<(Vpn, bool)>; 2],
    ) -> Result<(), SpaceError> {
        map.reserve(pages.iter().flatten().count())?;
        if pages.iter().flatten().any(|(_, shows)| *shows) {
            self.cut_views(map, pages.map(|page| page.map(|(page, _)| page)))?;
        }
        for (page, _) in pages.into_iter().flatten() {
            self.split_huge_across(page);
            if let Some(seat) = map.split_at(page).and_then(|rest| rest.backing.seat()) {
                self.mem.anon().again(seat, self.mem.platform());
            }
        }
        Ok(())
    }

    /// Splits the huge entry that maps `page` and the one before it, if there is one: no area is
    /// going to end among its pages (INV-HUGE-1).
    fn split_huge_across(&self, page: Vpn) {
        if table_start::<P::Format>(page) == page {
            return;
        }
        if let Some(huge) = self.tables().above(page).filter(|found| found.pte().is_some()) {
            self.mem.split_huge(self.mm, &huge);
        }
    }

    /// Tells the objects that areas which show them are going to be cut before these pages, in
    /// ascending order: all, or nothing is changed.
    #[cold]
    fn cut_views(&self, map: &AreaMap<P>, pages: [Option<Vpn>; 2]) -> Result<(), NoMemory> {
        let platform = self.mem.platform();
        let mut before: Option<(&View<P>, VirtRange, Vpn)> = None;
        for page in pages.into_iter().flatten() {
            let Some(area) = map.split_by(page) else { continue };
            let Some(view) = area.backing.view() else { continue };
            // Both cuts may be of one area: the second one is of the rest.
            let earlier = before.map_or(Vpn(0), |(_, _, at)| at);
            let first = area.range.first_page().max(earlier);
            let range = VirtRange::of_pages(first, area.range.end_page());
            let (who, at) = (view.mapper(self.mm), view.index(page));
            if let Err(error) = view.object.mappers().cut(who, view.indices(range), at, platform) {
                if let Some((view, range, at)) = before {
                    self.mend(view, range, at);
                }
                return Err(error);
            }
            before = Some((view, range, page));
        }
        Ok(())
    }

    /// Whether the limit on areas leaves room for `more`, once `cleared` is unmapped.
    pub(crate) fn may_hold(
        &self,
        map: &AreaMap<P>,
        cleared: Option<VirtRange>,
        more: usize,
    ) -> Result<(), SpaceError> {
        let limit = self.limits.areas;
        // Unmapping adds one area at most, where it leaves a hole.
        if map.len() + more < limit {
            return Ok(());
        }
        let left = cleared.map_or(map.len(), |range| map.len_without(range));
        if left + more > limit { Err(SpaceError::TooManyAreas { limit }) } else { Ok(()) }
    }
}

/// Whether one who looks at entries has seen enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Looked {
    GoOn,
    Enough,
}

impl<P: Platform> Space<P> {
    /// Shows `look` the entries of a run of pages, each under its table's lock and a huge one once,
    /// until it has seen enough. Returns the first page that was not looked at. The address space's
    /// lock is held meanwhile.
    pub(crate) fn look_at(
        &self,
        pages: Range<Vpn>,
        mut look: impl FnMut(Pte<P::Format>) -> Looked,
    ) -> Vpn {
        let end = pages.end;
        let _map = self.read_map();
        let walk = self.tables().for_each_part(pages, |part, pages| {
            match part {
                Part::Table(leaf) => {
                    let cursor = leaf.lock();
                    for page in each_page(pages) {
                        if look(cursor.get(page)) == Looked::Enough {
                            return Err(page + 1);
                        }
                    }
                }
                Part::Huge(huge) => {
                    let cursor = huge.lock();
                    let Some(pte) = cursor.get() else { return Ok(Next::Again) };
                    if look(pte) == Looked::Enough {
                        return Err(pages.end);
                    }
                }
            }
            Ok(Next::On)
        });
        walk.err().unwrap_or(end)
    }

    /// Flushes what others may have replaced and not flushed, before entries of the locked table
    /// are changed.
    #[inline]
    pub(crate) fn flush_deferred(&self, table: &Cursor<'_, P>) {
        self.mem().flush_deferred(self.mm, table);
    }

    /// Whether such entries may exist; the caller, who holds a table's lock, flushes all later.
    pub(crate) fn has_deferred(&self) -> bool {
        self.mem().frames().table(self.root()).unflushed().is_some()
    }
}

#[cfg(test)]
mod tests;
