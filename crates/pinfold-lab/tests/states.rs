//! The search that remembers states against the one that does not, on every shipped incident under
//! every preset.

mod common;

use std::collections::BTreeSet;

use pinfold::Rules;
use pinfold::rules::PRESETS;
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::{Answers, CheckOptions, Config, Detail, Model, check, scenario};

use common::{MODELS, TWO_PINS, all_shipped, on_two_nodes, shipped};

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

/// Searches under `latest` with so much memory, and returns how many executions came to their end
/// and how many were begun.
fn begun(name: &str, text: &str, rules: &str, model: Model, memory: usize) -> [u64; 2] {
    let scenario = scenario::parse(text).expect("the scenario parses");
    let rules = Rules::parse(rules).expect("a preset");
    let asked = CheckOptions::of(Config { model, ..Config::default() });
    let options = CheckOptions { detail: Detail::Verdict, ..asked }.remembering(memory);
    let report = check(&scenario, name, &rules, &options, &mut |_| {});
    assert_eq!(report.verdict, Verdict::Pass, "{name} under {model}: {:?}", report.search);
    let search = &report.search;
    println!("{name} under {model}: {search:?}");
    [search.executions, search.executions + search.blocked + search.pruned]
}

/// As many processes as names write to one page that all share.
fn writers(names: &[&str]) -> String {
    let forks = names[1..].iter().map(|name| format!("P: fork {name}\n"));
    let lane = |name: &&str| format!("lane of-{name}: {name}\nwrite A \"{name}\"\n");
    let saw = |name: &&str| format!("{name}:A sees \"{name}\"\n");
    format!(
        "scenario writers\nmachine\nframes 16\nsetup\nprocess P\nP: map A 1 private rw\n\
         P: write A \"v\"\n{}{}always\n{}",
        forks.collect::<String>(),
        names.iter().map(lane).collect::<String>(),
        names.iter().map(saw).collect::<String>(),
    )
}

#[test]
fn three_writers_of_one_page_are_searched_to_the_end() {
    for model in MODELS {
        let [ended, begun] = begun("three", &writers(&["P", "C", "D"]), "latest", model, 1 << 28);
        assert_eq!(ended, 24, "{model}");
        assert!(begun < 1_100, "{begun} under {model}");
    }
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

#[test]
#[ignore = "half a minute of a release build"]
fn four_writers_of_one_page_are_searched_to_the_end() {
    for model in MODELS {
        let text = writers(&["P", "C", "D", "E"]);
        let [ended, begun] = begun("four", &text, "latest", model, 1 << 30);
        assert_eq!(ended, 120, "{model}");
        assert!(begun < 30_000, "{begun} under {model}");
    }
}

/// Without memory that takes five million executions under weak (`protocols/pins.rs`).
#[test]
#[ignore = "a minute of a release build"]
fn two_pins_against_a_fork_are_searched_to_the_end() {
    let text = on_two_nodes("two-pins-fork", TWO_PINS);
    for (model, most) in [(Model::Tso, 50_000), (Model::Weak, 70_000)] {
        let [_, begun] = begun("two-pins-fork", &text, "pinfold", model, 2 << 30);
        assert!(begun < most, "{begun} under {model}");
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
