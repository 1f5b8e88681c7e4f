//! Who took the last hinting fault on each page (Linux: the last cpupid of a folio; facts 4.8).
//!
//! Protocol: a word for each frame, beside the frames, as a frame has none to spare; it is there
//! only where the machine is set up to filter hinting faults. Who takes one exchanges the word of
//! the folio's head, under the lock of a page table that maps it; others may map the page, too, and
//! no lock keeps them apart: of two faults at a time either is the last. A page that moves takes
//! its word with it, and the parts of a folio that is split have the folio's. A frame whose life
//! ends has none.

use alloc::vec::Vec;

use super::frames::Frames;
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
    const fn word(self) -> u32 {
        KNOWN | (self.node.0 as u32) << NODE_SHIFT | self.task as u32
    }

    const fn of_word(word: u32) -> Option<Self> {
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
    fn new(base: u64, frames: usize) -> Result<Self, NoMemory> {
        let mut words = Vec::new();
        words.try_reserve_exact(frames).map_err(|_| NoMemory)?;
        words.resize_with(frames, || AtomicU32::new(0));
        Ok(Self { base, words })
    }

    fn word(&self, pfn: Pfn) -> &AtomicU32 {
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

impl Frames {
    /// Has pages remember their last hinting fault from now on.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn remember_faults(&mut self) -> Result<(), NoMemory> {
        let (base, frames) = (self.metadata().base(), self.metadata().all().len());
        self.last_faults = Some(LastFaults::new(base, frames)?);
        self.forgets = true;
        Ok(())
    }

    /// Whether pages remember their last hinting fault.
    #[inline]
    pub(crate) fn remembers_faults(&self) -> bool {
        self.last_faults.is_some()
    }

    /// A hinting fault on a page of the folio with this head, which somebody keeps alive: the one
    /// before it, if there was one and pages remember it.
    pub(crate) fn exchange_last_fault(&self, head: Pfn, by: FaultedBy) -> Option<FaultedBy> {
        let last = self.last_faults.as_ref()?;
        FaultedBy::of_word(last.word(head).xchg(by.word()))
    }

    /// A page takes the place of another, which nothing maps any more.
    pub(crate) fn hand_on_last_fault(&self, from: Pfn, to: Pfn) {
        if let Some(last) = &self.last_faults {
            let word = last.word(from).read_once();
            if word != 0 {
                last.word(from).write_once(0);
                last.word(to).write_once(word);
            }
        }
    }

    /// A folio of so many pages has been split, and nobody has found its parts yet.
    pub(crate) fn spread_last_fault(&self, head: Pfn, pages: u64) {
        if let Some(last) = &self.last_faults {
            let word = last.word(head).read_once();
            if word != 0 {
                (head.0 + 1..head.0 + pages).for_each(|pfn| last.word(Pfn(pfn)).write_once(word));
            }
        }
    }

    /// What is remembered of a page, while nothing else runs: not a step of an exploration.
    pub(crate) fn peek_last_fault(&self, head: Pfn) -> Option<FaultedBy> {
        FaultedBy::of_word(self.last_faults.as_ref()?.word(head).peek())
    }

    /// A frame that is free, and of which a fault is remembered all the same, while nothing else
    /// runs.
    pub(crate) fn wrong_with_last_faults(&self) -> Option<(Pfn, &'static str)> {
        if !self.remembers_faults() {
            return None;
        }
        let free = |pfn: &Pfn| self.peek_counts(*pfn).refs() == 0;
        let mut known = self.all().filter(|pfn| self.peek_last_fault(*pfn).is_some());
        let head = |pfn: &Pfn| !self.peek_flags(*pfn).contains(super::flags::Flags::TAIL);
        known.find(|pfn| free(pfn) && head(pfn)).map(|pfn| (pfn, "is free and has a hinting fault"))
    }
}
