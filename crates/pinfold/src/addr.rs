//! Typed addresses: nothing in this crate passes a bare integer for a place in memory.
//!
//! Invariants:
//! - INV-ADDR-1: a [`VirtRange`] starts and ends on a page boundary, is never empty and never
//!   wraps.

use core::fmt;
use core::ops::{Add, Range, Sub};

/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in a base page.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

/// An address in some address space, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtAddr(pub u64);

impl VirtAddr {
    /// The address at which the page with this number starts: short for [`Vpn::start`] where the
    /// number is a literal.
    #[inline]
    pub const fn of_page(page: u64) -> Self {
        Vpn(page).start()
    }

    /// The number of the page that holds this address.
    #[inline]
    pub const fn page(self) -> Vpn {
        Vpn(self.0 >> PAGE_SHIFT)
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

/// A virtual page number: address divided by [`PAGE_SIZE`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vpn(pub u64);

impl Vpn {
    /// The address at which the page starts.
    #[inline]
    pub const fn start(self) -> VirtAddr {
        VirtAddr(self.0 << PAGE_SHIFT)
    }

    /// This page alone.
    #[inline]
    pub(crate) fn alone(self) -> VirtRange {
        VirtRange::of_pages(self, self + 1)
    }
}

/// The page that is `pages` pages higher.
impl Add<u64> for Vpn {
    type Output = Self;

    #[inline]
    fn add(self, pages: u64) -> Self {
        Self(self.0 + pages)
    }
}

/// The page that is `pages` pages lower.
impl Sub<u64> for Vpn {
    type Output = Self;

    #[inline]
    fn sub(self, pages: u64) -> Self {
        Self(self.0 - pages)
    }
}

/// The number of pages from `first` up to this one.
impl Sub for Vpn {
    type Output = u64;

    #[inline]
    fn sub(self, first: Self) -> u64 {
        self.0 - first.0
    }
}

impl fmt::Debug for Vpn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {:#x}", self.0)
    }
}

impl fmt::Display for Vpn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The number of pages of a mapping: not zero, and no more than there are addresses for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PageCount(u64);

impl PageCount {
    /// The count, if a range at address 0 could have that many pages.
    ///
    /// # Errors
    /// As for a range at address 0: when `pages` is zero or more than there are.
    pub(crate) const fn new(pages: u64) -> Result<Self, RangeError> {
        match VirtRange::new(VirtAddr(0), pages) {
            Ok(_) => Ok(Self(pages)),
            Err(error) => Err(error),
        }
    }

    /// The number.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}

/// The pages of a run that may be empty, in order.
#[inline]
pub(crate) fn each_page(pages: Range<Vpn>) -> impl Iterator<Item = Vpn> {
    (pages.start.0..pages.end.0).map(Vpn)
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

/// Names an address space and leads to its page tables, without owning it. The root is valid while
/// something guarantees it: the owner, or a family that lists the space (INV-RMAP-3).
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
    first: Vpn,
    end: Vpn,
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
        let first = start.page();
        match first.0.checked_add(pages) {
            Some(end) if end <= u64::MAX >> PAGE_SHIFT => Ok(Self { first, end: Vpn(end) }),
            _ => Err(RangeError::Wraps(start)),
        }
    }

    /// The pages from number `first` up to, but not including, number `end`.
    ///
    /// For callers that already have both numbers from a valid range.
    #[inline]
    pub(crate) fn of_pages(first: Vpn, end: Vpn) -> Self {
        debug_assert!(first < end);
        Self { first, end }
    }

    /// The first address.
    #[inline]
    pub const fn start(self) -> VirtAddr {
        self.first.start()
    }

    /// One past the last address.
    #[inline]
    pub const fn end(self) -> VirtAddr {
        self.end.start()
    }

    /// The number of the first page.
    #[inline]
    pub const fn first_page(self) -> Vpn {
        self.first
    }

    /// One past the number of the last page.
    #[inline]
    pub const fn end_page(self) -> Vpn {
        self.end
    }

    /// The numbers of the pages, as a run.
    #[inline]
    pub(crate) const fn numbers(self) -> Range<Vpn> {
        self.first..self.end
    }

    /// The numbers of the pages, in order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Vpn> {
        each_page(self.numbers())
    }

    /// How many pages.
    #[inline]
    pub const fn pages(self) -> u64 {
        self.end.0 - self.first.0
    }

    /// Whether `addr` lies inside.
    #[inline]
    pub const fn contains(self, addr: VirtAddr) -> bool {
        self.first.0 <= addr.page().0 && addr.page().0 < self.end.0
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
        let pages = |first, end| VirtRange::of_pages(Vpn(first), Vpn(end));
        assert_eq!(pages(2, 6).intersection(pages(4, 9)), Some(pages(4, 6)));
        assert_eq!(pages(2, 6).intersection(pages(6, 9)), None);
    }
}
