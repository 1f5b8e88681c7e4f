//! Every end that a scenario has, and what the oracles found on the way.

use pinfold_explore::{Config, Model};

use crate::check::{CheckOptions, Prepared};

/// A scenario's ends under a rule set, on a strongly ordered machine.
fn ends(text: &str, rules: &str) -> crate::check::Ends {
    let scenario = crate::scenario::parse(text).expect("a scenario");
    let rules = pinfold::Rules::parse(rules).expect("rules");
    let prepared = Prepared::new(&scenario, "test", &rules).expect("a scenario that fits");
    let config = Config { model: Model::Tso, ..Config::default() };
    prepared.ends(&CheckOptions::of(config))
}

#[test]
fn a_failing_scenario_has_all_its_ends() {
    let shipped = crate::SCENARIOS.iter().find(|shipped| shipped.name == "bug-215616");
    let text = shipped.expect("the incident").text;
    let bad = ends(text, "5.11");
    assert_eq!(bad.incomplete, None);
    let outcomes: Vec<&str> = bad.outcomes().into_keys().collect();
    assert_eq!(outcomes, ["in-step", "parted"]);
    assert!(bad.outcomes()["parted"].found > 0 && bad.outcomes()["in-step"].executions > 0);
    let broken: Vec<&[usize]> = bad.met.keys().map(|ended| &*ended.broken).collect();
    assert_eq!(broken, [&[][..], &[0, 1][..]]);
    let good = ends(text, "5.19");
    assert_eq!(good.outcomes().into_keys().collect::<Vec<_>>(), ["in-step"]);
    assert_eq!(good.outcomes()["in-step"].found, 0);
}

/// INV-ENDS-1
#[test]
fn a_step_that_fails_ends_its_lane_and_no_order_is_lost() {
    let text = "scenario s\nsetup\n  process P\n  P: map A 1 private rw\n\
                lane one: P\n  read A expect \"w\"\n  write A \"x\"\n\
                lane two: P\n  write A \"w\"\n\
                outcome w when P:A sees \"w\"\noutcome x when P:A sees \"x\"\n";
    let found = ends(text, "latest");
    assert_eq!(found.incomplete, None);
    let outcomes: Vec<&str> = found.outcomes().into_keys().collect();
    assert_eq!(outcomes, ["failed", "x"]);
    let failed: Vec<&[String]> = found.met.keys().map(|ended| &*ended.failed).collect();
    assert_eq!(failed[0], ["read A expect \"w\""]);
}

/// INV-ENDS-2
#[test]
fn an_execution_goes_on_after_what_an_oracle_finds() {
    let shipped = crate::SCENARIOS.iter().find(|shipped| shipped.name == "delay-all-rmap");
    let found = ends(shipped.expect("the incident").text, "latest,zap-rmap=when-freed");
    assert_eq!(found.incomplete, None);
    let told: Vec<_> = found.findings.iter().map(|found| found.oracle).collect();
    assert_eq!(told, [crate::report::Oracle::Invariant]);
    let done = found.outcomes()["done"];
    assert!(done.found > 0 && done.found < done.executions, "{done:?}");
}
