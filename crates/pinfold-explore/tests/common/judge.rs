//! The explorer's searches against the references, program by program.

use super::{
    FULL, NAIVE, graphs,
    machine::{self, Buffers, Known},
    program::Program,
};
use pinfold_explore::{Completeness, Config, FailureKind, Model, Report, Search, States, explore};
use std::{collections::BTreeSet, fmt};

/// What a reference that shares nothing with the explorer knows of the program.
pub fn judged(program: &Program, model: Model, most: usize) -> Known {
    match model {
        Model::Sc => machine::run(program, Buffers::None, most),
        Model::Tso => machine::run(program, Buffers::Fifo, most),
        Model::Weak => graphs::run(program, most),
    }
}

/// How far each side goes.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Executions of the reduced search.
    pub reduced: u64,
    /// Executions of the naive search; zero leaves it out.
    pub naive: u64,
    /// States or graphs of the reference.
    pub reference: usize,
}

/// The result of the comparisons.
#[derive(Debug, Default)]
pub struct Tally {
    pub programs: u64,
    /// Programs for which the reduced search, the naive one and the reference all finished.
    pub exhausted: [u64; 3],
    pub hangs: u64,
    pub races: u64,
    pub outcomes: u64,
    pub executions: u64,
    pub blocked: u64,
    pub naive_executions: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { programs, exhausted: [reduced, naive, reference], .. } = self;
        write!(
            f,
            "{programs} programs ({reduced} searched to the end, {naive} naively, {reference} known to \
             the reference), {} hang, {} race, {} outcomes in {} executions and {} blocked; {} naively",
            self.hangs,
            self.races,
            self.outcomes,
            self.executions,
            self.blocked,
            self.naive_executions,
        )
    }
}

/// What a search found, if it finished.
fn shown(report: &Report) -> Option<Known> {
    let mut known = Known::default();
    match &report.failure {
        Some(failure) => match failure.kind {
            FailureKind::Deadlock => known.hangs = true,
            FailureKind::DataRace => known.races = true,
            _ => panic!("{failure}"),
        },
        None if report.complete != Completeness::Exhausted => return None,
        None => known.outcomes.extend(report.outcomes.keys().cloned()),
    }
    Some(known)
}

/// Describes how two results differ, one of which may have stopped at a failure.
fn difference(searched: &Known, known: &Known) -> Option<String> {
    if searched.hangs || searched.races {
        let right = (known.hangs && searched.hangs) || (known.races && searched.races);
        return (!right).then(|| format!("a failure that is none: {searched:?}"));
    }
    if known.hangs || known.races {
        return Some(format!("missed: hangs {}, races {}", known.hangs, known.races));
    }
    let less = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> Vec<String> {
        a.difference(b).cloned().collect()
    };
    let missing = less(&known.outcomes, &searched.outcomes);
    let more = less(&searched.outcomes, &known.outcomes);
    (!missing.is_empty() || !more.is_empty()).then(|| format!("missing {missing:?}, more {more:?}"))
}

pub fn searched(program: &Program, model: Model, search: Search, most: u64) -> Report {
    let config =
        Config { model, search, max_executions: Some(most), shrink_runs: 0, ..Config::default() };
    explore(&mut program.clone(), &config, &mut |_| {})
}

/// The reduced search under sequential consistency with this memory.
pub fn remembering(program: &Program, model: Model, states: &States, most: u64) -> Report {
    let config = Config {
        model,
        search: FULL,
        max_executions: Some(most),
        shrink_runs: 0,
        states: Some(states.clone()),
        ..Config::default()
    };
    explore(&mut program.clone(), &config, &mut |_| {})
}

/// Checks the search that remembers states against the one that does not, and the reference.
///
/// # Errors
/// How they differ.
pub fn compare_remembering(
    program: &Program,
    model: Model,
    limits: Limits,
    tally: &mut Remembering,
) -> Result<(), String> {
    let states = States::new(1 << 28);
    let with = remembering(program, model, &states, limits.reduced);
    tally.programs += 1;
    let Some(with_shown) = shown(&with) else { return Ok(()) };
    tally.finished += 1;
    tally.outcomes += with_shown.outcomes.len() as u64;
    tally.with += with.executions;
    tally.pruned += with.pruned;
    tally.states += states.count();
    let known = judged(program, model, limits.reference);
    if !known.cut {
        tally.known += 1;
        if let Some(difference) = difference(&with_shown, &known) {
            return Err(format!("with memory against the reference: {difference}"));
        }
    }
    let without = searched(program, model, FULL, limits.naive);
    let Some(without_shown) = shown(&without) else { return Ok(()) };
    tally.compared += 1;
    tally.without += without.executions;
    let fails = |known: &Known| known.hangs || known.races;
    if fails(&with_shown) && fails(&without_shown) {
        return Ok(());
    }
    match difference(&with_shown, &without_shown) {
        Some(difference) => Err(format!("with memory against without: {difference}")),
        None => Ok(()),
    }
}

/// The result of comparisons with and without a memory of states.
#[derive(Debug, Default)]
pub struct Remembering {
    pub programs: u64,
    pub finished: u64,
    pub compared: u64,
    pub known: u64,
    pub outcomes: u64,
    pub with: u64,
    pub pruned: u64,
    pub states: u64,
    pub without: u64,
}

/// Checks the reduced search against the reference and the naive one.
///
/// # Errors
/// How they differ.
pub fn compare(
    program: &Program,
    model: Model,
    limits: Limits,
    tally: &mut Tally,
) -> Result<(), String> {
    let full = searched(program, model, FULL, limits.reduced);
    tally.programs += 1;
    let Some(full_shown) = shown(&full) else { return Ok(()) };
    tally.exhausted[0] += 1;
    tally.hangs += u64::from(full_shown.hangs);
    tally.races += u64::from(full_shown.races);
    tally.outcomes += full_shown.outcomes.len() as u64;
    tally.executions += full.executions;
    tally.blocked += full.blocked;
    let known = judged(program, model, limits.reference);
    if !known.cut {
        tally.exhausted[2] += 1;
        if let Some(difference) = difference(&full_shown, &known) {
            return Err(format!("reduced against the reference: {difference}"));
        }
    }
    if limits.naive == 0 {
        return Ok(());
    }
    let naive = searched(program, model, NAIVE, limits.naive);
    tally.naive_executions += naive.executions;
    let Some(naive_shown) = shown(&naive) else { return Ok(()) };
    tally.exhausted[1] += 1;
    // What fails stops at its first failure.
    let fails = |known: &Known| known.hangs || known.races;
    if fails(&full_shown) && fails(&naive_shown) {
        return Ok(());
    }
    match difference(&full_shown, &naive_shown) {
        Some(difference) => Err(format!("reduced against the naive search: {difference}")),
        None => Ok(()),
    }
}
