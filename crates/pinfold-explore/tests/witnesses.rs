//! Small programs with every outcome that they have under each model, from `tests/programs`: the
//! explorer and the references against the table.

mod common;

use common::{
    FULL, NAIVE,
    judge::judged,
    machine::Known,
    notation::{self, Expected},
    program::Program,
};
use pinfold_explore::{Completeness, Config, FailureKind, Model, Search, explore};
use std::collections::BTreeSet;

const PROGRAMS: &str = include_str!("programs/programs.txt");
const OUTCOMES: &str = include_str!("programs/outcomes.tsv");

fn model(name: &str) -> Model {
    match name {
        "sc" => Model::Sc,
        "tso" => Model::Tso,
        "weak" => Model::Weak,
        _ => panic!("no model: {name}"),
    }
}

/// What a search finds; it must be exhausted.
fn searched(program: &Program, model: Model, search: Search) -> Expected {
    let config = Config { model, search, ..Config::default() };
    let report = explore(&mut program.clone(), &config, &mut |_| {});
    match report.failure {
        Some(failure) => {
            assert_eq!(failure.kind, FailureKind::Deadlock, "{failure}");
            Expected::Hang
        }
        None => {
            assert_eq!(report.complete, Completeness::Exhausted);
            Expected::Outcomes(report.outcomes.into_keys().collect())
        }
    }
}

fn known(program: &Program, model: Model) -> Expected {
    let Known { outcomes, hangs, races, cut } = judged(program, model, usize::MAX);
    assert!(!races && !cut, "there is no plain memory in them");
    if hangs { Expected::Hang } else { Expected::Outcomes(outcomes.into_iter().collect()) }
}

/// Checks what `judge` says of each program against the table.
fn compare(judge: impl Fn(&Program, Model) -> Expected) {
    let programs = notation::programs(PROGRAMS);
    let mut wrong = Vec::new();
    let table = notation::table(OUTCOMES);
    for (name, model_name, expected) in &table {
        let (_, program) = programs.iter().find(|(known, _)| known == name).expect("a program");
        let found = judge(program, model(model_name));
        let set = |known: &Expected| match known {
            Expected::Outcomes(outcomes) => outcomes.iter().cloned().collect::<BTreeSet<_>>(),
            Expected::Hang => BTreeSet::from(["a hang".to_owned()]),
        };
        let (expected, found) = (set(expected), set(&found));
        if expected != found {
            let missing: Vec<_> = expected.difference(&found).collect();
            let more: Vec<_> = found.difference(&expected).collect();
            wrong.push(format!("{name} under {model_name}: missing {missing:?}, more {more:?}"));
        }
    }
    assert!(table.len() == 3 * programs.len(), "each program under each model");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_references_know_every_outcome() {
    compare(known);
}

#[test]
fn the_reduced_search_shows_every_outcome() {
    compare(|program, model| searched(program, model, FULL));
}

#[test]
fn the_naive_search_shows_every_outcome() {
    compare(|program, model| searched(program, model, NAIVE));
}

/// Prints the rows of the table that are missing, as the references have them.
#[test]
#[ignore = "for who adds a program"]
fn missing_rows() {
    let table = notation::table(OUTCOMES);
    for (name, program) in notation::programs(PROGRAMS) {
        if table.iter().any(|(known, ..)| *known == name) {
            continue;
        }
        for model in ["sc", "tso", "weak"] {
            println!("{}", notation::row(&name, model, &known(&program, self::model(model))));
        }
    }
}
