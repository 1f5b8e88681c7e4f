use super::*;
use crate::args::{Cli, Command};
use clap::{CommandFactory, Parser};

/// The bounds of each cell, for this command line.
fn bounds(words: &str) -> CellBounds {
    let words = ["pinfold", "matrix"].into_iter().chain(words.split_whitespace());
    let Command::Matrix(args) = Cli::parse_from(words).command else { panic!("a matrix") };
    bound(&mut args.search.options(ModelArg::Tso).expect("bounds").config)
}

#[test]
fn a_cell_is_bounded_by_executions_unless_the_request_bounds_it() {
    let told = |words: &str| {
        let CellBounds { executions, seconds } = bounds(words);
        (executions, seconds)
    };
    assert_eq!(told(""), (Some(CELL_EXECUTIONS), None));
    assert_eq!(told("--max-executions 7"), (Some(7), None));
    assert_eq!(told("--time 2"), (None, Some(2.0)));
    assert_eq!(told("--time 2 --max-executions 7"), (Some(7), Some(2.0)));
    // These have bounds of their own.
    assert_eq!(told("--random 1000000"), (None, None));
    assert_eq!(told("--pct 3"), (None, None));
    assert_eq!(told("--preemptions 2"), (None, None));
}

#[test]
fn the_help_says_what_bounds_a_cell() {
    let mut cli = Cli::command();
    let matrix = cli.find_subcommand_mut("matrix").expect("the command");
    let help = matrix.render_long_help().to_string();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let number = CELL_EXECUTIONS;
    for told in [
        format!("A cell ends after {number} executions"),
        format!("for each cell of `matrix` {number}"),
        format!("`part{}`", EndedBy::Executions.mark()),
        format!("`part{}`", EndedBy::Time.mark()),
    ] {
        assert!(help.contains(&told), "{told}: {help}");
    }
}

#[test]
fn what_ended_a_cell_follows_from_what_it_took() {
    let search = |executions, blocked, seconds| Search {
        model: pinfold_lab::Model::Tso,
        locks: pinfold_lab::LockForm::Object,
        strategy: pinfold_lab::report::Chosen::AsWritten,
        executions,
        blocked,
        pruned: 0,
        truncated: 0,
        states: 0,
        steps_max: 0,
        seconds,
        incomplete: Some("a reason".to_owned()),
        elsewhere: None,
    };
    let both = CellBounds { executions: Some(10), seconds: Some(1.0) };
    assert_eq!(ended_by(&search(6, 4, 0.5), both), EndedBy::Executions);
    assert_eq!(ended_by(&search(6, 3, 1.0), both), EndedBy::Time);
    assert_eq!(ended_by(&search(6, 3, 0.5), both), EndedBy::Other);
    assert_eq!(ended_by(&search(6, 4, 2.0), CellBounds::default()), EndedBy::Other);
}
