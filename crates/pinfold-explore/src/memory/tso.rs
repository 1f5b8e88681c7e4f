//! Total store order: global-happens-before has no cycle.
//!
//! Its edges are program order except from a store to a later load; from everything up to the
//! release of a lock to its next acquisition; from everything before the start of a lane to that
//! lane, and from the lane to everything after its end; modification order; from-read; and
//! reads-from between lanes (a load that reads its own lane's store may read it from the store
//! buffer). Fences, read-modify-writes and lock acquisitions keep all order, as locked instructions
//! do on x86; so do a failed compare-exchange and a failed attempt at a lock. Releasing a lock is a
//! store.

use super::graph::{Act, EventId, Graph, LONG};
use crate::watch::Watch;

/// Buffers that a check needs, kept between checks.
#[derive(Default)]
pub(super) struct Checker {
    visited: Vec<bool>,
    frontier: Vec<EventId>,
}

impl Checker {
    /// Whether the graph stays consistent with `candidate`, the newest event. No when the watch
    /// ends the execution.
    pub(super) fn allows(&mut self, graph: &Graph, candidate: EventId, watch: &Watch) -> bool {
        let Self { visited, frontier } = self;
        visited.clear();
        visited.resize(graph.events.len(), false);
        frontier.clear();
        frontier.push(candidate);
        while let Some(event) = frontier.pop()
            && !visited[candidate]
        {
            if graph.events.len() >= LONG && watch.is_over() {
                return false;
            }
            for (next, seen) in visited.iter_mut().enumerate() {
                if !*seen && precedes(graph, event, next) {
                    *seen = true;
                    frontier.push(next);
                }
            }
        }
        !visited[candidate]
    }
}

/// Whether there is an edge of global-happens-before.
fn precedes(graph: &Graph, a: EventId, b: EventId) -> bool {
    if a == b {
        return false;
    }
    let (first, second) = (&graph.events[a], &graph.events[b]);
    if first.lane == second.lane && first.place < second.place {
        return !(first.act == Act::Write && second.act == Act::Read);
    }
    if second.act == Act::Fence {
        // A lane that takes a lock, starts, or sees another end has a fence there; what follows is
        // reached through it. That the store read by a load happens before the fence adds nothing
        // to reads-from and program order.
        return graph.happens_before(a, b);
    }
    if first.location.is_none() || first.location != second.location {
        return false;
    }
    let (first_key, second_key) = (graph.key(a), graph.key(b));
    match second.act {
        Act::Write | Act::Update => first_key < second_key,
        Act::Read => {
            first.act != Act::Read && first_key + 1 == second_key && first.lane != second.lane
        }
        Act::Fence | Act::Point => false,
    }
}
