//! What a step touches, and which two steps of different lanes are dependent.
//!
//! INV-TOUCH-1: two steps that follow each other directly and are independent in this order can be
//! exchanged: the same values are read, and the same lanes can run afterwards.
//!
//! A failed attempt at a lock only reads: it depends on acquisitions and unlocks, before it or
//! after it, that could be what made it fail, and not on other failed attempts.
//!
//! INV-TOUCH-2: when the last step of a reversal, made before the first step of its race, has a
//! different result than it had after it, it depends on no more of what comes before it there than
//! it did with the old result. So a failed attempt depends on everything that a successful one
//! would have depended on, as far as that can lie between: an attempt to take a lock exclusively
//! depends on a wait until no lane holds it exclusively.

mod text;

use super::rule::Rule;
use crate::{
    object::Object,
    op::{CellOp, Done, LockOp, Miss, Op},
    order::Mode,
};

/// What an access touches, as far as its order against others matters.
///
/// Less than an [`Op`]: neither orderings nor values, so that a set of touches is small and can be
/// written as text. It also holds more: whether an attempt succeeded, and whether a lane that asks
/// for a lock already holds it, which the op alone does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Touch {
    /// Nothing that another lane can see.
    Local,
    Cell(Object, CellTouch),
    Lock(Object, LockTouch),
    /// Sees that the lane with this number has ended, once it has. The order could not have been
    /// reversed.
    Join(usize),
}

/// What is done to a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CellTouch {
    Read,
    /// Writes it, or may write it.
    Write,
    /// Reads and writes it, whatever it holds.
    Update,
    /// Reads it, once it holds what the lane waits for.
    Wait,
}

/// What is done with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LockTouch {
    /// Takes it, once it is free.
    Take(Mode),
    /// Will take it if it is free.
    Try(Mode),
    /// Took it, and it was free.
    Took(Mode),
    /// Did not take it, because a holder excluded that.
    Failed(Mode),
    GiveBack(Mode),
    /// Sees that no lane holds it exclusively, once that is so.
    SeeUnlocked,
}

/// The relation of a step to a later one of another lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Independent,
    /// The order matters, and it could be reversed.
    Race,
    /// The earlier step makes the later one possible.
    Enables,
}

impl Touch {
    /// What an announced access may touch, before its result is known.
    pub(crate) fn announced(op: &Op) -> Self {
        match *op {
            Op::Cell(cell, ref access) => Self::Cell(
                cell,
                match access {
                    CellOp::Load(_) => CellTouch::Read,
                    CellOp::Rmw { miss: Miss::Never, .. } => CellTouch::Update,
                    CellOp::Store { .. } | CellOp::Rmw { .. } => CellTouch::Write,
                    CellOp::Wait { .. } => CellTouch::Wait,
                },
            ),
            Op::Lock(lock, access) => Self::Lock(
                lock,
                match access {
                    LockOp::Take(mode) => LockTouch::Take(mode),
                    LockOp::Try(mode) => LockTouch::Try(mode),
                    LockOp::GiveBack(mode) => LockTouch::GiveBack(mode),
                    LockOp::SeeUnlocked => LockTouch::SeeUnlocked,
                },
            ),
            Op::Fence(_) | Op::Choose(_) => Self::Local,
            Op::Join(lane) => Self::Join(lane),
        }
    }

    /// What was touched by an access that was announced with this touch and gave `done`.
    pub(crate) fn executed(self, op: &Op, Done { done, .. }: Done) -> Self {
        match *op {
            Op::Cell(cell, CellOp::Rmw { .. }) if !done => Self::Cell(cell, CellTouch::Read),
            Op::Lock(lock, LockOp::Try(mode)) if self != Self::Local => {
                let came_of_it = if done { LockTouch::Took } else { LockTouch::Failed };
                Self::Lock(lock, came_of_it(mode))
            }
            Op::Cell(
                _,
                CellOp::Load(_) | CellOp::Store { .. } | CellOp::Rmw { .. } | CellOp::Wait { .. },
            )
            | Op::Lock(
                _,
                LockOp::Take(_) | LockOp::Try(_) | LockOp::GiveBack(_) | LockOp::SeeUnlocked,
            )
            | Op::Fence(_)
            | Op::Choose(_)
            | Op::Join(_) => self,
        }
    }

