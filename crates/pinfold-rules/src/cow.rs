//! A write fault on a present, write-protected entry of a private mapping: keep the page, or copy
//! it? (facts 1)
//!
//! Protocol, all under the page-table lock, once the entry is found to be still the one that
//! faulted:
//! 1. [`pte_cow_precheck`]. On [`CowStep::DrainLru`] drain this CPU's LRU batch, look at the page
//!    again and call [`pte_cow_drained`]. A batch on another CPU stays undrained, so there is no
//!    second try.
//! 2. On [`CowStep::NeedPageLock`] take the page lock in the way that [`How`] says.
//! 3. If [`frees_swap_cache`], try to drop the page from the swap cache. Then look at the page
//!    again, under the page lock, and call [`pte_cow_locked`]. Each look is needed for correctness.
//! 4. On reuse set the exclusive mark. Rules that never look at it lose nothing by that, and
//!    another switch may need it.
//!
//! The same decision serves an unshare request (facts 3.9); only what follows reuse differs. A page
//! of a large folio that entries map is judged by [`large_cow`] first, which answers for those that
//! have no mark where a rule looks at marks (facts 1.6).

use super::{Answer, Counter, Exclusive, LargeCow, Lru, Owners, PageKind, PageState, PteCow};
use super::{Relation, SwapCache, Why, Writeback};

/// The references that the early test of 5.18 always allows for: the mapping, the swap cache, an
/// LRU batch.
const LOOSE_LIMIT: u32 = 3;

/// How to take the page lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum How {
    /// Try; if it is contended, take a reference, drop the page-table lock and sleep until it is
    /// free. Then recheck the entry, and let the access fault again if it changed.
    Sleep,
    /// Try; if it is contended, copy ([`Why::Locked`]).
    TryLock,
}

/// What a write fault does next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum CowStep {
    /// Keep the page.
    Reuse(Why),
    /// Copy it.
    Copy(Why),
    /// Take the page lock and ask [`pte_cow_locked`].
    NeedPageLock(How),
    /// Drain this CPU's LRU batch and ask [`pte_cow_drained`].
    DrainLru,
}

/// What a write fault finally does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum CowVerdict {
    /// Keep the page.
    Reuse(Why),
    /// Copy it.
    Copy(Why),
}

/// Whether the rule uses the exclusive mark: new pages, copies and reused pages get it, and it is
/// tested before any count.
#[inline]
pub const fn sets_exclusive(rule: PteCow) -> bool {
    match rule {
        PteCow::MapCountUnmerged
        | PteCow::MapCount
        | PteCow::RefCount
        | PteCow::RefCountPrecise => false,
        PteCow::Exclusive | PteCow::ExclusiveTight => true,
    }
}

/// Whether the page is dropped from the swap cache before the deciding count of its references. It
/// can be dropped unless it is under writeback or swap entries still name it.
#[inline]
pub const fn frees_swap_cache(rule: PteCow) -> bool {
    match rule {
        PteCow::MapCountUnmerged | PteCow::MapCount | PteCow::RefCount => false,
        PteCow::RefCountPrecise | PteCow::Exclusive | PteCow::ExclusiveTight => true,
    }
}

/// Whether the decision needs to know how often the most mapped page of a large folio is mapped.
#[inline]
pub const fn counts_most(rule: PteCow) -> bool {
    match rule {
        PteCow::MapCountUnmerged | PteCow::MapCount => true,
        PteCow::RefCount | PteCow::RefCountPrecise | PteCow::Exclusive | PteCow::ExclusiveTight => {
            false
        }
    }
}

/// What decides for a page of a large folio before [`pte_cow_precheck`], if anything does: under
/// the table's lock, with the page's mark and counts as they are then (facts 1.6).
///
/// One that is in the swap cache is copied: nothing puts a large folio there.
pub fn large_cow(pte_cow: PteCow, rule: LargeCow, page: &PageState) -> Option<CowVerdict> {
    let (PageKind::Anon(Exclusive::Unmarked), Some(folio)) = (page.kind, page.large) else {
        return None;
    };
    if !sets_exclusive(pte_cow) {
        return None;
    }
    match rule {
        LargeCow::AsSmall => return None,
        LargeCow::Never => return Some(CowVerdict::Copy(Why::LargeFolio)),
        LargeCow::ByOwner => {}
    }
    if let Answer::Yes(why) = Answer::compare(Counter::FolioMaps, folio.maps, Relation::AtMost, 1) {
        return Some(CowVerdict::Copy(why.without_mark()));
    }
    match folio.owners {
        Owners::One => {}
        Owners::Several | Owners::Uncounted => return Some(CowVerdict::Copy(Why::MaybeShared)),
    }
    if page.swap != SwapCache::Absent {
        return Some(CowVerdict::Copy(Why::InSwapCache));
    }
    // All of a folio's mappings are counted before a reference more can be: the two are equal, or
    // somebody else refers to it.
    Some(match refs(page, Relation::NotEqual, folio.maps) {
        Answer::Yes(why) => CowVerdict::Copy(why.without_mark()),
        Answer::No(why) => CowVerdict::Reuse(why.without_mark()),
    })
}

