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
    program::{Ins, Program, Rng},
    random::{
        Kind, counting, dense, exchanges, looking, mixed, near, pausing, start_some, starting,
        ticking, tiny, waiting,
    },
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

/// Those by which what lanes have seen is a part of a state, and options are withheld, under the
/// weaker models, without which an outcome is lost.
const SEEN: [Rule; 8] = [
    Rule::Pictures,
    Rule::ClosedToAll,
    Rule::UpdatesSealed,
    Rule::UnbornKnowLittle,
    Rule::WithheldAgain,
    Rule::WithheldAfterDeeds,
    Rule::WithheldAfterLanes,
    Rule::WithheldAtPlainEnds,
];

/// Those without which none is known to be.
const UNNOTICED: [Rule; 4] = [
    Rule::WithheldOrKnown,
    Rule::WithheldBeforeJoins,
    Rule::LeftOutForGood,
    Rule::MattersUntilLast,
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

/// Makes a program from a seed.
type Make = fn(u64) -> Program;

/// As [`looking`], with lanes that others start.
fn looking_started(seed: u64) -> Program {
    started(looking(seed), seed)
}

/// As [`near`], with lanes that others start.
fn near_started(seed: u64) -> Program {
    started(near(seed), seed)
}

fn started(mut program: Program, seed: u64) -> Program {
    start_some(&mut program, &mut Rng(!seed));
    program
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

/// A lane knows of a store or not, as it met the store that published it or another of the same
/// value, and starts a lane that looks.
fn known_to_a_starter() -> Program {
    use crate::hook::Order::{Acquire, Relaxed, Release};
    let [data, flag, one, other, apart] = [0, 1, 2, 3, 4];
    let lanes = vec![
        vec![Ins::Load(data, Relaxed), Ins::Store(flag, 1, Relaxed), Ins::Store(one, 1, Relaxed)],
        vec![
            Ins::Store(data, 1, Relaxed),
            Ins::Store(flag, 1, Release),
            Ins::Store(other, 1, Relaxed),
        ],
        vec![
            Ins::Load(one, Relaxed),
            Ins::Load(other, Relaxed),
            Ins::Load(flag, Acquire),
            Ins::Load(apart, Relaxed),
            Ins::Spawn(3),
        ],
        vec![Ins::Load(data, Relaxed)],
    ];
    Program { vars: 5, lanes }
}

/// Where something of what lanes have seen is left out, or options are withheld too freely, an
/// outcome is lost.
#[test]
fn what_lanes_have_seen_cannot_be_left_out() {
    let programs = [
        (Rule::Pictures, looking(1_353), Model::Tso),
        (Rule::Pictures, looking(431), Model::Weak),
        (Rule::ClosedToAll, looking(431), Model::Weak),
        (Rule::UpdatesSealed, ticking(95), Model::Weak),
        (Rule::UnbornKnowLittle, known_to_a_starter(), Model::Weak),
        (Rule::WithheldAgain, near(13), Model::Weak),
        (Rule::WithheldAtPlainEnds, near(13), Model::Weak),
        (Rule::WithheldAfterDeeds, near(328), Model::Weak),
        (Rule::WithheldAfterLanes, near(773), Model::Weak),
    ];
    assert!(SEEN.iter().all(|rule| programs.iter().any(|(held, ..)| held == rule)));
    for (rule, program, model) in programs {
        assert!(notices_remembering(&program, model, rule), "{rule:?} under {model}: {program:?}");
    }
}

/// No program is known that loses an outcome without one of these, so their effect is held: each
/// makes the search of some program another one.
#[test]
fn no_rule_of_what_lanes_have_seen_is_without_effect() {
    let counts = |program: &Program, model| {
        let report = remembering(program, model, &States::new(1 << 24), EXECUTIONS);
        (report.executions, report.pruned, report.states)
    };
    let programs = [
        (Rule::WithheldOrKnown, near(0), Model::Tso),
        (Rule::WithheldBeforeJoins, looking_started(4), Model::Tso),
        (Rule::LeftOutForGood, near(0), Model::Tso),
        (Rule::MattersUntilLast, near(302), Model::Weak),
    ];
    assert!(programs.iter().map(|(rule, ..)| *rule).eq(UNNOTICED));
    for (rule, program, model) in programs {
        let mutant = without(rule, || counts(&program, model));
        assert_ne!(counts(&program, model), mutant, "{rule:?} under {model}: {program:?}");
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
/// `PINFOLD_MUTANT_FIRST` asks for other programs, `PINFOLD_MUTANT_RULES` for the rules whose names
/// contain this.
#[test]
#[ignore = "minutes; run before adding a rule"]
fn how_many_programs_notice_what_lanes_have_seen() {
    let asked = |name| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let programs = asked("PINFOLD_MUTANT_PROGRAMS").unwrap_or(20_000);
    let first = asked("PINFOLD_MUTANT_FIRST").unwrap_or(0);
    let part = std::env::var("PINFOLD_MUTANT_RULES").unwrap_or_default();
    let rules =
        || SEEN.into_iter().chain(UNNOTICED).filter(|rule| format!("{rule:?}").contains(&part));
    let kinds: [(&str, Make); 5] = [
        ("near", near),
        ("near, started", near_started),
        ("ticking", ticking),
        ("looking", looking),
        ("looking, started", looking_started),
    ];
    for (kind, program) in kinds {
        let mut noticed = vec![[0; 2]; rules().count()];
        let (mut searched, start) = (0, Instant::now());
        for seed in first..first + programs {
            let program = program(seed);
            for (at, model) in [Model::Tso, Model::Weak].into_iter().enumerate() {
                let search =
                    || shown(remembering(&program, model, &States::new(1 << 24), EXECUTIONS));
                let Some(whole) = search() else { continue };
                searched += 1;
                for (rule, noticed) in rules().zip(&mut noticed) {
                    if without(rule, search).is_some_and(|mutant| mutant != whole) {
                        noticed[at] += 1;
                        if noticed[at] <= 3 {
                            println!("{rule:?}: {kind} {seed} under {model}");
                        }
                    }
                }
            }
        }
        println!("{kind}: {searched} searches, {:.0} s", start.elapsed().as_secs_f64());
        for (rule, [tso, weak]) in rules().zip(noticed) {
            println!("{rule:?}: {tso} under tso, {weak} under weak");
        }
    }
}
