//! The tree of ranges: finding a place, and changing what is there.
//!
//! A change begins in a node of the last level and goes up the path that led there, as far as
//! something differs. A node that is full gives entries to a sibling that has room, or is split in
//! two; one that has too few takes entries of a sibling, or is joined with it. All four deal the
//! entries of two nodes out again.

use super::node::{Entry, FAN, LAST, LEAST, Node};
use super::path::{LEVELS, Nodes, Path, Step};
use super::pool::NONE;
use crate::error::NoMemory;

/// A sibling with more entries than this is not worth moving some of them to.
const HAS_ROOM: usize = FAN - 3;
/// Two nodes with no more entries than this become one.
const FIT_IN_ONE: usize = FAN - 2;

/// Ranges, each with the number of its value.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) nodes: Nodes,
    pub(super) root: u32,
    pub(super) levels: u32,
}

impl Spans {
    /// No ranges.
    pub(super) const fn new() -> Self {
        Self { nodes: Nodes::new(), root: NONE, levels: 0 }
    }

    pub(super) fn node(&self, id: u32) -> &Node {
        self.nodes.get(id)
    }

    /// The value's number of the range that contains `page`.
    #[inline(always)]
    pub(super) fn find(&self, page: u64) -> Option<u32> {
        let (mut id, mut levels) = (self.root, self.levels.checked_sub(1)?);
        let last = page.min(LAST);
        while levels > 0 {
            let node = self.nodes.get(id);
            id = node.link(node.count(last).checked_sub(1)?);
            levels -= 1;
        }
        let node = self.nodes.get(id);
        let at = node.count(last).checked_sub(1)?;
        (page < node.end(at)).then(|| node.link(at))
    }

    /// The way to behind all ranges that start at `page` or before it.
    #[inline]
    pub(super) fn path_to(&self, page: u64) -> Path {
        Path::to(&self.nodes, self.root, self.levels, page)
    }

    /// The way to before the range that contains `page`, or else the first that starts after it.
    #[inline]
    pub(super) fn path_before(&self, page: u64) -> Path {
        let mut path = self.path_to(page);
        if let Some((leaf, at)) = path.leaf()
            && at > 0
            && self.node(leaf).end(at - 1) > page
        {
            path.back();
        }
        path
    }

    /// Makes room for so many calls of [`Spans::put`].
    ///
    /// # Errors
    /// When the heap cannot hold the nodes.
    #[inline]
    pub(super) fn reserve(&mut self, additional: usize) -> Result<(), NoMemory> {
        let needed = self.needed(additional).ok_or(NoMemory)?;
        self.nodes.reserve(needed)
    }

    /// The most nodes that so many calls of [`Spans::put`] take, whatever is taken out between.
    fn needed(&self, additional: usize) -> Option<usize> {
        let Some(below) = self.levels.checked_sub(1) else {
            // The first one makes the root.
            return additional.checked_add(usize::from(additional > 0));
        };
        // Each may split one node of each level below the root.
        let splits = additional.checked_mul(below as usize)?;
        let room = FAN - self.node(self.root).len();
        if additional <= room {
            Some(splits)
        } else {
            splits.checked_add(additional)?.checked_add(1)
        }
    }

    /// Adds a range at the place that the path leads to. Its room was reserved.
    pub(super) fn put(&mut self, path: &Path, entry: Entry) {
        let Some((leaf, at)) = path.leaf() else {
            (self.root, self.levels) = (self.nodes.begin(), 1);
            return self.nodes.get_mut(self.root).push(entry);
        };
        let node = self.nodes.get_mut(leaf);
        if node.is_full() {
            self.put_in_full(path, entry);
        } else {
            node.open(at, entry);
            self.renew(path, path.levels() - 1);
        }
        self.check(path, path.levels() - 1);
    }

    /// As [`Spans::put`], where the last node is full.
    #[cold]
    fn put_in_full(&mut self, path: &Path, mut entry: Entry) {
        let mut level = path.levels() - 1;
        let mut at = path.step(level).at as usize;
        loop {
            let id = path.step(level).node;
            let node = self.nodes.get_mut(id);
            if !node.is_full() {
                node.open(at, entry);
                self.renew(path, level);
                return;
            }
            if level == 0 {
                let right = self.split(id, at, entry);
                self.deepen(id, right);
                return;
            }
            let above = path.step(level - 1);
            if self.give_way(above, at, entry) {
                self.renew(path, level - 1);
                return;
            }
            let right = self.split(id, at, entry);
            self.renew_entry(above.node, above.at as usize);
            entry = self.node(right).summary(right);
            (level, at) = (level - 1, above.at as usize + 1);
        }
    }

