//! The engine of the verdicts on small scenarios of its own; the shipped incidents are in
//! `tests/incidents.rs`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pinfold::EventKind;
use pinfold::rules::Rules;

use super::*;
use crate::scenario::{Verb, parse};
use crate::{LockForm, Strategy};

mod absent;
mod all_ends;
mod bounds;
mod costs;
mod device;
mod direct;
mod ends;
mod exits;
mod files;
mod forks;
mod holds;
mod hugetlb;
mod left_out;
mod moves;
mod one_run;
mod waits;

fn rules(text: &str) -> Rules {
    Rules::parse(text).expect("rules")
}

/// The outcomes that were seen.
fn labels(report: &Report) -> Vec<&str> {
    report.outcomes.iter().map(|outcome| outcome.label.as_str()).collect()
}

/// The outcomes of a search; some random executions must see the same ones and no other.
fn seen_by_both(text: &str, set: &str, model: Model) -> Vec<String> {
    let scenario = parse(text).expect("scenario");
    let seen = |search| {
        let options = CheckOptions::of(Config { model, search, ..Config::default() });
        let report = check(&scenario, "test.pf", &rules(set), &options, &mut |_| {});
        let labels: Vec<String> = labels(&report).into_iter().map(str::to_owned).collect();
        (report, labels)
    };
    let (report, reduced) = seen(Strategy::Exhaustive { preemptions: None });
    assert_eq!(report.verdict, Verdict::Pass, "{:?} {:?}", report.broken, report.search);
    let (report, random) = seen(Strategy::Random { seed: 0, runs: 1_000 });
    assert!(report.broken.is_none(), "{:?}", report.broken);
    assert_eq!(random, reduced);
    reduced
}

fn checked(text: &str, set: &str) -> Report {
    let scenario = parse(text).expect("scenario");
    check(&scenario, "test.pf", &rules(set), &CheckOptions::default(), &mut |_| {})
}

const TWO_WRITERS: &str = "
scenario two-writers
machine
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P
  P: map A 1 private rw
lane one: P on cpu0
  write A \"1\"
lane two: P on cpu1
  write A \"2\"
always
  P:A never sees \"0\"
outcome one when P:A sees \"1\"
outcome two when P:A sees \"2\"
";

#[test]
fn two_first_touches_leave_one_page_and_both_orders_are_seen() {
    let report = checked(TWO_WRITERS, "pinfold");
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
    let labels: Vec<_> = report.outcomes.iter().map(|outcome| outcome.label.as_str()).collect();
    assert_eq!(labels, ["one", "two"]);
}

#[test]
fn a_claim_that_only_one_order_breaks_is_found_and_replays() {
    let text = TWO_WRITERS.replace("P:A never sees \"0\"", "P:A sees \"2\"");
    let report = checked(&text, "pinfold");
    assert_eq!(report.verdict, Verdict::Fail);
    let broken = report.broken.expect("a failure says what broke");
    assert_eq!(broken.oracle, Oracle::Claim);
    assert!(report.trace.is_some_and(|trace| !trace.rows.is_empty()));
    let scenario = parse(&text).expect("scenario");
    let again = replay_schedule(
        &scenario,
        "test.pf",
        &rules("pinfold"),
        (Model::Sc, LockForm::Object),
        &broken.schedule,
    )
    .expect("schedule");
    assert_eq!(again.verdict, Verdict::Fail);
    assert_eq!(again.broken.expect("again").what, broken.what);
}

#[test]
fn a_bound_that_cuts_something_gives_partial_and_never_pass() {
    let scenario = parse(TWO_WRITERS).expect("scenario");
    for options in [
        CheckOptions::of(Config {
            search: Strategy::Exhaustive { preemptions: Some(0) },
            ..Config::default()
        }),
        CheckOptions::of(Config { max_executions: Some(1), ..Config::default() }),
        CheckOptions::of(Config { max_steps: 20, ..Config::default() }),
        CheckOptions::of(Config {
            stop: Some(Arc::new(AtomicBool::new(true))),
            ..Config::default()
        }),
        CheckOptions::of(Config {
            search: Strategy::Random { seed: 1, runs: 5 },
            ..Config::default()
        }),
    ] {
        let report = check(&scenario, "test.pf", &rules("pinfold"), &options, &mut |_| {});
        assert_eq!(report.verdict, Verdict::Partial, "{options:?}");
        assert!(report.search.incomplete.is_some());
    }
}

#[test]
fn a_window_that_no_execution_reaches_is_a_failure_of_the_scenario() {
    let report = checked(&format!("{TWO_WRITERS}\nreach numa-protected\n"), "pinfold");
    assert_eq!(report.verdict, Verdict::Fail);
    assert_eq!(report.broken.expect("broken").title(), "PF0301 vacuous");
}

