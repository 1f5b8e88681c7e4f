//! Divides a search into jobs.
//!
//! INV-SPLIT-1: a job of an exhaustive search is replaced by one for each lane and option that can
//! follow its steps, and earlier siblings sleep in later ones. Every execution thus belongs to
//! exactly one job, up to equivalence, and jobs need no knowledge of each other. Jobs of a random
//! search are ranges of its runs (INV-RANDOM-1).
//! INV-SPLIT-2: the division depends only on the subject, the model and the requested number of
//! jobs: two processes that agree on those agree on the jobs.

use crate::{
    config::{Config, Search},
    current::{self, Installed},
    engine::End,
    job::{Job, Range},
    search::{Advance, Dpor, Frontier},
    session::{self, Session},
    subject::Subject,
};
use std::collections::VecDeque;

/// Divides the search for `config` into at least `at_least` jobs, or as many as possible. Searching
/// each of them once, in any order and anywhere, searches everything: [`Config::job`] takes one.
///
/// Each job of an exhaustive search costs about two executions, on which no verdict is passed:
/// failures come up when the jobs are explored. The jobs of a random search cost nothing, except
/// that PCT needs one execution for all of them. A search with a bound on preemptions is one job,
/// since a bound is searched only once the previous one is exhausted. Where the search cannot be
/// divided here, the only job is also the whole search, and exploring it says why.
///
/// None when [`Config::stop`] or [`Config::deadline`] ended the division: jobs that were cut short
/// would be different jobs.
pub fn jobs<S: Subject>(subject: &mut S, config: &Config, at_least: usize) -> Option<Vec<Job>> {
    if session::refusal(config).is_some() {
        return Some(vec![Job::default()]);
    }
    let whole = Config { job: None, resume: None, ..config.clone() };
    let mut engine = session::engine(&whole, config.time.now());
    let installed = Installed::new(&mut engine);
    let mut session = Session::new(subject);
    match config.search {
        Search::Exhaustive { preemptions: Some(_) } => return Some(vec![Job::default()]),
        Search::Random { runs, .. } => return Some(ranges(runs, at_least, None)),
        Search::Pct { runs, .. } => {
            let length = length(&mut session)?;
            return Some(ranges(runs, at_least, length));
        }
        Search::Exhaustive { preemptions: None } => {}
    }
    let mut open = VecDeque::from([Job::default()]);
    let mut closed = Vec::new();
    while open.len() + closed.len() < at_least
        && let Some(job) = open.pop_front()
    {
        divide(&mut session, &job, &mut open, &mut closed)?;
    }
    drop(installed);
    closed.extend(open);
    Some(closed)
}

/// Divides runs into ranges whose lengths differ by at most one.
fn ranges(runs: u64, at_least: usize, length: Option<usize>) -> Vec<Job> {
    let runs = runs.max(1);
    let parts = (at_least as u64).clamp(1, runs);
    let (each, longer) = (runs / parts, runs % parts);
    let range = |part: u64| Range {
        first: part * each + part.min(longer),
        count: each + u64::from(part < longer),
        length,
    };
    (0..parts).map(|part| Job::random(range(part))).collect()
}

/// Runs an execution; none when it was interrupted, or there is no time for another.
fn run<S: Subject>(session: &mut Session<'_, S>) -> Option<()> {
    let ran = session.run();
    let over = current::with(|engine| engine.watch().is_over()).unwrap_or(true);
    (ran.end != End::Interrupted && !over).then_some(())
}

/// The steps that a PCT search spreads changes over, if they are known: INV-RANDOM-2. None when
/// that was interrupted.
fn length<S: Subject>(session: &mut Session<'_, S>) -> Option<Option<usize>> {
    run(session)?;
    let spread = current::with(|engine| {
        engine.strategy.advance();
        engine.strategy.resumable()?.outlook().spread
    });
    Some(spread.flatten().map(|steps| steps as usize))
}

/// Adds the parts of a job to the jobs that can be divided further, or to those that cannot. None
/// when that was interrupted.
fn divide<S: Subject>(
    session: &mut Session<'_, S>,
    job: &Job,
    open: &mut VecDeque<Job>,
    closed: &mut Vec<Job>,
) -> Option<()> {
    current::with(|engine| engine.strategy = Box::new(Dpor::split(job)));
    loop {
        run(session)?;
        let part = current::with(|engine| {
            let search = engine.strategy.dividing()?;
            Some((search.frontier(), Job::new(engine.schedule().to_vec(), search.asleep())))
        });
        match part.flatten() {
            Some((Frontier::Open, job)) => open.push_back(job),
            Some((Frontier::Ended, job)) => closed.push(job),
            Some((Frontier::Asleep, _)) | None => {}
        }
        if current::with(|engine| engine.strategy.advance()) != Some(Advance::Next) {
            return Some(());
        }
    }
}
