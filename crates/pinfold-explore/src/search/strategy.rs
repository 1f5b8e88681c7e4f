//! What the engine asks of a strategy.
//!
//! A strategy sees what each lane wants to touch, picks a lane, picks among the options of its
//! access, and learns what was touched. It outlives executions; `advance` moves it to the next one.

use super::{ahead::Ahead, touch::Touch};
use crate::{lane::LaneSet, op::Behind, position::Position};

/// What a strategy sees when it picks.
pub(crate) struct Moment<'a> {
    /// The lanes that could run.
    pub(crate) enabled: LaneSet,
    /// Those of them that could run with the newest value; the rest wait for a value that only an
    /// older store has. There is at least one.
    pub(crate) fresh: LaneSet,
    /// The lane that made the last step.
    pub(crate) last: Option<usize>,
    /// What each lane wants to touch next; `None` once it has ended.
    pub(crate) pending: &'a [Option<Touch>],
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    Lane(usize),
    /// Nothing new can follow.
    Redundant,
    /// The execution differs from the earlier one in which the strategy made the same decisions.
    Astray,
}

/// A way to go through the executions: four decisions, and the notifications that a strategy may
/// need for them.
pub(crate) trait Strategy {
    /// An execution begins with this many lanes.
    fn begin(&mut self, lanes: usize);

    /// Which lane runs next.
    fn pick(&mut self, moment: &Moment<'_>) -> Pick;

    /// Which of several options the access of the picked lane takes; the first is the ordinary one.
    fn option(&mut self, options: &[u32]) -> u32;

    /// Moves on to the next execution.
    fn advance(&mut self) -> Advance;

    /// The last step, or what came before the first, starts a lane with this number, the next free
    /// one. It has a new place, or that of a lane that has ended.
    fn spawned(&mut self, _lane: usize, _number: usize) {}

    /// Whether to offer options by which the next access of `lane` precedes, in the order of
    /// memory, the last change that it could notice, though it comes later in the order of steps.
    fn behind(&self, _lane: usize, _touch: Touch) -> Behind {
        Behind::Offered
    }

    /// The picked lane has made its step.
    fn executed(&mut self, _lane: usize, _touch: Touch) {}

    /// All lanes that the last step started are known, and all remaining lanes have announced what
    /// they want.
    fn stepped(&mut self) {}

    /// The strategy as a search that can be interrupted, if it is one.
    fn resumable(&mut self) -> Option<&mut dyn Resumable> {
        None
    }

    /// The strategy as a search that divides a job, if it is one.
    fn dividing(&self) -> Option<&dyn Dividing> {
        None
    }
}

/// A search whose place between two executions can be saved and resumed from.
pub(crate) trait Resumable {
    /// Where the search is between two executions.
    fn position(&self) -> Position;

    /// The current execution was abandoned half-way and is to be repeated: goes back to where the
    /// search was when it began.
    fn rewind(&mut self);

    /// Whether the execution has reached the point where the search left off. If it ends earlier,
    /// it differs from the interrupted one.
    fn has_caught_up(&self) -> bool;

    /// Whether the execution that just ended repeats one of an earlier bound.
    fn repeats(&self) -> bool;

    /// What the search reports of itself.
    fn outlook(&self) -> Outlook;
}

/// What a search reports of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook {
    pub(crate) ahead: Ahead,
    /// The preemption bound in force, if there is one.
    pub(crate) bound: Option<u32>,
    /// The steps that changes of priority are spread over, once they are known.
    pub(crate) spread: Option<u32>,
}

/// A search that divides a job, asked after each execution.
pub(crate) trait Dividing {
    /// Why the execution that just ended went no further than it did.
    fn frontier(&self) -> Frontier;

    /// The lanes asleep at the last step, before it wakes any, and what their steps touched.
    fn asleep(&self) -> Vec<(usize, Touch)>;
}

/// Where a search that divides a job left an execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Frontier {
    /// It ended by itself.
    #[default]
    Ended,
    /// Only sleeping lanes could run.
    Asleep,
    /// After a step with alternatives; much may follow.
    Open,
}

/// What follows an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advance {
    /// Another execution.
    Next,
    /// Nothing: all executions were tried.
    Exhausted,
    /// Nothing, though not all were tried.
    Bounded(String),
}
