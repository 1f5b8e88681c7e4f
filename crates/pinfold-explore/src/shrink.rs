//! Cuts a failing schedule down to the fewest unusual choices (old reads), then the fewest
//! switches, then the fewest steps.
//!
//! There are two ways, each given half of the runs. A bounded search from scratch finds the best
//! schedule when the subject is small: first under sequential consistency, where nothing is old and
//! what is found is valid under every model, with fewer preemptions than there are switches, or
//! with two more as long as there are old reads to be spared; then, for a failure that needs old
//! reads, under the model that it was found under. Changes to the current schedule work for any
//! size. A schedule counts only if it leads to the same failure under that model: the same kind
//! and, when judged, the same outcome. When the engine's watch ends it, the best schedule so far is
//! kept.
//!
//! At the end the schedule runs once more, with names recorded. When time is up or somebody has
//! asked for the end, that execution has a grace of [`GRACE`]. If that is too short, the failure is
//! reported as it was found, and nothing of it is recorded.
//!
//! INV-SHRINK-1: beside the schedule that is changed, one changed schedule exists at a time; what
//! cutting keeps grows with the length of an execution, not with the number of changes.

use crate::{
    current,
    engine::End,
    model::Model,
    record::Recorder,
    report::{Failure, FailureKind},
    schedule::Choice,
    search::{Advance, Naive, Script},
    session::Session,
    subject::Subject,
};
use std::time::Duration;

/// The measure of a failure; less is better.
type Cost = (usize, u32, u32);

fn cost(failure: &Failure) -> Cost {
    (unusual(failure), failure.switches, failure.steps)
}

fn unusual(failure: &Failure) -> usize {
    failure.schedule.steps().iter().filter(|step| step.choice != 0).count()
}

/// How long the last execution may take after the end was due.
const GRACE: Duration = Duration::from_millis(500);

/// How cutting ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cutting {
    /// By itself, or after the last of its runs.
    Done,
    /// The engine's watch ended it.
    Interrupted,
}

/// Returns the best failure found, confirmed.
pub(crate) fn shrink<S: Subject>(
    session: &mut Session<'_, S>,
    original: Failure,
    runs: u32,
) -> (Failure, Cutting) {
    if matches!(original.kind, FailureKind::Unsupported | FailureKind::Nondeterministic) {
        return (original, Cutting::Done);
    }
    let mut failure = original.clone();
    search_afresh(session, &mut failure, runs / 2);
    if cost(&failure) > (0, 0, 0) {
        change(session, &mut failure, runs / 2);
    }
    let cutting = if runs > 0 && is_over() { Cutting::Interrupted } else { Cutting::Done };
    match confirm(session, failure) {
        Some(failure) => (Failure { found: original.found, ..failure }, cutting),
        None => (original, Cutting::Interrupted),
    }
}

fn follow<S: Subject>(session: &mut Session<'_, S>, steps: Vec<Choice>) -> Option<Failure> {
    current::with(|engine| engine.strategy = Box::new(Script::new(steps)));
    session.run().failure()
}

/// Whether time is up.
fn is_over() -> bool {
    current::with(|engine| engine.watch().is_over()).unwrap_or(true)
}

/// Whether the two are one failure reached in different ways. Messages may contain values that
/// differ between the ways.
fn is_same(a: &Failure, b: &Failure) -> bool {
    a.kind == b.kind && (a.kind != FailureKind::Judged || a.outcome == b.outcome)
}

/// Whether the first is a better way to the same failure.
fn is_better(a: &Failure, b: &Failure) -> bool {
    is_same(a, b) && cost(a) < cost(b)
}

