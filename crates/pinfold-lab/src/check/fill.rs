//! Filling a report from what an exploration found.

use std::sync::Arc;
use std::time::Duration;

use pinfold::rules::Rules;
use pinfold_explore::{
    Access, AccessKind, Completeness, Config, Failure, FailureKind, LockForm, Model, Replay,
    Schedule, Search as Strategy, explore, replay,
};

use super::options::{CheckOptions, Detail};
use super::trial::{Found, Keep, Kept, Trial, oracle_of};
use crate::counted::counted;
use crate::report::{
    Broken, Chosen, Elsewhere, Explained, FORMAT, Finding, Mode, Oracle, Outcome, Reached, Report,
    ScenarioHead, Verdict, id,
};
use crate::scenario::{Code, Scenario, ScenarioError, Thp};
use crate::story::Telling;
use crate::world::Plan;

pub(super) fn head(scenario: &Scenario, path: &str) -> ScenarioHead {
    ScenarioHead {
        name: scenario.name.value.clone(),
        title: scenario.title.as_ref().map(|title| title.value.clone()),
        path: path.to_owned(),
    }
}

/// A report that says what is asked but nothing yet of what was found.
pub(super) fn empty(
    (scenario, path): (&Scenario, &str),
    rules: &Rules,
    mode: Mode,
    (model, locks): (Model, LockForm),
    strategy: Chosen,
) -> Report {
    Report {
        pinfold: FORMAT,
        id: String::new(),
        verdict: Verdict::Error,
        mode,
        scenario: head(scenario, path),
        rules: rules.to_string(),
        search: crate::report::Search {
            model,
            locks,
            strategy,
            executions: 0,
            blocked: 0,
            pruned: 0,
            truncated: 0,
            states: 0,
            steps_max: 0,
            seconds: 0.0,
            incomplete: None,
            elsewhere: None,
        },
        broken: None,
        trace: None,
        accesses: Vec::new(),
        about: Vec::new(),
        explained: Vec::new(),
        decisions: Vec::new(),
        outcomes: Vec::new(),
        reached: Vec::new(),
        ends: Vec::new(),
        bounds: Vec::new(),
        not_covered: Vec::new(),
        costs: Vec::new(),
    }
}

/// A report on a scenario that cannot be executed: an error in it, or a question that these rules
/// do not have.
pub(crate) fn refuse(mut report: Report, error: &ScenarioError) -> Report {
    report.verdict = if error.code == Code::Absent { Verdict::Skip } else { Verdict::Error };
    let why = error.help.iter().cloned().collect();
    let broken = Broken::without_execution(Oracle::Scenario, vec![error.message.clone()], why);
    report.broken = Some(Broken { code: Some(error.code), ..broken });
    report
}

/// Records what the failing execution shows, if that was asked for and the failure happened twice.
pub(super) fn explain(report: &mut Report, plan: &Arc<Plan>, options: &CheckOptions, found: Found) {
    let Found { failure, findings, mut kept } = found;
    let mut why = Vec::new();
    // Nothing was kept when there was no time to run the failure a second time.
    let told = !kept.journal.lines.is_empty() && failure.kind != FailureKind::Nondeterministic;
    if options.detail == Detail::Story && told {
        // Once more, for its accesses: which of them were not up to date.
        let mut trial = Trial::new(plan, Keep::Everything);
        let semantics = (report.search.model, report.search.locks);
        let again = replay(&mut trial, semantics.0, semantics.1, &failure.schedule);
        let again = (again.diverged_at.is_none()).then_some(again);
        if again.is_some() {
            kept = trial.kept;
        }
        why = fill(report, plan, kept, (Broke::Yes, again.as_ref())).why;
        report.search.elsewhere = again.and_then(|again| elsewhere(report, plan, options, &again));
    }
    report.broken = Some(failed(&failure, &findings, why));
}

/// The most executions to spend on asking whether a failure needs its weak model.
const ELSEWHERE: u64 = 20_000;

