//! The search that remembers states against the one that does not, on every shipped incident under
//! every preset.

mod common;

use std::collections::BTreeSet;

use pinfold::Rules;
use pinfold::rules::PRESETS;
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::{Answers, CheckOptions, Config, Detail, Model, check, scenario};

use common::{all_shipped, shipped, writers};

/// The most executions of a search: larger cells are left to those who change the search.
const MOST: u64 = 1_500;

fn labels(report: &Report) -> BTreeSet<&str> {
    report.outcomes.iter().map(|outcome| outcome.label.as_str()).collect()
}

/// Compares the cells of `scenarios`: every one has its verdict, what it reaches and how it ends
/// with either search. Rule sets share what none of them asked for, as `tests/answers.rs` proves.
fn compare(scenarios: &[String], model: Model) {
    let config = Config { model, max_executions: Some(MOST), ..Config::default() };
    let asked = CheckOptions::of(config);
    let asked = CheckOptions { detail: Detail::Verdict, ..asked };
    let with = asked.clone().remembering(512 << 20);
    let without = asked.remembering(0);
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

/// INV-LOOK-4
#[test]
fn a_search_that_takes_long_without_memory_is_begun_anew_with_it() {
    let text = writers(&["P", "C", "D"]);
    let scenario = scenario::parse(&text).expect("the scenario parses");
    let rules = Rules::parse("latest").expect("a preset");
    for model in [Model::Tso, Model::Weak] {
        let asked = CheckOptions::of(Config { model, ..Config::default() });
        let found = check(&scenario, "three", &rules, &asked, &mut |_| {});
        assert_eq!((found.verdict, found.search.executions), (Verdict::Pass, 24), "{model}");
        assert!(found.search.pruned > 0 && found.search.pruned < 1_100, "{:?}", found.search);
        // What it may not make it does not make, and then it is what it was.
        let config = Config { max_executions: Some(CheckOptions::LONG), ..asked.config };
        let few = check(&scenario, "three", &rules, &CheckOptions::of(config), &mut |_| {});
        assert_eq!((few.verdict, few.search.pruned), (Verdict::Partial, 0), "{model}");
        assert_eq!(few.search.executions + few.search.blocked, CheckOptions::LONG, "{model}");
    }
}

/// Every second incident, so that each of two threads has as much to do.
fn every_second(first: usize) -> Vec<String> {
    all_shipped().into_iter().skip(first).step_by(2).collect()
}

#[test]
fn incidents_have_the_same_verdict_whether_states_are_remembered_or_not() {
    compare(&every_second(0), Model::Sc);
}

#[test]
fn the_other_incidents_have_it_too() {
    compare(&every_second(1), Model::Sc);
}

#[test]
#[ignore = "minutes of a release build"]
fn so_it_is_under_the_weaker_models() {
    for model in [Model::Tso, Model::Weak] {
        compare(&all_shipped(), model);
    }
}
