//! What a load may return.
//!
//! An access has *options*: numbers `k` that say how many stores back from the latest (in
//! modification order) a load reads or how many stores a store is placed behind. Option 0 is the
//! sequentially consistent one, is always allowed, and is the only one under [`Model::Sc`].
//!
//! The weaker models are axiomatic: [`graph`] keeps the execution as a graph of events, and an
//! option is allowed if the graph with it is consistent. Consistency of both models is closed under
//! prefixes of (program order and reads-from), and option 0 always keeps it; that is all that the
//! search relies on.

mod graph;
mod tso;
mod weak;

use crate::{
    engine::{Done, Op},
    explore::Model,
    hook::{Mode, Order},
    object::Object,
};
use graph::Graph;

/// Whether options are offered that go behind the last change of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    Offered,
    Withheld,
}

/// The memory of one execution.
pub(crate) struct Memory {
    /// The value that is latest in modification order, by object. `None` for locks and for cells
    /// that were forgotten.
    latest: Vec<Option<u64>>,
    /// Present under the weaker models.
    graph: Option<Graph>,
}

impl Memory {
    pub(crate) fn new(model: Model) -> Self {
        let graph = match model {
            Model::Sc => None,
            Model::Tso => Some(Graph::new(graph::Axioms::Tso)),
            Model::Weak => Some(Graph::new(graph::Axioms::Weak)),
        };
        Self { latest: Vec::new(), graph }
    }

    /// Forgets everything, for the next execution.
    pub(crate) fn begin(&mut self) {
        self.latest.clear();
    }

    /// The execution has so many lanes.
    pub(crate) fn lanes(&mut self, lanes: usize) {
        if let Some(graph) = &mut self.graph {
            graph.begin(lanes);
        }
    }

    /// The cell is about to be accessed and holds `now`: the initial value, if it was not known.
    pub(crate) fn meet(&mut self, cell: Object, now: u64) {
        let index = cell as usize;
        if self.latest.len() <= index {
            self.latest.resize(index + 1, None);
        }
        if self.latest[index].is_none() {
            self.latest[index] = Some(now);
            if let Some(graph) = &mut self.graph {
                graph.meet(cell, now);
            }
        }
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

    /// Puts the options of an access into `options`, the ordinary one first. None when the lane has
    /// to wait.
    pub(crate) fn options(
        &mut self,
        lane: usize,
        op: &Op,
        behind: impl FnOnce() -> Behind,
        options: &mut Vec<u32>,
    ) {
        options.clear();
        if let Some(graph) = &mut self.graph {
            return graph.options(lane, op, behind, options);
        }
        let possible = match op {
            Op::Wait { cell, ready, .. } => ready.call(self.latest(*cell)),
            _ => true,
        };
        if possible {
            options.push(0);
        }
    }

    /// Executes an access to a cell with one of its options.
    pub(crate) fn execute(&mut self, lane: usize, op: &Op, option: u32) -> Done {
        let Some(cell) = op.cell() else { return Done::default() };
        let before = self.latest(cell);
        let done = match &mut self.graph {
            Some(graph) => graph.execute(lane, op, option),
            None => {
                let new = match op {
                    Op::Store { value, .. } => Some(*value),
                    Op::Rmw { update, .. } => update.call(before),
                    _ => None,
                };
                let latest = new.unwrap_or(before);
                Done { old: before, new: latest, done: new.is_some(), latest }
            }
        };
        if let Some(latest) = self.latest.get_mut(cell as usize) {
            *latest = Some(done.latest);
        }
        done
    }

    /// A fence.
    pub(crate) fn fence(&mut self, lane: usize, order: Order) {
        if let Some(graph) = &mut self.graph {
            graph.fence(lane, order);
        }
    }

    /// The lane has taken a lock.
    pub(crate) fn acquire(&mut self, lane: usize, lock: Object, mode: Mode) {
        if let Some(graph) = &mut self.graph {
            graph.acquire(lane, lock, mode);
        }
    }

    /// The lane gives a lock back.
    pub(crate) fn release(&mut self, lane: usize, lock: Object, mode: Mode) {
        if let Some(graph) = &mut self.graph {
            graph.release(lane, lock, mode);
        }
    }
}
