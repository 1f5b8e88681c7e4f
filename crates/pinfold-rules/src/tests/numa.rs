//! The NUMA scanner and its filter, against facts 4.2, 4.7 and 4.8.

use alloc::string::ToString;

use super::super::numa::{
    AreaSkip, LastFault, LastTask, ScanAge, ScanArea, ScanContents, ScanSize, ScanTurn, ScanUser,
    comes_again, is_private, is_settled, may_follow, numa_area, numa_skip,
};
use super::super::{
    Locality, Mapping, NumaAreas, NumaFilter, NumaSkip, PageKind, PageState, Users,
};
use super::{MARKED, UNMARKED, pinned};

/// Whether each rule, in historic order, leaves the page alone.
fn table(mapping: Mapping, page: PageState, expected: [bool; 7]) {
    for (&rule, expected) in NumaSkip::ALL.iter().zip(expected) {
        assert_eq!(numa_skip(rule, mapping, &page).is_some(), expected, "{rule} {page:?}");
    }
}

#[test]
fn a_page_of_ones_own_is_scanned() {
    table(Mapping::Cow, MARKED, [false; 7]);
    table(Mapping::Shared, MARKED, [false; 7]);
}

#[test]
fn a_pinned_private_page_is_left_alone_since_5_17() {
    let pinned = PageState { refs: 1 + 1024, ..MARKED };
    table(Mapping::Cow, pinned, [false, false, false, true, true, true, true]);
}

#[test]
fn a_pinned_page_of_a_shared_mapping_is_left_alone_since_6_19() {
    let pinned = PageState { kind: PageKind::File, refs: 2 + 1024, ..MARKED };
    table(Mapping::Shared, pinned, [false, false, false, false, false, false, true]);
}

#[test]
fn a_page_that_a_child_maps_too_is_left_alone_up_to_3_12_and_since_4_16() {
    let shared = PageState { refs: 2, maps: 2, ..UNMARKED };
    table(Mapping::Cow, shared, [false, true, true, true, true, true, true]);
    // In a shared mapping the first releases alone leave it.
    table(Mapping::Shared, shared, [false, true, false, false, false, false, false]);
}

#[test]
fn an_ordinary_reference_counts_only_from_5_17_to_6_9() {
    let referenced = PageState { refs: 2, ..MARKED };
    table(Mapping::Cow, referenced, [false, false, false, true, false, false, false]);
}

#[test]
fn merged_and_zero_pages_are_always_left_alone() {
    for kind in [PageKind::Ksm, PageKind::Zero] {
        for mapping in [Mapping::Cow, Mapping::Shared] {
            table(mapping, PageState { kind, ..MARKED }, [true; 7]);
        }
    }
}

#[test]
fn an_exact_pin_count_decides_for_large_folios() {
    let page = PageState { refs: 2, large: pinned(1), ..MARKED };
    table(Mapping::Cow, page, [false, false, false, true, true, true, true]);
    let page = PageState { refs: 5000, large: pinned(0), ..MARKED };
    table(Mapping::Cow, page, [false, false, false, true, false, false, false]);
}

#[test]
fn the_first_test_of_the_release_gives_the_reason() {
    let page = PageState { refs: 1026, maps: 2, ..UNMARKED };
    let why = |rule| numa_skip(rule, Mapping::Cow, &page).map(|why| why.to_string());
    assert_eq!(why(NumaSkip::MapCountAnywhere).as_deref(), Some("mapcount 2 != 1"));
    assert_eq!(why(NumaSkip::MapCount).as_deref(), Some("mapcount 2 != 1"));
    assert_eq!(why(NumaSkip::RefCount).as_deref(), Some("refcount 1026 != 1"));
    assert_eq!(why(NumaSkip::PinnedOrLikelyShared).as_deref(), Some("refcount 1026 >= 1024"));
    assert_eq!(why(NumaSkip::PinnedOrMaybeShared).as_deref(), Some("refcount 1026 >= 1024"));
    assert_eq!(why(NumaSkip::PinnedAnywhere).as_deref(), Some("mapcount 2 > 1"));
    assert_eq!(why(NumaSkip::Never), None);
}

