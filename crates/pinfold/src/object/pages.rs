//! Pages by their index, in a tree that has only the nodes that they need: those of an object, as
//! their frames, and what a store keeps of them.
//!
//! Protocol: the holder of `&mut` is alone. A failed allocation leaves behind at most nodes without
//! pages.
//!
//! Invariants:
//! - INV-PAGES-1: a node of the last level has pages and no kids, a node above has kids and no
//!   pages; a node that nothing was put into has neither.
//! - INV-PAGES-2: all paths have as many levels as the highest index that there has been needs, so
//!   a tree with few pages costs the same whatever the object's size.

use alloc::vec::Vec;
use core::ops::Range;

use crate::error::NoMemory;

/// log2 of [`FAN`].
const BITS: u32 = 6;
/// Kids or pages of a node.
const FAN: usize = 1 << BITS;

#[derive(Debug)]
struct Node<T> {
    kids: Vec<Node<T>>,
    pages: Vec<Option<T>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { kids: Vec::new(), pages: Vec::new() }
    }
}

/// Pages by index.
#[derive(Debug)]
pub(crate) struct Pages<T> {
    root: Node<T>,
    /// At least one.
    levels: u32,
}

/// The place of `index` in a node `above` levels over the last.
const fn place(index: u64, above: u32) -> usize {
    (index >> (above * BITS)) as usize & (FAN - 1)
}

/// How many indices a node `above` levels over the last covers; as many as there are, if it would
/// be more.
const fn span(above: u32) -> u64 {
    let bits = (above + 1) * BITS;
    if bits >= u64::BITS { u64::MAX } else { 1 << bits }
}

/// The places of a node of the last level, with the indices from `base` on.
fn indexed<T>(base: u64, places: impl Iterator<Item = T>) -> impl Iterator<Item = (u64, T)> {
    places.enumerate().map(move |(place, page)| (base + place as u64, page))
}

/// Extends `list` to an entry for each place.
fn fill<T: Default>(list: &mut Vec<T>) -> Result<(), NoMemory> {
    if list.is_empty() {
        list.try_reserve_exact(FAN).map_err(|_| NoMemory)?;
        list.resize_with(FAN, T::default);
    }
    Ok(())
}

impl<T> Pages<T> {
    /// No pages yet. Takes no memory.
    pub(crate) const fn new() -> Self {
        Self { root: Node { kids: Vec::new(), pages: Vec::new() }, levels: 1 }
    }

    /// Whether the tree has levels enough for this index.
    fn reaches(&self, index: u64) -> bool {
        let bits = self.levels * BITS;
        bits >= u64::BITS || index >> bits == 0
    }

    /// Adds a level above the root.
    fn raise(&mut self) -> Result<(), NoMemory> {
        let mut root = Node::default();
        fill(&mut root.kids)?;
        root.kids[0] = core::mem::take(&mut self.root);
        self.root = root;
        self.levels += 1;
        Ok(())
    }

    /// The place of a page, made if it does not exist yet.
    pub(crate) fn slot(&mut self, index: u64) -> Result<&mut Option<T>, NoMemory> {
        while !self.reaches(index) {
            self.raise()?;
        }
        let mut node = &mut self.root;
        for above in (1..self.levels).rev() {
            fill(&mut node.kids)?;
            node = &mut node.kids[place(index, above)];
        }
        fill(&mut node.pages)?;
        Ok(&mut node.pages[place(index, 0)])
    }

    /// The page with this index, if it exists.
    pub(crate) fn get(&self, index: u64) -> Option<&T> {
        if !self.reaches(index) {
            return None;
        }
        let mut node = &self.root;
        for above in (1..self.levels).rev() {
            node = node.kids.get(place(index, above))?;
        }
        node.pages.get(place(index, 0))?.as_ref()
    }

    /// The first page of `range` that exists and that `wanted` agrees to.
    pub(crate) fn find_in(
        &self,
        range: Range<u64>,
        wanted: &mut impl FnMut(&T) -> bool,
    ) -> Option<(u64, &T)> {
        let mut found = None;
        self.root.each_in(self.levels - 1, 0, &range, &mut |index, page| {
            if wanted(page) {
                found = Some((index, page));
            }
            found.is_none()
        });
        found
    }

