//! What programs ask for: pages one by one with a status for each (move_pages), and a range whose
//! pages all should lie on a node (mbind). facts 4.5, 7.3
//!
//! Protocol: as `range`: the address space's lock is held only to find and isolate a page. The
//! batches of the LRU lists are drained once for a call, as their references would keep what waits
//! there from moving.
//!
//! INV-MIG-7: a status is that of one moment: a page of which it says that it lies on a node did so
//! at the end of its attempt, or when it was looked at.

use core::fmt;

use super::{MigrateMode, Moved, Mover, Stays, Target};
use crate::addr::{NodeId, Pfn, VirtAddr, VirtRange, Vpn};
use crate::frame::{Flags, Sizes};
use crate::memory::Memory;
use crate::migrate::Isolated;
use crate::platform::Platform;
use crate::pte::Pte;
use crate::space::{Looked, Space};

/// Which pages may be moved for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MoveScope {
    /// Those that nobody else maps (MPOL_MF_MOVE).
    Own,
    /// Those of others, too, for whom they move as well (MPOL_MF_MOVE_ALL): for a privileged
    /// caller.
    All,
}

/// Whether a page of a range that stays is an error (MPOL_MF_STRICT).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strict {
    /// It is not: what moves has moved.
    No,
    /// It is.
    Strict,
}

/// Some pages of a range are not where they should be (EIO). Those that could move have moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotMoved(
    /// How many moved, and how many stayed.
    pub Moved,
);

impl fmt::Display for NotMoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moved { moved, failed } = self.0;
        write!(
            f,
            "{failed} pages stay where they are, {moved} have moved: release what refers to them, \
             or free frames of that node"
        )
    }
}

impl core::error::Error for NotMoved {}

/// Where a page is, or why it is not where it should be: what move_pages writes to its `status`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageStatus {
    /// On this node: it has moved, or was there, or nobody asked it to move.
    On(NodeId),
    /// Nothing is mapped there, or nothing but the zero page (EFAULT).
    NotMapped,
    /// There is no page at present: never touched, swapped out, or on the move for somebody else
    /// (ENOENT).
    Absent,
    /// Others map the page, too, and the scope is [`MoveScope::Own`] (EACCES).
    Shared,
    /// Somebody refers to the page, by a pin for instance, or handles it (EBUSY). Linux says so of
    /// a page that it cannot isolate; of one whose references keep it, it says how many there
    /// were, and leaves the status as it was.
    Busy,
    /// The node has no frame for it (ENOMEM).
    NoFrame,
    /// There is no such node (ENODEV). Linux fails the call.
    NoNode,
    /// The page is of a kind that this manager leaves where it lies: of a file or shared memory, of
    /// the pool of huge pages, or merged (EINVAL). Linux moves those.
    Fixed,
}

impl PageStatus {
    /// The number that Linux writes: the node, or an error number below zero.
    pub const fn number(self) -> i32 {
        match self {
            Self::On(node) => node.0 as i32,
            Self::Absent => -2,
            Self::NoFrame => -12,
            Self::Shared => -13,
            Self::NotMapped => -14,
            Self::Busy => -16,
            Self::NoNode => -19,
            Self::Fixed => -22,
        }
    }
}

impl fmt::Display for PageStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On(node) => return write!(f, "on {node}"),
            Self::NotMapped => "nothing is mapped there: map it, and write to it first",
            Self::Absent => "no page is there now: touch it first",
            Self::Shared => "others map the page, too: ask for those to be moved as well",
            Self::Busy => "somebody refers to the page: release that first",
            Self::NoFrame => "the node has no free frame: free some there",
            Self::NoNode => "there is no such node: choose one of the machine's",
            Self::Fixed => "pages of this kind do not move: choose private memory",
        })
    }
}

impl<P: Platform> Space<P> {
    /// Moves pages, each to its node; `tell` learns what became of each, in order.
    pub(crate) fn move_pages(
        &self,
        pages: &[(VirtAddr, NodeId)],
        scope: MoveScope,
        mut tell: impl FnMut(PageStatus),
    ) {
        self.mem().lru_add_drain_all();
        for (at, to) in pages {
            tell(self.move_page(at.page(), *to, scope));
        }
    }

    fn move_page(&self, page: Vpn, to: NodeId, scope: MoveScope) -> PageStatus {
        let mem = self.mem();
        if !mem.frames().has_node(to) {
            return PageStatus::NoNode;
        }
        match self.look_up(page, |mem, pfn| mem.pick(pfn, to, scope)) {
            Err(status) => status,
            Ok(picked) => {
                match mem.migrate_telling(picked, Target::node(to), MigrateMode::Sync).1 {
                    Ok(()) => PageStatus::On(to),
                    Err(Stays::Busy) => PageStatus::Busy,
                    Err(Stays::NoFrame) => PageStatus::NoFrame,
                }
            }
        }
    }

    /// Where a page is now.
    pub(crate) fn page_status(&self, page: Vpn) -> PageStatus {
        let on = |mem: &Memory<P>, pfn| PageStatus::On(mem.frames().node(pfn));
        self.look_up(page, |mem, pfn| Ok(on(mem, pfn))).unwrap_or_else(|status| status)
    }

    /// What `look` makes of the page that is mapped, whose table is locked.
    fn look_up<'s, T>(
        &'s self,
        page: Vpn,
        look: impl Fn(&'s Memory<P>, Pfn) -> Result<T, PageStatus>,
    ) -> Result<T, PageStatus> {
        if page >= self.end_page() || self.read_map().find(page).is_none() {
            return Err(PageStatus::NotMapped);
        }
        let mut found = Err(PageStatus::Absent);
        self.look_at(page..page + 1, |pte: Pte<P::Format>| {
            found = match pte.counted() {
                Some(pfn) => look(self.mem(), pfn),
                None if pte.is_mapped() => Err(PageStatus::NotMapped),
                None => Err(PageStatus::Absent),
            };
            Looked::Enough
        });
        found
    }

    /// Moves the pages of a range, of those that the scope allows.
    pub(crate) fn move_range(
        &self,
        range: VirtRange,
        node: NodeId,
        (scope, strict): (MoveScope, Strict),
    ) -> Result<Moved, NotMoved> {
        let how = (Mover::Request(scope), MigrateMode::Sync);
        let moved = self.migrate_range(range, node, how);
        match strict {
            Strict::Strict if moved.failed > 0 => Err(NotMoved(moved)),
            Strict::Strict | Strict::No => Ok(moved),
        }
    }
}

impl<P: Platform> Memory<P> {
    /// Isolates the folio of a page that an entry maps, whose table is locked, for it to move to
    /// `to`; or says why it need not, or cannot.
    fn pick(&self, pfn: Pfn, to: NodeId, scope: MoveScope) -> Result<Isolated<'_, P>, PageStatus> {
        if self.frames().node(pfn) == to {
            return Err(PageStatus::On(to));
        }
        let flags = self.frames().flags(pfn);
        let fixed = flags.contains(Flags::MERGED) || flags.contains(Flags::HUGETLB);
        if fixed || !flags.contains(Flags::ANON) {
            return Err(PageStatus::Fixed);
        }
        match scope {
            MoveScope::Own if self.may_be_shared(pfn) => Err(PageStatus::Shared),
            MoveScope::Own | MoveScope::All => {
                self.isolate(pfn, Sizes::Any).ok_or(PageStatus::Busy)
            }
        }
    }
}
