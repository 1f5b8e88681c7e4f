//! The area tree: an ordered map from disjoint half-open ranges of page numbers to values.
//!
//! A B+ tree. Its nodes (`node`) have up to 15 entries each, so that 1,000 areas are three levels
//! and 100,000 five; a search touches three cache lines a level and has no branch that depends on
//! the pages. Nodes and values lie in chunks (`pool`) and are named by number. A value keeps its
//! place as long as it is in the tree: what moves when the tree changes is its entry, 28 bytes. A
//! search touches ranges only, and the value that it has found.
//!
//! Every entry says how large the largest gap below it is, so a hole is found in one way down
//! (`gap`); a change repairs that on its way up, as far as something differs. A split, a merge and
//! a removal with the hole that it leaves are one descent each. A copy (`copy`) fills nodes one
//! after the other, without a search.
//!
//! Protocol: the holder of `&mut` is alone; the lock of the address space ensures that. Only
//! [`AreaTree::reserve`], [`AreaTree::insert`] and [`AreaTree::copy`] allocate memory, always
//! before the first change, so a failure leaves the tree as it was; what the heap has given by then
//! stays as room. What is taken out leaves room behind, and never needs any.
//!
//! # Look-ups without a lock
//!
//! There are none in the tree: a reader beside a writer would see half a change. A fault that shall
//! not wait for a writer finds its area in its CPU's copies ([`super::delegates`]), of which the
//! first one comes from a look-up under the lock. Prepared for look-ups here is that
//! nodes and values are named by number and lie in memory that keeps its type and its place until
//! the tree goes, that no entry lies in two nodes, and that there are no links between siblings or
//! to parents: a changed node could be written elsewhere, and replace the old one by the store of
//! one link. Missing are: a change that does so (all work on nodes in place), the deal of two
//! siblings and the new root as one such store, a list of chunks that a reader can follow while it
//! grows (`sync::Stable` is one), and the delay of a number's next use until the walk sections that
//! may know it have ended.
//!
//! Invariants:
//! - INV-TREE-1: ranges are not empty and do not overlap; entries are in ascending order.
//! - INV-TREE-2: all ways down are equally long. A node has at most 15 entries and at least 7; the
//!   root has at least two, or is the only node and has one.
//! - INV-TREE-3: an entry for a node says its lowest page, its highest end, and its largest gap
//!   between two neighbours.
//! - INV-TREE-4: the range of an entry is the range that its value reports.
//! - INV-TREE-5: every node and every value in use is linked exactly once.
//! - INV-TREE-6: the places of a node that have no entry start after every page.

pub(super) mod copy;
mod gap;
mod node;
mod path;
mod pool;
mod spans;
#[cfg(test)]
mod tests;

use core::{error, fmt};

use node::Entry;
use pool::{Place, Pool};
use spans::Spans;

use crate::error::NoMemory;

pub(super) use path::{Hole, Path};

/// A value that covers a range of pages.
///
/// While the value is in an [`AreaTree`], its answers change only in [`AreaTree::resize`].
pub(crate) trait Span {
    /// The number of the first page.
    fn start(&self) -> u64;

    /// One past the number of the last page: more than `start`.
    fn end(&self) -> u64;
}

/// Why a value was not inserted. Hands it back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum InsertError<T> {
    /// Some of its pages already belong to an area.
    Overlap(T),
    /// The heap cannot hold another area.
    NoMemory(T),
}

impl<T: Span> fmt::Display for InsertError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap(value) => write!(
                f,
                "pages {:#x}..{:#x} overlap an area: unmap it first, or choose a gap",
                value.start(),
                value.end()
            ),
            Self::NoMemory(value) => {
                write!(f, "pages {:#x}..{:#x}: {NoMemory}", value.start(), value.end())
            }
        }
    }
}

impl<T: Span + fmt::Debug> error::Error for InsertError<T> {}

/// An ordered map from disjoint ranges of pages to the values that cover them.
///
/// Every operation costs O(log n), including the searches for a gap; a step of an iteration costs
/// O(1) on average.
#[derive(Debug)]
pub(crate) struct AreaTree<T> {
    spans: Spans,
    /// The values that entries of the last level link to.
    values: Pool<Place<T>, 64>,
}

