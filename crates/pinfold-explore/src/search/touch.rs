//! What a step touches, and which two steps of different lanes are dependent.
//!
//! INV-TOUCH-1: two steps that follow each other directly and are independent in this order can be
//! exchanged: the same values are read, and the same lanes can go on afterwards.
//!
//! A failed attempt at a lock only reads: it depends on takings and givings back that could be what it
//! failed on, before it or after it, and not on other failed attempts.
//!
//! INV-TOUCH-2: when the last step of a reversal, made before the first of its race, has another result than
//! it had after it, it depends on no more of what comes before it there than it did with the old result. So an
//! attempt that failed depends on all that a successful one would have depended on, as far as that can lie
//! between: an attempt to take a lock alone on who waits until nobody has it alone.

mod text;

use super::rule::Rule;
use crate::{object::Object, order::Mode};

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
    /// Will take the lock if it is free.
    Try(Object, Mode),
    /// Took the lock, which was free.
    Took(Object, Mode),
    /// Did not take the lock, as somebody was in the way.
    Failed(Object, Mode),
    /// Gives the lock back.
    Unlock(Object, Mode),
    /// Sees that nobody has the lock alone, once that is so.
    SeeUnlocked(Object),
    /// Sees that the lane of this number has ended, once it has. Nothing that could have come the other
    /// way round.
    Join(usize),
}

/// How a step stands to a later one of another lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Independent,
    /// The order matters, and it could be the other way round.
    Race,
    /// The earlier is what makes the later possible.
    Enables,
}

impl Touch {
    /// The cell or lock.
    pub(super) fn object(self) -> Option<Object> {
        match self {
            Self::Local | Self::Join(_) => None,
            Self::Read(object)
            | Self::Write(object)
            | Self::Wait(object)
            | Self::SeeUnlocked(object) => Some(object),
            Self::Lock(object, _)
            | Self::Try(object, _)
            | Self::Took(object, _)
            | Self::Failed(object, _)
            | Self::Unlock(object, _) => Some(object),
        }
    }

    /// How this step stands to a later one of another lane.
    pub(super) fn before(self, later: Self) -> Relation {
        let relation = |rule: Rule, relation| {
            if rule.holds() { relation } else { Relation::Independent }
        };
        let race = |rule| relation(rule, Relation::Race);
        if self.object() != later.object() || self.object().is_none() {
            return Relation::Independent;
        }
        match (self, later) {
            (Self::Write(_), Self::Read(_) | Self::Wait(_)) => race(Rule::WriteThenRead),
            (Self::Read(_) | Self::Wait(_), Self::Write(_)) => race(Rule::ReadThenWrite),
            (Self::Write(_), Self::Write(_)) => race(Rule::WriteThenWrite),
            // It may see that the lock was free before.
            (Self::Unlock(_, Mode::Exclusive), Self::SeeUnlocked(_)) => race(Rule::UnlockThenSee),
            (Self::Unlock(..), Self::SeeUnlocked(_)) | (Self::SeeUnlocked(_), Self::Unlock(..)) => {
                Relation::Independent
            }
            (Self::SeeUnlocked(_), other) | (other, Self::SeeUnlocked(_))
                if other.mode() == Some(Mode::Exclusive) =>
            {
                race(Rule::SeeUnlocked)
            }
            _ => match (self.mode(), later.mode()) {
                (Some(mode), Some(other)) if mode.excludes(other) => match (self, later) {
                    (Self::Lock(..) | Self::Took(..), Self::Failed(..)) => {
                        race(Rule::TakingThenFailed)
                    }
                    (
                        Self::Lock(..) | Self::Took(..),
                        Self::Lock(..) | Self::Try(..) | Self::Took(..),
                    ) => race(Rule::TakingThenTaking),
                    (Self::Failed(..), Self::Lock(..) | Self::Try(..) | Self::Took(..)) => {
                        race(Rule::FailedThenTaking)
                    }
                    (Self::Failed(..), Self::Unlock(..)) => race(Rule::FailedThenUnlock),
                    (Self::Unlock(..), Self::Failed(..)) => race(Rule::UnlockThenFailed),
                    (Self::Unlock(..), Self::Try(..) | Self::Took(..)) => {
                        race(Rule::UnlockThenTook)
                    }
                    (Self::Unlock(..), Self::Lock(..)) => {
                        relation(Rule::UnlockThenLock, Relation::Enables)
                    }
                    _ => Relation::Independent,
                },
                _ => Relation::Independent,
            },
        }
    }

    /// How the lock is meant.
    fn mode(self) -> Option<Mode> {
        match self {
            Self::Lock(_, mode)
            | Self::Try(_, mode)
            | Self::Took(_, mode)
            | Self::Failed(_, mode)
            | Self::Unlock(_, mode) => Some(mode),
            _ => None,
        }
    }

    /// Whether a lane that wants to touch `wanted` must look again after this step: the two cannot be
    /// exchanged.
    pub(super) fn disturbs(self, wanted: Self) -> bool {
        self.before(wanted) != Relation::Independent || wanted.before(self) != Relation::Independent
    }

    /// Whether everything before it on the same object is ordered before it.
    pub(super) fn closes(self) -> bool {
        matches!(
            self,
            Self::Write(_) | Self::Lock(_, Mode::Exclusive) | Self::Took(_, Mode::Exclusive)
        ) || (matches!(self, Self::Failed(..)) && !Rule::FailedHidesNothing.holds())
    }

    /// Whether a look at the same object could show what this step changed there.
    pub(super) fn shows(self, look: Self) -> bool {
        match self {
            Self::Write(_) => true,
            Self::Lock(..) | Self::Took(..) | Self::Unlock(..) => {
                self.before(look) != Relation::Independent
            }
            _ => false,
        }
    }

    /// Whether it takes a lock.
    pub(super) fn takes(self) -> bool {
        matches!(self, Self::Lock(..) | Self::Took(..))
    }

    /// Whether it waits until a lock is given back.
    pub(super) fn is_locked_out_at_times(self) -> bool {
        matches!(self, Self::Lock(..) | Self::SeeUnlocked(_))
    }
}

#[cfg(test)]
mod tests;
