//! Every shipped incident under the rule sets where it must break and where it must not, searched to exhaustion.
//!
//! The releases' verdicts are in `scenarios/verdicts.txt` and are compared by the command's tests; here stand the cells that need more than a release: a
//! memory model, a switch that no release had, an outcome.

use std::path::PathBuf;

use pinfold::Rules;
use pinfold::rules::PRESETS;
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::{CheckOptions, Model, check, scenario};

fn checked(name: &str, rules: &str, model: Model) -> Report {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../scenarios/{name}.pf"));
    let text = std::fs::read_to_string(&path).expect("the scenario is shipped");
    let scenario = scenario::parse(&text).expect("the scenario is well formed");
    let rules = Rules::parse(rules).expect("the rules exist");
    let options = CheckOptions { model, ..CheckOptions::default() };
    check(&scenario, name, &rules, &options, &mut |_| {})
}

#[track_caller]
fn holds(name: &str, rules: &str, model: Model) -> Report {
    let report = checked(name, rules, model);
    let told = (&report.broken, &report.search);
    assert_eq!(report.verdict, Verdict::Pass, "{name} under {rules}, {model:?}: {told:?}");
    report
}

#[track_caller]
fn breaks(name: &str, rules: &str, model: Model, oracle: &str) -> Report {
    let report = checked(name, rules, model);
    assert_eq!(report.verdict, Verdict::Fail, "{name} under {rules}, {model:?}");
    let broken = report.broken.as_ref().expect("a failure says what broke");
    assert_eq!(broken.oracle, oracle, "{name} under {rules}, {model:?}: {broken:?}");
    report
}

fn texts(report: &Report) -> Vec<&str> {
    let rows = report.trace.as_ref().map(|trace| trace.rows.as_slice()).unwrap_or_default();
    rows.iter().map(|row| row.text.as_str()).collect()
}

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

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
fn bug_215616_by_compaction_needs_more_than_the_scanners_test() {
    breaks("bug-215616-compaction", "5.16,numa-skip=ref-count", Model::Weak, "pin-coherence");
    holds("bug-215616-compaction", "5.16,migration-kind=exclusive,pte-cow=exclusive", Model::Weak);
}

#[test]
fn the_write_protect_trick_needs_strong_ordering() {
    holds("fork-races-fast-pin", "5.9", Model::Sc);
    holds("fork-races-fast-pin", "5.9", Model::Tso);
    breaks("fork-races-fast-pin", "5.9", Model::Weak, "pin-coherence");
}

#[test]
fn the_open_race_of_5_10_is_found_under_every_model() {
    for model in MODELS {
        breaks("fork-races-fast-pin", "5.10", model, "pin-coherence");
    }
}

#[test]
fn the_sequence_count_as_merged_holds_on_x86_and_with_a_full_barrier_everywhere() {
    for rules in ["5.11", "5.19", "6.12", "7.3"] {
        holds("fork-races-fast-pin", rules, Model::Tso);
        breaks("fork-races-fast-pin", rules, Model::Weak, "pin-coherence");
        let full = format!("{rules},fork-race=seq-count-full");
        holds("fork-races-fast-pin", &full, Model::Weak);
    }
    holds("fork-races-fast-pin", "latest", Model::Weak);
}

#[test]
fn the_second_look_at_the_entry_saves_a_reused_frame() {
    for rules in PRESETS {
        holds("fast-pin-reused-frame", rules, Model::Weak);
        let blind = format!("{rules},fast-recheck=off");
        breaks("fast-pin-reused-frame", &blind, Model::Weak, "claim");
    }
}

#[test]
fn a_table_that_does_not_wait_for_walkers_is_a_data_race() {
    for rules in PRESETS {
        let report = holds("unmap-races-pin", rules, Model::Weak);
        let labels: Vec<_> = report.outcomes.iter().map(|o| o.label.as_str()).collect();
        assert_eq!(labels, ["pinned", "unmapped"], "{rules}");
        let early = format!("{rules},table-free=at-once");
        for model in MODELS {
            breaks("unmap-races-pin", &early, model, "data-race");
        }
    }
}

#[test]
fn a_copy_published_before_the_flush_is_found() {
    for rules in ["5.8", "latest"] {
        holds("cow-published-early", rules, Model::Sc);
        let early = format!("{rules},cow-publish=before-flush");
        let report = breaks("cow-published-early", &early, Model::Sc, "claim");
        assert!(report.outcomes.iter().any(|outcome| outcome.label == "stale"));
    }
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
        ("latest", "copy-exclusive-only"),
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
