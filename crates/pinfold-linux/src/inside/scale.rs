//! How many pages of this machine stand for one of the scenario.
//!
//! A huge page of the scenario's machine has four pages, and one of this machine 512. So where a
//! scenario has huge pages, each of its pages is 128 of this machine's: the first is written, read,
//! referred to and looked at, and the others only go with it. Elsewhere a page is a page.

use pinfold_lab::resolved::Resolved;

use super::sys::{Errno, MOST_SCALE, PAGE, Range, STAGE, STAGE_PAGES};
use crate::fit;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale(u64);

impl Scale {
    /// That of a plan.
    pub(super) fn of(plan: &Resolved) -> Self {
        Self(if fit::has_huge_pages(plan) { MOST_SCALE } else { 1 })
    }

    /// How many pages stand for one.
    pub(super) fn pages(self) -> u64 {
        self.0
    }

    /// The size of what stands for a page.
    pub(super) fn bytes(self) -> u64 {
        self.0 * PAGE
    }

    /// Where a page begins, counted from an address on.
    pub(super) fn page(self, start: u64, page: u32) -> u64 {
        start + u64::from(page) * self.bytes()
    }

    /// So many pages from an address on.
    ///
    /// # Errors
    /// `EINVAL` for what the machine of the language has no room for.
    pub(super) fn range(self, start: u64, pages: u32) -> Result<Range, Errno> {
        let end = self.page(start, pages);
        match end <= STAGE + STAGE_PAGES * self.bytes() {
            true => Range::new(start, u64::from(pages) * self.0),
            false => Err(libc::EINVAL),
        }
    }

    /// Where an address of the language lies.
    pub(super) fn place(self, at: u64) -> Option<u64> {
        (at / PAGE).checked_mul(self.bytes())?.checked_add(at % PAGE)?.checked_add(STAGE)
    }
}
