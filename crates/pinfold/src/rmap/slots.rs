//! The type-stable memory of all families: which slots are free.

use crate::error::NoMemory;
use crate::sync::{self, CellName, Inside, Masks, SpinLock, SpinLocked, Stable};

use super::home::NONE;
use super::node::Node;

/// All slots of a machine.
pub(super) struct Slots {
    /// The slot with number `n` is at `n - 1`: number 0 is none.
    nodes: Stable<Node>,
    list: SpinLock<List>,
}

/// The slots that are part of no family.
struct List {
    /// The first free one; each names the next.
    free: u32,
    /// How many slots have been in use, ever.
    made: u32,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { nodes: Stable::new(), list: SpinLock::new(List { free: NONE, made: 0 }) }
    }

    /// Names the lock for a trace, once it is in its final place.
    pub(super) fn label(&self) {
        let list = &self.list;
        sync::label(list, size_of_val(list), |_| CellName::Object {
            object: "families",
            index: 0,
            cell: "",
        });
    }

    /// A slot that was taken once.
    #[inline]
    pub(super) fn node(&self, slot: u32) -> &Node {
        self.nodes.at(slot.wrapping_sub(1))
    }

    fn lock(&self) -> Inside<SpinLocked<'_, List>> {
        Inside::lock(Masks::Preemption, || self.list.lock())
    }

    /// A slot that is part of no family.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(super) fn take(&self) -> Result<u32, NoMemory> {
        let mut list = self.lock();
        let free = list.free;
        if free != NONE {
            // SAFETY: a free slot's links are under the lock that is held.
            list.free = unsafe { self.node(free).links.read() }.younger;
            return Ok(free);
        }
        let made = list.made;
        self.nodes.grow(made, Node::vacant)?;
        list.made = made + 1;
        self.label_slot(list.made);
        Ok(list.made)
    }

    fn label_slot(&self, slot: u32) {
        let node = self.node(slot);
        sync::label(node, size_of_val(node), move |offset| CellName::Object {
            object: "family",
            index: u64::from(slot - 1),
            cell: Node::cell(offset),
        });
    }

    /// Ends the life of a slot in a family, whose lock the caller has for writing, and frees it.
    pub(super) fn retire(&self, slot: u32) {
        self.node(slot).leave_family();
        self.give(slot);
    }

    /// A slot that has left its family is free from now on. One whose count of forks has come to
    /// its end is not used again: its next life could not be told from this one.
    pub(super) fn give(&self, slot: u32) {
        let mut list = self.lock();
        // SAFETY: the slot is part of no family, and nobody else frees it: its links are under the
        // lock that is held.
        let links = unsafe { self.node(slot).links.write() };
        if links.forks == u32::MAX {
            return;
        }
        links.younger = list.free;
        list.free = slot;
    }

    /// How many slots have been in use, ever.
    #[cfg(test)]
    pub(super) fn made(&self) -> u32 {
        self.lock().made
    }
}
