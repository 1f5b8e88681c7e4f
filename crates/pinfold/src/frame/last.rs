//! Who took the last hinting fault on each page (Linux: the last cpupid of a folio; facts 4.8).
//!
//! Protocol: a word for each frame, beside the frames, as a frame has none to spare; it is there
//! only where the machine is set up to filter hinting faults. Who takes one exchanges the word of
//! the folio's head, under the lock of a page table that maps it; others may map the page, too, and
//! no lock keeps them apart: of two faults at a time either is the last. A page that moves takes
//! its word with it, and the parts of a folio that is split have the folio's. A frame whose life
//! ends has none.

use alloc::vec::Vec;

use crate::addr::{NodeId, Pfn};
use crate::error::NoMemory;
use crate::sync::{self, AtomicU32, CellName};

/// Set in the word of a page on which there was a fault.
const KNOWN: u32 = 1 << 31;
const NODE_SHIFT: u32 = 8;

/// Who took a hinting fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FaultedBy {
    /// Where.
    pub(crate) node: NodeId,
    /// The lowest bits of the task's number.
    pub(crate) task: u8,
}

impl FaultedBy {
    pub(super) const fn word(self) -> u32 {
        KNOWN | (self.node.0 as u32) << NODE_SHIFT | self.task as u32
    }

    pub(super) const fn of_word(word: u32) -> Option<Self> {
        if word & KNOWN == 0 {
            return None;
        }
        Some(Self { node: NodeId((word >> NODE_SHIFT) as u8), task: word as u8 })
    }
}

/// The words of all frames from the first one of the machine on.
#[derive(Debug)]
pub(super) struct LastFaults {
    base: u64,
    words: Vec<AtomicU32>,
}

impl LastFaults {
    /// Those of so many frames, from this one on.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(super) fn new(base: u64, frames: usize) -> Result<Self, NoMemory> {
        let mut words = Vec::new();
        words.try_reserve_exact(frames).map_err(|_| NoMemory)?;
        words.resize_with(frames, || AtomicU32::new(0));
        Ok(Self { base, words })
    }

    /// That of a frame.
    pub(super) fn word(&self, pfn: Pfn) -> &AtomicU32 {
        &self.words[(pfn.0 - self.base) as usize]
    }

    /// Names the words for a trace.
    pub(super) fn label(&self) {
        let base = self.base;
        sync::label(self.words.as_ptr(), size_of_val(&*self.words), move |offset| {
            let index = base + (offset / size_of::<AtomicU32>()) as u64;
            CellName::Object { object: "frame", index, cell: "last hinting fault" }
        });
    }

    /// Ends what is known of a frame whose last reference is gone.
    pub(super) fn forget(&self, pfn: Pfn) {
        let word = self.word(pfn);
        if word.read_once() != 0 {
            word.write_once(0);
        }
    }
}
