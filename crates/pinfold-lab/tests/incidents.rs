//! Every shipped incident under the rule sets where it must break and where it must not, searched
//! to exhaustion.
//!
//! The releases' verdicts are in `scenarios/verdicts.txt` and are compared by the command's tests;
//! here stand the cells that need more than a release: a memory model, a switch that no release
//! had, an outcome. The races that are protocols of the memory manager are in `protocols`.

mod common;

use common::{STALE_COPY, presets_with, shipped};
use pinfold::Rules;
use pinfold::rules::{Interface, PRESETS};
use pinfold_lab::report::Report;
use pinfold_lab::{CheckOptions, Config, Model, Prepared, scenario};

#[track_caller]
fn holds(name: &str, rules: &str, model: Model) -> Report {
    common::holds(name, &shipped(name), rules, model)
}

#[track_caller]
fn breaks(name: &str, rules: &str, model: Model, oracle: &str) -> Report {
    common::breaks(name, &shipped(name), rules, model, oracle)
}

/// What the machine's oracles find in all executions, those that go on after a finding included.
fn findings(name: &str, rules: &str, model: Model) -> Vec<String> {
    let scenario = scenario::parse(&shipped(name)).expect("it is shipped");
    let rules = Rules::parse(rules).expect("the rules exist");
    let prepared = Prepared::new(&scenario, name, &rules).expect("it fits");
    let ends = prepared.ends(&CheckOptions::of(Config { model, ..Config::default() }));
    assert_eq!(ends.incomplete, None, "{name} under {rules}, {model:?}");
    ends.findings.into_iter().map(|found| format!("{}: {}", found.oracle, found.what)).collect()
}

