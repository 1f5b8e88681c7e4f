//! A way down from the root to a place between two areas, and moves from there.

use super::node::{LAST, Node};
use super::pool::{NONE, Pool};

/// The most levels: the root has two kids or more, each node below it [`super::node::LEAST`], and
/// there are fewer than 2^32 areas.
pub(super) const LEVELS: usize = 12;

/// The nodes of a tree.
pub(super) type Nodes = Pool<Node, 8>;

/// A node, and a place in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) node: u32,
    pub(super) at: u32,
}

/// A way down. In the nodes above the last level `at` is the entry that was followed; in the last
/// one it is the number of areas that lie before the place.
///
/// Valid until the tree changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    steps: [Step; LEVELS],
    levels: u32,
}

/// Pages that no area has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hole {
    /// The end of the area below, if there is one.
    pub(crate) below: Option<u64>,
    /// The first page of the area above, if there is one.
    pub(crate) above: Option<u64>,
}

impl Path {
    /// The way to nowhere.
    pub(super) const NOWHERE: Self =
        Self { steps: [Step { node: NONE, at: 0 }; LEVELS], levels: 0 };

    /// The way to behind all areas that start at `page` or before it.
    #[inline]
    pub(super) fn to(nodes: &Nodes, root: u32, levels: u32, page: u64) -> Self {
        let mut path = Self { levels, ..Self::NOWHERE };
        let (mut id, page) = (root, page.min(LAST));
        for level in 0..levels as usize {
            let node = nodes.get(id);
            let count = node.count(page) as u32;
            let last = level + 1 == levels as usize;
            let at = if last { count } else { count.max(1) - 1 };
            path.steps[level] = Step { node: id, at };
            if !last {
                id = node.link(at as usize);
            }
        }
        path
    }

    /// How many levels it has; none if the tree is empty.
    #[inline]
    pub(super) fn levels(&self) -> usize {
        self.levels as usize
    }

    #[inline]
    pub(super) fn step(&self, level: usize) -> Step {
        self.steps[level]
    }

    /// The last node, and how many of its areas lie before the place.
    #[inline]
    pub(super) fn leaf(&self) -> Option<(u32, usize)> {
        let Step { node, at } = self.steps[self.levels().checked_sub(1)?];
        Some((node, at as usize))
    }

    /// To the place before the area that lies before it. The caller has seen one there.
    #[inline]
    pub(super) fn back(&mut self) {
        self.steps[self.levels() - 1].at -= 1;
    }

    /// To the place behind the area that lies behind it. The caller has seen one there.
    #[inline]
    pub(super) fn on(&mut self) {
        self.steps[self.levels() - 1].at += 1;
    }

    /// The area behind the place: the last level's entry. Moves on to the next node where the
    /// place is at a node's end.
    #[inline]
    pub(super) fn ahead(&mut self, nodes: &Nodes) -> Option<(u32, usize)> {
        let (leaf, at) = self.leaf()?;
        if at < nodes.get(leaf).len() { Some((leaf, at)) } else { self.next_leaf(nodes) }
    }

    #[cold]
    fn next_leaf(&mut self, nodes: &Nodes) -> Option<(u32, usize)> {
        let mut level = self.levels() - 1;
        loop {
            level = level.checked_sub(1)?;
            let Step { node, at } = self.steps[level];
            if (at as usize) + 1 < nodes.get(node).len() {
                break;
            }
        }
        self.steps[level].at += 1;
        for level in level + 1..self.levels() {
            let Step { node, at } = self.steps[level - 1];
            self.steps[level] = Step { node: nodes.get(node).link(at as usize), at: 0 };
        }
        self.leaf()
    }

    /// The area before the place, by its node and place there. Moves to the end of the node before
    /// where the place is at a node's beginning.
    pub(super) fn behind(&mut self, nodes: &Nodes) -> Option<(u32, usize)> {
        let (leaf, at) = self.leaf()?;
        if at > 0 { Some((leaf, at - 1)) } else { self.previous_leaf(nodes) }
    }

    #[cold]
    fn previous_leaf(&mut self, nodes: &Nodes) -> Option<(u32, usize)> {
        let mut level = self.levels() - 1;
        loop {
            level = level.checked_sub(1)?;
            if self.steps[level].at > 0 {
                break;
            }
        }
        self.steps[level].at -= 1;
        for level in level + 1..self.levels() {
            let Step { node, at } = self.steps[level - 1];
            let node = nodes.get(node).link(at as usize);
            let last = nodes.get(node).len() as u32;
            let at = if level + 1 == self.levels() { last } else { last - 1 };
            self.steps[level] = Step { node, at };
        }
        let (leaf, at) = self.leaf()?;
        Some((leaf, at - 1))
    }

    /// What lies around the place, an area in it or none.
    pub(super) fn hole(&self, nodes: &Nodes) -> Hole {
        let (mut below, mut above) = (None, None);
        for level in (0..self.levels()).rev() {
            let (step, last) = (self.steps[level], level + 1 == self.levels());
            let (node, at) = (nodes.get(step.node), step.at as usize);
            let next = if last { at } else { at + 1 };
            if below.is_none() && at > 0 {
                below = Some(node.end(at - 1));
            }
            if above.is_none() && next < node.len() {
                above = Some(node.first(next));
            }
            if below.is_some() && above.is_some() {
                break;
            }
        }
        Hole { below, above }
    }
}
