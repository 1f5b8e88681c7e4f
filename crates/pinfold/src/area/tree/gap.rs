//! The search for free pages.
//!
//! Only the gap at the limit that the search starts from can be cut off by that limit, so it is
//! measured first. From there one walk, first up, then down, meets the nearest gap that is large
//! enough; the largest gap that a node knows of its subtree (INV-TREE-3) says where to descend. If
//! the other limit cuts off that gap, every later one lies beyond the limit.

use super::spans::{Side, Slot, Spans};

impl Spans {
    /// The lowest start of `pages` free pages within `low..high`.
    pub(super) fn lowest_gap(&self, pages: u64, low: u64, high: u64) -> Option<u64> {
        if pages == 0 {
            return None;
        }
        let start = match self.nearest(low, Side::High) {
            Some(first) if self.start(first).saturating_sub(low) < pages => {
                self.edge_of_gap(first, Side::High, pages)
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
        let end = match self.nearest(high.checked_sub(1)?, Side::Low) {
            Some(last) if high.saturating_sub(self.end(last)) < pages => {
                self.edge_of_gap(last, Side::Low, pages)
            }
            _ => high,
        };
        (end.checked_sub(low)? >= pages).then(|| end - pages)
    }

    /// The near edge of the first gap of `pages` or more on the `side` of a range.
    ///
    /// The gap beyond the outermost range counts as large enough: the caller knows where it ends.
    fn edge_of_gap(&self, from: Slot, side: Side, pages: u64) -> u64 {
        let mut slot = from;
        loop {
            let node = self.node(slot);
            if let Some(kid) = node.kids[side] {
                let beyond = self.node(kid);
                if node.own[side].abs_diff(beyond.reach[!side]) >= pages {
                    return node.own[side];
                }
                if beyond.gap >= pages {
                    return self.edge_of_gap_within(kid, side, pages);
                }
            }
            let (subtree, ancestor) = self.ancestor(slot, side);
            let edge = self.node(subtree).reach[side];
            match ancestor {
                Some(next) if edge.abs_diff(self.node(next).own[!side]) < pages => slot = next,
                _ => return edge,
            }
        }
    }

    /// As [`Spans::edge_of_gap`], of the first such gap in a subtree that has one.
    fn edge_of_gap_within(&self, top: Slot, side: Side, pages: u64) -> u64 {
        let mut slot = top;
        loop {
            let node = self.node(slot);
            if let Some(kid) = node.kids[!side] {
                let near = self.node(kid);
                if near.gap >= pages {
                    slot = kid;
                    continue;
                }
                if near.reach[side].abs_diff(node.own[!side]) >= pages {
                    return near.reach[side];
                }
            }
            let edge = node.own[side];
            match node.kids[side] {
                Some(kid) if edge.abs_diff(self.node(kid).reach[!side]) < pages => slot = kid,
                _ => return edge,
            }
        }
    }
}
