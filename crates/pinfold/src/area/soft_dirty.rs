//! What an area says of the stores to its pages (facts 7.6).

/// Which pages of an area were stored to since that was last forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SoftDirty {
    /// All of them, or nobody has asked: the area was mapped, or has moved, since then. Its entries
    /// need not say more.
    Whole,
    /// Those whose entries say so. The first store to any other faults.
    Entries,
}
