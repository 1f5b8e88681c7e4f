//! What is explored, and how it judges an execution.

use crate::{lane::Lanes, report::FailureKind};

/// How the lanes of an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    /// All returned.
    Finished,
    /// One failed or panicked, or all that remained waited for each other. It is a failure whatever
    /// the judgement; the subject may tear down its world.
    Failed {
        /// What kind of thing went wrong.
        kind: FailureKind,
        /// The lane, counted from 0.
        lane: usize,
        /// What went wrong.
        message: &'a str,
    },
}

/// A subject's judgement of a finished execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// All is well.
    Pass {
        /// A name for what happened; executions with equal names are counted together.
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
    /// What the lanes of one execution share and the subject then judges.
    type World;

    /// Builds a fresh world and its lanes. Runs alone; hooks are inactive.
    fn build(&mut self, lanes: &mut Lanes<'_>) -> Self::World;

    /// Judges the world after an execution. Runs alone; hooks are inactive.
    fn judge(&mut self, world: Self::World, ending: Ending<'_>) -> Judgement;
}
