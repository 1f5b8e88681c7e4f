//! Every shipped incident under the rule sets where it must break and where it must not, searched
//! to exhaustion.
//!
//! The releases' verdicts are in `scenarios/verdicts.txt` and are compared by the command's tests;
//! here stand the cells that need more than a release: a memory model, a switch that no release
//! had, an outcome. The races that are protocols of the memory manager are in `protocols`.

mod common;

use common::shipped;
use pinfold::rules::PRESETS;
use pinfold_lab::Model;
use pinfold_lab::report::Report;

#[track_caller]
fn holds(name: &str, rules: &str, model: Model) -> Report {
    common::holds(name, &shipped(name), rules, model)
}

#[track_caller]
fn breaks(name: &str, rules: &str, model: Model, oracle: &str) -> Report {
    common::breaks(name, &shipped(name), rules, model, oracle)
}

fn texts(report: &Report) -> Vec<&str> {
    let rows = report.trace.as_ref().map(|trace| trace.rows.as_slice()).unwrap_or_default();
    rows.iter().map(|row| row.text.as_str()).collect()
}

#[test]
fn bug_215616_is_the_scan_that_meets_a_migration_entry() {
    for rules in ["5.9", "5.10", "5.11", "5.16"] {
        let report = breaks("bug-215616", rules, Model::Weak, "pin-coherence");
        let told = texts(&report);
        let at = |what: &str| {
            let found = told.iter().position(|text| text.contains(what));
            found.unwrap_or_else(|| panic!("{rules}: no `{what}` in {told:#?}"))
        };
        let story = ["migration entry for", "write bit lost", "entry restored", "wp fault: copy"];
        let order = story.map(at);
        assert!(order.is_sorted(), "{rules}: {told:#?}");
    }
}

#[test]
fn bug_215616_is_gone_with_any_one_of_the_cures() {
    for rules in [
        "5.16,numa-skip=ref-count",
        "5.16,pte-cow=map-count",
        "5.16,migration-kind=exclusive,pte-cow=exclusive",
    ] {
        holds("bug-215616", rules, Model::Weak);
    }
}

#[test]
fn bug_215616_by_move_pages_needs_more_than_the_scanners_test() {
    breaks("bug-215616-move-pages", "5.16,numa-skip=ref-count", Model::Weak, "pin-coherence");
    holds("bug-215616-move-pages", "5.16,migration-kind=exclusive,pte-cow=exclusive", Model::Weak);
}

#[test]
fn before_5_8_a_read_reference_left_copy_on_write_alone() {
    let before = "5.8,read-gup=as-is";
    breaks("vmsplice-leak", before, Model::Weak, "isolation");
    holds("vmsplice-leak", "5.8", Model::Tso);
    for name in ["read-pin-then-write", "read-pin-zero-page"] {
        breaks(name, before, Model::Weak, "pin-coherence");
        holds(name, "5.8", Model::Weak);
    }
}

#[test]
fn a_thousand_references_are_copied_shared_or_copied_if_exclusive() {
    for (rules, label) in [
        ("5.8", "share"),
        ("5.9", "copy"),
        ("5.18", "copy"),
        ("5.19", "copy-exclusive-only"),
        ("pinfold", "copy-exclusive-only"),
    ] {
        let report = holds("many-references", rules, Model::Weak);
        let labels: Vec<_> = report.outcomes.iter().map(|o| o.label.as_str()).collect();
        assert_eq!(labels, [label], "{rules}");
    }
}

#[test]
fn an_ordinary_reference_never_survives_a_fork() {
    for rules in PRESETS {
        breaks("rdma-fork-get", rules, Model::Weak, "claim");
        holds("rdma-dontfork", rules, Model::Weak);
    }
}