/// The sentences of the explanation.
fn why(report: &Report) -> String {
    report.broken.as_ref().map(|broken| broken.why.join(" ")).unwrap_or_default()
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

/// By entries as with a small page; by one entry only where its write fault looks at references and
/// has no mark.
#[test]
fn bug_215616_on_a_large_folio_goes_by_the_rule_of_what_maps_it() {
    for model in MODELS {
        for rules in ["5.9", "5.17", "5.18"] {
            let report = breaks("bug-215616-thp", rules, model, "pin-coherence");
            let told = why(&report);
            assert!(told.contains("and gave up; 2 = 1 pin (h0) + 1 of the move itself"), "{told}");
            assert!(told.contains("took the write bit from the migration entry of f5"), "{told}");
            assert!(told.contains("pte-cow=ref-count"), "{told}");
        }
        for rules in ["5.18", "5.17,pmd-cow=ref-count"] {
            let told = why(&breaks("bug-215616-thp-pmd", rules, model, "pin-coherence"));
            assert!(told.contains("took the write bit from the migration entry of f5"), "{told}");
            assert!(told.contains("split the huge entry of f5"), "{told}");
            assert!(told.contains("pmd-cow=ref-count") && told.contains("pte-cow="), "{told}");
        }
        let marked = "5.18,migration-kind=exclusive,pmd-cow=exclusive,pte-cow=exclusive";
        for (name, rules) in [
            ("bug-215616-thp", "5.8"),
            ("bug-215616-thp", marked),
            ("bug-215616-thp-pmd", "5.17"),
            ("bug-215616-thp-pmd", "5.18,pmd-cow=map-count"),
            ("bug-215616-thp-pmd", marked),
        ] {
            assert_eq!(labels(&holds(name, rules, model)), ["in-step"], "{name}, {rules}");
        }
    }
}

/// No preset has what 6.14 and 6.15 did.
#[test]
fn a_long_term_pin_that_meets_an_isolation_stays_in_6_14_and_6_15_alone() {
    let name = "longterm-meets-isolation";
    for rules in ["6.13", "6.16", "6.14,longterm-zone=moves"] {
        holds(name, rules, Model::Tso);
    }
    for rules in ["6.14", "6.15", "6.13,longterm-zone=moves-isolated"] {
        let told = why(&breaks(name, rules, Model::Tso, "step"));
        assert!(told.contains("set apart for what can move"), "{rules}: {told}");
        assert!(told.contains("longterm-zone=moves-isolated"), "{rules}: {told}");
    }
}

/// Up to 5.0 pages were referred to for long without being pinned; the rule alone decides.
#[test]
fn a_contiguous_request_fails_where_long_term_pins_stay() {
    for rules in ["5.7", "5.12", "5.13", "6.14", "latest"] {
        holds("cma-longterm", rules, Model::Tso);
    }
    let told = why(&breaks("cma-longterm", "5.7,longterm-zone=stays", Model::Tso, "step"));
    assert!(told.contains("longterm-zone=stays"), "{told}");
}

/// By every release since fork copies pinned pages, and never where the thread's writes wait.
#[test]
fn a_forks_copy_is_torn_where_the_parents_entry_stays_writable() {
    for model in MODELS {
        for rules in ["5.9", "5.11", "5.18", "5.19", "latest", "pinfold"] {
            let told = why(&breaks("torn-fork", rules, model, "claim"));
            assert!(told.contains("fork-snapshot=torn"), "{told}");
        }
        let marked = "5.9,pte-cow=exclusive,fork-snapshot=protected";
        for rules in ["pinfold,fork-snapshot=protected", "5.19,fork-snapshot=protected", marked] {
            let report = holds("torn-fork", rules, model);
            assert_eq!(labels(&report), ["afterwards", "before", "between"], "{rules}");
        }
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
        ("pinfold", "copy-exclusive-only"),
    ] {
        let report = holds("many-references", rules, Model::Weak);
        let labels: Vec<_> = report.outcomes.iter().map(|o| o.label.as_str()).collect();
        assert_eq!(labels, [label], "{rules}");
    }
}

/// T18: what the reference is counted on is a small page that was the head.
#[test]
fn a_pin_that_trusts_its_first_look_counts_on_a_head_that_was_split() {
    for rules in ["5.13", "pinfold,head-recheck=trusted"] {
        let report = breaks("fast-pin-races-split", rules, Model::Tso, "counts");
        let told = why(&report);
        assert!(told.contains("head-recheck=trusted"), "{told}");
        assert!(told.contains("in the folio at"), "{told}");
    }
    for rules in ["5.14", "pinfold"] {
        let report = holds("fast-pin-races-split", rules, Model::Tso);
        assert_eq!(report.outcomes.len(), 2, "{rules}: {:?}", report.outcomes);
    }
}

#[test]
fn a_folio_is_freed_while_it_counts_as_mapped_if_the_unmap_forgets_it() {
    let rules = "pinfold,large-maps=forgotten";
    let report = breaks("forgotten-subpages", rules, Model::Weak, "invariant");
    assert!(why(&report).contains("large-maps=forgotten"), "{}", why(&report));
    for rules in PRESETS.iter().copied().chain(["pinfold,large-maps=each-page"]) {
        holds("forgotten-subpages", rules, Model::Weak);
    }
}

/// T14: pins are counted for the folio, so each of its pages is copied.
#[test]
fn one_pinned_page_has_all_pages_of_its_folio_copied() {
    let report = breaks("thp-pin-fork", "5.8", Model::Weak, "pin-coherence");
    assert!(why(&report).contains("fork-pin=share"), "{}", why(&report));
    for rules in ["5.9", "5.10", "5.11", "5.19", "latest", "pinfold"] {
        let report = holds("thp-pin-fork", rules, Model::Weak);
        let labels: Vec<_> = report.outcomes.iter().map(|o| o.label.as_str()).collect();
        assert_eq!(labels, ["all-copied"], "{rules}");
    }
}

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

/// T3 where one entry maps the page with others: the rule for such entries went by mappings to
/// 5.17. In 5.8 the child's reference is to a page of its own, and has left nothing with the
/// parent's.
#[test]
fn a_reference_to_a_page_of_a_huge_entry_decides_since_5_18() {
    for model in MODELS {
        for rules in ["3.1", "5.7", "5.8,read-gup=as-is", "5.9", "5.17", "5.18,pmd-cow=map-count"] {
            let report = breaks("vmsplice-leak-thp", rules, model, "isolation");
            let told = why(&report);
            assert!(told.contains("kept f5 for its store with all that its huge entry"), "{told}");
            assert!(told.contains("pmd-cow=map-count"), "{told}");
            assert!(!told.contains("pte-cow"), "{told}");
        }
        for (rules, label) in [
            ("5.8", "kept-whole"),
            ("5.17,pmd-cow=ref-count", "split"),
            ("5.18", "split"),
            ("latest", "split"),
            ("pinfold", "split"),
        ] {
            let report = holds("vmsplice-leak-thp", rules, model);
            assert_eq!(labels(&report), [label], "{rules}");
        }
    }
}

/// T14 where one entry maps the folio, which goes before its pages are copied.
#[test]
fn a_fork_splits_the_huge_entry_of_a_pinned_folio() {
    for model in MODELS {
        let report = breaks("thp-pin-fork-pmd", "5.8", model, "pin-coherence");
        let told = why(&report);
        assert!(told.contains("fork-pin=share") && told.contains("split the huge entry"), "{told}");
        assert!(told.contains("pmd-cow=map-count") && told.contains("pte-cow=map-count"), "{told}");
        for rules in ["5.9", "5.10", "5.11", "5.19", "latest", "pinfold"] {
            let report = holds("thp-pin-fork-pmd", rules, model);
            assert_eq!(labels(&report), ["all-copied"], "{rules}");
        }
    }
}

/// The trick of 5.9 was for single entries only, and the sequence count needs its barrier.
#[test]
fn a_pin_lands_between_the_question_and_the_protection_of_a_huge_entry() {
    for model in MODELS {
        for rules in ["5.9", "5.10"] {
            breaks("fork-races-fast-pin-pmd", rules, model, "pin-coherence");
        }
        holds("fork-races-fast-pin-pmd", "pinfold", model);
    }
    for rules in ["5.11", "latest"] {
        holds("fork-races-fast-pin-pmd", rules, Model::Tso);
        breaks("fork-races-fast-pin-pmd", rules, Model::Weak, "pin-coherence");
    }
}

#[test]
fn a_lock_free_pin_of_a_huge_entry_is_never_lost_in_its_split() {
    for (rules, model) in [("5.13", Model::Tso), ("pinfold,head-recheck=trusted", Model::Weak)] {
        let report = breaks("fast-pin-races-pmd-split", rules, model, "invariant");
        assert!(why(&report).contains("head-recheck=trusted"), "{}", why(&report));
    }
    for (rules, model) in [
        ("pinfold", Model::Sc),
        ("5.14", Model::Tso),
        ("5.14", Model::Weak),
        ("pinfold", Model::Weak),
    ] {
        let report = holds("fast-pin-races-pmd-split", rules, model);
        assert_eq!(labels(&report), ["pinned", "pinned-split", "refused"], "{rules}");
    }
}

#[test]
fn a_huge_entry_is_made_dropped_and_split_with_exact_counts() {
    for model in MODELS {
        let forgotten = "pinfold,large-maps=forgotten";
        breaks("huge-fault-races-dontneed", forgotten, model, "invariant");
        for rules in ["3.1", "5.8", "5.19", "latest", "pinfold"] {
            let report = holds("huge-fault-races-dontneed", rules, model);
            assert_eq!(labels(&report), ["anew", "dropped"], "{rules}");
        }
    }
}

#[test]
fn a_split_makes_other_cpus_forget_all_pages_of_the_huge_entry() {
    for model in MODELS {
        for rules in PRESETS {
            holds("pmd-split-races-write", rules, model);
            let local = format!("{rules},flush-reach=this-cpu");
            breaks("pmd-split-races-write", &local, model, "step");
        }
    }
}

/// T26.
#[test]
fn after_the_child_has_left_a_page_of_a_folio_is_reused_by_map_counts_or_by_owners() {
    for (rules, label) in [
        ("5.8", "reuse"),
        ("5.9", "copy"),
        ("5.19", "copy"),
        ("6.8", "copy"),
        ("6.14", "copy"),
        ("6.15", "reuse"),
        ("latest", "reuse"),
        ("pinfold", "reuse"),
        ("pinfold,large-cow=never", "copy"),
    ] {
        let report = holds("thp-reuse-after-exit", rules, Model::Weak);
        let labels: Vec<_> = report.outcomes.iter().map(|o| o.label.as_str()).collect();
        assert_eq!(labels, [label], "{rules}");
    }
}

/// The side of today: a reference by number makes the split fail, or is one on a small page.
#[test]
fn a_scanners_reference_never_meets_half_a_split() {
    for rules in ["5.8", "5.13", "latest", "pinfold"] {
        for model in [Model::Tso, Model::Weak] {
            let report = holds("thp-tail-speculative", rules, model);
            assert_eq!(report.outcomes.len(), 2, "{rules}, {model:?}: {:?}", report.outcomes);
        }
    }
    holds("vmsplice-leak-folio", "5.8", Model::Weak);
    breaks("vmsplice-leak-folio", "5.8,read-gup=as-is", Model::Weak, "isolation");
    holds("vmsplice-leak-folio", "5.9", Model::Weak);
    holds("vmsplice-leak-folio", "latest", Model::Weak);
}

#[test]
fn an_ordinary_reference_never_survives_a_fork() {
    for rules in PRESETS {
        breaks("rdma-fork-get", rules, Model::Weak, "claim");
    }
    for rules in presets_with(Interface::PinUserPages) {
        holds("rdma-dontfork", rules, Model::Weak);
    }
}

#[test]
fn an_unbuffered_read_survives_a_fork_if_it_pins() {
    for model in [Model::Tso, Model::Weak] {
        breaks("o-direct-fork", "6.5,direct-io=get", model, "lost-read");
        breaks("o-direct-fork", "6.4", model, "lost-read");
        // Not by its date alone: the fork must know of pins, too.
        breaks("o-direct-fork", "6.5,fork-pin=share", model, "lost-read");
        holds("o-direct-fork", "pinfold", model);
        holds("o-direct-dontfork", "6.4", model);
    }
    holds("o-direct-fork", "6.5", Model::Tso);
    holds("o-direct-fork", "6.4,direct-io=pin", Model::Tso);
}

#[test]
fn an_unbuffered_write_leaks_what_a_read_reference_leaks() {
    breaks("o-direct-write-fork", "5.8,read-gup=as-is", Model::Weak, "isolation");
    breaks("o-direct-write-fork", "5.8,read-gup=as-is,direct-io=pin", Model::Tso, "isolation");
    holds("o-direct-write-fork", "5.8", Model::Tso);
    holds("o-direct-write-fork", "5.8,read-gup=as-is,pte-cow=ref-count", Model::Tso);
}

/// A write by process_vm_writev needs a pin, and a fork that looks for pins; a debugger's holds the
/// lock that a fork takes.
#[test]
fn a_write_to_another_process_survives_a_fork_if_it_pins_or_locks() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        breaks("process-vm-fork", "5.5", model, "isolation");
        breaks("process-vm-fork", "5.8", model, "isolation");
        breaks("process-vm-fork", "pinfold,process-vm=get", model, "isolation");
        breaks("process-vm-fork", "latest,fork-pin=share", model, "isolation");
        for rules in ["5.9", "5.18", "5.19", "latest", "pinfold", "5.9,process-vm=pin"] {
            let report = holds("process-vm-fork", rules, model);
            let labels: Vec<_> = report.outcomes.iter().map(|o| o.label.as_str()).collect();
            assert_eq!(labels, ["before", "later"], "{rules}");
        }
        holds("ptrace-fork", "3.1", model);
        holds("ptrace-fork", "5.8", model);
        holds("ptrace-fork", "latest", model);
    }
}

