//! Errors, one enum for each domain. Each says what the caller can do about it.

use core::fmt;

use crate::addr::{Pfn, RangeError, VirtAddr, VirtRange};

/// The heap is exhausted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoMemory;

impl fmt::Display for NoMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the heap is exhausted: free something and try again")
    }
}

impl core::error::Error for NoMemory {}

/// Every node that the request may use is out of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfFrames;

impl fmt::Display for OutOfFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of frames: unmap something and try again")
    }
}

impl core::error::Error for OutOfFrames {}

/// Why an operation on an address space was refused. Nothing has changed unless the variant says
/// so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SpaceError {
    /// The range itself is malformed.
    Range(RangeError),
    /// Part of the range is not mapped; the first such address.
    NotMapped(VirtAddr),
    /// A fixed mapping would cover an existing one.
    Occupied(VirtRange),
    /// No gap of that many pages is left.
    NoGap {
        /// The pages asked for.
        pages: u64,
    },
    /// The range leaves the addresses that this address space may use.
    OutsideLimits(VirtRange),
    /// The mapped pages would exceed the address-space limit.
    TooManyPages {
        /// The limit in pages.
        limit: u64,
    },
    /// The locked pages would exceed the limit on locked memory.
    TooManyLocked {
        /// The limit in pages.
        limit: u64,
    },
    /// The mapping at this address is locked in memory, so that its pages cannot be dropped; those
    /// that lie before it in the range have been.
    Locked(VirtAddr),
    /// There would be more areas than the limit allows: a new one, or parts of one that is cut.
    TooManyAreas {
        /// The limit.
        limit: usize,
    },
    /// A remap is of one mapping, and the range is of several.
    NotOneMapping(VirtRange),
    /// A remap would make a shared mapping longer than its memory, which has the size that it was
    /// made with.
    FixedSize(VirtRange),
    /// A remap cannot move a range over itself.
    Overlaps(VirtRange),
    /// A remap that keeps the old mapping cannot change its size.
    SizeChanges {
        /// The pages asked for.
        pages: u64,
    },
    /// The mapping at this address is of a kind that the request does not apply to: WIPEONFORK
    /// needs private memory, writeback a file.
    WrongKind(VirtAddr),
    /// No frame was left. For fork: the child is gone, and the parent still has all it had.
    OutOfFrames,
    /// The heap is exhausted.
    NoMemory,
}

impl fmt::Display for SpaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(error) => error.fmt(f),
            Self::NotMapped(at) => write!(f, "nothing is mapped at {at}: map it first"),
            Self::Occupied(range) => {
                write!(f, "{range} overlaps a mapping: unmap it or let the system choose a place")
            }
            Self::NoGap { pages } => write!(f, "no gap of {pages} pages is left: unmap something"),
            Self::OutsideLimits(range) => {
                write!(f, "{range} lies outside the addresses of this space: choose a lower range")
            }
            Self::TooManyPages { limit } => {
                write!(f, "more than {limit} pages would be mapped: raise the limit or unmap")
            }
            Self::TooManyLocked { limit } => {
                write!(f, "more than {limit} pages would be locked: raise the limit or unlock")
            }
            Self::Locked(at) => {
                write!(f, "the mapping at {at} is locked in memory: unlock it first")
            }
            Self::TooManyAreas { limit } => write!(
                f,
                "there would be more than {limit} areas: raise the limit, or unmap or merge some"
            ),
            Self::NotOneMapping(range) => {
                write!(f, "{range} is of several mappings: remap each of them")
            }
            Self::FixedSize(range) => {
                write!(f, "the memory shared at {range} cannot grow: map more of it apart")
            }
            Self::Overlaps(range) => {
                write!(f, "{range} overlaps the range that is to move there: choose another place")
            }
            Self::SizeChanges { pages } => {
                write!(f, "a mapping that stays cannot become {pages} pages: remap to its own size")
            }
            Self::WrongKind(at) => {
                write!(
                    f,
                    "the mapping at {at} is shared: this advice applies only to private mappings"
                )
            }
            Self::OutOfFrames => OutOfFrames.fmt(f),
            Self::NoMemory => NoMemory.fmt(f),
        }
    }
}

impl core::error::Error for SpaceError {}

impl From<RangeError> for SpaceError {
    fn from(error: RangeError) -> Self {
        Self::Range(error)
    }
}

impl From<OutOfFrames> for SpaceError {
    fn from(OutOfFrames: OutOfFrames) -> Self {
        Self::OutOfFrames
    }
}

impl From<NoMemory> for SpaceError {
    fn from(NoMemory: NoMemory) -> Self {
        Self::NoMemory
    }
}

/// Why a fault could not be resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FaultError {
    /// Nothing is mapped there.
    NotMapped(VirtAddr),
    /// The area forbids the access.
    Denied(VirtAddr),
    /// No frame was left: the entry is unchanged.
    OutOfFrames,
    /// The heap is exhausted: the entry is unchanged.
    NoMemory,
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMapped(at) => write!(f, "nothing is mapped at {at}"),
            Self::Denied(at) => write!(f, "the mapping at {at} forbids the access"),
            Self::OutOfFrames => OutOfFrames.fmt(f),
            Self::NoMemory => NoMemory.fmt(f),
        }
    }
}

impl core::error::Error for FaultError {}

impl From<OutOfFrames> for FaultError {
    fn from(OutOfFrames: OutOfFrames) -> Self {
        Self::OutOfFrames
    }
}

impl From<NoMemory> for FaultError {
    fn from(NoMemory: NoMemory) -> Self {
        Self::NoMemory
    }
}

/// Why pages could not be pinned or referenced. Nothing is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PinError {
    /// The range itself is malformed.
    Range(RangeError),
    /// The address cannot be accessed as asked: EFAULT.
    Fault(FaultError),
    /// The frame has so many references that one more could overflow: ENOMEM.
    Overflow(Pfn),
    /// Long-term pins would exceed the limit on locked memory.
    TooManyLocked {
        /// The limit in pages.
        limit: u64,
    },
    /// The caller's slice is too short for all pages.
    TooFewSlots {
        /// The number of pages.
        needed: u64,
    },
    /// The lock-free path found nothing that it may take, and the caller forbade the slow path.
    WouldBlock(VirtAddr),
    /// The heap is exhausted.
    NoMemory,
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(error) => error.fmt(f),
            Self::Fault(error) => error.fmt(f),
            Self::Overflow(pfn) => {
                write!(f, "{pfn} has too many references for one more: release some first")
            }
            Self::TooManyLocked { limit } => {
                write!(f, "more than {limit} pages would be locked: raise the limit or unpin")
            }
            Self::TooFewSlots { needed } => {
                write!(f, "the bytes span {needed} pages: pass a slice with a slot for each")
            }
            Self::WouldBlock(at) => {
                write!(f, "{at} needs the slow path: fault it in first, or allow the slow path")
            }
            Self::NoMemory => NoMemory.fmt(f),
        }
    }
}

impl core::error::Error for PinError {}

impl From<RangeError> for PinError {
    fn from(error: RangeError) -> Self {
        Self::Range(error)
    }
}

impl From<FaultError> for PinError {
    fn from(error: FaultError) -> Self {
        Self::Fault(error)
    }
}

impl From<NoMemory> for PinError {
    fn from(NoMemory: NoMemory) -> Self {
        Self::NoMemory
    }
}
