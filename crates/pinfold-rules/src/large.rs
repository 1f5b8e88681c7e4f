//! What a large folio counts, where references on its pages are counted, and what a split does with
//! them (facts 3.3, 5.1 to 5.5).
//!
//! Protocol: a mapping is counted under the lock of the table that holds its entry; the counts of
//! owners need a lock of the folio's besides, as two address spaces may change them at once. A
//! reference is counted before a mapping and taken away after it.

use super::{HeadRecheck, LargeMaps, TailRefs};

/// Where a reference on a tail is counted. One on the head is counted there and nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tally {
    /// On the head alone.
    Head,
    /// On the head, and as a reference of the tail.
    HeadAndTail,
    /// On the head, and where the mappings of the tail would be counted.
    HeadAndMapcount,
}

/// Where a reference on a tail is counted.
#[inline]
pub const fn tally(rule: TailRefs) -> Tally {
    match rule {
        TailRefs::TailAndHead => Tally::HeadAndTail,
        TailRefs::TailMapcountFirst | TailRefs::TailMapcount => Tally::HeadAndMapcount,
        TailRefs::HeadCompared | TailRefs::HeadFrozen => Tally::Head,
    }
}

/// How one more reference is taken on a page through one that is held, without the lock of a table
/// (the kernel's get_page).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again {
    /// On the head, which the reference that is held keeps from being split.
    OfHead,
    /// The page's count, and then the head's, if the page is a tail.
    InTwoSteps,
    /// Under the head's lock, whoever's frame that is by now, if the page is still a tail there.
    UnderLock,
    /// A reference on the head first, if it has any; then the same.
    LiveHeadUnderLock,
}

/// How one more reference is taken on a page through one that is held.
#[inline]
pub const fn again(rule: TailRefs) -> Again {
    match rule {
        TailRefs::TailAndHead => Again::InTwoSteps,
        TailRefs::TailMapcountFirst => Again::UnderLock,
        TailRefs::TailMapcount => Again::LiveHeadUnderLock,
        TailRefs::HeadCompared | TailRefs::HeadFrozen => Again::OfHead,
    }
}

/// What a split does about references, once no entry maps the folio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parting {
    /// It gives each page those that are counted for it.
    Shared,
    /// It fails if there are any but the caller's, as it reads them; more may come afterwards.
    Compared,
    /// It fails if there are any but the caller's, and takes all in one step.
    Frozen,
}

/// What a split does about references.
#[inline]
pub const fn parting(rule: TailRefs) -> Parting {
    match rule {
        TailRefs::TailAndHead | TailRefs::TailMapcountFirst | TailRefs::TailMapcount => {
            Parting::Shared
        }
        TailRefs::HeadCompared => Parting::Compared,
        TailRefs::HeadFrozen => Parting::Frozen,
    }
}

/// What is counted of mappings where a tail's word for them counts its references: as in the
/// releases that did so, no page by itself. Who owns the folio is counted instead, so that a page
/// of one owner is still known to be mapped once. What an unmap forgets, it forgets here, too: that
/// is [`unmap_counts_folio`] of the rule itself.
#[inline]
pub const fn counted_maps(rule: LargeMaps, tails: TailRefs) -> LargeMaps {
    match tally(tails) {
        Tally::HeadAndMapcount => LargeMaps::Owner,
        Tally::Head | Tally::HeadAndTail => rule,
    }
}

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
