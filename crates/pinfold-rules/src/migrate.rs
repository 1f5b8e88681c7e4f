//! Migration takes an entry out: what its placeholder remembers, and how the exclusive mark is
//! cleared (facts 4.5, 3.5).
//!
//! Protocol: under the page lock and the page-table lock, with the entry cleared and, unless the
//! flushes of a batch are one, flushed.

use super::{MigrateFlush, MigrationAd, MigrationKind, ShareOrder};

/// Whether a migration entry remembers that its page was exclusive. If so, the entry of a page that
/// may be pinned is not replaced at all, and an entry that a scan downgrades keeps the mark.
#[inline]
pub const fn remembers_mark(rule: MigrationKind) -> bool {
    match rule {
        MigrationKind::ReadWrite => false,
        MigrationKind::Exclusive => true,
    }
}

/// Whether a migration entry carries the accessed and dirty bits of the entry that it replaced.
#[inline]
pub const fn carries_accessed_dirty(rule: MigrationAd) -> bool {
    match rule {
        MigrationAd::Dropped => false,
        MigrationAd::Carried => true,
    }
}

/// Whether full barriers come before the pin check and after the mark is cleared.
#[inline]
pub const fn brings_barriers(rule: ShareOrder) -> bool {
    match rule {
        ShareOrder::Flush => false,
        ShareOrder::Barriers => true,
    }
}

/// Whether the entries of a batch of pages are flushed together, before the first page is copied.
#[inline]
pub const fn batches_flushes(rule: MigrateFlush) -> bool {
    match rule {
        MigrateFlush::Each => false,
        MigrateFlush::Batched => true,
    }
}
