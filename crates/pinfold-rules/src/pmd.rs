//! A write fault on a present, write-protected entry of private memory that maps as many pages as a
//! table does (a PMD): keep the folio, or split the entry and let the page's own rule decide?
//! (facts 1.1, 1.3 to 1.6) And the NUMA scanner's question of such an entry (facts 4.2), and a
//! write to the huge zero page (facts 1.6).
//!
//! Protocol, all under the lock of the table that holds the entry, once it is found to be still the
//! one that faulted:
//! 1. [`pmd_cow`]. On [`PmdStep::NeedPageLock`] take the folio's lock; if it is contended, drop the
//!    table's lock, sleep until it is free, and let the access fault again.
//! 2. Look at the folio again, under its lock, and call [`pmd_cow_locked`].
//! 3. On reuse set the exclusive mark, of the folio's first page. On [`PmdVerdict::Split`] split
//!    the entry: each page of it is judged by itself from then on.

use super::{
    Answer, Counter, Exclusive, HugeZeroWrite, NumaSkipPmd, PageKind, PmdCow, Relation, Why,
};

/// What the rules look at of the folio that such an entry maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HugeState {
    /// What it is; the mark is that of its first page.
    pub kind: PageKind,
    /// References, of which the entry's own is one, however the manager counts it.
    pub refs: u32,
    /// Mappings of all pages, of which the entry is one.
    pub maps: u32,
}

/// What a write fault does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum PmdStep {
    /// Keep the folio.
    Reuse(Why),
    /// Take the folio's lock and ask [`pmd_cow_locked`].
    NeedPageLock,
}

/// What a write fault finally does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum PmdVerdict {
    /// Keep the folio.
    Reuse(Why),
    /// Split the entry.
    Split(Why),
}

fn by_mark(rule: PmdCow, page: &HugeState) -> Option<Why> {
    let looks = match rule {
        PmdCow::MapCount | PmdCow::RefCount => false,
        PmdCow::Exclusive => true,
    };
    let marked = page.kind == PageKind::Anon(Exclusive::Marked);
    (looks && marked).then_some(Why::Page(page.kind))
}

/// The first step, before the folio's lock.
pub fn pmd_cow(rule: PmdCow, page: &HugeState) -> PmdStep {
    by_mark(rule, page).map_or(PmdStep::NeedPageLock, PmdStep::Reuse)
}

/// The verdict under the folio's lock and the table's.
pub fn pmd_cow_locked(rule: PmdCow, page: &HugeState) -> PmdVerdict {
    if let Some(why) = by_mark(rule, page) {
        return PmdVerdict::Reuse(why);
    }
    let refs = || Answer::compare(Counter::Refs, page.refs, Relation::NotEqual, 1);
    let others = match rule {
        PmdCow::MapCount => Answer::compare(Counter::FolioMaps, page.maps, Relation::Above, 1),
        PmdCow::RefCount => refs(),
        PmdCow::Exclusive => refs().without_mark(),
    };
    match others {
        Answer::Yes(why) => PmdVerdict::Split(why),
        Answer::No(why) => PmdVerdict::Reuse(why),
    }
}

/// Whether a write to the huge zero page takes a folio for all of it (facts 1.6).
pub const fn writes_whole_zero(rule: HugeZeroWrite) -> bool {
    match rule {
        HugeZeroWrite::Split => false,
        HugeZeroWrite::Folio => true,
    }
}

/// Whether the NUMA scanner asks of such an entry what it asks of a page's
/// ([`super::numa::numa_skip`]), and not only whether it maps the zero page (facts 4.2).
pub const fn scans_as_page(rule: NumaSkipPmd) -> bool {
    match rule {
        NumaSkipPmd::ZeroPage => false,
        NumaSkipPmd::AsPage => true,
    }
}
