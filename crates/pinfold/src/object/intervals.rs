//! Runs of numbers, each with a value, found by what they overlap: an interval tree.
//!
//! A treap: ordered by (start, value, end) as a search tree, and by priorities, which depend on
//! nothing but the order of insertions, as a heap. Each node knows the highest end below it. Nodes
//! lie in one block and name each other by their place in it, so that one allocation, before the
//! first change, is all that an insertion can fail for.
//!
//! Protocol: the holder of `&mut` is alone.
//!
//! Invariants:
//! - INV-INTERVALS-1: in order of (start, value, end). Equal ones may be there several times, and
//!   each is as good as the other.
//! - INV-INTERVALS-2: a node's `last_end` is the highest end of its own run and those below it, so
//!   a search visits only nodes on the way to a run that overlaps.

use alloc::vec::Vec;
use core::ops::Range;

use crate::error::NoMemory;

/// The place of a node; none is [`NONE`].
type Link = u32;
const NONE: Link = Link::MAX;

#[derive(Debug)]
struct Node<T> {
    run: Range<u64>,
    value: T,
    priority: u32,
    last_end: u64,
    /// A free node's `left` is the next free one.
    left: Link,
    right: Link,
}

/// Runs with values.
#[derive(Debug)]
pub(super) struct Intervals<T> {
    nodes: Vec<Node<T>>,
    root: Link,
    free: Link,
    /// The state of the generator of priorities.
    seed: u32,
}

