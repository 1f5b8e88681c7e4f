//! Address spaces: the face of the crate.

use crate::addr::{NodeId, Pfn, SpaceId, VirtAddr, VirtRange};
use crate::area::Prot;
use crate::error::{FaultError, PinError, SpaceError};
use crate::fault::{Cause, Fault};
use crate::memory::Memory;
use crate::migrate::Moved;
use crate::pin::{self, Access, Ask, PinnedBytes, Pins, Refs, SpaceHandle, Term};
use crate::platform::Platform;
use crate::pte::Pte;
use crate::space::{Advice, Limits, Place, Sharing, Space};
use crate::sync::Shared;

/// An address space, owned. Dropping it is exit: everything is unmapped, and pins keep their frames
/// until they are released.
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

    /// The name that the platform knows it by.
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

    /// Maps `pages` pages. Returns the range that they got.
    ///
    /// # Errors
    /// [`SpaceError`]: a malformed range, no gap, an occupied place, a limit, or an exhausted heap.
    /// Nothing has changed then.
    pub fn map(
        &self,
        place: Place,
        pages: u64,
        prot: Prot,
        sharing: Sharing,
    ) -> Result<VirtRange, SpaceError> {
        self.inner.map_area(place, pages, prot, sharing)
    }

    /// Unmaps all that is mapped in `range`. Pages go back to the allocator once every CPU has
    /// forgotten them; pinned ones when they are unpinned.
    ///
    /// # Errors
    /// When an area must be split and the heap is exhausted: nothing has changed then.
    pub fn unmap(&self, range: VirtRange) -> Result<(), SpaceError> {
        self.inner.unmap(range)
    }

    /// Changes what `range` allows. Pins keep their pages in any case; whether the owner still
    /// names the same pages after a later write depends on the rule `pte-cow` (facts 7.5).
    ///
    /// # Errors
    /// When part of the range is not mapped, or an area must be split and the heap is exhausted:
    /// nothing has changed then.
    pub fn protect(&self, range: VirtRange, prot: Prot) -> Result<(), SpaceError> {
        self.inner.protect(range, prot)
    }

    /// Takes advice about `range`.
    ///
    /// # Errors
    /// When part of the range is not mapped, the advice does not fit the mapping, or the heap is
    /// exhausted: nothing has changed then.
    pub fn advise(&self, range: VirtRange, advice: Advice) -> Result<(), SpaceError> {
        self.inner.advise(range, advice)
    }

    /// Resolves a fault that an access at `at` has taken. The access is then repeated.
    ///
    /// # Errors
    /// When the access is not allowed, or no frame or heap is left.
    pub fn fault(&self, at: VirtAddr, cause: Cause) -> Result<Fault, FaultError> {
        self.inner.fault(at, cause)
    }

    /// A child with the same areas: private pages are shared until written, except pinned ones,
    /// which the rule `fork-pin` may copy so that they stay with this address space.
    ///
    /// # Errors
    /// When frames or heap run out: the half-made child is gone, and this address space still has
    /// all that it had.
    pub fn fork(&self) -> Result<Self, SpaceError> {
        self.inner.fork().map(Self::of)
    }

    /// Pins the pages of `range`.
    ///
    /// Fewer pages than asked for are a success: [`Pins::shortfall`] says what stopped the walk.
    /// [`Term::Long`] counts against the limit on locked pages.
    ///
    /// # Errors
    /// When no page could be pinned, or the limit forbids it: nothing is held then.
    pub fn pin(&self, range: VirtRange, access: Access, term: Term) -> Result<Pins<P>, PinError> {
        self.pin_with(range, Ask::new(access, term))
    }

    /// As [`AddressSpace::pin`], with every choice.
    ///
    /// # Errors
    /// As [`AddressSpace::pin`].
    pub fn pin_with(&self, range: VirtRange, ask: Ask) -> Result<Pins<P>, PinError> {
        pin::pin_with(&self.inner, range, ask)
    }

    /// Takes ordinary references on the pages of `range`.
    ///
    /// # Errors
    /// As [`AddressSpace::pin`].
    pub fn get(&self, range: VirtRange, access: Access) -> Result<Refs<P>, PinError> {
        self.get_with(range, Ask::new(access, Term::Short))
    }

    /// As [`AddressSpace::get`], with every choice; the term does not matter.
    ///
    /// # Errors
    /// As [`AddressSpace::pin`].
    pub fn get_with(&self, range: VirtRange, ask: Ask) -> Result<Refs<P>, PinError> {
        pin::get_with(&self.inner, range, ask)
    }

    /// Pins the pages of `bytes` bytes at `at`, which need not be aligned, and writes their frames
    /// to the start of `frames`: all or none.
    ///
    /// # Errors
    /// As [`AddressSpace::pin`], and when not every page can be pinned or `frames` is too short for
    /// them. Nothing is held or written then.
    pub fn pin_bytes(
        &self,
        at: VirtAddr,
        bytes: u64,
        access: Access,
        term: Term,
        frames: &mut [Pfn],
    ) -> Result<PinnedBytes<P>, PinError> {
        pin::pin_bytes(&self.inner, (at, bytes), Ask::new(access, term), frames)
    }

    /// A handle that names this address space.
    pub fn handle(&self) -> SpaceHandle<P> {
        SpaceHandle::of(self.inner.clone())
    }

    /// Makes entries of `range` PROT_NONE, as NUMA balancing's scanner does (facts 4.2). Returns
    /// how many.
    pub fn numa_scan(&self, range: VirtRange) -> u64 {
        self.inner.numa_scan(range)
    }

    /// Moves the anonymous pages of `range` to `node`, as compaction or move_pages does (facts
    /// 4.5).
    pub fn migrate(&self, range: VirtRange, node: NodeId) -> Moved {
        self.inner.migrate_range(range, node)
    }

    /// Whether anything is mapped at `at`.
    pub fn is_mapped(&self, at: VirtAddr) -> bool {
        self.inner.read_map().find(at.page()).is_some()
    }

    /// The number of areas.
    pub fn areas(&self) -> usize {
        self.inner.read_map().len()
    }

    /// Pages that long-term pins of this address space hold.
    pub fn locked_pages(&self) -> u64 {
        self.inner.locked.get()
    }

    /// The current entry of `at`'s page; none past the limit.
    pub fn entry(&self, at: VirtAddr) -> Pte<P::Format> {
        // Past the limit lies the kernel's half, or what a walk would mistake for a lower page.
        if at.page() >= self.inner.end_page() {
            return Pte::NONE;
        }
        let _map = self.inner.read_map();
        self.inner.tables().leaf(at.page()).map_or(Pte::NONE, |leaf| leaf.read(at.page()))
    }

    /// Gives up ownership without exit.
    pub(crate) fn into_inner(self) -> Shared<Space<P>> {
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is never used or dropped again, so the owner moves out once.
        unsafe { core::ptr::read(&this.inner) }
    }
}

impl<P: Platform> Drop for AddressSpace<P> {
    fn drop(&mut self) {
        self.inner.exit();
    }
}
