//! A random look before a long search continues, one for a plainer failure, and the full search
//! beside one with a bound.
//!
//! A depth-first search varies the end of an execution for a long time before it returns to the
//! beginning, so it finds late what a random search finds at once. A search that does not finish
//! soon is therefore interrupted, some executions are made at random, and the search continues
//! where it was interrupted.
//!
//! A search without memory of states that is not done after many more executions is begun anew
//! with it, if the options say so: most searches are shorter without, but not the long ones.
//!
//! A bound on preemptions is searched without reduction, so a generous one costs more than all
//! executions do, reduced. Both searches are therefore made in turns, and the first that is done
//! decides.
//!
//! INV-LOOK-1: random executions that break nothing are not counted: a search that passes does so
//! by the exhaustive search alone.
//! INV-LOOK-2: whether there is a look depends only on the number of executions, so a search has
//! the same result everywhere.
//! INV-LOOK-3: a search with a bound makes all executions within it, or the full search is done:
//! then nothing is left out. It makes about twice as many executions as the cheaper of the two, at
//! most. What the other made is not counted.
//! INV-LOOK-4: what a search made before it was begun anew with memory is not counted, but for the
//! bound on executions and for its time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pinfold_explore::{
    Budget, Completeness, Config, FailureKind, Model, Progress as At, Report as Outcome,
    Search as Strategy, States, explore,
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
    if let Strategy::Exhaustive { preemptions: Some(_) } = options.config.search {
        return bounded(plan, pieces, trial, config);
    }
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
    let resume = Some(position);
    if options.remember > 0 || options.remember_long == 0 {
        let rest = pieces.explore(&mut trial, &Config { resume, ..config });
        return Searched::of(trial, pieces.sum(rest));
    }
    let most = Some(CheckOptions::LONG - PATIENCE);
    let more = Config { resume, max_executions: most, ..config.clone() };
    let more = pieces.explore(&mut trial, &more);
    let all = pieces.join(more);
    if all.position.is_none() || all.begun() < CheckOptions::LONG || pieces.is_over(&config) {
        return Searched::of(trial, all);
    }
    anew(plan, pieces, config)
}

/// Searches from the beginning with memory of states: INV-LOOK-4.
fn anew(plan: &Arc<Plan>, mut pieces: Pieces<'_>, config: Config) -> Searched {
    let mut trial = Trial::new(plan, Keep::Verdict);
    let states = Some(States::new(pieces.options.remember_long));
    let result = pieces.explore(&mut trial, &Config { states, ..config });
    Searched::of(trial, Outcome { elapsed: pieces.elapsed(), ..result })
}

/// The executions that each of two searches first makes in its turn.
const TURN: u64 = 64;

/// One of two searches that are made in turns.
struct Side {
    trial: Trial,
    config: Config,
    counted: Option<Outcome>,
}

impl Side {
    /// Makes so many executions more.
    fn turn(&mut self, pieces: &mut Pieces<'_>, executions: u64) -> Turn {
        let max_executions = Some(executions);
        let resume = self.counted.as_ref().and_then(|counted| counted.position.clone());
        pieces.counted = self.counted.take();
        let config = Config { max_executions, resume, ..self.config.clone() };
        let piece = pieces.explore(&mut self.trial, &config);
        let all = pieces.join(piece);
        if all.position.is_none() || all.failure.is_some() {
            return Turn::Done(all);
        }
        if pieces.is_over(&self.config) {
            return Turn::Interrupted(all);
        }
        self.counted = Some(all);
        Turn::GoesOn
    }
}

/// How a turn ended, and what its search has counted.
enum Turn {
    /// The search is done, or found a failure.
    Done(Outcome),
    /// Time, a request or the limit on executions ended it.
    Interrupted(Outcome),
    /// It has made its executions.
    GoesOn,
}

/// Searches within a bound on preemptions and without one, in turns: INV-LOOK-3.
fn bounded(plan: &Arc<Plan>, mut pieces: Pieces<'_>, trial: Trial, config: Config) -> Searched {
    let budget = config.max_executions.map(Budget::new);
    let config = Config { max_executions: None, budget, ..config };
    let search = Strategy::Exhaustive { preemptions: None };
    let unbounded = Config { search, ..config.clone() };
    let other = Trial::new(plan, Keep::Verdict);
    let mut within = Side { trial, config, counted: None };
    let mut full = Side { trial: other, config: unbounded, counted: None };
    let mut executions = TURN;
    loop {
        match within.turn(&mut pieces, executions) {
            Turn::Done(result) | Turn::Interrupted(result) => {
                return Searched::of(within.trial, result);
            }
            Turn::GoesOn => {}
        }
        match full.turn(&mut pieces, executions) {
            Turn::Done(result) => {
                return Searched { look: Some(search), ..Searched::of(full.trial, result) };
            }
            Turn::Interrupted(result) => {
                // What was asked for is told, and why it went no further.
                let Some(asked) = within.counted else { return Searched::of(full.trial, result) };
                let result = Outcome { complete: result.complete, ..asked };
                return Searched::of(within.trial, result);
            }
            Turn::GoesOn => {}
        }
        executions = executions.saturating_mul(2);
    }
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

    /// Whether time, a request or the limit on executions ends the search here.
    fn is_over(&self, config: &Config) -> bool {
        let late = config.deadline.is_some_and(|time| self.elapsed() >= time);
        let asked = config.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        late || asked || config.budget.as_ref().is_some_and(Budget::is_spent)
    }

    /// The combined result of the earlier pieces and the last one.
    fn sum(mut self, last: Outcome) -> Outcome {
        self.join(last)
    }

    /// The same, of which more pieces may follow.
    fn join(&mut self, last: Outcome) -> Outcome {
        let elapsed = self.elapsed();
        let Some(before) = self.counted.take() else { return last };
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
