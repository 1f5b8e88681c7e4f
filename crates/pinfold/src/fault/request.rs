//! The input of a fault, and its outcome.

use crate::addr::Vpn;
use crate::area::Area;
use crate::error::FaultError;
use crate::platform::Platform;
use crate::pte::{Format, Pte};
use crate::uffd::UffdReason;

/// The access that faulted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A load.
    Load,
    /// A store.
    Store,
    /// An instruction fetch.
    Fetch,
}

impl Cause {
    /// Whether the access passes `entry` without a fault, on a CPU that sets no marks: the entry is
    /// present, allows the access, and is marked as used and, for a store, as stored through. A
    /// fault leaves it so (INV-FAULT-5).
    pub fn is_allowed_by<F: Format>(self, entry: Pte<F>) -> bool {
        let usable = entry.is_present() && entry.is_accessed();
        usable
            && match self {
                Self::Load => true,
                Self::Store => entry.is_writable() && entry.is_dirty(),
                Self::Fetch => entry.is_exec(),
            }
    }
}

/// How a fault was resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The zero page is mapped.
    ZeroPage,
    /// A new page is mapped.
    FirstTouch,
    /// A page of a shared object is mapped.
    SharedPage,
    /// The same page is now writable, or for unsharing exclusive.
    Reused,
    /// A copy is mapped.
    Copied,
    /// A hinting fault; the page was moved, or its entry is accessible again.
    Hint(Hinted),
    /// A page that was swapped out is mapped again.
    SwappedIn,
    /// Waited for a page on the move.
    Waited,
    /// Nothing was left to do, or the entry changed in the meantime: the access is repeated.
    Spurious,
}

/// What a hinting fault did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hinted {
    /// The page was on the right node, or cannot move: accessible again.
    Local,
    /// The page may not follow yet, by what the fault before was; accessible where it was
    /// ([`crate::Tuning::hint_filter`]).
    NotYet,
    /// The page was moved here.
    Moved,
    /// Moving failed; the page is accessible where it was.
    MoveFailed,
}

/// What the fault is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    Read,
    Write,
    /// An exclusive page without write access: FAULT_FLAG_UNSHARE (facts 3.9).
    Unshare,
}

/// Whose rights count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rights {
    /// Those of the area.
    Area,
    /// FOLL_FORCE: the area's present permissions do not matter.
    Forced,
}

/// A fault in progress.
pub(crate) struct Request<'a, P: Platform> {
    pub(crate) area: &'a Area<P>,
    pub(crate) page: Vpn,
    pub(crate) want: Want,
}

impl<P: Platform> Request<'_, P> {
    /// The error that has a monitor told of the fault.
    #[cold]
    #[inline(never)]
    pub(crate) fn told(&self, reason: UffdReason) -> FaultError {
        FaultError::Userfault { at: self.page.start(), uffd: self.area.uffd.id, reason }
    }
}
