//! What an explanation names, of scenarios that are made for it.

use pinfold::rules::Rules;

use crate::check::{CheckOptions, check};
use crate::scenario::parse;
use crate::shipped::{SCENARIOS, Shipped};
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

/// A device that answers at once, whose pages come back past the swap cache.
const SYNCHRONOUS: &str = "
scenario past
machine
  swap 2
  swap-device synchronous
setup
  process P
  P: map A 1 private rw
  P: map B 1 private rw
";

#[test]
fn a_page_that_was_read_past_the_swap_cache_is_not_held_by_that() {
    let steps = "  P: write A \"v\"\n  P: pageout A\n  P: read A\n  P: get A write as h0\n  \
                 P: fork C\nlane owner: P\n  write A \"new\"\nalways\n  h0 is P:A\n";
    let told = why(&format!("{SYNCHRONOUS}{steps}"), "6.7");
    assert!(told.contains(" + 1 reference (h0)."), "{told}");
    assert!(!told.contains("the swap cache"), "{told}");
}

#[test]
fn a_frame_that_was_read_past_the_swap_cache_in_an_earlier_life_is_not_said_to_be() {
    let steps = "  P: write A \"v\"\n  P: get A write as h0\n  P: write B \"w\"\n  \
                 P: pageout B\n  P: read B\n  P: unmap B\nlane owner: P\n  \
                 advise A dontneed\n  write A \"new\"\nalways\n  h0 is P:A\n";
    let told = why(&format!("{SYNCHRONOUS}{steps}"), "6.7");
    assert!(told.contains(" mapped f") && !told.contains("past the swap cache"), "{told}");
}

#[test]
fn advice_that_came_after_a_fork_is_named_for_its_own_pages_alone() {
    let late = |page: &str| {
        let text = format!(
            "scenario late\nsetup\n  process P\n  P: map A 2 private rw\n  P: write A[0] \"v\"\n  \
             P: write A[1] \"w\"\n  P: get A[0] write as h0\nlane owner: P\n  fork C\n  \
             advise A{page} dontfork\n  write A[0] \"new\"\nalways\n  h0 is P:A[0]\n"
        );
        why(&text, "4.8").contains("came only after that fork")
    };
    assert_eq!(["", "[0]", "[0..1]", "[1]", "[1..2]"].map(late), [true, true, true, false, false]);
}

/// A shipped scenario with one more line after another.
fn shipped(name: &str, line: &str, more: &str) -> String {
    let text = Shipped::find(SCENARIOS, name).expect("it ships").text;
    assert!(text.contains(line), "{text}");
    text.replace(line, &format!("{line}  {more}\n"))
}

#[test]
fn of_two_moves_the_one_that_lost_the_dirty_bit_is_named() {
    let line = "  P: migrate A to node 1\n";
    let text = shipped("wrprotect-restore-loses-dirty", line, "P: migrate A to node 0");
    let told = why(&text, "5.9");
    let said: Vec<_> = told.lines().filter(|line| line.contains("(rule migration-ad=")).collect();
    assert!(said.len() == 1 && said[0].contains("to node 1"), "{told}");
}

#[test]
fn a_writeback_that_found_another_mapping_is_said_to() {
    let line = "  P: write A \"v1\"\n";
    let told =
        ["C: read A", "P: read A"].map(|more| why(&shipped("zap-before-flush", line, more), "6.1"));
    assert!(told[0].contains("found only other mappings of f"), "{}", told[0]);
    assert!(told[1].contains("found no mapping of f"), "{}", told[1]);
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
    // Without that there would be no page to reuse: the read would have had a copy.
    assert!(told.contains("of C:A for h0 as it was (rule read-gup=as-is"), "{told}");
}