#[test]
fn no_event_is_called_like_a_step_or_a_part_of_one() {
    let words = Verb::ALL.iter().map(|verb| verb.as_str()).chain(["fast-pin", "fast-get"]);
    for word in words {
        assert!(!EventKind::NAMES.contains(&word), "`reach {word}` would mean two things");
    }
}

#[test]
fn a_scan_that_meets_no_entry_opens_no_window() {
    let text = "
scenario scan-of-nothing
setup
  process P
  P: map A 2 private rw
lane reader: P
  read A[0]
lane numad: P
  numa-scan A[1]
always
  P:A[0] sees \"0\"
";
    let started = checked(&format!("{text}reach numa-scan\n"), "pinfold");
    assert_eq!(started.verdict, Verdict::Pass, "{:?}", started.broken);
    let looked = checked(&format!("{text}reach numa-look\n"), "pinfold");
    assert_eq!(looked.verdict, Verdict::Fail, "{:?}", looked.reached);
}

/// A scan by a lane, and a pin that takes no hinting fault.
fn scanned(node: u32, other: &str) -> String {
    format!(
        "scenario scanned
machine
  nodes 2
  cpu cpu0 node 0
  cpu cpu1 node 1
setup
  process P on cpu0
  P: fork C
  P: map A 1 private rw
  P: write A \"v\"
  P: migrate A to node {node}
lane numad: P
  numa-scan
lane other: {other}
  map B 1 private rw
after
  P: pin A write fast-only as h0
always
  h0 is P:A
"
    )
}

#[test]
fn a_process_of_one_lane_is_scanned_where_its_pages_are_remote() {
    for set in ["5.8", "6.1", "latest", "pinfold"] {
        let verdict = |node, other| checked(&scanned(node, other), set).verdict;
        assert_eq!(verdict(0, "C"), Verdict::Pass, "{set}: local");
        assert_eq!(verdict(1, "C"), Verdict::Fail, "{set}: remote");
        assert_eq!(verdict(0, "P"), Verdict::Fail, "{set}: a second thread");
    }
    let reached = |event| checked(&format!("{}reach {event}\n", scanned(0, "C")), "latest").verdict;
    assert_eq!(reached("numa-local"), Verdict::Pass);
    assert_eq!(reached("numa-protected"), Verdict::Fail);
}

#[test]
fn an_unknown_event_is_an_error_and_nothing_runs() {
    let report = checked(&format!("{TWO_WRITERS}\nreach numa-protect\n"), "pinfold");
    assert_eq!(report.verdict, Verdict::Error);
    assert_eq!(report.search.executions, 0);
}

const FORK_WITHOUT_FRAMES: &str = "
scenario fork-without-frames
machine
  frames 6
setup
  process P
  P: map A 2 private rw
  P: write A[0] \"a\"
  P: write A[1] \"b\"
lane parent: P
  fork C fails out-of-frames
  write A[0] \"c\"
always
  P:A[0] sees \"c\"
  P:A[1] sees \"b\"
";

#[test]
fn a_fork_without_frames_loses_nothing_in_the_parent_and_leaks_nothing() {
    // Frames: the zero page, the root, a table, two pages; one is left, and the child needs two
    // tables.
    let report = checked(FORK_WITHOUT_FRAMES, "pinfold");
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
}

#[test]
fn a_step_that_should_have_failed_is_a_failure() {
    let report = checked(&FORK_WITHOUT_FRAMES.replace("frames 6", "frames 12"), "pinfold");
    assert_eq!(report.verdict, Verdict::Fail);
    assert_eq!(report.broken.expect("broken").oracle, Oracle::Step);
}

#[test]
fn a_setup_that_fails_is_an_error_that_names_the_step() {
    let report = checked(&FORK_WITHOUT_FRAMES.replace("frames 6", "frames 4"), "pinfold");
    assert_eq!(report.verdict, Verdict::Error);
    assert!(report.broken.expect("broken").what[0].contains("out of frames"));
}

#[test]
fn an_access_outside_what_is_mapped_says_so() {
    let text = "
scenario outside
setup
  process P
  P: map A 2 private rw
lane one: P
  unmap A[1]
  write A[1] \"x\" fails no-access
  write A[0] \"y\"
always
  P:A[0] sees \"y\"
";
    let report = checked(text, "pinfold");
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
    let report = checked(&text.replace(" fails no-access", ""), "pinfold");
    assert_eq!(report.verdict, Verdict::Fail);
    assert!(report.broken.expect("broken").what[0].contains("nothing is mapped"));
}