    /// Calls `visit` for each page, in order, with its index.
    pub(crate) fn each(&self, visit: &mut impl FnMut(u64, &T)) {
        self.root.each_in(self.levels - 1, 0, &(0..u64::MAX), &mut |index, page| {
            visit(index, page);
            true
        });
    }

    /// Takes the pages of `range` out and gives each to `take`, in order, and the nodes that they
    /// alone needed to the heap.
    pub(crate) fn take_in(&mut self, range: Range<u64>, take: &mut impl FnMut(u64, T)) {
        self.root.take_in(self.levels - 1, 0, &range, take);
    }

    /// Takes the page with this index out, if it exists, and gives the nodes that it alone needed
    /// to the heap.
    pub(crate) fn take(&mut self, index: u64) -> Option<T> {
        if !self.reaches(index) {
            return None;
        }
        self.root.take(self.levels - 1, index)
    }

    /// Forgets the pages that `keep` does not agree to, and gives all nodes without pages to the
    /// heap.
    pub(crate) fn prune(&mut self, keep: &mut impl FnMut(&T) -> bool) {
        self.root.prune(keep);
    }

    /// Forgets all pages.
    pub(crate) fn clear(&mut self) {
        self.root = Node::default();
    }
}

impl<T> Node<T> {
    /// Visits the pages of `range` below a node that covers the indices from `base` on, as long as
    /// `visit` says so.
    fn each_in<'t>(
        &'t self,
        above: u32,
        base: u64,
        range: &Range<u64>,
        visit: &mut impl FnMut(u64, &'t T) -> bool,
    ) -> bool {
        if above == 0 {
            let most = self.pages.len() as u64;
            let [first, end] =
                [range.start, range.end].map(|index| index.saturating_sub(base).min(most));
            let pages = self.pages.get(first as usize..end as usize).unwrap_or(&[]);
            let pages = indexed(base.wrapping_add(first), pages.iter());
            let there = pages.filter_map(|(at, page)| Some((at, page.as_ref()?)));
            return there.into_iter().all(|(at, page)| visit(at, page));
        }
        let width = span(above - 1);
        for (kid, node) in self.kids.iter().enumerate() {
            let Some(first) = (kid as u64).checked_mul(width).and_then(|at| base.checked_add(at))
            else {
                return true;
            };
            let overlaps = first < range.end && first.saturating_add(width) > range.start;
            if overlaps && !node.each_in(above - 1, first, range, visit) {
                return false;
            }
        }
        true
    }

    fn is_empty(&self) -> bool {
        self.kids.is_empty() && self.pages.is_empty()
    }

    /// As [`Pages::take`].
    fn take(&mut self, above: u32, index: u64) -> Option<T> {
        if above == 0 {
            let page = self.pages.get_mut(place(index, 0))?.take();
            // Who goes through a file leaves one of the ends for last.
            let ends = [self.pages.last(), self.pages.first()];
            let has_more = ends.into_iter().flatten().any(Option::is_some);
            if !has_more && self.pages.iter().all(Option::is_none) {
                self.pages = Vec::new();
            }
            return page;
        }
        let page = self.kids.get_mut(place(index, above))?.take(above - 1, index);
        // Most kids have pages left, and then there is nothing to ask of the others.
        let emptied = self.kids.get(place(index, above)).is_some_and(Self::is_empty);
        if emptied && self.kids.iter().all(Self::is_empty) {
            self.kids = Vec::new();
        }
        page
    }

    /// As [`Pages::prune`]; whether there are pages left.
    fn prune(&mut self, keep: &mut impl FnMut(&T) -> bool) -> bool {
        let mut left = false;
        for page in &mut self.pages {
            if page.as_ref().is_some_and(|page| !keep(page)) {
                *page = None;
            }
            left |= page.is_some();
        }
        for kid in &mut self.kids {
            left |= kid.prune(keep);
        }
        if !left {
            *self = Self::default();
        }
        left
    }

