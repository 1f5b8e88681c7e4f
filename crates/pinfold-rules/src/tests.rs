//! Tests of the rules, against the numbers of the fact sheet.

use super::{Exclusive, LargeState, Lru, Owners, PageKind, PageState, SwapCache};

mod cow;
mod eras;
mod fork;
mod hugetlb;
mod large;
mod numa;
mod pin;
mod pmd;
mod presets;
mod protect;
mod swap;
mod text;

/// An anonymous page with the mark that is mapped once, on an LRU list, and nothing else.
const MARKED: PageState = PageState {
    kind: PageKind::Anon(Exclusive::Marked),
    refs: 1,
    maps: 1,
    large: None,
    swap: SwapCache::Absent,
    lru: Lru::On,
};

/// The large folio of four pages, all of them mapped by one address space, that a page is part of,
/// with so many pins.
const fn pinned(pins: u32) -> Option<LargeState> {
    Some(LargeState { pages: 4, pins, maps: 4, most: 1, first: 1, owners: Owners::One })
}

/// The same without the mark.
const UNMARKED: PageState = PageState { kind: PageKind::Anon(Exclusive::Unmarked), ..MARKED };

/// Every kind of page.
const KINDS: [PageKind; 5] = [
    PageKind::Anon(Exclusive::Marked),
    PageKind::Anon(Exclusive::Unmarked),
    PageKind::Ksm,
    PageKind::File,
    PageKind::Zero,
];