/// What the kind of page decides by itself, both before the page lock and under it.
fn by_kind(rule: PteCow, page: &PageState) -> Option<CowVerdict> {
    match page.kind {
        PageKind::Anon(Exclusive::Marked) if sets_exclusive(rule) => {
            Some(CowVerdict::Reuse(Why::Page(page.kind)))
        }
        PageKind::Anon(_) => None,
        PageKind::Ksm => match rule {
            PteCow::MapCount => by_merged(page),
            PteCow::MapCountUnmerged
            | PteCow::RefCount
            | PteCow::RefCountPrecise
            | PteCow::Exclusive
            | PteCow::ExclusiveTight => Some(CowVerdict::Copy(Why::Page(page.kind))),
        },
        PageKind::File | PageKind::Zero => Some(CowVerdict::Copy(Why::Page(page.kind))),
    }
}

/// A merged page at the end of the mapcount era: its last user may take it over, but not out of the
/// swap cache (facts 1.1 step 1).
fn by_merged(page: &PageState) -> Option<CowVerdict> {
    if page.swap != SwapCache::Absent {
        return Some(CowVerdict::Copy(Why::InSwapCache));
    }
    match refs(page, Relation::NotEqual, 1) {
        Answer::Yes(why) => Some(CowVerdict::Copy(why)),
        Answer::No(_) => None,
    }
}

fn refs(page: &PageState, relation: Relation, limit: u32) -> Answer {
    Answer::compare(Counter::Refs, page.refs, relation, limit)
}

/// The first step of a write fault, before the page lock (facts 1.1 to 1.6).
pub fn pte_cow_precheck(rule: PteCow, page: &PageState) -> CowStep {
    match by_kind(rule, page) {
        Some(CowVerdict::Reuse(why)) => return CowStep::Reuse(why),
        Some(CowVerdict::Copy(why)) => return CowStep::Copy(why),
        None => {}
    }
    let allowed = match rule {
        PteCow::MapCountUnmerged | PteCow::MapCount => return CowStep::NeedPageLock(How::Sleep),
        PteCow::RefCount => {
            return match refs(page, Relation::NotEqual, 1) {
                Answer::Yes(why) => CowStep::Copy(why),
                Answer::No(_) => CowStep::NeedPageLock(How::TryLock),
            };
        }
        PteCow::RefCountPrecise | PteCow::Exclusive => LOOSE_LIMIT,
        PteCow::ExclusiveTight => 1 + page.swap.refs() + u32::from(page.lru == Lru::Off),
    };
    match (refs(page, Relation::Above, allowed), page.lru) {
        (Answer::Yes(why), _) => CowStep::Copy(after_mark(rule, why)),
        (Answer::No(_), Lru::Off) => CowStep::DrainLru,
        (Answer::No(_), Lru::On) => pte_cow_drained(rule, page),
    }
}

/// The step after [`CowStep::DrainLru`]: only the mapping and the swap cache may still hold
/// references.
pub fn pte_cow_drained(rule: PteCow, page: &PageState) -> CowStep {
    match refs(page, Relation::Above, 1 + page.swap.refs()) {
        Answer::Yes(why) => CowStep::Copy(after_mark(rule, why)),
        Answer::No(_) => CowStep::NeedPageLock(How::TryLock),
    }
}

/// The verdict under the page lock and the page-table lock (facts 1.1 to 1.5).
///
/// Where mappings decide, a reused page leaves the swap cache, unless it is under writeback.
pub fn pte_cow_locked(rule: PteCow, page: &PageState) -> CowVerdict {
    if let Some(verdict) = by_kind(rule, page) {
        return verdict;
    }
    match rule {
        PteCow::MapCount if page.kind == PageKind::Ksm => by_refs(rule, page),
        PteCow::MapCountUnmerged | PteCow::MapCount => by_maps_and_swaps(page),
        PteCow::RefCount => {
            match Answer::compare(Counter::Maps, page.maps, Relation::NotEqual, 1) {
                Answer::Yes(why) => CowVerdict::Copy(why),
                Answer::No(_) => by_refs(rule, page),
            }
        }
        PteCow::RefCountPrecise | PteCow::Exclusive | PteCow::ExclusiveTight => by_refs(rule, page),
    }
}

fn by_refs(rule: PteCow, page: &PageState) -> CowVerdict {
    match refs(page, Relation::NotEqual, 1) {
        Answer::Yes(why) => CowVerdict::Copy(after_mark(rule, why)),
        Answer::No(why) => CowVerdict::Reuse(after_mark(rule, why)),
    }
}

/// What a count decided, once [`by_kind`] has found no mark where the rule looks at it.
const fn after_mark(rule: PteCow, why: Why) -> Why {
    if sets_exclusive(rule) { why.without_mark() } else { why }
}

fn by_maps_and_swaps(page: &PageState) -> CowVerdict {
    // Of a large folio, the page that is mapped most often decides for all.
    let maps = page.large.map_or(page.maps, |folio| folio.most);
    let users = maps.saturating_add(page.swap.swap_count());
    match Answer::compare(Counter::MapsAndSwaps, users, Relation::Above, 1) {
        Answer::Yes(why) => CowVerdict::Copy(why),
        Answer::No(why) => match page.swap {
            SwapCache::Present { writeback: Writeback::RunningStable, .. } => {
                CowVerdict::Copy(Why::StableWriteback)
            }
            _ => CowVerdict::Reuse(why),
        },
    }
}
