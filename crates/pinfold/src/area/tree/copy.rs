//! A tree that is made as a copy: node after node, from the lowest page up.

use super::node::Entry;
use super::pool::Place;
use super::spans::Rising;
use super::{AreaTree, Span};
use crate::error::NoMemory;

/// A tree that is filled in ascending order, without a search and without a request for memory.
/// When this is dropped, at whatever point, the tree has all areas that were pushed.
#[derive(Debug)]
pub(crate) struct Copy<'a, T: Span> {
    tree: &'a mut AreaTree<T>,
    rising: Rising,
}

impl<T: Span> AreaTree<T> {
    /// Begins to fill this tree, which is empty, with up to `areas` areas.
    ///
    /// # Errors
    /// When the heap cannot hold them.
    pub(crate) fn copy(&mut self, areas: usize) -> Result<Copy<'_, T>, NoMemory> {
        debug_assert!(self.len() == 0, "areas would be lost");
        self.spans.nodes.reserve_exact(Rising::needed(areas))?;
        self.values.reserve_exact(areas)?;
        Ok(Copy { tree: self, rising: Rising::new() })
    }
}

impl<T: Span> Copy<'_, T> {
    /// Adds an area behind all others, one of as many as were announced, and shows it.
    pub(crate) fn push(&mut self, area: T) -> Option<&T> {
        let (first, end) = (area.start(), area.end());
        let number = self.tree.values.put(Place::Taken(area));
        self.rising.push(&mut self.tree.spans, Entry::area(first, end, number));
        self.tree.value(number)
    }
}

impl<T: Span> Drop for Copy<'_, T> {
    fn drop(&mut self) {
        self.rising.finish(&mut self.tree.spans);
    }
}
