//! Swap-out against everything else that may be done to a page, and what comes back: by scenarios
//! that are generated, searched under the rules of today and of the releases that decided
//! otherwise.
//!
//! The shipped incidents `swap-out-races-pin` and `o-direct-swap` are searched with all others
//! (`incidents.rs`). Here: every operation while another CPU takes the page out, wherever the page
//! is at first.

mod common;

use common::Operation;
use pinfold_lab::report::Verdict;
use pinfold_lab::{CheckOptions, Config, Model};

/// Where the page is before the lanes.
const STATES: [(&str, &str); 6] = [
    ("in memory", ""),
    ("on the device", "P: pageout A"),
    ("back, with its slot", "P: pageout A\nP: read A"),
    ("unmapped, in the swap cache", "P: get A read as g0\nP: pageout A\nP: put g0"),
    ("on the device, shared", "P: pageout A\nP: fork K"),
    ("in memory, shared", "P: fork K"),
];

/// What the other lane does, what runs afterwards, and what must hold then.
const OPERATIONS: [Operation; 16] = [
    ("read A expect \"v1\"", "", "P:A sees \"v1\""),
    ("write A \"v2\"", "", "P:A sees \"v2\""),
    ("fork C", "P: write A \"v2\"", "C:A sees \"v1\"\nP:A sees \"v2\""),
    ("unmap A", "", "P:B sees \"b\""),
    ("advise A dontneed", "", "P:A sees \"0\""),
    ("protect A ro", "", "P:A sees \"v1\""),
    ("mlock A", "", "P:A sees \"v1\""),
    ("migrate A to node 1", "", "P:A sees \"v1\""),
    ("numa-scan", "", "P:A sees \"v1\""),
    ("remap A at 0x8000", "", "P:A sees \"v1\""),
    ("pageout A", "", "P:A sees \"v1\""),
    ("swapoff may fail busy", "", "P:A sees \"v1\""),
    ("get A write as h0", "P: write A \"v2\"", IN_STEP),
    ("pin A write fast-only as h0 may fail busy", "P: write A \"v2\"", IN_STEP),
    ("pin A write longterm as h0", "P: write A \"v2\"", IN_STEP),
    ("clear-refs", "P: write A \"v2\"", "P:A is soft-dirty\nP:A sees \"v2\""),
];

const IN_STEP: &str = "h0 sees \"v2\"\nh0 is P:A";

/// The scenario in which `operation` meets a swap-out.
fn scenario((state, before): (&str, &str), (act, after, holds): Operation) -> String {
    let gone = if act == "unmap A" { " may fail not-mapped" } else { "" };
    let after = if after.is_empty() { String::new() } else { format!("after\n{after}\n") };
    let kept = if state.ends_with("shared") { "K:A sees \"v1\"\n" } else { "" };
    format!(
        "scenario swap\nmachine\nnodes 2\nframes 16\nmigrate-passes 1\nswap 6\ncpu cpu0 node 0\n\
         cpu cpu1 node 0\nsetup\nprocess P on cpu0\nP: map A 1 private rw\n\
         P: map B 1 private rw\nP: write B \"b\"\nP: write A \"v1\"\n{before}\n\
         lane other: P on cpu0\n{act}\nlane reclaim: P on cpu1\npageout A{gone}\n\
         {after}always\n{holds}\n{kept}"
    )
}

/// Searches every cell until so many executions; how many cells were searched to the end.
fn every_cell(rules: &str, model: Model, most: u64, wanted: impl Fn(&str) -> bool) -> usize {
    common::every_cell((&STATES, &OPERATIONS), scenario, (rules, model, most), wanted)
}

#[test]
fn every_operation_meets_a_swap_out_by_the_rules_of_today() {
    for model in [Model::Tso, Model::Weak] {
        let exhausted = every_cell("pinfold", model, 400, |_| true);
        println!("{model:?}: {exhausted} of {} to the end", STATES.len() * OPERATIONS.len());
        assert!(exhausted > 50, "{exhausted}");
    }
}

#[test]
fn and_by_the_rules_of_the_releases_that_decided_otherwise() {
    // Where references decide about reuse, a reference does not keep the page its owner's.
    let keeps = |act: &str| !act.starts_with("get") && !act.starts_with("pin");
    // Soft-dirty marks came later.
    every_cell("3.1", Model::Tso, 100, |act| keeps(act) && act != "clear-refs");
    for rules in ["5.8", "5.9", "5.11", "5.18"] {
        every_cell(rules, Model::Tso, 100, keeps);
    }
    for rules in ["5.19", "6.1", "6.4", "6.12", "latest"] {
        every_cell(rules, Model::Tso, 100, |_| true);
    }
}

#[test]
#[ignore = "an hour; run before a change of the protocol of swap"]
fn every_operation_meets_a_swap_out_for_longer() {
    for rules in ["5.8", "5.9", "5.18", "5.19", "6.1", "latest", "pinfold"] {
        let keeps = |act: &str| {
            !["5.9", "5.18"].contains(&rules) || !act.starts_with("get") && !act.starts_with("pin")
        };
        for model in [Model::Tso, Model::Weak] {
            let exhausted = every_cell(rules, model, 20_000, keeps);
            println!("{rules} {model:?}: {exhausted} to the end");
        }
    }
}

/// What a reference of the owner's own costs the owner that comes back by a write (facts 1.8).
#[test]
fn a_reference_parts_an_owner_that_comes_back_under_5_18_alone() {
    let cell = scenario(STATES[1], OPERATIONS[12]);
    common::breaks("get", &cell, "5.18", Model::Tso, "claim");
    for rules in ["5.17", "5.19"] {
        let options = CheckOptions::of(Config { max_executions: Some(200), ..Config::default() });
        let report = common::searched("get", &cell, rules, &options);
        assert_ne!(report.verdict, Verdict::Fail, "{rules}: {:?}", report.broken);
    }
}
