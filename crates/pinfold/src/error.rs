//! Errors, one enum for each domain. Each says what the caller can do about it.

use core::fmt;

use crate::addr::{Pfn, RangeError, VirtAddr, VirtRange};
use crate::plural::Counted;
use crate::uffd::{UffdId, UffdReason};

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

/// What an error says of frames.
pub(crate) trait Shortage {
    /// Whether frames are what there was none of.
    fn is_of_frames(&self) -> bool;
}

impl Shortage for SpaceError {
    fn is_of_frames(&self) -> bool {
        matches!(self, Self::OutOfFrames)
    }
}

impl Shortage for FaultError {
    fn is_of_frames(&self) -> bool {
        matches!(self, Self::OutOfFrames)
    }
}

impl Shortage for PinError {
    fn is_of_frames(&self) -> bool {
        matches!(self, Self::Fault(FaultError::OutOfFrames))
    }
}

impl Shortage for FileError {
    fn is_of_frames(&self) -> bool {
        matches!(self, Self::OutOfFrames)
    }
}

/// A group of memory is charged for as many pages as its limit allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OverLimit {
    /// The limit in pages.
    pub(crate) limit: u64,
}

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit } = self;
        write!(
            f,
            "the group would be charged for more than {}: raise the limit, or unmap something of \
             its address spaces",
            Counted::pages(*limit)
        )
    }
}

/// Why there is no page for an address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoPage {
    OutOfFrames,
    OverLimit(OverLimit),
    /// The pool of huge pages has none but those that are promised to others.
    NoHugePage,
}

impl From<OutOfFrames> for NoPage {
    fn from(OutOfFrames: OutOfFrames) -> Self {
        Self::OutOfFrames
    }
}

impl From<OverLimit> for NoPage {
    fn from(error: OverLimit) -> Self {
        Self::OverLimit(error)
    }
}

const NO_HUGE_PAGE: &str = "the pool of huge pages has too few free ones: make it larger, or unmap \
                            something that uses them";

/// The errors that say so.
macro_rules! no_page {
    ($($error:ident)*) => {
        $(
            impl From<OverLimit> for $error {
                fn from(OverLimit { limit }: OverLimit) -> Self {
                    Self::OverLimit { limit }
                }
            }

            impl From<NoPage> for $error {
                fn from(error: NoPage) -> Self {
                    match error {
                        NoPage::OutOfFrames => Self::OutOfFrames,
                        NoPage::OverLimit(error) => error.into(),
                        NoPage::NoHugePage => Self::NoHugePage,
                    }
                }
            }
        )*
    };
}

