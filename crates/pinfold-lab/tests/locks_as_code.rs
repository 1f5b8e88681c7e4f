//! The whole memory manager with its locks as they ship: every shipped incident under every
//! release's rules and each memory model has the verdict and the outcomes that it has with the
//! explorer's objects in their place.
//!
//! With their code most incidents exhaust, and the larger ones do not in a test's time: how many is
//! printed. `cargo test -p pinfold-lab --release --test locks_as_code -- --ignored --nocapture`
//! gives each cell a minute.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{MODELS, all_shipped, shipped};
use pinfold::Rules;
use pinfold::rules::PRESETS;
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::{Answers, CheckOptions, Config, Detail, LockForm, Model, scenario};

fn labels(report: &Report) -> BTreeSet<&str> {
    report.outcomes.iter().map(|outcome| outcome.label.as_str()).collect()
}

/// Searches every cell under `model` with the locks as code within `bounds`; gives how many came to
/// a verdict, and how many there are. Rule sets share what none of them asked for, as
/// `tests/answers.rs` proves.
fn compare(model: Model, bounds: &Config) -> (usize, usize) {
    let verdict = |config| CheckOptions { detail: Detail::Verdict, ..CheckOptions::of(config) };
    let as_code = verdict(Config { model, locks: LockForm::Code, ..bounds.clone() });
    let as_object = verdict(Config { model, ..Config::default() });
    let (mut decided, mut cells, mut executions) = (0, 0, 0);
    for name in all_shipped() {
        let scenario = scenario::parse(&shipped(&name)).expect("shipped scenarios parse");
        let [code, object] =
            [&as_code, &as_object].map(|options| Answers::new(&scenario, &name, options));
        for rules in PRESETS {
            let rules_set = Rules::parse(rules).expect("a preset");
            let code = code.under(&rules_set, &mut |_| {});
            cells += 1;
            executions += code.search.executions;
            if code.verdict == Verdict::Partial {
                continue;
            }
            decided += 1;
            let object = object.under(&rules_set, &mut |_| {});
            assert_eq!(code.verdict, object.verdict, "{name} under {rules}, {model:?}");
            if code.verdict == Verdict::Pass {
                assert_eq!(labels(&code), labels(&object), "{name} under {rules}, {model:?}");
            }
        }
    }
    println!(
        "locks as code, {model:?}: {decided} of {cells} cells decided in {executions} executions, \
         all as with objects"
    );
    (decided, cells)
}

/// Most cells come to a verdict in few executions.
fn most_are_the_same(model: Model) {
    let bounds = Config { max_executions: Some(300), ..Config::default() };
    let (decided, cells) = compare(model, &bounds);
    assert!(2 * decided > cells, "only {decided} of {cells} cells came to a verdict");
}

#[test]
fn incidents_have_the_same_verdict_with_the_code_of_the_locks_under_sc() {
    most_are_the_same(Model::Sc);
}

#[test]
fn incidents_have_the_same_verdict_with_the_code_of_the_locks_under_tso() {
    most_are_the_same(Model::Tso);
}

#[test]
fn incidents_have_the_same_verdict_with_the_code_of_the_locks_under_weak() {
    most_are_the_same(Model::Weak);
}

#[test]
#[ignore = "an hour at most; run before a change of a lock or of the search"]
fn larger_incidents_too() {
    let bounds = Config { deadline: Some(Duration::from_secs(60)), ..Config::default() };
    for model in MODELS {
        compare(model, &bounds);
    }
}
