//! Userfaultfds, as an embedder asks for them: see [`crate::userfault`].

use crate::addr::{Pfn, VirtAddr, VirtRange};
use crate::address_space::AddressSpace;
use crate::error::SpaceError;
use crate::platform::Platform;
use crate::uffd::{UffdId, UffdMode};
use crate::userfault::UffdError;

impl<P: Platform> AddressSpace<P> {
    /// Registers the areas of `range` with a userfaultfd (UFFDIO_REGISTER), in place of the modes
    /// that they were registered for: accesses that `mode` names fail from now on with
    /// [`FaultError::Userfault`], and the caller has them wait until its monitor has resolved them:
    ///
    /// ```
    /// # use pinfold::{mock::Host, *};
    /// # let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 16 };
    /// # // SAFETY: the host has these frames, and nobody else uses it.
    /// # let memory = unsafe {
    /// #     Memory::new(Host::<X86_64>::new(16), &[span], Rules::default(), Tuning::default())?
    /// # };
    /// # let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
    /// let range = space.map(Place::Anywhere, 1, Prot::READ_WRITE, Sharing::Private)?;
    /// space.uffd_register(range, UffdId(0), UffdMode::MISSING)?;
    /// # let monitor = |at| space.uffd_copy(at, false, |_| ());
    /// loop {
    ///     let seen = space.uffd_resolved();
    ///     match space.fault(range.start(), Cause::Load) {
    ///         Err(FaultError::Userfault { at, .. }) => {
    ///             monitor(at)?; // On another thread: this one goes on when it is done.
    ///             space.uffd_wait(seen);
    ///         }
    ///         done => break done.map(|_| ())?,
    ///     };
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Pins and [`AddressSpace::populate`] meet the same error. Under rules of releases that could
    /// not watch what is asked for it is refused (rule `uffd`, facts 7.14).
    ///
    /// # Errors
    /// When nothing of the range is mapped (holes are passed over), when part of it is registered
    /// with another userfaultfd or cannot be registered so, and when an area must be split, and the
    /// heap is exhausted or the limit on areas reached: nothing has changed then.
    ///
    /// [`FaultError::Userfault`]: crate::FaultError::Userfault
    pub fn uffd_register(
        &self,
        range: VirtRange,
        uffd: UffdId,
        mode: UffdMode,
    ) -> Result<(), SpaceError> {
        self.inner.uffd_register(range, uffd, mode)
    }

    /// Ends what [`AddressSpace::uffd_register`] began (UFFDIO_UNREGISTER): who waits goes on, and
    /// nothing is protected any more. What is not registered is passed over.
    ///
    /// # Errors
    /// When nothing of the range is mapped, or an area must be split, and the heap is exhausted or
    /// the limit on areas reached: nothing has changed then.
    pub fn uffd_unregister(&self, range: VirtRange) -> Result<(), SpaceError> {
        self.inner.uffd_unregister(range)
    }

    /// Resolves a missing page with one that `fill` fills, whose frame it is given (UFFDIO_COPY):
    /// protected from writes if `protect` says so. In shared memory all who map it have the page.
    /// `fill` may not call the manager. Who waits goes on.
    ///
    /// # Errors
    /// When nothing is registered there, a page is there already, or frames, heap or the limit of a
    /// group are exhausted: nothing has changed then.
    pub fn uffd_copy(
        &self,
        at: VirtAddr,
        protect: bool,
        fill: impl FnOnce(Pfn),
    ) -> Result<(), UffdError> {
        self.inner.uffd_copy(at.page(), protect, fill)
    }

    /// Resolves a missing page of private memory with the zero page (UFFDIO_ZEROPAGE), one of
    /// shared memory with a page of zeros. Who waits goes on.
    ///
    /// # Errors
    /// As [`AddressSpace::uffd_copy`].
    pub fn uffd_zero(&self, at: VirtAddr) -> Result<(), UffdError> {
        self.memory().relieved(|| self.inner.uffd_zero(at.page()))
    }

    /// Resolves a minor fault (UFFDIO_CONTINUE): the page that the shared memory has there is
    /// mapped, protected from writes if `protect` says so. Who waits goes on.
    ///
    /// # Errors
    /// When nothing is registered there, no page is there to map, one is mapped already, or frames
    /// for tables are exhausted: nothing has changed then.
    pub fn uffd_continue(&self, at: VirtAddr, protect: bool) -> Result<(), UffdError> {
        self.memory().relieved(|| self.inner.uffd_continue(at.page(), protect))
    }

    /// Protects the pages of `range` from writes, of which the monitor is told from now on, or with
    /// `protect` false takes that back (UFFDIO_WRITEPROTECT); then who waits goes on. When it
    /// returns, no CPU writes to what is protected. Private memory that nobody has touched is
    /// passed over, unless [`UffdMode::WP_UNPOPULATED`] was asked for.
    ///
    /// # Errors
    /// When part of the range is not mapped or not registered for [`UffdMode::WP`]: nothing has
    /// changed then. When frames for tables are exhausted: what lies before has changed.
    pub fn uffd_write_protect(&self, range: VirtRange, protect: bool) -> Result<(), SpaceError> {
        self.memory().relieved(|| self.inner.uffd_write_protect(range, protect))
    }

    /// How often a monitor has resolved faults of this address space: read it before a fault, for
    /// [`AddressSpace::uffd_wait`]. Wraps.
    pub fn uffd_resolved(&self) -> u32 {
        self.inner.uffd_resolved.seen()
    }

    /// Sleeps until a monitor has resolved some fault of this address space since
    /// [`AddressSpace::uffd_resolved`] was `seen`; no resolution in between is missed. Which fault
    /// it was the repeated access finds out.
    pub fn uffd_wait(&self, seen: u32) {
        self.inner.uffd_resolved.wait(seen, self.memory().platform());
    }

    /// Has all who wait for a monitor look again (UFFDIO_WAKE).
    pub fn uffd_wake(&self) {
        self.inner.uffd_resolved.advance(self.memory().platform());
    }
}
