//! Tests of the language: what is accepted, what is said of the rest, and the two written forms.

mod accept;
mod checks;
mod facts;
mod files;
mod forms;
mod groups;
mod large;
mod monitor;
mod mutations;
mod sharing;
mod shipped;
mod syntax;

use super::{Code, Scenario, ScenarioError, Style, parse, render};
use crate::{SCENARIOS, Shipped};

fn accepted(source: &str) -> Scenario {
    parse(source)
        .unwrap_or_else(|errors| panic!("{}", render(&errors, source, "test.pf", Style::Plain)))
}

fn rejected(source: &str) -> Vec<ScenarioError> {
    parse(source).expect_err("a scenario with errors")
}

/// The rendering of all errors of a text.
fn report(source: &str) -> String {
    render(&rejected(source), source, "test.pf", Style::Plain)
}

/// A whole scenario around steps of `setup` and of one lane.
fn around(setup: &str, lane: &str) -> String {
    format!(
        "scenario test\nmachine\n  nodes 2\n  words 2\nsetup\n  process P\n  P: map A 2 private rw\n\
         {setup}\nlane one: P\n{lane}\nalways\n  P:A[0] sees \"0\"\n"
    )
}

/// Each of `cases` is reported with its code, and at that word, before anything else.
fn each_is_reported(cases: &[(Code, &str, &str)], text: impl Fn(&str) -> String) {
    for (code, statement, word) in cases {
        let source = text(statement);
        let errors = rejected(&source);
        let first = &errors[0];
        let at = &source[first.span.range()];
        assert_eq!((first.code, at), (*code, *word), "{statement}\n{errors:#?}");
    }
}

/// The text of one shipped file.
fn shipped_text(name: &str) -> &'static str {
    Shipped::find(SCENARIOS, name).expect("a shipped scenario of this name").text
}

/// The codes of all errors of a text.
fn codes(source: &str) -> Vec<Code> {
    rejected(source).iter().map(|error| error.code).collect()
}
