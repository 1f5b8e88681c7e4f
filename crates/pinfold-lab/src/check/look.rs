//! A random look before a long search continues, and one for a plainer failure.
//!
//! A depth-first search varies the end of an execution for a long time before it returns to the
//! beginning, so it finds late what a random search finds at once. A search that does not finish
//! soon is therefore interrupted, some executions are made at random, and the search continues
//! where it was interrupted.
//!
//! INV-LOOK-1: random executions that break nothing are not counted: a search that passes does so
//! by the exhaustive search alone.
//! INV-LOOK-2: whether there is a look depends only on the number of executions, so a search has
//! the same result everywhere.

use std::sync::Arc;
use std::time::Duration;

use pinfold_explore::{
    Budget, Completeness, Config, FailureKind, Model, Progress as At, Report as Outcome,
    Search as Strategy, explore,
};

use super::options::{CheckOptions, Detail, Progress};
use super::trial::{Found, Keep, Trial};
use crate::counted::counted;
use crate::report::Report;
use crate::world::Plan;

/// The number of executions after which a search counts as long.
const PATIENCE: u64 = 5_000;
/// The random executions to make.
const LOOKS: [Strategy; 3] = [
    Strategy::Random { seed: 0, runs: 1_000 },
    Strategy::Pct { depth: 2, seed: 0, runs: 1_000 },
    Strategy::Pct { depth: 3, seed: 0, runs: 1_000 },
];

/// A failure that is easier to follow, if one is found soon: where no access is late, though the
/// model would allow it. What is valid under sequential consistency is valid under every model, so
/// the failure is repeated as any other. Otherwise the one that was found.
pub(super) fn plainest(
    plan: &Arc<Plan>,
    report: &Report,
    options: &CheckOptions,
    found: Found,
) -> Found {
    let late = found.failure.schedule.steps().iter().any(|step| step.choice > 0);
    let told = options.detail == Detail::Story && !found.kept.journal.lines.is_empty();
    if !late || !told || report.search.model == Model::Sc {
        return found;
    }
    let (time, started) = (&options.config.time, options.config.time.now());
    let spent = Duration::from_secs_f64(report.search.seconds);
    for search in LOOKS.into_iter().chain([Strategy::Exhaustive { preemptions: None }]) {
        let deadline = options.config.deadline;
        let config = Config {
            model: Model::Sc,
            search,
            max_executions: Some(options.config.max_executions.unwrap_or(PATIENCE).min(PATIENCE)),
            deadline: deadline.map(|all| all.saturating_sub(spent + time.since(started))),
            ..options.explored()
        };
        let mut trial = Trial::new(plan, Keep::Verdict);
        let Some(failure) = explore(&mut trial, &config, &mut |_| {}).failure else { continue };
        let plain = trial.found(failure);
        let repeats = match plain.failure.kind {
            FailureKind::Unsupported | FailureKind::Nondeterministic => false,
            FailureKind::Judged
            | FailureKind::Failed
            | FailureKind::Panicked
            | FailureKind::Deadlock
            | FailureKind::DataRace => true,
        };
        // Nothing is kept where there was no time to confirm it.
        if repeats && !plain.kept.journal.lines.is_empty() {
            return plain;
        }
    }
    found
}

/// The result of a search.
pub(super) struct Searched {
    pub(super) result: Outcome,
    pub(super) found: Option<Found>,
    /// How many executions reached each goal.
    pub(super) reached: Vec<u64>,
    /// The look that found the failure, if a look found it.
    pub(super) look: Option<Strategy>,
}

