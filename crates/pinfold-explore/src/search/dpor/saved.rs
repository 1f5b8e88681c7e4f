//! Saves the reduced search between two executions as a position, and restores it.
//!
//! What a step touches, and what else it does, is found out when the step is repeated. Races among
//! repeated steps are not looked for again: what they require is already in the sets.

use super::{Dpor, Node};
use crate::{
    lane::LaneSet,
    position::{Branch, Position, Stand, Trail},
    search::{Outlook, Resumable, ahead},
};

impl Dpor {
    /// Resumes where a search of the same job was.
    pub(crate) fn resume(&mut self, trail: u64, branches: &[Branch]) {
        self.expected = (!branches.is_empty()).then_some(trail);
        self.stack.extend(branches.iter().cloned().map(Node::from));
    }

    /// The hash of what the first steps touched.
    pub(super) fn trail(&self, steps: usize) -> u64 {
        Trail::of(self.stack[..steps].iter().map(|node| (node.lane, &node.touch)))
    }
}

impl Resumable for Dpor {
    /// The steps of the job are not part of it.
    fn position(&self) -> Position {
        let seen = || self.trail(self.stack.len().saturating_sub(1));
        let trail = self.expected.unwrap_or_else(seen);
        let branches = self.stack[self.root..].iter().map(Node::saved).collect();
        Position(Stand::Reduced { trail, branches })
    }

    fn rewind(&mut self) {
        self.stack.truncate(self.begun);
        let last = self.stack.last_mut().and_then(|node| node.stage.as_mut());
        last.into_iter().for_each(|stage| stage.entries.clear());
    }

    fn has_caught_up(&self) -> bool {
        self.depth == self.stack.len() && !self.astray
    }

    fn repeats(&self) -> bool {
        false
    }

    fn outlook(&self) -> Outlook {
        let ahead = ahead::open(self.stack.iter().map(|node| {
            let lanes = node.source.without(node.tried | node.sleep | LaneSet::one(node.lane));
            lanes.len() + node.options.len().saturating_sub(node.option + 1)
        }));
        Outlook { ahead, bound: None, spread: None, states: self.added }
    }
}

impl Node {
    fn saved(&self) -> Branch {
        let Self {
            lane,
            touch: _,
            enabled,
            awake: _,
            source,
            tried,
            sleep,
            asleep,
            options,
            option,
            touches,
            started: _,
            stage: _,
        } = self;
        Branch {
            lane: *lane,
            enabled: *enabled,
            source: *source,
            tried: *tried,
            sleep: *sleep,
            asleep: asleep.clone(),
            options: options.clone(),
            option: *option,
            touches: touches.clone(),
        }
    }
}

impl From<Branch> for Node {
    fn from(branch: Branch) -> Self {
        let Branch { lane, enabled, source, tried, sleep, asleep, options, option, touches } =
            branch;
        Self {
            lane,
            enabled,
            source,
            tried,
            sleep,
            asleep,
            options,
            option,
            touches,
            ..Self::default()
        }
    }
}
