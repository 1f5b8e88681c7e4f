//! Address spaces: the face of the crate.

mod migrate;
mod remote;
mod swap;
mod userfault;

use core::fmt;

use crate::addr::{Pfn, SpaceId, VirtAddr, VirtRange};
use crate::area::Prot;
use crate::charge::GroupId;
use crate::error::{FaultError, PinError, SpaceError};
use crate::fault::{Cause, Fault, Unpopulated};
use crate::file::{FileRun, MOST_PAGES};
use crate::group::Group;
use crate::memory::Memory;
use crate::mlock::LockError;
use crate::pin::{self, Access, Ask, PinnedBytes, Pins, Refs, SpaceHandle, Term};
use crate::platform::Platform;
use crate::pte::Pte;
use crate::recharge::Recharged;
use crate::remap::Remap;
use crate::rules::Users;
use crate::space::{Advice, FileSharing, Limits, Place, Sharing, Source, Space};
use crate::sync::Shared;
use crate::writeback::SyncError;

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
        let inner = mem.relieved(|| Space::new(mem, limits))?;
        Ok(Self { inner })
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

    /// Maps `pages` pages. Returns the range that they got. With [`Place::Replace`] what was mapped
    /// there is unmapped in the same step, as by [`AddressSpace::unmap`]: no other thread finds the
    /// range free.
    ///
    /// # Errors
    /// [`SpaceError`]: a malformed range, no gap, an occupied place, a limit, or an exhausted heap.
    /// Nothing has changed then: what was to be replaced is still there.
    pub fn map(
        &self,
        place: Place,
        pages: u64,
        prot: Prot,
        sharing: Sharing,
    ) -> Result<VirtRange, SpaceError> {
        self.inner.map_area(place, pages, prot, &Source::New(sharing))
    }

    /// Maps pages of a file, as [`AddressSpace::map`] maps memory. They may lie past the file's
    /// end: accesses there fail with [`FaultError::PastEnd`] as long as they do.
    ///
    /// # Errors
    /// As [`AddressSpace::map`], and when no file can have such pages.
    pub fn map_file(
        &self,
        place: Place,
        prot: Prot,
        run: FileRun<'_, P>,
        sharing: FileSharing,
    ) -> Result<VirtRange, SpaceError> {
        if run.pages.end > MOST_PAGES {
            return Err(SpaceError::PastFile { most: MOST_PAGES });
        }
        let pages = run.pages.end.saturating_sub(run.pages.start);
        let (object, first) = (run.file.object().clone(), run.pages.start);
        self.inner.map_area(place, pages, prot, &Source::Object { object, first, sharing })
    }

    /// Maps private memory of huge pages from the pool ([`Memory::hugetlb_pool`]): MAP_HUGETLB with
    /// MAP_PRIVATE. `pages` counts pages, of which each huge one has as many as a last-level table
    /// maps. All of them are promised to this address space, and not to its children: their first
    /// touches find one as long as some are promised to nobody. A copy is made of one of those; if
    /// there is none, and the write is of the address space that the page was promised to, the
    /// children lose theirs.
    ///
    /// # Errors
    /// As [`AddressSpace::map`], when the address or the size is not one of huge pages, and when
    /// the pool has too few that are promised to nobody.
    pub fn map_hugetlb(
        &self,
        place: Place,
        pages: u64,
        prot: Prot,
    ) -> Result<VirtRange, SpaceError> {
        self.inner.map_area(place, pages, prot, &Source::Pool)
    }

    /// Unmaps all that is mapped in `range`. Pages go back to the allocator once every CPU has
    /// forgotten them; pinned ones when they are unpinned.
    ///
    /// # Errors
    /// When an area must be split, and the heap is exhausted or the limit on areas reached: nothing
    /// has changed then.
    pub fn unmap(&self, range: VirtRange) -> Result<(), SpaceError> {
        self.inner.unmap(range)
    }

    /// Makes the mapping of `range` one of `pages` pages, and moves it as `how` says, with its
    /// pages. Returns where it is now. Pins keep their pages, which their owner finds at the new
    /// address; what follows the address space by a [`crate::Mirror`] is told.
    ///
    /// # Errors
    /// [`SpaceError`]: the range is not mapped or not of one mapping, there is no room, a limit, or
    /// exhausted frames or heap. Nothing has moved or gone then, but for [`Remap::To`] what was
    /// mapped in the new place may be.
    pub fn remap(&self, range: VirtRange, pages: u64, how: Remap) -> Result<VirtRange, SpaceError> {
        self.memory().relieved(|| self.inner.remap(range, pages, how))
    }

    /// Changes what `range` allows. Pins keep their pages in any case; whether the owner still
    /// names the same pages after a later write depends on the rule `pte-cow` (facts 7.5).
    ///
    /// # Errors
    /// When an area must be split, and the heap is exhausted or the limit on areas reached: nothing
    /// has changed then. When part of the range is not mapped: what lies before has changed.
    pub fn protect(&self, range: VirtRange, prot: Prot) -> Result<(), SpaceError> {
        self.inner.protect(range, prot)
    }

    /// Takes advice about `range`.
    ///
    /// # Errors
    /// When part of the range is not mapped: the advice was taken about the rest. When the advice
    /// does not fit the mapping, or an area must be split, and the heap is exhausted or the limit
    /// on areas reached: nothing has changed then, but in what a hole parts from that and lies
    /// before. [`SpaceError::Locked`] says itself what has changed. [`Advice::Unmerge`] also fails
    /// when a page cannot be copied: the advice was taken, and what lies before was copied.
    pub fn advise(&self, range: VirtRange, advice: Advice) -> Result<(), SpaceError> {
        match advice {
            Advice::Unmerge => self.memory().relieved(|| self.inner.advise(range, advice)),
            _ => self.inner.advise(range, advice),
        }
    }

    /// Resolves a fault that an access at `at` has taken. The access is then repeated. An area of
    /// [`Sharing::Stack`] that begins above grows over the page, if the limits allow that.
    ///
    /// # Errors
    /// When the access is not allowed, or no frame or heap is left.
    pub fn fault(&self, at: VirtAddr, cause: Cause) -> Result<Fault, FaultError> {
        if self.memory().frames().has_lists() {
            return self.fault_relieved(at, cause);
        }
        self.inner.fault(at, cause)
    }

    /// The same where a fault that finds no frame reclaims.
    #[cold]
    #[inline(never)]
    fn fault_relieved(&self, at: VirtAddr, cause: Cause) -> Result<Fault, FaultError> {
        self.memory().relieved(|| match self.inner.fault(at, cause)? {
            // In the same fault, as in Linux (facts 7.2): before the next one reclaim could take
            // the page away again to make room for its copy.
            Fault::SwappedIn if cause == Cause::Store && !cause.is_allowed_by(self.entry(at)) => {
                self.inner.fault(at, cause)
            }
            fault => Ok(fault),
        })
    }

    /// Says where the memory below the program break starts, as a loader does when it has placed
    /// the program; the break is there. What an earlier break has mapped stays.
    ///
    /// # Errors
    /// When the address lies outside the limits.
    pub fn place_break(&self, start: VirtAddr) -> Result<(), SpaceError> {
        self.inner.place_break(start)
    }

    /// Where the program break is, once it has been placed. A child has its parent's.
    pub fn program_break(&self) -> Option<VirtAddr> {
        self.inner.program_break()
    }

    /// Moves the program break (brk): private memory is mapped for reading and writing up to the
    /// page that holds the byte before it, or unmapped from there on.
    ///
    /// # Errors
    /// When the break has not been placed, would lie below its start, or comes to pages that are
    /// mapped (one page stays free), where it would move down over nothing (rule `break-hole`,
    /// facts 7.13), and for a limit or an exhausted heap: the break is where it was.
    pub fn move_break(&self, to: VirtAddr) -> Result<(), SpaceError> {
        self.inner.move_break(to)
    }

    /// Makes every page of `range` accessible, as if each were accessed in turn, at less cost:
    /// MADV_POPULATE_READ and MADV_POPULATE_WRITE, or what MAP_POPULATE does after the mapping,
    /// which ignores the error.
    ///
    /// # Errors
    /// At the first page that is not mapped or may not be accessed so, or for which no frame or
    /// heap is left. What comes before it is populated and stays so.
    pub fn populate(&self, range: VirtRange, access: Access) -> Result<(), Unpopulated> {
        self.inner.populate(range, access)
    }

    /// Keeps the pages of `range` in memory, and makes all of them accessible at once, as
    /// [`AddressSpace::populate`] does: mlock(2). They are not dropped by [`Advice::DontNeed`];
    /// unmapping ends it, and a child's pages are not locked. They count against
    /// [`Limits::locked`], apart from those that pins hold.
    ///
    /// # Errors
    /// When the limit forbids it, or an area must be split, and the heap is exhausted or the limit
    /// on areas reached: nothing has changed then. When part of the range is not mapped: what lies
    /// before that is locked, and not populated. When part of the range cannot be populated: all of
    /// it is locked nevertheless.
    pub fn mlock(&self, range: VirtRange) -> Result<(), LockError> {
        self.inner.mlock(range)
    }

    /// Ends what [`AddressSpace::mlock`] began: munlock(2).
    ///
    /// # Errors
    /// When an area must be split, and the heap is exhausted or the limit on areas reached: nothing
    /// has changed then. When part of the range is not mapped: what lies before that is unlocked.
    pub fn munlock(&self, range: VirtRange) -> Result<(), SpaceError> {
        self.inner.munlock(range)
    }

    /// Pages in areas that are locked in memory.
    pub fn mlocked_pages(&self) -> u64 {
        self.inner.read_map().locked()
    }

    /// Belongs to a group of memory from now on, in place of the one that it may have belonged to:
    /// what it makes is charged there, as are its future children. What it has made stays charged
    /// as it is: see [`AddressSpace::move_charge`].
    ///
    /// # Panics
    /// When the group is another machine's.
    pub fn join(&self, group: &Group<P>) {
        self.inner.join_group(Some(self.own(group)));
    }

    /// Belongs to the group of another address space of the same machine from now on, or to none as
    /// that one: for a program that a process executes in an address space of its own (exec).
    pub fn join_as(&self, other: &Self) {
        self.inner.join_as(&other.inner);
    }

    /// Belongs to no group any more: nobody is charged for what it makes.
    pub fn leave_group(&self) {
        self.inner.join_group(None);
    }

    /// Moves the charges of the pages of `range` from one group to another, with all that the
    /// groups count of them: of the pages that are mapped there, and those that files and shared
    /// memory have in memory for it, as far as the rule `memcg-lock` moves these. Pages that are
    /// charged to a third group or to none stay as they are. (What
    /// `memory.move_charge_at_immigrate` did when a process changed its group; Linux has given that
    /// up.)
    ///
    /// # Errors
    /// When the range leaves the limits, and when the pages that are to move would exceed the
    /// limit of the group that they move to: none has moved then.
    ///
    /// # Panics
    /// When a group is another machine's.
    pub fn move_charge(
        &self,
        range: VirtRange,
        from: &Group<P>,
        to: &Group<P>,
    ) -> Result<Recharged, SpaceError> {
        self.inner.move_charge(range, self.own(from), self.own(to))
    }

    fn own(&self, group: &Group<P>) -> GroupId {
        assert!(group.is_of(self.memory()), "the group is another machine's");
        group.id()
    }

    /// A child with the same areas and of the same group: private pages are shared until written,
    /// except pinned ones, which the rule `fork-pin` may copy so that they stay with this address
    /// space.
    ///
    /// # Errors
    /// When frames or heap run out: the half-made child is gone, and this address space still has
    /// all that it had.
    pub fn fork(&self) -> Result<Self, SpaceError> {
        self.memory().relieved(|| self.inner.fork()).map(Self::of)
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

    /// Makes entries of `range` PROT_NONE, as NUMA balancing's scanner does for a process of
    /// several threads (facts 4.2). Returns how many.
    pub fn numa_scan(&self, range: VirtRange) -> u64 {
        self.numa_scan_of(range, Users::Several)
    }

    /// As [`AddressSpace::numa_scan`], by a thread that knows whether others use this address
    /// space. The only one gets no hinting faults on private pages that lie on the node where it
    /// runs (facts 4.1), which is [`Platform::node`] during the call.
    pub fn numa_scan_of(&self, range: VirtRange, users: Users) -> u64 {
        self.inner.numa_scan(range, users)
    }

    /// Writes the dirty pages of files whose shared mappings lie in `range` back to their stores,
    /// wherever else they are mapped (msync with MS_SYNC). Returns how many there were. Waits for
    /// pages that others write back. Other mappings are passed over, as there is nothing to do.
    ///
    /// # Errors
    /// At the first page that is not mapped, or that its store does not take: what comes before it
    /// has been written, all else is still dirty.
    pub fn sync(&self, range: VirtRange) -> Result<u64, SyncError> {
        self.inner.sync(range)
    }

    /// Forgets which pages were stored to (soft-dirty): what writing 4 to /proc/PID/clear_refs
    /// does. From now on [`AddressSpace::is_soft_dirty`] tells of stores that come after this call.
    /// The first store to each page faults for that. Since 5.11 pages that may be pinned, and that
    /// the owner could write to, keep their write permission and stay soft-dirty, for ever (rule
    /// `clear-refs-pinned`, facts 7.6). Huge pages of the pool count as stored to at all times.
    ///
    /// # Errors
    /// When the format of entries has no bit for this ([`crate::Format::SOFT_DIRTY`]): nothing has
    /// changed then.
    pub fn clear_soft_dirty(&self) -> Result<(), SpaceError> {
        self.inner.clear_soft_dirty()
    }

    /// Whether `at`'s page may have been stored to since [`AddressSpace::clear_soft_dirty`], or was
    /// mapped or moved since then: bit 55 of /proc/PID/pagemap. What a device writes by a pin is
    /// not seen. Pages by which an area has grown in place, by a remap or as a stack, go by their
    /// entries as the area does: they are not soft-dirty before the first store to them.
    ///
    /// # Errors
    /// When nothing is mapped there.
    pub fn is_soft_dirty(&self, at: VirtAddr) -> Result<bool, SpaceError> {
        self.inner.is_soft_dirty(at)
    }

    /// Tells of each page of `range`, in order, whether it is in memory (mincore): mapped, the zero
    /// page included, on the move, or in the swap cache or an object for whoever accesses it. What
    /// is on a swap device, or untouched, is not. It may change before the call returns. `tell` may
    /// not call the manager.
    ///
    /// # Errors
    /// When the range leaves the limits, or part of it is not mapped (ENOMEM): the pages before
    /// that have been told of.
    pub fn resident(&self, range: VirtRange, tell: impl FnMut(bool)) -> Result<(), SpaceError> {
        self.inner.resident(range, tell)
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

    /// The current entry of `at`'s page; none past the limit. Waits for the address space's lock,
    /// so that no change of what is mapped is half done: not for the methods of a platform, nor for
    /// callers that hold a lock which a flush takes. These have [`AddressSpace::walk`].
    pub fn entry(&self, at: VirtAddr) -> Pte<P::Format> {
        let _map = self.inner.read_map();
        self.inner.walk(at.page())
    }

    /// The entry of `at`'s page, read without any lock; none past the limit. For the TLB fill of an
    /// emulated CPU, for a debugger, and for everybody else who may not wait or holds a lock for
    /// which the manager could be waiting.
    ///
    /// # What the answer is worth
    /// It is an entry that the page has had, as a whole, and not older than what the caller knows
    /// to have happened. From then on it is a copy: the entry may change before the call returns.
    /// In the middle of a change it may be none although the page is mapped before and after, since
    /// the manager takes an entry out before it puts the next one in.
    ///
    /// # What keeps the tables
    /// The walk opens a section ([`Platform::walk_begin`]), as the lock-free pin does: a table that
    /// an unmap takes out meanwhile is freed after the section. The root lives as long as `self`.
    /// The section ends with the call, and it has never kept a *page*: the frame that the answer
    /// names may be free, and in use for something else.
    ///
    /// # What the caller may do with it
    /// - **Show it**, as a debugger does. To look at the page, too, take a reference: with
    ///   [`AddressSpace::get_with`] and [`pin::Path::FastOnly`], which waits for nothing either and
    ///   checks that the page is still the one that was asked for.
    /// - **Use it as a translation**, as a TLB fill does, in this way: the emulated CPU has a lock
    ///   of its own; it holds the lock from before the walk until it has done the access or filed
    ///   the translation, and for each access by a filed translation; and [`Platform::flush`] takes
    ///   the lock of every such CPU, discards its translations of the scope, and lets go. A walk
    ///   before that flush is over before the flush returns, and the frame is freed only then. A
    ///   walk after it sees what the flush was for, as the lock orders it.
    ///   [`Cause::is_allowed_by`] says whether an access passes an entry. What does not pass is
    ///   for [`AddressSpace::fault`], **without** that lock, as a fault may flush; it also sets the
    ///   accessed and dirty marks, as the emulated CPU sets none.
    ///
    /// # What the caller may not do
    /// - Call it inside a section of its own, or from a platform's `table`, `event` or `bug`, which
    ///   run inside sections at times: they do not nest.
    /// - Believe none: only [`AddressSpace::fault`] and [`AddressSpace::is_mapped`] know whether
    ///   something is mapped.
    ///
    /// ```
    /// # use pinfold::{mock::Host, *};
    /// # let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 16 };
    /// # // SAFETY: the host has these frames, and nobody else uses it.
    /// # let memory = unsafe {
    /// #     Memory::new(Host::<X86_64>::new(16), &[span], Rules::default(), Tuning::default())?
    /// # };
    /// # let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
    /// # let at = space.map(Place::Anywhere, 1, Prot::READ_WRITE, Sharing::Private)?.start();
    /// assert!(space.walk(at).is_none());
    /// while !Cause::Store.is_allowed_by(space.walk(at)) {
    ///     space.fault(at, Cause::Store)?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn walk(&self, at: VirtAddr) -> Pte<P::Format> {
        self.inner.walk(at.page())
    }

    /// The address space, for one who may outlive its owner.
    pub(crate) fn shared(&self) -> Shared<Space<P>> {
        self.inner.clone()
    }

    /// Gives up ownership without exit.
    pub(crate) fn into_inner(self) -> Shared<Space<P>> {
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is never used or dropped again, so the owner moves out once.
        unsafe { core::ptr::read(&this.inner) }
    }
}

/// Takes no lock, so that it may be printed anywhere: its name and its root.
impl<P: Platform> fmt::Debug for AddressSpace<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, root) = (self.id(), self.root());
        f.debug_struct("AddressSpace").field("id", &id).field("root", &root).finish_non_exhaustive()
    }
}

impl<P: Platform> Drop for AddressSpace<P> {
    fn drop(&mut self) {
        self.inner.exit();
    }
}
