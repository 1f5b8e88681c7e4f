//! A height-balanced (AVL) tree of disjoint ranges in one vector, without the values.
//!
//! Everything that exists in a lower and an upper form is a [`Both`], picked by a [`Side`], so that
//! each algorithm is written once and its mirror image is the same code with the other side.
//!
//! What a node knows of its subtree follows from its own range and its two kids alone. Hence one
//! walk towards the root repairs a change. It ends at the first subtree that comes out unchanged:
//! nothing above it can differ.

use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::ops::{Index, IndexMut, Not};

use crate::error::NoMemory;

/// A direction in the order of pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// Towards page 0.
    Low,
    /// Towards the last page.
    High,
}

impl Not for Side {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// One of something for each side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Both<T>([T; 2]);

impl<T> Index<Side> for Both<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        &self.0[side as usize]
    }
}

impl<T> IndexMut<Side> for Both<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        &mut self.0[side as usize]
    }
}

/// A place in the vector: its position plus one, so that an optional slot takes four bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot(NonZeroU32);

impl Slot {
    /// The most slots that can be told apart.
    const LIMIT: usize = u32::MAX as usize;

    /// The slot after `position` others. There are at most [`Slot::LIMIT`], which `reserve`
    /// ensures.
    fn after(position: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(position as u32))
    }

    /// The index in the vector.
    pub(super) fn position(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// One range and its place in the tree. Aligned, so that a step down touches one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Node {
    /// The range itself: start and end.
    pub(super) own: Both<u64>,
    /// Lowest start and highest end of the subtree.
    pub(super) reach: Both<u64>,
    /// The largest gap between two neighbours within the subtree.
    pub(super) gap: u64,
    /// The subtrees below and above the range.
    pub(super) kids: Both<Option<Slot>>,
    /// The node whose kid this is.
    pub(super) parent: Option<Slot>,
    /// Nodes on the longest way down, this one included: 46 at most for `u32` slots.
    pub(super) height: u8,
}

const _: () = assert!(size_of::<Node>() == 64);

impl Node {
    fn leaf(start: u64, end: u64, parent: Option<Slot>) -> Self {
        let own = Both([start, end]);
        Self { own, reach: own, gap: 0, kids: Both([None; 2]), parent, height: 1 }
    }

    /// Everything that a parent derives its summary from.
    fn summary(&self) -> (Both<u64>, u64, u8) {
        (self.reach, self.gap, self.height)
    }
}

/// Where a new range can be linked: the node that becomes its parent and the side; no node if the
/// tree is empty. Valid until the next change of the tree.
pub(super) struct Vacancy(Option<(Slot, Side)>);

/// The tree of ranges.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) nodes: Vec<Node>,
    pub(super) root: Option<Slot>,
}

impl Spans {
    /// A tree without ranges.
    pub(super) const fn new() -> Self {
        Self { nodes: Vec::new(), root: None }
    }

    /// Makes room for `additional` calls of [`Spans::link`].
    pub(super) fn reserve(&mut self, additional: usize) -> Result<(), NoMemory> {
        if additional > Slot::LIMIT - self.nodes.len() {
            return Err(NoMemory);
        }
        let doubled = self.nodes.try_reserve(additional);
        doubled.or_else(|_| self.nodes.try_reserve_exact(additional)).map_err(|_| NoMemory)
    }

    /// The node of a slot.
    pub(super) fn node(&self, slot: Slot) -> &Node {
        &self.nodes[slot.position()]
    }

    /// The first page of a range.
    pub(super) fn start(&self, slot: Slot) -> u64 {
        self.node(slot).own[Side::Low]
    }

    /// One past the last page of a range.
    pub(super) fn end(&self, slot: Slot) -> u64 {
        self.node(slot).own[Side::High]
    }

