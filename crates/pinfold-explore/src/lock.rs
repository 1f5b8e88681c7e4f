//! The locks of one execution: who holds them.
//!
//! INV-LOCK-1: a lock is held by one lane exclusively, or shared by any number of lanes, or not
//! held at all.

use crate::{object::Object, order::Mode};

/// The state of all locks.
#[derive(Default)]
pub(crate) struct Locks {
    /// One entry for each time that a lane has taken a lock and not released it.
    held: Vec<(Object, usize, Mode)>,
}

impl Locks {
    /// Releases everything, for the next execution.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }

    /// Whether the lock could be taken now.
    pub(crate) fn is_free(&self, lock: Object, wanted: Mode) -> bool {
        !self.held.iter().any(|&(held, _, mode)| held == lock && mode.excludes(wanted))
    }

    /// Whether the lane holds the lock.
    pub(crate) fn is_held_by(&self, lock: Object, lane: usize) -> bool {
        self.held.iter().any(|&(held, holder, _)| (held, holder) == (lock, lane))
    }

    /// Whether the lane holds the lock once, and in this mode.
    pub(crate) fn is_last_hold(&self, lock: Object, lane: usize, mode: Mode) -> bool {
        let mut holds = self.held.iter().filter(|held| (held.0, held.1) == (lock, lane));
        holds.next().is_some_and(|held| held.2 == mode) && holds.next().is_none()
    }

    /// Takes the lock, which must be free for `mode`.
    pub(crate) fn take(&mut self, lock: Object, lane: usize, mode: Mode) {
        self.held.push((lock, lane, mode));
    }

    /// Releases the lock. Releasing a lock that the lane does not hold changes nothing.
    pub(crate) fn release(&mut self, lock: Object, lane: usize, mode: Mode) {
        if let Some(index) = self.held.iter().rposition(|&held| held == (lock, lane, mode)) {
            self.held.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests;
