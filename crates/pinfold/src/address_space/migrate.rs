//! Moving pages between nodes.

use super::AddressSpace;
use crate::addr::{NodeId, VirtAddr, VirtRange};
use crate::migrate::{MigrateMode, MoveScope, Moved, Mover, NotMoved, PageStatus, Strict};
use crate::platform::Platform;

impl<P: Platform> AddressSpace<P> {
    /// Moves the pages of `range` to `node`, as memory hotplug and CMA do (facts 4.5): every page
    /// is tried, also one that was swapped out and is still in memory, and one of a file or of
    /// shared memory, which moves for all who map it. To a node that does not exist nothing moves.
    pub fn migrate(&self, range: VirtRange, node: NodeId) -> Moved {
        self.migrate_as(range, node, MigrateMode::Sync)
    }

    /// As [`AddressSpace::migrate`], by a caller that can wait or not.
    pub fn migrate_as(&self, range: VirtRange, node: NodeId, mode: MigrateMode) -> Moved {
        self.inner.migrate_range(range, node, (Mover::Request, mode))
    }

    /// Moves pages, each to its node (move_pages): the large folio that one is part of moves as a
    /// whole. `tell` learns of each, in order, where it is, or why it stays. It may not call the
    /// manager.
    ///
    /// ```
    /// # use pinfold::{mock::Host, *};
    /// # let span = |node, first| NodeSpan { node: NodeId(node), first: Pfn(first), frames: 16 };
    /// # let spans = [span(0, 0), span(1, 16)];
    /// # // SAFETY: the host has these frames, and nobody else uses it.
    /// # let memory = unsafe {
    /// #     Memory::new(Host::<X86_64>::new(32), &spans, Rules::default(), Tuning::default())?
    /// # };
    /// # let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
    /// let range = space.map(Place::Anywhere, 1, Prot::READ_WRITE, Sharing::Private)?;
    /// space.populate(range, Access::Write)?;
    /// space.move_pages(&[(range.start(), NodeId(1))], MoveScope::Own, |status| {
    ///     assert_eq!(status, PageStatus::On(NodeId(1)));
    /// });
    /// let pins = space.pin(range, Access::Write, Term::Long)?;
    /// space.move_pages(&[(range.start(), NodeId(0))], MoveScope::Own, |status| {
    ///     assert_eq!(status, PageStatus::Busy, "a pinned page stays");
    /// });
    /// assert_eq!(space.page_status(range.start()), PageStatus::On(NodeId(1)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn move_pages(
        &self,
        pages: &[(VirtAddr, NodeId)],
        scope: MoveScope,
        tell: impl FnMut(PageStatus),
    ) {
        self.inner.move_pages(pages, scope, tell);
    }

    /// On which node `at`'s page lies: move_pages without nodes.
    pub fn page_status(&self, at: VirtAddr) -> PageStatus {
        self.inner.page_status(at.page())
    }

    /// Moves the pages of `range` that the scope allows to `node`, as mbind does with
    /// MPOL_MF_MOVE or MPOL_MF_MOVE_ALL for what is there already. What was swapped out is passed
    /// over, also if it is still in memory.
    ///
    /// # Errors
    /// When there is no such node, or the range has a hole: nothing was touched. With
    /// [`Strict::Strict`], when a page stays elsewhere: what could move has moved.
    pub fn move_range(
        &self,
        range: VirtRange,
        node: NodeId,
        scope: MoveScope,
        strict: Strict,
    ) -> Result<Moved, NotMoved> {
        self.inner.move_range(range, node, (scope, strict))
    }

    /// Moves the pages of `range` to `node`, as compaction does: anonymous pages that have more
    /// references than mappings, pinned ones for instance, are passed over before an entry is
    /// touched, and count neither as moved nor as failed (facts 12.7a); so are pages that are not
    /// on their list, as they wait in a CPU's batch ([`crate::Tuning::lru_batch`]) or are somebody
    /// else's just now. It waits for locks, and not for writeback ([`MigrateMode::SyncLight`]).
    pub fn compact(&self, range: VirtRange, node: NodeId) -> Moved {
        self.compact_as(range, node, MigrateMode::SyncLight)
    }

    /// As [`AddressSpace::compact`], by a caller that waits for more or less: in Linux compaction
    /// begins with [`MigrateMode::Async`].
    pub fn compact_as(&self, range: VirtRange, node: NodeId, mode: MigrateMode) -> Moved {
        self.inner.migrate_range(range, node, (Mover::Compaction, mode))
    }
}
