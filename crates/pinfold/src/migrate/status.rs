//! What a request to move pages says of them, and how far it goes.

use core::fmt;

use crate::addr::NodeId;

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
    /// The page is of a kind that this manager leaves where it lies: of the pool of huge pages, or
    /// merged; or it was taken out of its file, and whoever holds it keeps it here (EINVAL). Linux
    /// moves those of the first two kinds.
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
            Self::Fixed => {
                "pages of this kind do not move: choose one that is not merged, pooled or cut off"
            }
        })
    }
}
