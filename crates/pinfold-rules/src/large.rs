//! What a large folio counts, and how a reference on one of its pages is taken without a lock
//! (facts 3.3, 5.5).
//!
//! Protocol: a mapping is counted under the lock of the table that holds its entry; the counts of
//! owners need a lock of the folio's besides, as two address spaces may change them at once. A
//! reference is counted before a mapping and taken away after it.

use super::{HeadRecheck, LargeMaps};

/// Whether the mappings of each page are counted beside those of the whole folio.
#[inline]
pub const fn counts_each_page(rule: LargeMaps) -> bool {
    match rule {
        LargeMaps::EachPage | LargeMaps::EachPageAndOwner | LargeMaps::Forgotten => true,
        LargeMaps::Owner => false,
    }
}

/// Whether it is counted how many mappings are of each of two address spaces.
#[inline]
pub const fn counts_owners(rule: LargeMaps) -> bool {
    match rule {
        LargeMaps::EachPage | LargeMaps::Forgotten => false,
        LargeMaps::EachPageAndOwner | LargeMaps::Owner => true,
    }
}

/// Whether an unmap counts a mapping off the whole folio, too.
#[inline]
pub const fn unmap_counts_folio(rule: LargeMaps) -> bool {
    match rule {
        LargeMaps::EachPage | LargeMaps::EachPageAndOwner | LargeMaps::Owner => true,
        LargeMaps::Forgotten => false,
    }
}

/// Whether who has taken a reference without a lock looks again which folio the page is part of.
#[inline]
pub const fn rechecks_head(rule: HeadRecheck) -> bool {
    match rule {
        HeadRecheck::Trusted => false,
        HeadRecheck::Again => true,
    }
}
