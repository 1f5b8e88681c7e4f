//! The pages that a single flush is for.

use crate::addr::{SpaceId, VirtRange, Vpn};
use crate::memory::Memory;
use crate::platform::{FlushScope, Platform};

/// The pages whose translations have changed since the last flush. The owner flushes by
/// [`FlushBatch::finish`]; dropping it flushes nothing.
#[must_use = "entries were changed and not flushed"]
#[derive(Debug)]
pub(crate) struct FlushBatch {
    /// The first page and one past the last; the wrong way round if there is none.
    first: Vpn,
    end: Vpn,
}

impl Default for FlushBatch {
    fn default() -> Self {
        Self::NONE
    }
}

impl FlushBatch {
    /// Nothing has changed.
    pub(super) const NONE: Self = Self { first: Vpn(u64::MAX), end: Vpn(0) };

    /// Records a changed page.
    #[inline]
    pub(crate) fn note(&mut self, page: Vpn) {
        self.first = self.first.min(page);
        self.end = self.end.max(page + 1);
    }

    /// Adds what another batch has.
    pub(crate) fn join(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.end = self.end.max(other.end);
    }

    /// Flushes once, if anything changed.
    pub(crate) fn finish<P: Platform>(mut self, mem: &Memory<P>, space: SpaceId) {
        self.flush(mem, space);
    }

    pub(super) fn flush<P: Platform>(&mut self, mem: &Memory<P>, space: SpaceId) {
        let Self { first, end } = core::mem::take(self);
        if first < end {
            mem.flush(space, FlushScope::Range(VirtRange::of_pages(first, end)));
        }
    }
}
