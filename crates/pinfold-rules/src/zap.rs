//! Unmapping: when a page leaves the reverse map, and whom a flush reaches (facts 6).
//!
//! Protocol: the first question is asked under the page-table lock, for each present entry that was
//! cleared.

use super::{BreakHole, FlushReach, ZapMunlock, ZapRmap};

/// What an unmap took an entry from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Zapped {
    /// A page of a file whose entry was dirty.
    DirtyFile,
    /// Any other page.
    Other,
}

/// When the mapping is taken off the page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Removal {
    /// At once.
    WithEntry,
    /// After a flush, before the page-table lock is released.
    UnderLock,
    /// With the page's reference, when the gather is freed.
    WhenFreed,
}

/// When the mapping of a page is taken off that an unmap has found.
#[inline]
pub const fn removal(rule: ZapRmap, zapped: Zapped) -> Removal {
    match (rule, zapped) {
        (ZapRmap::WithEntry, _) | (ZapRmap::DirtyAfterFlush, Zapped::Other) => Removal::WithEntry,
        (ZapRmap::DirtyAfterFlush, Zapped::DirtyFile) => Removal::UnderLock,
        (ZapRmap::WhenFreed, _) => Removal::WhenFreed,
    }
}

/// When the lock of a locked area is taken off a page that an unmap finds there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Munlock {
    /// By a walk over the area's entries before the first of them goes.
    BeforeEntries,
    /// With the entry.
    WithEntry,
    /// With the page's mapping ([`removal`]), after it.
    WithMapping,
    /// Never.
    Forgotten,
}

/// When the lock of a locked area is taken off a page that an unmap finds there. Asked once for an
/// area.
#[inline]
pub const fn munlock(rule: ZapMunlock) -> Munlock {
    match rule {
        ZapMunlock::ByWalk => Munlock::BeforeEntries,
        ZapMunlock::WithMapping => Munlock::WithMapping,
        ZapMunlock::WithEntry => Munlock::WithEntry,
        ZapMunlock::Forgotten => Munlock::Forgotten,
    }
}

/// Whether a flush waits for every CPU that may have cached a translation.
#[inline]
pub const fn reaches_every_cpu(rule: FlushReach) -> bool {
    match rule {
        FlushReach::EveryCpu => true,
        FlushReach::ThisCpu => false,
    }
}

/// Whether the program break moves down only where something is mapped between its new place and
/// its old one (facts 7.13).
#[inline]
pub const fn needs_mapping(rule: BreakHole) -> bool {
    match rule {
        BreakHole::Pass => false,
        BreakHole::Refuse => true,
    }
}
