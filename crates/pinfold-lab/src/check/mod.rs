//! Running and searching: a scenario under a rule set becomes a report.
//!
//! `check` explores, `run` makes one execution and keeps all of it, `replay_schedule` makes a recorded one again. All go through the same
//! [`trial`], so a lane's step is the same code in each.

mod fill;
mod look;
mod options;
#[cfg(test)]
mod tests;
mod trial;

use std::rc::Rc;

use pinfold::EventKind;
use pinfold::rules::Rules;
use pinfold_explore::{
    Completeness, Config, Failure, FailureKind, Judgement, LockForm, Model, Schedule, Search,
    explore, replay,
};

use crate::report::{Broken, Finding, Mode, Oracle, Report, Verdict};
use crate::scenario::{Code, Scenario, ScenarioError, Verb, check_events};
use crate::world::Plan;

use fill::{
    bounds, broken, empty, explain, failed, fill, list_accesses, not_covered, strategy_name,
};
use look::Searched;

pub(crate) use fill::{count, identify, leaves_out, locks_name, model_name, reached, refuse};
pub use options::{CheckOptions, Detail, JobProgress, Order, Progress};
pub(crate) use trial::{Keep, Trial};

/// The names that a scenario's `reach` lines may use.
fn known_events() -> Vec<&'static str> {
    let verbs = Verb::ALL.iter().map(|verb| verb.as_str());
    EventKind::NAMES.iter().copied().chain(verbs).collect()
}

/// Why the scenario cannot be executed under `rules`, if it cannot: an event that there is not, a setup that fails. The error points into the
/// scenario's text.
pub fn obstacle(scenario: &Scenario, rules: &Rules) -> Option<Box<ScenarioError>> {
    if let Some(error) = check_events(scenario, &known_events()).into_iter().next() {
        return Some(Box::new(error));
    }
    let plan = Rc::new(Plan::new(scenario, rules));
    Trial::new(&plan, Keep::Verdict).prepare().err()
}

