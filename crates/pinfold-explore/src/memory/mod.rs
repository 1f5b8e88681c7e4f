//! What a load may return.
//!
//! An access has *options*: numbers `k` that say how many stores back from the latest (in modification order) a load
//! reads or how many stores a store is placed behind. Option 0 is the sequentially consistent one, is always allowed, and
//! is the only one under [`crate::Model::Sc`].

use crate::{
    engine::{Done, Op},
    object::Object,
};

/// The memory of one execution.
#[derive(Default)]
pub(crate) struct Memory {
    /// The value that is latest in modification order, by object. `None` for locks and for cells that were forgotten.
    latest: Vec<Option<u64>>,
}

impl Memory {
    /// Forgets everything, for the next execution.
    pub(crate) fn begin(&mut self) {
        self.latest.clear();
    }

    /// The cell is about to be accessed and holds `now`: the initial value, if it was not known.
    pub(crate) fn meet(&mut self, cell: Object, now: u64) {
        let index = cell as usize;
        if self.latest.len() <= index {
            self.latest.resize(index + 1, None);
        }
        self.latest[index].get_or_insert(now);
    }

    /// The next access to the cell starts from what it then holds.
    pub(crate) fn forget(&mut self, cell: Object) {
        if let Some(latest) = self.latest.get_mut(cell as usize) {
            *latest = None;
        }
    }

    fn latest(&self, cell: Object) -> u64 {
        self.latest.get(cell as usize).copied().flatten().unwrap_or(0)
    }

    /// The options of `op`, the ordinary one first. Empty when the lane has to wait.
    pub(crate) fn options(&mut self, op: &Op, options: &mut Vec<u32>) {
        options.clear();
        let possible = match op {
            Op::Wait { cell, ready, .. } => ready.call(self.latest(*cell)),
            _ => true,
        };
        if possible {
            options.push(0);
        }
    }

    /// Executes an access to a cell.
    pub(crate) fn execute(&mut self, op: &Op) -> Done {
        let (cell, new) = match op {
            Op::Store { cell, value, .. } => (*cell, Some(*value)),
            Op::Rmw { cell, update, .. } => (*cell, update.call(self.latest(*cell))),
            Op::Load { cell, .. } | Op::Wait { cell, .. } => (*cell, None),
            _ => return Done::default(),
        };
        let old = self.latest(cell);
        let latest = new.unwrap_or(old);
        if let Some(slot) = self.latest.get_mut(cell as usize) {
            *slot = Some(latest);
        }
        Done { old, new: latest, done: new.is_some(), latest }
    }
}
