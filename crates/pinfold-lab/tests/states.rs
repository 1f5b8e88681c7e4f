//! The search that remembers states against the one that does not, on every shipped incident under
//! every preset.

mod common;

use std::collections::BTreeSet;

use pinfold::Rules;
use pinfold::rules::PRESETS;
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::{CheckOptions, Config, Model, check, scenario};

use common::{all_shipped, shipped};

/// The most executions of a search: larger cells are left to those who change the search.
const MOST: u64 = 1_500;

fn labels(report: &Report) -> BTreeSet<&str> {
    report.outcomes.iter().map(|outcome| outcome.label.as_str()).collect()
}

#[test]
fn incidents_have_the_same_verdict_whether_states_are_remembered_or_not() {
    let (mut compared, mut pruned) = (0, 0);
    for name in all_shipped() {
        let scenario = scenario::parse(&shipped(&name)).expect("shipped scenarios parse");
        for rules in PRESETS {
            let set = Rules::parse(rules).expect("a preset");
            let config =
                Config { model: Model::Sc, max_executions: Some(MOST), ..Config::default() };
            let with = CheckOptions::of(config);
            let without = CheckOptions { remember: 0, ..with.clone() };
            let [with, without] =
                [with, without].map(|options| check(&scenario, &name, &set, &options, &mut |_| {}));
            if without.verdict == Verdict::Partial {
                continue;
            }
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
    assert!(compared > 200 && pruned > 1_000, "{compared} cells, {pruned} pruned");
}
