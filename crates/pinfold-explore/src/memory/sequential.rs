//! Happens-before under sequential consistency: every store releases and every load acquires. No
//! load has a choice, so only the detection of data races needs it.

use super::known::Known;
use crate::{
    clock::{Clocks, join},
    object::Object,
};

/// The clocks of one execution.
#[derive(Default)]
pub(super) struct Sequential {
    pub(super) known: Known,
    /// For each cell, the clock handed on with its latest store.
    handed_on: Clocks,
}

impl Sequential {
    pub(super) fn begin(&mut self, lanes: usize) {
        self.known.begin(lanes);
        self.handed_on.reset(0);
        self.handed_on.widen(lanes);
    }

    /// The cell begins a new lifetime.
    pub(super) fn meet(&mut self, cell: Object) {
        self.handed_on.grow(cell as usize + 1);
        self.handed_on.row_mut(cell as usize).fill(0);
    }

    pub(super) fn load(&mut self, lane: usize, cell: Object) {
        join(self.known.to_mut(lane), self.handed_on.row(cell as usize));
    }

    pub(super) fn store(&mut self, lane: usize, cell: Object) {
        self.known.pass_time(lane);
        self.handed_on.row_mut(cell as usize).copy_from_slice(self.known.to(lane));
    }

    /// What the latest store to the cell hands on, if the cell was met.
    pub(super) fn handed_on(&self, cell: Object) -> Option<&[u32]> {
        ((cell as usize) < self.handed_on.rows()).then(|| self.handed_on.row(cell as usize))
    }

    /// `parent` starts a lane.
    pub(super) fn spawn(&mut self, parent: usize, lane: usize) {
        self.handed_on.widen(lane + 1);
        self.known.widen(lane + 1);
        self.known.spawn(parent, lane);
    }
}