/// CVE-2022-2590: the dirty bit says nothing of whose page it is.
#[test]
fn a_monitor_maps_a_dirty_entry_for_a_debugger() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        breaks("dirty-cow-shmem", "5.16", model, "isolation");
        breaks("dirty-cow-shmem", "5.19", model, "isolation");
        breaks("dirty-cow-shmem", "latest,force-write=dirty-cow", model, "isolation");
        breaks("dirty-cow-shmem", "5.15,uffd-continue=dirty", model, "isolation");
        for rules in ["5.7", "5.15", "6.0", "latest", "pinfold", "5.19,uffd-continue=clean"] {
            holds("dirty-cow-shmem", rules, model);
        }
    }
}

#[test]
fn a_mapping_that_goes_before_the_flush_lets_a_write_to_a_file_be_lost() {
    for model in [Model::Tso, Model::Weak] {
        breaks("zap-before-flush", "6.1", model, "lost-write");
        breaks("zap-before-flush", "pinfold,zap-rmap=with-entry", model, "lost-write");
        for rules in ["6.2", "latest", "pinfold", "6.1,zap-rmap=dirty-after-flush"] {
            let report = holds("zap-before-flush", rules, model);
            let labels: Vec<_> = report.outcomes.iter().map(|o| o.label.as_str()).collect();
            assert_eq!(labels, ["refused", "written"], "{rules}");
        }
    }
}

