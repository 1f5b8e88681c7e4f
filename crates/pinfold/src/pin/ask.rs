//! A request for pages.

use core::num::NonZero;

use crate::rules::pin::{Access, Force, Term};

/// Which paths a request may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// Lock-free first, then the rest under the lock, with faults.
    Any,
    /// Lock-free only: for callers that must not sleep (FOLL_FAST_ONLY).
    FastOnly,
    /// Under the lock only: for callers that know the entries to be absent.
    SlowOnly,
}

/// A request for the pages of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Reading, or writing too.
    pub access: Access,
    /// For one transfer, or for as long as its owner likes.
    pub term: Term,
    /// Whether the area's present permissions are overridden: a debugger's access (FOLL_FORCE).
    pub force: Force,
    /// The paths allowed.
    pub path: Path,
    /// How many pins or references to take on each page. They are taken in one step, all or none,
    /// and released together.
    pub times: NonZero<u32>,
}

impl Ask {
    /// An ordinary request.
    pub const fn new(access: Access, term: Term) -> Self {
        Self { access, term, force: Force::Ordinary, path: Path::Any, times: NonZero::<u32>::MIN }
    }

    /// Overrides the area's permissions.
    pub const fn forced(self) -> Self {
        Self { force: Force::Forced, ..self }
    }

    /// Restricts the paths.
    pub const fn path(self, path: Path) -> Self {
        Self { path, ..self }
    }

    /// Takes several pins or references on each page.
    pub const fn times(self, times: NonZero<u32>) -> Self {
        Self { times, ..self }
    }
}
