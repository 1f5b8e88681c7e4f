//! The area tree: an ordered map from disjoint half-open ranges of page numbers to values.
//!
//! The values lie in one vector; [`Spans`], a balanced tree of their ranges, lies in another with
//! the same slots. A search therefore touches ranges only, never a value, and the tree's shape does
//! not depend on the type of the value. Both vectors are dense: removing moves the last entry into
//! the hole, so there is neither a free list nor an empty entry.
//!
//! Protocol: the holder of `&mut` is alone; the lock of the address space ensures that. Only
//! [`AreaTree::reserve`] and [`AreaTree::insert`] allocate memory, always before the first change,
//! so a failure leaves the tree unchanged.
//!
//! Invariants:
//! - INV-TREE-1: ranges are not empty and do not overlap; an in-order walk meets them in ascending
//!   order.
//! - INV-TREE-2: the heights of a node's two subtrees differ by at most one.
//! - INV-TREE-3: a node knows its subtree's lowest start, highest end, height and largest inner
//!   gap.
//! - INV-TREE-4: the range kept for a slot is the range that its value reports.
//! - INV-TREE-5: every slot is linked exactly once, and a kid names the parent that links it.

mod gap;
mod spans;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::{error, fmt, iter};

use spans::{Side, Slot, Spans};

use crate::error::NoMemory;

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
    /// The value of each slot of `spans`.
    values: Vec<T>,
}

impl<T: Span> AreaTree<T> {
    /// A tree without areas. Takes no memory.
    pub(crate) const fn new() -> Self {
        Self { spans: Spans::new(), values: Vec::new() }
    }

    /// The number of areas.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Makes room: afterwards, the next `additional` inserts do not run out of memory.
    ///
    /// Removals never give up room, so they do no harm in between. Doubles the room if the heap
    /// allows it, so that many areas cost few moves; otherwise takes what is needed.
    ///
    /// # Errors
    /// When the heap cannot hold that many. The tree is unchanged.
    pub(crate) fn reserve(&mut self, additional: usize) -> Result<(), NoMemory> {
        self.spans.reserve(additional)?;
        let values = &mut self.values;
        let doubled = values.try_reserve(additional);
        doubled.or_else(|_| values.try_reserve_exact(additional)).map_err(|_| NoMemory)
    }

    /// The area that contains `page`.
    #[inline]
    pub(crate) fn find(&self, page: u64) -> Option<&T> {
        self.slot_of(page).map(|slot| self.value(slot))
    }

    /// The area that contains `page`, for changing anything but its range.
    ///
    /// The tree does not see a range that changes here and would keep searching by the old one: use
    /// [`AreaTree::resize`] for that.
    pub(crate) fn find_mut(&mut self, page: u64) -> Option<&mut T> {
        self.slot_of(page).map(|slot| &mut self.values[slot.position()])
    }

    /// The area that contains `page`, or else the first that starts after it.
    pub(crate) fn at_or_after(&self, page: u64) -> Option<&T> {
        self.spans.nearest(page, Side::High).map(|slot| self.value(slot))
    }

    /// The last area that ends at `page` or before it.
    pub(crate) fn before(&self, page: u64) -> Option<&T> {
        let slot = self.spans.nearest(page, Side::Low)?;
        let slot = if self.spans.end(slot) <= page {
            slot
        } else {
            self.spans.neighbour(slot, Side::Low)?
        };
        Some(self.value(slot))
    }

    /// Adds an area.
    ///
    /// # Errors
    /// When it overlaps another, or when there is neither reserved room nor memory. The tree is
    /// unchanged, and the error owns the value.
    pub(crate) fn insert(&mut self, value: T) -> Result<(), InsertError<T>> {
        let (start, end) = (value.start(), value.end());
        debug_assert!(start < end, "an area of no pages");
        let Some(vacancy) = self.spans.vacancy(start, end) else {
            return Err(InsertError::Overlap(value));
        };
        if self.reserve(1).is_err() {
            return Err(InsertError::NoMemory(value));
        }
        self.spans.link(vacancy, start, end);
        self.values.push(value);
        Ok(())
    }

    /// Takes out the area that starts at `start` exactly.
    pub(crate) fn remove(&mut self, start: u64) -> Option<T> {
        let slot = self.slot_at(start)?;
        self.spans.unlink(slot);
        Some(self.values.swap_remove(slot.position()))
    }

    /// Lets the area that starts at `start` exactly change its own range: shrink, or grow into the
    /// gaps beside it. Returns whether there is such an area; if not, `change` does not run.
    ///
    /// The new range must not be empty and must not reach into another area; a caller that grows an
    /// area asks [`AreaTree::overlaps`] first. Debug builds check this.
    pub(crate) fn resize(&mut self, start: u64, change: impl FnOnce(&mut T)) -> bool {
        let Some(slot) = self.slot_at(start) else {
            return false;
        };
        let value = &mut self.values[slot.position()];
        change(value);
        self.spans.set(slot, value.start(), value.end());
        true
    }

    /// The areas from [`AreaTree::at_or_after`] on, in ascending order.
    pub(crate) fn iter_from(&self, page: u64) -> impl Iterator<Item = &T> {
        let first = self.spans.nearest(page, Side::High);
        iter::successors(first, |slot| self.spans.neighbour(*slot, Side::High))
            .map(|slot| self.value(slot))
    }

    /// Whether an area has any of the pages `start..end`.
    pub(crate) fn overlaps(&self, start: u64, end: u64) -> bool {
        let next = self.spans.nearest(start, Side::High);
        start < end && next.is_some_and(|slot| self.spans.start(slot) < end)
    }

    /// The lowest start of `pages` free pages within `low..high`; none for no pages.
    pub(crate) fn lowest_gap(&self, pages: u64, low: u64, high: u64) -> Option<u64> {
        self.spans.lowest_gap(pages, low, high)
    }

    /// The highest start of `pages` free pages within `low..high`; none for no pages.
    pub(crate) fn highest_gap(&self, pages: u64, low: u64, high: u64) -> Option<u64> {
        self.spans.highest_gap(pages, low, high)
    }

    fn value(&self, slot: Slot) -> &T {
        &self.values[slot.position()]
    }

    fn slot_of(&self, page: u64) -> Option<Slot> {
        self.spans.nearest(page, Side::High).filter(|slot| self.spans.start(*slot) <= page)
    }

    fn slot_at(&self, start: u64) -> Option<Slot> {
        self.spans.nearest(start, Side::High).filter(|slot| self.spans.start(*slot) == start)
    }
}