no_page!(SpaceError FaultError);

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
    /// A remap cannot move a range over itself.
    Overlaps(VirtRange),
    /// A remap that keeps the old mapping cannot change its size.
    SizeChanges {
        /// The pages asked for.
        pages: u64,
    },
    /// The mapping at this address is of a kind that the request does not apply to: WIPEONFORK and
    /// FREE need private memory that shows no file.
    WrongKind(VirtAddr),
    /// The mapping at this address is registered with another userfaultfd.
    OtherUffd(VirtAddr),
    /// The mapping at this address cannot be registered so: a file with a store behind it, minor
    /// faults of private memory, or a mode that the rule `uffd` does not have yet or the format of
    /// entries has no bit for.
    NoUffd(VirtAddr),
    /// The format of entries has no bit left to say which pages were stored to.
    NoSoftDirty,
    /// The mapping at this address is not registered, or not for what was asked for.
    NotRegistered(VirtAddr),
    /// The request would part a huge page of the pool at this address: mappings of such pages, and
    /// what is asked of them, begin and end where pages do (EINVAL).
    PartOfHugePage(VirtAddr),
    /// The mapping at this address is one of huge pages of the pool, to which the request does not
    /// apply: a remap, a userfaultfd (EINVAL).
    HugePages(VirtAddr),
    /// The pool of huge pages has too few that are promised to nobody: for a mapping, which wants
    /// all its pages promised (ENOMEM), or for a copy that a child needs, which is gone then.
    NoHugePage,
    /// A mapping would show pages that no file can have.
    PastFile {
        /// How many pages a file can have.
        most: u64,
    },
    /// No frame was left. For fork: the child is gone, and the parent still has all it had.
    OutOfFrames,
    /// The group of memory that is to be charged is at its limit. For fork, as for a frame.
    OverLimit {
        /// The limit in pages.
        limit: u64,
    },
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
            Self::NoGap { pages } => {
                write!(f, "no gap of {} is left: unmap something", Counted::pages(*pages))
            }
            Self::OutsideLimits(range) => {
                write!(f, "{range} lies outside the addresses of this space: choose a lower range")
            }
            Self::TooManyPages { limit } => {
                let more = Counted::pages(*limit);
                write!(f, "more than {more} would be mapped: raise the limit or unmap")
            }
            Self::TooManyLocked { limit } => {
                let more = Counted::pages(*limit);
                write!(f, "more than {more} would be locked: raise the limit or unlock")
            }
            Self::Locked(at) => {
                write!(f, "the mapping at {at} is locked in memory: unlock it first")
            }
            Self::TooManyAreas { limit } => write!(
                f,
                "there would be more than {}: raise the limit, or unmap or merge some",
                Counted::new(*limit as u64, "area", "areas")
            ),
            Self::NotOneMapping(range) => {
                write!(f, "{range} is of several mappings: remap each of them")
            }
            Self::Overlaps(range) => {
                write!(f, "{range} overlaps the range that is to move there: choose another place")
            }
            Self::SizeChanges { pages } => {
                let pages = Counted::pages(*pages);
                write!(f, "a mapping that stays cannot become {pages}: remap to its own size")
            }
            Self::WrongKind(at) => {
                write!(
                    f,
                    "the mapping at {at} is shared or shows a file: this advice applies only to \
                     private memory"
                )
            }
            Self::OtherUffd(at) => {
                write!(f, "the mapping at {at} has a userfaultfd already: unregister it there")
            }
            Self::NoUffd(at) => write!(
                f,
                "the mapping at {at} cannot be registered so: choose what this release watches in \
                 memory of its kind"
            ),
            Self::NoSoftDirty => f.write_str(
                "entries of this format have no bit for pages that were stored to: choose a format \
                 with one",
            ),
            Self::NotRegistered(at) => write!(
                f,
                "the mapping at {at} is not registered with a userfaultfd for this: register it \
                 first"
            ),
            Self::PartOfHugePage(at) => write!(
                f,
                "a huge page would be parted at {at}: begin and end where huge pages of the pool do"
            ),
            Self::HugePages(at) => write!(
                f,
                "the mapping at {at} is of huge pages of the pool, to which this does not apply"
            ),
            Self::NoHugePage => f.write_str(NO_HUGE_PAGE),
            Self::PastFile { most } => {
                let most = Counted::pages(*most);
                write!(f, "a file has at most {most}: map an earlier part of it")
            }
            Self::OutOfFrames => OutOfFrames.fmt(f),
            Self::OverLimit { limit } => OverLimit { limit: *limit }.fmt(f),
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

/// Why a store could not do what it was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The device failed (EIO).
    Io,
    /// There is no room for the page (ENOSPC).
    NoSpace,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io => "the store failed: look at its device",
            Self::NoSpace => "the store is full: free something there",
        })
    }
}

impl core::error::Error for StoreError {}

