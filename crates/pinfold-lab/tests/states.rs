//! The search that remembers states against the one that does not, on every shipped incident under
//! every preset.

mod common;

use std::collections::BTreeSet;

use pinfold::Rules;
use pinfold::rules::PRESETS;
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::{Answers, CheckOptions, Config, Detail, Model, scenario};

use common::{all_shipped, shipped};

/// The most executions of a search: larger cells are left to those who change the search.
const MOST: u64 = 1_500;

fn labels(report: &Report) -> BTreeSet<&str> {
    report.outcomes.iter().map(|outcome| outcome.label.as_str()).collect()
}

/// Compares the cells of `scenarios`: every one has its verdict, what it reaches and how it ends
/// with either search. Rule sets share what none of them asked for, as `tests/answers.rs` proves.
fn compare(scenarios: &[String]) {
    let config = Config { model: Model::Sc, max_executions: Some(MOST), ..Config::default() };
    let with = CheckOptions { detail: Detail::Verdict, ..CheckOptions::of(config) };
    let without = CheckOptions { remember: 0, ..with.clone() };
    let (mut compared, mut pruned) = (0, 0);
    for name in scenarios {
        let scenario = scenario::parse(&shipped(name)).expect("shipped scenarios parse");
        let [with, without] =
            [&with, &without].map(|options| Answers::new(&scenario, name, options));
        for rules in PRESETS {
            let set = Rules::parse(rules).expect("a preset");
            let without = without.under(&set, &mut |_| {});
            if without.verdict == Verdict::Partial {
                continue;
            }
            let with = with.under(&set, &mut |_| {});
            compared += 1;
            pruned += with.search.pruned;
            assert_eq!(with.verdict, without.verdict, "{name} under {rules}");
            if with.verdict == Verdict::Pass {
                assert_eq!(labels(&with), labels(&without), "{name} under {rules}");
                let reached = |report: &Report| {
                    let goals = report.reached.iter();
                    goals.map(|goal| (goal.what.clone(), goal.count > 0)).collect::<Vec<_>>()
                };
                assert_eq!(reached(&with), reached(&without), "{name} under {rules}");
            }
        }
    }
    println!("{compared} cells have the same verdict; {pruned} executions were pruned");
    assert!(compared > 100 && pruned > 500, "{compared} cells, {pruned} pruned");
}

/// Every second incident, so that each of two threads has as much to do.
fn every_second(first: usize) -> Vec<String> {
    all_shipped().into_iter().skip(first).step_by(2).collect()
}

#[test]
fn incidents_have_the_same_verdict_whether_states_are_remembered_or_not() {
    compare(&every_second(0));
}

#[test]
fn the_other_incidents_have_it_too() {
    compare(&every_second(1));
}
