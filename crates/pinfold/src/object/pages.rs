//! The pages of an object by their index, in a tree that has only the nodes that its pages need.
//!
//! Protocol: the holder of `&mut` is alone. A failed allocation leaves behind at most nodes without
//! pages.
//!
//! Invariants:
//! - INV-PAGES-1: a node of the last level has pages and no kids, a node above has kids and no
//!   pages; a node that nothing was put into has neither.
//! - INV-PAGES-2: all paths have as many levels as the highest index needs, so a tree with few
//!   pages costs the same whatever the object's size.

use alloc::vec::Vec;

use crate::addr::Pfn;
use crate::error::NoMemory;

/// log2 of [`FAN`].
const BITS: u32 = 6;
/// Kids or pages of a node.
const FAN: usize = 1 << BITS;

#[derive(Debug, Default)]
struct Node {
    kids: Vec<Node>,
    pages: Vec<Option<Pfn>>,
}

/// Pages by index.
#[derive(Debug)]
pub(super) struct Pages {
    root: Node,
    levels: u32,
}

/// The place of `index` in a node `above` levels over the last.
const fn place(index: u64, above: u32) -> usize {
    (index >> (above * BITS)) as usize & (FAN - 1)
}

/// Extends `list` to an entry for each place.
fn fill<T: Default>(list: &mut Vec<T>) -> Result<(), NoMemory> {
    if list.is_empty() {
        list.try_reserve_exact(FAN).map_err(|_| NoMemory)?;
        list.resize_with(FAN, T::default);
    }
    Ok(())
}

impl Pages {
    /// No pages yet; indices go up to `count`. Takes no memory.
    pub(super) fn new(count: u64) -> Self {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        Self { root: Node::default(), levels: bits.div_ceil(BITS).max(1) }
    }

    /// The place of a page below `count`, made if it does not exist yet.
    pub(super) fn slot(&mut self, index: u64) -> Result<&mut Option<Pfn>, NoMemory> {
        let mut node = &mut self.root;
        for above in (1..self.levels).rev() {
            fill(&mut node.kids)?;
            node = &mut node.kids[place(index, above)];
        }
        fill(&mut node.pages)?;
        Ok(&mut node.pages[place(index, 0)])
    }

    /// The page below `count` with this index, if it exists.
    pub(super) fn get(&self, index: u64) -> Option<Pfn> {
        let mut node = &self.root;
        for above in (1..self.levels).rev() {
            node = node.kids.get(place(index, above))?;
        }
        node.pages.get(place(index, 0)).copied().flatten()
    }

    /// Calls `visit` for each page, in order.
    pub(super) fn each(&self, visit: &mut impl FnMut(Pfn)) {
        self.root.each(visit);
    }

    /// Forgets all pages.
    pub(super) fn clear(&mut self) {
        self.root = Node::default();
    }
}

impl Node {
    fn each(&self, visit: &mut impl FnMut(Pfn)) {
        self.pages.iter().flatten().for_each(|pfn| visit(*pfn));
        self.kids.iter().for_each(|kid| kid.each(visit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_where_they_were_put_and_in_order() {
        for count in [1, 2, 64, 65, 4096, 4097, 1 << 34, u64::MAX] {
            let mut pages = Pages::new(count);
            let wanted: std::collections::BTreeSet<u64> =
                [0, 1, 63, 64, 65, 4095, 4096, 1 << 33, count / 2, count - 1]
                    .into_iter()
                    .filter(|index| *index < count)
                    .collect();
            for index in &wanted {
                assert_eq!(pages.get(*index), None, "{index} of {count}");
                assert_eq!(*pages.slot(*index).unwrap(), None, "{index} of {count}");
                assert_eq!(pages.get(*index), None, "{index} of {count}");
                *pages.slot(*index).unwrap() = Some(Pfn(*index));
                assert_eq!(pages.get(*index), Some(Pfn(*index)), "{index} of {count}");
            }
            let mut seen = Vec::new();
            pages.each(&mut |pfn| seen.push(pfn.0));
            assert!(seen.iter().eq(&wanted), "{count}");
            pages.clear();
            assert_eq!(*pages.slot(0).unwrap(), None);
        }
    }
}