/// Whether the failing execution `again` needs the model under which it was found.
fn elsewhere(
    report: &Report,
    plan: &Arc<Plan>,
    options: &CheckOptions,
    again: &Replay,
) -> Option<Elsewhere> {
    let late = |access: &Access| access.behind > 0 && access.kind != AccessKind::Choose;
    if !again.trace.iter().any(late) {
        return Some(Elsewhere::Everywhere);
    }
    if report.search.model != Model::Weak {
        return None;
    }
    let spent = Duration::from_secs_f64(report.search.seconds);
    let config = Config {
        model: Model::Tso,
        search: Strategy::Exhaustive { preemptions: None },
        max_executions: Some(options.config.max_executions.unwrap_or(ELSEWHERE).min(ELSEWHERE)),
        deadline: options.config.deadline.map(|time| time.saturating_sub(spent)),
        shrink_runs: 0,
        ..options.explored()
    };
    let found = explore(&mut Trial::new(plan, Keep::Verdict), &config, &mut |_| {});
    let executions = found.executions;
    Some(match (found.failure, found.complete) {
        (Some(_), _) => Elsewhere::TsoToo { executions },
        (None, Completeness::Exhausted) => Elsewhere::NotTso { executions },
        (None, Completeness::Bounded { .. }) => Elsewhere::NotFoundUnderTso { executions },
    })
}

/// Lists the shared accesses of an execution whose journal is `kept`.
pub(super) fn list_accesses(report: &mut Report, plan: &Plan, again: &Replay, kept: &Kept) {
    let lanes: Vec<&str> = again.lanes.iter().map(String::as_str).collect();
    report.accesses = kept.journal.places.clone().list(&again.trace, &lanes, &plan.words);
}

/// Whether an execution broke something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broke {
    Yes,
    No,
}

/// What is not part of every report of an execution.
pub(super) struct Filled {
    /// The explanation of what it broke.
    pub(super) why: Vec<String>,
    /// What there is to say of each row.
    pub(super) explained: Vec<Explained>,
}

/// Fills in the story of an execution; `again` has its accesses, if they were recorded.
pub(super) fn fill(
    report: &mut Report,
    plan: &Plan,
    kept: Kept,
    (broke, again): (Broke, Option<&Replay>),
) -> Filled {
    let told = Telling {
        scenario: &plan.scenario,
        rules: &plan.rules,
        words: &plan.words,
        journal: &kept.journal,
        about: &kept.about,
        cause: kept.cause,
        broke: broke == Broke::Yes,
        accesses: again.map_or(&[], |again| &again.trace),
        lanes: again.map_or(&[], |again| &again.lanes),
    }
    .tell();
    report.trace = Some(told.trace);
    report.decisions = told.decisions;
    report.ends = kept.ends;
    report.costs = kept.costs;
    Filled { why: told.why, explained: told.explained }
}

/// What an execution has broken: `findings` if there are any, otherwise `message`, according to
/// `kind`.
pub(super) fn broken(
    findings: &[Finding],
    kind: FailureKind,
    message: &str,
    schedule: &Schedule,
    mut why: Vec<String>,
) -> Broken {
    let (oracle, also) = match findings {
        [first, others @ ..] => (first.oracle, others.to_vec()),
        [] => (oracle_of(kind), Vec::new()),
    };
    if oracle == Oracle::DataRace {
        why.insert(
            0,
            "freeing a table, reinitialising a cell or writing what a lock protects needs it alone; \
             a lock, a flush or a wait for walkers would order the two"
                .to_owned(),
        );
    }
    Broken {
        oracle,
        code: None,
        what: vec![message.to_owned()],
        also,
        why,
        schedule: schedule.to_string(),
        steps: schedule.steps().len() as u64,
        switches: u64::from(schedule.switches()),
        from_steps: None,
        from_switches: None,
    }
}

/// What a search or a run has broken.
pub(super) fn failed(failure: &Failure, findings: &[Finding], why: Vec<String>) -> Broken {
    // Findings of an execution that cannot be reproduced are not reported.
    let findings = match failure.kind {
        FailureKind::Nondeterministic => &[],
        _ => findings,
    };
    let mut broken = broken(findings, failure.kind, &failure.message, &failure.schedule, why);
    if (failure.switches, failure.steps) < (failure.found.switches, failure.found.steps) {
        broken.from_steps = Some(failure.found.steps.into());
        broken.from_switches = Some(failure.found.switches.into());
    }
    broken
}

/// How many executions reached each goal, including those that a search by bounds ran again.
pub(crate) fn reached(plan: &Plan, counted: &[u64]) -> Vec<Reached> {
    let goals = plan.goals.iter().zip(counted);
    goals
        .map(|(goal, count)| {
            let during = goal.during.map(|what| format!(" during {}", what.as_str()));
            let what = format!("{}{}", goal.event, during.unwrap_or_default());
            Reached { what, count: *count }
        })
        .collect()
}

