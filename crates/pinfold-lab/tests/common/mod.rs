//! Searching scenarios and shipped files, for the tests.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use pinfold::Rules;
use pinfold::rules::{Interface, PRESETS};
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::{
    Answers, CheckOptions, Config, Detail, Model, SCENARIOS, Shipped, check, scenario,
};

pub const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

/// The text of a scenario that is shipped.
pub fn shipped(name: &str) -> String {
    Shipped::find(SCENARIOS, name).expect("the scenario is shipped").text.to_owned()
}

/// The names of all scenarios that are shipped, in order.
pub fn all_shipped() -> Vec<String> {
    SCENARIOS.iter().map(|file| file.name.to_owned()).collect()
}

/// The presets that have an interface, in order; the others refuse steps through it.
pub fn presets_with(interface: Interface) -> Vec<&'static str> {
    let has = |preset: &&str| interface.exists(&Rules::parse(preset).expect("a preset"));
    let all: Vec<&str> = PRESETS.iter().copied().filter(has).collect();
    assert!(all.len() > 7 && all.len() < PRESETS.len(), "{interface}: {all:?}");
    all
}

/// A scenario on two nodes, with a CPU on each, and one pass for each migration.
pub fn on_two_nodes(name: &str, body: &str) -> String {
    let machine = "machine\nnodes 2\nframes 8\nmigrate-passes 1\ncpu cpu0 node 0\ncpu cpu1 node 1";
    format!("scenario {name}\n{machine}\n{body}\n")
}

/// Two lock-free pins of one page beside a fork.
pub const TWO_PINS: &str = r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "v1"
lane forker: P on cpu0
  fork C
lane one: P on cpu1
  pin A write longterm as h0
lane two: P on cpu1
  pin A write longterm as h1
after
  P: write A "v2"
always
  h0 is P:A
  h1 is P:A
  C:A sees "v1"
reach fork-protected during fast-pin
"#;

/// A page is protected, and copied by another thread before the protection is flushed, while a
/// third CPU stores by its old translation (facts 7.14). Not shipped: where pages with other
/// references are copied, a search to the end takes a minute (`scale.rs`).
pub const STALE_COPY: &str = r#"scenario uffd-wp-stale-copy
machine
  words 2
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "v1"
  P: get A read as h0
  P: uffd-register A wp
lane monitor: P on cpu1
  uffd-protect A
  uffd-unprotect A
lane program: P on cpu1
  uffd-unprotect A
  write A.1 "mine"
lane other: P on cpu0
  write A "v2"
always
  P:A sees "v2"
  P:A.1 sees "mine"
reach uffd-protected
"#;

/// As many processes as names write to one page that all share.
pub fn writers(names: &[&str]) -> String {
    let forks = names[1..].iter().map(|name| format!("P: fork {name}\n"));
    let lane = |name: &&str| format!("lane of-{name}: {name}\nwrite A \"{name}\"\n");
    let saw = |name: &&str| format!("{name}:A sees \"{name}\"\n");
    format!(
        "scenario writers-{}\nmachine\nframes 16\nsetup\nprocess P\nP: map A 1 private rw\n\
         P: write A \"v\"\n{}{}always\n{}",
        names.len(),
        forks.collect::<String>(),
        names.iter().map(lane).collect::<String>(),
        names.iter().map(saw).collect::<String>(),
    )
}

/// A search with nothing left out. It remembers no states: what is proved rests on the reduction
/// alone, and `states.rs` compares the two.
fn exhaustive(model: Model) -> CheckOptions {
    CheckOptions::of(Config { model, ..Config::default() }).remembering(0)
}

fn parsed(name: &str, text: &str) -> scenario::Scenario {
    scenario::parse(text).unwrap_or_else(|errors| panic!("{name}: {errors:?}"))
}

/// Searches a scenario with nothing left out, and tells the story of what broke.
pub fn checked(name: &str, text: &str, rules: &str, model: Model) -> Report {
    searched(name, text, rules, &exhaustive(model))
}

/// The same with other options.
pub fn searched(name: &str, text: &str, rules: &str, options: &CheckOptions) -> Report {
    let rules = Rules::parse(rules).expect("the rules exist");
    check(&parsed(name, text), name, &rules, options, &mut |_| {})
}

