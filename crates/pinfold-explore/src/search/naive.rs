//! Depth-first search without reduction, under a bound on preemptions that grows from zero.
//!
//! A switch away from a lane that could go on is a preemption. Because small bounds come first, the
//! first failure found has the fewest. Without a bound that cuts, it visits every sequence of
//! steps: the reference for the reduced search.

use super::{Advance, LaneSet, Moment, Pick, Strategy};
use crate::lane::MAX_LANES;

enum Node {
    /// A pick of a lane, and the lanes still to try here.
    Lane { lane: usize, rest: LaneSet },
    /// A pick of an option; `at` is the one in force.
    Option { options: Vec<u32>, at: usize },
}

/// See the module.
pub(crate) struct Naive {
    stack: Vec<Node>,
    depth: usize,
    bound: u32,
    last_bound: u32,
    preemptions: u32,
    cut: bool,
}

impl Naive {
    pub(crate) fn new(last_bound: u32) -> Self {
        Self { stack: Vec::new(), depth: 0, bound: 0, last_bound, preemptions: 0, cut: false }
    }
}

impl Strategy for Naive {
    fn begin(&mut self, _lanes: usize) {
        self.depth = 0;
        self.preemptions = 0;
    }

    fn pick(&mut self, moment: &Moment<'_>) -> Pick {
        let Some(first) = moment.enabled.first() else { return Pick::Redundant };
        let running = moment.last.filter(|&lane| moment.enabled.contains(lane));
        if self.depth == self.stack.len() {
            let lane = running.unwrap_or(first);
            let mut rest = moment.enabled;
            rest.remove(lane);
            if running.is_some() && self.preemptions >= self.bound && !rest.is_empty() {
                rest = LaneSet::default();
                self.cut = true;
            }
            self.stack.push(Node::Lane { lane, rest });
        }
        // A subject that is not deterministic may meet an option here: the engine finds the lane
        // not enabled and says so.
        let lane = match self.stack[self.depth] {
            Node::Lane { lane, .. } => lane,
            Node::Option { .. } => MAX_LANES,
        };
        self.depth += 1;
        if running.is_some_and(|running| running != lane) {
            self.preemptions += 1;
        }
        Pick::Lane(lane)
    }

    fn option(&mut self, options: &[u32]) -> u32 {
        if self.depth == self.stack.len() {
            self.stack.push(Node::Option { options: options.to_vec(), at: 0 });
        }
        let choice = match &self.stack[self.depth] {
            Node::Option { options, at } => options[*at],
            Node::Lane { .. } => options[0],
        };
        self.depth += 1;
        choice
    }

    fn has_caught_up(&self) -> bool {
        self.depth == self.stack.len()
    }

    fn advance(&mut self) -> Advance {
        while let Some(node) = self.stack.last_mut() {
            match node {
                Node::Lane { lane, rest } => {
                    if let Some(next) = rest.first() {
                        rest.remove(next);
                        *lane = next;
                        return Advance::Next;
                    }
                }
                Node::Option { options, at } => {
                    if *at + 1 < options.len() {
                        *at += 1;
                        return Advance::Next;
                    }
                }
            }
            self.stack.pop();
        }
        if !self.cut {
            return Advance::Exhausted;
        }
        if self.bound == self.last_bound {
            return Advance::Bounded(format!("at most {} preemptions were tried", self.last_bound));
        }
        self.bound += 1;
        self.cut = false;
        Advance::Next
    }

    fn bound(&self) -> Option<u32> {
        Some(self.bound)
    }

    fn repeats(&self) -> bool {
        self.preemptions < self.bound
    }
}
