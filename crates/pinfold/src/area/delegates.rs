//! The slots in which CPUs keep copies of areas: which slot a page has, and which CPUs a mark
//! names. What copies are for, and what keeps them true, says [`crate::delegate`].

use crate::area::tree::Span;
use crate::error::NoMemory;
use crate::platform::Park;
use crate::sync::{AtomicU32, Delegated, DelegatedGuard, Sparse};

/// How many copies a CPU keeps of an address space's areas.
pub(crate) const SLOTS: usize = 4;
/// Pages that lie together have the same slot: as many as a last-level table maps on x86-64.
pub(crate) const NEAR: u64 = 512;

/// The slots of all CPUs.
pub(crate) struct Delegates<T> {
    places: Sparse<[Delegated<T>; SLOTS]>,
}

/// Which of a CPU's slots a page has.
#[inline]
fn slot_of(page: u64) -> usize {
    (page / NEAR) as usize % SLOTS
}

/// The mark of the CPUs that have a place. Large machines have several with one mark.
fn mark_of(place: usize) -> u64 {
    1 << (place % u64::BITS as usize)
}

impl<T: Span + Send + Sync> Delegates<T> {
    /// No copies yet, for `cpus` CPUs.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn new(cpus: usize) -> Result<Self, NoMemory> {
        Sparse::new(cpus).map(|places| Self { places })
    }

    /// The copy that the CPU has of the area with this page.
    #[inline]
    pub(crate) fn find<'a, P: Park>(
        &'a self,
        (cpu, page): (usize, u64),
        sleep: &'a P,
    ) -> Option<DelegatedGuard<'a, T, P>> {
        let copy = self.places.of(cpu)?[slot_of(page)].enter(sleep)?;
        // The slot may have a copy of another area.
        (copy.start() <= page && page < copy.end()).then_some(copy)
    }

    /// Gives the CPU a copy of the area with this page, if the heap has room and nobody is in the
    /// slot. `mark` sets the CPU's mark: who finds the copy can be found by who recalls it.
    pub(crate) fn give(
        &self,
        (cpu, page): (usize, u64),
        mark: impl FnOnce(u64),
        copy: impl FnOnce() -> T,
    ) {
        if let Ok(slots) = self.places.make(cpu) {
            mark(mark_of(self.places.place(cpu)));
            slots[slot_of(page)].give(copy);
        }
    }

    /// Recalls the copies that have one of the pages `start..end`, of CPUs that these marks name.
    pub(crate) fn recall<P: Park>(&self, marks: u64, (start, end): (u64, u64), sleep: &P) {
        let first = start / NEAR;
        let last = ((end - 1) / NEAR).min(first + SLOTS as u64 - 1);
        let named = self.places.iter().filter(|(place, _)| mark_of(*place) & marks != 0);
        for (_, slots) in named {
            for near in first..=last {
                let overlaps = |copy: &T| copy.start() < end && start < copy.end();
                slots[slot_of(near * NEAR)].recall(overlaps, sleep);
            }
        }
    }

    /// The words of the slots, for their names.
    pub(crate) fn words(&self) -> impl Iterator<Item = &AtomicU32> {
        self.places.iter().flat_map(|(_, slots)| slots.iter().map(Delegated::word))
    }

    /// Shows every copy, with the mark of its CPU.
    #[cfg(test)]
    pub(crate) fn each<P: Park>(&self, sleep: &P, mut visit: impl FnMut(&T, u64)) {
        for (place, slots) in self.places.iter() {
            for copy in slots.iter().filter_map(|slot| slot.enter(sleep)) {
                visit(&copy, mark_of(place));
            }
        }
    }
}