#[test]
fn a_device_waits_for_the_handle_of_another_lane() {
    let text = "
scenario handed-over
setup
  process P
  P: map A 1 private rw
lane owner: P
  write A \"x\"
  pin A read as h0
lane dma: device
  read h0 expect \"x\"
  write h0 \"y\"
always
  P:A sees \"y\"
  h0 is P:A
";
    let report = checked(text, "pinfold");
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
}

#[test]
fn a_run_keeps_everything_in_the_order_asked_for() {
    let scenario = parse(TWO_WRITERS).expect("scenario");
    let written = run(&scenario, "test.pf", &rules("pinfold"), Order::AsWritten);
    assert_eq!(written.verdict, Verdict::Pass);
    assert_eq!(written.outcomes[0].label, "two");
    let trace = written.trace.expect("a run has a trace");
    assert!(trace.rows.iter().any(|row| row.text.contains("new page")));
    let ids: Vec<String> =
        (0..2).map(|_| run(&scenario, "test.pf", &rules("pinfold"), Order::Seed(7)).id).collect();
    assert_eq!(ids[0], ids[1], "the same seed has the same id");
}

#[test]
fn shared_memory_is_seen_by_both_sides_of_a_fork_and_freed_with_the_last() {
    let text = "
scenario shared
setup
  process P
  P: map A 1 shared rw
  P: write A \"old\"
  P: fork C
lane parent: P
  write A \"new\"
lane child: C
  exit
always
  P:A sees \"new\"
";
    let report = checked(text, "pinfold");
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
}

fn small(body: &str) -> String {
    format!(
        "scenario small\nmachine\n  nodes 2\n  migrate-passes 1\n  cpu cpu0 node 0\n  cpu cpu1 node 1\n\
         setup\n  process P on cpu0\n  P: map A 1 private rw\n{body}"
    )
}

#[test]
fn what_a_sibling_stores_while_fork_runs_may_reach_the_child() {
    let text = small(
        "  P: write A \"v1\"\nlane a: P on cpu0\n  fork C\nlane b: P on cpu1\n  write A \"v2\"\n\
         always\n  P:A sees \"v2\"\n",
    );
    for set in ["5.8", "6.12", "pinfold"] {
        let report = checked(&text, set);
        assert_eq!(report.verdict, Verdict::Pass, "{set}: {:?}", report.broken);
    }
}

#[test]
fn a_page_that_was_dropped_before_it_was_pinned_is_judged_all_the_same() {
    let text = small(
        "  P: write A \"v1\"\n  P: advise A dontneed\n  P: write A \"v2\"\nlane a: P on cpu0\n  \
         pin A write longterm as h0\n  protect A ro\n  protect A rw\n  write A \"v3\"\n\
         always\n  P:A sees \"v3\"\n",
    );
    let report = checked(&text, "5.9");
    assert_eq!(report.broken.expect("the pin is parted").oracle, Oracle::PinCoherence);
    assert_eq!(checked(&text, "pinfold").verdict, Verdict::Pass);
}

#[test]
fn all_oracles_that_break_in_an_execution_are_told() {
    let text = small(
        "  P: write A \"v1\"\nlane a: P on cpu0\n  pin A write longterm as h0\n  protect A ro\n  \
         protect A rw\n  write A \"v2\"\nalways\n  h0 sees \"v2\"\n",
    );
    let broken = checked(&text, "5.9").broken.expect("the pin is parted");
    assert_eq!(broken.oracle, Oracle::PinCoherence);
    let others: Vec<Oracle> = broken.also.iter().map(|other| other.oracle).collect();
    assert_eq!(others, [Oracle::Claim]);
}

#[test]
fn an_owner_that_drops_a_pinned_page_has_given_it_up() {
    let zero = small(
        "lane a: P on cpu0\n  pin A read longterm as h0\n  advise A dontneed\n  write A \"v1\"\n\
         always\n  P:A sees \"v1\"\n",
    );
    let moving = small(
        "  P: write A \"v1\"\n  P: pin A write longterm as h0\nlane a: P on cpu1\n  migrate A to node 1\n\
         lane b: P on cpu0\n  advise A dontneed\n  write A \"v2\"\nalways\n  P:A sees \"v2\"\n",
    );
    for text in [zero, moving] {
        for set in ["5.9", "6.1", "pinfold"] {
            let report = checked(&text, set);
            assert_eq!(report.verdict, Verdict::Pass, "{set}: {:?}", report.broken);
        }
    }
}

