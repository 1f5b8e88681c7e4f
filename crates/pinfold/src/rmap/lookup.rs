//! What a walker knows of a page whose family it looks up.

use crate::rules::RmapCheck;
use crate::rules::rmap::asks_again;

use super::home::{Home, NONE};

/// What a look-up found where the family of a mapped page should be: INV-RMAP-1 is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lost {
    /// Free memory.
    Freed,
    /// A family that the page has never been part of.
    Reused,
}

/// A look-up of a page's family. `mapped` says whether the page is mapped, now.
pub(crate) struct Lookup<M> {
    pub(super) home: Home,
    check: RmapCheck,
    mapped: M,
}

impl<M: Fn() -> bool> Lookup<M> {
    /// The look-up for a page with this home, by the rule `rmap-check`.
    pub(crate) fn new(home: Home, check: RmapCheck, mapped: M) -> Self {
        Self { home, check, mapped }
    }

    /// Whether there is something to look up.
    pub(super) fn begins(&self) -> bool {
        self.home.slot() != NONE && (self.mapped)()
    }

    /// Whether the page is still mapped, as far as the walker wants to know.
    pub(super) fn still(&self) -> bool {
        !asks_again(self.check) || (self.mapped)()
    }

    /// Nothing is wrong with not finding the family of a page that is no longer mapped.
    pub(super) fn lost<T>(&self, how: Lost) -> Result<Option<T>, Lost> {
        if self.still() { Err(how) } else { Ok(None) }
    }
}
