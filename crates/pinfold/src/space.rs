//! Address spaces: the face of the crate.
//!
//! Lock order, from the outside in:
//!
//! 1. the address space's lock (parent before child at fork)
//! 2. the lock of a page
//! 3. the member list of a family, the page list of an object
//! 4. the lock of a page table (child's before parent's at fork)
//! 5. the frame allocator's lock
//!
//! Faults, pins, scans and DONTNEED hold 1 for reading; map, unmap, protect, the other advice, fork and exit hold it for writing. The
//! lock-free pin holds nothing but a walk section.

use crate::addr::{Pfn, VirtAddr, VirtRange};
use crate::area::{Area, AreaMap, Backing, OnFork, Prot};
use crate::error::{FaultError, SpaceError};
use crate::fault::{Cause, Fault};
use crate::memory::{Memory, SpaceId};
use crate::object::SharedObject;
use crate::platform::Platform;
use crate::sync::{self, AtomicU32, Counter, Name, ReadGuard, RwSem, SeqCount, Shared, WriteGuard};
use crate::table::{Format, Pte, Tables};

/// What an address space may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Pages that may be mapped: RLIMIT_AS.
    pub pages: u64,
    /// Pages that long-term pins may hold: RLIMIT_MEMLOCK (facts 3.12).
    pub locked: u64,
    /// The lowest page number that the system chooses or accepts.
    pub first_page: u64,
    /// The page number behind the highest one.
    pub end_page: u64,
}

impl Limits {
    /// All that format `F` can address, but page 0.
    pub const fn of_format<F: Format>() -> Self {
        Self { pages: u64::MAX, locked: u64::MAX, first_page: 1, end_page: F::PAGES }
    }
}

/// An address space without its owner: what reverse maps and pins refer to. Empty after exit.
pub(crate) struct Space<P: Platform> {
    mem: Shared<Memory<P>>,
    id: SpaceId,
    root: Pfn,
    limits: Limits,
    /// The areas, under the address space's lock.
    pub(crate) map: RwSem<AreaMap<P>>,
    /// Odd while fork copies page tables (facts 2.5).
    pub(crate) protect_seq: SeqCount,
    /// Set before the first pin is attempted, never cleared, not inherited (facts 2.3).
    pub(crate) has_pinned: AtomicU32,
    /// Pages held by long-term pins.
    pub(crate) locked: Counter,
}

impl<P: Platform> Space<P> {
    fn new(mem: &Shared<Memory<P>>, limits: Limits) -> Result<Shared<Self>, SpaceError> {
        let root = mem.new_table()?;
        let space = Shared::try_new(Self {
            mem: mem.clone(),
            id: mem.next_space(),
            root: root.pfn(),
            limits,
            map: RwSem::new(AreaMap::new()),
            protect_seq: SeqCount::new(),
            has_pinned: AtomicU32::new(0),
            locked: Counter::new(),
        })?;
        root.keep();
        space.label();
        Ok(space)
    }

    fn label(&self) {
        let index = self.id.0;
        let name = move |cell| move |_| Name { object: "space", index, cell };
        sync::label(&raw const self.map, size_of_val(&self.map), name("lock"));
        let seq = &self.protect_seq;
        sync::label(&raw const *seq, size_of_val(seq), name("sequence"));
        let pinned = &self.has_pinned;
        sync::label(&raw const *pinned, size_of_val(pinned), name("has-pinned"));
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
        self.id
    }

    #[inline]
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn root(&self) -> Pfn {
        self.root
    }

    #[inline]
    pub(crate) fn tables(&self) -> Tables<'_, P> {
        Tables::new(&self.mem, self.root)
    }

    #[inline]
    pub(crate) fn read_map(&self) -> ReadGuard<'_, AreaMap<P>, P> {
        self.map.read(self.mem.platform())
    }

    #[inline]
    pub(crate) fn write_map(&self) -> WriteGuard<'_, AreaMap<P>, P> {
        self.map.write(self.mem.platform())
    }

    /// The range, if this address space may use it.
    pub(crate) fn allowed(&self, range: VirtRange) -> Result<VirtRange, SpaceError> {
        let inside = self.limits.first_page <= range.first_page()
            && range.end_page() <= self.limits.end_page.min(P::Format::PAGES);
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
}

/// Where a mapping goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Anywhere; the system chooses the highest gap.
    Anywhere,
    /// Anywhere; the system chooses the lowest gap: for addresses that must stay small.
    Lowest,
    /// Exactly there, and only if nothing is mapped there (MAP_FIXED_NOREPLACE).
    At(VirtAddr),
}

/// Advice that changes what fork does with a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    /// The pages' contents are not needed: the next access finds zeros (private memory).
    DontNeed,
    /// Children do not get the range: the old remedy for pinned buffers.
    DontFork,
    /// Undoes [`Advice::DontFork`].
    DoFork,
    /// Children get zeros there. Private memory only.
    WipeOnFork,
    /// Undoes [`Advice::WipeOnFork`].
    KeepOnFork,
}

