//! Reclaim of a node against everything else that may be done to a page, with pages that wait in a
//! batch or are on their lists: by scenarios that are generated, searched under the rules of today
//! and of the releases that decided otherwise; and a machine whose memory is too small for what its
//! processes have.
//!
//! The shipped incidents `lru-batch` and `lru-batch-elsewhere` are searched with all others
//! (`incidents.rs`), here under every model.

mod common;

use common::Operation;
use pinfold_lab::report::Verdict;
use pinfold_lab::{CheckOptions, Config, Model};

/// Where the page is before the lanes.
const STATES: [(&str, &str); 5] = [
    ("in a batch", ""),
    ("on its list, not used", "P: advise A cold"),
    ("on the device", "P: advise A cold\nP: reclaim node 0 goal 1"),
    ("locked, on no list", "P: mlock A\nP: lru-drain all"),
    ("on its list, shared", "P: lru-drain all\nP: fork K"),
];

/// What the other lane does, what runs afterwards, and what must hold then.
const OPERATIONS: [Operation; 16] = [
    ("read A expect \"v1\"", "", "P:A sees \"v1\""),
    ("write A \"v2\"", "", "P:A sees \"v2\""),
    ("fork C", "P: write A \"v2\"", "C:A sees \"v1\"\nP:A sees \"v2\""),
    ("unmap A", "", "P:B sees \"b\""),
    ("advise A dontneed", "", "P:A sees \"0\""),
    ("advise A cold", "", "P:A sees \"v1\""),
    ("mlock A", "", "P:A sees \"v1\""),
    ("munlock A", "", "P:A sees \"v1\""),
    ("protect A ro", "", "P:A sees \"v1\""),
    ("migrate A to node 1", "", "P:A sees \"v1\""),
    ("numa-scan", "", "P:A sees \"v1\""),
    ("reclaim node 0 goal 1", "", "P:A sees \"v1\""),
    ("lru-drain all", "P: write A \"v2\"", "P:A sees \"v2\""),
    ("get A write as h0", "P: write A \"v2\"", IN_STEP),
    ("pin A write fast-only as h0 may fail busy", "P: write A \"v2\"", IN_STEP),
    ("pin A write longterm as h0", "P: write A \"v2\"", IN_STEP),
];

const IN_STEP: &str = "h0 sees \"v2\"\nh0 is P:A";

/// The scenario in which `operation` meets reclaim.
fn scenario((state, before): (&str, &str), (act, after, holds): Operation) -> String {
    let after = if after.is_empty() { String::new() } else { format!("after\n{after}\n") };
    // Locked memory takes no advice.
    let unlock = state.starts_with("locked") && act.starts_with("advise");
    let act = if unlock { format!("munlock A\n{act}") } else { act.to_owned() };
    let kept = if state.ends_with("shared") { "K:A sees \"v1\"\n" } else { "" };
    format!(
        "scenario reclaim\nmachine\nnodes 2\nframes 16\nmigrate-passes 1\nswap 6\nlru 3\n\
         cpu cpu0 node 0\ncpu cpu1 node 0\nsetup\nprocess P on cpu0\nP: map A 1 private rw\n\
         P: map B 1 private rw\nP: write A \"v1\"\n{before}\nP: write B \"b\"\n\
         lane other: P on cpu0\n{act}\nlane reclaim: P on cpu1\nreclaim node 0 goal 1\n\
         {after}always\n{holds}\n{kept}"
    )
}

/// Searches every cell until so many executions; which were not searched to the end.
fn every_cell(rules: &str, model: Model, most: u64, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    common::every_cell((&STATES, &OPERATIONS), scenario, (rules, model, most), wanted)
}

#[test]
fn every_operation_meets_reclaim_by_the_rules_of_today() {
    let models = [Model::Tso, Model::Weak];
    let unended = models.map(|model| (model, every_cell("pinfold", model, 120, |_| true)));
    common::ratchet("reclaim", &unended);
}

#[test]
fn and_by_the_rules_of_the_releases_that_decided_otherwise() {
    // Where references decide about reuse, a reference does not keep the page its owner's.
    let keeps = |act: &str| !act.starts_with("get") && !act.starts_with("pin");
    for rules in ["5.8", "5.9", "5.18"] {
        every_cell(rules, Model::Tso, 25, keeps);
    }
    for rules in ["5.19", "6.12", "latest"] {
        every_cell(rules, Model::Tso, 25, |_| true);
    }
}

#[test]
#[ignore = "minutes; run before a change of the lists, of batches or of reclaim"]
fn every_operation_meets_reclaim_for_longer() {
    for rules in ["5.8", "5.9", "5.18", "5.19", "6.1", "latest", "pinfold"] {
        let keeps = |act: &str| {
            !["5.9", "5.18"].contains(&rules) || !act.starts_with("get") && !act.starts_with("pin")
        };
        for model in [Model::Tso, Model::Weak] {
            let unended = every_cell(rules, model, 3_000, keeps);
            println!("{rules} {model:?}: not to the end: {unended:?}");
        }
    }
}

/// A fresh page whose batch has a reference of it (facts 1.4, T25).
#[test]
fn what_a_batch_means_to_a_write_is_searched_to_the_end_under_every_model() {
    for name in ["lru-batch", "lru-batch-elsewhere"] {
        let text = common::shipped(name);
        for rules in ["5.8", "5.9", "5.17", "5.18", "5.19", "pinfold"] {
            for model in common::MODELS {
                let options = CheckOptions::of(Config { model, ..Config::default() });
                let report = common::searched(name, &text, rules, &options);
                assert_eq!(report.verdict, Verdict::Pass, "{name} under {rules}, {model:?}");
            }
        }
    }
}

/// What finds no frame reclaims, and goes on: two processes together have more pages than there are
/// frames.
const TOO_SMALL: &str = "scenario small\nmachine\nframes 11\nswap 12\nlru 2\ncpu cpu0 node 0\n\
     cpu cpu1 node 0\nsetup\nprocess P on cpu0\nP: map A 3 private rw\nP: map B 3 private rw\n\
     P: write A[0] \"a\"\nP: write A[1] \"b\"\nP: write A[2] \"c\"\n\
     lane first: P on cpu0\nwrite B[0] \"d\"\nwrite B[1] \"e\"\n\
     lane second: P on cpu1\nfork C\nafter\nP: write A[0] \"x\"\nP: write A[1] \"y\"\n\
     always\nC:A[0] sees \"a\"\nC:A[1] sees \"b\"\nC:A[2] sees \"c\"\n\
     P:A[0] sees \"x\"\nP:A[1] sees \"y\"\nP:B[0] sees \"d\"\nP:B[1] sees \"e\"\n";

#[test]
fn a_machine_that_is_too_small_goes_on_by_reclaim() {
    for rules in ["5.8", "5.18", "6.1", "pinfold"] {
        let config = Config { max_executions: Some(150), ..Config::default() };
        let report = common::searched("small", TOO_SMALL, rules, &CheckOptions::of(config));
        assert_ne!(report.verdict, Verdict::Fail, "{rules}: {:?}", report.broken);
    }
    let without = TOO_SMALL.replace("lru 2\n", "");
    common::breaks("small", &without, "pinfold", Model::Tso, "step");
}