#[test]
fn only_a_local_private_page_of_a_single_thread_is_settled() {
    let mut settled = 0;
    for mapping in [Mapping::Cow, Mapping::Shared] {
        for users in [Users::One, Users::Several] {
            for locality in [Locality::Local, Locality::Remote] {
                settled += u32::from(is_settled(mapping, users, locality));
            }
        }
    }
    assert_eq!(settled, 1);
    assert!(is_settled(Mapping::Cow, Users::One, Locality::Local));
}

/// An area that every rule scans.
const AREA: ScanArea = ScanArea {
    size: ScanSize::Large,
    contents: ScanContents::Data,
    age: ScanAge::Old,
    user: ScanUser::Seen,
    scans: 9,
    since: 5,
    turn: ScanTurn::Due,
};

/// What each rule, in historic order, says of an area.
fn areas(area: ScanArea, expected: [Option<AreaSkip>; 4]) {
    for (&rule, expected) in NumaAreas::ALL.iter().zip(expected) {
        assert_eq!(numa_area(rule, &area), expected, "{rule} {area:?}");
    }
}

#[test]
fn facts_4_7_small_areas_are_scanned_since_3_13_and_libraries_up_to_3_12() {
    areas(AREA, [None; 4]);
    let small = Some(AreaSkip::Small);
    areas(ScanArea { size: ScanSize::Small, ..AREA }, [small, None, None, None]);
    let text = Some(AreaSkip::Text);
    areas(ScanArea { contents: ScanContents::Text, ..AREA }, [None, text, text, text]);
}

#[test]
fn facts_4_7_new_areas_wait_since_6_4_but_not_in_the_first_sequence() {
    let new = Some(AreaSkip::New);
    let area = ScanArea { age: ScanAge::New, ..AREA };
    areas(area, [None, None, new, new]);
    areas(ScanArea { scans: 0, since: 0, ..area }, [None; 4]);
}

#[test]
fn facts_4_7_an_unused_area_is_passed_over_after_two_sequences_of_the_process_then_of_its_own() {
    let unused = Some(AreaSkip::Unused);
    let area = ScanArea { user: ScanUser::Unseen, ..AREA };
    areas(area, [None, None, unused, unused]);
    areas(ScanArea { since: 8, ..area }, [None, None, unused, None]);
    areas(ScanArea { scans: 1, since: 0, ..area }, [None; 4]);
    areas(ScanArea { turn: ScanTurn::Begun, ..area }, [None, None, unused, None]);
    areas(ScanArea { turn: ScanTurn::Forced, ..area }, [None, None, unused, None]);
    let done = Some(AreaSkip::Done);
    areas(ScanArea { turn: ScanTurn::Done, ..area }, [None, None, unused, done]);
    areas(ScanArea { turn: ScanTurn::Done, ..AREA }, [None, None, None, done]);
    let again = NumaAreas::ALL.iter().map(|rule| comes_again(*rule));
    assert!(again.eq([false, false, false, true]));
}

#[test]
fn facts_4_8_who_may_take_a_page_with_him() {
    let last = |node, task| Some(LastFault { node, task });
    let (here, there) = (Locality::Local, Locality::Remote);
    let (this, another) = (LastTask::This, LastTask::Another);
    // Each rule, in historic order, early and late in the life of a process.
    for (last, expected, private) in [
        (None, [[false, false], [true, true], [true, true]], true),
        (last(here, this), [[true; 2]; 3], true),
        (last(here, another), [[true; 2]; 3], false),
        (last(there, this), [[false, false], [false, false], [true, false]], true),
        (last(there, another), [[false; 2]; 3], false),
    ] {
        for (&rule, expected) in NumaFilter::ALL.iter().zip(expected) {
            let follows = [4, 5].map(|scans| may_follow(rule, last, scans));
            assert_eq!(follows, expected, "{rule} {last:?}");
        }
        assert_eq!(is_private(last), private, "{last:?}");
    }
}
