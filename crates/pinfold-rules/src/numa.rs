//! The NUMA scanner meets a present entry: leave it alone because the page is shared or pinned, or
//! because it lies where it is used? (facts 4.1, 4.2)
//!
//! Protocol: under the page-table lock. Every answer is racy, and no rule relies on it for
//! correctness: a lock-free pin may land until the entry is cleared, and a thread may begin.
//! Tiering and the dirty page cache are separate tests, not made here.

use super::pin::maybe_dma_pinned;
use super::{
    Answer, Counter, Locality, Mapping, NumaSkip, NumaWrite, Owners, PageKind, PageState, Relation,
    ThpNuma, Users, Why,
};

/// What becomes of write permission while an entry waits for its hinting fault (facts 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HintedWrite {
    /// The entry keeps it, and the fault leaves it as it is.
    InEntry,
    /// The entry drops it, and the fault does not grant it.
    Dropped,
    /// The entry drops it, and the fault works it out as mprotect does.
    Recomputed,
}

/// What the scanner does with the write bit of an entry that it makes inaccessible, and what the
/// hinting fault does (facts 4.3).
#[inline]
pub const fn hinted_write(rule: NumaWrite) -> HintedWrite {
    match rule {
        NumaWrite::Kept | NumaWrite::Saved => HintedWrite::InEntry,
        NumaWrite::Lost => HintedWrite::Dropped,
        NumaWrite::Recomputed => HintedWrite::Recomputed,
    }
}

/// How a hinting fault moves what its entry maps (facts 4.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HintedMove {
    /// Without migration entries, and only if nothing but this entry refers to the folio.
    Alone,
    /// As every other migration.
    Common,
    /// Not at all: the entry is made accessible.
    Stays,
}

/// How a hinting fault on an entry that maps as many pages as a table does (a PMD) moves the folio
/// (facts 4.4).
#[inline]
pub const fn hinted_huge(rule: ThpNuma) -> HintedMove {
    match rule {
        ThpNuma::Alone => HintedMove::Alone,
        ThpNuma::Huge | ThpNuma::Folio => HintedMove::Common,
    }
}

/// How one on an entry that maps a page of a large folio moves the folio. Where it does, all
/// hinting entries of the folio in the table and the area become accessible with that one (facts
/// 4.4).
#[inline]
pub const fn hinted_page(rule: ThpNuma) -> HintedMove {
    match rule {
        ThpNuma::Alone | ThpNuma::Huge => HintedMove::Stays,
        ThpNuma::Folio => HintedMove::Common,
    }
}

/// Why the scanner leaves the entry accessible, if it does.
#[inline]
pub fn numa_skip(rule: NumaSkip, mapping: Mapping, page: &PageState) -> Option<Why> {
    if matches!(page.kind, PageKind::Ksm | PageKind::Zero) {
        return Some(Why::Page(page.kind));
    }
    let private = mapping == Mapping::Cow;
    let answer = match rule {
        NumaSkip::Never => return None,
        NumaSkip::MapCountAnywhere => maps(page, Relation::NotEqual),
        NumaSkip::MapCount if private => maps(page, Relation::NotEqual),
        NumaSkip::RefCount if private => {
            Answer::compare(Counter::Refs, page.refs, Relation::NotEqual, 1)
        }
        NumaSkip::PinnedOrLikelyShared if private => {
            either(maybe_dma_pinned(page), likely_shared(page))
        }
        NumaSkip::PinnedOrMaybeShared if private => {
            either(maybe_dma_pinned(page), maybe_shared(page))
        }
        NumaSkip::PinnedAnywhere if private => either(maybe_shared(page), maybe_dma_pinned(page)),
        NumaSkip::PinnedAnywhere => maybe_dma_pinned(page),
        NumaSkip::MapCount
        | NumaSkip::RefCount
        | NumaSkip::PinnedOrLikelyShared
        | NumaSkip::PinnedOrMaybeShared => return None,
    };
    match answer {
        Answer::Yes(why) => Some(why),
        Answer::No(_) => None,
    }
}

/// Whether the scanner leaves the entry accessible because a hinting fault could tell nothing: the
/// only thread of the address space runs on the page's node, and the memory is its own. The same in
/// all releases, in the older ones by inference (facts 4.1, 12.12). `users` and `locality` are
/// those of the thread that scans.
#[inline]
pub const fn is_settled(mapping: Mapping, users: Users, locality: Locality) -> bool {
    match (mapping, users, locality) {
        (Mapping::Cow, Users::One, Locality::Local) => true,
        (Mapping::Shared, _, _) | (_, Users::Several, _) | (_, _, Locality::Remote) => false,
    }
}

fn maps(page: &PageState, relation: Relation) -> Answer {
    Answer::compare(Counter::Maps, page.maps, relation, 1)
}

/// Whether several address spaces map the page: of a large folio, a guess from the number of its
/// mappings and those of its first page.
fn likely_shared(page: &PageState) -> Answer {
    let Some(folio) = page.large else { return maps(page, Relation::Above) };
    let one = Answer::compare(Counter::FolioMaps, folio.maps, Relation::AtMost, 1);
    if let Answer::Yes(why) = one {
        return Answer::No(why);
    }
    either(
        Answer::compare(Counter::FolioMaps, folio.maps, Relation::Above, folio.pages),
        Answer::compare(Counter::Maps, folio.first, Relation::Above, 1),
    )
}

/// Whether several address spaces may map the page.
fn maybe_shared(page: &PageState) -> Answer {
    let Some(folio) = page.large else { return maps(page, Relation::Above) };
    match (Answer::compare(Counter::FolioMaps, folio.maps, Relation::AtMost, 1), folio.owners) {
        (Answer::Yes(why), _) => Answer::No(why),
        (Answer::No(_), Owners::Several) => Answer::Yes(Why::MaybeShared),
        (Answer::No(why), Owners::One) => Answer::No(why),
        (Answer::No(_), Owners::Uncounted) => likely_shared(page),
    }
}

/// The first of the two answers that is yes.
fn either(first: Answer, second: Answer) -> Answer {
    if first.is_yes() { first } else { second }
}
