//! An answer that rule sets share is the answer that each of them has by itself.

mod common;

use pinfold::Rules;
use pinfold::rules::PRESETS;
use pinfold_lab::report::Report;
use pinfold_lab::scenario::{Scenario, parse};
use pinfold_lab::{Answers, CheckOptions, Config, Detail, Model, check};

use common::{all_shipped, shipped};

/// Under sc the search remembers states, which is dear; under tso it remembers none.
fn options(model: Model, most: u64) -> CheckOptions {
    let config = Config { model, max_executions: Some(most), ..Config::default() };
    CheckOptions { detail: Detail::Verdict, ..CheckOptions::of(config) }
}

fn rules(text: &str) -> Rules {
    Rules::parse(text).expect("rules")
}

/// Everything in a report but the time.
fn timeless(report: Report) -> Report {
    let search = pinfold_lab::report::Search { seconds: 0.0, ..report.search };
    Report { search, ..report }
}

/// Asks for all sets in turn, with and without sharing. Returns how many answers were shared.
fn compare(scenario: &Scenario, options: &CheckOptions, sets: &[Rules]) -> usize {
    let answers = Answers::new(scenario, "test.pf", options);
    let mut shared = 0;
    for set in sets {
        let together = answers.under(set, &mut |_| {});
        shared += usize::from(together.search.seconds == 0.0);
        let alone = check(scenario, "test.pf", set, options, &mut |_| {});
        let name = &scenario.name.value;
        assert_eq!(timeless(together), timeless(alone), "{name} under {set}");
    }
    shared
}

#[test]
fn shipped_cells_are_the_same_whether_answers_are_shared_or_not() {
    let sets: Vec<Rules> = PRESETS.iter().map(|preset| rules(preset)).collect();
    let (mut cells, mut shared) = (0, 0);
    for name in all_shipped() {
        let scenario = parse(&shipped(&name)).expect("shipped scenarios parse");
        cells += sets.len();
        shared += compare(&scenario, &options(Model::Tso, 120), &sets);
    }
    println!("{shared} of {cells} cells shared an answer");
    assert!(shared > cells / 4 && shared < cells, "{shared} of {cells}");
}

#[test]
fn one_switch_alone_is_not_missed() {
    one_switch_alone(4);
}

#[test]
#[ignore = "all of it; a quarter runs otherwise"]
fn no_switch_alone_is_missed() {
    one_switch_alone(1);
}

/// Each variant of each switch by itself, released or not, with every `of`th scenario, another for
/// the next variant.
fn one_switch_alone(of: usize) {
    let one_by_one = || {
        Rules::switches().flat_map(|switch| {
            let variants = switch.variants.iter();
            variants.map(move |variant| rules(&format!("5.19,{}={}", switch.name, variant.name)))
        })
    };
    let sets: Vec<Rules> = one_by_one().collect();
    let (mut cells, mut shared) = (0, 0);
    for (first, name) in all_shipped().into_iter().enumerate() {
        let scenario = parse(&shipped(&name)).expect("shipped scenarios parse");
        let sets: Vec<Rules> = sets.iter().skip(first % of).step_by(of).copied().collect();
        cells += sets.len();
        shared += compare(&scenario, &options(Model::Sc, 12), &sets);
    }
    println!("{shared} of {cells} cells shared an answer");
    assert!(shared > cells / 3 && shared < cells, "{shared} of {cells}");
}

/// Whether the write copies, and so how a copy is published, depends on which lane is first.
const ONE_PATH: &str = "
scenario one-path
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A \"v1\"
lane writer: P on cpu0
  write A \"v2\"
lane forker: P on cpu0
  fork C
always
  P:A sees \"v2\"
";

#[test]
fn a_switch_that_is_asked_for_on_one_path_only_counts() {
    for text in [ONE_PATH.to_owned(), exchanged(ONE_PATH)] {
        let scenario = parse(&text).expect("a scenario");
        let options = options(Model::Sc, 1_000);
        let answers = Answers::new(&scenario, "test.pf", &options);
        let asked = |set: &str| answers.under(&rules(set), &mut |_| {}).search.seconds;
        assert!(asked("pinfold") > 0.0);
        // Nobody scans, and nobody moves a page.
        assert!(asked("pinfold,numa-skip=map-count,migration-kind=read-write") <= 0.0);
        // Only a write after the fork copies.
        assert!(asked("pinfold,cow-publish=before-flush") > 0.0);
        assert!(asked("pinfold,cow-publish=before-flush,numa-skip=map-count") <= 0.0);
    }
}

/// The same with the lanes in the other order.
fn exchanged(text: &str) -> String {
    let (setup, rest) = text.split_once("lane writer").expect("the first lane");
    let (writer, rest) = rest.split_once("lane forker").expect("the second lane");
    let (forker, claims) = rest.split_once("always").expect("the claims");
    format!("{setup}lane forker{forker}lane writer{writer}always{claims}")
}

#[test]
fn what_time_or_a_story_decides_is_not_shared() {
    let scenario = parse(ONE_PATH).expect("a scenario");
    let story = CheckOptions { detail: Detail::Story, ..options(Model::Sc, 1_000) };
    let hasty =
        Config { deadline: Some(std::time::Duration::ZERO), ..options(Model::Sc, 1_000).config };
    let hasty = CheckOptions { detail: Detail::Verdict, ..CheckOptions::of(hasty) };
    for options in [story, hasty] {
        let answers = Answers::new(&scenario, "test.pf", &options);
        for _ in 0..2 {
            let report = answers.under(&rules("pinfold"), &mut |_| {});
            assert!(report.search.seconds > 0.0, "{report:?}");
        }
    }
}