#[test]
fn an_anonymous_mapping_that_outlives_its_reverse_map_misleads_the_walk() {
    for model in [Model::Tso, Model::Weak] {
        for rules in ["6.1", "6.2", "latest", "pinfold"] {
            let report = breaks(
                "delay-all-rmap",
                &format!("{rules},zap-rmap=when-freed"),
                model,
                "invariant",
            );
            let what = &report.broken.as_ref().expect("it broke").what;
            assert!(what[0].contains("led into freed memory"), "{what:?}");
        }
        for rules in PRESETS {
            holds("delay-all-rmap", rules, model);
        }
    }
}

#[test]
fn the_memory_of_a_reverse_map_that_is_gone_may_be_another_ones() {
    for model in [Model::Tso, Model::Weak] {
        breaks("delay-all-rmap-reuse", "latest,zap-rmap=when-freed", model, "invariant");
        let freed = "invariant: the reverse map of f4 led into freed memory".to_owned();
        let reused = "invariant: the reverse map of f4 led into another family".to_owned();
        let found = |name| findings(name, "latest,zap-rmap=when-freed", model);
        assert_eq!(found("delay-all-rmap-reuse"), [reused, freed.clone()], "both symptoms");
        assert_eq!(found("delay-all-rmap"), [freed.replace("f4", "f3")], "nobody takes the memory");
        for rules in PRESETS {
            holds("delay-all-rmap-reuse", rules, model);
        }
    }
}

