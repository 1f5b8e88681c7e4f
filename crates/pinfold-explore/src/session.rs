//! Executions of a subject, one after another.

use crate::{
    config::Config,
    current::{self, Phase},
    engine::{End, Engine},
    lane::{Lanes, MAX_LANES, NewLane},
    report::{Failure, FailureKind, Length},
    runner::{self, Runner},
    schedule::Schedule,
    search,
    subject::{Ending, Judgement, Subject},
};
use std::{
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

/// Why the exploration cannot start, if it cannot.
pub(crate) fn refusal(config: &Config) -> Option<&'static str> {
    if current::phase() != Phase::Idle {
        return Some("an exploration already runs on this thread; start this one outside it");
    }
    config.misfit()
}

/// An engine that searches, and watches the time.
pub(crate) fn engine(config: &Config, start: Duration) -> Engine {
    let strategy = search::strategy(config);
    let mut engine = Engine::new(strategy, config.model, config.locks, config.max_steps);
    engine.set_watch(config.watch(start));
    engine
}

/// An execution that was run.
pub(crate) struct Ran {
    pub(crate) end: End,
    /// The subject's judgement; `None` when it was not asked, or panicked.
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
        runner::quiet_panics();
        Self { subject, runner: Runner::default(), lanes: Vec::new() }
    }

    /// Runs one execution.
    pub(crate) fn run(&mut self) -> Ran {
        current::with(Engine::begin);
        let Self { subject, runner, lanes } = self;
        lanes.clear();
        let built = panic::catch_unwind(AssertUnwindSafe(|| subject.build(&mut Lanes::new(lanes))));
        let world = match built {
            Ok(world) => world,
            Err(payload) => {
                lanes.clear();
                let message = format!("while building: {}", runner::describe_panic(&*payload));
                return Ran::unstarted(FailureKind::Panicked, message);
            }
        };
        if lanes.len() > MAX_LANES {
            let message = format!("{} lanes; at most {MAX_LANES} are possible", lanes.len());
            return Ran::unstarted(FailureKind::Unsupported, message);
        }
        let names = lanes.iter_mut().map(|lane| std::mem::take(&mut lane.name)).collect();
        current::with(|engine| engine.lanes(names));
        if let Err(error) = runner.run(lanes) {
            let message = format!("no memory for the stack of a lane: {error}");
            return Ran::unstarted(FailureKind::Unsupported, message);
        }
        let (end, caught_up) =
            current::with(|engine| (engine.end().cloned(), engine.has_caught_up()))
                .unwrap_or((None, true));
        let end = end.unwrap_or(End::Redundant);
        let ending = match &end {
            End::Finished => Ending::Finished,
            End::Failed { kind, lane, message } => {
                Ending::Failed { kind: *kind, lane: *lane, message }
            }
            End::Redundant | End::Remembered | End::Truncated | End::Interrupted => {
                // The world was abandoned half-way: what its destructors complain of means nothing.
                let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(world)));
                if !caught_up && end != End::Interrupted {
                    let message = "the execution ended before the point where the search left off";
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
                let message = format!("while judging: {}", runner::describe_panic(&*payload));
                Ran::unstarted(FailureKind::Panicked, message)
            }
        }
    }
}

impl Ran {
    fn unstarted(kind: FailureKind, message: String) -> Self {
        Self { end: End::Failed { kind, lane: 0, message }, judgement: None }
    }

    /// The failure in this execution, if it failed.
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
        let steps = current::with(|engine| engine.schedule().to_vec()).unwrap_or_default();
        let schedule = Schedule::from(steps);
        let (steps, switches) = (schedule.steps().len() as u32, schedule.switches());
        let found = Length { steps, switches };
        Some(Failure { kind, message, outcome, schedule, steps, switches, found })
    }
}
