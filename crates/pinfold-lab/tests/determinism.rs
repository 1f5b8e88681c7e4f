//! The same search finds the same, whatever was searched before it in the same process, and a
//! failure's schedule leads to one trace.
//!
//! What breaks it: the order of a hash map, addresses, time, statics.

mod common;

use common::{MODELS, all_shipped, checked, shipped};
use pinfold::Rules;
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::{LockForm, Model, replay_schedule, scenario};

/// Rules under which many of the scenarios fail, and rules under which few do.
const RULES: [&str; 3] = ["5.10", "5.16", "pinfold"];

/// What a search must find again: everything but the time that it took.
fn timeless(mut report: Report) -> Report {
    report.search.seconds = 0.0;
    report
}

/// A scenario, the rules, the model.
type Question = (String, &'static str, Model);

fn questions() -> Vec<Question> {
    let with_rules =
        all_shipped().into_iter().flat_map(|name| RULES.map(|rules| (name.clone(), rules)));
    with_rules.flat_map(|(name, rules)| MODELS.map(|model| (name.clone(), rules, model))).collect()
}

fn answer((name, rules, model): &Question) -> Report {
    timeless(checked(name, &shipped(name), rules, *model))
}

#[test]
fn a_second_search_in_the_opposite_order_finds_the_same() {
    let questions = questions();
    let first: Vec<Report> = questions.iter().map(answer).collect();
    let mut second: Vec<Report> = questions.iter().rev().map(answer).collect();
    second.reverse();
    for (question, (first, second)) in questions.iter().zip(first.iter().zip(&second)) {
        assert_eq!(first, second, "{question:?}");
    }
    let executions: u64 = first.iter().map(|report| report.search.executions).sum();
    println!("{} searches with {executions} executions, twice", questions.len());
}

#[test]
fn the_schedule_of_a_failure_leads_to_one_trace() {
    let mut failures = 0;
    for (name, rules, model) in &questions() {
        let found = checked(name, &shipped(name), rules, *model);
        if found.verdict != Verdict::Fail {
            continue;
        }
        failures += 1;
        let broken = found.broken.as_ref().expect("a failure says what broke");
        let scenario = scenario::parse(&shipped(name)).expect("well formed");
        let rules = Rules::parse(rules).expect("the rules exist");
        let [first, second] = [(); 2].map(|()| {
            replay_schedule(&scenario, name, &rules, (*model, LockForm::Object), &broken.schedule)
                .expect("a schedule")
        });
        assert_eq!(first.search.incomplete, None, "{name} {rules} {model:?}");
        assert!(!first.accesses.is_empty());
        // Rows, accesses and ends included.
        assert_eq!(first, second, "{name} {rules} {model:?}");
        assert_eq!(first.trace, found.trace, "{name} {rules} {model:?}");
        assert_eq!(
            first.broken.as_ref().map(|broken| &broken.oracle),
            Some(&broken.oracle),
            "{name} {rules} {model:?}"
        );
    }
    println!("{failures} failures, each replayed twice");
    assert!(failures > 30, "{failures} failures are too few to tell");
}