#[test]
fn what_a_grandparent_stores_after_the_fork_is_foreign_to_a_grandchild() {
    let text = small(
        "  P: write A \"old\"\n  P: fork C\nlane a: P on cpu0\n  write A \"secret\"\n\
         lane b: C on cpu1\n  get A read as h0\n  unmap A\n  fork G\nalways\n  P:A sees \"secret\"\n",
    );
    let report = checked(&text, "5.8,read-gup=as-is");
    assert_eq!(report.broken.expect("the reference leaks").oracle, Oracle::Isolation);
    assert_eq!(checked(&text, "pinfold").verdict, Verdict::Pass);
}

#[test]
fn a_lane_of_a_child_starts_with_the_fork_and_runs_beside_the_parent() {
    let text = small(
        "  P: write A \"old\"\nlane parent: P on cpu0\n  fork C\n  write A \"new\"\n\
         lane child: C on cpu1\n  read A expect \"old\"\n  write A \"mine\"\n\
         always\n  P:A sees \"new\"\n  C:A sees \"mine\"\n  P:A is not C:A\n",
    );
    for set in ["5.8", "5.16", "pinfold"] {
        let report = checked(&text, set);
        assert_eq!(report.verdict, Verdict::Pass, "{set}: {:?}", report.broken);
        assert!(report.search.executions > 50, "{:?}", report.search);
    }
    let wrong = text.replace("expect \"old\"", "expect \"new\"");
    let broken = checked(&wrong, "pinfold").broken.expect("the child has the old word");
    let scenario = parse(&wrong).expect("scenario");
    let again = replay_schedule(
        &scenario,
        "test.pf",
        &rules("pinfold"),
        (Model::Weak, LockForm::Object),
        &broken.schedule,
    )
    .expect("schedule");
    assert_eq!(again.broken.expect("again").what, broken.what);
    assert_eq!(again.accesses.last().expect("accesses").lane, "child");
}

#[test]
fn a_step_that_may_fail_is_judged_by_what_it_makes() {
    let text = "
scenario either
setup
  process P
  P: map A 1 private rw
  P: write A \"v\"
lane pinner: P
  pin A write as h0 may fail no-access
lane other: P
  protect A none
always
  h0 sees \"v\"
outcome pinned when h0 sees \"v\"
outcome denied otherwise
";
    let report = checked(text, "pinfold");
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
    let labels: Vec<_> = report.outcomes.iter().map(|outcome| outcome.label.as_str()).collect();
    assert_eq!(labels, ["denied", "pinned"]);
    let wrong = checked(&text.replace("sees \"v\"\noutcome p", "sees \"w\"\noutcome p"), "pinfold");
    assert_eq!(wrong.broken.expect("where it was pinned").oracle, Oracle::Claim);
    let other = checked(&text.replace("no-access", "busy"), "pinfold");
    assert_eq!(other.broken.expect("another failure").oracle, Oracle::Step);
}

#[test]
fn a_fact_beside_one_about_what_was_not_made_still_has_to_hold() {
    let text = "
scenario beside
setup
  process P
  P: map A 1 private rw
  P: write A \"v\"
lane pinner: P
  pin A write as h0 may fail no-access
lane other: P
  protect A none
  protect A rw
always
  h0 sees \"v\" and P:A sees \"v\"
";
    assert_eq!(checked(text, "pinfold").verdict, Verdict::Pass);
    let wrong = text.replace("P:A sees \"v\"\n", "P:A sees \"w\"\n");
    assert_eq!(checked(&wrong, "pinfold").broken.expect("it does not").oracle, Oracle::Claim);
    let never_made = text
        .replace("  protect A none\n  protect A rw", "  read A")
        .replace(
            "pin A write as h0 may fail no-access",
            "protect A ro\n  pin A write as h0 may fail no-access",
        )
        .replace("P:A sees \"v\"\n", "P:A sees \"w\"\n");
    assert_eq!(checked(&never_made, "pinfold").broken.expect("it does not").oracle, Oracle::Claim);
}

#[test]
fn a_data_race_names_both_sides_and_replays() {
    let text = "
scenario walked
setup
  process P
  P: map A 1 private rw
  P: write A \"v\"
lane pinner: P
  pin A write as h0 may fail no-access
lane other: P
  unmap A
always
  h0 sees \"v\"
";
    let scenario = parse(text).expect("scenario");
    let set = rules("pinfold,table-free=at-once");
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        let options = CheckOptions::of(Config { model, ..Config::default() });
        let report = check(&scenario, "test.pf", &set, &options, &mut |_| {});
        let broken = report.broken.expect("a walker reads a table that is gone");
        assert_eq!(broken.oracle, Oracle::DataRace);
        let what = &broken.what[0];
        assert!(
            what.contains("pinner") && what.contains("other") && what.contains("table"),
            "{what}"
        );
        let again = replay_schedule(
            &scenario,
            "test.pf",
            &set,
            (model, LockForm::Object),
            &broken.schedule,
        );
        let again = again.expect("schedule").broken.expect("again");
        assert_eq!((again.oracle, &again.what), (broken.oracle, &broken.what));
    }
}

