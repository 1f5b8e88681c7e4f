//! Running and searching: turns a scenario under a rule set into a report.
//!
//! `check` explores, `run` makes one execution and keeps all of it, and `replay_schedule` repeats a
//! recorded one. All use the same [`trial`], so a lane's step is the same code in each.
//!
//! INV-CHECK-1: memory of states never makes a search vacuous. An execution that is given up at a
//! known state does not go on to the windows behind it, which may open in its order of steps alone;
//! so where a window stays closed, the search is made again without memory.

mod ends;
mod fill;
mod look;
mod options;
mod outcomes;
mod prepared;
#[cfg(test)]
mod tests;
mod trial;

use std::convert::Infallible;
use std::time::Duration;

use pinfold::rules::Rules;
use pinfold_explore::{
    Completeness, Config, FailureKind, Judgement, LockForm, Model, Schedule, Search, explore,
    replay,
};

use crate::report::{Broken, Chosen, Mode, Oracle, Report, Verdict, Way};
use crate::scenario::{Code, Scenario};

use fill::{
    Broke, Filled, bounds, broken, empty, explain, failed, fill, list_accesses, not_covered,
};
use look::Searched;

pub use ends::{Ended, Ends, FAILED, Met};
pub(crate) use fill::{count, identify, leaves_out, reached};
pub use options::{CheckOptions, Detail, JobProgress, Order, Progress};
pub use prepared::Prepared;
pub(crate) use trial::{Found, Keep, Trial};

