//! Carries a scenario out many times through an agent, and compares what is seen with the model.
//!
//! INV-CONTROLLER-1: a trial that could not be carried out is no observation: after one the answer
//! is an error, whatever else was seen, unless something forbidden was.
//! INV-CONTROLLER-2: what was seen and is not among the ends of a search that did not finish is not
//! called forbidden.
//! INV-CONTROLLER-3: what is seen only where lanes were repeated is compared with a model that
//! repeats them, too.

use std::collections::BTreeMap;

use pinfold_lab::resolved::Resolved;
use pinfold_lab::{Ended, Ends};

use crate::agent::Agent;
use crate::fit;
use crate::job::{Ask, Conduct, Observation, Say, is_amplifier};
use crate::judge::{self, Outcome, told};
use crate::kernel::Kernel;
use crate::order::{Random, orders};
use crate::report::{Allowed, Beyond, FORMAT, KernelReport, Layer, Row, Verdict};

/// Which trials are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most orders of whole steps; 0 leaves them out.
    pub orders: usize,
    /// The trials of each of them.
    pub repetitions: u32,
    /// The trials in which lanes run at the same time.
    pub free: u32,
    /// The trials in which lanes that only move or scan are repeated until the others end.
    pub amplified: u32,
    /// From which delays and samples follow.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { orders: 100, repetitions: 3, free: 200, amplified: 40, seed: 0 }
    }
}

/// What is compared.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The scenario.
    pub plan: &'a Resolved,
    /// Where it was found, for the report.
    pub path: &'a str,
    /// What the model allows.
    pub ends: &'a Ends,
    /// What it allows when the lanes that only move or scan do so twice. Asked at most once, and
    /// only if a trial that repeats them shows what is not among `ends`.
    pub repeated: &'a dyn Fn() -> Ends,
    /// The kernel, with the rules under which the ends were searched.
    pub kernel: &'a Kernel,
}

/// Everything that was seen.
struct Seen {
    layers: Vec<Layer>,
    /// How often, for each kind of trial.
    outcomes: BTreeMap<Outcome, Vec<u64>>,
    /// The first trial that no end of the model agrees with.
    strange: Option<(Conduct, Outcome, Observation)>,
    /// What the model allows of lanes that are repeated, once that was needed.
    repeated: Option<Ends>,
}

/// Why no scenario of this plan would be carried out; none if it would. Asks nothing of the model.
pub fn skipped(
    plan: &Resolved,
    path: &str,
    kernel: &Kernel,
    agent: &dyn Agent,
) -> Option<KernelReport> {
    let features = agent.features();
    let missing = fit::missing(plan, features);
    let verdict = Verdict::Skip;
    let report = KernelReport::empty(&plan.scenario, path, kernel.clone(), features.clone());
    if missing.is_empty() { None } else { Some(KernelReport { verdict, missing, ..report }) }
}

/// Carries the scenario out and compares.
pub fn compare(question: &Question<'_>, options: &Options, agent: &mut dyn Agent) -> KernelReport {
    let &Question { plan, path, ends, kernel, .. } = question;
    if let Some(report) = skipped(plan, path, kernel, agent) {
        return report;
    }
    let features = agent.features().clone();
    let mut report = KernelReport::empty(&plan.scenario, path, kernel.clone(), features.clone());
    report.executions = ends.executions;
    report.not_compared = fit::not_compared(plan, &features);
    let before = counters(agent);
    let mut seen =
        Seen { layers: Vec::new(), outcomes: BTreeMap::new(), strange: None, repeated: None };
    let mut trouble = match agent.ask(&Ask::Plan(Box::new(plan.clone()))) {
        Ok(Say::Understood) => None,
        Ok(Say::Trouble(why)) => Some(why),
        Ok(other) => Some(format!("the agent answered {other:?}")),
        Err(error) => Some(error.to_string()),
    };
    if trouble.is_none() {
        trouble = trials(question, options, agent, &mut seen, &mut report).err();
    }
    let grown = counters(agent).into_iter().map(|(name, after)| {
        let grown = after.saturating_sub(before.get(&name).copied().unwrap_or(0));
        (name, grown)
    });
    report.evidence = grown.filter(|(_, grown)| *grown > 0).collect();
    report.rows = rows(question, &seen);
    report.layers = seen.layers.clone();
    judged(report, question, seen, trouble)
}

