//! What the manager itself notices to be wrong: see [`crate::Platform::bug`].

use core::fmt;

use crate::addr::Pfn;
use crate::plural::Counted;

/// A broken invariant that the code itself notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Bug {
    /// More references were dropped than there were (INV-FRAME-1).
    RefUnderflow(Pfn),
    /// A split found fewer references on a folio's head than its tails count and the split has
    /// (INV-TAIL-1).
    SplitShort {
        /// The first page.
        head: Pfn,
        /// The references of tails that it was to give away.
        refs: u32,
        /// Those that it had, one of them the split's.
        had: u32,
    },
    /// More mappings were dropped than there were.
    MapUnderflow(Pfn),
    /// A frame lost its last reference while entries still map it (INV-FRAME-1).
    FreedWhileMapped(Pfn),
    /// The count of locked entries was dropped once more than it was raised (INV-MLOCK-1).
    LockUnderflow(Pfn),
    /// A frame lost its last reference while it counts locked entries (INV-MLOCK-2).
    FreedWhileLocked(Pfn),
    /// A table has a huge entry without a table to split it into: the process loses those pages.
    NoTableDeposited(Pfn),
    /// A large folio lost its last reference while this tail of it counts some (INV-TAIL-1).
    FreedWhileReferenced(Pfn),
    /// The lock of a large folio's tails was taken in a frame that nobody refers to (INV-TAIL-3).
    LockOfFreed(Pfn),
    /// An anonymous page was pinned without being exclusive (INV-PIN-2).
    PinnedNotExclusive(Pfn),
    /// The family of a mapped page has ended, and its memory is free (INV-RMAP-1).
    FamilyFreed(Pfn),
    /// The family of a mapped page has ended, and its memory is another family's (INV-RMAP-1).
    FamilyReused(Pfn),
    /// A swap entry names a page in the swap cache that is exclusive (INV-SWAP-5).
    SwappedExclusive(Pfn),
    /// An anonymous page is mapped writable without being exclusive (facts 1.5 I1).
    WritableNotExclusive(Pfn),
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RefUnderflow(pfn) => {
                write!(f, "{pfn} was given back once more than it counts references")
            }
            Self::SplitShort { head, refs, had } => {
                let needed = refs.saturating_add(1);
                let missing = needed.saturating_sub(*had);
                let (found, missing) = (
                    Counted::new(u64::from(*had), "reference", "references"),
                    Counted::new(u64::from(missing), "is missing", "are missing"),
                );
                write!(
                    f,
                    "a split found {found} on {head}, where tails count {refs} and the split's own \
                     is 1, {refs} + 1 = {needed}: {missing}"
                )
            }
            Self::MapUnderflow(pfn) => write!(f, "{pfn} lost more mappings than it had"),
            Self::FreedWhileMapped(pfn) => write!(f, "{pfn} was freed while still mapped"),
            Self::LockUnderflow(pfn) => write!(f, "{pfn} was unlocked more often than locked"),
            Self::NoTableDeposited(pfn) => {
                write!(f, "a huge entry of table {pfn} has no deposited table: its pages are lost")
            }
            Self::FreedWhileLocked(pfn) => {
                write!(f, "{pfn} was freed while it counts as locked in memory")
            }
            Self::FreedWhileReferenced(pfn) => {
                write!(f, "{pfn} counts references, and the folio that it is part of was freed")
            }
            Self::LockOfFreed(pfn) => {
                write!(f, "the lock of a folio was taken in {pfn}, to which nobody refers")
            }
            Self::PinnedNotExclusive(pfn) => write!(f, "{pfn} was pinned without being exclusive"),
            Self::FamilyFreed(pfn) => {
                write!(f, "the reverse map of {pfn} led into freed memory")
            }
            Self::FamilyReused(pfn) => {
                write!(f, "the reverse map of {pfn} led into another family")
            }
            Self::SwappedExclusive(pfn) => {
                write!(f, "a swap entry names {pfn}, which is exclusive")
            }
            Self::WritableNotExclusive(pfn) => {
                write!(f, "{pfn} is mapped writable without being exclusive")
            }
        }
    }
}