impl<T: Copy + Ord> Intervals<T> {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self { nodes: Vec::new(), root: NONE, free: NONE, seed: 0x9e37_79b9 }
    }

    /// Adds a run.
    pub(super) fn insert(&mut self, run: Range<u64>, value: T) -> Result<(), NoMemory> {
        let node = self.node(run, value)?;
        self.put(node);
        Ok(())
    }

    /// Takes a run out; whether it was there.
    pub(super) fn remove(&mut self, run: Range<u64>, value: T) -> bool {
        let Some(gone) = self.take(run, value) else { return false };
        self.nodes[gone as usize].left = self.free;
        self.free = gone;
        true
    }

    /// Makes a run begin and end elsewhere; whether it was there. Needs no memory.
    pub(super) fn change(&mut self, old: Range<u64>, new: Range<u64>, value: T) -> bool {
        let Some(link) = self.take(old, value) else { return false };
        let node = &mut self.nodes[link as usize];
        node.last_end = new.end;
        (node.run, node.left, node.right) = (new, NONE, NONE);
        self.put(link);
        true
    }

    /// Calls `visit` with each run that overlaps `with`, in order, as long as it says so.
    pub(super) fn overlapping(
        &self,
        with: Range<u64>,
        visit: &mut impl FnMut(Range<u64>, T) -> bool,
    ) -> bool {
        self.visit(self.root, &with, visit)
    }

    fn node(&mut self, run: Range<u64>, value: T) -> Result<Link, NoMemory> {
        // xorshift: never zero, and each insertion has another priority.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        let last_end = run.end;
        let node = Node { run, value, priority: self.seed, last_end, left: NONE, right: NONE };
        if self.free != NONE {
            let link = self.free;
            self.free = self.nodes[link as usize].left;
            self.nodes[link as usize] = node;
            return Ok(link);
        }
        let link = Link::try_from(self.nodes.len()).map_err(|_| NoMemory)?;
        if link == NONE {
            return Err(NoMemory);
        }
        self.nodes.try_reserve(1).map_err(|_| NoMemory)?;
        self.nodes.push(node);
        Ok(link)
    }

    fn key(&self, link: Link) -> (u64, T, u64) {
        let node = &self.nodes[link as usize];
        (node.run.start, node.value, node.run.end)
    }

    /// Puts a node that has no kids into the tree.
    fn put(&mut self, node: Link) {
        let (below, above) = self.split(self.root, self.key(node));
        let joined = self.join(below, node);
        self.root = self.join(joined, above);
    }

    /// Takes a node out of the tree.
    fn take(&mut self, run: Range<u64>, value: T) -> Option<Link> {
        let (root, gone) = self.without(self.root, (run.start, value, run.end));
        self.root = root;
        gone
    }

    /// Restores INV-INTERVALS-2 for a node whose kids have changed.
    fn update(&mut self, link: Link) {
        let node = &self.nodes[link as usize];
        let kids = [node.left, node.right].into_iter().filter(|kid| *kid != NONE);
        let below = kids.map(|kid| self.nodes[kid as usize].last_end).max();
        let last_end = node.run.end.max(below.unwrap_or(0));
        self.nodes[link as usize].last_end = last_end;
    }

    /// Parts a tree into what comes before a key and the rest.
    fn split(&mut self, link: Link, key: (u64, T, u64)) -> (Link, Link) {
        if link == NONE {
            return (NONE, NONE);
        }
        if self.key(link) < key {
            let (below, above) = self.split(self.nodes[link as usize].right, key);
            self.nodes[link as usize].right = below;
            self.update(link);
            (link, above)
        } else {
            let (below, above) = self.split(self.nodes[link as usize].left, key);
            self.nodes[link as usize].left = above;
            self.update(link);
            (below, link)
        }
    }

    /// Joins two trees, of which all of the first comes before all of the second.
    fn join(&mut self, below: Link, above: Link) -> Link {
        if below == NONE || above == NONE {
            return if below == NONE { above } else { below };
        }
        if self.nodes[below as usize].priority > self.nodes[above as usize].priority {
            let joined = self.join(self.nodes[below as usize].right, above);
            self.nodes[below as usize].right = joined;
            self.update(below);
            below
        } else {
            let joined = self.join(below, self.nodes[above as usize].left);
            self.nodes[above as usize].left = joined;
            self.update(above);
            above
        }
    }

    /// The tree without a node of this key, and the node.
    fn without(&mut self, link: Link, key: (u64, T, u64)) -> (Link, Option<Link>) {
        if link == NONE {
            return (NONE, None);
        }
        let (here, node) = (self.key(link), &self.nodes[link as usize]);
        let (left, right) = (node.left, node.right);
        if here == key {
            return (self.join(left, right), Some(link));
        }
        let gone = if key < here {
            let (kid, gone) = self.without(left, key);
            self.nodes[link as usize].left = kid;
            gone
        } else {
            let (kid, gone) = self.without(right, key);
            self.nodes[link as usize].right = kid;
            gone
        };
        self.update(link);
        (link, gone)
    }

    fn visit(
        &self,
        link: Link,
        with: &Range<u64>,
        visit: &mut impl FnMut(Range<u64>, T) -> bool,
    ) -> bool {
        let Some(node) = self.nodes.get(link as usize).filter(|node| node.last_end > with.start)
        else {
            return true;
        };
        if !self.visit(node.left, with, visit) {
            return false;
        }
        if node.run.start >= with.end {
            return true;
        }
        let overlaps = node.run.end > with.start;
        (!overlaps || visit(node.run.clone(), node.value)) && self.visit(node.right, with, visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the tree says of a search.
    fn found(tree: &Intervals<u8>, with: Range<u64>) -> Vec<(u64, u8, u64)> {
        let mut found = Vec::new();
        tree.overlapping(with, &mut |run, value| {
            found.push((run.start, value, run.end));
            true
        });
        found
    }

    #[test]
    fn searches_find_what_overlaps_in_order_after_any_changes() {
        // In order, equal ones as often as they are there.
        let (mut tree, mut model) = (Intervals::new(), Vec::<(u64, u8, u64)>::new());
        let mut state = 1_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..20_000 {
            let (start, value) = (next(16), next(2) as u8);
            let (end, other) = (start + 1 + next(6), start + 7 + next(9));
            let known = model.iter().position(|run| *run == (start, value, end));
            match next(4) {
                0 => {
                    assert_eq!(tree.remove(start..end, value), known.is_some());
                    known.map(|at| model.remove(at));
                }
                1 => {
                    let changed = tree.change(start..end, start + 1..other, value);
                    assert_eq!(changed, known.is_some());
                    if let Some(at) = known {
                        model[at] = (start + 1, value, other);
                    }
                }
                _ if model.len() > 100 => {}
                _ => {
                    tree.insert(start..end, value).unwrap();
                    model.push((start, value, end));
                }
            }
            model.sort_unstable();
            let with = next(30)..next(40);
            let overlaps = |run: &&(u64, u8, u64)| run.0 < with.end && run.2 > with.start;
            if !with.is_empty() {
                let wanted: Vec<_> = model.iter().filter(overlaps).copied().collect();
                assert_eq!(found(&tree, with.clone()), wanted);
            }
        }
        assert!(tree.nodes.len() <= 102, "places are used again");
    }

    #[test]
    fn ten_thousand_in_order_are_no_list() {
        let mut tree = Intervals::new();
        for start in 0..10_000 {
            tree.insert(start..start + 1, 0).unwrap();
        }
        fn depth(tree: &Intervals<u8>, link: Link) -> usize {
            let Some(node) = tree.nodes.get(link as usize) else { return 0 };
            1 + depth(tree, node.left).max(depth(tree, node.right))
        }
        assert!(depth(&tree, tree.root) < 60, "{}", depth(&tree, tree.root));
    }
}
