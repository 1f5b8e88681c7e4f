//! What an area says of the stores to its pages (facts 7.6).

use super::Area;
use crate::platform::Platform;
use crate::pte::Pte;

/// Which pages of an area were stored to since that was last forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SoftDirty {
    /// All of them, or nobody has asked: the area was mapped, or has moved, since then. Its entries
    /// need not say more.
    Whole,
    /// Those whose entries say so. The first store to any other faults.
    Entries,
}

impl<P: Platform> Area<P> {
    /// Whether a store through the entry is to fault, so that it is seen: INV-SOFT-1.
    #[inline]
    pub(crate) fn awaits_store(&self, pte: Pte<P::Format>) -> bool {
        match self.soft_dirty {
            SoftDirty::Whole => false,
            SoftDirty::Entries => !pte.is_soft_dirty(),
        }
    }
}
