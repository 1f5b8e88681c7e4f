//! The loop over executions.

use crate::{
    budget::{Budget, Spent},
    engine::{End, Engine, Watch},
    hook::{self, Installed, Phase},
    job::{Job, Range},
    lane::{self, Lanes, MAX_LANES, NewLane, Runner},
    model::Model,
    position::{Position, Stand},
    report::{Completeness, Failure, FailureKind, Length, Progress, Report},
    schedule::Schedule,
    search::{Advance, Dpor, Naive, Pct, Random, Strategy},
    shrink,
};
use std::{
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How the lanes of an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    /// All returned.
    Finished,
    /// One failed, panicked, or all that were left waited for each other. The failure stands,
    /// whatever is judged; the subject may tear down.
    Failed {
        /// What kind of thing went wrong.
        kind: FailureKind,
        /// The lane, counted from 0.
        lane: usize,
        /// What went wrong.
        message: &'a str,
    },
}

/// What a subject thinks of a finished execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// All is well.
    Pass {
        /// A name for what happened; equal names are counted together.
        outcome: String,
    },
    /// Something is wrong.
    Fail {
        /// A name for what happened.
        outcome: String,
        /// What is wrong.
        message: String,
    },
}

/// Something to explore.
pub trait Subject {
    /// What the lanes of one execution share and the judge looks at.
    type World;

    /// Builds a fresh world and its lanes. Runs alone; hooks are inactive.
    fn build(&mut self, lanes: &mut Lanes<'_>) -> Self::World;

    /// Judges what an execution left behind. Runs alone; hooks are inactive.
    fn judge(&mut self, world: Self::World, ending: Ending<'_>) -> Judgement;
}

/// What instrumented locks are in an exploration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LockForm {
    /// Objects of the explorer, which take one step to take and one to give back, and in which nobody
    /// spins.
    #[default]
    Object,
    /// Their own code, on cells. Far more executions.
    Code,
}

/// How to go through the executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// All of them.
    Exhaustive {
        /// With a bound: all executions that switch away from a lane that could go on at most so
        /// often, fewest first. Without: all, reduced to one of each set of equivalent ones as far
        /// as possible. A failure found this way is cut to few switches afterwards.
        preemptions: Option<u32>,
    },
    /// A number of random ones. Run `i` of seed `s` is run 0 of seed `s + i`.
    Random {
        /// Where the random numbers start.
        seed: u64,
        /// How many executions.
        runs: u64,
    },
    /// A number of random ones that find each bug of small depth with a known probability (PCT).
    ///
    /// With `n` lanes and `k` steps, a run finds a bug of depth `d` with probability at least
    /// `1 / (n * k^(d - 1))`. Here `k` is the length of the first run, which has no change of
    /// priority and so finds bugs of depth 1 only. It is the same for all runs, whoever does them;
    /// changes that a bug needs at later steps than that are never made, and such bugs have no
    /// bound.
    Pct {
        /// How many ordering constraints the bugs looked for have, at least 1.
        depth: u32,
        /// Where the random numbers start.
        seed: u64,
        /// How many executions.
        runs: u64,
    },
}

/// What to explore under, and for how long.
#[derive(Clone, Debug)]
pub struct Config {
    /// The memory model.
    pub model: Model,
    /// What locks are, for subjects whose locks ask [`hook::locks_are_code`].
    pub locks: LockForm,
    /// How to go through the executions.
    pub search: Search,
    /// Explore only this part of the search. A search with a bound on preemptions has no parts.
    pub job: Option<Job>,
    /// Go on from here instead of beginning: [`Report::position`] of the same search and job.
    pub resume: Option<Position>,
    /// Stop after so many executions.
    pub max_executions: Option<u64>,
    /// Stop when nothing is left of this; other explorations may draw on it, too.
    pub budget: Option<Budget>,
    /// Leave an execution after so many steps.
    pub max_steps: u32,
    /// Stop after so much time, within an execution if need be. Cutting a failure may take as long
    /// again.
    pub deadline: Option<Duration>,
    /// Stop when this becomes true, within an execution if need be; a failure is then cut no further.
    pub stop: Option<Arc<AtomicBool>>,
    /// Stop before the next execution when this becomes true; a failure is cut all the same.
    pub pause: Option<Arc<AtomicBool>>,
    /// How many executions to spend on cutting a failure to few switches; zero leaves it as it was
    /// found. They are not counted in the report.
    pub shrink_runs: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: Model::default(),
            locks: LockForm::default(),
            search: Search::Exhaustive { preemptions: None },
            job: None,
            resume: None,
            max_executions: None,
            budget: None,
            max_steps: 10_000,
            deadline: None,
            stop: None,
            pause: None,
            shrink_runs: 2_000,
        }
    }
}