/// Keeps `other` if it is a better way to the same failure.
fn improve(failure: &mut Failure, other: Option<Failure>) -> Kept {
    match other {
        Some(other) if is_better(&other, failure) => {
            *failure = other;
            Kept::Yes
        }
        _ => Kept::No,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Yes,
    No,
}

/// What may be spent on switches to be rid of old reads.
const SWITCHES_FOR_OLD_READS: u32 = 2;

/// Searches for a better failure from scratch: without old reads, and, as long as it has any, with
/// fewer switches.
fn search_afresh<S: Subject>(session: &mut Session<'_, S>, failure: &mut Failure, runs: u32) {
    let more = if unusual(failure) > 0 { SWITCHES_FOR_OLD_READS } else { 0 };
    let Some(bound) = (failure.switches + more).checked_sub(1) else { return };
    let Some(model) = current::with(|engine| engine.set_model(Model::Sc)) else { return };
    let plain = search_bounded(session, failure, bound, runs / 2);
    current::with(|engine| engine.set_model(model));
    if let Some(plain) = plain
        && improve(failure, follow(session, plain.schedule.steps().to_vec())) == Kept::Yes
    {
        return;
    }
    let Some(bound) = failure.switches.checked_sub(1) else { return };
    if model != Model::Sc
        && let Some(shorter) = search_bounded(session, failure, bound, runs / 2)
    {
        *failure = shorter;
    }
}

/// Searches for a better failure within a bound on preemptions.
fn search_bounded<S: Subject>(
    session: &mut Session<'_, S>,
    failure: &Failure,
    bound: u32,
    runs: u32,
) -> Option<Failure> {
    current::with(|engine| engine.strategy = Box::new(Naive::new(bound)));
    for _ in 0..runs {
        if is_over() {
            return None;
        }
        let found = session.run().failure();
        if let Some(found) = found.filter(|found| is_better(found, failure)) {
            return Some(found);
        }
        if current::with(|engine| engine.strategy.advance()) != Some(Advance::Next) {
            return None;
        }
    }
    None
}

/// Changes the schedule as long as that makes it better.
fn change<S: Subject>(session: &mut Session<'_, S>, failure: &mut Failure, mut runs: u32) {
    'again: loop {
        let steps = failure.schedule.steps().to_vec();
        for candidate in candidates(&steps) {
            if runs == 0 || is_over() {
                return;
            }
            runs -= 1;
            let found = follow(session, candidate);
            if improve(failure, found) == Kept::Yes {
                continue 'again;
            }
        }
        return;
    }
}

/// Schedules that may be better: with an ordinary choice in place of an unusual one, without one
/// stretch of a lane (whose steps then come when no other lane can run), or with two neighbouring
/// stretches exchanged.
fn candidates(steps: &[Choice]) -> impl Iterator<Item = Vec<Choice>> + '_ {
    let stretches = || steps.chunk_by(|a, b| a.lane == b.lane);
    let without = stretches().scan(0, move |start, stretch| {
        let end = *start + stretch.len();
        let kept = [&steps[..*start], &steps[end..]].concat();
        *start = end;
        Some(kept)
    });
    let pairs = stretches().zip(stretches().skip(1));
    let exchanged = pairs.scan(0, move |start, (one, other)| {
        let (before, after) = (&steps[..*start], &steps[*start + one.len() + other.len()..]);
        *start += one.len();
        Some([before, other, one, after].concat())
    });
    let ordinary = (0..steps.len()).filter(|&at| steps[at].choice != 0).map(|at| {
        let mut steps = steps.to_vec();
        steps[at].choice = 0;
        steps
    });
    ordinary.chain(without).chain(exchanged)
}

/// Runs the schedule again, so that the reported failure is known to be reproducible, and has
/// names. None when that was interrupted.
fn confirm<S: Subject>(session: &mut Session<'_, S>, failure: Failure) -> Option<Failure> {
    current::with(|engine| {
        engine.recorder = Some(Recorder::default());
        engine.set_watch(engine.watch().with_grace(GRACE));
        engine.strategy = Box::new(Script::new(failure.schedule.steps().to_vec()));
    });
    let again = session.run();
    current::with(|engine| engine.recorder = None);
    if again.end == End::Interrupted {
        return None;
    }
    Some(match again.failure() {
        Some(again) if is_same(&again, &failure) && again.schedule == failure.schedule => again,
        _ => Failure {
            kind: FailureKind::Nondeterministic,
            message: format!(
                "{} ({}), but the same schedule did not reproduce it; the subject \
                 depends on something besides the schedule (addresses, hash order, time, statics)",
                failure.message, failure.kind
            ),
            ..failure
        },
    })
}