/// Why an operation on a file failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FileError {
    /// A file cannot have so many pages.
    TooLong {
        /// How many it can have.
        most: u64,
    },
    /// The page lies past the end.
    PastEnd {
        /// The number of the page.
        page: u64,
    },
    /// The store failed, or has no room.
    Store {
        /// The number of the page.
        page: u64,
        /// Why.
        error: StoreError,
    },
    /// The page stays in memory: it is dirty, or somebody holds it.
    Busy {
        /// The number of the page.
        page: u64,
    },
    /// No frame was left.
    OutOfFrames,
    /// The group of memory that is to be charged is at its limit.
    OverLimit {
        /// The limit in pages.
        limit: u64,
    },
    /// The heap is exhausted.
    NoMemory,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { most } => {
                write!(f, "a file has at most {}", Counted::pages(*most))
            }
            Self::PastEnd { page } => {
                write!(f, "page {page} lies past the end of the file: make it longer")
            }
            Self::Store { page, error } => write!(f, "page {page} of the file: {error}"),
            Self::Busy { page } => write!(
                f,
                "page {page} of the file stays: write it back, or wait until nobody holds it"
            ),
            Self::OutOfFrames => OutOfFrames.fmt(f),
            Self::OverLimit { limit } => OverLimit { limit: *limit }.fmt(f),
            Self::NoMemory => NoMemory.fmt(f),
        }
    }
}

impl core::error::Error for FileError {}

/// Why a fault could not be resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FaultError {
    /// Nothing is mapped there.
    NotMapped(VirtAddr),
    /// The area forbids the access.
    Denied(VirtAddr),
    /// The page lies past the end of the file that is mapped there (SIGBUS): it was cut short, or
    /// the mapping is longer.
    PastEnd(VirtAddr),
    /// The store of the file that is mapped there, or the swap device that has the page, could not
    /// give it, or the store has no room for it (SIGBUS): the entry is unchanged.
    Store(VirtAddr, StoreError),
    /// A monitor is told of the access, and resolves the fault before the access is repeated
    /// ([`crate::AddressSpace::uffd_wait`]): the entry is unchanged.
    Userfault {
        /// Where.
        at: VirtAddr,
        /// Whose userfaultfd the mapping there is registered with.
        uffd: UffdId,
        /// What the monitor is asked for.
        reason: UffdReason,
    },
    /// The page of the pool of huge pages that the access needs cannot be had, or was taken by the
    /// process that it was promised to (SIGBUS): the entry is unchanged.
    NoHugePage,
    /// No frame was left: the entry is unchanged.
    OutOfFrames,
    /// The group of memory that is to be charged is at its limit: the entry is unchanged.
    OverLimit {
        /// The limit in pages.
        limit: u64,
    },
    /// The heap is exhausted: the entry is unchanged.
    NoMemory,
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMapped(at) => write!(f, "nothing is mapped at {at}"),
            Self::Denied(at) => write!(f, "the mapping at {at} forbids the access"),
            Self::PastEnd(at) => {
                write!(f, "{at} lies past the end of the file that is mapped there: make it longer")
            }
            Self::Store(at, error) => write!(f, "at {at}: {error}"),
            Self::Userfault { at, uffd, reason } => {
                write!(f, "at {at} {reason}: {uffd} resolves that")
            }
            Self::NoHugePage => f.write_str(NO_HUGE_PAGE),
            Self::OutOfFrames => OutOfFrames.fmt(f),
            Self::OverLimit { limit } => OverLimit { limit: *limit }.fmt(f),
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
    /// A long-term pin may not leave the page in memory that is set apart for what can move, and it
    /// does not move, as somebody refers to it or handles it (rule `longterm-zone`): ENOMEM.
    Unmoved(Pfn),
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
                let more = Counted::pages(*limit);
                write!(f, "more than {more} would be locked: raise the limit or unpin")
            }
            Self::TooFewSlots { needed } => {
                let needed = Counted::pages(*needed);
                write!(f, "the bytes span {needed}: pass a slice with a slot for each")
            }
            Self::WouldBlock(at) => {
                write!(f, "{at} needs the slow path: fault it in first, or allow the slow path")
            }
            Self::Unmoved(pfn) => write!(
                f,
                "{pfn} may not stay where it lies for long, and others keep it there: try again"
            ),
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
