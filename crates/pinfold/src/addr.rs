//! Typed addresses: nothing in this crate passes a bare integer for a place in memory.
//!
//! What is called `checked` gives nothing where there is no such address or page; the operators of
//! page numbers overflow as those of the integers do.
//!
//! Invariants:
//! - INV-ADDR-1: a [`VirtRange`] starts and ends on a page boundary, is never empty and never
//!   wraps.

use core::fmt;
use core::ops::{Add, Range, Sub};
use core::str::FromStr;

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

    /// The distance from the start of the page, in bytes.
    #[inline]
    pub const fn page_offset(self) -> u64 {
        self.0 % PAGE_SIZE
    }

    /// Whether the address is the first byte of a page.
    #[inline]
    pub const fn is_page_aligned(self) -> bool {
        self.page_offset() == 0
    }

    /// The start of the page that holds this address.
    #[inline]
    pub const fn align_down(self) -> Self {
        Self(self.0 - self.page_offset())
    }

    /// The first address from here on that starts a page, if there is one.
    #[inline]
    pub const fn checked_align_up(self) -> Option<Self> {
        match self.0.checked_next_multiple_of(PAGE_SIZE) {
            Some(at) => Some(Self(at)),
            None => None,
        }
    }

    /// The address `bytes` bytes higher, if there is one.
    #[inline]
    pub const fn checked_add(self, bytes: u64) -> Option<Self> {
        match self.0.checked_add(bytes) {
            Some(at) => Some(Self(at)),
            None => None,
        }
    }

    /// The address `bytes` bytes lower, if there is one.
    #[inline]
    pub const fn checked_sub(self, bytes: u64) -> Option<Self> {
        match self.0.checked_sub(bytes) {
            Some(at) => Some(Self(at)),
            None => None,
        }
    }

    /// The address `bytes` bytes higher, or lower where negative, if there is one.
    #[inline]
    pub const fn checked_offset(self, bytes: i64) -> Option<Self> {
        match self.0.checked_add_signed(bytes) {
            Some(at) => Some(Self(at)),
            None => None,
        }
    }

    /// The number of bytes from `base` up to this address, unless it lies below.
    #[inline]
    pub const fn checked_offset_from(self, base: Self) -> Option<u64> {
        self.0.checked_sub(base.0)
    }
}

impl From<u64> for VirtAddr {
    fn from(at: u64) -> Self {
        Self(at)
    }
}

impl From<VirtAddr> for u64 {
    fn from(at: VirtAddr) -> Self {
        at.0
    }
}

impl fmt::LowerHex for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

impl fmt::UpperHex for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::UpperHex::fmt(&self.0, f)
    }
}

/// Why a text is not a [`VirtAddr`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseAddrError;

impl fmt::Display for ParseAddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an address: write 64 bits at most, as 0x7f00 or in decimal digits")
    }
}

impl core::error::Error for ParseAddrError {}

impl FromStr for VirtAddr {
    type Err = ParseAddrError;

    /// Reads what is displayed, `0x7f00`, or decimal digits.
    fn from_str(text: &str) -> Result<Self, ParseAddrError> {
        let (digits, radix) = match text.strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None => (text, 10),
        };
        // The integers' own reading allows a sign.
        if digits.starts_with('+') {
            return Err(ParseAddrError);
        }
        u64::from_str_radix(digits, radix).map(Self).map_err(|_| ParseAddrError)
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
    /// The address at which the page starts. A number that no page has (2 to the power of 52, or
    /// more) loses its upper bits; [`Vpn::checked_start`] refuses it.
    #[inline]
    pub const fn start(self) -> VirtAddr {
        VirtAddr(self.0 << PAGE_SHIFT)
    }

    /// The address at which the page starts, if there is such a page.
    #[inline]
    pub const fn checked_start(self) -> Option<VirtAddr> {
        let at = self.start();
        if at.page().0 == self.0 { Some(at) } else { None }
    }

