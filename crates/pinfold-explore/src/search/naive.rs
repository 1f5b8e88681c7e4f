//! Depth-first search without reduction, under a bound on preemptions that grows from zero.
//!
//! A switch away from a lane that could continue is a preemption. Because small bounds come first,
//! the first failure found has the fewest. Without a bound that cuts anything off, it visits every
//! sequence of steps: the reference for the reduced search.

use super::{Advance, Moment, Outlook, Pick, Resumable, Seat, Strategy, Touch, ahead};
use crate::{
    lane::LaneSet,
    ledger::Name,
    position::{Bounded, Fork, Position, Stand, Trail},
};

/// A choice, and what the step that follows it touched.
struct Node {
    fork: Fork,
    touch: Option<Touch>,
}

/// See the module.
pub(crate) struct Naive {
    stack: Vec<Node>,
    depth: usize,
    /// How many choices were on the stack, and how many the bound had left out, when the current
    /// execution began.
    begun: (usize, u64),
    bound: u32,
    last_bound: u32,
    preemptions: u32,
    /// How many choices the bound has left out.
    cut: u64,
    /// Whether the execution offers choices other than those on the stack.
    astray: bool,
    /// The hash of what the steps before the last choice should touch, until it has been checked.
    expected: Option<u64>,
}

impl Naive {
    pub(crate) fn new(last_bound: u32) -> Self {
        Self {
            stack: Vec::new(),
            depth: 0,
            begun: (0, 0),
            bound: 0,
            last_bound,
            preemptions: 0,
            cut: 0,
            astray: false,
            expected: None,
        }
    }

    /// Resumes where a search was.
    pub(crate) fn resume(&mut self, stand: &Bounded) {
        (self.bound, self.cut) = (stand.bound, stand.cut);
        let forks = stand.forks.iter().cloned();
        self.stack.extend(forks.map(|fork| Node { fork, touch: None }));
        self.expected = (!self.stack.is_empty()).then_some(stand.trail);
    }

    /// The hash of what the first choices led to.
    fn trail(&self, choices: usize) -> u64 {
        Trail::of(self.stack[..choices].iter().map(|node| match node.fork {
            Fork::Lane { lane, .. } => (lane, &node.touch),
            Fork::Option { at, .. } => (at, &node.touch),
        }))
    }

    /// The next choice was met: compares what came before the last one with what was expected.
    fn meet(&mut self) {
        self.stack[self.depth].touch = None;
        self.depth += 1;
        if self.depth == self.stack.len()
            && let Some(expected) = self.expected.take()
        {
            self.astray |= self.trail(self.depth - 1) != expected;
        }
    }
}

impl Strategy for Naive {
    fn begin(&mut self, _lanes: usize) {
        self.begun = (self.stack.len(), self.cut);
        self.depth = 0;
        self.preemptions = 0;
        self.astray = false;
    }

    fn pick(&mut self, moment: &Moment<'_>) -> Pick {
        let Some(first) = moment.enabled.first() else { return Pick::Redundant };
        let running = moment.last.filter(|&lane| moment.enabled.contains(lane));
        if self.depth == self.stack.len() {
            let lane = running.unwrap_or(first);
            let mut rest = moment.enabled;
            rest.remove(lane);
            if running.is_some() && self.preemptions >= self.bound && !rest.is_empty() {
                self.cut += rest.len() as u64;
                rest = LaneSet::default();
            }
            let fork = Fork::Lane { lane, enabled: moment.enabled, rest };
            self.stack.push(Node { fork, touch: None });
        }
        let lane = match self.stack[self.depth].fork {
            Fork::Lane { lane, enabled, .. } if enabled == moment.enabled => lane,
            // A nondeterministic subject may meet a different choice here.
            Fork::Lane { .. } | Fork::Option { .. } => return Pick::Astray,
        };
        self.meet();
        if self.astray {
            return Pick::Astray;
        }
        if running.is_some_and(|running| running != lane) {
            self.preemptions += 1;
        }
        Pick::Lane(lane)
    }

    fn option(&mut self, options: &[u32]) -> u32 {
        if self.depth == self.stack.len() {
            let fork = Fork::Option { options: options.to_vec(), at: 0 };
            self.stack.push(Node { fork, touch: None });
        }
        let choice = match &self.stack[self.depth].fork {
            Fork::Option { options: known, at } if known == options => options[*at],
            _ => {
                self.astray = true;
                options[0]
            }
        };
        self.meet();
        choice
    }

    fn executed(&mut self, _lane: usize, touch: Touch, _name: Option<Name>, _seat: Seat) {
        if let Some(node) = self.depth.checked_sub(1).and_then(|at| self.stack.get_mut(at)) {
            node.touch = Some(touch);
        }
    }

    fn advance(&mut self) -> Advance {
        while let Some(node) = self.stack.last_mut() {
            match &mut node.fork {
                Fork::Lane { lane, rest, .. } => {
                    if let Some(next) = rest.first() {
                        rest.remove(next);
                        *lane = next;
                        return Advance::Next;
                    }
                }
                Fork::Option { options, at } => {
                    if *at + 1 < options.len() {
                        *at += 1;
                        return Advance::Next;
                    }
                }
            }
            self.stack.pop();
        }
        if self.cut == 0 {
            return Advance::Exhausted;
        }
        if self.bound == self.last_bound {
            return Advance::Bounded(format!(
                "at most {} preemptions were tried, and {} switches beyond them were not",
                self.last_bound, self.cut
            ));
        }
        self.bound += 1;
        self.cut = 0;
        Advance::Next
    }

    fn resumable(&mut self) -> Option<&mut dyn Resumable> {
        Some(self)
    }
}

impl Resumable for Naive {
    fn position(&self) -> Position {
        let (bound, cut) = (self.bound, self.cut);
        let forks = self.stack.iter().map(|node| node.fork.clone()).collect();
        let seen = || self.trail(self.stack.len().saturating_sub(1));
        let trail = self.expected.unwrap_or_else(seen);
        Position(Stand::Bounded(Bounded { trail, bound, cut, forks }))
    }

    fn rewind(&mut self) {
        let (choices, cut) = self.begun;
        self.stack.truncate(choices);
        self.cut = cut;
    }

    fn has_caught_up(&self) -> bool {
        self.depth == self.stack.len() && !self.astray
    }

    fn repeats(&self) -> bool {
        self.preemptions < self.bound
    }

    fn outlook(&self) -> Outlook {
        let mut steps = Vec::new();
        for node in &self.stack {
            match &node.fork {
                Fork::Lane { rest, .. } => steps.push(rest.len()),
                // The choice belongs to the step of the lane that was picked before.
                Fork::Option { options, at } => {
                    if let Some(open) = steps.last_mut() {
                        *open += options.len() - at - 1;
                    }
                }
            }
        }
        let ahead = ahead::open(steps.into_iter());
        Outlook { ahead, bound: Some(self.bound), spread: None, states: 0 }
    }
}