/// The counters; none if there is no answer, of which the trials tell more.
fn counters(agent: &mut dyn Agent) -> BTreeMap<String, u64> {
    match agent.ask(&Ask::Counters) {
        Ok(Say::Counters(counters)) => counters,
        _ => BTreeMap::new(),
    }
}

/// All trials, until one cannot be carried out.
fn trials(
    question: &Question<'_>,
    options: &Options,
    agent: &mut dyn Agent,
    seen: &mut Seen,
    report: &mut KernelReport,
) -> Result<(), String> {
    if options.orders > 0 {
        let tried = orders(question.plan, options.orders, options.seed);
        if tried.sampled {
            let count = tried.orders.len();
            report.not_compared.push(format!("orders of whole steps beyond a sample of {count}"));
        }
        let conducts = tried.orders.into_iter().flat_map(|order| {
            std::iter::repeat_n(Conduct::Whole(order), options.repetitions as usize)
        });
        layer("whole orders", conducts, question, agent, seen)?;
    }
    if let Some(why) = fit::only_whole(question.plan) {
        report.not_compared.push(why);
    } else if question.plan.lanes.len() > 1 && options.free > 0 {
        let mut random = Random::new(options.seed);
        let conducts = (0..options.free).map(|_| Conduct::Free { seed: random.number() });
        layer("free runs", conducts, question, agent, seen)?;
    }
    let lanes = &question.plan.lanes;
    let repeats = lanes.len() > 1 && lanes.iter().any(is_amplifier);
    if fit::only_whole(question.plan).is_none() && repeats && options.amplified > 0 {
        let mut random = Random::new(options.seed);
        let conducts = (0..options.amplified).map(|_| Conduct::Amplified { seed: random.number() });
        layer("amplified", conducts, question, agent, seen)?;
    }
    Ok(())
}

/// The trials of one kind.
fn layer(
    name: &str,
    conducts: impl Iterator<Item = Conduct>,
    question: &Question<'_>,
    agent: &mut dyn Agent,
    seen: &mut Seen,
) -> Result<(), String> {
    let index = seen.layers.len();
    seen.layers.push(Layer { name: name.to_owned(), trials: 0 });
    for conduct in conducts {
        let observation = match agent.ask(&Ask::Trial(conduct.clone())) {
            Ok(Say::Seen(observation)) => observation,
            Ok(Say::Trouble(why)) => return Err(format!("{why} ({conduct})")),
            Ok(other) => return Err(format!("the agent answered {other:?} ({conduct})")),
            Err(error) => return Err(format!("{error} ({conduct})")),
        };
        let wanted = question.plan.facts.len();
        if observation.failed.is_empty() && observation.facts.len() != wanted {
            return Err(format!("{} of {wanted} facts answered", observation.facts.len()));
        }
        seen.layers[index].trials += 1;
        let outcome = judge::outcome(question.plan, &observation);
        let counts = seen.outcomes.entry(outcome.clone()).or_default();
        counts.resize(counts.len().max(index + 1), 0);
        counts[index] += 1;
        if seen.strange.is_none() && !allows(question, seen, &conduct, &outcome) {
            seen.strange = Some((conduct, outcome, observation));
        }
    }
    Ok(())
}

/// Whether the model allows an outcome of such a trial: INV-CONTROLLER-3.
fn allows(question: &Question<'_>, seen: &mut Seen, conduct: &Conduct, outcome: &Outcome) -> bool {
    let repeats = matches!(conduct, Conduct::Amplified { .. });
    is_allowed(outcome, question.ends)
        || repeats && {
            let repeated = seen.repeated.get_or_insert_with(|| (question.repeated)());
            repeated.incomplete.is_some() || is_allowed(outcome, repeated)
        }
}

fn is_allowed(outcome: &Outcome, ends: &Ends) -> bool {
    ends.met.keys().any(|ended| outcome.agrees(ended))
}