impl Config {
    pub(crate) fn strategy(&self) -> Box<dyn Strategy> {
        let stand = self.resume.as_ref().map(|position| &position.0);
        match self.search {
            Search::Exhaustive { preemptions: None } => {
                let mut search = self.job.as_ref().map_or_else(Dpor::default, Dpor::within);
                if let Some(Stand::Reduced { trail, branches }) = stand {
                    search.resume(*trail, branches);
                }
                Box::new(search)
            }
            Search::Exhaustive { preemptions: Some(bound) } => {
                let mut search = Naive::new(bound);
                if let Some(Stand::Bounded(stand)) = stand {
                    search.resume(stand);
                }
                Box::new(search)
            }
            Search::Random { seed, runs } => {
                let Range { first, count, .. } = self.runs(runs);
                let mut search = Random::new(seed, first, count);
                if let Some(Stand::Random { run, .. }) = stand {
                    search.resume(*run);
                }
                Box::new(search)
            }
            Search::Pct { depth, seed, runs } => {
                let Range { first, count, length } = self.runs(runs);
                let mut search = Pct::new(depth, seed, first, count, length);
                if let Some(Stand::Pct { run, length, .. }) = stand {
                    search.resume(*run, *length);
                }
                Box::new(search)
            }
        }
    }

    /// The runs of a random search that has so many, or of the job at hand.
    fn runs(&self, all: u64) -> Range {
        let whole = Range { first: 0, count: all.max(1), length: None };
        self.job.as_ref().and_then(Job::runs).unwrap_or(whole)
    }

    /// Why the exploration cannot start, if it cannot.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        if hook::phase() != Phase::Idle {
            return Some("an exploration already runs on this thread; start this one outside it");
        }
        let job = self.job.as_ref().filter(|job| !job.is_whole());
        let fits = |job: &Job| match self.search {
            Search::Exhaustive { preemptions: None } => job.runs().is_none(),
            Search::Exhaustive { preemptions: Some(_) } => false,
            Search::Random { runs, .. } => job.runs().is_some_and(|range| range.is_within(runs)),
            Search::Pct { runs, .. } => {
                job.runs().is_some_and(|range| range.is_within(runs) && range.length.is_some())
            }
        };
        if job.is_some_and(|job| !fits(job)) {
            return Some("the job is not one of this search; leave it out, or divide this search");
        }
        let stand = self.resume.as_ref().map(|position| &position.0);
        stand
            .is_some_and(|stand| !self.goes_on_from(stand))
            .then_some("the position is not one of this search; begin the search anew")
    }

    /// Whether a search that stands there may be this one.
    fn goes_on_from(&self, stand: &Stand) -> bool {
        match (self.search, stand) {
            (Search::Exhaustive { preemptions: None }, Stand::Reduced { .. }) => true,
            (Search::Exhaustive { preemptions: Some(last) }, Stand::Bounded(stand)) => {
                stand.bound <= last
            }
            (Search::Random { seed, runs }, Stand::Random { seed: known, run }) => {
                seed == *known && self.runs(runs).contains(*run)
            }
            (
                Search::Pct { depth, seed, runs },
                Stand::Pct { depth: deep, seed: known, run, length },
            ) => {
                let range = self.runs(runs);
                let told = length.is_some() || *run == 0;
                (depth, seed) == (*deep, *known) && range.contains(*run) && told
            }
            _ => false,
        }
    }

    /// An engine that searches, and looks at the time.
    pub(crate) fn engine(&self, start: Instant) -> Engine {
        let mut engine = Engine::new(self.strategy(), self.model, self.locks, self.max_steps);
        engine.watch = self.watch(start);
        engine
    }

    /// What ends an execution that was begun, if the deadline counts from `start`.
    fn watch(&self, start: Instant) -> Watch {
        Watch { until: self.deadline.map(|deadline| start + deadline), stop: self.stop.clone() }
    }

    /// Why the search must stop before the next execution, if it must. If not, the execution is
    /// taken from the budget.
    fn stop_reason(&self, tried: u64, elapsed: Duration) -> Option<String> {
        if self.max_executions.is_some_and(|most| tried >= most) {
            return Some(format!("stopped after {tried} executions"));
        }
        let interruption = self.interruption(elapsed);
        if interruption.is_some() {
            return interruption;
        }
        if self.pause.as_ref().is_some_and(|pause| pause.load(Ordering::Relaxed)) {
            return Some("stopped on request".to_owned());
        }
        let Err(Spent { of }) = self.budget.as_ref().map_or(Ok(()), Budget::take) else {
            return None;
        };
        Some(format!("stopped after {of} executions"))
    }

    /// Why the search must stop now, if it must.
    fn interruption(&self, elapsed: Duration) -> Option<String> {
        if self.deadline.is_some_and(|deadline| elapsed >= deadline) {
            return Some(format!("stopped after {:.1} s", elapsed.as_secs_f64()));
        }
        let asked = self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        asked.then(|| "stopped on request".to_owned())
    }
}

