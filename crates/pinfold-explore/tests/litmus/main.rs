//! The classic litmus tests, with and without fences, under each model: is the relaxed outcome
//! allowed? Here those that teach something of their own; `placements` goes through all fences.
//!
//! The expected verdicts are the textbook ones (for the weak model: RC11, where load buffering
//! never happens).

#[path = "../common/mod.rs"]
mod common;
mod placements;

use common::{
    FULL,
    program::{Ins, Program},
};
use pinfold_explore::{Completeness, Config, Model, Search, explore, hook::Order};
use std::collections::BTreeSet;

const X: usize = 0;
const Y: usize = 1;
const RLX: Order = Order::Relaxed;
const ACQ: Order = Order::Acquire;
const REL: Order = Order::Release;
const SC: Order = Order::SeqCst;

fn program(lanes: &[&[Ins]]) -> Program {
    Program { vars: 2, lanes: lanes.iter().map(|code| code.to_vec()).collect() }
}

fn outcomes(program: &Program, model: Model) -> BTreeSet<String> {
    let config = Config { model, search: FULL, ..Config::default() };
    let report = explore(&mut program.clone(), &config, &mut |_| {});
    assert_eq!(report.complete, Completeness::Exhausted);
    report.outcomes.into_keys().collect()
}

/// Asserts in which of the models (sequentially consistent, TSO, weak) the outcome is seen.
#[track_caller]
fn check(name: &str, lanes: &[&[Ins]], outcome: &str, allowed: [bool; 3]) {
    let program = program(lanes);
    let seen = [Model::Sc, Model::Tso, Model::Weak]
        .map(|model| outcomes(&program, model).iter().any(|seen| seen.starts_with(outcome)));
    assert_eq!(seen, allowed, "{name}: {outcome}");
}

fn ld(var: usize, order: Order) -> Ins {
    Ins::Load(var, order)
}

fn st(var: usize, value: u64, order: Order) -> Ins {
    Ins::Store(var, value, order)
}

fn fence(order: Order) -> Ins {
    Ins::Fence(order)
}

const MB: fn() -> Ins = || fence(Order::Full);

const NEVER: [bool; 3] = [false, false, false];
const WEAK: [bool; 3] = [false, false, true];
const ALWAYS: [bool; 3] = [true, true, true];

#[test]
fn store_buffering_with_updates_for_fences() {
    // A fully ordered update on another cell stands for a fence; a relaxed one does so on x86 only.
    let update = |order| Ins::Add(2, 1, order);
    for (name, order, allowed) in
        [("SB+full updates", Order::Full, NEVER), ("SB+relaxed updates", RLX, WEAK)]
    {
        let mut program = program(&[
            &[st(X, 1, RLX), update(order), ld(Y, RLX)],
            &[st(Y, 1, RLX), update(order), ld(X, RLX)],
        ]);
        program.vars = 3;
        let seen = [Model::Sc, Model::Tso, Model::Weak].map(|model| {
            let relaxed = |seen: &String| seen.contains(", 0], [") && seen.contains(", 0]] ");
            outcomes(&program, model).iter().any(relaxed)
        });
        assert_eq!(seen, allowed, "{name}");
    }
}

#[test]
fn message_passing_on_detours() {
    let mp = "[[], [1, 0]]";
    // A release store stays acquired through updates of others, but not through a plain store of
    // its own lane.
    check(
        "MP through an update",
        &[&[st(X, 1, RLX), st(Y, 1, REL)], &[Ins::Add(Y, 1, RLX)], &[ld(Y, ACQ), ld(X, RLX)]],
        "[[], [1], [2, 0]]",
        NEVER,
    );
    check(
        "MP through a plain store",
        &[&[st(X, 1, RLX), st(Y, 1, REL), st(Y, 2, RLX)], &[ld(Y, ACQ), ld(X, RLX)]],
        "[[], [2, 0]]",
        WEAK,
    );
    let waits = [st(X, 1, RLX), st(Y, 1, REL)];
    check("MP with a wait", &[&waits, &[Ins::Wait(Y, 1, ACQ), ld(X, RLX)]], mp, NEVER);
    check("MP with a relaxed wait", &[&waits, &[Ins::Wait(Y, 1, RLX), ld(X, RLX)]], mp, WEAK);
}

#[test]
fn coherence() {
    let read = [ld(X, RLX), ld(X, RLX)];
    check("CoRR of two", &[&[st(X, 1, RLX)], &[st(X, 2, RLX)], &read], "[[], [], [1, 2]]", ALWAYS);
    check("CoWR", &[&[st(X, 1, RLX), ld(X, RLX)]], "[[0]]", NEVER);
    check("CoRW", &[&[ld(X, RLX), st(X, 1, RLX)]], "[[1]]", NEVER);
    check("CoWW", &[&[st(X, 1, RLX), st(X, 2, RLX)]], "[[]] [1", NEVER);
    let add = [Ins::Add(X, 1, RLX)];
    check("updates are whole", &[&add, &add], "[[0], [0]]", NEVER);
    check("stores do not split updates", &[&add, &[st(X, 5, RLX)]], "[[0], []] [1", NEVER);
    check("stores come after updates", &[&add, &[st(X, 5, RLX)]], "[[0], []] [5", ALWAYS);
}