/// Searches a scenario's executions under `rules`.
///
/// A scenario that does not fit the machine (an unknown event, a setup that fails) gives [`Verdict::Error`] with the reason in
/// [`Report::broken`].
pub fn check(
    scenario: &Scenario,
    path: &str,
    rules: &Rules,
    options: &CheckOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Report {
    let mut report = match question(scenario, path, rules, options) {
        Ok(report) => report,
        Err(refused) => return *refused,
    };
    let plan = Rc::new(Plan::new(scenario, rules));
    let mut trial = Trial::new(&plan, Keep::Verdict);
    let Searched { found, look } = look::search(&mut trial, options, progress);
    if let Some(look) = look {
        report.search.strategy += &format!(", then {}", strategy_name(look));
    }
    if let Some(error) = trial.setup_error.borrow_mut().take() {
        return refuse(report, &error);
    }
    count(&mut report, &found, reached(&plan, &trial.reached));
    report.cap_reached();
    report.search.incomplete = match &found.complete {
        Completeness::Exhausted => None,
        Completeness::Bounded { why } if found.position.is_some() => Some(why.clone()),
        Completeness::Bounded { why } => {
            leaves_out(scenario, options, &found).or_else(|| Some(why.clone()))
        }
    };
    match &found.failure {
        Some(failure) => judge_failure(&mut report, &plan, options, failure, &trial.findings),
        None => judge_search(&mut report),
    }
    report.id = identify(scenario, rules, &report);
    report
}

/// A report that says what is asked, and nothing yet of what was found.
///
/// # Errors
/// When the scenario asks for events that there are not: the answer to that.
pub(crate) fn question(
    scenario: &Scenario,
    path: &str,
    rules: &Rules,
    options: &CheckOptions,
) -> Result<Report, Box<Report>> {
    let mut report = empty(scenario, path, rules, Mode::Check);
    report.search.model = model_name(options.model).to_owned();
    report.search.locks = locks_name(options.locks).to_owned();
    report.search.strategy = strategy_name(options.strategy);
    if let Some(error) = check_events(scenario, &known_events()).into_iter().next() {
        return Err(Box::new(refuse(report, &error)));
    }
    report.bounds = bounds(scenario, options);
    report.not_covered = not_covered(options.model);
    Ok(report)
}

/// A search that found a failure.
pub(crate) fn judge_failure(
    report: &mut Report,
    plan: &Rc<Plan>,
    options: &CheckOptions,
    failure: &Failure,
    findings: &[Finding],
) {
    if failure.kind == FailureKind::Unsupported {
        report.verdict = Verdict::Skip;
        report.search.incomplete = Some(failure.message.clone());
    } else {
        report.verdict = Verdict::Fail;
        explain(report, plan, options, failure, findings);
    }
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

/// Makes one execution of a scenario and keeps all of it.
pub fn run(scenario: &Scenario, path: &str, rules: &Rules, order: Order) -> Report {
    let mut report = empty(scenario, path, rules, Mode::Run);
    "sc".clone_into(&mut report.search.model);
    if let Some(error) = check_events(scenario, &known_events()).into_iter().next() {
        return refuse(report, &error);
    }
    let plan = Rc::new(Plan::new(scenario, rules));
    let mut trial = Trial::new(&plan, Keep::Everything);
    let (search, strategy) = match order {
        Order::AsWritten => {
            (Search::Exhaustive { preemptions: Some(0) }, "order as written".to_owned())
        }
        Order::Seed(seed) => (Search::Random { seed, runs: 1 }, format!("random seed {seed}")),
    };
    report.search.strategy = strategy;
    let config = Config { model: Model::Sc, search, max_executions: Some(1), ..Config::default() };
    let found = explore(&mut trial, &config, &mut |_| {});
    if let Some(error) = trial.setup_error.borrow_mut().take() {
        return refuse(report, &error);
    }
    count(&mut report, &found, reached(&plan, &trial.reached));
    report.verdict = match (&found.failure, found.truncated) {
        (Some(_), _) => Verdict::Fail,
        (None, 0) => Verdict::Pass,
        (None, _) => Verdict::Partial,
    };
    fill(&mut report, &plan, std::mem::take(&mut trial.kept));
    if let Some(failure) = &found.failure {
        report.broken = Some(failed(failure, &trial.findings, &report));
    }
    report.id = identify(scenario, rules, &report);
    report
}

/// Runs a recorded schedule again and keeps all of it, its shared accesses included.
///
/// # Errors
/// When `schedule` is not a schedule.
pub fn replay_schedule(
    scenario: &Scenario,
    path: &str,
    rules: &Rules,
    (model, locks): (Model, LockForm),
    schedule: &str,
) -> Result<Report, String> {
    let schedule: Schedule = schedule.parse().map_err(|error| format!("{error}"))?;
    let mut report = empty(scenario, path, rules, Mode::Run);
    report.search.model = model_name(model).to_owned();
    report.search.locks = locks_name(locks).to_owned();
    "replay".clone_into(&mut report.search.strategy);
    let plan = Rc::new(Plan::new(scenario, rules));
    let mut trial = Trial::new(&plan, Keep::Everything);
    let again = replay(&mut trial, model, locks, &schedule);
    if let Some(error) = trial.setup_error.borrow_mut().take() {
        return Ok(refuse(report, &error));
    }
    report.search.executions = 1;
    report.search.steps_max = again.trace.len() as u64;
    report.search.incomplete =
        again.diverged_at.map(|step| format!("the run went another way at step {}", step + 1));
    list_accesses(&mut report, &plan, &again, &mut trial.kept);
    fill(&mut report, &plan, std::mem::take(&mut trial.kept));
    report.verdict = match (&again.judgement, again.diverged_at) {
        (Judgement::Pass { .. }, None) => Verdict::Pass,
        (_, Some(_)) => Verdict::Error,
        _ => Verdict::Fail,
    };
    if let Judgement::Fail { message, .. } = &again.judgement {
        let kind = FailureKind::Failed;
        report.broken = Some(broken(&trial.findings, kind, message, &schedule, &report));
    }
    report.id = identify(scenario, rules, &report);
    Ok(report)
}