/// One execution that ran.
pub(crate) struct Ran {
    pub(crate) end: End,
    /// What the subject thought; `None` when it was not asked, or panicked.
    pub(crate) judgement: Option<Judgement>,
}

/// Runs executions of a subject on the engine that is installed on this thread.
pub(crate) struct Session<'a, S> {
    subject: &'a mut S,
    runner: Runner,
    lanes: Vec<NewLane>,
}

impl<'a, S: Subject> Session<'a, S> {
    pub(crate) fn new(subject: &'a mut S) -> Self {
        lane::quiet_panics();
        Self { subject, runner: Runner::default(), lanes: Vec::new() }
    }

    /// Runs one execution.
    pub(crate) fn run(&mut self) -> Ran {
        hook::with(Engine::begin);
        let Self { subject, runner, lanes } = self;
        lanes.clear();
        let built = panic::catch_unwind(AssertUnwindSafe(|| subject.build(&mut Lanes::new(lanes))));
        let world = match built {
            Ok(world) => world,
            Err(payload) => {
                lanes.clear();
                let message = format!("while building: {}", lane::describe_panic(&*payload));
                return Ran::unstarted(FailureKind::Panicked, message);
            }
        };
        if lanes.len() > MAX_LANES {
            let message = format!("{} lanes; at most {MAX_LANES} are possible", lanes.len());
            return Ran::unstarted(FailureKind::Unsupported, message);
        }
        let names = lanes.iter_mut().map(|lane| std::mem::take(&mut lane.name)).collect();
        hook::with(|engine| engine.lanes(names));
        if let Err(error) = runner.run(lanes) {
            let message = format!("no memory for the stack of a lane: {error}");
            return Ran::unstarted(FailureKind::Unsupported, message);
        }
        let (end, caught_up) =
            hook::with(|engine| (engine.end().cloned(), engine.strategy.has_caught_up()))
                .unwrap_or((None, true));
        let end = end.unwrap_or(End::Redundant);
        let ending = match &end {
            End::Finished => Ending::Finished,
            End::Failed { kind, lane, message } => {
                Ending::Failed { kind: *kind, lane: *lane, message }
            }
            End::Redundant | End::Truncated | End::Interrupted => {
                // The world was left half-way: what its destructors find amiss says nothing.
                let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(world)));
                if !caught_up && end != End::Interrupted {
                    let message = "the execution ended before it came to where the search stood";
                    let message = message.to_owned();
                    return Ran::unstarted(FailureKind::Nondeterministic, message);
                }
                return Ran { end, judgement: None };
            }
        };
        match panic::catch_unwind(AssertUnwindSafe(|| subject.judge(world, ending))) {
            Ok(judgement) => Ran { end, judgement: Some(judgement) },
            Err(_) if end != End::Finished => Ran { end, judgement: None },
            Err(payload) => {
                let message = format!("while judging: {}", lane::describe_panic(&*payload));
                Ran::unstarted(FailureKind::Panicked, message)
            }
        }
    }
}

impl Ran {
    fn unstarted(kind: FailureKind, message: String) -> Self {
        Self { end: End::Failed { kind, lane: 0, message }, judgement: None }
    }

    /// The failure that this execution is, if it is one.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let (kind, message) = match (&self.end, &self.judgement) {
            (End::Failed { kind, message, .. }, _) => (*kind, message.clone()),
            (End::Finished, Some(Judgement::Fail { message, .. })) => {
                (FailureKind::Judged, message.clone())
            }
            _ => return None,
        };
        let outcome = match &self.judgement {
            Some(Judgement::Pass { outcome } | Judgement::Fail { outcome, .. }) => outcome.clone(),
            None => String::new(),
        };
        let steps = hook::with(|engine| engine.schedule().to_vec()).unwrap_or_default();
        let schedule = Schedule::from(steps);
        let (steps, switches) = (schedule.steps().len() as u32, schedule.switches());
        let found = Length { steps, switches };
        Some(Failure { kind, message, outcome, schedule, steps, switches, found })
    }
}

