//! From which release to which an incident does what: the columns of a table of expected cells are
//! samples, and where two neighbours differ a search of each release between them says what that
//! does. So a span ends where `pinfold when` ends it.

use crate::args::CELL_EXECUTIONS;
use pinfold::Rules;
use pinfold::rules::{Base, Release};
use pinfold_lab::report::{Oracle, Report, Verdict};
use pinfold_lab::scenario::parse;
use pinfold_lab::{Answers, CheckOptions, Config, Detail, Model, SCENARIOS, Shipped, VERDICTS};

/// What stands for no expectation.
const NOTHING: &str = "-";
/// What would follow the newest release is no release.
const NO_RELEASE: &str = "pinfold";

/// The word where nothing of what the scenario is about can come about.
const UNREACHED: &str = "not reached";

/// A column, or a release between two, and what is done there.
pub(super) type Column = (String, String);

/// The rows of a table of expected cells: its columns, and the cells of a scenario.
fn expected(table: &str, name: &str) -> Option<Vec<Column>> {
    let table = Shipped::find(VERDICTS, table).expect("it ships");
    let row = |first: &str| {
        let mut lines = table.text.lines().map(|line| line.split_whitespace());
        let words = lines.find_map(|mut words| (words.next() == Some(first)).then_some(words))?;
        Some(words.map(str::to_owned).collect::<Vec<_>>())
    };
    Some(row("scenario")?.into_iter().zip(row(name)?).collect())
}

/// What a scenario does under a table's model, and where: `("BAD", "5.9 to 5.16")`.
pub(super) fn spans(table: &str, model: Model, name: &str) -> Option<Vec<(String, String)>> {
    Some(runs(&with_releases(&expected(table, name)?, model, name)))
}

/// The row with the releases between neighbours that differ.
fn with_releases(row: &[Column], model: Model, name: &str) -> Vec<Column> {
    let text = Shipped::find(SCENARIOS, name).unwrap_or_else(|| panic!("no {name}")).text;
    let scenario = parse(text).expect("shipped scenarios parse");
    let config = Config { model, max_executions: Some(CELL_EXECUTIONS), ..Config::default() };
    let options = CheckOptions { detail: Detail::Verdict, ..CheckOptions::of(config) };
    let answers = Answers::new(&scenario, name, &options);
    let mut all: Vec<Column> = Vec::new();
    for (at, (column, cell)) in row.iter().enumerate() {
        all.push((column.clone(), cell.clone()));
        let Some((next, other)) = row.get(at + 1) else { continue };
        if cell == other || next == NO_RELEASE || [cell, other].iter().any(|one| *one == NOTHING) {
            continue;
        }
        for release in between(column, next) {
            let rules = Rules::parse(&release.to_string()).expect("a release");
            let report = answers.under(&rules, &mut |_| {});
            let mut words = [&cell[..], other, "BAD", "ok", "n/a", UNREACHED].into_iter();
            let word = words.find(|word| does(&report, word));
            let word = word.unwrap_or_else(|| panic!("{name} under {release}: {report:?}"));
            all.push((release.to_string(), word.to_owned()));
        }
    }
    all
}

/// The releases behind one column and before another.
fn between(one: &str, other: &str) -> impl Iterator<Item = Release> {
    let release = |column: &str| match Rules::parse(column).expect("a column").base {
        Base::Linux(release) => release,
        Base::Pinfold => panic!("{column} is no release"),
    };
    let (first, last) = (release(one), release(other));
    Release::all().filter(move |between| (first..last).contains(between) && *between != first)
}

/// Whether a report is what a cell says.
fn does(report: &Report, cell: &str) -> bool {
    match (report.verdict, cell) {
        (Verdict::Skip, cell) => cell == "n/a" && report.is_absent(),
        (Verdict::Fail, cell) => {
            let oracle = report.broken.as_ref().map(|broken| broken.oracle);
            cell == if oracle == Some(Oracle::Vacuous) { UNREACHED } else { "BAD" }
        }
        (Verdict::Pass, "ok") => true,
        (Verdict::Pass, cell) => {
            let mut seen = report.outcomes.iter().filter(|outcome| outcome.count > 0);
            seen.next().is_some_and(|only| only.label == cell) && seen.next().is_none()
        }
        (Verdict::Partial | Verdict::Error, _) => false,
    }
}

/// Neighbours of one word: `BAD 5.9 to 5.16`.
pub(super) fn runs(columns: &[Column]) -> Vec<(String, String)> {
    let mut runs: Vec<(&str, &str, &str)> = Vec::new();
    for (column, cell) in columns {
        match runs.last_mut() {
            Some((word, _, last)) if word == cell && column != NO_RELEASE => *last = column,
            _ => runs.push((cell, column, column)),
        }
    }
    let told = |(word, first, last): (&str, &str, &str)| {
        let word = if word == NOTHING { "not asked" } else { word };
        let releases = if first == last { first.to_owned() } else { format!("{first} to {last}") };
        (word.to_owned(), releases)
    };
    runs.into_iter().map(told).collect()
}

#[test]
fn a_span_ends_with_the_last_release_and_not_with_the_last_column() {
    let told = |name: &str| {
        let spans = spans("verdicts", Model::Tso, name).expect("it is in the table");
        let told = spans.into_iter().map(|(word, of)| format!("{word} {of}"));
        told.collect::<Vec<_>>().join(", ")
    };
    let bug = "n/a 3.1 to 5.5, ok 5.6 to 5.8, BAD 5.9 to 5.16, ok 5.17 to latest, ok pinfold";
    assert_eq!(told("bug-215616"), bug);
    let shmem = "n/a 3.1 to 4.10, ok 4.11 to 5.15, BAD 5.16 to 5.19, ok 6.0 to latest, ok pinfold";
    assert_eq!(told("dirty-cow-shmem"), shmem);
}
