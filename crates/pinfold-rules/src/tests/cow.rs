//! Write faults, against facts 1.

use alloc::string::{String, ToString};

use super::super::cow::{
    CowStep, CowVerdict, How, frees_swap_cache, pte_cow_drained, pte_cow_locked, pte_cow_precheck,
    sets_exclusive,
};
use super::super::{Exclusive, Lru, PageKind, PageState, PteCow, SwapCache, Writeback};
use super::{KINDS, MARKED, UNMARKED};

const SWAP_CACHES: [SwapCache; 4] = [
    SwapCache::Absent,
    SwapCache::Present { swap_count: 0, writeback: Writeback::Idle },
    SwapCache::Present { swap_count: 1, writeback: Writeback::Idle },
    SwapCache::Present { swap_count: 0, writeback: Writeback::RunningStable },
];

/// The whole protocol for a page that no other thread touches: the batch is on this CPU or on
/// another, and the page lock is free. Returns the verdict and its reason in words.
fn fault(rule: PteCow, page: PageState, batch: Batch) -> (Outcome, String) {
    let mut page = page;
    let mut step = pte_cow_precheck(rule, &page);
    if step == CowStep::DrainLru {
        if batch == Batch::Here {
            page.lru = Lru::On;
            page.refs -= 1;
        }
        step = pte_cow_drained(rule, &page);
    }
    match step {
        CowStep::Reuse(why) => return (Outcome::Kept, why.to_string()),
        CowStep::Copy(why) => return (Outcome::Copied, why.to_string()),
        CowStep::DrainLru => panic!("drained twice"),
        CowStep::NeedPageLock(_) => {}
    }
    let idle = SwapCache::Present { swap_count: 0, writeback: Writeback::Idle };
    if frees_swap_cache(rule) && page.swap == idle {
        page.swap = SwapCache::Absent;
        page.refs -= 1;
    }
    match pte_cow_locked(rule, &page) {
        CowVerdict::Reuse(why) => (Outcome::Kept, why.to_string()),
        CowVerdict::Copy(why) => (Outcome::Copied, why.to_string()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Kept,
    Copied,
}
use Outcome::{Copied, Kept};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Batch {
    Here,
    Elsewhere,
}

/// One outcome for each rule since 5.1, in historic order; before, only merged pages were treated
/// in another way.
fn table(page: PageState, batch: Batch, expected: [Outcome; 5]) {
    for (&rule, expected) in PteCow::ALL[1..].iter().zip(expected) {
        let (outcome, why) = fault(rule, page, batch);
        assert_eq!(outcome, expected, "{rule}: {why}, {page:?}");
    }
    let merged = page.kind == PageKind::Ksm;
    let first = if merged { Copied } else { expected[0] };
    assert_eq!(fault(PteCow::MapCountUnmerged, page, batch).0, first, "{page:?}");
}

fn verdict(rule: PteCow, page: PageState) -> (Outcome, String) {
    fault(rule, page, Batch::Here)
}

#[test]
fn a_page_of_ones_own_is_reused_by_every_rule() {
    table(UNMARKED, Batch::Here, [Kept; 5]);
    table(MARKED, Batch::Here, [Kept; 5]);
}

#[test]
fn a_pinned_page_is_copied_from_5_9_until_the_mark() {
    let pinned = PageState { refs: 1 + 1024, ..MARKED };
    table(pinned, Batch::Here, [Kept, Copied, Copied, Kept, Kept]);
}

#[test]
fn a_foreign_reference_without_the_mark_copies_from_5_9_on() {
    let referenced = PageState { refs: 2, ..UNMARKED };
    table(referenced, Batch::Here, [Kept, Copied, Copied, Copied, Copied]);
}

#[test]
fn a_page_shared_with_a_child_is_copied_by_every_rule() {
    let shared = PageState { refs: 2, maps: 2, ..UNMARKED };
    table(shared, Batch::Here, [Copied; 5]);
}

#[test]
fn a_fresh_page_in_a_batch_follows_row_t25() {
    let batched = PageState { refs: 2, lru: Lru::Off, ..UNMARKED };
    table(batched, Batch::Here, [Kept, Copied, Kept, Kept, Kept]);
    table(batched, Batch::Elsewhere, [Kept, Copied, Copied, Copied, Copied]);
    table(
        PageState { refs: 2, lru: Lru::Off, ..MARKED },
        Batch::Elsewhere,
        [Kept, Copied, Copied, Kept, Kept],
    );
}

#[test]
fn a_page_left_in_the_swap_cache_is_freed_from_it_since_5_18() {
    let swap = SwapCache::Present { swap_count: 0, writeback: Writeback::Idle };
    let page = PageState { refs: 2, swap, ..UNMARKED };
    table(page, Batch::Here, [Kept, Copied, Kept, Kept, Kept]);
    let page = PageState { refs: 3, lru: Lru::Off, ..page };
    table(page, Batch::Here, [Kept, Copied, Kept, Kept, Kept]);
    table(page, Batch::Elsewhere, [Kept, Copied, Copied, Copied, Copied]);
}

#[test]
fn a_page_with_swap_entries_left_is_copied() {
    let swap = SwapCache::Present { swap_count: 1, writeback: Writeback::Idle };
    table(PageState { refs: 2, swap, ..UNMARKED }, Batch::Here, [Copied; 5]);
}

#[test]
fn writeback_keeps_the_page_in_the_swap_cache() {
    let swap = |writeback| SwapCache::Present { swap_count: 0, writeback };
    let running = PageState { refs: 2, swap: swap(Writeback::Running), ..UNMARKED };
    table(running, Batch::Here, [Kept, Copied, Copied, Copied, Copied]);
    let stable = PageState { refs: 2, swap: swap(Writeback::RunningStable), ..UNMARKED };
    table(stable, Batch::Here, [Copied; 5]);
}

#[test]
fn pages_that_are_nobodys_own_are_copied() {
    for kind in [PageKind::File, PageKind::Zero] {
        for refs in [1, 2, 5000] {
            table(PageState { kind, refs, ..MARKED }, Batch::Here, [Copied; 5]);
        }
    }
}

#[test]
fn a_merged_page_is_taken_over_only_by_its_last_user_from_5_1_to_5_8() {
    let merged = PageState { kind: PageKind::Ksm, ..MARKED };
    table(merged, Batch::Here, [Kept, Copied, Copied, Copied, Copied]);
    table(PageState { refs: 2, ..merged }, Batch::Here, [Copied; 5]);
    for swap in &SWAP_CACHES[1..] {
        table(PageState { swap: *swap, ..merged }, Batch::Here, [Copied; 5]);
    }
    assert_eq!(verdict(PteCow::MapCount, merged).1, "refcount 1 == 1");
    let grown = PageState { refs: 2, ..merged };
    assert!(matches!(pte_cow_locked(PteCow::MapCount, &grown), CowVerdict::Copy(_)));
}

#[test]
fn the_early_test_of_5_18_allows_three_references_in_any_case() {
    for rule in [PteCow::RefCountPrecise, PteCow::Exclusive] {
        for refs in 1..=3 {
            let page = PageState { refs, lru: Lru::Off, ..UNMARKED };
            assert_eq!(pte_cow_precheck(rule, &page), CowStep::DrainLru, "{rule} {refs}");
        }
        for swap in SWAP_CACHES {
            let page = PageState { refs: 4, lru: Lru::Off, swap, ..UNMARKED };
            assert!(matches!(pte_cow_precheck(rule, &page), CowStep::Copy(_)));
        }
    }
}

#[test]
fn the_early_test_of_7_3_allows_what_the_page_accounts_for() {
    for swap in SWAP_CACHES {
        for lru in [Lru::On, Lru::Off] {
            let accounted = 1 + u32::from(swap != SwapCache::Absent) + u32::from(lru == Lru::Off);
            for refs in 1..=4 {
                let page = PageState { refs, swap, lru, ..UNMARKED };
                let step = pte_cow_precheck(PteCow::ExclusiveTight, &page);
                let expected = match lru {
                    _ if refs > accounted => None,
                    Lru::Off => Some(CowStep::DrainLru),
                    Lru::On => Some(CowStep::NeedPageLock(How::TryLock)),
                };
                match expected {
                    None => assert!(matches!(step, CowStep::Copy(_)), "{page:?}"),
                    Some(expected) => assert_eq!(step, expected, "{page:?}"),
                }
            }
        }
    }
}

#[test]
fn after_the_drain_only_mapping_and_swap_cache_may_hold_references() {
    for swap in SWAP_CACHES {
        let accounted = 1 + u32::from(swap != SwapCache::Absent);
        for refs in 1..=4 {
            for lru in [Lru::On, Lru::Off] {
                let page = PageState { refs, swap, lru, ..UNMARKED };
                let step = pte_cow_drained(PteCow::RefCountPrecise, &page);
                let exclusive = pte_cow_drained(PteCow::Exclusive, &page);
                assert_eq!(matches!(exclusive, CowStep::Copy(_)), refs > accounted);
                if refs <= accounted {
                    assert_eq!(step, CowStep::NeedPageLock(How::TryLock));
                } else {
                    assert!(matches!(step, CowStep::Copy(_)), "{refs} {swap:?}");
                }
            }
        }
    }
}

#[test]
fn a_tighter_early_test_never_changes_the_verdict() {
    for swap in SWAP_CACHES {
        for lru in [Lru::On, Lru::Off] {
            for refs in 2..=6 {
                for batch in [Batch::Here, Batch::Elsewhere] {
                    let page = PageState { refs, swap, lru, ..UNMARKED };
                    let (loose, _) = fault(PteCow::Exclusive, page, batch);
                    let (tight, _) = fault(PteCow::ExclusiveTight, page, batch);
                    assert_eq!(loose, tight, "{page:?} {batch:?}");
                }
            }
        }
    }
}

#[test]
fn only_the_mapcount_era_sleeps_for_the_page_lock() {
    for &rule in PteCow::ALL {
        let by_maps = matches!(rule, PteCow::MapCountUnmerged | PteCow::MapCount);
        let expected = if by_maps { How::Sleep } else { How::TryLock };
        assert_eq!(pte_cow_precheck(rule, &UNMARKED), CowStep::NeedPageLock(expected));
    }
}

#[test]
fn the_mapcount_era_looks_at_no_reference() {
    for refs in [1, 2, 3, 1025, u32::MAX] {
        let page = PageState { refs, ..UNMARKED };
        assert_eq!(verdict(PteCow::MapCount, page).0, Kept);
    }
}

#[test]
fn counts_under_the_page_lock_are_looked_at_again() {
    let grown = PageState { refs: 2, ..UNMARKED };
    for &rule in &PteCow::ALL[2..] {
        assert!(matches!(pte_cow_locked(rule, &grown), CowVerdict::Copy(_)), "{rule}");
    }
    let mapped_twice = PageState { maps: 2, ..UNMARKED };
    assert!(matches!(pte_cow_locked(PteCow::RefCount, &mapped_twice), CowVerdict::Copy(_)));
}

#[test]
fn the_reason_carries_the_numbers() {
    let why = |rule, page| verdict(rule, page).1;
    assert_eq!(why(PteCow::RefCount, PageState { refs: 2, ..UNMARKED }), "refcount 2 != 1");
    assert_eq!(why(PteCow::RefCount, UNMARKED), "refcount 1 == 1");
    assert_eq!(
        why(PteCow::RefCountPrecise, PageState { refs: 1025, ..UNMARKED }),
        "refcount 1025 > 3"
    );
    assert_eq!(
        why(PteCow::ExclusiveTight, PageState { refs: 2, ..UNMARKED }),
        "not marked exclusive, and refcount 2 > 1"
    );
    assert_eq!(
        why(PteCow::MapCount, PageState { maps: 2, ..UNMARKED }),
        "mapcount + swap count 2 > 1"
    );
    assert_eq!(why(PteCow::Exclusive, MARKED), "anonymous and exclusive");
    assert_eq!(
        why(PteCow::Exclusive, PageState { kind: PageKind::File, ..MARKED }),
        "a page-cache page"
    );
}

#[test]
fn the_mark_is_known_since_5_19() {
    let known = PteCow::ALL.iter().map(|&rule| sets_exclusive(rule));
    assert!(known.eq([false, false, false, false, true, true]));
}

#[test]
fn inv_rules_3_older_rules_do_not_see_the_mark() {
    for &rule in PteCow::ALL.iter().filter(|&&rule| !sets_exclusive(rule)) {
        for swap in SWAP_CACHES {
            for (refs, maps) in [(1, 1), (2, 1), (2, 2), (4, 1), (1025, 1)] {
                for lru in [Lru::On, Lru::Off] {
                    let page = PageState { refs, maps, swap, lru, ..MARKED };
                    let bare = PageState { kind: PageKind::Anon(Exclusive::Unmarked), ..page };
                    assert_eq!(pte_cow_precheck(rule, &page), pte_cow_precheck(rule, &bare));
                    assert_eq!(pte_cow_locked(rule, &page), pte_cow_locked(rule, &bare));
                }
            }
        }
    }
}

#[test]
fn no_value_of_a_count_overflows() {
    let page = PageState {
        refs: u32::MAX,
        maps: u32::MAX,
        swap: SwapCache::Present { swap_count: u32::MAX, writeback: Writeback::Idle },
        ..UNMARKED
    };
    for kind in KINDS {
        for &rule in PteCow::ALL {
            let page = PageState { kind, ..page };
            let kept = kind == PageKind::Anon(Exclusive::Marked) && sets_exclusive(rule);
            let expected = if kept { Kept } else { Copied };
            assert_eq!(verdict(rule, page).0, expected);
        }
    }
}

/// A rule that looks at the mark first says that there was none.
#[test]
fn a_count_that_decides_for_want_of_a_mark_says_so() {
    let crowded = PageState { refs: 1025, ..UNMARKED };
    for &rule in PteCow::ALL {
        let (_, why) = fault(rule, crowded, Batch::Here);
        let (_, alone) = fault(rule, PageState { refs: 1, ..UNMARKED }, Batch::Here);
        for why in [why, alone] {
            let told = why.starts_with("not marked exclusive, and refcount 1");
            assert_eq!(told, sets_exclusive(rule), "{rule}: {why}");
        }
    }
}
