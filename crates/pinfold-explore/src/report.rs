//! What an exploration found.

use crate::{position::Position, schedule::Schedule, search::Ahead};
use std::{collections::BTreeMap, fmt, time::Duration};

/// Whether every execution was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Every execution of the model was tried or is equivalent to one that was.
    Exhausted,
    /// Something was left out.
    Bounded {
        /// What cut the search short, in words.
        why: String,
    },
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The subject judged the finished execution to be wrong.
    Judged,
    /// A lane called [`crate::hook::fail`].
    Failed,
    /// A lane, or the subject, panicked.
    Panicked,
    /// The remaining lanes wait for a lock or a value, and none can continue.
    Deadlock,
    /// Two unordered accesses met where one of them needs exclusive access.
    DataRace,
    /// The same schedule led to different behaviour: the subject depends on something that the
    /// explorer does not control.
    Nondeterministic,
    /// The exploration could not be started.
    Unsupported,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Judged => "wrong outcome",
            Self::Failed => "failure",
            Self::Panicked => "panic",
            Self::Deadlock => "deadlock",
            Self::DataRace => "data race",
            Self::Nondeterministic => "nondeterministic subject",
            Self::Unsupported => "unsupported",
        })
    }
}

/// One failing execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of thing went wrong.
    pub kind: FailureKind,
    /// What went wrong, in words.
    pub message: String,
    /// The name that the subject gave to the outcome; empty when it did not judge.
    pub outcome: String,
    /// The schedule that reproduces it.
    pub schedule: Schedule,
    /// The number of steps of the execution.
    pub steps: u32,
    /// How often it switched from one lane to another.
    pub switches: u32,
    /// The longer execution that it was cut down from.
    pub found: Length,
}

/// How long a failing execution was when it was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    /// The number of steps.
    pub steps: u32,
    /// How often it switched from one lane to another.
    pub switches: u32,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} ({} steps, {} switches; schedule {})",
            self.kind, self.message, self.steps, self.switches, self.schedule
        )
    }
}

/// What [`crate::explore`] found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Executions that ran to their end.
    pub executions: u64,
    /// Executions that were abandoned because others cover everything that could follow.
    pub blocked: u64,
    /// Executions that were abandoned at a state that had been explored
    /// ([`crate::Config::states`]).
    pub pruned: u64,
    /// Executions that reached the step limit.
    pub truncated: u64,
    /// States that were remembered.
    pub states: u64,
    /// The most steps that an execution took.
    pub steps_max: u32,
    /// Whether every execution was tried.
    pub complete: Completeness,
    /// Where to resume, if a limit or a request ended the search: [`crate::Config::resume`] takes
    /// it. What this report counts is not counted again then.
    pub position: Option<Position>,
    /// For PCT: the steps over which changes of priority are spread, once they are known.
    pub spread: Option<u32>,
    /// The first failure. The search stops there.
    pub failure: Option<Failure>,
    /// How often each outcome was seen.
    pub outcomes: BTreeMap<String, u64>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Report {
    /// Executions that were begun.
    pub fn begun(&self) -> u64 {
        self.executions + self.blocked + self.pruned + self.truncated
    }
}

/// The progress of a running exploration.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Executions that ran to their end so far.
    pub executions: u64,
    /// Executions abandoned so far, because others cover everything that could follow.
    pub blocked: u64,
    /// Executions abandoned so far at a state that had been explored.
    pub pruned: u64,
    /// Executions that reached the step limit so far.
    pub truncated: u64,
    /// The preemption bound that is being searched, if there is one. All executions with fewer
    /// preemptions were tried.
    pub bound: Option<u32>,
    /// What the search still has to do, if it knows.
    pub ahead: Option<Ahead>,
    /// Time since the start.
    pub elapsed: Duration,
}

impl Failure {
    pub(crate) fn unsupported(message: &str) -> Self {
        Self {
            kind: FailureKind::Unsupported,
            message: message.to_owned(),
            outcome: String::new(),
            schedule: Schedule::default(),
            steps: 0,
            switches: 0,
            found: Length::default(),
        }
    }
}