/// Searches a scenario's executions under `rules`.
///
/// A scenario that does not fit the machine (an unknown event, a setup that fails) gives
/// [`Verdict::Error`] with the reason in [`Report::broken`]; one with a step that needs what there
/// is not under these rules gives [`Verdict::Skip`] with the reason there.
pub fn check(
    scenario: &Scenario,
    path: &str,
    rules: &Rules,
    options: &CheckOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Report {
    match Prepared::new(scenario, path, rules) {
        Ok(prepared) => prepared.check(options, progress),
        Err(error) => fill::refuse(question(scenario, path, rules, options), &error),
    }
}

/// Makes one execution of a scenario and keeps all of it. A scenario that does not fit is reported
/// as by [`check()`].
pub fn run(scenario: &Scenario, path: &str, rules: &Rules, order: Order) -> Report {
    match Prepared::new(scenario, path, rules) {
        Ok(prepared) => prepared.run(order),
        Err(error) => fill::refuse(one_run(scenario, path, rules, order), &error),
    }
}

/// Runs a recorded schedule again and keeps all of it, including its shared accesses. A scenario
/// that does not fit is reported as by [`check()`].
///
/// # Errors
/// When `schedule` is not a valid schedule.
pub fn replay_schedule(
    scenario: &Scenario,
    path: &str,
    rules: &Rules,
    semantics: (Model, LockForm),
    schedule: &str,
) -> Result<Report, String> {
    let schedule: Schedule = schedule.parse().map_err(|error| format!("{error}"))?;
    Ok(match Prepared::new(scenario, path, rules) {
        Ok(prepared) => prepared.replay(semantics, &schedule),
        Err(error) => fill::refuse(repetition(scenario, path, rules, semantics), &error),
    })
}

/// A report that says what is asked of a search but nothing yet of what was found.
pub(crate) fn question(
    scenario: &Scenario,
    path: &str,
    rules: &Rules,
    options: &CheckOptions,
) -> Report {
    let semantics = (options.config.model, options.config.locks);
    let strategy = Chosen::Search(options.config.search.into());
    let mut report = empty((scenario, path), rules, Mode::Check, semantics, strategy);
    report.bounds = bounds(scenario, options);
    report.not_covered = not_covered(scenario, options.config.model);
    report
}

/// The same for a single execution.
fn one_run(scenario: &Scenario, path: &str, rules: &Rules, order: Order) -> Report {
    let strategy = match order {
        Order::AsWritten => Chosen::AsWritten,
        Order::Seed(seed) => Chosen::Search(Way::Random { seed }),
    };
    let semantics = (Model::Sc, LockForm::default());
    empty((scenario, path), rules, Mode::Run, semantics, strategy)
}

/// The same for an execution that is repeated.
fn repetition(
    scenario: &Scenario,
    path: &str,
    rules: &Rules,
    semantics: (Model, LockForm),
) -> Report {
    empty((scenario, path), rules, Mode::Run, semantics, Chosen::Replay(None))
}

impl Prepared {
    /// Searches the executions.
    pub fn check(&self, options: &CheckOptions, progress: &mut dyn FnMut(&Progress)) -> Report {
        let report = self.search(options, progress);
        let Ok(report) = unless_vacuous(options, report, |options| {
            Ok::<_, Infallible>(self.search(options, progress))
        });
        report
    }

    fn search(&self, options: &CheckOptions, progress: &mut dyn FnMut(&Progress)) -> Report {
        let (scenario, rules) = (self.scenario(), self.rules());
        let mut report = question(scenario, &self.path, rules, options);
        let Searched { result, found, reached: counted, look } =
            look::search(&self.plan, options, progress);
        if let Some(look) = look {
            report.search.strategy = Chosen::Then(options.config.search.into(), look.into());
            let config = Config { search: look, ..options.config.clone() };
            report.bounds = bounds(scenario, &CheckOptions { config, ..options.clone() });
        }
        count(&mut report, &result, reached(&self.plan, &counted));
        report.cap_reached();
        report.search.incomplete = match &result.complete {
            Completeness::Exhausted => None,
            Completeness::Bounded { why } if result.position.is_some() || found.is_some() => {
                Some(why.clone())
            }
            Completeness::Bounded { why } => {
                leaves_out(scenario, options, &result).or_else(|| Some(why.clone()))
            }
        };
        match found {
            Some(found) => self.judge_failure(&mut report, options, found),
            None => judge_search(&mut report),
        }
        report.id = identify(scenario, rules, &report);
        report
    }

    /// A search that found a failure.
    pub(crate) fn judge_failure(&self, report: &mut Report, options: &CheckOptions, found: Found) {
        if found.failure.kind == FailureKind::Unsupported {
            report.verdict = Verdict::Skip;
            report.search.incomplete = Some(found.failure.message);
        } else {
            report.verdict = Verdict::Fail;
            let found = look::plainest(&self.plan, report, options, found);
            explain(report, &self.plan, options, found);
        }
    }

    /// Makes one execution and keeps all of it, including what there is to say of each row.
    pub fn run(&self, order: Order) -> Report {
        let (scenario, rules) = (self.scenario(), self.rules());
        let mut report = one_run(scenario, &self.path, rules, order);
        let mut trial = Trial::new(&self.plan, Keep::Everything);
        let search = match order {
            Order::AsWritten => Search::Exhaustive { preemptions: Some(0) },
            Order::Seed(seed) => Search::Random { seed, runs: 1 },
        };
        // What is shown is the execution that was made, so a failure is not cut down.
        let config = Config {
            model: Model::Sc,
            search,
            max_executions: Some(1),
            shrink_runs: 0,
            ..Config::default()
        };
        let found = explore(&mut trial, &config, &mut |_| {});
        count(&mut report, &found, reached(&self.plan, &trial.reached.counts()));
        report.verdict = match (&found.failure, found.truncated) {
            (Some(_), _) => Verdict::Fail,
            (None, 0) => Verdict::Pass,
            (None, _) => Verdict::Partial,
        };
        let broke = if found.failure.is_some() { Broke::Yes } else { Broke::No };
        let kept = std::mem::take(&mut trial.kept);
        let Filled { why, explained } = fill(&mut report, &self.plan, kept, (broke, None));
        report.explained = explained;
        report.about = about(scenario);
        if let Some(failure) = &found.failure {
            report.broken = Some(failed(failure, &trial.findings, why));
        }
        report.id = identify(scenario, rules, &report);
        report
    }

    /// Runs a recorded schedule again and keeps all of it, including its shared accesses and what
    /// there is to say of each row.
    pub fn replay(&self, semantics: (Model, LockForm), schedule: &Schedule) -> Report {
        let (scenario, rules) = (self.scenario(), self.rules());
        let mut report = repetition(scenario, &self.path, rules, semantics);
        let mut trial = Trial::new(&self.plan, Keep::Everything);
        let again = replay(&mut trial, semantics.0, semantics.1, schedule);
        report.search.executions = 1;
        report.search.steps_max = again.trace.len() as u64;
        report.search.incomplete =
            again.diverged_at.map(|step| format!("the run went another way at step {}", step + 1));
        list_accesses(&mut report, &self.plan, &again, &trial.kept);
        let broke = match again.judgement {
            Judgement::Pass { .. } => Broke::No,
            Judgement::Fail { .. } => Broke::Yes,
        };
        let kept = std::mem::take(&mut trial.kept);
        let told = fill(&mut report, &self.plan, kept, (broke, Some(&again)));
        report.explained = told.explained;
        report.about = about(scenario);
        report.verdict = match (&again.judgement, again.diverged_at) {
            (Judgement::Pass { .. }, None) => Verdict::Pass,
            (_, Some(_)) => Verdict::Error,
            _ => Verdict::Fail,
        };
        if let Judgement::Fail { message, .. } = &again.judgement {
            let kind = FailureKind::Failed;
            report.broken = Some(broken(&trial.findings, kind, message, schedule, told.why));
        }
        report.id = identify(scenario, rules, &report);
        report
    }
}

/// What a scenario says of itself, as one paragraph, and what it is based on.
fn about(scenario: &Scenario) -> Vec<String> {
    let lines: Vec<&str> = scenario.about.iter().map(|line| line.as_str()).collect();
    let about = (!lines.is_empty()).then(|| lines.join(" "));
    let facts = scenario.facts.iter().map(|facts| format!("Rules: facts {}.", facts.as_str()));
    let source = scenario.source.iter().map(|source| format!("Source: {}", source.as_str()));
    about.into_iter().chain(facts).chain(source).collect()
}

/// The report of a search, or, where it was vacuous with memory, that of another one without:
/// INV-CHECK-1. Both together have the time of one, and it is told of both.
pub(crate) fn unless_vacuous<E>(
    options: &CheckOptions,
    report: Report,
    search: impl FnOnce(&CheckOptions) -> Result<Report, E>,
) -> Result<Report, E> {
    let vacuous = report.broken.as_ref().is_some_and(|broken| broken.oracle == Oracle::Vacuous);
    if !vacuous || report.search.states == 0 {
        return Ok(report);
    }
    let spent = Duration::from_secs_f64(report.search.seconds);
    let deadline = options.config.deadline.map(|all| all.saturating_sub(spent));
    let config = Config { deadline, ..options.config.clone() };
    let options = CheckOptions { config, ..options.clone() }.remembering(0);
    let mut again = search(&options)?;
    again.search.seconds += report.search.seconds;
    Ok(again)
}

/// A search without a failure: complete or not, vacuous or not.
pub(crate) fn judge_search(report: &mut Report) {
    let vacuous = report.reached.iter().find(|goal| goal.count == 0);
    report.verdict = match (&report.search.incomplete, vacuous) {
        (Some(_), _) => Verdict::Partial,
        (None, None) => Verdict::Pass,
        (None, Some(goal)) => {
            let broken = Broken::without_execution(
                Oracle::Vacuous,
                vec![format!("no execution reached: {}", goal.what)],
                vec!["the scenario proves nothing if its window is never open".to_owned()],
            );
            report.broken = Some(Broken { code: Some(Code::Vacuous), ..broken });
            Verdict::Fail
        }
    };
}
