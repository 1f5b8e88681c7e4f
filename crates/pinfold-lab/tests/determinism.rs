//! A search depends on the scenario, the rules and the model, and on nothing else: not on addresses, hash order, time, or what ran before.

use std::path::Path;

use pinfold::Rules;
use pinfold_lab::report::Report;
use pinfold_lab::scenario::{self, Scenario};
use pinfold_lab::{CheckOptions, Model, check, replay_schedule};

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

fn shipped() -> Vec<Scenario> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let files = std::fs::read_dir(directory).expect("the scenarios are shipped");
    let paths = files.map(|file| file.expect("readable").path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "pf")).collect();
    paths.sort();
    let read = |path| std::fs::read_to_string(path).expect("readable");
    paths.iter().map(|path| scenario::parse(&read(path)).expect("a scenario")).collect()
}

/// All questions asked, in an order.
fn questions() -> Vec<(Scenario, &'static str, Model)> {
    let mut questions = Vec::new();
    for scenario in shipped() {
        for rules in ["5.9", "5.16", "latest"] {
            questions.extend(MODELS.map(|model| (scenario.clone(), rules, model)));
        }
    }
    questions
}

/// A report without what may differ.
fn answer((scenario, rules, model): &(Scenario, &str, Model)) -> Report {
    let rules = Rules::parse(rules).expect("the rules exist");
    let options = CheckOptions { model: *model, ..CheckOptions::default() };
    let mut report = check(scenario, "test.pf", &rules, &options, &mut |_| {});
    report.search.seconds = 0.0;
    report
}

#[test]
fn every_search_has_one_result_whatever_ran_before() {
    let questions = questions();
    let forwards: Vec<Report> = questions.iter().map(answer).collect();
    let mut backwards: Vec<Report> = questions.iter().rev().map(answer).collect();
    backwards.reverse();
    for (question, (first, second)) in questions.iter().zip(forwards.iter().zip(&backwards)) {
        assert_eq!(first, second, "{} {} {:?}", question.0.name.value, question.1, question.2);
    }
}

#[test]
fn every_failure_replays_twice_with_the_same_accesses() {
    let mut failures = 0;
    for question in questions() {
        let Some(broken) = answer(&question).broken else { continue };
        failures += 1;
        let (scenario, rules, model) = question;
        let rules = Rules::parse(rules).expect("the rules exist");
        let again = || {
            replay_schedule(&scenario, "test.pf", &rules, model, &broken.schedule)
                .expect("a schedule that a search gave")
        };
        let (first, second) = (again(), again());
        assert_eq!(first, second, "{} {model:?}", scenario.name.value);
        let told = first.broken.expect("it fails again");
        assert_eq!((&told.oracle, &told.what), (&broken.oracle, &broken.what));
        assert_eq!(first.accesses.len() as u64, broken.steps);
    }
    assert!(failures > 20, "{failures} failures show little");
}
