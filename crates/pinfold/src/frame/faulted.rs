//! What the table of frames does with the last hinting fault of each page: see [`super::last`].

use super::flags::Flags;
use super::frames::Frames;
use super::last::{FaultedBy, LastFaults};
use crate::addr::Pfn;
use crate::error::NoMemory;

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
        let head = |pfn: &Pfn| !self.peek_flags(*pfn).contains(Flags::TAIL);
        known.find(|pfn| free(pfn) && head(pfn)).map(|pfn| (pfn, "is free and has a hinting fault"))
    }
}
