//! What happens before the next access of each lane, and what locks, starts and joins add to it.
//!
//! INV-KNOWN-1 (time): a lane's own component is its time. It advances with each store and each
//! handover, so everything that the lane does next has a later time than what it handed on: a clock
//! that knows a time of a lane knows everything that the lane did until then, including accesses
//! that are not events.

use crate::{
    clock::{Clocks, join},
    object::Object,
    order::Mode,
};

/// The clocks of one execution.
#[derive(Default)]
pub(super) struct Known {
    /// By lane.
    lanes: Clocks,
    /// What former exclusive holders of a lock knew when they released it, by object.
    exclusive: Clocks,
    /// The same for those that shared it.
    shared: Clocks,
    /// What happened before the end of each lane that has ended, by its number.
    ended: Clocks,
}

impl Known {
    /// Begins an execution with this many lanes.
    pub(super) fn begin(&mut self, lanes: usize) {
        self.widen(lanes);
        self.lanes.reset(self.lanes.width());
        self.exclusive.reset(0);
        self.shared.reset(0);
        self.ended.reset(0);
    }

    /// Makes room for this many lanes.
    pub(super) fn widen(&mut self, lanes: usize) {
        let Self { lanes: own, exclusive, shared, ended } = self;
        for clocks in [own, exclusive, shared, ended] {
            clocks.widen(lanes);
        }
        self.lanes.grow(lanes);
    }

    /// What happens before the next access of the lane.
    pub(super) fn to(&self, lane: usize) -> &[u32] {
        self.lanes.row(lane)
    }

    pub(super) fn to_mut(&mut self, lane: usize) -> &mut [u32] {
        self.lanes.row_mut(lane)
    }

    /// Gives what the lane did until now a time, and returns it; what the lane does next has a
    /// later one.
    pub(super) fn pass_time(&mut self, lane: usize) -> u32 {
        let time = &mut self.lanes.row_mut(lane)[lane];
        *time += 1;
        *time
    }

    /// The lane has taken a lock: what its former holders did happens before. Lanes that shared it
    /// do not count for a lane that also shares it.
    pub(super) fn acquire(&mut self, lane: usize, lock: Object, mode: Mode) {
        let lock = lock as usize;
        for (held, clocks) in [(Mode::Exclusive, &self.exclusive), (Mode::Shared, &self.shared)] {
            if held.excludes(mode) && lock < clocks.rows() {
                join(self.lanes.row_mut(lane), clocks.row(lock));
            }
        }
    }

    /// The lane releases a lock.
    pub(super) fn release(&mut self, lane: usize, lock: Object, mode: Mode) {
        self.pass_time(lane);
        let clocks = match mode {
            Mode::Exclusive => &mut self.exclusive,
            Mode::Shared => &mut self.shared,
        };
        clocks.grow(lock as usize + 1);
        join(clocks.row_mut(lock as usize), self.lanes.row(lane));
    }

    /// `parent` starts a lane: what it did until now happens before everything that the lane does.
    pub(super) fn spawn(&mut self, parent: usize, lane: usize) {
        self.pass_time(parent);
        self.lanes.join_within(lane, parent);
    }

    /// Makes the lock hand over nothing from before.
    pub(super) fn forget(&mut self, lock: Object) {
        for clocks in [&mut self.exclusive, &mut self.shared] {
            if (lock as usize) < clocks.rows() {
                clocks.row_mut(lock as usize).fill(0);
            }
        }
    }

    /// What former exclusive holders of the lock hand on, if there were any.
    pub(super) fn exclusive(&self, lock: Object) -> Option<&[u32]> {
        let lock = lock as usize;
        (lock < self.exclusive.rows()).then(|| self.exclusive.row(lock))
    }

    /// What former lanes that shared the lock hand on, if there were any.
    pub(super) fn shared(&self, lock: Object) -> Option<&[u32]> {
        let lock = lock as usize;
        (lock < self.shared.rows()).then(|| self.shared.row(lock))
    }

    /// What happened before the end of the lane with this number, if any lane has ended.
    pub(super) fn ended(&self, number: usize) -> Option<&[u32]> {
        (number < self.ended.rows()).then(|| self.ended.row(number))
    }

    /// The lane with this number, at this place, has ended.
    pub(super) fn end(&mut self, lane: usize, number: usize) {
        self.pass_time(lane);
        self.ended.grow(number + 1);
        self.ended.row_mut(number).copy_from_slice(self.lanes.row(lane));
    }

    /// The lane has seen that the lane with this number ended.
    pub(super) fn join(&mut self, lane: usize, number: usize) {
        join(self.lanes.row_mut(lane), self.ended.row(number));
    }

    /// Whether everything done at a place, by a lane that ended, happens before the next access of
    /// the lane.
    pub(super) fn knows_end(&self, lane: usize, place: usize) -> bool {
        self.lanes.row(lane)[place] >= self.lanes.row(place)[place]
    }
}
