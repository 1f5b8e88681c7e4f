//! The reduced search without each of its rules: the witnesses of former faults and random programs
//! must notice that a rule is missing.
//!
//! Rules that only save executions are not among them.

use super::rule::{Rule, leave_out::without};
use crate::{FailureKind, Model, Report, States};
use common::{
    FULL,
    judge::{remembering, searched},
    notation,
    program::Program,
    random::{Kind, counting, dense, exchanges, looking, mixed, pausing, starting, tiny, waiting},
};
use std::{collections::BTreeSet, time::Instant};

#[path = "../../tests/common/mod.rs"]
pub(crate) mod common;

const RULES: [Rule; 28] = [
    Rule::WriteThenRead,
    Rule::ReadThenWrite,
    Rule::WriteThenWrite,
    Rule::TakingThenTaking,
    Rule::TakingThenFailed,
    Rule::FailedThenTaking,
    Rule::UnlockThenTook,
    Rule::UnlockThenFailed,
    Rule::FailedThenUnlock,
    Rule::UnlockThenLock,
    Rule::SeeUnlocked,
    Rule::UnlockThenSee,
    Rule::FailedHidesNothing,
    Rule::TakingsOneByOne,
    Rule::TakingsApart,
    Rule::BlockedWaits,
    Rule::ChangedWaits,
    Rule::BornWaiting,
    Rule::LockedOut,
    Rule::Wake,
    Rule::WakeForAnyOption,
    Rule::InitialsFirst,
    Rule::InitialsIndependent,
    Rule::AnotherInitial,
    Rule::Options,
    Rule::Behind,
    Rule::StaleLast,
    Rule::StartedAfter,
];

/// The rules of the memory of states.
const REMEMBERING: [Rule; 4] =
    [Rule::ExploredAwake, Rule::RememberedRaces, Rule::RememberedOthers, Rule::RememberedTakings];

/// Those by which a search that remembers states under the weaker models withholds options.
const WITHHOLDING: [Rule; 5] = [
    Rule::WithheldAgain,
    Rule::WithheldAfterDeeds,
    Rule::WithheldAfterLanes,
    Rule::WithheldAtPlainEnds,
    Rule::WithheldOrKnown,
];

/// The witnesses of former faults.
fn witnesses() -> impl Iterator<Item = Program> {
    let witnesses = notation::programs(include_str!("../../tests/programs/programs.txt"));
    witnesses.into_iter().map(|(_, program)| program)
}

/// Random programs of every kind.
fn random() -> impl Iterator<Item = Program> {
    (0..).flat_map(|seed| {
        [
            dense(seed, Kind::Atomic),
            dense(seed, Kind::Waiting),
            dense(seed, Kind::Plain),
            tiny(seed),
            exchanges(seed),
            mixed(seed),
            waiting(seed),
            starting(seed),
            counting(seed),
            pausing(seed),
        ]
    })
}

/// What a search finds, if it is exhausted.
#[derive(PartialEq, Eq)]
enum Shown {
    Outcomes(BTreeSet<String>),
    Failure(FailureKind),
}

fn shown(report: Report) -> Option<Shown> {
    let exhausted = report.complete == crate::Completeness::Exhausted;
    match report.failure {
        Some(failure) => Some(Shown::Failure(failure.kind)),
        None => exhausted.then(|| Shown::Outcomes(report.outcomes.into_keys().collect())),
    }
}

/// The executions of a search.
const EXECUTIONS: u64 = 2_000;

/// Whether the search of a program finds something else without the rule.
fn notices(program: &Program, model: Model, rule: Rule) -> bool {
    compares(rule, || shown(searched(program, model, FULL, EXECUTIONS)))
}

/// The same for the search that remembers states.
fn notices_remembering(program: &Program, model: Model, rule: Rule) -> bool {
    compares(rule, || shown(remembering(program, model, &States::new(1 << 24), EXECUTIONS)))
}

/// Whether a search finds something else without the rule.
fn compares(rule: Rule, search: impl Fn() -> Option<Shown>) -> bool {
    let Some(whole) = search() else { return false };
    without(rule, search).is_some_and(|mutant| mutant != whole)
}

/// The first program that notices that the rule is left out, and under which model.
fn noticed(rule: Rule, most: usize) -> Option<(usize, Model)> {
    let programs = witnesses().chain(random()).take(most).enumerate();
    let models = [Model::Sc, Model::Tso, Model::Weak];
    let mut cells =
        programs.flat_map(|(index, program)| models.map(|model| (index, program.clone(), model)));
    let found = cells.find(|(_, program, model)| notices(program, *model, rule));
    found.map(|(index, _, model)| (index, model))
}