    /// The number `pages` higher, unless it overflows.
    #[inline]
    pub const fn checked_add(self, pages: u64) -> Option<Self> {
        match self.0.checked_add(pages) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number `pages` lower, unless it would be negative.
    #[inline]
    pub const fn checked_sub(self, pages: u64) -> Option<Self> {
        match self.0.checked_sub(pages) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// This page alone.
    #[inline]
    pub(crate) fn alone(self) -> VirtRange {
        VirtRange::of_pages(self, self + 1)
    }
}

/// The page that is `pages` pages higher. Overflows as `u64` does, with a panic where the build has
/// overflow checks: [`Vpn::checked_add`] does not.
impl Add<u64> for Vpn {
    type Output = Self;

    #[inline]
    fn add(self, pages: u64) -> Self {
        Self(self.0 + pages)
    }
}

/// The page that is `pages` pages lower. Overflows as `u64` does, with a panic where the build has
/// overflow checks: [`Vpn::checked_sub`] does not.
impl Sub<u64> for Vpn {
    type Output = Self;

    #[inline]
    fn sub(self, pages: u64) -> Self {
        Self(self.0 - pages)
    }
}

/// The number of pages from `first` up to this one. Overflows as `u64` does if `first` is higher,
/// with a panic where the build has overflow checks.
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

impl Pfn {
    /// The number of the frame that holds the byte at this physical address.
    #[inline]
    pub const fn of_address(address: u64) -> Self {
        Self(address >> PAGE_SHIFT)
    }

    /// The physical address at which the frame starts, as a device wants it. A number that no frame
    /// has (2 to the power of 52, or more) loses its upper bits; [`Pfn::checked_address`] refuses
    /// it.
    #[inline]
    pub const fn address(self) -> u64 {
        self.0 << PAGE_SHIFT
    }

    /// The physical address at which the frame starts, if there can be such a frame.
    #[inline]
    pub const fn checked_address(self) -> Option<u64> {
        let address = self.address();
        if Self::of_address(address).0 == self.0 { Some(address) } else { None }
    }

    /// The number `frames` higher, unless it overflows.
    #[inline]
    pub const fn checked_add(self, frames: u64) -> Option<Self> {
        match self.0.checked_add(frames) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number `frames` lower, unless it would be negative.
    #[inline]
    pub const fn checked_sub(self, frames: u64) -> Option<Self> {
        match self.0.checked_sub(frames) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
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

    /// The pages that the `bytes` bytes from `at` on lie in.
    ///
    /// # Errors
    /// When there are no bytes, or the last page has no end below the last address.
    pub const fn covering(at: VirtAddr, bytes: u64) -> Result<Self, RangeError> {
        if bytes == 0 {
            return Err(RangeError::Empty(at));
        }
        match at.checked_add(bytes - 1) {
            Some(last) => Self::new(at.align_down(), last.page().0 - at.page().0 + 1),
            None => Err(RangeError::Wraps(at)),
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

    /// How many bytes.
    #[inline]
    pub const fn bytes(self) -> u64 {
        self.pages() << PAGE_SHIFT
    }

    /// The address `offset` bytes from the start, if it lies inside.
    #[inline]
    pub const fn at(self, offset: u64) -> Option<VirtAddr> {
        if offset < self.bytes() { self.start().checked_add(offset) } else { None }
    }

    /// The distance of `addr` from the start in bytes, if it lies inside.
    #[inline]
    pub const fn offset_of(self, addr: VirtAddr) -> Option<u64> {
        if self.contains(addr) { addr.checked_offset_from(self.start()) } else { None }
    }

    /// Page `index` alone, if the range has it.
    #[inline]
    pub const fn page(self, index: u64) -> Option<Self> {
        if index >= self.pages() {
            return None;
        }
        let first = self.first.0 + index;
        Some(Self { first: Vpn(first), end: Vpn(first + 1) })
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
mod tests;