/// Records what an exploration counted.
pub(crate) fn count(report: &mut Report, found: &pinfold_explore::Report, reached: Vec<Reached>) {
    report.search.executions = found.executions;
    report.search.blocked = found.blocked;
    report.search.pruned = found.pruned;
    report.search.states = found.states;
    report.search.truncated = found.truncated;
    report.search.steps_max = u64::from(found.steps_max);
    report.search.seconds = found.elapsed.as_secs_f64();
    let outcomes = found.outcomes.iter();
    report.outcomes =
        outcomes.map(|(label, &count)| Outcome { label: label.clone(), count }).collect();
    report.reached = reached;
}

/// What a completed search leaves out, in words. Executions cut off are reported elsewhere.
pub(crate) fn leaves_out(
    scenario: &Scenario,
    options: &CheckOptions,
    found: &pinfold_explore::Report,
) -> Option<String> {
    match options.config.search {
        Strategy::Exhaustive { preemptions: None } => None,
        Strategy::Exhaustive { preemptions: Some(_) } => match &found.complete {
            Completeness::Bounded { why } if found.truncated == 0 => Some(why.clone()),
            _ => None,
        },
        Strategy::Random { runs, .. } => {
            Some(counted(runs.max(1), "random execution", "random executions"))
        }
        Strategy::Pct { depth, runs, .. } => {
            let (lanes, steps) = (scenario.lanes.len().max(1), found.spread?);
            let runs = runs.max(1);
            let made = counted(runs, "random execution", "random executions");
            Some(match options.config.model {
                Model::Sc => format!(
                    "{made}; p < {} that a bug of depth {depth} escapes them \
                     ({}, {})",
                    missed(lanes, steps, depth, runs),
                    counted(lanes, "lane", "lanes"),
                    counted(steps, "step", "steps")
                ),
                // The proof covers only the order of lanes. Here, old values are read at random,
                // too.
                Model::Tso | Model::Weak => {
                    format!("{made}; how much escapes them is known under --model sc only")
                }
            })
        }
    }
}

/// The probability that `runs` runs of PCT miss a bug of the given depth, rounded up. The first run
/// has no change of priority and finds only bugs of depth 1.
fn missed(lanes: usize, steps: u32, depth: u32, runs: u64) -> String {
    let changes = depth.saturating_sub(1);
    let found = 1.0 / (lanes as f64 * f64::from(steps).powi(changes.cast_signed()));
    let tries = if changes > 0 { runs.saturating_sub(1) } else { runs };
    let missed = (-found).ln_1p() * tries as f64 / std::f64::consts::LN_10;
    if missed < -2.0 {
        format!("1e{}", missed.ceil())
    } else {
        format!("{:.2}", (10f64.powf(missed) * 100.0).ceil() / 100.0)
    }
}

pub(super) fn bounds(scenario: &Scenario, options: &CheckOptions) -> Vec<String> {
    let machine = &scenario.machine;
    let preemptions = match options.config.search {
        Strategy::Exhaustive { preemptions: Some(most) } => {
            format!("at most {}", counted(most, "preemption", "preemptions"))
        }
        _ => "preemptions unlimited".to_owned(),
    };
    vec![
        counted(scenario.lanes.len(), "lane", "lanes"),
        counted(machine.frames(), "frame a node", "frames a node"),
        counted(machine.migrate_passes(), "migration pass", "migration passes"),
        preemptions,
    ]
}

pub(super) fn not_covered(scenario: &Scenario, model: Model) -> Vec<String> {
    let mut gaps = vec!["LRU batches".to_owned()];
    if scenario.machine.swap() == 0 {
        gaps.insert(0, "swap".to_owned());
    }
    match scenario.machine.thp() {
        Thp::Entries => gaps.insert(0, "PMD leaves".to_owned()),
        Thp::Pmd => {}
    }
    if model == Model::Sc {
        gaps.insert(0, "weak memory".to_owned());
    }
    gaps
}

pub(crate) fn identify(scenario: &Scenario, rules: &Rules, report: &Report) -> String {
    let schedule = report.broken.as_ref().map_or("", |broken| broken.schedule.as_str());
    let text = crate::scenario::format(scenario);
    let crate::report::Search { model, locks, strategy, .. } = &report.search;
    let search = format!("{model} {locks} {strategy}");
    id(&[&text, &rules.to_string(), env!("CARGO_PKG_VERSION"), &search, schedule])
}
