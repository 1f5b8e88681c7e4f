//! Runs one schedule again, with every step recorded.

use crate::{
    config::LockForm,
    current::{self, Installed, Phase},
    engine::{End, Engine},
    model::Model,
    record::{Access, Recorder},
    schedule::Schedule,
    search::Script,
    session::Session,
    subject::{Judgement, Subject},
};

/// What a replay showed.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The result of the execution. A failure that the engine itself detects is a
    /// [`Judgement::Fail`].
    pub judgement: Judgement,
    /// Every step.
    pub trace: Vec<Access>,
    /// The names of the lanes, including those started by other lanes.
    pub lanes: Vec<String>,
    /// The first step at which the schedule could not be followed, or at which it ended too early
    /// or too late.
    pub diverged_at: Option<usize>,
}

/// Runs `schedule` and records it. Where it cannot be followed, the execution continues in the
/// ordinary way.
pub fn replay<S: Subject>(
    subject: &mut S,
    model: Model,
    locks: LockForm,
    schedule: &Schedule,
) -> Replay {
    /// The most steps that an execution may make beyond its schedule before it is abandoned.
    const SLACK: u32 = 100_000;
    if current::phase() != Phase::Idle {
        let message = "an exploration already runs on this thread; replay outside it".to_owned();
        let judgement = Judgement::Fail { outcome: String::new(), message };
        let (trace, lanes) = Default::default();
        return Replay { judgement, trace, lanes, diverged_at: Some(0) };
    }
    let wanted = schedule.steps();
    let max_steps = u32::try_from(wanted.len()).unwrap_or(u32::MAX).saturating_add(SLACK);
    let mut engine = Engine::new(Box::new(Script::new(wanted.to_vec())), model, locks, max_steps);
    engine.recorder = Some(Recorder::default());
    let installed = Installed::new(&mut engine);
    let ran = Session::new(subject).run();
    drop(installed);
    let followed = engine.schedule();
    let common = followed.iter().zip(wanted).take_while(|(made, wanted)| made == wanted).count();
    let diverged_at = (common < followed.len().max(wanted.len())).then_some(common);
    let judgement = match (ran.end, ran.judgement) {
        (End::Finished, Some(judgement)) => judgement,
        (End::Failed { message, .. }, judged) => {
            let outcome = match judged {
                Some(Judgement::Pass { outcome } | Judgement::Fail { outcome, .. }) => outcome,
                None => String::new(),
            };
            Judgement::Fail { outcome, message }
        }
        _ => Judgement::Fail {
            outcome: String::new(),
            message: format!("the execution did not end within {max_steps} steps"),
        },
    };
    let trace = engine.recorder.take().map(Recorder::into_trace).unwrap_or_default();
    Replay { judgement, trace, lanes: engine.names(), diverged_at }
}