/// Searches as `options` say, with a random look if that takes long.
pub(super) fn search(
    plan: &Arc<Plan>,
    options: &CheckOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Searched {
    let mut trial = Trial::new(plan, Keep::Verdict);
    let mut pieces =
        Pieces { options, progress, started: options.config.time.now(), counted: None };
    let config = options.explored();
    let whole = options.config.search != (Strategy::Exhaustive { preemptions: None })
        // Where no more may be made, there is nothing to look around for.
        || options.config.max_executions.is_some_and(|most| most <= PATIENCE);
    if whole {
        let result = pieces.explore(&mut trial, &config);
        return Searched::of(trial, result);
    }
    let budget = options.config.max_executions.map(Budget::new);
    let config = Config { max_executions: None, budget, ..config };
    let patient = Config { max_executions: Some(PATIENCE), ..config.clone() };
    let begun = pieces.explore(&mut trial, &patient);
    let Some(position) = begun.position.clone().filter(|_| is_long(&begun)) else {
        return Searched::of(trial, begun);
    };
    pieces.counted = Some(begun);
    for look in LOOKS {
        let mut other = Trial::new(plan, Keep::Verdict);
        let random = Config { search: look, budget: None, ..config.clone() };
        let result = pieces.explore(&mut other, &random);
        if result.failure.is_some() {
            let reached = trial.reached.counts();
            return Searched {
                reached,
                look: Some(look),
                ..Searched::of(other, pieces.sum(result))
            };
        }
    }
    let rest = pieces.explore(&mut trial, &Config { resume: Some(position), ..config });
    Searched::of(trial, pieces.sum(rest))
}

impl Searched {
    fn of(trial: Trial, mut result: Outcome) -> Self {
        let reached = trial.reached.counts();
        let found = result.failure.take().map(|failure| trial.found(failure));
        Self { result, found, reached, look: None }
    }
}

/// Whether the search was ended by `PATIENCE`.
fn is_long(begun: &Outcome) -> bool {
    begun.failure.is_none() && begun.begun() >= PATIENCE
}

/// The pieces of one search.
struct Pieces<'a> {
    options: &'a CheckOptions,
    progress: &'a mut dyn FnMut(&Progress),
    started: Duration,
    /// What the earlier pieces counted.
    counted: Option<Outcome>,
}

impl Pieces<'_> {
    /// Explores within the time that is left.
    fn explore(&mut self, trial: &mut Trial, config: &Config) -> Outcome {
        let deadline = self.options.config.deadline.map(|time| time.saturating_sub(self.elapsed()));
        let [before, blocked, pruned, truncated] =
            self.counted.as_ref().map_or([0; 4], |counted| {
                [counted.executions, counted.blocked, counted.pruned, counted.truncated]
            });
        let looks = config.search != self.options.config.search;
        let (time, started) = (&self.options.config.time, self.started);
        let progress = &mut self.progress;
        explore(trial, &Config { deadline, ..config.clone() }, &mut |at: &At| {
            // A look is not counted (INV-LOOK-1), so it does not show either.
            let counted = |number| if looks { 0 } else { number };
            let search = At {
                executions: before + counted(at.executions),
                blocked: blocked + counted(at.blocked),
                pruned: pruned + counted(at.pruned),
                truncated: truncated + counted(at.truncated),
                bound: at.bound,
                ahead: at.ahead.filter(|_| !looks),
                elapsed: time.since(started),
            };
            progress(&Progress { search, jobs: None });
        })
    }

    fn elapsed(&self) -> Duration {
        self.options.config.time.since(self.started)
    }

    /// The combined result of the earlier pieces and the last one.
    fn sum(self, last: Outcome) -> Outcome {
        let elapsed = self.elapsed();
        let Some(before) = self.counted else { return last };
        let mut sum = Outcome { elapsed, ..last };
        sum.executions += before.executions;
        sum.blocked += before.blocked;
        sum.pruned += before.pruned;
        sum.states += before.states;
        sum.truncated += before.truncated;
        sum.steps_max = sum.steps_max.max(before.steps_max);
        for (outcome, count) in before.outcomes {
            *sum.outcomes.entry(outcome).or_default() += count;
        }
        let late = self.options.config.deadline.is_some_and(|time| elapsed >= time);
        sum.complete = match sum.complete {
            // The last piece reports its own time.
            Completeness::Bounded { .. } if late && sum.position.is_some() => {
                Completeness::Bounded {
                    why: format!("stopped after {:.1} s", elapsed.as_secs_f64()),
                }
            }
            Completeness::Exhausted if sum.truncated > 0 => Completeness::Bounded {
                why: format!(
                    "{} reached {}",
                    counted(sum.truncated, "execution", "executions"),
                    counted(self.options.config.max_steps, "step", "steps")
                ),
            },
            complete => complete,
        };
        sum
    }
}