    /// The cell or lock.
    pub(super) fn object(self) -> Option<Object> {
        match self {
            Self::Cell(object, _) | Self::Lock(object, _) => Some(object),
            Self::Local | Self::Join(_) => None,
        }
    }

    /// The relation of this step to a later one of another lane.
    pub(super) fn before(self, later: Self) -> Relation {
        match (self, later) {
            (Self::Cell(cell, earlier), Self::Cell(other, later)) if cell == other => {
                earlier.before(later)
            }
            (Self::Lock(lock, earlier), Self::Lock(other, later)) if lock == other => {
                earlier.before(later)
            }
            (Self::Local | Self::Cell(..) | Self::Lock(..) | Self::Join(_), _) => {
                Relation::Independent
            }
        }
    }

    /// Whether a lane that wants to touch `wanted` must look again after this step: the two cannot
    /// be exchanged.
    pub(super) fn disturbs(self, wanted: Self) -> bool {
        self.before(wanted) != Relation::Independent || wanted.before(self) != Relation::Independent
    }

    /// Whether everything before it on the same object is ordered before it.
    pub(super) fn closes(self) -> bool {
        match self {
            Self::Cell(_, CellTouch::Write | CellTouch::Update) => true,
            Self::Cell(_, CellTouch::Read | CellTouch::Wait) => false,
            Self::Lock(_, LockTouch::Take(mode) | LockTouch::Took(mode)) => mode == Mode::Exclusive,
            Self::Lock(_, LockTouch::Failed(_)) => !Rule::FailedHidesNothing.holds(),
            Self::Lock(_, LockTouch::Try(_) | LockTouch::GiveBack(_) | LockTouch::SeeUnlocked) => {
                false
            }
            Self::Local | Self::Join(_) => false,
        }
    }

    /// Whether a look at the same object could show what this step changed there.
    pub(super) fn shows(self, look: Self) -> bool {
        match self {
            Self::Cell(_, CellTouch::Write | CellTouch::Update) => true,
            Self::Cell(_, CellTouch::Read | CellTouch::Wait) => false,
            Self::Lock(_, LockTouch::Take(_) | LockTouch::Took(_) | LockTouch::GiveBack(_)) => {
                self.before(look) != Relation::Independent
            }
            Self::Lock(_, LockTouch::Try(_) | LockTouch::Failed(_) | LockTouch::SeeUnlocked) => {
                false
            }
            Self::Local | Self::Join(_) => false,
        }
    }

    /// Whether it waits until it may see something.
    pub(super) fn awaits_value(self) -> bool {
        matches!(self, Self::Cell(_, CellTouch::Wait) | Self::Lock(_, LockTouch::SeeUnlocked))
    }

    /// Whether it may see an older state than the last, or come before it.
    pub(super) fn looks_back(self) -> bool {
        match self {
            Self::Cell(_, touch) => touch != CellTouch::Update,
            Self::Lock(_, LockTouch::Take(_) | LockTouch::GiveBack(_)) => false,
            Self::Lock(
                _,
                LockTouch::Try(_)
                | LockTouch::Took(_)
                | LockTouch::Failed(_)
                | LockTouch::SeeUnlocked,
            ) => true,
            Self::Local | Self::Join(_) => false,
        }
    }

    /// Whether a search that remembers states may offer it no older store where the last change is
    /// not ordered before it.
    pub(super) fn may_be_withheld(self) -> bool {
        match self {
            Self::Cell(_, touch) => touch != CellTouch::Wait,
            Self::Lock(..) | Self::Local | Self::Join(_) => false,
        }
    }

    /// Whether it takes a lock.
    pub(super) fn takes(self) -> bool {
        match self {
            Self::Lock(_, touch) => touch.takes(),
            Self::Local | Self::Cell(..) | Self::Join(_) => false,
        }
    }

    /// Whether it waits until a lock is released.
    pub(super) fn is_locked_out_at_times(self) -> bool {
        match self {
            Self::Lock(_, LockTouch::Take(_) | LockTouch::SeeUnlocked) => true,
            Self::Lock(
                _,
                LockTouch::Try(_)
                | LockTouch::Took(_)
                | LockTouch::Failed(_)
                | LockTouch::GiveBack(_),
            ) => false,
            Self::Local | Self::Cell(..) | Self::Join(_) => false,
        }
    }
}