#[test]
fn the_lock_of_a_page_may_go_before_its_mapping_with_it_or_after_the_flush() {
    for model in [Model::Tso, Model::Weak] {
        for rules in PRESETS {
            holds("munlock-delayed", rules, model);
            let report = breaks(
                "munlock-delayed",
                &format!("{rules},zap-munlock=forgotten"),
                model,
                "invariant",
            );
            let what = &report.broken.as_ref().expect("it broke").what;
            assert!(what[0].contains("counts as locked"), "{what:?}");
        }
        // The first series, which Hugh Dickins found to be right in this.
        for rules in ["pinfold", "6.1", "6.2"] {
            holds("munlock-delayed", &format!("{rules},zap-munlock=with-entry"), model);
            let first = format!("{rules},zap-rmap=when-freed,zap-munlock=with-entry");
            holds("munlock-delayed", &first, model);
        }
    }
}

/// A charge that moves (facts 6.6): the counts are exact under both places of the lock while the
/// mover's own entry maps the page, and where only others do as long as the lock is in rmap, or the
/// mover waits for them.
#[test]
fn a_page_that_changes_its_group_is_counted_where_it_is() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        for rules in ["5.8", "6.1", "6.2", "latest", "pinfold"] {
            holds("memcg-move", rules, model);
        }
        holds("memcg-move", "pinfold,memcg-lock=around-counts", model);
        breaks("memcg-move", "pinfold,memcg-lock=none", model, "charges");
        for rules in ["5.8", "6.1", "pinfold", "pinfold,memcg-lock=in-rmap"] {
            holds("memcg-move-elsewhere", rules, model);
        }
        for rules in ["6.2", "latest", "6.1,memcg-lock=around-counts", "6.1,memcg-lock=none"] {
            breaks("memcg-move-elsewhere", rules, model, "charges");
        }
    }
}

#[test]
fn a_flush_of_this_cpu_alone_is_found_in_copies_protections_and_unmaps() {
    for model in [Model::Tso, Model::Weak] {
        for rules in ["5.8", "5.19", "latest", "pinfold"] {
            let local = format!("{rules},flush-reach=this-cpu");
            breaks("local-flush-copy", &local, model, "claim");
            breaks("local-flush-protect", &local, model, "step");
            breaks("local-flush-unmap", &local, model, "use-after-free");
        }
        for rules in PRESETS {
            for name in ["local-flush-copy", "local-flush-protect", "local-flush-unmap"] {
                holds(name, rules, model);
            }
        }
    }
}

#[test]
fn a_stack_grows_beside_a_pin_and_under_one_where_the_rules_say() {
    for model in [Model::Tso, Model::Weak] {
        breaks("stack-grows", "5.8", model, "pin-coherence");
        breaks("stack-grows", "pinfold,fork-pin=share", model, "pin-coherence");
        for rules in PRESETS.iter().skip_while(|preset| **preset != "5.9") {
            let report = holds("stack-grows", rules, model);
            let labels: Vec<_> = report.outcomes.iter().map(|o| o.label.as_str()).collect();
            assert_eq!(labels, ["grown-after", "grown-before"], "{rules}");
        }
        for (rules, label) in [
            ("5.8", "grows"),
            ("6.4", "grows"),
            ("pinfold,gup-stack=grow", "grows"),
            ("6.5", "refused"),
            ("6.1,gup-stack=refuse", "refused"),
            ("pinfold", "refused"),
        ] {
            let report = holds("pin-below-stack", rules, model);
            let labels: Vec<_> = report.outcomes.iter().map(|o| o.label.as_str()).collect();
            assert_eq!(labels, [label], "{rules}");
        }
    }
}

