//! The loop over executions.

use crate::{
    budget::Budget,
    config::Config,
    current::{self, Installed},
    engine::End,
    report::{Completeness, Failure, FailureKind, Progress, Report},
    search::{Advance, Outlook, Resumable},
    session::{self, Session},
    shrink::{self, Cutting},
    subject::{Judgement, Subject},
};
use std::{collections::BTreeMap, time::Duration};

/// Explores `subject` and reports to `progress` from time to time. Stops at the first failure.
pub fn explore<S: Subject>(
    subject: &mut S,
    config: &Config,
    progress: &mut dyn FnMut(&Progress),
) -> Report {
    let start = config.time.now();
    let mut report = Report {
        executions: 0,
        blocked: 0,
        pruned: 0,
        truncated: 0,
        states: 0,
        steps_max: 0,
        complete: Completeness::Exhausted,
        position: None,
        spread: None,
        failure: None,
        outcomes: BTreeMap::new(),
        elapsed: Duration::ZERO,
    };
    if let Some(message) = session::refusal(config) {
        report.failure = Some(Failure::unsupported(message));
        report.complete = Completeness::Bounded { why: "it could not start".to_owned() };
        return report;
    }
    let mut engine = session::engine(config, start);
    let installed = Installed::new(&mut engine);
    let mut session = Session::new(subject);
    let why = search(&mut session, config, start, &mut report, progress);
    if let Some(outlook) = outlook() {
        (report.spread, report.states) = (outlook.spread, outlook.states);
    }
    drop(installed);
    report.complete = match why {
        Some(why) => Completeness::Bounded { why },
        None if report.truncated > 0 => Completeness::Bounded {
            why: format!("{} executions reached {} steps", report.truncated, config.max_steps),
        },
        None => Completeness::Exhausted,
    };
    report.elapsed = config.time.since(start);
    report
}

/// Queries this thread's search, if it can be interrupted.
fn resumable<R>(ask: impl FnOnce(&mut dyn Resumable) -> R) -> Option<R> {
    current::with(|engine| engine.strategy.resumable().map(ask)).flatten()
}

fn outlook() -> Option<Outlook> {
    resumable(|search| search.outlook())
}

/// Runs executions until the search is over. Returns why it was not exhaustive, if it was not.
fn search<S: Subject>(
    session: &mut Session<'_, S>,
    config: &Config,
    start: Duration,
    report: &mut Report,
    progress: &mut dyn FnMut(&Progress),
) -> Option<String> {
    const REPORT_EVERY: Duration = Duration::from_millis(50);
    let mut tried = 0;
    let mut reported = Duration::ZERO;
    loop {
        let elapsed = config.time.since(start);
        if let Some(why) = config.stop_reason(tried, elapsed) {
            report.position = resumable(|search| search.position());
            return Some(why);
        }
        if elapsed.saturating_sub(reported) >= REPORT_EVERY {
            reported = elapsed;
            let (bound, ahead) =
                outlook().map_or((None, None), |outlook| (outlook.bound, Some(outlook.ahead)));
            let Report { executions, blocked, pruned, truncated, .. } = *report;
            progress(&Progress { executions, blocked, pruned, truncated, bound, ahead, elapsed });
        }
        let ran = session.run();
        if ran.end == End::Interrupted {
            config.budget.iter().for_each(Budget::give_back);
            report.position = resumable(|search| {
                search.rewind();
                search.position()
            });
            let stopped = config.interruption(config.time.since(start));
            return Some(stopped.unwrap_or_else(|| "stopped on request".to_owned()));
        }
        tried += 1;
        let steps = current::with(|engine| engine.steps()).unwrap_or_default();
        let repeats = resumable(|search| search.repeats()) == Some(true);
        report.steps_max = report.steps_max.max(u32::try_from(steps).unwrap_or(u32::MAX));
        if let Some(mut failure) = ran.failure() {
            if failure.kind == FailureKind::Nondeterministic && config.resume.is_some() {
                failure.message +=
                    "; or the position belongs to another search: start the search over";
            }
            report.executions += 1;
            *report.outcomes.entry(failure.outcome.clone()).or_default() += 1;
            let (failure, cutting) = shrink::shrink(session, failure, config.shrink_runs);
            report.failure = Some(failure);
            let mut why = "stopped at the first failure".to_owned();
            let interrupted = config.interruption(config.time.since(start));
            if let (Cutting::Interrupted, Some(interrupted)) = (cutting, interrupted) {
                why += &format!("; cutting it down was {interrupted}");
            }
            return Some(why);
        }
        match (ran.end, ran.judgement) {
            _ if repeats => {}
            (End::Finished, Some(Judgement::Pass { outcome })) => {
                report.executions += 1;
                *report.outcomes.entry(outcome).or_default() += 1;
            }
            (End::Truncated, _) => report.truncated += 1,
            (End::Remembered, _) => report.pruned += 1,
            _ => report.blocked += 1,
        }
        match current::with(|engine| engine.strategy.advance()) {
            Some(Advance::Next) => {}
            Some(Advance::Bounded(why)) => return Some(why),
            Some(Advance::Exhausted) | None => return None,
        }
    }
}

#[cfg(test)]
mod whole;
