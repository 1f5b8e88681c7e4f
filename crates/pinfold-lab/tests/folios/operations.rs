//! What lanes do, and what there is before them.

use pinfold::{CollapseError, FaultError, LockError, PinError, SpaceError, SplitError};

/// The first page of the folio: all pages of the second table of the small format.
pub(crate) const FIRST: u64 = 4;
/// How many pages it has.
pub(crate) const PAGES: u64 = 4;
/// The page that most operations are about: a tail of the folio.
pub(crate) const TAIL: u64 = FIRST + 1;
/// Where other memory lies, where there is any: all pages of a table.
pub(crate) const BESIDE: u64 = 8;
/// Where the second half of a folio goes that is moved by halves: into another table.
pub(crate) const ASIDE: u64 = 10;

/// Whose memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    Owner,
    /// The child that was forked before the lanes.
    Child,
}

/// Which pages, by the place that they had when the folio was new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    All,
    /// With the head and the page of loads and stores.
    Lower,
    Upper,
    /// All but the first.
    Tails,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Of the page [`TAIL`].
    Load,
    /// To the page [`TAIL`].
    Store,
    /// To the folio's first page.
    StoreHead,
    /// To other memory, for which there may be a folio.
    StoreBeside,
    PinWrite,
    PinRead,
    /// Without a lock or not at all.
    PinFast,
    /// A reference for reading, which stays.
    Get,
    /// A reference by the number of the frame that was the folio's second one before the lanes.
    Reference,
    /// The same of the first one.
    ReferenceHead,
    /// Gives a single frame back that the embedder has, which the next table takes.
    GiveFrame,
    /// Gives the hold back that was taken before the lanes.
    LetGo,
    Split,
    /// Splits what waits to be split.
    SplitQueued,
    /// Makes one folio, which one entry maps, of what the table maps.
    Collapse,
    Unmap(Part),
    DontNeed(Part),
    /// Moves the upper half into another table.
    Move,
    ReadOnly,
    Writable,
    Lock,
    Unlock,
    Fork,
    Scan,
    Migrate,
    Exit,
}

pub(crate) type Act = (Who, What);

/// What there is before the lanes: memory for a folio, and, if nothing else is said, a folio whose
/// pages were all written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setup {
    Untouched,
    Whole,
    /// Then forked.
    Forked,
    /// Then forked, and the child is gone again.
    Alone,
    /// Its upper half is gone, and it waits to be split.
    Partly,
    /// Forked, and the owner has the upper half no more, the child not the lower.
    Halves,
    /// The upper half lies in another table.
    Moved,
    /// Made inaccessible by a scan; lanes run on the other node.
    Hinted,
    /// Pinned for writing.
    Pinned,
    /// Small pages, in an area that may get a folio instead.
    Small,
    /// The same, then forked.
    SmallForked,
    /// The same, one of them pinned for writing.
    SmallPinned,
    /// Small pages, and no other frames are left that could become a folio of other memory, which
    /// there is.
    Reused,
}

impl Setup {
    /// All in which there is room for every operation.
    pub(crate) const MANY: [Self; 10] = [
        Self::Untouched,
        Self::Whole,
        Self::Forked,
        Self::Alone,
        Self::Partly,
        Self::Halves,
        Self::Moved,
        Self::Hinted,
        Self::Pinned,
        Self::Small,
    ];

    /// Those that are more than others to a collapse alone.
    pub(crate) const COLLAPSED: [Self; 2] = [Self::SmallForked, Self::SmallPinned];

    /// Whether one entry may map the folio as the lanes begin, or come to.
    pub(crate) fn may_be_huge(self) -> bool {
        use Setup::{Alone, Forked, Hinted, Pinned, Untouched, Whole};
        matches!(self, Untouched | Whole | Forked | Alone | Hinted | Pinned)
    }

    pub(crate) fn has_child(self) -> bool {
        matches!(self, Self::Forked | Self::Halves | Self::SmallForked)
    }

    pub(crate) fn is_pinned(self) -> bool {
        matches!(self, Self::Pinned | Self::SmallPinned)
    }

    /// Whether it has small pages in place of a folio.
    pub(crate) fn is_small(self) -> bool {
        matches!(self, Self::Small | Self::SmallForked | Self::SmallPinned | Self::Reused)
    }

    pub(crate) fn is_written(self) -> bool {
        self != Self::Untouched
    }
}

/// How an operation ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    Done,
    Value(u64),
    /// A number of folios were split, and not split.
    Splits(u64, u64),
    NotMapped,
    Denied,
    /// What was asked for is in use, or may not be waited for.
    WouldBlock,
    /// The memory is locked, so that its pages are not dropped.
    Locked,
    /// What is mapped may not become one folio.
    Unsuitable,
    Wrong(String),
}

impl From<SplitError> for Seen {
    fn from(error: SplitError) -> Self {
        match error {
            SplitError::NotLarge => Self::NotMapped,
            SplitError::Locked | SplitError::Pinned(_) | SplitError::Busy { .. } => {
                Self::WouldBlock
            }
            other => Self::Wrong(other.to_string()),
        }
    }
}

impl From<CollapseError> for Seen {
    fn from(error: CollapseError) -> Self {
        match error {
            CollapseError::NotMapped(_) => Self::NotMapped,
            CollapseError::Unsuitable(_) => Self::Unsuitable,
            CollapseError::Locked { .. }
            | CollapseError::Pinned { .. }
            | CollapseError::Busy { .. } => Self::WouldBlock,
            other => Self::Wrong(other.to_string()),
        }
    }
}

impl From<LockError> for Seen {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Refused(error) => error.into(),
            LockError::Unpopulated(stopped) => stopped.error.into(),
        }
    }
}

impl From<FaultError> for Seen {
    fn from(error: FaultError) -> Self {
        match error {
            FaultError::NotMapped(_) => Self::NotMapped,
            FaultError::Denied(_) => Self::Denied,
            other => Self::Wrong(other.to_string()),
        }
    }
}

impl From<PinError> for Seen {
    fn from(error: PinError) -> Self {
        match error {
            PinError::Fault(error) => error.into(),
            PinError::WouldBlock(_) => Self::WouldBlock,
            other => Self::Wrong(other.to_string()),
        }
    }
}

impl From<SpaceError> for Seen {
    fn from(error: SpaceError) -> Self {
        match error {
            SpaceError::NotMapped(_) => Self::NotMapped,
            SpaceError::Locked(_) => Self::Locked,
            other => Self::Wrong(other.to_string()),
        }
    }
}
