//! Locks as words of the graph, so that an attempt can see an older state of one.
//!
//! A lock is as weak as one that consists of a word for exclusive acquisitions and a word for each
//! lane that shares it, which exclusive acquisitions take as well. Lanes that share a lock thus
//! learn nothing of each other through it. An acquisition is an acquiring update at the end of the
//! word; an unlock is a releasing store, under TSO through the store buffer. Under TSO an attempt
//! empties the store buffer, whether it succeeds or not.
//!
//! A failed attempt reads, without ordering, a word in which it sees another lane's acquisition:
//! that of a lane that holds the lock now, or of one that held it, as far as the axioms allow. For
//! data races it orders nothing under any model.
//!
//! INV-LOCKWORD-1: acquisitions and unlocks that exclude each other are ordered by happens-before
//! (`Known`), so it is enough that each is in the one word in which an attempt may see it.

use super::{Axiomatic, Axioms, Shape};
use crate::{
    memory::{
        graph::{Act, Location},
        words::{State, Taking, Words},
    },
    object::Object,
    op::Behind,
    order::{Mode, Order},
};

impl Axiomatic {
    fn words(&mut self, lock: Object) -> &mut Words {
        let index = lock as usize;
        if self.locks.len() <= index {
            self.locks.resize_with(index + 1, Words::default);
        }
        &mut self.locks[index]
    }

    /// The word in which the lane takes the lock.
    fn word(&mut self, lane: usize, lock: Object, mode: Mode) -> Location {
        if let Some(location) = self.words(lock).of(lane, mode) {
            return location;
        }
        let location = self.graph.add_location(0);
        if let Some(views) = &mut self.views {
            views.add_location(location);
        }
        self.words(lock).add(lane, mode, location);
        location
    }

    /// Writes, at the end of a lock's word, whether it is held.
    fn write_word(
        &mut self,
        lane: usize,
        location: Location,
        act: Act,
        state: State,
        order: Order,
    ) {
        let store = self.graph.next_store();
        let last = self.graph.last(location);
        self.graph.access(lane, act, false, location, store);
        let shape = Shape::new(self.axioms, act, order);
        let value = u64::from(state == State::Held);
        self.write(lane, location, last + 1, (act, value), shape.handed());
    }

    /// The lane takes the lock, which is free for it.
    pub(in crate::memory) fn take(&mut self, lane: usize, lock: Object, mode: Mode) {
        self.graph.known.acquire(lane, lock, mode);
        if let Some(views) = &mut self.views {
            views.acquire_lock(lane, lock, mode);
        }
        self.drain(lane);
        let location = self.word(lane, lock, mode);
        self.write_word(lane, location, Act::Update, State::Held, Order::Acquire);
        if mode == Mode::Shared {
            // Exclusive holders wrote this word, too.
            self.graph.hand_on_exclusive(lock);
            if let Some(views) = &mut self.views {
                views.hand_on_exclusive(lock);
            }
        }
        let position = self.graph.last(location);
        let state = State::Held;
        self.words(lock).takings.push(Taking { lane, mode, location, position, state });
    }

    /// The lane releases the lock.
    pub(in crate::memory) fn give_back(&mut self, lane: usize, lock: Object, mode: Mode) {
        let location = self.word(lane, lock, mode);
        let act = match (self.axioms, mode) {
            (Axioms::Weak, Mode::Shared) => Act::Update,
            _ => Act::Write,
        };
        self.write_word(lane, location, act, State::GivenBack, Order::Release);
        self.graph.known.release(lane, lock, mode);
        if let Some(views) = &mut self.views {
            views.release_lock(lane, lock, mode);
        }
        self.words(lock).give_back(lane, mode);
    }