    /// The range that contains `page`, or else the nearest on the `side` of it.
    pub(super) fn nearest(&self, page: u64, side: Side) -> Option<Slot> {
        let mut best = None;
        let mut next = self.root;
        while let Some(slot) = next {
            let node = self.node(slot);
            let toward = if page < node.own[Side::Low] {
                Side::Low
            } else if page >= node.own[Side::High] {
                Side::High
            } else {
                return next;
            };
            // The page lies toward there, so this range lies on the other side of the page.
            if toward != side {
                best = next;
            }
            next = node.kids[toward];
        }
        best
    }

    /// The next range in order on the `side` of a range.
    pub(super) fn neighbour(&self, slot: Slot, side: Side) -> Option<Slot> {
        let Some(mut next) = self.node(slot).kids[side] else {
            return self.ancestor(slot, side).1;
        };
        while let Some(kid) = self.node(next).kids[!side] {
            next = kid;
        }
        Some(next)
    }

    /// The largest subtree that ends with `slot`'s on the `side`, and the node that it hangs from:
    /// the nearest ancestor on the `side`.
    pub(super) fn ancestor(&self, slot: Slot, side: Side) -> (Slot, Option<Slot>) {
        let mut top = slot;
        while let Some(parent) = self.node(top).parent {
            if self.node(parent).kids[side] != Some(top) {
                return (top, Some(parent));
            }
            top = parent;
        }
        (top, None)
    }

    /// Where `start..end` can be linked, unless it overlaps a range.
    pub(super) fn vacancy(&self, start: u64, end: u64) -> Option<Vacancy> {
        let mut place = None;
        let mut next = self.root;
        // Both neighbours-to-be lie on this way down, so no other range has to be compared.
        while let Some(slot) = next {
            let node = self.node(slot);
            let side = if end <= node.own[Side::Low] {
                Side::Low
            } else if start >= node.own[Side::High] {
                Side::High
            } else {
                return None;
            };
            place = Some((slot, side));
            next = node.kids[side];
        }
        Some(Vacancy(place))
    }

    /// Adds a range, in the slot after all others. Its room has been reserved.
    pub(super) fn link(&mut self, vacancy: Vacancy, start: u64, end: u64) {
        let slot = Slot::after(self.nodes.len());
        let parent = vacancy.0.map(|(parent, _)| parent);
        self.nodes.push(Node::leaf(start, end, parent));
        match vacancy.0 {
            None => self.root = Some(slot),
            Some((parent, side)) => self.node_mut(parent).kids[side] = Some(slot),
        }
        self.repair(parent);
    }

    /// Takes a range out. The last slot's range moves into the slot that becomes free.
    pub(super) fn unlink(&mut self, slot: Slot) {
        let node = self.node(slot);
        let (kids, parent) = (node.kids, node.parent);
        match (kids[Side::Low], kids[Side::High]) {
            (Some(_), Some(_)) => self.replace_by_successor(slot),
            (only, None) | (None, only) => {
                self.hang(parent, slot, only);
                self.repair(parent);
            }
        }
        self.vacate(slot);
    }

    /// Changes a range, which keeps its place in the order.
    pub(super) fn set(&mut self, slot: Slot, start: u64, end: u64) {
        debug_assert!(start < end, "an area of no pages");
        debug_assert!(
            self.neighbour(slot, Side::Low).is_none_or(|below| self.end(below) <= start)
                && self.neighbour(slot, Side::High).is_none_or(|above| end <= self.start(above)),
            "an area resized into its neighbour"
        );
        self.node_mut(slot).own = Both([start, end]);
        self.repair(Some(slot));
    }

    fn node_mut(&mut self, slot: Slot) -> &mut Node {
        &mut self.nodes[slot.position()]
    }

    /// Puts the next range in order, which has no lower kid, in the place of a node with two kids.
    fn replace_by_successor(&mut self, slot: Slot) {
        let Some(successor) = self.neighbour(slot, Side::High) else {
            return;
        };
        let node = self.node(successor);
        let (upper, left) = (node.kids[Side::High], node.parent);
        self.hang(left, successor, upper);

        let node = self.node(slot);
        let (kids, parent) = (node.kids, node.parent);
        let (reach, gap, height) = node.summary();
        let heir = self.node_mut(successor);
        // With the old summary, so that the repair can end here if the new one is the same.
        (heir.reach, heir.gap, heir.height) = (reach, gap, height);
        heir.kids = kids;
        for kid in kids.0.into_iter().flatten() {
            self.node_mut(kid).parent = Some(successor);
        }
        self.hang(parent, slot, Some(successor));

        if left != Some(slot) {
            self.repair(left);
        }
        // The walk from below may have ended before it got here.
        self.repair(Some(successor));
    }

