//! What an observation is worth, compared with what the model allows.
//!
//! INV-JUDGE-1: what could not be seen stays unknown. An outcome is named only when every fact that
//! decides on it is known; nothing unknown falls through to `otherwise`.
//! INV-JUDGE-2: an observation is allowed when some end of the model agrees with all of it that is
//! known.

use pinfold_lab::resolved::{Resolved, Stated};
use pinfold_lab::scenario::{ClaimMode, Polarity};
use pinfold_lab::{Ended, FAILED};
use serde::{Deserialize, Serialize};

use crate::job::{Found, Observation};

/// How a trial ended, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// The outcome's label; none if it is not known.
    pub label: Option<String>,
    /// Whether each line of `always` is broken; none if that is not known.
    pub broken: Vec<Option<bool>>,
    /// The steps that did not do what they should, in alphabetical order.
    pub failed: Vec<String>,
}

/// The outcome of an execution whose scenario names none.
const DONE: &str = "done";

/// Whether all of several hold, some of which may be unknown.
fn all(facts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut unknown = false;
    for fact in facts {
        match fact {
            Some(false) => return Some(false),
            Some(true) => {}
            None => unknown = true,
        }
    }
    (!unknown).then_some(true)
}

/// Whether a fact holds. What is about something that was not made does not.
fn holds(found: &[Found], stated: &Stated) -> Option<bool> {
    let found = found.get(stated.fact)?;
    if !found.made {
        return Some(false);
    }
    match stated.polarity {
        Polarity::Affirmed => found.is,
        Polarity::Denied => found.is.map(|is| !is),
    }
}

/// The same in a line of `always` that must hold: what was not made is left out of it.
fn holds_if_made(found: &[Found], stated: &Stated) -> Option<bool> {
    match found.get(stated.fact) {
        Some(found) if !found.made => Some(true),
        _ => holds(found, stated),
    }
}

/// How a trial ended: INV-JUDGE-1.
pub(crate) fn outcome(plan: &Resolved, seen: &Observation) -> Outcome {
    if !seen.failed.is_empty() {
        let mut failed: Vec<String> =
            seen.failed.iter().map(|failed| failed.step.clone()).collect();
        failed.sort();
        return Outcome { label: Some(FAILED.to_owned()), broken: Vec::new(), failed };
    }
    let broken = plan.always.iter().map(|claim| {
        let kept = match claim.mode {
            ClaimMode::Holds => {
                all(claim.facts.iter().map(|fact| holds_if_made(&seen.facts, fact)))
            }
            ClaimMode::Never => {
                all(claim.facts.iter().map(|fact| holds(&seen.facts, fact))).map(|holds| !holds)
            }
        };
        kept.map(|kept| !kept)
    });
    Outcome { label: label(plan, &seen.facts), broken: broken.collect(), failed: Vec::new() }
}

/// The first outcome that holds, unless one before it is unknown.
fn label(plan: &Resolved, found: &[Found]) -> Option<String> {
    for outcome in &plan.outcomes {
        if all(outcome.when.iter().map(|fact| holds(found, fact)))? {
            return Some(outcome.name.clone());
        }
    }
    Some(DONE.to_owned())
}

impl Outcome {
    /// Whether an end of the model agrees with all that is known: INV-JUDGE-2.
    pub fn agrees(&self, ended: &Ended) -> bool {
        let label = self.label.as_ref().is_none_or(|label| *label == ended.outcome);
        let mut broken = self.broken.iter().enumerate();
        label
            && self.failed == ended.failed
            && broken.all(|(at, broken)| broken.is_none_or(|is| is == ended.broken.contains(&at)))
    }

    /// Whether everything about it is known.
    pub fn is_known(&self) -> bool {
        self.label.is_some() && self.broken.iter().all(Option::is_some)
    }

    /// Whether anything about it is known.
    pub fn is_comparable(&self) -> bool {
        self.label.is_some() || self.broken.iter().any(Option::is_some)
    }

    /// The outcome in words: its label, and what it breaks.
    pub fn told(&self, plan: &Resolved) -> String {
        let label = self.label.as_deref().unwrap_or("unknown");
        let broken = self.broken.iter().enumerate().filter(|(_, broken)| **broken == Some(true));
        tell(label, broken.map(|(at, _)| at), &self.failed, plan)
    }
}

/// An end of the model in the same words.
pub(crate) fn told(ended: &Ended, plan: &Resolved) -> String {
    tell(&ended.outcome, ended.broken.iter().copied(), &ended.failed, plan)
}

fn tell(
    label: &str,
    broken: impl Iterator<Item = usize>,
    failed: &[String],
    plan: &Resolved,
) -> String {
    let claims = broken.filter_map(|at| plan.always.get(at)).map(|claim| claim.text.clone());
    let breaks: Vec<String> = claims.chain(failed.iter().cloned()).collect();
    match breaks.is_empty() {
        true => label.to_owned(),
        false => format!("{label}, against: {}", breaks.join("; ")),
    }
}
