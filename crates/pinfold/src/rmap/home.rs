//! What a page's mapping word says: who has made it its own, and when.

use crate::addr::Vpn;

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

/// Where an area belongs in its family: whose its new pages are, and how far from their numbers in
/// the family they lie here. All areas of a member have one shift.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seat {
    /// The home of what the area touches from now on.
    pub(crate) home: Home,
    shift: u64,
}

impl Seat {
    /// Of an area that has no pages of its own.
    pub(crate) const NONE: Self = Self { home: Home(0), shift: 0 };

    /// Whether it is of an area that has pages of its own.
    #[inline]
    pub(crate) const fn is_some(self) -> bool {
        self.home.0 != 0
    }

    /// An area that lies where its family was founded.
    pub(super) const fn new(home: Home) -> Self {
        Self { home, shift: 0 }
    }

    /// The number in the family of the page that lies at `page`.
    #[inline]
    pub(crate) const fn index(self, page: Vpn) -> Vpn {
        Vpn(page.0.wrapping_sub(self.shift))
    }

    /// The same area with another home.
    pub(super) const fn at(self, home: Home) -> Self {
        Self { home, ..self }
    }

    /// Another home, by so many pages further up; wraps.
    pub(super) const fn moved(self, home: Home, by: u64) -> Self {
        Self { home, shift: self.shift.wrapping_add(by) }
    }
}
