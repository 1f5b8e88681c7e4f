//! What happens before what under sequential consistency: every store releases and every load
//! acquires. No load has a choice, so only the question of data races asks for it.
//!
//! Time is as in the graph of the weaker models: it passes with each store and each handing over,
//! so that a clock that knows a time of a lane knows all that the lane did until then.

use super::handover::Handovers;
use crate::{
    clock::{Clocks, join},
    hook::Mode,
    object::Object,
};

/// The clocks of one execution.
#[derive(Default)]
pub(super) struct Sequential {
    /// For each lane what happens before its next access.
    now: Clocks,
    /// For each cell the clock handed on with its latest store.
    handed_on: Clocks,
    locks: Handovers,
}

impl Sequential {
    pub(super) fn begin(&mut self, lanes: usize) {
        self.handed_on.reset(0);
        self.locks.clear();
        self.widen(lanes);
        self.now.reset(self.now.width());
    }

    fn widen(&mut self, lanes: usize) {
        self.now.widen(lanes);
        self.now.grow(lanes);
        self.handed_on.widen(lanes);
        self.locks.widen(lanes);
    }

    /// What happens before the next access of the lane.
    pub(super) fn now(&self, lane: usize) -> &[u32] {
        self.now.row(lane)
    }

    fn pass_time(&mut self, lane: usize) {
        self.now.row_mut(lane)[lane] += 1;
    }

    /// The cell begins a new life.
    pub(super) fn meet(&mut self, cell: Object) {
        self.handed_on.grow(cell as usize + 1);
        self.handed_on.row_mut(cell as usize).fill(0);
    }

    pub(super) fn load(&mut self, lane: usize, cell: Object) {
        join(self.now.row_mut(lane), self.handed_on.row(cell as usize));
    }

    pub(super) fn store(&mut self, lane: usize, cell: Object) {
        self.pass_time(lane);
        self.handed_on.row_mut(cell as usize).copy_from_slice(self.now.row(lane));
    }

    pub(super) fn acquire(&mut self, lane: usize, lock: Object, mode: Mode) {
        self.locks.acquire(lock, mode, self.now.row_mut(lane));
    }

    pub(super) fn release(&mut self, lane: usize, lock: Object, mode: Mode) {
        self.pass_time(lane);
        self.locks.release(lock, mode, self.now.row(lane));
    }

    pub(super) fn spawn(&mut self, parent: usize, lane: usize) {
        self.widen(lane + 1);
        self.pass_time(parent);
        self.now.join_within(lane, parent);
    }

    pub(super) fn join(&mut self, lane: usize, other: usize) {
        self.pass_time(other);
        self.now.join_within(lane, other);
    }
}