impl<T: Span> AreaTree<T> {
    /// A tree without areas. Takes no memory.
    pub(crate) const fn new() -> Self {
        Self { spans: Spans::new(), values: Pool::new() }
    }

    /// The number of areas.
    pub(crate) fn len(&self) -> usize {
        self.values.used()
    }

    /// Makes room: afterwards, the next `additional` inserts and splits do not run out of memory.
    ///
    /// Removals never give up room, so they do no harm in between.
    ///
    /// # Errors
    /// When the heap cannot hold that many. The tree is unchanged.
    #[inline]
    pub(crate) fn reserve(&mut self, additional: usize) -> Result<(), NoMemory> {
        self.spans.reserve(additional)?;
        self.values.reserve(additional)
    }

    /// The area that contains `page`.
    #[inline]
    pub(crate) fn find(&self, page: u64) -> Option<&T> {
        self.value(self.spans.find(page)?)
    }

    /// The area that contains `page`, for changing anything but its range.
    ///
    /// The tree does not see a range that changes here and would keep searching by the old one: use
    /// [`AreaTree::resize`] for that.
    pub(crate) fn find_mut(&mut self, page: u64) -> Option<&mut T> {
        let number = self.spans.find(page)?;
        self.values.get_mut(number).value_mut()
    }

    /// The area that contains `page`, or else the first that starts after it.
    pub(crate) fn at_or_after(&self, page: u64) -> Option<&T> {
        self.ahead(&mut self.spans.path_before(page))
    }

    /// The last area that ends at `page` or before it.
    pub(crate) fn before(&self, page: u64) -> Option<&T> {
        let (leaf, at) = self.spans.path_before(page).behind(&self.spans.nodes)?;
        self.value(self.spans.node(leaf).link(at))
    }

    /// Adds an area.
    ///
    /// # Errors
    /// When it overlaps another, or when there is neither reserved room nor memory. The tree is
    /// unchanged, and the error owns the value.
    pub(crate) fn insert(&mut self, value: T) -> Result<(), InsertError<T>> {
        let (start, end) = (value.start(), value.end());
        debug_assert!(start < end, "an area of no pages");
        let path = self.spans.path_to(start);
        let Hole { below, above } = path.hole(&self.spans.nodes);
        if below.is_some_and(|below| start < below) || above.is_some_and(|above| above < end) {
            return Err(InsertError::Overlap(value));
        }
        if self.reserve(1).is_err() {
            return Err(InsertError::NoMemory(value));
        }
        let number = self.values.put(Place::Taken(value));
        self.spans.put(&path, Entry::area(start, end, number));
        Ok(())
    }

    /// Takes out the first area that has one of the pages `start..end`. Returns also the hole that
    /// it leaves.
    pub(crate) fn remove_first(&mut self, start: u64, end: u64) -> Option<(T, Hole)> {
        let mut path = self.spans.path_before(start);
        let (leaf, at) = path.ahead(&self.spans.nodes)?;
        if self.spans.node(leaf).first(at) >= end {
            return None;
        }
        let below = path.hole(&self.spans.nodes).below;
        path.on();
        let above = path.hole(&self.spans.nodes).above;
        path.back();
        Some((self.take_out(&path)?, Hole { below, above }))
    }

    /// Cuts the area that has both `page - 1` and `page`: `cut` shortens it to end at `page`, and
    /// returns the rest. Room for it was reserved. Returns the rest, if there is such an area.
    pub(crate) fn split(&mut self, page: u64, cut: impl FnOnce(&mut T) -> T) -> Option<&T> {
        let path = self.spans.path_to(page);
        let (leaf, at) = path.leaf()?;
        let Entry { first, end, link, .. } = self.spans.node(leaf).entry(at.checked_sub(1)?);
        if page == first || page >= end {
            return None;
        }
        let rest = cut(self.values.get_mut(link).value_mut()?);
        let number = self.values.put(Place::Taken(rest));
        self.spans.set_end(&path, page);
        self.spans.put(&path, Entry::area(page, end, number));
        self.value(number)
    }

