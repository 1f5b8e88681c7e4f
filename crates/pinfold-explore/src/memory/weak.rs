//! The order of sequentially consistent events in RC11 (Lahav et al., PLDI 2017): partial-SC has no
//! cycle.
//!
//! Between fences its edges are happens-before, and happens-before, then coherence order, then
//! happens-before. An access takes part by *SC-before*: program order, coherence order up to a
//! write, happens-before on one location, and happens-before between program-order steps that
//! change location.
//!
//! Only a new event that precedes others in its location has an edge to anything, so only such a
//! candidate is checked, and only cycles that leave through it are looked for.

use super::graph::{Act, EventId, Graph, LONG};
use crate::watch::Watch;

/// Buffers that a check needs, kept between checks.
#[derive(Default)]
pub(super) struct Checker {
    /// For one fence and each location, the lowest key that happens after it.
    lowest: Vec<u32>,
    frontier: Vec<EventId>,
    reached: Vec<EventId>,
}

impl Checker {
    /// Whether the graph stays consistent with `candidate`, the newest event. No when the watch
    /// ends the execution.
    pub(super) fn allows(&mut self, graph: &Graph, candidate: EventId, watch: &Watch) -> bool {
        !self.closes_cycle(graph, candidate, watch)
    }

    fn closes_cycle(&mut self, graph: &Graph, candidate: EventId, watch: &Watch) -> bool {
        let is_fence_before =
            |event| is_fence(graph, event) && graph.happens_before(event, candidate);
        let by_fence = graph.sc_events.iter().any(|&event| is_fence_before(event));
        let itself = |event| event == candidate;
        (by_fence && leads_back(graph, candidate, Source::Fence, is_fence_before, self, watch))
            || (graph.events[candidate].sc
                && leads_back(graph, candidate, Source::Itself, itself, self, watch))
    }
}

/// Where an edge through the candidate comes from. A fence counts for everything that happens after
/// it, an access for itself alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Fence,
    Itself,
}

/// Whether partial-SC leads through the candidate and on to one of `sources`.
fn leads_back(
    graph: &Graph,
    candidate: EventId,
    from: Source,
    is_source: impl Fn(EventId) -> bool,
    Checker { lowest, frontier, reached }: &mut Checker,
    watch: &Watch,
) -> bool {
    let is_over = || graph.events.len() >= LONG && watch.is_over();
    frontier.clear();
    reached.clear();
    for &to in &graph.sc_events {
        if is_left_towards(graph, candidate, from, to) {
            frontier.push(to);
            reached.push(to);
        }
        if is_over() {
            return true;
        }
    }
    while let Some(event) = frontier.pop() {
        if is_source(event) {
            return true;
        }
        fill_lowest(graph, event, lowest);
        for &to in &graph.sc_events {
            // Each of these looks at the whole execution, or at its pairs of events.
            if is_over() {
                return true;
            }
            if !reached.contains(&to) && has_edge(graph, event, to, lowest, is_over) {
                frontier.push(to);
                reached.push(to);
            }
        }
    }
    false
}

fn is_fence(graph: &Graph, event: EventId) -> bool {
    graph.events[event].act == Act::Fence
}

/// Whether partial-SC leads to `to` through `candidate`.
fn is_left_towards(graph: &Graph, candidate: EventId, from: Source, to: EventId) -> bool {
    let key = graph.key(candidate);
    let Some(location) = graph.events[candidate].location else { return false };
    graph.accesses(location).iter().any(|&event| {
        let by_coherence = graph.key(event) > key;
        let writes = graph.events[event].act != Act::Read;
        if is_fence(graph, to) {
            by_coherence && (writes || from == Source::Fence) && graph.happens_before(event, to)
        } else {
            by_coherence && writes && event == to
        }
    })
}

/// The lowest key on each location among the events that happen after `from`.
fn fill_lowest(graph: &Graph, from: EventId, lowest: &mut Vec<u32>) {
    lowest.clear();
    lowest.resize(graph.locations, u32::MAX);
    for lane in &graph.by_lane {
        for &id in lane.iter().rev().take_while(|&&id| graph.happens_before(from, id)) {
            if let Some(location) = graph.events[id].location {
                lowest[location] = lowest[location].min(graph.key(id));
            }
        }
    }
}

/// What happens before an event, and the event itself.
fn history(graph: &Graph, to: EventId) -> impl Iterator<Item = EventId> + '_ {
    let lanes = graph.clock(to).iter().zip(&graph.by_lane);
    lanes.flat_map(move |(&known, lane)| {
        lane.iter().copied().take_while(move |&event| graph.events[event].time <= known)
    })
}

/// Whether partial-SC has an edge. `lowest` holds the lowest keys of `from`. Any answer will do
/// when `is_over` says that the execution has ended.
fn has_edge(
    graph: &Graph,
    from: EventId,
    to: EventId,
    lowest: &[u32],
    is_over: impl Fn() -> bool,
) -> bool {
    if from == to {
        return false;
    }
    match (is_fence(graph, from), is_fence(graph, to)) {
        (true, true) => {
            graph.happens_before(from, to)
                || history(graph, to).any(|b| {
                    graph.events[b].location.is_some_and(|location| lowest[location] < graph.key(b))
                })
        }
        (from_fence, to_fence) => {
            let all = 0..graph.events.len();
            let starts = |a| a == from || (from_fence && graph.happens_before(from, a));
            let ends = |b| b == to || (to_fence && graph.happens_before(b, to));
            all.clone().filter(|&a| starts(a)).any(|a| {
                is_over() || all.clone().filter(|&b| ends(b)).any(|b| is_sc_before(graph, a, b))
            })
        }
    }
}

/// SC-before.
fn is_sc_before(graph: &Graph, a: EventId, b: EventId) -> bool {
    if a == b {
        return false;
    }
    let (first, second) = (&graph.events[a], &graph.events[b]);
    if first.lane == second.lane {
        return first.place < second.place;
    }
    if first.location.is_some() && first.location == second.location {
        let writes = second.act != Act::Read;
        if (writes && graph.key(a) < graph.key(b)) || graph.happens_before(a, b) {
            return true;
        }
    }
    let leaves = graph.by_lane[first.lane][first.place + 1..]
        .iter()
        .find(|&&event| graph.events[event].location != first.location);
    let enters = graph.by_lane[second.lane][..second.place]
        .iter()
        .rfind(|&&event| graph.events[event].location != second.location);
    match (leaves, enters) {
        (Some(&leaves), Some(&enters)) => graph.happens_before(leaves, enters),
        _ => false,
    }
}
