//! The memory of states loses nothing: random programs under each model, searched with it, against
//! the search without it and a reference that shares nothing with the explorer.
//!
//! `PINFOLD_STATES_PROGRAMS=20000` asks for as many of each kind, `PINFOLD_STATES_FIRST=1000000`
//! for others, `PINFOLD_STATES_REFERENCE=0` leaves out the reference, which is the slowest judge:
//! `cargo test -p pinfold-explore --release --test states -- --nocapture`.

mod common;

use common::{
    FULL,
    judge::{Limits, Remembering, compare_remembering, remembering, searched},
    program::{Ins, Program},
    random::{
        Kind, counting, data_race_behind_a_state, dense, exchanges, looking, mixed, near, ordered,
        pausing, starting, ticking, tiny, waiting,
    },
};
use pinfold_explore::{
    FailureKind, Model, States,
    hook::{Mode, Order},
};
use std::time::Instant;

fn wanted(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Compares programs of a kind; `few` of them unless more are asked for.
fn hold(kind: &str, few: u64, program: impl Fn(u64) -> Program) {
    let start = Instant::now();
    let first = wanted("PINFOLD_STATES_FIRST").unwrap_or(0);
    let (programs, limits) = match wanted("PINFOLD_STATES_PROGRAMS") {
        None => (few, Limits { reduced: 2_000, naive: 2_000, reference: 2_000 }),
        Some(many) => (many, Limits { reduced: 20_000, naive: 20_000, reference: 20_000 }),
    };
    let mut wrong = Vec::new();
    for model in Model::ALL {
        // The enumerator of graphs is the slowest of the judges by far.
        let reference = if model == Model::Weak { limits.reference / 40 } else { limits.reference };
        let asked = wanted("PINFOLD_STATES_REFERENCE").and_then(|most| usize::try_from(most).ok());
        let reference = asked.unwrap_or(reference);
        let limits = Limits { reference, ..limits };
        // Under weak a program that waits is searched through all that it may read.
        let few = match model {
            Model::Sc => programs,
            Model::Tso => programs / 8,
            Model::Weak => programs / 25,
        };
        let programs = if wanted("PINFOLD_STATES_PROGRAMS").is_some() { programs } else { few };
        let mut tally = Remembering::default();
        for seed in first..first + programs {
            let program = program(seed);
            if let Err(difference) = compare_remembering(&program, model, limits, &mut tally) {
                wrong.push(format!("{model}, {kind} {seed}: {difference}\n{program:?}"));
            }
        }
        println!("{model}, {kind}: {tally:?}; {:.1} s", start.elapsed().as_secs_f64());
    }
    let shown = wrong.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {programs} differ:\n{shown}", wrong.len());
}

#[test]
fn locks() {
    hold("locks", 400, |seed| dense(seed, Kind::Atomic));
}

#[test]
fn locks_and_waits() {
    hold("locks and waits", 300, |seed| dense(seed, Kind::Waiting));
}

#[test]
fn locks_and_plain_memory() {
    hold("locks and plain memory", 300, |seed| dense(seed, Kind::Plain));
}

#[test]
fn small_ones() {
    hold("exchanges", 500, exchanges);
    hold("orders", 500, ordered);
    hold("tiny", 1_000, tiny);
}

#[test]
fn counts_by_class() {
    hold("counts", 1_000, counting);
    hold("counts and waits", 1_000, pausing);
}

#[test]
fn what_was_seen() {
    hold("looking", 200, looking);
    hold("ticking", 200, ticking);
    hold("near", 200, near);
}

#[test]
fn mixed_ones() {
    hold("mixed", 500, mixed);
    hold("waiting", 500, waiting);
    hold("started lanes", 500, starting);
}

#[test]
fn a_data_race_with_the_past_of_a_remembered_state_is_found() {
    let report = remembering(&data_race_behind_a_state(), Model::Sc, &States::new(1 << 20), 100);
    assert_eq!(report.failure.map(|failure| failure.kind), Some(FailureKind::DataRace));
}

#[test]
fn a_memory_without_room_loses_nothing() {
    for seed in 0..300 {
        let program = counting(seed);
        let found = |bytes| {
            let report = remembering(&program, Model::Sc, &States::new(bytes), 20_000);
            let outcomes: Vec<String> = report.outcomes.keys().cloned().collect();
            (report.complete, report.failure.map(|failure| failure.kind), outcomes)
        };
        assert_eq!(found(0), found(1 << 24), "{program:?}");
    }
}

#[test]
fn a_state_is_not_explored_twice_by_two_parts_of_a_search() {
    let program = Program { vars: 1, lanes: vec![vec![Ins::Count(0, 1)]; 5] };
    let states = States::new(1 << 24);
    let first = remembering(&program, Model::Sc, &states, 20_000);
    let again = remembering(&program, Model::Sc, &states, 20_000);
    assert!(first.executions > 1 && first.states > 0 && first.pruned > 0, "{first:?}");
    assert_eq!((again.executions, again.pruned), (0, 1));
    assert_eq!(states.count(), first.states);
}

/// How many executions the search makes of `lanes` lanes that run this, with memory and without.
fn counted(lanes: usize, lane: &[Ins]) -> [u64; 3] {
    let program = Program { vars: 1, lanes: vec![lane.to_vec(); lanes] };
    let with = remembering(&program, Model::Sc, &States::new(1 << 26), 100_000);
    let without = searched(&program, Model::Sc, FULL, 100_000);
    assert_eq!(
        with.outcomes.keys().collect::<Vec<_>>(),
        without.outcomes.keys().collect::<Vec<_>>()
    );
    [with.executions, with.pruned, without.executions]
}

#[test]
fn the_order_of_counts_matters_only_as_far_as_it_is_seen() {
    let [with, pruned, without] = counted(5, &[Ins::Count(0, 0)]);
    assert_eq!((with, without), (5, 120), "one for each lane that comes last");
    assert!(pruned < 70, "{pruned}");
    let [with, pruned, without] = counted(7, &[Ins::Count(0, 1)]);
    assert_eq!((with, without), (42, 5_040), "one for each that is first and each that is last");
    assert!(pruned < 1_000, "{pruned}");
}

/// Fully ordered counts leave nothing behind under the weaker models by which two orders differ,
/// unless somebody may still look at an older value.
#[test]
fn orders_of_counts_meet_under_every_model() {
    let counts = Program { vars: 1, lanes: vec![vec![Ins::Count(0, 0)]; 5] };
    let looks = vec![Ins::Count(0, 0), Ins::Load(0, Order::Relaxed)];
    let looked_at = Program { vars: 1, lanes: vec![looks; 3] };
    for model in [Model::Tso, Model::Weak] {
        let report = remembering(&counts, model, &States::new(1 << 26), 100_000);
        assert_eq!(report.executions, 5, "one for each lane that comes last: {report:?}");
        assert!(report.pruned < 300, "{report:?}");
        let with = remembering(&looked_at, model, &States::new(1 << 26), 100_000);
        let without = searched(&looked_at, model, FULL, 100_000);
        assert!(with.pruned > 0, "{with:?}");
        assert_eq!(
            with.outcomes.keys().collect::<Vec<_>>(),
            without.outcomes.keys().collect::<Vec<_>>()
        );
    }
}

/// A race of a remembered future is covered by no lane but those that can begin the other order.
/// Here the first lane's store comes between the third one's release and the second one's attempt;
/// the search missed it when the lane of the later step counted as covering a race once it was
/// tried.
#[test]
fn a_reversal_that_a_third_lane_begins_is_made() {
    let locked = |mode, code| Ins::Try(0, mode, code);
    let store = |value| Ins::Store(0, value, Order::Relaxed);
    let tries = vec![
        store(1),
        locked(Mode::Exclusive, Vec::new()),
        locked(Mode::Shared, vec![Ins::Load(0, Order::Relaxed)]),
    ];
    let holds = vec![store(2), Ins::Locked(0, Mode::Exclusive, Vec::new())];
    let program = Program { vars: 1, lanes: vec![vec![store(2)], tries, holds] };
    let report = remembering(&program, Model::Sc, &States::new(1 << 20), 1_000);
    assert!(report.outcomes.contains_key("[[], [0, 1, 1], []] [2]"), "{report:#?}");
}

/// What is under a lock comes after the releases made before: only the takings are reversed.
#[test]
fn steps_under_a_lock_are_not_reversed_apart_from_it() {
    let under = |lock, vars: [usize; 2]| {
        Ins::Locked(lock, Mode::Exclusive, vars.map(|var| Ins::Count(var, 0)).to_vec())
    };
    let lane = vec![under(0, [0, 1]), Ins::Count(2, 0), under(1, [3, 4])];
    let program = Program { vars: 5, lanes: vec![lane; 3] };
    let report = remembering(&program, Model::Sc, &States::new(1 << 26), 100_000);
    assert_eq!(report.outcomes.len(), 1, "nobody sees the order");
    assert_eq!((report.executions, report.blocked, report.pruned), (3, 0, 73), "{report:?}");
}