#[test]
fn no_rule_can_be_left_out() {
    for rule in RULES {
        let start = Instant::now();
        let found = noticed(rule, 600);
        let (index, model) = found.unwrap_or_else(|| panic!("no program notices without {rule:?}"));
        let seconds = start.elapsed().as_secs_f64();
        println!("{rule:?}: noticed by program {index} under {model:?}, {seconds:.1} s");
    }
}

#[test]
fn no_rule_of_the_memory_can_be_left_out() {
    for rule in REMEMBERING {
        let mut programs = witnesses().chain(random()).take(6_000).enumerate();
        let found = programs.find(|(_, program)| notices_remembering(program, Model::Sc, rule));
        let (index, _) = found.unwrap_or_else(|| panic!("no program notices without {rule:?}"));
        println!("{rule:?}: noticed by program {index}");
    }
}

/// Without what lanes have seen an outcome is lost.
#[test]
fn what_lanes_have_seen_cannot_be_left_out() {
    for (seed, model) in [(1_353, Model::Tso), (431, Model::Weak), (1_191, Model::Weak)] {
        assert!(notices_remembering(&looking(seed), model, Rule::Pictures), "{model} {seed}");
    }
}

/// No program is known that loses an outcome without one of these, so their effect is held: each
/// makes the search of some program another one.
#[test]
fn no_rule_of_what_is_withheld_is_without_effect() {
    let counts = |program: &Program, model| {
        let report = remembering(program, model, &States::new(1 << 24), EXECUTIONS);
        (report.executions, report.pruned, report.states)
    };
    for rule in WITHHOLDING {
        let differs = |(program, model): &(Program, Model)| {
            counts(program, *model) != without(rule, || counts(program, *model))
        };
        let programs = (0..3_000).map(looking);
        let mut cells = programs
            .flat_map(|program| [Model::Tso, Model::Weak].map(|model| (program.clone(), model)));
        let found = cells.position(|cell| differs(&cell));
        let cell = found.unwrap_or_else(|| panic!("nothing differs without {rule:?}"));
        println!("{rule:?}: differs in cell {cell}");
    }
}

/// How often each rule is missed by random programs alone: how likely the next fault of its kind is
/// to be found by them. `PINFOLD_MUTANT_PROGRAMS` says how many there are.
#[test]
#[ignore = "minutes; run before adding a rule"]
fn how_many_programs_notice() {
    let programs = std::env::var("PINFOLD_MUTANT_PROGRAMS").ok().and_then(|n| n.parse().ok());
    let programs = programs.unwrap_or(20_000);
    for rule in RULES {
        let (mut noticed, start) = ([0; 3], Instant::now());
        for program in random().take(programs) {
            for (count, model) in noticed.iter_mut().zip([Model::Sc, Model::Tso, Model::Weak]) {
                *count += u64::from(notices(&program, model, rule));
            }
        }
        let [sc, tso, weak] = noticed;
        let seconds = start.elapsed().as_secs_f64();
        println!("{rule:?}: {sc} under sc, {tso} under tso, {weak} under weak, {seconds:.0} s");
    }
    for rule in REMEMBERING {
        let programs = random().take(programs);
        let noticed =
            programs.filter(|program| notices_remembering(program, Model::Sc, rule)).count();
        println!("{rule:?}: {noticed} under sc");
    }
}

/// The same for what lanes have seen, under the weaker models, and for what is withheld there.
#[test]
#[ignore = "minutes; run before adding a rule"]
fn how_many_programs_notice_what_lanes_have_seen() {
    let programs = std::env::var("PINFOLD_MUTANT_PROGRAMS").ok().and_then(|n| n.parse().ok());
    let programs = programs.unwrap_or(20_000);
    for rule in WITHHOLDING.into_iter().chain([Rule::Pictures]) {
        let (mut noticed, start) = ([0; 2], Instant::now());
        for (at, program) in (0..).map(looking).take(programs).enumerate() {
            for (count, model) in noticed.iter_mut().zip([Model::Tso, Model::Weak]) {
                if notices_remembering(&program, model, rule) {
                    *count += 1;
                    println!("{rule:?}: program {at} under {model}");
                }
            }
        }
        let [tso, weak] = noticed;
        let seconds = start.elapsed().as_secs_f64();
        println!("{rule:?}: {tso} under tso, {weak} under weak, {seconds:.0} s");
    }
}