/// Explores `subject`, telling `progress` now and then where it stands. Stops at the first failure.
pub fn explore<S: Subject>(
    subject: &mut S,
    config: &Config,
    progress: &mut dyn FnMut(&Progress),
) -> Report {
    let start = Instant::now();
    let mut report = Report {
        executions: 0,
        blocked: 0,
        truncated: 0,
        steps_max: 0,
        complete: Completeness::Exhausted,
        position: None,
        spread: None,
        failure: None,
        outcomes: BTreeMap::new(),
        elapsed: Duration::ZERO,
    };
    if let Some(message) = config.refusal() {
        report.failure = Some(Failure::unsupported(message));
        report.complete = Completeness::Bounded { why: "it could not start".to_owned() };
        return report;
    }
    let mut engine = config.engine(start);
    let installed = Installed::new(&mut engine);
    let mut session = Session::new(subject);
    let why = search(&mut session, config, start, &mut report, progress);
    report.spread = hook::with(|engine| engine.strategy.spread()).flatten();
    drop(installed);
    report.complete = match why {
        Some(why) => Completeness::Bounded { why },
        None if report.truncated > 0 => Completeness::Bounded {
            why: format!("{} executions reached {} steps", report.truncated, config.max_steps),
        },
        None => Completeness::Exhausted,
    };
    report.elapsed = start.elapsed();
    report
}

/// Runs executions until the search is over. Returns why it was not exhaustive, if it was not.
fn search<S: Subject>(
    session: &mut Session<'_, S>,
    config: &Config,
    start: Instant,
    report: &mut Report,
    progress: &mut dyn FnMut(&Progress),
) -> Option<String> {
    const REPORT_EVERY: Duration = Duration::from_millis(50);
    let mut tried = 0;
    let mut reported = Duration::ZERO;
    loop {
        let elapsed = start.elapsed();
        if let Some(why) = config.stop_reason(tried, elapsed) {
            report.position = hook::with(|engine| engine.strategy.position()).flatten();
            return Some(why);
        }
        if elapsed - reported >= REPORT_EVERY {
            reported = elapsed;
            let (bound, ahead) =
                hook::with(|engine| (engine.strategy.bound(), engine.strategy.ahead()))
                    .unwrap_or_default();
            let Report { executions, blocked, truncated, .. } = *report;
            progress(&Progress { executions, blocked, truncated, bound, ahead, elapsed });
        }
        let ran = session.run();
        if ran.end == End::Interrupted {
            config.budget.iter().for_each(Budget::give_back);
            report.position = hook::with(|engine| {
                engine.strategy.rewind();
                engine.strategy.position()
            })
            .flatten();
            let stopped = config.interruption(start.elapsed());
            return Some(stopped.unwrap_or_else(|| "stopped on request".to_owned()));
        }
        tried += 1;
        let (steps, repeats) =
            hook::with(|engine| (engine.steps(), engine.strategy.repeats())).unwrap_or_default();
        report.steps_max = report.steps_max.max(u32::try_from(steps).unwrap_or(u32::MAX));
        if let Some(mut failure) = ran.failure() {
            if failure.kind == FailureKind::Nondeterministic && config.resume.is_some() {
                failure.message += "; or the position is not one of this search: begin it anew";
            }
            report.executions += 1;
            *report.outcomes.entry(failure.outcome.clone()).or_default() += 1;
            let watch = config.watch(Instant::now());
            hook::with(|engine| engine.watch = watch);
            report.failure = Some(shrink::shrink(session, failure, config.shrink_runs));
            return Some("stopped at the first failure".to_owned());
        }
        match (ran.end, ran.judgement) {
            _ if repeats => {}
            (End::Finished, Some(Judgement::Pass { outcome })) => {
                report.executions += 1;
                *report.outcomes.entry(outcome).or_default() += 1;
            }
            (End::Truncated, _) => report.truncated += 1,
            _ => report.blocked += 1,
        }
        match hook::with(|engine| engine.strategy.advance()) {
            Some(Advance::Next) => {}
            Some(Advance::Bounded(why)) => return Some(why),
            Some(Advance::Exhausted) | None => return None,
        }
    }
}