/// An address space, owned. Dropping it is exit: everything is unmapped, and pins keep their frames until they are released.
///
/// All operations take `&self` and may run on any number of threads at once.
pub struct AddressSpace<P: Platform> {
    inner: Shared<Space<P>>,
}

impl<P: Platform> AddressSpace<P> {
    /// An empty address space of `mem`.
    ///
    /// # Errors
    /// When no frame is left for the root table, or the heap is exhausted.
    pub fn new(mem: &Shared<Memory<P>>, limits: Limits) -> Result<Self, SpaceError> {
        Ok(Self { inner: Space::new(mem, limits)? })
    }

    pub(crate) fn of(inner: Shared<Space<P>>) -> Self {
        Self { inner }
    }

    pub(crate) fn space(&self) -> &Shared<Space<P>> {
        &self.inner
    }

    /// The name under which the platform hears of it.
    pub fn id(&self) -> SpaceId {
        self.inner.id()
    }

    /// The machine's memory.
    pub fn memory(&self) -> &Shared<Memory<P>> {
        self.inner.shared_mem()
    }

    /// The frame of the root table, for the CPU's register.
    pub fn root(&self) -> Pfn {
        self.inner.root()
    }

    /// Maps `pages` pages; the range they got.
    ///
    /// # Errors
    /// [`SpaceError`]: a malformed range, no gap, an occupied place, a limit, or an exhausted heap. Nothing has changed then.
    pub fn map(
        &self,
        place: Place,
        pages: u64,
        prot: Prot,
        sharing: Sharing,
    ) -> Result<VirtRange, SpaceError> {
        self.inner.map_area(&self.inner, place, pages, prot, sharing)
    }

    /// Unmaps all that is mapped in `range`. Pages go back to the allocator after every CPU forgot them; pinned ones when they are unpinned.
    ///
    /// # Errors
    /// When an area must be split and the heap is exhausted: nothing has changed then.
    pub fn unmap(&self, range: VirtRange) -> Result<(), SpaceError> {
        self.inner.unmap(&self.inner, range)
    }

    /// Changes what `range` allows. Pins keep their pages in any case; whether the owner still names the same pages after a later write is a
    /// matter of the rule `pte-cow` (facts 7.5).
    ///
    /// # Errors
    /// When part of the range is not mapped, or an area must be split and the heap is exhausted: nothing has changed then.
    pub fn protect(&self, range: VirtRange, prot: Prot) -> Result<(), SpaceError> {
        self.inner.protect(&self.inner, range, prot)
    }

    /// Takes advice about `range`.
    ///
    /// # Errors
    /// When part of the range is not mapped, the advice does not fit the mapping, or the heap is exhausted: nothing has changed then.
    pub fn advise(&self, range: VirtRange, advice: Advice) -> Result<(), SpaceError> {
        self.inner.advise(&self.inner, range, advice)
    }

    /// Resolves a fault that an access at `at` has taken. The access is then repeated.
    ///
    /// # Errors
    /// When the access is not allowed, or no frame or heap is left.
    pub fn fault(&self, at: VirtAddr, cause: Cause) -> Result<Fault, FaultError> {
        self.inner.fault(at, cause)
    }

    /// A child with the same areas: private pages are shared until written, except pinned ones, which the rule `fork-pin` may copy so
    /// that they stay with this address space.
    ///
    /// # Errors
    /// When frames or heap run out: the half-made child is gone again, and this address space has all that it had.
    pub fn fork(&self) -> Result<Self, SpaceError> {
        self.inner.fork(&self.inner).map(Self::of)
    }

    /// Makes entries of `range` PROT_NONE, as NUMA balancing's scanner does (facts 4.2); how many.
    pub fn numa_scan(&self, range: VirtRange) -> u64 {
        self.inner.numa_scan(range)
    }

    /// Moves the anonymous pages of `range` to `node`, as compaction or move_pages does (facts 4.5).
    pub fn migrate(&self, range: VirtRange, node: crate::addr::NodeId) -> crate::migrate::Moved {
        self.inner.migrate_range(range, node)
    }

    /// Whether anything is mapped at `at`.
    pub fn is_mapped(&self, at: VirtAddr) -> bool {
        self.inner.read_map().find(at.page()).is_some()
    }

    /// How many areas there are.
    pub fn areas(&self) -> usize {
        self.inner.read_map().len()
    }

    /// Pages that long-term pins of this address space hold.
    pub fn locked_pages(&self) -> u64 {
        self.inner.locked.get()
    }

    /// The entry of `at`'s page, as it is now.
    pub fn entry(&self, at: VirtAddr) -> Pte<P::Format> {
        // A walk looks at as many bits as the format has; a page behind them would alias a lower one.
        if at.page() >= P::Format::PAGES {
            return Pte::NONE;
        }
        let _map = self.inner.read_map();
        self.inner.tables().leaf(at.page()).map_or(Pte::NONE, |leaf| leaf.read(at.page()))
    }