/// Facts T22 with a page's entry, references and mark in three words, as Linux has them: merging
/// takes the entry away, finds no reference, takes the mark away (0 is marked) and puts the same
/// entry back; a pin finds the entry, takes a reference, and finds entry and mark as they were. Of
/// the barriers that 6.1 brought each is needed, and 5.19 had but the pin's own.
#[test]
fn a_mark_apart_from_the_references() {
    const REFS: usize = 1;
    const MARK: usize = 2;
    let merged_and_pinned = |barriers: [bool; 4]| {
        let [cleared, unmarked, referred, looked] = barriers;
        let when = |there: bool, ins: Ins| there.then_some(ins);
        let merging = [
            Some(Ins::Add(X, 1, RLX)),
            when(cleared, MB()),
            Some(ld(REFS, RLX)),
            Some(st(MARK, 1, RLX)),
            when(unmarked, MB()),
            Some(st(X, 0, RLX)),
        ];
        let pinning = [
            Some(ld(X, RLX)),
            Some(Ins::Add(REFS, 1, RLX)),
            when(referred, MB()),
            Some(ld(X, RLX)),
            when(looked, fence(ACQ)),
            Some(ld(MARK, RLX)),
        ];
        let lanes = [merging, pinning].map(|lane| lane.into_iter().flatten().collect());
        let program = Program { vars: 3, lanes: lanes.into() };
        [Model::Sc, Model::Tso, Model::Weak].map(|model| {
            let both = |seen: &String| seen.starts_with("[[0, 0], [0, 0, 0, 0]]");
            outcomes(&program, model).iter().any(both)
        })
    };
    assert_eq!(merged_and_pinned([true; 4]), NEVER, "6.1");
    assert_eq!(merged_and_pinned([false, false, true, false]), WEAK, "5.19 and 6.0");
    for missing in 0..4 {
        let mut barriers = [true; 4];
        barriers[missing] = false;
        assert_eq!(merged_and_pinned(barriers), WEAK, "without barrier {missing}");
    }
}

#[test]
fn a_failed_exchange_has_its_failure_ordering() {
    let lanes = |failure| [Ins::Cas(Y, 9, 9, Order::Full, failure), ld(X, RLX)];
    let writer = [st(X, 1, RLX), st(Y, 1, REL)];
    check("failed, relaxed", &[&writer, &lanes(RLX)], "[[], [1, 0]]", WEAK);
    check("failed, acquire", &[&writer, &lanes(ACQ)], "[[], [1, 0]]", NEVER);
}

/// Fences that no order of execution can follow: RC11 allows what a total order of fences, fixed as
/// they run, would not.
#[test]
fn fences_are_not_ordered_by_execution() {
    let lanes: [&[Ins]; 3] = [
        &[ld(1, RLX), MB(), ld(2, RLX)],
        &[st(2, 1, RLX), MB(), st(0, 1, RLX)],
        &[ld(0, RLX), st(1, 1, RLX)],
    ];
    let mut program = program(&lanes);
    program.vars = 3;
    let seen = outcomes(&program, Model::Weak);
    assert!(seen.iter().any(|seen| seen.starts_with("[[1, 0], [], [1]]")), "{seen:?}");
}

/// A sequentially consistent access leads on by what it does itself, not by what its lane does
/// later: the update of `X` is after the last load, and that says nothing about the store to `Y`.
#[test]
fn only_a_fence_speaks_for_the_later_accesses_of_its_lane() {
    let add = Ins::Add(X, 1, SC);
    check(
        "an update between a fence and a store",
        &[
            &[ld(X, RLX), MB(), add, st(Y, 3, RLX)],
            &[ld(Y, RLX), st(X, 1, RLX)],
            &[st(Y, 2, RLX), MB(), ld(X, SC)],
        ],
        "[[1, 1], [2], [1]] [2, 2]",
        WEAK,
    );
}

#[test]
fn random_search_sees_weak_behaviour_too() {
    let lanes: [&[Ins]; 2] = [&[st(X, 1, RLX), st(Y, 1, RLX)], &[ld(Y, RLX), ld(X, RLX)]];
    for search in [
        Search::Random { seed: 7, runs: 500 },
        Search::Pct { depth: 2, seed: 7, runs: 500 },
        Search::Exhaustive { preemptions: Some(0) },
    ] {
        let config = Config { model: Model::Weak, search, ..Config::default() };
        let report = explore(&mut program(&lanes), &config, &mut |_| {});
        assert!(report.outcomes.keys().any(|seen| seen.starts_with("[[], [1, 0]]")), "{search:?}");
    }
}

/// Locks order what they protect, whatever the model.
#[test]
fn locks_hand_over_what_they_protect() {
    use pinfold_explore::hook::Mode;
    let write = [Ins::Locked(0, Mode::Exclusive, vec![st(X, 1, RLX), st(Y, 1, RLX)])];
    let read = |mode| [Ins::Locked(0, mode, vec![ld(X, RLX), ld(Y, RLX)])];
    for mode in [Mode::Exclusive, Mode::Shared] {
        for outcome in ["[[], [1, 0]]", "[[], [0, 1]]"] {
            check("locked", &[&write, &read(mode)], outcome, NEVER);
        }
        check("locked", &[&write, &read(mode)], "[[], [1, 1]]", ALWAYS);
    }
    let buffered = |mine, theirs| {
        [st(mine, 1, RLX), Ins::Locked(mine, Mode::Exclusive, vec![]), ld(theirs, RLX)]
    };
    // Taking a lock empties the store buffer; in general a lock is not a full fence.
    check("SB+locks", &[&buffered(X, Y), &buffered(Y, X)], "[[0], [0]]", WEAK);
}