/// Searches scenarios, given with their names, until so many executions of each: none breaks, and
/// each window that they name was open. Which were not searched to the end.
pub fn searched_some(
    scenarios: impl Iterator<Item = (String, String)>,
    rules: &str,
    model: Model,
    most: u64,
) -> Vec<String> {
    let mut unended = Vec::new();
    for (name, text) in scenarios {
        let config = Config { model, max_executions: Some(most), ..Config::default() };
        let report = searched(&name, &text, rules, &CheckOptions::of(config));
        let told = (&report.broken, &report.search);
        assert_ne!(report.verdict, Verdict::Fail, "{name} under {rules}, {model:?}: {told:?}");
        let missed = report.reached.iter().find(|goal| goal.count == 0);
        assert_eq!(missed, None, "{name} under {rules}, {model:?}: not within {most} executions");
        if report.verdict != Verdict::Pass {
            unended.push(name);
        }
    }
    unended
}

/// Compares the cells whose searches a bound has ended, model by model, with the table of those, in
/// `tests/unended`: one that begins to end is taken off the table, and one that ends no more fails.
/// `SNAPSHOTS=overwrite` writes the table.
pub fn ratchet(table: &str, unended: &[(Model, Vec<String>)]) {
    let path = format!("{}/tests/unended/{table}.txt", env!("CARGO_MANIFEST_DIR"));
    let line = |model: &Model, cell: &String| format!("{model:?}  {cell}\n");
    let found = unended.iter().flat_map(|(model, cells)| cells.iter().map(|it| line(model, it)));
    let found: Vec<String> = found.collect();
    if std::env::var("SNAPSHOTS").is_ok_and(|how| how == "overwrite") {
        std::fs::write(&path, found.concat()).expect("the table can be written");
        return;
    }
    let known = std::fs::read_to_string(&path).expect("the table is there");
    let known: Vec<&str> = known.split_inclusive('\n').collect();
    let ends: String =
        known.iter().filter(|it| !found.iter().any(|now| now == *it)).copied().collect();
    assert_eq!(ends, "", "these end now: take them off {path}");
    let more: String = found.iter().map(String::as_str).filter(|it| !known.contains(it)).collect();
    assert_eq!(more, "", "these ended before: their searches have become larger");
}

/// An operation as a lane does it, what runs afterwards, and what must hold then.
pub type Operation = (&'static str, &'static str, &'static str);

/// Has each of the operations that are wanted meet each state, given with the steps that lead
/// there, and searches the scenario of the two until so many executions: none breaks. Which were
/// not searched to the end.
pub fn every_cell(
    (states, operations): (&[(&str, &str)], &[Operation]),
    scenario: fn((&str, &str), Operation) -> String,
    (rules, model, most): (&str, Model, u64),
    wanted: impl Fn(&str) -> bool,
) -> Vec<String> {
    let meetings = operations.iter().filter(|(act, ..)| wanted(act)).flat_map(|operation| {
        let named = |state: &(&str, &str)| {
            (format!("{}: {}", state.0, operation.0), scenario(*state, *operation))
        };
        states.iter().map(named).collect::<Vec<_>>()
    });
    searched_some(meetings, rules, model, most)
}

/// The same without the story. Rule sets that agree in all that the search asks for share the
/// answer (`tests/answers.rs`), which then took no time.
pub fn answered(name: &str, text: &str, rules: &str, model: Model) -> Report {
    static QUESTIONS: Mutex<BTreeMap<String, &Answers<'static>>> = Mutex::new(BTreeMap::new());
    let rules = Rules::parse(rules).expect("the rules exist");
    let mut questions = QUESTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let answers = *questions.entry(format!("{name} {model:?}\n{text}")).or_insert_with(|| {
        let options = CheckOptions { detail: Detail::Verdict, ..exhaustive(model) };
        let scenario = Box::leak(Box::new(parsed(name, text)));
        let name = name.to_owned().leak();
        Box::leak(Box::new(Answers::new(scenario, name, Box::leak(Box::new(options)))))
    });
    drop(questions);
    answers.under(&rules, &mut |_| {})
}

/// Asserts that a scenario passes: exhausted, and every window that it names was open.
#[track_caller]
pub fn holds(name: &str, text: &str, rules: &str, model: Model) -> Report {
    let report = answered(name, text, rules, model);
    let told = (&report.broken, &report.search, &report.reached);
    assert_eq!(report.verdict, Verdict::Pass, "{name} under {rules}, {model:?}: {told:?}");
    report
}

/// Asserts that a scenario fails, and which oracle notices.
#[track_caller]
pub fn breaks(name: &str, text: &str, rules: &str, model: Model, oracle: &str) -> Report {
    let report = checked(name, text, rules, model);
    let told = (&report.broken, &report.search, &report.reached);
    assert_eq!(report.verdict, Verdict::Fail, "{name} under {rules}, {model:?}: {told:?}");
    let broken = report.broken.as_ref().expect("a failure says what broke");
    assert_eq!(broken.oracle.name(), oracle, "{name} under {rules}, {model:?}: {broken:?}");
    report
}