    /// Puts the possible results of an attempt into `options`: zero for the lock's current state;
    /// otherwise how many acquisitions back from the last the one is in which it sees that the lock
    /// is held.
    pub(in crate::memory) fn attempts(
        &mut self,
        lane: usize,
        lock: Object,
        mode: Mode,
        behind: impl FnOnce() -> Behind,
        options: &mut Vec<u32>,
    ) {
        options.clear();
        options.push(0);
        let words = self.words(lock);
        let (count, now) = (words.takings.len(), words.in_the_way(mode));
        let others =
            |words: &Words, at: usize| Some(at) != now && words.takings[at].mode.excludes(mode);
        if !(0..count).any(|at| others(words, at)) || behind() == Behind::Withheld {
            return;
        }
        for at in (0..count).rev() {
            if !others(self.words(lock), at) {
                continue;
            }
            let Taking { location, position, .. } = self.words(lock).takings[at];
            if self.admits(lane, Act::Read, self.failing(), location, position) {
                options.push((count - at) as u32);
            }
        }
    }

    /// The lane's attempt fails, with one of its options.
    pub(in crate::memory) fn fail(&mut self, lane: usize, lock: Object, mode: Mode, option: u32) {
        self.drain(lane);
        let words = self.words(lock);
        let at = match option as usize {
            0 => words.in_the_way(mode),
            back => words.takings.len().checked_sub(back),
        };
        let Some(at) = at else { return };
        let Taking { location, position, .. } = words.takings[at];
        let store = self.graph.store(location, position);
        self.graph.may_acquire(lane, store);
        if let Some(views) = &mut self.views {
            views.may_acquire(lane, store);
        }
        self.graph.access(lane, Act::Read, false, location, store);
        if let Some(views) = &mut self.views {
            views.read(lane, location, (position, self.graph.last(location)), store);
        }
    }

    /// Puts the options of a lane that waits until no lane holds the lock exclusively into
    /// `options`: how many stores back from the last the one is in which it sees that.
    pub(in crate::memory) fn unlocked(
        &mut self,
        lane: usize,
        lock: Object,
        behind: impl FnOnce() -> Behind,
        options: &mut Vec<u32>,
    ) {
        let location = self.word(lane, lock, Mode::Exclusive);
        let last = self.graph.last(location);
        let free = |model: &Self, position: usize| model.graph.value(location, position) == 0;
        if free(self, last) {
            options.push(0);
        }
        if last == 0 || behind() == Behind::Withheld {
            return;
        }
        for position in (self.graph.floor(lane, location)..last).rev() {
            let shape = Shape::new(self.axioms, Act::Read, Order::Acquire);
            if free(self, position) && self.admits(lane, Act::Read, shape, location, position) {
                options.push((last - position) as u32);
            }
        }
    }

    /// The lane sees that no lane holds the lock exclusively, with one of its options.
    pub(in crate::memory) fn see_unlocked(&mut self, lane: usize, lock: Object, option: u32) {
        let location = self.word(lane, lock, Mode::Exclusive);
        let position = self.graph.last(location).saturating_sub(option as usize);
        let store = self.graph.store(location, position);
        self.graph.join_handed_on(lane, store);
        if let Some(views) = &mut self.views {
            views.acquire_store(lane, store);
        }
        self.graph.access(lane, Act::Read, false, location, store);
        if let Some(views) = &mut self.views {
            views.read(lane, location, (position, self.graph.last(location)), store);
        }
    }

    /// A reinitialised lock hands nothing over from before.
    pub(in crate::memory) fn forget(&mut self, lock: Object) {
        self.graph.known.forget(lock);
        if let Some(views) = &mut self.views {
            views.forget(lock);
        }
        if let Some(words) = self.locks.get_mut(lock as usize) {
            words.clear();
        }
    }

    /// Under TSO the lane's store buffer is emptied here.
    pub(in crate::memory) fn drain(&mut self, lane: usize) {
        if self.axioms == Axioms::Tso {
            self.graph.order(lane, Act::Fence, false);
            if let Some(views) = &mut self.views {
                views.fence(lane);
            }
        }
    }

    /// The act that a failed attempt is in the graph.
    fn failing(&self) -> Shape {
        Shape {
            fenced_before: self.axioms == Axioms::Tso,
            acquires: false,
            releases: false,
            sc: false,
            fenced_after: false,
        }
    }
}
