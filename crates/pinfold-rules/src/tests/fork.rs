//! Fork, against facts 2.

use alloc::string::ToString;

use super::super::fork::{ForkVerdict, PinHistory, fork_page};
use super::super::{ForkPin, PageKind, PageState};
use super::{KINDS, MARKED, UNMARKED, pinned};

fn copies(rule: ForkPin, history: PinHistory, page: PageState) -> bool {
    matches!(fork_page(rule, history, &page), ForkVerdict::CopyForChild(_))
}

/// Whether each rule, in historic order, copies for the child of a parent that has pinned.
fn table(page: PageState, expected: [bool; 3]) {
    for (&rule, expected) in ForkPin::ALL.iter().zip(expected) {
        assert_eq!(copies(rule, PinHistory::Pinned, page), expected, "{rule} {page:?}");
    }
}

#[test]
fn a_pinned_page_stays_with_the_parent_since_5_9() {
    table(PageState { refs: 1 + 1024, ..MARKED }, [false, true, true]);
}

#[test]
fn many_references_look_like_a_pin() {
    table(PageState { refs: 1024, ..MARKED }, [false, true, true]);
    table(PageState { refs: 1024, ..UNMARKED }, [false, true, false]);
    table(PageState { refs: 1023, ..MARKED }, [false, false, false]);
}

#[test]
fn an_overflown_refcount_still_looks_pinned() {
    table(PageState { refs: i32::MIN.cast_unsigned(), ..MARKED }, [false, true, true]);
}

#[test]
fn an_exact_pin_count_overrides_the_refcount() {
    table(PageState { refs: 5000, large: pinned(0), ..MARKED }, [false, false, false]);
    table(PageState { refs: 2, large: pinned(1), ..MARKED }, [false, true, true]);
}

#[test]
fn a_parent_that_never_pinned_shares_everything() {
    for kind in KINDS {
        for &rule in ForkPin::ALL {
            let page = PageState { kind, refs: 5000, ..MARKED };
            assert!(!copies(rule, PinHistory::Never, page), "{rule} {kind}");
        }
    }
}

#[test]
fn pages_that_are_not_anonymous_are_copied_only_from_5_9_to_5_18() {
    table(PageState { kind: PageKind::File, refs: 1025, ..MARKED }, [false, true, false]);
    table(PageState { kind: PageKind::Ksm, refs: 1025, ..MARKED }, [false, true, false]);
    table(PageState { kind: PageKind::Zero, refs: 1025, ..MARKED }, [false, false, false]);
}

#[test]
fn the_reason_carries_the_numbers() {
    let why = |rule, history, page| match fork_page(rule, history, &page) {
        ForkVerdict::Share(why) | ForkVerdict::CopyForChild(why) => why.to_string(),
    };
    let pinned = PageState { refs: 1025, ..UNMARKED };
    assert_eq!(why(ForkPin::Copy, PinHistory::Pinned, pinned), "refcount 1025 >= 1024");
    assert_eq!(why(ForkPin::Copy, PinHistory::Pinned, UNMARKED), "refcount 1 < 1024");
    assert_eq!(
        why(ForkPin::Copy, PinHistory::Never, pinned),
        "this address space never pinned a page"
    );
    assert_eq!(
        why(ForkPin::CopyIfExclusive, PinHistory::Pinned, pinned),
        "anonymous, not exclusive"
    );
    assert_eq!(
        why(ForkPin::Share, PinHistory::Pinned, pinned),
        "the rule is the same for every page"
    );
}