    /// As [`Pages::take_in`].
    fn take_in(
        &mut self,
        above: u32,
        base: u64,
        range: &Range<u64>,
        take: &mut impl FnMut(u64, T),
    ) {
        if above == 0 {
            for (index, page) in indexed(base, self.pages.iter_mut()) {
                if range.contains(&index)
                    && let Some(page) = page.take()
                {
                    take(index, page);
                }
            }
            return;
        }
        let width = span(above - 1);
        for (kid, node) in self.kids.iter_mut().enumerate() {
            let Some(first) = (kid as u64).checked_mul(width).and_then(|at| base.checked_add(at))
            else {
                return;
            };
            let end = first.saturating_add(width);
            if first < range.end && end > range.start {
                node.take_in(above - 1, first, range, take);
                if range.start <= first && end <= range.end {
                    *node = Self::default();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Pfn;
    use std::collections::BTreeSet;

    #[test]
    fn pages_are_found_where_they_were_put_and_in_order() {
        for count in [1, 2, 64, 65, 4096, 4097, 1 << 34, u64::MAX] {
            let mut pages = Pages::<Pfn>::new();
            let wanted: BTreeSet<u64> =
                [0, 1, 63, 64, 65, 4095, 4096, 1 << 33, count / 2, count - 1]
                    .into_iter()
                    .filter(|index| *index < count)
                    .collect();
            for index in &wanted {
                assert_eq!(pages.get(*index), None, "{index} of {count}");
                assert_eq!(*pages.slot(*index).unwrap(), None, "{index} of {count}");
                assert_eq!(pages.get(*index), None, "{index} of {count}");
                *pages.slot(*index).unwrap() = Some(Pfn(*index));
                assert_eq!(pages.get(*index), Some(&Pfn(*index)), "{index} of {count}");
            }
            let mut seen = Vec::new();
            pages.each(&mut |_, pfn| seen.push(pfn.0));
            assert!(seen.iter().eq(&wanted), "{count}");
            pages.clear();
            assert_eq!(*pages.slot(0).unwrap(), None);
        }
    }

    #[test]
    fn a_range_is_taken_out_and_the_rest_stays() {
        let all = [0_u64, 1, 63, 64, 100, 4095, 4096, 5000, 1 << 20, 1 << 33];
        for range in [0..1, 1..64, 64..4096, 100..5001, 0..u64::MAX, 4096..4096, 5000..1 << 40] {
            let mut pages = Pages::new();
            for index in all {
                *pages.slot(index).unwrap() = Some(Pfn(index));
            }
            let first = all.into_iter().find(|index| range.contains(index));
            let found = pages.find_in(range.clone(), &mut |_| true);
            assert_eq!(
                found.map(|(at, pfn)| (at, pfn.0)),
                first.map(|index| (index, index)),
                "{range:?}"
            );
            let mut taken = Vec::new();
            pages.take_in(range.clone(), &mut |index, pfn| taken.push((index, pfn.0)));
            let wanted = all.into_iter().filter(|index| range.contains(index));
            assert!(taken.into_iter().eq(wanted.map(|index| (index, index))), "{range:?}");
            for index in all {
                assert_eq!(pages.get(index).is_some(), !range.contains(&index), "{range:?}");
            }
        }
    }

    #[test]
    fn nodes_go_with_their_last_page() {
        let all = [0_u64, 1, 64, 5000, 1 << 33];
        let filled = || {
            let mut pages = Pages::new();
            for index in all {
                *pages.slot(index).unwrap() = Some(Pfn(index));
            }
            pages
        };
        let mut pages = filled();
        for index in all {
            assert_eq!(pages.take(index), Some(Pfn(index)));
            assert_eq!(pages.take(index), None);
            assert_eq!(pages.get(1).is_some(), index < 1);
        }
        assert!(pages.root.is_empty() && pages.take(1 << 40).is_none());
        let mut pages = filled();
        pages.prune(&mut |pfn| pfn.0 == 64);
        let mut seen = Vec::new();
        pages.each(&mut |_, pfn| seen.push(pfn.0));
        assert_eq!(seen, [64]);
        let kept = |node: &Node<Pfn>| node.kids.iter().filter(|kid| !kid.is_empty()).count();
        assert_eq!(kept(&pages.root), 1);
        pages.prune(&mut |_| false);
        assert!(pages.root.is_empty());
        *pages.slot(5000).unwrap() = Some(Pfn(1));
        assert_eq!(pages.get(5000), Some(&Pfn(1)));
    }
}