/// The table: first what the model allows, then what it does not, then what is unknown.
fn rows(question: &Question<'_>, seen: &Seen) -> Vec<Row> {
    let Question { plan, ends, .. } = question;
    let padded = |counts: &[u64]| {
        (0..seen.layers.len()).map(|layer| counts.get(layer).copied().unwrap_or(0)).collect()
    };
    let known = |ended: &Ended| {
        seen.outcomes.iter().find(|(outcome, _)| outcome.is_known() && outcome.agrees(ended))
    };
    let allowed = if ends.met.len() == 1 && ends.incomplete.is_none() {
        Allowed::Always
    } else {
        Allowed::Sometimes
    };
    let mut rows: Vec<Row> = ends
        .met
        .keys()
        .map(|ended| Row {
            outcome: told(ended, plan),
            model: Some(allowed),
            seen: padded(known(ended).map_or(&[], |(_, counts)| counts)),
        })
        .collect();
    let others = seen
        .outcomes
        .iter()
        .filter(|(outcome, _)| !outcome.is_known() || !is_allowed(outcome, ends));
    let repeated =
        |outcome: &Outcome| seen.repeated.as_ref().is_some_and(|ends| is_allowed(outcome, ends));
    rows.extend(others.map(|(outcome, counts)| Row {
        outcome: match (outcome.is_known(), repeated(outcome)) {
            (false, _) => format!("{} (in part unknown)", outcome.told(plan)),
            (true, true) => format!("{} (of repeated lanes)", outcome.told(plan)),
            (true, false) => outcome.told(plan),
        },
        model: match (is_allowed(outcome, ends), repeated(outcome)) {
            (true, _) => None,
            (false, true) => Some(Allowed::Sometimes),
            (false, false) => Some(Allowed::Never),
        },
        seen: padded(counts),
    }));
    rows
}

/// The verdict.
fn judged(
    mut report: KernelReport,
    question: &Question<'_>,
    seen: Seen,
    trouble: Option<String>,
) -> KernelReport {
    let Question { plan, ends, kernel, .. } = question;
    match (seen.strange, &ends.incomplete) {
        (Some((conduct, outcome, observation)), None) => {
            let failed = observation.failed.iter();
            report.verdict = Verdict::Beyond;
            report.beyond = Some(Box::new(Beyond {
                pinfold: FORMAT,
                kernel: (*kernel).clone(),
                plan: (*plan).clone(),
                conduct,
                outcome,
                failed: failed.map(|failed| format!("{}: {}", failed.step, failed.what)).collect(),
                facts: observation.facts,
                allowed: ends.met.keys().map(|ended| told(ended, plan)).collect(),
            }));
            return report;
        }
        // INV-CONTROLLER-2.
        (Some((_, outcome, _)), Some(why)) => {
            let outcome = outcome.told(plan);
            let what = format!("{outcome} was seen; the model's search is not complete: {why}");
            return report.because(Verdict::Error, what);
        }
        (None, _) => {}
    }
    if let Some(why) = trouble {
        return report.because(Verdict::Error, why);
    }
    if !seen.outcomes.keys().any(Outcome::is_comparable) {
        return report.because(Verdict::Skip, "nothing of what the scenario states can be seen");
    }
    let met = |ended: &Ended| {
        seen.outcomes.keys().any(|outcome| outcome.is_known() && outcome.agrees(ended))
    };
    report.verdict = match ends.incomplete.is_none() && ends.met.keys().all(met) {
        true => Verdict::Agree,
        false => Verdict::Within,
    };
    if let Some(why) = &ends.incomplete {
        report.not_compared.push(format!("outcomes that the model's search did not reach: {why}"));
    }
    report
}

/// What one trial of a program shows, of which one step runs after another.
///
/// # Errors
/// Why there is no answer: a step that cannot be carried out here, an agent without an answer, or
/// nothing that can be seen.
pub fn observe(plan: &Resolved, agent: &mut dyn Agent) -> Result<Outcome, String> {
    if let Some(missing) = fit::missing(plan, agent.features()).first() {
        return Err(format!("{}: {}", missing.step, missing.why));
    }
    let told = |why: crate::agent::AgentError| why.to_string();
    match agent.ask(&Ask::Plan(Box::new(plan.clone()))).map_err(told)? {
        Say::Understood => {}
        Say::Trouble(why) => return Err(why),
        other => return Err(format!("the agent answered {other:?}")),
    }
    let order = orders(plan, 1, 0).orders.into_iter().next().unwrap_or_default();
    match agent.ask(&Ask::Trial(Conduct::Whole(order))).map_err(told)? {
        Say::Seen(seen) => Some(judge::outcome(plan, &seen))
            .filter(Outcome::is_comparable)
            .ok_or_else(|| "nothing can be seen".to_owned()),
        Say::Trouble(why) => Err(why),
        other => Err(format!("the agent answered {other:?}")),
    }
}
