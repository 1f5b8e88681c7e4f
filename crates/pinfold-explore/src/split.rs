//! Divides an exhaustive search into jobs.
//!
//! INV-SPLIT-1: a job is replaced by one for each lane and option that can follow its steps, and
//! earlier siblings sleep in later ones. So every execution belongs to exactly one job, up to
//! equivalence, and jobs need to know nothing of each other.
//! INV-SPLIT-2: the division depends on the subject, the model and the number asked for, and on
//! nothing else: two processes that agree on those agree on the jobs.

use crate::{
    engine::Engine,
    explore::{Config, Session, Subject},
    hook::{self, Installed},
    job::Job,
    search::{Advance, Dpor, Frontier},
};
use std::collections::VecDeque;

/// Divides the exhaustive search for `config` into at least `at_least` jobs, or as many as there
/// can be. To search each of them once, in any order and anywhere, is to search everything:
/// [`Config::job`] takes one.
///
/// Each costs about two executions, of which no verdict is reached: failures come up when the jobs
/// are explored. Where the search cannot be divided, or not here, the only job is the whole of it,
/// and exploring it says why.
pub fn jobs<S: Subject>(subject: &mut S, config: &Config, at_least: usize) -> Vec<Job> {
    if config.refusal().is_some() {
        return vec![Job::default()];
    }
    let mut engine = Engine::new(config.strategy(), config.model, config.max_steps);
    let installed = Installed::new(&mut engine);
    let mut session = Session::new(subject);
    let mut open = VecDeque::from([Job::default()]);
    let mut closed = Vec::new();
    while open.len() + closed.len() < at_least
        && let Some(job) = open.pop_front()
    {
        divide(&mut session, &job, &mut open, &mut closed);
    }
    drop(installed);
    closed.extend(open);
    closed
}

/// Adds the parts of a job to those that can be divided again, or to those that cannot.
fn divide<S: Subject>(
    session: &mut Session<'_, S>,
    job: &Job,
    open: &mut VecDeque<Job>,
    closed: &mut Vec<Job>,
) {
    hook::with(|engine| engine.strategy = Box::new(Dpor::split(job)));
    loop {
        session.run();
        let part = hook::with(|engine| {
            let strategy = &engine.strategy;
            (strategy.frontier(), Job::new(engine.schedule().to_vec(), strategy.sleepers()))
        });
        match part {
            Some((Frontier::Open, job)) => open.push_back(job),
            Some((Frontier::Ended, job)) => closed.push(job),
            Some((Frontier::Asleep, _)) | None => {}
        }
        if hook::with(|engine| engine.strategy.advance()) != Some(Advance::Next) {
            return;
        }
    }
}
