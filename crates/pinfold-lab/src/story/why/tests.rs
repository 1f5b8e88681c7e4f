//! What an explanation names, of scenarios that are made for it.

use pinfold::rules::Rules;

use crate::check::{CheckOptions, check};
use crate::scenario::parse;
use crate::{Config, Model, Strategy};

/// Why the first failing execution of a scenario under rules fails, as one text.
fn why(text: &str, rules: &str) -> String {
    let search = Strategy::Exhaustive { preemptions: None };
    why_found_by(search, text, rules).expect("it fails")
}

/// Why the first failing execution that a search finds fails, as one text.
fn why_found_by(search: Strategy, text: &str, rules: &str) -> Option<String> {
    let scenario = parse(text).expect("a scenario");
    let rules = Rules::parse(rules).expect("rules");
    let config = Config { model: Model::Sc, search, shrink_runs: 0, ..Config::default() };
    let options = CheckOptions::of(config);
    let report = check(&scenario, "test.pf", &rules, &options, &mut |_| {});
    report.broken.map(|broken| broken.why.join("\n"))
}

/// Two drivers that pin one page for long at a time, where it must be moved out first.
const SETTLE: &str = "
scenario settle
machine
  frames 8
  migrate-passes 1
  movable 2
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A \"v1\"
lane first: P on cpu0
  pin A write longterm as h0
lane second: P on cpu1
  pin A write longterm as h1
always
  h0 is P:A
";

#[test]
fn a_pin_that_could_not_move_its_page_names_the_rules() {
    let told = why(SETTLE, "pinfold");
    assert!(told.contains("may be pinned for long"), "{told}");
    assert!(told.contains("(rule longterm-zone="), "{told}");
    assert!(told.contains("(rule migration-kind="), "{told}");
}

#[test]
fn a_pin_that_could_not_move_its_page_names_the_other_taker() {
    let seeds = (0..40).map(|seed| Strategy::Random { seed: seed * 100, runs: 100 });
    let told: Vec<_> = seeds.filter_map(|search| why_found_by(search, SETTLE, "pinfold")).collect();
    assert!(told.iter().any(|why| why.contains("and was still at it.")), "{told:#?}");
}

#[test]
fn a_dropped_page_names_who_holds_its_frame() {
    let text = "
scenario dropped
setup
  process P
  P: map A 1 private rw
  P: write A \"v1\"
  P: pin A write longterm as h0
lane owner: P
  advise A dontneed
  write A \"v2\"
always
  h0 sees \"v2\"
";
    let told = why(text, "pinfold");
    assert!(told.contains("; h0 keeps the frame from reuse"), "{told}");
}

/// A child that gives its page up while it holds the frame, and a parent that stores then.
const CHILD: &str = "
scenario child-gone
machine
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A \"v1\"
  P: fork C
lane parent: P on cpu0
  write A \"v2\"
lane child: C on cpu1
  get A read as h0
  unmap A
";

#[test]
fn a_reuse_by_a_count_names_the_mapping_that_had_gone() {
    let told = why(&format!("{CHILD}always\n  h0 never sees \"v2\"\n"), "5.7,read-gup=as-is");
    assert!(told.contains(" from C:A"), "{told}");
    assert!(told.contains("(rule pte-cow="), "{told}");
}

#[test]
fn a_register_read_through_a_handle_names_the_rule_of_the_reuse() {
    let text = format!("{CHILD}  read h0 as r0\nalways\n  r0 \"v1\"\n");
    let told = why(&text, "5.7,read-gup=as-is");
    assert!(told.contains("for its store"), "{told}");
    assert!(told.contains("(rule pte-cow="), "{told}");
}
