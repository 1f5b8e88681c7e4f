//! What is explored, and what it says of an execution.

use crate::{lane::Lanes, report::FailureKind};

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