/// A stack of two pages does not grow to where the scenario writes.
#[test]
fn a_stack_does_not_grow_over_its_limit() {
    let short = shipped("stack-grows").replace("stack 4", "stack 2");
    common::breaks("stack-grows", &short, "pinfold", Model::Weak, "step");
    let long = shipped("stack-grows").replace("stack 4", "stack 5");
    common::breaks("stack-grows", &long, "pinfold", Model::Weak, "step");
}

#[test]
fn the_break_shrinks_under_a_pin_and_a_flush_of_this_cpu_alone_is_found() {
    for model in [Model::Tso, Model::Weak] {
        for rules in presets_with(Interface::PinUserPages) {
            holds("break-shrinks", rules, model);
        }
        for rules in ["5.8", "5.19", "latest", "pinfold"] {
            breaks("break-shrinks", &format!("{rules},flush-reach=this-cpu"), model, "step");
        }
    }
}

#[test]
fn of_two_that_split_an_area_the_second_meets_the_limit() {
    for model in [Model::Tso, Model::Weak] {
        for rules in PRESETS {
            let report = holds("areas-limit", rules, model);
            let labels: Vec<_> = report.outcomes.iter().map(|o| o.label.as_str()).collect();
            assert_eq!(labels, ["left-out", "protected"], "{rules}");
        }
        // Without a limit that matters both split it, and with a lower one neither does.
        for limit in ["areas 5", "areas 2"] {
            let other = shipped("areas-limit").replace("areas 3", limit);
            common::breaks("areas-limit", &other, "pinfold", model, "claim");
        }
    }
}

fn labels(report: &Report) -> Vec<&str> {
    report.outcomes.iter().map(|outcome| outcome.label.as_str()).collect()
}

#[test]
fn a_read_pin_of_a_page_of_a_file_parts_until_6_2() {
    for model in [Model::Tso, Model::Weak] {
        breaks("read-pin-file-page", "6.1", model, "pin-coherence");
        breaks("read-pin-file-page", "5.8,read-gup=as-is", model, "pin-coherence");
        for rules in ["5.8", "6.2", "pinfold"] {
            let report = holds("read-pin-file-page", rules, model);
            assert_eq!(labels(&report), ["in-step"], "{rules}");
        }
    }
}

#[test]
fn a_device_that_writes_to_a_page_of_a_file_after_writeback_loses_what_it_writes_until_6_5() {
    for model in [Model::Tso, Model::Weak] {
        for rules in ["5.8", "6.4", "pinfold,file-pin=allowed"] {
            breaks("file-pin", rules, model, "lost-write");
        }
        for rules in ["6.5", "pinfold", "5.8,file-pin=refused"] {
            assert_eq!(labels(&holds("file-pin", rules, model)), ["refused"], "{rules}");
        }
        // What is dropped as dirty is on record again, and a file in memory has nothing to lose.
        let marked = shipped("file-pin").replace("always\n", "after\n  unpin h0 dirty\n\nalways\n");
        let marked = marked.replace("  h0 is F[0]\n", "  F never sees \"0\"\n");
        common::holds("file-pin", &marked, "6.4", model);
        let memory = shipped("file-pin").replace("file F 1", "file F 1 memory");
        let memory = memory.replace("reach written-back during pin", "");
        let report = common::holds("file-pin", &memory, "pinfold", model);
        assert_eq!(labels(&report), ["pinned"], "not refused either");
    }
}

#[test]
fn what_becomes_of_pages_of_files_has_each_of_its_outcomes() {
    for model in [Model::Tso, Model::Weak] {
        for rules in presets_with(Interface::PinUserPages) {
            for (name, wanted) in [
                ("truncate-pinned", ["orphan", "refused"].as_slice()),
                ("shared-file-pin", &["first", "second"]),
                ("private-snapshot", &["followed", "kept", "latest"]),
                ("memfd-registered", &["kept", "stale"]),
                ("breakpoint-file", &["ran", "stopped"]),
            ] {
                assert_eq!(labels(&holds(name, rules, model)), wanted, "{name} under {rules}");
            }
        }
    }
}

/// What goes to a private copy above goes to everybody's text here.
#[test]
fn a_breakpoint_by_a_shared_mapping_reaches_the_file() {
    let shared = shipped("breakpoint-file").replace("private rx", "shared rwx");
    let shared = shared.replace("reach cow-copy during read\n", "");
    common::breaks("breakpoint-file", &shared, "pinfold", Model::Weak, "step");
}