/// The race of fork with a pin, and much that comes later.
const BUSY: &str = "
scenario busy
machine
  frames 16
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P on cpu0
  P: map A 1 private rw
  P: map B 1 private rw
  P: write A \"v1\"
lane forker: P on cpu0
  fork C
  write B \"1\"
  write B \"2\"
lane pinner: P on cpu1
  pin A write longterm as h0
  write B \"3\"
lane third: P on cpu1
  write B \"4\"
  read B
after
  P: write A \"v2\"
always
  h0 is P:A
";

#[test]
fn a_long_search_finds_by_a_look_at_random_what_depth_first_comes_to_late() {
    let report = checked(BUSY, "5.10");
    assert_eq!(report.verdict, Verdict::Fail);
    assert_eq!(report.search.strategy.to_string(), "exhaustive, then random seed 0");
    assert_eq!(report.broken.expect("broken").oracle, Oracle::PinCoherence);
    let scenario = parse(BUSY).expect("scenario");
    let late = CheckOptions::of(Config { max_executions: Some(5_100), ..Config::default() });
    let report = check(&scenario, "test.pf", &rules("pinfold"), &late, &mut |_| {});
    assert_eq!(report.verdict, Verdict::Partial);
    assert_eq!(report.search.executions + report.search.blocked, 5_100);
    assert_eq!(report.search.incomplete.as_deref(), Some("stopped after 5100 executions"));
    let early = CheckOptions::of(Config { max_executions: Some(100), ..Config::default() });
    let report = check(&scenario, "test.pf", &rules("5.10"), &early, &mut |_| {});
    assert_eq!(report.verdict, Verdict::Partial, "there was no look");
}

#[test]
fn a_look_at_random_changes_no_number() {
    let text = small(
        "  P: write A \"old\"\n  P: fork C\nlane parent: P on cpu0\n  write A \"parent\"\n\
         lane child: C on cpu1\n  fork G\n  write A \"child\"\nlane other: P on cpu1\n  read A\n\
         always\n  P:A sees \"parent\"\n  C:A sees \"child\"\nreach fork-shared during write\n",
    );
    let (scenario, set) = (parse(&text).expect("scenario"), rules("pinfold"));
    let remembering = CheckOptions::of(Config { model: Model::Sc, ..Config::default() });
    // Counts are the same without a memory of states; with one an interruption makes it forget.
    let options = remembering.clone().remembering(0);
    let report = check(&scenario, "test.pf", &set, &options, &mut |_| {});
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
    let short = check(&scenario, "test.pf", &set, &remembering, &mut |_| {});
    assert_eq!(short.verdict, Verdict::Pass, "{:?}", short.broken);
    assert!(short.search.begun() < report.search.begun() / 4, "{:?}", short.search);
    assert!(short.search.states > 0 && short.reached[0].count > 0);
    let plan = Prepared::new(&scenario, "test.pf", &set).expect("ready").plan;
    let mut trial = Trial::new(&plan, Keep::Verdict);
    let whole = explore(&mut trial, &options.explored(), &mut |_| {});
    assert!(whole.executions > 5_000, "{} are too few for a look", whole.executions);
    let search = &report.search;
    assert_eq!((search.executions, search.blocked), (whole.executions, whole.blocked));
    assert_eq!(search.steps_max, u64::from(whole.steps_max));
    assert_eq!(report.reached[0].count, trial.reached.counts()[0]);
}

#[test]
fn a_world_that_goes_takes_all_that_it_owns_along() {
    let scenario = parse(TWO_WRITERS).expect("scenario");
    let plan = Prepared::new(&scenario, "test.pf", &rules("pinfold")).expect("ready").plan;
    for keep in [Keep::Verdict, Keep::Everything] {
        // The machine's record is one of the owners of the goals.
        let owners = Arc::strong_count(&plan.goals);
        let world = Trial::new(&plan, keep).prepare().expect("a world");
        assert_eq!(Arc::strong_count(&plan.goals), owners + 1, "{keep:?}");
        drop(world);
        assert_eq!(Arc::strong_count(&plan.goals), owners, "{keep:?}");
    }
}
