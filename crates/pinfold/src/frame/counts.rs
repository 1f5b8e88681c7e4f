//! References, mappings and the exclusive mark of a frame in one word.
//!
//! One load gives a consistent snapshot of all that a reuse decision needs, and fork shares a page
//! with one locked operation. Linux keeps three words and orders them (reference up before
//! mapcount, mapcount down before reference, facts 9.9); here both change at once, which keeps that
//! order.

use core::fmt;

/// One reference.
pub(crate) const REF: u64 = 1;
/// One page-table entry that maps the frame.
pub(crate) const MAP: u64 = 1 << 32;
/// The exclusive mark (PageAnonExclusive, facts 1.5).
pub(crate) const EXCLUSIVE: u64 = 1 << 63;

/// A snapshot of a frame's counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Counts(pub(crate) u64);

impl Counts {
    /// The snapshot that a counts word holds, for readers of a trace.
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// References, including 1024 for each pin of a small folio.
    #[inline]
    pub const fn refs(self) -> u32 {
        self.0 as u32
    }

    /// Page-table entries that map the frame; of a large folio's head: those that map any of its
    /// frames.
    #[inline]
    pub const fn maps(self) -> u32 {
        ((self.0 & !EXCLUSIVE) >> 32) as u32
    }

    /// Whether the page is marked as belonging to one address space alone.
    #[inline]
    pub const fn is_exclusive(self) -> bool {
        self.0 & EXCLUSIVE != 0
    }

    /// Whether references may be added: the frame is alive, and it has no more than `room`, so that
    /// none would overflow (facts 3.3).
    #[inline]
    pub(crate) const fn may_gain(self, room: u32) -> bool {
        self.refs().wrapping_sub(1) < room
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ref {} map {}", self.refs(), self.maps())?;
        if self.is_exclusive() { f.write_str(" exclusive") } else { Ok(()) }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
