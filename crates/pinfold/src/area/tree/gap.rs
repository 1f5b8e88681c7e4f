//! The search for free pages.
//!
//! Only the gap at the limit that the search starts from can be cut off by that limit, so it is
//! measured first. From there one walk along the entries, first up, then down, meets the nearest
//! gap that is large enough; the largest gap that an entry knows of its subtree (INV-TREE-3) says
//! where to descend. If the other limit cuts off that gap, every later one lies beyond the limit.

use core::ops::Not;

use super::node::Node;
use super::path::Path;
use super::spans::Spans;

/// A direction in the order of pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
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

impl Node {
    /// Where an entry ends on the `side`.
    fn edge(&self, at: usize, side: Side) -> u64 {
        match side {
            Side::Low => self.first(at),
            Side::High => self.end(at),
        }
    }

    /// The next entry on the `side`.
    fn beside(&self, at: usize, side: Side) -> Option<usize> {
        match side {
            Side::Low => at.checked_sub(1),
            Side::High => Some(at + 1).filter(|next| *next < self.len()),
        }
    }

    /// The entry that is the farthest from the `side`.
    fn outermost(&self, side: Side) -> usize {
        match side {
            Side::Low => self.len() - 1,
            Side::High => 0,
        }
    }
}

/// What a walk along the entries of a node met first.
enum Met {
    /// A gap that is large enough, by its near edge.
    Gap(u64),
    /// An entry that has one inside, by its node.
    Inside(u32),
    /// Neither; the edge of the last entry.
    End(u64),
}

impl Spans {
    /// The lowest start of `pages` free pages within `low..high`.
    pub(super) fn lowest_gap(&self, pages: u64, low: u64, high: u64) -> Option<u64> {
        if pages == 0 {
            return None;
        }
        let mut path = self.path_before(low);
        let start = match path.ahead(&self.nodes) {
            Some((leaf, at)) if self.node(leaf).first(at).saturating_sub(low) < pages => {
                self.edge_of_gap(&path, at, Side::High, pages)
            }
            _ => low,
        };
        (high.checked_sub(start)? >= pages).then_some(start)
    }

    /// The highest start of `pages` free pages within `low..high`.
    pub(super) fn highest_gap(&self, pages: u64, low: u64, high: u64) -> Option<u64> {
        if pages == 0 {
            return None;
        }
        let mut path = self.path_to(high.checked_sub(1)?);
        let end = match path.behind(&self.nodes) {
            Some((leaf, at)) if high.saturating_sub(self.node(leaf).end(at)) < pages => {
                self.edge_of_gap(&path, at, Side::Low, pages)
            }
            _ => high,
        };
        (end.checked_sub(low)? >= pages).then(|| end - pages)
    }

    /// The near edge of the first gap of `pages` or more on the `side` of the range at `at` in the
    /// last node of the path.
    ///
    /// The gap beyond the outermost range counts as large enough: the caller knows where it ends.
    fn edge_of_gap(&self, path: &Path, mut at: usize, side: Side, pages: u64) -> u64 {
        let mut edge = 0;
        for level in (0..path.levels()).rev() {
            let step = path.step(level);
            if level + 1 < path.levels() {
                at = step.at as usize;
            }
            match self.walk(step.node, at, side, pages) {
                Met::Gap(edge) => return edge,
                Met::Inside(node) => return self.edge_of_gap_within(node, side, pages),
                Met::End(last) => edge = last,
            }
        }
        edge
    }

    /// As [`Spans::edge_of_gap`], of the first such gap in a subtree that has one.
    fn edge_of_gap_within(&self, top: u32, side: Side, pages: u64) -> u64 {
        let mut id = top;
        loop {
            let node = self.node(id);
            let at = node.outermost(side);
            if node.gap(at) >= pages {
                id = node.link(at);
                continue;
            }
            match self.walk(id, at, side, pages) {
                Met::Gap(edge) | Met::End(edge) => return edge,
                Met::Inside(below) => id = below,
            }
        }
    }

    /// Looks at what lies on the `side` of an entry in its node.
    fn walk(&self, id: u32, mut at: usize, side: Side, pages: u64) -> Met {
        let node = self.node(id);
        while let Some(next) = node.beside(at, side) {
            let edge = node.edge(at, side);
            if edge.abs_diff(node.edge(next, !side)) >= pages {
                return Met::Gap(edge);
            }
            if node.gap(next) >= pages {
                return Met::Inside(node.link(next));
            }
            at = next;
        }
        Met::End(node.edge(at, side))
    }
}