/// A relation that a rule makes; without the rule there is none.
fn by(rule: Rule, relation: Relation) -> Relation {
    if rule.holds() { relation } else { Relation::Independent }
}

impl CellTouch {
    /// The relation of this step to a later one of another lane at the same cell.
    fn before(self, later: Self) -> Relation {
        match (self, later) {
            (Self::Read | Self::Wait, Self::Read | Self::Wait) => Relation::Independent,
            (Self::Write | Self::Update, Self::Read | Self::Wait) => {
                by(Rule::WriteThenRead, Relation::Race)
            }
            (Self::Read | Self::Wait, Self::Write | Self::Update) => {
                by(Rule::ReadThenWrite, Relation::Race)
            }
            (Self::Write | Self::Update, Self::Write | Self::Update) => {
                by(Rule::WriteThenWrite, Relation::Race)
            }
        }
    }
}

impl LockTouch {
    /// The relation of this step to a later one of another lane at the same lock.
    fn before(self, later: Self) -> Relation {
        match (self.mode(), later.mode()) {
            (Some(mode), Some(other)) if mode.excludes(other) => self.before_excluded(later),
            (Some(_), Some(_)) | (None, None) => Relation::Independent,
            (Some(mode), None) | (None, Some(mode)) => self.before_looking(later, mode),
        }
    }

    /// The relation of two operations that exclude each other.
    fn before_excluded(self, later: Self) -> Relation {
        match (self, later) {
            (Self::Take(_) | Self::Took(_), Self::Failed(_)) => {
                by(Rule::TakingThenFailed, Relation::Race)
            }
            (Self::Take(_) | Self::Took(_), Self::Take(_) | Self::Try(_) | Self::Took(_)) => {
                by(Rule::TakingThenTaking, Relation::Race)
            }
            (Self::Failed(_), Self::Take(_) | Self::Try(_) | Self::Took(_)) => {
                by(Rule::FailedThenTaking, Relation::Race)
            }
            (Self::Failed(_), Self::GiveBack(_)) => by(Rule::FailedThenUnlock, Relation::Race),
            (Self::GiveBack(_), Self::Failed(_)) => by(Rule::UnlockThenFailed, Relation::Race),
            (Self::GiveBack(_), Self::Try(_) | Self::Took(_)) => {
                by(Rule::UnlockThenTook, Relation::Race)
            }
            (Self::GiveBack(_), Self::Take(_)) => by(Rule::UnlockThenLock, Relation::Enables),
            (Self::Take(_) | Self::Took(_) | Self::GiveBack(_), Self::GiveBack(_))
            | (Self::Failed(_), Self::Failed(_)) => Relation::Independent,
            // A step that was made is no longer an attempt.
            (Self::Try(_), _) => Relation::Independent,
            // A step that only looks excludes nothing.
            (Self::SeeUnlocked, _) | (_, Self::SeeUnlocked) => Relation::Independent,
        }
    }

    /// The relation of two operations of which one only looks, and the other acts in a mode.
    fn before_looking(self, later: Self, mode: Mode) -> Relation {
        match (self, later, mode) {
            (_, _, Mode::Shared) => Relation::Independent,
            // It may see that the lock was free before.
            (Self::GiveBack(_), _, Mode::Exclusive) => by(Rule::UnlockThenSee, Relation::Race),
            (_, Self::GiveBack(_), Mode::Exclusive) => Relation::Independent,
            (
                Self::Take(_) | Self::Try(_) | Self::Took(_) | Self::Failed(_) | Self::SeeUnlocked,
                _,
                Mode::Exclusive,
            ) => by(Rule::SeeUnlocked, Relation::Race),
        }
    }

    /// The mode in which the lock is meant; none for a step that only looks.
    fn mode(self) -> Option<Mode> {
        match self {
            Self::Take(mode)
            | Self::Try(mode)
            | Self::Took(mode)
            | Self::Failed(mode)
            | Self::GiveBack(mode) => Some(mode),
            Self::SeeUnlocked => None,
        }
    }

    fn takes(self) -> bool {
        match self {
            Self::Take(_) | Self::Took(_) => true,
            Self::Try(_) | Self::Failed(_) | Self::GiveBack(_) | Self::SeeUnlocked => false,
        }
    }
}

#[cfg(test)]
mod tests;