    /// Joins the area that starts at `page` with the one that ends there, if `alike` says so of the
    /// two: `grow` lets the first one end where the second one does. Returns the second one.
    pub(crate) fn merge(
        &mut self,
        page: u64,
        alike: impl FnOnce(&T, &T) -> bool,
        grow: impl FnOnce(&mut T, &T),
    ) -> Option<T> {
        let mut path = self.path_at(page)?;
        let mut behind = path;
        let (lower, before) = behind.behind(&self.spans.nodes)?;
        let before = self.spans.node(lower).entry(before);
        let (leaf, at) = path.leaf()?;
        let next = self.spans.node(leaf).entry(at);
        if before.end != page || !alike(self.value(before.link)?, self.value(next.link)?) {
            return None;
        }
        let gone = self.values.take(next.link).into_value()?;
        grow(self.values.get_mut(before.link).value_mut()?, &gone);
        if lower == leaf {
            self.spans.set_end(&path, next.end);
            self.spans.take_out(&path);
        } else {
            self.spans.take_out(&path);
            path = self.spans.path_to(before.first);
            self.spans.set(&path, before.first, next.end);
        }
        Some(gone)
    }

    /// Lets the area that starts at `start` exactly change its own range: shrink, or grow into the
    /// gaps beside it. Returns whether there is such an area; if not, `change` does not run.
    ///
    /// The new range must not be empty and must not reach into another area; a caller that grows an
    /// area asks [`AreaTree::overlaps`] first. Debug builds check this.
    pub(crate) fn resize(&mut self, start: u64, change: impl FnOnce(&mut T)) -> bool {
        let Some(mut path) = self.path_at(start) else { return false };
        let Some((leaf, at)) = path.leaf() else { return false };
        let link = self.spans.node(leaf).link(at);
        let Some(value) = self.values.get_mut(link).value_mut() else { return false };
        change(value);
        let (start, end) = (value.start(), value.end());
        path.on();
        self.spans.set(&path, start, end);
        true
    }

    /// The areas from [`AreaTree::at_or_after`] on, in ascending order.
    pub(crate) fn iter_from(&self, page: u64) -> impl Iterator<Item = &T> {
        let mut path = self.spans.path_before(page);
        core::iter::from_fn(move || {
            let area = self.ahead(&mut path)?;
            path.on();
            Some(area)
        })
    }

    /// The way to before the area that contains `page`, or else the first that starts after it.
    pub(crate) fn path_before(&self, page: u64) -> Path {
        self.spans.path_before(page)
    }

    /// Whether an area has any of the pages `start..end`.
    pub(crate) fn overlaps(&self, start: u64, end: u64) -> bool {
        start < end && self.at_or_after(start).is_some_and(|area| area.start() < end)
    }

    /// The lowest start of `pages` free pages within `low..high`; none for no pages.
    pub(crate) fn lowest_gap(&self, pages: u64, low: u64, high: u64) -> Option<u64> {
        self.spans.lowest_gap(pages, low, high)
    }

    /// The highest start of `pages` free pages within `low..high`; none for no pages.
    pub(crate) fn highest_gap(&self, pages: u64, low: u64, high: u64) -> Option<u64> {
        self.spans.highest_gap(pages, low, high)
    }

    /// The area that lies behind the place that the path leads to.
    fn ahead(&self, path: &mut Path) -> Option<&T> {
        let (leaf, at) = path.ahead(&self.spans.nodes)?;
        self.value(self.spans.node(leaf).link(at))
    }

    /// The area that the path has come to, to change anything but its range, and moves the path
    /// behind it.
    pub(crate) fn next_mut(&mut self, path: &mut Path) -> Option<&mut T> {
        let (leaf, at) = path.ahead(&self.spans.nodes)?;
        path.on();
        let link = self.spans.node(leaf).link(at);
        self.values.get_mut(link).value_mut()
    }

    #[inline]
    fn value(&self, number: u32) -> Option<&T> {
        self.values.get(number).value()
    }

    /// The way to before the area that starts at `start` exactly, if there is one.
    fn path_at(&self, start: u64) -> Option<Path> {
        let mut path = self.spans.path_to(start);
        let (leaf, at) = path.leaf()?;
        if self.spans.node(leaf).first(at.checked_sub(1)?) != start {
            return None;
        }
        path.back();
        Some(path)
    }

    /// Takes out the area that lies behind the place that the path leads to, in the same node.
    fn take_out(&mut self, path: &Path) -> Option<T> {
        let (leaf, at) = path.leaf()?;
        let number = self.spans.node(leaf).link(at);
        self.spans.take_out(path);
        self.values.take(number).into_value()
    }
}