    /// Splits a node into itself and one behind it, which is returned; `entry` goes to before its
    /// place `at`.
    fn split(&mut self, id: u32, at: usize, entry: Entry) -> u32 {
        let right = self.nodes.begin();
        let mut hand = Hand::of(self, id, right);
        hand.insert(at, entry);
        hand.deal(self, id, right);
        right
    }

    /// A root above two nodes.
    fn deepen(&mut self, left: u32, right: u32) {
        let kids = [left, right].map(|kid| self.node(kid).summary(kid));
        self.root = self.nodes.begin();
        self.nodes.get_mut(self.root).fill(&kids);
        self.levels += 1;
    }

    /// Moves entries of a full node, the kid that `above` names, to a sibling, if one has room;
    /// `entry` goes to before the kid's place `at`.
    fn give_way(&mut self, above: Step, at: usize, entry: Entry) -> bool {
        let (parent, kid) = (self.node(above.node), above.at as usize);
        let room = |at: usize| self.node(parent.link(at)).len() <= HAS_ROOM;
        let left = if kid + 1 < parent.len() && room(kid + 1) {
            kid
        } else if kid > 0 && room(kid - 1) {
            kid - 1
        } else {
            return false;
        };
        let (one, other) = (parent.link(left), parent.link(left + 1));
        let before = if left == kid { 0 } else { self.node(one).len() };
        let mut hand = Hand::of(self, one, other);
        hand.insert(before + at, entry);
        hand.deal(self, one, other);
        self.renew_entry(above.node, left);
        self.renew_entry(above.node, left + 1);
        true
    }

    /// Takes out the range that lies behind the place that the path leads to, in the same node.
    pub(super) fn take_out(&mut self, path: &Path) {
        let mut level = path.levels() - 1;
        let mut at = path.step(level).at as usize;
        loop {
            let id = path.step(level).node;
            let node = self.nodes.get_mut(id);
            node.close(at);
            let len = node.len();
            if level == 0 {
                self.shorten(len);
                return;
            }
            if len >= LEAST {
                self.renew(path, level);
                return self.check(path, level);
            }
            let above = path.step(level - 1);
            let Some(gone) = self.fill_up(above) else {
                return self.renew(path, level - 1);
            };
            (level, at) = (level - 1, gone);
        }
    }

    /// Gives a kid that has too few entries some of a sibling's, or all: then the place of the one
    /// that is left with none is returned, whose node is free.
    fn fill_up(&mut self, above: Step) -> Option<usize> {
        let (parent, kid) = (self.node(above.node), above.at as usize);
        let left = if kid + 1 < parent.len() { kid } else { kid - 1 };
        let (one, other) = (parent.link(left), parent.link(left + 1));
        let hand = Hand::of(self, one, other);
        if hand.len <= FIT_IN_ONE {
            self.nodes.get_mut(one).fill(hand.entries());
            self.nodes.end(other, Node::vacate);
            self.renew_entry(above.node, left);
            return Some(left + 1);
        }
        hand.deal(self, one, other);
        self.renew_entry(above.node, left);
        self.renew_entry(above.node, left + 1);
        None
    }

    /// Takes away a root that is not needed, which has so many entries.
    fn shorten(&mut self, len: usize) {
        let root = self.root;
        if len == 0 {
            (self.root, self.levels) = (NONE, 0);
        } else if len == 1 && self.levels > 1 {
            self.root = self.node(root).link(0);
            self.levels -= 1;
        } else {
            return;
        }
        self.nodes.end(root, Node::vacate);
    }

    /// Changes the range before the place that the path leads to, in the same node. It keeps its
    /// place in the order.
    pub(super) fn set(&mut self, path: &Path, first: u64, end: u64) {
        debug_assert!(first < end, "an area of no pages");
        let Some((leaf, at)) = path.leaf() else { return };
        self.nodes.get_mut(leaf).set(at - 1, first, end, 0);
        self.renew(path, path.levels() - 1);
        self.check(path, path.levels() - 1);
    }

    /// Changes where the range before the place ends, without a look at what is above: another
    /// change of the same node follows.
    pub(super) fn set_end(&mut self, path: &Path, end: u64) {
        let Some((leaf, at)) = path.leaf() else { return };
        let node = self.nodes.get_mut(leaf);
        let first = node.first(at - 1);
        node.set(at - 1, first, end, 0);
    }

    /// Makes the nodes above say again what a node is like, as far up as it differs.
    fn renew(&mut self, path: &Path, from: usize) {
        for level in (0..from).rev() {
            let Step { node, at } = path.step(level);
            if !self.renew_entry(node, at as usize) {
                return;
            }
        }
    }

    /// Makes an entry say what its node is like. Whether it said something else.
    fn renew_entry(&mut self, parent: u32, at: usize) -> bool {
        let entry = self.node(parent).entry(at);
        let now = self.node(entry.link).summary(entry.link);
        if now == entry {
            return false;
        }
        self.nodes.get_mut(parent).set(at, now.first, now.end, now.gap);
        true
    }

