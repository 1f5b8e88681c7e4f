//! Write faults and scans on entries that map as many pages as a table does, against facts 1.1, 1.3
//! to 1.6 and 4.2.

use alloc::string::{String, ToString};

use super::super::pmd::{
    HugeState, PmdStep, PmdVerdict, pmd_cow, pmd_cow_locked, scans_as_page, writes_whole_zero,
};
use super::super::{Exclusive, PageKind, PmdCow, Rules};

/// A folio with these references and mappings beside the entry's own.
fn folio(mark: Exclusive, refs: u32, maps: u32) -> HugeState {
    HugeState { kind: PageKind::Anon(mark), refs: 1 + refs, maps: 1 + maps }
}

/// The whole protocol where the folio's lock is free: whether the folio is kept, and why.
fn fault(rule: PmdCow, page: HugeState) -> (bool, String) {
    match pmd_cow(rule, &page) {
        PmdStep::Reuse(why) => (true, why.to_string()),
        PmdStep::NeedPageLock => match pmd_cow_locked(rule, &page) {
            PmdVerdict::Reuse(why) => (true, why.to_string()),
            PmdVerdict::Split(why) => (false, why.to_string()),
        },
    }
}

#[test]
fn a_mapping_of_another_splits_under_every_rule() {
    for &rule in PmdCow::ALL {
        assert!(!fault(rule, folio(Exclusive::Unmarked, 1, 1)).0, "{rule}");
        assert!(fault(rule, folio(Exclusive::Unmarked, 0, 0)).0, "{rule}");
    }
}

#[test]
fn a_reference_splits_where_the_rule_counts_references_and_finds_no_mark() {
    let (bare, marked) = (folio(Exclusive::Unmarked, 1, 0), folio(Exclusive::Marked, 1, 0));
    assert_eq!(fault(PmdCow::MapCount, bare), (true, "folio mapcount 1 <= 1".to_string()));
    assert_eq!(fault(PmdCow::RefCount, bare), (false, "refcount 2 != 1".to_string()));
    let unmarked = "not marked exclusive, and refcount 2 != 1".to_string();
    assert_eq!(fault(PmdCow::Exclusive, bare), (false, unmarked));
    assert!(fault(PmdCow::MapCount, marked).0 && !fault(PmdCow::RefCount, marked).0);
    assert!(fault(PmdCow::Exclusive, marked).0, "the mark is asked for first");
}

#[test]
fn rules_from_before_the_mark_answer_the_same_with_and_without_it() {
    for rule in [PmdCow::MapCount, PmdCow::RefCount] {
        for (refs, maps) in [(0, 0), (1, 0), (1, 1), (5, 2)] {
            let [with, without] = [Exclusive::Marked, Exclusive::Unmarked]
                .map(|mark| fault(rule, folio(mark, refs, maps)));
            assert_eq!(with, without);
        }
    }
}

#[test]
fn a_scan_asks_of_them_what_it_asks_of_pages_since_6_19() {
    let asks = |release: &str| scans_as_page(Rules::linux(release).unwrap().numa_skip_pmd);
    assert!(!asks("4.4") && !asks("5.17") && !asks("6.10") && !asks("6.18"));
    assert!(asks("6.19") && asks("7.3"));
}

#[test]
fn a_write_to_the_huge_zero_page_takes_a_folio_since_6_13() {
    let takes = |release: &str| writes_whole_zero(Rules::linux(release).unwrap().huge_zero_write);
    assert!(!takes("4.4") && !takes("6.12"));
    assert!(takes("6.13") && takes("7.3") && writes_whole_zero(Rules::default().huge_zero_write));
}