    /// Calls `visit` for every frame that this address space keeps alive, with the reason: for oracles that add up the counts.
    pub fn account(&self, mut visit: impl FnMut(Pfn, Holder)) {
        self.inner.account(&mut visit);
    }

    /// Drops the address space without touching its frames: for a simulated machine that is thrown away as a whole, in whatever state.
    pub fn abandon(self) {
        self.inner.abandon();
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is never used or dropped again, so the owner moves out once.
        drop(unsafe { core::ptr::read(&this.inner) });
    }
}

/// Why an address space keeps a frame alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// It is a page table.
    Table,
    /// An entry maps it, with one reference and one mapping.
    Mapping,
    /// A shared object holds it. Reported once for each area that maps the object.
    Object(usize),
}

impl<P: Platform> Drop for AddressSpace<P> {
    fn drop(&mut self) {
        self.inner.exit();
    }
}

impl<P: Platform> Space<P> {
    fn map_area(
        &self,
        me: &Shared<Self>,
        place: Place,
        pages: u64,
        prot: Prot,
        sharing: Sharing,
    ) -> Result<VirtRange, SpaceError> {
        let mut map = self.write_map();
        if map.pages().saturating_add(pages) > self.limits.pages {
            return Err(SpaceError::TooManyPages { limit: self.limits.pages });
        }
        let range = match place {
            Place::At(start) => self.allowed(VirtRange::new(start, pages)?)?,
            Place::Anywhere | Place::Lowest => {
                let any = VirtRange::new(VirtAddr(0), pages)?;
                let high = self.limits.end_page.min(P::Format::PAGES);
                let (count, low) = (any.pages(), self.limits.first_page);
                let gap = match place {
                    Place::Lowest => map.lowest_gap(count, low, high),
                    _ => map.highest_gap(count, low, high),
                };
                let first = gap.ok_or(SpaceError::NoGap { pages })?;
                VirtRange::of_pages(first, first + pages)
            }
        };
        if let Some(area) = map.first_in(range) {
            return Err(SpaceError::Occupied(area.range));
        }
        if sharing == Sharing::Private && self.grow_neighbour(&mut map, range, prot) {
            return Ok(range);
        }
        map.reserve(1)?;
        let backing = match sharing {
            Sharing::Private => Backing::Private(self.mem.anon().found(me)?),
            Sharing::Shared => {
                let object = SharedObject::new(self.mem.clone(), pages)?;
                Backing::Object { object, origin: range.first_page() }
            }
        };
        map.insert(Area { range, prot, on_fork: OnFork::empty(), backing })?;
        Ok(range)
    }

    /// Lets an area beside `range` grow over it, and joins what then touches: INV-AREA-2.
    fn grow_neighbour(&self, map: &mut AreaMap<P>, range: VirtRange, prot: Prot) -> bool {
        if map.extend_over(range, prot) {
            self.merge(map, range.end_page());
            return true;
        }
        map.extend_under(range, prot)
    }

    /// Merges the areas on both sides of `page` if they are alike.
    pub(crate) fn merge(&self, map: &mut AreaMap<P>, page: u64) {
        if let Some(Backing::Private(family)) = map.merge_at(page) {
            family.leave(self);
        }
    }

    /// Makes areas start at both ends of `range`, so that it covers whole areas only.
    pub(crate) fn isolate(
        &self,
        me: &Shared<Self>,
        map: &mut AreaMap<P>,
        range: VirtRange,
    ) -> Result<(), SpaceError> {
        map.reserve(2)?;
        for page in [range.first_page(), range.end_page()] {
            if let Some(Backing::Private(family)) = map.split_at(page)? {
                family.join(me)?;
            }
        }
        Ok(())
    }

    fn account(&self, visit: &mut impl FnMut(Pfn, Holder)) {
        let map = self.read_map();
        for area in map.iter() {
            if let Backing::Object { object, .. } = &area.backing {
                let id = core::ptr::from_ref(&**object) as usize;
                object.each_page(|pfn| visit(pfn, Holder::Object(id)));
            }
        }
        visit(self.root, Holder::Table);
        self.tables().each_table(&mut |table| visit(table, Holder::Table));
        let walked: Result<(), core::convert::Infallible> =
            self.tables().for_each_leaf(0, P::Format::PAGES, |leaf, first, end| {
                for pte in (first..end).map(|page| leaf.read(page)) {
                    if pte.is_mapped() && !pte.is_special() {
                        visit(pte.pfn(), Holder::Mapping);
                    }
                }
                Ok(())
            });
        let Ok(()) = walked;
    }

    fn abandon(&self) {
        let map = core::mem::replace(&mut *self.write_map(), AreaMap::new());
        for area in map.iter() {
            match &area.backing {
                Backing::Private(family) => family.abandon(&self.mem),
                Backing::Object { object, .. } => object.abandon(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
