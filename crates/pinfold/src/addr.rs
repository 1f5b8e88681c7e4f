//! Typed addresses: nothing in this crate passes a bare integer for a place in memory.
//!
//! Invariants:
//! - INV-ADDR-1: a [`VirtRange`] starts and ends on a page boundary, is never empty and never wraps.

use core::fmt;

/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in a base page.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

/// An address in some address space, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtAddr(pub u64);

impl VirtAddr {
    /// The address at which virtual page `page` starts.
    #[inline]
    pub const fn of_page(page: u64) -> Self {
        Self(page << PAGE_SHIFT)
    }

    /// The number of the page that holds this address.
    #[inline]
    pub const fn page(self) -> u64 {
        self.0 >> PAGE_SHIFT
    }

    /// Whether the address is the first byte of a page.
    #[inline]
    pub const fn is_page_aligned(self) -> bool {
        self.0.is_multiple_of(PAGE_SIZE)
    }
}

impl fmt::Debug for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A page frame number: physical address divided by [`PAGE_SIZE`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pfn(pub u64);

impl fmt::Debug for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{}", self.0)
    }
}

impl fmt::Display for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A NUMA node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub u8);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

/// Names an address space for the platform's flushes and events. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SpaceId(pub u64);

/// What names an address space and finds its page tables, without owning it. The root is good while something says so: the owner, or
/// a family that lists the space (INV-RMAP-3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mm {
    /// The name.
    pub(crate) id: SpaceId,
    /// The frame of the root table.
    pub(crate) root: Pfn,
}

/// A run of whole virtual pages; see INV-ADDR-1.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VirtRange {
    first: u64,
    end: u64,
}

/// Why two numbers do not make a [`VirtRange`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RangeError {
    /// The start is not a multiple of [`PAGE_SIZE`].
    Unaligned(VirtAddr),
    /// The length is zero.
    Empty(VirtAddr),
    /// Start plus length is past the last address.
    Wraps(VirtAddr),
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unaligned(at) => write!(f, "{at} is not page aligned: round it to {PAGE_SIZE}"),
            Self::Empty(at) => write!(f, "the range at {at} has no page: give at least one"),
            Self::Wraps(at) => {
                write!(f, "the range at {at} runs past the last address: shorten it")
            }
        }
    }
}

impl core::error::Error for RangeError {}

impl VirtRange {
    /// The `pages` pages from `start`.
    ///
    /// # Errors
    /// When `start` is unaligned, `pages` is zero, or the range would wrap.
    pub const fn new(start: VirtAddr, pages: u64) -> Result<Self, RangeError> {
        if !start.is_page_aligned() {
            return Err(RangeError::Unaligned(start));
        }
        if pages == 0 {
            return Err(RangeError::Empty(start));
        }
        match start.page().checked_add(pages) {
            Some(end) if end <= u64::MAX >> PAGE_SHIFT => Ok(Self { first: start.page(), end }),
            _ => Err(RangeError::Wraps(start)),
        }
    }

    /// The pages from number `first` up to and without number `end`.
    ///
    /// For callers that hold both numbers from a valid range already.
    #[inline]
    pub(crate) fn of_pages(first: u64, end: u64) -> Self {
        debug_assert!(first < end);
        Self { first, end }
    }

    /// The first address.
    #[inline]
    pub const fn start(self) -> VirtAddr {
        VirtAddr::of_page(self.first)
    }

    /// The address after the last one.
    #[inline]
    pub const fn end(self) -> VirtAddr {
        VirtAddr::of_page(self.end)
    }

    /// The number of the first page.
    #[inline]
    pub const fn first_page(self) -> u64 {
        self.first
    }

    /// The number after that of the last page.
    #[inline]
    pub const fn end_page(self) -> u64 {
        self.end
    }

    /// How many pages.
    #[inline]
    pub const fn pages(self) -> u64 {
        self.end - self.first
    }

    /// Whether `addr` lies inside.
    #[inline]
    pub const fn contains(self, addr: VirtAddr) -> bool {
        self.first <= addr.page() && addr.page() < self.end
    }

    /// The pages that both ranges have.
    #[inline]
    pub fn intersection(self, other: Self) -> Option<Self> {
        let (first, end) = (self.first.max(other.first), self.end.min(other.end));
        (first < end).then_some(Self { first, end })
    }
}

impl fmt::Debug for VirtRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}..{:?}", self.start(), self.end())
    }
}

impl fmt::Display for VirtRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_aligned_and_never_empty_and_never_wraps() {
        assert!(matches!(VirtRange::new(VirtAddr(1), 1), Err(RangeError::Unaligned(_))));
        assert!(matches!(VirtRange::new(VirtAddr(0), 0), Err(RangeError::Empty(_))));
        assert!(matches!(VirtRange::new(VirtAddr(4096), u64::MAX), Err(RangeError::Wraps(_))));
        assert!(matches!(VirtRange::new(VirtAddr(0), 1 << 52), Err(RangeError::Wraps(_))));
    }

    #[test]
    fn intersections_keep_only_common_pages() {
        let a = VirtRange::of_pages(2, 6);
        assert_eq!(a.intersection(VirtRange::of_pages(4, 9)), Some(VirtRange::of_pages(4, 6)));
        assert_eq!(a.intersection(VirtRange::of_pages(6, 9)), None);
    }
}