    /// In debug builds: what the invariants say of the nodes of a path down to this level.
    fn check(&self, path: &Path, last: usize) {
        if cfg!(debug_assertions) {
            for level in 0..=last {
                self.check_node(path.step(level).node, level > 0);
            }
        }
    }

    /// INV-TREE-1, INV-TREE-2 and INV-TREE-6 of one node.
    pub(super) fn check_node(&self, id: u32, below_root: bool) {
        let node = self.node(id);
        let len = node.len();
        assert!(!below_root || len >= LEAST, "INV-TREE-2: {len} entries");
        for at in 0..len {
            assert!(node.first(at) < node.end(at), "INV-TREE-1");
            assert!(
                at == 0 || node.end(at - 1) <= node.first(at),
                "INV-TREE-1: an area resized into its neighbour"
            );
        }
        assert!((len..FAN).all(|at| node.first(at) == u64::MAX), "INV-TREE-6");
    }
}

/// The entries of two nodes, and of one more.
struct Hand {
    entries: [Entry; 2 * FAN + 1],
    len: usize,
}

impl Hand {
    /// Of two neighbours.
    fn of(spans: &Spans, left: u32, right: u32) -> Self {
        let mut hand = Self { entries: [Entry::NONE; 2 * FAN + 1], len: 0 };
        for node in [left, right].map(|id| spans.node(id)) {
            for at in 0..node.len() {
                hand.entries[hand.len] = node.entry(at);
                hand.len += 1;
            }
        }
        hand
    }

    fn insert(&mut self, at: usize, entry: Entry) {
        self.entries.copy_within(at..self.len, at + 1);
        self.entries[at] = entry;
        self.len += 1;
    }

    fn entries(&self) -> &[Entry] {
        &self.entries[..self.len]
    }

    /// Gives half to each.
    fn deal(&self, spans: &mut Spans, left: u32, right: u32) {
        let (lower, upper) = self.entries().split_at(self.len / 2);
        spans.nodes.get_mut(left).fill(lower);
        spans.nodes.get_mut(right).fill(upper);
    }
}

/// The ranges of a tree that is built from its lowest page up.
///
/// All nodes but the last ones of each level are full. Until [`Rising::finish`] the tree has no
/// root.
#[derive(Debug)]
pub(super) struct Rising {
    /// The last node of each level, from the lowest up.
    open: [u32; LEVELS],
    levels: usize,
}

impl Rising {
    pub(super) const fn new() -> Self {
        Self { open: [NONE; LEVELS], levels: 0 }
    }

    /// The most nodes that so many ranges take.
    pub(super) fn needed(ranges: usize) -> usize {
        let (mut all, mut level) = (0, ranges);
        while level > 0 {
            level = level.div_ceil(FAN);
            all += level;
            if level == 1 {
                break;
            }
        }
        all
    }

    /// Adds a range behind all others.
    #[inline]
    pub(super) fn push(&mut self, spans: &mut Spans, entry: Entry) {
        if self.levels > 0 {
            let node = spans.nodes.get_mut(self.open[0]);
            if !node.is_full() {
                return node.push(entry);
            }
        }
        self.push_at(spans, 0, entry);
    }

    /// Adds an entry behind all others of its level.
    fn push_at(&mut self, spans: &mut Spans, mut level: usize, mut entry: Entry) {
        loop {
            if level < self.levels && !spans.node(self.open[level]).is_full() {
                return spans.nodes.get_mut(self.open[level]).push(entry);
            }
            let new = spans.nodes.begin();
            spans.nodes.get_mut(new).push(entry);
            if level == self.levels {
                self.open[level] = new;
                self.levels += 1;
                return;
            }
            let full = core::mem::replace(&mut self.open[level], new);
            entry = spans.node(full).summary(full);
            level += 1;
        }
    }

    /// Gives the tree its root.
    pub(super) fn finish(&mut self, spans: &mut Spans) {
        let mut level = 1;
        while level < self.levels {
            let last = self.open[level - 1];
            let entry = spans.node(last).summary(last);
            self.push_at(spans, level, entry);
            level += 1;
        }
        let Some(top) = self.levels.checked_sub(1) else { return };
        (spans.root, spans.levels) = (self.open[top], self.levels as u32);
        // The last node of each level may have too few entries; the one before it is full.
        let mut id = spans.root;
        for _ in 0..top {
            let at = spans.node(id).len() - 1;
            if spans.node(spans.node(id).link(at)).len() < LEAST {
                spans.fill_up(Step { node: id, at: at as u32 });
            }
            id = spans.node(id).link(at);
        }
        self.levels = 0;
    }
}
