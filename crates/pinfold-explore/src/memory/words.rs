//! The words of a lock in the graph, and who took it.

use super::graph::Location;
use crate::order::Mode;

/// The words of one lock, and who took it.
#[derive(Default)]
pub(super) struct Words {
    /// That of those who want it alone.
    alone: Option<Location>,
    /// By lane that shared it.
    shared: Vec<(usize, Location)>,
    /// Every taking, in order.
    pub(super) takings: Vec<Taking>,
}

/// That a lane took the lock.
#[derive(Clone, Copy)]
pub(super) struct Taking {
    pub(super) lane: usize,
    pub(super) mode: Mode,
    pub(super) location: Location,
    /// Where it stands in its word.
    pub(super) position: usize,
    pub(super) state: State,
}

/// Whether the lane has it still.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Held,
    GivenBack,
}

impl Words {
    /// Forgets everything, for the next execution or the next life of the lock.
    pub(super) fn clear(&mut self) {
        self.alone = None;
        self.shared.clear();
        self.takings.clear();
    }

    /// The word in which the lane takes the lock, if it has one.
    pub(super) fn of(&self, lane: usize, mode: Mode) -> Option<Location> {
        match mode {
            Mode::Exclusive => self.alone,
            Mode::Shared => {
                let own = self.shared.iter().find(|(sharer, _)| *sharer == lane);
                own.map(|&(_, location)| location)
            }
        }
    }

    /// From now on the lane takes the lock in this word.
    pub(super) fn add(&mut self, lane: usize, mode: Mode, location: Location) {
        match mode {
            Mode::Exclusive => self.alone = Some(location),
            Mode::Shared => self.shared.push((lane, location)),
        }
    }

    /// The last taking of the lane is over.
    pub(super) fn give_back(&mut self, lane: usize, mode: Mode) {
        let own = |taking: &&mut Taking| (taking.lane, taking.mode) == (lane, mode);
        if let Some(taking) = self.takings.iter_mut().rev().find(own) {
            taking.state = State::GivenBack;
        }
    }

    /// The last taking that keeps out who wants the lock now.
    pub(super) fn in_the_way(&self, wanted: Mode) -> Option<usize> {
        let held = |taking: &Taking| taking.state == State::Held && taking.mode.excludes(wanted);
        self.takings.iter().rposition(held)
    }
}
