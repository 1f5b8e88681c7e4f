//! Huge pages of the pool, against facts 1.3, 1.5, 2.5 and 2.6.

use alloc::string::{String, ToString};

use super::super::fork::{ForkVerdict, PinHistory};
use super::super::hugetlb::{HugetlbVerdict, fork_hugetlb, guards_fork, hugetlb_cow};
use super::super::pmd::HugeState;
use super::super::{HugetlbCow, HugetlbFork, PRESETS, PageState, Rules};
use super::{MARKED, UNMARKED, pinned};

fn verdict(rule: HugetlbCow, page: PageState, refs: u32, maps: u32) -> (bool, String) {
    match hugetlb_cow(rule, &HugeState { kind: page.kind, refs, maps }) {
        HugetlbVerdict::Reuse(why) => (true, why.to_string()),
        HugetlbVerdict::Copy(why) => (false, why.to_string()),
    }
}

/// The hazard stays on purpose (facts 9.24): whoever else refers to the page sees the write.
#[test]
fn a_page_that_nobody_else_maps_is_kept_whatever_refers_to_it() {
    for &rule in HugetlbCow::ALL {
        for refs in [1, 2, 1025, u32::MAX] {
            assert!(verdict(rule, UNMARKED, refs, 1).0, "{rule} {refs}");
        }
        assert!(!verdict(rule, UNMARKED, 2, 2).0, "{rule}");
    }
}

#[test]
fn the_mark_decides_alone_since_5_19() {
    assert!(!verdict(HugetlbCow::MapCount, MARKED, 2, 2).0);
    assert!(verdict(HugetlbCow::Exclusive, MARKED, 2, 2).0);
    assert_eq!(verdict(HugetlbCow::Exclusive, MARKED, 1, 1).1, "anonymous and exclusive");
}

#[test]
fn fork_copies_a_pinned_page_since_5_12_and_one_with_the_mark_since_5_19() {
    let copies = |preset: &str, page: PageState, history| {
        let rules = Rules::linux(preset).unwrap();
        let verdict = fork_hugetlb(rules.hugetlb_fork, rules.fork_pin, history, &page);
        matches!(verdict, ForkVerdict::CopyForChild(_))
    };
    let marked = PageState { large: pinned(1), ..MARKED };
    let unmarked = PageState { large: pinned(1), ..UNMARKED };
    let free = PageState { large: pinned(0), refs: 5000, ..MARKED };
    for (preset, of_marked, of_unmarked) in
        [("3.1", false, false), ("5.9", false, false), ("5.11", false, false)]
            .into_iter()
            .chain([("5.12", true, true), ("5.18", true, true)])
            .chain([("5.19", true, false), ("latest", true, false), ("pinfold", true, false)])
    {
        assert_eq!(copies(preset, marked, PinHistory::Pinned), of_marked, "{preset}");
        assert_eq!(copies(preset, unmarked, PinHistory::Pinned), of_unmarked, "{preset}");
        assert!(!copies(preset, marked, PinHistory::Never), "{preset}");
        assert!(!copies(preset, free, PinHistory::Pinned), "{preset}");
    }
}

#[test]
fn the_sequence_count_covers_these_areas_since_5_19() {
    assert!(HugetlbFork::ALL.iter().map(|rule| guards_fork(*rule)).eq([false, false, true]));
    let guarded = |preset: &&&str| guards_fork(Rules::linux(preset).unwrap().hugetlb_fork);
    assert_eq!(PRESETS.iter().find(guarded), Some(&"5.19"));
}