#[test]
fn a_page_is_copied_under_a_translation_that_protection_has_not_flushed_from_5_9_to_5_11() {
    for model in [Model::Tso, Model::Weak] {
        for rules in ["5.9", "5.10", "5.11", "5.17,uffd-wp-flush=late"] {
            let report = common::breaks("stale-copy", STALE_COPY, rules, model, "claim");
            let told = texts(&report);
            assert!(told.iter().any(|text| text.contains("wp fault: copy")), "{told:#?}");
        }
    }
    // Nothing is copied: 5.8 counts mappings alone, and since 5.19 the mark decides.
    for (rules, model) in
        [("5.8", Model::Tso), ("6.1,uffd-wp-flush=late", Model::Tso), ("pinfold", Model::Weak)]
    {
        common::holds("stale-copy", STALE_COPY, rules, model);
    }
}

#[test]
fn what_monitors_are_told_of_depends_on_what_they_asked_for() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        for rules in presets_with(Interface::UserfaultfdWp) {
            for name in ["uffd-fork", "uffd-remap", "uffd-wp-absent", "uffd-wp-device"] {
                breaks(name, rules, model, "claim");
            }
            for name in ["uffd-fork-event", "uffd-postcopy", "uffd-remap-event"] {
                holds(name, rules, model);
            }
        }
        for rules in presets_with(Interface::Populate) {
            holds("uffd-wp-populated", rules, model);
        }
        for rules in ["4.4", "4.8"] {
            breaks("uffd-fork", rules, model, "claim");
        }
        for rules in ["5.9", "5.18"] {
            breaks("uffd-wp-pin", rules, model, "pin-coherence");
        }
        for rules in ["5.8", "5.19", "latest", "5.18,pte-cow=exclusive"] {
            assert_eq!(labels(&holds("uffd-wp-pin", rules, model)), ["in-step"], "{rules}");
        }
        for rules in ["5.8", "5.11", "pinfold,uffd=wp-anon"] {
            breaks("uffd-minor", rules, model, "step");
        }
        for rules in ["5.14", "latest", "5.8,uffd=minor"] {
            holds("uffd-minor", rules, model);
        }
        for rules in ["5.8", "6.3", "pinfold,uffd=wp-shared"] {
            breaks("uffd-wp-unpopulated", rules, model, "step");
        }
        for rules in ["6.4", "latest", "5.8,uffd=wp-unpopulated"] {
            assert_eq!(labels(&holds("uffd-wp-unpopulated", rules, model)), ["before"], "{rules}");
        }
    }
}

/// Protection of shared memory outlives what drops the pages, and is inherited where it is asked
/// for.
#[test]
fn markers_of_shared_memory_outlive_its_pages() {
    let text = |event: &str, drop: &str| {
        format!(
            "scenario markers\nmachine\n  cpu cpu0 node 0\n  cpu cpu1 node 0\nsetup\n  \
             process P on cpu0\n  P: map A 1 shared rw\n  P: write A \"old\"\n  \
             P: uffd-register A wp{event}\n  P: uffd-protect A\n{drop}\n\
             lane program: P on cpu0\n  write A \"new\"\nlane monitor: P on cpu1\n  read A as r0\n  \
             uffd-unprotect A\nalways\n  P:A sees \"new\"\n  r0 \"old\"\nreach uffd-told\n"
        )
    };
    for model in [Model::Sc, Model::Weak] {
        for rules in ["5.19", "6.2", "pinfold"] {
            for drop in ["", "  P: advise A dontneed", "  P: fork C", "  P: migrate A to node 0"] {
                common::holds("markers", &text("", drop), rules, model);
            }
            let forgotten = text("", "  P: uffd-unregister A\n  P: uffd-register A wp");
            let forgotten = forgotten.replace("reach uffd-told\n", "");
            common::breaks("markers", &forgotten, rules, model, "claim");
        }
    }
}

/// Who is told and never answered is a deadlock, and in `setup` an error.
#[test]
fn an_access_that_nobody_resolves_waits_for_ever() {
    let text = |setup: &str, lane: &str| {
        format!(
            "scenario forgotten\nsetup\n  process P\n  P: map A 1 private rw\n  \
             P: uffd-register A missing\n{setup}\nlane one: P\n  {lane}\nlane two: P\n  exit\n\
             always\n  P:A sees \"0\"\n"
        )
    };
    let lone = text("", "read A").replace("lane two: P\n  exit\n", "");
    common::breaks("forgotten", &lone, "pinfold", Model::Sc, "deadlock");
    let alone = text("  P: read A", "exit").replace("lane two: P\n  exit\n", "");
    let broken = common::checked("forgotten", &alone, "pinfold", Model::Sc).broken;
    let what = &broken.as_ref().expect("the setup fails").what;
    assert!(what[0].contains("the page is missing") && what[0].contains("nothing else runs"));
}