    /// Moves the range of the last slot into `slot`, which nothing links to any more.
    fn vacate(&mut self, slot: Slot) {
        self.nodes.swap_remove(slot.position());
        let Some(moved) = self.nodes.get(slot.position()) else {
            return;
        };
        let (kids, parent) = (moved.kids, moved.parent);
        self.hang(parent, Slot::after(self.nodes.len()), Some(slot));
        for kid in kids.0.into_iter().flatten() {
            self.node_mut(kid).parent = Some(slot);
        }
    }

    /// Hangs the subtree `new` under `parent` (or makes it the root) where `old` hung.
    fn hang(&mut self, parent: Option<Slot>, old: Slot, new: Option<Slot>) {
        match parent {
            None => self.root = new,
            Some(parent) => {
                let kids = &mut self.node_mut(parent).kids;
                let side = if kids[Side::Low] == Some(old) { Side::Low } else { Side::High };
                kids[side] = new;
            }
        }
        if let Some(new) = new {
            self.node_mut(new).parent = parent;
        }
    }

    /// Restores INV-TREE-2 and INV-TREE-3 from a node up, after a change of its range or below it.
    fn repair(&mut self, from: Option<Slot>) {
        let mut next = from;
        while let Some(slot) = next {
            let before = self.node(slot).summary();
            let top = self.balance(slot);
            let top = self.node(top);
            if top.summary() == before {
                break;
            }
            next = top.parent;
        }
    }

    /// Evens out the subtrees of a node, which differ by at most two; returns the new top.
    fn balance(&mut self, slot: Slot) -> Slot {
        let (low, high) = (self.kid_height(slot, Side::Low), self.kid_height(slot, Side::High));
        if low.abs_diff(high) < 2 {
            self.refresh(slot);
            return slot;
        }
        let deep = if low > high { Side::Low } else { Side::High };
        if let Some(kid) = self.node(slot).kids[deep]
            && self.kid_height(kid, !deep) > self.kid_height(kid, deep)
        {
            self.rotate(kid, !deep);
        }
        self.rotate(slot, deep)
    }

    /// Lifts the kid on the `side` above its parent; returns the new top.
    fn rotate(&mut self, slot: Slot, side: Side) -> Slot {
        let node = self.node(slot);
        let (Some(kid), parent) = (node.kids[side], node.parent) else {
            return slot;
        };
        let inner = self.node(kid).kids[!side];
        self.hang(parent, slot, Some(kid));
        self.hang(Some(slot), kid, inner);
        self.node_mut(kid).kids[!side] = Some(slot);
        self.node_mut(slot).parent = Some(kid);
        self.refresh(slot);
        self.refresh(kid);
        kid
    }

    fn kid_height(&self, slot: Slot, side: Side) -> u8 {
        self.node(slot).kids[side].map_or(0, |kid| self.node(kid).height)
    }

    /// Derives a node's summary of its subtree from its range and its kids.
    fn refresh(&mut self, slot: Slot) {
        let node = self.node(slot);
        let (mut reach, mut gap, mut height) = (node.own, 0, 0);
        for side in [Side::Low, Side::High] {
            if let Some(kid) = node.kids[side] {
                let kid = self.node(kid);
                let between = node.own[side].abs_diff(kid.reach[!side]);
                reach[side] = kid.reach[side];
                gap = gap.max(kid.gap).max(between);
                height = height.max(kid.height);
            }
        }
        let node = self.node_mut(slot);
        (node.reach, node.gap, node.height) = (reach, gap, height + 1);
    }
}
