//! The loop over executions.

use crate::{
    engine::{End, Engine},
    hook::{self, Installed, Phase},
    job::Job,
    lane::{self, Lanes, MAX_LANES, NewLane, Runner},
    report::{Completeness, Failure, FailureKind, Progress, Report},
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

/// What a load may return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Model {
    /// The latest store in the order of steps.
    Sc,
    /// Total store order, as on x86: a store may be delayed past later loads of its lane. A
    /// read-modify-write that writes, and the taking of a lock, are full fences; one that does not
    /// write is a load.
    Tso,
    /// RC11 with the release sequences of C++20. A load may return an older store when nothing
    /// forbids it. Loads are not delayed past later stores (no load buffering), and dependencies
    /// order nothing: what the kernel orders by an address dependency needs an acquire here.
    #[default]
    Weak,
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
    /// How to go through the executions.
    pub search: Search,
    /// Explore only this part of the search, which must be an exhaustive one without a bound.
    pub job: Option<Job>,
    /// Stop after so many executions.
    pub max_executions: Option<u64>,
    /// Leave an execution after so many steps.
    pub max_steps: u32,
    /// Stop after so much time.
    pub deadline: Option<Duration>,
    /// Stop when this becomes true.
    pub stop: Option<Arc<AtomicBool>>,
    /// How many executions to spend on cutting a failure to few switches; zero leaves it as it was
    /// found. They are not counted in the report.
    pub shrink_runs: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: Model::default(),
            search: Search::Exhaustive { preemptions: None },
            job: None,
            max_executions: None,
            max_steps: 10_000,
            deadline: None,
            stop: None,
            shrink_runs: 2_000,
        }
    }
}

impl Config {
    pub(crate) fn strategy(&self) -> Box<dyn Strategy> {
        match self.search {
            Search::Exhaustive { preemptions: None } => match &self.job {
                Some(job) => Box::new(Dpor::within(job)),
                None => Box::new(Dpor::default()),
            },
            Search::Exhaustive { preemptions: Some(bound) } => Box::new(Naive::new(bound)),
            Search::Random { seed, runs } => Box::new(Random::new(seed, runs)),
            Search::Pct { depth, seed, runs } => Box::new(Pct::new(depth, seed, runs)),
        }
    }

    /// Why the exploration cannot start, if it cannot.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        if hook::phase() != Phase::Idle {
            return Some("an exploration already runs on this thread; start this one outside it");
        }
        let divisible = matches!(self.search, Search::Exhaustive { preemptions: None });
        (self.job.is_some() && !divisible)
            .then_some("only an exhaustive search without a bound has jobs; leave the job out")
    }

    /// Why the search must stop before the next execution, if it must.
    fn stop_reason(&self, tried: u64, elapsed: Duration) -> Option<String> {
        if self.max_executions.is_some_and(|most| tried >= most) {
            return Some(format!("stopped after {tried} executions"));
        }
        if self.deadline.is_some_and(|deadline| elapsed >= deadline) {
            return Some(format!("stopped after {:.1} s", elapsed.as_secs_f64()));
        }
        let stopped = self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        stopped.then(|| "stopped on request".to_owned())
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
        let end = hook::with(|engine| engine.end().cloned()).flatten().unwrap_or(End::Redundant);
        let ending = match &end {
            End::Finished => Ending::Finished,
            End::Failed { lane, message, .. } => Ending::Failed { lane: *lane, message },
            End::Redundant | End::Truncated => {
                // The world was left half-way: what its destructors find amiss says nothing.
                let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(world)));
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
        Some(Failure { kind, message, outcome, schedule, steps, switches })
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
        failure: None,
        outcomes: BTreeMap::new(),
        elapsed: Duration::ZERO,
    };
    if let Some(message) = config.refusal() {
        report.failure = Some(Failure::unsupported(message));
        report.complete = Completeness::Bounded { why: "it could not start".to_owned() };
        return report;
    }
    let mut engine = Engine::new(config.strategy(), config.model, config.max_steps);
    let installed = Installed::new(&mut engine);
    let mut session = Session::new(subject);
    let why = search(&mut session, config, start, &mut report, progress);
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
            return Some(why);
        }
        if elapsed - reported >= REPORT_EVERY {
            reported = elapsed;
            let bound = hook::with(|engine| engine.strategy.bound()).flatten();
            let Report { executions, blocked, truncated, .. } = *report;
            progress(&Progress { executions, blocked, truncated, bound, elapsed });
        }
        let ran = session.run();
        tried += 1;
        let (steps, repeats) =
            hook::with(|engine| (engine.steps(), engine.strategy.repeats())).unwrap_or_default();
        report.steps_max = report.steps_max.max(u32::try_from(steps).unwrap_or(u32::MAX));
        if let Some(failure) = ran.failure() {
            report.executions += 1;
            *report.outcomes.entry(failure.outcome.clone()).or_default() += 1;
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
