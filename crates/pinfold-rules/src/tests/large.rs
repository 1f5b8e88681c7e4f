//! Pages of large folios: reuse (facts 1.6), the scanner's guesses (facts 4.2), and what is counted
//! (facts 5.5).

use alloc::format;

use super::super::cow::{CowVerdict, large_cow};
use super::super::large::{
    Again, Parting, Tally, again, counted_maps, counts_each_page, counts_owners, parting,
    rechecks_head, tally, unmap_counts_folio,
};
use super::super::numa::numa_skip;
use super::super::{
    Exclusive, LargeCow, LargeMaps, LargeState, Mapping, NumaSkip, Owners, PageKind, PageState,
    PteCow, Rules, SwapCache, TailRefs, Why, Writeback,
};
use super::{MARKED, UNMARKED};

const FOLIO: LargeState =
    LargeState { pages: 4, pins: 0, maps: 4, most: 1, first: 1, owners: Owners::One };

/// A page of a folio that one address space maps whole, without a mark.
const ALONE: PageState = PageState { refs: 4, large: Some(FOLIO), ..UNMARKED };

fn with(folio: LargeState, refs: u32) -> PageState {
    PageState { refs, large: Some(folio), ..UNMARKED }
}

fn verdict(release: &str, page: &PageState) -> Option<&'static str> {
    let rules = Rules::linux(release).unwrap();
    large_cow(rules.pte_cow, rules.large_cow, page).map(|verdict| match verdict {
        CowVerdict::Reuse(_) => "reuse",
        CowVerdict::Copy(_) => "copy",
    })
}

#[test]
fn t26_a_page_of_a_large_folio_of_one_owner_is_reused_from_6_15_on() {
    let releases = ["5.8", "5.18", "5.19", "6.7", "6.8", "6.14", "6.15", "7.3"];
    let verdicts = releases.map(|release| verdict(release, &ALONE));
    let copy = Some("copy");
    assert_eq!(verdicts, [None, None, None, None, copy, copy, Some("reuse"), Some("reuse")]);
}

#[test]
fn a_marked_or_small_page_is_for_the_other_rule() {
    for release in ["5.8", "6.8", "7.3"] {
        assert_eq!(verdict(release, &UNMARKED), None);
        assert_eq!(verdict(release, &PageState { large: Some(FOLIO), ..MARKED }), None);
        assert_eq!(verdict(release, &PageState { kind: PageKind::Zero, ..ALONE }), None);
    }
}

#[test]
fn by_owner_copies_for_each_reason_of_its_own() {
    let why = |page: &PageState| match large_cow(PteCow::Exclusive, LargeCow::ByOwner, page) {
        Some(CowVerdict::Copy(why)) => why,
        other => panic!("{page:?}: {other:?}"),
    };
    // The last page of the folio that is still mapped: copied, so that the folio can be freed.
    let last = with(LargeState { maps: 1, ..FOLIO }, 1);
    assert_eq!(format!("{}", why(&last)), "not marked exclusive, and folio mapcount 1 <= 1");
    assert_eq!(why(&with(LargeState { owners: Owners::Several, ..FOLIO }, 4)), Why::MaybeShared);
    assert_eq!(why(&with(LargeState { owners: Owners::Uncounted, ..FOLIO }, 4)), Why::MaybeShared);
    // Somebody holds a reference.
    assert_eq!(format!("{}", why(&with(FOLIO, 5))), "not marked exclusive, and refcount 5 != 4");
    let swap = SwapCache::Present { swap_count: 0, writeback: Writeback::Idle };
    assert_eq!(why(&PageState { swap, ..ALONE }), Why::InSwapCache);
}

#[test]
fn the_mapcount_rule_looks_at_the_page_that_is_mapped_most() {
    use super::super::cow::pte_cow_locked;
    let reused = |most| {
        let page = with(LargeState { most, maps: 5, ..FOLIO }, 9);
        matches!(pte_cow_locked(PteCow::MapCount, &page), CowVerdict::Reuse(_))
    };
    assert!(reused(1) && !reused(2));
}

#[test]
fn the_scanner_guesses_by_the_first_page_up_to_6_14() {
    let skips = |release: &str, folio| {
        let rule = Rules::linux(release).unwrap().numa_skip;
        numa_skip(rule, Mapping::Cow, &with(folio, 9)).is_some()
    };
    let several = LargeState { owners: Owners::Several, ..FOLIO };
    // Another address space maps one page of it, and not the first: unseen, then seen.
    let part = LargeState { pages: 4, maps: 4, ..several };
    assert!(!skips("6.10", part) && skips("6.15", part));
    assert!(skips("6.10", LargeState { first: 2, ..several }));
    assert!(skips("6.10", LargeState { maps: 5, ..several }));
    for release in ["6.10", "6.15"] {
        assert!(!skips(release, FOLIO), "{release}");
        assert!(!skips(release, LargeState { maps: 1, ..several }), "{release}");
        assert!(skips(release, LargeState { pins: 1, ..FOLIO }), "{release}");
    }
    let uncounted = LargeState { owners: Owners::Uncounted, first: 2, ..FOLIO };
    assert!(numa_skip(NumaSkip::PinnedOrMaybeShared, Mapping::Cow, &with(uncounted, 9)).is_some());
}

#[test]
fn what_is_counted_follows_the_releases() {
    let at = |release: &str| Rules::linux(release).unwrap();
    for release in ["5.8", "6.14"] {
        assert!(counts_each_page(at(release).large_maps) && !counts_owners(at(release).large_maps));
    }
    let newest = at("6.15").large_maps;
    assert!(counts_each_page(newest) && counts_owners(newest) && unmap_counts_folio(newest));
    let own = Rules::default().large_maps;
    assert!(!counts_each_page(own) && counts_owners(own) && unmap_counts_folio(own));
    assert!(!unmap_counts_folio(LargeMaps::Forgotten));
    assert!(!rechecks_head(at("5.13").head_recheck) && rechecks_head(at("5.14").head_recheck));
    assert_eq!(ALONE.kind, PageKind::Anon(Exclusive::Unmarked));
}

#[test]
fn references_on_tails_move_from_the_tail_to_the_head_as_facts_5_say() {
    let at = |release| Rules::linux(release).unwrap().tail_refs;
    let seen =
        ["5.8", "latest", "pinfold"].map(|release| (tally(at(release)), parting(at(release))));
    assert!(seen.iter().all(|of| *of == (Tally::Head, Parting::Frozen)), "{seen:?}");
    let of = |rule| (tally(rule), again(rule), parting(rule));
    let all = TailRefs::ALL.iter().map(|rule| of(*rule));
    let expected = [
        (Tally::HeadAndTail, Again::InTwoSteps, Parting::Shared),
        (Tally::HeadAndMapcount, Again::UnderLock, Parting::Shared),
        (Tally::HeadAndMapcount, Again::LiveHeadUnderLock, Parting::Shared),
        (Tally::Head, Again::OfHead, Parting::Compared),
        (Tally::Head, Again::OfHead, Parting::Frozen),
    ];
    assert!(all.eq(expected));
}

#[test]
fn a_word_counts_references_of_a_tail_or_mappings_of_it_and_not_both() {
    for &tails in TailRefs::ALL {
        for &rule in LargeMaps::ALL {
            let counted = counted_maps(rule, tails);
            if tally(tails) == Tally::HeadAndMapcount {
                assert!(!counts_each_page(counted) && counts_owners(counted), "{tails} {rule}");
            } else {
                assert_eq!(counted, rule, "{tails}");
            }
        }
    }
}
