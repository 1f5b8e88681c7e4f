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
use pinfold_lab::{CheckOptions, Config, LockForm, check, scenario};

fn labels(report: &Report) -> BTreeSet<&str> {
    report.outcomes.iter().map(|outcome| outcome.label.as_str()).collect()
}

/// Searches every cell with the locks as code within `bounds`; gives how many came to a verdict,
/// and how many there are.
fn compare(bounds: &CheckOptions) -> (usize, usize) {
    let (mut decided, mut cells, mut executions) = (0, 0, 0);
    for (model, name) in
        MODELS.iter().flat_map(|&model| all_shipped().into_iter().map(move |name| (model, name)))
    {
        let scenario = scenario::parse(&shipped(&name)).expect("shipped scenarios parse");
        for rules in PRESETS {
            let rules_set = Rules::parse(rules).expect("a preset");
            let searched =
                |options: &CheckOptions| check(&scenario, &name, &rules_set, options, &mut |_| {});
            let config = Config { model, locks: LockForm::Code, ..bounds.config.clone() };
            let code = searched(&CheckOptions::of(config));
            cells += 1;
            executions += code.search.executions;
            if code.verdict == Verdict::Partial {
                continue;
            }
            decided += 1;
            let object = searched(&CheckOptions::of(Config { model, ..Config::default() }));
            assert_eq!(code.verdict, object.verdict, "{name} under {rules}, {model:?}");
            if code.verdict == Verdict::Pass {
                assert_eq!(labels(&code), labels(&object), "{name} under {rules}, {model:?}");
            }
        }
    }
    println!(
        "locks as code: {decided} of {cells} cells decided in {executions} executions, all as with objects"
    );
    (decided, cells)
}

#[test]
fn incidents_have_the_same_verdict_with_the_code_of_the_locks() {
    let (decided, cells) =
        compare(&CheckOptions::of(Config { max_executions: Some(1_000), ..Config::default() }));
    assert!(2 * decided > cells, "only {decided} of {cells} cells came to a verdict");
}

#[test]
#[ignore = "an hour at most; run before a change of a lock or of the search"]
fn larger_incidents_too() {
    compare(&CheckOptions::of(Config {
        deadline: Some(Duration::from_secs(60)),
        ..Config::default()
    }));
}
