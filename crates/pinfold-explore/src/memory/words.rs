//! The words of a lock in the graph, and its acquisitions.

use super::graph::Location;
use crate::order::Mode;

/// The words of one lock, and its acquisitions.
#[derive(Default)]
pub(super) struct Words {
    /// The word for exclusive acquisitions.
    alone: Option<Location>,
    /// The words of lanes that shared it, by lane.
    shared: Vec<(usize, Location)>,
    /// Every acquisition, in order.
    pub(super) takings: Vec<Taking>,
}

/// An acquisition of the lock by a lane.
#[derive(Clone, Copy)]
pub(super) struct Taking {
    pub(super) lane: usize,
    pub(super) mode: Mode,
    pub(super) location: Location,
    /// Where it is in its word.
    pub(super) position: usize,
    pub(super) state: State,
}

/// Whether the lane still holds the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Held,
    GivenBack,
}

impl Words {
    /// Forgets everything, for the next execution or the next lifetime of the lock.
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

    /// The words, each with a tag: zero, or one more than the lane that shares the lock there.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, Location)> + '_ {
        let alone = self.alone.iter().map(|&location| (0, location));
        alone.chain(self.shared.iter().map(|&(lane, location)| (lane as u64 + 1, location)))
    }

    /// Makes the lane take the lock in this word from now on.
    pub(super) fn add(&mut self, lane: usize, mode: Mode, location: Location) {
        match mode {
            Mode::Exclusive => self.alone = Some(location),
            Mode::Shared => self.shared.push((lane, location)),
        }
    }

    /// The lane's last acquisition is over.
    pub(super) fn give_back(&mut self, lane: usize, mode: Mode) {
        let own = |taking: &&mut Taking| (taking.lane, taking.mode) == (lane, mode);
        if let Some(taking) = self.takings.iter_mut().rev().find(own) {
            taking.state = State::GivenBack;
        }
    }

    /// The last acquisition that excludes a lane wanting the lock now.
    pub(super) fn in_the_way(&self, wanted: Mode) -> Option<usize> {
        let held = |taking: &Taking| taking.state == State::Held && taking.mode.excludes(wanted);
        self.takings.iter().rposition(held)
    }
}
