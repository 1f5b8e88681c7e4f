//! Whose a page is that comes back from swap, by every rule.

use super::super::swap::{ReadsInto, reads_into, skips_cache, swap_in_fresh, takes_slot};
use super::super::swap::{SwapInFor, SwapInVerdict, swap_in};
use super::super::{
    Exclusive, PageKind, PageState, SwapCache, SwapInCache, SwapInReuse, Why, Writeback,
};
use super::UNMARKED;

const RULES: [SwapInReuse; 4] = [
    SwapInReuse::MapCount,
    SwapInReuse::RefCount,
    SwapInReuse::ExclusiveOrRefCount,
    SwapInReuse::Exclusive,
];

fn cached(swap_count: u32, writeback: Writeback) -> SwapCache {
    SwapCache::Present { swap_count, writeback }
}

/// Which of the rules call the page its owner's, in their order.
fn owned(wanted: SwapInFor, remembered: Exclusive, page: PageState) -> [bool; 4] {
    RULES.map(|rule| match swap_in(rule, wanted, remembered, &page) {
        SwapInVerdict::Own(_) => true,
        SwapInVerdict::Shared(_) => false,
    })
}

/// A page that nothing maps, as a fault finds it that is its only user.
const BACK: PageState = PageState { refs: 1, maps: 0, ..UNMARKED };

#[test]
fn the_only_user_owns_what_it_writes() {
    let own = PageState { swap: cached(1, Writeback::Idle), ..BACK };
    assert_eq!(owned(SwapInFor::Write, Exclusive::Unmarked, own), [true, true, true, false]);
    assert_eq!(owned(SwapInFor::Write, Exclusive::Marked, own), [true; 4]);
}

#[test]
fn a_read_owns_nothing_before_the_mark_was_remembered() {
    assert_eq!(owned(SwapInFor::Read, Exclusive::Unmarked, BACK), [false, false, true, false]);
    assert_eq!(owned(SwapInFor::Read, Exclusive::Marked, BACK), [false, false, true, true]);
    let why = swap_in(SwapInReuse::MapCount, SwapInFor::Read, Exclusive::Unmarked, &BACK);
    assert_eq!(why, SwapInVerdict::Shared(Why::NotWritten));
}

#[test]
fn references_count_for_the_rules_by_references_alone() {
    let held = PageState { refs: 1025, swap: cached(1, Writeback::Idle), ..BACK };
    assert_eq!(owned(SwapInFor::Write, Exclusive::Unmarked, held), [true, false, false, false]);
    assert_eq!(owned(SwapInFor::Write, Exclusive::Marked, held), [true, false, true, true]);
}

#[test]
fn other_users_count_for_the_rule_by_maps_and_swaps() {
    for (maps, swap_count) in [(1, 1), (0, 2)] {
        let shared = PageState { maps, swap: cached(swap_count, Writeback::Idle), ..BACK };
        let rule = SwapInReuse::MapCount;
        let verdict = swap_in(rule, SwapInFor::Write, Exclusive::Unmarked, &shared);
        assert!(matches!(verdict, SwapInVerdict::Shared(_)), "{verdict:?}");
    }
}

#[test]
fn what_a_device_must_find_unchanged_is_nobodys() {
    for (writeback, kept) in [(Writeback::Running, true), (Writeback::RunningStable, false)] {
        let page = PageState { refs: 2, swap: cached(1, writeback), ..BACK };
        assert_eq!(
            owned(SwapInFor::Write, Exclusive::Marked, page),
            [kept, false, kept, kept],
            "{writeback:?}"
        );
    }
    let page = PageState { swap: cached(1, Writeback::RunningStable), ..BACK };
    let verdict = swap_in(SwapInReuse::Exclusive, SwapInFor::Write, Exclusive::Marked, &page);
    assert_eq!(verdict, SwapInVerdict::Shared(Why::StableWriteback));
}

#[test]
fn a_merged_page_is_never_owned() {
    let merged = PageState { kind: PageKind::Ksm, ..BACK };
    for wanted in [SwapInFor::Read, SwapInFor::Write] {
        assert_eq!(owned(wanted, Exclusive::Marked, merged), [false; 4]);
    }
}

#[test]
fn a_page_is_read_past_the_cache_for_the_only_entry_of_its_slot() {
    for rule in SwapInCache::ALL {
        assert_eq!(reads_into(*rule, 2), ReadsInto::Cache, "{rule}");
    }
    let sole = |rule| (reads_into(rule, 1), skips_cache(rule), takes_slot(rule));
    assert_eq!(sole(SwapInCache::Through), (ReadsInto::Cache, false, false));
    assert_eq!(sole(SwapInCache::Skipped), (ReadsInto::OwnPage, true, false));
    assert_eq!(sole(SwapInCache::SkippedAlone), (ReadsInto::OwnPageAlone, true, true));
}

#[test]
fn what_was_never_in_the_cache_is_its_owners_as_soon_as_the_rule_asks() {
    use super::super::swap::SwapInVerdict::{Own, Shared};
    for rule in RULES {
        assert_eq!(swap_in_fresh(rule, SwapInFor::Write), Own(Why::NeverCached), "{rule}");
    }
    for rule in [SwapInReuse::MapCount, SwapInReuse::RefCount] {
        assert_eq!(swap_in_fresh(rule, SwapInFor::Read), Shared(Why::NotWritten), "{rule}");
    }
    for rule in [SwapInReuse::ExclusiveOrRefCount, SwapInReuse::Exclusive] {
        assert_eq!(swap_in_fresh(rule, SwapInFor::Read), Own(Why::NeverCached), "{rule}");
    }
}