/// Facts 5.1 (hazard H-I): a walker's reference on a tail that somebody has is one of the tail
/// alone up to 3.1, and the split takes too many from the head. By 3.2's rule the walker finds no
/// tail: `tests/tails.rs` has the proofs.
#[test]
fn a_walkers_reference_on_a_tail_is_lost_up_to_3_1() {
    let rules = "5.8,read-gup=as-is,tail-refs=tail-and-head";
    for (rules, model) in common::MODELS.into_iter().flat_map(|of| [("3.1", of), (rules, of)]) {
        let report = breaks("thp-tail-speculative", rules, model, "invariant");
        let told = why(&report);
        assert!(told.contains("counts, and f8, its head, does not (rule tail-refs="), "{told}");
        assert!(told.contains("took it off f9, and one off f8, too"), "{told}");
        assert!(
            told.contains("was to take the 2 references of f9 off f8: 2 = ")
                && told.contains("f8 had, with its entries out, 2 = "),
            "{told}"
        );
        assert!(
            told.contains("that of the split itself: 2 + 1 = 3 needed, 1 is missing. f8 would"),
            "{told}"
        );
        let broken = report.broken.as_ref().expect("it is broken");
        assert!(broken.what[0].contains("1 is missing"), "{:?}", broken.what);
        // Step by step: the count of the tail, and what the split moves.
        let rows = &report.trace.as_ref().expect("it is told").rows;
        let states = rows.iter().filter_map(|row| row.state.as_deref());
        let states: String = states.collect::<Vec<_>>().join("\n");
        assert!(states.contains("P:A[1] rw f9 ref 2 of f8+4"), "{states}");
        let says = |what: &str| rows.iter().any(|row| row.text.contains(what));
        assert!(says("split: f9 leaves with refs 2") && says("refs 2 go off f8, which had 2"));
    }
}

/// Facts 5.3: by 4.5's rule nothing is frozen between the comparison and the distribution.
#[test]
fn a_walkers_reference_behind_the_comparison_of_4_5_stays_on_the_head() {
    for model in common::MODELS {
        let report = breaks("thp-tail-speculative", "4.5", model, "invariant");
        let told = why(&report);
        assert!(told.contains("behind the comparison of step"), "{told}");
        assert!(told.contains("tail-refs=head-compared"), "{told}");
        let broken = report.broken.as_ref().expect("it is broken");
        assert!(broken.what[0].contains("f9 was freed while still mapped"), "{:?}", broken.what);
    }
}

/// One more reference through one that is held (facts 5.1 H-J): a split is let in between by the
/// rules that count on tails, and refused by those that compare.
#[test]
fn one_more_reference_on_a_tail_meets_a_split_up_to_4_4_and_keeps_it_away_since() {
    let window = |name: &str, event: &str| {
        format!("{}\nreach {event} during get-page\n", shipped(name).trim_end())
    };
    for name in ["thp-tail-get", "thp-tail-get-first"] {
        for model in common::MODELS {
            let report = breaks(name, "3.1", model, "invariant");
            assert!(
                why(&report).contains("after that to its head, f8, and step"),
                "{}",
                why(&report)
            );
            let broken = report.broken.expect("it is broken");
            let short = "where tails count 3 and the split's own is 1, 3 + 1 = 4: 1 is missing";
            assert!(broken.what[0].contains(short), "{broken:?}");
        }
        for rules in ["3.2", "4.4"] {
            for model in [Model::Tso, Model::Weak] {
                common::holds(name, &window(name, "split"), rules, model);
            }
        }
        for rules in ["4.5", "4.8", "latest", "pinfold"] {
            for model in [Model::Tso, Model::Weak] {
                common::holds(name, &window(name, "split-busy"), rules, model);
            }
        }
    }
    // The lock of the first posting is that of a page that may be free, if it was given up.
    let first = "3.2,tail-refs=tail-mapcount-first";
    for model in [Model::Tso, Model::Weak] {
        holds("thp-tail-get", first, model);
        let report = breaks("thp-tail-get-first", first, model, "invariant");
        assert!(why(&report).contains("as the head of the folio, and took its lock"));
        let broken = report.broken.expect("it is broken");
        assert!(broken.what[0].contains("the lock of a folio was taken"), "{broken:?}");
    }
}
