//! Values by the checksum of a page: a tree that branches at the bits in which checksums differ, so
//! that none is deeper than a checksum has bits.

use alloc::vec::Vec;

use crate::error::NoMemory;

/// Where a node lies; or none.
const NONE: u32 = u32::MAX;

enum Node<V> {
    Leaf {
        sum: u64,
        value: V,
    },
    /// Sums differ first in this bit: where those go that have it clear, and set.
    Fork {
        bit: u32,
        sides: [u32; 2],
    },
    /// In no use; the next of these.
    Free {
        next: u32,
    },
}

/// Values by checksum, one of each.
pub(super) struct Index<V> {
    nodes: Vec<Node<V>>,
    root: u32,
    free: u32,
    len: usize,
}

const fn side(sum: u64, bit: u32) -> usize {
    (sum >> bit & 1) as usize
}

impl<V: Copy> Index<V> {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self { nodes: Vec::new(), root: NONE, free: NONE, len: 0 }
    }

    /// Makes room for one more value.
    ///
    /// # Errors
    /// When the heap is exhausted, or there are too many.
    pub(super) fn reserve(&mut self) -> Result<(), NoMemory> {
        // A leaf and a fork.
        if self.nodes.len() + 2 > NONE as usize {
            return Err(NoMemory);
        }
        self.nodes.try_reserve(2).map_err(|_| NoMemory)
    }

    /// Takes all values out.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        (self.root, self.free, self.len) = (NONE, NONE, 0);
    }

    /// The value of a checksum.
    pub(super) fn find(&self, sum: u64) -> Option<V> {
        match self.nearest(sum) {
            Some(&Node::Leaf { sum: is, value }) if is == sum => Some(value),
            _ => None,
        }
    }

    /// All values, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = V> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Leaf { value, .. } => Some(*value),
            Node::Fork { .. } | Node::Free { .. } => None,
        })
    }

    /// The leaf at which a search for the checksum ends.
    fn nearest(&self, sum: u64) -> Option<&Node<V>> {
        let mut at = self.root;
        loop {
            match self.nodes.get(at as usize)? {
                Node::Fork { bit, sides } => at = sides[side(sum, *bit)],
                leaf => return Some(leaf),
            }
        }
    }

    /// Sets the value of a checksum, for which room was made.
    pub(super) fn set(&mut self, sum: u64, value: V) {
        let differs = match self.nearest(sum) {
            Some(Node::Leaf { sum: near, .. }) => near ^ sum,
            _ => {
                self.root = self.put(Node::Leaf { sum, value });
                self.len = 1;
                return;
            }
        };
        let leaf = Node::Leaf { sum, value };
        // Where the new leaf belongs: below the last fork at a higher bit.
        let bit = differs.checked_ilog2();
        let (mut link, mut at) = (None, self.root);
        while let Some(Node::Fork { bit: forks, sides }) = self.nodes.get(at as usize) {
            if bit.is_some_and(|bit| bit > *forks) {
                break;
            }
            let to = side(sum, *forks);
            (link, at) = (Some((at, to)), sides[to]);
        }
        let Some(bit) = bit else {
            self.nodes[at as usize] = leaf;
            return;
        };
        let mut sides = [at; 2];
        sides[side(sum, bit)] = self.put(leaf);
        let fork = self.put(Node::Fork { bit, sides });
        self.link(link, fork);
        self.len += 1;
    }

    /// Takes the value of a checksum out, if there is one.
    pub(super) fn remove(&mut self, sum: u64) {
        let (mut above, mut link, mut at) = (None, None, self.root);
        while let Some(Node::Fork { bit, sides }) = self.nodes.get(at as usize) {
            let to = side(sum, *bit);
            (above, link, at) = (link, Some((at, to)), sides[to]);
        }
        match self.nodes.get(at as usize) {
            Some(Node::Leaf { sum: is, .. }) if *is == sum => {}
            _ => return,
        }
        self.give(at);
        self.len -= 1;
        let Some((fork, from)) = link else {
            self.root = NONE;
            return;
        };
        if let Node::Fork { sides, .. } = self.nodes[fork as usize] {
            self.link(above, sides[1 - from]);
        }
        self.give(fork);
    }

    /// Takes out the values that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        for at in 0..self.nodes.len() {
            // Taking a leaf out moves no other.
            if let Node::Leaf { sum, value } = &self.nodes[at]
                && !keep(value)
            {
                self.remove(*sum);
            }
        }
    }

    /// How many values there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Has a fork's side, or the root, lead to a node.
    fn link(&mut self, from: Option<(u32, usize)>, to: u32) {
        match from {
            None => self.root = to,
            Some((fork, side)) => {
                if let Node::Fork { sides, .. } = &mut self.nodes[fork as usize] {
                    sides[side] = to;
                }
            }
        }
    }

    fn put(&mut self, node: Node<V>) -> u32 {
        let at = self.free;
        if let Some(Node::Free { next }) = self.nodes.get(at as usize) {
            self.free = *next;
            self.nodes[at as usize] = node;
            return at;
        }
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }

    fn give(&mut self, at: u32) {
        self.nodes[at as usize] = Node::Free { next: self.free };
        self.free = at;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Random operations, with a map as the oracle; sums that differ in few bits, too.
    #[test]
    fn is_like_a_map() {
        let (mut index, mut model, mut seed) = (Index::new(), BTreeMap::new(), 7_u64);
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 33
        };
        for round in 0..20_000 {
            let sum = if next() % 2 == 0 { next() % 64 } else { 1 << (next() % 64) };
            match next() % 5 {
                0 | 1 => {
                    index.reserve().unwrap();
                    index.set(sum, round);
                    model.insert(sum, round);
                }
                2 | 3 => {
                    index.remove(sum);
                    model.remove(&sum);
                }
                _ if next() % 50 == 0 => {
                    index.clear();
                    model.clear();
                }
                _ => {}
            }
            assert_eq!(index.find(sum), model.get(&sum).copied(), "{round}");
            assert_eq!(index.len(), model.len(), "{round}");
        }
        assert!(model.len() > 10);
        model.iter().for_each(|(sum, value)| assert_eq!(index.find(*sum), Some(*value)));
        assert_eq!(index.values().count(), model.len());
        assert!(index.nodes.len() <= 2 * (64 + 64), "places are used again");
    }
}
