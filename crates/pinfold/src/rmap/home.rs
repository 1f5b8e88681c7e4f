//! What a page's mapping word says: who has made it its own, and when.

/// No slot: of no member.
pub(super) const NONE: u32 = 0;

/// Whose a page was when it was mapped first, or when somebody last made it his own: a member of a
/// family, and how many times that member had forked by then.
///
/// The member itself may map such a page, and what he has forked since, and their descendants.
/// Nobody else can, so a walk need not ask anybody else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Home(u64);

impl Home {
    #[inline]
    pub(super) const fn new(slot: u32, forks: u32) -> Self {
        Self((forks as u64) << 32 | slot as u64)
    }

    /// From a frame's mapping word.
    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// For a frame's mapping word. Not zero: that is no home.
    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) const fn slot(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    pub(super) const fn forks(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether both are the same member's, at whatever time.
    #[inline]
    pub(crate) const fn same_member(self, other: Self) -> bool {
        self.slot() == other.slot()
    }
}
