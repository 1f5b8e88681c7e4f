//! Who goes next: the strategies.
//!
//! A strategy sees what each lane wants to touch, picks a lane, picks among the options of its
//! access, and is told what was touched. It outlives executions; `advance` moves it to the next
//! one.

mod ahead;
mod dependence;
mod dpor;
mod naive;
mod random;
mod script;

pub(crate) use dpor::Dpor;
pub(crate) use naive::Naive;
pub(crate) use random::{Pct, Random};
pub(crate) use script::Script;

use crate::{
    hook::Mode, job::Sleeper, lane::MAX_LANES, memory::Behind, object::Object, position::Position,
    report::Ahead,
};

/// A set of lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaneSet(u32);

impl LaneSet {
    pub(crate) fn one(lane: usize) -> Self {
        Self(1 << lane)
    }

    /// The lanes as bits, that of lane 0 the lowest.
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) fn insert(&mut self, lane: usize) {
        self.0 |= 1 << lane;
    }

    pub(crate) fn remove(&mut self, lane: usize) {
        self.0 &= !(1 << lane);
    }

    pub(crate) fn contains(self, lane: usize) -> bool {
        lane < MAX_LANES && self.0 & (1 << lane) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }

    /// The lanes in ascending order.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let lane = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(lane)
        })
    }
}

impl std::ops::BitOr for LaneSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitAnd for LaneSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// What an access touches, as far as its order against others matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Touch {
    /// Nothing that another lane can see.
    Local,
    /// Reads the cell.
    Read(Object),
    /// Writes the cell, or may write it.
    Write(Object),
    /// Reads the cell, once it holds what the lane waits for.
    Wait(Object),
    /// Takes the lock, once it is free.
    Lock(Object, Mode),
    /// Takes the lock if it is free.
    TryLock(Object, Mode),
    /// Sees that the lane has ended, once it has. Nothing that could have come the other way round.
    Join(usize),
}

/// Something that the last step did besides its access, before the lane announced its next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Gave the lock back that was held so.
    Unlock(Object, Mode),
    /// Would have given the lock back, perhaps, with an option that was withheld.
    MayUnlock(Object),
    /// Ended the life of the cell.
    Forget(Object),
    /// Started the lane.
    Spawn(usize),
}

/// What a strategy sees when it picks.
pub(crate) struct Moment<'a> {
    /// The lanes that could go on. May be empty; then the pick does not count.
    pub(crate) enabled: LaneSet,
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
}

/// A way to go through the executions.
pub(crate) trait Strategy {
    /// An execution begins with so many lanes.
    fn begin(&mut self, lanes: usize);

    /// The last step, or what came before the first, starts a lane of this number, the next one.
    fn spawned(&mut self, _lane: usize) {}

    /// Who goes next.
    fn pick(&mut self, moment: &Moment<'_>) -> Pick;

    /// Whether to offer options by which the next access of `lane` precedes the last change of the
    /// cell in the order of memory, though it comes later in the order of steps.
    fn behind(&self, _lane: usize, _cell: Object) -> Behind {
        Behind::Offered
    }

    /// Which of several options the access of the picked lane takes; the first is the ordinary one.
    fn option(&mut self, options: &[u32]) -> u32;

    /// The picked lane has made its step.
    fn executed(&mut self, _lane: usize, _touch: Touch) {}

    /// The last step did this as well.
    fn attached(&mut self, _effect: Effect) {}

    /// All effects of the last step are known, and all lanes that are left have announced what they
    /// want.
    fn stepped(&mut self) {}

    /// Moves on to the next execution.
    fn advance(&mut self) -> Advance;

    /// Whether the execution has come to where the search left off. If it ends before, it is not
    /// what it was.
    fn has_caught_up(&self) -> bool {
        true
    }

    /// Where the search stands between two executions, if it can go on from there.
    fn position(&self) -> Option<Position> {
        None
    }

    /// What the search has before it, for progress reports.
    fn ahead(&self) -> Option<Ahead> {
        None
    }

    /// The steps that changes of priority are spread over, if there are such changes.
    fn spread(&self) -> Option<u32> {
        None
    }

    /// The preemption bound in force, for progress reports.
    fn bound(&self) -> Option<u32> {
        None
    }

    /// Why the execution that just ended went no further.
    fn frontier(&self) -> Frontier {
        Frontier::Ended
    }

    /// The lanes that sleep at the last step, before it wakes any.
    fn sleepers(&self) -> Vec<Sleeper> {
        Vec::new()
    }

    /// Whether the execution that just ended repeats one of an earlier bound.
    fn repeats(&self) -> bool {
        false
    }
}

/// Where a search that divides a job left an execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Frontier {
    /// It ended by itself.
    #[default]
    Ended,
    /// Only sleeping lanes could go on.
    Asleep,
    /// Behind a step with alternatives; much may follow.
    Open,
}

/// What follows after an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advance {
    /// Another execution.
    Next,
    /// Nothing: all executions were tried.
    Exhausted,
    /// Nothing, though not all were tried.
    Bounded(String),
}
